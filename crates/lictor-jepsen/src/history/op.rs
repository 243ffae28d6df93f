//! One entry of a history.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    /// A logical process: it does one thing at a time, and nothing more after an outcome that nobody knows.
    Client(u64),
    /// Who does the faults. It does any number of things at a time.
    Nemesis,
}

/// What an entry says of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It is about to be made.
    Invoke,
    /// It happened.
    Ok,
    /// It did not happen and never will.
    Fail,
    /// Nobody knows: it may have happened, or may happen later, or never.
    Info,
}

/// One entry: that a call is about to be made, or what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Op {
    /// Position in the total order. A [`Writer`](super::Writer) gives it.
    #[serde(default)]
    pub index: u64,
    /// Nanoseconds since the run began.
    #[serde(default)]
    pub time: u64,
    /// Who does it.
    pub process: Process,
    /// What this entry says of the call.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// What is done: `read`, `write`, `start-partition`.
    pub f: String,
    /// On what, if there are several things. A `null` is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Value>,
    /// With what, or what was found.
    #[serde(default)]
    pub value: Value,
    /// Whom the client talked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Why it is [`Kind::Fail`] or [`Kind::Info`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long the call took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ns: Option<u64>,
    /// The `ModifyIndex` that came with the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consul_index: Option<u64>,
}

impl Op {
    /// The entry before a call. The time is in nanoseconds since the run began.
    #[must_use]
    pub fn invoke(time: u64, process: Process, f: &str, key: Option<Value>, value: Value) -> Self {
        Self {
            index: 0,
            time,
            process,
            kind: Kind::Invoke,
            f: f.to_owned(),
            key,
            value,
            node: None,
            error: None,
            latency_ns: None,
            consul_index: None,
        }
    }

    /// The same with the node that the client talks to.
    #[must_use]
    pub fn at(mut self, node: &str) -> Self {
        self.node = Some(node.to_owned());
        self
    }

    /// The entry after the call that this one began: what came of it, when, and the value that was found or is
    /// the same.
    #[must_use]
    pub fn complete(&self, time: u64, kind: Kind, value: Value) -> Self {
        Self { time, kind, value, latency_ns: Some(time.saturating_sub(self.time)), ..self.clone() }
    }

    /// The same with a reason.
    #[must_use]
    pub fn because(mut self, error: impl Into<String>) -> Self {
        self.error = Some(error.into());
        self
    }

    /// The same with the index that came with the answer.
    #[must_use]
    pub const fn with_index(mut self, index: u64) -> Self {
        self.consul_index = Some(index);
        self
    }
}

impl Kind {
    /// As it stands in a history.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invoke => "invoke",
            Self::Ok => "ok",
            Self::Fail => "fail",
            Self::Info => "info",
        }
    }

    /// What is called so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Invoke, Self::Ok, Self::Fail, Self::Info].into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(number) => write!(f, "{number}"),
            Self::Nemesis => f.write_str("nemesis"),
        }
    }
}

impl Serialize for Process {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Client(number) => serializer.serialize_u64(*number),
            Self::Nemesis => serializer.serialize_str("nemesis"),
        }
    }
}

impl<'de> Deserialize<'de> for Process {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = Process;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the number of a process, or \"nemesis\"")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Process, E> {
                Ok(Process::Client(number))
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Process, E> {
                if name == "nemesis" {
                    Ok(Process::Nemesis)
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(name), &self))
                }
            }
        }

        deserializer.deserialize_any(Either)
    }
}
