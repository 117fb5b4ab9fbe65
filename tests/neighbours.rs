//! Neighbouring releases on each other's files; see "Forms" in docs/architecture.md.

use harness::oncalls::{oncall, schedule, user};
use harness::pagerduty::PagerDuty;
use harness::releases::{AFTER, FIRST_FORMS, NEXT, Release, THIS};
use harness::slapd::Slapd;
use harness::suite::{HOUR, Suite, now};
use harness::text;

const TOKEN: &str = "u+tokenOfTheNeighbours";

/// A machine with this release, people in LDAP and a rota in PagerDuty: alice is on call, bob is not.
struct Site<'a> {
    suite: &'a Suite,
    slapd: Slapd<'a>,
    pagerduty: PagerDuty,
}

impl<'a> Site<'a> {
    fn start(suite: &'a Suite) -> Self {
        let slapd = Slapd::start_with_changes(&suite.host);
        slapd.furnish(suite, |name| format!("{name}@example.com"));
        let pagerduty = PagerDuty::start(&suite.host, TOKEN);
        pagerduty.set_schedules(vec![schedule("PDB0001", "db")]);
        pagerduty.set_users(vec![user("alice")]);
        let (start, end) = (now() - HOUR, now() + HOUR);
        pagerduty.set_oncalls(vec![oncall("alice", Some("PDB0001"), "PEP0001", 1, start, end)]);
        pagerduty.install(&suite.host, TOKEN);
        let config = Slapd::section(&["ldaps://ldap.example.com:6360"])
            + "[host]\nname = 'testhost'\n[[oncall.source]]\nname = 'pd'\nprovider = 'pagerduty'\n\
               ca_file = 'pagerduty-ca.pem'\ntoken_file = 'pagerduty-token'\nschedules = ['PDB0001']\ntimeout = '10s'\napi = 'API'\n\
               [[policy.rule]]\nname = 'db'\nschedules = ['pd/PDB0001']\n[[policy.shared_account]]\naccount = 'root'\n\
               [[nss.group]]\nname = 'oncall'\ngid = 9100\nrules = ['db']\n";
        suite.host.write("/etc/authkeys/config.toml", config.replace("API", PagerDuty::API), 0o644);
        suite.host.must("sh /run/suite/source/packaging/nss/enable.sh");
        Self { suite, slapd, pagerduty }
    }

    /// Installs all of a release.
    fn install(&self, release: &Release) {
        self.suite
            .host
            .must(&format!("sh /run/suite/source/packaging/install.sh {}", release.build_inside()));
    }

    /// Puts a release's modules, or its programs, beside what else is installed.
    fn put(&self, release: &Release, what: &[(&str, &str)]) {
        for (file, place) in what {
            let place = place.replace("LIB", "/usr/lib/x86_64-linux-gnu");
            self.suite.host.must(&format!(
                "install -m 755 {}/{file} {place}.new && mv {place}.new {place}",
                release.build_inside()
            ));
        }
    }

    /// LDAP and the provider answer nothing more.
    fn cut(&self) {
        self.slapd.stop();
        self.pagerduty.hang(true);
    }

    fn fix(&self) {
        self.slapd.resume();
        self.pagerduty.hang(false);
    }

    /// Which of this release's forms, from 1, and those to come the files have; roster.db, keys.db and group must be of
    /// one release.
    fn form(&self) -> u32 {
        let forms = self.suite.host.must(
            "cd /var/lib; for file in oncall-cache/roster.db authkeys/keys.db; do sqlite3 $file 'PRAGMA user_version'; done; \
             sed -n 's/^oncall-groups \\([0-9]*\\) .*/\\1/p' oncall-cache/group",
        );
        let number = |(form, first): (&str, u32)| form.parse::<u32>().expect("a number") + 1 - first;
        let forms: Vec<u32> = forms.lines().zip(FIRST_FORMS).map(number).collect();
        assert!(forms.len() == 3 && forms.iter().all(|form| *form == forms[0]), "{forms:?}");
        forms[0]
    }

    /// sudo as PAM decides it.
    fn may_sudo(&self, name: &str) -> bool {
        self.suite.host.sh(&format!("pamtester -I ruser={name} sudo {name} acct_mgmt")).status.success()
    }

    /// A root login with `name`'s key as PAM decides it, which asks keys.db whose key it is.
    fn may_be_root(&self, name: &str) -> bool {
        let key = self.suite.public_key(name);
        let key: Vec<&str> = key.split(' ').take(2).collect();
        // sshd ends the line.
        let variable = format!("SSH_AUTH_INFO_0=publickey {}\n", key.join(" "));
        self.suite.host.sh(&format!("pamtester -E '{variable}' sshd root open_session")).status.success()
    }

    /// alice gets in and bob does not, by every door.
    fn logins_are_right(&self, when: &str) {
        let suite = self.suite;
        assert_eq!(["alice", "bob"].map(|name| self.may_sudo(name)), [true, false], "sudo, {when}");
        assert_eq!(["alice", "bob"].map(|name| self.may_be_root(name)), [true, false], "root, {when}");
        let check = |name| suite.run_as("nobody", &format!("oncall-cache test-access {name}")).status.code();
        assert_eq!(["alice", "bob"].map(check), [Some(0), Some(1)], "check, {when}");
        let keys = |account: &str| suite.must_as("authkeys", &format!("authkeys {account}"));
        let blob = |name| suite.public_key(name).split(' ').nth(1).expect("a key").to_string();
        assert!(keys("alice").contains(&blob("alice")), "keys of alice, {when}");
        let root = keys("root");
        let opens = |line: &&str| line.starts_with("ssh-");
        let opening: String = root.lines().filter(opens).collect();
        assert_eq!(
            ["alice", "bob"].map(|name| opening.contains(&blob(name))),
            [true, false],
            "keys of root, {when}"
        );
        assert_eq!(suite.host.must("getent group oncall"), "oncall:*:9100:alice\n", "{when}");
    }
}

const MODULES: [(&str, &str); 2] =
    [("libpam_oncall.so", "LIB/security/pam_oncall.so"), ("libnss_oncall.so", "LIB/libnss_oncall.so.2")];

#[test]
fn neighbours_are_exchanged_in_either_order_and_nobody_is_refused_for_it() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    for (old, new) in [(&THIS, &NEXT), (&NEXT, &AFTER), (&AFTER, &NEXT), (&NEXT, &THIS)] {
        site.install(old);
        suite.sync();
        assert_eq!(site.form(), old.writes);
        site.logins_are_right(&format!("with {old:?} alone"));

        // New modules over an old sync, which goes on writing.
        site.put(new, &MODULES);
        suite.sync();
        site.logins_are_right(&format!("with the modules of {new:?} and the programs of {old:?}"));

        // All is new, and the first sync fails.
        site.cut();
        site.install(new);
        assert!(!suite.run_as("authkeys-sync", "authkeys-sync").status.success());
        assert!(!suite.run_as("oncall-cache", "oncall-cache sync").status.success());
        site.logins_are_right(&format!("with {new:?} on the files of {old:?}, in an outage"));
        assert_eq!(suite.ssh("alice", "root", "id -u").stdout, b"0\n");
        assert!(!suite.ssh("bob", "root", "id -u").status.success());

        // New programs beside the old modules, which go on reading.
        site.fix();
        site.put(old, &MODULES);
        suite.sync();
        assert_eq!(site.form(), new.writes);
        site.logins_are_right(&format!("with the modules of {old:?} and the programs of {new:?}"));
    }
}

#[test]
fn a_release_two_steps_away_cannot_tell_until_the_first_sync() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.install(&AFTER);
    suite.sync();
    assert_eq!(site.form(), 2);
    site.install(&THIS);
    let check = suite.run_as("nobody", "oncall-cache test-access alice");
    assert_eq!(check.status.code(), Some(2));
    assert!(
        text(&check).contains("has format 3, which this release cannot read; run `oncall-cache sync`"),
        "{}",
        text(&check)
    );
    assert!(!site.may_sudo("alice") && !site.may_be_root("alice"));
    assert_eq!(suite.run_as("authkeys", "authkeys root").status.code(), Some(2));
    assert!(!suite.host.sh("getent group oncall").status.success());
    suite.sync();
    assert_eq!(site.form(), 1);
    site.logins_are_right("after a sync");
}

#[test]
fn the_new_form_comes_without_a_change_and_not_past_the_guards() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    suite.sync();
    let form = || suite.host.must("sqlite3 /var/lib/authkeys/keys.db 'PRAGMA user_version'");
    site.install(&AFTER);
    // A directory that seems to have lost everybody is no news, whatever form the copy has.
    site.slapd.hide("entry");
    let sync = suite.run_as("authkeys-sync", "authkeys-sync");
    assert!(!sync.status.success() && form() == "1\n", "{}", text(&sync));
    site.slapd.restart_with("", "");
    assert!(suite.sync_keys().starts_with("0 changed, 0 removed, 4 people"));
    assert_eq!(form(), "2\n");
    // From then on what changed is told by the cookie again.
    site.slapd.set_eligible(&["alice"]);
    assert!(suite.sync_keys().starts_with("2 changed, 0 removed, 4 people, 2 no longer eligible"));
    assert_eq!(form(), "2\n");
}
