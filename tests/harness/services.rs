//! On-call services on a private machine: doubles of all that are asked over HTTPS (services.py), and LinkedIn's own server
//! (oncall_server.py).

use std::path::Path;

use serde_json::json;

use crate::Host;
use crate::slapd::{authority, certificate};

const NAME: &str = "services.example";
const STATE: &str = "/run/services/state";
const DATABASE: &str = "/run/services/oncall.db";
const LOG: &str = "/run/services/log";

/// The secret that all of them know.
pub const SECRET: &str = "secretOfTheTest";

/// How a service is configured, and what its schedule is called.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub word: &'static str,
    /// Lines of its source.
    pub settings: &'static str,
    pub schedule: &'static str,
    /// Has it lists in pages?
    pub has_pages: bool,
}

/// Every service, as services.py plays it. Users are `id-NAME` where it tells no mail address.
pub const KINDS: [Kind; 5] = [
    Kind {
        word: "linkedin-oncall",
        settings: "app = 'cache'\nroles = ['primary', 'secondary']",
        schedule: "my team",
        has_pages: false,
    },
    Kind {
        word: "goalert",
        settings: "",
        schedule: "5c000000-0000-4000-8000-0000000000aa",
        has_pages: false,
    },
    Kind { word: "incident-io", settings: "rotations = ['R1']", schedule: "01PRIMARY", has_pages: true },
    Kind {
        word: "grafana",
        settings: "stack = 'https://acme.grafana.example'",
        schedule: "SPRIMARY",
        has_pages: true,
    },
    Kind {
        word: "jsm",
        settings: "cloud_id = 'c-1'\naccount = 'bot@example.com'\n\
                   people = { id-alice = 'alice', id-bob = 'bob', id-carol = 'carol' }",
        schedule: "f8f2a4ec",
        has_pages: true,
    },
];

/// The doubles; they end with their machine.
pub struct Services<'a> {
    host: &'a Host,
}

impl<'a> Services<'a> {
    /// Where they are.
    pub const API: &'static str = "https://services.example:8450";

    /// Where LinkedIn's own server is, once it is started.
    pub const ONCALL: &'static str = "https://services.example:8451";

    /// Starts them, with nobody on call.
    pub fn start(host: &'a Host) -> Self {
        host.must(&format!("echo 127.0.0.1 {NAME} >>/etc/hosts; mkdir -p /run/services"));
        let authority = authority();
        let (certificate, key) = certificate(&authority, NAME, &[NAME]);
        host.write("/run/services/certificate.pem", certificate, 0o644);
        host.write("/run/services/key.pem", key, 0o600);
        host.write("/etc/authkeys/services-ca.pem", authority.pem(), 0o644);
        host.write("/etc/authkeys/services-token", format!("{SECRET}\n"), 0o640);
        host.must("chgrp oncall-cache /etc/authkeys/services-token");
        let services = Self { host };
        services.set(&[], "ok");
        services.run("/usr/bin/python3", "services.py", 8450, STATE);
        services
    }

    fn run(&self, python: &str, script: &str, port: u16, data: &str) {
        let script = format!("/run/suite/source/tests/harness/{script}");
        let (certificate, key) = ("/run/services/certificate.pem", "/run/services/key.pem");
        self.host.daemon(&[python, &script, &port.to_string(), certificate, key, data], LOG);
        self.host.wait_for_port(port);
    }

    /// Who is on call from now on, from when to when in seconds since the epoch; and how requests are answered.
    pub fn set(&self, shifts: &[(&str, i64, i64)], outcome: &str) {
        let state = json!({"shifts": shifts, "outcome": outcome}).to_string();
        self.host.write(&format!("{STATE}.new"), state, 0o644);
        self.host.must(&format!("mv {STATE}.new {STATE}"));
    }

    /// What they refused so far, a line each.
    pub fn refused(&self) -> String {
        self.host.read(LOG)
    }

    /// The lines of a source that asks one of them.
    pub fn source(kind: Kind, name: &str, timeout: &str) -> String {
        format!(
            "[[oncall.source]]\nname = '{name}'\nprovider = '{}'\napi = '{}'\ntoken_file = 'services-token'\n\
             ca_file = 'services-ca.pem'\ntimeout = '{timeout}'\nschedules = ['{}']\n{}\n",
            kind.word,
            Self::API,
            kind.schedule,
            kind.settings
        )
    }

    /// Starts LinkedIn's own server beside them, with four users and no events.
    pub fn start_oncall(&self) {
        self.host.must(&format!("sqlite3 {DATABASE} </run/suite/source/tests/harness/oncall_schema.sql"));
        let python = "/opt/authkeys-tests/oncall/bin/python3";
        assert!(Path::new(python).exists(), "run tests/prerequisites.sh: it installs LinkedIn's Oncall");
        self.run(python, "oncall_server.py", 8451, DATABASE);
    }

    /// Changes the server's database.
    pub fn sql(&self, statements: &str) {
        self.host.must(&format!("sqlite3 {DATABASE} \"{statements}\""));
    }
}
