//! A clock that is set back makes nothing valid again, in any reader, and one that was ahead heals by itself, also
//! without a network. Programs are run by a clock of their own (libfaketime); that of the machine is left alone.

use std::process::Output;

use harness::oncalls::{oncall, schedule, user};
use harness::pagerduty::PagerDuty;
use harness::slapd::Slapd;
use harness::suite::{CONFIG, HOUR, Suite, TEAM, instant, now};
use harness::{text, wait_until, wait_within};

const KEYS: &str = "/var/lib/authkeys/keys.clock";
const ROSTER: &str = "/var/lib/oncall-cache/roster.clock";
const GROUP: &str = "/var/lib/oncall-cache/group.clock";
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Syncs that were made so many seconds ago, as far as both clocks tell.
const AGO: i64 = 400;

/// A clock that is set back so far shows a time after those syncs, when alice was on call and nothing was too old.
const BACK: i64 = -250;

const LIMITS: &str = "[oncall]\nwarn_age = '4m'\nmax_age = '390s'\n[keys]\ncache_ttl = '4m'\nmax_age = '390s'\n\
                      [[nss.group]]\nname = 'oncall'\ngid = 9100\nrules = ['everywhere']\n";

/// Seconds since the boot.
fn uptime(suite: &Suite) -> i64 {
    suite.host.must("cut -d. -f1 /proc/uptime").trim().parse().expect("seconds")
}

/// A machine on which alice was on call until two minutes ago, and whose syncs were made before that; and now, in seconds
/// since the epoch.
fn suite() -> (Suite, i64) {
    let suite = Suite::start();
    suite.host.write("/etc/authkeys/config.toml", CONFIG.to_string() + LIMITS, 0o644);
    suite.host.must("sh /run/suite/source/packaging/nss/enable.sh; gpasswd -d alice sudo");
    suite.host.write("/etc/sudoers.d/oncall", "%oncall ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440);
    wait_within(600, "the machine has been up long enough", || uptime(&suite) > AGO + 60);
    let now = suite.write_rota(&[("alice", -HOUR, -120), ("bob", -120, HOUR)]);
    for (user, command) in [("authkeys-sync", "authkeys-sync"), ("oncall-cache", "oncall-cache sync")] {
        let output = suite.run_at(user, now - AGO, command);
        assert!(output.status.success(), "{}", text(&output));
    }
    // They kept what the boot clock said, which was right.
    for path in [KEYS, ROSTER, GROUP] {
        edit(&suite, path, |[proven, uptime, copy]| {
            let (boot, since) = uptime.split_once(':').expect("a boot and a time");
            let since: f64 = since.parse().expect("seconds");
            [proven.clone(), format!("{boot}:{:.2}", since - AGO as f64), copy.clone()]
        });
    }
    (suite, now)
}

/// Writes what a sync has left of the time anew.
fn edit(suite: &Suite, path: &str, change: impl Fn([&String; 3]) -> [String; 3]) {
    let text = suite.host.read(path);
    let words: Vec<String> = text.trim().split(' ').map(String::from).collect();
    let [form, version, proven, uptime, copy] = words.as_slice() else { panic!("{path}: {text}") };
    let words = change([proven, uptime, copy]).join(" ");
    suite.host.must(&format!("echo '{form} {version} {words}' >{path}"));
}

/// What every reader says at one second since the epoch, by its clock: `check`, `who`, PAM for sudo, PAM for a session by
/// a key, the keys of root and of alice, the group. However long that takes, no copy is older for the last of them.
fn readers(suite: &Suite, at: i64) -> Vec<String> {
    let _ = suite.decisions();
    let key: String = suite.public_key("alice").split(' ').take(2).collect::<Vec<_>>().join(" ");
    let session = format!("pamtester -E 'SSH_AUTH_INFO_0=publickey {key}\n' sshd root open_session");
    let ran = |user: &str, command: &str| suite.run_at(user, at, command);
    let reason = |output: &Output| {
        let said = text(output);
        let known = ["clock-rollback", "cache-stale", "not-oncall", "oncall"];
        known.into_iter().find(|reason| said.contains(reason)).unwrap_or("?").to_string()
    };
    let check = ran("nobody", "oncall-cache test-access alice --json");
    let decided = |command: &str| {
        ran("root", command);
        let lines = suite.decisions();
        let line = lines.first().map(String::as_str).unwrap_or_default();
        line.split(' ').find_map(|field| field.strip_prefix("reason=")).unwrap_or("?").to_string()
    };
    let opens = |account: &str| {
        let printed = ran("authkeys", &format!("authkeys {account}"));
        let said = String::from_utf8_lossy(&printed.stdout).into_owned();
        let is_open = said.lines().any(|line| line.starts_with("ssh-ed25519") && line.ends_with(" alice"));
        format!("{account} {}", if is_open { "open" } else { "closed" })
    };
    let group = ran("nobody", "getent group oncall");
    vec![
        format!("check {}", reason(&check)),
        format!("who {:?}", ran("nobody", "oncall-cache who").status.code()),
        format!("sudo {}", decided("pamtester -I ruser=alice sudo alice acct_mgmt")),
        format!("session {}", decided(&session)),
        opens("root"),
        opens("alice"),
        format!("group {:?}", String::from_utf8_lossy(&group.stdout).trim()),
    ]
}

const ROLLBACK: [&str; 7] = [
    "check clock-rollback",
    "who Some(2)",
    "sudo clock-rollback",
    "session clock-rollback",
    "root closed",
    "alice closed",
    "group \"\"",
];

const VALID: [&str; 7] = [
    "check oncall",
    "who Some(0)",
    "sudo oncall",
    "session oncall",
    "root open",
    "alice open",
    "group \"oncall:*:9100:alice\"",
];

#[test]
fn a42_a_clock_set_back_makes_no_copy_valid_again_and_no_reader_differs() {
    let (suite, start) = suite();
    let back = start + BACK;
    // people.toml cannot be read: what authkeys asks live would be another matter.
    suite.host.must("mv /etc/authkeys/people.toml /etc/authkeys/away");
    // Within what clocks may differ it is one to believe. First of all: in a minute or so this is too old as well.
    assert_eq!(readers(&suite, now() - 80)[0], "check not-oncall");
    let stale = readers(&suite, now());
    assert_eq!(stale[..4], ["check cache-stale", "who Some(2)", "sudo cache-stale", "session cache-stale"]);
    assert_eq!(stale[4..], ["root closed", "alice closed", "group \"\""]);
    assert_eq!(readers(&suite, back), ROLLBACK);
    // Asked about that time by a clock that is right, what was known then is told.
    let then = instant(back);
    let asked = suite.run_as("nobody", &format!("oncall-cache test-access alice --at {then}"));
    assert_eq!(asked.status.code(), Some(0), "{}", text(&asked));
    let said = |command: &str| text(&suite.run_ahead("root", BACK, command));
    for command in
        ["oncall-cache status", "oncall-cache who", "oncall-cache doctor", "authkeys --explain alice"]
    {
        let said = said(command);
        assert!(said.contains("clock is") && said.contains("behind"), "{command}: {said}");
    }
    assert!(
        said("oncall-cache status --prometheus").contains("oncall_cache_roster_believed 0"),
        "{}",
        said("oncall-cache status --prometheus")
    );
    let json = said("oncall-cache status --json");
    assert!(json.contains("\"clock_holds\": false"), "{json}");

    // Without those files, as an earlier release leaves them, the copies' dates are all that there is.
    let kept = [KEYS, ROSTER, GROUP].map(|path| suite.host.read(path));
    for spoil in ["rm -f", "chmod o+w", "truncate -s0", "sed -i s/1/2/"] {
        for path in [KEYS, ROSTER, GROUP] {
            suite.host.must(&format!("{spoil} {path}"));
        }
        assert_eq!(readers(&suite, back), VALID, "{spoil}");
        suite.host.must(&format!("rm -f {KEYS} {ROSTER} {GROUP}"));
        for (path, text) in [KEYS, ROSTER, GROUP].into_iter().zip(&kept) {
            suite.host.write(path, text, 0o644);
            suite.host.must(&format!("chown --reference=$(dirname {path}) {path}"));
        }
        assert_eq!(readers(&suite, back)[0], ROLLBACK[0], "{spoil}");
    }
}

#[test]
fn a42_after_a_restart_what_was_proven_alone_is_left_and_nobody_is_refused_for_a_boot_without_a_name() {
    let (suite, start) = suite();
    let back = start + BACK;
    suite.host.must("mv /etc/authkeys/people.toml /etc/authkeys/away");
    let proven = now() - AGO;
    let restarted = |seconds: i64| {
        for path in [KEYS, ROSTER, GROUP] {
            edit(&suite, path, |[_, uptime, copy]| {
                let since = uptime.split_once(':').expect("a time").1;
                let boot = "00000000-0000-4000-8000-000000000001";
                [instant(proven + seconds), format!("{boot}:{since}"), copy.clone()]
            });
        }
    };
    // The time that has passed since cannot be told.
    restarted(0);
    assert_eq!(readers(&suite, back), VALID);
    // What a sync had seen before can.
    restarted(-BACK + 130);
    assert_eq!(readers(&suite, back), ROLLBACK);
    // A container may not be told which boot this is.
    restarted(0);
    suite.host.must(&format!("mount --bind /dev/null {BOOT}"));
    assert_eq!(readers(&suite, back), VALID);
    restarted(-BACK + 130);
    assert_eq!(readers(&suite, back), ROLLBACK);
    suite.host.must(&format!("umount {BOOT}"));
    // And real logins, by the machine's own clock: it is an hour behind what was seen.
    suite.host.must("mv /etc/authkeys/away /etc/authkeys/people.toml");
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    let enters = || {
        let ssh = suite.ssh("alice", "root", "id -u").status.success();
        let sudo = suite.run_as("alice", "sudo -n id -u").status.success();
        (ssh, sudo)
    };
    assert_eq!(enters(), (true, true));
    for path in [ROSTER, GROUP] {
        edit(&suite, path, |[_, uptime, copy]| [instant(now() + HOUR), uptime.clone(), copy.clone()]);
    }
    assert_eq!(enters(), (false, false));
    suite.sync();
    assert_eq!(enters(), (true, true), "a good sync heals it");
}

const TOKEN: &str = "u+tokenOfTheClocks";

/// People in LDAP; schedules at PagerDuty, and one in a file.
fn config() -> String {
    let (directory, api) = (Slapd::section(&[Slapd::LDAP_URL]), PagerDuty::API);
    format!(
        "[host]\nname = 'testhost'\n{directory}timeout = '10s'\n[keys]\ntimeout = '10s'\n\
         [[oncall.source]]\nname = 'pd'\nprovider = 'pagerduty'\napi = '{api}'\ntoken_file = 'pagerduty-token'\n\
         ca_file = 'pagerduty-ca.pem'\nschedules = ['PDB0001']\ntimeout = '10s'\n\
         [[oncall.source]]\nname = 'rota'\nprovider = 'rota'\nfile = 'rota.toml'\nallow_empty = true\n\
         [[policy.rule]]\nname = 'everywhere'\nschedules = ['pd/PDB0001', 'rota/primary']\n\
         [[policy.shared_account]]\naccount = 'root'\n"
    )
}

fn start_pagerduty(suite: &Suite) -> PagerDuty {
    let pagerduty = PagerDuty::start(&suite.host, TOKEN);
    pagerduty.set_schedules(vec![schedule("PDB0001", "db")]);
    pagerduty.set_users(TEAM.map(|member| user(member.name)).to_vec());
    let shift = |name| oncall(name, Some("PDB0001"), "PEP0001", 1, now() - HOUR, now() + HOUR);
    pagerduty.set_oncalls(vec![shift("alice"), shift("carol")]);
    pagerduty.install(&suite.host, TOKEN);
    pagerduty
}

#[test]
fn a42_a_clock_that_was_ahead_heals_by_itself_when_everything_else_is_down() {
    let suite = Suite::start();
    let slapd = Slapd::start(&suite.host);
    slapd.furnish(&suite, |name| format!("{name}@example.com"));
    let pagerduty = start_pagerduty(&suite);
    suite.host.write("/etc/authkeys/config.toml", config(), 0o644);
    suite.host.write("/etc/authkeys/rota.toml", "[[schedule]]\nid = 'primary'\n", 0o644);
    suite.sync();
    let check = |person: &str| suite.run_as("nobody", &format!("oncall-cache test-access {person} --json"));
    let keys_of = |name: &str| suite.must_as("authkeys", &format!("authkeys {name}")).lines().count();

    // Two hours ahead, with PagerDuty in the right: nothing is published but that carol may not become root any more.
    slapd.set_eligible(&["alice", "bob"]);
    let ahead = 2 * HOUR;
    let keys = suite.run_ahead("authkeys-sync", ahead, "authkeys-sync");
    assert!(keys.status.success(), "{}", text(&keys));
    let skewed = suite.run_ahead("oncall-cache", ahead, "oncall-cache sync");
    assert!(text(&skewed).contains("clock-skew"), "{}", text(&skewed));
    // A login asks for dave, whose key was taken away, while the clock is ahead.
    slapd.modify(&format!("dn: uid=dave,{}\nchangetype: modify\ndelete: sshPublicKey\n", Slapd::BASE));
    suite.host.must("sed -i 's/^\\[keys\\]/[keys]\\ncache_ttl = \"1s\"/' /etc/authkeys/config.toml");
    let asked = suite.run_ahead("authkeys", ahead + 10, "authkeys dave");
    assert!(asked.status.success(), "{}", text(&asked));
    // The clock is right again, and nobody can be asked any more.
    slapd.stop();
    pagerduty.hang(true);
    assert_eq!(check("alice").status.code(), Some(0), "{}", text(&check("alice")));
    assert_eq!(check("carol").status.code(), Some(1), "{}", text(&check("carol")));
    assert!(suite.ssh("alice", "root", "id -u").status.success());
    assert_eq!(keys_of("alice"), 1, "by the copy");
    // Once the copy is not fresh any more, what was answered live is the later word.
    wait_until("dave has no key", || keys_of("dave") == 0);
    // Nor does a sync without PagerDuty, by a clock that is ahead once more, leave anything.
    let partial = suite.run_ahead("oncall-cache", ahead, "oncall-cache sync");
    assert!(text(&partial).contains("2 schedules, 2 shifts"), "{}", text(&partial));
    assert_eq!(check("alice").status.code(), Some(0), "{}", text(&check("alice")));
    // What that one read is as old as what is proven, and no younger.
    let json = text(&suite.run_as("nobody", "oncall-cache status --json"));
    assert!(!json.contains("\"age_seconds\": -"), "{json}");

    // By its own clock alone, and with a part of it old, a sync makes no clock trusted that is behind.
    edit(&suite, ROSTER, |[_, uptime, copy]| [instant(now() + HOUR), uptime.clone(), copy.clone()]);
    let partial = suite.run_as("oncall-cache", "oncall-cache sync");
    assert!(text(&partial).contains("2 schedules, 2 shifts"), "{}", text(&partial));
    assert_eq!(check("alice").status.code(), Some(2), "{}", text(&check("alice")));
    assert!(text(&check("alice")).contains("clock-rollback"), "{}", text(&check("alice")));
    // PagerDuty tells the time.
    pagerduty.hang(false);
    slapd.resume();
    suite.sync();
    assert_eq!(check("alice").status.code(), Some(0), "{}", text(&check("alice")));
}

/// The last instant that is proven by the file at `path`, in seconds from now.
fn proven(suite: &Suite, path: &str) -> i64 {
    let instant = suite.host.read(path).split(' ').nth(2).expect("an instant").to_string();
    suite.host.must(&format!("date -d {instant} +%s")).trim().parse::<i64>().expect("seconds") - now()
}

/// rota.toml and people.toml are read whole, and tell no time.
#[test]
fn files_read_whole_by_a_clock_that_was_ahead_leave_nothing_of_it() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    for (user, command) in [("authkeys-sync", "authkeys-sync"), ("oncall-cache", "oncall-cache sync")] {
        // Within the time for which the rota has somebody.
        let output = suite.run_ahead(user, HOUR / 2, command);
        assert!(output.status.success(), "{}", text(&output));
    }
    for path in [KEYS, ROSTER] {
        // Nothing of the half hour, however long ago the sync was.
        assert!((-HOUR / 4..=HOUR / 4).contains(&proven(&suite, path)), "{path}: {}", suite.host.read(path));
    }
    assert_eq!(suite.must_as("authkeys", "authkeys alice").lines().count(), 1);
    let check = suite.run_as("nobody", "oncall-cache test-access alice");
    assert_eq!(check.status.code(), Some(0), "{}", text(&check));
}

/// What ended stays ended by a clock that is set back, with either file that tells what the time was; nobody is told
/// when such a clock will be right.
#[test]
fn a_clock_set_back_brings_no_programs_key_back() {
    let suite = Suite::start();
    suite.host.must("ssh-keygen -qt ed25519 -N '' -f /root/keys/robot");
    let key = suite.public_key("robot");
    let entry = |until: i64| {
        let entry = format!(
            "[[policy.automation]]\naccount = 'deploy'\nkeys = ['{key}']\nfrom = ['127.0.0.1']\nowner = 'ci'\nreason = 'x'\nuntil = {}\n",
            instant(until)
        );
        suite.host.write("/etc/authkeys/config.toml", CONFIG.to_string() + &entry, 0o644);
    };
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    entry(now() - HOUR);
    suite.sync();
    let keys = |ahead: i64| {
        let output = suite.run_ahead("authkeys", ahead, "authkeys deploy");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for gone in [ROSTER, KEYS] {
        assert_eq!(keys(-2 * HOUR), "", "without {gone}");
        suite.host.must(&format!("mv {gone} {gone}.away"));
    }
    assert!(keys(-2 * HOUR).contains("ssh-ed25519 "), "nothing says what the time was");
    for gone in [ROSTER, KEYS] {
        suite.host.must(&format!("mv {gone}.away {gone}"));
    }
    entry(now() + HOUR);
    assert!(keys(-2 * HOUR).contains("ssh-ed25519 "), "not over by any clock");
    let check = suite.run_ahead("nobody", -2 * HOUR, "oncall-cache test-access alice --json");
    let said = text(&check);
    assert!(said.contains("clock-rollback") && said.contains("\"until\": null"), "{said}");
}

/// In a time namespace the clock that counts from the boot is another one, and the boot's name is the same.
#[test]
fn what_was_seen_outside_a_time_namespace_is_no_floor_inside() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    let inside = |user: &str, command: &str| {
        suite.run_as(
            "root",
            &format!("unshare --time --boottime 864000 --fork runuser -u {user} -- {command}"),
        )
    };
    let keys = inside("authkeys", "authkeys alice");
    assert!(keys.status.success() && text(&keys).contains("ssh-ed25519 "), "{}", text(&keys));
    let check = inside("nobody", "oncall-cache test-access alice");
    assert_eq!(check.status.code(), Some(0), "{}", text(&check));
    // What is seen inside holds there.
    let sync = inside("authkeys-sync", "authkeys-sync");
    assert!(sync.status.success(), "{}", text(&sync));
    assert_eq!(suite.must_as("authkeys", "authkeys alice").lines().count(), 1);
}
