//! What booted hosts have round them: a network, a directory, PagerDuty, and a team with keys.

use std::net::Ipv4Addr;
use std::process::Output;

use crate::oncalls::{oncall, schedule, user};
use crate::pagerduty::{self, PagerDuty};
use crate::slapd::Slapd;
use crate::suite::{HOUR, TEAM, instant, now};
use crate::{Booted, Host, Machine, Network};

/// The key that the service knows.
const TOKEN: &str = "u+keyOfTheSite";

/// What every host's config.toml says after where its directory is: PagerDuty's schedule and a rota of its own.
const CONFIG: &str = r#"timeout = "5s"

[[oncall.source]]
name = "pd"
provider = "pagerduty"
api = "API"
ca_file = "pagerduty-ca.pem"
token_file = "pagerduty-token"
schedules = ["PDB0001"]
timeout = "5s"

[[oncall.source]]
name = "rota"
provider = "rota"
file = "rota.toml"
allow_empty = true

[policy]
exempt_accounts = ["breakglass"]

[[policy.rule]]
name = "everywhere"
schedules = ["pd/PDB0001", "rota/local"]

[[policy.shared_account]]
account = "root"
"#;

/// A network with a directory and PagerDuty in it. The team's private keys are in /root/keys on the network's own
/// machine, from which people log in.
pub struct Site {
    pub network: Network,
    pub pagerduty: PagerDuty,
    directory: Host,
    /// Where PagerDuty is.
    service: Host,
    pub directory_at: Ipv4Addr,
    pub pagerduty_at: Ipv4Addr,
}

impl Site {
    /// Starts it with nobody on call.
    pub fn start() -> Self {
        let network = Network::start();
        network.must("mkdir -m 700 /root/keys");
        for name in TEAM.map(|member| member.name).into_iter().chain(["breakglass"]) {
            network.must(&format!("ssh-keygen -qt ed25519 -N '' -C {name} -f /root/keys/{name}"));
        }
        let (directory, service) = (Host::start(), Host::start());
        let (directory_at, pagerduty_at) = (network.join(&directory), network.join(&service));
        let pagerduty = PagerDuty::start(&service, TOKEN);
        pagerduty.set_schedules(vec![schedule("PDB0001", "db")]);
        pagerduty.set_users(TEAM.map(|member| user(member.name)).to_vec());
        Self { network, pagerduty, directory, service, directory_at, pagerduty_at }
    }

    /// Starts the directory with the team in it.
    pub fn directory(&self) -> Slapd<'_> {
        let slapd = Slapd::start_with_changes(&self.directory);
        slapd.restart_with(&format!("ldaps://{}:6360/", self.directory_at), "");
        slapd.fill(|name| self.public_key(name), |name| format!("{name}@example.com"));
        slapd
    }

    /// The public key of a member, as `ssh-keygen` wrote it.
    pub fn public_key(&self, name: &str) -> String {
        self.network.read(&format!("/root/keys/{name}.pub")).trim().to_string()
    }

    /// Who is on call at PagerDuty from now on: person, start and end in seconds since the epoch.
    pub fn on_call(&self, shifts: &[(&str, i64, i64)]) {
        let entry =
            |(name, start, end): &(&str, i64, i64)| oncall(name, Some("PDB0001"), "PEP0001", 1, *start, *end);
        self.pagerduty.set_oncalls(shifts.iter().map(entry).collect());
    }

    /// Boots a host with accounts for the team, of whom all but dave may sudo as far as sudoers go, and with an
    /// account for emergencies.
    pub fn host(&self, name: &str) -> Booted {
        let host = Booted::start(&self.network, name);
        host.knows(&[(self.directory_at, "ldap.example.com"), (self.pagerduty_at, pagerduty::NAMES[0])]);
        host.must("for name in alice bob carol; do useradd -m -s /bin/bash -G sudo $name; done");
        host.must("for name in dave breakglass; do useradd -m -s /bin/bash $name; done");
        host.write(
            "/etc/sudoers.d/team",
            "%sudo ALL=(ALL:ALL) NOPASSWD: ALL\nbreakglass ALL=(ALL:ALL) NOPASSWD: ALL\n",
            0o440,
        );
        host.must("install -d -m 700 -o breakglass -g breakglass /home/breakglass/.ssh");
        host.write("/home/breakglass/.ssh/authorized_keys", self.public_key("breakglass") + "\n", 0o644);
        host
    }

    /// What config.toml says on each host.
    pub fn config() -> String {
        Slapd::section(&[Slapd::LDAPS_URL]) + &CONFIG.replace("API", PagerDuty::API)
    }

    /// PagerDuty sends `url`, which is at `address`, a webhook that is signed with `secret`; the status of the answer.
    pub fn send_webhook(&self, address: Ipv4Addr, url: &str, ca_pem: &str, secret: &str) -> String {
        let name = url.split('/').nth(2).expect("https://NAME/PATH");
        self.service
            .must(&format!("grep -q '{address} {name}' /etc/hosts || echo {address} {name} >>/etc/hosts"));
        self.service.write("/root/webhook-ca.pem", ca_pem, 0o644);
        let send = "/run/suite/source/tests/fixtures/webhook.py";
        self.service.must(&format!("python3 {send} {url} /root/webhook-ca.pem '{secret}'")).trim().to_string()
    }

    /// The secrets beside it: file, what is in it, whose program reads it.
    pub const SECRETS: [(&'static str, &'static str, &'static str); 2] = [
        ("bind-password", Slapd::BIND_PASSWORD, "authkeys-sync"),
        ("pagerduty-token", TOKEN, "oncall-cache"),
    ];

    /// Writes the host's own rota: one schedule, with `person` on call for these two hours, or nobody.
    pub fn write_rota(&self, host: &Machine, person: Option<&str>) {
        let now = now();
        let shift = |person| {
            let (start, end) = (instant(now - HOUR), instant(now + HOUR));
            format!("[[schedule.shift]]\nperson = '{person}'\nstart = {start}\nend = {end}\n")
        };
        let text = format!("[[schedule]]\nid = 'local'\n{}", person.map(shift).unwrap_or_default());
        host.write("/etc/authkeys/rota.toml", text, 0o644);
    }

    /// `ssh ACCOUNT@host COMMAND` with a member's key and no other.
    pub fn ssh(&self, host: &Booted, key: &str, account: &str, command: &str) -> Output {
        self.ssh_to(host, 22, key, account, command)
    }

    /// The same to another port.
    pub fn ssh_to(&self, host: &Booted, port: u16, key: &str, account: &str, command: &str) -> Output {
        self.network
            .command("/usr/bin/timeout")
            .args(["120", "ssh", "-F", "none", "-p", &port.to_string(), "-i", &format!("/root/keys/{key}")])
            .args(["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"])
            .args([&format!("{account}@{}", host.address()), command])
            .output()
            .expect("nsenter runs")
    }
}
