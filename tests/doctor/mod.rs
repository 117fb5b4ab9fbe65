//! `oncall-cache doctor`: silent on a host as it should be, and exact about each of many that are not.
//!
//! Every case breaks one thing on a host that is right, asks the doctor, and then either runs the command that it
//! printed, after which it has to be silent again, or puts things back.

mod files;
mod fleet;
mod grants;
mod people;
mod running;
mod sshd;
mod stacks;

use harness::suite::{CONFIG, DAY, HOUR, Suite};
use harness::{text, wait_until};
use serde_json::Value;

/// Each finding has a line in it.
const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// The shipped set-up, with what README.md asks for: an account for emergencies, and syncs that are started.
pub fn suite() -> Suite {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR), ("bob", HOUR, DAY)]);
    suite.host.write("/etc/sudoers.d/team", "%sudo ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440);
    suite.host.must(
        "useradd -m -s /bin/sh -G sudo breakglass && mkdir -m 700 ~breakglass/.ssh && \
         cp /root/keys/carol.pub ~breakglass/.ssh/authorized_keys && chown -R breakglass ~breakglass/.ssh",
    );
    suite.host.write(
        "/etc/cron.d/authkeys",
        "*/2 * * * * authkeys-sync /usr/bin/authkeys-sync\n*/5 * * * * oncall-cache /usr/bin/oncall-cache sync\n",
        0o644,
    );
    suite.sync();
    keep(&suite);
    suite
}

/// The same with a group of those on call, in nsswitch.conf, and with an nscd that keeps no groups.
fn suite_with_group() -> Suite {
    let suite = suite();
    let group = "[[nss.group]]\nname = \"oncall\"\ngid = 9100\nrules = [\"*\"]\n";
    suite.host.write("/etc/authkeys/config.toml", format!("{CONFIG}{group}"), 0o644);
    suite.host.must("sh /run/suite/source/packaging/nss/enable.sh");
    suite.host.must(
        "sed -i 's/^\\(\\s*enable-cache\\s*[a-z]*\\s*\\)yes/\\1no/' /etc/nscd.conf && mkdir -p /run/nscd /var/cache/nscd && ln -sfn /run /var/run",
    );
    suite.host.daemon(&["/usr/sbin/nscd", "-F"], "/var/log/nscd.log");
    wait_until("nscd listens", || suite.host.path("/run/nscd/socket").exists());
    suite.sync();
    keep(&suite);
    suite
}

/// What is right, to be put back after each case.
fn keep(suite: &Suite) {
    suite.host.must(
        "touch /etc/sudo.conf; \
         tar -cf /run/suite/right.tar -C / etc/pam.d etc/ssh etc/authkeys etc/sudoers etc/sudoers.d etc/cron.d \
         etc/passwd etc/group etc/shadow etc/gshadow etc/nsswitch.conf etc/nscd.conf etc/sudo.conf var/lib/authkeys \
         var/lib/oncall-cache var/log/authkeys run/authkeys/granted",
    );
}

/// What the doctor says, and its exit status.
struct Told {
    exit: Option<i32>,
    findings: Vec<Value>,
}

fn ask(suite: &Suite) -> Told {
    let output = suite.host.sh("oncall-cache doctor --json");
    let told: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
    assert_eq!(told["version"], 1);
    assert_eq!(told["exit"].as_i64().map(|exit| exit as i32), output.status.code(), "{}", text(&output));
    let findings = told["findings"].as_array().expect("a list").clone();
    for finding in &findings {
        let row = format!("\n| `{}` |", word(finding, "id"));
        assert!(OPERATIONS.contains(&row), "docs/operations.md has no line for {finding:#}");
    }
    Told { exit: output.status.code(), findings }
}

impl Told {
    /// The findings that are more than notes.
    fn wrong(&self) -> Vec<&Value> {
        self.findings.iter().filter(|finding| finding["severity"] != "note").collect()
    }

    /// A line for each finding, for a failed assertion.
    fn lines(&self) -> String {
        let line = |finding: &&Value| {
            let words = ["severity", "id", "what", "fix"].map(|field| word(finding, field)).join(" | ");
            format!("{}:{}: {words}\n", word(finding, "file"), finding["line"])
        };
        format!("{:?}\n{}", self.exit, self.wrong().iter().map(line).collect::<String>())
    }

    fn is_silent(&self) -> bool {
        self.exit == Some(0) && self.wrong().is_empty()
    }
}

fn word<'a>(finding: &'a Value, field: &str) -> &'a str {
    finding[field].as_str().unwrap_or_default()
}

/// One thing that is wrong.
struct Case {
    /// What breaks it, for sh.
    breaks: &'static str,
    /// Severity and token.
    found: &'static str,
    /// The file, and after `#` what stands on the line that has to be named.
    place: &'static str,
    after: After,
}

/// What follows.
enum After {
    /// The command that was printed fixes it.
    Fix,
    /// The fix is for somebody to decide, or is a command that clears this finding and leaves others to be fixed;
    /// it has these words in it. This puts things back, besides what was in /etc and in the copies.
    Advice(&'static str, &'static str),
}

use After::{Advice, Fix};

const fn case(breaks: &'static str, found: &'static str, place: &'static str, after: After) -> Case {
    Case { breaks, found, place, after }
}

/// Where a case expects the finding.
fn place(suite: &Suite, place: &str) -> (String, Option<u64>) {
    let Some((file, words)) = place.split_once('#') else { return (place.to_string(), None) };
    let content = suite.host.read(file);
    let line = content.lines().position(|line| line.contains(words));
    (file.to_string(), Some(1 + line.unwrap_or_else(|| panic!("no {words:?} in {file}:\n{content}")) as u64))
}

fn put_back(suite: &Suite) {
    suite.host.must(
        "rm -rf /var/lib/authkeys /var/lib/oncall-cache /var/log/authkeys /etc/authkeys/switch && \
         tar -xpf /run/suite/right.tar -C /",
    );
}

/// Breaks, asks and fixes, one case after the other on one machine.
fn each(cases: &[Case]) {
    each_on(&suite(), cases);
}

fn each_on(suite: &Suite, cases: &[Case]) {
    let first = ask(suite);
    assert!(first.is_silent(), "on the shipped set-up: {}", first.lines());
    for case in cases {
        suite.host.must(case.breaks);
        let told = ask(suite);
        let (file, line) = place(suite, case.place);
        let matches = |finding: &&Value| {
            format!("{} {}", word(finding, "severity"), word(finding, "id")) == case.found
                && word(finding, "file") == file
                && finding["line"].as_u64() == line
        };
        let Some(finding) = told.findings.iter().find(matches) else {
            panic!("{}\nno {} at {file}:{line:?} in {}", case.breaks, case.found, told.lines());
        };
        let exit = match word(finding, "severity") {
            "note" => 0,
            "warning" => 1,
            _ => 2,
        };
        assert!(told.exit >= Some(exit), "{}: {}", case.breaks, told.lines());
        assert!(!word(finding, "what").is_empty() && !word(finding, "why").is_empty(), "{finding:#}");
        let (fix, is_command) = (word(finding, "fix"), finding["is_command"] == true);
        match case.after {
            Fix => {
                assert!(is_command, "{}: {fix}", case.breaks);
                suite.host.must(fix);
                let after = ask(suite);
                let stays = after.findings.iter().find(matches);
                assert!(
                    after.is_silent() && stays.is_none(),
                    "{}\nafter {fix}\n{}",
                    case.breaks,
                    after.lines()
                );
            }
            Advice(words, undo) => {
                assert!(fix.contains(words), "{}: {fix}", case.breaks);
                // Nobody types what is for people to decide. What is a command does what it is printed for.
                if is_command {
                    suite.host.must(fix);
                    let after = ask(suite);
                    let stays = |one: &Value| ["id", "what"].iter().all(|key| one[*key] == finding[*key]);
                    assert!(!after.findings.iter().any(stays), "{}\n{fix}\n{}", case.breaks, after.lines());
                }
                suite.host.must(undo);
            }
        }
        put_back(suite);
    }
    let last = ask(suite);
    assert!(last.is_silent(), "after all cases: {}", last.lines());
}

#[test]
fn the_shipped_set_up_is_right_and_looking_at_it_changes_nothing() {
    let suite = suite();
    let state = "find /etc /var/lib/authkeys /var/lib/oncall-cache /home -xdev -printf '%p %m %u %g %s %T@\\n' | sort | sha256sum";
    let before = suite.host.must(state);
    let _ = suite.log_lines();
    let told = ask(&suite);
    assert!(told.is_silent(), "{}", told.lines());
    // The canaries were asked, and libpam had nothing to complain of.
    let log = suite.log_lines();
    assert!(log.iter().any(|line| line.contains("authkeys-canary")), "{log:#?}");
    assert!(!log.iter().any(|line| line.contains("_pam_init_handlers")), "{log:#?}");
    let people = suite.host.must("oncall-cache doctor");
    let mut lines = people.lines();
    assert_eq!(lines.next(), Some("nothing is wrong"));
    // Which way in was proven, just now; and to anybody what root has proven.
    let proven = "breakglass, exempt, gets in";
    assert!(lines.next().is_some_and(|line| line.starts_with("ways in: proven ") && line.contains(proven)));
    let told = suite.run_as("nobody", "oncall-cache status");
    assert!(text(&told).contains("ways in     proven ") && text(&told).contains(proven), "{}", text(&told));
    assert_eq!(suite.host.must(state), before);
    let refused = suite.run_as("alice", "oncall-cache doctor --json");
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(text(&refused).contains("run it as root"), "{}", text(&refused));
    what_was_proven_is_kept(&suite);
}

/// Beyond the boot, by root alone, and only what let somebody in.
fn what_was_proven_is_kept(suite: &Suite) {
    let [lasting, shown] = ["/var/log/authkeys/way-in", "/run/authkeys/way-in"];
    let modes = format!("stat -c '%U %a' {lasting} {shown}; cmp {lasting} {shown}");
    assert_eq!(suite.host.must(&modes), "root 600\nroot 644\n");
    // The next boot: what everybody reads is gone until something is tried, and root still knows.
    suite.host.must(&format!("sed -i 's/^[^ ]*/2020-01-01T00:00:00Z/' {lasting} && rm {shown}"));
    let by = |who: &str, command: &str| text(&suite.run_as(who, command));
    let status = by("nobody", "oncall-cache status");
    assert!(status.contains("ways in     none was ever proven, or that is root's to read"), "{status}");
    let status = by("root", "oncall-cache status");
    assert!(status.contains("ago, before this host booted: breakglass, exempt, gets in"), "{status}");
    // What fails is no proof, and takes none away.
    suite.host.must("sed -i '1i account requisite pam_deny.so' /etc/pam.d/sudo");
    let doctor = by("root", "oncall-cache doctor");
    assert!(
        doctor.contains("way-in")
            && doctor.contains("ago, before this host booted: breakglass, exempt, gets in"),
        "{doctor}"
    );
    let status = by("nobody", "oncall-cache status --json");
    assert!(status.contains("\"at\": \"2020-01-01T00:00:00Z\""), "{status}");
    // Damaged, or another's: nothing was ever proven.
    for damage in [format!("echo nonsense >{lasting}"), format!("chown nobody {lasting}")] {
        suite.host.must(&damage);
        let status = by("root", "oncall-cache status");
        assert!(status.contains("none was ever proven"), "{damage}: {status}");
    }
    suite.host.must("sed -i 1d /etc/pam.d/sudo");
    let doctor = by("root", "oncall-cache doctor");
    assert!(doctor.contains("nothing is wrong\nways in: proven ") && !doctor.contains("booted"), "{doctor}");
    assert_eq!(suite.host.must(&modes), "root 600\nroot 644\n");
}

const CONFIG_FILE: &str = "/etc/authkeys/config.toml";

/// What no case here can break, and the test that does.
const ELSEWHERE: [(&str, &str, &str); 17] = [
    // With a key beside it, which is told as well.
    ("local-authority", include_str!("sshd.rs"), "found(\"local-authority\")"),
    // With signatures by ssh-keygen.
    ("policy-signed", include_str!("../approved.rs"), "\"policy-signed\""),
    ("policy-signers", include_str!("../approved.rs"), "\"policy-signers\""),
    // With a provider that does not say.
    ("incidents", include_str!("../incidents.rs"), "one[\"id\"] == \"incidents\""),
    // With a directory that has them.
    ("empty-group", include_str!("../eligible.rs"), "contains(\"empty-group\")"),
    ("nested-groups", include_str!("../eligible.rs"), "contains(\"nested-groups\")"),
    // A machine made over another has that one's clock.
    ("clock-sync", include_str!("../../lib/doctor/src/state.rs"), "fn a_clock_that_nothing_keeps_right"),
    // With systemd, and nothing left to watch files by.
    ("unit", include_str!("../rollout.rs"), "authkeys-changed.path is failed"),
    // Made by arithmetic, and never written down.
    ("weak-key", include_str!("../keys/values.rs"), "weak-key"),
    // With a directory that refers to another one.
    ("referral", include_str!("../replica/entries.rs"), "doctor.contains(\"referral\")"),
    // On booted hosts, with the programs themselves.
    ("pam-service", include_str!("../doors.rs"), "\"pam-service\""),
    (
        "polkit-group",
        include_str!("../../lib/doctor/src/polkit.rs"),
        "fn administrators_that_the_policy_does_not_know",
    ),
    ("second-sshd", include_str!("../doors.rs"), "\"second-sshd\""),
    ("account-nobodys", include_str!("../../lib/doctor/src/names.rs"), "format!(\"account-nobodys {name}\")"),
    ("accounts-of-one", include_str!("../../lib/doctor/src/names.rs"), "[\"accounts-of-one by\"]"),
    // With a grant that somebody used, and its reviewer.
    ("break-glass-review", include_str!("../glass.rs"), "\"break-glass-review\""),
    // sshd counts since 9.8.
    (
        "sshd-penalties",
        include_str!("../../lib/doctor/src/sshd/tests.rs"),
        "fn penalties_that_cost_nobody_behind_a_bastion_are_not_told",
    ),
];

/// Every finding has a line in operations.md, and one that has a line is broken here, and fixed or advised.
#[test]
fn every_finding_is_broken_and_mended_somewhere() {
    const CASES: [&str; 7] = [
        include_str!("files.rs"),
        include_str!("fleet.rs"),
        include_str!("people.rs"),
        include_str!("grants.rs"),
        include_str!("running.rs"),
        include_str!("sshd.rs"),
        include_str!("stacks.rs"),
    ];
    let table = OPERATIONS.split("\n| id | what it says | fix |").nth(1).expect("the table of findings");
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    let ids: Vec<&str> = rows.filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(ids.len() > 60, "{ids:?}");
    let severities = ["lock-out", "open", "warning", "note"];
    for id in ids {
        let is_case =
            |text: &&str| severities.iter().any(|severity| text.contains(&format!("\"{severity} {id}\"")));
        let has_case = CASES.iter().any(is_case);
        let elsewhere = ELSEWHERE.iter().any(|(name, text, words)| *name == id && text.contains(words));
        assert!(has_case || elsewhere, "no case breaks and fixes `{id}`");
    }
}
