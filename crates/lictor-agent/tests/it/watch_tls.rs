//! TLS of HTTP and TCP watchers against servers with certificates of every kind.
#![cfg(test)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{Timestamp, ToSpan as _};
use lictor_config::{Http, Tcp, Tls, WatchKind};
use lictor_core::Status;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsAcceptor;

use crate::watch_rig::{LONG, Rig, SHORT, hold, http, http_watch, number, read_request, watch};

/// An authority, and a directory with its certificate.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// A certificate with its key.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Identity {
    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }
}

/// From 1970 to a minute less than so many days from now.
fn day(days: i64) -> Duration {
    let then = Timestamp::now() + (days * 24).hours() - 1.minute();
    Duration::from_secs(u64::try_from(then.as_second()).unwrap())
}

fn params(name: &str, from: i64, until: i64) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, format!("test {name}"));
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + day(from);
    params.not_after = epoch + day(until);
    params
}

impl Authority {
    fn new() -> Self {
        Self::named("authority")
    }

    fn named(name: &str) -> Self {
        let mut params = params(name, -100, 1_000);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn tls(&self) -> Tls {
        Tls { ca_file: Some(self.file("ca.pem")), ..Tls::default() }
    }

    /// A certificate for `name`, good from and until so many days from now.
    fn issue(&self, name: &str, from: i64, until: i64) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params(name, from, until).signed_by(&key, &self.issuer).unwrap();
        Identity { chain: vec![certificate.der().clone()], key }
    }
}

fn self_signed(name: &str, until: i64, is_ca: bool) -> (Identity, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = params(name, -100, until);
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let certificate = params.self_signed(&key).unwrap();
    (Identity { chain: vec![certificate.der().clone()], key }, certificate.pem())
}

fn config(identity: &Identity) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(identity.chain.clone(), identity.key())
        .unwrap()
}

async fn serve(rig: &Rig, config: ServerConfig) -> SocketAddr {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    rig.serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            while read_request(&mut stream).await.is_some() {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
                if stream.write_all(answer).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

async fn see(rig: &Rig, address: SocketAddr, tls: Tls) -> String {
    rig.see(&http_watch(Http { tls, ..http(&format!("https://{address}/")) })).await
}

#[tokio::test]
async fn a_certificate_of_a_known_authority_passes_and_its_days_are_counted() {
    let (rig, authority) = (Rig::new(), Authority::new());
    let address = serve(&rig, config(&authority.issue("127.0.0.1", -1, 90))).await;
    let wanted = Http { tls: authority.tls(), ..http(&format!("https://{address}/")) };
    let sample = rig.sample(&http_watch(wanted)).await;
    assert_eq!(sample.status, Status::Passing, "{}", sample.summary);
    assert!(sample.summary.ends_with(", certificate for 89 days"), "{}", sample.summary);
    let days = number(&sample, "certificate_days").unwrap();
    assert!((89.9..=90.0).contains(&days), "{days}");
    assert!(number(&sample, "tls_seconds").unwrap() > 0.0);
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_a_warning_and_then_critical() {
    let (rig, authority) = (Rig::new(), Authority::new());
    let address = serve(&rig, config(&authority.issue("127.0.0.1", -80, 10))).await;
    let found = see(&rig, address, authority.tls()).await;
    assert!(found.starts_with("warning: the certificate expires in 9d 23h"), "{found}");
    let address = serve(&rig, config(&authority.issue("127.0.0.1", -80, 2))).await;
    let found = see(&rig, address, authority.tls()).await;
    assert!(found.starts_with("critical: the certificate expires in 1d 23h"), "{found}");
}

#[tokio::test]
async fn an_expired_certificate_is_critical_and_says_since_when() {
    let (rig, authority) = (Rig::new(), Authority::new());
    let address = serve(&rig, config(&authority.issue("127.0.0.1", -80, -5))).await;
    let wanted = Http { tls: authority.tls(), ..http(&format!("https://{address}/")) };
    let sample = rig.sample(&http_watch(wanted)).await;
    assert_eq!(sample.status, Status::Critical);
    assert!(sample.summary.starts_with("the certificate expired 5d ago (20"), "{}", sample.summary);
    assert!(number(&sample, "certificate_days").unwrap() < -4.9);
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_is_critical() {
    let (rig, authority) = (Rig::new(), Authority::new());
    let address = serve(&rig, config(&authority.issue("127.0.0.1", 5, 90))).await;
    let found = see(&rig, address, authority.tls()).await;
    assert!(found.starts_with("critical: the certificate is not valid before 20"), "{found}");
}

#[tokio::test]
async fn a_certificate_for_another_name_says_for_which() {
    let (rig, authority) = (Rig::new(), Authority::new());
    let address = serve(&rig, config(&authority.issue("shop.example", -1, 90))).await;
    let found = see(&rig, address, authority.tls()).await;
    assert_eq!(found, "critical: the certificate is for shop.example, not for 127.0.0.1");
    let named = Tls { server_name: Some("shop.example".into()), ..authority.tls() };
    let found = see(&rig, address, named).await;
    assert!(found.starts_with("passing: "), "{found}");
}

#[tokio::test]
async fn a_self_signed_certificate_is_called_that() {
    let (rig, authority) = (Rig::new(), Authority::new());
    for is_ca in [false, true] {
        let (identity, pem) = self_signed("127.0.0.1", 100, is_ca);
        let address = serve(&rig, config(&identity)).await;
        let found = see(&rig, address, authority.tls()).await;
        assert_eq!(found, "critical: the certificate is self-signed (CN=test 127.0.0.1)", "{is_ca}");

        // Named as its own authority it is good, also if it is marked as one.
        std::fs::write(authority.file("self.pem"), pem).unwrap();
        let own = Tls { ca_file: Some(authority.file("self.pem")), ..Tls::default() };
        let found = see(&rig, address, own).await;
        assert!(found.starts_with("passing: "), "{is_ca}: {found}");
    }
}

#[tokio::test]
async fn a_certificate_named_as_its_own_authority_must_still_be_in_time_and_for_the_name() {
    let (rig, authority) = (Rig::new(), Authority::new());
    for is_ca in [false, true] {
        for (name, until, wanted) in [
            ("shop.example", 100, "critical: the certificate is for shop.example, not for 127.0.0.1"),
            ("127.0.0.1", -5, "critical: the certificate expired 5d ago ("),
        ] {
            let (identity, pem) = self_signed(name, until, is_ca);
            let address = serve(&rig, config(&identity)).await;
            std::fs::write(authority.file("self.pem"), pem).unwrap();
            let own = Tls { ca_file: Some(authority.file("self.pem")), ..Tls::default() };
            let found = see(&rig, address, own).await;
            assert!(found.starts_with(wanted), "{is_ca}: {found}");
        }
    }
}

#[tokio::test]
async fn an_unknown_authority_is_named() {
    let (rig, authority, other) = (Rig::new(), Authority::new(), Authority::named("stranger"));
    let address = serve(&rig, config(&other.issue("127.0.0.1", -1, 90))).await;
    let found = see(&rig, address, authority.tls()).await;
    assert_eq!(found, "critical: the certificate's issuer is not a known authority (CN=test stranger)");
}

#[tokio::test]
async fn insecure_takes_any_certificate() {
    let (rig, authority) = (Rig::new(), Authority::new());
    let insecure = Tls { insecure: true, ..Tls::default() };
    let address = serve(&rig, config(&authority.issue("shop.example", -80, -5))).await;
    let found = see(&rig, address, insecure).await;
    assert!(found.starts_with("passing: "), "{found}");
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_is_shown_ours() {
    let (rig, authority) = (Rig::new(), Authority::new());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.issuer.der().clone()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let identity = authority.issue("127.0.0.1", -1, 90);
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain.clone(), identity.key())
        .unwrap();
    let address = serve(&rig, config).await;

    let found = see(&rig, address, authority.tls()).await;
    assert!(found.starts_with("critical: ") && found.contains("certificate required"), "{found}");

    let ours = authority.issue("client", -1, 90);
    let pem = format!("{}{}", pem("CERTIFICATE", &ours.chain[0]), ours.key.serialize_pem());
    std::fs::write(authority.file("ours.pem"), pem).unwrap();
    let with = Tls { cert_file: Some(authority.file("ours.pem")), ..authority.tls() };
    let found = see(&rig, address, with).await;
    assert!(found.starts_with("passing: "), "{found}");
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[tokio::test]
async fn certificates_that_cannot_be_read_are_our_own_fault() {
    let (rig, authority) = (Rig::new(), Authority::new());
    let address = serve(&rig, config(&authority.issue("127.0.0.1", -1, 90))).await;
    let absent = authority.file("absent.pem");
    let found = see(&rig, address, Tls { ca_file: Some(absent.clone()), ..Tls::default() }).await;
    let shown = absent.display();
    assert_eq!(found, format!("unknown: cannot read `{shown}`: no such file or directory"));
    std::fs::write(&absent, "no certificate").unwrap();
    let found = see(&rig, address, Tls { ca_file: Some(absent.clone()), ..Tls::default() }).await;
    assert_eq!(found, format!("unknown: `{shown}` has no certificate in PEM form"));
    // Put right, it is read again.
    std::fs::copy(authority.file("ca.pem"), &absent).unwrap();
    let found = see(&rig, address, Tls { ca_file: Some(absent), ..Tls::default() }).await;
    assert!(found.starts_with("passing: "), "{found}");
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_critical() {
    let rig = Rig::new();
    let address = rig
        .serve(|mut stream| async move {
            stream.write_all(b"220 mail ready\r\n").await.unwrap();
            tokio::time::sleep(LONG).await;
        })
        .await;
    let found = see(&rig, address, Tls::default()).await;
    assert_eq!(found, format!("critical: {address} does not speak TLS"));
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_named_as_what_took_too_long() {
    let rig = Rig::new();
    let address = rig.serve(hold).await;
    let url = format!("https://{address}/");
    let wanted = lictor_config::Watch { timeout: SHORT, ..http_watch(http(&url)) };
    let found = rig.see(&wanted).await;
    let start = format!("critical: the TLS handshake with {address} took longer than ");
    assert!(found.starts_with(&start), "{found}");
}

#[tokio::test]
async fn a_kept_connection_within_tls_is_used_again() {
    let (rig, authority) = (Rig::new(), Authority::new());
    let address = serve(&rig, config(&authority.issue("127.0.0.1", -1, 90))).await;
    let wanted = Http { keep_alive: true, tls: authority.tls(), ..http(&format!("https://{address}/")) };
    let (watch, mut memory) = (http_watch(wanted), lictor_agent::watch::Memory::default());
    let first = rig.look_again(&watch, &mut memory).await.sample.unwrap();
    assert!(number(&first, "tls_seconds").is_some());
    let second = rig.look_again(&watch, &mut memory).await.sample.unwrap();
    assert_eq!(second.status, Status::Passing, "{}", second.summary);
    assert_eq!(number(&second, "tls_seconds"), None, "there was a second handshake");
    assert!(number(&second, "certificate_days").is_some(), "the certificate was forgotten");
}

#[tokio::test]
async fn a_tcp_watcher_speaks_tls_too() {
    let (rig, authority) = (Rig::new(), Authority::new());
    let address = serve(&rig, config(&authority.issue("127.0.0.1", -1, 90))).await;
    let tcp = Tcp {
        host: "127.0.0.1".into(),
        port: address.port(),
        family: lictor_config::Family::Any,
        send: Some(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        expect: Some(regex::Regex::new("^HTTP/1.1 200 ").unwrap()),
        warn_slower: None,
        tls: Some(authority.tls()),
    };
    let sample = rig.sample(&watch(WatchKind::Tcp(tcp.clone()), LONG)).await;
    assert_eq!(sample.status, Status::Passing, "{}", sample.summary);
    assert!(number(&sample, "certificate_days").unwrap() > 80.0);
    let strict = Tcp { tls: Some(Tls::default()), ..tcp };
    let found = rig.see(&watch(WatchKind::Tcp(strict), Duration::from_secs(10))).await;
    assert!(found.starts_with("critical: the certificate's issuer is not a known authority"), "{found}");
}
