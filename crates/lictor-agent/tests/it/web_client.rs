//! A client that can also be rude: it writes bytes and reads what comes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lictor_agent::Tasks;
use lictor_agent::web::{self, Limits};
use lictor_config::{Listen, Secret};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::web_world::{World, bad_day, noon};

/// No answer takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A served node.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) world: Arc<World>,
    pub(crate) tasks: Tasks,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.stopping().cancel();
    }
}

/// Serves a node on a bad day.
pub(crate) async fn serve() -> Server {
    let (view, past) = bad_day(noon());
    serve_world(World::new(view, past), None, &[], Limits::default()).await
}

/// Serves a node that asks for a token.
pub(crate) async fn serve_guarded(token: &str) -> Server {
    let (view, past) = bad_day(noon());
    serve_world(World::new(view, past), Some(token), &[], Limits::default()).await
}

pub(crate) async fn serve_world(
    world: Arc<World>,
    token: Option<&str>,
    allowed_hosts: &[&str],
    limits: Limits,
) -> Server {
    let listen = Listen {
        address: "127.0.0.1:0".parse().unwrap(),
        token: token.map(Secret::value),
        allowed_hosts: allowed_hosts.iter().map(|&host| host.to_owned()).collect(),
    };
    let listener = web::bind(&listen).unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = Tasks::new();
    web::serve(listener, world.state(listen, limits), &tasks);
    let server = Server { address, world, tasks };
    assert_eq!(server.get("/-/healthy").await.status, 200);
    server
}

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}"));
        let mut lines = head.lines();
        let first = lines.next().unwrap();
        let status = first.split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        });
        Self { status, headers: headers.collect(), body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// The code of an error, after its shape was looked at.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        let json = self.json();
        assert!(json["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{json}");
        json["error"]["code"].as_str().unwrap().to_owned()
    }
}

impl Server {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, &[], body).await
    }

    /// Asks with headers in place of or beside the usual ones; the connection is closed.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request.push_str("Host: localhost\r\n");
        }
        for (name, value) in headers {
            request.extend([name, ": ", value, "\r\n"]);
        }
        if !body.is_empty() {
            request.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        request.extend(["\r\n", body]);
        Answer::parse(&self.raw(request.as_bytes()).await)
    }

    /// Writes bytes and reads until the other side closes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let talk = async {
            let mut stream = self.connect().await;
            stream.write_all(bytes).await.unwrap();
            let mut answer = Vec::new();
            // A reset after the answer is as good as its end.
            drop(stream.read_to_end(&mut answer).await);
            answer
        };
        tokio::time::timeout(PATIENCE, talk).await.expect("the server neither answers nor closes")
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// A client that follows the events.
pub(crate) struct Follower {
    stream: TcpStream,
    buffer: String,
}

impl Follower {
    /// Connects and reads the head; HTTP/1.0, so that the body is not chunked.
    pub(crate) async fn connect(server: &Server, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = server.connect().await;
        let mut request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n");
        for (name, value) in headers {
            request.extend([name, ": ", value, "\r\n"]);
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut follower = Self { stream, buffer: String::new() };
        let head = follower.until("\r\n\r\n").await.expect("a head");
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        assert!(head.to_ascii_lowercase().contains("content-type: text/event-stream"), "{head}");
        follower
    }

    /// Reads up to and with `end`; `None` when the stream ends before it.
    async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.find(end) {
                return Some(self.buffer.drain(..at + end.len()).collect());
            }
            let mut bytes = vec![0; 16 * 1024];
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes)).await;
            let count = read.expect("no event in time").unwrap_or(0);
            if count == 0 {
                return None;
            }
            self.buffer.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
    }

    /// The next event: its number and its data. Comments are passed over.
    pub(crate) async fn next(&mut self) -> Option<(u64, serde_json::Value)> {
        loop {
            let block = self.until("\n\n").await?;
            let field = |name: &str| {
                block.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
            };
            if let (Some(id), Some(data)) = (field("id:"), field("data:")) {
                return Some((id.parse().unwrap(), serde_json::from_str(&data).unwrap()));
            }
        }
    }

    /// The numbers of the next `count` events.
    pub(crate) async fn numbers(&mut self, count: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            numbers.push(self.next().await.expect("the stream ended").0);
        }
        numbers
    }
}

/// Asks again until `done` says so.
pub(crate) async fn until<T, F: Future<Output = T>>(
    mut ask: impl FnMut() -> F,
    done: impl Fn(&T) -> bool,
) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        if done(&answer) {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "it does not come to be");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
