//! pam_oncall.so as libpam, sshd, sudo and su meet it: hostile items, an empty host, black holes, and a process that is to
//! stay the process it was.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::suite::{CONFIG, DAY, HOUR, Suite, now};
use harness::{text, wait_until};

/// libpam's codes.
const SUCCESS: i32 = 0;
const PERM_DENIED: i32 = 6;
const AUTHINFO_UNAVAIL: i32 = 9;
const USER_UNKNOWN: i32 = 10;
/// What was not asked, because what came before it refused.
const NOT_ASKED: i32 = -1;

/// Our lines alone, so that what is seen is ours.
const ALONE: &str = "account required pam_oncall.so shared=session\naccount required pam_permit.so\n\
                     session requisite pam_oncall.so\nsession required pam_permit.so\n";

/// alice is on call for the next hour, bob after her.
fn suite() -> Suite {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR), ("bob", HOUR, DAY)]);
    suite.sync();
    suite
}

/// The program of tests/pam/host.c, inside.
fn install_host(suite: &Suite) {
    let own = std::env::current_exe().expect("a test has a path");
    // Tests of one process run at once.
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let program = own.with_file_name(format!("pam-host-{}-{number}", std::process::id()));
    let status = Command::new("gcc")
        .args(["-O2", "-g", "-Wall", "-Werror", concat!(env!("CARGO_MANIFEST_DIR"), "/pam/host.c"), "-o"])
        .arg(&program)
        .arg("-l:libpam.so.0")
        .status()
        .expect("gcc runs; tests/prerequisites.sh installs it");
    assert!(status.success(), "gcc: {status}");
    suite.host.install(&program, "/usr/bin/pam-host", 0o755);
    std::fs::remove_file(&program).expect("it was just made");
}

/// Runs `pam-host` and returns the codes of account management, open and close for each user.
fn transact(suite: &Suite, arguments: &[&str]) -> (Vec<[i32; 3]>, Output) {
    let output = suite.host.command("/usr/bin/pam-host").args(arguments).output().expect("nsenter runs");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let codes = |line: &str| {
        let codes: Vec<i32> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        <[i32; 3]>::try_from(codes).ok()
    };
    (stdout.lines().filter_map(codes).collect(), output)
}

fn stack(suite: &Suite, service: &str) {
    suite.host.write(&format!("/etc/pam.d/{service}"), ALONE, 0o644);
}

/// `publickey TYPE BASE64`, as sshd says it.
fn said_by_sshd(suite: &Suite, name: &str) -> String {
    let key = suite.public_key(name);
    format!("auth=publickey {}", key.rsplit_once(' ').map_or(key.as_str(), |(key, _)| key))
}

/// Our module stays loaded.
fn module(suite: &Suite) -> String {
    format!("module={}", suite.host.must("ls /usr/lib/*/security/pam_oncall.so").trim())
}

fn reasons(suite: &Suite) -> Vec<String> {
    let reason = |line: String| {
        line.split(' ').find_map(|field| field.strip_prefix("reason=")).unwrap_or_default().to_string()
    };
    suite.decisions().into_iter().map(reason).collect()
}

fn refused(output: &Output, words: &str) {
    assert!(!output.status.success(), "was let in: {}", text(output));
    assert!(text(output).contains(words), "expected {words:?} in {}", text(output));
}

#[test]
fn a44_root_by_somebody_unknown_is_refused_by_every_door() {
    let suite = suite();
    install_host(&suite);
    suite.host.must("useradd -o -u 0 -g 0 -M -d /root toor");
    suite.host.must("ssh-keygen -qt ed25519 -N '' -C stranger -f /root/keys/stranger");
    for service in ["sshd", "login", "polkit-1"] {
        stack(&suite, service);
    }
    for account in ["root", "toor"] {
        for auth in [said_by_sshd(&suite, "stranger"), "auth=password".to_string(), "auth=".to_string()] {
            let (codes, _) = transact(&suite, &["1", "sshd", account, "tty=ssh", "rhost=192.0.2.1", &auth]);
            // 6 from a session is what sshd answers by running nothing.
            assert_eq!(codes, [[SUCCESS, PERM_DENIED, NOT_ASKED]], "{account} {auth}");
            assert_eq!(reasons(&suite), ["unknown-person"]);
        }
        let (codes, _) = transact(&suite, &["1", "sshd", account, &said_by_sshd(&suite, "alice")]);
        assert_eq!(codes, [[SUCCESS; 3]], "{account}");
        for door in ["login", "polkit-1"] {
            let (codes, _) = transact(&suite, &["1", door, account, "tty=/dev/pts/1"]);
            assert_eq!(codes, [[PERM_DENIED, NOT_ASKED, NOT_ASKED]], "{door} {account}");
        }
        let _ = suite.decisions();
    }
}

#[test]
fn a45_a_user_that_is_none_is_unknown_at_once() {
    let suite = suite();
    install_host(&suite);
    let (endless, lines, escape) = ("x".repeat(65_536), "root\nalice", "root\u{1b}[2J");
    for service in ["sshd", "sudo", "su", "login", "polkit-1"] {
        stack(&suite, service);
        for user in ["-", endless.as_str(), lines, escape] {
            let (codes, output) = transact(&suite, &["1", service, user, "ruser=alice"]);
            assert_eq!(codes, [[USER_UNKNOWN, NOT_ASKED, NOT_ASKED]], "{service}: {}", text(&output));
            let logged = suite.decisions();
            assert_eq!(logged.len(), 1, "{logged:#?}");
            assert!(logged[0].starts_with("person=- decision=bad-name reason=bad-user "), "{logged:#?}");
        }
    }
    // An empty name is none either; libpam's own tool can say it.
    let empty = suite.host.sh("pamtester sshd '' acct_mgmt");
    refused(&empty, "User not known to the underlying authentication module");
    assert_eq!(reasons(&suite), ["bad-user"]);
}

#[test]
fn a47_services_out_of_scope_and_roots_own_scripts_go_on_with_everything_deleted() {
    let suite = suite();
    install_host(&suite);
    suite.host.must("rm -rf /var/lib/oncall-cache /var/lib/authkeys");
    for config in ["true", "rm -rf /etc/authkeys"] {
        suite.host.must(config);
        for service in ["cron", "atd", "systemd-user", "mystery"] {
            stack(&suite, service);
            for user in ["root", "alice", "dave"] {
                let (codes, _) = transact(&suite, &["1", service, user, "tty=cron"]);
                assert_eq!(codes, [[SUCCESS; 3]], "{service} {user}");
            }
        }
        assert_eq!(suite.decisions(), [""; 0]);
        // A stack of our line alone shows that it was IGNORE, of which libpam makes a refusal.
        suite.host.write("/etc/pam.d/mystery", "account required pam_oncall.so\n", 0o644);
        let (codes, _) = transact(&suite, &["1", "mystery", "root"]);
        assert_eq!(codes, [[PERM_DENIED, NOT_ASKED, NOT_ASKED]]);

        let script = "set -e; sudo -n id -u; sudo -n -u dave id -un; su -c 'id -u'; su - dave -c 'id -un'; su alice -s /bin/sh -c 'id -un'";
        assert_eq!(suite.host.must(script), "0\ndave\n0\ndave\nalice\n");
        let expected = ["already-root", "already-root", "already-root", "not-guarded", "already-root"];
        assert_eq!(reasons(&suite), expected);
    }
}

#[test]
fn a48_what_a_caller_puts_into_the_environment_is_no_evidence() {
    let suite = suite();
    suite.host.must("printf 'root:secret\\nalice:secret\\n' | chpasswd");
    let key = suite.public_key("alice");
    let forged = format!(
        "export USER=alice LOGNAME=alice SUDO_USER=alice SUDO_UID=0 PAM_USER=alice PAM_RUSER=alice UID=0 \
         SSH_AUTH_INFO_0='publickey {key}' SSH_USER_AUTH=/tmp/auth AUTHKEYS_CONFIG=/tmp/config.toml; "
    );
    for command in [
        "sudo -n id -u",
        "sudo -n -E id -u",
        "printf 'secret\\n' | su -c 'id -u'",
        "printf 'secret\\n' | su -m root -c 'id -u'",
        "printf 'secret\\n' | su - root -c 'id -u'",
        "printf 'secret\\n' | su alice -c 'id -u'",
    ] {
        refused(&suite.run_as("bob", &format!("{forged}{command}")), "bob is not (alice is, until ");
        let logged = suite.decisions();
        assert_eq!(logged.len(), 1, "{command}: {logged:#?}");
        assert!(logged[0].starts_with("person=bob decision=refuse reason=not-oncall "), "{logged:#?}");
        assert!(!logged[0].contains("fingerprint="), "{logged:#?}");
    }
    // The same words do not change what alice is.
    let output = suite.run_as("alice", &format!("{}sudo -n id -u", forged.replace("=alice", "=bob")));
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a49_without_a_roster_sudo_cannot_tell_and_the_console_is_open() {
    let suite = suite();
    install_host(&suite);
    for service in ["sshd", "sudo", "login"] {
        stack(&suite, service);
    }
    for spoil in ["rm ROSTER", "mkdir -p ROSTER", "rm -r ROSTER; echo x >ROSTER", "chmod 666 ROSTER"] {
        suite.host.must(&spoil.replace("ROSTER", "/var/lib/oncall-cache/roster.db"));
        let _ = suite.decisions();
        let alice = said_by_sshd(&suite, "alice");
        for (arguments, expected) in [
            (["sudo", "alice", "ruser=alice", "tty=/dev/pts/0"], [AUTHINFO_UNAVAIL, NOT_ASKED]),
            (["login", "root", "tty=/dev/tty1", "rhost="], [SUCCESS; 2]),
            (["login", "root", "tty=/dev/ttyS0", "rhost="], [SUCCESS; 2]),
            (["login", "root", "tty=/dev/pts/0", "rhost="], [PERM_DENIED, NOT_ASKED]),
            // What sshd would count against the address waits for the session.
            (["sshd", "root", "tty=/dev/tty1", &alice], [SUCCESS, AUTHINFO_UNAVAIL]),
            (["sshd", "alice", "tty=ssh", &alice], [SUCCESS, AUTHINFO_UNAVAIL]),
            (["sshd", "dave", "tty=ssh", &alice], [SUCCESS; 2]),
        ] {
            let (codes, output) = transact(&suite, &[&["1"][..], &arguments[..]].concat());
            assert_eq!(codes[0][..2], expected, "{spoil}: {arguments:?}: {}", text(&output));
        }
        let logged = reasons(&suite);
        assert_eq!((logged[1].as_str(), logged[2].as_str()), ("exempt", "exempt"), "{logged:?}");
        let said = text(&suite.run_as("alice", "sudo -n true"));
        assert!(said.contains("this host cannot tell who is (") && !said.contains('/'), "{said}");
    }
}

#[test]
fn without_the_table_of_groups_everybody_may_be_root_capable() {
    let suite = suite();
    install_host(&suite);
    stack(&suite, "sshd");
    suite.host.must("mv /etc/group /root");
    let (codes, output) = transact(&suite, &["3", "sshd", "alice,bob,dave"]);
    let refused = [PERM_DENIED, NOT_ASKED, NOT_ASKED];
    assert_eq!(codes, [[SUCCESS; 3], refused, refused], "{}", text(&output));
    assert_eq!(reasons(&suite), ["oncall", "not-oncall", "not-eligible"]);
}

#[test]
fn a50_with_the_directory_and_the_provider_in_black_holes_pam_decides_and_asks_nobody() {
    let suite = suite();
    install_host(&suite);
    // They are there, and never answer. A client that connects would be found waiting.
    let holes = std::thread::scope(|scope| {
        let bind = || {
            suite.host.enter_network();
            [636, 443, 389].map(|port| TcpListener::bind(("127.0.0.1", port)).expect("the port is free"))
        };
        scope.spawn(bind).join().expect("they listen")
    });
    suite.host.must("echo 127.0.0.1 ldap.example.com api.pagerduty.com >>/etc/hosts");
    suite.host.write("/etc/authkeys/token", "x\n", 0o600);
    let config = CONFIG
        .replace(
            "file = \"people.toml\"",
            "urls = [\"ldaps://ldap.example.com\"]\nbase = \"dc=example,dc=com\"\neligible_group = \"cn=root,dc=example,dc=com\"",
        )
        .replace("[policy]", "[[oncall.source]]\nname = \"pd\"\nprovider = \"pagerduty\"\ntoken_file = \"token\"\nschedules = [\"P1\"]\n[policy]");
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    suite.host.must("oncall-cache config check /etc/authkeys/config.toml");
    stack(&suite, "sshd");
    stack(&suite, "sudo");
    let _ = suite.decisions();
    for arguments in [
        "sshd root,alice,bob,dave rhost=127.0.0.1 'AUTH'",
        "sudo alice,bob ruser=alice",
        "sudo dave ruser=dave",
    ] {
        let arguments = arguments.replace("AUTH", &said_by_sshd(&suite, "alice"));
        let traced =
            suite.host.traced("%network,clone,clone3,fork,vfork,execve", &format!("pam-host 20 {arguments}"));
        assert!(traced.output.status.success(), "{arguments}: {}", text(&traced.output));
        let mut datagrams = 0;
        for call in traced.calls() {
            let ours = call.starts_with("sendto(") && call.contains("sun_path=\"/dev/log\"");
            datagrams += usize::from(ours);
            // glibc asks nscd, if there is one, when an account is looked up; libpam tells the kernel's audit.
            let others = call.contains("/nscd/socket\"") || call.contains("NETLINK");
            let harmless = ["socket(AF_UNIX, ", "setsockopt(", "getsockopt(", "execve(", "---", "+++"];
            // The two children that the program itself has.
            let own = call
                .starts_with("clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD");
            assert!(
                ours || others || own || harmless.iter().any(|one| call.starts_with(one)),
                "{arguments}: {call}"
            );
        }
        assert!(datagrams >= 20, "{:?}", traced.threads);
        let children = traced.calls().filter(|call| call.starts_with("clone(")).count();
        assert!(children <= 2, "{:?}", traced.threads);
    }
    for hole in &holes {
        hole.set_nonblocking(true).expect("a socket");
        assert!(hole.accept().is_err(), "somebody connected to {:?}", hole.local_addr());
    }
}

#[test]
fn a52_ten_thousand_transactions_leave_a_process_as_it_was() {
    let suite = suite();
    install_host(&suite);
    stack(&suite, "sshd");
    let (codes, output) = transact(
        &suite,
        &[
            "10000",
            "sshd",
            "root,alice,bob,dave,toor",
            "tty=ssh",
            "rhost=192.0.2.1",
            &said_by_sshd(&suite, "alice"),
        ],
    );
    assert!(output.status.success(), "{}", text(&output));
    let off_call = [SUCCESS, PERM_DENIED, NOT_ASKED];
    assert_eq!(
        codes,
        [[SUCCESS; 3], [SUCCESS; 3], off_call, [SUCCESS; 3], [SUCCESS; 3]],
        "{}",
        text(&output)
    );
    // The roster and the configuration are gone; and the module stays loaded, as in a daemon that keeps a handle.
    suite.host.must("rm -r /var/lib/oncall-cache /etc/authkeys");
    let arguments = ["1000", "sshd", "root,alice,dave", &module(&suite), &said_by_sshd(&suite, "alice")];
    let (codes, output) = transact(&suite, &arguments);
    assert!(output.status.success(), "{}", text(&output));
    let unknown = [SUCCESS, AUTHINFO_UNAVAIL, NOT_ASKED];
    assert_eq!(codes, [unknown, unknown, [SUCCESS; 3]]);
}

#[test]
fn a52_a_process_without_its_first_descriptors_gets_none_of_them() {
    let suite = suite();
    install_host(&suite);
    stack(&suite, "sshd");
    for closed in ["<&-", "<&- >&-", ">&-", "<&- 2>&-"] {
        // Three: there is no warming up before the first picture.
        let output = suite.host.sh(&format!("pam-host 3 sshd alice,bob,dave {closed}"));
        assert!(output.status.success(), "{closed}: {}", text(&output));
    }
    assert_eq!(reasons(&suite).len(), 4 * 3);
}

#[test]
fn a52_valgrind_finds_no_mistake_and_no_leak() {
    let suite = suite();
    install_host(&suite);
    stack(&suite, "sshd");
    stack(&suite, "sudo");
    let (module, alice) = (module(&suite), said_by_sshd(&suite, "alice"));
    for arguments in [
        ["15", "sshd", "root,alice,bob,dave,-", "rhost=192.0.2.1", &alice, &module],
        ["4", "sudo", "alice,bob", "ruser=alice", "tty=/dev/pts/0", &module],
    ] {
        let options = ["-q", "--error-exitcode=99", "--leak-check=full", "--child-silent-after-fork=yes"];
        let leaks = ["--show-leak-kinds=definite,indirect", "--errors-for-leak-kinds=definite,indirect"];
        let output = suite
            .host
            .command("/usr/bin/timeout")
            .args(["3000", "valgrind"])
            .args(options)
            .args(leaks)
            .arg("pam-host")
            .args(arguments)
            .output()
            .expect("nsenter runs");
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    }
}

/// The rest of a shell's life is told by files: the test says when it goes on.
fn wait_inside(suite: &Suite, path: &str) {
    let file = suite.host.path(path);
    wait_until(&format!("{path} is there"), || file.exists());
}

#[test]
fn sudo_ends_with_the_shift_in_the_same_shell_although_sudo_still_remembers_the_password() {
    let suite = Suite::start();
    suite
        .host
        .must("echo alice:secret | chpasswd; echo 'alice ALL=(ALL) PASSWD: ALL' >/etc/sudoers.d/zz-alice");
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    let shell =
        "exec 2>&1; sudo -n true; printf 'secret\\n' | sudo -S -p '' id -u; sudo -n id -u; touch /tmp/in
                 until [ -e /tmp/over ]; do sleep 0.05; done; sudo -n id -u; echo code $?; touch /tmp/out
                 until [ -e /tmp/again ]; do sleep 0.05; done; sudo -n id -u; echo code $?";
    let (after, again, output) = std::thread::scope(|scope| {
        let mut runuser = suite.host.command("/usr/sbin/runuser");
        runuser.args(["-u", "alice", "--", "/bin/sh", "-c", shell]);
        let shell = scope.spawn(move || runuser.output().expect("nsenter runs"));
        wait_inside(&suite, "/tmp/in");
        // However long that took, her shift ends after it.
        let over = suite.write_rota(&[("alice", -HOUR, 3), ("bob", 3, HOUR)]) + 3;
        suite.sync();
        wait_until("the shift is over", || now() > over);
        let _ = suite.decisions();
        suite.host.must("touch /tmp/over");
        wait_inside(&suite, "/tmp/out");
        let after = suite.decisions();
        suite.write_rota(&[("alice", -HOUR, HOUR)]);
        suite.sync();
        suite.host.must("touch /tmp/again");
        let output = shell.join().expect("the shell ends");
        (after, suite.decisions(), output)
    });
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].contains("a password is required"), "there was no timestamp before: {said}");
    assert_eq!(lines[1..3], ["0", "0"], "{said}");
    assert!(said.contains("sudo on testhost is for people on call: alice is not (bob is, until "), "{said}");
    assert!(said.contains("\ncode 1\n"), "{said}");
    assert!(said.ends_with("\n0\ncode 0\n"), "sudo forgot the password: {said}");
    assert!(after[0].starts_with("person=alice decision=refuse reason=not-oncall "), "{after:?}");
    assert!(again[0].starts_with("person=alice decision=allow reason=oncall "), "{again:?}");
}

#[test]
fn every_stack_that_is_there_gets_its_line_once_and_gives_it_back() {
    let suite = Suite::start();
    let count = |service: &str| {
        let path = suite.host.path(&format!("/etc/pam.d/{service}"));
        Path::new(&path)
            .exists()
            .then(|| suite.host.read(&format!("/etc/pam.d/{service}")).matches("pam_oncall.so").count())
    };
    let enable =
        |arguments: &str| suite.host.sh(&format!("sh /run/suite/source/packaging/pam/enable.sh {arguments}"));
    assert_eq!(["sshd", "sudo", "sudo-i", "su", "login"].map(count), [2; 5].map(Some));
    // su-l includes su, and its line.
    assert_eq!(count("su-l"), Some(0));
    let all = suite.host.must("cat /etc/pam.d/*");
    assert!(enable("").status.success());
    assert_eq!(suite.host.must("cat /etc/pam.d/*"), all, "a second run changes nothing");
    // Those that are named, and no other.
    assert!(enable("--undo su login").status.success());
    assert_eq!(["sshd", "sudo", "sudo-i", "su", "login"].map(count), [2, 2, 2, 0, 0].map(Some));
    assert!(enable("su").status.success());
    assert_eq!((count("su"), count("login")), (Some(2), Some(0)));
    // What would change is told, and is not done.
    let stacks = "ls -li --time-style=full-iso /etc/pam.d";
    let before = suite.host.must(stacks);
    let said = |arguments: &str| String::from_utf8(enable(arguments).stdout).expect("UTF-8");
    assert_eq!(said("--dry-run"), "/etc/pam.d/login: pam_oncall.so would be added\n");
    assert_eq!(said("--dry-run sshd sudo su"), "");
    assert_eq!(said("--undo --dry-run su"), "/etc/pam.d/su: pam_oncall.so would be removed\n");
    assert_eq!(suite.host.must(stacks), before);
    assert!(enable("--undo").status.success());
    assert_eq!(suite.host.must("diff -r /etc/pam.d /run/suite/original"), "");

    // Stacks of other distributions, and one that only /usr/lib has.
    suite.host.must(
        "rm -f /etc/pam.d/polkit-1; mkdir -p /usr/lib/pam.d
         printf 'auth include system-auth\\naccount required pam_permit.so\\n-account  required pam_unix.so\\n' >/usr/lib/pam.d/polkit-1
         printf 'auth substack system-auth\\naccount required pam_nologin.so\\naccount include system-auth\\nsession include system-auth\\n' >/etc/pam.d/login
         printf 'account sufficient pam_succeed_if.so uid = 0 use_uid quiet\\naccount substack password-auth\\n' >/etc/pam.d/su
         printf 'account include sudo\\nsession optional pam_keyinit.so\\nsession include sudo\\n' >/etc/pam.d/sudo-i
         cp -r /etc/pam.d /run/suite/others",
    );
    let output = enable("");
    assert!(
        output.status.success() && text(&output).contains("login refuses nobody on: tty1 ttyS0"),
        "{}",
        text(&output)
    );
    let line = "account required pam_oncall.so\n";
    assert!(suite.host.read("/etc/pam.d/login").contains(&format!("pam_nologin.so\n{line}account include")));
    // The first of these would end the stack.
    assert!(suite.host.read("/etc/pam.d/su").starts_with(&format!("{line}account sufficient")));
    assert_eq!((count("sudo"), count("sudo-i")), (Some(2), Some(0)), "it includes sudo, and its lines");
    let polkit = suite.host.read("/etc/pam.d/polkit-1");
    assert!(polkit.contains(&format!("pam_permit.so\n{line}-account")), "{polkit}");
    assert!(!suite.host.read("/usr/lib/pam.d/polkit-1").contains("pam_oncall"));
    assert!(enable("").status.success());
    assert_eq!(suite.host.read("/etc/pam.d/polkit-1"), polkit);
    assert!(enable("--undo").status.success());
    assert_eq!(suite.host.must("diff -r /etc/pam.d /run/suite/others"), "");

    // A stack without an account line is decided by that of `other`, and still is.
    suite.host.must("echo 'auth required pam_deny.so' >/etc/pam.d/su; cp /etc/pam.d/su /run/suite/su");
    assert!(enable("").status.success());
    let su = suite.host.read("/etc/pam.d/su");
    assert!(su.contains("pam_deny.so\naccount required pam_oncall.so\naccount include other"), "{su}");
    assert!(enable("--undo").status.success());
    assert_eq!(suite.host.must("diff /etc/pam.d/su /run/suite/su"), "");
    suite.host.must("cp /run/suite/original/su /etc/pam.d/su");

    // A module that libpam cannot load would lock everybody out.
    suite.host.must("for m in /usr/lib/*/security/pam_oncall.so; do mv $m /run/suite/module; echo >$m; done");
    let output = enable("");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("libpam cannot load") && text(&output).contains("nothing changed"));
    assert!(suite.host.sh("grep -l pam_oncall /etc/pam.d/*").stdout.is_empty());
    suite.host.must("for m in /usr/lib/*/security/pam_oncall.so; do mv /run/suite/module $m; done");

    // A console that the configuration does not know keeps its login.
    suite.host.write("/sys/class/tty/console/active", "tty0 hvc0\n", 0o444);
    let output = enable("");
    assert!(
        output.status.success() && text(&output).contains("add \"hvc0\" to policy.exempt_ttys"),
        "{}",
        text(&output)
    );
    assert_eq!((count("login"), count("sshd")), (Some(0), Some(2)));
    // By name it is asked for, and not done.
    for dry_run in ["", "--dry-run "] {
        assert_eq!(enable(&format!("{dry_run}login")).status.code(), Some(1), "{dry_run}");
    }
    suite.host.must(
        "sed -i 's/^\\[policy\\]/&\\npam_services = [\"sshd\", \"login\", \"sudo\"]/' /etc/authkeys/config.toml",
    );
    let output = enable("su");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("su: not in policy.pam_services"), "{}", text(&output));
    assert!(enable("").status.success());
}

#[test]
fn lines_written_by_hand_keep_the_module_if_logins_would_change_without_them() {
    let suite = Suite::start();
    let undo = || suite.host.sh("sh /run/suite/source/packaging/pam/enable.sh --undo");
    suite.host.must("mkdir /etc/pam.d/old && ln -s nowhere /etc/pam.d/link");
    for stack in [
        "account [success=1 default=ignore] pam_oncall.so\naccount requisite pam_deny.so\n",
        "account [success=1 default=ignore] pam_succeed_if.so user = backup\naccount required pam_oncall.so\n",
        "account required \\\n  pam_oncall.so\n",
        "Account Required pam_oncall.so\n",
    ] {
        suite.host.write("/etc/pam.d/su", format!("{stack}@include common-account\n"), 0o644);
        let output = undo();
        assert_eq!(output.status.code(), Some(1), "{stack}");
        assert!(text(&output).contains("/etc/pam.d/su: lines of pam_oncall.so"), "{}", text(&output));
        assert!(suite.host.read("/etc/pam.d/su").contains(stack));
        // All others are as before.
        assert!(!suite.host.read("/etc/pam.d/sudo").contains("pam_oncall"));
    }
    // And none are put where a jump would count them: this one would lead past ours, no more past what it did.
    let jump =
        "account [success=1 default=ignore] pam_succeed_if.so user = backup\n@include common-account\n";
    suite.host.write("/etc/pam.d/su", jump, 0o644);
    // Lines that are there and do not count are left to their author.
    let late = "account sufficient pam_localuser.so\naccount required pam_oncall.so\n";
    suite.host.write("/etc/pam.d/sudo-i", late, 0o644);
    let output = suite.host.sh("sh /run/suite/source/packaging/pam/enable.sh su sudo sudo-i");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let left =
        "/etc/pam.d/sudo-i: left as it is: it has an account line of pam_oncall.so that does not count";
    assert!(text(&output).contains(left), "{}", text(&output));
    assert!(text(&output).contains("Now in effect for su sudo: "), "{}", text(&output));
    assert_eq!(suite.host.read("/etc/pam.d/sudo-i"), late);
    assert!(
        suite.host.read("/etc/pam.d/su").starts_with("account required pam_oncall.so\naccount [success=1")
    );
    assert!(suite.host.read("/etc/pam.d/sudo").contains("pam_oncall"));
    suite.host.must("rm /etc/pam.d/sudo-i");
    // This one leads past a line of another type, and that one before ours.
    let harmless = "auth [success=1 default=ignore] pam_rootok.so\naccount [success=1 default=ignore] pam_rootok.so\n\
                    account required pam_time.so\n";
    suite.host.write("/etc/pam.d/su", format!("{harmless}account required pam_oncall.so\n"), 0o644);
    assert!(undo().status.success());
    assert_eq!(suite.host.read("/etc/pam.d/su"), harmless);
}

#[test]
fn a_stack_of_sshd_that_is_a_link_gets_the_lines_of_sshd() {
    let suite = Suite::start();
    let enable = |arguments: &str| {
        suite.host.must(&format!("sh /run/suite/source/packaging/pam/enable.sh {arguments}"))
    };
    let lines = suite.host.read("/etc/pam.d/sshd");
    enable("--undo");
    suite.host.must("mv /etc/pam.d/sshd /etc/pam.d/remote && ln -s remote /etc/pam.d/sshd");
    enable("sshd");
    assert_eq!(suite.host.read("/etc/pam.d/remote"), lines);
    assert_eq!(suite.host.must("readlink /etc/pam.d/sshd"), "remote\n");
}
