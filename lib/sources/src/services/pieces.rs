//! "Add a provider in an hour", as docs/providers.md has it: each service is one line of the table, one file, one folder of
//! fixtures and one section. `tests/add_provider.rs` adds the page's own example, and leaves out one piece after the other.

use std::fs;
use std::path::Path;

use host::config::kinds::{Form, Kind, SERVICES};

use super::case::{CASE, FIXTURES};

/// The most lines of a service's file.
const LONGEST: usize = 250;

/// What of `kind` is missing in `root`, the source tree: a line each.
fn missing(root: &Path, kind: &Kind) -> Vec<String> {
    let read = |path: &str| fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"));
    let mut wrong = Vec::new();
    match read(&format!("lib/sources/src/{}.rs", kind.module)).map(|file| file.lines().count()) {
        Ok(lines) if lines > LONGEST => wrong.push(format!("{}.rs has {lines} lines", kind.module)),
        Ok(_) => {}
        Err(problem) => wrong.push(problem),
    }
    wrong.extend(read(&format!("lib/sources/src/fixtures/{}/{CASE}", kind.module)).err());
    let page = read("docs/providers.md").unwrap_or_default();
    if !page.contains(&format!("\n### {}\n", kind.label)) {
        wrong.push(format!("docs/providers.md has no section `### {}`", kind.label));
    }
    let row = format!("\n| `{}` | {} |", kind.word, kind.label);
    if !page.contains(&row) {
        wrong.push(format!("docs/providers.md has no row{}", row.replace('\n', " ")));
    }
    let settings = read("docs/configuration.md").unwrap_or_default();
    let own = kind.settings.iter().filter(|setting| setting.form != Form::Common);
    wrong.extend(
        own.filter(|setting| !settings.contains(&format!("\n| `{}` |", setting.name)))
            .map(|setting| format!("docs/configuration.md has no row | `{}` |", setting.name)),
    );
    wrong
}

#[test]
fn each_service_is_a_line_a_short_file_a_folder_and_a_section() {
    let root = Path::new("../..");
    let mut wrong: Vec<String> = SERVICES.iter().flat_map(|kind| missing(root, kind)).collect();
    for folder in fs::read_dir(FIXTURES).expect("there are fixtures").flatten() {
        let name = folder.file_name().to_string_lossy().into_owned();
        if folder.path().join(CASE).exists() && !SERVICES.iter().any(|kind| kind.module == name) {
            wrong.push(format!(
                "lib/sources/src/fixtures/{name} is there, and `services!` in lib/host/src/config/kinds.rs has no line `{name}`"
            ));
        }
    }
    assert!(SERVICES.iter().all(|kind| crate::registered(kind).is_some()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
