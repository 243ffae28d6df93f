//! Trackers by their hosts: an announce URL holds a passkey and is never kept.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;
use url::Url;

use crate::text::visible;

/// A longer name is no host's.
const HOST: usize = 253;

/// The host of a tracker, in lower case, fit to be shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Host(Arc<str>);

impl Host {
    /// The host of an announce URL; `None` when there is none, as with the rows for DHT and the like.
    pub(crate) fn of(url: &str) -> Option<Self> {
        if url.starts_with("** [") {
            return None;
        }
        // Where the host is missing, what comes after it would be taken for it.
        let (_scheme, rest) = url.split_once("://")?;
        if rest.starts_with(['/', '\\']) {
            return None;
        }
        let url = Url::parse(url.trim()).ok()?;
        let host = normal(url.host_str()?);
        (!host.is_empty() && host.len() <= HOST).then(|| Self(visible(&host, HOST).into()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which trackers are meant: those whose host ends like this, from the start of a label.
#[derive(Clone, Debug)]
pub(crate) struct TrackerName {
    name: String,
    /// An address stands for itself only.
    address: Option<IpAddr>,
}

impl TrackerName {
    /// The trackers of this name.
    pub(crate) fn new(text: &str) -> Self {
        // Through the same reading as the URLs, for names in other scripts.
        let host = Url::parse(&format!("http://{}/", text.trim().trim_start_matches('.'))).ok();
        let host = host.as_ref().and_then(Url::host_str).map_or_else(|| normal(text), normal);
        Self { address: address(&host), name: host }
    }

    /// Whether a host is meant.
    pub(crate) fn covers(&self, host: &Host) -> bool {
        let host = &*host.0;
        if self.name.is_empty() {
            return false;
        }
        if self.address.is_some() {
            return self.address == address(host);
        }
        let before = host.strip_suffix(self.name.as_str());
        before.is_some_and(|before| before.is_empty() || (before.ends_with('.') && address(host).is_none()))
    }
}

impl fmt::Display for TrackerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible(&self.name, HOST))
    }
}

fn normal(host: &str) -> String {
    host.trim_end_matches('.').to_lowercase()
}

fn address(host: &str) -> Option<IpAddr> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// What a torrent's tracker said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) host: Host,
    /// 2: it works. 4, 5, 6: it does not. Others: nothing is known yet.
    pub(crate) status: i64,
}

impl Row {
    /// Whether the tracker works.
    pub(crate) const fn works(&self) -> bool {
        self.status == 2
    }

    /// Whether it does not.
    pub(crate) const fn fails(&self) -> bool {
        matches!(self.status, 4..=6)
    }

    /// The rows of an answer to `torrents/trackers`, without those that are no trackers. `None`
    /// when it is no such answer.
    pub(super) fn parse(body: &[u8]) -> Option<Vec<Self>> {
        let rows: Vec<Value> = serde_json::from_slice(body).ok()?;
        let row = |row: &Value| {
            let host = Host::of(row.get("url")?.as_str()?)?;
            Some(Self { host, status: number(row.get("status")?)? })
        };
        Some(rows.iter().filter_map(row).collect())
    }
}

fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(name: &str, url: &str) -> bool {
        Host::of(url).is_some_and(|host| TrackerName::new(name).covers(&host))
    }

    #[test]
    fn a_tracker_is_told_by_the_end_of_its_host() {
        assert!(covers("tracker.example", "http://tracker.example/0123456789abcdef/announce"));
        assert!(covers("tracker.example", "https://a.Tracker.Example:8443/announce?passkey=0123"));
        assert!(covers("TRACKER.example.", "udp://b.tracker.example:6969"));
        assert!(covers(".tracker.example", "udp://b.tracker.EXAMPLE.:6969/announce"));
        assert!(!covers("tracker.example", "http://mytracker.example/announce"));
        assert!(!covers("tracker.example", "http://tracker.example.org/announce"));
        assert!(!covers("tracker.example", "http://other.example/tracker.example/announce"));
        assert!(!covers("tracker.example", "http://tracker.example@other.example/announce"));
        assert!(!covers("", "http://other.example/announce"));
    }

    #[test]
    fn an_address_stands_for_itself_only() {
        assert!(covers("127.0.0.1", "http://127.0.0.1:6969/announce"));
        assert!(covers("[::1]", "udp://[0:0:0:0:0:0:0:1]:6969/announce"));
        assert!(covers("127.0.0.1", "http://[::ffff:127.0.0.1]:6969/announce"));
        assert!(!covers("0.1", "http://127.0.0.1:6969/announce"));
        assert!(!covers("27.0.0.1", "http://127.0.0.1:6969/announce"));
        assert!(!covers("0.0.1", "udp://127.0.0.1:6969/announce"));
    }

    #[test]
    fn a_host_is_all_that_is_left_of_a_url() {
        let host = Host::of("https://user:secret@a.example:1/secret/announce?passkey=secret#secret").unwrap();
        assert_eq!(host.to_string(), "a.example");
        for none in [
            "** [DHT] **",
            "",
            "announce",
            "mailto:me@a.example",
            "http:///secret/announce",
            "http:secret/announce",
            "http:\\\\secret",
        ] {
            assert_eq!(Host::of(none).map(|host| host.to_string()), None, "{none}");
        }
    }

    #[test]
    fn rows_are_read_whatever_else_is_in_them() {
        let body = br#"[
            {"url": "** [DHT] **", "tier": "", "status": 0, "msg": ""},
            {"url": "http://a.example/secret/announce", "tier": 0, "status": 2, "msg": "fine"},
            {"url": "http://b.example/secret/announce", "tier": "1", "status": "4", "msg": null, "endpoints": []},
            {"url": "udp://c.example:1", "status": 6}, {"url": 7}, {}, 5
        ]"#;
        let rows = Row::parse(body).unwrap();
        let told: Vec<_> = rows.iter().map(|row| (row.host.to_string(), row.works(), row.fails())).collect();
        let wanted = [("a.example", true, false), ("b.example", false, true), ("c.example", false, true)];
        assert_eq!(told, wanted.map(|(host, works, fails)| (host.to_owned(), works, fails)));
        assert_eq!(Row::parse(b"<html>"), None);
    }
}
