//! A grant as a host keeps it: one line of ours, then what was brought, byte for byte.
//!
//! ```text
//! accepted 1 db-night 2026-11-20T09:00:00Z 0f0e…-0d0c:1234.56
//! form: 1
//! …
//! ```
//!
//! Whoever reads it believes little of the first line: the rule has to exist and to cover what the grant says, and
//! everything is judged again as of the instant of acceptance, the signatures too. So who can write such files, and has
//! no approver's key, opens nothing.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use key::PublicKey;
use policy::{GrantRule, Granted, Span, Timestamp, Uptime};
use signed::Signers;

use crate::judge::judge;
use crate::{Document, GrantError, GrantId, Known, LARGEST_DOCUMENT, Refusal};

/// The form that is written and read.
const FORM: &str = "accepted 1";

/// The longest file that is read, in bytes: a document and a line before it.
pub const LARGEST_STORED: usize = LARGEST_DOCUMENT + 256;

/// A grant that this host has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<'d> {
    /// By which rule.
    pub rule: &'d str,
    /// When, by the clock that can be set.
    pub at: Timestamp,
    /// When, by the one that cannot.
    pub uptime: Uptime,
    /// What was brought.
    pub document: Document<'d>,
}

/// The content of a file.
pub fn write_stored(rule: &str, at: Timestamp, uptime: &Uptime, document: &[u8]) -> Vec<u8> {
    let mut text = format!("{FORM} {rule} {at} {uptime}\n").into_bytes();
    text.extend_from_slice(document);
    text
}

/// What the file of a grant is called: `ACCOUNT@PERSON.ID`. No account and no person has an `@` in it, so a reader
/// who asks about one of them opens no other's.
pub fn stored_name(grant: &crate::Grant) -> String {
    format!("{}@{}.{}", grant.account, grant.person, grant.id)
}

/// The person in the name of a file, if it is one that [`stored_name`] gives.
pub fn stored_person(name: &str) -> Option<&str> {
    Some(name.rsplit_once('.')?.0.split_once('@')?.1)
}

/// The grant whose file has this name, if it is one that [`stored_name`] gives.
pub fn stored_id(name: &str) -> Option<GrantId> {
    name.rsplit_once('.')?.1.parse().ok()
}

/// What the file of a use of break-glass is called: `ID.used`.
pub fn used_name(id: GrantId) -> String {
    format!("{id}.used")
}

/// The grant whose use is in the file of this name, if it is one that [`used_name`] gives.
pub fn used_id(name: &str) -> Option<GrantId> {
    name.strip_suffix(".used")?.parse().ok()
}

/// What the file of its review is called: `ID.review`.
pub fn review_name(id: GrantId) -> String {
    format!("{id}.review")
}

impl<'d> Stored<'d> {
    /// Reads what [`write_stored`] writes.
    ///
    /// # Errors
    /// It is none.
    pub fn read(text: &'d [u8]) -> Result<Self, GrantError> {
        const LINE: GrantError = GrantError::Value("accepted", "a line that this release writes");
        let end = text.iter().position(|&byte| byte == b'\n').ok_or(LINE)?;
        let (line, document) = text.split_at_checked(end).ok_or(LINE)?;
        let line = core::str::from_utf8(line).map_err(|_| LINE)?;
        let mut words =
            line.strip_prefix(FORM).and_then(|rest| rest.strip_prefix(' ')).ok_or(LINE)?.split(' ');
        let (Some(rule), Some(at), Some(uptime), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(LINE);
        };
        let at = Timestamp::parse(at).ok_or(LINE)?;
        let uptime = Uptime::parse(uptime).ok_or(LINE)?;
        let document = Document::read(document.get(1..).unwrap_or_default())?;
        Ok(Self { rule, at, uptime, document })
    }

    /// The instant that this grant is judged by, where the clocks show `now` and `uptime`: a clock that was set back
    /// since it was accepted makes no right longer.
    ///
    /// # Errors
    /// It was accepted in another boot: of that nothing is known.
    pub fn instant(&self, now: Timestamp, uptime: &Uptime) -> Result<Timestamp, Refusal> {
        let age = self.age(uptime).map_err(|_| Refusal::Forgotten(now))?;
        Ok(now.max(self.at.plus(age)))
    }

    /// How long ago it was accepted, by the clock that cannot be set.
    ///
    /// # Errors
    /// It was accepted in another boot: of that nothing is known.
    pub fn age(&self, uptime: &Uptime) -> Result<Span, Refusal> {
        let elapsed = uptime.after(&self.uptime).ok_or(Refusal::Forgotten(self.at))?;
        Ok(Span::seconds(i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)))
    }

    /// Does it stand: by the rule of that name, as it was accepted, and with nothing of it revoked since? `holders` of
    /// `known` may be of the signers alone.
    ///
    /// # Errors
    /// What speaks against it.
    pub fn stands(
        &self,
        rules: &[GrantRule],
        known: &Known<'_>,
        signers: &Signers,
        (now, uptime): (Timestamp, &Uptime),
    ) -> Result<Granted, Refusal> {
        let now = self.instant(now, uptime)?;
        // First what costs nothing: one that is over stays in its place for a while.
        let end = self.document.grant.window.end();
        if now >= end {
            return Err(Refusal::Ended(end));
        }
        let none = || Refusal::NoRule(known.host.name.clone());
        let rule = rules.iter().find(|rule| rule.name == self.rule).ok_or_else(none)?;
        let signatures = self.document.signatures(signers, self.at);
        let accepted = judge(&self.document.grant, known, rule, signatures, self.at)?;
        let grant = &accepted.grant;
        accepted.admits(&grant.person, &grant.account, known, now)?;
        Ok(Granted {
            id: grant.id.to_string(),
            rule: rule.name.clone(),
            person: grant.person.clone(),
            account: grant.account.clone(),
            key: grant.key.as_ref().map(PublicKey::line),
            window: grant.window,
            approvers: accepted.approvers().into_iter().cloned().collect(),
            reason: grant.reason.clone(),
            is_break_glass: rule.is_break_glass(),
        })
    }

    /// As [`Stored::stands`], with its window as it is by a clock that shows `shown` now: whom a grant lets in is not shut out
    /// by one that was set back, also where no sync of this boot proves that it was.
    ///
    /// # Errors
    /// What speaks against it.
    pub fn as_shown(
        &self,
        rules: &[GrantRule],
        known: &Known<'_>,
        signers: &Signers,
        at: (Timestamp, &Uptime),
        shown: Timestamp,
    ) -> Result<Granted, Refusal> {
        let granted = self.stands(rules, known, signers, at)?;
        let behind = self.instant(at.0, at.1)?.since(shown);
        Ok(Granted { window: granted.window.minus(behind), ..granted })
    }
}
