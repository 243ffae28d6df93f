//! What was last known of a peer, as it stands in a file: `up:<good>/<total>:<code>`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

use super::cksum::cksum;

/// Of a file that is no state, characters that are shown.
const SHOWN: usize = 40;

/// The state of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Whether it answers 200 and all its checks are good.
    pub up: bool,
    /// So many of its checks are good …
    pub good: u32,
    /// … of so many.
    pub total: u32,
    /// The status of its answer; 0 for none.
    pub code: u16,
}

/// A state file with something else in it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{found}` is no state of a peer, such as `up:2/2:200`")]
pub struct StateError {
    /// The start of what is there.
    pub found: String,
}

impl State {
    /// Reads what a state file holds; nothing when it is blank, as when there is no file.
    ///
    /// # Errors
    /// Names what is there in place of a state.
    pub fn parse(text: &str) -> Result<Option<Self>, StateError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let junk = || StateError { found: text.escape_debug().take(SHOWN).collect() };
        Self::read(text).map(Some).ok_or_else(junk)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (word, counts, code) = (parts.next()?, parts.next()?, parts.next()?);
        let up = match word {
            "up" => true,
            "down" => false,
            _ => return None,
        };
        let (good, total) = counts.split_once('/')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let plain = digits(good) && digits(total) && digits(code) && code.len() <= 3;
        let end = parts.next().is_none();
        (plain && end).then_some(())?;
        Some(Self { up, good: good.parse().ok()?, total: total.parse().ok()?, code: code.parse().ok()? })
    }
}

/// As it stands in the file: no line break at its end.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.up { "up" } else { "down" };
        write!(f, "{word}:{}/{}:{:03}", self.good, self.total, self.code)
    }
}

/// The name of the file of a peer, by what it is known by.
pub fn file_name(key: &str) -> String {
    format!("{}.state", cksum(key.as_bytes()))
}

/// What peers that an SRV record names are known by: the host, and with a second port of the same host
/// `host:port` for the higher one, since both had one file otherwise.
pub fn keys_of_hosts(peers: &[(String, u16)]) -> Vec<String> {
    let mut lowest: BTreeMap<&str, u16> = BTreeMap::new();
    for (host, port) in peers {
        let known = lowest.entry(host).or_insert(*port);
        *known = (*known).min(*port);
    }
    let key = |(host, port): &(String, u16)| match lowest.get(host.as_str()) {
        Some(known) if known != port => format!("{host}:{port}"),
        Some(_) | None => host.clone(),
    };
    peers.iter().map(key).collect()
}

/// What a peer is known by of which only the address is: its URL.
pub fn key_of_address(scheme: &str, address: IpAddr, port: u16) -> String {
    format!("{scheme}://{}", SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match State::parse(text) {
            Ok(Some(state)) => state.to_string(),
            Ok(None) => "none".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_the_old_program_wrote_is_read_and_written_again() {
        for text in ["up:2/2:200", "down:1/3:200", "down:0/0:000", "down:0/0:401", "up:0/0:200"] {
            assert_eq!(read(text), text);
        }
        let silent = State { up: false, good: 0, total: 0, code: 0 };
        assert_eq!(State::parse("down:0/0:000"), Ok(Some(silent)));
    }

    #[test]
    fn a_blank_file_is_as_none_and_a_line_break_is_nothing() {
        assert_eq!(read(""), "none");
        assert_eq!(read(" \n"), "none");
        assert_eq!(read("up:2/2:200\n"), "up:2/2:200");
    }

    #[test]
    fn anything_else_is_named() {
        for text in [
            "up",
            "UP:1/1:200",
            "up:1:200",
            "up:1/1",
            "up:1/1:200:x",
            "up:-1/1:200",
            "up:1/x:200",
            "up:1/1:2000",
            "up:99999999999/1:200",
            "up:/:",
        ] {
            assert_eq!(read(text), format!("`{text}` is no state of a peer, such as `up:2/2:200`"));
        }
        assert_eq!(read(&"x".repeat(99)).len(), 86, "a long one is cut");
        assert!(read("\u{1b}[2J").starts_with("`\\u{1b}[2J`"), "nothing of it reaches a terminal as it is");
    }

    #[test]
    fn files_are_named_as_before() {
        assert_eq!(file_name("node-a.peers.test"), "3228428739.state");
        let address = "1.2.3.4".parse().unwrap();
        assert_eq!(file_name(&key_of_address("http", address, 5988)), "2659616119.state");
        assert_eq!(key_of_address("https", "::1".parse().unwrap(), 1), "https://[::1]:1");
    }

    #[test]
    fn a_second_port_of_a_host_has_a_file_of_its_own() {
        let peers = [("a", 5989), ("b", 5988), ("a", 5988)].map(|(host, port)| (host.to_owned(), port));
        assert_eq!(keys_of_hosts(&peers), ["a:5989", "b", "a"]);
    }
}
