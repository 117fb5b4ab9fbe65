//! A mail: plain text, by a server with TLS or by the host's own sendmail.

use lettre::message::Mailbox;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{Address, SendmailTransport, SmtpTransport, Transport};
use trust::Owner;

use super::{Failure, LIMIT, Message, secret};
use crate::config::{Mail, MailWay, SmtpTls};

/// The largest file of authorities.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;

/// What a server answers about one mail, which it will answer again: no such mailbox, not in this form.
const FOR_EVER: [u16; 3] = [550, 551, 553];

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
        MailWay::Smtp { .. } => {
            let sent = server(&mail.way)?.send(&letter).map(drop);
            sent.map_err(|error| {
                let why = format!("the mail server: {error}{}", cause(&error));
                let is_for_ever = error.status().is_some_and(|code| FOR_EVER.contains(&code.into()));
                if is_for_ever { Failure::Never(why) } else { Failure::Later(why, None) }
            })
        }
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
    for address in mail.to.iter().chain(&message.reader) {
        builder = builder.to(mailbox(address)?);
    }
    builder.body(format!("{}\n", message.text)).map_err(|error| error.to_string())
}

fn server(way: &MailWay) -> Result<SmtpTransport, Failure> {
    let MailWay::Smtp { host, port, tls, user, password_file, ca_file } = way else {
        return Err(Failure::never("no server"));
    };
    let parameters = || {
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
    };
    let tls = match tls {
        SmtpTls::Starttls => Tls::Required(parameters()?),
        SmtpTls::Tls => Tls::Wrapper(parameters()?),
        SmtpTls::None => Tls::None,
    };
    let mut builder = SmtpTransport::builder_dangerous(host).port(*port).tls(tls).timeout(Some(LIMIT));
    if let (Some(user), Some(file)) = (user, password_file) {
        builder = builder.credentials(Credentials::new(user.clone(), secret(file)?.expose().to_string()));
    }
    Ok(builder.build())
}

/// Each certificate of a file by itself.
fn pem_blocks(pem: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(pem);
    let end = "-----END CERTIFICATE-----";
    let blocks = text.split_inclusive(end).filter(|block| block.contains("-----BEGIN CERTIFICATE-----"));
    blocks.map(|block| format!("{block}\n")).collect()
}

fn cause(error: &dyn std::error::Error) -> String {
    error.source().map(|source| format!(": {source}")).unwrap_or_default()
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
        let message = Message { notice: &notice, subject, text: "one\ntwo".into(), reader };
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
        let nobody = Mail { from: "not an address".into(), ..mail };
        assert!(deliver(&nobody, &message).is_err());
    }
}
