//! What somebody logged in with over ssh, as sshd tells it: keys and certificates.
//!
//! sshd has verified every signature before it tells, that of a certificate's authority too, and of that authority that its
//! own configuration trusts it. None of it is done again; whether such an authority counts here is the policy's to say.

use policy::Digest;
use store::{Certificate, CertificateProblem, PublicKey};

/// One of the things that opened a session.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A key.
    Key(PublicKey),
    /// A key with a certificate.
    Certificate(Box<Certificate>),
    /// What sshd calls a certificate, and what is none here for this reason.
    NoCertificate(CertificateProblem),
}

impl Credential {
    /// Those in sshd's account of how the user authenticated: lines of `publickey TYPE BASE64`, among lines for other
    /// methods. None at all if one of them is neither a key nor called a certificate: then the others are not the whole truth.
    /// sshd ends each line, and pam_env cannot: where that comes before us and reads ~/.pam_environment (Debian's does), no
    /// user can say what it was.
    pub fn all(authentication: &str) -> Vec<Self> {
        let credential = |line: &str| {
            let mut words = line.split(' ').skip(1);
            let (kind, body, None) = (words.next()?, words.next()?, words.next()) else { return None };
            if Certificate::is_type(kind) {
                let read = Certificate::parse_words(kind, body).map(Box::new);
                return Some(read.map_or_else(Self::NoCertificate, Self::Certificate));
            }
            PublicKey::parse_words(kind, body).ok().map(Self::Key)
        };
        let whole = if authentication.ends_with('\n') { authentication } else { "" };
        let lines = whole.lines().filter(|line| line.split(' ').next() == Some("publickey"));
        lines.map(credential).collect::<Option<Vec<_>>>().unwrap_or_default()
    }

    /// The key whose private half was shown.
    pub fn key(&self) -> Option<&PublicKey> {
        match self {
            Self::Key(key) => Some(key),
            Self::Certificate(certificate) => Some(certificate.key()),
            Self::NoCertificate(_) => None,
        }
    }

    /// The key, where it came without a certificate.
    pub fn plain_key(&self) -> Option<&PublicKey> {
        if let Self::Key(key) = self { Some(key) } else { None }
    }

    /// The certificate.
    pub fn certificate(&self) -> Option<&Certificate> {
        if let Self::Certificate(certificate) = self { Some(certificate) } else { None }
    }

    /// Why what sshd calls a certificate is none here.
    pub fn problem(&self) -> Option<CertificateProblem> {
        if let Self::NoCertificate(problem) = self { Some(*problem) } else { None }
    }

    /// All keys that speak for the user: the own one, and the one that signed its certificate.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        let authority = self.certificate().map(Certificate::authority);
        self.key().into_iter().chain(authority).map(PublicKey::sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";

    fn certificate() -> String {
        let made = made_keys::Certificate {
            key: KEY,
            authority: &made_keys::numbered(1),
            kind: 1,
            serial: 1,
            id: b"id",
            principals: &["alice"],
            period: (0, u64::MAX),
            options: &[],
        };
        let (kind, blob) = made.words();
        format!("{kind} {blob}")
    }

    #[test]
    fn only_whole_publickey_lines_are_keys() {
        assert_eq!(Credential::all(&format!("publickey {KEY}\n")).len(), 1);
        assert_eq!(Credential::all(&format!("password\npublickey {KEY}\n")).len(), 1);
        for other in [
            "",
            "password\n",
            "publickey\n",
            "publickey ssh-ed25519 SHA256:abc\n",
            &format!("hostbased {KEY}\n"),
            // Beside what is neither key nor certificate, a key is not the whole truth.
            &format!("publickey {KEY}\npublickey ssh-dss AAAA\n"),
            &format!("publickey\npublickey {KEY}\n"),
            // As pam_env could make it.
            &format!("publickey {KEY}"),
            &format!("publickey {KEY} publickey {KEY}\n"),
            &format!("publickey {KEY}\npublickey {KEY}"),
            &format!("publickey {}", certificate()),
        ] {
            assert_eq!(Credential::all(other).len(), 0, "{other}");
        }
    }

    #[test]
    fn a108_a_certificate_is_no_key_and_what_is_only_called_one_is_not_passed_over() {
        let one = Credential::all(&format!("publickey {}\n", certificate()));
        let [one] = one.as_slice() else { panic!("{one:?}") };
        assert_eq!(one.key().map(PublicKey::line).as_deref(), Some(KEY));
        assert!(one.plain_key().is_none());
        assert_eq!(one.certificate().map(|read| read.principals().to_vec()), Some(vec!["alice".to_string()]));
        assert_eq!(one.digests().count(), 2, "the authority's too");
        let both = Credential::all(&format!(
            "publickey {KEY}\npublickey ssh-ed25519-cert-v01@openssh.com AAAA\npublickey {}\n",
            certificate()
        ));
        assert!(
            matches!(
                both.as_slice(),
                [Credential::Key(_), Credential::NoCertificate(_), Credential::Certificate(_)]
            ),
            "{both:?}"
        );
        // What was cut has no end of line.
        let cut = format!("publickey {}", certificate());
        assert!(Credential::all(&cut[..cut.len() - 9]).is_empty());
    }
}
