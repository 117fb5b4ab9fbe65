//! What somebody left open is ended by hand, on hosts that systemd has booted: exactly that, and nothing beside it.
//!
//! Every program of the test is a `sleep` of its own length, by which it is found again.

use std::io::Write;
use std::process::{Child, ChildStdin, Stdio};
use std::thread;

use harness::records::word;
use harness::suite::{DAY, instant, now};
use harness::{Booted, Debian, Network, text, wait_until, wait_within};
use serde_json::Value;

use crate::penalties::host_with;

/// What ssh needs, before the account.
fn options(key: &str) -> String {
    format!(
        "-F none -i /root/keys/{key} -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no \
         -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    )
}

/// Somebody's terminal, by ssh from the host itself.
pub struct Terminal<'h> {
    host: &'h Booted,
    ssh: Child,
    keys: ChildStdin,
}

impl<'h> Terminal<'h> {
    /// Opens it as `account`, with the key of `key`.
    pub fn open(host: &'h Booted, key: &str, account: &str) -> Self {
        Self::by(host, &format!("ssh -tt {} {account}@127.0.0.1", options(key)))
    }

    fn by(host: &'h Booted, ssh: &str) -> Self {
        let mut ssh = host
            .command("/usr/bin/timeout")
            .args(["1800", "/bin/sh", "-c", &format!("TERM=vt100 exec {ssh}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nsenter runs");
        let keys = ssh.stdin.take().expect("stdin is a pipe");
        Self { host, ssh, keys }
    }

    /// Types a line.
    pub fn types(&mut self, line: &str) {
        writeln!(self.keys, "{line}").expect("it is open");
    }

    /// Types a line that has a `sleep` of this length run, and waits until it does.
    pub fn run(&mut self, line: &str, length: u32) {
        self.types(&line.replace("SLEEP", &format!("sleep {length}")));
        wait_until(line, || runs(self.host, length));
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let _ = self.ssh.kill();
        let _ = self.ssh.wait();
    }
}

/// The processes that are a `sleep` of this length; systemd-run names it from the root on.
pub fn pids(host: &Booted, length: u32) -> Vec<u64> {
    let found = host.must(&format!("pgrep -fx '(/.*/)?sleep {length}' || :"));
    found.lines().map(|pid| pid.parse().expect("a number")).collect()
}

pub fn runs(host: &Booted, length: u32) -> bool {
    !pids(host, length).is_empty()
}

/// What `oncall-cache sessions` says to these arguments, with its exit status.
pub fn sessions(host: &Booted, arguments: &str) -> (Option<i32>, Value) {
    let output = host.sh(&format!("oncall-cache sessions --json {arguments}"));
    let said = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
    (output.status.code(), said)
}

/// Why a `sleep` of this length was left, if any session left it.
fn left(host: &Booted, said: &Value, length: u32) -> Option<String> {
    let pids = pids(host, length);
    let all = said["sessions"].as_array().expect("a list").iter();
    let mut left = all.flat_map(|session| session["left"].as_array().expect("a list"));
    let one = left.find(|process| process["pid"].as_u64().is_some_and(|pid| pids.contains(&pid)))?;
    Some(word(one, "why").to_string())
}

/// The id of alice's one open session as root by `service`, once there is one.
fn id(host: &Booted, service: &str) -> String {
    let mut found = None;
    wait_until("the session is open", || {
        let (_, said) = sessions(host, "");
        let mut all = said["sessions"].as_array().expect("a list").iter();
        let wanted = ("alice", "root", service);
        let one = all.find(|one| (word(one, "person"), word(one, "account"), word(one, "service")) == wanted);
        found = one.map(|one| word(one, "id").to_string());
        found.is_some()
    });
    found.expect("an id")
}

fn answers(host: &Booted, port: u16) -> bool {
    let words = ["60", "/bin/bash", "-c", &format!("exec 3<>/dev/tcp/127.0.0.1/{port}")];
    host.command("/usr/bin/timeout").args(words).output().expect("nsenter runs").status.success()
}

/// A host on which alice and bob are on call, with a robot that enters root, and tmux.
pub fn host(release: Debian, network: &Network) -> Booted {
    let host = host_with(release, network, &["alice", "bob"]);
    host.add("tmux");
    host.must("ssh-keygen -qt ed25519 -N '' -f /root/keys/robot");
    host.write("/etc/sudoers.d/team", "%sudo ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440);
    let robot = host.read("/root/keys/robot.pub");
    let entry = format!(
        "[[policy.automation]]\naccount = 'root'\nkeys = ['{}']\nfrom = ['127.0.0.1']\nowner = 'platform team'\n\
         reason = 'ansible'\nuntil = {}\n",
        robot.trim(),
        instant(now() + DAY)
    );
    let config = host.read("/etc/authkeys/config.toml");
    host.write("/etc/authkeys/config.toml", config + &entry, 0o644);
    host
}

/// Those who are there beside alice, and what stays whatever is ended of hers.
pub struct Others<'h> {
    _terminals: Vec<Terminal<'h>>,
    listener: String,
}

impl<'h> Others<'h> {
    /// The lengths of their programs: bob's, the robot's, and behind a jump through alice's own account.
    const LENGTHS: [u32; 4] = [7301, 7302, 7303, 7304];

    pub fn come(host: &'h Booted) -> Self {
        let mut bob = Terminal::open(host, "bob", "bob");
        bob.run("SLEEP &", 7301);
        bob.run("sudo -n SLEEP", 7302);
        let robot = Terminal::by(host, &format!("ssh {} root@127.0.0.1 sleep 7303", options("robot")));
        let jump = format!("ssh {} -W 127.0.0.1:22 alice@127.0.0.1", options("alice"));
        let dave = format!("ssh {} -o ProxyCommand='{jump}' dave@127.0.0.1 sleep 7304", options("dave"));
        let dave = Terminal::by(host, &dave);
        for length in [7303, 7304] {
            wait_until("they are there", || runs(host, length));
        }
        Self { _terminals: vec![bob, robot, dave], listener: host.must("cat /run/sshd.pid") }
    }

    /// They are as they were.
    pub fn are_there(&self, host: &Booted) {
        for length in Self::LENGTHS {
            assert!(runs(host, length), "{length}");
        }
        let pid = self.listener.trim();
        assert!(host.sh(&format!("kill -0 {pid}")).status.success(), "sshd's listener");
        let failed = host.must("systemctl --failed --plain --no-legend");
        assert!(failed.is_empty(), "{failed}");
    }
}

#[test]
fn a89_what_is_left_open_is_ended_and_nothing_else() {
    let network = Network::start();
    let try_all = |release: Debian| {
        let host = host(release, &network);
        let others = Others::come(&host);
        a_connection_to_root_is_hung_up(&host);
        others.are_there(&host);
        what_sudo_holds_is_ended(&host);
        others.are_there(&host);
        what_is_at_work_holds_all_of_it(&host);
        others.are_there(&host);
    };
    thread::scope(|scope| {
        for release in Debian::ALL {
            scope.spawn(move || try_all(release));
        }
    });
}

/// A connection that several sessions share, with forwardings; nobody is at it.
fn a_connection_to_root_is_hung_up(host: &Booted) {
    let mux = format!(
        "ssh -M -S /run/mux -N -L 7001:127.0.0.1:22 -R 7002:127.0.0.1:22 {} root@127.0.0.1",
        options("alice")
    );
    let mut mux = Terminal::by(host, &mux);
    wait_until("both are forwarded", || answers(host, 7001) && answers(host, 7002));
    let mut shell = Terminal::by(host, "ssh -tt -S /run/mux root@127.0.0.1");
    shell.run("SLEEP", 7111);
    let id = id(host, "sshd");
    let (status, said) = sessions(host, &format!("--end {id} --hangup --dry-run"));
    assert!(status == Some(0) && said["dry_run"] == true && runs(host, 7111), "{said:#}");
    let (status, said) = sessions(host, &format!("--end {id} --hangup --reason 'left open'"));
    assert_eq!(status, Some(0), "{said:#}");
    assert!(!runs(host, 7111) && !answers(host, 7002), "{said:#}");
    wait_until("its client has ended", || mux.ssh.try_wait().expect("a child").is_some());
    assert!(!answers(host, 7001), "which held this one");
    wait_until("sshd has closed it", || !host.path(&format!("/run/authkeys/sessions/{id}")).exists());
    is_recorded(host, &id, "left open");
}

/// The record says by whom it was ended, and why.
fn is_recorded(host: &Booted, id: &str, why: &str) {
    let records = host.read("/var/log/authkeys/decisions.jsonl");
    let records = records.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ends: Vec<Value> =
        records.filter(|one| word(one, "id") == id && word(one, "ended") == "root").collect();
    let [end] = &ends[..] else { panic!("one end of {id}: {ends:#?}") };
    assert_eq!((word(end, "phase"), word(end, "person"), word(end, "account")), ("close", "alice", "root"));
    assert!(!word(end, "by").is_empty() && word(end, "why") == why, "{end}");
}

/// alice's `sudo -i`, with everything that may be in it, and beside it what is hers alone.
fn what_sudo_holds_is_ended(host: &Booted) {
    let mut own = Terminal::open(host, "alice", "alice");
    own.run("for i in $(seq 60); do sudo -n true; done; SLEEP &", 7200);
    let mut www = Terminal::open(host, "alice", "alice");
    www.types("sudo -n -u www-data -s");
    www.run("SLEEP", 7201);
    own.types("sudo -n -i");
    own.run("SLEEP &", 7202);
    for pid in pids(host, 7202) {
        host.must(&format!("kill -STOP {pid}"));
    }
    own.run("tmux new -d 'SLEEP'", 7203);
    own.run("tmux -L shared new -d 'SLEEP'", 7204);
    own.run("setsid nohup SLEEP </dev/null >/dev/null 2>&1 &", 7205);
    own.run("nohup SLEEP >/dev/null 2>&1 &", 7206);
    // A shell that is hung up hangs up what it runs in the background, wherever that is.
    own.run("nohup systemd-run --quiet --scope SLEEP >/dev/null 2>&1 &", 7207);
    own.run("SLEEP", 7208);
    let mut bob = Terminal::open(host, "bob", "bob");
    bob.types("sudo -n env TERM=vt100 tmux -L shared attach");
    wait_until("bob is there", || {
        let clients = host.must("tmux -L shared list-clients | wc -l");
        clients.trim() == "1"
    });
    let output = host.sh("oncall-cache sessions --person alice");
    assert!(output.status.code() == Some(64) && text(&output).contains("say why"), "{}", text(&output));
    let sudo = id(host, "sudo-i");
    let (status, said) = sessions(host, "--person alice --reason 'INC-42 is over'");
    assert_eq!(status, Some(1), "{said:#}");
    for length in [7201, 7202, 7203, 7208] {
        assert!(!runs(host, length), "{length}: {said:#}");
    }
    for (length, why) in [
        (7200, None),
        (7204, Some("shared")),
        (7205, Some("no-terminal")),
        (7206, Some("nohup")),
        (7207, Some("elsewhere")),
    ] {
        assert!(runs(host, length), "{length}: {said:#}");
        assert_eq!(left(host, &said, length).as_deref(), why, "{length}: {said:#}");
    }
    assert_eq!(host.must("tmux -L shared list-clients | wc -l").trim(), "1", "bob is there: {said:#}");
    is_recorded(host, &sudo, "INC-42 is over");
    // Her own terminals, in which these ran, are open.
    own.run("SLEEP", 7209);
    www.run("SLEEP", 7210);
    for pid in [7204, 7205, 7206, 7207].into_iter().flat_map(|length| pids(host, length)) {
        host.must(&format!("kill {pid}"));
    }
}

/// Packages that are half changed, and what keeps the host from going down: nothing is ended as long as that is so.
fn what_is_at_work_holds_all_of_it(host: &Booted) {
    let mut own = Terminal::open(host, "alice", "alice");
    own.types("sudo -n -i");
    own.run("exec 9>/var/lib/dpkg/lock; SLEEP &", 7220);
    let id = id(host, "sudo-i");
    let end = format!("--end {id} --reason 'left open'");
    let (status, said) = sessions(host, &end);
    assert!(status == Some(1) && said["sessions"][0]["held_by"] == "dpkg" && runs(host, 7220), "{said:#}");
    own.run("pkill -fx 'sleep 7220'; exec 9>&-; systemd-inhibit --who=backup --what=shutdown SLEEP &", 7221);
    let (status, said) = sessions(host, &end);
    let held = word(&said["sessions"][0], "held_by").starts_with("backup, which blocks shutdown");
    assert!(status == Some(1) && held && runs(host, 7221), "{said:#}");
    own.run("pkill -fx 'sleep 7221'; wait; setsid nohup SLEEP </dev/null >/dev/null 2>&1 &", 7222);
    let (status, said) = sessions(host, &format!("{end} --all"));
    assert!(status == Some(0) && !runs(host, 7222), "{said:#}");
    own.run("SLEEP", 7223);
    let (status, said) = sessions(host, &end);
    assert!(status == Some(2) && said.to_string().contains("no open session has the id"), "{said:#}");
}

#[test]
fn a89_what_tmux_holds_in_a_scope_of_its_own_is_listed_and_stays() {
    let network = Network::start();
    let try_all = |release: Debian| {
        let host = host(release, &network);
        // As where a login's tmux is begun by systemd, so that it outlives the login: a shell as root in alice's tmux.
        let mut own = Terminal::open(&host, "alice", "alice");
        own.types("systemd-run --user --quiet --scope tmux -L own new -d 'sudo -n -i'");
        let outside = id(&host, "sudo-i");
        own.types("tmux -L own send-keys 'exec sleep 7501' Enter");
        wait_until("it runs in her tmux", || runs(&host, 7501));
        // And a tmux of root's, begun in a shell as root that ends as usual.
        let mut root = Terminal::open(&host, "alice", "alice");
        root.types("sudo -n -i");
        root.run("systemd-run --quiet --scope tmux -L rooted new -d 'SLEEP'", 7502);
        root.run("SLEEP", 7503);
        let (_, said) = sessions(&host, "");
        assert!(said.to_string().contains(&outside), "{said:#}");
        for more in ["", "--all"] {
            let (status, said) = sessions(&host, &format!("--person alice --reason 'left open' {more}"));
            assert_eq!(status, Some(1), "{said:#}");
            assert!(!runs(&host, 7503), "{said:#}");
            assert!(runs(&host, 7501) && runs(&host, 7502), "{said:#}");
            assert_eq!(left(&host, &said, 7501).as_deref(), Some("elsewhere"), "{said:#}");
            if more.is_empty() {
                assert_eq!(left(&host, &said, 7502).as_deref(), Some("elsewhere"), "{said:#}");
            }
        }
        // The one is in its session still. Whose the other is, no open session says any more: it is listed by itself.
        let (_, said) = sessions(&host, "");
        let pid = pids(&host, 7502)[0].to_string();
        assert!(said.to_string().contains(&outside) && said.to_string().contains(&pid), "{said:#}");
    };
    thread::scope(|scope| {
        for release in Debian::ALL {
            scope.spawn(move || try_all(release));
        }
    });
}

#[test]
fn a90_shells_that_are_older_than_the_roll_out_of_kill_stay_and_are_not_warned() {
    let network = Network::start();
    let try_all = |release: Debian| {
        let host = host(release, &network);
        let others = Others::come(&host);
        // Opened while sessions are only listed: a shell, a connection, and a shell in tmux.
        let mut own = Terminal::open(&host, "alice", "alice");
        own.types("sudo -n -i");
        own.run("tmux new -d 'SLEEP'", 7601);
        own.run("SLEEP", 7602);
        let mut root = Terminal::open(&host, "alice", "root");
        root.run("SLEEP", 7603);
        let before = ids(&host, "alice");
        assert_eq!(before.len(), 2, "{before:?}");
        roll_out(&host);
        a_shift_ends(&host);
        // What was opened after that has ended by now, warned and after its grace. All older is as it was.
        for length in [7601, 7602, 7603] {
            assert!(runs(&host, length), "{length}");
        }
        let (_, said) = sessions(&host, "");
        for one in said["sessions"].as_array().expect("a list") {
            if before.iter().any(|id| *id == word(one, "id")) {
                assert!(one.to_string().contains("\"opened-before\""), "{one:#}");
            }
        }
        for record in ended(&host, "alice", "shift") {
            assert!(!before.iter().any(|id| *id == word(&record, "id")), "{record}");
        }
        let warned = host.must("journalctl -q -o cat -t oncall-cache -g decision=warned");
        assert!(!before.iter().any(|id| warned.contains(id.as_str())), "{warned}");
        others.are_there(&host);
        // By hand they end.
        let (_, said) = sessions(&host, "--person alice --reason 'left open'");
        for length in [7601, 7602, 7603] {
            assert!(!runs(&host, length), "{length}: {said:#}");
        }
    };
    thread::scope(|scope| {
        for release in Debian::ALL {
            scope.spawn(move || try_all(release));
        }
    });
}

/// The ids of this person's open sessions as root.
pub fn ids(host: &Booted, person: &str) -> Vec<String> {
    let (_, said) = sessions(host, "");
    let all = said["sessions"].as_array().expect("a list").iter();
    let wanted = all.filter(|one| word(one, "person") == person && word(one, "account") == "root");
    wanted.map(|one| word(one, "id").to_string()).collect()
}

/// From now on sessions are ended, and all that are opened after this are under it.
fn roll_out(host: &Booted) {
    let config = host.read("/etc/authkeys/config.toml");
    let end = "[policy.end]\naction = 'kill'\nwarn = '1m'\ngrace = '1m'\n";
    host.write("/etc/authkeys/config.toml", config + end, 0o644);
    let since = now();
    wait_until("what is opened from now on is under that", || now() > since + 1);
}

#[test]
fn a89_a90_the_timer_ends_what_a_shift_has_left_after_a_warning_and_at_once_what_is_revoked() {
    let network = Network::start();
    let try_all = |release: Debian| {
        let host = host(release, &network);
        roll_out(&host);
        let others = Others::come(&host);
        a_shift_ends(&host);
        others.are_there(&host);
        host.must("oncall-cache revoke bob --reason 'key lost'");
        wait_within(900, "what bob has left open is ended", || !runs(&host, 7302));
        wait_until("that is recorded", || !ended(&host, "bob", "revoked").is_empty());
        assert!(runs(&host, 7301), "what he runs as himself");
    };
    thread::scope(|scope| {
        for release in Debian::ALL {
            scope.spawn(move || try_all(release));
        }
    });
}

/// alice's, soon, with a shell as root, a connection to root, and what she runs as herself.
fn a_shift_ends(host: &Booted) {
    let (start, end, later) = (now() - DAY, now() + 180, now() + DAY);
    let shift = |name, end| {
        let (start, end) = (instant(start), instant(end));
        format!("[[schedule.shift]]\nperson = '{name}'\nstart = {start}\nend = {end}\n")
    };
    let rota = format!("[[schedule]]\nid = 'primary'\n{}{}", shift("alice", end), shift("bob", later));
    host.write("/etc/authkeys/rota.toml", rota, 0o644);
    host.must("systemctl start oncall-cache-sync.service");
    let mut own = Terminal::open(host, "alice", "alice");
    own.run("SLEEP &", 7400);
    own.types("sudo -n -i");
    own.run("SLEEP", 7401);
    let mut root = Terminal::open(host, "alice", "root");
    root.run("SLEEP", 7402);
    wait_within(900, "both are ended", || !runs(host, 7401) && !runs(host, 7402));
    assert!(runs(host, 7400), "what she runs as herself");
    wait_until("both ends are recorded", || ended(host, "alice", "shift").len() == 2);
    for record in ended(host, "alice", "shift") {
        assert!(word(&record, "time") >= &*instant(end + 60), "before its time: {record}");
    }
    let warned = host.must("journalctl -q -o cat -t oncall-cache -g decision=warned");
    let told = warned.lines().filter(|line| line.contains("person=alice ") && line.contains(" terminals=1"));
    assert_eq!(told.count(), 2, "{warned}");
}

/// The records of this person's sessions that were ended for this.
pub fn ended(host: &Booted, person: &str, cause: &str) -> Vec<Value> {
    let records = host.read("/var/log/authkeys/decisions.jsonl");
    let records = records.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    records.filter(|one| word(one, "person") == person && word(one, "ended") == cause).collect()
}
