//! What the stand-ins of this kit share: a small HTTP/1.1 server on threads of its own, on a loopback
//! address that nothing else uses, so that it can be away for a while and come back.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::{ports, wait};

/// Most bytes of a request's body that are read.
const BODY: u64 = 1 << 20;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the query, percent-decoded in each segment.
    pub(crate) segments: Vec<String>,
    /// As it was written, without the query.
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Reply {
    /// A text, as Go's `http.Error` sends it or as JSON without a type of its own.
    pub(crate) fn text(status: u16, body: impl Into<String>) -> Self {
        let headers = vec![("Content-Type", "text/plain; charset=utf-8".to_owned())];
        Self { status, headers, body: body.into() }
    }

    /// JSON.
    pub(crate) fn json(body: &serde_json::Value) -> Self {
        let headers = vec![("Content-Type", "application/json".to_owned())];
        Self { status: 200, headers, body: body.to_string() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

/// Answers requests; `None` closes the connection without an answer.
pub(crate) type Handler = dyn Fn(Request) -> Option<Reply> + Send + Sync;

/// How long a port that was left may be taken.
const FREED: Duration = Duration::from_secs(5);

/// A server that runs until it is stopped or dropped.
pub(crate) struct Standin {
    address: SocketAddr,
    handler: Arc<Handler>,
    running: Mutex<Option<Running>>,
}

struct Running {
    listener: Arc<TcpListener>,
    stop: Arc<AtomicBool>,
    streams: Arc<Streams>,
    accepting: JoinHandle<()>,
}

/// The open connections, to be cut when the server stops.
#[derive(Default)]
struct Streams {
    last: AtomicU64,
    open: Mutex<BTreeMap<u64, TcpStream>>,
}

impl std::fmt::Debug for Standin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Standin").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Standin {
    /// Serves on a free port of an address of its own.
    ///
    /// # Panics
    /// If this machine has none.
    pub(crate) fn start(handler: impl Fn(Request) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::start_on(ports::loopback(), handler)
    }

    /// Serves on a free port of this address.
    ///
    /// # Panics
    /// If it has none.
    pub(crate) fn start_on(
        ip: Ipv4Addr,
        handler: impl Fn(Request) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let address = SocketAddr::from((ip, ports::free_on(ip)));
        let server = Self { address, handler: Arc::new(handler), running: Mutex::default() };
        server.again();
        server
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves again after a [`Self::stop`], at the same address.
    ///
    /// # Panics
    /// If something else listens there.
    pub(crate) fn again(&self) {
        let mut running = lock(&self.running);
        if running.is_some() {
            return;
        }
        // A program that another thread is just starting has our sockets until it runs: the one that was there a
        // moment ago may still be.
        let mut last = None;
        let listener = wait::until(FREED, || match TcpListener::bind(self.address) {
            Ok(listener) => Some(listener),
            Err(error) => {
                last = Some(error);
                None
            }
        });
        let listener = listener.unwrap_or_else(|| panic!("cannot listen on {}: {last:?}", self.address));
        let listener = Arc::new(listener);
        let (stop, streams) = (Arc::<AtomicBool>::default(), Arc::<Streams>::default());
        let handler = Arc::clone(&self.handler);
        let (listens, stopping, kept) = (Arc::clone(&listener), Arc::clone(&stop), Arc::clone(&streams));
        let accepting = thread::spawn(move || accept(&listens, &stopping, &kept, &handler));
        *running = Some(Running { listener, stop, streams, accepting });
    }

    /// Refuses connections from now on, and cuts those that are open.
    pub(crate) fn stop(&self) {
        let Some(running) = lock(&self.running).take() else { return };
        running.stop.store(true, Ordering::SeqCst);
        // It waits for a connection, and hears that there will be none. It may be on a network of its own,
        // where this thread cannot connect to it.
        rustix::net::shutdown(&running.listener, rustix::net::Shutdown::Both).ok();
        drop(running.accepting.join());
        drop(running.listener);
        for stream in lock(&running.streams.open).values() {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: &TcpListener, stop: &AtomicBool, streams: &Arc<Streams>, handler: &Arc<Handler>) {
    for stream in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let Ok(kept) = stream.try_clone() else { continue };
        let number = streams.last.fetch_add(1, Ordering::SeqCst);
        lock(&streams.open).insert(number, kept);
        let (streams, handler) = (Arc::clone(streams), Arc::clone(handler));
        thread::spawn(move || {
            // A client that goes away is no fault of the server's.
            serve(&stream, &handler).ok();
            drop(stream.shutdown(Shutdown::Both));
            lock(&streams.open).remove(&number);
        });
    }
}

/// Answers one request after the other until the client has none.
fn serve(stream: &TcpStream, handler: &Arc<Handler>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = read(&mut reader)? {
        let last = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let Some(reply) = handler(request) else { return Ok(()) };
        write(stream, &reply)?;
        if last {
            return Ok(());
        }
    }
    Ok(())
}

fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        segments: path.trim_start_matches('/').split('/').map(decoded).collect(),
        query: pairs(query),
        ..Request::default()
    };
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            request.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let length: u64 = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = Vec::new();
    reader.by_ref().take(length.min(BODY)).read_to_end(&mut body)?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(request))
}

fn write(mut stream: &TcpStream, reply: &Reply) -> io::Result<()> {
    let mut text = format!("HTTP/1.1 {} {}\r\n", reply.status, reason(reply.status));
    for (name, value) in &reply.headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text.extend(["Content-Length: ", &reply.body.len().to_string(), "\r\n\r\n", &reply.body]);
    stream.write_all(text.as_bytes())
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        500 => "Internal Server Error",
        _ => "Other",
    }
}

pub(crate) fn pairs(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let both = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(&value.replace('+', " ")))
    };
    pairs.map(both).collect()
}

/// A text with its percent-encoded bytes as what they stand for.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What is behind a lock of a stand-in is changed in one step: a panic elsewhere leaves it whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(address: SocketAddr, request: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    #[test]
    fn a_request_is_taken_apart_and_answered() {
        let server = Standin::start(|request| {
            let told = format!("{:?} {:?} {}", request.segments, request.query, request.body);
            Some(Reply::text(404, told).with("X-Thing", 7))
        });
        let request =
            "PUT /v1/job/a%2Fb?index=3&x=a%20b HTTP/1.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
        let answer = ask(server.address(), request).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
        assert!(answer.contains("\r\nX-Thing: 7\r\n"), "{answer}");
        let told = r#"["v1", "job", "a/b"] {"index": "3", "x": "a b"} {}"#;
        assert!(answer.ends_with(told), "{answer}");
    }

    #[test]
    fn a_stopped_server_refuses_and_comes_back_where_it_was() {
        let server = Standin::start(|_| Some(Reply::text(200, "here")));
        let address = server.address();
        let request = "GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
        assert!(ask(address, request).unwrap().ends_with("here"));
        let mut open = TcpStream::connect(address).unwrap();
        open.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        server.stop();
        assert_eq!(ask(address, request).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let mut left = String::new();
        open.read_to_string(&mut left).ok();
        server.again();
        assert!(ask(address, request).unwrap().ends_with("here"));
    }
}
