//! Rows of the alerts: what is wrong, what is on its way, what is silenced.

use std::collections::BTreeMap;
use std::time::Duration;

use lictor_core::Wall;
use lictor_core::alert as core;
use serde::{Deserialize, Serialize};

use super::{Time, WireError, millis, name};

/// Conversions both ways between a kind of ours and one of the core with the same names.
macro_rules! same {
    ($ours:ident: $($variant:ident),*) => {
        impl From<core::$ours> for $ours {
            fn from(one: core::$ours) -> Self {
                match one { $(core::$ours::$variant => Self::$variant),* }
            }
        }
        impl From<$ours> for core::$ours {
            fn from(one: $ours) -> Self {
                match one { $($ours::$variant => Self::$variant),* }
            }
        }
    };
}

mod case;
mod delivery;

pub(super) use case::{Case, Told};
pub(super) use delivery::{Delivery, Item};

/// One row of any kind, told apart by `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AlertRow {
    /// Something that is or was wrong.
    Case(Box<Case>),
    /// A message on its way.
    Delivery(Box<Delivery>),
    /// A silence.
    Silence(Silence),
    /// What was counted.
    Counters {
        /// Deliveries made so far.
        deliveries: u64,
        /// Silences named so far.
        silences: u64,
        /// Attempts of notifiers that have a rate: when, and how many.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        used: BTreeMap<String, Vec<(Time, u32)>>,
        /// When each digest was made last, milliseconds since 1970.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        digests: BTreeMap<String, i64>,
        /// Silences of the configuration that a person ended.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        ended: BTreeMap<String, Ended>,
    },
}

/// Who ended a silence, and when it would have ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    by: String,
    until_unix_ms: i64,
}

/// Nobody is told of some alerts for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    id: String,
    when: Vec<Matcher>,
    from: Time,
    lasting_ms: u64,
    by: String,
    comment: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Matcher {
    label: String,
    any: Vec<Pattern>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    not: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Pattern {
    Is(String),
    Regex(String),
}

impl From<&core::Row> for AlertRow {
    fn from(row: &core::Row) -> Self {
        match row {
            core::Row::Case(case) => Self::Case(Box::new(case.into())),
            core::Row::Delivery(delivery) => Self::Delivery(Box::new(delivery.into())),
            core::Row::Silence(silence) => Self::Silence(silence.into()),
            core::Row::Counters(core::Counters { deliveries, silences, used, digests, ended }) => {
                let used = used.iter().map(|(notifier, used)| {
                    (notifier.to_string(), used.iter().map(|one| (one.at.into(), one.times)).collect())
                });
                let digests = digests.iter().map(|(name, at)| (name.clone(), at.as_unix_millis()));
                let ended = ended.iter().map(|(id, one)| {
                    let until_unix_ms = one.until.as_unix_millis();
                    (id.clone(), Ended { by: one.by.clone(), until_unix_ms })
                });
                Self::Counters {
                    deliveries: *deliveries,
                    silences: *silences,
                    used: used.collect(),
                    digests: digests.collect(),
                    ended: ended.collect(),
                }
            }
        }
    }
}

impl TryFrom<AlertRow> for core::Row {
    type Error = WireError;
    fn try_from(row: AlertRow) -> Result<Self, WireError> {
        Ok(match row {
            AlertRow::Case(case) => Self::Case((*case).try_into()?),
            AlertRow::Delivery(delivery) => Self::Delivery((*delivery).try_into()?),
            AlertRow::Silence(silence) => Self::Silence(silence.try_into()?),
            AlertRow::Counters { deliveries, silences, used, digests, ended } => {
                let used = used.into_iter().map(|(notifier, used)| {
                    let used = used.into_iter().map(|(at, times)| core::Used { at: at.into(), times });
                    Ok((name(&notifier)?, used.collect()))
                });
                let used = used.collect::<Result<_, WireError>>()?;
                let digests = digests.into_iter().map(|(name, at)| (name, Wall::from_unix_millis(at)));
                let ended = ended.into_iter().map(|(id, Ended { by, until_unix_ms })| {
                    (id, core::Ended { by, until: Wall::from_unix_millis(until_unix_ms) })
                });
                let (digests, ended) = (digests.collect(), ended.collect());
                Self::Counters(core::Counters { deliveries, silences, used, digests, ended })
            }
        })
    }
}

impl From<&core::Silence> for Silence {
    fn from(silence: &core::Silence) -> Self {
        let when = silence.when.0.iter().map(|matcher| Matcher {
            label: matcher.label.clone(),
            any: matcher
                .any
                .iter()
                .map(|pattern| match pattern {
                    core::Pattern::Exactly(text) => Pattern::Is(text.clone()),
                    core::Pattern::Regex(regex) => Pattern::Regex(regex.as_str().to_owned()),
                })
                .collect(),
            not: matcher.not,
        });
        Self {
            id: silence.id.clone(),
            when: when.collect(),
            from: silence.from.into(),
            lasting_ms: millis(silence.lasting),
            by: silence.by.clone(),
            comment: silence.comment.clone(),
        }
    }
}

impl TryFrom<Silence> for core::Silence {
    type Error = WireError;
    fn try_from(silence: Silence) -> Result<Self, WireError> {
        let pattern = |pattern| match pattern {
            Pattern::Is(text) => Ok(core::Pattern::Exactly(text)),
            Pattern::Regex(text) => {
                regex::Regex::new(&text).map(core::Pattern::Regex).map_err(WireError::damaged)
            }
        };
        let when = silence.when.into_iter().map(|matcher| {
            let any = matcher.any.into_iter().map(pattern).collect::<Result<_, WireError>>()?;
            Ok(core::Matcher { label: matcher.label, any, not: matcher.not })
        });
        Ok(Self {
            id: silence.id,
            when: core::Matchers(when.collect::<Result<_, WireError>>()?),
            from: silence.from.into(),
            lasting: Duration::from_millis(silence.lasting_ms),
            by: silence.by,
            comment: silence.comment,
        })
    }
}

#[cfg(test)]
mod tests;
