//! Cases: a subject, how it stands, and who was told of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lictor_core::Now;
use lictor_core::alert as core;
use serde::{Deserialize, Serialize};

use super::super::row::Status;
use super::super::{Time, WireError, millis, name};

/// A subject and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    key: String,
    labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    tags: BTreeSet<String>,
    source: String,
    settled: Status,
    since: Time,
    opened: Time,
    live: Status,
    live_since: Time,
    side_since: Time,
    judged: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    news: Option<u64>,
    output: String,
    notes: String,
    maintenance: bool,
    /// Why it is over, in words: for older programs.
    gone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone_as: Option<Gone>,
    acknowledged: Option<Acknowledged>,
    told: BTreeMap<String, Told>,
    changes: Vec<Time>,
    flapping: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    was_critical: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Acknowledged {
    by: String,
    comment: String,
    at: Time,
    lasting_ms: Option<u64>,
}

/// What a receiver was told last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    status: Status,
    firing: bool,
    at: Time,
    reminders: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    news: Option<u64>,
}

/// Why something is over that was not seen to be well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Gone {
    Deregistered,
    NoInstance,
    Ignored,
    Unwatched,
    Unconfigured,
}

impl From<&core::Case> for Case {
    fn from(case: &core::Case) -> Self {
        let acknowledged = case.acknowledged.as_ref().map(|one| Acknowledged {
            by: one.by.clone(),
            comment: one.comment.clone(),
            at: one.at.into(),
            lasting_ms: one.lasting.map(millis),
        });
        let told = case.told.iter().map(|(notifier, told)| (notifier.to_string(), told.into()));
        Self {
            key: case.subject.key.to_string(),
            labels: case.subject.labels.clone(),
            tags: case.subject.tags.clone(),
            source: case.source.to_string(),
            settled: case.settled.into(),
            since: case.since.into(),
            opened: case.opened.into(),
            live: case.live.into(),
            live_since: case.live_since.into(),
            side_since: case.side_since.into(),
            judged: case.judged,
            news: case.news,
            output: case.output.clone(),
            notes: case.notes.clone(),
            maintenance: case.maintenance,
            gone: case.gone.map(|gone| gone.as_str().to_owned()),
            gone_as: case.gone.map(Into::into),
            acknowledged,
            told: told.collect(),
            changes: case.changes.iter().map(|at| (*at).into()).collect(),
            flapping: case.flapping,
            was_critical: case.was_critical.map(Into::into),
        }
    }
}

impl TryFrom<Case> for core::Case {
    type Error = WireError;
    fn try_from(case: Case) -> Result<Self, WireError> {
        let told = case.told.into_iter().map(|(notifier, told)| Ok((name(&notifier)?, told.into())));
        let acknowledged = case.acknowledged.map(|one| core::Acknowledged {
            by: one.by,
            comment: one.comment,
            at: one.at.into(),
            lasting: one.lasting_ms.map(Duration::from_millis),
        });
        Ok(Self {
            subject: core::Subject {
                key: core::SubjectKey::stored(&case.key),
                labels: case.labels,
                tags: case.tags,
            },
            source: core::Source::new(&case.source),
            settled: case.settled.into(),
            since: case.since.into(),
            opened: case.opened.into(),
            live: case.live.into(),
            live_since: case.live_since.into(),
            side_since: case.side_since.into(),
            judged: case.judged,
            news: case.news,
            output: case.output,
            notes: case.notes,
            maintenance: case.maintenance,
            gone: case.gone_as.map(Into::into).or_else(|| case.gone.as_deref().map(in_words)),
            acknowledged,
            told: told.collect::<Result<_, WireError>>()?,
            changes: case.changes.into_iter().map(Now::from).collect(),
            flapping: case.flapping,
            was_critical: case.was_critical.map(Now::from),
        })
    }
}

impl From<&core::Told> for Told {
    fn from(told: &core::Told) -> Self {
        let core::Told { status, firing, at, reminders, news } = *told;
        Self { status: status.into(), firing, at: at.into(), reminders, news }
    }
}

impl From<Told> for core::Told {
    fn from(told: Told) -> Self {
        let Told { status, firing, at, reminders, news } = told;
        Self { status: status.into(), firing, at: at.into(), reminders, news }
    }
}

/// What an older program wrote in words alone.
fn in_words(words: &str) -> core::Gone {
    let said = core::Gone::ALL.into_iter().find(|gone| gone.as_str() == words);
    said.unwrap_or(core::Gone::Deregistered)
}

same!(Gone: Deregistered, NoInstance, Ignored, Unwatched, Unconfigured);
