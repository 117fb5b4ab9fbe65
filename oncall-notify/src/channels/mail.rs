//! A mail: plain text, by a server ([`smtp`]) or by the host's own sendmail.

use lettre::message::Mailbox;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::{Address, SendmailTransport, Transport};

use super::{Failure, Message, smtp};
use crate::config::{Mail, MailWay};

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
            SendmailTransport::new_with_command(program).send(&letter).map_err(Failure::later)
        }
        MailWay::Smtp { .. } => smtp::send(&mail.way, &letter),
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
}
