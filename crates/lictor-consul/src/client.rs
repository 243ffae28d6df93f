//! The client: one set of connections, and what every request has in common.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use reqwest::{Body, Response};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use url::Url;

use crate::attempts::Attempts;
use crate::config::{Auth, Config, ConfigError, Limits};
use crate::error::{self, Call, Error};
use crate::meta::{Answer, Meta};
use crate::query::Consistency;
use crate::request::Request;
use crate::secret::Secret;

/// Most bytes of an error's text that are read.
const ERROR_BYTES: usize = 4096;

/// A client of one Consul agent. Cloning it is cheap; clones share their connections.
///
/// The methods that begin with `with_` and `in_` give a client that differs in one setting and shares the
/// connections as well.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    token: Arc<RwLock<Option<HeaderValue>>>,
    datacenter: Option<String>,
    consistency: Consistency,
    limits: Limits,
}

struct Shared {
    http: reqwest::Client,
    base: Url,
    config: Config,
    auth: Option<HeaderValue>,
}

impl Client {
    /// Sets up a client. Nothing is sent yet.
    ///
    /// A client has a pool of connections and costs about 100 KiB: make one for each configuration,
    /// and clone it.
    ///
    /// # Errors
    /// If the address, the token or the TLS files cannot be used.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let (http, base) = crate::transport::client(&config)?;
        let token = config.token.as_ref().map(token_header).transpose()?;
        let auth = config.auth.as_ref().map(auth_header).transpose()?;
        Ok(Self {
            token: Arc::new(RwLock::new(token)),
            datacenter: config.datacenter.clone(),
            consistency: config.consistency,
            limits: config.limits,
            shared: Arc::new(Shared { http, base, config, auth }),
        })
    }

    /// The same client with connections of its own, for requests that must not wait for others.
    ///
    /// # Errors
    /// If a TLS file cannot be used any more.
    pub fn with_own_connections(&self) -> Result<Self, ConfigError> {
        let config = self.shared.config.clone();
        let (http, base) = crate::transport::client(&config)?;
        Ok(Self {
            shared: Arc::new(Shared { http, base, config, auth: self.shared.auth.clone() }),
            ..self.clone()
        })
    }

    /// The same client with another token, or none.
    ///
    /// # Errors
    /// If the token has characters a header cannot have.
    pub fn with_token(&self, token: Option<&Secret>) -> Result<Self, ConfigError> {
        let token = token.map(token_header).transpose()?;
        Ok(Self { token: Arc::new(RwLock::new(token)), ..self.clone() })
    }

    /// Has this client and its clones use another token, or none, from the next request on:
    /// a token was rotated. Clients of [`Self::with_token`] keep theirs.
    ///
    /// # Errors
    /// If the token has characters a header cannot have; then the old one stays.
    pub fn set_token(&self, token: Option<&Secret>) -> Result<(), ConfigError> {
        let token = token.map(token_header).transpose()?;
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
        Ok(())
    }

    /// The same client with another time limit for a whole request
    /// (see [`Limits::answer`]).
    #[must_use]
    pub fn with_time_limit(&self, answer: Duration) -> Self {
        let limits = Limits { answer, ..self.limits };
        Self { limits, ..self.clone() }
    }

    /// The same client that sends a request at most so many times (see [`Limits::attempts`]).
    #[must_use]
    pub fn with_attempts(&self, attempts: u32) -> Self {
        let limits = Limits { attempts, ..self.limits };
        Self { limits, ..self.clone() }
    }

    /// The same client with other limits of requests. That of [`Limits::connect`] belongs to the connections
    /// and stays what it is.
    #[must_use]
    pub fn with_limits(&self, limits: Limits) -> Self {
        Self { limits, ..self.clone() }
    }

    /// The same client with another consistency of reads that ask for none themselves.
    #[must_use]
    pub fn with_consistency(&self, consistency: Consistency) -> Self {
        Self { consistency, ..self.clone() }
    }

    /// The same client for another datacenter, for reads and writes.
    #[must_use]
    pub fn in_datacenter(&self, datacenter: impl Into<String>) -> Self {
        Self { datacenter: Some(datacenter.into()), ..self.clone() }
    }

    /// What a request may take.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn consistency(&self) -> Consistency {
        self.consistency
    }

    /// Sends a request and reads the whole answer, again if it certainly changed nothing.
    pub(crate) async fn send(&self, request: &Request) -> Result<Raw, Error> {
        let mut attempts = Attempts::of(request, &self.limits);
        loop {
            match attempts.within(self.send_once(request)).await {
                Ok(mut raw) => {
                    raw.meta.attempts = attempts.number;
                    return Ok(raw);
                }
                Err(error) => attempts.again(error).await?,
            }
        }
    }

    /// Sends a request and decodes the answer's JSON; `null` is the type's default.
    pub(crate) async fn fetch<T>(&self, request: Request) -> Result<Answer<T>, Error>
    where
        T: DeserializeOwned + Default,
    {
        let raw = self.send(&request).await?;
        let value: Option<T> = raw.json()?;
        Ok(raw.answer(value.unwrap_or_default()))
    }

    /// Sends a request whose answer has nothing of interest.
    pub(crate) async fn perform(&self, request: Request) -> Result<(), Error> {
        self.send(&request).await.map(drop)
    }

    async fn send_once(&self, request: &Request) -> Result<Raw, Error> {
        let body = request.body.clone().map(Body::from);
        let response = self.open(request, body).await?;
        let status = response.status().as_u16();
        let meta = Meta::of(response.headers());
        let body = self.read_all(&request.call, response).await?;
        Ok(Raw { call: request.call.clone(), status, meta, body })
    }

    /// Sends a request and gives the answer as soon as its head is there. An error's body is read.
    pub(crate) async fn open(&self, request: &Request, body: Option<Body>) -> Result<Response, Error> {
        let call = &request.call;
        if let Some(problem) = &request.problem {
            return Err(Error::Invalid { call: call.clone(), reason: problem.clone() });
        }
        let sending =
            self.shared.http.request(call.method.clone(), self.url(request)).headers(self.headers());
        let sending = match body {
            Some(body) => sending.body(body),
            None => sending,
        };
        let response = sending.send().await.map_err(|error| self.broken(call, error))?;
        let status = response.status();
        if status.is_success() || request.accepted == Some(status.as_u16()) {
            return Ok(response);
        }
        let message = error::message(&read_some(response).await);
        Err(Error::Status { call: call.clone(), status: status.as_u16(), message })
    }

    pub(crate) fn broken(&self, call: &Call, error: reqwest::Error) -> Error {
        error::transport(call, &self.shared.config.address.to_string(), error)
    }

    fn url(&self, request: &Request) -> Url {
        let mut url = self.shared.base.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&(base + &request.path));
        let config = &self.shared.config;
        let named = |name: &str| request.parameters.iter().any(|(known, _)| *known == name);
        let own = [("dc", &self.datacenter), ("ns", &config.namespace), ("partition", &config.partition)];
        let mut request = request.clone();
        for (name, value) in own {
            if !named(name) {
                request = request.option(name, value.clone());
            }
        }
        url.set_query(request.query_string().as_deref());
        url
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(token) = self.token.read().unwrap_or_else(PoisonError::into_inner).clone() {
            headers.insert("x-consul-token", token);
        }
        if let Some(auth) = &self.shared.auth {
            headers.insert(AUTHORIZATION, auth.clone());
        }
        headers
    }

    async fn read_all(&self, call: &Call, mut response: Response) -> Result<Bytes, Error> {
        let limit = self.limits.answer_bytes;
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(call, error))? {
            if body.len() + chunk.len() > limit {
                return Err(Error::TooLarge { call: call.clone(), limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("address", &self.shared.config.address.to_string())
            .field("datacenter", &self.datacenter)
            .field("consistency", &self.consistency)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// When a time limit that begins now is over; a limit beyond all clocks is a year.
pub(crate) fn deadline_in(limit: Duration) -> Instant {
    const YEAR: Duration = Duration::from_hours(365 * 24);
    Instant::now() + limit.min(YEAR)
}

/// A whole answer, not yet decoded.
pub(crate) struct Raw {
    pub(crate) call: Call,
    pub(crate) status: u16,
    pub(crate) meta: Meta,
    pub(crate) body: Bytes,
}

impl Raw {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| self.malformed(error.to_string()))
    }

    pub(crate) fn malformed(&self, reason: String) -> Error {
        Error::Malformed { call: self.call.clone(), reason }
    }

    pub(crate) fn answer<T>(self, value: T) -> Answer<T> {
        Answer { value, meta: self.meta }
    }
}

/// The beginning of an error's body. What cannot be read of it is left out: the status matters more.
async fn read_some(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < ERROR_BYTES {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    body.truncate(ERROR_BYTES);
    body
}

fn token_header(token: &Secret) -> Result<HeaderValue, ConfigError> {
    header("the token", token.expose())
}

fn auth_header(auth: &Auth) -> Result<HeaderValue, ConfigError> {
    let password = auth.password.as_ref().map_or("", Secret::expose);
    let credentials = STANDARD.encode(format!("{}:{password}", auth.user));
    header("the user and password", &format!("Basic {credentials}"))
}

fn header(setting: &'static str, text: &str) -> Result<HeaderValue, ConfigError> {
    let Ok(mut value) = HeaderValue::from_str(text) else {
        return Err(ConfigError::Setting {
            setting,
            reason: "has characters that cannot be sent".to_owned(),
        });
    };
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Query;

    fn client(config: Config) -> Client {
        Client::new(config).unwrap()
    }

    #[test]
    fn what_the_client_is_set_to_is_asked_for_unless_the_query_says_otherwise() {
        let client = client(Config {
            address: "http://proxy:80/consul/".parse().unwrap(),
            datacenter: Some("dc1".to_owned()),
            namespace: Some("team".to_owned()),
            ..Config::default()
        });
        let url = |client: &Client, query: &Query| {
            let request = Request::get("/v1/kv/").key("a b");
            client.url(&request.query(query, client.consistency())).to_string()
        };
        assert_eq!(url(&client, &Query::new()), "http://proxy/consul/v1/kv/a%20b?dc=dc1&ns=team");
        assert_eq!(
            url(&client.in_datacenter("dc2"), &Query::new()),
            "http://proxy/consul/v1/kv/a%20b?dc=dc2&ns=team"
        );
        assert_eq!(
            url(&client, &Query::new().datacenter("dc3").consistent()),
            "http://proxy/consul/v1/kv/a%20b?dc=dc3&consistent&ns=team"
        );
    }

    #[test]
    fn neither_token_nor_password_is_printed() {
        let config = Config {
            token: Some("t0ken".into()),
            auth: Some(Auth { user: "me".to_owned(), password: Some("pa55".into()) }),
            ..Config::default()
        };
        let client = client(config.clone());
        let printed = format!("{client:?} {config:?} {:?}", client.headers());
        let encoded = STANDARD.encode("me:pa55");
        for secret in ["t0ken", "pa55", &encoded] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }

    #[test]
    fn a_rotated_token_is_used_by_every_clone_but_not_by_one_with_a_token_of_its_own() {
        let first = client(Config { token: Some("first".into()), ..Config::default() });
        let (clone, own) = (first.clone(), first.with_token(Some(&"own".into())).unwrap());
        first.set_token(Some(&"second".into())).unwrap();
        let sent = |client: &Client| client.headers()["x-consul-token"].to_str().unwrap().to_owned();
        assert_eq!(
            (sent(&first), sent(&clone), sent(&own)),
            ("second".into(), "second".into(), "own".into())
        );
        assert!(first.set_token(Some(&"two\nlines".into())).is_err());
        assert_eq!(sent(&clone), "second");
        first.set_token(None).unwrap();
        assert!(clone.headers().is_empty());
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_refused_without_being_shown() {
        let error = Client::new(Config { token: Some("two\nlines".into()), ..Config::default() });
        assert_eq!(error.unwrap_err().to_string(), "the token has characters that cannot be sent");
    }
}
