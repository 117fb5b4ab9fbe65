//! Certificates: whether one counts on this host, and which person its holder is.
//!
//! `authkeys --principals`, which sshd asks before it lets somebody in, and the session hook, which decides once it has,
//! ask here, so that they cannot disagree.

use policy::{CertificateFault, Principal, Revocation, Rules, Timestamp};
use store::keys::{KeyCopy, KeyOwner};
use store::{Certificate, StoreError};

use crate::HostState;

impl HostState {
    /// Why `certificate` counts for nobody on this host, if so.
    ///
    /// # Errors
    /// The configuration cannot be read: it is not known who may sign certificates.
    pub fn certificate_fault(
        &self,
        certificate: &Certificate,
        now: Timestamp,
    ) -> crate::Known<Option<CertificateFault>> {
        let config = self.config().map_err(std::rc::Rc::clone)?;
        let reached = host::clock::reached([&config.paths.roster, &config.paths.keys], now);
        Ok(config.rules.certificate_fault(&of(certificate), now, reached))
    }

    /// The revocation of the certified key, or of the one that signed it, that holds at `now`; as far as it is known who is
    /// revoked.
    pub fn revoked_certificate(&self, certificate: &Certificate, now: Timestamp) -> Option<Revocation> {
        let keys = [certificate.key(), certificate.authority()].map(store::PublicKey::sha256);
        self.revoked().ok()?.any_key(keys, now)
    }
}

/// Who holds `certificate`, which counts: of its principals the one whom the directory knows, by the same rule as the owner of
/// a key. What names two people who may become root is nobody's, and so is what is certified of a key that is a program's.
/// Principals that are no names of people are passed over.
///
/// # Errors
/// What is read of the copy is damaged.
pub fn holder(rules: &Rules, copy: &KeyCopy, certificate: &Certificate) -> Result<KeyOwner, StoreError> {
    let is_programs = |key: &store::PublicKey| rules.automation(&key.sha256()).is_some();
    if is_programs(certificate.key()) || is_programs(certificate.authority()) {
        return Ok(KeyOwner::Nobody);
    }
    copy.one_of(&people(certificate))
}

/// The principals of `certificate` that have the form of a person's name, each once.
pub fn people(certificate: &Certificate) -> Vec<Principal> {
    let mut people = Vec::new();
    for person in certificate.principals().iter().filter_map(|name| Principal::new(name).ok()) {
        if !people.contains(&person) {
            people.push(person);
        }
    }
    people
}

/// What decides whether it counts.
fn of(certificate: &Certificate) -> policy::Certificate {
    let instant = |seconds| i64::try_from(seconds).map_or(Timestamp::MAX, Timestamp::from_unix);
    let (start, end) = certificate.period();
    policy::Certificate {
        authority: certificate.authority().sha256(),
        is_of_user: certificate.is_of_user(),
        has_unknown_option: certificate.has_unknown_option(),
        start: instant(start),
        end: instant(end),
    }
}
