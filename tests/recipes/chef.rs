//! The Chef cookbook.

use std::process::Output;

use harness::suite::{DAY, HOUR};
use harness::{Suite, text};
use serde_json::{Value, json};

use super::{COOKBOOK, machine};

/// Plays Chef on a machine where the programs are: see converge.rb for what of it is real.
fn converge(suite: &Suite, recipe: &str, node: &Value) -> Output {
    suite.host.write("/root/node.json", node.to_string(), 0o600);
    let converge = "/run/suite/source/tests/chef/converge.rb";
    suite.host.sh(&format!("ruby {converge} {COOKBOOK} /root/node.json authkeys::{recipe}"))
}

/// What a run changed, resource by resource; what is in others is told before them.
fn changes(suite: &Suite, recipe: &str, node: &Value) -> Vec<String> {
    let output = converge(suite, recipe, node);
    assert!(output.status.success(), "{}", text(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.lines().filter_map(|line| line.strip_prefix("changed ")).map(String::from).collect()
}

/// A machine with the programs and nothing set up, and the attributes of one that is.
fn unprepared() -> (Suite, Value) {
    let suite = Suite::start();
    suite.host.must("cp -r /run/suite/source/packaging /root/");
    suite.write_rota(&[("alice", -HOUR, DAY)]);
    let read = |name: &str| suite.host.read(&format!("/etc/authkeys/{name}"));
    let node = json!({ "platform_family": "debian", "authkeys": {
        "files": {"people.toml": read("people.toml"), "rota.toml": read("rota.toml")},
        "config": {
            "host": {"name": "testhost"},
            "directory": {"file": "people.toml"},
            "oncall": {"source": [{"name": "rota", "provider": "rota", "file": "rota.toml"}]},
            "policy": {
                "exempt_accounts": ["breakglass"],
                "rule": [{"name": "everywhere", "schedules": ["rota/primary"]}],
                "shared_account": [{"account": "root"}],
                "automation": [{"account": "dave", "keys": [suite.public_key("dave")], "from": ["127.0.0.1"], "services": ["sshd", "sudo"],
                                "owner": "us", "reason": "a \"robot\"", "until": "2100-01-01"}],
            },
        },
    }});
    suite.host.must("pam-oncall-enable --undo && rm /etc/ssh/sshd_config.d/10-authkeys.conf /etc/authkeys/*");
    (suite, node)
}

/// All that the recipes write below /etc, with modes and times.
fn state(suite: &Suite) -> String {
    suite.host.must("cd /etc && ls -l --time-style=full-iso pam.d ssh/sshd_config.d authkeys")
}

#[test]
fn the_cookbook_sets_a_host_up_and_back() {
    let (suite, node) = unprepared();
    let before = suite.host.must("cat /etc/pam.d/*");
    sets_up(&suite, &node);
    keeps_what_is_there_where_programs_refuse(&suite, &node);
    syncs_again_what_failed(&suite, &node);
    let node = enforces_where_the_doctor_allows_it(&suite, node);
    let mut node = enforces_what_was_signed(&suite, node);

    node["authkeys"]["purge"] = true.into();
    let removed = changes(&suite, "remove", &node);
    assert!(removed.contains(&"authkeys_pam[stacks] disable".to_string()), "{removed:?}");
    assert_eq!(suite.host.must("cat /etc/pam.d/*"), before);
    assert!(
        !suite.host.path("/etc/authkeys").exists() && suite.run_as("bob", "sudo -n true").status.success()
    );
    assert_eq!(changes(&suite, "remove", &node), [""; 0]);
}

/// Sets up what is not there; a second run changes nothing.
fn sets_up(suite: &Suite, node: &Value) {
    let set_up = [
        "file[/etc/authkeys/people.toml] create",
        "file[/etc/authkeys/rota.toml] create",
        "template[/etc/authkeys/config.toml] create",
        "authkeys_config[/etc/authkeys/config.toml] create",
        "execute[check sshd before] run",
        "file[/etc/ssh/sshd_config.d/10-authkeys.conf] create",
        "execute[check sshd] run",
        "execute[put pam_oncall.so into the PAM stacks] run",
        "authkeys_pam[stacks] enable",
    ];
    assert_eq!(changes(suite, "default", node), set_up);
    let modes = "authkeys/config.toml root:root 644\nauthkeys/people.toml root:root 644\nauthkeys/rota.toml root:root 644\n\
                 ssh/sshd_config.d/10-authkeys.conf root:root 644\n";
    let stat = "cd /etc && stat -c '%n %U:%G %a' authkeys/* ssh/sshd_config.d/10-authkeys.conf";
    assert_eq!(suite.host.must(stat), modes);
    let after = state(suite);
    assert_eq!(changes(suite, "default", node), [""; 0]);
    assert_eq!(state(suite), after);
}

/// What the host's own programs refuse is not put in its place, and nothing else is.
fn keeps_what_is_there_where_programs_refuse(suite: &Suite, right: &Value) {
    let there = state(suite);
    let must_refuse = |slip: &dyn Fn(&mut Value), words: &str| {
        let mut node = right.clone();
        node["authkeys"]["files"]["people.toml"] = "".into();
        slip(&mut node["authkeys"]);
        let output = converge(suite, "default", &node);
        assert!(!output.status.success() && text(&output).contains(words), "{}", text(&output));
        assert_eq!(state(suite), there);
    };
    must_refuse(
        &|ours| ours["config"]["policy"]["sercives"] = json!(["sshd"]),
        "config.toml: oncall-cache: /dev/stdin:",
    );
    must_refuse(
        &|ours| ours["files"]["revoked"] = "mallory\n".into(),
        "revoked: oncall-cache: /dev/stdin:1: ",
    );
    must_refuse(
        &|ours| ours["files"]["rota.toml"] = "[[schedule]\n".into(),
        "rota.toml: oncall-cache: /dev/stdin:1",
    );
    must_refuse(
        &|ours| ours["files"]["people.toml"] = "[[persons]]\n".into(),
        "people.toml: authkeys-sync: /dev/stdin:1",
    );
}

/// A sync that failed is made again by the next run, and only then: an hour of nobody in the rota is refused by its guard.
fn syncs_again_what_failed(suite: &Suite, right: &Value) {
    let synced = |node: &Value| {
        let output = converge(suite, "default", node);
        (output.status.success(), text(&output).contains("told service[oncall-cache-sync] restart"))
    };
    assert_eq!(synced(right), (true, false));
    // Instants are told to the second: what changes in that of a sync counts as read.
    suite.host.must("until [ $(date +%s) -gt $(stat -c %Z /var/lib/oncall-cache/roster.db) ]; do :; done");
    let mut nobody = right.clone();
    nobody["authkeys"]["files"]["rota.toml"] = "[[schedule]]\nid = 'primary'\n".into();
    assert_eq!([synced(&nobody), synced(&nobody)], [(false, true); 2]);
    assert_eq!([synced(right), synced(right)], [(true, true), (true, false)]);

    // So it is after a secret, which may be in somebody else's recipe.
    let newer = "[ $(stat -c %Z /etc/authkeys/token) -gt $(stat -c %Z /var/lib/oncall-cache/roster.db) ]";
    suite.host.must(&format!("until touch /etc/authkeys/token; {newer}; do :; done"));
    assert_eq!([synced(right), synced(right)], [(true, true), (true, false)]);
}

/// Enforces where the doctor finds nothing but what is told to be ignored; the attributes of a host that enforces.
fn enforces_where_the_doctor_allows_it(suite: &Suite, mut node: Value) -> Value {
    let there = state(suite);
    node["authkeys"]["mode"] = "enforce".into();
    suite.sync();
    let found: Value =
        serde_json::from_slice(&suite.host.sh("oncall-cache doctor --json").stdout).expect("JSON");
    let ids: Vec<&Value> =
        found["findings"].as_array().expect("a list").iter().map(|one| &one["id"]).collect();
    node["authkeys"]["doctor_ignores"] = json!(ids);
    suite.host.write("/etc/sudoers.d/late", "Defaults !pam_acct_mgmt\n", 0o440);
    let output = converge(suite, "default", &node);
    assert!(!output.status.success(), "{}", text(&output));
    assert!(
        text(&output)
            .contains("this host observes as before; its doctor says: open sudo-pam /etc/sudoers.d/late: "),
        "{}",
        text(&output)
    );
    assert_eq!(state(suite), there);
    suite.host.must("rm /etc/sudoers.d/late");
    let enforced = ["template[/etc/authkeys/config.toml] create", "authkeys_config[enforce] create"];
    assert_eq!(changes(suite, "default", &node), enforced);
    assert!(
        suite.run_as("alice", "sudo -n true").status.success()
            && !suite.run_as("bob", "sudo -n true").status.success()
    );
    assert_eq!(changes(suite, "default", &node), [""; 0]);
    node
}

/// The final mode is signed, and each roll-out observes first: on its way to enforcing a host is not held back for it.
fn enforces_what_was_signed(suite: &Suite, mut node: Value) -> Value {
    suite.host.must(
        "cd /root && ssh-keygen -q -t ed25519 -N '' -f carol && cp /etc/authkeys/config.toml . && \
         echo \"carol namespaces=\\\"policy@authkeys\\\" $(cat carol.pub)\" >policy-signers && \
         oncall-cache policy sign --config config.toml --number 1 -i carol --yes >policy.sig",
    );
    for name in ["policy-signers", "policy.sig"] {
        node["authkeys"]["files"][name] = suite.host.read(&format!("/root/{name}")).into();
    }
    node["authkeys"]["mode"] = "observe".into();
    changes(suite, "default", &node);
    let doctor = suite.host.sh("oncall-cache doctor --json");
    let doctor: Value = serde_json::from_slice(&doctor.stdout).expect("JSON");
    let findings = doctor["findings"].as_array().expect("a list");
    let of_policy = findings.iter().filter(|finding| finding["id"] == "policy-signed");
    let told: Vec<&Value> = of_policy.map(|finding| &finding["severity"]).collect();
    assert_eq!(told, ["note"], "{doctor}");
    node["authkeys"]["mode"] = "enforce".into();
    let enforced = changes(suite, "default", &node);
    assert!(enforced.contains(&"authkeys_config[enforce] create".to_string()), "{enforced:?}");
    let shown = suite.host.must("oncall-cache policy show");
    assert!(shown.contains("\n# signed: number 1 of "), "{shown}");
    node
}

/// Its key is there, as an `authkeys_secret` puts it there.
#[test]
fn the_cookbook_sets_up_a_collector_that_takes_webhooks_or_no_more() {
    let (suite, mut node) = unprepared();
    let file = "/etc/authkeys/fleet-key";
    suite.host.must(&format!("ssh-keygen -qt ed25519 -N '' -C collector -f {file} && chown root:oncall-collector {file} && chmod 640 {file}"));
    let signer =
        format!("collector namespaces=\"head@authkeys\" {}", suite.host.read(&format!("{file}.pub")));
    let ours = &mut node["authkeys"];
    ours["files"]["fleet-signers"] = signer.into();
    ours["collector"] = json!({
        "fleet": "example", "signing_keys": ["fleet-key"], "store": {"directory": "/srv/authkeys-fleet"},
        "hear": {"secret_files": ["webhook-secret"]},
    });
    let hear = |node: &Value| -> Vec<String> {
        let output = converge(&suite, "default", node);
        assert!(output.status.success(), "{}", text(&output));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = said.lines().filter_map(|line| line.strip_prefix("told service[oncall-collector-hear] "));
        told.map(String::from).collect()
    };
    assert_eq!(hear(&node), ["enable", "start", "restart"]);
    assert!(suite.host.path("/srv/authkeys-fleet/head").exists(), "it has published");
    assert_eq!(hear(&node), ["enable", "start"]);
    node["authkeys"]["collector"].as_object_mut().expect("a table").remove("hear");
    assert_eq!(hear(&node), ["stop", "disable"]);
}

/// Who is told is looked at before it is written, and by a secret that is there.
#[test]
fn the_cookbook_sets_up_notices() {
    let (suite, mut node) = unprepared();
    suite.host.must(
        "ln -sf /run/suite/build/oncall-notify /usr/bin/oncall-notify && groupadd -f oncall-notify
         echo xoxb-1 >/etc/authkeys/slack-token && chmod 640 /etc/authkeys/slack-token",
    );
    node["authkeys"]["notify"] = json!({
        "files": ["/var/log/authkeys/decisions.jsonl"], "people": {"mail_domain": "example.com"},
        "channel": [{"name": "you", "slack": {"token_file": "slack-token", "to": "person"}}],
    });
    let changed = changes(&suite, "default", &node);
    assert!(changed.contains(&"template[/etc/authkeys/notify.toml] create".to_string()), "{changed:?}");
    assert!(changed.contains(&"directory[/var/log/authkeys] create".to_string()), "{changed:?}");
    suite.host.must("oncall-notify config check /etc/authkeys/notify.toml");
    assert_eq!(suite.host.must("stat -c '%U:%G %a' /var/log/authkeys"), "root:oncall-notify 750\n");
    let output = converge(&suite, "default", &node);
    let said = text(&output);
    assert!(!said.contains("changed ") && !said.contains("told service[oncall-notify] restart"), "{said}");
    assert!(said.contains("told service[oncall-notify] enable"), "{said}");
    assert!(
        said.lines().any(|line| line.starts_with("told package[") && line.contains("oncall-notify")),
        "{said}"
    );
    let there = suite.host.read("/etc/authkeys/notify.toml");
    node["authkeys"]["notify"]["channel"][0]["slack"]["token_file"] = "elsewhere".into();
    let output = converge(&suite, "default", &node);
    assert!(
        !output.status.success() && text(&output).contains("refused by /usr/bin/oncall-notify"),
        "{}",
        text(&output)
    );
    assert_eq!(suite.host.read("/etc/authkeys/notify.toml"), there);
}

/// On a collector, or without a fleet on one host, which needs the package for that alone.
#[test]
fn the_cookbook_sets_up_sinks() {
    let (suite, mut node) = unprepared();
    node["authkeys"]["sinks"] = json!({ "sink": [{
        "name": "ops-topic", "schedules": ["pd/PDB0001"],
        "slack_topic": {"channel": "C0123456789", "token_file": "slack-token"},
    }] });
    let changed = changes(&suite, "default", &node);
    assert!(changed.contains(&"template[/etc/authkeys/sinks.toml] create".to_string()), "{changed:?}");
    suite.host.must("oncall-collector config check");
    let output = converge(&suite, "default", &node);
    let said = text(&output);
    assert!(!said.contains("changed "), "{said}");
    assert!(said.contains("told systemd_unit[oncall-collector-sink.timer] enable"), "{said}");
    assert!(
        said.lines().any(|line| line.starts_with("told package[") && line.contains("oncall-collector")),
        "{said}"
    );
    node["authkeys"]["sinks"]["sink"][0]["slack_topc"] = json!({});
    let output = converge(&suite, "default", &node);
    assert!(
        !output.status.success() && text(&output).contains("refused by /usr/bin/oncall-collector"),
        "{}",
        text(&output)
    );
    suite.host.must("oncall-collector config check");
}

#[test]
fn the_cookbook_leaves_out_what_cannot_be_guarded_unless_it_is_named() {
    let (suite, mut node) = unprepared();
    node["authkeys"]["config"]["policy"]["pam_services"] = json!(["sshd", "sudo"]);
    let added = "execute[put pam_oncall.so into the PAM stacks] run".to_string();
    assert!(changes(&suite, "default", &node).contains(&added));
    assert_eq!(changes(&suite, "default", &node), [""; 0]);
    assert!(!suite.host.read("/etc/pam.d/su").contains("pam_oncall"));
    node["authkeys"]["pam_services"] = json!(["sudo", "su"]);
    let output = converge(&suite, "default", &node);
    assert!(!output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("su: not in policy.pam_services"), "{}", text(&output));
}

/// Nothing is there yet that could be asked, or written to.
#[test]
fn the_cookbook_says_of_a_new_host_what_it_would_do() {
    let host = machine();
    let node = json!({ "platform_family": "debian", "authkeys": {
        "mode": "enforce", "files": {"revoked": ""}, "config": {"directory": {"file": "people.toml"}},
    }});
    host.write("/root/node.json", node.to_string(), 0o600);
    host.must("ssh-keygen -A && mkdir -p /run/sshd");
    let output = host.sh(&format!(
        "ruby /run/suite/source/tests/chef/converge.rb {COOKBOOK} /root/node.json authkeys::default why-run"
    ));
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    for would in [
        "file[/etc/authkeys/revoked] create",
        "authkeys_config[enforce] create",
        "authkeys_pam[stacks] enable",
    ] {
        assert!(said.contains(&format!("changed {would}")), "{said}");
    }
    host.must("! ls -d /etc/authkeys /etc/ssh/sshd_config.d/10-authkeys.conf");
}

#[test]
fn a_secret_has_its_owner_and_is_in_no_backup() {
    let (suite, node) = unprepared();
    let recipe = "authkeys_secret 'token' do\n  content 'one-line'\n  group 'oncall-cache'\nend\n";
    suite.host.write(&format!("{COOKBOOK}/recipes/wrapper.rb"), recipe, 0o644);
    assert_eq!(
        changes(&suite, "wrapper", &node),
        ["file[/etc/authkeys/token] create", "authkeys_secret[token] create"]
    );
    assert_eq!(
        suite.host.must("cd /etc/authkeys && stat -c '%U:%G %a' token && cat token"),
        "root:oncall-cache 640\none-line"
    );
    assert_eq!(changes(&suite, "wrapper", &node), [""; 0]);
    for loud in ["sensitive true", "backup false"] {
        suite.host.must(&format!("sed -i 's/^    {loud}$//' {COOKBOOK}/resources/secret.rb"));
        assert!(text(&converge(&suite, "wrapper", &node)).contains("a secret is kept from logs and backups"));
        suite.host.must(&format!(
            "cp /run/suite/source/packaging/chef/authkeys/resources/secret.rb {COOKBOOK}/resources/"
        ));
    }
}

#[test]
fn a_slip_of_the_pen_in_the_cookbook_is_found() {
    let (suite, node) = unprepared();
    for (file, before, after, words) in [
        ("resources/config.rb", "owner 'root'", "ownr 'root'", "no property ownr"),
        ("resources/config.rb", "mode '0644'", "mode 0.5", "mode cannot be 0.5"),
        (
            "resources/pam.rb",
            "not_if { services.empty? ||",
            "not_if { words.emty? ||",
            "undefined method `emty?'",
        ),
        ("resources/secret.rb", "regex:", "rgex:", "no rgex"),
        (
            "recipes/sshd.rb",
            "'execute[check sshd]'",
            "'execute[check sshdd]'",
            "execute[check sshdd] is notified, and is nowhere",
        ),
        ("recipes/sshd.rb", ":run, 'execute[check sshd]'", ":rn, 'execute[check sshd]'", "no action rn"),
        ("recipes/observe.rb", "action %i[enable start]", "action %i[enable begin]", "no action begin"),
        (
            "recipes/observe.rb",
            "  systemd_unit name do",
            "  systemd_units name do",
            "undefined method `systemd_units'",
        ),
        (
            "recipes/observe.rb",
            "mode enforces ?",
            "mode authkeys_enforces? ?",
            "no property authkeys_enforces?",
        ),
        ("recipes/default.rb", "'authkeys::observe'", "'authkeys::observ'", "no recipe authkeys::observ"),
        ("templates/config.toml.erb", "@toml", "@tml.strip", "undefined method `strip' for nil"),
        ("metadata.rb", "chef_version", "chef_versions", "undefined method `chef_versions'"),
    ] {
        let path = format!("{COOKBOOK}/{file}");
        let right = suite.host.read(&path);
        assert!(right.contains(before), "{file} has no {before}");
        suite.host.write(&path, right.replace(before, after), 0o644);
        let output = converge(&suite, "default", &node);
        assert!(
            !output.status.success() && text(&output).contains(words),
            "{file}: {after}: {}",
            text(&output)
        );
        suite.host.write(&path, right, 0o644);
        suite.host.must("rm -f /etc/authkeys/*");
    }
}
