//! Control servers: small HTTP servers that tell, and are told, how a tunnel is. They answer in
//! JSON, whatever type they say it has.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lictor_config::{Control, Secret};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use url::Url;

use crate::remote::{self, Answer, Failed, Reach, aside, place};
use crate::text::one_line;

/// What is read of an answer, bytes.
const READ: usize = 64 * 1024;

/// Redirects followed.
const REDIRECTS: u32 = 3;

/// The pauses between attempts of a question.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// An attempt with less time than this is not made.
const LEAST: Duration = Duration::from_millis(500);

/// Of the body of a refusal, characters that are shown.
const SHOWN: usize = 120;

/// Secrets shorter than this are not looked for in what is shown: they would be found everywhere.
const SHORTEST: usize = 4;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A control server, with the secrets it wants as they were when it was opened.
pub(crate) struct Server {
    reach: Reach,
    url: Url,
    headers: HeaderMap,
    secrets: Vec<String>,
}

/// Why a server told nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// There was no connection, or we have no means to ask: certainly nothing was done.
    Unsent(String),
    /// It was asked, and there is no whole answer.
    Unanswered(String),
    /// Status 401 or 403: it does not know us, or does not let us.
    Denied(u16),
    /// Status 404: it has no such thing.
    Missing,
    /// Another status that is none of success, with the beginning of what it said.
    Status(u16, String),
    /// The answer is no JSON, or too long to be read.
    Garbled(String),
}

/// That a question was not answered, and how often it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoAnswer {
    pub(crate) why: Trouble,
    /// Whether it was asked as often as a question is asked.
    pub(crate) exhausted: bool,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsent(why) | Self::Unanswered(why) | Self::Garbled(why) => f.write_str(why),
            Self::Denied(status) => write!(f, "it refuses us (status {status})"),
            Self::Missing => f.write_str("it has no such route (status 404)"),
            Self::Status(status, said) if said.is_empty() => write!(f, "status {status}"),
            Self::Status(status, said) => write!(f, "status {status}: {said}"),
        }
    }
}

impl Trouble {
    /// Whether it may be over in a moment.
    const fn may_pass(&self) -> bool {
        match self {
            Self::Unsent(_) | Self::Unanswered(_) => true,
            Self::Status(status, _) => *status >= 500,
            Self::Denied(_) | Self::Missing | Self::Garbled(_) => false,
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("at", &self.place()).finish_non_exhaustive()
    }
}

impl Server {
    /// Reads secrets and certificates; nothing is sent. `connect` is the time limit of a connection.
    ///
    /// # Errors
    /// In words, when one cannot be read or used.
    pub(crate) async fn open(control: &Control, connect: Duration) -> Result<Self, String> {
        let reach = Reach::new(&control.url, &control.tls, connect).await?;
        let (key, basic) = (control.api_key.clone(), control.basic_auth.clone());
        let (headers, mut secrets) = aside(move || credentials(key, basic)).await?;
        secrets.extend(control.url.password().map(str::to_owned));
        secrets.retain(|secret| secret.len() >= SHORTEST);
        Ok(Self { reach, url: control.url.clone(), headers, secrets })
    }

    /// Where it is, for messages.
    pub(crate) fn place(&self) -> String {
        place(&self.url)
    }

    /// A text of the server's in one line, without our secrets.
    pub(crate) fn shown(&self, text: &str, limit: usize) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.as_str(), "***");
        }
        one_line(&text, limit)
    }

    /// What a route tells; asked up to three times, 1 and 2 s apart, as far as the time allows.
    pub(crate) async fn get(&self, route: &str, deadline: Instant) -> Result<Value, NoAnswer> {
        self.ask(self.route(route), deadline).await
    }

    /// What the document of the configured address is; asked as [`Self::get`] does.
    pub(crate) async fn document(&self, deadline: Instant) -> Result<Value, NoAnswer> {
        self.ask(self.url.clone(), deadline).await
    }

    /// Sends a document to a route, once, and gives the answer.
    pub(crate) async fn put(&self, route: &str, body: &Value, deadline: Instant) -> Result<Value, Trouble> {
        self.exchange(Method::PUT, self.route(route), Some(body), deadline).await
    }

    async fn ask(&self, url: Url, deadline: Instant) -> Result<Value, NoAnswer> {
        let mut pauses = PAUSES.iter();
        loop {
            let why = match self.exchange(Method::GET, url.clone(), None, deadline).await {
                Ok(value) => return Ok(value),
                Err(why) => why,
            };
            let pause = pauses.next();
            let room = |pause: &&Duration| Instant::now() + **pause + LEAST < deadline;
            match pause.filter(room) {
                Some(pause) if why.may_pass() => sleep(*pause).await,
                Some(_) | None => return Err(NoAnswer { why, exhausted: pause.is_none() }),
            }
        }
    }

    /// One request, and those that it is redirected to on the same server.
    async fn exchange(
        &self,
        method: Method,
        mut url: Url,
        body: Option<&Value>,
        deadline: Instant,
    ) -> Result<Value, Trouble> {
        for _ in 0..=REDIRECTS {
            let mut request = self.reach.request(method.clone(), url.clone()).map_err(Trouble::Unsent)?;
            request = request.headers(self.headers.clone());
            if let Some(body) = body {
                request = request.json(body);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let answer =
                Box::pin(remote::send(request, left, READ)).await.map_err(|failed| match failed {
                    Failed::Unsent(why) => Trouble::Unsent(self.shown(&why, SHOWN)),
                    Failed::Unanswered(why) => Trouble::Unanswered(self.shown(&why, SHOWN)),
                    Failed::TooLarge => {
                        Trouble::Garbled(format!("the answer is larger than {} KiB", READ / 1024))
                    }
                })?;
            match self.redirected(&method, &url, &answer)? {
                Some(next) => url = next,
                None => return self.judge(&answer),
            }
        }
        Err(Trouble::Garbled(format!("it redirects more than {REDIRECTS} times")))
    }

    /// Where an answer sends us. Another server is not followed to: it would learn our secrets.
    fn redirected(&self, method: &Method, from: &Url, answer: &Answer) -> Result<Option<Url>, Trouble> {
        let keeps_method = matches!(answer.status, 307 | 308);
        let follows = *method == Method::GET && matches!(answer.status, 301..=303);
        let to = answer.headers.get(LOCATION).and_then(|to| to.to_str().ok());
        let Some(to) = to.filter(|_| keeps_method || follows) else { return Ok(None) };
        let next = from.join(to).map_err(|error| {
            Trouble::Garbled(format!("it redirects to `{}`: {error}", self.shown(to, SHOWN)))
        })?;
        if next.origin() == from.origin() {
            return Ok(Some(next));
        }
        let to = self.shown(&place(&next), SHOWN);
        Err(Trouble::Status(answer.status, format!("it redirects to another server, {to}: name that one")))
    }

    fn judge(&self, answer: &Answer) -> Result<Value, Trouble> {
        match answer.status {
            401 | 403 => Err(Trouble::Denied(answer.status)),
            404 => Err(Trouble::Missing),
            _ if !answer.is_good() => Err(Trouble::Status(answer.status, self.shown(&answer.text(), SHOWN))),
            _ => serde_json::from_slice(&answer.body)
                .map_err(|error| Trouble::Garbled(format!("the answer is not JSON: {error}"))),
        }
    }

    /// The address of a route, under the configured one.
    fn route(&self, route: &str) -> Url {
        let mut url = self.url.clone();
        let path = format!("{}{route}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        // Older ones compare the whole address of a request with their routes.
        url.set_query(None);
        url.set_fragment(None);
        url
    }
}

/// What is sent along, and the secrets in it.
fn credentials(
    key: Option<Secret>,
    basic: Option<(String, Secret)>,
) -> Result<(HeaderMap, Vec<String>), String> {
    let (mut headers, mut secrets) = (HeaderMap::new(), Vec::new());
    let mut add = |name: HeaderName, value: &str| {
        let mut value = HeaderValue::from_str(value)
            .map_err(|_invalid| "a secret holds a character that cannot stand in a header".to_owned())?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok::<(), String>(())
    };
    if let Some(key) = key {
        let key = key.reveal().map_err(|error| error.to_string())?;
        add(API_KEY, &key)?;
        secrets.push(key);
    }
    if let Some((user, password)) = basic {
        let password = password.reveal().map_err(|error| error.to_string())?;
        let encoded = STANDARD.encode(format!("{user}:{password}"));
        add(AUTHORIZATION, &format!("Basic {encoded}"))?;
        secrets.extend([encoded, password]);
    }
    Ok((headers, secrets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(url: &str) -> Control {
        Control {
            url: url.parse().unwrap(),
            api_key: Some(Secret::value("hunter2-key")),
            basic_auth: Some(("me".to_owned(), Secret::value("hunter2-password"))),
            tls: lictor_config::Tls::default(),
        }
    }

    #[tokio::test]
    async fn a_route_lies_under_the_configured_path_and_has_no_query() {
        let open = async |url| Server::open(&control(url), Duration::from_secs(1)).await.unwrap();
        let route = async |url| open(url).await.route("/v1/vpn/status").to_string();
        assert_eq!(route("http://127.0.0.1:8000").await, "http://127.0.0.1:8000/v1/vpn/status");
        assert_eq!(route("http://127.0.0.1/vpn/?x=1#y").await, "http://127.0.0.1/vpn/v1/vpn/status");
        assert_eq!(open("http://me:pw@127.0.0.1:8000/x?token=y").await.place(), "http://127.0.0.1:8000");
    }

    #[tokio::test]
    async fn what_is_shown_holds_no_secret_whoever_says_it() {
        let server = Server::open(&control("http://127.0.0.1:8000"), Duration::from_secs(1)).await.unwrap();
        let encoded = STANDARD.encode("me:hunter2-password");
        let text = format!("no: hunter2-key,\n hunter2-password {encoded}");
        assert_eq!(server.shown(&text, 99), "no: ***, *** ***");
        let debug = format!("{server:?}");
        assert!(!debug.contains("hunter2"), "{debug}");
    }

    #[tokio::test]
    async fn a_secret_that_cannot_be_had_is_told_of() {
        let lost =
            Control { api_key: Some(Secret::file("/nonexistent/key")), ..control("http://127.0.0.1:1") };
        let error = Server::open(&lost, Duration::from_secs(1)).await.unwrap_err();
        assert!(error.starts_with("cannot read the secret in `/nonexistent/key`"), "{error}");
        let broken = Control { api_key: Some(Secret::value("a\nb")), ..control("http://127.0.0.1:1") };
        let error = Server::open(&broken, Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error, "a secret holds a character that cannot stand in a header");
    }
}
