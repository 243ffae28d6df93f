//! TLS of the listener, with certificates of clients if they are asked for.

use std::fs;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use lictor_config::ProbeTls;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::{Mutex, oneshot};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use crate::Tasks;

/// How often it is looked whether the files have changed.
const LOOK: Duration = Duration::from_secs(5);

/// How long a connection waits for that.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes in connections; a certificate that was renewed is taken up.
pub(super) struct Certificate {
    files: ProbeTls,
    config: std::sync::Mutex<Arc<ServerConfig>>,
    look: Mutex<Look>,
    tasks: Tasks,
}

/// How the files were looked at last.
struct Look {
    stamps: Stamps,
    began: Instant,
    /// The look that has not ended. Files may hang for ever: no other one is begun meanwhile.
    pending: Option<oneshot::Receiver<Looked>>,
}

/// What a look finds: nothing if the files are as they were.
type Looked = Result<Option<(Arc<ServerConfig>, Stamps)>, String>;

/// What the files looked like when they were read.
type Stamps = Vec<Option<(SystemTime, u64)>>;

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// In words, what cannot be used.
    pub(super) fn new(files: ProbeTls, tasks: Tasks) -> Result<Self, String> {
        let (config, stamps) = read(&files)?;
        let look = Look { stamps, began: Instant::now(), pending: None };
        Ok(Self { files, config: std::sync::Mutex::new(config), look: Mutex::new(look), tasks })
    }

    /// What takes in the next connection; at once, or soon when it is time to look at the files.
    pub(super) async fn acceptor(&self) -> TlsAcceptor {
        // While somebody waits for a look, the others take what there is.
        if let Ok(mut look) = self.look.try_lock() {
            match self.looked(&mut look).await {
                Ok(None) => {}
                Ok(Some((config, stamps))) => {
                    info!(file = %self.files.cert_file.display(), "the certificate of the probe is read again");
                    look.stamps = stamps;
                    *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
                }
                Err(why) => warn!("the certificate of the probe stays the one of before: {why}"),
            }
        }
        TlsAcceptor::from(Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Whether a client that was let in by this would be now. Whose certificates are good may have changed.
    pub(super) async fn still_lets_in(&self, config: &Arc<ServerConfig>) -> bool {
        self.files.client_ca_file.is_none() || Arc::ptr_eq(config, self.acceptor().await.config())
    }

    /// What a look has found that is due, or was begun earlier and has ended now.
    async fn looked(&self, look: &mut Look) -> Looked {
        let begins = look.pending.is_none() && look.began.elapsed() >= LOOK;
        if begins {
            look.began = Instant::now();
            let (files, before) = (self.files.clone(), look.stamps.clone());
            let work = move || if stamps(&files) == before { Ok(None) } else { read(&files).map(Some) };
            let pending = self.tasks.on_thread("tls files", work);
            look.pending = Some(pending.map_err(|error| format!("the system gives no thread: {error}"))?);
        }
        let Some(pending) = &mut look.pending else { return Ok(None) };
        let patience = if begins { PATIENCE } else { Duration::ZERO };
        match timeout(patience, pending).await {
            Ok(ended) => {
                look.pending = None;
                ended.unwrap_or_else(|_lost| Err("reading it was given up".to_owned()))
            }
            Err(_late) if begins => Err("its files have not been read yet".to_owned()),
            Err(_late) => Ok(None),
        }
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

#[cfg(test)]
pub(super) mod tests {
    use std::fs::OpenOptions;
    use std::process::Command;

    use super::*;

    fn issue(files: &ProbeTls) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        fs::write(&files.cert_file, params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(&files.key_file, key.serialize_pem()).unwrap();
    }

    /// As if nobody had looked for long.
    pub(in crate::probe) async fn due(certificate: &Certificate) {
        certificate.look.lock().await.began -= LOOK;
    }

    async fn config(certificate: &Certificate) -> Arc<ServerConfig> {
        Arc::clone(certificate.acceptor().await.config())
    }

    #[tokio::test]
    async fn files_that_hang_are_read_once_and_hold_up_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let files = ProbeTls { cert_file: path("cert"), key_file: path("key"), client_ca_file: None };
        issue(&files);
        let certificate = Certificate::new(files.clone(), Tasks::new()).unwrap();
        let before = config(&certificate).await;
        // A pipe that nobody writes to is read like a file of a server that is gone.
        fs::remove_file(&files.key_file).unwrap();
        assert!(Command::new("mkfifo").arg(&files.key_file).status().unwrap().success());
        due(&certificate).await;
        let begun = Instant::now();
        assert!(Arc::ptr_eq(&before, &config(&certificate).await));
        assert!((PATIENCE..PATIENCE * 4).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        fs::rename(&files.key_file, path("pipe")).unwrap();
        issue(&files);
        due(&certificate).await;
        let begun = Instant::now();
        assert!(Arc::ptr_eq(&before, &config(&certificate).await), "another look was begun");
        assert!(begun.elapsed() < PATIENCE / 2, "it was waited for again: {:?}", begun.elapsed());
        // The pipe ends; what is in force now is taken up by the look after that.
        drop(OpenOptions::new().read(true).write(true).open(path("pipe")).unwrap());
        let deadline = Instant::now() + Duration::from_secs(10);
        while Arc::ptr_eq(&before, &config(&certificate).await) {
            assert!(Instant::now() < deadline, "the certificate is not taken up");
            due(&certificate).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
