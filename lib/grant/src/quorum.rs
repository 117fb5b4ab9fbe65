//! Whose signatures there are, and whether they are enough: people are counted, not keys.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use policy::revocations::Subject;
use policy::{Digest, GrantRule, Principal, Timestamp};
use signed::{MOST_SIGNATURES, SignatureError};

use crate::{Grant, Known, Refusal};

/// A signature that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Whose it is.
    pub person: Principal,
    /// By which of their keys.
    pub key: Digest,
}

impl Approval {
    /// What of it is revoked, if something is: the approver or the key.
    pub(crate) fn revoked(&self, known: &Known<'_>, now: Timestamp) -> Option<Subject> {
        if known.revoked.names(&self.person, now) {
            return Some(Subject::Person(self.person.clone()));
        }
        known.revoked.key(&self.key, now).map(|_| Subject::Key(self.key))
    }
}

/// So many people are behind these.
pub(crate) fn people<'a>(approvals: impl Iterator<Item = &'a Approval>) -> usize {
    approvals.map(|approval| &approval.person).collect::<BTreeSet<_>>().len()
}

/// Whose a signature by a certain key is.
enum Voice {
    /// An approver's, and theirs alone among approvers.
    Approver(Principal),
    /// The beneficiary's own, whoever else has the key.
    Own,
    /// That of somebody who is no approver, or of one of several.
    Other,
    /// Nobody is known to have the key.
    Unknown,
}

/// A signature is an approver's if exactly one approver has the key, and the beneficiary has it not. Others who have it
/// change nothing: anybody could write it into his own entry.
fn voice(grant: &Grant, known: &Known<'_>, rule: &GrantRule, key: &Digest) -> Voice {
    let is_named = grant.key.as_ref().is_some_and(|own| own.sha256() == *key);
    if is_named || known.holders.has(&grant.person, key) {
        return Voice::Own;
    }
    let mut approvers = known.holders.of_key(key).filter(|person| rule.approvers.contains(person));
    match (approvers.next(), approvers.next()) {
        (Some(approver), None) => Voice::Approver(approver.clone()),
        (None, _) if known.holders.of_key(key).next().is_none() => Voice::Unknown,
        _ => Voice::Other,
    }
}

/// The approvals of a grant by this rule, if they are enough; by a break-glass rule the signature of the person themselves. A signature that does not count is passed over, as long as there are
/// enough others.
pub(crate) fn approvals(
    grant: &Grant,
    known: &Known<'_>,
    rule: &GrantRule,
    signatures: impl Iterator<Item = Result<Digest, SignatureError>>,
    now: Timestamp,
) -> Result<Vec<Approval>, Refusal> {
    let (mut approvals, mut is_own, mut problem) = (Vec::new(), false, None);
    let is_broken = rule.is_break_glass();
    for signature in signatures.take(MOST_SIGNATURES) {
        match signature.map(|key| (key, voice(grant, known, rule, &key))) {
            Ok((key, Voice::Own)) if is_broken => {
                approvals.push(Approval { person: grant.person.clone(), key });
            }
            Ok((key, Voice::Approver(person))) if !is_broken => approvals.push(Approval { person, key }),
            Ok((_, Voice::Own)) => is_own = true,
            Ok((_, Voice::Approver(_) | Voice::Other)) => {}
            Ok((key, Voice::Unknown)) => {
                problem.get_or_insert_with(|| SignatureError::UnknownKey(key::fingerprint(key)));
            }
            Err(error) => _ = problem.get_or_insert(error),
        }
    }
    approvals.retain(|approval: &Approval| approval.revoked(known, now).is_none());
    let (people, wanted) = (people(approvals.iter()), rule.quorum.people());
    match problem {
        _ if people >= wanted => Ok(approvals),
        _ if is_own => Err(Refusal::Own(grant.person.clone())),
        Some(problem) => Err(Refusal::Signature(problem)),
        None if is_broken => Err(Refusal::NotOwn(grant.person.clone())),
        None => Err(Refusal::Quorum { people, wanted }),
    }
}
