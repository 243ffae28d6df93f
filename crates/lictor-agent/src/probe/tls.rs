//! TLS of the listener, with certificates of clients if they are asked for.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use lictor_config::ProbeTls;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use crate::remote::aside;

/// How often it is looked whether the files have changed.
const LOOK: Duration = Duration::from_secs(5);

/// Takes in connections; a certificate that was renewed is taken up.
pub(super) struct Certificate {
    files: ProbeTls,
    present: Mutex<Present>,
}

struct Present {
    config: Arc<ServerConfig>,
    stamps: Stamps,
    looked: Instant,
}

/// What the files looked like when they were read.
type Stamps = Vec<Option<(SystemTime, u64)>>;

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// In words, what cannot be used.
    pub(super) fn new(files: ProbeTls) -> Result<Self, String> {
        let (config, stamps) = read(&files)?;
        Ok(Self { files, present: Mutex::new(Present { config, stamps, looked: Instant::now() }) })
    }

    /// What takes in the next connection.
    pub(super) async fn acceptor(&self) -> TlsAcceptor {
        let before = {
            let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
            let due = present.looked.elapsed() >= LOOK;
            if due {
                present.looked = Instant::now();
            }
            due.then(|| present.stamps.clone())
        };
        if let Some(before) = before {
            let files = self.files.clone();
            let work = move || if stamps(&files) == before { Ok(None) } else { read(&files).map(Some) };
            match aside(work).await {
                Ok(None) => {}
                Ok(Some((config, stamps))) => {
                    info!(file = %self.files.cert_file.display(), "the certificate of the probe is read again");
                    let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
                    (present.config, present.stamps) = (config, stamps);
                }
                Err(why) => warn!("the certificate of the probe stays the one of before: {why}"),
            }
        }
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&present.config))
    }
}

fn stamps(files: &ProbeTls) -> Stamps {
    let stamp = |path: &Path| {
        let meta = fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    let ProbeTls { cert_file, key_file, client_ca_file } = files;
    [Some(cert_file), Some(key_file), client_ca_file.as_ref()]
        .into_iter()
        .flatten()
        .map(|path| stamp(path))
        .collect()
}

fn read(files: &ProbeTls) -> Result<(Arc<ServerConfig>, Stamps), String> {
    // First, so that a change while it is read is seen the next time.
    let stamps = stamps(files);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("no TLS version is usable: {error}"))?;
    let builder = match &files.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            let (_, unusable) = roots.add_parsable_certificates(certificates(path)?);
            if unusable > 0 {
                warn!(file = %path.display(), unusable, "some authorities cannot be used");
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(
                verifier.map_err(|error| format!("`{}` has no usable authority: {error}", path.display()))?,
            )
        }
    };
    let key = PrivateKeyDer::from_pem_slice(&bytes(&files.key_file)?)
        .map_err(|error| format!("cannot read the key in `{}`: {error}", files.key_file.display()))?;
    let mut config = builder
        .with_single_cert(certificates(&files.cert_file)?, key)
        .map_err(|error| format!("cannot use the certificate in `{}`: {error}", files.cert_file.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((Arc::new(config), stamps))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = bytes(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(format!("`{}` has no certificate in PEM form", path.display())),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("cannot read `{}`: {error}", path.display())),
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}
