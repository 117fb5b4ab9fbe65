//! Where pam-oncall-enable puts its lines: every order of PAM's lines, each asked of a real libpam before and after.
//!
//! After it either everybody whom pam_oncall.so refuses is refused, and everybody else gets the answer that they got before, or
//! the stack is as it was and that was said.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use harness::suite::{DAY, HOUR, Suite};
use harness::{text, trixie};

/// Lines as distributions and administrators write them, of which every order up to five is tried.
const USUAL: [&str; 7] = [
    "account required pam_unix.so",
    "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so",
    "account sufficient pam_localuser.so",
    "account requisite pam_deny.so",
    "account required pam_permit.so",
    "@include common-account",
    "account include ends-early",
];

/// And more, of which every order up to three is tried with those.
const UNUSUAL: [&str; 11] = [
    "account sufficient pam_unix.so",
    "account [success=2 default=ignore] pam_succeed_if.so quiet user = fine",
    "account [default=done] pam_permit.so",
    "account [default=1] pam_localuser.so",
    "account [default=reset] pam_permit.so",
    "account substack ends-early",
    "Account \\\n  Optional pam_permit.so # words",
    "-account required pam_absent.so",
    "account sufficient pam_absent.so",
    "account include absent",
    "account [success=ok ignore=ok default=bad] pam_succeed_if.so quiet uid = 0",
];

/// What `include` and `substack` lead to: account and session in one, and the account lines end the stack.
const ENDS_EARLY: &str = "account sufficient pam_localuser.so\naccount required pam_unix.so\nsession sufficient pam_permit.so\n\
                          session required pam_deny.so\n";

const DEBIAN: &str = "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\naccount requisite pam_deny.so\n\
                      account required pam_permit.so\n";

/// One whose account is in order, one whose account is over, one whose password has to be changed.
const USERS: &str = "fine,over,aged";

/// Where the stacks are that libpam is asked about, and what it is asked with.
const PLACE: &str = "/run/stacks";

const SUCCESS: i32 = 0;
const PERM_DENIED: i32 = 6;
const AUTHINFO_UNAVAIL: i32 = 9;
const USER_UNKNOWN: i32 = 10;
const NEW_AUTHTOK_REQD: i32 = 12;
const IGNORE: i32 = 25;

/// Every order of one to `most` of these.
fn orders(lines: &[&str], most: usize) -> Vec<String> {
    let mut all = Vec::new();
    let mut longest: Vec<Vec<usize>> = vec![vec![]];
    for _ in 0..most {
        let longer = |chosen: &Vec<usize>| {
            let free = (0..lines.len()).filter(|line| !chosen.contains(line));
            free.map(|line| [chosen.as_slice(), &[line]].concat()).collect::<Vec<_>>()
        };
        longest = longest.iter().flat_map(longer).collect();
        let stack = |chosen: &Vec<usize>| chosen.iter().map(|&line| lines[line].to_string() + "\n").collect();
        all.extend(longest.iter().map(stack).collect::<Vec<String>>());
    }
    all
}

fn suite() -> Suite {
    let suite = Suite::start();
    let host = &suite.host;
    host.must("useradd fine && useradd -e 2001-01-01 over && useradd aged && chage -d 0 aged");
    for (source, program, more) in
        [("stacks.c", "stacks", &["-rdynamic"][..]), ("answer.c", "answer.so", &["-shared", "-fPIC"])]
    {
        let made = std::env::current_exe().expect("a path").with_file_name(format!(
            "{program}-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let status = Command::new("gcc")
            .args(["-O2", "-Wall", "-o"])
            .arg(&made)
            .arg(format!("{}/pam/{source}", env!("CARGO_MANIFEST_DIR")))
            .args(more)
            .arg("-l:libpam.so.0")
            .status()
            .expect("gcc runs; tests/prerequisites.sh installs it");
        assert!(status.success(), "{source}");
        host.install(&made, &format!("{PLACE}/{program}"), 0o755);
        std::fs::remove_file(&made).expect("it was just made");
    }
    for directory in [format!("{PLACE}/conf"), "/etc/pam.d".to_string()] {
        host.write(&format!("{directory}/ends-early"), ENDS_EARLY, 0o644);
        host.write(&format!("{directory}/common-account"), DEBIAN, 0o644);
        host.write(&format!("{directory}/other"), format!("{DEBIAN}session required pam_permit.so\n"), 0o644);
    }
    suite
}

/// What `oncall-cache pam-lines` says of stacks: instructions for sed, none where the lines count, or why not.
fn plans(suite: &Suite, stacks: &[String]) -> Vec<Result<Vec<String>, String>> {
    const AT_ONCE: usize = 4_000;
    let mut all = Vec::new();
    for some in stacks.chunks(AT_ONCE) {
        for (number, stack) in some.iter().enumerate() {
            let file = suite.host.path(&format!("/etc/pam.d/s{number}"));
            std::fs::write(file, stack).expect("a stack is written");
        }
        let services = (0..some.len()).map(|number| format!("s{number}"));
        let said = suite.host.command("/usr/bin/oncall-cache").arg("pam-lines").args(services).output();
        let said = String::from_utf8(said.expect("it runs").stdout).expect("UTF-8");
        let mut told: BTreeMap<&str, Result<Vec<String>, String>> = BTreeMap::new();
        for line in said.lines() {
            let (service, what) = line.split_once(' ').expect("a service");
            let plan = told.entry(service).or_insert_with(|| Ok(vec![]));
            match what.split_once(' ') {
                Some(("insert", line)) => plan.as_mut().expect("no reason").push(line.to_string()),
                Some((_, why)) => *plan = Err(why.to_string()),
                None => {}
            }
        }
        all.extend(
            (0..some.len()).map(|number| told.remove(format!("s{number}").as_str()).expect("each is told")),
        );
    }
    all
}

/// What sed makes of a stack by these instructions: `3i LINE` and `$a LINE`.
fn edited(stack: &str, instructions: &[String]) -> String {
    let lines: Vec<&str> = stack.lines().collect();
    let mut edited = String::new();
    for (number, line) in (1..).zip(&lines) {
        let before = instructions.iter().filter_map(|one| one.strip_prefix(&format!("{number}i ")));
        before.chain([*line]).for_each(|line| edited += &format!("{line}\n"));
    }
    instructions
        .iter()
        .filter_map(|one| one.strip_prefix("$a "))
        .for_each(|line| edited += &format!("{line}\n"));
    edited
}

/// The same with pam_oncall.so answering so.
fn answered(stack: &str, code: i32) -> String {
    let ours = |line: &str| match line.split_once("pam_oncall.so") {
        Some((before, _)) if !before.contains('#') => format!("{before}{PLACE}/answer.so {code}\n"),
        _ => format!("{line}\n"),
    };
    stack.lines().map(ours).collect()
}

/// Whose libpam is asked: this machine's, or Debian 13's in a root of its own.
#[derive(Clone, Copy)]
enum Libpam {
    Own,
    Newer,
}

impl Libpam {
    fn root(self) -> &'static str {
        match self {
            Self::Own => "/",
            Self::Newer => trixie::ROOT,
        }
    }
}

/// What libpam says of each stack to each of the users.
fn libpam(suite: &Suite, whose: Libpam, kind: &str, stacks: &[String]) -> Vec<Vec<i32>> {
    let modules = suite.host.must(&format!(
        "cd {} && for name in unix permit deny localuser succeed_if; do echo /$(ls usr/lib/*/security/pam_$name.so); done",
        whose.root()
    ));
    let mut child = suite
        .host
        .command("/usr/sbin/chroot")
        .args([whose.root(), &format!("{PLACE}/stacks")])
        .args([&format!("{PLACE}/conf"), "tried", kind, USERS, &format!("{PLACE}/answer.so")])
        .args(modules.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("nsenter runs");
    let mut input = child.stdin.take().expect("it was piped");
    let all: String = stacks.iter().map(|stack| format!("{}\n{stack}", stack.len())).collect();
    let writer = std::thread::spawn(move || input.write_all(all.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads everything");
    assert!(output.status.success(), "{}", text(&output));
    let codes = |line: &str| line.split(' ').map(|code| code.parse().expect("a code")).collect();
    let codes: Vec<Vec<i32>> = String::from_utf8_lossy(&output.stdout).lines().map(codes).collect();
    assert_eq!(codes.len(), stacks.len());
    codes
}

/// Does libpam let somebody in? A password that has to be changed is, and then they are in.
fn enters(code: i32) -> bool {
    [SUCCESS, NEW_AUTHTOK_REQD].contains(&code)
}

/// Asks libpam about stacks before and after; how many were left as they are, by what was said.
fn tried(suite: &Suite, whose: Libpam, stacks: &[String], refusals: &[i32]) -> BTreeMap<String, usize> {
    let mut left = BTreeMap::new();
    let mut changed: Vec<(&String, String)> = Vec::new();
    for (stack, plan) in stacks.iter().zip(plans(suite, stacks)) {
        match plan {
            Err(why) => *left.entry(why).or_default() += 1,
            Ok(instructions) => {
                assert!(!instructions.is_empty(), "no line of ours, and it counts?\n{stack}");
                changed.push((stack, edited(stack, &instructions)));
            }
        }
    }
    let ask = |code: i32| {
        let stacks: Vec<String> = changed.iter().map(|(_, after)| answered(after, code)).collect();
        libpam(suite, whose, "account", &stacks)
    };
    let before: Vec<String> = changed.iter().map(|(stack, _)| stack.to_string()).collect();
    let before = libpam(suite, whose, "account", &before);
    for refusal in refusals {
        for ((_, after), codes) in changed.iter().zip(ask(*refusal)) {
            assert!(!codes.iter().any(|&code| enters(code)), "{refusal} does not refuse: {codes:?}\n{after}");
        }
    }
    for consent in [SUCCESS, IGNORE] {
        for (((_, after), before), now) in changed.iter().zip(&before).zip(ask(consent)) {
            let enter = |codes: &[i32]| codes.iter().map(|&code| enters(code)).collect::<Vec<_>>();
            assert_eq!(enter(before), enter(&now), "{consent} makes {before:?} {now:?}\n{after}");
        }
    }
    left
}

#[test]
fn every_order_of_lines_gets_ours_where_it_counts() {
    let suite = suite();
    let five = orders(&USUAL, 5);
    let left = tried(&suite, Libpam::Own, &five, &[PERM_DENIED]);
    assert_eq!((five.len(), left), (3_619, BTreeMap::new()));
    let three = orders(&[&USUAL[..], &UNUSUAL].concat(), 3);
    let left = tried(&suite, Libpam::Own, &three, &[PERM_DENIED, AUTHINFO_UNAVAIL, USER_UNKNOWN]);
    assert_eq!((three.len(), left), (5_220, BTreeMap::new()));
}

#[test]
fn orders_of_lines_get_ours_where_it_counts_for_debian_13_too() {
    let suite = suite();
    trixie::put(&suite.host, "libpam13", &["libpam0g", "libpam-modules"]);
    suite.host.must(&format!("cp -a /etc/shadow /etc/pam.d {}/etc", trixie::ROOT));
    let three = orders(&[&USUAL[..], &UNUSUAL].concat(), 3);
    let left = tried(&suite, Libpam::Newer, &three, &[PERM_DENIED]);
    assert_eq!((three.len(), left), (5_220, BTreeMap::new()));
}

/// Session lines, and a file of account and session lines in one.
const SESSIONS: [&str; 6] = [
    "session required pam_permit.so",
    "session sufficient pam_permit.so",
    "session [success=1 default=ignore] pam_permit.so",
    "session optional pam_deny.so",
    "@include ends-early",
    "session include ends-early",
];

#[test]
fn in_sshd_the_session_line_is_before_all_that_end_the_stack() {
    let suite = suite();
    let mut stacks = Vec::new();
    for session in orders(&SESSIONS, 2) {
        let stack = format!("@include common-account\n{session}");
        suite.host.write("/etc/pam.d/sshd", &stack, 0o644);
        let said = suite.host.must("oncall-cache pam-lines sshd");
        let lines: Vec<String> =
            said.lines().filter_map(|line| line.strip_prefix("sshd insert ")).map(String::from).collect();
        assert!(said.contains("account required pam_oncall.so shared=session"), "{said}");
        stacks.push((stack.clone(), edited(&stack, &lines)));
    }
    let ask = |code: Option<i32>| {
        let texts = stacks.iter().map(|(before, after)| match code {
            Some(code) => answered(after, code),
            None => before.clone(),
        });
        libpam(&suite, Libpam::Own, "session", &texts.collect::<Vec<_>>())
    };
    for ((_, after), codes) in stacks.iter().zip(ask(Some(PERM_DENIED))) {
        assert!(!codes.iter().any(|&code| enters(code)), "does not refuse: {codes:?}\n{after}");
    }
    // Whose session is none of our business.
    for (((_, after), before), now) in stacks.iter().zip(ask(None)).zip(ask(Some(SUCCESS))) {
        assert!(
            before.iter().zip(&now).all(|(before, now)| !enters(*before) || enters(*now)),
            "{now:?}\n{after}"
        );
    }
}

/// Stacks in which a line at the end would not count.
const ENDING: [&str; 7] = [
    "account sufficient pam_localuser.so\n@include common-account\n",
    "account [success=done default=ignore] pam_unix.so\naccount required pam_deny.so\n",
    "account include ends-early\naccount required pam_unix.so\n",
    "account [default=1] pam_permit.so\naccount required pam_deny.so\naccount required pam_unix.so\n",
    "account sufficient pam_unix.so\n",
    "",
    "account [success=1 default=ignore] pam_unix.so\naccount requisite pam_deny.so\naccount [default=reset] pam_permit.so\naccount sufficient pam_unix.so\n",
];

/// By libpam, pam_oncall.so itself and a host that enforces: bob is off call, alice on call. sshd and su ask themselves, since
/// what counts there is who calls, or whose key it is.
#[test]
fn what_it_says_that_counts_refuses_whoever_is_off_call() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR), ("bob", HOUR, DAY)]);
    suite.sync();
    suite.host.write("/etc/pam.d/ends-early", ENDS_EARLY, 0o644);
    let probe = |service: &str, person: &str, words: &str| {
        let said = suite.host.must(&format!("/usr/libexec/authkeys/pam-probe {service} {person} {words}"));
        said.starts_with("0 ")
    };
    let enters = |service: &str, person: &str| match service {
        "sshd" => suite.ssh(person, person, "true").status.success(),
        "su" => suite.run_as(person, "su root -c true").status.success(),
        "sudo" => probe(service, person, &format!("ruser={person}")),
        _ => probe(service, person, "tty=/dev/pts/7"),
    };
    for (service, shapes) in [("sudo", 7), ("su", 3), ("sshd", 3), ("login", 3), ("polkit-1", 3)] {
        for shape in &ENDING[..shapes] {
            let stack = format!("auth required pam_permit.so\n{shape}session required pam_permit.so\n");
            suite.host.write(&format!("/etc/pam.d/{service}"), &stack, 0o644);
            assert!(enters(service, "bob") && enters(service, "alice"), "{service}: {stack}");
            let said = suite.host.must(&format!("sh /run/suite/source/packaging/pam/enable.sh {service}"));
            assert!(said.contains(&format!("Now in effect for {service}:")), "{said}");
            let now = suite.host.read(&format!("/etc/pam.d/{service}"));
            assert!(!enters(service, "bob") && enters(service, "alice"), "{service}: {now}");
            suite.host.must(&format!("sh /run/suite/source/packaging/pam/enable.sh --undo {service}"));
            assert_eq!(suite.host.read(&format!("/etc/pam.d/{service}")), stack);
        }
    }
}
