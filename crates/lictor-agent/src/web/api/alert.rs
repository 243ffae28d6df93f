//! Alerts, their messages and silences as JSON.

use std::collections::BTreeMap;

use lictor_core::alert::{Case, Delivery, Mute, Sending, Tells};
use lictor_core::{Now, Wall};
use serde::Serialize;

use crate::alert::{AlertView, Seat};
use crate::web::text::{millis, rfc3339};

/// `GET /v1/alerts`.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Alerts {
    /// By their subjects.
    pub(in crate::web) alerts: Vec<Alert>,
    /// Sources that cannot be asked: how their alerts stand is not known.
    pub(in crate::web) lost: Vec<Lost>,
    /// Why nothing can be recorded, and so nothing is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) cannot_record: Option<String>,
    /// Who tells.
    pub(in crate::web) teller: Teller,
    /// So many notifiers are configured.
    pub(in crate::web) notifiers: usize,
    /// So many messages are on their way.
    pub(in crate::web) queued: usize,
}

/// Who tells.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Teller {
    /// `alone`: this node, of its own. Of nodes that share their alerts: `this`, `other` or `nobody`.
    pub(in crate::web) who: &'static str,
    /// The other node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) node: Option<String>,
    /// Why nobody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) why: Option<String>,
}

impl From<&Seat> for Teller {
    fn from(seat: &Seat) -> Self {
        let (who, node, why) = match seat {
            Seat::Local => ("alone", None, None),
            Seat::Ours { .. } => ("this", None, None),
            Seat::Other { holder } => ("other", Some(holder.clone()), None),
            Seat::Nobody { why } => ("nobody", None, Some(why.clone())),
        };
        Self { who, node, why }
    }
}

/// A source that cannot be asked.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Lost {
    pub(in crate::web) source: String,
    pub(in crate::web) why: String,
}

/// Something that is wrong, may come to be, or is over and not everybody was told so yet.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Alert {
    /// What identifies it, always.
    pub(in crate::web) subject: String,
    /// The same for people.
    pub(in crate::web) title: String,
    pub(in crate::web) labels: BTreeMap<String, String>,
    pub(in crate::web) tags: Vec<String>,
    /// Who reports it.
    pub(in crate::web) reported_by: String,
    /// `firing`, `pending` while it is bad and does not count yet, or `over`.
    pub(in crate::web) state: &'static str,
    /// The status that counts.
    pub(in crate::web) status: &'static str,
    /// The status as it was reported last.
    pub(in crate::web) reported: &'static str,
    /// Since when it has the status that counts; that of a pending one, since when it is reported.
    pub(in crate::web) since: String,
    pub(in crate::web) lasts_ms: u64,
    /// When it began to be wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) opened: Option<String>,
    pub(in crate::web) output: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::web) notes: String,
    pub(in crate::web) flapping: bool,
    /// Why it is over although it was not seen to be well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) gone: Option<String>,
    /// Who was told what last.
    pub(in crate::web) told: Vec<Told>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) acknowledged: Option<Acknowledged>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) muted: Option<Muted>,
}

/// What a receiver was told last.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Told {
    pub(in crate::web) notifier: String,
    pub(in crate::web) status: &'static str,
    /// Whether they may believe that it is wrong.
    pub(in crate::web) firing: bool,
    pub(in crate::web) at: String,
    pub(in crate::web) reminders: u32,
}

/// Somebody looks after it.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Acknowledged {
    pub(in crate::web) by: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::web) comment: String,
    pub(in crate::web) at: String,
    /// Until then at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) until: Option<String>,
}

/// Why nobody is told.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Muted {
    /// `maintenance`, `silence`, `inhibited` or `service`.
    pub(in crate::web) kind: &'static str,
    /// The silence, or the subject that it follows from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) by: Option<String>,
    /// In words.
    pub(in crate::web) text: String,
}

/// `GET /v1/alerts/queue`.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Queue {
    /// The oldest first.
    pub(in crate::web) queue: Vec<Queued>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) cannot_record: Option<String>,
}

/// A message on its way to a notifier.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Queued {
    pub(in crate::web) delivery: String,
    pub(in crate::web) notifier: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) route: Option<String>,
    /// `change`, `reminder`, `digest`, `test` or `life_sign`.
    pub(in crate::web) occasion: &'static str,
    /// The first things it tells.
    pub(in crate::web) tells: Vec<Telling>,
    /// So many more.
    pub(in crate::web) more: usize,
    pub(in crate::web) created: String,
    /// `waiting` or `sending`.
    pub(in crate::web) state: &'static str,
    pub(in crate::web) attempts: u32,
    /// When it may be tried; later when the notifier is held back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) next_attempt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) next_attempt_in_ms: Option<u64>,
    /// What the last attempt that was not accepted said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) error: Option<String>,
    /// Whether an attempt may have been accepted though nobody said so.
    pub(in crate::web) unclear: bool,
}

/// One thing that a message tells.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Telling {
    pub(in crate::web) subject: String,
    pub(in crate::web) title: String,
    /// `firing`, `reminder` or `resolved`.
    pub(in crate::web) tells: &'static str,
    pub(in crate::web) status: &'static str,
}

/// `GET /v1/alerts/silences`.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Silences {
    /// Those that end first come first.
    pub(in crate::web) silences: Vec<Silence>,
}

/// Nobody is told of some alerts for a while.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Silence {
    pub(in crate::web) id: String,
    /// All of them must hold.
    pub(in crate::web) matchers: Vec<String>,
    pub(in crate::web) from: String,
    pub(in crate::web) until: String,
    pub(in crate::web) ends_in_ms: u64,
    pub(in crate::web) by: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::web) comment: String,
    /// How many alerts it fits at present.
    pub(in crate::web) alerts: usize,
}

/// Of a message, so many things are told in the queue.
const TELLS: usize = 20;

impl Alerts {
    /// Of the cases that are wanted.
    pub(in crate::web) fn new(view: &AlertView, wanted: impl Fn(&Case) -> bool) -> Self {
        let shown = view.cases.values().filter(|(case, _)| wanted(case));
        Self {
            alerts: shown.map(|(case, mute)| Alert::new(case, mute.as_ref(), view.at)).collect(),
            lost: lost(view),
            cannot_record: view.cannot_record.clone(),
            teller: (&view.seat).into(),
            notifiers: view.plan.notifiers.len(),
            queued: view.deliveries.len(),
        }
    }
}

fn lost(view: &AlertView) -> Vec<Lost> {
    let lost = |(source, why): (&String, &String)| Lost { source: source.clone(), why: why.clone() };
    view.lost.iter().map(lost).collect()
}

/// `firing`, `pending` or `over`.
pub(in crate::web) fn state(case: &Case) -> &'static str {
    match (case.settled, case.live) {
        (lictor_core::Status::Passing, lictor_core::Status::Passing) => "over",
        (lictor_core::Status::Passing, _) => "pending",
        _ => "firing",
    }
}

impl Alert {
    fn new(case: &Case, mute: Option<&Mute>, at: Now) -> Self {
        let state = state(case);
        let since = if state == "pending" { case.live_since } else { case.since };
        let told = case.told.iter().map(|(notifier, told)| Told {
            notifier: notifier.to_string(),
            status: told.status.as_str(),
            firing: told.firing,
            at: rfc3339(told.at.wall),
            reminders: told.reminders,
        });
        Self {
            subject: case.subject.key.to_string(),
            title: case.subject.title(),
            labels: case.subject.labels.clone(),
            tags: case.subject.tags.iter().cloned().collect(),
            reported_by: case.source.to_string(),
            state,
            status: case.settled.as_str(),
            reported: case.live.as_str(),
            since: rfc3339(since.wall),
            lasts_ms: millis(at.boot.since(since.boot)),
            opened: (state == "firing").then(|| rfc3339(case.opened.wall)),
            output: case.output.clone(),
            notes: case.notes.clone(),
            flapping: case.flapping,
            gone: case.gone.map(|gone| gone.as_str().to_owned()),
            told: told.collect(),
            acknowledged: case.acknowledged.as_ref().map(Acknowledged::new),
            muted: mute.map(Muted::new),
        }
    }
}

impl Acknowledged {
    fn new(one: &lictor_core::alert::Acknowledged) -> Self {
        Self {
            by: one.by.clone(),
            comment: one.comment.clone(),
            at: rfc3339(one.at.wall),
            until: one.lasting.map(|lasting| rfc3339(after(one.at.wall, millis(lasting)))),
        }
    }
}

impl Muted {
    fn new(mute: &Mute) -> Self {
        let (kind, by) = match mute {
            Mute::Maintenance => ("maintenance", None),
            Mute::Silence(id) => ("silence", Some(id.clone())),
            Mute::Inhibited(parent) => ("inhibited", Some(parent.to_string())),
            Mute::Service => ("service", None),
        };
        Self { kind, by, text: mute.to_string() }
    }
}

impl Queue {
    pub(in crate::web) fn new(view: &AlertView) -> Self {
        Self {
            queue: view.deliveries.values().map(|one| Queued::new(one, view.at)).collect(),
            cannot_record: view.cannot_record.clone(),
        }
    }
}

impl Queued {
    fn new(delivery: &Delivery, now: Now) -> Self {
        let tells = delivery.items.iter().take(TELLS).map(|item| Telling {
            subject: item.key.to_string(),
            title: item.title.clone(),
            tells: item.tells.as_str(),
            status: item.status.as_str(),
        });
        let (state, due) = match delivery.state {
            Sending::Waiting { since, pause } => ("waiting", Some(after(since.wall, millis(pause)))),
            Sending::Under => ("sending", None),
        };
        Self {
            delivery: delivery.id.to_string(),
            notifier: delivery.notifier.to_string(),
            route: delivery.route.as_ref().map(ToString::to_string),
            occasion: delivery.occasion.as_str(),
            tells: tells.collect(),
            more: delivery.items.len().saturating_sub(TELLS) + delivery.rest.len(),
            created: rfc3339(delivery.created.wall),
            state,
            attempts: delivery.attempts,
            next_attempt: due.map(rfc3339),
            next_attempt_in_ms: delivery.due().map(|due| millis(due.since(now.boot))),
            error: delivery.error.clone(),
            unclear: delivery.unclear,
        }
    }
}

/// What a message tells, in one line.
pub(in crate::web) fn summary(delivery: &Delivery) -> String {
    let total = delivery.items.len() + delivery.rest.len();
    let Some(item) = delivery.items.first() else { return delivery.occasion.as_str().replace('_', " ") };
    let said = match item.tells {
        Tells::Resolved => format!("{} is over", item.title),
        Tells::Firing | Tells::Reminder => format!("{} is {}", item.title, item.status),
    };
    if total > 1 { format!("{said}, and {} more", total - 1) } else { said }
}

impl Silences {
    pub(in crate::web) fn new(view: &AlertView) -> Self {
        let mut silences: Vec<_> = view.silences.values().collect();
        silences.sort_by_key(|silence| silence.ends());
        Self { silences: silences.into_iter().map(|one| Silence::new(one, view)).collect() }
    }
}

impl Silence {
    pub(in crate::web) fn new(silence: &lictor_core::alert::Silence, view: &AlertView) -> Self {
        let fits =
            |(case, _): &&(Case, Option<Mute>)| state(case) != "over" && silence.when.hold(&case.subject);
        Self {
            id: silence.id.clone(),
            matchers: silence.when.0.iter().map(ToString::to_string).collect(),
            from: rfc3339(silence.from.wall),
            until: rfc3339(after(silence.from.wall, millis(silence.lasting))),
            ends_in_ms: millis(silence.ends().since(view.at.boot)),
            by: silence.by.clone(),
            comment: silence.comment.clone(),
            alerts: view.cases.values().filter(fits).count(),
        }
    }
}

/// The instant so many milliseconds later.
pub(in crate::web) fn after(at: Wall, millis: u64) -> Wall {
    Wall::from_unix_millis(at.as_unix_millis().saturating_add(i64::try_from(millis).unwrap_or(i64::MAX)))
}
