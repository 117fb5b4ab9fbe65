//! What configuration management is given: the Ansible role and the Chef cookbook, read by their own tools where these are
//! there, with settings that become TOML. Whole runs on hosts are in fleet.rs.

mod ansible;
mod chef;

use std::process::Output;

use harness::{Host, text};
use serde_json::{Value, json};

const ROLE: &str = "/root/packaging/ansible";
const COOKBOOK: &str = "/root/packaging/chef/authkeys";
const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// A machine with packaging/ in a place of its own: linters leave things behind.
fn machine() -> Host {
    let host = Host::start();
    host.must("cp -r /run/suite/source/packaging /root/");
    host
}

/// Runs `script` as Ansible wants its surroundings.
fn ansible(host: &Host, script: &str) -> Output {
    host.sh(&format!("export HOME=/root LC_ALL=C.UTF-8 ANSIBLE_NOCOLOR=1 NO_COLOR=1; cd {ROLE}; {script}"))
}

#[test]
fn the_linters_find_nothing_in_role_and_cookbook() {
    let host = machine();
    for script in [
        "ansible-lint --offline --strict --profile production site.yml inventory/hosts.yml roles/authkeys",
        "ansible-playbook -i inventory site.yml --syntax-check",
    ] {
        let output = ansible(&host, script);
        assert!(output.status.success(), "{script}: {}", text(&output));
    }
    host.must(&format!("cd {COOKBOOK}/.. && for file in $(find . -name '*.rb'); do ruby -c $file; done && rubocop --fail-level convention ."));
}

/// Everything that TOML writes otherwise than JSON, or that somebody could get wrong.
fn odd() -> Value {
    json!({
        "top": 3,
        "host": {
            "labels": ["role=db", "a \"quoted\" \\ back", "tab\there", "line\nbreak", "\u{7f} del", "ü 🚀", "\u{1}", "True", "[x]", "{y}", "\\u0041 \\n"],
            "number": -5, "share": 1.5, "yes": true, "no": false, "nothing": "", "empty": [], "table": {},
            "odd key": "x", "ends\n": 1, "": "unnamed", "7": "seven", "dot.ted": 1,
            "mixed": [1, {"a": 1, "b": ["x", {"c": "}"}]}], "nested": [[1, 2], [], ["a"]],
        },
        "policy": {
            "help": "ask \"us\"",
            "rule": [{"name": "one", "sub": {"k": {"v": 1}}, "list": [{"a": 1}, {"a": 2, "deeper": [{"z": true}]}]}, {"name": "two"}],
        },
        "oncall": {"source": [{"name": "pd", "schedule": {"SRE primary": {"max_age": "2h"}, "P1": {"allow_empty": true}}, "people": {"P\"X": "alice"}}]},
    })
}

/// What Python's parser makes of TOML.
const READ: &str =
    "import json, sys, tomllib; print(json.dumps(tomllib.load(sys.stdin.buffer), default=str))";

fn read_toml(host: &Host, file: &str) -> Value {
    serde_json::from_str(&host.must(&format!("/usr/bin/python3 -c '{READ}' <{file}"))).expect("JSON")
}

/// Renders `variables`, more of which are in `words`, as the role does.
fn render(host: &Host, words: &str) -> Output {
    host.write(
        "/root/render.yml",
        format!("- hosts: localhost\n  gather_facts: false\n  vars: {{_authkeys_written_mode: observe}}\n  tasks:\n    \
                 - ansible.builtin.template: {{src: {ROLE}/roles/authkeys/templates/config.toml.j2, dest: /root/config.toml}}\n"),
        0o644,
    );
    ansible(host, &format!("ansible-playbook -i localhost, -c local /root/render.yml {words}"))
}

/// What each package's tmpfiles.d makes, and systemd for its units, goes with the rest.
#[test]
fn what_is_made_for_the_packages_is_purged() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let read = |path: &str| std::fs::read_to_string(format!("{source}/{path}")).expect(path);
    let made = ["authkeys", "oncall-collector", "oncall-notify"]
        .map(|name| read(&format!("packaging/tmpfiles.d/{name}.conf")));
    let made = made.concat();
    let directories = made.lines().filter_map(|line| line.strip_prefix("d ")?.split_whitespace().next());
    let kept: Vec<&str> = directories.filter(|path| !path.starts_with("/run/")).collect();
    assert!(kept.contains(&"/var/lib/oncall-sink"), "{kept:?}");
    for recipe in ["ansible/roles/authkeys/tasks/absent.yml", "chef/authkeys/recipes/remove.rb"] {
        let removes = read(&format!("packaging/{recipe}"));
        let words: Vec<&str> = removes.split_whitespace().collect();
        for path in &kept {
            let is_below = words.iter().any(|word| path == word || path.starts_with(&format!("{word}/")));
            assert!(is_below, "{recipe} leaves {path}");
        }
    }
}

#[test]
fn settings_are_the_same_in_toml_whoever_writes_them() {
    let host = machine();
    let mut wanted = odd();
    host.write("/root/odd.json", json!({ "authkeys_config": &wanted }).to_string(), 0o644);
    let output = render(&host, "-e @/root/odd.json");
    assert!(output.status.success(), "{}", text(&output));
    let ruby = "print Authkeys::Toml.render(JSON.parse(File.read(\"/root/odd.json\"))[\"authkeys_config\"])";
    host.must(&format!("ruby -r {COOKBOOK}/libraries/toml.rb -e '{ruby}' >/root/chef.toml"));
    assert_eq!(read_toml(&host, "/root/chef.toml"), wanted);
    wanted["policy"]["mode"] = "observe".into();
    assert_eq!(read_toml(&host, "/root/config.toml"), wanted);

    // A name that somebody forgot the value of.
    host.write("/root/odd.json", r#"{"authkeys_config": {"policy": {"help": null}}}"#, 0o644);
    assert!(text(&render(&host, "-e @/root/odd.json")).contains("policy.help has no value"));
    let output = host.sh(&format!("ruby -r {COOKBOOK}/libraries/toml.rb -e '{ruby}'"));
    assert!(text(&output).contains("help: TOML has nothing for nil"), "{}", text(&output));
}
