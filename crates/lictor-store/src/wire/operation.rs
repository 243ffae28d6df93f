//! The record of what was asked of a clustered service.

use std::time::Duration;

use lictor_core::service::operation::{self as core, Operation as Asked};
use serde::{Deserialize, Serialize};

use super::{WireError, millis};

/// Longest name or reason, bytes.
const TEXT: usize = 4 << 10;

/// The longest that something may be waited for.
const LONGEST: Duration = Duration::from_hours(24);

/// What was asked of a service, and how far it is: the keys `service/<name>/operation`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Another one each time.
    pub id: String,
    /// What is asked for.
    pub what: What,
    /// The node that held the lease when it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Who asked.
    pub by: String,
    /// How long it may take until the service is being stopped.
    pub deadline_ms: u64,
    /// How far it is.
    pub phase: Phase,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It is to move to this node.
    Switchover(String),
    /// It is to start on this node, where nobody runs it.
    Take(String),
    /// It is to stop.
    Stop,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nobody has done anything.
    Asked,
    /// The node that is to run it can.
    Ready,
    /// It is being stopped, which ran under this token.
    Stopping(u64),
    /// It is stopped, and the one that is to run it may take it, or has.
    Handed,
    /// It is done.
    Done,
    /// It has failed, for this reason.
    Failed(String),
}

impl From<&Asked> for Operation {
    fn from(asked: &Asked) -> Self {
        let what = match &asked.what {
            core::What::Switchover { to } => What::Switchover(to.clone()),
            core::What::Take { to } => What::Take(to.clone()),
            core::What::Stop => What::Stop,
        };
        let phase = match &asked.phase {
            core::Phase::Asked => Phase::Asked,
            core::Phase::Ready => Phase::Ready,
            core::Phase::Stopping { token } => Phase::Stopping(*token),
            core::Phase::Handed => Phase::Handed,
            core::Phase::Done => Phase::Done,
            core::Phase::Failed { why } => Phase::Failed(why.clone()),
        };
        Self {
            id: asked.id.clone(),
            what,
            from: asked.from.clone(),
            by: asked.by.clone(),
            deadline_ms: millis(asked.deadline),
            phase,
        }
    }
}

impl TryFrom<Operation> for Asked {
    type Error = WireError;

    fn try_from(operation: Operation) -> Result<Self, WireError> {
        let Operation { id, what, from, by, deadline_ms, phase } = operation;
        let deadline = Duration::from_millis(deadline_ms);
        let mut texts = vec![&id, &by];
        texts.extend(&from);
        if let What::Switchover(to) | What::Take(to) = &what {
            texts.push(to);
        }
        let named = texts.into_iter().all(|text| (1..=TEXT).contains(&text.len()));
        if !named || deadline.is_zero() || deadline > LONGEST {
            return Err(WireError::damaged("it is nothing that is asked of a service"));
        }
        let what = match what {
            What::Switchover(to) => core::What::Switchover { to },
            What::Take(to) => core::What::Take { to },
            What::Stop => core::What::Stop,
        };
        let phase = match phase {
            Phase::Asked => core::Phase::Asked,
            Phase::Ready => core::Phase::Ready,
            Phase::Stopping(token) => core::Phase::Stopping { token },
            Phase::Handed => core::Phase::Handed,
            Phase::Done => core::Phase::Done,
            Phase::Failed(why) => core::Phase::Failed { why },
        };
        Ok(Self { id, what, from, by, deadline, phase })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{decode, encode};
    use super::*;

    /// What version 1 wrote, which is read for ever.
    const V1: &str = r#"{"v":1,"id":"o1","what":{"switchover":"n2"},"from":"n1","by":"an operator","deadline_ms":30000,"phase":{"failed":"n2 has not answered"}}"#;

    fn read(text: &str) -> Result<Asked, WireError> {
        decode::<Operation>(text.as_bytes())?.try_into()
    }

    #[test]
    fn an_operation_is_what_it_was() {
        let asked = Asked {
            id: "o1".into(),
            what: core::What::Switchover { to: "n2".into() },
            from: Some("n1".into()),
            by: "an operator".into(),
            deadline: Duration::from_secs(30),
            phase: core::Phase::Failed { why: "n2 has not answered".into() },
        };
        assert_eq!(String::from_utf8(encode(&Operation::from(&asked)).unwrap()).unwrap(), V1);
        assert_eq!(read(V1), Ok(asked.clone()));
        for what in [core::What::Take { to: "n2".into() }, core::What::Stop] {
            for phase in [
                core::Phase::Asked,
                core::Phase::Ready,
                core::Phase::Stopping { token: 7 },
                core::Phase::Handed,
                core::Phase::Done,
            ] {
                let asked = Asked { what: what.clone(), from: None, phase, ..asked.clone() };
                let text = encode(&Operation::from(&asked)).unwrap();
                assert_eq!(read(std::str::from_utf8(&text).unwrap()), Ok(asked));
            }
        }
    }

    #[test]
    fn what_nobody_asks_for_is_damaged() {
        for (from, to) in [
            ("\"o1\"", "\"\""),
            ("\"n2\"}", "\"\"}"),
            ("\"n1\"", "\"\""),
            ("\"an operator\"", "\"\""),
            ("30000", "0"),
            ("30000", "86400001"),
            ("switchover", "dance"),
        ] {
            let text = V1.replace(from, to);
            assert!(matches!(read(&text), Err(WireError::Damaged { .. })), "{text}");
        }
    }
}
