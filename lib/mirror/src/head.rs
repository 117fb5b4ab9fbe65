//! Whether a head counts: who signed it, what it says, what it follows.

use std::fmt;
use std::path::Path;

use fleet::{Head, HeadError, HeadRefusal, Known, LARGEST_HEAD, Mark, Origin, Standing};
use policy::Timestamp;
use signed::{DeadLine, Purpose, SignatureError, Signers};
use trust::{Owner, Refusal};

/// Whom a host trusts with its fleet: `[fleet]`, and the file of signers that it names.
#[derive(Debug, Clone, Copy)]
pub struct Trusted<'a> {
    /// `[fleet] id`.
    pub fleet: &'a str,
    /// `[fleet] epoch`.
    pub epoch: u64,
    /// Whose signatures count.
    pub signers: &'a Signers,
    /// How many different signers must have signed.
    pub signatures: usize,
}

/// A head that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What it says.
    pub head: Head,
    /// Whether it is to be taken over.
    pub standing: Standing,
    /// The mark, once it is taken over whole.
    pub mark: Mark,
    /// The names of those who signed it, in order.
    pub signers: Vec<String>,
}

/// Why a head does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FleetError {
    /// It is no signed document; of a web server that answers with a page, too (`head-form`).
    Document(SignatureError),
    /// What is signed is no head (`head-form`).
    Form(HeadError),
    /// It is not signed by those who are to (`head-signature`).
    Signature(SignatureError),
    /// It must not replace what this host has.
    Refused(HeadRefusal),
}

impl FleetError {
    /// The word for it in status and records.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Document(_) | Self::Form(_) => HeadError::WORD,
            Self::Signature(_) => "head-signature",
            Self::Refused(refusal) => refusal.word(),
        }
    }
}

impl fmt::Display for FleetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document(error) => write!(f, "the head is no signed text: {error}"),
            Self::Form(error) => error.fmt(f),
            Self::Signature(error) => write!(f, "the head's signature: {error}; see fleet-signers"),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl std::error::Error for FleetError {}

/// The signers in `path`, which must be root's, and the lines of it that count for nobody.
///
/// # Errors
/// The file is missing, or somebody else could have written it.
pub fn read_signers(path: &Path) -> Result<(Signers, Vec<DeadLine>), Refusal> {
    Ok(Signers::parse(&trust::read(path, Owner::Root, Signers::LARGEST as u64)?))
}

/// Judges a head from a store or from this host's mirror; `mark` is the verifier's own.
///
/// From a store, who signed it must be allowed to now. A copy was judged so when it was taken over, and is judged again
/// by who was allowed to when it was issued: a key that is rolled over leaves the copies that it signed.
///
/// # Errors
/// It does not count, and whatever was taken over before stays.
pub fn open(
    trusted: &Trusted<'_>,
    document: &[u8],
    mark: Option<&Mark>,
    origin: Origin,
    now: Timestamp,
) -> Result<Opened, FleetError> {
    if document.len() > LARGEST_HEAD {
        return Err(FleetError::Form(HeadError::TooLong));
    }
    let (text, _) = signed::split(document).map_err(FleetError::Document)?;
    let at = match origin {
        Origin::Store => now,
        // Not yet believed: it says which of the signers' periods is asked for, and they must have signed it.
        Origin::Copy => Head::parse(text).map_err(FleetError::Form)?.issued,
    };
    let (text, signers) =
        signed::verify_document(trusted.signers, Purpose::Head, document, at, trusted.signatures)
            .map_err(FleetError::Signature)?;
    let head = Head::parse(text).map_err(FleetError::Form)?;
    let known = Known { fleet: trusted.fleet, epoch: trusted.epoch, mark, origin };
    let standing = known.judge(&head, text, now).map_err(FleetError::Refused)?;
    Ok(Opened { mark: Mark::of(trusted.epoch, &head, text), head, standing, signers })
}

#[cfg(test)]
mod tests;
