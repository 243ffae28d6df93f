//! Asks an agent.

use std::time::Duration;

use lictor_agent::text::escaped;
use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use crate::cli::Agent;
use crate::command::who;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal};
use crate::shape::{Reason, Refused};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The largest answer read: 10,000 checks with their last results are 8 MB.
const ANSWER: usize = 64 << 20;

/// An agent to be asked.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    patience: Duration,
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
        Ok(Self { http, base, token, patience: PATIENCE })
    }

    /// The same, with this time for each answer.
    pub(crate) fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Reads something.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        self.ask(Method::GET, path, query).await
    }

    /// Asks for something to be done.
    pub(crate) async fn post(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::POST, path, &[]).await
    }

    /// Asks for something to be done, as the body says.
    pub(crate) async fn post_with(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.http.post(format!("{}{path}", self.base)).json(body);
        self.answered(path, request).await
    }

    /// Asks for something to be removed.
    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::DELETE, path, &[]).await
    }

    /// Begins to read server-sent events, which have no end: those after `last`, if given.
    pub(crate) async fn stream(
        &self,
        path: &str,
        query: &[(&str, String)],
        last: Option<u64>,
    ) -> Result<Response, Failure> {
        let request = self.http.get(format!("{}{path}", self.base)).query(query);
        let request = request.header("Accept", "text/event-stream");
        let request = match last {
            Some(last) => request.header("Last-Event-ID", last),
            None => request,
        };
        let answer = tokio::time::timeout(PATIENCE, self.send(path, request)).await;
        answer.unwrap_or_else(|_late| Err(self.gone("no answer in time")))
    }

    /// Reads bytes, of any number; each piece may take as long as an answer.
    pub(crate) async fn fetch(
        &self,
        path: &str,
        mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let late = |_late| self.gone("no answer in time");
        let request = self.http.post(format!("{}{path}", self.base));
        let mut response = timeout(self.patience, self.send(path, request)).await.map_err(late)??;
        loop {
            let piece = timeout(self.patience, response.chunk()).await.map_err(late)?;
            match piece.map_err(|error| self.unreachable(&error))? {
                Some(piece) => take(&piece)?,
                None => return Ok(()),
            }
        }
    }

    async fn ask(&self, method: Method, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        let request = self.http.request(method, format!("{}{path}", self.base)).query(query);
        self.answered(path, request).await
    }

    async fn answered(&self, path: &str, request: RequestBuilder) -> Result<Value, Failure> {
        let request = request.header("Accept", "application/json").timeout(self.patience);
        let response = self.send(path, request).await?;
        self.value(response).await
    }

    async fn send(&self, path: &str, request: RequestBuilder) -> Result<Response, Failure> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        // For the record of acts, where nothing that is asked for says it.
        let request = match HeaderValue::from_str(&who(None)) {
            Ok(by) => request.header("X-Lictor-By", by),
            // A name that no header can hold.
            Err(_odd) => request,
        };
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let exit = match status {
            StatusCode::BAD_REQUEST => Exit::Usage,
            StatusCode::NOT_FOUND => Exit::NotFound,
            StatusCode::CONFLICT => Exit::Conflict,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::Denied,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => Exit::Unreachable,
            _ => Exit::Failed,
        };
        let said = self.read(response).await.unwrap_or_default();
        let Ok(Refused { error }) = serde_json::from_slice::<Refused>(&said) else {
            return Err(Failure::new(exit, format!("{}{path} answered {status}", self.base))
                .help("is this the address of a Lictor agent? (--address, LICTOR_HTTP_ADDR)"));
        };
        let failure = Failure::new(exit, escaped(&error.message));
        Err(match way_out(&error, path) {
            Some(help) => failure.help(help),
            None => failure,
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
        self.gone(&why)
    }

    fn gone(&self, why: &str) -> Failure {
        Failure::new(Exit::Unreachable, format!("cannot reach the agent at {}: {why}", self.base))
            .help("start one with `lictor dev` or `lictor run`, or name its address with --address or LICTOR_HTTP_ADDR")
    }
}

/// What to do about a refusal, on the command line: the agent speaks of its HTTP interface.
fn way_out(refused: &Reason, path: &str) -> Option<String> {
    let way = match (refused.code.as_str(), path) {
        ("unauthorized", _) => {
            "give the token with --token-file, LICTOR_HTTP_TOKEN_FILE or LICTOR_HTTP_TOKEN"
        }
        ("too_many_streams", _) => "end another client that follows the events",
        ("not_found", _) if refused.help.as_ref().is_some_and(|help| help.contains("`lictor ")) => {
            return refused.help.as_deref().map(escaped);
        }
        ("not_found", path) if path.starts_with("/v1/alerts/silences") => "`lictor silence list` shows them",
        ("not_found", path) if path.starts_with("/v1/alerts") => {
            match refused.help.as_deref().filter(|help| !help.starts_with("GET ")) {
                Some(help) => return Some(escaped(help)),
                None if path.starts_with("/v1/alerts/queue") => "`lictor alerts queue` shows what waits",
                None => "`lictor alerts` lists what is wrong",
            }
        }
        ("not_found", path) if path.starts_with("/v1/services") => "`lictor service list` shows them",
        ("not_found", path) if path.starts_with("/v1/state") => "`lictor state list` shows what is kept",
        ("not_found", path) if path.starts_with("/v1/incidents") => "`lictor incidents` lists them",
        ("not_found", path) if path.starts_with("/v1/re") || path.starts_with("/v1/runs") => {
            "`lictor remedy list` lists them"
        }
        ("not_found", path) if path.starts_with("/v1/e") => {
            "`lictor status --all` lists checks, `lictor incidents` incidents, `lictor remedy list` runs"
        }
        _ => return refused.help.as_deref().map(escaped),
    };
    Some(way.to_owned())
}

/// An answer as the type that a command shows. What watched programs say is among it: what
/// could play tricks on a terminal is escaped here.
pub(crate) fn typed<T: DeserializeOwned>(mut answer: Value) -> Result<T, Failure> {
    escape(&mut answer);
    serde_json::from_value(answer).map_err(|error| {
        Failure::new(Exit::Failed, format!("the agent's answer is not what was expected: {error}"))
    })
}

fn escape(value: &mut Value) {
    match value {
        Value::String(text) => *text = escaped(text),
        Value::Array(values) => values.iter_mut().for_each(escape),
        Value::Object(members) => members.values_mut().for_each(escape),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Shows an answer as JSON when that was asked for; otherwise gives it back.
pub(crate) fn unless_json<T: DeserializeOwned>(format: Format, answer: Value) -> Result<Option<T>, Failure> {
    match format {
        Format::Json => Terminal::json(&answer).map(|()| None),
        Format::Text => typed(answer).map(Some),
    }
}
