//! TLS to targets: one client configuration for each distinct profile, made when it is first
//! needed and again when one of its files has changed.

mod certificate;
mod verify;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use lictor_config::Tls;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(super) use certificate::Validity;
use verify::{AnyCertificate, Refused, Strict};

use super::fault::{Fault, Plain};
use crate::Tasks;

/// The client configurations in use. There are few: one for each distinct `tls` block.
#[derive(Debug)]
pub(super) struct Profiles {
    tasks: Tasks,
    known: Mutex<Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    profile: Tls,
    stamps: Vec<Stamp>,
    config: Arc<ClientConfig>,
}

/// What a file looked like when it was read.
type Stamp = Option<(SystemTime, u64)>;

/// A finished handshake.
#[derive(Debug)]
pub(super) struct Secured {
    pub(super) stream: TlsStream<TcpStream>,
    /// Of the server's own certificate; `None` when it cannot be read.
    pub(super) validity: Option<Validity>,
}

/// A handshake that failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) fault: Fault,
    /// Of the certificate that was refused.
    pub(super) validity: Option<Validity>,
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self { fault, validity: None }
    }
}

impl Profiles {
    pub(super) fn new(tasks: Tasks) -> Self {
        Self { tasks, known: Mutex::default() }
    }

    /// Does a handshake with `host` over `tcp`.
    pub(super) async fn secure(&self, profile: &Tls, host: &str, tcp: TcpStream) -> Result<Secured, Failed> {
        let config = self.config(profile).await?;
        let name = profile.server_name.as_deref().unwrap_or(host);
        let server = ServerName::try_from(name.to_owned()).map_err(|_invalid| {
            Fault::unknown(format!("`{name}` is not a name that a certificate can have"))
        })?;
        let peer = tcp.peer_addr().map_or_else(|_unknown| host.to_owned(), |address| address.to_string());
        match TlsConnector::from(config).connect(server, tcp).await {
            Ok(stream) => {
                let (_tcp, session) = stream.get_ref();
                let leaf = session.peer_certificates().and_then(<[_]>::first);
                let validity = leaf.and_then(|der| Validity::of(der));
                Ok(Secured { stream, validity })
            }
            Err(error) => Err(explain(&peer, &error)),
        }
    }

    /// The configuration of a profile. Reading files may take its time, so that is done elsewhere.
    async fn config(&self, profile: &Tls) -> Result<Arc<ClientConfig>, Fault> {
        let stamps = stamps(profile);
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let found = known.iter().find(|known| known.profile == *profile && known.stamps == stamps);
            if let Some(found) = found {
                return Ok(Arc::clone(&found.config));
            }
        }
        let wanted = profile.clone();
        let built = self.tasks.on_thread("tls", move || build(&wanted));
        let built = built.map_err(|error| Fault::io("cannot read certificates", &error))?;
        let lost = |_lost| Err(Fault::unknown("reading certificates was given up"));
        let config = Arc::new(built.await.unwrap_or_else(lost)?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| known.profile != *profile);
        known.push(Known { profile: profile.clone(), stamps, config: Arc::clone(&config) });
        Ok(config)
    }
}

fn stamps(profile: &Tls) -> Vec<Stamp> {
    let files = [&profile.ca_file, &profile.cert_file, &profile.key_file];
    let stamp = |path: &PathBuf| {
        let meta = fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    files.into_iter().flatten().map(stamp).collect()
}

fn build(profile: &Tls) -> Result<ClientConfig, Fault> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::unknown(format!("no TLS version is usable: {error}")))?;
    let builder = if profile.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate::new(&provider)))
    } else {
        let roots = match &profile.ca_file {
            Some(path) => certificates(path)?,
            None => system_roots()?,
        };
        let strict = Strict::new(roots, provider).map_err(|error| {
            let from =
                profile.ca_file.as_ref().map_or("the system".into(), |path| path.display().to_string());
            Fault::unknown(format!("no usable CA certificate in {from}: {error}"))
        })?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(strict))
    };
    let mut config = match (&profile.cert_file, &profile.key_file) {
        (Some(cert), key) => {
            let chain = certificates(cert)?;
            let key = private_key(key.as_ref().unwrap_or(cert))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                Fault::unknown(format!("cannot use the certificate in `{}`: {error}", cert.display()))
            })?
        }
        (None, _) => builder.with_no_client_auth(),
    };
    // A resumed session shows the certificate of the session it resumes, not the present one.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = Vec::new();
    Ok(config)
}

fn system_roots() -> Result<Vec<CertificateDer<'static>>, Fault> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
        return Err(Fault::unknown(format!("cannot read the system's CA certificates: {why}")));
    }
    Ok(found.certs)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Fault::unknown(format!("`{}` has no certificate in PEM form", path.display()))),
        Err(error) => Err(Fault::unknown(format!("cannot read `{}`: {error}", path.display()))),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|error| Fault::unknown(format!("cannot read the key in `{}`: {error}", path.display())))
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    fs::read(path)
        .map_err(|error| Fault::unknown(format!("cannot read `{}`: {}", path.display(), Plain(&error))))
}

/// Secures a connection that is no watcher's.
///
/// # Errors
/// In words.
pub(crate) async fn secured(
    tasks: &Tasks,
    profile: &Tls,
    host: &str,
    tcp: TcpStream,
) -> Result<TlsStream<TcpStream>, String> {
    let secured = Profiles::new(tasks.clone()).secure(profile, host, tcp).await;
    secured.map(|secured| secured.stream).map_err(|failed| failed.fault.message)
}

/// What the peer said when it ended a session, in words. With TLS 1.3 it may refuse our
/// certificate only after the handshake.
pub(super) fn alert(error: &io::Error) -> Option<String> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(words(&format!("{alert:?}"))),
        _ => None,
    }
}

/// Says in plain words why a handshake failed.
fn explain(peer: &str, error: &io::Error) -> Failed {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Fault::critical(format!("{peer} closed the connection in the TLS handshake")).into();
        }
        return Fault::io(format_args!("TLS handshake with {peer}"), error).into();
    };
    if let Some(refused) = Refused::within(tls) {
        return Failed { fault: Fault::critical(refused.to_string()), validity: refused.validity };
    }
    if let Some(alert) = alert(error) {
        return Fault::critical(format!("{peer} refused the TLS handshake: {alert}")).into();
    }
    let message = match tls {
        rustls::Error::InvalidMessage(_) => format!("{peer} does not speak TLS"),
        other => format!("TLS handshake with {peer}: {other}"),
    };
    Fault::critical(message).into()
}

/// `HandshakeFailure` as `handshake failure`.
fn words(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for (at, c) in name.char_indices() {
        if c.is_uppercase() && at > 0 {
            text.push(' ');
        }
        text.extend(c.to_lowercase());
    }
    text
}

/// The roots of a list of certificates; those that cannot be used are left out.
fn store(certificates: &[CertificateDer<'static>]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates.iter().cloned());
    store
}
