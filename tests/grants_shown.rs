//! Grants as those see them who look at a host: `who`, `status`, `why`, `report`, and `config check`.

use harness::grants::{GLASS, Grants, RULE, Text};
use harness::suite::CONFIG;
use harness::text;
use serde_json::{Value, json};

#[test]
fn what_stands_is_shown_to_root_and_others_are_told_that_it_is_not() {
    let host = Grants::start();
    let suite = &host.suite;
    let grant = Text::new(&suite.public_key("bob"));
    let brought = host.bring(&grant.sign(suite, &["alice", "carol"]));
    assert!(text(&brought).contains("accepted: bob may enter root"), "{}", text(&brought));
    for output in [suite.run_as("bob", "sudo -n id -u"), suite.ssh("bob", "root", "id -u")] {
        assert_eq!(output.stdout, b"0\n", "{}", text(&output));
    }
    everybody_sees_as_much_as_they_may(&host, &grant);
    they_came_by_the_grant(&host, &grant);
    // On the night on which there is no rota it is said all the same.
    suite.host.must("rm /var/lib/oncall-cache/roster.db");
    let shown = suite.host.sh("oncall-cache who");
    assert_eq!(shown.status.code(), Some(2));
    assert!(text(&shown).contains("cannot tell: ") && text(&shown).contains(&grant.id), "{}", text(&shown));
    assert_eq!(json(&host, "root", "oncall-cache who --json")["grants"][0]["person"], "bob");
}

/// What this command answers somebody, as JSON.
fn json(host: &Grants, user: &str, command: &str) -> Value {
    let output = host.suite.run_as(user, command);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{command}: {}", text(&output)))
}

fn everybody_sees_as_much_as_they_may(host: &Grants, grant: &Text) {
    let suite = &host.suite;
    for command in ["oncall-cache who", "oncall-cache status"] {
        let shown = text(&suite.host.sh(command));
        let line = shown.lines().find(|line| line.contains(&grant.id)).unwrap_or_else(|| panic!("{shown}"));
        assert!(["bob", "root", "alice", "carol"].iter().all(|word| line.contains(word)), "{shown}");
        let hidden = text(&suite.run_as("dave", command));
        let reason = "not shown: /run/authkeys/grants: Permission denied";
        assert!(!hidden.contains(&grant.id) && hidden.contains(reason), "{command}: {hidden}");
        let told = json(host, "root", &format!("{command} --json"));
        let one = &told["grants"][0];
        let words =
            ["person", "account", "grant", "end"].map(|field| one[field].as_str().unwrap_or_default());
        let end = harness::suite::instant(grant.end);
        assert_eq!(words, ["bob", "root", grant.id.as_str(), end.as_str()], "{told:#}");
        assert_eq!(one["approvers"], json!(["alice", "carol"]), "{told:#}");
        let told = json(host, "dave", &format!("{command} --json"));
        assert!(told["grants"].is_null(), "{told:#}");
        assert!(
            told["grants_problem"].as_str().is_some_and(|said| said.starts_with("not shown")),
            "{told:#}"
        );
    }
    let metrics = text(&suite.host.sh("oncall-cache status --prometheus"));
    assert!(metrics.contains("\noncall_cache_grants_in_force 1\n"), "{metrics}");
    let metrics = text(&suite.run_as("dave", "oncall-cache status --prometheus"));
    assert!(!metrics.contains("grants_in_force"), "{metrics}");
    let asked = suite.run_as("dave", "oncall-cache why bob");
    let why = text(&asked);
    assert!(why.contains("no, unless a grant lets them in") && why.contains("grants: not shown: "), "{why}");
    assert_eq!(asked.status.code(), Some(2), "{why}");
}

fn they_came_by_the_grant(host: &Grants, grant: &Text) {
    let told = json(host, "root", "oncall-cache report --since 1h --json");
    let logins = told["logins"].as_array().expect("a list").iter();
    let bobs: Vec<&Value> = logins.filter(|login| login["person"] == "bob").collect();
    assert_eq!(bobs.len(), 2, "{told:#}");
    for login in bobs {
        assert_eq!(login["class"], "grant", "{login:#}");
        assert_eq!((&login["grant"], &login["approvers"]), (&json!(grant.id), &json!(["alice", "carol"])));
    }
    let table = text(&host.suite.host.sh("oncall-cache report --since 1h"));
    let (_, by_grant) =
        table.split_once("\nlet in by colleagues, with a grant\n").expect("a part of its own");
    assert!(by_grant.contains("alice and carol: INC-42 disk full by rule night"), "{table}");
}

#[test]
fn config_check_names_approvers_without_a_key_and_a_rule_by_which_anybody_lets_in_anybody() {
    let host = Grants::start();
    let suite = &host.suite;
    let check = |rule: &str| {
        suite.host.write("/etc/authkeys/config.toml", format!("{CONFIG}{rule}"), 0o644);
        text(&suite.host.sh("oncall-cache config check /etc/authkeys/config.toml"))
    };
    let said = check(RULE);
    assert!(!said.contains("grant"), "{said}");
    let said = check(&RULE.replace("'carol']", "'carol', 'dave']"));
    assert!(said.contains("approvers: `dave` has no line in /etc/authkeys/grant-signers"), "{said}");
    let one = RULE.replace("quorum = 2", "quorum = 1");
    let said = check(&one);
    assert!(said.contains("[[policy.grant]] night: everybody who may become root is an approver"), "{said}");
    let said = check(&one.replace("'bob', 'carol']", "'carol']"));
    assert!(!said.contains("everybody who may become root"), "{said}");
    // Who reviews has a line for that, and who lets themselves in one of those that sign.
    let line =
        |person: &str, signs: &str| format!("{person} namespaces=\"{signs}\" {}\n", suite.public_key(person));
    let lines = |carols: &str| {
        let all = [line("bob", "grant@authkeys"), line("alice", "review@authkeys"), line("carol", carols)];
        suite.host.write("/etc/authkeys/grant-signers", all.concat(), 0o644);
    };
    let glass = format!("[grant]\nid = 'acme'\n{GLASS}");
    lines("grant@authkeys,review@authkeys");
    let said = check(&glass);
    assert!(!said.contains("has no line"), "{said}");
    lines("grant@authkeys");
    let said = check(&glass);
    let words =
        "approvers: `carol` has no line in /etc/authkeys/grant-signers with namespaces=\"review@authkeys\"";
    assert!(said.contains(words) && said.matches("has no line").count() == 1, "{said}");
    lines("review@authkeys");
    let said = check(&glass);
    let words =
        "people: `carol` has no line in /etc/authkeys/grant-signers with namespaces=\"grant@authkeys\"";
    assert!(said.contains(words) && said.matches("has no line").count() == 1, "{said}");
    suite.host.must("rm /etc/authkeys/grant-signers");
    let said = check(RULE);
    assert!(
        ["alice", "bob", "carol"].iter().all(|name| said.contains(&format!("`{name}` has no line"))),
        "{said}"
    );
}
