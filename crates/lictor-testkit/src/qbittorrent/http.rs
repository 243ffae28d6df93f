//! Just enough HTTP to drive a qBittorrent, without the client under test.

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Time limit of connecting, and of each read and write.
const LIMIT: Duration = Duration::from_secs(20);

/// Most of an answer that is read, bytes.
const MOST: u64 = 256 << 20;

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    /// As it stands in the first `Set-Cookie`: `NAME=VALUE`.
    pub(super) cookie: Option<String>,
    pub(super) body: String,
}

/// What is sent with a POST.
pub(super) struct Body<'a> {
    pub(super) kind: &'a str,
    pub(super) bytes: &'a [u8],
}

/// Asks with GET, or with POST where there is a body.
pub(super) fn ask(
    address: SocketAddr,
    path: &str,
    cookie: Option<&str>,
    body: Option<&Body<'_>>,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let method = if body.is_some() { "POST" } else { "GET" };
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    if let Some(cookie) = cookie {
        request.extend(["Cookie: ", cookie, "\r\n"]);
    }
    if let Some(body) = body {
        let length = body.bytes.len().to_string();
        request.extend(["Content-Type: ", body.kind, "\r\nContent-Length: ", &length, "\r\n"]);
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    stream.write_all(body.map_or(&[], |body| body.bytes))?;
    read(&mut BufReader::new(stream))
}

fn read(reader: &mut impl io::BufRead) -> io::Result<Answer> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("the answer is not HTTP"))?;
    let (mut cookie, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            break;
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { continue };
        if name.eq_ignore_ascii_case("set-cookie") && cookie.is_none() {
            cookie = value.trim().split(';').next().map(str::to_owned);
        }
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = Vec::new();
    reader.take(length.min(MOST)).read_to_end(&mut body)?;
    Ok(Answer { status, cookie, body: String::from_utf8_lossy(&body).into_owned() })
}

/// A form as it is sent.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        if !text.is_empty() {
            text.push('&');
        }
        text.extend([name, "=", &escaped(value)]);
    }
    text
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.extend(['%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
    text
}

fn hex(digit: u8) -> char {
    char::from_digit(u32::from(digit), 16).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_escaped() {
        assert_eq!(form(&[("a", "1|2"), ("b", "x y&")]), "a=1%7c2&b=x%20y%26");
    }

    #[test]
    fn status_cookie_and_body_are_told_apart() {
        let text = "HTTP/1.1 200 OK\r\nSet-Cookie: SID=a+/=; HttpOnly\r\nContent-Length: 3\r\n\r\nOk.more";
        let answer = read(&mut text.as_bytes()).unwrap();
        assert_eq!(
            (answer.status, answer.cookie.as_deref(), answer.body.as_str()),
            (200, Some("SID=a+/="), "Ok.")
        );
    }
}
