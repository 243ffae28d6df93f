//! What the nodes of clustered services tell each other through the records, beside leases and operations.

use serde::{Deserialize, Serialize};

/// Until when nobody takes a service over by itself: the keys `service/<name>/pause`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Milliseconds of Unix time at which it ends.
    pub until_ms: i64,
    /// Who asked for it.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Where a node hears the others: the keys `cluster/<node>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Address and port (UDP).
    pub at: String,
}

/// That a node runs a service in the place of another program: the keys `roles/<key of the roles>/<node>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Milliseconds of Unix time at which it began to.
    pub since_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::super::{decode, encode};
    use super::*;

    /// What version 1 wrote, which is read for ever.
    #[test]
    fn they_are_what_they_were() {
        let pause = Pause { until_ms: 1_795_000_000_000, by: "an operator".into(), why: "a move".into() };
        let text = r#"{"v":1,"until_ms":1795000000000,"by":"an operator","why":"a move"}"#;
        assert_eq!(String::from_utf8(encode(&pause).unwrap()).unwrap(), text);
        assert_eq!(decode::<Pause>(text.as_bytes()), Ok(pause));
        let place = Place { at: "10.0.0.1:8511".into() };
        let text = r#"{"v":1,"at":"10.0.0.1:8511"}"#;
        assert_eq!(String::from_utf8(encode(&place).unwrap()).unwrap(), text);
        assert_eq!(decode::<Place>(text.as_bytes()), Ok(place));
        let joined = Joined { since_ms: 1_795_000_000_000 };
        let text = r#"{"v":1,"since_ms":1795000000000}"#;
        assert_eq!(String::from_utf8(encode(&joined).unwrap()).unwrap(), text);
        assert_eq!(decode::<Joined>(text.as_bytes()), Ok(joined));
    }
}
