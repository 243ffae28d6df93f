//! Requests to the HTTP interfaces of other programs: qBittorrent, Nomad, control servers.
//!
//! One connection pool a client, no redirects unless asked for, no proxies, nothing is repeated,
//! and no answer is read beyond a limit.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use lictor_config::Tls;
use reqwest::header::{HOST, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder, Identity, Method, Proxy, RequestBuilder, redirect, retry};
use url::Url;

use crate::text::one_line;

/// Of the body of a refusal, characters that are shown.
const SHOWN: usize = 200;

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// It was certainly never sent: no such host, refused, no TLS.
    Unsent(String),
    /// It was sent, or may have been, and there is no whole answer.
    Unanswered(String),
    /// The answer is larger than what is read of one.
    TooLarge,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsent(why) | Self::Unanswered(why) => f.write_str(why),
            Self::TooLarge => f.write_str("the answer is too large"),
        }
    }
}

/// A client for one server; `connect` is the time limit of a connection.
///
/// # Errors
/// In words, when a certificate cannot be used.
pub(crate) fn client(tls: &Tls, https: bool, connect: Duration) -> Result<Client, String> {
    builder(tls, https, connect)?.build().map_err(|error| reason(&error))
}

/// A server that is ready to be asked: a client, and how its addresses are written with it.
/// Where the certificate must have another name than the host's (`tls.server_name`), the client
/// goes to the host by that name.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    client: Client,
    /// The name in place of the host's, and the host with its port.
    renamed: Option<(String, HeaderValue)>,
}

impl Reach {
    /// Reads certificates, and looks the host up where that is ours to do; `connect` is the time
    /// limit of a connection.
    ///
    /// # Errors
    /// In words, when a certificate cannot be used or the host has no address.
    pub(crate) async fn new(url: &Url, tls: &Tls, connect: Duration) -> Result<Self, String> {
        Self::made(url, tls, connect, Ok).await
    }

    /// The same with a new connection for each request, so that none dies while it waits for the
    /// next one, and through a proxy if one is named.
    ///
    /// # Errors
    /// As [`Self::new`], and when the proxy cannot be used.
    pub(crate) async fn through(
        url: &Url,
        tls: &Tls,
        connect: Duration,
        proxy: Option<&Url>,
    ) -> Result<Self, String> {
        let proxy = proxy.cloned();
        let fresh = move |builder: ClientBuilder| {
            let builder = builder.pool_max_idle_per_host(0);
            let Some(proxy) = &proxy else { return Ok(builder) };
            let proxy =
                Proxy::all(proxy.as_str()).map_err(|error| format!("the proxy: {}", reason(&error)))?;
            Ok(builder.proxy(proxy))
        };
        Self::made(url, tls, connect, fresh).await
    }

    async fn made(
        url: &Url,
        tls: &Tls,
        connect: Duration,
        finish: impl FnOnce(ClientBuilder) -> Result<ClientBuilder, String> + Send + 'static,
    ) -> Result<Self, String> {
        let https = url.scheme() == "https";
        let Some(name) = tls.server_name.clone().filter(|_| https) else {
            let tls = tls.clone();
            let build = move || {
                let builder = finish(builder(&tls, https, connect)?)?;
                builder.build().map_err(|error| reason(&error))
            };
            let client = aside(build).await?;
            return Ok(Self { client, renamed: None });
        };
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = url.port_or_known_default().unwrap_or(443);
        let found = tokio::net::lookup_host((host, port)).await;
        let found = found.map_err(|error| format!("cannot look `{host}` up: {error}"))?;
        let addresses: Vec<SocketAddr> = found.collect();
        let authority = match (url.host_str().unwrap_or_default(), url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let authority = HeaderValue::from_str(&authority)
            .map_err(|_invalid| format!("`{authority}` cannot be the name of a host"))?;
        let (tls, to) = (tls.clone(), name.clone());
        let build = move || {
            let builder = finish(builder(&tls, https, connect)?)?.resolve_to_addrs(&to, &addresses);
            builder.build().map_err(|error| reason(&error))
        };
        Ok(Self { client: aside(build).await?, renamed: Some((name, authority)) })
    }

    /// A request to an address of that server.
    ///
    /// # Errors
    /// When the other name cannot stand in an address.
    pub(crate) fn request(&self, method: Method, mut url: Url) -> Result<RequestBuilder, String> {
        let Some((name, authority)) = &self.renamed else { return Ok(self.client.request(method, url)) };
        url.set_host(Some(name)).map_err(|error| format!("`{name}` is not the name of a host: {error}"))?;
        Ok(self.client.request(method, url).header(HOST, authority.clone()))
    }
}

/// Does something that waits for the disk where it holds up nobody.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?
}

/// The server of an address: without user, password, path and query, any of which may be secret.
pub(crate) fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}", url.scheme())
}

fn builder(tls: &Tls, https: bool, connect: Duration) -> Result<ClientBuilder, String> {
    let mut builder = Client::builder()
        .user_agent(concat!("lictor/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .http1_only()
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(Duration::from_secs(20))
        .connect_timeout(connect);
    if https {
        if let Some(path) = &tls.ca_file {
            let found = Certificate::from_pem_bundle(&read(path)?);
            builder = builder.tls_certs_only(found.map_err(|error| of_file(path, &error))?);
        }
        if let Some(path) = &tls.cert_file {
            let mut pem = read(path)?;
            if let Some(key) = &tls.key_file {
                pem.push(b'\n');
                pem.extend(read(key)?);
            }
            builder = builder.identity(Identity::from_pem(&pem).map_err(|error| of_file(path, &error))?);
        }
        builder = builder.tls_danger_accept_invalid_certs(tls.insecure);
    } else {
        // Spares reading the system's certificates.
        builder = builder.tls_certs_only([]);
    }
    Ok(builder)
}

/// Sends a request and reads the answer, at most `most` bytes of it, all within `limit`.
///
/// # Errors
/// See [`Failed`]; no part of the URL is in it.
pub(crate) async fn send(request: RequestBuilder, limit: Duration, most: usize) -> Result<Answer, Failed> {
    let work = async {
        let mut response = request.send().await.map_err(failed)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > most {
                return Err(Failed::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body })
    };
    match tokio::time::timeout(limit, work).await {
        Ok(answer) => answer,
        Err(_late) => Err(Failed::Unanswered(format!("no answer within {:.1} s", limit.as_secs_f64()))),
    }
}

impl Answer {
    /// Whether the status is one of success.
    pub(crate) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text; invalid UTF-8 is replaced.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn failed(error: reqwest::Error) -> Failed {
    let unsent = error.is_connect() || error.is_builder();
    let why = one_line(&reason(&error.without_url()), SHOWN);
    if unsent { Failed::Unsent(why) } else { Failed::Unanswered(why) }
}

/// An error with its causes, which are where the reason is.
pub(crate) fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

fn of_file(path: &Path, error: &reqwest::Error) -> String {
    format!("`{}`: {}", path.display(), reason(error))
}
