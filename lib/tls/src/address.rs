//! Comparing a certificate with an IPv6 address.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, VerifierBuilderError, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::Authorities;

/// What a library has to call a server whose certificate is compared with an address: a name that does not exist.
pub const CALLED: &str = "ipv6.invalid";

/// Makes `config` compare the server's certificate with `address`, whatever name it is called by. `None` where
/// `authorities` holds nobody.
///
/// ldap3 takes the name to compare from a URL, where such an address has brackets round it, and rustls
/// takes that for no name at all. So ldap3 is given [`CALLED`], and the comparison with the
/// address happens here; everything else about the certificate is judged as ever.
pub fn compare_address(
    config: &mut ClientConfig,
    authorities: &Authorities,
    address: Ipv6Addr,
) -> Option<()> {
    let verifier = Literal::new(address, authorities).ok()?;
    config.dangerous().set_certificate_verifier(Arc::new(verifier));
    config.enable_sni = false;
    // What is remembered of a session is filed under the name, which all addresses share here.
    config.resumption = Resumption::disabled();
    Some(())
}

#[derive(Debug)]
struct Literal {
    address: ServerName<'static>,
    usual: Arc<WebPkiServerVerifier>,
}

impl Literal {
    fn new(address: Ipv6Addr, authorities: &Authorities) -> Result<Self, VerifierBuilderError> {
        let usual =
            WebPkiServerVerifier::builder_with_provider(authorities.0.clone(), super::ring()).build()?;
        Ok(Self { address: ServerName::from(IpAddr::V6(address)), usual })
    }
}

impl ServerCertVerifier for Literal {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _called: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.usual.verify_server_cert(certificate, intermediates, &self.address, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}
