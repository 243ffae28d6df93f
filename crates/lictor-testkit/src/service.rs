//! A service of any kind that is told something by HTTP, and the ways in which such services fail.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::ports;
use crate::standin::{Reply, Standin, lock};

/// A request that came.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: String,
    /// The path as it was written.
    pub path: String,
    /// The query, decoded.
    pub query: BTreeMap<String, String>,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

/// What is answered: status, headers and body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A status with a body.
    #[must_use]
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// With a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

/// A service that answers as a test wants and keeps what it was asked.
#[derive(Debug)]
pub struct Service {
    standin: Standin,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Service {
    /// Starts one.
    ///
    /// # Panics
    /// If this machine has no address for it.
    #[must_use]
    pub fn start(answers: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_on(ports::loopback(), answers)
    }

    /// Starts one at this address.
    ///
    /// # Panics
    /// If it is not an address of this machine, or of the host on which the calling thread is.
    #[must_use]
    pub fn start_on(ip: Ipv4Addr, answers: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let kept = Arc::clone(&calls);
        let standin = Standin::start_on(ip, move |request| {
            let call = Call {
                method: request.method,
                path: request.path,
                query: request.query,
                headers: request.headers,
                body: request.body,
            };
            let answer = answers(&call);
            lock(&kept).push(call);
            Some(Reply { status: answer.status, headers: answer.headers, body: answer.body })
        });
        Self { standin, calls }
    }

    /// One that gives these answers, one after the other, and then the last one.
    ///
    /// # Panics
    /// If there are none, or no address for it.
    #[must_use]
    pub fn answering(answers: Vec<Answer>) -> Self {
        let given = Mutex::new(0);
        Self::start(move |_call| {
            let mut given = lock(&given);
            *given += 1;
            answers[(*given - 1).min(answers.len() - 1)].clone()
        })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.standin.address())
    }

    /// What it was asked, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.calls).clone()
    }

    /// Refuses connections from now on.
    pub fn stop(&self) {
        self.standin.stop();
    }

    /// Accepts connections again, at the same address.
    ///
    /// # Panics
    /// If something else listens there.
    pub fn again(&self) {
        self.standin.again();
    }
}

/// How a server fails that takes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It never answers.
    Hangs,
    /// It reads the request and closes.
    Closes,
    /// Its answer begins and never ends.
    Crawls,
    /// It closes in the middle of its answer.
    BreaksOff,
    /// Its answer is no HTTP.
    Babbles,
    /// Its answer is longer than anybody reads.
    Floods,
}

/// Starts a server that fails so, for as long as the test runs.
///
/// # Panics
/// If this machine has no address for it.
#[must_use]
pub fn faulty(fault: Fault) -> SocketAddr {
    let ip: Ipv4Addr = ports::loopback();
    let listener =
        TcpListener::bind((ip, 0)).unwrap_or_else(|error| panic!("cannot listen on {ip}: {error}"));
    let address = listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"));
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            if fault == Fault::Hangs {
                open.push(stream);
                continue;
            }
            stream.set_read_timeout(Some(Duration::from_secs(20))).ok();
            let (mut request, mut piece) = (Vec::new(), [0; 65_536]);
            while let Ok(count @ 1..) = stream.read(&mut piece) {
                request.extend_from_slice(piece.get(..count).unwrap_or_default());
                if request.windows(4).any(|end| end == b"\r\n\r\n") {
                    break;
                }
            }
            let answer: &[u8] = match fault {
                Fault::Hangs | Fault::Closes => b"",
                Fault::Crawls | Fault::BreaksOff => b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"ok\"",
                Fault::Babbles => b"220 mail.example ESMTP\r\n",
                Fault::Floods => b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n",
            };
            stream.write_all(answer).ok();
            match fault {
                Fault::Crawls => open.push(stream),
                Fault::Floods => {
                    let piece = [b'x'; 65_536];
                    while stream.write_all(&piece).is_ok() {}
                }
                Fault::Hangs | Fault::Closes | Fault::BreaksOff | Fault::Babbles => {}
            }
        }
    });
    address
}
