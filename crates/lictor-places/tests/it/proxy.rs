//! A proxy in front of a server, which writes down what is asked, and spoils what it is told to.

use std::io::{BufReader, Read, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use url::Url;

/// One request that came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query, as they were sent.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    /// How many bytes of a body were read.
    pub(crate) body: u64,
    /// How it begins.
    pub(crate) start: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    fn read(&mut self, body: &[u8]) {
        self.body = body.len() as u64;
        self.start = String::from_utf8_lossy(&body[..body.len().min(1000)]).into_owned();
    }

    /// Whether it is a part of an upload, of S3's or Azure's kind.
    pub(crate) fn is_part(&self) -> bool {
        self.method == "PUT" && (self.target.contains("partNumber=") || self.target.contains("comp=block&"))
    }

    /// Whether it completes an upload.
    pub(crate) fn completes(&self) -> bool {
        (self.method == "POST" && self.target.contains("uploadId="))
            || (self.method == "PUT" && self.target.contains("comp=blocklist"))
    }
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It is answered by the server.
    Pass,
    /// It is answered at once, after its body, with a status, headers and a text.
    Answer(u16, &'static str, String),
    /// The connection ends when so many bytes of its body were read.
    CutRequest(u64),
    /// The server does it, and nobody hears of it.
    CutAnswer,
    /// The connection ends when so many bytes of the answer's body were sent.
    CutAfter(usize),
    /// Nothing is read and nothing answered, until the proxy ends.
    Stall,
}

/// Changes the headers of requests (`true`) and answers (`false`): a name and a value to another, or to nothing.
type Translate = fn(bool, &str, &str) -> Option<(String, String)>;

struct Shared {
    upstream: SocketAddr,
    decide: Box<dyn Fn(&Asked) -> Fate + Send + Sync>,
    translate: Translate,
    asked: Mutex<Vec<Asked>>,
    ended: AtomicBool,
}

/// The proxy. Dropping it ends it.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Proxy {
    pub(crate) fn new(upstream: SocketAddr, decide: impl Fn(&Asked) -> Fate + Send + Sync + 'static) -> Self {
        Self::translating(upstream, |_, name, value| Some((name.to_owned(), value.to_owned())), decide)
    }

    pub(crate) fn translating(
        upstream: SocketAddr,
        translate: Translate,
        decide: impl Fn(&Asked) -> Fate + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, ended) = (Mutex::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { upstream, decide: Box::new(decide), translate, asked, ended });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if of_thread.ended.load(Ordering::SeqCst) {
                    break;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&of_thread)) else { continue };
                thread::spawn(move || {
                    // Whoever asked may have gone.
                    drop(shared.serve(stream));
                });
            }
        });
        Self { shared, address }
    }

    pub(crate) fn url(&self) -> Url {
        format!("http://{}", self.address).parse().unwrap()
    }

    /// What was asked so far, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    pub(crate) fn parts(&self) -> Vec<Asked> {
        self.asked().into_iter().filter(Asked::is_part).collect()
    }

    pub(crate) fn forget(&self) {
        self.shared.asked.lock().unwrap().clear();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // To wake the one that listens.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    /// One request for each connection, which says so.
    fn serve(&self, client: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        let Some((first, headers)) = head(&mut reader)? else { return Ok(()) };
        let mut words = first.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut asked = Asked { method, target, headers, body: 0, start: String::new() };
        let fate = (self.decide)(&asked);
        let length: u64 = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
        match fate {
            Fate::Stall => {
                self.note(asked);
                while !self.ended.load(Ordering::SeqCst) {
                    thread::park_timeout(Duration::from_millis(50));
                }
                Ok(())
            }
            Fate::CutRequest(after) => {
                let mut body = Vec::new();
                reader.take(after.min(length)).read_to_end(&mut body)?;
                asked.read(&body);
                self.note(asked);
                client.shutdown(Shutdown::Both)
            }
            Fate::Answer(status, more, text) => {
                let mut body = Vec::new();
                reader.take(length).read_to_end(&mut body)?;
                asked.read(&body);
                let bodiless = asked.method == "HEAD";
                self.note(asked);
                let head = format!(
                    "HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {}\r\n{more}\r\n",
                    text.len()
                );
                let text = if bodiless { "" } else { &*text };
                (&client).write_all(format!("{head}{text}").as_bytes())
            }
            Fate::Pass | Fate::CutAnswer | Fate::CutAfter(_) => {
                let mut body = Vec::new();
                reader.take(length).read_to_end(&mut body)?;
                asked.read(&body);
                let (head, answer) = self.forward(&asked, &body)?;
                self.note(asked);
                match fate {
                    Fate::CutAnswer => client.shutdown(Shutdown::Both),
                    Fate::CutAfter(bytes) => {
                        (&client).write_all(head.as_bytes())?;
                        (&client).write_all(&answer[..bytes.min(answer.len())])?;
                        client.shutdown(Shutdown::Both)
                    }
                    _ => {
                        (&client).write_all(head.as_bytes())?;
                        (&client).write_all(&answer)
                    }
                }
            }
        }
    }

    fn note(&self, asked: Asked) {
        self.asked.lock().unwrap().push(asked);
    }

    /// Head and body of the server's answer.
    fn forward(&self, asked: &Asked, body: &[u8]) -> std::io::Result<(String, Vec<u8>)> {
        let mut server = TcpStream::connect(self.upstream)?;
        let mut request = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", asked.method, asked.target);
        for (name, value) in &asked.headers {
            let kept =
                (self.translate)(true, name, value).filter(|_| !name.eq_ignore_ascii_case("connection"));
            if let Some((name, value)) = kept {
                request.extend([&*name, ": ", &*value, "\r\n"]);
            }
        }
        request.push_str("\r\n");
        server.write_all(request.as_bytes())?;
        server.write_all(body)?;
        let mut reader = BufReader::new(server);
        let (first, headers) = head(&mut reader)?.unwrap_or_default();
        let mut head = format!("{first}\r\nConnection: close\r\n");
        for (name, value) in &headers {
            let kept =
                (self.translate)(false, name, value).filter(|_| !name.eq_ignore_ascii_case("connection"));
            if let Some((name, value)) = kept {
                head.extend([&*name, ": ", &*value, "\r\n"]);
            }
        }
        head.push_str("\r\n");
        let mut answer = Vec::new();
        reader.read_to_end(&mut answer)?;
        Ok((head, answer))
    }
}

type Head = (String, Vec<(String, String)>);

fn head(reader: &mut impl std::io::BufRead) -> std::io::Result<Option<Head>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => return Ok(Some((first.trim_end().to_owned(), headers))),
        }
    }
}
