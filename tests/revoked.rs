//! Who is revoked on this host gets in nowhere, at once and without a sync; everybody else does as before.

use std::process::Output;

use harness::suite::{CONFIG, DAY, HOUR, Suite, instant, now};
use harness::text;
use serde_json::Value;

const REVOKED: &str = "/etc/authkeys/revoked";

/// alice and carol are on call for the next hour, bob after them.
fn suite() -> Suite {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR), ("carol", -HOUR, HOUR), ("bob", HOUR, DAY)]);
    suite.sync();
    suite
}

fn admitted(output: &Output) {
    assert!(output.status.success(), "was refused: {}", text(output));
}

fn refused(output: &Output, words: &str) {
    assert!(!output.status.success(), "was let in: {}", text(output));
    assert!(text(output).contains(words), "expected {words:?} in {}", text(output));
}

fn keys(suite: &Suite, account: &str) -> Output {
    suite.run_as("authkeys", &format!("authkeys {account}"))
}

fn check(suite: &Suite, question: &str) -> (i32, String) {
    let output = suite.run_as("nobody", &format!("oncall-cache test-access {question} --json"));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    (output.status.code().expect("ends"), json["reason"].as_str().expect("a reason").to_string())
}

fn reasons(suite: &Suite) -> Vec<String> {
    let reason = |line: String| {
        line.split(' ').find_map(|field| field.strip_prefix("reason=")).unwrap_or_default().to_string()
    };
    suite.decisions().into_iter().map(reason).collect()
}

#[test]
fn a_revoked_person_is_shut_out_everywhere_at_once() {
    let suite = suite();
    admitted(&suite.ssh("alice", "root", "true"));
    let said = suite.host.must("oncall-cache revoke alice --reason 'laptop stolen' 2>&1");
    assert!(said.contains("alice was on call here; still on call: carol until "), "{said}");
    assert!(said.contains("alice is revoked on this host (by root)"), "{said}");
    assert_eq!(suite.lines_of("oncall-cache").len(), 1);
    let _ = suite.decisions();

    // No keys of theirs: neither for root nor for their own account.
    let root = keys(&suite, "root");
    assert!(root.status.success() && !text(&root).contains(" alice"), "{}", text(&root));
    assert!(text(&root).contains(" carol"), "{}", text(&root));
    let own = keys(&suite, "alice");
    assert_eq!((own.status.code(), own.stdout.len()), (Some(0), 0), "{}", text(&own));
    assert!(suite.lines_of("authkeys").iter().any(|line| line.contains("reason=revoked")));
    refused(&suite.ssh("alice", "root", "true"), "Permission denied (publickey");
    refused(&suite.ssh("alice", "alice", "true"), "Permission denied (publickey");
    assert_eq!(suite.decisions(), [""; 0], "authkeys printed nothing, so PAM is not asked");

    // Keys in files of their own open nothing either.
    for home in ["/root", "/home/alice", "/home/dave"] {
        suite.host.must(&format!(
            "mkdir -p {home}/.ssh && cat /root/keys/*.pub >{home}/.ssh/authorized_keys && chown -R $(stat -c %U {home}) {home}/.ssh"
        ));
    }
    let since = "alice is revoked on this host since ";
    refused(&suite.ssh("alice", "root", "true"), since);
    refused(&suite.ssh("alice", "alice", "true"), since);
    refused(&suite.run_as("alice", "sudo -n true"), "(on call: carol until ");
    assert_eq!(reasons(&suite), ["revoked"; 3]);
    assert_eq!(check(&suite, "alice"), (1, "revoked".to_string()));
    assert_eq!(check(&suite, "alice --service sudo"), (1, "revoked".to_string()));
    assert_eq!(check(&suite, "alice --service cron"), (3, "out-of-scope".to_string()));
    let why = text(&suite.run_as("nobody", "oncall-cache why alice"));
    assert!(why.contains("by root: laptop stolen") && why.contains("oncall-cache unrevoke alice"), "{why}");
    let who = text(&suite.run_as("nobody", "oncall-cache who"));
    assert!(who.contains("alice (revoked), carol"), "{who}");

    // An account that nothing guards, and one that is exempt.
    suite
        .host
        .must("oncall-cache revoke dave && useradd -m -G sudo breakglass && oncall-cache revoke breakglass");
    let _ = suite.decisions();
    refused(&suite.ssh("dave", "dave", "true"), "dave on testhost: dave is revoked on this host since ");
    suite.host.must("mkdir -p ~breakglass/.ssh && cat /root/keys/bob.pub >~breakglass/.ssh/authorized_keys && chown -R breakglass ~breakglass/.ssh");
    refused(&suite.ssh("bob", "breakglass", "true"), "breakglass is revoked on this host since ");
    assert_eq!(reasons(&suite), ["revoked"; 2]);

    // Root's own scripts are not asked, nor are services out of scope; and what was taken back holds at once.
    admitted(&suite.host.sh("sudo -n true"));
    suite.host.must("oncall-cache unrevoke alice");
    admitted(&suite.ssh("alice", "root", "true"));
    assert_eq!(check(&suite, "alice"), (0, "oncall".to_string()));
    let again = suite.host.sh("oncall-cache unrevoke alice");
    assert_eq!(again.status.code(), Some(1), "{}", text(&again));
    assert!(text(&again).contains("alice is not revoked on this host"), "{}", text(&again));
}

#[test]
fn a_list_that_is_not_understood_refuses_the_guarded_and_touches_nobody_else() {
    let suite = suite();
    suite.host.must("useradd -m -G sudo breakglass");
    for (home, key) in [("/root", "alice"), ("/home/dave", "dave"), ("/home/breakglass", "bob")] {
        suite.host.must(&format!(
            "mkdir -p {home}/.ssh && cat /root/keys/{key}.pub >{home}/.ssh/authorized_keys && chown -R $(stat -c %U {home}) {home}/.ssh"
        ));
    }
    for spoil in [
        "echo mallory >REVOKED",
        "echo 'carol 2026-11-20T09:00:00Z root' >REVOKED && chmod 666 REVOKED",
        "head -c 100 /dev/urandom >REVOKED",
        "mkdir REVOKED",
        "ln -s /root/list REVOKED",
        "truncate -s 2M REVOKED",
    ] {
        suite.host.must(&format!("rm -rf {REVOKED}; {}", spoil.replace("REVOKED", REVOKED)));
        let _ = suite.decisions();
        refused(&suite.ssh("alice", "root", "true"), "this host cannot tell who is revoked");
        refused(&suite.run_as("alice", "sudo -n true"), "(on call: alice until ");
        admitted(&suite.ssh("dave", "dave", "true"));
        admitted(&suite.ssh("bob", "breakglass", "sudo -n true"));
        suite.host.must("printf 'account required pam_oncall.so\\n' >/etc/pam.d/login; pamtester -I tty=/dev/tty1 login root acct_mgmt");
        let expected =
            ["revoked-unreadable", "revoked-unreadable", "not-guarded", "exempt", "exempt", "exempt"];
        assert_eq!(reasons(&suite), expected, "{spoil}");
        assert_eq!(check(&suite, "alice"), (2, "revoked-unreadable".to_string()), "{spoil}");
        for account in ["root", "alice", "dave"] {
            let output = keys(&suite, account);
            assert_eq!(
                (output.status.code(), output.stdout.len()),
                (Some(2), 0),
                "{spoil}: {}",
                text(&output)
            );
        }
        let revoke = suite.host.sh("oncall-cache revoke alice");
        assert_eq!(revoke.status.code(), Some(2), "{spoil}: {}", text(&revoke));
        assert!(
            text(&suite.run_as("nobody", "oncall-cache who")).contains("cannot tell who is revoked: /etc/")
        );
    }
    suite.host.must(&format!("rm -rf {REVOKED}"));
    admitted(&suite.ssh("alice", "root", "true"));
}

#[test]
fn without_a_configuration_the_list_beside_its_place_holds() {
    let suite = suite();
    suite.host.must("oncall-cache revoke dave && rm /etc/authkeys/config.toml");
    suite.host.must("mkdir -p ~dave/.ssh && cat /root/keys/dave.pub >~dave/.ssh/authorized_keys && chown -R dave ~dave/.ssh");
    refused(&suite.ssh("dave", "dave", "true"), "dave is revoked on this host since ");
    assert_eq!(check(&suite, "dave --account dave"), (1, "revoked".to_string()));
    assert_eq!(check(&suite, "alice"), (2, "config-invalid".to_string()));
    suite.host.must("oncall-cache unrevoke dave");
    admitted(&suite.ssh("dave", "dave", "true"));
}

#[test]
fn revoke_is_roots_and_writes_a_file_that_people_can_read_and_keep() {
    let suite = suite();
    for (command, code, words) in [
        ("revoke Alice", 64, "not a person's name"),
        ("revoke root", 64, "root is an account, not a person"),
        ("revoke alice --reason 'a\tb'", 64, "a reason is one line"),
        ("unrevoke alice", 1, "alice is not revoked on this host"),
    ] {
        let output = suite.host.sh(&format!("oncall-cache {command}"));
        assert_eq!(output.status.code(), Some(code), "{command}: {}", text(&output));
        assert!(text(&output).contains(words), "{command}: {}", text(&output));
    }
    assert!(!suite.host.path(REVOKED).exists());
    // Beside a configuration that is not there no login looks. At the default path it looks without one, too.
    suite.host.must("mkdir /elsewhere");
    for (verb, file) in [("revoke bob", "revoked"), ("pause --for 1h --reason x", "switch")] {
        let output = suite.host.sh(&format!("cd /elsewhere && oncall-cache --config config.toml {verb}"));
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        let words = format!(
            "there is no /elsewhere/config.toml, so no login would read /elsewhere/{file}; check --config"
        );
        assert!(text(&output).contains(&words), "{}", text(&output));
    }
    assert_eq!(suite.host.must("ls -A /elsewhere"), "");
    let lost = "cd /etc/authkeys && mv config.toml lost && oncall-cache revoke bob";
    suite.host.must(&format!("{lost} && oncall-cache unrevoke bob && mv lost config.toml"));
    let output = suite.run_as("alice", "SUDO_USER=root oncall-cache revoke bob");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("only root may"), "{}", text(&output));

    // What the environment says about who is at work is not recorded.
    suite.host.write(REVOKED, "# ours\n", 0o644);
    suite.host.must(
        "umask 077; SUDO_USER=mallory USER=mallory LOGNAME=mallory oncall-cache revoke alice --reason one",
    );
    suite.host.must("oncall-cache revoke alice --reason two && oncall-cache revoke nobodyknown");
    let list = suite.host.read(REVOKED);
    assert!(list.starts_with("# ours\nalice 20") && list.contains("Z root two\nnobodyknown 20"), "{list}");
    assert!(!list.contains("mallory") && list.lines().count() == 3, "{list}");
    assert_eq!(suite.host.must(&format!("stat -c '%U %a' {REVOKED}")).trim(), "root 644");
    // The last one on call, and a name that may be a slip of the pen.
    let said = suite.host.must("oncall-cache revoke carol 2>&1; oncall-cache revoke alcie 2>&1");
    assert!(
        said.contains("warning: carol was the only one on call here; nobody is left; next: bob, from "),
        "{said}"
    );
    assert!(said.contains("the roster does not know alcie; is the name right?"), "{said}");
    let nobody = suite.run_as("nobody", "oncall-cache who");
    assert_eq!(nobody.status.code(), Some(1), "{}", text(&nobody));
    let root = keys(&suite, "root");
    assert_eq!(root.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&root.stdout).lines().all(|line| line.starts_with("restrict,command=")));
    suite.host.must("mkdir -p /root/.ssh && cat /root/keys/*.pub >/root/.ssh/authorized_keys");
    refused(&suite.ssh("carol", "root", "true"), "root on testhost is for people on call: nobody is now");
}

#[test]
fn observing_refuses_nobody_opens_nothing_and_logs_every_decision() {
    let suite = suite();
    let config =
        suite.host.read("/etc/authkeys/config.toml").replace("[policy]", "[policy]\nmode = 'observe'");
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    suite.host.must("oncall-cache config check /etc/authkeys/config.toml");
    let bobs = String::from_utf8_lossy(&keys(&suite, "root").stdout).into_owned();
    let bobs = bobs.lines().find(|line| line.ends_with(" bob"));
    assert!(bobs.is_some_and(|line| line.starts_with("restrict,command=")), "{bobs:?}");
    // PAM lets in, and the key leads to one command.
    refused(
        &suite.ssh("bob", "root", "echo in"),
        "this account on testhost is for people on call: alice is, until ",
    );
    suite.host.must("mkdir -p /root/.ssh && cat /root/keys/*.pub >/root/.ssh/authorized_keys");
    let _ = suite.decisions();
    for output in [
        suite.ssh("bob", "root", "true"),
        suite.ssh("bob", "bob", "true"),
        suite.run_as("bob", "sudo -n true"),
        suite.run_as("dave", "sudo -n true"),
    ] {
        admitted(&output);
        assert!(!text(&output).contains("is for people on call"), "{}", text(&output));
    }
    let lines = suite.decisions();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(lines.iter().all(|line| line.contains(" decision=refuse ") && line.contains(" mode=observe ")));
    suite.host.must("rm /var/lib/oncall-cache/roster.db");
    admitted(&suite.run_as("bob", "sudo -n true"));
    assert!(suite.decisions()[0].contains("decision=cannot-tell reason=cache-missing mode=observe "));
    let check = suite.run_as("nobody", "oncall-cache test-access bob --json");
    let json: Value = serde_json::from_slice(&check.stdout).expect("JSON");
    assert_eq!((json["verdict"].as_str(), json["mode"].as_str()), (Some("cannot-tell"), Some("observe")));
    assert_eq!(check.status.code(), Some(2));
    let why = text(&suite.run_as("nobody", "oncall-cache why bob"));
    assert!(why.contains("(would be refused, but this host observes)"), "{why}");
    // Without a configuration the compiled rules hold, and they enforce.
    suite.host.must("rm /etc/authkeys/config.toml");
    refused(&suite.run_as("bob", "sudo -n true"), "cannot tell who is (config-invalid)");
}

/// What the last pull left of the fleet's revocations: this host's copy.
fn pulled(suite: &Suite, lines: &str) {
    let file = "/var/lib/oncall-cache/revoked";
    suite.host.write(file, format!("revocations 1 {}\n{lines}", instant(now())), 0o644);
    suite.host.must(&format!("chown oncall-cache: {file}"));
}

/// Lines about keys in the order of their digests, which is that of base64's letters and not of ASCII's.
fn in_order(mut lines: [String; 2]) -> String {
    let letters = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect::<String>();
    lines.sort_by_key(|line| line.chars().map(|letter| letters.find(letter)).collect::<Vec<_>>());
    lines.concat()
}

fn of_fleet(more: &str) -> Suite {
    let suite = suite();
    let fleet = format!("[fleet]\nid = 'example'\nurls = ['file:///srv/fleet']\n{more}");
    suite.host.write("/etc/authkeys/config.toml", format!("{CONFIG}{fleet}"), 0o644);
    suite
}

#[test]
fn a75_a_person_whom_the_fleet_has_revoked_stays_shut_out_until_the_fleet_lifts_it() {
    let suite = of_fleet("");
    suite.host.must("oncall-cache revoke dave");
    let roots = suite.host.read(REVOKED);
    admitted(&suite.ssh("alice", "root", "true"));
    let alice = |serial: u64, state: &str, until: &str| {
        format!("person alice {serial} {state} 2026-11-20T09:00:00Z {until} eve laptop stolen\n")
    };
    pulled(&suite, &alice(7, "revoked", "-"));
    let _ = suite.decisions();
    refused(&suite.ssh("alice", "root", "true"), "Permission denied (publickey");
    assert!(!text(&keys(&suite, "root")).contains(" alice") && keys(&suite, "alice").stdout.is_empty());
    refused(&suite.run_as("alice", "sudo -n true"), "alice is revoked in the whole fleet since ");
    let line = suite.decisions().join("\n");
    assert!(line.contains("reason=revoked") && line.contains("by=fleet:eve"), "{line}");
    assert_eq!(check(&suite, "alice"), (1, "revoked".to_string()));
    let why = text(&suite.run_as("nobody", "oncall-cache why alice"));
    assert!(why.contains("by eve: laptop stolen") && why.contains("oncall-collector unrevoke"), "{why}");
    assert!(text(&suite.run_as("nobody", "oncall-cache who")).contains("alice (revoked), carol"));

    // Root of this host has no say in it, whatever was said here before.
    let said = suite.host.sh("oncall-cache unrevoke alice");
    assert_eq!(said.status.code(), Some(1), "{}", text(&said));
    refused(&said, "oncall-collector unrevoke alice");
    let said = suite.host.must("oncall-cache revoke alice && oncall-cache unrevoke alice 2>&1");
    assert!(said.contains("alice stays shut out: revoked in the whole fleet since "), "{said}");
    assert_eq!(check(&suite, "alice"), (1, "revoked".to_string()));

    // Its own end, and the fleet's word, let her in again; the fleet does not take back what root of this host said.
    pulled(&suite, &alice(8, "revoked", "2026-11-20T10:00:00Z"));
    admitted(&suite.ssh("alice", "root", "true"));
    pulled(&suite, &(alice(9, "lifted", "-") + "person dave 1 lifted 2026-11-20T09:00:00Z - eve\n"));
    admitted(&suite.ssh("alice", "root", "true"));
    refused(&suite.run_as("dave", "sudo -n true"), "dave is revoked on this host since ");
    // A release that knows no fleet reads this file, as it was, and refuses nobody for the other.
    assert_eq!(suite.host.read(REVOKED), roots);
    suite.host.write("/etc/authkeys/config.toml", CONFIG, 0o644);
    pulled(&suite, "nothing that is understood\n");
    admitted(&suite.ssh("alice", "root", "true"));
}

#[test]
fn a75_a_key_that_the_fleet_has_revoked_opens_nothing_wherever_sshd_has_it_from() {
    let suite = of_fleet("");
    let print = |name: &str| {
        let told = suite.host.must(&format!("ssh-keygen -lf /root/keys/{name}.pub"));
        told.split(' ').nth(1).expect("a fingerprint").to_string()
    };
    let key = |name: &str, serial: u64, state: &str| {
        format!("key {} {serial} {state} 2026-11-20T09:00:00Z - eve\n", print(name))
    };
    for (home, name) in [("/root", "carol"), ("/home/dave", "dave")] {
        suite.host.must(&format!(
            "mkdir -p {home}/.ssh && cp /root/keys/{name}.pub {home}/.ssh/authorized_keys && chown -R $(stat -c %U {home}) {home}/.ssh"
        ));
    }
    admitted(&suite.ssh("carol", "root", "true"));
    admitted(&suite.ssh("dave", "dave", "true"));
    pulled(&suite, &in_order([key("carol", 1, "revoked"), key("dave", 1, "revoked")]));
    assert!(
        !text(&keys(&suite, "root")).contains(" carol") && text(&keys(&suite, "root")).contains(" alice")
    );
    assert!(
        text(&suite.run_as("authkeys", "authkeys --explain carol"))
            .contains("dropped: revoked in the whole fleet")
    );
    let _ = suite.decisions();
    refused(
        &suite.ssh("carol", "root", "true"),
        "the key that opened this session is revoked in the whole fleet",
    );
    // Nothing guards that account.
    refused(
        &suite.ssh("dave", "dave", "true"),
        "the key that opened this session is revoked in the whole fleet",
    );
    assert_eq!(reasons(&suite), ["revoked", "not-guarded", "revoked"]);
    // The person is not: another key, and sudo, still open what they opened.
    admitted(&suite.run_as("carol", "sudo -n true"));
    let asked =
        text(&suite.run_as("nobody", &format!("oncall-cache test-access root --key {}", print("carol"))));
    assert!(asked.contains("is revoked in the whole fleet"), "{asked}");
    pulled(&suite, &in_order([key("carol", 2, "lifted"), key("dave", 2, "lifted")]));
    admitted(&suite.ssh("carol", "root", "true"));
    admitted(&suite.ssh("dave", "dave", "true"));
}

#[test]
fn a_list_of_the_fleet_that_is_too_old_or_is_not_understood_refuses_the_guarded_alone() {
    let suite = of_fleet("revoked_age = '2m'\n");
    suite.host.must(
        "mkdir -p /home/dave/.ssh && cp /root/keys/dave.pub /home/dave/.ssh/authorized_keys && chown -R dave /home/dave/.ssh",
    );
    let stale = (2, "revoked-stale".to_string());
    assert_eq!(check(&suite, "alice"), stale, "nothing was pulled yet");
    refused(&suite.run_as("alice", "sudo -n true"), "too old (revoked-stale)");
    admitted(&suite.ssh("dave", "dave", "true"));
    pulled(&suite, "");
    admitted(&suite.ssh("alice", "root", "true"));
    suite.host.must("sed -i '1s/ 20.*/ 2026-11-20T09:00:00Z/' /var/lib/oncall-cache/revoked");
    assert_eq!(check(&suite, "alice"), stale);
    let status = suite.run_as("nobody", "oncall-cache status");
    assert_eq!(status.status.code(), Some(2), "{}", text(&status));
    refused(&status, "(revoked-stale)");
    pulled(&suite, "people alice\n");
    assert_eq!(check(&suite, "alice"), (2, "revoked-unreadable".to_string()));
    admitted(&suite.ssh("dave", "dave", "true"));
    pulled(&suite, "");
    suite.host.must("chmod 666 /var/lib/oncall-cache/revoked");
    assert_eq!(check(&suite, "alice"), (2, "revoked-unreadable".to_string()));
}
