//! The head of an answer.

use std::borrow::Cow;

use httparse::{EMPTY_HEADER, ParserConfig, Response, Status};

use super::framing::{Chunks, Framing};
use crate::watch::look::cut;

/// Headers an answer may have.
const HEADERS: usize = 128;

/// The head of an answer, and what follows from it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    /// As it came; read again when a header is asked for, which is seldom.
    bytes: Vec<u8>,
    /// How its body ends.
    pub(super) framing: Framing,
    /// Whether the server means to keep the connection.
    pub(super) stays_open: bool,
}

/// What is not the head of an answer, in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotHttp(pub(super) String);

impl Head {
    /// Reads a head from the start of `bytes` and says how long it is; `None` when there is more
    /// to come. `bodiless`: the request was one whose answer has no body.
    pub(super) fn parse(bytes: &[u8], bodiless: bool) -> Result<Option<(Self, usize)>, NotHttp> {
        let mut headers = [EMPTY_HEADER; HEADERS];
        let mut response = Response::new(&mut headers);
        let length = match config().parse_response(&mut response, bytes) {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) => return Ok(None),
            Err(error) => return Err(NotHttp(format!("{error}, in `{}`", shown(bytes)))),
        };
        let status = response.code.unwrap_or_default();
        let recent = response.version == Some(1);
        let mut read = Read::default();
        for header in response.headers.iter() {
            read.take(header.name, header.value)?;
        }
        // An informational answer has no body; neither have these two, whatever they say.
        let framing = if bodiless || status < 200 || status == 204 || status == 304 {
            Framing::none()
        } else if read.chunked {
            Framing::Chunked(Chunks::default())
        } else {
            read.length.map_or(Framing::UntilClose, Framing::Length)
        };
        // After a switch of protocols it speaks another one.
        let stays_open = status != 101 && if recent { !read.close } else { read.keep_alive };
        let bytes = bytes.get(..length).unwrap_or_default().to_vec();
        Ok(Some((Self { status, bytes, framing, stays_open }, length)))
    }

    /// The values of a header, in their order; what is not UTF-8 is replaced.
    pub(super) fn values(&self, name: &str) -> Vec<Cow<'_, str>> {
        let mut headers = [EMPTY_HEADER; HEADERS];
        let mut response = Response::new(&mut headers);
        // It was read before.
        config().parse_response(&mut response, &self.bytes).ok();
        let named = response.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| String::from_utf8_lossy(header.value)).collect()
    }
}

/// Tolerant where that harms nobody: a look is to find out whether a server answers, not to
/// bring it up.
fn config() -> ParserConfig {
    let mut config = ParserConfig::default();
    config.allow_spaces_after_header_name_in_responses(true);
    config.allow_obsolete_multiline_headers_in_responses(true);
    config.allow_multiple_spaces_in_response_status_delimiters(true);
    config.ignore_invalid_headers_in_responses(true);
    config
}

/// What the headers say about the body and the connection.
#[derive(Debug, Default)]
struct Read {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl Read {
    fn take(&mut self, name: &str, value: &[u8]) -> Result<(), NotHttp> {
        let value = value.trim_ascii();
        if name.eq_ignore_ascii_case("content-length") {
            let found = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            let shown = || String::from_utf8_lossy(value).into_owned();
            let Some(found) = found else {
                return Err(NotHttp(format!("its Content-Length is `{}`", shown())));
            };
            if self.length.is_some_and(|known| known != found) {
                return Err(NotHttp(format!("it has a second Content-Length, `{}`", shown())));
            }
            self.length = Some(found);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            self.chunked |= words(value).any(|word| word.eq_ignore_ascii_case(b"chunked"));
        } else if name.eq_ignore_ascii_case("connection") {
            for word in words(value) {
                self.close |= word.eq_ignore_ascii_case(b"close");
                self.keep_alive |= word.eq_ignore_ascii_case(b"keep-alive");
            }
        }
        Ok(())
    }
}

fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// The start of what came instead of an answer, printable.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().next().unwrap_or_default();
    let plain: String = line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    cut(&plain, 80).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Head {
        let (head, length) = Head::parse(text.as_bytes(), false).unwrap().unwrap();
        assert_eq!(length, text.find("\r\n\r\n").unwrap() + 4);
        head
    }

    #[test]
    fn the_end_of_the_body_follows_from_the_head() {
        let framing = |headers: &str| parse(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).framing;
        assert_eq!(framing("Content-Length: 7\r\n"), Framing::Length(7));
        assert_eq!(framing("Content-Length: 7\r\nContent-Length: 7\r\n"), Framing::Length(7));
        assert_eq!(framing("Transfer-Encoding: gzip, Chunked\r\n"), Framing::Chunked(Chunks::default()));
        assert_eq!(
            framing("Content-Length: 7\r\nTransfer-Encoding: chunked\r\n"),
            Framing::Chunked(Chunks::default())
        );
        assert_eq!(framing(""), Framing::UntilClose);
        let empty = parse("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n").framing;
        assert_eq!(empty, Framing::none());
        let (head, _) = Head::parse(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", true).unwrap().unwrap();
        assert_eq!(head.framing, Framing::none());
    }

    #[test]
    fn whether_the_connection_stays_follows_from_version_and_header() {
        let stays = |version: &str, headers: &str| {
            parse(&format!("HTTP/{version} 200 OK\r\nContent-Length: 0\r\n{headers}\r\n")).stays_open
        };
        assert!(stays("1.1", ""));
        assert!(!stays("1.1", "Connection: upgrade, Close\r\n"));
        assert!(!stays("1.0", ""));
        assert!(stays("1.0", "connection: Keep-Alive\r\n"));
    }

    #[test]
    fn what_is_not_an_answer_is_shown() {
        let wrong = |text: &str| Head::parse(text.as_bytes(), false).unwrap_err().0;
        assert_eq!(wrong("220 mail\x07 ready\r\n"), "invalid HTTP version, in `220 mail\u{fffd} ready`");
        assert_eq!(wrong("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), "its Content-Length is `x`");
        assert_eq!(
            wrong("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
            "it has a second Content-Length, `2`"
        );
    }

    #[test]
    fn half_a_head_is_waited_for() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
        for at in 0..text.len() {
            assert!(Head::parse(&text.as_bytes()[..at], false).unwrap().is_none(), "{at}");
        }
    }

    #[test]
    fn headers_are_found_whatever_their_case() {
        let head = parse("HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie: b=\u{e9}\r\nX: y\r\n\r\n");
        assert_eq!(head.values("SET-COOKIE"), ["a=1", "b=\u{e9}"]);
        assert!(head.values("Z").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100)) {
            for start in [&b""[..], b"HTTP/1.1 200 OK\r\n"] {
                let text = [start, &bytes, b"\r\n\r\n"].concat();
                if let Ok(Some((head, length))) = Head::parse(&text, false) {
                    assert!(length <= text.len() && head.values("x").len() <= HEADERS);
                }
            }
        }
    }
}
