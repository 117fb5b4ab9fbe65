//! The pages for people: what they name is in the tree, and what the tree cites by number is in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of the tree: its path from the root, and its text.
struct Page {
    path: String,
    text: String,
}

impl Page {
    fn of(path: &str) -> Self {
        let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.to_string(), text }
    }

    /// The cells of each row of its tables, without the lines between head and body.
    fn rows(&self) -> impl Iterator<Item = Vec<&str>> {
        let rows = self.text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix('|'));
        rows.map(|row| row.split('|').map(str::trim).collect())
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is below the root")
}

/// Every file of the tree whose name ends so, but what is built.
fn files(ending: &str) -> Vec<Page> {
    let (mut found, mut directories) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(root().join(&directory)).expect("a directory") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("a name in UTF-8");
            let path = directory.join(&name);
            let kind = entry.file_type().expect("its kind");
            if kind.is_dir() && name != "target" && name != ".git" {
                directories.push(path);
            } else if kind.is_file() && name.ends_with(ending) {
                found.push(Page::of(path.to_str().expect("UTF-8")));
            }
        }
    }
    found
}

/// The numbers of cases that the name of a test begins with: 8 and 9 of `a08_a09_another_spelling`.
fn cases_of(name: &str) -> impl Iterator<Item = &str> {
    let number = |word: &&str| {
        word.strip_prefix('a')
            .is_some_and(|digits| digits.len() > 1 && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    name.split('_').take_while(number)
}

/// `A08 tests/keys.rs` for each case and each file with a test of it.
fn tested_cases() -> BTreeSet<String> {
    let mut tested = BTreeSet::new();
    for file in files(".rs") {
        let names = file.text.lines().filter_map(|line| line.trim_start().strip_prefix("fn "));
        for case in names.flat_map(cases_of) {
            tested.insert(format!("{} {}", case.to_uppercase(), file.path));
        }
    }
    tested
}

#[test]
fn each_case_has_a_row_with_the_files_of_its_tests() {
    let page = Page::of("docs/threat-model.md");
    let mut written = BTreeSet::new();
    for row in page.rows().filter(|row| row.len() == 3 && cases_of(&row[0].to_lowercase()).count() == 1) {
        assert!(!row[1].is_empty(), "{row:?}");
        for file in row[2].split('`').skip(1).step_by(2) {
            assert!(written.insert(format!("{} {file}", row[0])), "{row:?}");
        }
    }
    let tested = tested_cases();
    assert!(tested.len() > 80, "{tested:#?}");
    let missing: Vec<_> = tested.difference(&written).collect();
    assert!(missing.is_empty(), "tests without a row in docs/threat-model.md: {missing:#?}");
    let gone: Vec<_> = written.difference(&tested).collect();
    assert!(gone.is_empty(), "rows of docs/threat-model.md without such a test: {gone:#?}");
}

#[test]
fn each_property_that_is_cited_is_explained() {
    let page = Page::of("docs/threat-model.md");
    let explained: BTreeSet<&str> = page
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("**P")?.split_once('.'))
        .map(|(n, _)| n)
        .collect();
    assert!(explained.len() > 25, "{explained:?}");
    let mut cited = 0;
    for file in files(".rs").into_iter().chain(files(".toml")).chain(files(".md")) {
        // As `(P15)`, or `(threat model, P9)`: PagerDuty's ids look like these numbers elsewhere.
        for (before, after) in file.text.match_indices('P').map(|(at, _)| file.text.split_at(at)) {
            let number = after
                .strip_prefix('P')
                .and_then(|rest| rest.split_once(')'))
                .map_or("", |(number, _)| number);
            let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            if is_number && (before.ends_with('(') || before.ends_with(", ")) {
                cited += 1;
                assert!(explained.contains(number), "{}: P{number} is not in {}", file.path, page.path);
            }
        }
    }
    assert!(cited > 8, "{cited}");
}

/// The name by which a link reaches a heading.
fn anchor_of(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_lead_to_files_and_headings_that_are_there() {
    let mut dangling = Vec::new();
    for page in files(".md") {
        let directory = root().join(&page.path).parent().expect("a directory").to_path_buf();
        for link in page.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            if link.contains("://") {
                continue;
            }
            let target = if file.is_empty() { root().join(&page.path) } else { directory.join(file) };
            let is_heading = |line: &str| line.starts_with('#') && anchor_of(line) == anchor;
            let leads = match fs::read_to_string(&target) {
                Ok(text) => anchor.is_empty() || text.lines().any(is_heading),
                Err(_) => anchor.is_empty() && target.is_dir(),
            };
            if !leads {
                dangling.push(format!("{}: {link}", page.path));
            }
        }
    }
    assert_eq!(dangling, [""; 0]);
}

#[test]
fn readme_names_the_compiler_that_is_needed() {
    let manifest = Page::of("Cargo.toml").text;
    let version = manifest.split("rust-version = \"").nth(1).and_then(|rest| rest.split('"').next());
    let readme = Page::of("README.md").text;
    assert!(
        version.is_some_and(|version| readme.contains(&format!("with Rust {version} or newer"))),
        "{version:?}"
    );
}
