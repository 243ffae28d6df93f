//! Rows of the alerts: what is wrong, what is on its way, what is silenced.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lictor_core::alert as core;
use lictor_core::{DeliveryId, Now, Wall};
use serde::{Deserialize, Serialize};

use super::row::Status;
use super::{Time, WireError, millis, name};

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

/// Why something is over that was not seen to be well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Gone {
    Deregistered,
    NoInstance,
    Ignored,
    Unwatched,
    Unconfigured,
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

/// What an older program wrote in words alone.
fn in_words(words: &str) -> core::Gone {
    let said = core::Gone::ALL.into_iter().find(|gone| gone.as_str() == words);
    said.unwrap_or(core::Gone::Deregistered)
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

same!(Occasion: Change, Reminder, Digest, Test, LifeSign);
same!(Tells: Firing, Reminder, Resolved);
same!(Gone: Deregistered, NoInstance, Ignored, Unwatched, Unconfigured);

#[cfg(test)]
mod tests {
    use lictor_core::{Boot, Status as Is};

    use super::*;

    fn at(boot: u64) -> Now {
        Now { boot: Boot::from_millis(boot), wall: Wall::from_unix_millis(-5) }
    }

    fn case() -> core::Case {
        let labels = core::text(&[("node", "n1"), ("check", "alive")]);
        let key = core::SubjectKey::consul("dc1", "n1", "", "alive");
        let told = core::Told { status: Is::Critical, firing: true, at: at(4), reminders: 2, news: Some(7) };
        core::Case {
            subject: core::Subject { key, labels, tags: ["blue".to_owned()].into() },
            source: core::Source::new("consul/dc1"),
            settled: Is::Critical,
            since: at(1),
            opened: at(2),
            live: Is::Warning,
            live_since: at(3),
            side_since: at(2),
            judged: false,
            news: Some(7),
            output: "connection refused \u{1F525}".into(),
            notes: String::new(),
            maintenance: true,
            gone: Some(core::Gone::NoInstance),
            acknowledged: Some(core::Acknowledged {
                by: "me".into(),
                comment: "mine".into(),
                at: at(9),
                lasting: Some(Duration::from_secs(60)),
            }),
            told: [(lictor_core::NotifierName::new("ops").unwrap(), told)].into(),
            changes: [at(1), at(2)].into(),
            flapping: true,
            was_critical: Some(at(8)),
        }
    }

    fn delivery(state: core::Sending) -> core::Delivery {
        let case = case();
        let item = core::Item {
            key: case.subject.key.clone(),
            incident: case.subject.key.to_string(),
            title: "alive on n1".into(),
            labels: case.subject.labels.clone(),
            tags: case.subject.tags,
            tells: core::Tells::Resolved,
            over: Some(core::Over::Gone(core::Gone::Unwatched)),
            status: Is::Unknown,
            before: Some(Is::Warning),
            since: Wall::from_unix_millis(1),
            opened: Wall::from_unix_millis(2),
            lasted: Some(Duration::from_millis(9)),
            output: "x".into(),
            notes: "y".into(),
            reminders: 3,
        };
        let rest = core::Rest { key: case.subject.key, tells: core::Tells::Resolved, status: Is::Passing };
        core::Delivery {
            id: DeliveryId(7),
            notifier: lictor_core::NotifierName::new("ops").unwrap(),
            route: Some(lictor_core::RouteName::new("all").unwrap()),
            occasion: core::Occasion::Reminder,
            items: vec![item],
            rest: vec![rest],
            news: [(core::SubjectKey::own("n1", "shop"), 7)].into(),
            failing: core::Failing { critical: 1, warning: 2, unknown: 3 },
            created: at(1),
            state,
            attempts: 4,
            unclear: true,
            error: Some("no".into()),
        }
    }

    #[test]
    fn every_row_is_read_as_it_was_written() {
        let pattern = |text: &str| core::Pattern::Regex(regex::Regex::new(text).unwrap());
        let any = vec![core::Pattern::Exactly("a".into()), pattern("b+")];
        let matcher = core::Matcher { label: "node".into(), any, not: true };
        let silence = core::Silence {
            id: "s1".into(),
            when: core::Matchers(vec![matcher]),
            from: at(3),
            lasting: Duration::from_millis(1_500),
            by: "me".into(),
            comment: "why".into(),
        };
        let waiting = core::Sending::Waiting { since: at(5), pause: Duration::from_secs(7) };
        let used = [core::Used { at: at(6), times: 1 }, core::Used { at: at(7), times: 3 }].into();
        let used = [(lictor_core::NotifierName::new("ops").unwrap(), used)].into();
        let ended = core::Ended { by: "me".into(), until: Wall::from_unix_millis(8) };
        let rows = [
            core::Row::Case(case()),
            core::Row::Delivery(delivery(waiting)),
            core::Row::Delivery(delivery(core::Sending::Under)),
            core::Row::Silence(silence),
            core::Row::Counters(core::Counters {
                deliveries: 9,
                silences: 1,
                used,
                digests: [("daily".to_owned(), Wall::from_unix_millis(7))].into(),
                ended: [("maintenance x".to_owned(), ended)].into(),
            }),
        ];
        for row in rows {
            let bytes = super::super::encode(&AlertRow::from(&row)).unwrap();
            let read: AlertRow = super::super::decode(&bytes).unwrap();
            assert_eq!(core::Row::try_from(read).unwrap(), row);
        }
    }

    #[test]
    fn a_row_of_an_older_version_is_read() {
        let read = |text: &str| super::super::decode::<AlertRow>(text.as_bytes()).unwrap().try_into();
        let counters = core::Counters { deliveries: 9, silences: 1, ..core::Counters::default() };
        let row: Result<core::Row, WireError> =
            read(r#"{"v":1,"kind":"counters","deliveries":9,"silences":1}"#);
        assert_eq!(row.unwrap(), core::Row::Counters(counters));
        let without = core::Row::Case(core::Case { was_critical: None, ..case() });
        let bytes = super::super::encode(&AlertRow::from(&without)).unwrap();
        assert!(!String::from_utf8(bytes).unwrap().contains("was_critical"));
    }

    /// A row as it was before it said of what kind the end is.
    fn without(row: &core::Row, members: &[&str]) -> core::Row {
        fn strip(value: &mut serde_json::Value, members: &[&str]) {
            match value {
                serde_json::Value::Object(all) => {
                    all.retain(|name, _| !members.contains(&name.as_str()));
                    all.values_mut().for_each(|value| strip(value, members));
                }
                serde_json::Value::Array(all) => all.iter_mut().for_each(|value| strip(value, members)),
                _ => {}
            }
        }
        let mut value = serde_json::to_value(AlertRow::from(row)).unwrap();
        strip(&mut value, members);
        serde_json::from_value::<AlertRow>(value).unwrap().try_into().unwrap()
    }

    #[test]
    fn why_something_is_over_is_read_from_the_words_of_an_older_version() {
        for gone in core::Gone::ALL {
            let row = core::Row::Case(core::Case { gone: Some(gone), ..case() });
            assert_eq!(without(&row, &["gone_as"]), row, "{gone:?}");
            let mut old = delivery(core::Sending::Under);
            (old.items[0].over, old.items[0].notes) = (Some(core::Over::Gone(gone)), gone.as_str().into());
            let row = core::Row::Delivery(old);
            assert_eq!(without(&row, &["over"]), row, "{gone:?}");
        }
        for (status, over) in [(Is::Passing, core::Over::Recovered), (Is::Warning, core::Over::Milder)] {
            let mut old = delivery(core::Sending::Under);
            (old.items[0].status, old.items[0].over) = (status, Some(over));
            let row = core::Row::Delivery(old);
            assert_eq!(without(&row, &["over"]), row, "{over:?}");
        }
        let mut firing = delivery(core::Sending::Under);
        (firing.items[0].tells, firing.items[0].over) = (core::Tells::Firing, None);
        let row = core::Row::Delivery(firing);
        assert_eq!(without(&row, &["over"]), row);
    }

    #[test]
    fn an_event_without_who_wanted_it_is_read() {
        let silenced = r#"{"kind":"silenced","id":"s1","when":"node=n1","until_ms":null}"#;
        let what: super::super::What = serde_json::from_str(silenced).unwrap();
        let what = lictor_core::What::try_from(what).unwrap();
        assert_eq!(what.to_string(), "silence s1 is over: node=n1");
    }

    #[test]
    fn what_is_no_row_is_refused_with_the_reason() {
        let read = |text: &str| {
            let row = super::super::decode::<AlertRow>(text.as_bytes()).and_then(core::Row::try_from);
            row.unwrap_err().to_string()
        };
        assert!(read(r#"{"v":1,"kind":"other"}"#).contains("other"));
        let silence = r#"{"v":1,"kind":"silence","id":"s","when":[{"label":"x","any":[{"regex":"("}]}],
            "from":{"unix_ms":1,"boot_ms":1},"lasting_ms":1,"by":"","comment":""}"#;
        assert!(read(silence).contains("regex"));
        assert!(read(r#"{"v":9,"kind":"counters"}"#).contains("version 9"));
    }
}
