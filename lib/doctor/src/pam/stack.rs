//! PAM's configuration as libpam reads it: the lines that one service has for one kind, in their order, with what is
//! included.

use std::collections::BTreeMap;

/// What becomes of a module's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Ignore,
    Ok,
    Done,
    Bad,
    Die,
    Reset,
    /// So many lines are left out.
    Jump(usize),
}

/// The second word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    by_answer: BTreeMap<String, Action>,
    default: Action,
}

impl Control {
    fn new(by_answer: &[(&str, Action)], default: Action) -> Self {
        Self {
            by_answer: by_answer.iter().map(|(name, action)| (name.to_string(), *action)).collect(),
            default,
        }
    }

    /// Reads one; libpam takes one that it does not understand for `bad`, whatever the module answers.
    pub fn parse(word: &str) -> Self {
        let usual = |then| [("success", then), ("new_authtok_reqd", then), ("ignore", Action::Ignore)];
        match word.to_ascii_lowercase().as_str() {
            "required" => Self::new(&usual(Action::Ok), Action::Bad),
            "requisite" => Self::new(&usual(Action::Ok), Action::Die),
            "sufficient" => Self::new(&usual(Action::Done), Action::Ignore),
            "optional" => Self::new(&usual(Action::Ok), Action::Ignore),
            other => Self::parse_list(other).unwrap_or_else(|| Self::new(&[], Action::Bad)),
        }
    }

    /// `[success=1 default=ignore]`.
    fn parse_list(word: &str) -> Option<Self> {
        let inside = word.strip_prefix('[')?.strip_suffix(']')?;
        let mut control = Self::new(&[], Action::Bad);
        for pair in inside.split_whitespace() {
            let (answer, action) = pair.split_once('=')?;
            let action = match action {
                "ignore" => Action::Ignore,
                "ok" => Action::Ok,
                "done" => Action::Done,
                "bad" => Action::Bad,
                "die" => Action::Die,
                "reset" => Action::Reset,
                count => Action::Jump(count.parse().ok().filter(|&count| count > 0)?),
            };
            match answer {
                "default" => control.default = action,
                _ => _ = control.by_answer.insert(answer.to_string(), action),
            }
        }
        Some(control)
    }

    /// What becomes of `answer`.
    pub fn of(&self, answer: &str) -> Action {
        self.by_answer.get(answer).copied().unwrap_or(self.default)
    }

    /// The answers for which it names an action.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        self.by_answer.keys().map(String::as_str)
    }
}

/// One line that calls a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub file: String,
    /// The files that lead to it, the service's own first and `file` last.
    pub through: Vec<String>,
    /// The first and the last line that it is written on.
    pub lines: (usize, usize),
    /// The line of the service's file where it is, or from which it is included.
    pub own_line: usize,
    /// How many substacks it is in.
    pub level: usize,
    pub kind: String,
    pub word: String,
    pub control: Control,
    pub module: String,
    pub arguments: Vec<String>,
}

impl Entry {
    /// The module without its directory.
    pub fn name(&self) -> &str {
        self.module.rsplit('/').next().unwrap_or(&self.module)
    }

    /// Is it this suite's module?
    pub fn is_ours(&self) -> bool {
        self.name() == "pam_oncall.so"
    }
}

/// In place of an included file that does not exist: it refuses everybody.
pub const MISSING: &str = "(missing file)";

/// Before the lines of a substack: libpam asks nothing there (PAM_HT_SUBSTACK), and counts it.
pub const SUBSTACK: &str = "(substack)";

/// In place of a line of an unknown type, where libpam refuses by it.
pub const UNKNOWN: &str = "(line of no known type)";

/// The types of lines.
const KINDS: [&str; 4] = ["auth", "account", "password", "session"];

/// A file's text, by its path.
pub type Reader<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where services have their stacks, the first that has it counts.
pub const DIRECTORIES: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];

/// The path and text of the file that is named so, by a service or by an include.
pub fn find(name: &str, read: Reader<'_>) -> Option<(String, String)> {
    if name.starts_with('/') {
        return read(name).map(|text| (name.to_string(), text));
    }
    let paths = DIRECTORIES.iter().map(|directory| format!("{directory}/{name}"));
    paths.into_iter().find_map(|path| read(&path).map(|text| (path, text)))
}

/// The service whose lines decide for kinds that a stack has no line of, and for services without a stack.
pub const OTHER: &str = "other";

/// The lines of `kind` that decide for `service`, in order. `None`: it has no file.
pub fn expand(service: &str, kind: &str, read: Reader<'_>) -> Option<Vec<Entry>> {
    let mut entries = own_lines(service, kind, read)?;
    if entries.is_empty() {
        // libpam's _pam_dispatch.
        entries = own_lines(OTHER, kind, read).unwrap_or_default();
    }
    Some(entries)
}

fn own_lines(service: &str, kind: &str, read: Reader<'_>) -> Option<Vec<Entry>> {
    let (file, text) = find(service, read)?;
    let mut entries = Vec::new();
    let by_type = false;
    Expansion { kind, read, through: Vec::new(), by_type, entries: &mut entries }.file(&file, &text, 0, None);
    Some(entries)
}

/// What libpam takes for a blank.
const BLANKS: [char; 2] = [' ', '\t'];

/// The same, and the carriage return, which it takes for a letter: that is told apart.
const BLANKS_AND_CR: [char; 3] = [' ', '\t', '\r'];

/// Each file of `service` in which a carriage return is a letter of something that counts; with its first such line.
pub fn carriage_returns(service: &str, read: Reader<'_>) -> Vec<(String, usize)> {
    let mut seen: Vec<String> = Vec::new();
    let mut found = Vec::new();
    let mut names = vec![service.to_string()];
    while let Some(name) = names.pop() {
        let Some((file, text)) = find(&name, read).filter(|(file, _)| !seen.contains(file)) else { continue };
        found.extend(text.split('\n').position(is_spoilt).map(|at| (file.clone(), at + 1)));
        names.extend(logical_lines(&text).iter().filter_map(|(_, line)| included(&words(line))));
        seen.push(file);
    }
    found
}

/// Is a carriage return a part of this line's control, module or file? libpam takes it for a letter (measured: 1.5.2,
/// 1.7.0). Of an argument it is one for the module, and ours minds it. In comments and on blank lines it is nothing; a
/// module that is `optional` may be missing, and by lines for passwords nobody enters.
fn is_spoilt(line: &str) -> bool {
    let words = split(line.split('#').next().unwrap_or_default(), &BLANKS);
    let has = |words: &[String]| {
        words.iter().any(|word| word.contains('\r') && word != "\r" && !word.starts_with('['))
    };
    let mut first = words.iter().map(String::as_str);
    let (kind, control) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let kind = kind.strip_prefix('-').unwrap_or(kind).to_ascii_lowercase();
    let is_ours = words.iter().any(|word| word.contains("pam_oncall.so"));
    match kind.as_str() {
        _ if is_ours => has(&words),
        "@include" => has(words.get(..2).unwrap_or(&words)),
        "auth" | "account" | "session" if control.eq_ignore_ascii_case("optional") => false,
        "auth" | "account" | "session" => has(words.get(..3).unwrap_or(&words)),
        // A line that goes on from the one above.
        _ => kind.ends_with(".so\r"),
    }
}

/// The file that a line includes.
fn included(words: &[String]) -> Option<String> {
    let mut words = words.iter().map(String::as_str);
    let first = words.next()?;
    let control = if first.eq_ignore_ascii_case("@include") { "include" } else { words.next()? };
    let includes = ["include", "substack"].iter().any(|word| control.eq_ignore_ascii_case(word));
    words.next().filter(|_| includes).map(String::from)
}

struct Expansion<'a> {
    kind: &'a str,
    read: Reader<'a>,
    /// The files that are being read, each included by the one before it.
    through: Vec<String>,
    /// Is a file being read for lines of one type alone, as `account include` asks for?
    by_type: bool,
    entries: &'a mut Vec<Entry>,
}

impl Expansion<'_> {
    fn file(&mut self, file: &str, text: &str, level: usize, own_line: Option<usize>) {
        self.through.push(file.to_string());
        for (lines, content) in logical_lines(text) {
            let own_line = own_line.unwrap_or(lines.0);
            let words = words(&content);
            let mut words = words.iter().map(String::as_str);
            let Some(first) = words.next() else { continue };
            let place = Line { file, lines, own_line, level };
            if first.eq_ignore_ascii_case("@include") {
                self.include(&place, "@include", words.next().unwrap_or_default(), level);
                continue;
            }
            let kind = first.strip_prefix('-').unwrap_or(first);
            if !KINDS.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
                // Measured: 1.5.2, 1.7.0. Where one type is asked for it refuses, else in auth.
                if self.by_type || self.kind == "auth" {
                    self.push(&place, words.next().unwrap_or_default(), UNKNOWN, vec![first.to_string()]);
                }
                continue;
            }
            if !kind.eq_ignore_ascii_case(self.kind) {
                continue;
            }
            let control = words.next().unwrap_or_default();
            let module = words.next().unwrap_or_default();
            match control.to_ascii_lowercase().as_str() {
                "include" => self.include(&place, control, module, level),
                "substack" => {
                    // A separate line for a jump that counts.
                    self.push(&place, control, SUBSTACK, vec![module.to_string()]);
                    self.include(&place, control, module, level + 1);
                }
                _ => self.push(&place, control, module, words.map(String::from).collect()),
            }
        }
        self.through.pop();
    }

    fn include(&mut self, place: &Line<'_>, word: &str, name: &str, level: usize) {
        // A file that includes itself is one that libpam gives up at.
        match find(name, self.read).filter(|(file, _)| !self.through.contains(file)) {
            Some((file, text)) => {
                let before = self.by_type;
                self.by_type |= word != "@include";
                self.file(&file, &text, level, Some(place.own_line));
                self.by_type = before;
            }
            None => self.push(place, word, MISSING, vec![name.to_string()]),
        }
    }

    fn push(&mut self, place: &Line<'_>, word: &str, module: &str, arguments: Vec<String>) {
        let control = match module {
            MISSING => Control::parse("required"),
            SUBSTACK => Control::new(&[], Action::Ignore),
            _ => Control::parse(word),
        };
        self.entries.push(Entry {
            file: place.file.to_string(),
            through: self.through.clone(),
            lines: place.lines,
            own_line: place.own_line,
            level: place.level,
            kind: self.kind.to_string(),
            word: word.to_string(),
            control,
            module: module.to_string(),
            arguments,
        });
    }
}

struct Line<'a> {
    file: &'a str,
    lines: (usize, usize),
    own_line: usize,
    level: usize,
}

/// Lines without comments, those that end in a backslash joined; each with the first and last number it has.
fn logical_lines(text: &str) -> Vec<((usize, usize), String)> {
    let mut lines: Vec<((usize, usize), String)> = Vec::new();
    let mut continues = false;
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        let line = line.split('#').next().unwrap_or_default();
        let (content, ends_here) = match line.trim_end_matches(BLANKS_AND_CR).strip_suffix('\\') {
            Some(content) => (content, false),
            None => (line, true),
        };
        match lines.last_mut().filter(|_| continues) {
            Some(((_, last), joined)) => {
                *last = number;
                joined.push(' ');
                joined.push_str(content);
            }
            None => lines.push(((number, number), content.to_string())),
        }
        continues = !ends_here;
    }
    lines
}

/// Words, of which those in brackets may have spaces; a bracket after a backslash is a letter.
fn words(line: &str) -> Vec<String> {
    split(line, &BLANKS_AND_CR)
}

fn split(line: &str, blanks: &[char]) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_matches(blanks);
    while !rest.is_empty() {
        let end = if rest.starts_with('[') {
            let close = rest
                .match_indices(']')
                .map(|(at, _)| at)
                .find(|&at| !rest.get(..at).unwrap_or("").ends_with('\\'));
            close.map_or(rest.len(), |at| at + 1)
        } else {
            rest.find(blanks).unwrap_or(rest.len())
        };
        let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        words.push(word.to_string());
        rest = after.trim_start_matches(blanks);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> Option<String> {
        let text = match path {
            "/etc/pam.d/sshd" => {
                "# PAM\nauth required pam_env.so # x\n@include common-account\n-account [success=1 \\\n  default=ignore] pam_unix.so [a b]  c\naccount include absent\naccount substack inner\n"
            }
            "/etc/pam.d/common-account" => "account\trequired pam_nologin.so\nsession optional pam_x.so\n",
            "/usr/lib/pam.d/inner" => "ACCOUNT SUFFICIENT /lib/security/pam_oncall.so shared=session",
            _ => return None,
        };
        Some(text.to_string())
    }

    #[test]
    fn a_stack_is_what_its_file_and_those_included_say() {
        let stack = expand("sshd", "account", &read).unwrap();
        let told = |entry: &Entry| {
            format!(
                "{}:{:?} own {} level {} {} {} {:?}",
                entry.file,
                entry.lines,
                entry.own_line,
                entry.level,
                entry.word,
                entry.module,
                entry.arguments
            )
        };
        assert_eq!(
            stack.iter().map(told).collect::<Vec<_>>(),
            [
                r#"/etc/pam.d/common-account:(1, 1) own 3 level 0 required pam_nologin.so []"#,
                r#"/etc/pam.d/sshd:(4, 5) own 4 level 0 [success=1    default=ignore] pam_unix.so ["[a b]", "c"]"#,
                r#"/etc/pam.d/sshd:(6, 6) own 6 level 0 include (missing file) ["absent"]"#,
                r#"/etc/pam.d/sshd:(7, 7) own 7 level 0 substack (substack) ["inner"]"#,
                r#"/usr/lib/pam.d/inner:(1, 1) own 7 level 1 SUFFICIENT /lib/security/pam_oncall.so ["shared=session"]"#,
            ]
        );
        assert!(stack.last().unwrap().is_ours());
        assert_eq!(expand("sudo", "account", &read), None);
    }

    #[test]
    fn controls_are_read_as_libpam_reads_them() {
        assert_eq!(Control::parse("Required").of("perm_denied"), Action::Bad);
        assert_eq!(Control::parse("sufficient").of("perm_denied"), Action::Ignore);
        let list = Control::parse("[success=2 perm_denied=die default=ignore]");
        let told = ["success", "perm_denied", "acct_expired"].map(|answer| list.of(answer));
        assert_eq!(told, [Action::Jump(2), Action::Die, Action::Ignore]);
        assert_eq!(Control::parse("[success=ok]").of("ignore"), Action::Bad, "what is not mentioned");
        for wrong in ["requird", "[success]", "[success=often default=ok]", "[success=ok"] {
            assert_eq!(Control::parse(wrong).of("success"), Action::Bad, "{wrong}");
        }
    }

    #[test]
    fn files_with_carriage_returns_are_found_where_a_stack_leads_to_them() {
        let read = |path: &str| {
            let text = match path {
                "/etc/pam.d/sudo" => {
                    "# made on another system\r\n@include common-account\r\n@include plain\n"
                }
                "/etc/pam.d/common-account" => "account required pam_unix.so\n\r\nauth substack sudo\n",
                "/etc/pam.d/plain" => "account required pam_permit.so # no word of it\r\n",
                _ => return None,
            };
            Some(text.to_string())
        };
        let mut found = carriage_returns("sudo", &read);
        found.sort();
        assert_eq!(found, [("/etc/pam.d/sudo".to_string(), 2)]);
    }

    #[test]
    fn a_carriage_return_counts_where_libpam_takes_it_for_a_letter_of_what_it_looks_for() {
        for line in [
            "account required pam_permit.so\r",
            "-session [success=ok default=bad] pam_permit.so\r",
            "@include common-account\r",
            "account include common-account\r",
            "account required\r",
            "account required \\\r",
            "  pam_permit.so\r",
            "session optional pam_oncall.so\r",
            "account required pam_oncall.so shared=session\r",
        ] {
            assert!(is_spoilt(line), "{line:?}");
        }
        for line in [
            "\r",
            "  \r",
            "# account required pam_permit.so\r",
            "account required pam_permit.so # x\r",
            "account required pam_permit.so x\r",
            "account required pam_permit.so \r",
            "@include common-account x\r",
            "session optional pam_systemd.so\r",
            "password required pam_permit.so\r",
            "account required pam_permit.so",
        ] {
            assert!(!is_spoilt(line), "{line:?}");
        }
    }

    #[test]
    fn a_blank_is_what_libpam_takes_for_one() {
        assert_eq!(words("account\trequired\u{a0}pam_unix.so\r"), ["account", "required\u{a0}pam_unix.so"]);
    }

    #[test]
    fn files_that_include_each_other_end() {
        let read = |_: &str| Some("account include other".to_string());
        let stack = expand("other", "account", &read).unwrap();
        assert_eq!(stack.last().unwrap().module, MISSING);
    }
}
