//! A mail: plain text, by a server ([`smtp`]) or by the host's own sendmail.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lettre::Address;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};

use super::{Failure, LIMIT, Message, smtp};
use crate::config::{Mail, MailWay};

/// What a program for mail says that takes no mail to this address, or not this mail: EX_DATAERR to EX_NOHOST of sysexits(3).
const OF_THE_MAIL: std::ops::RangeInclusive<i32> = 65..=68;

/// So often it is asked whether the program has ended.
const MOMENT: Duration = Duration::from_millis(50);

/// Nobody's vacation program answers (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_string())
    }
}

/// Sends it.
pub fn deliver(mail: &Mail, message: &Message<'_>) -> Result<(), Failure> {
    let letter = letter(mail, message).map_err(Failure::Never)?;
    match &mail.way {
        MailWay::Sendmail(program) => {
            let (from, to) = (letter.envelope().from().map(Address::to_string), letter.envelope().to());
            let mut command = Command::new(program);
            command.args(["-i", "-f", from.as_deref().unwrap_or_default(), "--"]);
            command.args(to.iter().map(Address::to_string));
            sendmail(command, letter.formatted(), LIMIT)
        }
        MailWay::Smtp { .. } => smtp::send(&mail.way, &letter),
    }
}

/// Gives `letter` to the program, which has so long. What it says goes where this program's own words go.
fn sendmail(mut command: Command, letter: Vec<u8>, limit: Duration) -> Result<(), Failure> {
    let end = Instant::now() + limit;
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child =
        Ended(command.spawn().map_err(|error| Failure::later(format_args!("sendmail: {error}")))?);
    let input = child.0.stdin.take();
    // One that reads nothing is killed, and that ends this thread as well.
    thread::Builder::new().spawn(move || input.map(|mut input| input.write_all(&letter)))?;
    loop {
        match child.0.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) if status.code().is_some_and(|code| OF_THE_MAIL.contains(&code)) => {
                return Err(Failure::Apart(format!("sendmail: {status}")));
            }
            Some(status) => return Err(Failure::later(format_args!("sendmail: {status}"))),
            None if Instant::now() >= end => {
                return Err(Failure::later(format_args!(
                    "sendmail did not end within {} s and was killed",
                    limit.as_secs()
                )));
            }
            None => host::child::pause(MOMENT),
        }
    }
}

/// A child that does not outlive the attempt.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn letter(mail: &Mail, message: &Message<'_>) -> Result<lettre::Message, String> {
    let mailbox = |address: &str| {
        let address: Result<Address, _> = address.parse();
        address.map(|address| Mailbox::new(None, address)).map_err(|error| format!("{error}"))
    };
    let domain = mail.from.rsplit('@').next().unwrap_or("localhost");
    let mut builder = lettre::Message::builder()
        .from(mailbox(&mail.from)?)
        .subject(message.subject.clone())
        .message_id(Some(format!("<{}@{domain}>", message.notice.id())))
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN);
    let wanted = mail.to.iter().filter(|address| message.rest.is_empty() || message.rest.contains(address));
    for address in wanted.chain(&message.reader) {
        builder = builder.to(mailbox(address)?);
    }
    builder.body(format!("{}\n", message.text)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::{Notice, One};

    #[test]
    fn a_mail_is_one_text_to_one_reader_with_the_id_of_its_notice() {
        let notice = Notice::One(One { id: "0123456789abcdef".into(), at: 0, fields: [].into() });
        let subject = "alice: opened root on db1".to_string();
        let reader = Some("alice@example.com".to_string());
        let message = Message { notice: &notice, subject, text: "one\ntwo".into(), reader, rest: vec![] };
        let mail = Mail {
            from: "oncall@example.com".into(),
            to: vec![],
            way: MailWay::Sendmail("/bin/true".into()),
        };
        let letter = String::from_utf8(letter(&mail, &message).unwrap().formatted()).unwrap();
        for line in [
            "From: oncall@example.com",
            "To: alice@example.com",
            "Subject: alice: opened root on db1",
            "Message-ID: <0123456789abcdef@example.com>",
            "Auto-Submitted: auto-generated",
            "one",
            "two",
        ] {
            assert_eq!(letter.lines().filter(|found| *found == line).count(), 1, "{line}: {letter}");
        }
        let list = Mail { to: ["a@example.com", "b@example.com"].map(String::from).into(), ..mail.clone() };
        let rest =
            Message { reader: None, rest: vec!["b@example.com".into()], text: String::new(), ..message };
        let shown = String::from_utf8(super::letter(&list, &rest).unwrap().formatted()).unwrap();
        assert!(shown.contains("To: b@example.com") && !shown.contains("a@example.com"), "{shown}");
        let message = rest;
        let nobody = Mail { from: "not an address".into(), ..mail };
        assert!(deliver(&nobody, &message).is_err());
    }

    #[test]
    fn a_sendmail_without_an_end_is_killed() {
        let run = |program: &str, argument: &str, limit| {
            let mut command = Command::new(program);
            command.args(["-c", argument]);
            sendmail(command, b"text".repeat(100_000), Duration::from_secs(limit))
        };
        assert_eq!(run("sh", "cat >/dev/null", 600), Ok(()));
        assert!(matches!(run("sh", "cat >/dev/null; exit 67", 600), Err(Failure::Apart(_))));
        assert!(matches!(run("sh", "cat >/dev/null; exit 75", 600), Err(Failure::Later(..))));
        // It reads nothing, either.
        let late = run("sh", "exec sleep 100000", 0);
        assert!(matches!(&late, Err(Failure::Later(why, None)) if why.contains("was killed")), "{late:?}");
    }
}
