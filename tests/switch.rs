//! Root switches the mode: pauses enforcing for some hours, enforces where the configuration observes, on trial or for good.

use std::process::Output;

use harness::suite::{CONFIG, DAY, HOUR, Suite, instant, now, seconds, soon};
use harness::{text, wait_until};
use serde_json::Value;

const SWITCH: &str = "/etc/authkeys/switch";
const PROBE: &str = "/usr/libexec/authkeys/pam-probe";

/// alice is on call for the next hour, bob after her; breakglass is nobody's.
fn suite(mode: &str) -> Suite {
    let suite = Suite::start();
    let config = CONFIG.replace("[policy]", &format!("[policy]\nmode = '{mode}'"));
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    suite.host.must("useradd -m breakglass");
    suite.write_rota(&[("alice", -HOUR, HOUR), ("bob", HOUR, DAY)]);
    suite.sync();
    suite.host.must("mkdir -p -m 700 /root/.ssh && cat /root/keys/*.pub >/root/.ssh/authorized_keys");
    let _ = suite.decisions();
    suite
}

fn must_say(output: &Output, code: i32, words: &str) {
    assert_eq!(output.status.code(), Some(code), "{}", text(output));
    assert!(text(output).contains(words), "expected {words:?} in {}", text(output));
}

/// Is bob, who is off call, let in by sudo and sshd? Both must say the same, and each log line name the mode.
fn lets_bob_in(suite: &Suite, mode: &str) -> bool {
    let _ = suite.decisions();
    let doors = [
        suite.run_as("bob", "sudo -n id -u"),
        suite.ssh("bob", "root", "true"),
        suite.ssh("bob", "bob", "true"),
    ];
    let lines = suite.decisions();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    for line in &lines {
        assert!(line.starts_with("person=bob decision=refuse reason=not-oncall "), "{line}");
        let word = line.split(' ').find_map(|field| field.strip_prefix("mode=")).unwrap_or_default();
        assert_eq!(word, mode, "{line}");
    }
    let open: Vec<bool> = doors.iter().map(|output| output.status.success()).collect();
    assert!(open.iter().all(|one| *one == open[0]), "{open:?}: {}", text(&doors[0]));
    open[0]
}

fn status(suite: &Suite) -> (i32, Value) {
    let output = suite.run_as("nobody", "oncall-cache status --json");
    (output.status.code().expect("ends"), serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// A line of the switch, said so many seconds ago and good for so many more, in this boot or in another.
fn line(suite: &Suite, verb: &str, ago: i64, left: i64, boot: &str) -> String {
    let uptime = suite.host.must("cut -d. -f1 /proc/uptime").trim().parse::<i64>().expect("seconds");
    let (from, until) = (instant(now() - ago), instant(now() + left));
    // A machine that was booted since then has no earlier instant.
    format!("{verb} {from} {until} {boot}:{} root by hand\n", (uptime - ago).max(0))
}

/// When what is written there ends, in seconds since the epoch.
fn ends(suite: &Suite) -> i64 {
    seconds(suite.host.read(SWITCH).split(' ').nth(2).expect("an instant"))
}

#[test]
fn a_pause_refuses_nobody_until_its_end_and_is_said_everywhere() {
    let suite = suite("enforce");
    assert!(!lets_bob_in(&suite, ""));
    let (code, json) = status(&suite);
    assert_eq!((code, json["mode"].as_str(), json["mode_by"].as_str()), (0, Some("enforce"), None));
    assert_eq!(json["mode_source"], Value::Null);

    must_say(
        &suite.host.sh("oncall-cache pause --for 4h --reason 'the rota shows nobody'"),
        0,
        "enforcing is PAUSED until ",
    );
    let logged = suite.lines_of("oncall-cache");
    assert!(logged[0].starts_with("person=- decision=pause reason=switch by=root until=20"), "{logged:?}");
    assert_eq!(suite.host.must(&format!("stat -c '%U %a' {SWITCH}")).trim(), "root 644");
    assert!(lets_bob_in(&suite, "paused"));
    // It opens nothing that authkeys prints, and who is admitted is admitted as ever.
    let printed = suite.must_as("authkeys", "authkeys root");
    let bobs = |line: &&str| line.ends_with(" bob");
    assert!(
        printed.lines().find(bobs).is_some_and(|line| line.starts_with("restrict,command=")),
        "{printed}"
    );
    let (code, json) = status(&suite);
    assert_eq!((code, json["health"].as_str(), json["mode"].as_str()), (1, Some("failing"), Some("observe")));
    assert_eq!(json["mode_source"], "paused");
    assert!(json["paused_until"].as_str().is_some_and(|until| until > instant(now() + 3 * HOUR).as_str()));
    must_say(&suite.run_as("nobody", "oncall-cache status"), 1, "failing: enforcing is PAUSED until ");
    let metrics = suite.run_as("nobody", "oncall-cache status --prometheus");
    must_say(&metrics, 1, "\noncall_cache_enforcing 0\n");
    assert!(!text(&metrics).contains("paused_until_timestamp_seconds 0"), "{}", text(&metrics));
    must_say(
        &suite.run_as("nobody", "oncall-cache why bob"),
        1,
        "(would be refused, but enforcing is paused)",
    );
    must_say(&suite.run_as("nobody", "oncall-cache why bob"), 1, "(by root: the rota shows nobody)");
    must_say(
        &suite.run_as("nobody", "oncall-cache config show"),
        0,
        "# not by this file: enforcing is PAUSED",
    );
    // The day on which this software is the problem.
    suite.host.must("mv /etc/authkeys/config.toml /root; rm -r /var/lib/oncall-cache");
    let sudo = suite.run_as("bob", "sudo -n id -u");
    assert!(sudo.status.success(), "{}", text(&sudo));
    assert!(suite.decisions()[0].contains("reason=config-invalid mode=paused "));
    let status = suite.run_as("nobody", "oncall-cache status");
    must_say(&status, 2, "enforcing is PAUSED until ");
    must_say(
        &status,
        2,
        "cannot tell: /etc/authkeys/config.toml: no such file; the packages have an example",
    );
    suite.host.must("mv /root/config.toml /etc/authkeys");

    must_say(&suite.host.sh("oncall-cache pause --end"), 0, "this host enforces, as config.toml says");
    assert!(!suite.host.path(SWITCH).exists());
    must_say(&suite.run_as("bob", "sudo -n true"), 1, "this host cannot tell who is (cache-missing)");
    must_say(&suite.host.sh("oncall-cache pause --end"), 1, "is not paused");
}

#[test]
fn a_pause_ends_by_itself_and_no_clock_makes_it_longer() {
    let suite = suite("enforce");
    let boot = suite.host.read("/proc/sys/kernel/random/boot_id").trim().to_string();
    let write = |line: String| suite.host.write(SWITCH, line, 0o644);
    for (ago, left, boot, open) in [
        (10, 600, boot.as_str(), true),
        (600, -1, boot.as_str(), false),
        // Said before a restart: the wall clock is left.
        (10, 600, "another-boot", true),
        (600, -1, "another-boot", false),
        // It begins an hour from now: the clock went back before its start.
        (-3_600, 7_200, boot.as_str(), false),
        (-3_600, 7_200, "another-boot", false),
        // A day and a second.
        (0, DAY + 1, boot.as_str(), false),
    ] {
        write(line(&suite, "pause", ago, left, boot));
        let word = if open {
            "paused"
        } else if left > DAY {
            "switch-unreadable"
        } else {
            ""
        };
        assert_eq!(lets_bob_in(&suite, word), open, "{ago} {left} {boot}");
    }
    // The wall clock was set back by five sixths of an hour, or of the time since the boot: by the other clock
    // it is over.
    let uptime = suite.host.must("cut -d. -f1 /proc/uptime").trim().parse::<i64>().expect("seconds");
    let length = uptime.min(3_600);
    let from = now() - length / 6;
    let (from, until) = (instant(from), instant(from + length));
    write(format!("pause {from} {until} {boot}:{} root\n", uptime - length));
    assert!(!lets_bob_in(&suite, ""));
    soon(5, |seconds| {
        write(line(&suite, "pause", 5, seconds, &boot));
        assert!(lets_bob_in(&suite, "paused"));
        ends(&suite)
    });
    assert!(!lets_bob_in(&suite, ""));
}

#[test]
fn a_switch_that_cannot_be_read_enforces_whatever_the_configuration_says() {
    for mode in ["enforce", "observe"] {
        let suite = suite(mode);
        let boot = suite.host.read("/proc/sys/kernel/random/boot_id").trim().to_string();
        let good = line(&suite, "pause", 5, 600, &boot);
        for (text, spoil) in [
            (good.as_str(), "chmod 666 SWITCH"),
            (&good, "chown dave SWITCH"),
            (&good, "mv SWITCH /root/real; ln -s /root/real SWITCH"),
            (&good, "rm SWITCH; mkdir SWITCH"),
            (&format!("{good}{good}"), "true"),
            ("observe\n", "true"),
            ("\u{0}\u{1}", "true"),
            (&good.replace("root by hand", ""), "true"),
        ] {
            suite.host.must(&format!("rm -rf {SWITCH}"));
            suite.host.write(SWITCH, text, 0o644);
            suite.host.must(&spoil.replace("SWITCH", SWITCH));
            assert!(!lets_bob_in(&suite, "switch-unreadable"), "{spoil}");
            let (code, json) = status(&suite);
            assert_eq!((code, json["mode_source"].as_str()), (1, Some("unreadable")), "{json}");
            assert!(
                json["mode_by"]
                    .as_str()
                    .is_some_and(|told| told.contains("the switch cannot be read: /etc/"))
            );
            must_say(&suite.host.sh("oncall-cache pause --for 1h --reason x"), 2, SWITCH);
        }
        suite.host.must(&format!("rm -rf {SWITCH}"));
        assert_eq!(lets_bob_in(&suite, if mode == "observe" { "observe" } else { "" }), mode == "observe");
    }
}

#[test]
fn pause_and_enforce_are_roots_and_ask_for_what_they_need() {
    let suite = suite("enforce");
    for (command, code, words) in [
        ("pause --for 25h --reason x", 64, "is longer than 1d"),
        ("pause --for 4 --reason x", 64, "is not a duration"),
        ("pause --for 4h", 64, "--reason"),
        ("pause --for 4h --reason ''", 64, "a reason is one line"),
        ("pause --for 4h --reason 'a\tb'", 64, "a reason is one line"),
        ("pause --end", 1, "is not paused"),
        ("enforce --confirm-within 5s", 64, "a trial lasts"),
        ("enforce --confirm", 1, "there is no trial"),
        ("enforce --end", 1, "nothing to end"),
    ] {
        must_say(&suite.host.sh(&format!("oncall-cache {command}")), code, words);
        assert!(!suite.host.path(SWITCH).exists(), "{command}");
    }
    let other = "cp -r /etc/authkeys /root/other && cd /root/other && oncall-cache --config config.toml pause --for 1h --reason x";
    must_say(
        &suite.host.sh(other),
        0,
        "/root/other/switch counts for PAM lines with config= and a file beside it",
    );
    for command in ["pause --for 1h --reason x", "enforce", "enforce --confirm"] {
        must_say(&suite.run_as("alice", &format!("oncall-cache {command}")), 2, "only root may");
    }
    // Where the configuration enforces there is nothing to switch, and what holds is tried all the same.
    must_say(&suite.host.sh("oncall-cache enforce"), 0, "config.toml enforces already");
    suite.host.must("sed -i /pam_oncall/d /etc/pam.d/sudo");
    let wrong = suite.host.sh("oncall-cache enforce");
    must_say(&wrong, 2, "this host enforces as before, and its test failed: sudo lets in bob");
    // A way in that is none any more: it says when it last was one, and that stays so.
    suite.host.must(&format!(
        "sed -i 's/^[^ ]* login/2020-01-01T00:00:00Z login/' {WAYS_IN} && sed -i '1i account requisite pam_deny.so' /etc/pam.d/login"
    ));
    let wrong = suite.host.sh("oncall-cache enforce");
    assert!(text(&wrong).contains("login refuses root on tty1: "), "{}", text(&wrong));
    assert!(text(&wrong).contains("; last proven 2"), "{}", text(&wrong));
    assert!(suite.host.read(WAYS_IN).contains("2020-01-01T00:00:00Z login: root gets in on tty1\n"));
    assert!(!suite.host.path(SWITCH).exists());
}

/// When each way in was last proven, as root keeps it.
const WAYS_IN: &str = "/var/log/authkeys/way-in";

/// A trial begins: what it would do is tried first, and nobody is said to have done it.
fn a_trial_begins_with_a_test(suite: &Suite) {
    assert!(lets_bob_in(suite, "observe"));
    let ways_in = || text(&suite.run_as("nobody", "oncall-cache status"));
    assert!(ways_in().contains("none was ever proven"), "{}", ways_in());
    let said = suite.host.sh("umask 077; oncall-cache enforce --confirm-within 10m");
    must_say(&said, 0, "enforced on trial until ");
    let told = ways_in();
    assert!(told.contains("ways in     proven ") && told.contains("login: root gets in on tty1"), "{told}");
    for shown in [
        "login: root gets in on tty1 (never proven before)",
        "breakglass, exempt, gets in",
        "sudo: alice, on call, gets in",
        "sudo: bob, off call, is refused",
    ] {
        assert!(text(&said).contains(shown), "{}", text(&said));
    }
    // Those whose names were tried did nothing, and nobody says that they did.
    let tried = suite.decisions();
    assert!(tried.len() == 5 && tried.iter().all(|line| line.contains(" phase=test ")), "{tried:#?}");
    let report = suite.host.sh("oncall-cache report --since 1h --json");
    let report: Value = serde_json::from_slice(&report.stdout).expect("JSON");
    let logins = report["logins"].as_array().expect("a list");
    assert!(logins.iter().all(|login| login["class"] == "observed"), "{report}");
    assert_eq!(report["refused"].as_array().map(Vec::len), Some(0), "{report}");

    assert!(!lets_bob_in(suite, "trial"));
    must_say(&suite.run_as("nobody", "oncall-cache status"), 0, "enforced on trial until ");
    assert_eq!(status(suite).1["mode_source"], "trial");
    // From no login at all.
    must_say(
        &suite.host.sh("oncall-cache enforce --confirm"),
        2,
        "not confirmed: this is not a login by sshd or login (inside tmux or screen that cannot be seen); log in again",
    );
}

/// Its end comes by time alone, and who confirms it then is too late.
fn it_ends_by_itself(suite: &Suite) {
    // Its end comes without anybody doing anything: the same file, an hour later.
    let boot = suite.host.read("/proc/sys/kernel/random/boot_id").trim().to_string();
    let file = suite.host.read(SWITCH);
    suite.host.write(SWITCH, line(suite, "enforce", 3_600, -3_540, &boot), 0o644);
    assert!(lets_bob_in(suite, "observe"));
    must_say(&suite.ssh("alice", "root", "oncall-cache enforce --confirm"), 1, "or it has ended");
    suite.host.write(SWITCH, file, 0o644);
    assert!(!lets_bob_in(suite, "trial"));
}

/// A new login confirms it, an old connection does not.
fn a_login_that_began_after_it_confirms_it(suite: &Suite) {
    // A connection that was open before the trial began does not confirm it; one from now does.
    let old = "until [ -e /tmp/began ]; do sleep 0.05; done; oncall-cache enforce --confirm";
    suite.host.must("oncall-cache enforce --end");
    let (stale, fresh) = std::thread::scope(|scope| {
        let mut ssh = suite.host.command("/usr/bin/ssh");
        ssh.args([
            "-F",
            "none",
            "-i",
            "/root/keys/alice",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=no",
        ]);
        ssh.args(["-o", "UserKnownHostsFile=/dev/null", "-p", "2222", "root@127.0.0.1"]);
        let stale =
            scope.spawn(move || ssh.arg(format!("touch /tmp/open; {old}")).output().expect("nsenter runs"));
        let open = suite.host.path("/tmp/open");
        wait_until("it is logged in", || open.exists());
        // Neither has to be older by much.
        must_say(&suite.host.sh("oncall-cache enforce --confirm-within 5m"), 0, "enforced on trial");
        suite.host.must("touch /tmp/began");
        let stale = stale.join().expect("it ends");
        (stale, suite.ssh("alice", "alice", "sudo -n oncall-cache enforce --confirm"))
    });
    must_say(&stale, 2, "and the trial began after it; log in again");
    must_say(&fresh, 0, "enforced since ");
    assert!(text(&fresh).contains("by root") || text(&fresh).contains("by alice"), "{}", text(&fresh));
    assert!(suite.host.read(SWITCH).contains(" - "), "{}", suite.host.read(SWITCH));
    assert!(!lets_bob_in(suite, ""));
    must_say(&suite.run_as("nobody", "oncall-cache config show"), 0, "# not by this file: enforced since ");
    assert_eq!(status(suite).1["mode_source"], "confirmed");
}

/// A command that is killed in the middle leaves what was confirmed.
fn what_is_cut_off_changes_nothing(suite: &Suite) {
    // A test that was cut off is no trial.
    let confirmed = suite.host.read(SWITCH);
    suite.host.must(&format!("mv {PROBE} /root; rm {SWITCH}"));
    suite.host.write(PROBE, "#!/bin/sh\nkill -9 $PPID\n", 0o755);
    assert_eq!(suite.host.sh("oncall-cache enforce; echo code $?").stdout, b"code 137\n");
    suite.host.must(&format!("mv /root/pam-probe {PROBE}"));
    must_say(&suite.host.sh("oncall-cache status"), 0, "while it is tested");
    must_say(&suite.ssh("alice", "root", "oncall-cache enforce --confirm"), 1, "did not finish; run");
    suite.host.write(SWITCH, &confirmed, 0o644);

    // What is confirmed stays so, also if somebody tries once more and is cut off in the middle.
    for command in ["enforce", "enforce --confirm-within 5m"] {
        must_say(
            &suite.host.sh(&format!("oncall-cache {command}")),
            0,
            "enforced already; nothing was changed",
        );
    }
    suite.host.must(&format!("mv {PROBE} /root"));
    suite.host.write(PROBE, "#!/bin/sh\nkill -9 $PPID\n", 0o755);
    assert_eq!(suite.host.sh("oncall-cache enforce; echo code $?").stdout, b"code 137\n");
    suite.host.must(&format!("mv /root/pam-probe {PROBE}"));
    assert_eq!(suite.host.read(SWITCH), confirmed);
}

/// A pause goes before what was confirmed, and leaves it.
fn a_pause_goes_before_it(suite: &Suite) {
    // A pause goes before it, and leaves it as it was.
    suite.host.must("oncall-cache pause --for 1h --reason 'rota is wrong'");
    assert!(lets_bob_in(suite, "paused"));
    must_say(&suite.host.sh("oncall-cache enforce"), 2, "end that first: oncall-cache pause --end");
    suite.host.must("oncall-cache pause --end");
    assert!(!lets_bob_in(suite, ""));
    must_say(&suite.host.sh("oncall-cache enforce --end"), 0, "this host observes, as config.toml says");
    assert!(lets_bob_in(suite, "observe"));
}

#[test]
fn enforcing_on_trial_goes_back_by_itself_unless_a_new_login_confirms_it() {
    let suite = suite("observe");
    a_trial_begins_with_a_test(&suite);
    it_ends_by_itself(&suite);
    a_login_that_began_after_it_confirms_it(&suite);
    what_is_cut_off_changes_nothing(&suite);
    a_pause_goes_before_it(&suite);
}

#[test]
fn nothing_is_enforced_that_would_shut_out_or_let_in_the_wrong_people() {
    let suite = suite("observe");
    suite.host.must("cp -r /etc/pam.d /root/pam.d; cp -r /etc/authkeys /root/authkeys; cp -r /var/lib/oncall-cache /root/cache");
    for (spoil, words) in [
        (
            "sed -i /pam_oncall/d /etc/pam.d/sudo",
            "sudo lets in bob, who is off call: our line is missing from its stack",
        ),
        ("sed -i '1i account requisite pam_deny.so' /etc/pam.d/login", "login refuses root on tty1: "),
        ("sed -i '1i account requisite pam_deny.so' /etc/pam.d/sudo", "sudo refuses alice, who is on call: "),
        ("sed -i 's/pam_oncall.so/pam_gone.so/' /etc/pam.d/sudo", "sudo refuses alice, who is on call: "),
        ("rm /var/lib/oncall-cache/roster.db", "nobody whom sudo would admit now has an account here"),
        ("sed -i '/^mode/a exempt_ttys = []' /etc/authkeys/config.toml", "policy.exempt_ttys is empty"),
        ("rm /usr/libexec/authkeys/pam-probe", "/usr/libexec/authkeys/pam-probe: no such file"),
    ] {
        suite.host.must(spoil);
        must_say(&suite.host.sh("oncall-cache enforce"), 2, "not enforced, this host observes as before: ");
        must_say(&suite.host.sh("oncall-cache enforce --confirm-within 5m"), 2, words);
        assert!(!suite.host.path(SWITCH).exists(), "{spoil}");
        suite.host.must("cp -r /root/pam.d /root/authkeys /etc; cp -rp /root/cache/. /var/lib/oncall-cache/");
    }
    suite.host.must("oncall-cache pause --for 1h --reason 'cold start'");
    must_say(&suite.host.sh("oncall-cache status"), 1, "enforcing is PAUSED until ");
    for command in ["enforce", "enforce --confirm-within 5m"] {
        must_say(&suite.host.sh(&format!("oncall-cache {command}")), 2, "enforcing is paused until ");
    }
    suite.host.must("oncall-cache pause --end; echo nonsense >>/etc/authkeys/config.toml");
    must_say(&suite.host.sh("oncall-cache enforce"), 2, "/etc/authkeys/config.toml:");
}
