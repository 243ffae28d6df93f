//! Asks an agent.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::Agent;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal};
use crate::shape::Refused;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The largest answer read: 10,000 checks with their last results are 8 MB.
const ANSWER: usize = 64 << 20;

/// An agent to be asked.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Client {
    pub(crate) fn new(agent: &Agent) -> Result<Self, Failure> {
        let token = match &agent.token_file {
            Some(path) => {
                let secret = lictor_config::Secret::file(path);
                Some(secret.reveal().map_err(|error| Failure::new(Exit::Denied, error.to_string()))?)
            }
            None => agent.token.clone(),
        };
        let mut base = agent.address.trim_end_matches('/').to_owned();
        if !base.contains("://") {
            base = format!("http://{base}");
        }
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .user_agent(concat!("lictor/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .build()
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot make requests: {error}")))?;
        Ok(Self { http, base, token })
    }

    /// Reads something.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        let response = self.ask(Method::GET, path, query, Some(PATIENCE), "application/json").await?;
        self.value(response).await
    }

    /// Asks for something to be done.
    pub(crate) async fn post(&self, path: &str) -> Result<Value, Failure> {
        let response = self.ask(Method::POST, path, &[], Some(PATIENCE), "application/json").await?;
        self.value(response).await
    }

    /// Begins to read server-sent events; they have no end.
    pub(crate) async fn stream(&self, path: &str, query: &[(&str, String)]) -> Result<Response, Failure> {
        self.ask(Method::GET, path, query, None, "text/event-stream").await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        limit: Option<Duration>,
        accept: &str,
    ) -> Result<Response, Failure> {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method, &url).query(query).header("Accept", accept);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(limit) = limit {
            request = request.timeout(limit);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let exit = match status {
            StatusCode::NOT_FOUND => Exit::NotFound,
            StatusCode::CONFLICT => Exit::Conflict,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::Denied,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => Exit::Unreachable,
            _ => Exit::Failed,
        };
        let said = self.read(response).await.unwrap_or_default();
        let failure = match serde_json::from_slice::<Refused>(&said) {
            Ok(Refused { error }) => {
                let failure = Failure::new(exit, error.message);
                match error.help {
                    Some(help) => failure.help(help),
                    None => failure,
                }
            }
            Err(_other) => Failure::new(exit, format!("{url} answered {status}"))
                .help("is this the address of a Lictor agent? (--address, LICTOR_HTTP_ADDR)"),
        };
        Err(match (exit, &self.token) {
            (Exit::Denied, None) => failure.help("give the token with --token-file or LICTOR_HTTP_TOKEN"),
            _ => failure,
        })
    }

    async fn value(&self, response: Response) -> Result<Value, Failure> {
        let bytes = self.read(response).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(Exit::Failed, format!("the answer of {} is not JSON: {error}", self.base))
                .help("is this the address of a Lictor agent? (--address, LICTOR_HTTP_ADDR)")
        })
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if bytes.len() + part.len() > ANSWER {
                let message = format!("the answer of {} has more than {} MiB", self.base, ANSWER >> 20);
                return Err(Failure::new(Exit::Failed, message));
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut why: &dyn std::error::Error = error;
        while let Some(source) = why.source() {
            why = source;
        }
        let why = if error.is_timeout() { "no answer in time".to_owned() } else { why.to_string() };
        Failure::new(Exit::Unreachable, format!("cannot reach the agent at {}: {why}", self.base))
            .help("start one with `lictor dev` or `lictor run`, or name its address with --address or LICTOR_HTTP_ADDR")
    }
}

/// An answer as the type that a command shows.
pub(crate) fn typed<T: DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|error| {
        Failure::new(Exit::Failed, format!("the agent's answer is not what was expected: {error}"))
    })
}

/// Shows an answer as JSON when that was asked for; otherwise gives it back.
pub(crate) fn unless_json<T: DeserializeOwned>(format: Format, answer: Value) -> Result<Option<T>, Failure> {
    match format {
        Format::Json => Terminal::json(&answer).map(|()| None),
        Format::Text => typed(answer).map(Some),
    }
}
