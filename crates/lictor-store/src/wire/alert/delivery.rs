//! Deliveries: a message on its way, and what stands in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lictor_core::alert as core;
use lictor_core::{DeliveryId, Wall};
use serde::{Deserialize, Serialize};

use super::super::row::Status;
use super::super::{Time, WireError, millis, name};
use super::case::Gone;

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    id: u64,
    notifier: String,
    route: Option<String>,
    occasion: Occasion,
    items: Vec<Item>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rest: Vec<Rest>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    news: BTreeMap<String, u64>,
    /// Critical, warning, unknown.
    failing: [usize; 3],
    created: Time,
    /// When its wait began and how long it lasts; none while an attempt is under way.
    waits: Option<(Time, u64)>,
    attempts: u32,
    unclear: bool,
    error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Occasion {
    Change,
    Reminder,
    Digest,
    Test,
    LifeSign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Tells {
    Firing,
    Reminder,
    Resolved,
}

/// Why an item is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Over {
    Recovered,
    Milder,
    Gone(Gone),
}

/// One subject in a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    key: String,
    incident: String,
    title: String,
    labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    tags: BTreeSet<String>,
    tells: Tells,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    over: Option<Over>,
    status: Status,
    before: Option<Status>,
    since_unix_ms: i64,
    opened_unix_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lasted_ms: Option<u64>,
    output: String,
    notes: String,
    reminders: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Rest {
    key: String,
    tells: Tells,
    status: Status,
}

impl From<&core::Delivery> for Delivery {
    fn from(delivery: &core::Delivery) -> Self {
        let rest = delivery.rest.iter().map(|rest| Rest {
            key: rest.key.to_string(),
            tells: rest.tells.into(),
            status: rest.status.into(),
        });
        let waits = match delivery.state {
            core::Sending::Waiting { since, pause } => Some((since.into(), millis(pause))),
            core::Sending::Under => None,
        };
        let core::Failing { critical, warning, unknown } = delivery.failing;
        Self {
            id: delivery.id.0,
            notifier: delivery.notifier.to_string(),
            route: delivery.route.as_ref().map(ToString::to_string),
            occasion: delivery.occasion.into(),
            items: delivery.items.iter().map(Into::into).collect(),
            rest: rest.collect(),
            news: delivery.news.iter().map(|(key, news)| (key.to_string(), *news)).collect(),
            failing: [critical, warning, unknown],
            created: delivery.created.into(),
            waits,
            attempts: delivery.attempts,
            unclear: delivery.unclear,
            error: delivery.error.clone(),
        }
    }
}

impl TryFrom<Delivery> for core::Delivery {
    type Error = WireError;
    fn try_from(delivery: Delivery) -> Result<Self, WireError> {
        let state = match delivery.waits {
            Some((since, pause)) => {
                core::Sending::Waiting { since: since.into(), pause: Duration::from_millis(pause) }
            }
            None => core::Sending::Under,
        };
        let rest = delivery.rest.into_iter().map(|rest| core::Rest {
            key: core::SubjectKey::stored(&rest.key),
            tells: rest.tells.into(),
            status: rest.status.into(),
        });
        let [critical, warning, unknown] = delivery.failing;
        Ok(Self {
            id: DeliveryId(delivery.id),
            notifier: name(&delivery.notifier)?,
            route: delivery.route.as_deref().map(name).transpose()?,
            occasion: delivery.occasion.into(),
            items: delivery.items.into_iter().map(Into::into).collect(),
            rest: rest.collect(),
            news: delivery.news.iter().map(|(key, news)| (core::SubjectKey::stored(key), *news)).collect(),
            failing: core::Failing { critical, warning, unknown },
            created: delivery.created.into(),
            state,
            attempts: delivery.attempts,
            unclear: delivery.unclear,
            error: delivery.error,
        })
    }
}

impl From<&core::Item> for Item {
    fn from(item: &core::Item) -> Self {
        Self {
            key: item.key.to_string(),
            incident: item.incident.clone(),
            title: item.title.clone(),
            labels: item.labels.clone(),
            tags: item.tags.clone(),
            tells: item.tells.into(),
            over: item.over.map(Into::into),
            status: item.status.into(),
            before: item.before.map(Into::into),
            since_unix_ms: item.since.as_unix_millis(),
            opened_unix_ms: item.opened.as_unix_millis(),
            lasted_ms: item.lasted.map(millis),
            output: item.output.clone(),
            notes: item.notes.clone(),
            reminders: item.reminders,
        }
    }
}

impl From<Item> for core::Item {
    fn from(item: Item) -> Self {
        let over = match (item.over, item.tells) {
            (Some(over), _) => Some(over.into()),
            (None, Tells::Firing | Tells::Reminder) => None,
            // An older program wrote it.
            (None, Tells::Resolved) => Some(over_in_words(&item)),
        };
        Self {
            key: core::SubjectKey::stored(&item.key),
            incident: item.incident,
            title: item.title,
            labels: item.labels,
            tags: item.tags,
            tells: item.tells.into(),
            over,
            status: item.status.into(),
            before: item.before.map(Into::into),
            since: Wall::from_unix_millis(item.since_unix_ms),
            opened: Wall::from_unix_millis(item.opened_unix_ms),
            lasted: item.lasted_ms.map(Duration::from_millis),
            output: item.output,
            notes: item.notes,
            reminders: item.reminders,
        }
    }
}

/// Why an item is over of which an older program said it in its notes, if it did.
fn over_in_words(item: &Item) -> core::Over {
    let gone = core::Gone::ALL.into_iter().find(|gone| gone.as_str() == item.notes);
    match (gone, item.status) {
        (Some(gone), _) => core::Over::Gone(gone),
        (None, Status::Passing) => core::Over::Recovered,
        (None, Status::Warning | Status::Critical | Status::Unknown) => core::Over::Milder,
    }
}

impl From<core::Over> for Over {
    fn from(over: core::Over) -> Self {
        match over {
            core::Over::Recovered => Self::Recovered,
            core::Over::Milder => Self::Milder,
            core::Over::Gone(gone) => Self::Gone(gone.into()),
        }
    }
}

impl From<Over> for core::Over {
    fn from(over: Over) -> Self {
        match over {
            Over::Recovered => Self::Recovered,
            Over::Milder => Self::Milder,
            Over::Gone(gone) => Self::Gone(gone.into()),
        }
    }
}

same!(Occasion: Change, Reminder, Digest, Test, LifeSign);
same!(Tells: Firing, Reminder, Resolved);
