//! An S3 bucket as a fleet's store, on a machine of its own: moto behind a check of each signature and of the bucket's
//! policy (s3.py).

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use crate::slapd::{authority, certificate};
use crate::{Host, Machine, Network};

/// The key id and the secret that sign.
const CREDENTIALS: [&str; 2] = ["AKIDEXAMPLE", "a/secret+key"];

const LOG: &str = "/run/s3/log";
const POLICY: &str = "/run/s3/policy";

/// The server. It ends with its machine.
pub struct Bucket {
    host: Host,
    ca_pem: String,
    address: Ipv4Addr,
}

impl Bucket {
    /// Where everybody reads, whom the policy lets.
    pub const URL: &'static str = "https://s3.example.com/example-authkeys/fleet";

    /// The end of collector.toml that publishes here.
    pub const STORE: &'static str = r#"[store.s3]
endpoint = "https://s3.example.com"
region = "eu-central-1"
bucket = "example-authkeys"
prefix = "fleet"
credentials_file = "s3-credentials"
ca_file = "s3-ca.pem"
"#;

    const NAME: &'static str = "s3.example.com";

    /// Starts it in `network`, empty, and with a policy that lets nobody read.
    pub fn start(network: &Network) -> Self {
        let host = Host::start();
        let address = network.join(&host);
        let authority = authority();
        let (certificate, key) = certificate(&authority, Self::NAME, &[Self::NAME]);
        host.write("/run/s3/certificate.pem", certificate, 0o644);
        host.write("/run/s3/key.pem", key, 0o600);
        host.write(POLICY, "", 0o644);
        let [id, secret] = CREDENTIALS;
        let argv = [
            &*python(),
            "/run/suite/source/tests/harness/s3.py",
            "443",
            "/run/s3/certificate.pem",
            "/run/s3/key.pem",
            "example-authkeys",
            id,
            secret,
            POLICY,
        ];
        host.daemon(&argv, LOG);
        host.wait_for_port(443);
        Self { host, ca_pem: authority.pem(), address }
    }

    /// Lets `machine` find it, and has there what a collector publishes by.
    pub fn let_publish(&self, machine: &Machine) {
        self.let_read(machine);
        let file = "/etc/authkeys/s3-credentials";
        machine.write(file, format!("{}\n", CREDENTIALS.join(":")), 0o640);
        machine.must(&format!("chgrp oncall-collector {file}"));
    }

    /// Lets `machine` find it, and know its certificate as s3-ca.pem.
    pub fn let_read(&self, machine: &Machine) {
        machine.must(&format!("echo {} {} >>/etc/hosts", self.address, Self::NAME));
        machine.write("/etc/authkeys/s3-ca.pem", &self.ca_pem, 0o644);
    }

    /// Sets the bucket's policy, in Amazon's language.
    pub fn set_policy(&self, policy: &str) {
        self.host.write(POLICY, policy, 0o644);
    }

    /// A line for each request so far, `192.0.2.4 GET /example-authkeys/fleet/head 200` and the like, and one before it if it
    /// was refused: why.
    pub fn log(&self) -> String {
        self.host.read(LOG)
    }
}

/// The interpreter that has moto: what tests/prerequisites.sh made, or the one of whoever runs the tests.
fn python() -> String {
    let made = "/opt/authkeys-tests/s3/bin/python3";
    if Path::new(made).exists() {
        return made.to_string();
    }
    let own = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    String::from_utf8(own.expect("python3 runs").stdout).expect("a path").trim().to_string()
}
