//! The pages for people: what they name is in the tree, and what the tree cites by number is in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::oncalls::{oncall, schedule, user};
use harness::pagerduty::PagerDuty;
use harness::slapd::Slapd;
use harness::suite::{HOUR, Suite, now};
use harness::text;

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

    /// What is in backticks outside of boxes.
    fn code(&self) -> impl Iterator<Item = &str> {
        let lines = self.text.lines().filter(|line| !line.starts_with("    "));
        lines.flat_map(|line| line.split('`').skip(1).step_by(2))
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

/// The names by which links reach the headings of a page: what stands in a box is none.
fn anchors(page: &str) -> Vec<String> {
    let mut is_box = false;
    let headings = page.lines().filter(|line| {
        is_box ^= line.starts_with("```");
        !is_box && line.trim_start_matches('#').starts_with(' ') && line.starts_with('#')
    });
    headings.map(anchor_of).collect()
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
            // Of two headings of one name only the first is reached.
            let leads = match fs::read_to_string(&target) {
                Ok(text) => {
                    anchor.is_empty() || anchors(&text).iter().filter(|name| *name == anchor).count() == 1
                }
                // A directory or a picture.
                Err(_) => anchor.is_empty() && target.exists(),
            };
            if !leads {
                dangling.push(format!("{}: {link}", page.path));
            }
        }
    }
    assert_eq!(dangling, [""; 0]);
}

/// Puts the pages where packages of this format have them, below `machine`, uncompressed; all that these install.
fn installed(format: &str, machine: &Path) -> BTreeSet<String> {
    let install = format!(
        "set -eu; modules=/modules libraries=/libraries; . packaging/stage.sh; pages=$(links {format}); \
         listed {format} | while read -r _ _ mode source destination; do echo $destination; \
         case $source in *.md) put $source $mode {0}$destination ;; *) continue ;; esac; \
         case $destination in *.gz) gzip -d {0}$destination && mv {0}${{destination%.gz}} {0}$destination ;; esac; done",
        machine.display()
    );
    let output = Command::new("sh").args(["-c", &install]).current_dir(root()).output().expect("sh runs");
    assert!(output.status.success(), "{}", text(&output));
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_string).collect()
}

#[test]
fn links_of_installed_pages_lead_to_what_is_installed() {
    for format in ["all", "deb", "rpm"] {
        let machine = tempfile::tempdir().expect("a directory");
        let installed = installed(format, machine.path());
        let (mut dangling, mut followed) = (Vec::new(), 0);
        for page in &installed {
            let Ok(text) = fs::read_to_string(machine.path().join(&page[1..])) else { continue };
            for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let beside = Path::new(page).parent().expect("a directory").join(file);
                let target = if file.is_empty() { page.as_str() } else { beside.to_str().expect("UTF-8") };
                let has_anchor = || {
                    let text = fs::read_to_string(machine.path().join(&target[1..]));
                    text.is_ok_and(|text| anchors(&text).iter().any(|name| name == anchor))
                };
                followed += 1;
                let leads = installed.contains(target) && (anchor.is_empty() || has_anchor());
                if !leads && !link.contains("://") {
                    dangling.push(format!("{page}: {link}"));
                }
            }
        }
        assert_eq!(dangling, [""; 0], "{format}");
        assert!(followed > 100, "{followed}");
    }
}

#[test]
fn what_a_pull_costs_on_the_wire_is_one_figure() {
    let row = |page: &str, start: &str| -> String {
        let text = Page::of(page).text;
        text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{page}: {start}")).into()
    };
    let measured = row("docs/fleet.md", "| a pull that finds a new head");
    let figure = measured.trim_end_matches([' ', '|']).rsplit("| ").next().expect("a cell");
    assert!(figure.ends_with(" KiB"), "{measured}");
    let told = row("docs/changes-on-host.md", "| a pull, on a host of a fleet");
    assert!(told.contains(&format!(" {figure} ")), "{told}: {figure}");
}

#[test]
fn paths_of_the_tree_that_pages_name_are_there() {
    const ROOMS: [&str; 12] = [
        ".ci/",
        "authkeys/",
        "docs/",
        "fuzz/",
        "lib/",
        "nss-hook/",
        "oncall-cache/",
        "oncall-collector/",
        "oncall-notify/",
        "packaging/",
        "pam-hook/",
        "tests/",
    ];
    let mut missing = Vec::new();
    for page in [
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs/threat-model.md",
        "docs/glossary.md",
        "docs/compatibility.md",
        "docs/architecture.md",
        "docs/install.md",
    ] {
        let page = Page::of(page);
        for path in page.code() {
            let path = path.split_once("::").map_or(path, |(file, _)| file);
            let is_path = ROOMS.iter().any(|room| path.starts_with(room)) && !path.contains([' ', '*', '{']);
            if is_path && !path.contains(|c: char| c.is_ascii_uppercase()) && !root().join(path).exists() {
                missing.push(format!("{}: {path}", page.path));
            }
        }
    }
    assert_eq!(missing, [""; 0]);
}

#[test]
fn contributing_names_each_crate_and_each_target() {
    let page = Page::of("CONTRIBUTING.md");
    let named: BTreeSet<&str> = page.rows().filter_map(|row| row.first()?.split('`').nth(1)).collect();
    let manifest = Page::of("Cargo.toml").text;
    let members =
        manifest.split_once("members = [").and_then(|(_, rest)| rest.split_once(']')).expect("members").0;
    for member in members.split('"').skip(1).step_by(2) {
        assert!(named.contains(member), "CONTRIBUTING.md has no row for {member}");
    }
    let makefile = Page::of("Makefile").text;
    let targets = makefile.lines().find_map(|line| line.strip_prefix(".PHONY: ")).expect("targets");
    for target in targets.split(' ').filter(|target| !["needs", "pages"].contains(target)) {
        assert!(named.contains(format!("make {target}").as_str()), "CONTRIBUTING.md has no row for {target}");
    }
}

#[test]
fn what_changes_pam_and_nss_says_what_it_does_before_it_does_it() {
    for script in ["packaging/pam/enable.sh", "packaging/nss/enable.sh"] {
        let output = Command::new("sh").arg(root().join(script)).arg("--help").output().expect("sh runs");
        let help = text(&output);
        assert!(output.status.success() && output.stderr.is_empty(), "{script}: {help}");
        for part in ["Usage: ", "--undo", "Writes ", "Examples:", "Exit status: ", "More: man "] {
            assert!(help.contains(part), "{script} does not say {part}: {help}");
        }
        assert!(help.lines().all(|line| line.len() <= 80), "{script}: {help}");
        assert!(!script.contains("nss") || help.contains("after --undo 1 also"), "{script}: {help}");
    }
}

#[test]
fn readme_is_short_answers_ten_questions_and_names_the_compiler_that_is_needed() {
    let readme = Page::of("README.md").text;
    assert!(readme.lines().count() < 120, "{} lines", readme.lines().count());
    // links_lead_to_files_and_headings_that_are_there follows them.
    let questions = readme.split_once("\n## Ten questions\n").expect("the section").1;
    let questions = questions.split_once("\n## ").expect("another section").0;
    assert_eq!(questions.matches(")?").count(), 10, "{questions}");
    let manifest = Page::of("Cargo.toml").text;
    let version = manifest.split("rust-version = \"").nth(1).and_then(|rest| rest.split('"').next());
    assert!(
        version.is_some_and(|version| readme.contains(&format!("Rust {version} or newer"))),
        "{version:?}"
    );
}

#[test]
fn samples_of_why_are_the_golden_texts() {
    let golden: Vec<Page> = files(".txt").into_iter().filter(|file| file.path.contains("/golden/")).collect();
    let mut shown = 0;
    for page in files(".md") {
        for sample in page.text.split("    $ oncall-cache why ").skip(1) {
            let lines: Vec<&str> =
                sample.lines().skip(1).map_while(|line| line.strip_prefix("    ")).collect();
            assert!(lines.len() > 5, "{}: {lines:#?}", page.path);
            let is_golden = golden.iter().any(|file| file.text.contains(&lines.join("\n")));
            assert!(is_golden, "{} shows what no program says: {lines:#?}", page.path);
            shown += 1;
        }
    }
    assert!(shown >= 2, "{shown}");
}

/// For the night there is one page to print; what it says to type is what tests type from the other pages.
#[test]
fn the_page_for_the_night_has_only_commands_that_are_tested() {
    let tested = [Page::of("docs/operations.md"), Page::of("docs/install.md")];
    let command = |line: &str| line.split_once("  #").map_or(line, |(command, _)| command).trim().to_string();
    let known: BTreeSet<String> = tested.iter().flat_map(|page| page.text.lines().map(command)).collect();
    let night = Page::of("docs/night.md");
    let typed: Vec<String> =
        night.text.lines().filter(|line| line.starts_with("    ")).map(command).collect();
    assert!(typed.len() > 8, "{typed:#?}");
    for line in typed {
        assert!(known.contains(&line), "docs/night.md says to type what no other page does: {line}");
    }
    assert!(night.text.lines().count() <= 60, "one sheet of paper");
}

#[test]
fn each_page_is_in_the_package_and_in_readme() {
    let readme = Page::of("README.md").text;
    let listed = Page::of("packaging/files").text;
    for page in files(".md").iter().filter(|page| page.path.starts_with("docs/")) {
        assert!(readme.contains(&format!("({}", page.path)), "README.md does not lead to {}", page.path);
        assert!(listed.contains(&format!("  {} ", page.path)), "packaging/files has no {}", page.path);
    }
}

/// A directory and a PagerDuty of the test's, instead of those that README names; nothing else of what it says to
/// type is another.
#[test]
fn what_readme_says_of_ldap_and_pagerduty_leads_to_the_keys_of_whoever_is_on_call() {
    let suite = Suite::start();
    let slapd = Slapd::start(&suite.host);
    slapd.fill(|name| suite.public_key(name), |name| format!("{name}@example.com"));
    let pagerduty = PagerDuty::start(&suite.host, "u+keyOfThePage");
    pagerduty.set_schedules(vec![schedule("PDB0001", "db")]);
    pagerduty.set_users(["alice", "bob", "carol"].map(user).to_vec());
    pagerduty.set_oncalls(vec![oncall("alice", Some("PDB0001"), "PEP0001", 1, now() - HOUR, now() + HOUR)]);
    suite.host.write("/etc/authkeys/ca.pem", format!("{}{}", slapd.ca_pem(), pagerduty.ca_pem()), 0o644);
    suite.host.must("rm /etc/authkeys/*.toml");

    let readme = Page::of("README.md").text;
    let section = readme.split_once("### From LDAP and PagerDuty\n").expect("the section").1;
    let section = section.split_once("\n## ").expect("another section").0;
    let typed: String = section
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(typed.contains("ldap1.example.com") && typed.contains("pagerduty-token"), "{typed}");
    let site = typed
        .replace("ldaps://ldap1.example.com", Slapd::LDAPS_URL)
        .replace("base = ", "ca_file = \"ca.pem\"\nbase = ")
        .replace("token_file", &format!("ca_file = \"ca.pem\", api = \"{}\", token_file", PagerDuty::API))
        .replace("/etc/authkeys/bind-password ", "/etc/authkeys/bind-password <<<\"$PASSWORD\"")
        .replace("/etc/authkeys/pagerduty-token ", "/etc/authkeys/pagerduty-token <<<u+keyOfThePage");
    suite.host.write("/root/typed", site, 0o600);
    suite.host.must(&format!("PASSWORD='{}' bash -e /root/typed", Slapd::BIND_PASSWORD));
    suite.host.must("oncall-cache config check /etc/authkeys/config.toml");
    suite.sync();
    let who = suite.host.must("oncall-cache who");
    assert!(who.contains("alice"), "{who}");
    let keys = suite.must_as("authkeys", "authkeys root");
    let opens = |line: &&str| line.starts_with("ssh-ed25519 ");
    assert_eq!(keys.lines().filter(opens).collect::<Vec<_>>(), [suite.public_key("alice")], "{keys}");
    let would = suite.host.sh("oncall-cache test-access bob");
    assert!(text(&would).contains("would be refused"), "{}", text(&would));

    // install.md goes on from here.
    suite.host.must("useradd -m breakglass");
    let install = Page::of("docs/install.md").text;
    let changes = |word: &str| {
        let changed = install.lines().filter(|line| line.starts_with("sed -i ") && line.contains(word));
        suite.host.must(&changed.collect::<Vec<_>>().join("\n"));
        suite.host.must("oncall-cache config show")
    };
    let shown = changes("exempt_accounts");
    assert!(shown.contains("exempt_accounts = [\"breakglass\"]"), "{shown}");
    let shown = changes("mode = ");
    assert!(shown.contains("mode = \"enforce\""), "{shown}");
}

#[test]
fn verbs_that_pages_name_are_those_of_the_program() {
    let cli = Page::of("oncall-cache/src/cli.rs").text;
    let verbs =
        cli.split_once("pub enum Verb {\n").and_then(|(_, rest)| rest.split_once("\n}")).expect("verbs").0;
    let words: BTreeSet<String> = verbs
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(|line| line.split(|c: char| !c.is_alphanumeric()).next().unwrap_or(""))
        .map(|name| {
            let dashed = |(at, c): (usize, char)| {
                let dash = if at > 0 && c.is_uppercase() { "-" } else { "" };
                format!("{dash}{}", c.to_ascii_lowercase())
            };
            name.char_indices().map(dashed).collect()
        })
        .collect();
    assert!(words.contains("who") && words.contains("pam-lines"), "{words:?}");
    let mut unknown = Vec::new();
    for page in files(".md").iter().filter(|page| page.path != "CHANGELOG.md") {
        let boxes = page.text.lines().filter(|line| line.starts_with("    "));
        for code in page.code().chain(boxes).filter(|code| !code.contains("cargo ")) {
            for rest in code.split("oncall-cache ").skip(1) {
                let word = rest.split(|c: char| !c.is_ascii_lowercase() && c != '-').next().unwrap_or("");
                if !word.is_empty() && !word.starts_with('-') && !words.contains(word) {
                    unknown.push(format!("{}: oncall-cache {word}", page.path));
                }
            }
        }
    }
    assert_eq!(unknown, [""; 0]);
}

/// The settings that the configuration knows: show.rs takes each part of it apart by its fields, so that a setting that is
/// not there does not compile.
fn settings() -> BTreeSet<String> {
    let source = Page::of("lib/host/src/config/show.rs").text;
    let shown = source.split("#[cfg(test)]").next().unwrap_or_default();
    let is_name =
        |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let keys = shown
        .split('(')
        .filter_map(|part| part.trim_start().strip_prefix('"')?.split_once("\",").map(|(name, _)| name));
    keys.filter(is_name).map(str::to_string).collect()
}

#[test]
fn each_setting_is_in_the_example() {
    let settings = settings();
    assert!(settings.contains("max_removed") && settings.contains("fold_case"), "{settings:?}");
    let example = Page::of("packaging/examples/config.toml").text;
    let words = example.split(|c: char| !c.is_ascii_lowercase() && c != '_').map(str::to_string);
    let missing: Vec<String> = settings.difference(&words.collect()).cloned().collect();
    assert_eq!(missing, [""; 0], "the example");
}
