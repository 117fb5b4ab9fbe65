//! `oncall-cache doctor`: silent on a host as it should be, and exact about each of many that are not.
//!
//! Every case breaks one thing on a host that is right, asks the doctor, and then either runs the command that it
//! printed, after which it has to be silent again, or puts things back.

use harness::suite::{CONFIG, DAY, HOUR, Suite, instant, now};
use harness::{text, wait_until};
use serde_json::Value;

/// Each finding has a line in it.
const OPERATIONS: &str = include_str!("../docs/operations.md");

/// The shipped set-up, with what README.md asks for: an account for emergencies, and syncs that are started.
fn suite() -> Suite {
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
        "tar -cf /run/suite/right.tar -C / etc/pam.d etc/ssh etc/authkeys etc/sudoers etc/sudoers.d etc/cron.d \
         etc/passwd etc/group etc/shadow etc/gshadow etc/nsswitch.conf etc/nscd.conf var/lib/authkeys \
         var/lib/oncall-cache var/log/authkeys",
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
            let words = ["severity", "id", "what", "mend"].map(|field| word(finding, field)).join(" | ");
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
    /// The command that was printed mends it.
    Mend,
    /// The mend is for somebody to decide, or is a command that clears this finding and leaves others to be mended;
    /// it has these words in it. This puts things back, besides what was in /etc and in the copies.
    Advice(&'static str, &'static str),
}

use After::{Advice, Mend};

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

/// Breaks, asks and mends, one case after the other on one machine.
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
        let (mend, is_command) = (word(finding, "mend"), finding["is_command"] == true);
        match case.after {
            Mend => {
                assert!(is_command, "{}: {mend}", case.breaks);
                suite.host.must(mend);
                let after = ask(suite);
                let stays = after.findings.iter().find(matches);
                assert!(
                    after.is_silent() && stays.is_none(),
                    "{}\nafter {mend}\n{}",
                    case.breaks,
                    after.lines()
                );
            }
            Advice(words, undo) => {
                assert!(mend.contains(words), "{}: {mend}", case.breaks);
                // Nobody types what is for people to decide. What is a command does what it is printed for.
                if is_command {
                    suite.host.must(mend);
                    let after = ask(suite);
                    let stays = |one: &Value| ["id", "what"].iter().all(|key| one[*key] == finding[*key]);
                    assert!(!after.findings.iter().any(stays), "{}\n{mend}\n{}", case.breaks, after.lines());
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
    let told = ask(&suite);
    assert!(told.is_silent(), "{}", told.lines());
    let people = suite.host.must("oncall-cache doctor");
    assert!(people.starts_with("nothing is wrong\n"), "{people}");
    assert_eq!(suite.host.must(state), before);
    let refused = suite.run_as("alice", "oncall-cache doctor --json");
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(text(&refused).contains("run it as root"), "{}", text(&refused));
}

#[test]
fn a53_stacks_that_let_through_or_lock_out_are_named_by_their_line() {
    each(&[
        case(
            "sed -i 's/^account required pam_oncall/account sufficient pam_oncall/' /etc/pam.d/sshd",
            "open pam-soft",
            "/etc/pam.d/sshd#account sufficient pam_oncall",
            Mend,
        ),
        // As several packages write their own modules: a denial becomes "ask the next one".
        case(
            "sed -i 's/^account required pam_oncall/account [success=ok default=ignore] pam_oncall/' /etc/pam.d/sudo",
            "open pam-soft",
            "/etc/pam.d/sudo#account [success",
            Mend,
        ),
        case(
            "sed -i 's/^account required pam_oncall/account optional pam_oncall/' /etc/pam.d/sudo-i",
            "open pam-soft",
            "/etc/pam.d/sudo-i#account optional pam_oncall",
            Mend,
        ),
        case(
            "sed -i 's/^session requisite pam_oncall/session optional pam_oncall/' /etc/pam.d/sshd",
            "open pam-soft",
            "/etc/pam.d/sshd#session optional pam_oncall",
            Mend,
        ),
        case("sed -i /pam_oncall/d /etc/pam.d/sudo", "open pam-missing", "/etc/pam.d/sudo", Mend),
        case("sed -i /pam_oncall/d /etc/pam.d/sshd", "open pam-missing", "/etc/pam.d/sshd", Mend),
        // `sudo -i` has a stack of its own, and without one it has that of every unknown service.
        case("rm /etc/pam.d/sudo-i", "open pam-missing", "/etc/pam.d/other", Mend),
        case(
            "sed -i '1i account sufficient pam_localuser.so' /etc/pam.d/sudo",
            "open pam-order",
            "/etc/pam.d/sudo#pam_localuser",
            Mend,
        ),
        case(
            "sed -i '/^account.*pam_oncall/i account [success=1 default=ignore] pam_succeed_if.so quiet user ingroup adm' /etc/pam.d/sudo",
            "open pam-order",
            "/etc/pam.d/sudo#pam_succeed_if",
            Mend,
        ),
        case(
            "sed -i -e /pam_oncall/d -e '/common-account/a account required pam_oncall.so' /etc/pam.d/sudo",
            "open pam-order",
            "/etc/pam.d/common-account#pam_unix",
            Mend,
        ),
        case(
            "sed -i '/common-account/d' /etc/pam.d/sudo",
            "lock-out pam-refuses",
            "/etc/pam.d/sudo#account required pam_oncall",
            Mend,
        ),
        case(
            "sed -i 's/^@include common-account/account required pam_permit.so/' /etc/pam.d/sudo",
            "open pam-unix",
            "/etc/pam.d/sudo#account required pam_oncall",
            Mend,
        ),
        case(
            "sed -i 's/^@include common-account/@include common-acount/' /etc/pam.d/sudo",
            "lock-out pam-include",
            "/etc/pam.d/sudo#common-acount",
            Advice("put common-acount back", "true"),
        ),
        // Measured: from a stack with CR LF libpam lets nobody in; "Module is unknown", or "Critical error" for an include.
        case("sed -i '/^[^#]/s/$/\\r/' /etc/pam.d/sshd", "lock-out pam-cr", "/etc/pam.d/sshd#@include", Mend),
        case(
            "sed -i '/pam_oncall/s/$/\\r/' /etc/pam.d/sudo",
            "lock-out pam-cr",
            "/etc/pam.d/sudo#pam_oncall",
            Mend,
        ),
        case(
            "sed -i 's/pam_unix.so *$/pam_unix.so\\r/' /etc/pam.d/common-account",
            "lock-out pam-cr",
            "/etc/pam.d/common-account#pam_unix",
            Mend,
        ),
        case(
            "sed -i 's/ shared=session//' /etc/pam.d/sshd",
            "lock-out pam-shared",
            "/etc/pam.d/sshd#account required pam_oncall",
            Mend,
        ),
        // A robot in a guarded account, and nobody else who would need the word.
        case(
            "sed -i '/^.*policy.shared/,$d' /etc/authkeys/config.toml && echo PermitRootLogin no >>/etc/ssh/sshd_config.d/10-authkeys.conf && \
             printf '[[policy.automation]]\\naccount = \"alice\"\\nkeys = [\"%s\"]\\nfrom = [\"127.0.0.1\"]\\nowner = \"ops\"\\nreason = \"deploy\"\\nuntil = 2099-01-01\\n' \"$(cat /root/keys/dave.pub)\" >>/etc/authkeys/config.toml && \
             sed -i 's/ shared=session//' /etc/pam.d/sshd",
            "lock-out pam-shared",
            "/etc/pam.d/sshd#account required pam_oncall",
            Mend,
        ),
        case(
            "sed -i '/^session requisite pam_oncall/d' /etc/pam.d/sshd",
            "open pam-session",
            "/etc/pam.d/sshd#account required pam_oncall",
            Mend,
        ),
        case(
            "sed -i 's/pam_oncall.so$/pam_oncall.so debug/' /etc/pam.d/sudo",
            "lock-out pam-word",
            "/etc/pam.d/sudo#account required pam_oncall.so debug",
            Mend,
        ),
        case(
            "sed -i 's,pam_oncall.so$,pam_oncall.so config=/etc/authkeys/strict.toml,' /etc/pam.d/sudo",
            "warning pam-config",
            "/etc/pam.d/sudo#account required pam_oncall.so config",
            Mend,
        ),
        // The package is gone, and its lines are not.
        case(
            "for m in /usr/lib/*/security/pam_oncall.so; do mv $m $m.off; done",
            "lock-out pam-module",
            "/etc/pam.d/sshd#account required pam_oncall",
            Advice(
                "install the suite again",
                "for m in /usr/lib/*/security/pam_oncall.so; do true; done; for m in /usr/lib/*/security/pam_oncall.so.off; do mv $m ${m%.off}; done",
            ),
        ),
        case(
            "for m in /usr/lib/*/security/pam_oncall.so; do cp $m /run/suite/module; printf '\\003\\000' | dd of=$m bs=1 seek=18 conv=notrunc 2>/dev/null; done",
            "lock-out pam-module",
            "/etc/pam.d/sshd#account required pam_oncall",
            Advice(
                "install the suite again",
                "for m in /usr/lib/*/security/pam_oncall.so; do cp /run/suite/module $m; done",
            ),
        ),
        // An upgrade that left a function out.
        case(
            "for m in /usr/lib/*/security/pam_oncall.so; do sed -i 's/pam_sm_open_session/pam_sm_open_sessiom/g' $m; done",
            "lock-out pam-module",
            "/etc/pam.d/sshd#account required pam_oncall",
            Advice(
                "install the suite again",
                "for m in /usr/lib/*/security/pam_oncall.so; do cp /run/suite/module $m; done",
            ),
        ),
        case(
            "sed -i 's/^@include common-auth/auth required pam_permit.so/' /etc/pam.d/su",
            "open pam-auth",
            "/etc/pam.d/su#pam_permit",
            Advice("put pam_unix.so", "true"),
        ),
        case(
            "echo root:secret | chpasswd && sed -i /pam_oncall/d /etc/pam.d/su",
            "open pam-missing",
            "/etc/pam.d/su",
            Advice("account required pam_oncall.so", "true"),
        ),
        case(
            "sed -i -e /pam_oncall/d -e '1i auth sufficient pam_wheel.so trust' /etc/pam.d/su",
            "open pam-missing",
            "/etc/pam.d/su",
            Mend,
        ),
        case(
            "cp /etc/pam.d/other /etc/pam.d/cockpit",
            "warning pam-door",
            "/etc/pam.d/cockpit",
            Advice("pam_listfile", "rm /etc/pam.d/cockpit /etc/security/authkeys-not-here"),
        ),
        // The command keeps out whoever is guarded, not root alone, and one who is new is told.
        case(
            "cp /etc/pam.d/other /etc/pam.d/cockpit && echo root >/etc/security/authkeys-not-here && \
             sed -i '1i account requisite pam_listfile.so onerr=fail item=user sense=deny file=/etc/security/authkeys-not-here' /etc/pam.d/cockpit",
            "warning pam-door",
            "/etc/pam.d/cockpit",
            Advice(" alice bob ", "rm /etc/pam.d/cockpit /etc/security/authkeys-not-here"),
        ),
        // A file that comes with login is a door where a program asks by it.
        case(
            "cp /etc/pam.d/other /etc/pam.d/remote && touch /usr/sbin/in.telnetd",
            "warning pam-door",
            "/etc/pam.d/remote",
            Advice("pam_listfile", "rm /usr/sbin/in.telnetd /etc/security/authkeys-not-here"),
        ),
        case(
            "cp /etc/pam.d/other /etc/pam.d/xrdp-sesman && echo root:secret | chpasswd",
            "open pam-door",
            "/etc/pam.d/xrdp-sesman",
            Advice("pam_listfile", "rm /etc/pam.d/xrdp-sesman /etc/security/authkeys-not-here"),
        ),
    ]);
}

#[test]
fn what_keeps_everybody_out_of_a_stack_is_named() {
    each(&[
        case(
            "sed -i '1i -account required pam_absent.so' /etc/pam.d/sudo",
            "lock-out pam-absent",
            "/etc/pam.d/sudo#pam_absent",
            Advice("install the package that has pam_absent.so", "true"),
        ),
        case(
            "sed -i '1i session requisite pam_absent.so' /etc/pam.d/sshd",
            "lock-out pam-absent",
            "/etc/pam.d/sshd#pam_absent",
            Advice("or take the line out", "true"),
        ),
        // Measured: `account include` of such a line refuses everybody, and in auth it refuses whoever has to prove anything.
        case(
            "sed -i 's/^@include common-auth/@includes common-auth/' /etc/pam.d/sudo",
            "lock-out pam-line",
            "/etc/pam.d/sudo#@includes",
            Advice("`@include`", "true"),
        ),
        case(
            "printf '@account-lines\n' >/etc/pam.d/ours && sed -i '1i account include ours' /etc/pam.d/sudo",
            "lock-out pam-line",
            "/etc/pam.d/ours#@account-lines",
            Advice("take the line out", "rm /etc/pam.d/ours"),
        ),
        case(
            "sed -i '/^account required pam_oncall/a account [success=ok ignore=ignore user_unknown=9 default=bad] pam_localuser.so' /etc/pam.d/sudo",
            "lock-out pam-jump",
            "/etc/pam.d/sudo#pam_localuser",
            Advice("count the lines", "true"),
        ),
        // The word in an included file, and the line that it promises in sshd's own: one command brings both.
        case(
            "sed -e 's/ shared=session//' -e '/^session requisite pam_oncall/d' /etc/pam.d/sshd >/etc/pam.d/all && \
             printf '@include all\n' >/etc/pam.d/sshd",
            "lock-out pam-shared",
            "/etc/pam.d/all#account required pam_oncall",
            Mend,
        ),
        // Without an account line of its own it is `other` that decides.
        case(
            "printf 'auth required pam_unix.so\n' >/etc/pam.d/sudo",
            "open pam-missing",
            "/etc/pam.d/sudo",
            Mend,
        ),
        case(
            "printf 'account sufficient pam_localuser.so\n@include common-account\n' >/etc/pam.d/sudo",
            "open pam-missing",
            "/etc/pam.d/sudo",
            Mend,
        ),
    ]);
}

/// dpkg keeps the configuration of a package that is removed and not purged. No program asks by it any more.
#[test]
fn what_is_left_of_a_removed_package_is_no_door() {
    let suite = suite();
    suite.host.must("cp /etc/pam.d/other /etc/pam.d/vsftpd");
    let is_told = || ask(&suite).findings.iter().any(|one| word(one, "what").starts_with("vsftpd: "));
    assert!(is_told());
    let left = "\nPackage: vsftpd\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 3\nMaintainer: x\nConffiles:\n /etc/pam.d/vsftpd 0123456789abcdef0123456789abcdef\nDescription: x\n";
    suite.host.must(&format!("printf '{left}' >>/var/lib/dpkg/status"));
    assert!(!is_told());
}

/// Where libpam does not mind a carriage return, nothing is told of it: alice gets in, and bob does not.
#[test]
fn carriage_returns_that_libpam_passes_over_are_passed_over() {
    let suite = suite();
    let sudo = suite.host.read("/etc/pam.d/sudo");
    for (line, is_minded) in [
        ("\r", false),
        ("# account required pam_unix.so\r", false),
        ("account required pam_unix.so broken_shadow\r", false),
        ("account required pam_unix.so # x\r", false),
        ("session optional pam_lastlog.so\r", false),
        ("account required pam_unix.so\r", true),
        ("@include common-account\r", true),
        ("account required pam_unix.so \\\r", false),
        ("account required \\\r\n  pam_unix.so\r", true),
    ] {
        suite.host.write("/etc/pam.d/sudo", format!("{sudo}\n{line}\n"), 0o644);
        assert_eq!((passes(&suite, "alice"), passes(&suite, "bob")), (!is_minded, false), "{line:?}");
        let told = ask(&suite);
        let is_told = told.findings.iter().any(|finding| word(finding, "id") == "pam-cr");
        assert_eq!(is_told, is_minded, "{line:?}: {}", told.lines());
    }
}

/// sshd is asked with everything that a Match can name. Which of these its release knows is sshd's own word.
#[test]
fn whatever_a_match_asks_for_sshd_is_looked_at() {
    let suite = suite();
    let mut known = 0;
    for criteria in [
        "All",
        "User root",
        "User *,!alice",
        "Group root",
        "Host localhost",
        "Host *.example.com,localhost",
        "Address 127.0.0.0/8",
        "Address 2001:db8::/32",
        "LocalAddress 127.0.0.1",
        "LocalPort 22",
        "LocalPort 2222",
        "RDomain *",
        "RDomain blue",
        "User root Group root Host * Address * LocalAddress * LocalPort 22 RDomain *",
        "Invalid-User",
        "Version OpenSSH_*",
        "Canonical",
        "Command true",
        "Sessiontype shell",
        "Nonsense x",
    ] {
        let file = "/etc/ssh/sshd_config.d/90-match.conf";
        suite.host.write(file, format!("Match {criteria}\n  MaxSessions 3\n"), 0o644);
        let starts = suite.host.sh("/usr/sbin/sshd -t").status.success();
        known += usize::from(starts);
        let told = ask(&suite);
        let has = |id: &str| told.findings.iter().any(|finding| word(finding, "id") == id);
        assert_eq!(has("sshd-config"), !starts, "{criteria}: {}", told.lines());
        assert!(!has("sshd-match") && told.is_silent() == starts, "{criteria}: {}", told.lines());
    }
    assert!(known >= 14, "{known}");
}

#[test]
fn a53_an_sshd_that_does_not_ask_is_named_by_the_line_that_wins() {
    each(&[
        case(
            "sed -i 's/^UsePAM yes/UsePAM no/' /etc/ssh/sshd_config.d/10-authkeys.conf",
            "open sshd-pam",
            "/etc/ssh/sshd_config.d/10-authkeys.conf#UsePAM",
            Mend,
        ),
        case(
            "sed -i '1i UsePAM no' /etc/ssh/sshd_config",
            "open sshd-pam",
            "/etc/ssh/sshd_config#UsePAM no",
            Mend,
        ),
        // sshd takes the first command; the one of systemd-userdb, or of a cloud's package, sorts before ours.
        case(
            "echo 'AuthorizedKeysCommand /usr/bin/userdbctl ssh-authorized-keys %u' >/etc/ssh/sshd_config.d/05-userdb.conf",
            "lock-out sshd-command",
            "/etc/ssh/sshd_config.d/05-userdb.conf#userdbctl",
            Mend,
        ),
        // Accounts have keys by it: it is kept, whichever of the two comes first.
        case(
            "echo 'AuthorizedKeysCommand /usr/bin/id %u' >/etc/ssh/sshd_config.d/05-other.conf",
            "lock-out sshd-command",
            "/etc/ssh/sshd_config.d/05-other.conf#/usr/bin/id",
            Mend,
        ),
        case(
            "rm -f /etc/ssh/sshd_config.d/05-other.conf; echo 'AuthorizedKeysCommand /usr/bin/id %u' >/etc/ssh/sshd_config.d/20-other.conf",
            "warning sshd-command",
            "/etc/ssh/sshd_config.d/20-other.conf#/usr/bin/id",
            Mend,
        ),
        case(
            "echo 'AuthorizedKeysCommand /usr/bin/id %h' >/etc/ssh/sshd_config.d/20-other.conf",
            "warning sshd-command",
            "/etc/ssh/sshd_config.d/20-other.conf#/usr/bin/id",
            Advice("by hand", "rm /etc/ssh/sshd_config.d/20-other.conf"),
        ),
        case(
            "rm -f /etc/ssh/sshd_config.d/05-userdb.conf; rm /etc/ssh/sshd_config.d/10-authkeys.conf",
            "lock-out sshd-command",
            "/etc/ssh/sshd_config",
            Mend,
        ),
        // sshd starts with both or neither.
        case(
            "sed -i /CommandUser/d /etc/ssh/sshd_config.d/10-authkeys.conf",
            "lock-out sshd-config",
            "/etc/ssh/sshd_config",
            Advice("sshd -t", "true"),
        ),
        case(
            "sed -i 's/ %t %k//' /etc/ssh/sshd_config.d/10-authkeys.conf",
            "warning sshd-command",
            "/etc/ssh/sshd_config.d/10-authkeys.conf#AuthorizedKeysCommand /",
            Mend,
        ),
        case(
            "sed -i 's/CommandUser authkeys/CommandUser root/' /etc/ssh/sshd_config.d/10-authkeys.conf",
            "warning sshd-command-user",
            "/etc/ssh/sshd_config.d/10-authkeys.conf#CommandUser",
            Mend,
        ),
        case(
            "sed -i 's/CommandUser authkeys/CommandUser nobody/' /etc/ssh/sshd_config.d/10-authkeys.conf",
            "lock-out sshd-command-user",
            "/etc/ssh/sshd_config.d/10-authkeys.conf#CommandUser",
            Mend,
        ),
        case(
            "sed -i 's/CommandUser authkeys/CommandUser keys/' /etc/ssh/sshd_config.d/10-authkeys.conf",
            "lock-out sshd-command-user",
            "/etc/ssh/sshd_config.d/10-authkeys.conf#CommandUser",
            Mend,
        ),
        case("chmod g+w /usr/bin/authkeys", "lock-out sshd-command-path", "/usr/bin/authkeys", Mend),
        case("chmod 777 /usr/bin", "lock-out sshd-command-path", "/usr/bin", Mend),
        case("chmod 700 /usr/bin/authkeys", "lock-out sshd-command-path", "/usr/bin/authkeys", Mend),
        // Measured: it is run in place of a key's own command.
        case(
            "printf 'Match User root\n  ForceCommand /usr/local/bin/audit-shell\n' >>/etc/ssh/sshd_config",
            "warning sshd-forcecommand",
            "/etc/ssh/sshd_config#ForceCommand /usr",
            Advice("explain = false", "true"),
        ),
        case(
            "printf 'Match Address 10.0.0.0/8 User root\n  ForceCommand /usr/local/bin/audit-shell\n' >>/etc/ssh/sshd_config",
            "warning sshd-forcecommand",
            "/etc/ssh/sshd_config#ForceCommand /usr",
            Advice("explain = false", "true"),
        ),
        case(
            "printf 'PermitTunnel yes\\n' >/etc/ssh/sshd_config.d/05-tunnel.conf",
            "warning sshd-tunnel",
            "/etc/ssh/sshd_config.d/05-tunnel.conf#PermitTunnel yes",
            Mend,
        ),
        case(
            "echo PermitRootLogin no >>/etc/ssh/sshd_config.d/10-authkeys.conf",
            "lock-out sshd-root",
            "/etc/ssh/sshd_config.d/10-authkeys.conf#PermitRootLogin no",
            Mend,
        ),
        // Some connections are let in, which no question about one address shows.
        case(
            "printf 'PermitRootLogin no\\nMatch Address 10.0.0.0/8\\n  PermitRootLogin prohibit-password\\n' >/etc/ssh/sshd_config.d/05-root.conf",
            "note sshd-root",
            "/etc/ssh/sshd_config.d/05-root.conf#  PermitRootLogin",
            Advice("Address 10.0.0.0/8", "true"),
        ),
        case(
            "printf 'PermitRootLogin no\\nMatch User dave,!root\\n  PermitRootLogin prohibit-password\\n' >/etc/ssh/sshd_config.d/05-root.conf",
            "lock-out sshd-root",
            "/etc/ssh/sshd_config.d/05-root.conf#PermitRootLogin no",
            Mend,
        ),
        case(
            "rm /etc/ssh/sshd_config.d/05-root.conf; echo PermitRootLogin yes >>/etc/ssh/sshd_config.d/10-authkeys.conf",
            "warning sshd-root-password",
            "/etc/ssh/sshd_config.d/10-authkeys.conf#PermitRootLogin yes",
            Mend,
        ),
        case(
            "sed -i '1i AllowGroups sudo users' /etc/ssh/sshd_config",
            "lock-out sshd-root",
            "/etc/ssh/sshd_config#AllowGroups",
            Advice("add root", "true"),
        ),
        case(
            "printf 'Match Address 10.0.0.0/8\\n  AuthorizedKeysCommand none\\n' >>/etc/ssh/sshd_config",
            "warning sshd-match",
            "/etc/ssh/sshd_config#  AuthorizedKeysCommand none",
            Mend,
        ),
        case(
            "printf 'Match User root\\n  AuthorizedKeysCommand none\\n' >/etc/ssh/sshd_config.d/05-userdb.conf",
            "lock-out sshd-command",
            "/etc/ssh/sshd_config.d/05-userdb.conf#none",
            Advice("AuthorizedKeysCommand /usr/bin/authkeys", "rm /etc/ssh/sshd_config.d/05-userdb.conf"),
        ),
        case(
            "ssh-keygen -qt ed25519 -N '' -f /etc/ssh/ca && echo 'TrustedUserCAKeys /etc/ssh/ca.pub' >>/etc/ssh/sshd_config",
            "warning sshd-certificates",
            "/etc/ssh/sshd_config#TrustedUserCAKeys",
            Mend,
        ),
        case(
            "echo 'UsePam maybe' >>/etc/ssh/sshd_config",
            "lock-out sshd-config",
            "/etc/ssh/sshd_config#maybe",
            Advice("sshd -t", "true"),
        ),
        // sshd follows the link, and finds a directory that others can write.
        case(
            "mkdir -p /opt/authkeys/bin && cp /usr/bin/authkeys /opt/authkeys/bin && chgrp sudo /opt/authkeys && chmod g+w /opt/authkeys && ln -s /opt/authkeys/bin/authkeys /usr/local/bin/authkeys && \
             sed -i 's,/usr/bin/authkeys,/usr/local/bin/authkeys,' /etc/ssh/sshd_config.d/10-authkeys.conf",
            "lock-out sshd-command-path",
            "/opt/authkeys",
            Mend,
        ),
        case("rm -rf /run/sshd", "warning sshd-config", "", Mend),
        case(
            "rm -rf /root/.ssh && mkdir -m 700 /root/.ssh && cp /root/keys/bob.pub /root/.ssh/authorized_keys",
            "warning local-keys",
            "/root/.ssh/authorized_keys#ssh-ed25519",
            Advice("AuthorizedKeysFile none", "rm -r /root/.ssh"),
        ),
    ]);
}

#[test]
fn files_and_users_that_are_not_as_installed_are_named_with_the_command_that_mends_them() {
    each(&[
        // The helper cannot pass a directory that is root's alone.
        case("chmod 700 /etc/authkeys", "lock-out file-mode", "/etc/authkeys", Mend),
        case("chmod 600 /etc/authkeys/config.toml", "lock-out file-mode", "/etc/authkeys/config.toml", Mend),
        case(
            "chmod 664 /etc/authkeys/config.toml",
            "lock-out config",
            "/etc/authkeys/config.toml",
            Advice("config check", "true"),
        ),
        case("chmod 664 /etc/authkeys/config.toml", "lock-out file-mode", "/etc/authkeys/config.toml", Mend),
        case("chown alice /etc/authkeys/rota.toml", "warning file-mode", "/etc/authkeys/rota.toml", Mend),
        case("chgrp root /var/lib/authkeys/keys.db", "lock-out file-mode", "/var/lib/authkeys/keys.db", Mend),
        case(
            "chmod 664 /var/lib/oncall-cache/roster.db",
            "lock-out file-mode",
            "/var/lib/oncall-cache/roster.db",
            Mend,
        ),
        // As a backup that root restores leaves them.
        case(
            "chown root:root /var/lib/oncall-cache/*",
            "warning file-mode",
            "/var/lib/oncall-cache/roster.lock",
            Advice("chown oncall-cache", "true"),
        ),
        case(
            "chown root /var/lib/oncall-cache/roster.lock",
            "warning file-mode",
            "/var/lib/oncall-cache/roster.lock",
            Mend,
        ),
        case(
            "chown root /var/lib/oncall-cache/roster.db",
            "warning file-mode",
            "/var/lib/oncall-cache/roster.db",
            Mend,
        ),
        case(
            "chown root /var/lib/oncall-cache/history.jsonl",
            "warning file-mode",
            "/var/lib/oncall-cache/history.jsonl",
            Mend,
        ),
        case(
            "chown root /var/lib/oncall-cache/status.json",
            "warning file-mode",
            "/var/lib/oncall-cache/status.json",
            Mend,
        ),
        case(
            "chown root /var/lib/authkeys/keys.lock",
            "warning file-mode",
            "/var/lib/authkeys/keys.lock",
            Mend,
        ),
        case("chown root /var/lib/authkeys/keys.db", "warning file-mode", "/var/lib/authkeys/keys.db", Mend),
        case("chown root /var/lib/oncall-cache", "lock-out file-mode", "/var/lib/oncall-cache", Mend),
        case("chmod 777 /usr/bin/oncall-cache", "open file-mode", "/usr/bin/oncall-cache", Mend),
        case(
            "rm /usr/libexec/authkeys/pam-probe",
            "warning pam-probe",
            "/usr/libexec/authkeys/pam-probe",
            Advice("install the suite again", "cp /run/suite/build/pam-probe /usr/libexec/authkeys/"),
        ),
        case("chmod 775 /usr/libexec/authkeys", "warning pam-probe", "/usr/libexec/authkeys", Mend),
        case(
            "chmod 644 /usr/libexec/authkeys/pam-probe",
            "warning pam-probe",
            "/usr/libexec/authkeys/pam-probe",
            Mend,
        ),
        case("gpasswd -d oncall-cache authkeys", "warning membership", "/etc/group", Mend),
        case("gpasswd -d authkeys-sync authkeys", "warning membership", "/etc/group", Mend),
        case("usermod -a -G authkeys-sync dave", "warning membership", "/etc/group", Mend),
        case("groupadd docker && usermod -a -G docker dave", "warning root-group", "/etc/group", Mend),
        case(
            "usermod -a -G shadow,disk dave",
            "warning root-group",
            "/etc/group",
            Advice("gpasswd -d dave", "true"),
        ),
        case(
            "printf 'alice yesterday root\\n' >/etc/authkeys/revoked",
            "lock-out revoked",
            "/etc/authkeys/revoked#yesterday",
            Advice("mend the line", "rm /etc/authkeys/revoked"),
        ),
        case(
            "sed -i 's/^exempt_accounts/exemt_accounts/' /etc/authkeys/config.toml",
            "lock-out config",
            "/etc/authkeys/config.toml#exemt",
            Advice("config check", "true"),
        ),
        case(
            "sed -i 's/^account = \"root\"/account = \"rot\"/' /etc/authkeys/config.toml",
            "warning config-name",
            "/etc/authkeys/config.toml#account = \"rot\"",
            Advice("the name that is meant", "true"),
        ),
        case(
            "sed -i 's,rota/primary,rota/primry,' /etc/authkeys/config.toml",
            "warning config-name",
            "/etc/authkeys/config.toml#primry",
            Advice("the name that is meant", "true"),
        ),
        case(
            "rm /var/lib/oncall-cache/roster.db",
            "lock-out roster",
            "/var/lib/oncall-cache/roster.db",
            Mend,
        ),
        case("rm /var/lib/authkeys/keys.db", "lock-out keys", "/var/lib/authkeys/keys.db", Mend),
        case(
            "sqlite3 /var/lib/oncall-cache/roster.db 'UPDATE schedule SET synced = synced - 90000'",
            "lock-out schedule",
            "/var/lib/oncall-cache/roster.db",
            Mend,
        ),
        case(
            "sqlite3 /var/lib/oncall-cache/roster.db 'UPDATE schedule SET synced = synced - 7200'",
            "warning schedule",
            "/var/lib/oncall-cache/roster.db",
            Mend,
        ),
        case(
            "rm /etc/cron.d/authkeys /usr/lib/systemd/system/*-sync.service",
            "warning timer",
            "/etc/cron.d/authkeys",
            Mend,
        ),
        // cron passes over each of these, and says nothing.
        case("chmod 666 /etc/cron.d/authkeys", "warning timer", "/etc/cron.d/authkeys", Mend),
        case("chown dave /etc/cron.d/authkeys", "warning timer", "/etc/cron.d/authkeys", Mend),
        case(
            "sed -i 's, oncall-cache /, oncallcache /,' /etc/cron.d/authkeys",
            "warning timer",
            "/etc/cron.d/authkeys",
            Mend,
        ),
        case(
            "sed -i 's,/usr/bin,/usr/local/bin,' /etc/cron.d/authkeys",
            "warning timer",
            "/etc/cron.d/authkeys",
            Mend,
        ),
        case(
            "mv /etc/cron.d/authkeys /etc/cron.d/authkeys.cron",
            "warning timer",
            "/etc/cron.d/authkeys.cron",
            Mend,
        ),
    ]);
}

#[test]
fn other_files_are_checked_before_they_are_installed() {
    let suite = suite();
    for (command, right, wrong, told) in [
        (
            "oncall-cache config check --as rota",
            "[[schedule]]\nid = 'p'\n",
            "[[schedule]]\nid = 'p'\n[[schedule.shift]]\nperson = 'a'\n",
            ":3: missing field `start`",
        ),
        (
            "oncall-cache config check --as revoked",
            "# nobody\nmallory 2026-11-20T09:00:00Z root why not\n",
            "# nobody\nmallory\n",
            ":2: not a revocation; write ",
        ),
        (
            "authkeys-sync --check",
            "[[person]]\nprincipal = 'alice'\n",
            "[[person]]\nprincipal = 'alice'\nmial = []\n",
            ":3: unknown key `mial`; did you mean `mail`?",
        ),
    ] {
        let check = |text: &str| {
            suite.host.write("/run/new", text, 0o600);
            suite.host.sh(&format!("{command} /run/new"))
        };
        let output = check(right);
        assert!(output.status.success() && text(&output).contains("/run/new: ok"), "{}", text(&output));
        let output = check(wrong);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains(&format!("/run/new{told}")), "{}", text(&output));
    }
}

/// `config check FILE` for each of these configurations: its exit status, and what it complains of.
#[test]
fn config_check_names_what_stands_for_nothing_with_what_was_meant() {
    let suite = suite();
    let check = |config: &str| {
        suite.host.write("/etc/authkeys/new.toml", config, 0o644);
        let output = suite.host.sh("oncall-cache config check /etc/authkeys/new.toml");
        let said =
            String::from_utf8_lossy(&output.stderr).replace("oncall-cache: /etc/authkeys/new.toml:", "");
        (output.status.code(), said.trim_end().to_string())
    };
    assert_eq!(check(CONFIG), (Some(0), String::new()));
    let line =
        |config: &str, words: &str| 1 + config.lines().position(|line| line.contains(words)).expect(words);
    for (old, new, told) in [
        (
            "account = \"root\"",
            "account = \"rot\"",
            "[[policy.shared]] account: `rot` is no account of this host; did you mean `root`?",
        ),
        (
            "account = \"root\"",
            "account = \"quiteelse\"",
            "[[policy.shared]] account: `quiteelse` is no account of this host",
        ),
        (
            "account = \"root\"",
            "account = \"root\"\nprincipals = [\"alcie\"]",
            "[[policy.shared]] principals: `alcie` is no person of the directory; did you mean `alice`?",
        ),
        (
            "account = \"root\"",
            "account = \"breakglass\"",
            "[[policy.shared]] account: `breakglass` is in policy.exempt_accounts: authkeys prints no keys for it, and nobody is refused",
        ),
        (
            "\"breakglass\"",
            "\"breakglas\"",
            "policy.exempt_accounts: `breakglas` is no account of this host; did you mean `breakglass`?",
        ),
        (
            "[policy]",
            "[policy]\ngroups = [\"wheel\", \"sduo\"]",
            "policy.groups: `sduo` is no group of this host; did you mean `sudo`?",
        ),
        (
            "[policy]",
            "[policy]\naccounts = [\"roott\"]",
            "policy.accounts: `roott` is no account of this host; did you mean `root`?",
        ),
        (
            "rota/primary",
            "rota/primry",
            "[[policy.rule]] schedules: `primry` is no schedule of source `rota`; did you mean `primary`?",
        ),
        (
            "file = \"rota.toml\"",
            "file = \"rota.toml\"\npeople = { alice = \"bobb\" }",
            "[oncall.source.people]: `bobb` is no person of the directory; did you mean `bob`?",
        ),
        (
            "file = \"people.toml\"",
            "file = \"poeple.toml\"",
            "[directory] file: there is no /etc/authkeys/poeple.toml",
        ),
        (
            "file = \"rota.toml\"",
            "file = \"/home/alice/rota.toml\"",
            "[[oncall.source]] file: the units of the syncs do not see /home/alice/rota.toml; put it into /etc/authkeys, or use `authkeys-sync` and `oncall-cache sync` from cron",
        ),
        (
            "file = \"rota.toml\"",
            "file = \"../../home/alice/rota.toml\"",
            "[[oncall.source]] file: the units of the syncs do not see /home/alice/rota.toml; put it into /etc/authkeys, or use `authkeys-sync` and `oncall-cache sync` from cron",
        ),
        (
            "file = \"people.toml\"",
            "file = \"../authkeys/./\"",
            "[directory] file: /etc/authkeys is a directory",
        ),
    ] {
        let config = CONFIG.replace(old, new);
        let at = line(&config, new.rsplit('\n').next().unwrap_or(new));
        assert_eq!(check(&config), (Some(0), format!("{at}: warning: {told}")), "{new}");
    }
    // What can never work is an error.
    for (old, new, told) in [
        ("rota/primary", "roda/primary", "no [[oncall.source]] is named `roda`; did you mean `rota`?"),
        (
            "file = \"rota.toml\"",
            "file = \"rota.toml\"\nschedules = [\"secondary\", \"primery\"]",
            "source `rota` does not list `primary` in its `schedules`; did you mean `primery`?",
        ),
        (
            "[policy]",
            "[[nss.group]]\nname = \"oncall\"\ngid = 9100\nrules = [\"everywere\"]\n[policy]",
            "no [[policy.rule]] is named `everywere`; did you mean `everywhere`?",
        ),
    ] {
        let (code, said) = check(&CONFIG.replace(old, new));
        assert_eq!(code, Some(2), "{said}");
        assert!(said.ends_with(told), "{said}");
    }
    // Who may not read the copy of the directory hears nothing of people.
    let config = CONFIG.replace("account = \"root\"", "account = \"root\"\nprincipals = [\"alcie\"]");
    suite.host.write("/etc/authkeys/new.toml", config, 0o644);
    let output = suite.run_as("nobody", "oncall-cache config check /etc/authkeys/new.toml");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output));
}

#[test]
fn what_the_switch_says_and_what_is_left_of_it_is_told() {
    let hours = |hours: i64| instant(now() + hours * HOUR);
    let order = |words: &str| format!("printf '%s\\n' '{words}' >/etc/authkeys/switch");
    let observes = "sed -i 's/^exempt_accounts/mode = \"observe\"\\n&/' /etc/authkeys/config.toml";
    let (past, soon) = (format!("{} {}", hours(-2), hours(-1)), format!("{} {}", hours(0), hours(1)));
    let switch = "/etc/authkeys/switch";
    let cases: [(String, &str, &str, After); 9] = [
        (
            "oncall-cache suspend --for 1h --reason 'no rota'".to_string(),
            "warning switch",
            "/etc/authkeys/switch#suspend",
            Mend,
        ),
        (
            order(&format!("suspend {past} x:1 root over")),
            "note switch",
            "/etc/authkeys/switch#suspend",
            Mend,
        ),
        (order(&format!("enforce {past} x:1 root")), "note switch", "/etc/authkeys/switch#enforce", Mend),
        (
            order(&format!("enforce {} - x:1 root", hours(-2))),
            "note switch",
            "/etc/authkeys/switch#enforce",
            Mend,
        ),
        (
            format!("{observes} && {}", order(&format!("enforce {soon} x:1 root"))),
            "warning switch",
            "/etc/authkeys/switch#enforce",
            Advice("enforce --confirm", "true"),
        ),
        (
            format!("{observes} && {}", order(&format!("enforce {} - x:1 root", hours(-2)))),
            "note switch",
            "/etc/authkeys/switch#enforce",
            Advice("mode = \"enforce\"", "true"),
        ),
        (order("# by hand\nsuspend for ever"), "warning switch", "/etc/authkeys/switch#suspend", Mend),
        ("install -m 664 /dev/null /etc/authkeys/switch".to_string(), "warning switch", switch, Mend),
        (
            "install -o dave /dev/null /etc/authkeys/switch".to_string(),
            "warning switch",
            switch,
            Advice("rm /etc/authkeys/switch", "true"),
        ),
    ];
    let leak = |text: String| -> &'static str { text.leak() };
    let cases: Vec<Case> = cases
        .into_iter()
        .map(|(breaks, found, place, after)| case(leak(breaks), found, place, after))
        .collect();
    each(&cases);
}

#[test]
fn an_audit_file_that_cannot_be_written_or_that_all_can_read_is_told() {
    let file = "/var/log/authkeys/decisions.jsonl";
    each(&[
        case("rm -r /var/log/authkeys", "warning audit", "/var/log/authkeys", Mend),
        case("chown dave /var/log/authkeys", "warning audit", "/var/log/authkeys", Mend),
        case("chmod 770 /var/log/authkeys", "warning audit", "/var/log/authkeys", Mend),
        case("chmod 755 /var/log/authkeys", "note audit", "/var/log/authkeys", Mend),
        case(
            "rmdir /var/log/authkeys && touch /var/log/authkeys",
            "warning audit",
            "/var/log/authkeys",
            Mend,
        ),
        case(
            "touch /var/log/authkeys/decisions.jsonl && chmod 644 /var/log/authkeys/decisions.jsonl",
            "warning audit",
            file,
            Mend,
        ),
        case(
            "install -o dave -m 640 /dev/null /var/log/authkeys/decisions.jsonl",
            "warning audit",
            file,
            Mend,
        ),
        case("install -m 660 /dev/null /var/log/authkeys/decisions.jsonl", "warning audit", file, Mend),
        case("ln -s /etc/passwd /var/log/authkeys/decisions.jsonl", "warning audit", file, Mend),
        case(
            "install -m 640 /dev/null /root/x && ln /root/x /var/log/authkeys/decisions.jsonl || touch /var/log/authkeys/decisions.jsonl && ln /var/log/authkeys/decisions.jsonl /var/log/authkeys/x",
            "warning audit",
            file,
            Mend,
        ),
        case(
            "mount -t tmpfs -o mode=750 tmpfs /var/log/authkeys && mount -o remount,ro /var/log/authkeys",
            "warning audit",
            "/var/log/authkeys",
            Advice("read-only", "umount /var/log/authkeys"),
        ),
        case(
            "mount -t tmpfs -o mode=750 tmpfs /var/log/authkeys && install -m 640 /dev/null /var/log/authkeys/decisions.jsonl && mount -o remount,ro /var/log/authkeys",
            "warning audit",
            file,
            Advice("read-only", "umount /var/log/authkeys"),
        ),
        // Wherever [paths] says it is.
        case(
            "printf '[paths]\\naudit = \"/var/log/oncall/who.jsonl\"\\n' >>/etc/authkeys/config.toml",
            "warning audit",
            "/var/log/oncall",
            Mend,
        ),
        case(
            "rm -r /var/log/oncall; printf '[paths]\\naudit = \"/tmp/audit/who.jsonl\"\\n' >>/etc/authkeys/config.toml",
            "warning audit",
            "/tmp",
            Advice("in [paths] of config.toml", "true"),
        ),
        // A configuration that cannot be read names no other place.
        case(
            "echo nonsense >/etc/authkeys/config.toml; rm -r /var/log/authkeys",
            "warning audit",
            "/var/log/authkeys",
            Advice("install -d -m 750", "true"),
        ),
    ]);
}

#[test]
fn groups_that_are_not_served_as_configured_are_told() {
    let group = "/var/lib/oncall-cache/group";
    let suite = suite_with_group();
    each_on(
        &suite,
        &[
            case(
                "sed -i 's/ oncall//' /etc/nsswitch.conf",
                "warning nss-line",
                "/etc/nsswitch.conf#group:",
                Mend,
            ),
            case(
                "sed -i 's/^group:.*/group: files # local only/' /etc/nsswitch.conf",
                "warning nss-line",
                "/etc/nsswitch.conf#group:",
                Mend,
            ),
            case("rm /var/lib/oncall-cache/group", "warning nss-file", group, Mend),
            case("chmod 664 /var/lib/oncall-cache/group", "warning nss-file", group, Mend),
            case("echo >>/var/lib/oncall-cache/group", "warning nss-file", group, Mend),
            case(
                "sed -i 's/ [0-9]* 1$/ 1000 1/' /var/lib/oncall-cache/group",
                "warning nss-file",
                group,
                Mend,
            ),
            case(
                "sed -i 's/^oncall:9100:[0-9]*:.*/oncall:9100:1000:/' /var/lib/oncall-cache/group",
                "warning nss-file",
                group,
                Mend,
            ),
            case(
                "sed -i 's/^gid = 9100/gid = 9200/' /etc/authkeys/config.toml",
                "warning nss-file",
                group,
                Mend,
            ),
            case("sed -i '/nss.group/,$d' /etc/authkeys/config.toml", "warning nss-file", group, Mend),
            case(
                "printf '[paths]\\nroster = \"/var/lib/other/roster.db\"\\n' >>/etc/authkeys/config.toml",
                "warning nss-file",
                "/etc/authkeys/config.toml",
                Advice("[paths]", "true"),
            ),
            case(
                "echo oncall:x:4711: >>/etc/group",
                "warning nss-taken",
                "/etc/group#oncall:",
                Advice("groupdel oncall", "true"),
            ),
            case(
                "echo web:x:9100: >>/etc/group",
                "warning nss-taken",
                "/etc/group#web:",
                Advice("another `gid`", "true"),
            ),
            case(
                "sed -i 's/^.*enable-cache[[:space:]]*group.*/enable-cache group yes/' /etc/nscd.conf",
                "warning nscd",
                "/etc/nscd.conf#enable-cache group",
                Mend,
            ),
        ],
    );
    // Where nscd does not run it keeps nothing.
    suite.host.must(
        "sed -i 's/^.*enable-cache[[:space:]]*group.*/enable-cache group yes/' /etc/nscd.conf && rm /run/nscd/socket",
    );
    let told = ask(&suite);
    assert!(told.is_silent(), "{}", told.lines());
}

/// By the real systemctl, which tells what is enabled from the units themselves.
#[test]
fn timers_that_the_next_boot_would_not_start_are_told() {
    let suite = suite();
    let timers = "authkeys-sync.timer oncall-cache-sync.timer";
    suite.host.must(&format!("rm /etc/cron.d/authkeys && systemctl enable {timers}"));
    keep(&suite);
    each_on(
        &suite,
        &[
            case(
                "systemctl disable oncall-cache-sync.timer",
                "warning timer",
                "/usr/lib/systemd/system/oncall-cache-sync.timer",
                Mend,
            ),
            case(
                "systemctl mask authkeys-sync.timer",
                "warning timer",
                "/usr/lib/systemd/system/authkeys-sync.timer",
                Mend,
            ),
            case(
                "rm /usr/lib/systemd/system/authkeys-sync.timer /etc/systemd/system/timers.target.wants/authkeys-sync.timer",
                "warning timer",
                "/usr/lib/systemd/system/authkeys-sync.timer",
                Advice(
                    "systemctl enable authkeys-sync.timer",
                    "cp /run/suite/source/packaging/systemd/authkeys-sync.timer /usr/lib/systemd/system && systemctl enable authkeys-sync.timer",
                ),
            ),
        ],
    );
}

/// Runs `script` on this machine as the only unit of a real systemd, which ends with it.
fn under_systemd(suite: &Suite, script: &str) {
    let unit = "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/sh -e /root/script\nExecStopPost=/usr/bin/systemctl poweroff -ff\n";
    suite.host.write("/etc/systemd/system/ask.service", unit, 0o644);
    suite.host.write("/root/script", format!("{script}\ntouch /root/done\n"), 0o755);
    let boot = "mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t cgroup2 cgroup2 /sys/fs/cgroup && \
                mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/sshd && \
                exec env container=test /lib/systemd/systemd --system --unit=ask.service";
    let output = suite.host.sh(&format!(
        "unshare --mount --pid --cgroup --fork --kill-child /bin/sh -c '{boot}'; test -e /root/done"
    ));
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn timers_that_systemd_does_not_run_now_are_told_where_it_runs() {
    let suite = suite();
    suite.host.must("rm /etc/cron.d/authkeys");
    let mend = "systemctl enable --now authkeys-sync.timer";
    let unmask = format!("systemctl unmask authkeys-sync.timer && {mend}");
    // What is done, what the doctor says then, and what it says would mend it: that is done before the next.
    let states = [
        ("systemctl enable --now authkeys-sync.timer oncall-cache-sync.timer", "", ""),
        ("systemctl stop authkeys-sync.timer", "authkeys-sync.timer is inactive", mend),
        (
            "systemctl disable authkeys-sync.timer",
            "authkeys-sync.timer is disabled: the next boot does not start it",
            mend,
        ),
        ("systemctl mask --now authkeys-sync.timer", "authkeys-sync.timer is masked", &unmask),
        ("true", "", ""),
    ];
    let mut script = String::new();
    for (number, (change, _, mend)) in states.iter().enumerate() {
        let mend = if mend.is_empty() { "true" } else { mend };
        script += &format!("{change}\noncall-cache doctor --json >/root/{number} || true\n{mend}\n");
    }
    under_systemd(&suite, &script);
    for (number, (change, what, mend)) in states.into_iter().enumerate() {
        let told: Value = serde_json::from_str(&suite.host.read(&format!("/root/{number}"))).expect("JSON");
        let mut timers = told["findings"].as_array().expect("a list").clone();
        timers.retain(|finding| finding["id"] == "timer");
        let said: Vec<_> =
            timers.iter().map(|one| ["file", "what", "mend"].map(|field| word(one, field))).collect();
        let expected = ["/usr/lib/systemd/system/authkeys-sync.timer", what, mend];
        assert_eq!(said, if what.is_empty() { vec![] } else { vec![expected] }, "{change}");
    }
}

#[test]
fn a_secret_that_others_can_read_and_one_that_the_sync_cannot() {
    let suite = suite();
    let config = CONFIG.replace(
        "file = \"people.toml\"",
        "urls = [\"ldaps://ldap.example.com\"]\nbase = \"dc=example,dc=com\"\nbind_dn = \"cn=a,dc=example,dc=com\"\nbind_password_file = \"bind-password\"",
    );
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    suite.host.write("/etc/authkeys/bind-password", "secret\n", 0o644);
    for breaks in ["chgrp authkeys-sync", "chmod 640"] {
        suite.host.must(&format!(
            "chown root:root /etc/authkeys/bind-password && {breaks} /etc/authkeys/bind-password"
        ));
        let told = ask(&suite);
        let secret =
            told.findings.iter().find(|finding| word(finding, "file") == "/etc/authkeys/bind-password");
        let secret = secret.unwrap_or_else(|| panic!("{}", told.lines()));
        assert!(!told.lines().contains("secret\n"), "{}", told.lines());
        suite.host.must(word(secret, "mend"));
        let after = ask(&suite);
        assert!(!after.lines().contains("bind-password"), "{}", after.lines());
        suite.host.must("chmod 644 /etc/authkeys/bind-password");
    }
}

#[test]
fn sudo_and_polkit_that_ask_nobody_and_people_whom_sudo_will_refuse_are_named() {
    each(&[
        // Measured: sudo gives root although PAM says no.
        case(
            "echo 'Defaults env_reset, !pam_acct_mgmt' >>/etc/sudoers",
            "open sudo-pam",
            "/etc/sudoers#pam_acct_mgmt",
            Mend,
        ),
        case(
            "echo 'Defaults:%sudo pam_service=other' >/etc/sudoers.d/zz && chmod 440 /etc/sudoers.d/zz",
            "open sudo-pam",
            "/etc/sudoers.d/zz#pam_service",
            Mend,
        ),
        // Measured: `sudo -A` gives root.
        case(
            "echo 'Defaults pam_askpass_service=other' >/etc/sudoers.d/zz && chmod 440 /etc/sudoers.d/zz",
            "open sudo-pam",
            "/etc/sudoers.d/zz#pam_askpass_service",
            Mend,
        ),
        // Measured: sudo refuses everybody.
        case(
            "echo 'Defaults !pam_ruser' >>/etc/sudoers",
            "lock-out sudo-pam",
            "/etc/sudoers#pam_ruser",
            Mend,
        ),
        case(
            "useradd -r nagios && echo 'nagios ALL=(root) NOPASSWD: /usr/bin/id' >/etc/sudoers.d/zz",
            "warning sudo-refused",
            "/etc/sudoers.d/zz#nagios",
            Advice("account = \"nagios\"", "userdel nagios; rm /etc/sudoers.d/zz"),
        ),
        case(
            "echo 'dave ALL=(ALL) ALL' >>/etc/sudoers.d/team",
            "warning sudo-refused",
            "/etc/sudoers.d/team#dave",
            Advice("eligible group", "true"),
        ),
        case(
            "groupadd admins && usermod -a -G admins dave && printf 'Cmnd_Alias ANY = ALL\\n%%admins ALL = (ALL) \\\\\\n  ANY\\n' >>/etc/sudoers.d/team",
            "warning sudo-group",
            "/etc/sudoers.d/team#%admins",
            Advice("\"admins\"", "true"),
        ),
        case(
            "echo 'ALL ALL=(ALL) ALL' >>/etc/sudoers.d/team",
            "warning sudo-everybody",
            "/etc/sudoers.d/team#ALL ALL=",
            Advice("name a group", "true"),
        ),
        // sudo skips files with a dot in their name, and says nothing.
        case(
            "cp /etc/sudoers.d/team /etc/sudoers.d/team.conf",
            "warning sudoers-skipped",
            "/etc/sudoers.d/team.conf",
            Advice("team-conf", "rm /etc/sudoers.d/team.conf"),
        ),
        // Measured: sudo reads a file of mode 0644, which visudo does not like, and none that all can write.
        case("chmod 644 /etc/sudoers.d/team", "warning sudoers", "/etc/sudoers.d/team", Mend),
        case("chmod 666 /etc/sudoers.d/team", "lock-out sudoers", "/etc/sudoers.d/team", Mend),
        case("chown dave /etc/sudoers.d/team", "lock-out sudoers", "/etc/sudoers.d/team", Mend),
        case(
            "chmod 644 /etc/sudoers.d/team; echo 'alice ALL=(ALL ALL' >>/etc/sudoers.d/team",
            "lock-out sudoers",
            "/etc/sudoers.d/team#(ALL ALL",
            Advice("visudo", "true"),
        ),
        case(
            "echo 'polkit.addRule(function(a, s) { return polkit.Result.YES; });' >/etc/polkit-1/rules.d/10-ops.rules",
            "open polkit-yes",
            "/etc/polkit-1/rules.d/10-ops.rules#YES",
            Advice("AUTH_ADMIN", "rm /etc/polkit-1/rules.d/10-ops.rules"),
        ),
        case(
            "printf 'polkit.addRule(function(a, s) {\\n  if (a.id == \"org.freedesktop.machine1.host-shell\") { return polkit.Result.YES; }\\n});\\n' >/etc/polkit-1/rules.d/10-ops.rules",
            "open polkit-yes",
            "/etc/polkit-1/rules.d/10-ops.rules#YES",
            Advice("AUTH_ADMIN", "sed -i s/YES/AUTH_ADMIN/ /etc/polkit-1/rules.d/10-ops.rules"),
        ),
        case(
            "printf 'polkit.addRule(function(a, s) {\\n  if (a.id == \"org.freedesktop.login1.reboot\") { return polkit.Result.YES; }\\n});\\n' >/etc/polkit-1/rules.d/10-ops.rules",
            "warning polkit-yes",
            "/etc/polkit-1/rules.d/10-ops.rules#YES",
            Advice("AUTH_ADMIN", "rm /etc/polkit-1/rules.d/10-ops.rules"),
        ),
        case(
            "mkdir -p /etc/polkit-1/localauthority/50-local.d && printf '[ops]\\nIdentity=unix-group:ops\\nAction=*\\nResultAny=yes\\n' >/etc/polkit-1/localauthority/50-local.d/ops.pkla",
            "open polkit-yes",
            "/etc/polkit-1/localauthority/50-local.d/ops.pkla#ResultAny",
            Advice("AUTH_ADMIN", "rm -r /etc/polkit-1/localauthority"),
        ),
    ]);
}

#[test]
fn hosts_that_nobody_would_get_into_are_named() {
    each(&[
        case(
            "rm ~breakglass/.ssh/authorized_keys",
            "lock-out no-way-in",
            "/etc/authkeys/config.toml",
            Advice("breakglass ALL=(ALL:ALL) NOPASSWD: ALL", "true"),
        ),
        case(
            "true",
            "warning exempt-account",
            "/home/breakglass/.ssh/authorized_keys",
            Advice("exempt_accounts", "cp /root/keys/carol.pub ~breakglass/.ssh/authorized_keys"),
        ),
        case("usermod -s /usr/sbin/nologin breakglass", "warning exempt-account", "/etc/passwd", Mend),
        case("chage -E 2020-01-01 breakglass", "warning exempt-account", "/etc/shadow", Mend),
        case("chmod 777 ~breakglass/.ssh", "warning exempt-account", "/home/breakglass/.ssh", Mend),
        case("gpasswd -d breakglass sudo", "warning exempt-account", "/etc/sudoers", Mend),
        case(
            "echo 'PubkeyAcceptedAlgorithms rsa-sha2-512' >/etc/ssh/sshd_config.d/05-x.conf",
            "warning exempt-account",
            "/home/breakglass/.ssh/authorized_keys",
            Advice("PubkeyAcceptedAlgorithms", "true"),
        ),
        case(
            "echo 'DenyGroups sudo' >/etc/ssh/sshd_config.d/05-x.conf",
            "warning exempt-account",
            "/etc/ssh/sshd_config.d/05-x.conf#DenyGroups",
            Advice("add breakglass", "true"),
        ),
        case(
            "echo 'AllowGroups root' >/etc/ssh/sshd_config.d/05-x.conf",
            "lock-out no-way-in",
            "/etc/authkeys/config.toml",
            Advice("breakglass ALL=(ALL:ALL) NOPASSWD: ALL", "true"),
        ),
        case(
            "true",
            "warning oncall-account",
            "/etc/ssh/sshd_config.d/05-x.conf#AllowGroups",
            Advice("add alice", "rm /etc/ssh/sshd_config.d/05-x.conf"),
        ),
        case(
            "printf 'breakglass 2026-11-20T09:00:00Z root\\n' >/etc/authkeys/revoked",
            "warning exempt-account",
            "/etc/authkeys/config.toml",
            Mend,
        ),
        case(
            "rm -f /etc/sudoers.d/breakglass /etc/authkeys/revoked && sed -i 's/\"breakglass\"/\"break-glass\"/' /etc/authkeys/config.toml",
            "lock-out no-way-in",
            "/etc/authkeys/config.toml",
            Advice("exempt_accounts", "true"),
        ),
        case(
            "sed -i 's/\"breakglass\"/\"breakglass\", \"root\"/' /etc/authkeys/config.toml",
            "open root-exempt",
            "/etc/authkeys/config.toml",
            Advice("take root out", "true"),
        ),
        case(
            "sed -i '/^.*policy.shared/,$d' /etc/authkeys/config.toml",
            "warning no-shared-root",
            "/etc/authkeys/config.toml",
            Advice("policy.shared", "true"),
        ),
        case(
            "sed -i 's/^schedules = .*/&\\nhosts = [\"db*\"]/' /etc/authkeys/config.toml",
            "lock-out no-rule",
            "/etc/authkeys/config.toml",
            Advice("hosts", "true"),
        ),
        case(
            "sed -i 's/^exempt_accounts/mode = \"observe\"\\n&/' /etc/authkeys/config.toml",
            "warning observe",
            "/etc/authkeys/config.toml",
            Advice("enforce", "true"),
        ),
        case(
            "sqlite3 /var/lib/oncall-cache/roster.db \"DELETE FROM shift WHERE principal = 'alice'\"",
            "warning nobody-on-call",
            "/etc/authkeys/config.toml",
            Advice("oncall-cache who", "true"),
        ),
    ]);
}

/// Each of these is refused by the real sshd or sudo, and the command that is printed opens the account again.
#[test]
fn accounts_that_open_to_nobody_are_told_and_opened() {
    let suite = suite();
    let (passwd, shadow) = ("/etc/passwd", "/etc/shadow");
    for (breaks, found, file, account) in [
        ("chage -E 2020-01-01 root", "lock-out shared-account", shadow, "root"),
        ("chage -d 0 root", "lock-out shared-account", shadow, "root"),
        ("chage -d 2020-01-01 -M 90 root", "lock-out shared-account", shadow, "root"),
        ("usermod -s /usr/sbin/nologin root", "lock-out shared-account", passwd, "root"),
        ("chage -E 2020-01-01 alice", "warning oncall-account", shadow, "alice"),
        ("chage -d 0 alice", "warning oncall-account", shadow, "alice"),
        ("usermod -s /bin/zish alice", "warning oncall-account", passwd, "alice"),
        ("echo 'back soon' >/etc/nologin", "lock-out nologin", "/etc/nologin", "alice"),
        ("chmod u-s /usr/bin/sudo", "lock-out sudo-mode", "/usr/bin/sudo", "alice"),
        ("chown dave /usr/bin/sudo", "lock-out sudo-mode", "/usr/bin/sudo", "alice"),
    ] {
        let enters = || suite.ssh("alice", account, "sudo -n id -u");
        let before = enters();
        assert!(before.status.success(), "before {breaks}: {}", text(&before));
        suite.host.must(breaks);
        let refused = enters();
        assert!(!refused.status.success(), "{breaks}: {}", text(&refused));
        let told = ask(&suite);
        let is_it = |finding: &&Value| {
            format!("{} {}", word(finding, "severity"), word(finding, "id")) == found
                && word(finding, "file") == file
        };
        let finding = told.findings.iter().find(is_it);
        let finding = finding.unwrap_or_else(|| panic!("{breaks}: {}", told.lines()));
        assert_eq!(finding["is_command"], true, "{breaks}");
        suite.host.must(word(finding, "mend"));
        let after = ask(&suite);
        assert!(after.is_silent(), "{breaks}: {}", after.lines());
        let mended = enters();
        assert!(mended.status.success(), "after {}: {}", word(finding, "mend"), text(&mended));
        put_back(&suite);
    }
}

/// Who passes sudo's account stack by libpam itself: alice, who is on call, and bob, who is not.
fn passes(suite: &Suite, person: &str) -> bool {
    suite.host.sh(&format!("pamtester -I ruser={person} sudo {person} acct_mgmt")).status.success()
}

#[test]
fn what_is_said_of_a_stack_is_what_libpam_does() {
    let suite = suite();
    let common = "@include common-account\n";
    let ours = "account required pam_oncall.so\n";
    suite.host.write(
        "/etc/pam.d/inner",
        "account sufficient pam_debug.so acct=success\naccount required pam_deny.so\n",
        0o644,
    );
    for (stack, open, locked) in [
        (format!("{ours}{common}"), false, false),
        (format!("account requisite pam_oncall.so\n{common}"), false, false),
        (format!("account [success=ok ignore=ignore default=die] pam_oncall.so\n{common}"), false, false),
        (format!("-account required pam_oncall.so\n{common}"), false, false),
        (format!("account sufficient pam_oncall.so\n{common}"), true, false),
        (format!("account optional pam_oncall.so\n{common}"), true, false),
        (format!("account [default=ignore] pam_oncall.so\n{common}"), true, false),
        (format!("account [success=ok] pam_oncall.so\n{common}"), false, false),
        (format!("account requird pam_oncall.so\n{common}"), false, true),
        (format!("{ours}account requird pam_unix.so\n"), false, true),
        (format!("{ours}account required pam_deny.so\n"), false, true),
        (format!("{ours}account include gone\n"), false, true),
        (format!("account sufficient pam_debug.so acct=success\n{ours}{common}"), true, false),
        (
            format!("account [success=1 default=ignore] pam_debug.so acct=success\n{ours}{common}"),
            true,
            false,
        ),
        (
            format!("account [success=9 default=ignore] pam_debug.so acct=success\n{ours}{common}"),
            false,
            true,
        ),
        (format!("{ours}account [default=reset] pam_debug.so acct=success\n{common}"), true, false),
        (format!("account substack inner\n{ours}{common}"), false, false),
        (format!("account include inner\n{ours}{common}"), true, false),
        (format!("{ours}account substack inner\n{common}"), false, false),
        (format!("account substack common-account\n{ours}"), false, false),
        (format!("{ours}account \\\n  required pam_unix.so # {common}"), false, false),
        (format!("{ours}@include common-account\r\n"), false, true),
        (format!("account required pam_oncall.so\r\n{common}"), false, true),
        (format!("{ours}account required pam_unix.so\r\n"), false, true),
        (format!("{ours}account required\u{a0}pam_unix.so\n{common}"), false, true),
        (format!("# of another system\r\n{ours}{common}"), false, false),
    ] {
        suite.host.write("/etc/pam.d/sudo", &stack, 0o644);
        let told = ask(&suite);
        let of_stack = |severity: &str| {
            let is_it = |finding: &&Value| {
                word(finding, "severity") == severity
                    && word(finding, "what").starts_with("sudo:")
                    && !["pam-unix", "pam-missing"].contains(&word(finding, "id"))
            };
            told.findings.iter().any(|finding| is_it(&finding))
        };
        assert_eq!((passes(&suite, "bob"), !passes(&suite, "alice")), (open, locked), "libpam:\n{stack}");
        // A stack may let in, or refuse, by other answers than those that it gave here: then doctor says more.
        assert!(!open || of_stack("open"), "{stack}\n{}", told.lines());
        assert!(!locked || of_stack("lock-out") || of_stack("open"), "{stack}\n{}", told.lines());
        if !open && !locked {
            let soft = stack.contains("[success=ok] pam_oncall");
            assert_eq!(of_stack("open") || of_stack("lock-out"), soft, "{stack}\n{}", told.lines());
        }
    }
}

#[test]
fn what_goes_wrong_seldom_is_named_too() {
    let config = "/etc/authkeys/config.toml";
    let roster = "/var/lib/oncall-cache/roster.db";
    each(&[
        case(
            "sed -i \"s/'bob'/'dave'/\" /etc/authkeys/rota.toml && runuser -u oncall-cache -- oncall-cache sync",
            "warning ahead",
            "",
            Advice("mend it in the directory or the rota", "true"),
        ),
        case(
            "sqlite3 /var/lib/oncall-cache/roster.db 'UPDATE meta SET published = published + 9000'",
            "lock-out clock",
            roster,
            Advice("set the clock", "true"),
        ),
        case(
            "printf '[[policy.automation]]\\naccount = \"dave\"\\nservices = [\"sudo\"]\\nowner = \"ops\"\\nreason = \"x\"\\nuntil = 2001-01-01\\n' >>/etc/authkeys/config.toml",
            "note config-remark",
            config,
            Advice("take it out", "true"),
        ),
        case(
            "sed -i 's/^exempt_accounts/groups = []\\n&/' /etc/authkeys/config.toml",
            "note groups",
            config,
            Advice("nothing, if that is meant", "true"),
        ),
        case(
            "ssh-keygen -qt rsa -b 1024 -N '' -f /root/keys/short && \
             printf \"[[person]]\\nprincipal = 'erin'\\nkeys = ['%s']\\n\" \"$(cat /root/keys/short.pub)\" >>/etc/authkeys/people.toml && \
             runuser -u authkeys-sync -- authkeys-sync",
            "note refused-key",
            "/var/lib/authkeys/keys.db",
            Advice("authkeys --explain", "true"),
        ),
        case(
            "true",
            "note sshd-key-files",
            "/etc/ssh/sshd_config",
            Advice("AuthorizedKeysFile none", "true"),
        ),
        case("true", "note sshd-sessions", "/etc/ssh/sshd_config", Advice("MaxSessions 1", "true")),
        case(
            "useradd -o -u 0 -g 0 -M -d /root toor",
            "note uid-0",
            "/etc/passwd",
            Advice("delete it", "true"),
        ),
        case("userdel oncall-cache", "lock-out user", "/etc/passwd", Advice("useradd --system", "true")),
        // As it is advised, sudo admits the agent.
        case(
            "useradd -m agent && install -m 440 /dev/null /etc/sudoers.d/agent && echo 'agent ALL=(ALL) NOPASSWD: /usr/bin/id' >/etc/sudoers.d/agent",
            "warning sudo-refused",
            "/etc/sudoers.d/agent#agent",
            Advice("`services = [\"sudo\"]`", "rm /etc/sudoers.d/agent"),
        ),
    ]);
}

/// What doctor says of an agent is written into config.toml word for word.
#[test]
fn an_agent_of_this_host_is_let_in_by_what_the_advice_says() {
    let suite = suite();
    suite.host.must(
        "useradd -m agent && echo 'agent ALL=(ALL) NOPASSWD: /usr/bin/id' >/etc/sudoers.d/agent && chmod 440 /etc/sudoers.d/agent",
    );
    let told = ask(&suite);
    let finding = told.findings.iter().find(|finding| word(finding, "id") == "sudo-refused");
    let advice = word(finding.expect("it is told"), "mend").to_string();
    assert!(!suite.run_as("agent", "sudo -n id -u").status.success());
    let person = advice.find("; a person:").expect("the next kind of account");
    let lines: Vec<&str> = advice[..person].split('`').skip(1).step_by(2).collect();
    suite.host.write(CONFIG_FILE, format!("{CONFIG}\n{}\n", lines.join("\n")), 0o644);
    assert_eq!(suite.must_as("agent", "sudo -n id -u"), "0\n", "{lines:?}");
    let told = ask(&suite);
    assert!(told.is_silent(), "{}", told.lines());
    assert!(suite.host.must("oncall-cache config show").contains("account = \"agent\""));
}

const CONFIG_FILE: &str = "/etc/authkeys/config.toml";

/// What no case here can break, and the test that does.
const ELSEWHERE: [(&str, &str, &str); 10] = [
    // With a directory that has them.
    ("nested-groups", include_str!("eligible.rs"), "contains(\"nested-groups\")"),
    // A machine made over another has that one's clock.
    (
        "clock-sync",
        include_str!("../oncall-cache/src/doctor/state.rs"),
        "fn a_clock_that_nothing_keeps_right",
    ),
    // Made by arithmetic, and never written down.
    ("weak-key", include_str!("keys.rs"), "weak-key"),
    // With a directory that refers to another one.
    ("referral", include_str!("replica.rs"), "doctor.contains(\"referral\")"),
    // On booted hosts, with the programs themselves.
    ("pam-service", include_str!("doors.rs"), "\"pam-service\""),
    (
        "polkit-group",
        include_str!("../oncall-cache/src/doctor/polkit.rs"),
        "fn administrators_that_the_policy_does_not_know",
    ),
    ("second-sshd", include_str!("doors.rs"), "\"second-sshd\""),
    (
        "account-nobodys",
        include_str!("../oncall-cache/src/doctor/names.rs"),
        "format!(\"account-nobodys {name}\")",
    ),
    ("accounts-of-one", include_str!("../oncall-cache/src/doctor/names.rs"), "[\"accounts-of-one by\"]"),
    // sshd counts since 9.8.
    (
        "sshd-penalties",
        include_str!("../oncall-cache/src/doctor/sshd.rs"),
        "fn penalties_that_cost_nobody_behind_a_bastion_are_not_told",
    ),
];

/// Every finding has a line in operations.md, and one that has a line is broken here, and mended or advised.
#[test]
fn every_finding_is_broken_and_mended_somewhere() {
    const SELF: &str = include_str!("doctor.rs");
    let table = OPERATIONS.split("\n| id | what it says | mend |").nth(1).expect("the table of findings");
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    let ids: Vec<&str> = rows.filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(ids.len() > 60, "{ids:?}");
    let severities = ["lock-out", "open", "warning", "note"];
    for id in ids {
        let has_case = severities.iter().any(|severity| SELF.contains(&format!("\"{severity} {id}\"")));
        let elsewhere = ELSEWHERE.iter().any(|(name, text, words)| *name == id && text.contains(words));
        assert!(has_case || elsewhere, "no case breaks and mends `{id}`");
    }
}
