//! The lines of sshd's configuration, in the order in which it reads them.

use policy::matches_glob;

use crate::finding::Place;

/// Where sshd's own file is.
pub const CONFIG: &str = "/etc/ssh/sshd_config";

/// A line of sshd's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub file: String,
    pub number: usize,
    pub keyword: String,
    pub value: String,
    /// What the Match block that it is in asks for.
    pub criteria: Option<String>,
}

impl Line {
    pub fn place(&self) -> Place {
        Place::line(&self.file, self.number)
    }
}

/// How files are read: the text of one, and the names in a directory.
pub struct Reader<'a> {
    pub text: &'a dyn Fn(&str) -> Option<String>,
    pub names: &'a dyn Fn(&str) -> Vec<String>,
}

/// Every line, in the order in which sshd reads them; the first of a keyword counts.
pub fn lines(reader: &Reader<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    include(CONFIG, None, 0, reader, &mut lines);
    lines
}

fn include(
    file: &str,
    mut criteria: Option<String>,
    depth: usize,
    reader: &Reader<'_>,
    lines: &mut Vec<Line>,
) {
    const DEEPEST: usize = 16;
    let text = (reader.text)(file).filter(|_| depth < DEEPEST).unwrap_or_default();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (keyword, value) = line.split_once(|c: char| c.is_whitespace() || c == '=').unwrap_or((line, ""));
        let value =
            value.trim_start_matches(|c: char| c.is_whitespace() || c == '=').trim_matches('"').to_string();
        match keyword.to_ascii_lowercase().as_str() {
            "match" => criteria = Some(value).filter(|value| !value.eq_ignore_ascii_case("all")),
            "include" => {
                for pattern in value.split_whitespace() {
                    for path in expand(pattern.trim_matches('"'), reader) {
                        include(&path, criteria.clone(), depth + 1, reader, lines);
                    }
                }
            }
            keyword => lines.push(Line {
                file: file.to_string(),
                number: index + 1,
                keyword: keyword.to_string(),
                value,
                criteria: criteria.clone(),
            }),
        }
    }
}

/// The files of a pattern whose last part may have `*` and `?` in it.
fn expand(pattern: &str, reader: &Reader<'_>) -> Vec<String> {
    let pattern = if pattern.starts_with('/') { pattern.to_string() } else { format!("/etc/ssh/{pattern}") };
    let Some((directory, last)) = pattern.rsplit_once('/') else { return Vec::new() };
    let fits = |name: &String| {
        matches_glob(last.as_bytes(), name.as_bytes()) && (!name.starts_with('.') || last.starts_with('.'))
    };
    let names = (reader.names)(directory).into_iter().filter(fits);
    names.map(|name| format!("{directory}/{name}")).collect()
}

/// The line by which sshd asks PAM by another service than its own, of some connections at least.
pub fn asks_as_another(lines: &[Line]) -> Option<&Line> {
    let of_keyword = || lines.iter().filter(|line| line.keyword == "pamservicename");
    let everywhere = of_keyword().find(|line| line.criteria.is_none());
    let some = of_keyword().filter(|line| line.criteria.is_some());
    everywhere.into_iter().chain(some).find(|line| line.value != "sshd")
}

/// Are two ways of writing a value the same?
pub fn same_value(written: &str, told: &str) -> bool {
    let normal = |value: &str| {
        let words: Vec<&str> = value.split_whitespace().collect();
        words.join(" ").to_ascii_lowercase().replace("prohibit-password", "without-password")
    };
    normal(written) == normal(told)
}

/// May a Match block be for `user` from some place? What goes by the user alone `sshd -T` has told.
pub fn may_match(criteria: &str, user: &str) -> bool {
    let words: Vec<String> =
        criteria.split(|c: char| c.is_whitespace() || c == '=').map(str::to_ascii_lowercase).collect();
    let places = ["address", "host", "localaddress", "localport", "rdomain"];
    let goes_by_place = words.iter().any(|word| places.contains(&word.as_str()));
    let at = words.iter().position(|word| word == "user");
    let Some(patterns) = at.and_then(|at| words.get(at + 1)) else { return goes_by_place };
    let covers = |pattern: &str| matches_glob(pattern.as_bytes(), user.as_bytes());
    let excludes = |pattern: &str| pattern.strip_prefix('!').is_some_and(covers);
    goes_by_place && patterns.split(',').any(covers) && !patterns.split(',').any(excludes)
}
