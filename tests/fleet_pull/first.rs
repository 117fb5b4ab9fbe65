//! A host that has pulled nothing yet: whatever is asked names the pull first, and what the doctor says to type works.

use super::*;
use fleet::people::FleetPerson;
use policy::Principal;

/// Findings of the doctor, each as its token and its fix.
fn doctor(site: &Site) -> Vec<(String, String)> {
    let output = site.suite.host.sh("oncall-cache doctor --json");
    let told: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
    let word =
        |finding: &serde_json::Value, field: &str| finding[field].as_str().unwrap_or_default().to_string();
    let all = told["findings"].as_array().expect("a list");
    all.iter().map(|finding| (word(finding, "id"), word(finding, "fix"))).collect()
}

#[test]
fn a_host_that_has_pulled_nothing_is_told_to_pull_first_by_whatever_is_asked() {
    let site = Site::start();
    let config = site.suite.host.read("/etc/authkeys/config.toml");
    let config = config.replace("file = \"people.toml\"", "fleet = true");
    site.suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    site.suite.host.must("rm -f /var/lib/authkeys/*");
    let alice = FleetPerson {
        principal: Principal::new("alice").expect("a name"),
        eligible: true,
        disabled: None,
        begins: None,
        expires: None,
        keys: vec![format!("ssh-ed25519 {:068}", 7)],
    };
    site.publish(&Publication { people: vec![alice], ..Publication::new() });

    let first = "oncall-cache pull";
    let asked = |command: &str| text(&site.suite.run_as("nobody", command));
    // Before a timer has started a sync, and after it.
    for round in ["fresh", "after a sync that came to nothing"] {
        let status = asked("oncall-cache status");
        assert!(
            status.contains("\nnot valid: no /var/lib/oncall-cache/roster.db; run `oncall-cache pull`"),
            "{status}"
        );
        assert!(status.contains("as root, run `oncall-cache pull`"), "{round}: {status}");
        assert!(
            !status.contains("run `oncall-cache sync`") && !status.contains("run `authkeys-sync`"),
            "{round}: {status}"
        );
        let why = asked("oncall-cache why alice");
        let step = "next step   as root, run oncall-cache pull, then authkeys-sync and oncall-cache sync";
        assert!(why.contains("run `oncall-cache pull`") && why.contains(step), "{round}: {why}");
        let found = doctor(&site);
        for id in ["keys", "roster", "fleet-head"] {
            let (_, fix) =
                found.iter().find(|(known, _)| known == id).unwrap_or_else(|| panic!("{id}: {found:?}"));
            assert!(fix.contains(first), "{round}: {id}: {fix}");
        }
        let syncs =
            found.iter().find(|(_, fix)| fix.contains("oncall-cache sync") || fix.contains("authkeys-sync"));
        let (id, fix) = syncs.expect("it says to sync");
        assert!(fix.starts_with(first), "{round}: {id}: {fix}");
        let sync = site.suite.run_as("oncall-cache", "oncall-cache sync");
        assert!(text(&sync).contains("run `oncall-cache pull`"), "{}", text(&sync));
    }
    let (_, fix) = doctor(&site).into_iter().find(|(id, _)| id == "keys").expect("no keys");
    site.suite.host.must(&fix);
    assert_eq!(site.may("alice", 0), Some(true));
    assert!(asked("oncall-cache status").contains("well: "), "{}", asked("oncall-cache status"));
}
