//! A small client of Redis: one command at a time, by its protocol RESP2, over any stream.
//!
//! Nothing is read beyond a limit, whatever a server sends, and no secret is in an error.

use std::fmt;
use std::io;

use lictor_config::RedisServer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::remote::aside;
use crate::text::one_line;

/// The longest line, bytes: simple texts, errors, lengths.
const LINE: usize = 4 * 1024;

/// The longest text of a key that is read, bytes.
pub(crate) const TEXT: usize = 64 * 1024;

/// Elements of a list.
const ELEMENTS: usize = 16;

/// Of what a server says, characters that are shown.
const SHOWN: usize = 200;

/// Secrets shorter than this are not looked for in what is shown: they would be found everywhere.
const SHORTEST: usize = 4;

/// What can be read from and written to.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// An answer that is no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A word of the server's own, such as `OK`.
    Word(String),
    /// A number.
    Number(i64),
    /// What a key holds; `None` when it is not there.
    Text(Option<Vec<u8>>),
    /// Several; an empty one when there are none.
    List(Vec<Self>),
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// We have no means to ask, such as a password that cannot be read.
    Unasked(String),
    /// The connection broke.
    Broken(io::Error),
    /// What came is not the protocol.
    Garbled(String),
    /// The answer is beyond a limit: it would be one, but is not read.
    Large(String),
    /// The server refuses, in its own words.
    Refused(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unasked(why) | Self::Garbled(why) | Self::Large(why) => f.write_str(why),
            Self::Broken(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("it closed the connection")
            }
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::Refused(said) => {
                let hint = hint(said);
                if hint.is_empty() {
                    write!(f, "it says {said}")
                } else {
                    write!(f, "it says {said}: {hint}")
                }
            }
        }
    }
}

/// What is to be done about a refusal, by its first word.
fn hint(said: &str) -> &'static str {
    match said.split(' ').next().unwrap_or_default() {
        "NOAUTH" => "it wants a password, see `password_file`",
        "WRONGPASS" => "the user or the password is not the one it knows",
        "NOPERM" => "its ACL does not let this user do that",
        "WRONGTYPE" => "the key holds something that this command is not for",
        "LOADING" => "it has just been started and is not ready yet",
        "MOVED" | "ASK" => "it is part of a cluster, and another node has the key: name that one",
        "READONLY" => "it is a replica: name its master",
        "DENIED" => "it only lets in who is on its own machine, or shows a password",
        _ => "",
    }
}

/// A connection on which commands are given.
pub(crate) struct Session {
    stream: Box<dyn Duplex>,
    buffer: Vec<u8>,
    /// How far the buffer was taken.
    at: usize,
    secret: Option<String>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// Begins on a fresh connection: logs in, and chooses the database.
    pub(crate) async fn begin(stream: Box<dyn Duplex>, server: &RedisServer) -> Result<Self, Trouble> {
        let mut session = Self { stream, buffer: Vec::new(), at: 0, secret: None };
        if let Some(password) = server.password.clone() {
            let revealed = aside(move || password.reveal().map_err(|error| error.to_string())).await;
            let password = revealed.map_err(Trouble::Unasked)?;
            session.secret = Some(password.clone());
            match &server.user {
                Some(user) => session.call(&["AUTH", user, &password]).await?,
                None => session.call(&["AUTH", &password]).await?,
            };
        }
        if server.database > 0 {
            session.call(&["SELECT", &server.database.to_string()]).await?;
        }
        Ok(session)
    }

    /// Gives a command and waits for the answer.
    pub(crate) async fn call(&mut self, words: &[&str]) -> Result<Reply, Trouble> {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(word.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        self.stream.write_all(&request).await.map_err(Trouble::Broken)?;
        self.stream.flush().await.map_err(Trouble::Broken)?;
        let (kind, rest) = self.head().await?;
        match kind {
            b'*' => {
                let count = length(&rest, ELEMENTS)?.unwrap_or(0);
                let mut list = Vec::with_capacity(count);
                for _ in 0..count {
                    let (kind, rest) = self.head().await?;
                    list.push(self.single(kind, &rest).await?);
                }
                Ok(Reply::List(list))
            }
            _ => self.single(kind, &rest).await,
        }
    }

    /// An answer, or an element of one, that is no list.
    async fn single(&mut self, kind: u8, rest: &[u8]) -> Result<Reply, Trouble> {
        match kind {
            b'+' => Ok(Reply::Word(self.shown(rest))),
            b'-' => Err(Trouble::Refused(self.shown(rest))),
            b':' => {
                let number = std::str::from_utf8(rest).ok().and_then(|text| text.parse().ok());
                number.map(Reply::Number).ok_or_else(|| self.garbled(kind, rest))
            }
            b'$' => match length(rest, TEXT)? {
                None => Ok(Reply::Text(None)),
                Some(length) => {
                    while self.buffer.len() - self.at < length + 2 {
                        self.more().await?;
                    }
                    let text = self.take(length);
                    if self.take(2) != b"\r\n" {
                        return Err(Trouble::Garbled(
                            "it sends a text of another length than it says".to_owned(),
                        ));
                    }
                    Ok(Reply::Text(Some(text)))
                }
            },
            _ => Err(self.garbled(kind, rest)),
        }
    }

    /// The first byte of a line, and the rest of it.
    async fn head(&mut self) -> Result<(u8, Vec<u8>), Trouble> {
        loop {
            let unread = self.buffer.get(self.at..).unwrap_or_default();
            if let Some(end) = unread.windows(2).position(|two| two == b"\r\n") {
                let line = self.take(end);
                self.take(2);
                let (kind, rest) = line.split_first().ok_or_else(|| self.garbled(b' ', b""))?;
                return Ok((*kind, rest.to_vec()));
            }
            if unread.len() > LINE {
                return Err(Trouble::Garbled("it does not speak the protocol of Redis".to_owned()));
            }
            self.more().await?;
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.buffer.get(self.at..self.at + count).unwrap_or_default().to_vec();
        self.at += taken.len();
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        }
        taken
    }

    async fn more(&mut self) -> Result<(), Trouble> {
        let mut piece = [0; 4_096];
        let count = self.stream.read(&mut piece).await.map_err(Trouble::Broken)?;
        if count == 0 {
            return Err(Trouble::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        self.buffer.extend_from_slice(piece.get(..count).unwrap_or_default());
        Ok(())
    }

    fn garbled(&self, kind: u8, rest: &[u8]) -> Trouble {
        let line: Vec<u8> = std::iter::once(kind).chain(rest.iter().copied()).collect();
        Trouble::Garbled(format!("it does not speak the protocol of Redis, but says `{}`", self.shown(&line)))
    }

    /// What the server said, in one line and without our password.
    fn shown(&self, bytes: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        if let Some(secret) = self.secret.as_ref().filter(|secret| secret.len() >= SHORTEST) {
            text = text.replace(secret.as_str(), "***");
        }
        one_line(&text, SHOWN)
    }
}

/// A length; `None` for -1, which stands for nothing.
fn length(text: &[u8], most: usize) -> Result<Option<usize>, Trouble> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
    match number {
        Some(-1) => Ok(None),
        Some(number) => match usize::try_from(number) {
            Ok(length) if length <= most => Ok(Some(length)),
            Ok(length) => Err(Trouble::Large(format!(
                "the answer is larger than what is read of one: {length}, where {most} is the limit"
            ))),
            Err(_negative) => Err(Trouble::Garbled("it sends a length below 0".to_owned())),
        },
        None => Err(Trouble::Garbled("it sends a length that is no number".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use lictor_config::{RedisPlace, Secret};
    use tokio::io::duplex;

    use super::*;

    fn server(password: Option<&str>, database: u32) -> RedisServer {
        let place = RedisPlace::Unix("/nonexistent".into());
        RedisServer { place, user: None, password: password.map(Secret::value), database }
    }

    /// Gives one command to a server that says this and then closes.
    async fn answered(says: &[u8]) -> Result<Reply, String> {
        let (ours, mut theirs) = duplex(1 << 20);
        let mut session = Session::begin(Box::new(ours), &server(None, 0)).await.unwrap();
        theirs.write_all(says).await.unwrap();
        theirs.shutdown().await.unwrap();
        session.call(&["GET", "k"]).await.map_err(|trouble| trouble.to_string())
    }

    #[tokio::test]
    async fn each_kind_of_answer_is_read() {
        assert_eq!(answered(b"+OK\r\n").await, Ok(Reply::Word("OK".to_owned())));
        assert_eq!(answered(b":-7\r\n").await, Ok(Reply::Number(-7)));
        assert_eq!(answered(b"$-1\r\n").await, Ok(Reply::Text(None)));
        assert_eq!(answered(b"*-1\r\n").await, Ok(Reply::List(Vec::new())));
        assert_eq!(answered(b"$4\r\na\r\nb\r\n").await, Ok(Reply::Text(Some(b"a\r\nb".to_vec()))));
        let list = Reply::List(vec![Reply::Text(Some(b"m".to_vec())), Reply::Text(Some(b"1.5".to_vec()))]);
        assert_eq!(answered(b"*2\r\n$1\r\nm\r\n$3\r\n1.5\r\n").await, Ok(list));
    }

    #[tokio::test]
    async fn a_refusal_is_told_with_what_to_do_about_it() {
        let said = answered(b"-NOAUTH Authentication required.\r\n").await.unwrap_err();
        assert_eq!(said, "it says NOAUTH Authentication required.: it wants a password, see `password_file`");
        let said = answered(b"-MOVED 3999 10.0.0.2:6379\r\n").await.unwrap_err();
        assert!(said.starts_with("it says MOVED 3999 10.0.0.2:6379: it is part of a cluster"), "{said}");
        assert_eq!(answered(b"-ERR odd\x1b[2J\r\n").await.unwrap_err(), r"it says ERR odd\u{1b}[2J");
    }

    #[tokio::test]
    async fn nothing_is_read_beyond_a_limit() {
        let large = answered(b"$1000000000\r\nxxxx").await.unwrap_err();
        assert!(large.contains("larger than what is read of one: 1000000000"), "{large}");
        assert!(answered(b"*1000000\r\n").await.unwrap_err().contains("larger"));
        let endless = answered(&[b'+'; 100_000]).await.unwrap_err();
        assert_eq!(endless, "it does not speak the protocol of Redis");
        let deep = answered(b"*1\r\n*1\r\n*1\r\n").await.unwrap_err();
        assert!(deep.starts_with("it does not speak"), "{deep}");
    }

    #[tokio::test]
    async fn what_is_not_the_protocol_is_told() {
        let http = answered(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap_err();
        assert_eq!(http, "it does not speak the protocol of Redis, but says `HTTP/1.1 400 Bad Request`");
        assert_eq!(
            answered(b"$2\r\nabcd\r\n").await.unwrap_err(),
            "it sends a text of another length than it says"
        );
        assert_eq!(answered(b"$x\r\n").await.unwrap_err(), "it sends a length that is no number");
        assert_eq!(answered(b"$5\r\nab").await.unwrap_err(), "it closed the connection");
        assert_eq!(answered(b"").await.unwrap_err(), "it closed the connection");
        assert!(answered(b"\r\n").await.is_err() && answered(b":1x\r\n").await.is_err());
    }

    #[tokio::test]
    async fn it_logs_in_and_chooses_the_database_first_and_never_shows_the_password() {
        let (ours, mut theirs) = duplex(1 << 16);
        theirs.write_all(b"+OK\r\n-ERR unknown command hunter22\r\n").await.unwrap();
        let begun = Session::begin(Box::new(ours), &server(Some("hunter22"), 3)).await;
        assert_eq!(begun.unwrap_err().to_string(), "it says ERR unknown command ***");
        let mut asked = vec![0; 1_024];
        let count = theirs.read(&mut asked).await.unwrap();
        let wanted = "*2\r\n$4\r\nAUTH\r\n$8\r\nhunter22\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n";
        assert_eq!(String::from_utf8_lossy(&asked[..count]), wanted);
    }
}
