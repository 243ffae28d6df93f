//! Just enough HTTP to see whether a server is ready, without the client under test.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Time limit of connecting, and of each read and write.
const LIMIT: Duration = Duration::from_secs(2);

/// Largest answer that is read, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// Status and body of a GET.
pub(super) fn get(address: SocketAddr, path: &str, token: Option<&str>) -> io::Result<(u16, String)> {
    ask(address, "GET", path, "", token)
}

/// Status and body of a request.
pub(super) fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
    token: Option<&str>,
) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let token = token.map_or_else(String::new, |token| format!("X-Consul-Token: {token}\r\n"));
    // Version 1.0: no chunks, and the end of the connection is the end of the answer.
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n{token}\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::other("the answer is not HTTP"))
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_split_into_status_and_body() {
        let answer = "HTTP/1.0 404 Not Found\r\nX-Consul-Index: 7\r\n\r\nno such key";
        assert_eq!(parse(answer), Some((404, "no such key".to_owned())));
    }

    #[test]
    fn nonsense_is_not_an_answer() {
        assert_eq!(parse("SSH-2.0-OpenSSH\r\n"), None);
        assert_eq!(parse("HTTP/1.0 ok\r\n\r\n"), None);
    }
}
