//! The note of what was copied from one datacenter of Consul to another.

use lictor_core::Wall;
use lictor_core::replicate::Way;
use serde::{Deserialize, Serialize};

/// Most keys that are kept by name.
pub const KEPT: usize = 20_000;

/// What was copied: the keys `replicate/<name>/copy/…` of the destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// What the copy is called.
    pub name: String,
    /// The datacenter of the source.
    pub from: String,
    /// What the keys begin with there.
    pub source: String,
    /// The datacenter of the destination.
    pub to: String,
    /// What stands there instead.
    pub destination: String,
    /// What the keys begin with at the source that are left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excludes: Vec<String>,
    /// The node that copies.
    pub node: String,
    /// Up to which index of the source everything was copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied: Option<u64>,
    /// What else decides what is copied, as a checksum: by another rule nothing is known to be copied.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// The source's index went back, and nobody has said that it is the source still.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub went_back: bool,
    /// When this was noted, milliseconds since 1970 by the wall clock.
    pub at_unix_ms: i64,
    /// Checksums (FNV-1a, in hexadecimal) of keys that stay although the source does not have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
}

impl Copied {
    /// The note of a copy.
    pub fn new(
        way: &Way,
        node: &str,
        copied: Option<u64>,
        kept: impl Iterator<Item = u64>,
        rule: &str,
        went_back: bool,
        at: Wall,
    ) -> Self {
        let rule = rule.to_owned();
        let Way { name, from, source, to, destination, excludes } = way.clone();
        let kept = kept.take(KEPT).map(|sum| format!("{sum:016x}")).collect();
        let (node, at_unix_ms) = (node.to_owned(), at.as_unix_millis());
        Self {
            name,
            from,
            source,
            to,
            destination,
            excludes,
            node,
            copied,
            rule,
            went_back,
            at_unix_ms,
            kept,
        }
    }

    /// From where to where.
    pub fn way(&self) -> Way {
        let Self { name, from, source, to, destination, excludes, .. } = self.clone();
        Way { name, from, source, to, destination, excludes }
    }

    /// The checksums of keys that stay.
    pub fn kept(&self) -> Vec<u64> {
        self.kept.iter().filter_map(|sum| u64::from_str_radix(sum, 16).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let way = Way {
            name: "shop".into(),
            from: "dc1".into(),
            source: "global/".into(),
            to: "dc2".into(),
            destination: "copy/".into(),
            excludes: vec!["global/own/".into()],
        };
        let note =
            Copied::new(&way, "n1", Some(7), [1, u64::MAX].into_iter(), "r", true, Wall::from_unix_millis(5));
        let bytes = wire::encode(&note).unwrap();
        let read: Copied = wire::decode(&bytes).unwrap();
        assert_eq!((read.way(), read.kept()), (way, vec![1, u64::MAX]));
        assert_eq!(read, note);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with(r#"{"v":1,"name":"shop","from":"dc1","source":"global/""#), "{text}");
    }
}
