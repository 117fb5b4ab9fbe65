//! `revoke` and `unrevoke`: who, and which key or grant, opens nothing on any host of the fleet.
//!
//! Written down here first, so that it is not lost where the store is down; then published at once, whoever's turn it is.

use std::fmt;
use std::path::Path;

use host::accounts;
use host::revoked_grants::is_id;
use host::said::{CANNOT_TELL, Live, Said, USAGE};
use policy::Span;
use policy::revocations::{LONGEST_REASON, Order, Subject};
use record::{Escaped, Line};

use crate::cli::RevokeArguments;
use crate::config::Config;
use crate::publisher::{CollectorError, Outcome, Publisher};
use crate::verbs::publish::summary;

/// Why nothing was done.
#[derive(Debug)]
pub enum RevokeError {
    /// What was asked for is neither a person nor a key nor a grant.
    What(String),
    /// It would be a grant's name, and would be taken for a person's.
    IsGrant(String),
    /// root is an account.
    NoPerson,
    /// The reason does not fit on a line.
    Reason,
    /// There is no such revocation.
    NotRevoked(Subject),
    /// The list cannot be changed.
    Collector(CollectorError),
}

impl RevokeError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::What(_) | Self::IsGrant(_) | Self::NoPerson | Self::Reason => USAGE,
            Self::NotRevoked(_) => 1,
            Self::Collector(_) => CANNOT_TELL,
        }
    }
}

impl fmt::Display for RevokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::What(what) => write!(
                f,
                "{}: neither a person, nor a key's fingerprint (SHA256:…), nor grant:ID, the 32 digits 0-9 and a-f of a grant",
                Escaped(what)
            ),
            Self::IsGrant(id) => write!(f, "{id} looks like a grant, and not like a person; say grant:{id}"),
            Self::NoPerson => f.write_str("root is an account, not a person; name the person"),
            Self::Reason => write!(f, "a reason is one line of at most {LONGEST_REASON} bytes"),
            Self::NotRevoked(subject) => write!(f, "{subject} is not revoked in this fleet"),
            Self::Collector(error) => error.fmt(f),
        }
    }
}

impl From<CollectorError> for RevokeError {
    fn from(error: CollectorError) -> Self {
        Self::Collector(error)
    }
}

/// Shuts something out, or says anew why and until when.
pub fn run(config: &Path, arguments: &RevokeArguments, live: Live<'_>) -> Said {
    let order = || {
        let subject = subject(&arguments.what)?;
        let reason = arguments.reason.trim();
        if !host::orders::is_reason(reason) {
            return Err(RevokeError::Reason);
        }
        change(config, &subject, Some((reason, arguments.length)), live)
    };
    order().unwrap_or_else(|error| Said::failure(error.exit_code(), &error))
}

/// Takes a revocation back.
pub fn take_back(config: &Path, what: &str, live: Live<'_>) -> Said {
    let order = || change(config, &subject(what)?, None, live);
    order().unwrap_or_else(|error| Said::failure(error.exit_code(), &error))
}

/// What somebody typed: `alice`, `SHA256:…`, `grant:ID`.
fn subject(what: &str) -> Result<Subject, RevokeError> {
    let found = match what.split_once(':') {
        // No grant has another name: whoever cuts it short would revoke nothing.
        Some(("grant", id)) => Subject::parse("grant", id).filter(|_| is_id(id)),
        Some(("SHA256", _)) => Subject::parse("key", what),
        Some(_) => None,
        None if is_id(what) => return Err(RevokeError::IsGrant(what.to_string())),
        None if what == "root" => return Err(RevokeError::NoPerson),
        None => Subject::parse("person", what),
    };
    found.ok_or_else(|| RevokeError::What(what.to_string()))
}

fn change(
    config: &Path,
    subject: &Subject,
    revoke: Option<(&str, Span)>,
    live: Live<'_>,
) -> Result<Said, RevokeError> {
    // Before root is given up.
    let by = accounts::operator();
    let config = Config::load(config).map_err(CollectorError::from)?;
    let publisher = Publisher::begin(&config, live)?;
    let at = publisher.now();
    let is_changed = publisher.order(subject, at, |known, serial| {
        let order = |lifted, until, reason: &str| Order {
            serial,
            lifted,
            since: at,
            until,
            by: by.clone(),
            reason: reason.to_string(),
        };
        match revoke {
            Some((reason, length)) => Some(order(false, Some(at.plus(length)), reason)),
            // It has to stay known for as long as an older copy may say otherwise.
            None => known.filter(|known| known.holds(at)).map(|known| order(true, known.until, "")),
        }
    })?;
    if !is_changed {
        return Err(RevokeError::NotRevoked(subject.clone()));
    }
    let (verb, state) =
        if revoke.is_some() { ("revoke", "revoked") } else { ("unrevoke", "no longer revoked") };
    Line::new(&subject.to_string(), verb, "revoked")
        .field("by", &by)
        .field("fleet", &config.fleet)
        .field("why", revoke.map_or("", |(reason, _)| reason))
        .send("oncall-collector");
    if revoke.is_some() && publisher.is_unknown(subject) {
        (live.note)(format_args!("the directory has no {subject}; is the name right?"));
    }
    let until = revoke.map(|(_, length)| format!(" until {}", at.plus(length))).unwrap_or_default();
    Ok(match publisher.publish(true) {
        Ok(Outcome::Published(published)) => Said::default()
            .notes(&published.problems)
            .then(format!(
                "{subject} is {state} in the fleet {}{until}; hosts know at their next pull",
                config.fleet
            ))
            .then(summary(&published)),
        Ok(Outcome::StandsBy(..)) => not_yet(subject, state, "another collector publishes"),
        Err(problem) => not_yet(subject, state, problem),
    })
}

/// Written down, and not published.
fn not_yet(subject: &Subject, state: &str, problem: impl fmt::Display) -> Said {
    let text =
        format!("{subject} is {state} here, and NOT YET published: {problem}; the next publication has it");
    Said::failure(1, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_a_person_a_key_or_a_grant() {
        let key = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";
        let id = "f9a30c5f7e5b4b1e9d1f4c2a7d3e8b10";
        let grant = format!("grant:{id}");
        let cases = [
            ("alice", "person alice".to_string()),
            (key, format!("key {key}")),
            (&grant, format!("grant {id}")),
        ];
        for (what, expected) in cases {
            assert_eq!(subject(what).unwrap().to_string(), expected);
        }
        let (short, capitals) = (&grant[..14], grant.replace('f', "F"));
        for what in [
            "",
            "SHA256:x",
            "MD5:00",
            "grant:",
            "grant:a b",
            "al\u{2028}ice",
            "person:alice",
            short,
            &capitals,
            id,
        ] {
            assert_eq!(subject(what).unwrap_err().exit_code(), USAGE, "{what}");
        }
        assert!(matches!(subject("root"), Err(RevokeError::NoPerson)));
    }
}
