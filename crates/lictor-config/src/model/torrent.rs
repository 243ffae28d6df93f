//! What a connection monitor consists of: qBittorrent, tunnels, public addresses, Nomad.

use std::net::IpAddr;
use std::time::Duration;

use lictor_core::StepName;
use url::Url;

use super::Tls;
use crate::secret::Secret;

/// How the WebUI of a qBittorrent is reached, of any version from 4.1 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QbittorrentApi {
    /// Where it is, such as `http://127.0.0.1:8080` (a path prefix of a proxy is kept).
    pub url: Url,
    /// The user (default `admin`). Without a password nobody logs in.
    pub user: String,
    /// The password.
    pub password: Option<Secret>,
    /// An API key (5.2 and later) in place of user and password.
    pub api_key: Option<Secret>,
    /// What to send as `Host`: needed where a port is mapped to another one, because
    /// qBittorrent refuses a foreign port. `None`: the host of the URL without its port.
    pub host: Option<String>,
    /// TLS.
    pub tls: Tls,
}

/// `watch "qbittorrent"`: whether the API answers, the client listens, and trackers work.
#[derive(Clone, Debug)]
pub struct Qbittorrent {
    /// The API.
    pub api: QbittorrentApi,
    /// The tracker that matters, by the end of its host name (`tracker.example` stands for
    /// `a.tracker.example` too).
    pub tracker: Option<String>,
    /// Whether it is critical, and not only a warning, that this tracker alone does not work.
    pub tracker_critical: bool,
    /// Whether `firewalled` is not enough: it is then *unknown*, and after `grace` critical.
    pub strict: bool,
    /// How long `firewalled` is only unknown when `strict`.
    pub grace: Duration,
    /// Addresses that trackers and peers must never see (qBittorrent 5.1 and later tells what they see).
    pub forbidden: Vec<IpRange>,
}

/// `watch "vpn"`: whether a tunnel is up.
#[derive(Clone, Debug)]
pub struct Vpn {
    /// Who says so.
    pub source: VpnSource,
    /// How long *starting* and *stopping* are only unknown.
    pub grace: Duration,
}

/// Who says whether a tunnel is up.
#[derive(Clone, Debug)]
pub enum VpnSource {
    /// The control server of a gluetun.
    Gluetun(Control),
    /// A JSON document of any HTTP server.
    Json {
        /// Where it is and how one may read it.
        control: Control,
        /// The JSON pointer to the status.
        pointer: String,
        /// The values that mean up.
        up: Vec<String>,
    },
    /// `wg show all dump`: a handshake younger than `handshake` with any peer (of the interface).
    WireGuard {
        /// Program and arguments.
        command: Vec<String>,
        /// Only this interface.
        interface: Option<String>,
        /// How old the latest handshake may be.
        handshake: Duration,
    },
    /// `tailscale status --json`: running, and this node online.
    Tailscale {
        /// Program and arguments.
        command: Vec<String>,
    },
}

/// An HTTP server that is asked, or told, something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// For gluetun the server (`http://127.0.0.1:8000`), otherwise the document.
    pub url: Url,
    /// Shown as `X-API-Key`.
    pub api_key: Option<Secret>,
    /// HTTP basic authentication: user and password.
    pub basic_auth: Option<(String, Secret)>,
    /// TLS.
    pub tls: Tls,
}

/// `watch "public_ip"`: the address under which others see us.
#[derive(Clone, Debug)]
pub struct PublicIp {
    /// Who says it.
    pub source: IpSource,
    /// Addresses it must never be: then there is a leak.
    pub forbidden: Vec<IpRange>,
}

/// Who says what the public address is.
#[derive(Clone, Debug)]
pub enum IpSource {
    /// The control server of a gluetun.
    Gluetun(Control),
    /// A JSON document.
    Json {
        /// Where it is and how one may read it.
        control: Control,
        /// The JSON pointer to the address.
        pointer: String,
    },
}

/// All addresses with the same first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpRange {
    /// One of them.
    pub address: IpAddr,
    /// How many bits they share.
    pub bits: u8,
}

impl IpRange {
    /// Reads `203.0.113.7`, `203.0.113.0/24` or the like for IPv6; `None` when it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().ok()?;
        let mapped = written.to_canonical();
        let whole = if mapped.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            // ::ffff:203.0.113.0/120 is 203.0.113.0/24.
            Some(bits) if mapped != written => bits.checked_sub(96)?,
            Some(bits) => bits,
            None => whole,
        };
        (bits <= whole).then_some(Self { address: mapped, bits })
    }

    /// Whether it holds an address; IPv4 in IPv6 form counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = u32::from(self.bits);
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                (ours.to_bits() ^ other.to_bits()).checked_shr(32 - bits.min(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                (ours.to_bits() ^ other.to_bits()).checked_shr(128 - bits.min(128)).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// `act "qbittorrent"`.
#[derive(Clone, Debug)]
pub struct QbittorrentAction {
    /// The API.
    pub api: QbittorrentApi,
    /// What is done.
    pub work: TorrentWork,
}

/// What is done in a qBittorrent.
#[derive(Clone, Debug)]
pub enum TorrentWork {
    /// Stops running torrents and remembers which, for a later step of the same run.
    Stop {
        /// Those of one tracker, by the end of its host name. `None`: all.
        tracker: Option<String>,
        /// A tag put on what is stopped.
        tag: Option<String>,
        /// An earlier step of this kind: if it could not finish, what it had chosen is stopped
        /// now, with what else runs; if it could, nothing is done.
        unless_done: Option<StepName>,
    },
    /// Starts what these steps had stopped, as far as it is still there, still stopped, and
    /// (with a tag) still tagged.
    Start {
        /// The steps.
        stopped_by: Vec<StepName>,
        /// The tag that is taken off.
        tag: Option<String>,
        /// Whether the trackers are told at once.
        reannounce: bool,
    },
    /// Moves the listening port to the next one and back, so that it is opened anew.
    BouncePort,
}

/// How a Nomad is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NomadApi {
    /// Where it is, such as `http://127.0.0.1:4646`.
    pub url: Url,
    /// ACL token.
    pub token: Option<Secret>,
    /// The namespace (default `default`).
    pub namespace: Option<String>,
    /// The region, when it is not the agent's own.
    pub region: Option<String>,
    /// TLS.
    pub tls: Tls,
}

/// `act "nomad"`: has a workload restarted, and sees that it was.
#[derive(Clone, Debug)]
pub struct NomadAction {
    /// The API.
    pub api: NomadApi,
    /// Which allocations.
    pub target: NomadTarget,
    /// How.
    pub how: NomadHow,
    /// The tasks must run again for so long without another restart.
    pub hold: Duration,
}

/// Which allocations are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NomadTarget {
    /// The running ones of a job.
    Job {
        /// Its id.
        job: String,
        /// Only of this group.
        group: Option<String>,
    },
    /// The one behind a Consul service.
    Service {
        /// The name of the service.
        service: String,
    },
}

/// How they are restarted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NomadHow {
    /// In place: all tasks, or only these.
    Restart {
        /// The tasks; empty: all.
        tasks: Vec<String>,
    },
    /// Stopped, so that Nomad places others.
    Replace,
}

/// `act "vpn"`: has the tunnel of a gluetun stopped and started.
#[derive(Clone, Debug)]
pub struct VpnAction {
    /// The control server.
    pub control: Control,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_what_shares_its_first_bits() {
        let holds =
            |range: &str, address: &str| IpRange::parse(range).unwrap().contains(address.parse().unwrap());
        assert!(holds("203.0.113.7", "203.0.113.7"));
        assert!(!holds("203.0.113.7", "203.0.113.8"));
        assert!(holds("203.0.113.7", "::ffff:203.0.113.7"));
        assert!(holds("::ffff:203.0.113.0/120", "203.0.113.200"));
        assert!(holds("203.0.113.0/24", "203.0.113.255"));
        assert!(!holds("203.0.113.0/24", "203.0.114.0"));
        assert!(holds("0.0.0.0/0", "8.8.8.8"));
        assert!(!holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("2001:DB8::/32", "2001:db8:0:0::7"));
        assert!(!holds("2001:db8::/32", "2001:db9::"));
        assert!(holds("::/0", "2001:db8::1"));
    }

    #[test]
    fn what_is_no_range() {
        for text in
            ["", "203.0.113", "203.0.113.7/33", "2001:db8::/129", "::ffff:1.2.3.4/90", "host", "1.2.3.4/"]
        {
            assert_eq!(IpRange::parse(text), None, "{text}");
        }
    }
}
