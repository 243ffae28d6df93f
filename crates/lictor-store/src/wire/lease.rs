//! The record of a lease.

use std::time::Duration;

use lictor_core::lease::{LONGEST, Record};
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
}

impl From<&Record> for Lease {
    fn from(record: &Record) -> Self {
        Self {
            holder: record.holder.clone(),
            incarnation: record.incarnation.clone(),
            token: record.token,
            beat: record.beat,
            length_ms: millis(record.length),
            released: record.released,
        }
    }
}

impl TryFrom<Lease> for Record {
    type Error = WireError;

    fn try_from(lease: Lease) -> Result<Self, WireError> {
        let Lease { holder, incarnation, token, beat, length_ms, released } = lease;
        let length = Duration::from_millis(length_ms);
        let named = [&holder, &incarnation].into_iter().all(|name| (1..=NAME).contains(&name.len()));
        if !named || !(1..EXACT).contains(&token) || beat >= EXACT || length.is_zero() || length > LONGEST {
            return Err(WireError::damaged("it is not the record of a lease"));
        }
        Ok(Self { holder, incarnation, token, beat, length, released })
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
            released: false,
        }
    }

    fn read(text: &str) -> Result<Record, WireError> {
        decode::<Lease>(text.as_bytes())?.try_into()
    }

    #[test]
    fn a_lease_is_what_it_was() {
        assert_eq!(String::from_utf8(encode(&Lease::from(&record())).unwrap()).unwrap(), V1);
        assert_eq!(read(V1), Ok(record()));
        let released = Record { released: true, ..record() };
        let text = V1.replace('}', r#","released":true}"#);
        assert_eq!(String::from_utf8(encode(&Lease::from(&released)).unwrap()).unwrap(), text);
        assert_eq!(read(&text), Ok(released));
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
            ("\"a7\"", &format!("\"{}\"", "a".repeat(256))),
        ] {
            let text = V1.replace(from, to);
            assert!(matches!(read(&text), Err(WireError::Damaged { .. })), "{text}");
        }
    }
}
