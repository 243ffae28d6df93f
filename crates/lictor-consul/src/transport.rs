//! The HTTP library, set up as a configuration wants it.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, ClientBuilder, Identity, redirect, retry};
use url::Url;

use crate::address::Address;
use crate::config::{Config, ConfigError, Tls};
use crate::error;

/// How long an unused connection is kept. A Consul agent allows one address 200 connections.
const IDLE: Duration = Duration::from_secs(60);

/// How many unused connections are kept.
const IDLE_CONNECTIONS: usize = 16;

/// The HTTP client of a configuration, and the URL below which its requests go.
pub(crate) fn client(config: &Config) -> Result<(reqwest::Client, Url), ConfigError> {
    let mut base = config
        .address
        .base()
        .ok_or(ConfigError::Setting { setting: "address", reason: "is not a URL".to_owned() })?;
    // One connection serves one request at a time: a blocking query must not delay another request.
    // No proxy of the environment, no redirect (Consul redirects a path it finds untidy, which would
    // be another key) and no repeating that the caller does not know of.
    let mut builder = ClientBuilder::new()
        .http1_only()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .connect_timeout(config.limits.connect)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .user_agent(concat!("lictor-consul/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = config.address.unix_socket() {
        builder = builder.unix_socket(path);
    }
    builder = with_tls(builder, &config.tls)?;
    if let Some(name) = &config.tls.server_name
        && config.address.is_https()
    {
        builder = builder.dns_resolver(ServerName::redirect(name, &config.address, &mut base)?);
    }
    let client = builder.build().map_err(error::setup)?;
    Ok((client, base))
}

fn with_tls(mut builder: ClientBuilder, tls: &Tls) -> Result<ClientBuilder, ConfigError> {
    let files = match (&tls.ca_file, &tls.ca_dir) {
        (Some(file), _) => vec![file.clone()],
        (None, Some(dir)) => files_in(dir)?,
        (None, None) => Vec::new(),
    };
    if !files.is_empty() {
        let mut authorities = Vec::new();
        for path in files {
            let expected = "certificate in PEM form";
            let pem = read(&path)?;
            match Certificate::from_pem_bundle(&pem) {
                Ok(found) if !found.is_empty() => authorities.extend(found),
                Ok(_) | Err(_) => return Err(ConfigError::Content { path, expected }),
            }
        }
        builder = builder.tls_certs_only(authorities);
    }
    match (&tls.client_cert, &tls.client_key) {
        (Some(cert), key) => {
            let mut pem = read(cert)?;
            if let Some(key) = key {
                pem.push(b'\n');
                pem.extend(read(key)?);
            }
            let Ok(identity) = Identity::from_pem(&pem) else {
                return Err(ConfigError::Content {
                    path: key.as_ref().unwrap_or(cert).clone(),
                    expected: "certificate with its private key in PEM form",
                });
            };
            builder = builder.identity(identity);
        }
        (None, Some(_)) => {
            return Err(ConfigError::Setting {
                setting: "the client's key",
                reason: "needs the client's certificate".to_owned(),
            });
        }
        (None, None) => {}
    }
    Ok(builder.tls_danger_accept_invalid_certs(tls.skip_verify))
}

/// The files of a directory, in the order of their names.
fn files_in(dir: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let unreadable = |source| ConfigError::File { path: dir.to_owned(), source };
    let entries: Result<Vec<PathBuf>, io::Error> =
        fs::read_dir(dir).map_err(unreadable)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut files = entries.map_err(unreadable)?;
    files.retain(|path| path.is_file());
    files.sort();
    if files.is_empty() {
        return Err(ConfigError::Content { path: dir.to_owned(), expected: "certificate in PEM form" });
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    fs::read(path).map_err(|source| ConfigError::File { path: path.to_owned(), source })
}

/// Leads the name in the server's certificate to the host in the address: requests are made for the
/// name, so that TLS asks for it and checks it, and the name is looked up as the host.
#[derive(Debug)]
struct ServerName {
    host: String,
    port: u16,
}

impl ServerName {
    fn redirect(name: &str, address: &Address, base: &mut Url) -> Result<Arc<Self>, ConfigError> {
        let unusable = |reason: &str| ConfigError::Setting {
            setting: "the server's TLS name",
            reason: reason.to_owned(),
        };
        let (Some(host), Some(port)) = (base.host_str(), base.port_or_known_default()) else {
            return Err(unusable(&format!("cannot be used with {address}")));
        };
        // An IPv6 host has brackets in a URL and none elsewhere.
        let host = host.trim_matches(['[', ']']).to_owned();
        base.set_host(Some(name)).map_err(|error| unusable(&format!("is not a name: {error}")))?;
        if base.domain().is_none() {
            return Err(unusable("must be a DNS name; an IP address is the default"));
        }
        Ok(Arc::new(Self { host, port }))
    }
}

impl Resolve for ServerName {
    fn resolve(&self, _: Name) -> Resolving {
        let (host, port) = (self.host.clone(), self.port);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(tls: Tls) -> String {
        let config = Config { address: "https://127.0.0.1:8501".parse().unwrap(), tls, ..Config::default() };
        client(&config).unwrap_err().to_string()
    }

    #[test]
    fn a_file_without_certificates_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        fs::write(&file, "not a certificate").unwrap();
        let shown = file.display();
        assert_eq!(
            refused(Tls { ca_file: Some(file.clone()), ..Tls::default() }),
            format!("{shown} holds no certificate in PEM form")
        );
        assert_eq!(
            refused(Tls { ca_dir: Some(dir.path().to_owned()), ..Tls::default() }),
            format!("{shown} holds no certificate in PEM form")
        );
        assert_eq!(
            refused(Tls { client_cert: Some(file.clone()), ..Tls::default() }),
            format!("{shown} holds no certificate with its private key in PEM form")
        );
    }

    #[test]
    fn half_a_client_identity_is_refused() {
        assert_eq!(
            refused(Tls { client_key: Some("/k.pem".into()), ..Tls::default() }),
            "the client's key needs the client's certificate"
        );
    }

    #[test]
    fn a_server_name_is_a_name() {
        assert_eq!(
            refused(Tls { server_name: Some("10.0.0.1".to_owned()), ..Tls::default() }),
            "the server's TLS name must be a DNS name; an IP address is the default"
        );
    }
}
