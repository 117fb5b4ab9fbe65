//! Logins through a real sshd, libpam and sudo: who gets in as root, who does not, and what they read.

use std::process::Output;

use harness::suite::{CONFIG, DAY, HOUR, Suite, TEAM, soon};
use harness::text;

/// alice is on call for the next hour, bob after her.
fn suite() -> Suite {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR), ("bob", HOUR, DAY)]);
    suite.sync();
    suite
}

fn admitted(output: &Output) {
    assert!(output.status.success(), "was refused: {}", text(output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n", "{}", text(output));
}

fn refused(output: &Output, words: &str) {
    assert!(!output.status.success(), "was let in: {}", text(output));
    assert!(!text(output).contains("\n0\n"), "ran its command: {}", text(output));
    assert!(text(output).contains(words), "expected {words:?} in {}", text(output));
}

/// The one decision since the last look; its words are `name=value`.
fn one_decision(suite: &Suite) -> String {
    let lines = suite.decisions();
    assert_eq!(lines.len(), 1, "one line for one decision: {lines:#?}");
    lines.into_iter().next().unwrap_or_default()
}

fn sudo(suite: &Suite, person: &str) -> Output {
    suite.run_as(person, "sudo -n id -u")
}

#[test]
fn the_person_on_call_is_root_and_nobody_else() {
    let suite = suite();
    admitted(&suite.ssh("alice", "root", "id -u"));
    let line = one_decision(&suite);
    for field in [
        "person=alice decision=allow reason=oncall rule=everywhere schedule=rota/primary level=1 ",
        " service=sshd account=root rhost=127.0.0.1 tty=ssh fingerprint=SHA256:",
    ] {
        assert!(line.contains(field), "{line}");
    }
    // Who could be admitted at another time is told; sshd counts it against nobody.
    for other in ["bob", "carol"] {
        let output = suite.ssh(other, "root", "id -u");
        refused(
            &output,
            &format!("root on testhost is for people on call: {other} is not (alice is, until "),
        );
        assert_eq!(output.status.code(), Some(254), "{}", text(&output));
        assert!(
            one_decision(&suite).starts_with(&format!("person={other} decision=refuse reason=not-oncall "))
        );
    }
    // authkeys prints no other key, so sshd never gets as far as asking PAM.
    refused(&suite.ssh("dave", "root", "id -u"), "Permission denied (publickey");
    assert_eq!(suite.decisions(), [""; 0]);
}

#[test]
fn a43_a_member_of_sudo_is_refused_off_call_and_an_ordinary_user_is_not_touched() {
    let suite = suite();
    assert!(suite.ssh("alice", "alice", "true").status.success());
    assert!(one_decision(&suite).starts_with("person=alice decision=allow reason=oncall "));
    let until = "bob on testhost is for people on call: bob is not (alice is, until ";
    refused(&suite.ssh("bob", "bob", "echo in"), until);
    assert!(one_decision(&suite).starts_with("person=bob decision=refuse reason=not-oncall "));
    assert!(suite.ssh("dave", "dave", "true").status.success());
    assert!(one_decision(&suite).starts_with("person=dave decision=not-ours reason=not-guarded "));
}

#[test]
fn a_rule_names_this_host_as_dns_would_and_one_that_does_not_is_said() {
    let suite = suite();
    let config = |host: &str, rule: &str| {
        let config = CONFIG
            .replace("\"testhost\"", &format!("\"{host}\""))
            .replace("schedules = [", &format!("hosts = [\"{rule}\"]\nschedules = ["));
        suite.host.write("/etc/authkeys/config.toml", config, 0o644);
        suite.host.must("oncall-cache config check /etc/authkeys/config.toml")
    };
    for (host, rule) in [("DB1.Example.com.", "db1.example.com"), ("db1.example.com", "Db*.EXAMPLE.COM.")] {
        assert!(!config(host, rule).contains("rule"));
        admitted(&sudo(&suite, "alice"));
        admitted(&suite.ssh("alice", "root", "id -u"));
    }
    let _ = suite.decisions();
    let words = "no rule covers this host (db1.example.com); rules name db1";
    assert!(config("db1.example.com", "db1").contains(&format!("note: {words}\n")));
    let login = [|suite: &Suite| sudo(suite, "alice"), |suite: &Suite| suite.ssh("alice", "root", "id -u")];
    for login in login {
        refused(&login(&suite), words);
        assert!(one_decision(&suite).starts_with("person=alice decision=refuse reason=no-rule "));
    }
    for verb in ["why alice", "test-access alice"] {
        let output = suite.host.sh(&format!("oncall-cache {verb}"));
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output).contains(words), "{}", text(&output));
    }
}

#[test]
fn sudo_is_for_the_person_on_call() {
    let suite = suite();
    admitted(&sudo(&suite, "alice"));
    let line = one_decision(&suite);
    assert!(line.contains("person=alice decision=allow reason=oncall "), "{line}");
    assert!(line.contains(" service=sudo account=alice asker=alice"), "{line}");
    refused(&sudo(&suite, "bob"), "sudo on testhost is for people on call: bob is not (alice is, until ");
    assert!(one_decision(&suite).contains("person=bob decision=refuse reason=not-oncall "));
    refused(&sudo(&suite, "dave"), "the directory does not list dave as eligible");
    assert!(one_decision(&suite).contains("person=dave decision=refuse reason=not-eligible "));
    refused(&suite.run_as("bob", "sudo -n -u dave id -u"), "bob is not (alice is, until ");
    let _ = one_decision(&suite);
    admitted(&suite.run_as("alice", "sudo -n -i id -u"));
    assert!(one_decision(&suite).contains(" service=sudo-i account=alice "));
}

#[test]
fn the_hand_over_happens_at_its_second_without_a_sync() {
    let suite = Suite::start();
    soon(10, |seconds| {
        suite.write_people(&TEAM);
        let over = suite.write_rota(&[("alice", -HOUR, seconds), ("bob", seconds, HOUR)]) + seconds;
        suite.sync();
        suite.host.must("rm /etc/authkeys/rota.toml /etc/authkeys/people.toml");
        admitted(&suite.ssh("alice", "root", "id -u"));
        admitted(&sudo(&suite, "alice"));
        refused(&suite.ssh("bob", "root", "id -u"), "bob is not (alice is, until ");
        refused(&sudo(&suite, "bob"), "bob is not (alice is, until ");
        over
    });
    refused(&suite.ssh("alice", "root", "id -u"), "alice is not (bob is, until ");
    refused(&sudo(&suite, "alice"), "alice is not (bob is, until ");
    admitted(&suite.ssh("bob", "root", "id -u"));
    admitted(&sudo(&suite, "bob"));
}

#[test]
fn a_key_in_roots_own_file_opens_nothing_for_those_not_admitted() {
    let suite = suite();
    suite.host.must("ssh-keygen -qt ed25519 -N '' -f /root/keys/stranger");
    suite.host.must("mkdir -m 700 -p /root/.ssh && cat /root/keys/*.pub >/root/.ssh/authorized_keys");
    for (key, person, words, reason) in [
        ("bob", "bob", "root on testhost is for people on call: bob is not (alice is, until ", "not-oncall"),
        ("dave", "dave", "the directory does not list dave as eligible", "not-eligible"),
        ("stranger", "-", "what opened this session belongs to nobody in the directory", "unknown-person"),
    ] {
        let command = suite.ssh(key, "root", "id -u");
        refused(&command, words);
        assert_eq!(command.status.code(), Some(254), "{}", text(&command));
        assert!(
            one_decision(&suite).starts_with(&format!("person={person} decision=refuse reason={reason} "))
        );
        let sftp = suite.host.sh(&format!(
            "echo 'ls /' | timeout 300 sftp -F none -i /root/keys/{key} -o IdentitiesOnly=yes -o BatchMode=yes \
             -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -P 2222 root@127.0.0.1"
        ));
        assert!(!sftp.status.success() && !text(&sftp).contains("etc"), "{}", text(&sftp));
        let remote = ["-N", "-o", "ExitOnForwardFailure=yes", "-R", "9999:127.0.0.1:22"];
        let forward = suite.ssh_with(key, &remote, "root", "");
        assert!(!forward.status.success(), "{}", text(&forward));
        // The far side of -W would answer with sshd's own greeting, SSH-2.0.
        let forward = suite.ssh_with(key, &["-W", "127.0.0.1:2222"], "root", "");
        assert!(!text(&forward).contains("SSH-2.0"), "{}", text(&forward));
        let _ = suite.decisions();
    }
    // The same door lets the person on call through.
    admitted(&suite.ssh("alice", "root", "id -u"));
    let forward = suite.host.sh(
        "echo | timeout 300 ssh -F none -i /root/keys/alice -o IdentitiesOnly=yes -o StrictHostKeyChecking=no \
         -o UserKnownHostsFile=/dev/null -p 2222 -W 127.0.0.1:2222 root@127.0.0.1",
    );
    assert!(text(&forward).contains("SSH-2.0"), "forwarding works for those admitted: {}", text(&forward));
}

#[test]
fn with_nobody_admitted_root_is_refused_when_the_session_opens() {
    let suite = suite();
    suite.write_rota(&[("dave", -HOUR, HOUR), ("bob", HOUR, DAY)]);
    suite.sync();
    suite.host.must("mkdir -m 700 -p /root/.ssh && cat /root/keys/bob.pub >/root/.ssh/authorized_keys");
    let output = suite.ssh("bob", "root", "id -u");
    refused(&output, "root on testhost is for people on call: nobody is now; more: oncall-cache who");
    assert_eq!(output.status.code(), Some(254), "refused by the session: {}", text(&output));
    assert!(one_decision(&suite).starts_with("person=bob decision=refuse reason=not-oncall "));
}

#[test]
fn without_the_promise_of_a_session_line_root_is_refused_altogether() {
    let suite = suite();
    suite.host.must("sed -i 's/ shared=session//' /etc/pam.d/sshd");
    refused(
        &suite.ssh("alice", "root", "id -u"),
        "what opened this session belongs to nobody in the directory",
    );
    assert!(one_decision(&suite).starts_with("person=- decision=refuse reason=unknown-person "));
    assert!(suite.ssh("alice", "alice", "true").status.success(), "personal accounts need no such word");
}

#[test]
fn account_management_leaves_a_refusal_to_a_session_line_that_decides_first_and_to_no_other() {
    let suite = suite();
    let stack = suite.host.read("/etc/pam.d/sshd");
    let refused_with = |code: i32, what: &str| {
        let output = suite.ssh("bob", "bob", "echo in");
        refused(&output, "bob on testhost is for people on call: bob is not (alice is, until ");
        assert_eq!(output.status.code(), Some(code), "{what}: {}", text(&output));
        // Where ssh shows it beside what a command or sftp says.
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(told.matches("bob on testhost").count(), 1, "{what}: {}", text(&output));
        assert!(one_decision(&suite).starts_with("person=bob decision=refuse reason=not-oncall "), "{what}");
    };
    refused_with(254, "as it comes");
    let ours = "session requisite pam_oncall.so\n";
    assert!(stack.contains(ours));
    for (what, changed) in [
        ("no session line", stack.replace(ours, "")),
        (
            "another may end the stack before it",
            stack.replace(ours, "session sufficient pam_permit.so\nsession requisite pam_oncall.so\n"),
        ),
        ("it is optional", stack.replace(ours, "session optional pam_oncall.so\n")),
        (
            "another takes its refusal back",
            stack.replace(ours, "session required pam_oncall.so\nsession [default=reset] pam_permit.so\n"),
        ),
        (
            "it is another configuration's",
            stack.replace(ours, "session requisite pam_oncall.so config=/other\n"),
        ),
        ("no promise", stack.replace(" shared=session", "")),
    ] {
        suite.host.write("/etc/pam.d/sshd", changed, 0o644);
        refused_with(255, what);
    }
    // sshd would run passwd(1) on a terminal, whatever the session says.
    suite.host.write("/etc/pam.d/sshd", stack, 0o644);
    suite.host.must("chage -d 0 bob");
    refused_with(255, "a password that is to be changed first");
}

#[test]
fn the_stack_lines_are_not_put_in_before_the_module_is_there() {
    let suite = Suite::start();
    suite.host.must("sh /run/suite/source/packaging/pam/enable.sh --undo");
    suite.host.must("mv /usr/lib/*/security/pam_oncall.so /root/");
    let output = suite.host.sh("sh /run/suite/source/packaging/pam/enable.sh");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(suite.host.sh("grep -l pam_oncall /etc/pam.d/*").stdout.is_empty());
}

#[test]
fn other_peoples_group_names_touch_nobody() {
    let suite = suite();
    suite.host.must(r"printf 'caf\351:x:5001:dave\nodd line\n' >>/etc/group");
    assert!(suite.ssh("dave", "dave", "true").status.success());
    assert!(one_decision(&suite).starts_with("person=dave decision=not-ours reason=not-guarded "));
    refused(&suite.ssh("bob", "bob", "true"), "bob is not (alice is, until ");
}

#[test]
fn the_stack_lines_are_put_in_by_no_slip_of_the_pen() {
    let suite = Suite::start();
    let stacks = || suite.host.must("cat /etc/pam.d/*");
    let enabled = stacks();
    let slip = suite.host.sh("sh /run/suite/source/packaging/pam/enable.sh --und");
    assert_eq!((slip.status.code(), stacks()), (Some(64), enabled));
}

#[test]
fn with_everything_deleted_ordinary_users_log_in_and_guarded_logins_are_refused() {
    let suite = suite();
    // Keys in their own files, as on any host: authkeys has nothing to answer from.
    for name in ["dave", "alice", "root"] {
        let home = if name == "root" { "/root".to_string() } else { format!("/home/{name}") };
        suite.host.must(&format!(
            "mkdir -p {home}/.ssh && cat /root/keys/*.pub >{home}/.ssh/authorized_keys && chown -R {name} {home}/.ssh && chmod 700 {home}/.ssh"
        ));
    }
    suite.host.must("rm -rf /var/lib/oncall-cache/* /var/lib/authkeys/*");
    refused(&suite.ssh("alice", "alice", "echo in"), "this host cannot tell who is (cache-missing)");
    refused(&suite.ssh("alice", "root", "id -u"), "this host cannot tell who is (cache-missing)");
    refused(&sudo(&suite, "alice"), "this host cannot tell who is (cache-missing)");
    assert!(suite.ssh("dave", "dave", "true").status.success());
    assert_eq!(suite.decisions().len(), 4);
    suite.host.must("rm -rf /etc/authkeys /var/lib/oncall-cache /var/lib/authkeys");
    refused(&suite.ssh("alice", "root", "id -u"), "this host cannot tell who is (config-invalid)");
    refused(&suite.ssh("alice", "alice", "echo in"), "this host cannot tell who is (config-invalid)");
    refused(&sudo(&suite, "alice"), "this host cannot tell who is (config-invalid)");
    assert!(suite.ssh("dave", "dave", "true").status.success());
    // Root's own scripts use sudo and su; they are root already.
    admitted(&suite.host.sh("sudo -n id -u"));
}

#[test]
fn an_exempt_account_needs_no_database() {
    let suite = suite();
    suite
        .host
        .must("useradd -m -s /bin/sh -G sudo breakglass && rm -rf /var/lib/oncall-cache /var/lib/authkeys");
    suite.host.must(
        "mkdir -p ~breakglass/.ssh && cp /root/keys/carol.pub ~breakglass/.ssh/authorized_keys && chown -R breakglass ~breakglass/.ssh",
    );
    admitted(&suite.ssh("carol", "breakglass", "sudo -n id -u"));
    let lines = suite.decisions();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines.iter().all(|line| line.contains("decision=allow reason=exempt ")), "{lines:#?}");
}

#[test]
fn a48_the_process_environment_is_no_evidence() {
    let suite = suite();
    let key = suite.public_key("alice");
    let forged = format!(
        "export USER=alice LOGNAME=alice SUDO_USER=alice PAM_RUSER=alice AUTHKEYS_CONFIG=/tmp/x TZ=Pacific/Kiritimati \
         SSH_AUTH_INFO_0='publickey {key}'; sudo -n id -u"
    );
    refused(&suite.run_as("bob", &forged), "bob is not (alice is, until ");
    assert!(one_decision(&suite).contains("person=bob decision=refuse reason=not-oncall "));
}

#[test]
fn a48_nor_is_what_a_user_writes_into_the_environment_of_pam() {
    let suite = suite();
    suite.host.must("useradd -m -s /bin/sh deploy; printf '[[policy.shared_account]]\naccount = \"deploy\"\n' >>/etc/authkeys/config.toml");
    suite.host.must("mkdir -p ~deploy/.ssh; cat /root/keys/*.pub >~deploy/.ssh/authorized_keys; chown -R deploy ~deploy/.ssh");
    // Our line behind pam_env's, which reads what deploy writes.
    let line = "session requisite pam_oncall.so";
    suite.host.must(&format!("sed -i '/^{line}/d' /etc/pam.d/sshd; echo '{line}' >>/etc/pam.d/sshd"));
    suite.host.must("grep -q 'pam_env.so user_readenv=1' /etc/pam.d/sshd");
    assert!(suite.ssh("alice", "deploy", "true").status.success());
    let _ = suite.decisions();
    let key = suite.public_key("alice").replace(" alice", "");
    for forged in [
        format!("publickey {key}"),
        format!("publickey {key} ${{SSH_AUTH_INFO_0}}"),
        format!("${{SSH_AUTH_INFO_0}}publickey {key}"),
        format!("x${{SSH_AUTH_INFO_0}}publickey {key} ${{SSH_AUTH_INFO_0}}"),
    ] {
        let text = format!("SSH_AUTH_INFO_0 DEFAULT=\"{forged}\"\n");
        suite.host.write("/home/deploy/.pam_environment", text, 0o644);
        refused(&suite.ssh("bob", "deploy", "echo in"), "deploy on testhost is for people on call: ");
        assert!(!one_decision(&suite).contains("person=alice"), "{forged}");
    }
}

/// Puts alice's key instead of another's.
fn claim_alices_key(suite: &Suite, name: &str) {
    let (hers, theirs) = (suite.public_key("alice"), suite.public_key(name));
    let people = suite.host.read("/etc/authkeys/people.toml").replace(&theirs, &hers);
    suite.host.write("/etc/authkeys/people.toml", people, 0o644);
    suite.sync();
}

#[test]
fn a_key_that_two_eligible_people_have_is_nobodys() {
    let suite = suite();
    claim_alices_key(&suite, "bob");
    let _ = suite.lines_of("authkeys");
    refused(&suite.ssh("alice", "root", "id -u"), "Permission denied (publickey");
    let lines = suite.lines_of("authkeys");
    assert!(lines[0].contains("reason=no-keys keys=0 dropped=2 ambiguous=alice,bob"), "{lines:?}");
    let explained = suite.must_as("root", "authkeys --explain root");
    let words = ": dropped: several people have it: alice,bob (ambiguous-person)\n";
    assert!(
        explained.contains("\nalice: ssh-ed25519 256 SHA256:") && explained.contains(words),
        "{explained}"
    );
    suite.host.must("mkdir -m 700 -p /root/.ssh && cat /root/keys/alice.pub >/root/.ssh/authorized_keys");
    refused(&suite.ssh("alice", "root", "id -u"), "does not identify one person");
    let decision = one_decision(&suite);
    assert!(decision.starts_with("person=- decision=refuse reason=ambiguous-person "), "{decision}");
    assert!(decision.contains(" owners=alice,bob "), "{decision}");
}

#[test]
fn who_cannot_become_root_takes_the_key_from_nobody_who_can() {
    let suite = suite();
    claim_alices_key(&suite, "dave");
    let key = suite.public_key("alice").replace(" alice", "");
    let line = || {
        let lines = suite.must_as("authkeys", "authkeys root");
        let hers: Vec<&str> = lines.lines().filter(|line| line.contains(&key)).collect();
        assert_eq!(hers.len(), 1, "{lines}");
        hers[0].to_string()
    };
    assert_eq!(line(), format!("{key} alice"));
    admitted(&suite.ssh("alice", "root", "id -u"));
    assert!(one_decision(&suite).starts_with("person=alice decision=allow reason=oncall "));
    // Off call she is refused as herself, and dave is nobody whom the key would admit.
    suite.write_rota(&[("bob", -HOUR, HOUR)]);
    suite.sync();
    assert!(line().starts_with("restrict,command=\"/usr/bin/oncall-cache explain\" "));
    suite.host.must("mkdir -m 700 -p /root/.ssh && cat /root/keys/alice.pub >/root/.ssh/authorized_keys");
    refused(&suite.ssh("alice", "root", "id -u"), "alice is not (bob is, until ");
    // One who left and may have become root once counts no more.
    suite.must_as("authkeys-sync", "sqlite3 /var/lib/authkeys/keys.db \"UPDATE person SET eligible = 1, disabled = 'left' WHERE principal = 'dave'\"");
    suite.must_as("oncall-cache", "oncall-cache sync");
    let _ = suite.decisions();
    refused(&suite.ssh("alice", "root", "id -u"), "alice is not (bob is, until ");
    assert!(one_decision(&suite).starts_with("person=alice decision=refuse reason=not-oncall "));
}

#[test]
fn a44_another_name_for_uid_0_is_as_guarded_as_root() {
    let suite = suite();
    suite.host.must("useradd -o -u 0 -g 0 -m -d /home/toor -s /bin/sh toor");
    suite.host.must("mkdir -p ~toor/.ssh && cat /root/keys/*.pub >~toor/.ssh/authorized_keys");
    admitted(&suite.ssh("alice", "toor", "id -u"));
    assert!(one_decision(&suite).starts_with("person=alice decision=allow reason=oncall "));
    refused(
        &suite.ssh("bob", "toor", "id -u"),
        "toor on testhost is for people on call: bob is not (alice is, until ",
    );
}

#[test]
fn a43_su_is_for_whoever_is_on_call_if_the_account_entered_is_guarded() {
    let suite = suite();
    suite.host.must("printf 'root:secret\\ndave:secret\\nalice:secret\\n' | chpasswd");
    let su = |caller: &str, words: &str| {
        suite.run_as(
            caller,
            &format!("printf 'secret\\n' | SUDO_USER=alice LOGNAME=alice su {words} -c 'id -un'"),
        )
    };
    let entered = |output: &Output, name: &str| {
        assert!(output.status.success(), "{}", text(output));
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), name);
    };
    entered(&su("alice", "root"), "root");
    let line = one_decision(&suite);
    assert!(line.starts_with("person=alice decision=allow reason=oncall "), "{line}");
    assert!(line.contains(" service=su account=root "), "{line}");
    entered(&su("alice", "- root"), "root");
    assert!(one_decision(&suite).contains(" service=su-l "));
    refused(&su("bob", "root"), "root on testhost is for people on call: bob is not (alice is, until ");
    assert!(one_decision(&suite).starts_with("person=bob decision=refuse reason=not-oncall "));
    refused(&su("dave", "root"), "the directory does not list dave as eligible");
    refused(&su("bob", "alice"), "alice on testhost is for people on call: bob is not");
    let _ = suite.decisions();
    entered(&su("bob", "dave"), "dave");
    assert!(one_decision(&suite).starts_with("person=bob decision=not-ours reason=not-guarded "));
    // Root's own scripts.
    entered(&suite.host.sh("su dave -c 'id -un'"), "dave");
    entered(&suite.host.sh("su root -c 'id -un'"), "root");
    assert!(one_decision_of(&suite, 2).contains("reason=already-root"));
}

/// The last of so many decisions.
fn one_decision_of(suite: &Suite, count: usize) -> String {
    let lines = suite.decisions();
    assert_eq!(lines.len(), count, "{lines:#?}");
    lines.into_iter().next_back().unwrap_or_default()
}

#[test]
fn login_and_polkit_admit_by_the_account_and_the_console_is_open() {
    let suite = suite();
    for service in ["login", "polkit-1"] {
        suite.host.must(&format!(
            "printf 'account required pam_oncall.so\\naccount required pam_permit.so\\n' >/etc/pam.d/{service}"
        ));
    }
    let ask = |service: &str, account: &str, tty: &str| {
        let command = format!("pamtester -I tty={tty} {service} {account} acct_mgmt");
        let output = suite.host.sh(&command);
        let line = one_decision(&suite);
        let reason = line.split(' ').find_map(|field| field.strip_prefix("reason=")).unwrap_or_default();
        (output.status.success(), reason.to_string())
    };
    let answer = |admitted, reason: &str| (admitted, reason.to_string());
    for (service, tty) in [("login", "/dev/tty3"), ("polkit-1", "/dev/tty1")] {
        assert_eq!(ask(service, "alice", tty), answer(true, "oncall"), "{service}");
        assert_eq!(ask(service, "bob", tty), answer(false, "not-oncall"), "{service}");
        assert_eq!(ask(service, "root", tty), answer(false, "unknown-person"), "{service}");
    }
    assert_eq!(ask("login", "dave", "/dev/tty3"), answer(true, "not-guarded"));
    // polkit asks whom its rules call an administrator, and no list of ours has to know the group.
    assert_eq!(ask("polkit-1", "dave", ""), answer(false, "not-eligible"));
    suite.host.must("rm -rf /etc/authkeys /var/lib/oncall-cache");
    for console in ["tty1", "/dev/tty1", "/dev/ttyS0"] {
        assert_eq!(ask("login", "root", console), answer(true, "exempt"), "{console}");
    }
    assert_eq!(ask("login", "root", "/dev/pts/1"), answer(false, "unknown-person"));
    assert_eq!(ask("login", "bob", "/dev/pts/1"), answer(false, "config-invalid"));
}

/// `login` on a terminal of its own; what was typed there follows `account`, who gave their password before.
fn login(suite: &Suite, account: &str) -> String {
    let typed = "printf 'id -u; echo role=$(id -un)\\nexit\\n'";
    text(&suite.host.sh(&format!("{typed} | script -qec 'login -f {account}' /dev/null")))
}

#[test]
fn the_real_login_lets_in_who_is_on_call_and_on_an_exempt_terminal_whoever_has_the_password() {
    let suite = suite();
    suite.host.must("pam-oncall-enable login");
    let said = login(&suite, "alice");
    assert!(said.contains("role=alice\r\n") && said.contains("\non call for primary until "), "{said}");
    let lines = suite.decisions();
    assert!(
        lines[0].contains("person=alice decision=allow reason=oncall ")
            && lines[0].contains(" service=login account=alice tty=/dev/pts/"),
        "{lines:#?}"
    );
    let said = login(&suite, "bob");
    assert!(
        !said.contains("role=bob\r\n") && said.contains("bob on testhost is for people on call: bob is not"),
        "{said}"
    );
    assert!(!login(&suite, "root").contains("role=root\r\n"));
    assert!(login(&suite, "dave").contains("role=dave\r\n"));

    // A terminal is used as a console: with nothing left to decide by, it is open.
    let terminals: Vec<String> = (0..20).map(|number| format!("'pts/{number}'")).collect();
    let exempt = format!("[policy]\nexempt_ttys = [{}]\n", terminals.join(", "));
    suite.host.must("rm -rf /var/lib/oncall-cache /var/lib/authkeys");
    suite.host.write("/etc/authkeys/config.toml", exempt, 0o644);
    for account in ["root", "bob"] {
        assert!(login(&suite, account).contains(&format!("role={account}\r\n")), "{account}");
    }
}
