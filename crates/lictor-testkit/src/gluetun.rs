//! A stand-in for the control server of gluetun: the routes, answers, modes of authentication and faults
//! of its versions.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::standin::{Reply, Request, Standin, lock};
use crate::wait::now;

/// A hanging answer is given up after this, so that a test that fails ends.
const HANGS: Duration = Duration::from_secs(60);

/// The stand-in. Dropping it ends it.
#[derive(Debug)]
pub struct Gluetun {
    server: Standin,
    shared: Arc<Shared>,
}

/// How the stand-in is and what it does wrong. Changed by [`Gluetun::set`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the VPN is: `starting`, `running`, `stopping`, `stopped`, `crashed`, `completed`, or a word
    /// that no version has.
    pub status: String,
    /// What `/v1/publicip/ip` tells while the VPN runs.
    pub ip: Value,
    /// Whether it is of 3.30 or before: it knows only the routes of OpenVPN.
    pub old: bool,
    /// Whether the tunnel is of WireGuard: the routes of OpenVPN then always say `stopped`.
    pub wireguard: bool,
    /// Who may ask.
    pub auth: Auth,
    /// What it does wrong.
    pub fault: Option<Fault>,
    /// How long an order to stop or to start is held before it is answered.
    pub blocks: Duration,
    /// From the answer to an order to start until the VPN runs.
    pub starting: Duration,
    /// What the VPN is after it was started.
    pub comes_up: String,
    /// So many orders to start are refused with status 500 first.
    pub refuses_start: u32,
}

/// Who may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Everybody.
    Open,
    /// Who shows this key.
    ApiKey(String),
    /// Who shows this user and password.
    Basic(String, String),
    /// Nobody: no role has the routes.
    Private,
}

/// What it does wrong with every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It answers with this status and text.
    Status(u16, String),
    /// It answers with status 200 and this body.
    Body(String),
    /// It sends whoever asks to this address.
    Redirect(String),
    /// It accepts and does not answer.
    Hang,
    /// It closes the connection.
    Cut,
}

/// A request it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path with its query, as it came.
    pub path: String,
    /// The header `X-API-Key`.
    pub api_key: Option<String>,
    /// The body.
    pub body: String,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    settings: Settings,
    /// What the VPN becomes, and when.
    next: Option<(Instant, String)>,
    asked: Vec<Asked>,
    closed: bool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            status: "running".to_owned(),
            ip: json!({
                "public_ip": "203.0.113.7",
                "region": "Noord-Holland",
                "country": "Netherlands",
                "city": "Amsterdam",
                "location": "52.3740,4.8897",
                "organization": "AS64500 Example Transit",
                "postal_code": "1012",
                "timezone": "Europe/Amsterdam",
            }),
            old: false,
            wireguard: false,
            auth: Auth::Open,
            fault: None,
            blocks: Duration::ZERO,
            starting: Duration::ZERO,
            comes_up: "running".to_owned(),
            refuses_start: 0,
        }
    }
}

impl Default for Gluetun {
    fn default() -> Self {
        Self::start()
    }
}

impl Gluetun {
    /// One of a late version whose VPN runs and that answers everybody.
    ///
    /// # Panics
    /// If this machine has no free port.
    #[must_use]
    pub fn start() -> Self {
        let state = State { settings: Settings::default(), next: None, asked: Vec::new(), closed: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let answering = Arc::clone(&shared);
        Self { server: Standin::start(move |request| answering.answer(&request)), shared }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its address as a URL without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Changes how it is; a request that hangs goes on.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        let mut state = lock(&self.shared.state);
        state.next = None;
        change(&mut state.settings);
        drop(state);
        self.shared.changed.notify_all();
    }

    /// What the VPN is now.
    #[must_use]
    pub fn status(&self) -> String {
        lock(&self.shared.state).status()
    }

    /// What it was asked, in order, refused or not.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.state).asked.clone()
    }

    /// Refuses connections until [`Self::resume`].
    pub fn stop(&self) {
        self.server.stop();
    }

    /// Listens again, at the same address.
    pub fn resume(&self) {
        self.server.again();
    }
}

impl Drop for Gluetun {
    fn drop(&mut self) {
        lock(&self.shared.state).closed = true;
        self.shared.changed.notify_all();
    }
}

impl State {
    fn status(&mut self) -> String {
        if let Some((_, status)) = self.next.take_if(|(at, _)| *at <= now()) {
            self.settings.status = status;
        }
        self.settings.status.clone()
    }

    /// What a route tells, or `None` for one that this version does not have.
    fn told(&mut self, method: &str, route: &str) -> Option<Reply> {
        let status = self.status();
        let Settings { old, wireguard, ip, .. } = &self.settings;
        match (method, route) {
            ("GET", "/v1/vpn/status") if !old => Some(body(&json!({ "status": status }))),
            ("GET", "/v1/openvpn/status") => {
                let status = if *wireguard { "stopped" } else { status.as_str() };
                Some(body(&json!({ "status": status })))
            }
            ("GET", "/v1/publicip/ip") if status == "running" => Some(body(ip)),
            ("GET", "/v1/publicip/ip") if *old => Some(body(&json!({}))),
            ("GET", "/v1/publicip/ip") => Some(body(&json!({ "public_ip": "" }))),
            _ => None,
        }
    }

    /// What comes of an order to stop or to start.
    fn ordered(&mut self, wanted: Option<&str>) -> Reply {
        let status = self.status();
        let outcome = match wanted {
            Some("stopped") if status == "stopped" => "already stopped".to_owned(),
            Some("stopped") => {
                "stopped".clone_into(&mut self.settings.status);
                self.next = None;
                "stopped".to_owned()
            }
            Some("running") if status == "running" => "already running".to_owned(),
            Some("running") if self.settings.refuses_start > 0 => {
                self.settings.refuses_start -= 1;
                return Reply::text(500, "the loop is gone\n");
            }
            Some("running") => {
                "starting".clone_into(&mut self.settings.status);
                self.next = Some((now() + self.settings.starting, self.settings.comes_up.clone()));
                self.settings.comes_up.clone()
            }
            other => {
                let other = other.unwrap_or_default();
                let text = format!("invalid status: {other}: possible values are: stopped, running\n");
                return Reply::text(400, text);
            }
        };
        body(&json!({ "outcome": outcome }))
    }

    fn refused(&self, request: &Request) -> Option<Reply> {
        let basic = match &self.settings.auth {
            Auth::Open => return None,
            Auth::ApiKey(key) if request.header("x-api-key") == Some(key) => return None,
            Auth::ApiKey(_) | Auth::Private => false,
            Auth::Basic(user, password) => {
                let wanted = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
                if request.header("authorization") == Some(&wanted) {
                    return None;
                }
                true
            }
        };
        let reply = Reply::text(401, "Unauthorized\n");
        Some(if basic { reply.with("WWW-Authenticate", "Basic realm=\"restricted\"") } else { reply })
    }
}

impl Shared {
    fn answer(&self, request: &Request) -> Option<Reply> {
        let query: Vec<String> =
            request.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let whole = if query.is_empty() {
            request.path.clone()
        } else {
            format!("{}?{}", request.path, query.join("&"))
        };
        let fault = {
            let mut state = lock(&self.state);
            state.asked.push(Asked {
                method: request.method.clone(),
                path: whole.clone(),
                api_key: request.header("x-api-key").map(str::to_owned),
                body: request.body.clone(),
            });
            state.settings.fault.clone()
        };
        match fault {
            Some(Fault::Status(status, text)) => return Some(Reply::text(status, text)),
            Some(Fault::Body(text)) => return Some(Reply::text(200, text)),
            // Only once: where it leads the request is answered.
            Some(Fault::Redirect(to)) if request.path != path_of(&to) => {
                return Some(Reply::text(301, "").with("Location", to));
            }
            Some(Fault::Cut) => return None,
            Some(Fault::Hang) => self.hang(),
            Some(Fault::Redirect(_)) | None => {}
        }
        if let Some(refused) = lock(&self.state).refused(request) {
            return Some(refused);
        }
        let route = whole.trim_end_matches('/').to_owned();
        let ordering = request.method == "PUT"
            && (route == "/v1/openvpn/status"
                || (route == "/v1/vpn/status" && !lock(&self.state).settings.old));
        if ordering {
            let wanted: Value = serde_json::from_str(&request.body).unwrap_or_default();
            self.pause();
            return Some(lock(&self.state).ordered(wanted.get("status").and_then(Value::as_str)));
        }
        let mut state = lock(&self.state);
        let unknown = if state.settings.old {
            Reply::text(404, "")
        } else {
            Reply::text(400, format!("route {route} not supported\n"))
        };
        Some(state.told(&request.method, &route).unwrap_or(unknown))
    }

    /// Waits until the fault is another.
    fn hang(&self) {
        let hangs = |state: &mut State| state.settings.fault == Some(Fault::Hang) && !state.closed;
        let waited = self.changed.wait_timeout_while(lock(&self.state), HANGS, hangs);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits as long as an order is held.
    fn pause(&self) {
        let state = lock(&self.state);
        let held = state.settings.blocks;
        let waited = self.changed.wait_timeout_while(state, held, |state| !state.closed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// JSON as gluetun sends it: as plain text, with a line break at the end.
fn body(value: &Value) -> Reply {
    Reply::text(200, format!("{value}\n"))
}

/// The path of an absolute URL, or of one that is only a path.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
}
