//! A server that answers whatever it is told to, byte by byte.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What is done with one connection after its request's head was read.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Sends these bytes and closes.
    Send(Vec<u8>),
    /// Sends these bytes, then nothing more, and keeps the connection.
    SendAndHang(Vec<u8>),
    /// Sends these bytes one by one, at this distance.
    Drip(Vec<u8>, Duration),
    /// Sends the head, then this many bytes of body as fast as they are taken.
    Flood(Vec<u8>, u64),
    /// Closes at once, with what was received unread: the client's side is reset.
    Reset,
}

impl Act {
    /// An answer with a status, headers and a body that is as long as it says.
    pub(crate) fn answer(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        let text = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        Self::Send(text.into_bytes())
    }
}

/// A server on loopback that does one act for each connection, the last again and again.
pub(crate) struct StandIn {
    pub(crate) url: String,
    /// The request lines it received.
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    /// Ends with this value.
    _serving: JoinSet<()>,
}

impl StandIn {
    pub(crate) async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let received = Arc::clone(&requests);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let act = acts.get(number).or(acts.last()).cloned().unwrap();
                connections.spawn(serve(stream, act, Arc::clone(&received)));
            }
        });
        Self { url, requests, _serving: serving }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Errors only say that the client went away, which is its right.
async fn serve(stream: TcpStream, act: Act, requests: Arc<Mutex<Vec<String>>>) {
    if let Err(error) = try_serve(stream, act, &requests).await {
        requests.lock().unwrap().push(format!("({})", error.kind()));
    }
}

async fn try_serve(mut stream: TcpStream, act: Act, requests: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let line = text.lines().next().unwrap_or_default().to_owned();
    requests.lock().unwrap().push(line);
    match act {
        Act::Send(bytes) => stream.write_all(&bytes).await?,
        Act::SendAndHang(bytes) => {
            stream.write_all(&bytes).await?;
            // Until the client closes.
            while stream.read(&mut [0; 64]).await? > 0 {}
        }
        Act::Drip(bytes, pause) => {
            for byte in bytes {
                stream.write_all(&[byte]).await?;
                tokio::time::sleep(pause).await;
            }
        }
        Act::Flood(head, length) => {
            stream.write_all(&head).await?;
            let block = vec![b'x'; 1 << 16];
            for _ in 0..length.div_ceil(1 << 16) {
                stream.write_all(&block).await?;
            }
        }
        Act::Reset => stream.set_zero_linger()?,
    }
    Ok(())
}
