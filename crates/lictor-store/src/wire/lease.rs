//! The record of a lease.

use std::collections::BTreeSet;
use std::time::Duration;

use lictor_core::lease::{LONGEST, Next, Record, Roll};
use serde::{Deserialize, Serialize};

use super::{WireError, millis};

/// Largest number that every reader of JSON takes for what it is.
const EXACT: u64 = 1 << 53;

/// Longest name of a node or of a process, bytes.
const NAME: usize = 255;

/// Who may act: the keys `lease/<name>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The node that holds it, or held it.
    pub holder: String,
    /// Which process of that node wrote this.
    pub incarnation: String,
    /// Grows with each taking.
    pub token: u64,
    /// Another number in each write.
    pub beat: u64,
    /// How long an observer waits for a change at least.
    pub length_ms: u64,
    /// The holder has stopped in order and acts no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub released: bool,
    /// Who is to have it next, where that is not whoever comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Heir>,
    /// Between which nodes it passes, where those are named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roll: Option<Named>,
}

/// Who is to have a lease next that was given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heir {
    /// This node.
    Node(String),
    /// Nobody, until a person says so.
    Nobody,
}

/// Between which nodes a lease passes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// All of them.
    pub nodes: BTreeSet<String>,
    /// Which boot of its machine the holder is from.
    pub boot: String,
}

impl From<&Record> for Lease {
    fn from(record: &Record) -> Self {
        Self {
            holder: record.holder.clone(),
            incarnation: record.incarnation.clone(),
            token: record.token,
            beat: record.beat,
            length_ms: millis(record.length),
            released: record.released.is_some(),
            next: match &record.released {
                None | Some(Next::Anyone) => None,
                Some(Next::Node(name)) => Some(Heir::Node(name.clone())),
                Some(Next::Nobody) => Some(Heir::Nobody),
            },
            roll: record
                .roll
                .as_ref()
                .map(|Roll { nodes, boot }| Named { nodes: nodes.clone(), boot: boot.clone() }),
        }
    }
}

impl TryFrom<Lease> for Record {
    type Error = WireError;

    fn try_from(lease: Lease) -> Result<Self, WireError> {
        let Lease { holder, incarnation, token, beat, length_ms, released, next, roll } = lease;
        let length = Duration::from_millis(length_ms);
        let mut names = vec![&holder, &incarnation];
        names.extend(roll.iter().flat_map(|Named { nodes, boot }| nodes.iter().chain([boot])));
        if let Some(Heir::Node(name)) = &next {
            names.push(name);
        }
        let named = names.into_iter().all(|name| (1..=NAME).contains(&name.len()));
        let heir = released || next.is_none();
        if !named
            || !heir
            || !(1..EXACT).contains(&token)
            || beat >= EXACT
            || length.is_zero()
            || length > LONGEST
        {
            return Err(WireError::damaged("it is not the record of a lease"));
        }
        let next = match next {
            None => Next::Anyone,
            Some(Heir::Node(name)) => Next::Node(name),
            Some(Heir::Nobody) => Next::Nobody,
        };
        let released = Some(next).filter(|_| released);
        let roll = roll.map(|Named { nodes, boot }| Roll { nodes, boot });
        Ok(Self { holder, incarnation, token, beat, length, released, roll })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{decode, encode};
    use super::*;

    /// What version 1 wrote, which is read for ever.
    const V1: &str = r#"{"v":1,"holder":"n1","incarnation":"a7","token":3,"beat":14,"length_ms":32000}"#;

    fn record() -> Record {
        Record {
            holder: "n1".into(),
            incarnation: "a7".into(),
            token: 3,
            beat: 14,
            length: Duration::from_secs(32),
            released: None,
            roll: None,
        }
    }

    fn read(text: &str) -> Result<Record, WireError> {
        decode::<Lease>(text.as_bytes())?.try_into()
    }

    #[test]
    fn a_lease_is_what_it_was() {
        assert_eq!(String::from_utf8(encode(&Lease::from(&record())).unwrap()).unwrap(), V1);
        assert_eq!(read(V1), Ok(record()));
        let released = Record { released: Some(Next::Anyone), ..record() };
        let text = V1.replace('}', r#","released":true}"#);
        assert_eq!(String::from_utf8(encode(&Lease::from(&released)).unwrap()).unwrap(), text);
        assert_eq!(read(&text), Ok(released));
    }

    #[test]
    fn a_lease_between_named_nodes_says_who_they_are_and_who_is_next() {
        let roll = Some(Roll { nodes: ["n1".to_owned(), "n2".to_owned()].into(), boot: "b1".into() });
        for (next, said) in [
            (Next::Anyone, r#""released":true,"roll""#),
            (Next::Node("n2".into()), r#""released":true,"next":{"node":"n2"},"roll""#),
            (Next::Nobody, r#""released":true,"next":"nobody","roll""#),
        ] {
            let record = Record { released: Some(next), roll: roll.clone(), ..record() };
            let text = String::from_utf8(encode(&Lease::from(&record)).unwrap()).unwrap();
            assert!(text.contains(said), "{text}");
            assert!(text.ends_with(r#""roll":{"nodes":["n1","n2"],"boot":"b1"}}"#), "{text}");
            assert_eq!(read(&text), Ok(record));
        }
    }

    #[test]
    fn what_no_holder_writes_is_damaged() {
        for (from, to) in [
            ("\"token\":3", "\"token\":0"),
            ("\"token\":3", "\"token\":18446744073709551615"),
            ("\"beat\":14", "\"beat\":9007199254740992"),
            ("32000", "0"),
            ("32000", "3600001"),
            ("\"n1\"", "\"\""),
            ("\"beat\"", "\"next\":\"nobody\",\"beat\""),
            ("\"beat\"", "\"released\":true,\"next\":{\"node\":\"\"},\"beat\""),
            ("\"beat\"", "\"roll\":{\"nodes\":[\"\"],\"boot\":\"b\"},\"beat\""),
            ("\"a7\"", &format!("\"{}\"", "a".repeat(256))),
        ] {
            let text = V1.replace(from, to);
            assert!(matches!(read(&text), Err(WireError::Damaged { .. })), "{text}");
        }
    }
}
