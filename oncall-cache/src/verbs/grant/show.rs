//! `grant show`: a grant in words, and who has signed it so far.

use std::path::Path;

use grant::{Document, Grant, may_be_signed};
use key::PublicKey;
use policy::Timestamp;
use signed::{Purpose, SignatureError, Signers, signing_key, verify};

use super::words::{row, words};
use super::{Failure, document, read, read_file};
use crate::cli::grant::ShowArguments;
use crate::said::{Live, Said};

/// Shows it.
pub fn run(arguments: &ShowArguments, live: Live<'_>, now: Timestamp) -> Result<Said, Failure> {
    let mut notes = Vec::new();
    let signers = match &arguments.signers {
        Some(file) => Some(signers(file, &mut notes)?),
        None => None,
    };
    let bytes = read(arguments.file.as_deref(), live)?;
    let document = document(&bytes)?;
    let signatures = signatures(&document, signers.as_ref(), now);
    let mut lines = words(&document.grant, now);
    lines.extend(signatures.iter().zip(0..).map(|(signature, at)| {
        let heading = if at == 0 { "signed by" } else { "" };
        row(heading, signature.words())
    }));
    if signatures.is_empty() {
        lines.push(row("signed by", "nobody yet"));
    } else if signers.is_none() {
        notes.push("whose these keys are is told by --signers FILE".to_string());
    }
    let is_well = signatures.iter().all(Signature::counts) && may_be_signed(&document.grant, now).is_ok();
    Ok(Said::text(lines.join("\n")).notes(notes).exit(u8::from(!is_well)))
}

/// Those of the file who may sign; a line that lets nobody sign is noted.
fn signers(file: &Path, notes: &mut Vec<String>) -> Result<Signers, Failure> {
    let (signers, dead) = Signers::parse(&read_file(file, Signers::LARGEST as u64)?);
    notes.extend(dead.iter().map(|dead| {
        format!("{}:{}: nobody signs by this line: {}", file.display(), dead.line, dead.problem)
    }));
    Ok(signers)
}

/// A signature below the text.
enum Signature {
    /// One that could count: whose it is, by a list, and by which key.
    Good(Option<String>, PublicKey),
    /// One by the person whom the grant is for: it lets in where a rule of the host takes break-glass, and nowhere else.
    Own(PublicKey),
    /// One by a key that has signed it above: people are counted, and each once.
    Again(PublicKey),
    /// One that counts for nobody.
    Wrong(SignatureError),
}

/// What each signature is, in their order.
fn signatures(document: &Document<'_>, signers: Option<&Signers>, now: Timestamp) -> Vec<Signature> {
    let mut keys = Vec::new();
    let mut judge = |armour| {
        let (name, key) = match signers {
            Some(signers) => {
                let signer = verify(signers, Purpose::Grant, document.text, armour, now)?;
                (Some(signer.name.clone()), signer.key.clone())
            }
            None => (None, signing_key(Purpose::Grant, document.text, armour)?),
        };
        if is_own(&document.grant, name.as_deref(), &key) {
            return Ok(Signature::Own(key));
        }
        if keys.contains(&key) {
            return Ok(Signature::Again(key));
        }
        keys.push(key.clone());
        Ok(Signature::Good(name, key))
    };
    document.armours.iter().map(|armour| judge(armour).unwrap_or_else(Signature::Wrong)).collect()
}

/// That of the person it is for is no approval.
fn is_own(grant: &Grant, name: Option<&str>, key: &PublicKey) -> bool {
    name == Some(grant.person.as_str()) || grant.key.as_ref() == Some(key)
}

impl Signature {
    fn counts(&self) -> bool {
        matches!(self, Self::Good(..))
    }

    fn words(&self) -> String {
        match self {
            Self::Good(Some(name), key) => format!("{name}, {}", key.fingerprint()),
            Self::Good(None, key) => key.fingerprint(),
            Self::Own(key) => {
                format!("{}, who is the person it is for: counts by break-glass alone", key.fingerprint())
            }
            Self::Again(key) => format!("{} once more: does not count", key.fingerprint()),
            Self::Wrong(error) => format!("nobody who counts: {error}"),
        }
    }
}
