//! The Ansible role.

use harness::{Suite, text};
use serde_json::{Value, json};

use super::{COOKBOOK, OPERATIONS, ROLE, ansible, machine, read_toml, render};

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
            "a file needs another name",
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
            "[[person]]\nusername = 'alice'\n",
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

/// Who is told is looked at before it is written, and by a secret that is there.
#[test]
fn the_role_sets_up_notices() {
    let host = machine();
    host.must(
        "ln -sf /run/suite/build/oncall-notify /usr/bin/oncall-notify && groupadd -f oncall-notify
         mkdir -p /etc/authkeys /var/log/authkeys && touch /var/log/authkeys/decisions.jsonl
         echo xoxb-1 >/etc/authkeys/slack-token && chmod 640 /etc/authkeys/slack-token
         printf '#!/bin/sh\n' >/usr/bin/systemctl",
    );
    // systemd did not boot this machine: of the last task it is known that it comes.
    let play = "- hosts: localhost\n  gather_facts: false\n  tasks:\n    \
                - ansible.builtin.include_vars: roles/authkeys/vars/main.yml\n    \
                - ansible.builtin.include_role: {name: authkeys, tasks_from: notify}\n";
    host.write(&format!("{ROLE}/notify.yml"), play, 0o644);
    let run = |notify: &Value| {
        host.write("/root/variables.json", json!({ "authkeys_notify": notify }).to_string(), 0o644);
        let said =
            ansible(&host, "ansible-playbook -i localhost, -c local notify.yml -e @/root/variables.json");
        text(&said)
    };
    let mut notify = json!({
        "files": ["/var/log/authkeys/decisions.jsonl"], "people": {"mail_domain": "example.com"},
        "channel": [{"name": "you", "window": "5m", "slack": {"token_file": "slack-token", "to": "person"}}],
    });
    let tells = "TASK [authkeys : Tell them]";
    let said = run(&notify);
    assert!(said.contains(tells), "{said}");
    assert_eq!(read_toml(&host, "/etc/authkeys/notify.toml"), notify);
    assert_eq!(
        host.must(
            "stat -c '%U:%G %a' /var/log/authkeys /var/log/authkeys/decisions.jsonl /etc/authkeys/notify.toml"
        ),
        "root:oncall-notify 750\nroot:oncall-notify 640\nroot:root 644\n"
    );
    let there = host.read("/etc/authkeys/notify.toml");
    notify["channel"][0]["slack"]["token_file"] = "elsewhere".into();
    let said = run(&notify);
    assert!(said.contains("channel you: /etc/authkeys/elsewhere") && !said.contains(tells), "{said}");
    notify["channel"][0]["slak"] = json!({});
    let said = run(&notify);
    assert!(said.contains("unknown key `slak`; did you mean `slack`?") && !said.contains(tells), "{said}");
    assert_eq!(host.read("/etc/authkeys/notify.toml"), there);
}

/// On a collector, or without a fleet on one host, which needs the package for that alone.
#[test]
fn the_role_sets_up_sinks() {
    let host = machine();
    host.must(
        "ln -sf /run/suite/build/oncall-collector /usr/bin/oncall-collector && mkdir -p /etc/authkeys
         printf '#!/bin/sh\n' >/usr/bin/systemctl",
    );
    // systemd did not boot this machine: of the last task it is known that it comes.
    let play = "- hosts: localhost\n  gather_facts: false\n  tasks:\n    \
                - ansible.builtin.include_vars: roles/authkeys/vars/main.yml\n    \
                - ansible.builtin.include_vars: roles/authkeys/vars/Debian.yml\n    \
                - ansible.builtin.debug: {msg: \"packages {{ _authkeys_packages | join(' ') }}\"}\n    \
                - ansible.builtin.include_role: {name: authkeys, tasks_from: sinks}\n";
    host.write(&format!("{ROLE}/sinks.yml"), play, 0o644);
    let run = |sinks: &Value| {
        let variables = json!({ "authkeys_sinks": sinks, "authkeys_nss": false, "ansible_facts": {"architecture": "x86_64"} });
        host.write("/root/variables.json", variables.to_string(), 0o644);
        text(&ansible(&host, "ansible-playbook -i localhost, -c local sinks.yml -e @/root/variables.json"))
    };
    let mut sinks = json!({ "sink": [{
        "name": "ops-topic", "schedules": ["pd/PDB0001"], "hold_max": "2h",
        "slack_topic": {"channel": "C0123456789", "token_file": "slack-token", "ids": {"alice": "U0123456789"}},
    }] });
    let tells = "TASK [authkeys : Tell them each minute]";
    let said = run(&sinks);
    assert!(
        said.contains("packages authkeys libpam-oncall oncall-collector") && said.contains(tells),
        "{said}"
    );
    assert_eq!(read_toml(&host, "/etc/authkeys/sinks.toml"), sinks);
    assert_eq!(host.must("stat -c '%U:%G %a' /etc/authkeys/sinks.toml"), "root:root 644\n");
    host.must("oncall-collector config check");
    sinks["sink"][0]["slack_topc"] = json!({});
    let said = run(&sinks);
    assert!(said.contains("unknown key `slack_topc`; did you mean `slack_topic`?"), "{said}");
    assert!(!said.contains(tells), "{said}");
    host.must("oncall-collector config check");
}

#[test]
fn the_role_leaves_out_what_cannot_be_guarded_unless_it_is_named() {
    let suite = Suite::start();
    suite.host.must("cp -r /run/suite/source/packaging /root/ && pam-oncall-enable --undo");
    suite
        .host
        .must("sed -i 's/^\\[policy\\]/&\\npam_services = [\"sshd\", \"sudo\"]/' /etc/authkeys/config.toml");
    let play = "- hosts: localhost\n  gather_facts: false\n  tasks:\n    \
                - ansible.builtin.include_role: {name: authkeys, tasks_from: stacks}\n";
    suite.host.write(&format!("{ROLE}/stacks.yml"), play, 0o644);
    let run = |services: &str| {
        let variables = format!("-e '{{\"authkeys_pam_services\": {services}}}'");
        ansible(&suite.host, &format!("ansible-playbook -i localhost, -c local stacks.yml {variables}"))
    };
    let ours = || suite.host.must("grep -l pam_oncall /etc/pam.d/sshd /etc/pam.d/sudo /etc/pam.d/su || true");
    let output = run("[\"all\"]");
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(ours(), "/etc/pam.d/sshd\n/etc/pam.d/sudo\n");
    let output = run("[\"all\"]");
    assert!(output.status.success() && text(&output).contains("changed=0"), "{}", text(&output));
    let output = run("[\"sudo\", \"su\"]");
    assert!(!output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("su: not in policy.pam_services"), "{}", text(&output));
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

/// Those that docs/operations.md lists, and tests/doctor holds against what it finds.
#[test]
fn the_role_knows_every_finding_of_the_doctor() {
    let (_, section) = OPERATIONS.split_once("\n| id | what it says | fix |\n").expect("the table");
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

/// What was signed has one spelling, and Ansible's lookups take the end of its last line away.
#[test]
fn the_role_brings_what_was_signed_of_a_policy_byte_for_byte() {
    let host = machine();
    host.must(
        "mkdir -p /etc/authkeys && cd /root && ssh-keygen -q -t ed25519 -N '' -f carol && \
         echo \"carol namespaces=\\\"policy@authkeys\\\" $(cat carol.pub)\" >signers && \
         printf '[policy]\\nmode = \"observe\"\\n' >config.toml && ln -sf /run/suite/build/oncall-cache /usr/bin/ && \
         oncall-cache policy sign --config config.toml --number 3 -i carol --yes >signed",
    );
    let play = "- hosts: localhost\n  gather_facts: false\n  tasks:\n    \
                - ansible.builtin.include_role: {name: authkeys, tasks_from: policy}\n";
    host.write(&format!("{ROLE}/policy.yml"), play, 0o644);
    let run = |variables: &str| {
        let command = format!("ansible-playbook -i localhost, -c local policy.yml -e '{variables}'");
        let output = ansible(&host, &command);
        assert!(output.status.success(), "{}", text(&output));
    };
    let lookup = |name: &str| format!("{{{{ lookup(\"file\", \"/root/{name}\") }}}}");
    let variables = json!({
        "authkeys_policy_signers": lookup("signers"), "authkeys_policy_signature": lookup("signed"),
    });
    run(&variables.to_string());
    host.must("cd /etc/authkeys && cmp policy.sig /root/signed && cmp policy-signers /root/signers");
    assert_eq!(host.must("stat -c %U:%a /etc/authkeys/policy.sig"), "root:644\n");
    let shown = host.must("cp /root/config.toml /etc/authkeys/ && oncall-cache policy show");
    assert!(shown.contains("\n# signed: number 3 of ") && shown.contains(", signed by carol\n"), "{shown}");
    // Without the variables both stay.
    run("{}");
    host.must("cd /etc/authkeys && cmp policy.sig /root/signed && cmp policy-signers /root/signers");
}
