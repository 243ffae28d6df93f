//! What an alert is about, and what a source says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::message::Gone;
use super::row::Told;
use crate::check::Status;
use crate::name::NotifierName;

/// Identifies what can be wrong: the same for all of its life, over restarts and on every node.
///
/// `own/NODE/CHECK` for a check of Lictor's, `consul/DC/NODE/SERVICE-ID or _/CHECK-ID` for one of
/// Consul's, `service/DC/SERVICE` for the instances of a service together, and `alertmanager/…`
/// for what another program reported. Each part is percent-encoded where it has a `/`, a `%`, a
/// blank, a control character or one that is not ASCII.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectKey(Arc<str>);

impl SubjectKey {
    /// The key of these parts.
    pub fn of(parts: &[&str]) -> Self {
        let mut text = String::new();
        for part in parts {
            if !text.is_empty() {
                text.push('/');
            }
            for byte in part.bytes() {
                if byte.is_ascii_graphic() && byte != b'/' && byte != b'%' {
                    text.push(char::from(byte));
                } else {
                    text.push('%');
                    text.extend([byte >> 4, byte & 15].map(hex));
                }
            }
        }
        Self(text.into())
    }

    /// A check of Lictor's own.
    pub fn own(node: &str, check: &str) -> Self {
        Self::of(&["own", node, check])
    }

    /// A check of Consul's. A check of the node itself has no service.
    pub fn consul(datacenter: &str, node: &str, service_id: &str, check_id: &str) -> Self {
        let service = if service_id.is_empty() { "_" } else { service_id };
        Self::of(&["consul", datacenter, node, service, check_id])
    }

    /// The instances of a service of Consul's together.
    pub fn service(datacenter: &str, service: &str) -> Self {
        Self::of(&["service", datacenter, service])
    }

    /// A key that was stored.
    pub fn stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The text of the key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The hexadecimal digit of a number below 16.
fn hex(number: u8) -> char {
    char::from_digit(u32::from(number), 16).unwrap_or('0').to_ascii_uppercase()
}

impl fmt::Display for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// The labels that every source gives, where it knows them.
pub mod label {
    /// The node.
    pub const NODE: &str = "node";
    /// The datacenter.
    pub const DATACENTER: &str = "datacenter";
    /// The name of the service.
    pub const SERVICE: &str = "service";
    /// The id of the instance of the service.
    pub const SERVICE_ID: &str = "service_id";
    /// The name of the check.
    pub const CHECK: &str = "check";
    /// The id of the check.
    pub const CHECK_ID: &str = "check_id";
    /// Where it was seen: `own`, `consul`, `service` or `alertmanager`.
    pub const SOURCE: &str = "source";
}

/// Something that can be wrong, with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What identifies it.
    pub key: SubjectKey,
    /// What routes and silences look at; see [`label`].
    pub labels: BTreeMap<String, String>,
    /// The tags of its service.
    pub tags: BTreeSet<String>,
}

impl Subject {
    /// A check of Lictor's own.
    pub fn own(node: &str, check: &str) -> Self {
        let labels = [(label::SOURCE, "own"), (label::NODE, node), (label::CHECK, check)];
        Self { key: SubjectKey::own(node, check), labels: text(&labels), tags: BTreeSet::new() }
    }

    /// The value of a label; empty when it has none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// For people: `shop on web1`, `web: Service 'web' check on n1`.
    pub fn title(&self) -> String {
        let (service, check, node) =
            (self.label(label::SERVICE), self.label(label::CHECK), self.label(label::NODE));
        let mut title = match (service, check) {
            ("", "") => self.key.to_string(),
            ("", check) => check.to_owned(),
            (service, "") => service.to_owned(),
            (service, check) => format!("{service}: {check}"),
        };
        if !node.is_empty() {
            title.push_str(" on ");
            title.push_str(node);
        }
        title
    }
}

/// Tells long texts apart where there is room for a short one only: FNV-1a, 64 bits
/// (<http://www.isthe.com/chongo/tech/comp/fnv/>).
pub fn digest(text: &str) -> u64 {
    let add = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, add)
}

/// Labels from borrowed texts.
pub fn text(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What a source says of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it is about.
    pub subject: Subject,
    /// How it stands.
    pub status: Status,
    /// What the check printed, for people.
    pub output: String,
    /// What its owner wrote beside the check.
    pub notes: String,
    /// Somebody works on it and said so: it is shown, and nobody is told.
    pub maintenance: bool,
    /// It was judged by the source, with thresholds of its own: what it says counts at once.
    pub judged: bool,
    /// Tells apart what is worth telling anew while the status stays: receivers are told when this changes, and of a
    /// subject that is well when they were never told of it. `None`: they are told of changes of the status only.
    pub news: Option<u64>,
    /// What receivers were told of it elsewhere, while nobody here could be reached.
    pub told: BTreeMap<NotifierName, Told>,
}

impl Report {
    /// A report of a subject without notes.
    pub fn new(subject: Subject, status: Status, output: impl Into<String>) -> Self {
        let (output, notes) = (output.into(), String::new());
        Self {
            subject,
            status,
            output,
            notes,
            maintenance: false,
            judged: false,
            news: None,
            told: BTreeMap::new(),
        }
    }
}

/// Where reports come from; the state of each source is known or lost as a whole.
/// `own`, `consul/DC`, `alertmanager/NAME`, and `lictor` for what the alerts say of themselves.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(Arc<str>);

impl Source {
    /// A source of this name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The nodes that watch each other.
    pub fn peers() -> Self {
        Self::new("peers")
    }

    /// What is copied between datacenters of Consul.
    pub fn replicate() -> Self {
        Self::new("replicate")
    }

    /// The snapshots of Consul.
    pub fn snapshot() -> Self {
        Self::new("snapshot")
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Why what it no longer has is over.
    pub(super) fn departure(&self) -> Gone {
        // A peer is registered nowhere, nor is a copy or a snapshot.
        if [Self::peers(), Self::replicate(), Self::snapshot()].contains(self) {
            Gone::Unwatched
        } else {
            Gone::Deregistered
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}
