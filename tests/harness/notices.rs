//! A log server with `oncall-notify`, and those who receive what it tells: a web server that records every request, a real
//! rsyslog, a real Postfix.

use std::fs::OpenOptions;
use std::io::Write;

use crate::Host;
use crate::machine::wait_until;
use crate::slapd::{authority, certificate};
use crate::store::{HostileStore, Lie, NAME, StoreRequest};

/// The record that is followed.
pub const RECORD: &str = "/srv/records/10.0.0.7/decisions.jsonl";

const CONFIG: &str = "/etc/authkeys/notify.toml";
const CA_FILE: &str = "/etc/authkeys/ca.pem";
const LOG: &str = "/var/log/oncall-notify.log";

/// The web server's port.
const PORT: u16 = 9443;

/// What mail and log servers are called.
const SERVERS: [&str; 2] = ["mail.example.com", "logs.example.com"];

/// One line without a blank, so that it shows where it should not be.
pub const SECRET: &str = "xoxb-secret-of-this-test";

/// The log server.
pub struct Notices {
    pub host: Host,
    /// What is at `https://…/fleet` is for each test to say.
    pub web: HostileStore,
}

impl Notices {
    /// A machine with the program and its user, without a configuration.
    pub fn start() -> Self {
        let host = Host::start();
        let web = HostileStore::start(&host, PORT);
        let authority = authority();
        let (certificate, key) = certificate(&authority, SERVERS[0], &SERVERS);
        host.write(CA_FILE, authority.pem() + web.ca_pem(), 0o644);
        host.write("/etc/authkeys/server.pem", certificate, 0o644);
        host.write("/etc/authkeys/server.key", key, 0o600);
        host.write("/etc/authkeys/secret", format!("{SECRET}\n"), 0o640);
        host.must(&format!(
            "ln -sf /run/suite/build/oncall-notify /usr/bin/oncall-notify
             for name in {}; do echo 127.0.0.1 $name >>/etc/hosts; done
             useradd --system --user-group --home-dir /var/lib/oncall-notify --shell /usr/sbin/nologin oncall-notify
             install -d -o oncall-notify -g oncall-notify -m 700 /var/lib/oncall-notify
             chgrp oncall-notify /etc/authkeys/secret
             install -d -m 755 $(dirname {RECORD}) && touch {RECORD}",
            SERVERS.join(" ")
        ));
        Self { host, web }
    }

    /// The address of a path of the web server.
    pub fn url(&self, path: &str) -> String {
        format!("https://{NAME}:{PORT}/fleet{path}")
    }

    /// Writes the configuration with these channels.
    pub fn configure(&self, channels: &str) {
        let config =
            format!("files = [\"/srv/records\"]\n[people]\nmail_domain = \"example.com\"\n{channels}");
        self.host.write(CONFIG, config, 0o644);
        self.host.must("runuser -u oncall-notify -- oncall-notify config check");
    }

    /// `name = "webhook"` and where it goes.
    pub fn webhook(&self) -> String {
        format!(
            "[[channel]]\nname = \"hook\"\n\
             webhook = {{ url = \"{}\", secret_file = \"secret\", ca_file = \"ca.pem\" }}\n",
            self.url("/hook")
        )
    }

    /// Starts the program, and waits until it follows the files.
    pub fn begin(&self) {
        let before = self.followed();
        let start = format!("runuser -u oncall-notify -- oncall-notify run >>{LOG} 2>&1 &");
        self.host.must(&start);
        wait_until("it follows the files", || self.followed() > before);
    }

    fn followed(&self) -> usize {
        if self.host.path(LOG).exists() {
            self.log().matches("oncall-notify: following; ").count()
        } else {
            0
        }
    }

    /// Ends it at once, wherever it is; what it had is what is on disk. Its lock outlives the name of the process by a
    /// moment, as long as it has another thread.
    pub fn kill(&self) {
        self.host.must(
            "kill -9 $(pidof oncall-notify); while pidof oncall-notify >/dev/null; do sleep 0.01; done
             until flock -n /var/lib/oncall-notify/state.lock true; do sleep 0.01; done",
        );
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        self.host.read(LOG)
    }

    /// Puts more behind the record.
    pub fn append(&self, text: &str) {
        let file = OpenOptions::new().append(true).open(self.host.path(RECORD));
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("the record can be written");
    }

    /// Waits until the web server has been asked for `path` so often; these requests, and any later ones that came with them.
    pub fn wait_for(&self, path: &str, count: usize) -> Vec<StoreRequest> {
        let mut all = Vec::new();
        wait_until(&format!("{path} is asked for {count} times"), || {
            all.extend(
                self.web.requests().into_iter().filter(|request| request.path == format!("/fleet{path}")),
            );
            all.len() >= count
        });
        all
    }

    /// From now on this path answers with JSON.
    pub fn answer(&self, path: &str, status: u16, json: &str) {
        let headers = vec![("Content-Type", "application/json".to_string())];
        self.web.lie(path, Some(Lie::Answer(status, headers, json.as_bytes().to_vec())));
    }

    /// A real rsyslog: what it took by TCP on 601, by TLS on 6514 (OpenSSL) and 6515 (GnuTLS) and, as GELF, on 12201 by either
    /// transport is in a file each below /srv/taken.
    pub fn start_rsyslog(&self) {
        self.host.write("/etc/authkeys/rsyslog.conf", RSYSLOG, 0o644);
        self.host
            .must("mkdir -p /srv/taken && rsyslogd -f /etc/authkeys/rsyslog.conf -i /run/rsyslog-test.pid");
        [601, 6514, 6515, 12201].iter().for_each(|port| self.host.wait_for_port(*port));
    }

    /// A real Postfix on port 25 of the loopback and, with TLS before everything, on 465; mail for example.com is a file
    /// for each of `people` in /var/mail.
    pub fn start_postfix(&self, people: &[&str]) {
        people.iter().for_each(|name| {
            drop(self.host.must(&format!(
                "useradd {name} && install -o {name} -g mail -m 660 /dev/null /var/mail/{name}"
            )))
        });
        self.host.must(POSTFIX);
        [25, 465].iter().for_each(|port| self.host.wait_for_port(*port));
    }

    /// What a file has, once it holds so many of `mark`.
    pub fn wait_for_file(&self, file: &str, mark: &str, count: usize) -> String {
        let mut text = String::new();
        wait_until(&format!("{file} has {count} of {mark}"), || {
            let bytes = std::fs::read(self.host.path(file)).unwrap_or_default();
            text = String::from_utf8_lossy(&bytes).into_owned();
            text.matches(mark).count() >= count
        });
        text
    }
}

const RSYSLOG: &str = r#"
global(DefaultNetstreamDriverCAFile="/etc/authkeys/ca.pem" DefaultNetstreamDriverCertFile="/etc/authkeys/server.pem"
       DefaultNetstreamDriverKeyFile="/etc/authkeys/server.key" parser.permitSlashInProgramName="on"
       parser.escapeControlCharactersOnReceive="off" maxMessageSize="64k")
module(load="imtcp")
module(load="imudp")
template(name="parsed" type="string" string="%pri% %protocol-version% %hostname% %app-name% %structured-data% %msg%\n")
template(name="raw" type="string" string="%rawmsg%\n")
ruleset(name="tcp") { action(type="omfile" file="/srv/taken/tcp" template="parsed") }
ruleset(name="tls") { action(type="omfile" file="/srv/taken/tls" template="parsed") }
ruleset(name="gtls") { action(type="omfile" file="/srv/taken/gtls" template="parsed") }
ruleset(name="gelf") { action(type="omfile" file="/srv/taken/gelf" template="raw") }
ruleset(name="gelf-udp") { action(type="omfile" file="/srv/taken/gelf-udp" template="raw") }
input(type="imtcp" port="601" ruleset="tcp")
input(type="imtcp" port="6514" ruleset="tls" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
input(type="imtcp" port="6515" ruleset="gtls" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
input(type="imtcp" port="12201" ruleset="gelf" AddtlFrameDelimiter="0" SupportOctetCountedFraming="off" DisableLFDelimiter="on")
input(type="imudp" port="12201" ruleset="gelf-udp")
"#;

const POSTFIX: &str = r"
set -e
hostname mail.example.com || :
[ -e /etc/postfix/main.cf ] || : >/etc/postfix/main.cf
[ -e /etc/postfix/master.cf ] || cp /usr/share/postfix/master.cf.dist /etc/postfix/master.cf
postconf -e compatibility_level=3.6 myhostname=mail.example.com mydestination=example.com 'mynetworks=127.0.0.0/8' \
    inet_interfaces=loopback-only inet_protocols=ipv4 smtpd_tls_security_level=encrypt alias_maps= alias_database= \
    smtpd_tls_cert_file=/etc/authkeys/server.pem smtpd_tls_key_file=/etc/authkeys/server.key mailbox_command= \
    maillog_file=/var/log/mail.log mail_spool_directory=/var/mail
postconf -F '*/*/chroot = n'
postconf -M 'smtps/inet=smtps inet n - n - - smtpd -o smtpd_tls_wrappermode=yes'
postfix start
";
