//! Answers of a Consul that says anything: the client asks over loopback, and what comes
//! back is the input. Every answer is a value or an error, within the time limit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lictor_consul::{Check, Client, Config, Encoded, Error, Limits, Operation, Query};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use super::Target;

/// What the client reads.
pub(super) const TARGET: Target =
    Target { name: "consul", about: "a Consul server's answers", dictionary: WORDS, run };

const WORDS: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "null",
    "true",
    "\"\"",
    "\"Key\":",
    "\"Value\":",
    "\"bnVsbA==\"",
    "\"Flags\":",
    "\"ModifyIndex\":",
    "\"LockIndex\":",
    "\"Session\":",
    "\"Status\":",
    "\"passing\"",
    "\"Results\":",
    "\"Errors\":",
    "\"OpIndex\":",
    "\"What\":",
    "\"Node\":",
    "\"Service\":",
    "\"Checks\":",
    "HTTP/1.1 200 OK\r\n",
    "X-Consul-Index: ",
    "X-Consul-Knownleader: ",
    "X-Consul-Lastcontact: ",
    "Content-Length: ",
    "Transfer-Encoding: chunked\r\n",
    "\r\n\r\n",
    "\r\n",
    "ffffffff\r\n",
];

/// Statuses with which a body is given, beside 200.
const STATUSES: [u16; 3] = [404, 409, 500];

thread_local! {
    static BED: Bed = Bed::new();
}

/// The server, the client, and the one thread they share.
struct Bed {
    runtime: Runtime,
    client: Client,
    /// What the server says to every request.
    answer: Arc<Mutex<Vec<u8>>>,
}

impl Bed {
    #[expect(clippy::expect_used, reason = "without a loopback socket nothing can be driven")]
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("its address"));
        let answer = Arc::default();
        runtime.spawn(serve(listener, Arc::clone(&answer)));
        let config = Config {
            address: address.parse().expect("an address"),
            limits: Limits {
                attempts: 1,
                answer: Duration::from_secs(2),
                answer_bytes: 1 << 20,
                ..Limits::default()
            },
            ..Config::default()
        };
        let client = runtime.block_on(async { Client::new(config) }).expect("a client");
        Self { runtime, client, answer }
    }

    fn say(&self, bytes: Vec<u8>) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    }
}

/// An input that begins like an answer is the whole of one, head and all; any other is
/// the body of a well-formed answer to every request there is.
fn run(bytes: &[u8]) {
    BED.with(|bed| {
        if bytes.starts_with(b"HTTP/") {
            bed.say(bytes.to_vec());
            bed.runtime.block_on(async {
                drop(bed.client.kv().list("a", &Query::new()).await);
            });
            return;
        }
        bed.say(well_formed(200, bytes));
        bed.runtime.block_on(ask_all(&bed.client));
        for status in STATUSES {
            bed.say(well_formed(status, bytes));
            bed.runtime.block_on(ask_some(&bed.client));
        }
    });
}

fn well_formed(status: u16, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} X\r\nX-Consul-Index: 7\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

async fn ask_all(client: &Client) {
    let query = Query::new();
    ask_some(client).await;
    drop(client.kv().list("a", &query).await);
    drop(read_rows(client).await);
    drop(read_keys(client).await);
    drop(client.find_limits().await);
    drop(client.kv().put("a", "b").await);
    drop(client.health().service("a", &query).await);
    drop(client.health().state(None, &query).await);
    let read = |row: &[u8]| Check::from_row(row).map(drop);
    drop(client.health().each(&query, read).await);
    drop(client.catalog().datacenters().await);
    drop(client.catalog().nodes(&query).await);
    drop(client.catalog().services(&query).await);
    drop(client.catalog().service("a", &query).await);
    drop(client.catalog().node("a", &query).await);
    drop(client.agent().info().await);
    drop(client.agent().members().await);
    drop(client.agent().services(&query).await);
    drop(client.agent().checks(&query).await);
    drop(client.session().list(&query).await);
    drop(client.event().list(None, &query).await);
}

/// Those that treat other statuses than 200 as answers.
async fn ask_some(client: &Client) {
    drop(client.kv().get("a", &Query::new()).await);
    drop(client.txn().run(&[Operation::set("a", "b")]).await);
    drop(client.txn().absent(&["a", "b"], &Query::new()).await);
}

async fn read_rows(client: &Client) -> Result<(), Error> {
    let mut rows = client.kv().rows("a", &Query::new()).await?;
    while rows.next(|row| drop(Encoded::new(&row.value).map(|value| value.decode()))).await? {}
    Ok(())
}

async fn read_keys(client: &Client) -> Result<(), Error> {
    let mut keys = client.kv().key_rows("a", &Query::new()).await?;
    while keys.next(|_| {}).await? {}
    Ok(())
}

async fn serve(listener: TcpListener, answer: Arc<Mutex<Vec<u8>>>) {
    // Ends with the process: the worker has nothing else to do.
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream, Arc::clone(&answer)));
    }
}

/// Answers one request after the other, as long as the answers are well-formed.
async fn converse(mut stream: TcpStream, answer: Arc<Mutex<Vec<u8>>>) {
    let mut request = Vec::new();
    loop {
        match stream.read_buf(&mut request).await {
            Ok(read) if read > 0 => {}
            _ => return,
        }
        if !is_whole(&request) {
            continue;
        }
        request.clear();
        let bytes = answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if stream.write_all(&bytes).await.is_err() || !bytes.starts_with(b"HTTP/1.1 ") || !is_whole(&bytes) {
            return;
        }
    }
}

/// Whether a message has its head and as much of a body as the head says.
fn is_whole(message: &[u8]) -> bool {
    let Some(end) = message.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(message.get(..end).unwrap_or_default()).to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    message.len() >= end + 4 + length.unwrap_or(0)
}
