//! What `oncall-cache identities` shows root of the sources' users, and what it leaves alone.

use harness::suite::{DAY, HOUR, Suite};
use harness::text;
use serde_json::Value;

/// alice by her name, bob by his mail address, carol by the table; dave is not eligible, mallory is nobody.
fn site() -> Suite {
    let suite = Suite::start();
    suite.write_rota(&[
        ("alice", -HOUR, HOUR),
        ("bob@example.com", HOUR, DAY),
        ("caro@elsewhere.example", HOUR, DAY),
        ("dave", DAY, 2 * DAY),
        ("mallory@example.com", DAY, 2 * DAY),
    ]);
    let table = "file = \"rota.toml\"\npeople = { 'caro@elsewhere.example' = 'carol' }\n";
    let config = suite.host.read("/etc/authkeys/config.toml").replace("file = \"rota.toml\"\n", table);
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    // dave claims bob's address, and is not asked.
    let people = suite.host.read("/etc/authkeys/people.toml").replace("dave@example.com", "Bob@example.com");
    suite.host.write("/etc/authkeys/people.toml", people, 0o644);
    suite.sync_keys();
    suite
}

fn users(output: &std::process::Output) -> Vec<Value> {
    let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(output)));
    assert_eq!(json["version"], 1);
    json["users"].as_array().expect("a list").clone()
}

#[test]
fn everybody_is_shown_with_what_they_are_known_by() {
    let suite = site();
    let output = suite.host.sh("oncall-cache identities --json");
    assert!(output.status.success(), "{}", text(&output));
    let users = users(&output);
    let one = |id: &str| {
        let user =
            users.iter().find(|user| user["id"] == id).unwrap_or_else(|| panic!("no {id}: {users:#?}"));
        let problem = user["problem"].as_str().unwrap_or("-");
        format!("{} {} {} {} {problem}", user["person"], user["by"], user["eligible"], user["keys"])
    };
    assert_eq!(users.len(), 5);
    assert_eq!(one("alice"), r#""alice" "name" true 1 -"#);
    assert_eq!(one("bob@example.com"), r#""bob" "mail" true 1 -"#);
    assert_eq!(one("caro@elsewhere.example"), r#""carol" "table" true 1 -"#);
    assert!(one("dave").starts_with(r#""dave" "name" false 1 dave is not in the eligible group"#));
    assert!(
        one("mallory@example.com").starts_with("null null false 0 no directory entry has the mail address")
    );
    let bob = users.iter().find(|user| user["id"] == "bob@example.com").expect("bob");
    assert_eq!(bob["same_mail"][0], "dave");
    let table = suite.host.must("oncall-cache identities");
    assert!(table.starts_with("SOURCE  USER "), "{table}");
    assert!(table.contains("dave has the same mail address, which is ignored there"), "{table}");
    // Nothing is published, and what is left behind is the service's.
    assert_eq!(suite.host.must("ls /var/lib/oncall-cache"), "fleet\n");
}

#[test]
fn check_shows_those_who_would_not_be_admitted() {
    let suite = site();
    let output = suite.host.sh("oncall-cache identities --problems --json");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let ids: Vec<Value> = users(&output).into_iter().map(|user| user["id"].clone()).collect();
    assert_eq!(ids, ["dave", "mallory@example.com"]);
    suite.write_rota(&[("alice", -HOUR, HOUR), ("bob@example.com", HOUR, DAY)]);
    let output = suite.host.sh("oncall-cache identities --problems");
    assert_eq!(
        (output.status.code(), text(&output).contains("nobody")),
        (Some(0), true),
        "{}",
        text(&output)
    );
    suite.host.must("rm /etc/authkeys/rota.toml");
    for command in [
        "oncall-cache identities",
        "oncall-cache identities --problems",
        "oncall-cache identities --problems --json",
    ] {
        let output = suite.host.sh(command);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains("source `rota`: source-error: "), "{}", text(&output));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.starts_with("cannot tell: ") || said.starts_with('{'), "it is not nobody: {said}");
    }
    // One source that is read and shows nobody says nothing of another one.
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    let config = suite.host.read("/etc/authkeys/config.toml");
    let more = "[[oncall.source]]\nname = \"gone\"\nprovider = \"rota\"\nfile = \"gone.toml\"\n";
    suite.host.write("/etc/authkeys/config.toml", format!("{config}{more}"), 0o644);
    let output = suite.host.sh("oncall-cache identities --problems");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("cannot tell: not everything could be read"), "{}", text(&output));
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    // Who may not read the copy of the directory learns nothing.
    let output = suite.run_as("nobody", "oncall-cache identities");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("cannot tell: "), "{}", text(&output));
}

#[test]
fn who_looks_on_is_told_which_source_is_asked() {
    let suite = site();
    let on_a_terminal = |command: &str| {
        suite.host.must(&format!("script -qec 'runuser -u oncall-cache -- {command}' /dev/null"))
    };
    assert!(on_a_terminal("oncall-cache sync").contains("asking source `rota`"));
    assert!(on_a_terminal("oncall-cache identities").contains("asking source `rota`"));
    let output = suite.run_as("oncall-cache", "oncall-cache sync");
    assert!(!text(&output).contains("asking source"), "{}", text(&output));
}
