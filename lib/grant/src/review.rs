//! The review of a break-glass: an approver's signed word on what somebody did who had let themselves in.
//!
//! It names the text that was used by its digest, and not by the name in it alone: that one the beneficiary has chosen, and
//! could choose again.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use policy::{Digest, GrantRule, HostSelector, Principal, Quorum, Timestamp, is_site_name};
use sha2::{Digest as _, Sha256};
use signed::text::Writer;
use signed::{Purpose, SignatureError, Signers, split};

use crate::document::verified;
use crate::quorum::approvals;
use crate::text::{GRANT, PERSON, SITE, fields, instant, is_reason};
use crate::{Approval, Document, GrantError, GrantId, Known, LARGEST_DOCUMENT, Refusal};

/// The form that is written and read; what reads grants alone says that it does not know it.
const FORM: &str = "review 1";

const TEXT: GrantError = GrantError::Value("text", "64 of the digits 0-9 and a-f");
const FINDING: GrantError =
    GrantError::Value("finding", "1 to 120 letters, digits, single blanks and . , : ; ? ! ( ) / + = # % _ -");

/// What an approver says of one use of break-glass. Nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// The name of the grant that was used.
    pub id: GrantId,
    /// SHA-256 of its text, without the signature below it.
    pub text: Digest,
    /// The fleet or site that the grant was for.
    pub site: String,
    /// Who let themselves in.
    pub person: Principal,
    /// What there is to say of it: as the reason of a grant.
    pub finding: String,
    /// When it was written.
    pub issued: Timestamp,
}

impl Review {
    /// What somebody finds at `issued` of the use of this grant.
    pub fn of(document: &Document<'_>, finding: String, issued: Timestamp) -> Self {
        let grant = &document.grant;
        let (id, site, person) = (grant.id, grant.site.clone(), grant.person.clone());
        Self { id, text: Sha256::digest(document.text).into(), site, person, finding, issued }
    }

    /// Reads the text that is signed.
    ///
    /// # Errors
    /// It is not exactly as [`Review::write`] writes a review.
    pub fn parse(text: &[u8]) -> Result<Self, GrantError> {
        let mut fields = fields(text, FORM)?;
        let review = Self {
            id: fields.take("grant")?.parse().map_err(|()| GRANT)?,
            text: hex(fields.take("text")?).ok_or(TEXT)?,
            site: fields.take("fleet")?.to_string(),
            person: Principal::new(fields.take("person")?).map_err(|_| PERSON)?,
            finding: fields.take("finding")?.to_string(),
            issued: Timestamp::parse(fields.take("issued")?).ok_or(instant("issued"))?,
        };
        fields.finish()?;
        // Whatever a value's reader may be lenient about.
        if review.write()?.as_bytes() == text { Ok(review) } else { Err(GrantError::Value("form", FORM)) }
    }

    /// The text that is signed.
    ///
    /// # Errors
    /// No text says this: a value is not what its line may have.
    pub fn write(&self) -> Result<String, GrantError> {
        let holds = |is_so: bool, error| if is_so { Ok(()) } else { Err(error) };
        holds(is_site_name(&self.site), SITE)?;
        holds(self.issued.has_date(), instant("issued"))?;
        holds(is_reason(&self.finding), FINDING)?;
        let text: String = self.text.iter().map(|byte| format!("{byte:02x}")).collect();
        let written = Writer::new()
            .line("form", FORM)
            .line("grant", self.id)
            .line("text", text)
            .line("fleet", &self.site)
            .line("person", &self.person)
            .line("finding", &self.finding)
            .line("issued", self.issued)
            .finish()?;
        Ok(written)
    }
}

/// Sixty-four digits `0-9a-f`.
fn hex(text: &str) -> Option<Digest> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut bytes = [0; 32];
    if pairs.len() != bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// A review with the signatures below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewDocument<'d> {
    /// What it says.
    pub review: Review,
    /// The text that is signed.
    pub signed: &'d [u8],
    /// The signatures in their armours. Not verified.
    armours: Vec<&'d [u8]>,
}

impl<'d> ReviewDocument<'d> {
    /// Does this claim to be a review, of this form or another?
    pub fn is_meant(document: &[u8]) -> bool {
        document.starts_with(b"form: review")
    }

    /// Takes a document apart; each of its bytes belongs to the text or to an armour.
    ///
    /// # Errors
    /// It is not exactly one review, with signatures below it.
    pub fn read(document: &'d [u8]) -> Result<Self, GrantError> {
        if document.len() > LARGEST_DOCUMENT {
            return Err(GrantError::TooLong);
        }
        let (signed, armours) = split(document).map_err(GrantError::Signatures)?;
        Ok(Self { review: Review::parse(signed)?, signed, armours })
    }

    /// The key behind each signature that counts at `at` by a signers file; each is verified when it is asked for.
    pub fn signatures(
        &self,
        signers: &Signers,
        at: Timestamp,
    ) -> impl Iterator<Item = Result<Digest, SignatureError>> {
        verified(&self.armours, self.signed, Purpose::Review, signers, at)
    }
}

/// Judges the review of a use of break-glass whose grant is `used`: it is of that text, and signed by somebody who is an
/// approver in one of the `rules` of this host, and not whom it is about, nor has a key of theirs.
///
/// # Errors
/// What speaks against it.
pub fn judge_review(
    review: &Review,
    used: &Document<'_>,
    known: &Known<'_>,
    rules: &[GrantRule],
    signatures: impl IntoIterator<Item = Result<Digest, SignatureError>>,
    now: Timestamp,
) -> Result<Vec<Approval>, Refusal> {
    if review.site != known.site {
        return Err(Refusal::Site(review.site.clone()));
    }
    let is_of_it = *review
        == Review { finding: review.finding.clone(), ..Review::of(used, String::new(), review.issued) };
    if !is_of_it {
        return Err(Refusal::NotUsed(review.id));
    }
    let here = rules.iter().filter(|rule| rule.covers(known.host));
    let reviewers = GrantRule {
        name: String::new(),
        hosts: Vec::<HostSelector>::new(),
        accounts: [].into(),
        approvers: here.flat_map(|rule| rule.approvers.iter().cloned()).collect(),
        quorum: Quorum::One,
        people: [].into(),
        always: false,
        max: GrantRule::LONGEST,
    };
    approvals(&used.grant, known, &reviewers, signatures.into_iter(), now)
}
