//! What is written down of a login, by whom it can be held up, and what the user reads.

use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::process::Output;
use std::time::{Duration, Instant};

use harness::suite::{DAY, HOUR, Suite, seconds};
use harness::{text, wait_until};
use serde_json::Value;

const AUDIT: &str = "/var/log/authkeys/decisions.jsonl";

/// alice is on call for `left` seconds, bob after her.
fn suite_with(left: i64) -> Suite {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, left), ("bob", left, DAY)]);
    suite.sync();
    suite
}

fn suite() -> Suite {
    suite_with(HOUR)
}

/// Every record so far.
fn records(suite: &Suite) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    suite
        .host
        .sh(&format!("cat {AUDIT} 2>/dev/null"))
        .stdout
        .lines_of_text()
        .map(|line| parse(&line))
        .collect()
}

trait Lines {
    fn lines_of_text(&self) -> std::vec::IntoIter<String>;
}

impl Lines for Vec<u8> {
    fn lines_of_text(&self) -> std::vec::IntoIter<String> {
        let text = String::from_utf8_lossy(self);
        // Two who write at once may leave an empty line between them.
        let lines = text.lines().filter(|line| !line.is_empty());
        lines.map(str::to_string).collect::<Vec<_>>().into_iter()
    }
}

fn word<'v>(record: &'v Value, name: &str) -> &'v str {
    record[name].as_str().unwrap_or_default()
}

/// The records since the file was last emptied, once the last of them is a `close`.
fn one_login(suite: &Suite) -> Vec<Value> {
    wait_until("the session is closed", || {
        records(suite).last().is_some_and(|last| word(last, "phase") == "close")
    });
    let all = records(suite);
    suite.host.must(&format!("rm {AUDIT}"));
    all
}

fn phases(records: &[Value]) -> Vec<(&str, &str)> {
    records.iter().map(|record| (word(record, "phase"), word(record, "account"))).collect()
}

fn admitted(output: &Output) {
    assert!(output.status.success(), "was refused: {}", text(output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n", "{}", text(output));
}

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
            assert!((seconds(word(record, "time")) - harness::suite::now()).abs() < 60);
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
        assert!(decision["age_seconds"].as_i64().is_some_and(|age| age < 60));
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
            "oncall-cache suspend --for 1h --reason x && rm /var/lib/oncall-cache/roster.db",
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
        "echo 'id -u; exit' | timeout 20 ssh -tt -F none -i /root/keys/alice -p 2222 -o IdentitiesOnly=yes \
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
        "echo 'ls /etc/hostname' | timeout 20 sftp -q -F none -i /root/keys/alice -o IdentitiesOnly=yes -o BatchMode=yes \
         -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -P 2222 root@127.0.0.1",
    );
    assert!(sftp.status.success() && !text(&sftp).contains(told), "{}", text(&sftp));
    let scp = suite.host.sh(
        "timeout 20 scp -O -F none -i /root/keys/alice -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no \
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
    let told = "in 9m ";
    let sudo = at_terminal(&suite, "alice", "sudo -n id -u");
    assert!(sudo.contains("0\n") && sudo.contains(told), "{sudo}");
    assert!(sudo.contains(": sudo and new logins are refused then, what is open stays open\n"), "{sudo}");
    let apart = at_terminal(&suite, "alice", "sudo -n id -u >/tmp/output");
    assert_eq!(suite.host.read("/tmp/output"), "0\n", "standard output is the command's: {apart}");
    let silent = suite.run_as("alice", "sudo -n id -u");
    admitted(&silent);
    assert!(silent.stderr.is_empty(), "{}", text(&silent));
    assert!(interactive(&suite, "root").contains(told));
}

/// A stack in which our module is alone: what other modules do with a log that nobody reads is theirs.
fn alone(suite: &Suite, service: &str) {
    let lines =
        "account required pam_oncall.so\naccount required pam_permit.so\nsession required pam_oncall.so\n";
    suite.host.write(&format!("/etc/pam.d/{service}"), lines, 0o644);
}

/// Opens and closes a session as sshd does for root, with alice's key; how long that took.
fn open_session(suite: &Suite) -> Duration {
    let key = suite.public_key("alice");
    let key: Vec<&str> = key.split(' ').take(2).collect();
    let start = Instant::now();
    let output = suite
        .host
        .sh(&format!("pamtester -E 'SSH_AUTH_INFO_0=publickey {}\n' sshd root open_session", key.join(" ")));
    assert!(output.status.success(), "{}", text(&output));
    start.elapsed()
}

/// The numbers of all records.
fn numbers(suite: &Suite) -> Vec<i64> {
    records(suite).iter().map(|record| record["seq"].as_i64().expect("a number")).collect()
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
        let took = open_session(&suite);
        assert!(took < Duration::from_secs(2), "{what}: {took:?}");
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
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
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

    // A real sshd: whoever logs in as themselves and is root by then is judged as root, by their key.
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
        .args(["400", "/root/often", bob.trim(), "bob", "10000"])
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
    // In a later minute whoever comes says what was dropped.
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
        suite.must_as("nobody", "oncall-cache check alice");
        let _ = suite.must_as("root", "oncall-cache why alice");
    }
    assert_eq!(suite.decisions(), [""; 0]);
    assert_eq!(records(&suite).len(), 0);
}

/// `oncall-cache report`, as root, and its exit status.
fn report(suite: &Suite, words: &str) -> (i32, String) {
    let output = suite.host.sh(&format!("oncall-cache report {words}"));
    assert!(output.stderr.is_empty(), "{}", text(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().expect("an exit status"), said)
}

fn json_report(suite: &Suite, words: &str) -> Value {
    serde_json::from_str(&report(suite, &format!("{words} --json")).1).expect("JSON")
}

#[test]
fn a_report_says_who_could_who_did_who_was_refused_and_what_is_not_known() {
    let suite = suite();
    suite.host.must("useradd -m -G sudo breakglass");
    admitted(&suite.ssh("alice", "root", "id -u"));
    admitted(&suite.run_as("alice", "sudo -n id -u"));
    admitted(&suite.run_as("breakglass", "sudo -n id -u"));
    for _ in 0..3 {
        assert!(!suite.run_as("bob", "sudo -n id -u").status.success());
    }
    suite.must_as("root", "oncall-cache revoke carol");
    assert!(!suite.run_as("carol", "sudo -n id -u").status.success());
    assert!(suite.ssh("dave", "dave", "true").status.success());
    wait_until("all sessions are closed", || {
        records(&suite).iter().filter(|record| word(record, "phase") == "close").count() == 3
    });

    let told = json_report(&suite, "--since 1h");
    let list = |name: &str, fields: &[&str]| -> Vec<String> {
        let rows = told[name].as_array().expect("a list").iter();
        rows.map(|row| {
            fields.iter().map(|field| row[field].to_string()).collect::<Vec<_>>().join(" ").replace('"', "")
        })
        .collect()
    };
    assert_eq!(
        list("logins", &["class", "person", "account", "service", "reason"]),
        [
            "oncall alice root sshd oncall",
            "oncall alice root sudo oncall",
            "exempt breakglass root sudo exempt"
        ]
    );
    for login in told["logins"].as_array().expect("a list") {
        let [decided, opened, closed] =
            ["decided", "opened", "closed"].map(|name| seconds(word(login, name)));
        assert!(decided <= opened && opened <= closed, "{login}");
    }
    assert_eq!(
        list("refused", &["who", "person", "service", "reason", "count"]),
        ["bob true sudo not-oncall 3"]
    );
    assert_eq!(list("revoked", &["who", "reason", "count"]), ["carol revoked 1"]);
    assert_eq!(list("could", &["person", "schedule", "level"]), ["alice rota/primary 1"]);
    assert_eq!(told["not_ours"], 1);
    assert_eq!((word(&told, "host"), told["version"].as_i64()), ("testhost", Some(1)));

    let (code, table) = report(&suite, "--since 1h");
    assert_eq!(code, 1, "{table}");
    for words in [
        "who could become root",
        "by an exempt account",
        "rota/primary by rule everywhere",
        "the oldest record is of ",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
    let (_, csv) = report(&suite, "--since 1h --csv");
    assert!(csv.lines().all(|line| line.split(',').count() >= 13), "{csv}");
    assert!(
        csv.contains("\nrefused,bob,bob,sudo,")
            && csv.contains("\noncall,alice,root,sshd,127.0.0.1,ssh,SHA256:"),
        "{csv}"
    );
    // Now the oldest record is before the time that is asked about, and nothing is missing.
    wait_until("a second is over", || harness::suite::now() > seconds(word(&records(&suite)[0], "time")) + 1);
    let since = harness::suite::instant(seconds(word(&records(&suite)[0], "time")) + 1);
    assert_eq!(report(&suite, &format!("--since {since}")).0, 0);
    let by_user = suite.run_as("alice", "oncall-cache report");
    assert_eq!(by_user.status.code(), Some(2), "{}", text(&by_user));
    assert_eq!(suite.host.sh("oncall-cache report --since yesterday").status.code(), Some(64));
}

#[test]
fn a_report_reads_rotated_and_damaged_files_and_says_what_is_gone() {
    let suite = suite();
    alone(&suite, "sshd");
    for _ in 0..4 {
        open_session(&suite);
    }
    suite.host.must(&format!("mv {AUDIT} {AUDIT}.1"));
    open_session(&suite);
    // One record taken out, one line damaged, one endless, and a rotated file that somebody compressed.
    suite.host.must(&format!(
        "sed -i 2d {AUDIT}.1 && printf 'garbled\n' >>{AUDIT}.1 && head -c 1000000 /dev/zero >>{AUDIT}.1 && touch {AUDIT}.2.gz {AUDIT}"
    ));
    let told = json_report(&suite, "");
    assert_eq!(told["logins"].as_array().map(Vec::len), Some(4));
    let gaps = told["gaps"].to_string();
    for words in [
        "1 records are missing between number 1 (",
        ") and number 3 (",
        "2 lines of the audit file are not understood",
        "1 rotated files of",
    ] {
        assert!(gaps.contains(words), "{gaps}");
    }
    assert!(!gaps.contains("the last"), "{gaps}");
    // What was written last is gone too, and the module has counted it.
    suite.host.must(&format!("cp {AUDIT} /var/log/authkeys.kept && : >{AUDIT}"));
    let gaps = json_report(&suite, "")["gaps"].to_string();
    let last = "the last 1 records are missing: 5 were counted since the boot, and the last one that is there is number 4 (";
    assert!(gaps.contains(last), "{gaps}");
    suite.host.must(&format!("cat /var/log/authkeys.kept >{AUDIT}"));
    // Whatever others could have written is not believed.
    suite.host.must(&format!("chown dave {AUDIT}.1"));
    let told = json_report(&suite, "");
    assert_eq!(told["logins"].as_array().map(Vec::len), Some(1));
    assert!(told["gaps"].to_string().contains("is not root's alone"), "{told}");
}

#[test]
fn whoever_reads_takes_no_more_memory_than_64_mib_whatever_the_file() {
    let suite = suite();
    alone(&suite, "sshd");
    open_session(&suite);
    let peak = |what: &str, command: &str| {
        let output = suite.host.sh(&format!("/usr/bin/time -f %M -o /run/rss {command} >/run/out 2>&1"));
        let said = suite.host.read("/run/rss");
        let kibibytes: u64 = said.trim().lines().last().and_then(|line| line.parse().ok()).expect("a number");
        println!("{what}: {kibibytes} KiB");
        assert!(kibibytes < 64 * 1024, "{what}: {kibibytes} KiB");
        (output.status.code(), suite.host.must("head -c 4000 /run/out"))
    };
    // Each record is one that could be, and of a length that a line may have; each has an id of its own.
    let first = records(&suite)[0].clone();
    for (count, length) in [(9_000, 11_000), (60_000, 9)] {
        let file = std::fs::OpenOptions::new().write(true).truncate(true).open(suite.host.path(AUDIT));
        let mut file = std::io::BufWriter::new(file.expect("the audit file"));
        for number in 0..count {
            let mut record = first.clone();
            record["id"] = number.to_string().into();
            record["rhost"] = "x".repeat(length).into();
            writeln!(file, "{record}").expect("room");
        }
        file.flush().expect("room");
        for form in ["--json", "--csv", ""] {
            let (code, _) = peak("report", &format!("oncall-cache report {form}"));
            assert_eq!(code, Some(1));
            suite.host.must("grep -q '[0-9]* records are too many' /run/out");
        }
    }
    // A roster of which every row is as it should be.
    let change = |file: &str, sql: &str| {
        suite.host.write("/run/sql", sql, 0o644);
        suite.host.must(&format!("sqlite3 {file} </run/sql"));
    };
    change(
        "/var/lib/oncall-cache/roster.db",
        "DELETE FROM schedule; DELETE FROM shift;
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
         INSERT INTO schedule SELECT i, 's', i, 'p', hex(zeroblob(500)), 0, 0 FROM n;",
    );
    // A decision does not look at schedules that no rule names.
    let (code, said) = peak("check", "oncall-cache check alice");
    assert!(code == Some(2) && said.contains("source-incomplete"), "{said}");
    let (code, said) = peak("who", "oncall-cache who");
    assert!(code == Some(2) && said.contains("larger than any roster is"), "{said}");
    // One person with more keys than anybody has.
    change(
        "/var/lib/authkeys/keys.db",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
         INSERT INTO public_key SELECT 'alice', i, (SELECT line FROM public_key WHERE principal = 'alice') FROM n;",
    );
    let _ = suite.lines_of("authkeys");
    let (_, said) = peak("authkeys", "runuser -u authkeys -- authkeys alice");
    // The directory is asked instead: it answers, or the copy is what is wrong.
    let log = suite.lines_of("authkeys").join("\n");
    assert!(log.contains("copy=cache-corrupt") || log.contains("reason=cache-corrupt"), "{said} {log}");
}

#[test]
fn what_is_rotated_as_the_packages_do_it_is_in_the_report() {
    let suite = suite();
    alone(&suite, "sshd");
    suite.host.must("chgrp adm /var/log/authkeys");
    for _ in 0..2 {
        open_session(&suite);
        let before = harness::suite::now();
        // time(2), by which logrotate names it, is behind by up to a tick.
        wait_until("the next one gets another name", || harness::suite::now() > before + 1);
        suite
            .host
            .must("logrotate --force --state /root/rotated /run/suite/source/packaging/logrotate.d/authkeys");
    }
    open_session(&suite);
    assert_eq!(suite.host.must(&format!("ls {AUDIT}*")).lines().count(), 3);
    assert_eq!(suite.host.must(&format!("stat -c %U:%G {AUDIT}")), "root:adm\n", "its directory's group");
    let told = json_report(&suite, "");
    assert_eq!(told["logins"].as_array().map(Vec::len), Some(3), "{told}");
    assert!(!told["gaps"].to_string().contains("compressed"), "{told}");
}

#[test]
fn whom_enforcing_would_refuse_is_told_before_it_does_people_and_programs_apart() {
    let suite = suite();
    suite
        .host
        .must("useradd --system -m nagios && echo 'nagios ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/nagios");
    suite.host.must("sed -i 's/^\\[policy\\]/&\\nmode = \"observe\"/' /etc/authkeys/config.toml");
    for person in ["alice", "bob", "dave", "nagios", "nagios"] {
        admitted(&suite.run_as(person, "sudo -n id -u"));
    }
    let told = json_report(&suite, "--would-refuse --since 14d");
    let rows: Vec<(String, bool, i64)> = told["would_refuse"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| (word(row, "who").to_string(), row["person"] == true, row["count"].as_i64().unwrap_or(0)))
        .collect();
    let row = |who: &str, is_person, count| (who.to_string(), is_person, count);
    assert_eq!(rows, [row("nagios", false, 2), row("bob", true, 1), row("dave", true, 1)]);
    let (code, table) = report(&suite, "--would-refuse --since 14d");
    assert_eq!(code, 1, "{table}");
    let (people, programs) = table.split_once("programs, and whoever else").expect("two parts");
    assert!(people.contains("bob") && people.contains("dave") && !people.contains("nagios"), "{table}");
    assert!(programs.contains("nagios") && !programs.contains("bob"), "{table}");
}

#[test]
fn a_rotation_loses_no_record_and_a_report_meanwhile_counts_none_twice() {
    const EACH: i64 = 40;
    let suite = suite();
    // Refusals alone: one record each, and fewer than a person has in a minute.
    let refusals = format!(
        "for i in $(seq {EACH}); do for who in bob carol dave; do runuser -u $who -- sudo -n true; done; done \
         >/dev/null 2>&1; touch /run/done"
    );
    suite.host.daemon(&["/bin/sh", "-c", &refusals], "/dev/null");
    let refused = |told: &Value| -> i64 {
        let rows = told["refused"].as_array().expect("a list").iter();
        rows.map(|row| row["count"].as_i64().expect("a number")).sum()
    };
    let mut before = 0;
    let (mut rotations, mut is_over) = (0, false);
    while !is_over {
        is_over = suite.host.path("/run/done").exists();
        let rotate = suite.host.sh("logrotate -f -s /run/rotated /etc/logrotate.d/authkeys");
        rotations += u32::from(rotate.status.success());
        let told = json_report(&suite, "--since 1h");
        let gaps = told["gaps"].to_string();
        assert!(!gaps.contains("missing") && !gaps.contains("not read"), "{told:#}");
        let now = refused(&told);
        assert!(now >= before && now <= 3 * EACH, "{before}, then {now}: {told:#}");
        before = now;
    }
    assert_eq!(before, 3 * EACH, "after {rotations} rotations");
    assert!(rotations > 2, "{rotations}");
    let files = suite.host.must("cd /var/log/authkeys && ls && stat -c '%U:%G %a' * | sort -u");
    assert!(!files.contains(".backup") && files.ends_with("root:root 640\n"), "{files}");
}
