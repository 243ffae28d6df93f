//! What the tests of watchers share: targets with faults of every kind, and single looks at them.
#![cfg(test)]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lictor_agent::watch::{Look, Memory, World, look};
use lictor_agent::{Clock, OnEnd, Tasks};
use lictor_config::{Family, Http, Tls, Watch, WatchKind};
use lictor_core::{CheckName, Sample, Value};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// For looks that must run into their limit.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

pub(crate) struct Rig {
    pub(crate) tasks: Tasks,
    pub(crate) world: Arc<World>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let tasks = Tasks::new();
        Self { world: World::new(tasks.clone(), Clock::fresh()), tasks }
    }

    /// Serves each connection on a free port.
    pub(crate) async fn serve<F, Fut>(&self, handle: F) -> SocketAddr
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.serve_on("127.0.0.1:0", handle).await
    }

    pub(crate) async fn serve_on<F, Fut>(&self, address: &str, handle: F) -> SocketAddr
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = self.tasks.clone();
        self.tasks.spawn("server", OnEnd::Fine, async move {
            while let Ok((stream, _peer)) = listener.accept().await {
                tasks.spawn("connection", OnEnd::Fine, handle(stream));
            }
        });
        address
    }

    pub(crate) async fn look(&self, watch: &Watch) -> Look {
        self.look_again(watch, &mut Memory::default()).await
    }

    pub(crate) async fn look_again(&self, watch: &Watch, memory: &mut Memory) -> Look {
        look(&name("test"), watch, memory, &self.world).await
    }

    /// Looks once: the result as `status: summary`.
    pub(crate) async fn see(&self, watch: &Watch) -> String {
        told(&self.sample(watch).await)
    }

    pub(crate) async fn sample(&self, watch: &Watch) -> Sample {
        self.look(watch).await.sample.unwrap()
    }
}

pub(crate) fn name(text: &str) -> CheckName {
    text.parse().unwrap()
}

pub(crate) fn told(sample: &Sample) -> String {
    format!("{}: {}", sample.status, sample.summary)
}

pub(crate) fn number(sample: &Sample, name: &str) -> Option<f64> {
    match sample.value(&name.parse().unwrap()) {
        Some(Value::Number(number)) => Some(*number),
        Some(Value::Text(_)) | None => None,
    }
}

pub(crate) fn watch(kind: WatchKind, timeout: Duration) -> Watch {
    Watch { kind, every: Duration::from_secs(30), timeout, patterns: Vec::new() }
}

/// The defaults of the configuration.
pub(crate) fn http(url: &str) -> Http {
    Http {
        url: url.parse().unwrap(),
        method: "GET".into(),
        headers: Vec::new(),
        body: None,
        basic_auth: None,
        bearer: None,
        status: vec![(200, 299)],
        expect_headers: Vec::new(),
        body_matches: None,
        body_lacks: None,
        json: Vec::new(),
        warn_slower: None,
        warn_expiry: Duration::from_secs(14 * 86_400),
        critical_expiry: Duration::from_secs(3 * 86_400),
        redirects: 0,
        keep_alive: false,
        family: Family::Any,
        max_body: 1 << 20,
        tls: Tls::default(),
    }
}

pub(crate) fn http_watch(http: Http) -> Watch {
    watch(WatchKind::Http(Box::new(http)), LONG)
}

/// Reads a request up to the end of its head, and the body its length promises. `None` when
/// the connection ends first.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    let mut piece = [0; 1_024];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let wanted: usize =
                header(head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            if body.len() >= wanted {
                return Some(text);
            }
        }
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

/// Keeps a connection and says nothing.
pub(crate) async fn hold(stream: TcpStream) {
    let _stream = stream;
    std::future::pending::<()>().await;
}

/// The value of a header in a request.
pub(crate) fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value.trim()))
}
