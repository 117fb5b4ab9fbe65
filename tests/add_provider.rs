//! "Add a provider in an hour", as docs/providers.md has it: what the page shows is added to a copy of the sources, byte for
//! byte, and passes what every service passes. Without any of the four pieces the tests there fail, and say which it is.
//!
//! The copy is below the target directory and keeps its place, and what is not of this workspace is built as for this
//! workspace: so nothing but the crates that the sources need is built, and of these what has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use harness::text;
use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const PAGE: &str = "docs/providers.md";
const TABLE: &str = "lib/host/src/config/kinds.rs";
const CRATE: &str = "lib/sources";

/// What tests of `sources` read beside it.
const BESIDE: [&str; 5] = [
    "Cargo.lock",
    PAGE,
    "docs/configuration.md",
    "packaging/examples/rota.toml",
    "tests/fixtures/scenario.json",
];

/// The test that says which piece is missing, and the one that tells the story.
const PIECES: &str = "services::pieces";
const STORY: &str = "a102_the_story";

/// A source tree: the files of it by their paths.
type Files = BTreeMap<String, String>;

/// The pieces of the page: a path, and what is written there.
fn pieces(page: &str) -> Vec<(String, String)> {
    let (_, section) = page.split_once("\n## Add a provider in an hour\n").expect("the section");
    let (mut pieces, mut lines) = (Vec::new(), section.lines().peekable());
    while let Some(line) = lines.next() {
        let Some((_, path)) = line.strip_suffix("`:").and_then(|line| line.rsplit_once('`')) else {
            continue;
        };
        assert_eq!(lines.next(), Some(""), "after {path}");
        let mut block = String::new();
        while let Some(line) = lines.next_if(|line| line.is_empty() || line.starts_with("    ")) {
            block += line.get(4..).unwrap_or_default();
            block.push('\n');
        }
        pieces.push((path.to_string(), block.trim_end().to_string() + "\n"));
    }
    pieces
}

/// Puts a piece where the page says that it goes.
fn add(files: &mut Files, path: &str, text: &str) {
    let Some(file) = files.get_mut(path) else {
        files.insert(path.to_string(), text.to_string());
        return;
    };
    let before = match (path, text.starts_with('|')) {
        (TABLE, _) => "\n        }\n    };\n}\n\nmacro_rules! table",
        (PAGE, true) => "\n\nVerified: ",
        (PAGE, false) => "\n\n## Rootly,",
        _ => panic!("the page does not say where {path} has it"),
    };
    let place = file.find(before).expect(before);
    file.insert_str(
        place,
        &format!("\n{}{}", if text.starts_with('#') { "\n" } else { "" }, text.trim_end()),
    );
}

/// What of this workspace is copied, with a member beside that has no code: by it cargo builds all others as here.
fn copied() -> Files {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"])
        .current_dir(ROOT)
        .output()
        .expect("cargo runs");
    assert!(cargo.status.success(), "{}", text(&cargo));
    let metadata: Value = serde_json::from_slice(&cargo.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let root = metadata["workspace_root"].as_str().expect("a path");
    let folder = |package: &Value| {
        let manifest = package["manifest_path"].as_str().expect("a path");
        manifest.trim_start_matches(root).trim_matches('/').trim_end_matches("/Cargo.toml").to_string()
    };
    let (mut members, mut open) = (BTreeSet::new(), vec!["sources".to_string()]);
    while let Some(name) = open.pop() {
        let package = packages.iter().find(|package| package["name"] == name.as_str()).expect(&name);
        if members.insert(folder(package)) {
            let needed = package["dependencies"].as_array().into_iter().flatten();
            let own = needed.filter(|one| one["path"].is_string());
            open.extend(own.map(|one| one["name"].as_str().expect("a name").to_string()));
        }
    }
    let mut files = Files::new();
    for path in BESIDE {
        files.insert(path.to_string(), fs::read_to_string(Path::new(ROOT).join(path)).expect(path));
    }
    for member in &members {
        read(member, &mut files);
    }
    let manifest = fs::read_to_string(Path::new(ROOT).join("Cargo.toml")).expect("Cargo.toml");
    let (head, rest) = manifest.split_once("members = [").expect("members");
    let (_, tail) = rest.split_once("\n]").expect("their end");
    // cargo tells crates of a workspace by name, version and the path within it: with another version, what is built here is
    // nothing that this workspace would take for its own.
    assert!(packages.iter().all(|package| package["version"] == packages[0]["version"]), "one version");
    let version = format!("\nversion = {}\n", packages[0]["version"]);
    assert_eq!(
        (head.matches(&version).count(), tail.matches(&version).count()),
        (0, 1),
        "that of all crates"
    );
    let tail = tail.replace(&version, "\nversion = \"0.0.0-copy\"\n");
    let members: Vec<&str> = members.iter().map(String::as_str).chain(["others"]).collect();
    files.insert("Cargo.toml".to_string(), format!("{head}members = {members:?}{tail}"));
    files.insert("others/Cargo.toml".to_string(), others(packages));
    files.insert("others/src/lib.rs".to_string(), "//! Nothing.\n".to_string());
    files
}

/// Every text below a folder.
fn read(folder: &str, files: &mut Files) {
    for entry in fs::read_dir(Path::new(ROOT).join(folder)).expect(folder) {
        let entry = entry.expect("an entry");
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            read(&path, files);
        } else {
            files.insert(path, fs::read_to_string(entry.path()).expect("a text"));
        }
    }
}

/// A crate that needs whatever this workspace needs of others, with the same features.
fn others(packages: &[Value]) -> String {
    let mut needed: BTreeMap<&str, (&str, BTreeSet<&str>, bool)> = BTreeMap::new();
    let all = packages.iter().flat_map(|package| package["dependencies"].as_array().into_iter().flatten());
    for one in all.filter(|one| one["path"].is_null() && one["kind"] != "build" && one["target"].is_null()) {
        let name = one["name"].as_str().expect("a name");
        let known =
            needed.entry(name).or_insert((one["req"].as_str().expect("a version"), BTreeSet::new(), false));
        known.1.extend(one["features"].as_array().into_iter().flatten().filter_map(Value::as_str));
        known.2 |= one["uses_default_features"] == true;
    }
    let mut manifest =
        "[package]\nname = \"others\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[dependencies]\n".to_string();
    for (name, (version, features, default)) in needed {
        let features: Vec<_> = features.into_iter().collect();
        manifest += &format!(
            "{name} = {{ version = \"{version}\", default-features = {default}, features = {features:?} }}\n"
        );
    }
    manifest
}

/// The copy.
struct Copy {
    place: PathBuf,
    target: PathBuf,
    _lock: fs::File,
}

impl Copy {
    fn open() -> Self {
        let own = std::env::current_exe().expect("this program has a path");
        let target = own.ancestors().nth(3).expect("target/PROFILE/deps").to_path_buf();
        let place = target.join("add-provider");
        fs::create_dir_all(&place).expect("the target directory can be written");
        let lock = fs::File::create(place.join("lock")).expect("the target directory can be written");
        lock.lock().expect("a lock");
        Self { place, target, _lock: lock }
    }

    /// Makes it these files and no others. What stays as it was keeps its time, and is not built again.
    fn become_(&self, files: &Files) {
        let mut there = Vec::new();
        below(&self.place, &mut there);
        for path in there {
            let name = path.strip_prefix(&self.place).expect("below it").to_string_lossy().into_owned();
            if !files.contains_key(&name) && name != "lock" {
                fs::remove_file(&path).expect("it can be removed");
            }
        }
        for (name, text) in files {
            let path = self.place.join(name);
            if fs::read_to_string(&path).ok().as_ref() != Some(text) {
                fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
                fs::write(&path, text).expect("it can be written");
            }
        }
    }

    /// Runs these tests of those that every service passes.
    fn test(&self, files: &Files, which: &str) -> Output {
        self.become_(files);
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["test", "--offline", "-p", "sources", "-p", "others", "--lib", "--", which]);
        // What cargo told this test about itself would be news to some build scripts.
        for (name, _) in std::env::vars_os() {
            let told = name.to_string_lossy();
            if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
                cargo.env_remove(&name);
            }
        }
        cargo.current_dir(&self.place).env("CARGO_TARGET_DIR", &self.target);
        cargo.output().expect("cargo runs")
    }

    fn passes(&self, files: &Files) -> String {
        let output = self.test(files, "services::");
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    }

    fn fails(&self, files: &Files, which: &str, words: &str) {
        let output = self.test(files, which);
        assert!(!output.status.success() && text(&output).contains(words), "{words}: {}", text(&output));
    }
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().is_dir() { below(&entry.path(), found) } else { found.push(entry.path()) }
    }
}

#[test]
fn a102_a_stranger_adds_a_provider_by_the_page_alone() {
    let (copy, bare) = (Copy::open(), copied());
    let pieces = pieces(&bare[PAGE]);
    let with = |is_there: &dyn Fn(&str, &str) -> bool| {
        let mut files = bare.clone();
        let there = pieces.iter().filter(|(path, text)| is_there(path, text));
        there.for_each(|(path, text)| add(&mut files, path, text));
        files
    };
    let places: BTreeSet<&str> =
        pieces.iter().map(|(path, _)| path.rsplit_once('/').expect("a folder").0).collect();
    let fixtures = format!("{CRATE}/src/fixtures/toy");
    let expected = ["docs", "lib/host/src/config", &*format!("{CRATE}/src"), &*fixtures];
    assert_eq!(places.into_iter().collect::<Vec<_>>(), expected, "one of each, and nowhere else");
    assert_eq!(pieces.iter().filter(|(path, _)| path.ends_with(".rs")).count(), 2);

    let no_line = "fixtures/toy is there, and `services!` in lib/host/src/config/kinds.rs has no line `toy`";
    copy.fails(&with(&|path, _| path != TABLE), PIECES, no_line);
    let whole = with(&|_, _| true);
    let said = copy.passes(&whole);
    for test in [
        "a102_the_story_at_every_instant_through_every_service",
        "a102_no_refusal_is_an_answer",
        "a102_a_list_that_never_ends_is_given_up",
        "whatever_stands_in_a_field_nobody_else_is_on_call_and_whoever_is_missing_is_told",
        "pieces::each_service_is_a_line_a_short_file_a_folder_and_a_section",
    ] {
        assert!(said.contains(&format!("test services::{test} ... ok")), "{test}: {said}");
    }
    // It is asked itself: in another story somebody else is on call.
    let mut other = whole;
    let turns = other.get_mut(&format!("{fixtures}/turns.json")).expect("turns");
    *turns = turns.replace("bob@", "carol@");
    copy.fails(&other, STORY, "toy at 2026-11-21T");
    let without = with(&|path, _| !path.starts_with(&fixtures));
    copy.fails(&without, PIECES, "fixtures/toy/case.toml");
    copy.fails(&without, STORY, "fixtures/toy/case.toml");
    copy.fails(
        &with(&|_, text| !text.starts_with('#')),
        PIECES,
        "docs/providers.md has no section `### Toy`",
    );
    copy.fails(
        &with(&|_, text| !text.starts_with('|')),
        PIECES,
        "docs/providers.md has no row | `toy` | Toy |",
    );
    copy.fails(&with(&|path, _| !path.ends_with("/toy.rs")), PIECES, "file not found for module `toy`");
}
