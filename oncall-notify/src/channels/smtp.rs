//! One mail by a server: each step of SMTP (RFC 5321) by itself, so that what a server says of one mailbox counts for that
//! mailbox, and what it says of this host for all that waits.

use std::time::Instant;

use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, CertificateStore, SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use trust::Owner;

use super::{Failure, LIMIT, secret};
use crate::config::{MailWay, SmtpTls};

/// The largest file of authorities.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;

/// The server closes: what it says then is about no mailbox.
const CLOSES: u16 = 421;

/// A connection, and when the attempt ends.
struct Session {
    connection: SmtpConnection,
    end: Instant,
}

/// What a server says of a list of mailboxes.
#[derive(Default)]
struct Said {
    accepted: usize,
    /// Not now, and why.
    later: Vec<(String, String)>,
    /// Never, and why.
    never: Vec<(String, String)>,
}

/// Sends it.
pub fn send(way: &MailWay, letter: &lettre::Message) -> Result<(), Failure> {
    let mut session = Session::open(way)?;
    let envelope = letter.envelope();
    session
        .step(|connection| connection.command(Mail::new(envelope.from().cloned(), vec![])).map(drop))
        .map_err(later)?;
    let said = session.offer(envelope.to())?;
    if said.accepted == 0 {
        session.close();
        return Err(said.of_nobody());
    }
    session.step(|connection| connection.command(Data).map(drop)).map_err(later)?;
    let taken = session.step(|connection| connection.message(&letter.formatted()).map(drop));
    session.close();
    taken.map_err(|error| match code(&error) {
        Some(500..=599) => Failure::Never(words(&error)),
        Some(code) if code != CLOSES => Failure::Apart(words(&error)),
        _ => later(error),
    })?;
    said.of_some()
}

impl Session {
    /// Connects, in secret unless the configuration says otherwise, and says who this is.
    fn open(way: &MailWay) -> Result<Self, Failure> {
        let MailWay::Smtp { host, port, tls, user, password_file, .. } = way else {
            return Err(Failure::never("no server"));
        };
        let end = Instant::now() + LIMIT;
        let parameters = if *tls == SmtpTls::None { None } else { Some(parameters(way)?) };
        let wrapper = parameters.as_ref().filter(|_| *tls == SmtpTls::Tls);
        let name = ClientId::default();
        let connection = SmtpConnection::connect((host.as_str(), *port), Some(LIMIT), &name, wrapper, None);
        let mut session = Self { connection: connection.map_err(later)?, end };
        if let (SmtpTls::Starttls, Some(parameters)) = (tls, &parameters) {
            session.step(|connection| connection.starttls(parameters, &name)).map_err(later)?;
        }
        if let (Some(user), Some(file)) = (user, password_file) {
            let credentials = Credentials::new(user.clone(), secret(file)?.expose().to_string());
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            session.step(|connection| connection.auth(&mechanisms, &credentials).map(drop)).map_err(later)?;
        }
        Ok(session)
    }

    /// One step, within what is left of the attempt.
    fn step<T>(
        &mut self,
        step: impl FnOnce(&mut SmtpConnection) -> Result<T, lettre::transport::smtp::Error>,
    ) -> Result<T, lettre::transport::smtp::Error> {
        // A timeout of nothing would be none.
        let left =
            self.end.saturating_duration_since(Instant::now()).max(std::time::Duration::from_millis(1));
        // If it cannot be set, the one before holds.
        let _ = self.connection.set_timeout(Some(left));
        step(&mut self.connection)
    }

    /// Names the mailboxes, each by itself.
    fn offer(&mut self, to: &[Address]) -> Result<Said, Failure> {
        let mut said = Said::default();
        for address in to {
            let rcpt = Rcpt::new(address.clone(), vec![]);
            let Err(error) = self.step(|connection| connection.command(rcpt)) else {
                said.accepted += 1;
                continue;
            };
            let told = (address.to_string(), words(&error));
            match code(&error) {
                Some(500..=599) => said.never.push(told),
                Some(code) if code != CLOSES => said.later.push(told),
                _ => return Err(later(error)),
            }
        }
        Ok(said)
    }

    /// What was taken is taken, whatever becomes of the goodbye.
    fn close(mut self) {
        let _ = self.step(|connection| connection.quit());
        self.connection.abort();
    }
}

impl Said {
    /// Nobody gets it now.
    fn of_nobody(self) -> Failure {
        match (self.later.first(), self.never.first()) {
            (Some((_, why)), _) => Failure::Apart(why.clone()),
            (None, Some((_, why))) => Failure::Never(why.clone()),
            (None, None) => Failure::never("it is to nobody"),
        }
    }

    /// Some got it.
    fn of_some(self) -> Result<(), Failure> {
        for (address, why) in &self.never {
            host::output::complain(crate::PROGRAM, format_args!("{address} is not told: {why}"));
        }
        let Some((_, why)) = self.later.first().cloned() else { return Ok(()) };
        Err(Failure::Rest(self.later.into_iter().map(|(address, _)| address).collect(), why))
    }
}

fn parameters(way: &MailWay) -> Result<TlsParameters, Failure> {
    let MailWay::Smtp { host, ca_file, .. } = way else { return Err(Failure::never("no server")) };
    // The same file, under the same rules, as everywhere in the suite; no other authority counts.
    let pem = trust::read(ca_file, Owner::Root, LARGEST_FILE).map_err(Failure::later)?;
    let mut builder = TlsParameters::builder(host.clone()).certificate_store(CertificateStore::None);
    for certificate in pem_blocks(&pem) {
        // One that is too odd vouches for nobody.
        if let Ok(certificate) = Certificate::from_pem(certificate.as_bytes()) {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(Failure::later)
}

/// Each certificate of a file by itself.
fn pem_blocks(pem: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(pem);
    let end = "-----END CERTIFICATE-----";
    let blocks = text.split_inclusive(end).filter(|block| block.contains("-----BEGIN CERTIFICATE-----"));
    blocks.map(|block| format!("{block}\n")).collect()
}

fn code(error: &lettre::transport::smtp::Error) -> Option<u16> {
    error.status().map(u16::from)
}

fn words(error: &lettre::transport::smtp::Error) -> String {
    crate::notice::inert(&format!("the mail server: {error}"))
}

/// It is about this host or that server, and all that waits.
#[allow(clippy::needless_pass_by_value)]
fn later(error: lettre::transport::smtp::Error) -> Failure {
    Failure::Later(words(&error), None)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    /// What comes of a mail to a, b and c where a server answers so to each of their names, and so to the text.
    fn sent(answers: [&'static str; 3], text: &'static str) -> Result<(), Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut say = |line: &str| stream.write_all(format!("{line}\r\n").as_bytes());
            let (mut named, mut in_text) = (answers.iter(), false);
            let mut next = say("220 mail.example.com");
            while let (Ok(()), Some(Ok(line))) = (next, lines.next()) {
                next = match line.split([' ', ':']).next().unwrap_or_default() {
                    "." => {
                        in_text = false;
                        say(text)
                    }
                    _ if in_text => Ok(()),
                    "RCPT" => say(named.next().unwrap()),
                    "DATA" => {
                        in_text = true;
                        say("354 go on")
                    }
                    _ => say("250 yes"),
                };
            }
        });
        let way = MailWay::Smtp {
            host: "127.0.0.1".into(),
            port,
            tls: SmtpTls::None,
            user: None,
            password_file: None,
            ca_file: "/nowhere".into(),
        };
        let mut letter = lettre::Message::builder().from("oncall@example.com".parse().unwrap());
        for name in ["a", "b", "c"] {
            letter = letter.to(format!("{name}@example.com").parse().unwrap());
        }
        let outcome = send(&way, &letter.body("text".to_string()).unwrap());
        server.join().unwrap();
        outcome
    }

    #[test]
    fn what_a_server_says_of_one_mailbox_counts_for_that_one() {
        let (yes, full, none) = ("250 yes", "452 mailbox full", "554 no such mailbox");
        assert_eq!(sent([yes; 3], yes), Ok(()));
        assert_eq!(sent([yes, none, yes], yes), Ok(()), "the others are told");
        assert!(matches!(sent([none; 3], yes), Err(Failure::Never(_))));
        assert!(matches!(sent([none, full, none], yes), Err(Failure::Apart(_))));
        let rest = sent([yes, full, none], yes);
        assert!(matches!(&rest, Err(Failure::Rest(rest, _)) if *rest == ["b@example.com"]), "{rest:?}");
        assert!(matches!(sent([yes; 3], "554 not such a text"), Err(Failure::Never(_))));
        assert!(matches!(sent([yes; 3], "451 not now"), Err(Failure::Apart(_))));
        assert!(matches!(sent([yes, "421 going down", yes], yes), Err(Failure::Later(..))));
        assert!(matches!(sent([yes; 3], "421 going down"), Err(Failure::Later(..))));
    }
}
