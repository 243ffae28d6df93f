//! Judging a server's certificate, with reasons for people.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::certificate::{Described, Validity, span};
use super::store;

/// Accepts what chains to a known authority, or is itself among the certificates named as such.
#[derive(Debug)]
pub(super) struct Strict {
    chain: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl Strict {
    pub(super) fn new(
        roots: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, rustls::server::VerifierBuilderError> {
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(store(&roots)), provider).build()?;
        Ok(Self { chain, named: roots })
    }

    fn names(&self, leaf: &CertificateDer<'_>) -> bool {
        self.named.iter().any(|named| named == leaf)
    }
}

/// Judges a certificate that is trusted as such: only its time and its name are left to look at.
///
/// A server's own certificate may be given as its authority, as is usual for one that is
/// self-signed. If it is marked as an authority too, the rules for chains refuse it.
fn check_named(leaf: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
    let validity = Validity::of(leaf).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < validity.from {
        return Err(Error::InvalidCertificate(CertificateError::NotValidYet));
    }
    if now > validity.until {
        return Err(Error::InvalidCertificate(CertificateError::Expired));
    }
    verify_server_name(&ParsedCertificate::try_from(leaf)?, name)
}

impl ServerCertVerifier for Strict {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut judged = self.chain.verify_server_cert(leaf, intermediates, name, ocsp, now);
        if judged.is_err() && self.names(leaf) {
            judged = check_named(leaf, name, now).map(|()| ServerCertVerified::assertion());
        }
        let why = match judged {
            Err(Error::InvalidCertificate(why)) => why,
            other => return other,
        };
        let refused = Refused::new(&why, leaf, name, now);
        Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused)))))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// Accepts any certificate; the server must still own its key.
#[derive(Debug)]
pub(super) struct AnyCertificate(WebPkiSupportedAlgorithms);

impl AnyCertificate {
    pub(super) const fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Why a certificate was refused, in one sentence.
#[derive(Debug)]
pub(super) struct Refused {
    reason: String,
    pub(super) validity: Option<Validity>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// Finds it in the error of a handshake.
    pub(super) fn within(error: &Error) -> Option<&Self> {
        let Error::InvalidCertificate(CertificateError::Other(other)) = error else { return None };
        other.0.downcast_ref()
    }

    fn new(why: &CertificateError, leaf: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Self {
        let described = Described::of(leaf);
        let validity = described.as_ref().and_then(|described| described.validity);
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let reason = match (why, &described) {
            (CertificateError::Expired | CertificateError::ExpiredContext { .. }, Some(_)) => validity
                .map_or_else(
                    || "the certificate has expired".to_owned(),
                    |validity| {
                        let ago = span(validity.until, now);
                        format!("the certificate expired {ago} ago ({})", date(validity.until))
                    },
                ),
            (CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }, Some(_)) => {
                let from = validity.map_or_else(String::new, |validity| date(validity.from));
                format!("the certificate is not valid before {from}")
            }
            (CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }, _) => {
                let names = names(leaf);
                format!("the certificate is for {names}, not for {}", name.to_str())
            }
            (_, Some(described)) if described.self_signed => {
                format!("the certificate is self-signed ({})", described.issuer)
            }
            (CertificateError::UnknownIssuer, Some(described)) => {
                format!("the certificate's issuer is not a known authority ({})", described.issuer)
            }
            (other, _) => format!("the certificate is not acceptable: {other}"),
        };
        Self { reason, validity }
    }
}

/// The names a certificate is for, at most three of them.
fn names(leaf: &CertificateDer<'_>) -> String {
    use x509_cert::Certificate;
    use x509_cert::der::Decode as _;
    use x509_cert::ext::pkix::SubjectAltName;
    use x509_cert::ext::pkix::name::GeneralName;

    let Ok(certificate) = Certificate::from_der(leaf) else { return "other names".to_owned() };
    let Ok(Some((_critical, alternatives))) = certificate.tbs_certificate().get_extension::<SubjectAltName>()
    else {
        return "no host (it has no subject alternative names)".to_owned();
    };
    let shown = |name: &GeneralName| match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string());
            v4.or_else(|_other| <[u8; 16]>::try_from(bytes).map(|b| std::net::IpAddr::from(b).to_string()))
                .ok()
        }
        _ => None,
    };
    let all: Vec<String> = alternatives.0.iter().filter_map(shown).collect();
    match all.len() {
        0 => "no host".to_owned(),
        1..=3 => all.join(", "),
        more => format!(
            "{} and {} more names",
            all.iter().take(3).cloned().collect::<Vec<_>>().join(", "),
            more - 3
        ),
    }
}

fn date(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_far| format!("@{seconds}"), |at| at.to_string())
}
