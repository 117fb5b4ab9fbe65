//! What `[[keys.rule]]` and `explain_refusals` put before keys, read by a real ssh-keygen and obeyed by a real sshd.

use std::process::Output;

use harness::suite::{CONFIG, DAY, HOUR, Suite, instant};
use harness::{text, wait_until};

/// alice is on call for the next hour, bob after her; returns the end of her shift.
fn start(more: &str) -> (Suite, i64) {
    let suite = Suite::start();
    configure(&suite, more);
    let now = suite.write_rota(&[("alice", -HOUR, HOUR), ("bob", HOUR, DAY)]);
    suite.sync();
    (suite, now + HOUR)
}

fn configure(suite: &Suite, more: &str) {
    suite.host.write("/etc/authkeys/config.toml", format!("{CONFIG}{more}"), 0o644);
}

/// What `authkeys ARGUMENTS` prints to sshd.
fn printed(suite: &Suite, arguments: &str) -> String {
    suite.must_as("authkeys", &format!("exec authkeys {arguments}"))
}

fn dave(rule: &str) -> String {
    format!("[[keys.rule]]\naccounts = ['dave']\n{rule}\n")
}

fn admitted(output: &Output) {
    assert!(output.status.success() && text(output).contains("\nin\n"), "was refused: {}", text(output));
}

fn refused(output: &Output, words: &str) {
    assert!(!output.status.success(), "was let in: {}", text(output));
    assert!(!text(output).contains("\nin\n"), "ran its command: {}", text(output));
    assert!(text(output).contains(words), "expected {words:?} in {}", text(output));
}

/// `TYPE BASE64` of a member.
fn key_of(suite: &Suite, name: &str) -> String {
    suite.public_key(name).rsplit_once(' ').map(|(key, _)| key.to_string()).expect("a comment")
}

/// Gives dave these keys beside his own.
fn give_dave(suite: &Suite, more: &[&str]) {
    let people = suite.host.read("/etc/authkeys/people.toml");
    let own = suite.public_key("dave");
    let keys: Vec<&str> = std::iter::once(own.as_str()).chain(more.iter().copied()).collect();
    let people = people.replace(&format!("keys = ['{own}']"), &format!("keys = {keys:?}"));
    suite.host.write("/etc/authkeys/people.toml", people, 0o644);
    suite.sync_keys();
}

/// ssh-keygen reads every line; how many.
fn accepted_by_ssh_keygen(suite: &Suite, lines: &str) -> usize {
    suite.host.write("/tmp/lines", lines, 0o644);
    let said = suite.host.must("ssh-keygen -l -f /tmp/lines");
    suite.host.must("rm /tmp/lines");
    said.lines().filter(|line| line.contains(" SHA256:")).count()
}

#[test]
fn from_lets_in_whoever_comes_from_there_and_nobody_else() {
    let (suite, _) = start("");
    let own = key_of(&suite, "dave");
    let login = || suite.ssh("dave", "dave", "echo in");
    configure(&suite, &dave("from = ['10.0.0.0/8', '2001:db8::/32', '*.example.com']"));
    let line = printed(&suite, "dave");
    assert_eq!(line, format!("from=\"10.0.0.0/8,2001:db8::/32,*.example.com\" {own} dave\n"));
    assert_eq!(accepted_by_ssh_keygen(&suite, &line), 1);
    refused(&login(), "Permission denied (publickey");
    configure(&suite, &dave("from = ['192.0.2.1', '127.0.0.0/8']"));
    admitted(&login());
    // Who else there is has nothing of it.
    assert_eq!(printed(&suite, "bob"), format!("{} bob\n", key_of(&suite, "bob")));
}

#[test]
fn restrict_takes_terminal_and_forwarding_and_allow_gives_back() {
    let (suite, _) = start("");
    let terminal = || text(&suite.ssh_with("dave", &["-tt"], "dave", "tty; echo in"));
    let forward = || text(&suite.ssh_with("dave", &["-W", "127.0.0.1:2222"], "dave", ""));
    configure(&suite, &dave("restrict = true"));
    assert!(printed(&suite, "dave").starts_with("restrict ssh-ed25519 "), "{}", printed(&suite, "dave"));
    admitted(&suite.ssh("dave", "dave", "echo in"));
    assert!(terminal().contains("PTY allocation request failed"), "{}", terminal());
    assert!(forward().contains("administratively prohibited"), "{}", forward());
    configure(
        &suite,
        &dave("restrict = true\nallow = ['pty', 'agent-forwarding', 'user-rc', 'X11-forwarding']"),
    );
    let line = printed(&suite, "dave");
    assert!(line.starts_with("restrict,pty,agent-forwarding,user-rc,X11-forwarding ssh-ed25519 "), "{line}");
    assert_eq!(accepted_by_ssh_keygen(&suite, &line), 1);
    assert!(terminal().contains("/dev/pts/"), "{}", terminal());
    assert!(forward().contains("administratively prohibited"), "{}", forward());
    // Of two rules the narrower holds.
    let narrower = dave("restrict = true\nallow = ['pty']") + &dave("restrict = true\nallow = ['user-rc']");
    configure(&suite, &narrower);
    assert!(printed(&suite, "dave").starts_with("restrict ssh-ed25519 "));
    assert!(terminal().contains("PTY allocation request failed"), "{}", terminal());
}

#[test]
fn a_key_whose_expiry_time_is_over_opens_nothing() {
    let (suite, _) = start("");
    let login = || suite.ssh("dave", "dave", "echo in");
    suite.host.must("install -d -o dave -m 700 /home/dave/.ssh");
    // The line that was printed is all that sshd has: another rule keeps the key back from now on.
    let keep = |expiry: &str| {
        configure(&suite, &dave(&format!("expiry = '{expiry}'")));
        let line = printed(&suite, "dave");
        assert!(line.starts_with("expiry-time=\"20"), "{line}");
        assert_eq!(accepted_by_ssh_keygen(&suite, &line), 1);
        suite.host.write("/home/dave/.ssh/authorized_keys", line, 0o644);
        configure(&suite, &dave("sk_only = true"));
        assert_eq!(printed(&suite, "dave"), "");
    };
    keep("1h");
    admitted(&login());
    keep("2s");
    let over = harness::suite::now() + 2;
    wait_until("the key has expired", || harness::suite::now() > over);
    refused(&login(), "Permission denied (publickey");
}

#[test]
fn a_shared_accounts_keys_end_with_the_shift() {
    let rule = "[[keys.rule]]\nshared = true\nrestrict = true\nallow = ['pty']\nexpiry = '12h'\n";
    let (suite, end) = start(rule);
    let digits: String = instant(end - 1).chars().filter(char::is_ascii_digit).collect();
    let key = key_of(&suite, "alice");
    let line = printed(&suite, &format!("root {key}"));
    assert_eq!(line, format!("restrict,pty,expiry-time=\"{digits}Z\" {key} alice\n"));
    assert!(printed(&suite, "root").starts_with(&line));
    assert_eq!(accepted_by_ssh_keygen(&suite, &line), 1);
    admitted(&suite.ssh("alice", "root", "echo in"));
    assert!(!printed(&suite, "alice").contains('='), "the rule is for shared accounts");
    // Shorter than the shift, it counts from now.
    configure(&suite, &rule.replace("12h", "1m"));
    assert!(!printed(&suite, "root").contains(&digits));
    admitted(&suite.ssh("alice", "root", "echo in"));
}

#[test]
fn what_a_rule_keeps_back_is_counted_and_explained() {
    let (suite, _) = start("");
    let sk = made_keys::numbered_sk(1);
    suite.host.must("ssh-keygen -qt rsa -b 2048 -N '' -f /root/keys/rsa");
    let rsa = suite.public_key("rsa");
    give_dave(&suite, &[&sk, &rsa, "command=\"id\" ssh-ed25519 AAAA", "# x"]);
    configure(&suite, &dave("verify_required = true"));
    let _ = suite.lines_of("authkeys");
    let line = printed(&suite, "dave");
    assert_eq!(line, format!("verify-required {sk} dave\n"));
    assert_eq!(accepted_by_ssh_keygen(&suite, &line), 1);
    let logged = suite.lines_of("authkeys");
    assert!(logged[0].contains("reason=keys keys=1 owners=dave dropped=2"), "{logged:?}");
    let explained = suite.must_as("root", "authkeys --explain dave");
    println!("{explained}");
    for words in [
        "dave: 1 key (keys)\nanswer: copy, ",
        "\ndave: sk-ssh-ed25519@openssh.com 256 SHA256:",
        ", behind verify-required\n",
        ": dropped by [[keys.rule]] 1: not in a security key (sk-...)\n",
        "\ndave: ssh-rsa 2048 SHA256:",
        "\ndave: value 4 dropped: does not start with a key type (options in a directory are not accepted) (no-key-type)\n",
        "\ndave: value 5 dropped: ",
    ] {
        assert!(explained.contains(words), "{words:?} in {explained}");
    }
    assert!(explained.bytes().all(|byte| byte == b'\n' || byte == b' ' || byte.is_ascii_graphic()));
    assert_eq!(suite.lines_of("authkeys"), [""; 0], "a question of people is no login");
    // Each of the others keeps back what it says; together all of it.
    for (rule, left) in [
        ("sk_only = true", 1),
        ("types = ['ssh-ed25519', 'ssh-rsa']", 2),
        ("min_rsa_bits = 3072", 2),
        ("sk_only = true\ntypes = ['ssh-rsa']", 0),
    ] {
        configure(&suite, &dave(rule));
        let lines = printed(&suite, "dave");
        assert_eq!(lines.lines().count(), left, "{rule}: {lines}");
    }
    let logged = suite.lines_of("authkeys");
    assert!(logged.iter().any(|line| line.contains("reason=no-keys keys=0 dropped=3")), "{logged:#?}");
    refused(&suite.ssh("dave", "dave", "echo in"), "Permission denied (publickey");
}

#[test]
fn only_root_and_sshds_own_user_can_ask_for_reasons() {
    let (suite, _) = start("");
    for user in ["root", "authkeys"] {
        let explained = suite.must_as(user, "authkeys --explain dave");
        assert!(explained.starts_with("dave: 1 key (keys)\nanswer: copy, "), "{explained}");
    }
    for source in ["copy", "live"] {
        configure(&suite, &format!("[keys]\nsource = '{source}'\n"));
        for account in ["dave", "root"] {
            let output = suite.run_as("dave", &format!("authkeys --explain {account}"));
            assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{}", text(&output));
            let expected = format!(
                "authkeys: {account}: you may not read /var/lib/authkeys/keys.db, so this cannot be explained; run it as root or as the AuthorizedKeysCommandUser of sshd_config\n"
            );
            assert!(text(&output).ends_with(&expected), "{}", text(&output));
        }
    }
    // Whose files they are is another matter.
    configure(&suite, "");
    suite.host.must("chmod o+w /var/lib/authkeys/keys.db");
    let output = suite.run_as("root", "authkeys --explain root");
    assert!(text(&output).contains("keys.db: refused, others can write it"), "{}", text(&output));
}

#[test]
fn who_is_off_call_is_told_and_gets_no_further() {
    let (suite, end) = start("");
    let prefix = "restrict,command=\"/usr/bin/oncall-cache explain\" ssh-ed25519 ";
    let lines = printed(&suite, "root");
    let owners: Vec<&str> = lines.lines().filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(owners, ["alice", "bob", "carol"], "{lines}");
    assert!(lines.lines().next().is_some_and(|line| line.starts_with("ssh-ed25519 ")), "{lines}");
    assert!(lines.lines().skip(1).all(|line| line.starts_with(prefix)), "{lines}");
    assert_eq!(accepted_by_ssh_keygen(&suite, &lines), 3);
    let logged = suite.lines_of("authkeys");
    assert!(logged[0].contains("reason=keys keys=1 owners=alice told=bob,carol"), "{logged:?}");
    let explained = suite.must_as("root", "authkeys --explain root");
    println!("{explained}");
    for words in [
        "root: 1 key (keys)\nanswer: copy, ",
        "\nalice: on call for rota/primary, level 1, ",
        "\nbob: not admitted (not-oncall); their keys only run `oncall-cache explain`\n",
        "\nalice: ssh-ed25519 256 SHA256:",
    ] {
        assert!(explained.contains(words), "{words:?} in {explained}");
    }
    let _ = suite.decisions();
    // With PAM's session line: the session decision.
    refused(
        &suite.ssh("bob", "root", "echo in"),
        "root on testhost is for people on call: bob is not (alice is, until ",
    );
    let decision = suite.decisions();
    assert!(decision[0].starts_with("person=bob decision=refuse reason=not-oncall "), "{decision:?}");
    refused(&suite.ssh("dave", "root", "echo in"), "Permission denied (publickey");
    admitted(&suite.ssh("alice", "root", "echo in"));
    only_the_forced_command_runs(&suite);
    // Nobody on call: the session refuses all of them.
    suite.enable_pam();
    suite.write_rota(&[("bob", HOUR, DAY)]);
    suite.sync();
    for name in ["alice", "bob", "carol"] {
        let output = suite.ssh(name, "root", "echo in");
        assert!(!output.status.success() && !text(&output).contains("\nin\n"), "{}", text(&output));
    }
    assert!(end > 0 && printed(&suite, "root").lines().all(|line| line.starts_with(prefix)));
}

/// The second lock: with PAM's session line taken away sshd itself runs nothing else.
fn only_the_forced_command_runs(suite: &Suite) {
    suite.host.must("cp /etc/pam.d/sshd /root/ && sed -i '/^session.*pam_oncall/d' /etc/pam.d/sshd");
    for name in ["bob", "carol"] {
        let output = suite.ssh(name, "root", "echo in");
        refused(&output, "this account on testhost is for people on call: alice is, until ");
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    }
    let terminal = suite.ssh_with("bob", &["-tt"], "root", "");
    assert!(text(&terminal).contains("PTY allocation request failed"), "{}", text(&terminal));
    let forward = suite.ssh_with("bob", &["-W", "127.0.0.1:2222"], "root", "");
    assert!(!text(&forward).contains("SSH-2.0"), "{}", text(&forward));
    let remote = ["-o", "ExitOnForwardFailure=yes", "-R", "9999:127.0.0.1:22"];
    assert!(!suite.ssh_with("bob", &remote, "root", "echo in").status.success());
    let sftp = suite.host.sh(
        "echo 'ls /' | timeout 300 sftp -F none -i /root/keys/bob -o IdentitiesOnly=yes -o BatchMode=yes \
         -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -P 2222 root@127.0.0.1",
    );
    assert!(!sftp.status.success() && !text(&sftp).contains("etc"), "{}", text(&sftp));
    admitted(&suite.ssh("alice", "root", "echo in"));
    suite.host.must("cp /root/sshd /etc/pam.d/");
}

#[test]
fn who_is_on_call_being_unknown_is_told_and_opens_nothing() {
    let (suite, _) = start("");
    let aged = CONFIG.replace("[host]", "[oncall]\nmax_age = '1s'\n[host]");
    suite.host.write("/etc/authkeys/config.toml", aged, 0o644);
    let over = harness::suite::now() + 2;
    wait_until("the roster is too old", || harness::suite::now() > over);
    let _ = suite.lines_of("authkeys");
    let lines = printed(&suite, "root");
    let prefix = "restrict,command=\"/usr/bin/oncall-cache explain\" ssh-ed25519 ";
    assert!(lines.lines().count() == 3 && lines.lines().all(|line| line.starts_with(prefix)), "{lines}");
    let logged = suite.lines_of("authkeys");
    assert!(logged[0].contains("reason=cache-stale keys=0 told=alice,bob,carol"), "{logged:?}");
    for name in ["alice", "bob"] {
        refused(&suite.ssh(name, "root", "echo in"), "who is on call was last known ");
    }
    let said = suite.run_as("dave", "SSH_ORIGINAL_COMMAND=id oncall-cache explain");
    assert_eq!(said.status.code(), Some(2), "{}", text(&said));
    assert!(
        text(&said)
            .contains("this account on testhost is for people on call: who is on call was last known ")
    );
    let nothing = |reason: &str| {
        let _ = suite.lines_of("authkeys");
        let output = suite.run_as("authkeys", "exec authkeys root");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{}", text(&output));
        let lines = suite.lines_of("authkeys");
        assert!(lines[0].contains(&format!("reason={reason} ")), "{lines:?}");
    };
    let silent = CONFIG.replace("[host]", "[oncall]\nmax_age = '1s'\n[host]") + "explain_refusals = false\n";
    suite.host.write("/etc/authkeys/config.toml", silent, 0o644);
    nothing("cache-stale");
    configure(&suite, "");
    suite.host.must("rm /var/lib/oncall-cache/roster.db");
    nothing("cache-missing");
}

/// Where people who are not on call are not told so, nobody's keys are left to say that it cannot be told.
#[test]
fn one_schedule_that_is_not_believed_is_no_answer_about_who_is_on_it() {
    let suite = Suite::start();
    let config = CONFIG.replace(r#"["rota/primary"]"#, r#"["rota/primary", "rota/second"]"#);
    suite.host.write("/etc/authkeys/config.toml", config + "explain_refusals = false\n", 0o644);
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    let rota = suite.host.read("/etc/authkeys/rota.toml");
    let second = rota.replace("primary", "second").replace("alice", "bob");
    suite.host.write("/etc/authkeys/rota.toml", rota + &second, 0o644);
    suite.sync();
    for name in ["alice", "bob"] {
        assert_eq!(printed(&suite, &format!("root {}", key_of(&suite, name))).lines().count(), 1, "{name}");
    }
    suite.host.must(&format!(
        "sqlite3 /var/lib/oncall-cache/roster.db \"UPDATE schedule SET synced = synced - 9 * {DAY} WHERE id = 'primary'\""
    ));
    let _ = suite.lines_of("authkeys");
    let asked = suite.run_as("authkeys", &format!("exec authkeys root {}", key_of(&suite, "alice")));
    assert_eq!((asked.status.code(), asked.stdout.len()), (Some(2), 0), "{}", text(&asked));
    let logged = suite.lines_of("authkeys");
    assert!(logged[0].contains("reason=cache-stale "), "{logged:?}");
    let bob = key_of(&suite, "bob");
    for asked in [format!("root {bob}"), "root".to_string()] {
        let lines = printed(&suite, &asked);
        assert!(lines.lines().count() == 1 && lines.starts_with(&bob), "{asked}: {lines}");
    }
}
