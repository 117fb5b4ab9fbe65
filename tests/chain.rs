//! `[[keys.chain]]` through a real sshd: other commands may add keys and can do no harm.

use std::process::Output;
use std::time::{Duration, Instant};

use harness::suite::{CONFIG, HOUR, Suite};
use harness::{text, wait_until};

/// Where a chained script leaves that it was run.
const MARK: &str = "/tmp/ran";

/// A machine where `guest` is a key that no directory has.
struct Site(Suite);

impl Site {
    fn start() -> Self {
        let site = Self(Suite::start());
        site.0.sync_keys();
        site.0.host.must("ssh-keygen -qt ed25519 -N '' -C guest -f /root/keys/guest");
        site.0.host.must("install -m 644 /root/keys/guest.pub /opt/guest.pub");
        site
    }

    /// Puts a script at /opt/NAME and one `[[keys.chain]]` for each, asked about every account.
    fn chain(&self, scripts: &[(&str, &str)]) {
        let mut config = CONFIG.to_string();
        for (name, script) in scripts {
            let script = format!("#!/bin/sh\necho {name} \"$@\" >>{MARK}\n{script}\n");
            self.0.host.write(&format!("/opt/{name}"), script, 0o755);
            config += &format!(
                "[[keys.chain]]\nname = '{name}'\ncommand = ['/opt/{name}', '%u', '100%%']\naccounts = ['*']\n"
            );
        }
        self.configure(&config);
    }

    fn configure(&self, config: &str) {
        self.0.host.write("/etc/authkeys/config.toml", config, 0o644);
        self.0.host.must(&format!("rm -f {MARK}"));
        self.forget_stalls();
    }

    fn forget_stalls(&self) {
        self.0.host.must("rm -f /var/cache/authkeys/stalled.*");
    }

    /// What the scripts wrote, each run a line.
    fn ran(&self) -> String {
        self.0.host.must(&format!("cat {MARK} 2>/dev/null; rm -f {MARK}"))
    }

    /// `authkeys ARGUMENTS` as sshd runs it; what it printed, and its line in the log.
    fn run(&self, arguments: &str) -> (String, String) {
        let _ = self.0.lines_of("authkeys");
        let output = self.0.run_as("authkeys", &format!("exec authkeys {arguments}"));
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        (stdout(&output), self.0.lines_of("authkeys").join("\n"))
    }

    /// `TYPE BASE64`.
    fn key(&self, name: &str) -> String {
        self.0.public_key(name).rsplit_once(' ').map(|(key, _)| key.to_string()).expect("a comment")
    }

    /// Dave's own line, which nothing may take away.
    fn own(&self) -> String {
        format!("{} dave\n", self.key("dave"))
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn admitted(output: &Output) -> bool {
    output.status.success() && stdout(output) == "in\n"
}

#[test]
fn an_exempt_account_gets_no_key_from_another_command() {
    let site = Site::start();
    site.0.host.must("useradd -m -s /bin/sh breakglass");
    site.chain(&[("other", "cat /opt/guest.pub")]);
    let (said, line) = site.run("breakglass");
    assert_eq!((said.as_str(), site.ran().as_str()), ("", ""));
    assert!(line.contains("reason=exempt ") && line.contains("chain=other:guarded"), "{line}");
    let login = site.0.ssh("guest", "breakglass", "echo in");
    assert!(!admitted(&login), "{}", text(&login));
    // Not because of anything else about it.
    site.configure(&site.0.host.read("/etc/authkeys/config.toml").replace("breakglass", "nobody.else"));
    assert!(site.run("breakglass").0.contains(" chain:other"));
}

#[test]
fn a_key_of_another_command_lets_an_ordinary_user_in() {
    let site = Site::start();
    site.chain(&[]);
    let login = |key: &str| site.0.ssh(key, "dave", "echo in");
    assert!(!admitted(&login("guest")), "nobody has named this key yet");
    site.chain(&[("guests", "env >/tmp/env; id -un >/tmp/id; cat /dev/stdin >/tmp/in; cat /opt/guest.pub")]);
    let output = login("guest");
    assert!(admitted(&output), "{} {:#?}", text(&output), site.0.lines_of("authkeys"));
    let lines = site.0.lines_of("authkeys").join("\n");
    assert!(lines.contains("decision=known reason=no-keys keys=0 chain=guests:keys=1,dropped=0"), "{lines}");
    assert!(site.ran().contains("guests dave 100%\n"));
    assert_eq!(site.0.host.read("/tmp/id"), "authkeys\n");
    assert_eq!(site.0.host.read("/tmp/in"), "");
    let environment = site.0.host.read("/tmp/env");
    let mut names: Vec<&str> = environment.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    // PWD is the shell's own.
    names.retain(|name| *name != "PWD");
    names.sort_unstable();
    assert_eq!(names, ["LANG", "PATH"], "{environment}");
    // A key of our own needs no other command.
    assert!(admitted(&login("dave")));
    assert_eq!(site.ran(), "");
    // A stranger's key is still a stranger's.
    assert!(!admitted(&login("bob")));
}

#[test]
fn the_offered_key_is_told_and_no_other_is_printed() {
    let site = Site::start();
    let guest = site.key("guest");
    site.0.host.write(
        "/opt/tell",
        format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >{MARK}\ncat /opt/keys\n"),
        0o755,
    );
    site.0.host.write("/opt/keys", format!("{}\nno-pty {guest} x\n", site.key("bob")), 0o644);
    site.configure(&format!(
        "{CONFIG}[[keys.chain]]\nname = 'tell'\ncommand = ['/opt/tell', '%u:%t', '%k', '%f']\naccounts = ['da?e']\n"
    ));
    let (said, line) = site.run(&format!("dave {guest}"));
    assert_eq!(said, format!("no-pty {guest} chain:tell\n"), "{line}");
    assert!(line.contains("chain=tell:keys=1,dropped=1"), "{line}");
    let fingerprint = site.0.host.must("ssh-keygen -lf /opt/guest.pub | cut -d' ' -f2");
    let (kind, blob) = guest.split_once(' ').expect("two words");
    assert_eq!(site.ran(), format!("dave:{kind}\n{blob}\n{fingerprint}"));
    let (said, line) = site.run("dave");
    assert_eq!(said, site.own());
    assert!(line.contains("keys=1 owners=dave chain=tell:no-key-offered"), "{line}");
    // Another account, and a certificate, which opens nothing.
    site.0.host.must("useradd -m guest");
    for arguments in
        [format!("guest {guest}"), "dave ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5".to_string()]
    {
        let (said, line) = site.run(&arguments);
        assert_eq!((said.as_str(), line.contains("chain=")), ("", false), "{line}");
    }
    assert_eq!(site.ran(), "");
}

#[test]
fn whatever_a_command_does_our_own_keys_are_printed() {
    let site = Site::start();
    let weak = made_keys::small_order().into_iter().map(|weak| format!("echo {}\n", weak.line));
    let weak = weak.collect::<String>();
    for (name, script, did) in [
        ("fails", "cat /opt/guest.pub; exit 1", "exit-1"),
        ("crashes", "cat /opt/guest.pub; kill -SEGV $$", "signal-11"),
        ("floods", "yes \"$(cat /opt/guest.pub)\"", "output-too-long"),
        ("garbage", "head -c 100000 /dev/urandom | tr '#\\n' 'xy'; echo", "keys=0,dropped=1"),
        ("nothing", ":", "keys=0,dropped=0"),
        ("closes", "cat /opt/guest.pub; exec >&-; sleep 1000", "timeout"),
        ("leaves", "cat /opt/guest.pub; sleep 1000 &", "timeout"),
        ("command", "echo command=\\\"id\\\" $(cat /opt/guest.pub)", "keys=0,dropped=1"),
        ("weak", &weak, "keys=0,dropped=16"),
        ("touch", "echo no-touch-required $(cat /opt/guest.pub)", "keys=0,dropped=1"),
        ("authority", "echo cert-authority $(cat /opt/guest.pub)", "keys=0,dropped=1"),
    ] {
        site.chain(&[(name, script)]);
        let (said, line) = site.run("dave");
        assert_eq!(said, site.own(), "{name}: {line}");
        assert!(line.contains(&format!(" keys=1 owners=dave chain={name}:{did}")), "{name}: {line}");
        assert!(site.ran().contains(name), "{name} was run");
        wait_until("what it started is gone", || site.0.host.must("pgrep -x sleep || :").is_empty());
    }
    // The same through sshd: neither is dave kept out, nor does the guest get in.
    let output = site.0.ssh("dave", "dave", "echo in");
    assert!(admitted(&output), "{}", text(&output));
    assert!(!admitted(&site.0.ssh("guest", "dave", "echo in")));
    // A line that can be kept is beside those that cannot.
    site.chain(&[("mixed", "echo command=\\\"id\\\" $(cat /opt/guest.pub); cat /opt/guest.pub; exit 0")]);
    let (said, line) = site.run("dave");
    assert_eq!(said, format!("{}{} chain:mixed\n", site.own(), site.key("guest")), "{line}");
    assert!(line.contains("chain=mixed:keys=1,dropped=1"), "{line}");
}

#[test]
fn the_deadline_of_each_and_of_all_holds() {
    let site = Site::start();
    let sleep = "sleep 60; cat /opt/guest.pub";
    site.chain(&[
        ("one", sleep),
        ("good", "cat /opt/guest.pub"),
        ("two", sleep),
        ("three", sleep),
        ("four", sleep),
    ]);
    let start = Instant::now();
    let (said, line) = site.run("dave");
    let took = start.elapsed();
    assert_eq!(said, format!("{}{} chain:good\n", site.own(), site.key("guest")), "{line}");
    let did = "chain=one:timeout chain=good:keys=1,dropped=0 chain=two:timeout chain=three:timeout chain=four:no-time-left";
    assert!(line.contains(did), "{line}");
    assert!(took >= Duration::from_millis(4_900), "{took:?}");
    assert!(!site.ran().contains("four"));
    // One that has become root by then cannot be killed, and is not waited for.
    site.0.host.must("install -m 4755 /usr/bin/setpriv /opt/setpriv");
    for script in [sleep, "exec /opt/setpriv --reuid=0 --clear-groups sleep 1000"] {
        site.chain(&[("one", script)]);
        let start = Instant::now();
        let (said, line) = site.run("dave");
        assert_eq!((said, line.contains("chain=one:timeout")), (site.own(), true), "{line}");
        assert!(start.elapsed() >= Duration::from_millis(1_900), "{script}: {:?}", start.elapsed());
    }
    assert_ne!(site.0.host.must("pgrep -x -u root sleep || :"), "", "it was root, and is still there");
}

#[test]
fn six_keys_wait_for_a_command_that_stalls_once() {
    let site = Site::start();
    site.chain(&[("stalls", "sleep 60"), ("good", "cat /opt/guest.pub")]);
    let (said, line) = site.run("dave");
    assert!(line.contains("chain=stalls:timeout chain=good:keys=1"), "{line}");
    // It is not run again for this account, and the others are.
    let (again, line) = site.run("dave");
    assert!(line.contains("chain=stalls:stalled-before chain=good:keys=1"), "{line}");
    assert_eq!(again, said);
    site.0.host.must("useradd -m erin");
    assert!(site.run("erin").1.contains("chain=stalls:timeout"), "another account's question is another");
    assert_eq!(site.ran().matches("stalls ").count(), 2);
    // Half a minute later it is asked again.
    site.0.host.must(
        "for mark in /var/cache/authkeys/stalled.stalls.*; do echo $(($(date +%s) - 31)) dave >$mark; done",
    );
    assert!(site.run("dave").1.contains("chain=stalls:timeout"));

    // An agent with six keys, of which the last is dave's.
    site.forget_stalls();
    let others: String = (1..6).map(|n| format!("-i /tmp/wrong{n} ")).collect();
    site.0.host.must("for n in 1 2 3 4 5; do ssh-keygen -qt ed25519 -N '' -f /tmp/wrong$n; done");
    let _ = site.0.lines_of("authkeys");
    let output = site.0.host.sh(&format!(
        "timeout 300 ssh -F none {others} -i /root/keys/dave -o IdentitiesOnly=yes -o BatchMode=yes \
         -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -p 2222 dave@127.0.0.1 'echo in'"
    ));
    assert!(admitted(&output), "{}", text(&output));
    let lines = site.0.lines_of("authkeys").join("\n");
    assert_eq!(lines.matches("chain=stalls:timeout").count(), 1, "{lines}");
    assert_eq!(lines.matches("chain=stalls:stalled-before").count(), 4, "{lines}");
}

#[test]
fn a_command_is_found_through_links_that_root_made() {
    let site = Site::start();
    site.chain(&[("guests", "cat /opt/guest.pub")]);
    let config = site.0.host.read("/etc/authkeys/config.toml");
    site.0.host.must(
        "mkdir -m 755 /srv/real; cp /opt/guests /srv/real/guests; ln -s srv/real /link; ln -s /link /srv/again
         mkdir -m 777 /srv/open; ln -s /srv/real /srv/open/way; ln -s /srv/real /srv/daves; chown -h dave /srv/daves",
    );
    for (path, did) in [
        ("/link/guests", "keys=1,dropped=0"),
        ("/srv/again/guests", "keys=1,dropped=0"),
        ("/srv/open/way/guests", "file-untrusted"),
        ("/srv/daves/guests", "file-untrusted"),
        ("/srv/open/../real/guests", "file-untrusted"),
        ("/link/none", "missing"),
    ] {
        site.configure(&config.replace("/opt/guests", path));
        let (_, line) = site.run("dave");
        assert!(line.contains(&format!("chain=guests:{did}")), "{path}: {line}");
        let checked = site.0.host.sh("oncall-cache config check /etc/authkeys/config.toml");
        assert!(checked.status.success(), "{path}: {}", text(&checked));
        let told = site.0.host.must("authkeys --explain dave");
        let expected = match did {
            "missing" => "chain: guests: not run (missing): /srv/real/none: no such file",
            "file-untrusted" => &format!("chain: guests: not run (file-untrusted): {path}: refused, "),
            _ => "chain: guests: sshd's run also asks /srv/real/guests",
        };
        assert!(told.contains(expected), "{path}: {told}");
    }
    // What is between the link and the program is judged as ever.
    site.configure(&config.replace("/opt/guests", "/link/guests"));
    site.0.host.must("chmod o+w /srv/real");
    assert!(site.run("dave").1.contains("chain=guests:file-untrusted"));
}

#[test]
fn explain_names_the_commands_and_runs_none() {
    let site = Site::start();
    site.chain(&[("guests", "cat /opt/guest.pub")]);
    let config = site.0.host.read("/etc/authkeys/config.toml");
    let told = |name: &str| site.0.host.must(&format!("authkeys --explain {name}"));
    assert!(told("dave").contains("\nchain: guests: sshd's run also asks /opt/guests\n"), "{}", told("dave"));
    assert!(told("alice").contains("\nchain: guests: not run (guarded)\n"), "{}", told("alice"));
    site.configure(&config.replace("'%u'", "'%u', '%f'"));
    let with_key = "chain: guests: sshd's run also asks /opt/guests, if sshd passes the key";
    assert!(told("dave").contains(with_key), "{}", told("dave"));
    site.configure(&config.replace("['*']", "['x*']"));
    assert!(!told("dave").contains("chain"), "{}", told("dave"));
    assert_eq!(site.ran(), "");
}

#[test]
fn no_command_is_asked_about_a_guarded_account() {
    let site = Site::start();
    let host = &site.0.host;
    site.0.write_rota(&[("alice", -HOUR, HOUR)]);
    site.0.sync();
    host.must(
        "useradd -m deploy; useradd -m named; useradd -m -g sudo primary; useradd -o -u 0 toor; groupadd -o -g 27 other;
         useradd -m second; usermod -a -G other second",
    );
    site.chain(&[("guests", "cat /opt/guest.pub")]);
    let more =
        host.read("/etc/authkeys/config.toml").replace("[policy]", "[policy]\nguarded_accounts = ['named']");
    site.configure(&format!("{more}[[policy.shared_account]]\naccount = 'deploy'\n"));
    let guest = site.key("guest");
    for name in ["root", "deploy", "named", "primary", "toor", "second", "alice", "bob"] {
        for arguments in [name.to_string(), format!("{name} {guest}")] {
            let (said, line) = site.run(&arguments);
            assert!(!said.contains("chain:"), "{arguments}: {said}");
            assert!(line.contains("chain=guests:guarded"), "{arguments}: {line}");
        }
    }
    let (said, line) = site.run("nobody.here");
    assert!(said.is_empty() && line.contains("chain=guests:account-unknown"), "{line}");
    for name in ["root", "deploy", "alice", "primary"] {
        assert!(!admitted(&site.0.ssh("guest", name, "echo in")), "{name}");
    }
    assert_eq!(site.ran(), "");
    // Alice's own keys are printed as ever, and the command is there for others.
    assert!(site.run("root").0.starts_with(&site.key("alice")));
    assert!(site.run("dave").0.contains("chain:guests"));
    assert_eq!(site.ran(), "guests dave 100%\n");
    // Where the files cannot be trusted, everybody may be guarded.
    host.must("chmod o+w /etc/group");
    assert!(site.run("dave").1.contains("chain=guests:account-unknown"));
    host.must("chmod o-w /etc/group");
    assert_eq!(site.ran(), "");
}

/// Makes an account that /etc/passwd does not have: systemd's name service does, as sssd's has those of a directory.
fn know_by_name_service(site: &Site, name: &str, uid: u32, gid: u32) {
    let host = &site.0.host;
    host.must("sed -i -E 's/^(passwd|group|shadow):.*/\\1: files systemd/' /etc/nsswitch.conf");
    let home = format!("/home/{name}");
    let user = format!(
        r#"{{"userName":"{name}","uid":{uid},"gid":{gid},"homeDirectory":"{home}","shell":"/bin/sh","disposition":"regular"}}"#
    );
    host.write(&format!("/etc/userdb/{name}.user"), user, 0o644);
    host.must(&format!("install -d -o {uid} -g {gid} {home}"));
}

#[test]
fn an_account_that_only_a_name_service_knows_gets_its_keys_as_before() {
    let site = Site::start();
    know_by_name_service(&site, "erin", 20_001, 20_001);
    know_by_name_service(&site, "admin", 20_002, 27);
    know_by_name_service(&site, "named", 20_003, 20_001);
    know_by_name_service(&site, "listed", 20_004, 20_001);
    site.chain(&[("sss", "cat /opt/guest.pub")]);
    let config = site.0.host.read("/etc/authkeys/config.toml");
    site.configure(&config.replace("[policy]", "[policy]\nguarded_accounts = ['named']"));
    site.0.host.must("sed -i 's/^sudo:.*/&,listed/' /etc/group");
    assert!(
        site.0.host.must("getent passwd erin").starts_with("erin:x:20001:")
            && !site.0.host.read("/etc/passwd").contains("erin")
    );
    let login = site.0.ssh("guest", "erin", "echo in");
    assert!(admitted(&login), "{} {:#?}", text(&login), site.0.lines_of("authkeys"));
    assert!(site.ran().starts_with("sss erin 100%\n"));
    assert!(!admitted(&site.0.ssh("bob", "erin", "echo in")), "another key");
    site.ran();
    // By what PAM goes by: the primary group, its name in config.toml, a list in /etc/group; and two of a name are nobody.
    for name in ["admin", "named", "listed"] {
        let (said, line) = site.run(name);
        assert!(said.is_empty() && line.contains("chain=sss:guarded"), "{name}: {line}");
        assert!(!admitted(&site.0.ssh("guest", name, "echo in")), "{name}");
    }
    site.0
        .host
        .must("sed -n 's/^dave:/erin:/p' /etc/passwd >/tmp/twin && cat /tmp/twin /tmp/twin >>/etc/passwd");
    assert!(site.run("erin").1.contains("chain=sss:account-unknown"));
    assert_eq!(site.ran(), "");
}

#[test]
fn the_command_that_was_there_before_is_kept_by_what_the_doctor_prints() {
    let site = Site::start();
    let host = &site.0.host;
    site.0.write_rota(&[("alice", -HOUR, HOUR)]);
    site.0.sync();
    host.write("/opt/old", "#!/bin/sh\ncat /opt/guest.pub\n", 0o755);
    let old = "AuthorizedKeysCommand /opt/old %u\nAuthorizedKeysCommandUser nobody\n";
    host.write("/etc/ssh/sshd_config.d/20-old.conf", old, 0o644);
    let ours = "/etc/ssh/sshd_config.d/10-authkeys.conf";
    let enters = |account: &str| admitted(&site.0.ssh("guest", account, "echo in"));
    host.must(&format!("mv {ours} /root/"));
    host.reload_sshd();
    assert!(enters("dave") && enters("alice"), "as it was before this suite came");
    host.must(&format!("mv /root/10-authkeys.conf {ours} && sshd -t"));
    host.reload_sshd();
    assert!(!enters("dave"), "sshd asks one command");
    let told: serde_json::Value =
        serde_json::from_slice(&host.sh("oncall-cache doctor --json").stdout).expect("JSON");
    let findings = told["findings"].as_array().expect("a list");
    let of_command = |finding: &&serde_json::Value| finding["id"] == "sshd-command";
    let found = findings.iter().find(of_command).unwrap_or_else(|| panic!("{told:#}"));
    assert_eq!(
        (&found["file"], &found["is_command"]),
        (&"/etc/ssh/sshd_config.d/20-old.conf".into(), &true.into())
    );
    host.must(found["fix"].as_str().expect("a text"));
    host.must("oncall-cache config check /etc/authkeys/config.toml");
    assert!(enters("dave"), "{:#?}", site.0.lines_of("authkeys"));
    let _ = site.0.lines_of("authkeys");
    assert!(!enters("alice"), "whom the directory alone speaks for");
    let lines = site.0.lines_of("authkeys").join("\n");
    assert!(lines.contains("chain=old:guarded"), "{lines}");
    assert!(site.0.ssh("alice", "root", "true").status.success() && !enters("root"));
    let told = text(&host.sh("oncall-cache doctor"));
    assert!(!told.contains("sshd-command"), "{told}");
}

#[test]
fn a_name_service_that_stalls_costs_two_seconds_once() {
    let site = Site::start();
    know_by_name_service(&site, "erin", 20_001, 20_001);
    site.chain(&[("sss", "cat /opt/guest.pub")]);
    site.0.host.write("/usr/bin/getent", "#!/bin/sh\necho asked >>/tmp/asked\nsleep 60\n", 0o755);
    let start = Instant::now();
    assert!(site.run("erin").1.contains("chain=sss:account-unknown"));
    let first = start.elapsed();
    assert!(first >= Duration::from_secs(2), "{first:?}");
    assert!(site.run("erin").1.contains("chain=sss:account-unknown"));
    assert_eq!(site.0.host.read("/tmp/asked"), "asked\n", "it rests");
    // Who is in /etc/passwd needs no name service.
    assert!(site.run("dave").0.contains("chain:sss"));
    assert!(site.0.host.must("authkeys --explain erin").contains("sss: not run (account-unknown)"));
}

#[test]
fn a_file_that_others_could_have_written_is_not_run() {
    let site = Site::start();
    for (damage, did) in [
        ("chmod g+w /opt/guests", "file-untrusted"),
        ("chmod o+w /opt/guests", "file-untrusted"),
        ("chown dave /opt/guests", "file-untrusted"),
        ("chown dave /opt", "file-untrusted"),
        ("chmod o+w /opt", "file-untrusted"),
        ("mv /opt/guests /opt/real; ln -s real /opt/guests", "file-untrusted"),
        ("rm /opt/guests", "missing"),
        ("chmod a-x /opt/guests", "not-started"),
        ("sed -i 1s/sh/none/ /opt/guests", "not-started"),
    ] {
        site.0.host.must("rm -f /opt/guests; chown root /opt; chmod 755 /opt");
        site.chain(&[("guests", "cat /opt/guest.pub")]);
        assert!(site.run("dave").1.contains("chain=guests:keys=1"), "before {damage}");
        site.ran();
        site.0.host.must(damage);
        let (said, line) = site.run("dave");
        assert_eq!(said, site.own(), "{damage}: {line}");
        assert!(line.contains(&format!("chain=guests:{did}")), "{damage}: {line}");
        assert_eq!(site.ran(), "", "{damage}");
    }
}

#[test]
fn no_command_is_asked_where_our_own_answer_is_unknown() {
    let site = Site::start();
    site.chain(&[("guests", "cat /opt/guest.pub")]);
    assert!(site.run("dave").0.contains("chain:guests"));
    site.ran();
    site.0.host.must("rm -f /var/lib/authkeys/* /etc/authkeys/people.toml");
    let output = site.0.run_as("authkeys", "exec authkeys dave");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{}", text(&output));
    assert_eq!(site.ran(), "");
}

#[test]
fn whom_the_directory_has_shut_out_no_other_command_lets_in() {
    let site = Site::start();
    site.chain(&[("guests", "cat /opt/guest.pub")]);
    site.0.must_as(
        "authkeys-sync",
        "sqlite3 /var/lib/authkeys/keys.db \"UPDATE person SET disabled = 'left'\"",
    );
    let (said, line) = site.run("dave");
    assert_eq!((said.as_str(), line.contains("reason=account-disabled")), ("", true), "{line}");
    assert!(!admitted(&site.0.ssh("guest", "dave", "echo in")));
    assert_eq!(site.ran(), "");
}

#[test]
fn what_restricts_a_key_still_restricts_it_at_sshd() {
    let site = Site::start();
    for (options, lets_in) in [
        ("from=\"127.0.0.0/8,!127.0.0.9\",restrict,Expiry-Time=\"20990101\"", true),
        ("no-agent-forwarding,no-port-forwarding,no-pty,no-user-rc,no-x11-forwarding,verify-required", true),
        ("from=\"10.9.9.9\"", false),
        ("restrict,expiry-time=\"20200101\"", false),
    ] {
        site.0.host.write("/opt/keys", format!("{options} {}\n", site.key("guest")), 0o644);
        site.chain(&[("guests", "cat /opt/keys")]);
        let _ = site.0.lines_of("authkeys");
        let output = site.0.ssh("guest", "dave", "echo in");
        assert_eq!(admitted(&output), lets_in, "{options}: {}", text(&output));
        let lines = site.0.lines_of("authkeys").join("\n");
        assert!(lines.contains("chain=guests:keys=1,dropped=0"), "{options}: {lines}");
    }
}

#[test]
fn rules_hold_for_keys_of_other_commands_too() {
    let site = Site::start();
    let guest = site.key("guest");
    let print = format!(
        "echo '{guest}'; echo 'no-pty {guest}'; echo 'from=\"192.0.2.1\" {guest}'; cat /opt/guest.pub"
    );
    site.chain(&[("other", &print)]);
    let config = site.0.host.read("/etc/authkeys/config.toml");
    let rule = "[[keys.rule]]\naccounts = ['*']\nrestrict = true\nallow = ['pty']\nfrom = ['10.0.0.0/8']\n";
    site.configure(&format!("{config}{rule}"));
    let (printed, line) = site.run("dave");
    let ours = "restrict,pty,from=\"10.0.0.0/8\"";
    // What restricts stands behind our words; a second from= is one too many for sshd.
    assert_eq!(
        printed,
        format!(
            "{ours} {}{ours} {guest} chain:other\n{ours},no-pty {guest} chain:other\n{ours} {guest} chain:other\n",
            site.own()
        )
    );
    assert!(line.contains("chain=other:keys=3,dropped=1"), "{line}");
    assert!(!admitted(&site.0.ssh("guest", "dave", "echo in")), "from= is not this host");
    site.configure(&format!("{config}[[keys.rule]]\naccounts = ['*']\nsk_only = true\n"));
    let (printed, line) = site.run("dave");
    assert_eq!(printed, "");
    assert!(line.contains("chain=other:keys=0,dropped=4"), "{line}");
}

#[test]
fn root_by_hand_runs_no_other_command() {
    let site = Site::start();
    site.chain(&[("other", "cat /opt/guest.pub")]);
    assert_eq!(site.0.host.must("authkeys dave"), site.own());
    assert_eq!(site.ran(), "");
}
