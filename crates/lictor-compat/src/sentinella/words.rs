//! The messages, word by word as they were.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::push;

/// What is said of a peer.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// Whether it is up.
    pub up: bool,
    /// What it is called: see [`label`].
    pub label: &'a str,
    /// So many of its checks are good …
    pub good: u32,
    /// … of so many.
    pub total: u32,
    /// Those that are not: what is looked at, and the status of its answer; 0 for none.
    pub failing: &'a [(&'a str, u16)],
    /// Of one that is up again: how long it was not, if that is known.
    pub down_for: Option<Duration>,
}

/// `OK  : label [2/2]`, `FAIL: label [1/2] — https://x/(500)`.
impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.up { "OK  " } else { "FAIL" };
        write!(f, "{prefix}: {} [{}/{}]", self.label, self.good, self.total)?;
        if !self.up && !self.failing.is_empty() {
            f.write_str(" —")?;
            for (url, code) in self.failing {
                write!(f, " {url}({code:03})")?;
            }
        }
        match self.down_for.filter(|_| self.up) {
            Some(time) => write!(f, " — down for {}", span(time)),
            None => Ok(()),
        }
    }
}

/// What a peer of an SRV record is called: `host (address)`, or the host alone when it has no address.
pub fn label(host: &str, address: Option<IpAddr>) -> String {
    match address {
        Some(address) => format!("{host} ({address})"),
        None => host.to_owned(),
    }
}

/// A duration for people, `3m 20s`: the two largest units that are not zero.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [
        (seconds / 86_400, "d"),
        (seconds % 86_400 / 3_600, "h"),
        (seconds % 3_600 / 60, "m"),
        (seconds % 60, "s"),
    ];
    let mut text = String::new();
    let first = units.iter().position(|(count, _)| *count > 0).unwrap_or(units.len() - 1);
    for (place, (count, unit)) in units.iter().skip(first).take(2).enumerate() {
        if place == 0 {
            push(&mut text, format_args!("{count}{unit}"));
        } else if *count > 0 {
            push(&mut text, format_args!(" {count}{unit}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Told<'_> = Told {
        up: true,
        label: "node-a.example.com (1.2.3.4)",
        good: 2,
        total: 2,
        failing: &[],
        down_for: None,
    };

    #[test]
    fn one_that_is_well_is_told_with_its_counts() {
        assert_eq!(NODE.to_string(), "OK  : node-a.example.com (1.2.3.4) [2/2]");
    }

    #[test]
    fn what_fails_is_told_by_its_own_url_and_status() {
        let failing = [("https://x/", 500), ("https://y/", 0)];
        let told = Told { up: false, good: 1, total: 3, failing: &failing, ..NODE };
        let wanted = "FAIL: node-a.example.com (1.2.3.4) [1/3] — https://x/(500) https://y/(000)";
        assert_eq!(told.to_string(), wanted);
        let silent = Told { up: false, good: 0, total: 0, label: "http://1.2.3.4:5988", ..NODE };
        assert_eq!(silent.to_string(), "FAIL: http://1.2.3.4:5988 [0/0]");
    }

    #[test]
    fn a_recovery_says_how_long_it_took() {
        let after = |seconds| {
            let told = Told { label: "a", down_for: Some(Duration::from_secs(seconds)), ..NODE };
            told.to_string()
        };
        assert_eq!(after(200), "OK  : a [2/2] — down for 3m 20s");
        assert_eq!(after(0), "OK  : a [2/2] — down for 0s");
        assert_eq!(after(3_600), "OK  : a [2/2] — down for 1h");
        assert_eq!(after(90_061), "OK  : a [2/2] — down for 1d 1h");
        let down = Told { up: false, label: "a", down_for: Some(Duration::from_secs(9)), ..NODE };
        assert_eq!(down.to_string(), "FAIL: a [2/2]", "only of one that is up again");
    }

    #[test]
    fn a_peer_is_called_by_host_and_address() {
        assert_eq!(label("node-a", Some("1.2.3.4".parse().unwrap())), "node-a (1.2.3.4)");
        assert_eq!(label("node-a", None), "node-a");
    }
}
