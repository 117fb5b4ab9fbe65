//! What configuration management is given: the Ansible role and the Chef cookbook, read by their own tools where these are
//! there, with settings that become TOML. Whole runs on hosts are in fleet.rs.

use std::process::Output;

use harness::suite::{DAY, HOUR};
use harness::{Host, Suite, text};
use serde_json::{Value, json};

const ROLE: &str = "/root/packaging/ansible";
const COOKBOOK: &str = "/root/packaging/chef/authkeys";
const OPERATIONS: &str = include_str!("../docs/operations.md");

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

#[test]
fn a_value_from_a_vault_is_a_string() {
    let host = machine();
    host.write("/root/password", "vault\n", 0o600);
    host.must(
        "{ printf 'authkeys_config:\\n  directory:\\n    '
           ansible-vault encrypt_string --vault-password-file /root/password --name bind_dn cn=authkeys,dc=example | sed '2,$s/^/    /'
         } >/root/vaulted.yml",
    );
    let output = render(&host, "-e @/root/vaulted.yml --vault-password-file /root/password");
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(read_toml(&host, "/root/config.toml")["directory"]["bind_dn"], "cn=authkeys,dc=example");
}

#[test]
fn the_example_inventory_is_a_configuration() {
    let host = machine();
    let output = render(&host, "-e @inventory/group_vars/oncall.yml");
    assert!(output.status.success(), "{}", text(&output));
    host.must("/run/suite/build/oncall-cache config check /root/config.toml");
}

#[test]
fn variables_that_the_role_does_not_know_are_refused() {
    let host = machine();
    host.write(
        &format!("{ROLE}/local.yml"),
        "- hosts: all\n  gather_facts: false\n  roles: [authkeys]\n",
        0o644,
    );
    let config = r#""authkeys_config": {"policy": {}}"#;
    for (variables, words) in [
        (format!(r#"{{{config}, "authkeys_mod": "enforce"}}"#), "authkeys has no authkeys_mod;"),
        (
            format!(r#"{{{config}, "authkeys_mode": "enforced"}}"#),
            "value of authkeys_mode must be one of: observe, enforce",
        ),
        (
            format!(r#"{{{config}, "authkeys_pam_services": ["cron"]}}"#),
            "value of authkeys_pam_services must be one or more of",
        ),
        (
            format!(r#"{{{config}, "authkeys_secrets": [{{"name": "a", "content": "b"}}]}}"#),
            "missing required arguments: group",
        ),
        (
            format!(r#"{{{config}, "authkeys_files": [{{"name": "../a", "content": "b"}}]}}"#),
            "a file has a name of its own",
        ),
        (
            r#"{"authkeys_config": {"policy": {"mode": "enforce"}}}"#.to_string(),
            "what policy.mode would be is authkeys_mode",
        ),
        ("{}".to_string(), "authkeys_config is needed"),
        (
            format!(r#"{{{config}, "authkeys_trial": "5 minutes"}}"#),
            "authkeys_trial is one number and s, m, h or d",
        ),
        (
            format!(r#"{{{config}, "authkeys_version": "0.1.0-1", "authkeys_package_dir": "/root"}}"#),
            "with authkeys_package_dir there is no authkeys_version",
        ),
        (
            format!(r#"{{{config}, "authkeys_doctor_ignores": ["no-such-finding"]}}"#),
            "value of authkeys_doctor_ignores must be one or more of",
        ),
    ] {
        host.write("/root/variables.json", &variables, 0o644);
        let output =
            ansible(&host, "ansible-playbook -i localhost, -c local local.yml -e @/root/variables.json");
        assert!(!output.status.success() && text(&output).contains(words), "{variables}: {}", text(&output));
    }
}

/// What each file is tells config.toml. The programs of the host look at it, in whatever file it is to be.
#[test]
fn the_role_has_each_file_checked_before_it_is_written() {
    let host = machine();
    host.must(
        "for name in oncall-cache authkeys-sync; do ln -sf /run/suite/build/$name /usr/bin/$name; done",
    );
    let play = "- hosts: localhost\n  gather_facts: false\n  vars: {_authkeys_shown: {rc: 1}}\n  tasks:\n    \
                - ansible.builtin.include_role: {name: authkeys, tasks_from: check}\n";
    host.write(&format!("{ROLE}/check.yml"), play, 0o644);
    let check = |name: &str, content: &str| {
        let config = json!({
            "directory": {"file": "people.toml"},
            "oncall": {"source": [
                {"name": "a", "provider": "rota", "file": "/etc/authkeys/weeks.toml"}, {"name": "b", "provider": "rota", "file": "days.toml"},
                {"name": "c", "provider": "file", "file": "shifts.json"},
            ]},
            "policy": {"rule": [{"name": "everywhere", "schedules": ["a/primary"]}]},
        });
        let files =
            [json!({ "name": name, "content": content }), json!({ "name": "ca.pem", "content": "-" })];
        let variables = json!({ "authkeys_config": config, "authkeys_files": files });
        host.write("/root/variables.json", variables.to_string(), 0o644);
        let output =
            ansible(&host, "ansible-playbook -i localhost, -c local check.yml -e @/root/variables.json");
        (output.status.success(), text(&output))
    };
    let rota = "[[schedule]]\nid = 'primary'\n";
    for (name, right, wrong, line) in [
        ("revoked", "mallory 2026-11-20T09:00:00Z root left us\n", "mallory\n", "/dev/stdin:1: "),
        ("weeks.toml", rota, "[[schedule]\n", "/dev/stdin:1"),
        ("days.toml", rota, "# days\n[[schedul]]\n", "/dev/stdin:2"),
        (
            "people.toml",
            "[[person]]\nprincipal = 'alice'\n",
            "[[person]]\nprinzipal = 'alice'\n",
            "/dev/stdin:2",
        ),
    ] {
        let (accepted, said) = check(name, right);
        assert!(accepted, "{name}: {said}");
        let (accepted, said) = check(name, wrong);
        assert!(!accepted && said.contains(line), "{name}: {said}");
    }
    let (accepted, said) = check("shifts.json", "anything");
    assert!(accepted, "{said}");
}

#[test]
fn the_role_refuses_metrics_where_nobody_reads_them() {
    let host = machine();
    host.must("rm -rf /var/lib/prometheus/node-exporter /var/lib/node_exporter");
    let play = "- hosts: localhost\n  gather_facts: false\n  tasks:\n    \
                - ansible.builtin.include_role: {name: authkeys, tasks_from: metrics}\n";
    host.write(&format!("{ROLE}/metrics.yml"), play, 0o644);
    let run = || {
        text(&ansible(
            &host,
            "ansible-playbook -i localhost, -c local metrics.yml -e '{\"authkeys_metrics\": true}'",
        ))
    };
    let (refused, starts) =
        ("authkeys_metrics: this host has none of /var/lib/", "TASK [authkeys : Start or stop the timer");
    let said = run();
    assert!(said.contains(refused) && !said.contains(starts), "{said}");
    host.must("mkdir -p /var/lib/node_exporter/textfile_collector");
    let said = run();
    assert!(!said.contains(refused) && said.contains(starts), "{said}");
}

/// What was written is owed a good sync; what fails later is not.
#[test]
fn the_role_syncs_until_what_it_wrote_was_read() {
    let host = machine();
    let play = "- hosts: localhost\n  gather_facts: false\n  tasks:\n    \
                - ansible.builtin.include_vars: roles/authkeys/vars/main.yml\n    \
                - ansible.builtin.command: {argv: [echo, \"{{ _authkeys_owed | bool }}\"]}\n      loop: \"{{ cases }}\"\n      register: told\n      \
                vars: {_authkeys_asked: \"{{ {'rc': item.rc, 'stdout': item.status | to_json} }}\", _authkeys_changes: {stdout_lines: [\"2026-11-20T08:00:00.1\", \"2026-11-20T09:00:00.9\"]}}\n    \
                - ansible.builtin.copy: {dest: /root/told, content: \"{{ told.results | map(attribute='stdout') | to_json }}\"}\n";
    host.write(&format!("{ROLE}/owed.yml"), play, 0o644);
    let (before, then, after) = ("2026-11-20T08:59:59Z", "2026-11-20T09:00:00Z", "2026-11-20T10:00:00Z");
    let case = |rc: u8, attempted: &str, people: &str, schedules: Value| {
        let last = json!({ "attempted": attempted, "people_synced": people });
        json!({ "rc": rc, "status": {"last_sync": last, "schedules": schedules} })
    };
    let read = json!([{ "state": "read", "synced": before }]);
    let kept =
        |synced: &str| json!([{ "state": "read", "synced": after }, { "state": "kept", "synced": synced }]);
    let cases = [
        (case(0, then, then, read.clone()), false, "all was read, from a file that is older"),
        (case(0, before, then, read.clone()), true, "no sync began since"),
        (case(1, after, before, read.clone()), true, "people were not read since"),
        (case(1, after, after, kept(before)), true, "a schedule was not read since"),
        (case(1, after, after, kept(then)), false, "it was, and is not any more: an outage"),
        (case(1, after, after, json!([{ "state": "absent" }])), true, "a schedule was never read"),
        (case(2, after, after, kept(then)), true, "the outage lasts too long"),
        (
            json!({ "rc": 1, "status": {"last_sync": null, "schedules": []} }),
            true,
            "nothing is known of a sync",
        ),
        (
            json!({ "rc": 2, "status": {"health": "not-believed"} }),
            true,
            "the configuration is not understood",
        ),
    ];
    let told: Vec<&Value> = cases.iter().map(|(case, ..)| case).collect();
    host.write("/root/cases.json", json!({ "cases": told }).to_string(), 0o644);
    let output = ansible(&host, "ansible-playbook -i localhost, -c local owed.yml -e @/root/cases.json");
    assert!(output.status.success(), "{}", text(&output));
    let told: Vec<String> = serde_json::from_str(&host.read("/root/told")).expect("JSON");
    assert_eq!(told.len(), cases.len());
    for ((_, owed, why), told) in cases.iter().zip(told) {
        assert_eq!(told, if *owed { "True" } else { "False" }, "{why}");
    }
}

/// Those that docs/operations.md lists, and tests/doctor.rs holds against what it finds.
#[test]
fn the_role_knows_every_finding_of_the_doctor() {
    let (_, section) = OPERATIONS.split_once("\n| id | what it says | mend |\n").expect("the table");
    let (table, _) = section.split_once("\n\n").expect("its end");
    let named: Vec<&str> = table.lines().skip(1).filter_map(|line| line.split('`').nth(1)).collect();
    let host = machine();
    let read = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))";
    let specs =
        host.must(&format!("/usr/bin/python3 -c '{read}' <{ROLE}/roles/authkeys/meta/argument_specs.yml"));
    let specs: Value = serde_json::from_str(&specs).expect("JSON");
    assert_eq!(
        specs["argument_specs"]["main"]["options"]["authkeys_doctor_ignores"]["choices"],
        json!(named)
    );
}

#[test]
fn names_of_package_files_tell_their_versions() {
    let host = machine();
    let play = "- hosts: localhost\n  gather_facts: false\n  vars: {authkeys_package_dir: /root/files, authkeys_nss: true}\n  tasks:\n    \
                - ansible.builtin.set_fact: {cacheable: true, architecture: x86_64, packages: \"{{ found }}\"}\n    \
                - ansible.builtin.include_vars: roles/authkeys/vars/main.yml\n    \
                - ansible.builtin.include_vars: \"roles/authkeys/vars/{{ family }}.yml\"\n    \
                - ansible.builtin.copy: {dest: /root/versions, content: \"{{ [_authkeys_wanted_versions, _authkeys_versions] | to_json }}\"}\n";
    host.write(&format!("{ROLE}/versions.yml"), play, 0o644);
    host.must(
        "mkdir /root/files && cd /root/files && touch authkeys-ansible-0.1.0.tar.gz \
         authkeys_0.2.0~rc1-1_amd64.deb authkeys_0.2.0~rc1-1_arm64.deb libpam-oncall_0.2.0~rc1-1_amd64.deb libnss-oncall_0.2.0~rc1-1_amd64.deb \
         authkeys-0.2.0~rc1-1.x86_64.rpm authkeys-0.2.0~rc1-1.aarch64.rpm pam_oncall-0.2.0~rc1-1.x86_64.rpm nss_oncall-0.2.0~rc1-1.x86_64.rpm",
    );
    for (family, found) in [
        (
            "Debian",
            json!({ "authkeys": [{ "version": "0.1.0-1", "arch": "amd64" }], "libpam-oncall": [{ "version": "0.1.0-1" }] }),
        ),
        (
            "RedHat",
            json!({ "authkeys": [{ "version": "0.1.0", "release": "1", "arch": "x86_64" }], "pam_oncall": [{ "version": "0.1.0", "release": "1" }] }),
        ),
    ] {
        host.write("/root/found.json", json!({ "found": found, "family": family }).to_string(), 0o644);
        let output =
            ansible(&host, "ansible-playbook -i localhost, -c local versions.yml -e @/root/found.json");
        assert!(output.status.success(), "{}", text(&output));
        let versions: Value = serde_json::from_str(&host.read("/root/versions")).expect("JSON");
        assert_eq!(
            versions,
            json!([["0.2.0~rc1-1", "0.2.0~rc1-1", "0.2.0~rc1-1"], ["0.1.0-1", "0.1.0-1", ""]]),
            "{family}"
        );
    }
}

#[test]
fn the_archives_are_the_same_each_time_and_of_this_version() {
    let host = machine();
    let make = "SOURCE_DATE_EPOCH=1 sh /run/suite/source/packaging/package.sh /run/suite/build";
    host.must(&format!("{make} /root/one tar && {make} /root/two tar && diff -r /root/one /root/two"));
    for (name, whole) in [("ansible", ROLE), ("chef", "/root/packaging/chef")] {
        let archive = concat!("-", env!("CARGO_PKG_VERSION"), ".tar.gz");
        host.must(&format!("mkdir /root/{name} && tar -C /root/{name} --strip-components 1 -xf /root/one/authkeys-{name}{archive}"));
        host.must(&format!("diff -r /root/{name} {whole}"));
    }
    let metadata = host.read(&format!("{COOKBOOK}/metadata.rb"));
    assert!(metadata.contains(concat!("\nversion '", env!("CARGO_PKG_VERSION"), "'\n")), "{metadata}");
}

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
                "shared": [{"account": "root"}],
                "automation": [{"account": "dave", "keys": [suite.public_key("dave")], "from": ["127.0.0.1"], "services": ["sshd", "sudo"],
                                "owner": "us", "reason": "a \"robot\"", "until": "2100-01-01"}],
            },
        },
    }});
    suite.host.must("pam-oncall-enable --undo && rm /etc/ssh/sshd_config.d/10-authkeys.conf /etc/authkeys/*");
    (suite, node)
}

#[test]
fn the_cookbook_sets_a_host_up_and_back() {
    let (suite, mut node) = unprepared();
    let stat =
        || suite.host.must("cd /etc && stat -c '%n %U:%G %a' authkeys/* ssh/sshd_config.d/10-authkeys.conf");
    let state = || suite.host.must("cd /etc && ls -l --time-style=full-iso pam.d ssh/sshd_config.d authkeys");
    let before = suite.host.must("cat /etc/pam.d/*");
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
    assert_eq!(changes(&suite, "default", &node), set_up);
    let modes = "authkeys/config.toml root:root 644\nauthkeys/people.toml root:root 644\nauthkeys/rota.toml root:root 644\n\
                 ssh/sshd_config.d/10-authkeys.conf root:root 644\n";
    assert_eq!(stat(), modes);
    let after = state();
    assert_eq!(changes(&suite, "default", &node), [""; 0]);
    assert_eq!(state(), after);

    // What the host's own programs refuse is not put in its place, and nothing else is.
    let right = node.clone();
    let must_refuse = |slip: &dyn Fn(&mut Value), words: &str| {
        let mut node = right.clone();
        node["authkeys"]["files"]["people.toml"] = "".into();
        slip(&mut node["authkeys"]);
        let output = converge(&suite, "default", &node);
        assert!(!output.status.success() && text(&output).contains(words), "{}", text(&output));
        assert_eq!(state(), after);
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

    // A sync that failed is made again by the next run, and only then: an hour of nobody in the rota is refused by its guard.
    let synced = |node: &Value| {
        let output = converge(&suite, "default", node);
        (output.status.success(), text(&output).contains("told service[oncall-cache-sync] restart"))
    };
    assert_eq!(synced(&right), (true, false));
    // Instants are told to the second: what changes in that of a sync counts as read.
    suite.host.must("until [ $(date +%s) -gt $(stat -c %Z /var/lib/oncall-cache/roster.db) ]; do :; done");
    node["authkeys"]["files"]["rota.toml"] = "[[schedule]]\nid = 'primary'\n".into();
    assert_eq!([synced(&node), synced(&node)], [(false, true); 2]);
    assert_eq!([synced(&right), synced(&right)], [(true, true), (true, false)]);

    // So it is after a secret, which may stand in a recipe of somebody's own.
    let newer = "[ $(stat -c %Z /etc/authkeys/token) -gt $(stat -c %Z /var/lib/oncall-cache/roster.db) ]";
    suite.host.must(&format!("until touch /etc/authkeys/token; {newer}; do :; done"));
    assert_eq!([synced(&right), synced(&right)], [(true, true), (true, false)]);
    let after = state();

    // Enforced where the doctor finds nothing but what is told to be ignored.
    node = right;
    node["authkeys"]["mode"] = "enforce".into();
    suite.sync();
    let found: Value =
        serde_json::from_slice(&suite.host.sh("oncall-cache doctor --json").stdout).expect("JSON");
    let ids: Vec<&Value> =
        found["findings"].as_array().expect("a list").iter().map(|one| &one["id"]).collect();
    node["authkeys"]["doctor_ignores"] = json!(ids);
    suite.host.write("/etc/sudoers.d/late", "Defaults !pam_acct_mgmt\n", 0o440);
    let output = converge(&suite, "default", &node);
    assert!(!output.status.success(), "{}", text(&output));
    assert!(
        text(&output)
            .contains("this host observes as before; its doctor says: open sudo-pam /etc/sudoers.d/late: "),
        "{}",
        text(&output)
    );
    assert_eq!(state(), after);
    suite.host.must("rm /etc/sudoers.d/late");
    let enforced = ["template[/etc/authkeys/config.toml] create", "authkeys_config[enforce] create"];
    assert_eq!(changes(&suite, "default", &node), enforced);
    assert!(
        suite.run_as("alice", "sudo -n true").status.success()
            && !suite.run_as("bob", "sudo -n true").status.success()
    );
    assert_eq!(changes(&suite, "default", &node), [""; 0]);

    node["authkeys"]["purge"] = true.into();
    let removed = changes(&suite, "remove", &node);
    assert!(removed.contains(&"authkeys_pam[stacks] disable".to_string()), "{removed:?}");
    assert_eq!(suite.host.must("cat /etc/pam.d/*"), before);
    assert!(
        !suite.host.path("/etc/authkeys").exists() && suite.run_as("bob", "sudo -n true").status.success()
    );
    assert_eq!(changes(&suite, "remove", &node), [""; 0]);
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
            "not_if { words.empty? ||",
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
