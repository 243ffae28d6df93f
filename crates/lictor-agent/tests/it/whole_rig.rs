//! A whole agent in this process: a configuration, a state directory, its API.
#![cfg(test)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lictor_agent::service::Machine;
use lictor_agent::web;
use lictor_agent::{Agent, Settings, StartError};
use lictor_config::{Config, Watch, parse};
use lictor_store::OpenError;
use lictor_testkit::ports;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::act_bench::HOST;
use crate::watch_rig::{LONG, name};

/// A node; its agent runs or not.
pub(crate) struct Whole {
    agent: Option<Agent>,
    pub(crate) address: SocketAddr,
    /// What its agent reads when it is told to.
    pub(crate) config: Arc<Mutex<String>>,
    machine: Option<Machine>,
    _dir: TempDir,
}

impl Whole {
    /// A node with these blocks, and its agent started.
    pub(crate) async fn start(blocks: &str) -> Self {
        Self::named("test", blocks, None).await
    }

    /// One of several nodes, which runs services on this machine.
    pub(crate) async fn named(node: &str, blocks: &str, machine: Option<Machine>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ip = ports::loopback();
        let address = SocketAddr::from((ip, ports::free_on(ip)));
        let state = dir.path().join("state");
        let head = format!(
            "node {{\n  name = \"{node}\"\n  state_dir = \"{}\"\n}}\nhttp {{\n  address = \"{address}\"\n}}\n",
            state.display()
        );
        let config = Arc::new(Mutex::new(format!("{head}{blocks}")));
        let mut node = Self { agent: None, address, config, machine, _dir: dir };
        node.again().await;
        node
    }

    /// Starts its agent again.
    pub(crate) async fn again(&mut self) {
        let deadline = Instant::now() + LONG;
        let agent = loop {
            let text = Arc::clone(&self.config);
            let read = move || parsed(&text.lock().unwrap());
            let config = read();
            let settings = Settings {
                listener: web::bind(&config.http).unwrap(),
                config,
                loader: Arc::new(move || Ok(read())),
                shim: vec![HOST.into(), "shim".into()],
                version: "0".to_owned(),
                new_node: false,
                tell: None,
                predecessor: None,
                customs: None,
                machine: self.machine.clone(),
            };
            match Agent::start(settings).await {
                // In one process the last connection of the one before may still hold the store.
                Err(StartError::Store(OpenError::InUse { .. })) if Instant::now() < deadline => {
                    sleep(Duration::from_millis(20)).await;
                }
                started => break started.unwrap(),
            }
        };
        self.agent = Some(agent);
    }

    /// Its agent, which runs.
    pub(crate) fn agent(&self) -> &Agent {
        self.agent.as_ref().unwrap()
    }

    pub(crate) async fn stop(&mut self) {
        let agent = self.agent.take().unwrap();
        assert!(agent.stop().await, "it did not end in time");
    }

    /// Asks the API: the status and the body.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.text(method, path, headers, body).await;
        (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("no JSON: {body}")))
    }

    /// The status of an answer that is no JSON.
    pub(crate) async fn status(&self, path: &str) -> u16 {
        self.text("GET", path, "", "").await.0
    }

    async fn text(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let talk = async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
                body.len()
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = tokio::time::timeout(LONG, talk).await.expect("the agent does not answer");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, "", "").await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// How a check stands, as `status: summary`.
    pub(crate) async fn check(&self, name: &str) -> String {
        let check = self.get(&format!("/v1/checks/{name}")).await;
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        format!("{}: {}", word(&check["status"]), word(&check["last"]["summary"]))
    }

    /// Waits until something is so.
    pub(crate) async fn until(&self, so: impl AsyncFn(&Self) -> bool) {
        let deadline = Instant::now() + LONG;
        while !so(self).await {
            assert!(Instant::now() < deadline, "it never is so");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a check stands as wanted.
    pub(crate) async fn until_check(&self, name: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + LONG;
        loop {
            let found = self.check(name).await;
            if wanted(&found) {
                return found;
            }
            assert!(Instant::now() < deadline, "{name} is still {found}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The texts of all events of a kind so far.
    pub(crate) async fn events(&self, kind: &str) -> Vec<String> {
        let found = self.get(&format!("/v1/events?limit=1000&kind={kind}")).await;
        let texts = found["events"].as_array().unwrap().iter();
        texts.map(|event| event["text"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until there are so many events of a kind, and gives them.
    pub(crate) async fn until_events(&self, kind: &str, count: usize) -> Vec<String> {
        let deadline = Instant::now() + LONG;
        loop {
            let found = self.events(kind).await;
            if found.len() >= count {
                return found;
            }
            assert!(Instant::now() < deadline, "{kind} after {LONG:?}: {found:?}, wanted {count}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn parsed(text: &str) -> Config {
    match parse("x.hcl", text) {
        Ok(loaded) => loaded.config,
        Err(failure) => panic!("{failure:?}"),
    }
}

/// The watcher `x` of a configuration.
pub(crate) fn watch_of(block: &str) -> Watch {
    let watches: BTreeMap<_, _> = parsed(block).watches;
    Arc::unwrap_or_clone(watches.get(&name("x")).unwrap().clone())
}

/// PEM of an authority, and of a certificate and key of a server of this name.
pub(crate) fn certificates(server: &str) -> (String, String, String) {
    let mut authority = CertificateParams::new(["authority".to_owned()]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([server.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    (issuer.pem(), certificate.pem(), key.serialize_pem())
}
