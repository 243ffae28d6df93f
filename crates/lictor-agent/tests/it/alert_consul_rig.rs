//! What the tests of Consul's checks as a source share: who takes the reports, a proxy that counts
//! the requests, and a server that answers what it is told to.
#![cfg(test)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lictor_agent::alert::consul::{Source, Timing};
use lictor_agent::{OnEnd, Tasks};
use lictor_consul::{CheckKind, Client, Config, Limits, NewCheck, NewService, Status};
use lictor_core::alert::{Input, Report};
use lictor_testkit::consul::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// So that outages and second looks take no time.
pub(crate) fn hasty() -> Timing {
    let millis = Duration::from_millis;
    Timing { wait: Duration::from_secs(2), grace: millis(300), second_look: millis(100), ..Timing::default() }
}

/// A client with all rights.
pub(crate) fn client(server: &Server) -> Client {
    at(&server.url(), server.token())
}

pub(crate) fn at(url: &str, token: Option<&str>) -> Client {
    let config = Config { address: url.parse().unwrap(), token: token.map(Into::into), ..Config::default() };
    Client::new(config).unwrap()
}

/// A client that gives up soon.
pub(crate) fn impatient(url: &str) -> Client {
    let limits = Limits { answer: Duration::from_millis(500), answer_bytes: 1 << 20, ..Limits::default() };
    Client::new(Config { address: url.parse().unwrap(), limits, ..Config::default() }).unwrap()
}

/// A service whose checks say what they are told to.
pub(crate) fn service(id: &str, name: &str, checks: &[&str]) -> NewService {
    let ttl = |check: &&str| {
        let mut new = NewCheck::new(format!("check {check}"), CheckKind::Ttl(LONG * 60));
        new.id = Some((*check).to_owned());
        new.status = Some(Status::Passing);
        new
    };
    let mut service = NewService { id: Some(id.to_owned()), name: name.to_owned(), ..NewService::default() };
    service.tags = vec!["web".to_owned()];
    service.checks = checks.iter().map(ttl).collect();
    service
}

/// Takes the reports of a source and keeps how things stand, as their receiver does.
pub(crate) struct Taker {
    inputs: mpsc::Receiver<Input>,
    /// What is known, by key.
    pub(crate) now: BTreeMap<String, Report>,
    /// What was said since last asked for: `complete N`, `KEY status`, `-KEY`, `lost: WHY`.
    pub(crate) said: Vec<String>,
    pub(crate) lost: Option<String>,
    pub(crate) tasks: Tasks,
}

impl Taker {
    pub(crate) fn of(client: Client, datacenters: &[&str], timing: Timing) -> Self {
        Self::with(client, datacenters, |source| source.timed(timing))
    }

    pub(crate) fn with(client: Client, datacenters: &[&str], change: impl FnOnce(Source) -> Source) -> Self {
        let (sender, inputs) = mpsc::channel(4);
        let tasks = Tasks::new();
        let datacenters = datacenters.iter().map(|&name| name.to_owned()).collect();
        let source = change(Source::new(client, datacenters, sender, tasks.stopping()));
        tasks.spawn("consul", OnEnd::Fine, source.run());
        Self { inputs, now: BTreeMap::new(), said: Vec::new(), lost: None, tasks }
    }

    /// Takes the next input.
    pub(crate) async fn take(&mut self) -> &str {
        let input = timeout(LONG, self.inputs.recv()).await;
        let input = input.unwrap_or_else(|_| panic!("nothing more after {:?}", self.said)).unwrap();
        let from = self.said.len();
        match input {
            Input::Lost { source, why } => {
                self.said.push(format!("lost {source}: {why}"));
                self.lost = Some(why);
            }
            Input::Reports { complete, reports, gone, .. } => {
                self.lost = None;
                if complete {
                    assert!(gone.is_empty());
                    self.now.clear();
                    self.said.push(format!("complete {}", reports.len()));
                } else {
                    self.said.extend(reports.iter().map(told));
                }
                for report in reports {
                    self.now.insert(report.subject.key.to_string(), report);
                }
                for key in gone {
                    assert!(self.now.remove(key.as_str()).is_some(), "{key} was never there");
                    self.said.push(format!("-{key}"));
                }
            }
            other => panic!("{other:?}"),
        }
        self.said[from..].first().map_or("", String::as_str)
    }

    /// Takes inputs until things stand so.
    pub(crate) async fn until(&mut self, so: impl Fn(&Self) -> bool) {
        while !so(self) {
            self.take().await;
        }
    }

    /// What was said since the last call.
    pub(crate) fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    /// The status of what the key ends in, with `(m)` in maintenance; empty if it is not there.
    pub(crate) fn status(&self, end: &str) -> String {
        let found = self.now.values().find(|report| report.subject.key.as_str().ends_with(end));
        found.map(stands).unwrap_or_default()
    }

    /// Makes sure that nothing is said for a while.
    pub(crate) async fn silent(&mut self, lasting: Duration) {
        if let Ok(input) = timeout(lasting, self.inputs.recv()).await {
            panic!("{input:?}");
        }
    }
}

fn stands(report: &Report) -> String {
    let maintenance = if report.maintenance { " (m)" } else { "" };
    format!("{}{maintenance}", report.status)
}

fn told(report: &Report) -> String {
    format!("{} {}", report.subject.key, stands(report))
}

/// Passes connections on to a server and writes down what is asked.
pub(crate) struct Proxy {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let list = Arc::clone(&asked);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(pass(stream, server, Arc::clone(&list)));
            }
        });
        Self { url, asked, _serving: serving }
    }

    /// The request lines since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// One connection. The client sends a request in one piece and only after the answer to the last.
async fn pass(stream: TcpStream, server: SocketAddr, asked: Arc<Mutex<Vec<String>>>) {
    let Ok(behind) = TcpStream::connect(server).await else { return };
    let ((mut from, mut back), (mut answers, mut to)) = (stream.into_split(), behind.into_split());
    let there = async {
        let mut piece = vec![0; 1 << 14];
        while let Ok(read @ 1..) = from.read(&mut piece).await {
            let text = String::from_utf8_lossy(&piece[..read]);
            asked.lock().unwrap().extend(text.lines().next().map(str::to_owned));
            if to.write_all(&piece[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = there => {}
        _ = tokio::io::copy(&mut answers, &mut back) => {}
    }
}

/// What a [`StandIn`] does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answers with a list at an index.
    List(u64, String),
    /// The same, and says that something was left out.
    Filtered(u64, String),
    /// Answers with a status and a text.
    Status(u16, &'static str),
    /// Answers with these bytes and closes.
    Raw(String),
    /// Sends these bytes, then nothing more.
    Hang(String),
}

/// A server that does one act for each request, then holds all others, as Consul does without news.
pub(crate) struct StandIn {
    pub(crate) url: String,
    acts: mpsc::Sender<Act>,
    asked: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl StandIn {
    pub(crate) async fn start(acts: &[Act]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, mut given) = mpsc::channel::<Act>(64);
        for act in acts {
            sender.try_send(act.clone()).unwrap();
        }
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let list = Arc::clone(&asked);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(line) = request(&mut stream).await else { continue };
                list.lock().unwrap().push(line);
                let mut more = [0; 64];
                let act = tokio::select! {
                    act = given.recv() => act,
                    // Whoever gave up waiting is answered no more.
                    _ = stream.read(&mut more) => continue,
                };
                let Some(act) = act else { return };
                let bytes = bytes(&act);
                if stream.write_all(bytes.as_bytes()).await.is_ok() && matches!(act, Act::Hang(_)) {
                    held.push(stream);
                }
            }
        });
        Self { url, acts: sender, asked, _serving: serving }
    }

    pub(crate) fn then(&self, act: Act) {
        self.acts.try_send(act).unwrap();
    }

    /// The queries since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    text.lines().next().map(|line| line.replace("GET /v1/", "").replace(" HTTP/1.1", ""))
}

fn bytes(act: &Act) -> String {
    let list = |index: u64, more: &str, body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nX-Consul-Index: {index}\r\n{more}Content-Length: {length}\r\n\r\n{body}"
        )
    };
    match act {
        Act::List(index, body) => list(*index, "", body),
        Act::Filtered(index, body) => list(*index, "X-Consul-Results-Filtered-By-ACLs: true\r\n", body),
        Act::Status(status, text) => {
            let length = text.len();
            format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{text}")
        }
        Act::Raw(bytes) | Act::Hang(bytes) => bytes.clone(),
    }
}

/// A list of checks of one node: their ids and statuses.
pub(crate) fn list(checks: &[(&str, &str)]) -> String {
    let rows = checks.iter().map(|(id, status)| {
        format!(r#"{{"Node":"n","CheckID":"{id}","Name":"{id}","Status":"{status}","ModifyIndex":1}}"#)
    });
    format!("[{}]", rows.collect::<Vec<_>>().join(","))
}
