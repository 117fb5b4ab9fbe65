//! docs/policy.md, typed in as it is printed; and the examples for CI, whose commands are run in a repository like the one
//! that they are for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PAGE: &str = include_str!("../../docs/policy.md");

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/examples/policy")
}

/// What a command has printed.
fn text(said: &Output) -> String {
    String::from_utf8_lossy(&said.stdout).into_owned()
}

/// Each command of the page with what it prints there.
fn typed() -> Vec<(String, String)> {
    let mut typed: Vec<(String, String)> = Vec::new();
    let mut is_shown = false;
    for line in PAGE.lines() {
        let Some(line) = line.strip_prefix("    ") else {
            is_shown = false;
            continue;
        };
        match (line.strip_prefix("$ "), typed.last_mut()) {
            (Some(command), _) => {
                typed.push((command.to_string(), String::new()));
                is_shown = true;
            }
            (None, Some((_, shown))) if is_shown => *shown += &format!("{line}\n"),
            // Boxes of the page that show no answer.
            _ => {}
        }
    }
    typed
}

#[test]
fn the_page_shows_the_example() {
    let example = fs::read_to_string(examples().join("oncall.rego")).expect("the example");
    let rules = example.lines().skip_while(|line| line.starts_with('#'));
    let shown: String =
        rules.map(|line| if line.is_empty() { "\n".into() } else { format!("    {line}\n") }).collect();
    assert!(PAGE.contains(&shown), "{shown}");
}

/// A directory with the example's files.
fn checkout() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["config.toml", "hosts.toml", "rota.toml", "expect.toml", "oncall.rego"] {
        fs::copy(examples().join(name), directory.path().join(name)).expect("an example");
    }
    directory
}

/// What `script` says there, with the programs as they were built; standard error among the rest.
fn type_in(directory: &Path, script: &str, environment: &[(&str, &str)]) -> Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_oncall-cache")).parent().expect("a directory");
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("exec 2>&1\n{script}")]).current_dir(directory).env("PATH", path);
    shell.env("HOME", directory).envs(environment.iter().copied()).output().expect("a shell")
}

#[test]
fn the_page_refuses_a_change_and_mends_it() {
    let directory = checkout();
    let typed = typed();
    for (command, shown) in &typed {
        assert_eq!(text(&type_in(directory.path(), command, &[])), *shown, "{command}");
    }
    assert!(typed.len() >= 6, "{typed:?}");
}

/// The commands of an example: what follows `run: |`, or the list of `script:`, or `entry:`.
fn commands(file: &str) -> String {
    let text = fs::read_to_string(examples().join(file)).expect("an example");
    if let Some((_, entry)) = text.split_once("entry: ") {
        return entry.to_string();
    }
    let (_, script) =
        text.split_once("run: |\n").or_else(|| text.split_once("  script:\n")).expect("commands");
    script.lines().map(|line| line.trim().trim_start_matches("- ").to_string() + "\n").collect()
}

#[test]
fn the_examples_for_ci_pass_what_changes_nothing_and_stop_what_lets_somebody_in() {
    let directory = checkout();
    let place = directory.path();
    let git = |words: &str| {
        let git =
            format!("git -c user.name=x -c user.email=x@example.com -c init.defaultBranch=main {words}");
        let said = type_in(place, &git, &[]);
        assert!(said.status.success(), "{words}: {}", text(&said));
    };
    git("init -q .");
    git("add .");
    git("commit -q -m policy");
    git("update-ref refs/remotes/origin/main HEAD");
    let environment = [("GITHUB_BASE_REF", "main"), ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main")];
    let example = fs::read_to_string(place.join("config.toml")).expect("the example");
    let wider = example.replace("[\"web*\"]", "[\"*\"]");
    assert_ne!(example, wider);
    for file in ["github.yml", "gitlab.yml", "pre-commit.yaml"] {
        let script = format!("set -e\n{}", commands(file));
        fs::write(place.join("config.toml"), &example).expect("written");
        clean(place);
        let said = type_in(place, &script, &environment);
        assert_eq!(said.status.code(), Some(0), "{file}: {}", text(&said));
        fs::write(place.join("config.toml"), &wider).expect("written");
        clean(place);
        let said = type_in(place, &script, &environment);
        assert_eq!(said.status.code(), Some(1), "{file}: {}", text(&said));
        assert!(text(&said).contains("FAILED: carla enters root by sudo on db1"), "{file}: {}", text(&said));
    }
    // Without the table of expectations the plan stops it; and also one of the files beside config.toml.
    let script = commands("github.yml");
    let plan: Vec<&str> = script.lines().filter(|line| !line.contains("policy test")).collect();
    let plan = format!("set -e\n{}", plan.join("\n"));
    let relabelled = HOSTS.replace("name = \"web1\"", "name = \"web1\"\nlabels = [\"service=db\"]");
    let rota = fs::read_to_string(place.join("rota.toml")).expect("the example");
    let replaced = rota.replace("\"anna\", \"bob\"", "\"anna\", \"mallory\"");
    for (config, hosts, rota, sentence) in [
        (&wider, HOSTS, &rota, "gains root on 2 hosts (label service=db)"),
        (&example, relabelled.as_str(), &rota, "gains root on web1, by the rule `db`:"),
        (&example, HOSTS, &replaced, "gains root on 2 hosts (label service=db): mallory, "),
    ] {
        for (name, text) in [("config.toml", config.as_str()), ("hosts.toml", hosts), ("rota.toml", rota)] {
            fs::write(place.join(name), text).expect("written");
        }
        clean(place);
        let said = type_in(place, &plan, &environment);
        assert_eq!(said.status.code(), Some(1), "{}", text(&said));
        assert!(text(&said).contains(sentence), "{}", text(&said));
    }
}

const HOSTS: &str = include_str!("../../packaging/examples/policy/hosts.toml");

/// A job of CI begins in a new checkout.
fn clean(place: &Path) {
    match fs::remove_dir_all(place.join("before")) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
    }
}

/// Hosts differ in what their files leave them, and one of them may fail alone.
#[test]
fn a106_a_plan_counts_what_files_leave_on_each_host() {
    let directory = checkout();
    let at = |name: &str| directory.path().join(name);
    let old = fs::read_to_string(at("config.toml")).expect("the example");
    let entry =
        "[[policy.rego]]\nfile = \"narrow.rego\"\nquery = \"data.authkeys.keep\"\nhosts = [\"db*\"]\n";
    fs::write(at("new.toml"), format!("{old}{entry}")).expect("a file");
    let plan = |rules: &str, more: &str| {
        let file = format!("package authkeys\n\nimport rego.v1\n\n{rules}\n");
        fs::write(at("narrow.rego"), file).expect("a file");
        let words = "oncall-cache policy plan config.toml new.toml --inventory hosts.toml --rota rota.toml";
        let typed = format!("{words} --from 2026-11-02T00:00:00Z {more}; echo \"exit status $?\"");
        text(&type_in(directory.path(), &typed, &[]))
    };
    let told = plan("keep if input.host != \"db1\"\nkeep if input.person == \"bob\"", "");
    for words in [
        "loses root on db1, which the rule `db` gave anna ",
        "\non db1 shifts count as narrow.rego leaves them\n",
        ": nobody gains, 1 loses\n",
        "\nexit status 0\n",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!told.contains("bob") && !told.contains("cannot tell"), "{told}");
    // The same by a file that does not look at the host, on both.
    let told = plan("keep if input.person == \"bob\"", "--json");
    let (json, _) = told.rsplit_once("exit status").expect("JSON, and how it ended");
    let told: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert_eq!(told["moves"][0]["hosts"], serde_json::json!(["db1", "db2"]), "{told:#}");
    assert_eq!(told["narrowed"], serde_json::json!(["on db1, db2 shifts count as narrow.rego leaves them"]));
    let told = plan("keep := true", "");
    assert!(told.contains("shifts admit the same people as before, at the same times"), "{told}");
    // It fails on one of them alone; and it is no Rego.
    let told = plan("keep if input.host != \"db2\"\nkeep if 1 / (input.level - 1) > 0", "");
    assert!(told.contains("cannot tell what is left of the rota on db2: "), "{told}");
    assert!(told.contains("divide by zero") && told.ends_with("exit status 2\n"), "{told}");
    let told = plan("nonsense", "");
    assert!(told.contains("narrow.rego:5: ") && told.ends_with("exit status 2\n"), "{told}");
}
