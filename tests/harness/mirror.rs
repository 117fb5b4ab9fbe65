//! A second slapd beside the first, each the other's provider (mirror mode, `olcMultiProvider`). Where they are parted,
//! each goes on by itself, as when the line between two sites is down.

use crate::Host;
use crate::slapd::{HOME, ROOT_DN, ROOT_PASSWORD, Slapd};
use crate::wait_until;

/// Where everything of it is inside the machine.
const OTHER_HOME: &str = "/run/slapd-b";
/// Where it answers with TLS; without, it listens at 3891.
const OTHER_PORT: u16 = 6362;

/// Either of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    First,
    Second,
}

impl Side {
    fn url(self) -> &'static str {
        match self {
            Self::First => Slapd::LDAPS_URL,
            Self::Second => Mirror::LDAPS_URL,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// The whole server's settings that tell it from the other one.
    fn settings(self) -> String {
        format!("serverID {}", if self == Self::First { 1 } else { 2 })
    }
}

/// Both of them.
pub struct Mirror<'a> {
    host: &'a Host,
    first: &'a Slapd<'a>,
}

impl<'a> Mirror<'a> {
    /// Where the second one is.
    pub const LDAPS_URL: &'static str = "ldaps://ldap.example.com:6362";

    /// Starts the second one beside `first`, which tells changes by RFC 4533, and joins them.
    pub fn start(host: &'a Host, first: &'a Slapd<'a>) -> Self {
        first.restart_with("", &Side::First.settings());
        let config = host.read(&format!("{HOME}/slapd.conf"));
        let config = config.replace(&Side::First.settings(), &Side::Second.settings());
        let of_its_own = ["pid", "db"].iter().fold(config, |config, name| {
            config.replace(&format!("{HOME}/{name}"), &format!("{OTHER_HOME}/{name}"))
        });
        host.write(&format!("{OTHER_HOME}/slapd.conf"), of_its_own, 0o600);
        host.must(&format!("mkdir {OTHER_HOME}/db"));
        let mirror = Self { host, first };
        mirror.resume(Side::Second);
        mirror.join();
        mirror
    }

    /// Ends one of them, as an outage does.
    pub fn stop(&self, side: Side) {
        match side {
            Side::First => self.first.stop(),
            Side::Second => {
                self.host.must(&format!(
                    "pid=$(cat {OTHER_HOME}/pid) && kill $pid && while kill -0 $pid; do sleep 0.01; done"
                ));
            }
        }
    }

    /// Starts it again, parted from the other one.
    pub fn resume(&self, side: Side) {
        if side == Side::First {
            return self.first.resume();
        }
        let config = format!("{OTHER_HOME}/slapd.conf");
        let addresses = format!("ldap://127.0.0.1:3891/ ldaps://127.0.0.1:{OTHER_PORT}/");
        let argv = ["/usr/sbin/slapd", "-d", "stats", "-f", &config, "-h", &addresses];
        self.host.daemon(&argv, &format!("{OTHER_HOME}/log"));
        self.host.wait_for_port(OTHER_PORT);
    }

    /// Each follows the other, until both hold the same.
    pub fn join(&self) {
        for side in [Side::First, Side::Second] {
            let from = side.other();
            let follows = format!(
                "rid=00{} provider={} bindmethod=simple binddn=\"{ROOT_DN}\" credentials=\"{ROOT_PASSWORD}\" \
                 tls_cacert={HOME}/ca.pem searchbase=\"{}\" type=refreshAndPersist retry=\"1 +\"",
                if side == Side::First { 2 } else { 1 },
                from.url(),
                Slapd::SUFFIX
            );
            self.set_up(
                side,
                &format!("replace: olcSyncrepl\nolcSyncrepl: {follows}\n-\nreplace: olcMultiProvider\nolcMultiProvider: TRUE"),
            );
        }
        wait_until("both hold the same", || {
            let first = self.state(Side::First);
            !first.is_empty() && first == self.state(Side::Second)
        });
    }

    /// Neither follows the other.
    pub fn part(&self) {
        for side in [Side::First, Side::Second] {
            self.set_up(side, "replace: olcMultiProvider\nolcMultiProvider: FALSE\n-\ndelete: olcSyncrepl");
        }
    }

    /// Applies `ldif` on one of them.
    pub fn modify(&self, side: Side, ldif: &str) {
        self.run(side, ROOT_DN, ldif);
    }

    fn set_up(&self, side: Side, change: &str) {
        self.run(
            side,
            "cn=config",
            &format!("dn: olcDatabase={{1}}mdb,cn=config\nchangetype: modify\n{change}\n"),
        );
    }

    /// By what is it known what a server holds: which change of each server was its last. Nothing yet, of one that is empty.
    fn state(&self, side: Side) -> Vec<String> {
        let asked = format!("-LLL -o ldif-wrap=no -s base -b {} contextCSN", Slapd::SUFFIX);
        let said = self.host.sh(&self.client(side, ROOT_DN, "ldapsearch", &asked));
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let mut changes: Vec<String> =
            said.lines().filter(|line| line.starts_with("contextCSN: ")).map(str::to_string).collect();
        changes.sort();
        changes
    }

    fn run(&self, side: Side, dn: &str, ldif: &str) {
        let file = format!("{OTHER_HOME}/input");
        self.host.write(&file, ldif, 0o600);
        self.host.must(&self.client(side, dn, "ldapmodify", &format!("-f {file}")));
    }

    /// A client's command line.
    fn client(&self, side: Side, dn: &str, program: &str, arguments: &str) -> String {
        let url = side.url();
        format!(
            "LDAPTLS_CACERT={HOME}/ca.pem {program} -x -H {url} -D '{dn}' -w '{ROOT_PASSWORD}' {arguments}"
        )
    }
}
