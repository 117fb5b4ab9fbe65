//! Whom this suite trusts on a network: the authorities in a file of root's and no others, by TLS 1.2 or 1.3, with
//! ring as the only cryptography.
//!
//! The LDAP and the HTTP client both build on it, so a rule about certificates holds for both. No environment variable
//! and no store of the system's is asked.

#![forbid(unsafe_code)]

mod address;
mod aside;
mod sent;
mod stream;

use std::error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use trust::{Owner, Refusal};

pub use address::{CALLED, compare_address};
pub use aside::{AsideError, ResolveError, aside, resolve};
pub use rustls::{AlertDescription, CertificateError, ClientConfig, Error};
pub use sent::{send, send_datagram};
pub use stream::{Stream, connect, finish, secure};

/// The largest file of certificates; Debian's bundle is a fifth of a megabyte.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;

/// Those who may vouch for a server.
#[derive(Debug, Clone)]
pub struct Authorities(Arc<RootCertStore>);

/// Why a file of certificates is of no use.
#[derive(Debug)]
pub enum CertificatesError {
    /// It is absent, unreadable, or others could have written it.
    File(Refusal),
    /// It is not PEM; why.
    NotPem(PathBuf, String),
    /// There is no certificate in it that could be used.
    Empty(PathBuf),
}

impl fmt::Display for CertificatesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(refusal) => refusal.fmt(f),
            Self::NotPem(path, why) => write!(f, "{}: {why}", path.display()),
            Self::Empty(path) => write!(f, "{}: holds no certificate in PEM", path.display()),
        }
    }
}

impl error::Error for CertificatesError {}

impl Authorities {
    /// Nobody: for where no server has TLS.
    pub fn none() -> Self {
        Self(Arc::new(RootCertStore::empty()))
    }

    /// Those in `file`. A system's bundle may hold a root too odd for webpki; the others still count.
    ///
    /// # Errors
    /// Why the file is not trusted, or that it holds none.
    pub fn read(file: &Path) -> Result<Self, CertificatesError> {
        Self::parse(file, &read_pem(file)?)
    }

    fn parse(file: &Path, pem: &[u8]) -> Result<Self, CertificatesError> {
        let mut authorities = RootCertStore::empty();
        match authorities.add_parsable_certificates(certificates(file, pem)?) {
            (0, _) => Err(CertificatesError::Empty(file.to_path_buf())),
            _ => Ok(Self(Arc::new(authorities))),
        }
    }
}

fn read_pem(file: &Path) -> Result<Vec<u8>, CertificatesError> {
    trust::read(file, Owner::Root, LARGEST_FILE).map_err(CertificatesError::File)
}

/// The certificates in `pem`, the content of `file`; at least one.
fn certificates(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificatesError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CertificatesError::NotPem(file.to_path_buf(), error.to_string()))?;
    if certificates.is_empty() { Err(CertificatesError::Empty(file.to_path_buf())) } else { Ok(certificates) }
}

/// A certificate of this host and the key to it, for servers that ask for one.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Why this host has no certificate to show.
#[derive(Debug)]
pub enum IdentityError {
    /// The file of the certificate is of no use.
    Certificate(CertificatesError),
    /// There is no private key in PEM.
    NoKey,
}

impl Identity {
    /// The certificate in `file`, and `key`, in PEM.
    ///
    /// # Errors
    /// What is missing.
    pub fn read(file: &Path, key: &[u8]) -> Result<Self, IdentityError> {
        let chain =
            read_pem(file).and_then(|pem| certificates(file, &pem)).map_err(IdentityError::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| IdentityError::NoKey)?;
        Ok(Self { chain, key })
    }
}

/// TLS that trusts `authorities` and no others, and shows `identity` to a server that asks.
///
/// # Errors
/// That certificate and key do not belong together, or are of a kind that ring does not know.
pub fn client(authorities: &Authorities, identity: Option<Identity>) -> Result<ClientConfig, Error> {
    let config = ClientConfig::builder_with_provider(ring())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(authorities.0.clone());
    match identity {
        Some(Identity { chain, key }) => config.with_client_auth_cert(chain, key),
        None => Ok(config.with_no_client_auth()),
    }
}

/// The only cryptography here. It is handed over each time: a default of the process could be another one.
fn ring() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Random bytes, if this host has some.
pub fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    ring().secure_random.fill(&mut bytes).ok().map(|()| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_come_from_a_trusted_pem_file_that_holds_some() {
        let file = Path::new("/nonexistent/ca.pem");
        let missing = Authorities::read(file).unwrap_err();
        assert!(matches!(&missing, CertificatesError::File(refusal) if refusal.is_missing()), "{missing}");
        let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for none in ["", "some text\n", odd] {
            let error = Authorities::parse(file, none.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), "/nonexistent/ca.pem: holds no certificate in PEM");
        }
        let torn = Authorities::parse(file, b"-----BEGIN CERTIFICATE-----\nAA\n").unwrap_err();
        assert!(matches!(torn, CertificatesError::NotPem(..)), "{torn}");
    }

    #[test]
    fn without_authorities_a_client_believes_nobody_and_no_address() {
        let nobody = Authorities::none();
        let mut config = client(&nobody, None).unwrap();
        assert_eq!(compare_address(&mut config, &nobody, "::1".parse().unwrap()), None);
    }
}
