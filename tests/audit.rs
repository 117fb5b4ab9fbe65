//! What is written down of a login, by whom it can be held up, and what the user reads.

use std::os::unix::net::UnixDatagram;
use std::time::Instant;

use harness::records::{
    AUDIT, admitted, alone, numbers, one_login, open_session, phases, records, suite, suite_with, word,
};
use harness::suite::{HOUR, Suite, seconds};
use harness::text;
use serde_json::Value;

#[test]
fn the_records_of_a_login_share_an_id_from_the_decision_to_the_close() {
    let suite = suite();
    suite.host.must("printf 'root:secret\\n' | chpasswd");
    admitted(&suite.ssh("alice", "root", "id -u"));
    let root = one_login(&suite);
    assert_eq!(phases(&root), [("session", "root"), ("close", "root")]);
    admitted(&suite.run_as("alice", "sudo -n id -u"));
    let sudo = one_login(&suite);
    assert_eq!(phases(&sudo), [("account", "alice"), ("session", "root"), ("close", "root")]);
    admitted(&suite.run_as("alice", "printf 'secret\\n' | su root -c 'id -u'"));
    let su = one_login(&suite);
    assert_eq!(phases(&su), [("account", "root"), ("session", "root"), ("close", "root")]);
    assert!(suite.ssh("alice", "alice", "true").status.success());
    let own = one_login(&suite);
    assert_eq!(phases(&own), [("account", "alice"), ("session", "alice"), ("close", "alice")]);

    let lines = suite.decisions();
    assert_eq!(lines.len(), 4, "a line in the log for each decision: {lines:#?}");
    let mut number = 0;
    for (login, line) in [root, sudo, su, own].iter().zip(&lines) {
        let id = word(&login[0], "id");
        assert!(id.len() == 16 && line.contains(&format!(" id={id}")), "{id} {line}");
        for record in login {
            number += 1;
            assert_eq!((record["seq"].as_i64(), record["version"].as_i64()), (Some(number), Some(1)));
            assert_eq!((word(record, "id"), word(record, "host")), (id, "testhost"));
            assert_eq!(word(record, "person"), "alice");
            assert!((seconds(word(record, "time")) - harness::suite::now()).abs() < HOUR);
        }
        let decision = &login[0];
        for (name, value) in [
            ("verdict", "allow"),
            ("reason", "oncall"),
            ("effect", "pass"),
            ("mode", "enforce"),
            ("rule", "everywhere"),
            ("schedule", "rota/primary"),
            ("schedule_name", "primary"),
        ] {
            assert_eq!(word(decision, name), value, "{decision}");
        }
        assert_eq!(decision["level"], 1);
        assert!(decision["age_seconds"].as_i64().is_some_and(|age| (0..HOUR).contains(&age)));
        assert_eq!(seconds(word(decision, "end")) - seconds(word(decision, "start")), 2 * HOUR);
        assert_eq!(word(decision, "until"), word(decision, "end"));
    }
}

#[test]
fn a_session_is_on_record_also_where_sshd_asks_account_management_in_another_process() {
    let suite = suite();
    suite.host.must("printf 'alice:secret\ndave:secret\n' | chpasswd");
    suite.host.write("/root/answer", "#!/bin/sh\necho secret\n", 0o755);
    // As with a second factor: keyboard-interactive runs the stack in a child of sshd's.
    let options = "KbdInteractiveAuthentication=yes AuthenticationMethods=publickey,keyboard-interactive";
    let options = options.split(' ').flat_map(|option| ["-o", option]);
    let sshd = ["/usr/sbin/sshd", "-D", "-e", "-p", "2223", "-o", "ListenAddress=127.0.0.1"];
    suite.host.daemon(&sshd.into_iter().chain(options).collect::<Vec<_>>(), "/var/log/sshd-2223.log");
    suite.host.wait_for_port(2223);
    let enter = |person: &str| {
        suite.host.sh(&format!(
            "SSH_ASKPASS=/root/answer SSH_ASKPASS_REQUIRE=force setsid ssh -F none -i /root/keys/{person} -p 2223 \
             -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null {person}@127.0.0.1 id -un"
        ))
    };
    let alice = enter("alice");
    assert_eq!(String::from_utf8_lossy(&alice.stdout), "alice\n", "{}", text(&alice));
    let login = one_login(&suite);
    assert_eq!(phases(&login), [("account", "alice"), ("session", "alice"), ("close", "alice")]);
    assert!(login.iter().all(|record| word(record, "person") == "alice"), "{login:#?}");
    assert_eq!((word(&login[1], "reason"), word(&login[1], "id")), ("oncall", word(&login[2], "id")));
    // Whom nothing guards is decided once, as ever.
    assert!(enter("dave").status.success());
    assert_eq!(phases(&records(&suite)), [("account", "dave")]);
}

#[test]
fn a_login_that_the_session_decides_is_on_record_once_whatever_account_management_said() {
    let suite = suite();
    suite.host.must("useradd -o -u 0 -g 0 -M -d /root -s /bin/sh breakglass");
    suite.host.must("mkdir -m 700 -p /root/.ssh && cat /root/keys/carol.pub >/root/.ssh/authorized_keys");
    let fingerprint = suite.host.must("ssh-keygen -lf /root/keys/carol.pub | cut -d' ' -f2");
    // Exempt by its name; and, with nobody to be told from anybody, let in because nothing is enforced.
    for (account, reason, before) in [
        ("breakglass", "exempt", "true"),
        (
            "root",
            "cache-missing",
            "oncall-cache pause --for 1h --reason x && rm /var/lib/oncall-cache/roster.db",
        ),
    ] {
        suite.host.must(before);
        admitted(&suite.ssh("carol", account, "id -u"));
        let login = one_login(&suite);
        assert_eq!(phases(&login), [("session", account), ("close", account)]);
        assert_eq!((word(&login[0], "reason"), word(&login[0], "fingerprint")), (reason, fingerprint.trim()));
        assert_eq!(suite.decisions().len(), 1);
    }
}

#[test]
fn a_record_says_by_which_door_and_key_and_who_asked() {
    let suite = suite();
    admitted(&suite.ssh("alice", "root", "id -u"));
    let ssh = one_login(&suite).remove(0);
    let fingerprint = suite.host.must("ssh-keygen -lf /root/keys/alice.pub | cut -d' ' -f2");
    assert_eq!(word(&ssh, "fingerprint"), fingerprint.trim());
    assert_eq!((word(&ssh, "rhost"), word(&ssh, "tty"), word(&ssh, "guard")), ("127.0.0.1", "ssh", "uid-0"));
    assert!(ssh.get("caller").is_none(), "sshd's own uid says nothing");
    assert!(!suite.run_as("bob", "sudo -n id -u").status.success());
    let [refused] = &records(&suite)[..] else { panic!("one record") };
    let bob = suite.host.must("id -u bob").trim().parse::<i64>().expect("a uid");
    assert_eq!((word(refused, "asker"), refused["caller"].as_i64()), ("bob", Some(bob)));
    assert_eq!((word(refused, "verdict"), word(refused, "reason")), ("refuse", "not-oncall"));
    assert_eq!((word(refused, "effect"), word(refused, "guard")), ("refuse", "sudo"));
    let mode = suite.host.must(&format!("stat -c '%U:%G %a' {AUDIT} /run/authkeys/audit"));
    assert_eq!(mode, "root:root 640\nroot:root 700\n");
}

#[test]
fn observed_logins_are_recorded_as_what_they_would_have_been() {
    let suite = suite();
    suite.host.must("sed -i 's/^\\[policy\\]/&\\nmode = \"observe\"/' /etc/authkeys/config.toml");
    admitted(&suite.run_as("bob", "sudo -n id -u"));
    let login = one_login(&suite);
    assert_eq!(phases(&login), [("account", "bob"), ("session", "root"), ("close", "root")]);
    assert_eq!((word(&login[0], "verdict"), word(&login[0], "mode")), ("refuse", "observe"));
    assert_eq!(word(&login[0], "effect"), "pass");
    // Ordinary logins are decided, and their sessions are nobody's business.
    suite.host.must(&format!("rm -f {AUDIT}"));
    assert!(suite.ssh("dave", "dave", "true").status.success());
    assert_eq!(phases(&records(&suite)), [("account", "dave")]);
}

/// An ssh or a shell command at a terminal; all that it showed.
fn at_terminal(suite: &Suite, user: &str, command: &str) -> String {
    let command = format!("script -qec \"{command}\" /dev/null </dev/null");
    text(&suite.run_as(user, &command)).replace('\r', "")
}

fn interactive(suite: &Suite, account: &str) -> String {
    let ssh = format!(
        "echo 'id -u; exit' | timeout 300 ssh -tt -F none -i /root/keys/alice -p 2222 -o IdentitiesOnly=yes \
         -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null {account}@127.0.0.1"
    );
    text(&suite.host.sh(&ssh)).replace('\r', "")
}

#[test]
fn whoever_asks_for_silence_reads_nothing() {
    let suite = suite();
    alone(&suite, "sshd");
    let key = suite.public_key("alice");
    let key: Vec<&str> = key.split(' ').take(2).collect();
    let said = |flags: &str| {
        let variable = format!("SSH_AUTH_INFO_0=publickey {}\n", key.join(" "));
        let output = suite.host.sh(&format!("pamtester -E '{variable}' sshd root 'open_session{flags}'"));
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    };
    assert!(said("").contains("until "));
    assert!(!said("(PAM_SILENT)").contains("until "));
}

#[test]
fn who_logs_in_at_a_terminal_reads_until_when_their_right_lasts() {
    let suite = suite();
    let told = "on call for primary until ";
    for account in ["root", "alice"] {
        let shown = interactive(&suite, account);
        assert_eq!(shown.matches(told).count(), 1, "{account}: {shown}");
        let command = suite.ssh("alice", account, "echo in");
        assert_eq!(command.stdout, b"in\n");
        assert!(!text(&command).contains(told), "{}", text(&command));
    }
    let sftp = suite.host.sh(
        "echo 'ls /etc/hostname' | timeout 300 sftp -q -F none -i /root/keys/alice -o IdentitiesOnly=yes -o BatchMode=yes \
         -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -P 2222 root@127.0.0.1",
    );
    assert!(sftp.status.success() && !text(&sftp).contains(told), "{}", text(&sftp));
    let scp = suite.host.sh(
        "timeout 300 scp -O -F none -i /root/keys/alice -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no \
         -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -P 2222 root@127.0.0.1:/etc/hostname /tmp/copied && cmp /etc/hostname /tmp/copied",
    );
    assert!(scp.status.success() && !text(&scp).contains(told), "{}", text(&scp));

    // No password: what is asked here is where the words go.
    suite.host.must("sed -i -e '1i auth sufficient pam_permit.so' /etc/pam.d/su");
    let su = at_terminal(&suite, "alice", "su root -c 'id -u'");
    assert!(su.contains("0\n") && su.contains(told), "{su}");
    let apart = at_terminal(&suite, "alice", "su root -c 'id -u' >/tmp/output");
    assert_eq!(suite.host.read("/tmp/output"), "0\n", "standard output is the command's: {apart}");
    let silent = suite.run_as("alice", "su root -c 'id -u'");
    assert!(silent.stdout == b"0\n" && silent.stderr.is_empty(), "{}", text(&silent));
    // sudo is called all day.
    let sudo = at_terminal(&suite, "alice", "sudo -n id -u");
    assert!(sudo.contains("0\n") && !sudo.contains(told), "{sudo}");
}

#[test]
fn who_has_minutes_left_reads_that_and_only_at_a_terminal() {
    let suite = suite_with(590);
    // Nine, eight on a busy machine.
    let is_told = |said: &str| (1..10).any(|minutes| said.contains(&format!("in {minutes}m ")));
    let sudo = at_terminal(&suite, "alice", "sudo -n id -u");
    assert!(sudo.contains("0\n") && is_told(&sudo), "{sudo}");
    assert!(sudo.contains(": then sudo and new logins are refused\n"), "{sudo}");
    let apart = at_terminal(&suite, "alice", "sudo -n id -u >/tmp/output");
    assert_eq!(suite.host.read("/tmp/output"), "0\n", "standard output is the command's: {apart}");
    let silent = suite.run_as("alice", "sudo -n id -u");
    admitted(&silent);
    assert!(silent.stderr.is_empty(), "{}", text(&silent));
    assert!(is_told(&interactive(&suite, "root")));
}

#[test]
fn a51_no_log_and_no_file_holds_a_session_up_and_what_was_lost_can_be_told() {
    let suite = suite();
    alone(&suite, "sshd");
    open_session(&suite);
    assert_eq!(numbers(&suite), [1]);
    let full = "mount -t tmpfs -o size=8k,mode=750 tmpfs /var/log/authkeys && head -c 4096 /dev/zero >/var/log/authkeys/rest";
    for (what, spoil, heal) in [
        ("no directory", "mv /var/log/authkeys /root/", "mv /root/authkeys /var/log/"),
        (
            "a full disk",
            &format!("{full} && head -c 4096 /dev/zero >>/var/log/authkeys/rest"),
            "umount /var/log/authkeys",
        ),
        (
            "a disk that fills up within a line",
            &format!("{full} && printf '%3900d\\n' 0 >{AUDIT} && chmod 640 {AUDIT}"),
            "umount /var/log/authkeys",
        ),
        ("a directory for all", "chmod 777 /var/log/authkeys", "chmod 750 /var/log/authkeys"),
        (
            "a pipe that nobody reads",
            &format!("mv {AUDIT} /root/; mkfifo {AUDIT}"),
            &format!("rm {AUDIT}; mv /root/decisions.jsonl {AUDIT}"),
        ),
    ] {
        let _ = suite.decisions();
        suite.host.must(spoil);
        // Whoever waited would wait without end.
        let took = open_session(&suite);
        println!("{what}: {took:?}");
        let lines = suite.decisions();
        assert!(lines.len() == 1 && lines[0].contains(" unwritten="), "{what}: {lines:#?}");
        suite.host.must(heal);
    }
    // A log whose reader has stopped, and whose queue is full.
    let (log, aside) = (suite.host.path("/dev/log"), suite.host.path("/dev/aside"));
    std::fs::rename(&log, &aside).expect("root may");
    let stopped = UnixDatagram::bind(&log).expect("a socket");
    let filler = UnixDatagram::unbound().expect("a socket");
    filler.set_nonblocking(true).expect("can be set");
    while filler.send_to(b"full", &log).is_ok() {}
    let mut slowest = open_session(&suite);
    suite.host.must("chmod 777 /var/log/authkeys");
    slowest = slowest.max(open_session(&suite));
    suite.host.must("chmod 750 /var/log/authkeys");
    println!("the slowest session with a log that nobody reads: {slowest:?}");
    drop(stopped);
    std::fs::rename(&aside, &log).expect("root may");
    open_session(&suite);
    assert_eq!(numbers(&suite), [1, 7, 9], "each that was lost has left a hole");
}

#[test]
fn a46_the_name_that_pam_asks_about_now_decides_and_both_are_written_down() {
    let suite = suite();
    suite.host.write("/root/rewrite.c", include_str!("fixtures/rewrite.c"), 0o644);
    suite.host.must("gcc -shared -fPIC -o /root/pam_rewrite.so /root/rewrite.c -l:libpam.so.0");
    suite.host.write(
        "/etc/pam.d/login",
        "auth optional pam_oncall.so\nauth required pam_permit.so\n\
         account required /root/pam_rewrite.so root\naccount required pam_oncall.so\naccount required pam_permit.so\n",
        0o644,
    );
    let output = suite.host.sh("pamtester -I tty=tty7 login dave authenticate acct_mgmt");
    assert!(text(&output).contains("Permission denied"), "{}", text(&output));
    let before =
        |record: &Value| (word(record, "account").to_string(), word(record, "account_before").to_string());
    let both = ("root".to_string(), "dave".to_string());
    assert_eq!(before(&records(&suite)[0]), both);
    let line = &suite.decisions()[0];
    assert!(line.contains(" account=root ") && line.contains(" was=dave"), "{line}");

    // A real sshd: people who log in as themselves and are root by then are judged as root, by their key.
    suite.host.must("sed -i '/^account required pam_oncall.so/a account required /root/pam_rewrite.so root' /etc/pam.d/sshd");
    suite.host.must(&format!("rm {AUDIT}"));
    let output = suite.ssh("dave", "dave", "echo in");
    assert!(!output.status.success(), "{}", text(&output));
    let all = records(&suite);
    assert_eq!(phases(&all), [("account", "dave"), ("session", "root")]);
    assert_eq!((before(&all[1]), word(&all[1], "reason")), (both, "not-eligible"));
}

#[test]
fn a65_whatever_a_caller_says_is_one_line_and_cut() {
    let suite = Suite::start();
    let long = "x".repeat(65_536);
    for (count, odd) in ["a\nb", "\u{1b}[2J\u{202e}", "\"},{\"version\":1", &long].into_iter().enumerate() {
        let output = suite
            .host
            .command("/usr/bin/pamtester")
            .args(["-I", &format!("tty={odd}"), "-I", &format!("rhost={odd}"), "sshd", odd, "acct_mgmt"])
            .output()
            .expect("pamtester runs");
        // Names that no account has are refused; the others are the rest of the stack's.
        assert!(!output.status.success(), "{}", text(&output));
        let all = records(&suite);
        assert_eq!(all.len(), count + 1, "{odd:.20?}");
        assert!(odd.starts_with(word(&all[count], "tty").trim_end_matches("...")), "{odd:.20?}");
        let bytes = suite.host.read(AUDIT);
        let longest = bytes.lines().map(str::len).max().unwrap_or(0);
        assert!(longest < 2_048 && bytes.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
    }
}

#[test]
fn a65_who_asks_ten_thousand_times_pushes_out_nobody_and_the_host_process_is_as_it_was() {
    let suite = suite();
    suite.host.write("/root/often.c", include_str!("fixtures/often.c"), 0o644);
    suite.host.must("gcc -O1 -o /root/often /root/often.c -l:libpam.so.0");
    let bob = suite.host.must("id -u bob");
    let start = Instant::now();
    // sudo's own stack, by a process that has bob's real uid and root's rights, as sudo has.
    let often = suite
        .host
        .command("/usr/bin/timeout")
        .args(["3000", "/root/often", bob.trim(), "bob", "10000"])
        .output();
    let often = often.expect("nsenter runs");
    assert_eq!(often.stdout, b"10000 refused, nothing left behind\n", "{}", text(&often));
    println!("10,000 transactions: {:?}", start.elapsed());
    // The real sudo, in a loop.
    suite.run_as("bob", "for i in $(seq 100); do sudo -n true; done");
    // What is admitted is counted apart from what is refused, and everybody apart from everybody else.
    for person in ["alice", "carol", "dave"] {
        let _ = suite.run_as(person, "sudo -n true");
    }
    let all = records(&suite);
    let of = |person: &str| all.iter().filter(|record| word(record, "person") == person).count();
    let minutes = start.elapsed().as_secs() / 60 + 2;
    assert!((60..=60 * minutes as usize).contains(&of("bob")), "{} of bob's", of("bob"));
    assert_eq!((of("alice"), of("carol"), of("dave")), (3, 1, 1));
    let lines = suite.decisions();
    assert_eq!(lines.iter().filter(|line| line.contains("person=bob ")).count(), of("bob"), "as in the log");
    // In a later minute the next record says what was dropped.
    suite.host.must("cd /run/authkeys/audit && for f in *-.* *+.*; do mv $f ${f%.*}.$((${f##*.} - 1)); done");
    let _ = suite.run_as("alice", "sudo -n true");
    let later = suite.decisions();
    let told: u64 = records(&suite)
        .iter()
        .filter_map(|record| {
            word(record, "dropped")
                .split(',')
                .find_map(|part| part.strip_prefix("bob-:")?.parse::<u64>().ok())
        })
        .sum();
    assert_eq!(told as usize, 10_100 - of("bob"));
    // Earlier, where a minute ended meanwhile.
    let mut lines = lines.iter().chain(&later);
    assert!(lines.any(|line| line.contains(" dropped=bob-:")), "{later:#?}");
    assert_eq!(
        numbers(&suite),
        (1..=all.len() as i64 + 3).collect::<Vec<_>>(),
        "no hole: those were not lost"
    );
    assert_eq!(suite.host.must("ls /run/authkeys/audit").lines().count(), 2);
}

#[test]
fn sessions_leave_nothing_behind_in_their_process() {
    let suite = suite();
    suite.host.write("/root/often.c", include_str!("fixtures/often.c"), 0o644);
    suite.host.must("gcc -O1 -o /root/often /root/often.c -l:libpam.so.0");
    // Alone: pam_limits and others change what they are there to change.
    alone(&suite, "sudo");
    let alice = suite.host.must("id -u alice");
    let said = suite.host.must(&format!("/root/often {} alice 15", alice.trim()));
    assert_eq!(said, "0 refused, nothing left behind\n");
    assert_eq!(records(&suite).len(), 45, "a decision, an open and a close each");
    // Its umask is 0777, and its group is the caller's.
    assert_eq!(
        suite.host.must(&format!("stat -c '%U:%G %a' {AUDIT} /run/authkeys")),
        "root:root 640\nroot:root 755\n"
    );
}

#[test]
fn a_limit_on_the_length_of_files_keeps_nobody_from_being_written_down() {
    let suite = suite();
    suite.host.must("sed -i -e '1i auth sufficient pam_permit.so' -e '/session.*pam_oncall/d' /etc/pam.d/su");
    // Where root may not lift a limit, as in many containers, it is kept to, and that is said.
    let lifts = suite.host.sh("ulimit -f 0; ulimit -f unlimited").status.success();
    for before in ["", "trap '' XFSZ; "] {
        let su = format!("{before}ulimit -f 0; su root -c 'id -u; ulimit -f'");
        let output = suite.run_as("alice", &su);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "0\n0\n",
            "as the caller set it: {}",
            text(&output)
        );
        let line = suite.decisions().concat();
        assert!(line.starts_with("person=alice decision=allow "), "{line}");
        assert_eq!(line.contains(" unwritten="), !lifts, "{line}");
    }
    assert_eq!(records(&suite).len(), if lifts { 2 } else { 0 });
}

#[test]
fn check_writes_nothing_down() {
    let suite = suite();
    for _ in 0..20 {
        suite.must_as("nobody", "oncall-cache test-access alice");
        let _ = suite.must_as("root", "oncall-cache why alice");
    }
    assert_eq!(suite.decisions(), [""; 0]);
    assert_eq!(records(&suite).len(), 0);
}
