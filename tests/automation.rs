//! `[[policy.automation]]` through a real sshd: keys of programs open one account, from their places, until a day.

use std::process::Output;

use harness::suite::{CONFIG, DAY, HOUR, Suite, instant, now};
use harness::text;

/// A machine with an account `deploy` and a key `robot` that no directory has; dave is an ordinary user.
struct Site(Suite);

/// What an entry says besides its keys.
struct Entry {
    account: &'static str,
    keys: String,
    from: &'static str,
    until: String,
}

impl Site {
    fn start() -> Self {
        let suite = Suite::start();
        suite.host.must(
            "useradd -m -s /bin/sh deploy; cd /root/keys
             ssh-keygen -qt ed25519 -N '' -C robot -f robot; ssh-keygen -qt rsa -b 2048 -N '' -C other -f other",
        );
        suite.write_rota(&[("alice", -HOUR, HOUR)]);
        suite.sync();
        let _ = suite.lines_of("authkeys");
        Self(suite)
    }

    /// `TYPE BASE64` of a key in /root/keys.
    fn key(&self, name: &str) -> String {
        self.0.public_key(name).rsplit_once(' ').map(|(key, _)| key.to_string()).expect("a comment")
    }

    fn fingerprint(&self, name: &str) -> String {
        let said = self.0.host.must(&format!("ssh-keygen -lf /root/keys/{name}.pub"));
        said.split(' ').nth(1).expect("BITS SHA256:…").to_string()
    }

    fn whole(&self, name: &str) -> String {
        format!("keys = ['{} a comment']", self.key(name))
    }

    fn named(&self, name: &str) -> String {
        format!("fingerprints = ['{}']", self.fingerprint(name))
    }

    /// The robot's key opens deploy from this host for the next hour.
    fn entry(&self) -> Entry {
        Entry {
            account: "deploy",
            keys: self.whole("robot"),
            from: "'127.0.0.0/8', '::1'",
            until: instant(now() + HOUR),
        }
    }

    fn configure(&self, entries: &[Entry], more: &str) {
        self.write(&format!("{CONFIG}{more}"), entries);
    }

    fn write(&self, config: &str, entries: &[Entry]) {
        let mut config = config.to_string();
        for Entry { account, keys, from, until } in entries {
            config += &format!(
                "[[policy.automation]]\naccount = '{account}'\n{keys}\nfrom = [{from}]\nowner = 'platform team'\n\
                 reason = 'ansible'\nuntil = {until}\n"
            );
        }
        self.0.host.write("/etc/authkeys/config.toml", config, 0o644);
    }

    /// Gives `name` these keys in the directory beside their own, or a person of that name who has them.
    fn give(&self, name: &str, keys: &[&str]) {
        let people = self.0.host.read("/etc/authkeys/people.toml");
        let own = self.0.host.path(&format!("/root/keys/{name}.pub"));
        let people = if own.exists() {
            let own = self.0.public_key(name);
            let all: Vec<&str> = std::iter::once(own.as_str()).chain(keys.iter().copied()).collect();
            people.replace(&format!("keys = ['{own}']"), &format!("keys = {all:?}"))
        } else {
            format!("{people}[[person]]\nusername = '{name}'\nmail = []\neligible = false\nkeys = {keys:?}\n")
        };
        self.0.host.write("/etc/authkeys/people.toml", people, 0o644);
        self.0.sync_keys();
    }

    /// What `authkeys ARGUMENTS` prints to sshd; it must know.
    fn printed(&self, arguments: &str) -> String {
        self.0.must_as("authkeys", &format!("exec authkeys {arguments}"))
    }

    fn explained(&self, account: &str) -> String {
        self.0.must_as("root", &format!("authkeys --explain {account}"))
    }

    fn lets_in(&self, key: &str, account: &str) -> bool {
        let output = self.0.ssh(key, account, "echo in");
        let is_in = text(&output).contains("\nin\n");
        assert_eq!(output.status.success(), is_in, "{}", text(&output));
        is_in
    }
}

fn cannot_tell(output: &Output) {
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{}", text(output));
}

#[test]
fn a_programs_key_is_taken_from_its_places_alone() {
    let site = Site::start();
    site.configure(&[site.entry()], "");
    let line = format!("from=\"127.0.0.0/8,::1\" {} automation deploy\n", site.key("robot"));
    assert_eq!(site.printed("deploy"), line);
    assert_eq!(site.printed(&format!("deploy {}", site.key("robot"))), line);
    assert_eq!(site.printed(&format!("deploy {}", site.key("dave"))), "");
    let logged = site.0.lines_of("authkeys");
    assert!(logged[0].contains("reason=keys keys=1 automation=1"), "{logged:?}");
    site.0.host.write("/tmp/lines", &line, 0o644);
    assert_eq!(site.0.host.must("ssh-keygen -lf /tmp/lines").lines().count(), 1);
    assert!(site.lets_in("robot", "deploy"));
    assert!(!site.lets_in("robot", "dave") && !site.lets_in("dave", "deploy"));
    // sshd, and not we, judges from where it comes.
    site.configure(
        &[Entry { from: "'192.0.2.0/24', '2001:db8::/32', 'ci.example.com'", ..site.entry() }],
        "",
    );
    assert!(site.printed("deploy").starts_with("from=\"192.0.2.0/24,2001:db8::/32,ci.example.com\" ssh-"));
    assert!(!site.lets_in("robot", "deploy"));
    // Rules of the account hold for programs as for people, but for the places.
    let rule = "[[keys.rule]]\naccounts = ['*']\nrestrict = true\nfrom = ['192.0.2.1']\n";
    site.configure(&[site.entry()], rule);
    assert_eq!(site.printed("deploy"), format!("restrict,{line}"));
    assert!(site.lets_in("robot", "deploy"));
    site.configure(&[site.entry()], "[[keys.rule]]\naccounts = ['deploy']\nsk_only = true\n");
    assert_eq!(site.printed("deploy"), "");
}

#[test]
fn after_its_day_a_programs_key_opens_nothing_and_that_is_said() {
    let site = Site::start();
    site.give("dave", &[&site.key("robot")]);
    assert!(site.lets_in("robot", "dave"), "until it is listed it is dave's");
    for (until, over) in [
        (instant(now() + HOUR), false),
        ("2099-12-31".to_string(), false),
        (instant(now() - 1), true),
        ("2020-06-30".to_string(), true),
    ] {
        site.configure(&[Entry { until: until.clone(), ..site.entry() }], "");
        assert_eq!(site.lets_in("robot", "deploy"), !over, "{until}");
        assert_eq!(site.printed("deploy").is_empty(), over, "{until}");
        assert!(!site.lets_in("robot", "dave"), "what was a program's does not become a person's: {until}");
        let explained = site.explained("deploy");
        let said = if over { "ended" } else { "until" };
        assert!(explained.contains(&format!("[[policy.automation]] 1 (platform team: ansible): {said} 20")));
        let checked = site.0.must_as("dave", "oncall-cache config check /etc/authkeys/config.toml");
        assert!(checked.ends_with("config.toml: ok\n"), "{checked}");
        let note = "note: [[policy.automation]] 1 (account deploy; platform team: ansible) ended 20";
        assert_eq!(checked.contains(note), over, "{checked}");
    }
}

#[test]
fn a_key_that_is_listed_is_printed_by_no_other_route() {
    let site = Site::start();
    let robot = site.key("robot");
    // dave, alice who is on call, and bob who is off call all list the robot's key as their own.
    for name in ["dave", "alice", "bob"] {
        site.give(name, &[&robot]);
    }
    site.0.host.write("/opt/chained", format!("#!/bin/sh\necho '{robot}'\necho 'no-pty {robot}'\n"), 0o755);
    let chain = "explain_refusals = true\n[[keys.chain]]\nname = 'other'\ncommand = ['/opt/chained']\naccounts = ['*']\n";
    let entry = || Entry { keys: site.named("robot"), ..site.entry() };
    for account in ["deploy", "backup"] {
        for until in [instant(now() + HOUR), instant(now() - HOUR)] {
            site.configure(&[Entry { account, until, ..entry() }], chain);
            for name in ["dave", "alice", "bob", "root", "deploy"] {
                for arguments in [name.to_string(), format!("{name} {robot}")] {
                    let said = site.printed(&arguments);
                    assert!(!said.contains(&robot), "{arguments}: {said}");
                }
            }
            assert!(site.printed("root").contains(&site.key("alice")), "hers is printed as ever");
            assert!(!site.lets_in("robot", "root") && !site.lets_in("robot", "dave"));
        }
    }
    let explained = site.explained("dave");
    let words = "dave: ssh-ed25519 256 SHA256:";
    assert_eq!(explained.matches(words).count(), 2, "{explained}");
    assert!(
        explained.contains(": dropped: [[policy.automation]] 1 lists it, only for backup, until 20"),
        "{explained}"
    );
    // Without the entry each of them is printed, so it is the entry that keeps them back.
    site.configure(&[], chain);
    assert!(site.printed("dave").contains(&robot) && site.printed("deploy").contains(&robot));
}

#[test]
fn a_fingerprint_is_looked_for_in_the_accounts_own_entry_or_for_a_shared_account_in_all() {
    let site = Site::start();
    let entry = |account| Entry { account, keys: site.named("robot"), ..site.entry() };
    site.configure(&[entry("deploy")], "");
    assert_eq!(site.printed("deploy"), "");
    let missing = format!("{} is not printed: not in the directory", site.fingerprint("robot"));
    assert!(site.explained("deploy").contains(&missing));
    // Somebody else's entry is none of deploy's.
    site.give("dave", &[&site.key("robot")]);
    assert_eq!(site.printed("deploy"), "");
    site.give("deploy", &[&site.key("robot"), &site.key("other")]);
    let robot = format!("from=\"127.0.0.0/8,::1\" {} automation deploy\n", site.key("robot"));
    let said = site.printed("deploy");
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains(&robot) && said.contains(&format!("{} deploy\n", site.key("other"))), "{said}");
    assert!(site.lets_in("robot", "deploy") && site.lets_in("other", "deploy"));
    // A shared account has no entry of its own.
    let deploy_is_shared =
        "explain_refusals = false\n[[policy.shared_account]]\naccount = 'deploy'\nexplain_refusals = false\n";
    site.configure(&[entry("root")], deploy_is_shared);
    let shared = |account: &str| {
        let robot = format!("from=\"127.0.0.0/8,::1\" {} automation {account}\n", site.key("robot"));
        format!("{} alice\n{robot}", site.key("alice"))
    };
    assert_eq!(site.printed("root"), shared("root"));
    assert_eq!(site.printed("deploy"), format!("{} alice\n", site.key("alice")));
    site.configure(&[entry("deploy"), entry("root")], deploy_is_shared);
    assert_eq!(site.printed("deploy"), shared("deploy"));
}

/// The one decision since the last look at the log.
fn decision(site: &Site) -> String {
    let decisions = site.0.decisions();
    assert_eq!(decisions.len(), 1, "{decisions:#?}");
    decisions.into_iter().next().unwrap_or_default()
}

/// What `check` says of the robot's key from here: verdict and reason.
fn asked(site: &Site, account: &str, from: &str) -> (String, String) {
    let command = format!(
        "oncall-cache test-access {account} --key {} --from {from} --json",
        site.fingerprint("robot")
    );
    let output = site.0.run_as("nobody", &command);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let word = |name: &str| json[name].as_str().unwrap_or_default().to_string();
    (word("verdict"), word("reason"))
}

#[test]
fn a_program_enters_a_guarded_account_by_its_key_and_place_and_nobody_else_does() {
    let site = Site::start();
    site.0.host.must("usermod -a -G sudo deploy");
    site.give("deploy", &[&site.key("other")]);
    let entry = |account| Entry { account, ..site.entry() };
    site.configure(&[entry("deploy"), entry("root")], "");
    let _ = site.0.decisions();
    for account in ["deploy", "root"] {
        assert!(site.lets_in("robot", account));
        let line = decision(&site);
        assert!(line.starts_with("person=- decision=allow reason=automation automation="), "{line}");
        assert!(line.contains(" owner=platform\\x20team why=ansible until=20"), "{line}");
        assert!(line.contains(&format!(" service=sshd account={account} rhost=127.0.0.1 ")), "{line}");
        assert!(line.contains(&format!(" fingerprint={}", site.fingerprint("robot"))), "{line}");
        assert_eq!(asked(&site, account, "127.0.0.1"), ("allow".to_string(), "automation".to_string()));
    }
    // A key that is no program's is the owner's, who is not on call.
    assert!(!site.lets_in("other", "deploy"));
    assert!(decision(&site).starts_with("person=deploy decision=refuse reason=not-eligible "));
    // alice's own account, which the robot enters too, is hers while she is on call.
    site.configure(&[entry("alice")], "");
    assert!(site.lets_in("alice", "alice"));
    assert!(decision(&site).starts_with("person=alice decision=allow reason=oncall "));
    assert!(site.lets_in("robot", "alice"));
    assert!(decision(&site).starts_with("person=- decision=allow reason=automation "));

    // The robot's key in files of their own: then sshd asks nobody from where it comes, and PAM does.
    for home in ["/root", "/home/deploy", "/home/alice"] {
        site.0.host.must(&format!(
            "mkdir -p {home}/.ssh && cat /root/keys/robot.pub >{home}/.ssh/authorized_keys && chown -R $(stat -c %U {home}) {home}/.ssh"
        ));
    }
    let away = |account| Entry { from: "'192.0.2.0/24', 'localhost'", ..entry(account) };
    site.configure(&[away("deploy"), away("root"), away("alice")], "");
    let over = |account| Entry { until: instant(now() - 1), ..entry(account) };
    for account in ["deploy", "root", "alice"] {
        assert!(!site.lets_in("robot", account), "{account}");
        let line = decision(&site);
        assert!(
            line.starts_with("person=- decision=refuse reason=automation-out-of-scope automation="),
            "{line}"
        );
        assert_eq!(asked(&site, account, "127.0.0.1").1, "automation-out-of-scope");
        assert_eq!(asked(&site, account, "192.0.2.77").0, "allow");
        // A name, and a network in the entry.
        assert_eq!(asked(&site, account, "ci.example.com").1, "automation-out-of-scope");
    }
    site.configure(&[over("deploy"), over("root"), over("alice")], "");
    for account in ["root", "alice"] {
        assert!(!site.lets_in("robot", account), "{account}");
        assert!(
            decision(&site).starts_with("person=- decision=refuse reason=automation-expired "),
            "{account}"
        );
    }
    let status = site.0.run_as("nobody", "oncall-cache status");
    assert!(
        text(&status).contains("[[policy.automation]] 1 (account deploy; platform team: ansible) ended 20")
    );
    assert_eq!(status.status.code(), Some(0), "{}", text(&status));
    // Listed for deploy alone.
    site.configure(&[entry("deploy")], "");
    assert!(!site.lets_in("robot", "root"));
    assert!(decision(&site).starts_with("person=- decision=refuse reason=automation-out-of-scope "));
}

#[test]
fn a_program_needs_no_roster_and_a_session_line_and_is_shut_out_by_its_accounts_name() {
    let site = Site::start();
    site.0
        .host
        .must("usermod -a -G sudo deploy; echo 'deploy ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/deploy");
    let root = || Entry { account: "root", ..site.entry() };
    let config = CONFIG.replace("[[policy.shared_account]]\naccount = \"root\"\n", "");
    site.write(&config, &[site.entry(), root()]);
    site.0.host.must(
        "for home in /root /home/deploy; do mkdir -p $home/.ssh; cat /root/keys/robot.pub >$home/.ssh/authorized_keys; chown -R $(stat -c %U $home) $home/.ssh; done
         rm /var/lib/oncall-cache/roster.db",
    );
    assert!(site.lets_in("robot", "deploy") && site.lets_in("robot", "root"));
    let reasons = |count| {
        let lines = site.0.decisions();
        assert_eq!(lines.len(), count, "{lines:#?}");
        let reason =
            |line: &String| line.split(' ').find_map(|word| word.strip_prefix("reason=")).map(String::from);
        lines.iter().filter_map(reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons(2), ["automation", "automation"]);
    // Revoked by the account's name: its keys are not printed, and PAM refuses what is in its own file.
    site.0.host.must("oncall-cache revoke deploy --reason 'pipeline was taken over'");
    assert!(!site.lets_in("robot", "deploy"));
    assert_eq!(reasons(1), ["revoked"]);
    assert_eq!(site.0.run_as("deploy", "sudo -n true").status.code(), Some(1));
    assert_eq!(reasons(1), ["revoked"]);
    site.0.host.must("oncall-cache unrevoke deploy");
    // Without the promise nobody is told from a program, and an account has its owner alone.
    site.0.host.must("sed -i 's/ shared=session//' /etc/pam.d/sshd");
    assert!(!site.lets_in("robot", "deploy") && !site.lets_in("robot", "root"));
    assert_eq!(reasons(2), ["cache-missing", "unknown-person"]);
}

#[test]
fn under_sudo_a_program_is_told_by_the_account_that_calls() {
    let site = Site::start();
    site.0.host.must("echo 'deploy ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/deploy");
    let sudo = |words: &str| site.0.run_as("deploy", &format!("sudo -n {words} id -u"));
    let services = |list: &str| format!("{}\nservices = [{list}]", site.whole("robot"));
    let entry = |list: &str, until: i64| Entry {
        keys: services(list),
        until: instant(now() + until),
        ..site.entry()
    };
    let _ = site.0.decisions();
    for (list, until, words, reason) in [
        ("'sshd', 'sudo'", HOUR, "", "automation"),
        ("'sudo'", HOUR, "-u dave", "automation"),
        ("'sudo'", HOUR, "-i", "not-eligible"),
        ("'sudo-i'", HOUR, "-i", "automation"),
        ("'sshd'", HOUR, "", "not-eligible"),
        ("'sudo'", -1, "", "not-eligible"),
    ] {
        site.configure(&[entry(list, until)], "");
        let output = sudo(words);
        let line = decision(&site);
        assert!(
            line.contains("person=deploy decision=") && line.contains(&format!(" reason={reason} ")),
            "{line}"
        );
        assert_eq!(output.status.success(), reason == "automation", "{list} {words}: {}", text(&output));
        let service = if words == "-i" { "sudo-i" } else { "sudo" };
        let check = site.0.run_as("nobody", &format!("oncall-cache test-access deploy --service {service}"));
        assert_eq!(check.status.success(), reason == "automation", "{}", text(&check));
    }
    site.configure(&[entry("'sudo'", HOUR)], "");
    assert!(!site.0.run_as("dave", "sudo -n true").status.success(), "another caller is no program");
    let why = site.0.must_as("nobody", "oncall-cache why deploy --service sudo");
    assert!(why.starts_with("yes: [[policy.automation]] 1 admits a program to deploy until "), "{why}");
    site.configure(&[entry("'login'", HOUR)], "");
    let checked = site.0.must_as("dave", "oncall-cache config check /etc/authkeys/config.toml");
    assert!(
        checked.contains("has no effect for login, which shows neither a key nor the caller"),
        "{checked}"
    );
    let unlisted = site
        .0
        .run_as("nobody", &format!("oncall-cache test-access deploy --key {}", site.fingerprint("other")));
    assert_eq!(unlisted.status.code(), Some(64), "{}", text(&unlisted));
}

#[test]
fn keys_given_whole_need_no_directory_and_an_answer_is_whole_or_none() {
    let site = Site::start();
    let robot = format!("deploy {}", site.key("robot"));
    let line = format!("from=\"127.0.0.0/8,::1\" {} automation deploy\n", site.key("robot"));
    site.configure(&[site.entry()], "");
    site.0.host.must("rm -f /var/lib/authkeys/* /etc/authkeys/people.toml");
    // Which keys deploy has besides is not known; what becomes of this one is.
    cannot_tell(&site.0.run_as("authkeys", "exec authkeys deploy"));
    let _ = site.0.lines_of("authkeys");
    assert_eq!(site.printed(&robot), line);
    let logged = site.0.lines_of("authkeys");
    assert!(logged[0].contains("reason=keys keys=1 automation=1 without=config-invalid "), "{logged:?}");
    assert!(site.lets_in("robot", "deploy"));
    cannot_tell(&site.0.run_as("authkeys", &format!("exec authkeys deploy {}", site.key("dave"))));
    // Its day is over, directory or not.
    site.configure(&[Entry { until: instant(now() - DAY), ..site.entry() }], "");
    assert_eq!(site.printed(&robot), "");
    assert!(!site.lets_in("robot", "deploy"));
    // A fingerprint without the directory tells nothing.
    site.configure(&[Entry { keys: site.named("robot"), ..site.entry() }], "");
    cannot_tell(&site.0.run_as("authkeys", &format!("exec authkeys {robot}")));
    // A shared account whose roster is gone.
    site.0.host.must("rm /var/lib/oncall-cache/roster.db");
    site.configure(&[site.entry()], "[[policy.shared_account]]\naccount = 'deploy'\n");
    cannot_tell(&site.0.run_as("authkeys", "exec authkeys deploy"));
    assert_eq!(site.printed(&robot), line);
    // No directory is named at all: then there is nothing else to know.
    let alone = CONFIG.replace("[directory]\nfile = \"people.toml\"\n", "");
    site.write(&alone, &[site.entry()]);
    assert_eq!(site.printed("deploy"), line);
    assert!(site.explained("deploy").contains("\nanswer: config.toml alone\n"));
    cannot_tell(&site.0.run_as("authkeys", "exec authkeys dave"));
}

#[test]
fn exempt_and_disabled_accounts_have_no_keys_of_programs() {
    let site = Site::start();
    let exempt = CONFIG.replace("[\"breakglass\"]", "[\"breakglass\", \"deploy\"]");
    site.write(&exempt, &[site.entry()]);
    for arguments in ["deploy".to_string(), format!("deploy {}", site.key("robot"))] {
        assert_eq!(site.printed(&arguments), "");
    }
    assert!(!site.lets_in("robot", "deploy"));
    let checked = site.0.must_as("dave", "oncall-cache config check /etc/authkeys/config.toml");
    assert!(checked.contains(" prints nothing: deploy is in `exempt_accounts`"), "{checked}");
    site.configure(&[site.entry()], "");
    site.give("deploy", &[&site.key("other")]);
    assert!(site.lets_in("robot", "deploy"));
    site.0.must_as(
        "authkeys-sync",
        "sqlite3 /var/lib/authkeys/keys.db \"UPDATE person SET disabled = 'left' WHERE principal = 'deploy'\"",
    );
    assert_eq!(site.printed("deploy"), "");
    assert!(!site.lets_in("robot", "deploy"));
}
