//! Certificates of users: does one count here, whoever it names?
//!
//! sshd has verified the signature, and that it trusts the authority, before anybody asks; nothing of that is done
//! again. What is asked here is what the administrator of the rota says beside sshd's configuration: which
//! authorities count. And what sshd judges too, but by a clock that may have been set back.

use alloc::string::String;

use crate::{Digest, Reason, Rules, Timestamp};

/// One of `certificate_authorities`: a key whose certificates count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateAuthority {
    /// The key, `TYPE BASE64`.
    pub key: String,
    /// Its SHA-256.
    pub digest: Digest,
}

/// What a certificate says of itself, as far as that decides whether it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate {
    /// The key that signed it.
    pub authority: Digest,
    /// Is it a user's, and no host's?
    pub is_of_user: bool,
    /// Has it a critical option that this release does not know? Such a certificate says that it means nothing to
    /// whoever does not (OpenSSH's PROTOCOL.certkeys).
    pub has_unknown_option: bool,
    /// The first instant at which it counts.
    pub start: Timestamp,
    /// The first instant at which it does not any more; [`Timestamp::MAX`]: it has no end.
    pub end: Timestamp,
}

/// Why a certificate counts for nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFault {
    /// It is no user's, has an option that is not known, or is in a form that is not read.
    Unusable,
    /// `certificate_authorities` does not list who signed it.
    Authority,
    /// Its time has not come, or is over.
    Period,
}

impl From<CertificateFault> for Reason {
    fn from(fault: CertificateFault) -> Self {
        match fault {
            CertificateFault::Unusable => Self::CertificateUnusable,
            CertificateFault::Authority => Self::CertificateAuthority,
            CertificateFault::Period => Self::CertificatePeriod,
        }
    }
}

impl Rules {
    /// Why `certificate` counts for nobody, if so. `now` is what the clock shows, and `reached` the least that is
    /// proven of the time: a clock that was set back brings no certificate back.
    pub fn certificate_fault(
        &self,
        certificate: &Certificate,
        now: Timestamp,
        reached: Timestamp,
    ) -> Option<CertificateFault> {
        let Certificate { authority, is_of_user, has_unknown_option, start, end } = certificate;
        // Whose word it is comes first: of what a stranger has signed nothing else is of interest.
        if !self.certificate_authorities.iter().any(|listed| listed.digest == *authority) {
            return Some(CertificateFault::Authority);
        }
        if !is_of_user || *has_unknown_option {
            return Some(CertificateFault::Unusable);
        }
        let is_over = *end != Timestamp::MAX && *end <= now.max(reached);
        (is_over || now < *start).then_some(CertificateFault::Period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

    fn good() -> Certificate {
        Certificate {
            authority: [7; 32],
            is_of_user: true,
            has_unknown_option: false,
            start: NOW,
            end: NOW.plus(crate::Span::hours(1)),
        }
    }

    fn fault(certificate: Certificate, now: Timestamp, reached: Timestamp) -> Option<CertificateFault> {
        let listed = CertificateAuthority { key: String::new(), digest: [7; 32] };
        let rules = Rules { certificate_authorities: vec![listed], ..Rules::compiled() };
        rules.certificate_fault(&certificate, now, reached)
    }

    #[test]
    fn only_a_users_certificate_of_a_listed_authority_counts_within_its_period() {
        let (end, second) = (good().end, crate::Span::seconds(1));
        assert_eq!(fault(good(), NOW, NOW), None);
        assert_eq!(fault(good(), end.minus(second), NOW), None);
        for (certificate, now, reached, expected) in [
            (Certificate { authority: [8; 32], ..good() }, NOW, NOW, CertificateFault::Authority),
            (Certificate { is_of_user: false, ..good() }, NOW, NOW, CertificateFault::Unusable),
            (Certificate { has_unknown_option: true, ..good() }, NOW, NOW, CertificateFault::Unusable),
            (good(), end, NOW, CertificateFault::Period),
            (good(), NOW.minus(second), NOW, CertificateFault::Period),
            // The clock was set back, and it is proven that the end has come.
            (good(), NOW, end, CertificateFault::Period),
            // A window that is empty, or ends before it starts.
            (Certificate { end: NOW, ..good() }, NOW, NOW, CertificateFault::Period),
            (Certificate { start: end, end: NOW, ..good() }, NOW, NOW, CertificateFault::Period),
            (
                Certificate { authority: [8; 32], is_of_user: false, ..good() },
                NOW,
                NOW,
                CertificateFault::Authority,
            ),
        ] {
            assert_eq!(fault(certificate, now, reached), Some(expected), "{certificate:?}");
        }
        let endless = Certificate { end: Timestamp::MAX, ..good() };
        assert_eq!(fault(endless, Timestamp::MAX, NOW), None);
        assert_eq!(
            Rules::compiled().certificate_fault(&good(), NOW, NOW),
            Some(CertificateFault::Authority),
            "without a configuration no authority counts"
        );
    }

    #[test]
    fn each_fault_is_a_reason_of_its_own() {
        let all = [CertificateFault::Unusable, CertificateFault::Authority, CertificateFault::Period];
        let reasons = all.map(|fault| Reason::from(fault).token());
        assert_eq!(reasons, ["certificate-unusable", "certificate-authority", "certificate-period"]);
    }
}
