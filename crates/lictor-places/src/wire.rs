//! Requests to a place: how they are signed, which limits they have, and what an answer that is no success means.
//!
//! [`object_store`] says what is to be asked and reads the answers; each of its requests passes through here, and so do
//! those of its providers of credentials. What it would do on its own (sign, follow redirects, obey the environment, ask
//! metadata services) it does not do.

mod body;
pub(crate) mod fault;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, Uri};
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::azure::{AzureAuthorizer, AzureCredential};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpResponseBody, HttpService,
};
use object_store::gcp::GcpCredentialProvider;
use object_store::{BackoffConfig, ClientOptions, CredentialProvider, RetryConfig};
use sha2::{Digest as _, Sha256};
use tokio::time::{sleep, timeout};
use url::Url;

use crate::error::PlaceError;
use crate::limits;
use body::{Guarded, Moved, Watched};
use fault::Fault;

/// Most bytes of an answer that is no success that are read.
const REFUSAL: usize = 64 * 1024;

/// Most bytes of the answer to a POST, which says what became of an upload.
const ANSWER: usize = 1024 * 1024;

/// Pauses between tries, each about twice as long as the one before, until there have been enough.
#[derive(Debug, Default)]
pub(crate) struct Pauses(usize);

impl Pauses {
    pub(crate) fn next(&mut self) -> Option<Duration> {
        if self.0 == limits::RETRIES {
            return None;
        }
        let (first, longest) = limits::PAUSES;
        let whole = first.saturating_mul(1 << self.0.min(16)).min(longest);
        self.0 += 1;
        // Many that failed together are not to come back together.
        Some(whole.mul_f64(rand::random_range(0.5..=1.0)))
    }
}

/// What [`object_store`] repeats on its own, and for how long.
pub(crate) fn retries() -> RetryConfig {
    let (init_backoff, max_backoff) = limits::PAUSES;
    RetryConfig {
        backoff: BackoffConfig { init_backoff, max_backoff, base: 2.0 },
        max_retries: limits::RETRIES,
        retry_timeout: limits::RETRY_FOR,
    }
}

/// How requests show who asks.
#[derive(Clone)]
pub(crate) enum Signer {
    /// As Amazon does, for this service and region.
    Aws { provider: AwsCredentialProvider, service: &'static str, region: String },
    /// As Azure does, for this account.
    Azure { provider: Arc<dyn CredentialProvider<Credential = AzureCredential>>, account: String },
    /// With a token.
    Google { provider: GcpCredentialProvider },
}

/// Connections, shared by all that is asked of one place.
#[derive(Clone)]
pub(crate) struct Wire {
    client: reqwest::Client,
    /// `host:port` of the endpoints that are asked without TLS, because their addresses say so.
    plain: Arc<[String]>,
}

impl Wire {
    /// `endpoints`: all addresses that the settings give.
    pub(crate) fn new<'a>(
        place: &str,
        endpoints: impl IntoIterator<Item = &'a Url>,
    ) -> Result<Self, PlaceError> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("lictor/", env!("CARGO_PKG_VERSION")))
            // A proxy of the environment would be one that nobody configured here.
            .no_proxy()
            // What is signed is signed for one host.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(limits::CONNECT)
            .http1_only()
            .build()
            .map_err(|error| PlaceError::Settings {
                place: place.to_owned(),
                setting: "TLS of this machine",
                why: format!("cannot be used: {}", crate::error::innermost(&error)),
            })?;
        let plain =
            endpoints.into_iter().filter(|url| url.scheme() == "http").filter_map(authority).collect();
        Ok(Self { client, plain })
    }

    /// For requests of a provider of credentials: nobody has to be shown who asks.
    pub(crate) fn unsigned(&self) -> Service {
        Service { wire: self.clone(), signer: None, completing: HeaderMap::new() }
    }

    pub(crate) fn signed(&self, signer: Signer) -> Service {
        Service { wire: self.clone(), signer: Some(signer), completing: HeaderMap::new() }
    }

    /// Sends a request and waits for the head of its answer.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Fault> {
        self.check(request.uri())?;
        let (parts, body) = request.into_parts();
        let url = parts.uri.to_string().parse::<Url>().map_err(|error| Fault::Broken(error.to_string()))?;
        let idle = if is_completing(&parts.method, &parts.uri) { limits::COMPLETING } else { limits::IDLE };
        let moved = Moved::default();
        let mut sent = reqwest::Request::new(parts.method, url);
        *sent.headers_mut() = parts.headers;
        *sent.body_mut() = Some(reqwest::Body::wrap(Watched::new(body, moved.clone())));
        let answer = progress(self.client.execute(sent), &moved, idle).await?;
        let answer: http::Response<reqwest::Body> =
            answer.map_err(|error| fault::of_transport(&error))?.into();
        let (parts, body) = answer.into_parts();
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(Guarded::new(body, limits::IDLE))))
    }

    /// Nothing leaves without TLS but to where the settings say so.
    fn check(&self, uri: &Uri) -> Result<(), Fault> {
        let asked = uri.to_string().parse::<Url>().ok();
        match uri.scheme_str() {
            Some("https") => Ok(()),
            Some("http")
                if asked.as_ref().and_then(authority).is_some_and(|host| self.plain.contains(&host)) =>
            {
                Ok(())
            }
            _ => Err(Fault::Login {
                why: format!("{} is not asked without TLS", uri.host().unwrap_or("that host")),
                temporary: false,
            }),
        }
    }
}

/// Waits for an answer for as long as something moves.
async fn progress<T>(answer: impl Future<Output = T>, moved: &Moved, idle: Duration) -> Result<T, Fault> {
    let mut answer = std::pin::pin!(answer);
    let mut before = moved.count();
    loop {
        match timeout(idle, &mut answer).await {
            Ok(answer) => return Ok(answer),
            Err(_) if moved.count() == before => return Err(Fault::TimedOut(idle)),
            Err(_) => before = moved.count(),
        }
    }
}

fn authority(url: &Url) -> Option<String> {
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

/// Whether a request puts the parts of an upload together: `POST …?uploadId=…` of S3 and Google, `PUT …?comp=blocklist`
/// of Azure.
fn is_completing(method: &Method, uri: &Uri) -> bool {
    let mut pairs = uri.query().unwrap_or_default().split('&');
    match *method {
        Method::POST => pairs.any(|pair| pair.starts_with("uploadId=")),
        Method::PUT => pairs.any(|pair| pair == "comp=blocklist"),
        _ => false,
    }
}

/// What requests of one kind pass through.
#[derive(Clone)]
pub(crate) struct Service {
    wire: Wire,
    signer: Option<Signer>,
    /// What the request says besides that completes an upload.
    completing: HeaderMap,
}

impl Service {
    /// One whose uploads are completed with these headers: only if nothing has the name, and so on.
    pub(crate) fn completing(&self, headers: HeaderMap) -> Self {
        Self { completing: headers, ..self.clone() }
    }

    /// Sends a request that nobody else repeats, until it succeeds or has failed often enough.
    pub(crate) async fn insist(&self, request: HttpRequest) -> Result<HttpResponse, Fault> {
        let mut pauses = Pauses::default();
        loop {
            match self.ask(request.clone()).await {
                Err(fault) if fault.is_temporary() => match pauses.next() {
                    Some(pause) => sleep(pause).await,
                    None => return Err(fault),
                },
                answer => return answer,
            }
        }
    }

    /// As [`Self::insist`], and reads the answer, which is not long.
    pub(crate) async fn read(&self, request: HttpRequest) -> Result<String, Fault> {
        read(self.insist(request).await?.into_body(), ANSWER).await
    }

    /// Sends one request, signed, and gives the answer if it is a success.
    pub(crate) async fn ask(&self, mut request: HttpRequest) -> Result<HttpResponse, Fault> {
        if is_completing(request.method(), request.uri()) {
            request.headers_mut().extend(self.completing.clone());
        }
        if let Some(signer) = &self.signer {
            signer.sign(&mut request).await?;
        }
        let (method, sent) = (request.method().clone(), fault::date_of(request.headers()));
        let answer = self.wire.send(request).await?;
        if answer.status().is_success() {
            return if method == Method::POST { posted(answer).await } else { Ok(answer) };
        }
        let (parts, body) = answer.into_parts();
        let text = read(body, REFUSAL).await?;
        Err(fault::of_answer(parts.status, &parts.headers, &text, sent))
    }
}

/// An answer to a POST may say in its text that it is none: the head was sent before the work was done.
async fn posted(answer: HttpResponse) -> Result<HttpResponse, Fault> {
    let (parts, body) = answer.into_parts();
    let text = read(body, ANSWER).await?;
    match fault::within(&parts.headers, &text) {
        Some(fault) => Err(fault),
        None => Ok(HttpResponse::from_parts(parts, text.into())),
    }
}

async fn read(body: HttpResponseBody, most: usize) -> Result<String, Fault> {
    use futures::TryStreamExt as _;
    let mut text = Vec::new();
    let mut stream = body.bytes_stream();
    while let Some(piece) = stream.try_next().await.map_err(|error| fault::of_body(&error))? {
        let room = most.saturating_sub(text.len());
        text.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
        if room < piece.len() {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

impl Signer {
    async fn sign(&self, request: &mut HttpRequest) -> Result<(), Fault> {
        match self {
            Self::Aws { provider, service, region } => {
                let credential = provider.get_credential().await.map_err(|error| fault::of_login(&error))?;
                let digest = digest(request);
                AwsAuthorizer::new(&credential, service, region)
                    .try_authorize(request, Some(&digest))
                    .map_err(|error| Fault::Login { why: error.to_string(), temporary: false })
            }
            Self::Azure { provider, account } => {
                let credential = provider.get_credential().await.map_err(|error| fault::of_login(&error))?;
                AzureAuthorizer::new(&credential, account)
                    .try_authorize(request)
                    .map_err(|error| Fault::Login { why: error.to_string(), temporary: false })
            }
            Self::Google { provider } => {
                let credential = provider.get_credential().await.map_err(|error| fault::of_login(&error))?;
                if credential.bearer.is_empty() {
                    return Ok(());
                }
                let value = HeaderValue::from_str(&format!("Bearer {}", credential.bearer));
                let mut value =
                    value.map_err(|error| Fault::Login { why: error.to_string(), temporary: false })?;
                value.set_sensitive(true);
                request.headers_mut().insert(AUTHORIZATION, value);
                Ok(())
            }
        }
    }
}

/// The SHA-256 of what is sent; taken from its header where it was asked for.
fn digest(request: &HttpRequest) -> Vec<u8> {
    let asked = request.headers().get("x-amz-checksum-sha256");
    if let Some(known) = asked.and_then(|value| BASE64_STANDARD.decode(value).ok()) {
        return known;
    }
    let mut digest = Sha256::new();
    for piece in pieces(request.body()) {
        digest.update(&piece);
    }
    digest.finalize().to_vec()
}

/// What a body is made of: it is in memory, so that none of it has to be waited for.
fn pieces(body: &HttpRequestBody) -> impl Iterator<Item = bytes::Bytes> {
    use http_body::Body as _;
    let mut body = body.clone();
    std::iter::from_fn(move || {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(&mut body).poll_frame(&mut context) {
            std::task::Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
            std::task::Poll::Ready(None | Some(Err(_))) | std::task::Poll::Pending => None,
        }
    })
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.ask(request).await.map_err(|fault| {
            // Whatever it is that was sent: it does the same when it is sent twice. Uploads that are to be new are
            // known by what they carry.
            let kind = match &fault {
                fault if fault.is_temporary() => HttpErrorKind::Request,
                Fault::TimedOut(_) => HttpErrorKind::Timeout,
                _ => HttpErrorKind::Unknown,
            };
            HttpError::new(kind, fault)
        })
    }
}

impl HttpConnector for Service {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Service")
    }
}
