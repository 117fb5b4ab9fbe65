//! Radicale, a CalDAV server, with TLS on one private machine, and the programs that write calendars into it. All of it is what
//! tests/prerequisites.sh made.

use crate::slapd::{authority, certificate};
use crate::{Host, wait_until};

/// The server. It ends with its machine.
pub struct Radicale<'a> {
    host: &'a Host,
}

/// Where its interpreter and programs are.
pub const PROGRAMS: &str = "/opt/authkeys-tests/calendars/bin";

/// The one user's password.
pub const PASSWORD: &str = "geheimesWort";

const CONFIG: &str = "\
[server]
hosts = 127.0.0.1:5232
ssl = True
certificate = /run/radicale/certificate.pem
key = /run/radicale/key.pem
[auth]
type = htpasswd
htpasswd_filename = /run/radicale/users
htpasswd_encryption = plain
delay = 0
[storage]
filesystem_folder = /run/radicale/collections
[logging]
level = warning
";

impl<'a> Radicale<'a> {
    /// Its name, port included, which the machine's /etc/hosts gets.
    pub const HOST: &'static str = "calendar.example.com:5232";

    /// Starts it, empty; what vouches for it is calendar-ca.pem beside the configuration.
    pub fn start(host: &'a Host) -> Self {
        let (name, _) = Self::HOST.split_once(':').expect("a name and a port");
        host.must(&format!("echo 127.0.0.1 {name} >>/etc/hosts"));
        let authority = authority();
        let (certificate, key) = certificate(&authority, name, &[name]);
        host.write("/run/radicale/certificate.pem", certificate, 0o644);
        host.write("/run/radicale/key.pem", key, 0o600);
        host.write("/run/radicale/users", format!("oncall:{PASSWORD}\n"), 0o600);
        host.write("/run/radicale/config", CONFIG, 0o600);
        host.write("/etc/authkeys/calendar-ca.pem", authority.pem(), 0o644);
        let python = format!("{PROGRAMS}/python3");
        host.daemon(&[&*python, "-m", "radicale", "--config", "/run/radicale/config"], "/run/radicale/log");
        host.wait_for_port(5232);
        Self { host }
    }

    /// The secret address of the calendar `name`.
    pub fn address(name: &str) -> String {
        format!("https://oncall:{PASSWORD}@{}/oncall/{name}/", Self::HOST)
    }

    /// Puts the file in place of the calendar `name`, as a program that publishes one does.
    pub fn publish(&self, name: &str, file: &str) {
        self.curl(&format!(
            "-X PUT -H 'Content-Type: text/calendar' --data-binary @{file} {}",
            Self::address(name)
        ));
    }

    /// Writes the calendar `name` as the server has it into `file`.
    pub fn save(&self, name: &str, file: &str) {
        self.curl(&format!("-o {file} {}", Self::address(name)));
    }

    fn curl(&self, arguments: &str) {
        self.host.must(&format!("curl -sSf --cacert /etc/authkeys/calendar-ca.pem {arguments}"));
    }

    /// Lets vdirsyncer, and through it whatever writes /run/khal/vdir/NAME, keep the calendar `name` on the server.
    pub fn follow(&self, name: &str) {
        let config = format!(
            "[general]\nstatus_path = \"/run/khal/status/\"\n[pair rota]\na = \"local\"\nb = \"server\"\ncollections = [\"{name}\"]\n\
             [storage local]\ntype = \"filesystem\"\npath = \"/run/khal/vdir/\"\nfileext = \".ics\"\n\
             [storage server]\ntype = \"caldav\"\nurl = \"https://{}/oncall/\"\nusername = \"oncall\"\npassword = \"{PASSWORD}\"\n\
             verify = \"/etc/authkeys/calendar-ca.pem\"\n",
            Self::HOST
        );
        self.host.write("/run/khal/vdirsyncer", config, 0o600);
        self.host.must(&format!("yes | {PROGRAMS}/vdirsyncer -c /run/khal/vdirsyncer discover"));
        self.sync();
    }

    /// Brings to the server what was written since.
    pub fn sync(&self) {
        wait_until("vdirsyncer has brought everything", || {
            self.host.sh(&format!("{PROGRAMS}/vdirsyncer -c /run/khal/vdirsyncer sync")).status.success()
        });
    }
}
