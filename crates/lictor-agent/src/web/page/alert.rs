//! Alerts on the page: what is wrong and who knows, what waits to be told, and who is not told.

use std::cmp::Reverse;
use std::sync::Arc;

use lictor_core::alert::{Case, Delivery, Mute, Sending, Subject};
use lictor_core::{Now, Status};

use super::model::TEXT;
use super::quiet::{Presets, Quiet, ends};
use crate::alert::{AlertView, Seat};
use crate::web::Site;
use crate::web::api;
use crate::web::text::{ago, count, millis, rfc3339, span, thousands, utc, visible};

/// Alerts, messages and silences shown without `?all`.
const ALERTS: usize = 50;
const QUEUE: usize = 10;
const SILENCES: usize = 20;

/// The section of the alerts.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// Why the state of the alerts cannot be shown.
    pub(super) missing: Option<String>,
    pub(super) cannot_record: Option<String>,
    /// Which other node tells.
    pub(super) teller: Option<String>,
    /// Why no node does.
    pub(super) nobody: Option<String>,
    /// Sources that cannot be asked, and why.
    pub(super) lost: Vec<(String, String)>,
    pub(super) alerts: Vec<AlertRow>,
    /// So many more.
    pub(super) more_alerts: usize,
    /// Whether there is anybody who tells.
    pub(super) notifiers: bool,
    pub(super) queue: Vec<QueueRow>,
    pub(super) more_queue: usize,
    pub(super) silences: Vec<SilenceRow>,
    pub(super) more_silences: usize,
}

/// Something that is wrong, or may come to be.
#[derive(Debug)]
pub(super) struct AlertRow {
    pub(super) subject: String,
    pub(super) title: String,
    pub(super) status: &'static str,
    pub(super) since: String,
    pub(super) lasts: String,
    pub(super) output: String,
    /// What is true of it besides, such as `flapping`.
    pub(super) tags: Vec<String>,
    /// Who knows, in words.
    pub(super) told: String,
    /// Who looks after it, in words.
    pub(super) acknowledged: Option<String>,
    /// Why nobody is told, in words.
    pub(super) muted: Option<String>,
    /// Whether it counts: then somebody may look after it.
    pub(super) firing: bool,
    /// How nobody is told of it for a while, where somebody would be.
    pub(super) quiet: Option<Quiet>,
}

/// A message that waits or is being sent.
#[derive(Debug)]
pub(super) struct QueueRow {
    pub(super) id: String,
    pub(super) notifier: String,
    pub(super) what: String,
    pub(super) state: String,
    pub(super) waits: bool,
    pub(super) error: Option<String>,
}

/// Nobody is told of some alerts.
#[derive(Debug)]
pub(super) struct SilenceRow {
    pub(super) id: String,
    pub(super) when: String,
    pub(super) by: String,
    pub(super) comment: String,
    pub(super) until: String,
    pub(super) utc: String,
    /// The same where this machine is.
    pub(super) ends: String,
    pub(super) left: String,
    /// How many alerts it fits, in words.
    pub(super) fits: String,
}

impl Section {
    /// Gathers it. Alerts that do not answer are said, and the rest of the page is shown.
    pub(super) async fn gather(site: &Site, all: bool) -> Self {
        match site.alerts.view().await {
            Ok(view) => Self::new(&view, all),
            Err(why) => Self { missing: Some(why.to_string()), ..Self::default() },
        }
    }

    fn new(view: &AlertView, all: bool) -> Self {
        let mut wrong: Vec<_> =
            view.cases.values().filter(|(case, _)| api::alert_state(case) != "over").collect();
        wrong.sort_by_key(|(case, mute)| {
            (mute.is_some(), Reverse(worst(case)), Reverse(case.side_since.boot), &case.subject.key)
        });
        let quiet = quieting(view);
        let few = |most: usize| if all { usize::MAX } else { most };
        let lost = view.lost.iter().map(|(source, why)| (visible(source, 130), visible(why, TEXT)));
        let silences = api::Silences::new(view).silences;
        Self {
            missing: None,
            cannot_record: view.cannot_record.as_ref().map(|why| visible(why, TEXT)),
            teller: match &view.seat {
                Seat::Other { holder } => Some(visible(holder, 130)),
                Seat::Local | Seat::Ours { .. } | Seat::Nobody { .. } => None,
            },
            nobody: match &view.seat {
                Seat::Nobody { why } => Some(visible(why, TEXT)),
                Seat::Local | Seat::Ours { .. } | Seat::Other { .. } => None,
            },
            lost: lost.collect(),
            more_alerts: wrong.len().saturating_sub(few(ALERTS)),
            alerts: wrong
                .iter()
                .take(few(ALERTS))
                .map(|(case, mute)| row(case, mute.as_ref(), view.at, quiet.as_ref()))
                .collect(),
            notifiers: !view.plan.notifiers.is_empty(),
            more_queue: view.deliveries.len().saturating_sub(few(QUEUE)),
            queue: view.deliveries.values().take(few(QUEUE)).map(|one| queued(one, view.at)).collect(),
            more_silences: silences.len().saturating_sub(few(SILENCES)),
            silences: silences.into_iter().take(few(SILENCES)).map(|one| silence(one, view)).collect(),
        }
    }

    /// Whether there is nothing to be said: nobody tells, and nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        !self.notifiers
            && self.missing.is_none()
            && self.cannot_record.is_none()
            && self.nobody.is_none()
            && self.lost.is_empty()
            && self.alerts.is_empty()
            && self.queue.is_empty()
            && self.silences.is_empty()
    }
}

/// The alert of a check of this node, if there is one.
pub(super) async fn of_check(site: &Site, check: &str) -> Option<AlertRow> {
    let view = site.alerts.view().await.ok()?;
    let (case, mute) = view.cases.get(&Subject::own(&site.node, check).key)?;
    let wrong = api::alert_state(case) != "over";
    wrong.then(|| row(case, mute.as_ref(), view.at, quieting(&view).as_ref()))
}

/// The buttons that silence an alert, where there is anybody who tells.
fn quieting(view: &AlertView) -> Option<Arc<Presets>> {
    (!view.plan.notifiers.is_empty()).then(|| Presets::here(view.at.wall))
}

/// The status that counts, or will.
fn worst(case: &Case) -> Status {
    case.settled.max(case.live)
}

fn row(case: &Case, mute: Option<&Mute>, now: Now, quiet: Option<&Arc<Presets>>) -> AlertRow {
    let firing = case.settled != Status::Passing;
    let since = if firing { case.since } else { case.live_since };
    let mut tags = Vec::new();
    if case.flapping {
        tags.push("flapping".to_owned());
    }
    if !firing {
        tags.push("does not count yet".to_owned());
    } else if case.live != case.settled {
        tags.push(format!("now {}", case.live));
    }
    let told: Vec<_> = case
        .told
        .iter()
        .map(|(notifier, told)| {
            let what = if told.firing { told.status.as_str() } else { "over" };
            let reminders = match told.reminders {
                0 => String::new(),
                more => format!(", {}", count(more as usize, "reminder")),
            };
            format!("{notifier}: {what} {}{reminders}", ago(told.at, now))
        })
        .collect();
    let acknowledged = case.acknowledged.as_ref().map(|one| {
        let comment = if one.comment.is_empty() {
            String::new()
        } else {
            format!(" ({})", visible(&one.comment, TEXT))
        };
        format!("{} looks after it, since {}{comment}", visible(&one.by, 130), ago(one.at, now))
    });
    AlertRow {
        subject: case.subject.key.to_string(),
        title: visible(&case.subject.title(), 200),
        status: if firing { case.settled } else { case.live }.as_str(),
        since: rfc3339(since.wall),
        lasts: span(now.boot.since(since.boot)),
        output: visible(&case.output, TEXT),
        tags,
        told: told.join("; "),
        acknowledged,
        muted: mute.map(|mute| visible(&mute.to_string(), TEXT)),
        firing,
        quiet: quiet.filter(|_| mute.is_none()).and_then(|presets| Quiet::new(&case.subject, presets)),
    }
}

fn queued(delivery: &Delivery, now: Now) -> QueueRow {
    let attempts = match delivery.attempts {
        0 => "not tried yet".to_owned(),
        more => count(more as usize, "attempt"),
    };
    let state = match (delivery.state, delivery.due()) {
        (Sending::Under, _) | (_, None) => format!("{attempts}, being sent"),
        (Sending::Waiting { .. }, Some(due)) => {
            let left = due.since(now.boot);
            if millis(left) == 0 {
                format!("{attempts}, its turn is next")
            } else {
                format!("{attempts}, the next in {}", span(left))
            }
        }
    };
    QueueRow {
        id: delivery.id.to_string(),
        notifier: delivery.notifier.to_string(),
        what: visible(&api::alert_summary(delivery), 200),
        state,
        waits: matches!(delivery.state, Sending::Waiting { .. }),
        error: delivery.error.as_ref().map(|error| visible(error, TEXT)),
    }
}

fn silence(one: api::Silence, view: &AlertView) -> SilenceRow {
    let at = view
        .silences
        .get(&one.id)
        .map_or(view.at.wall, |silence| api::after(silence.from.wall, millis(silence.lasting)));
    SilenceRow {
        when: visible(&one.matchers.join(" and "), 300),
        by: visible(&one.by, 130),
        comment: visible(&one.comment, TEXT),
        until: one.until,
        utc: utc(at),
        ends: ends(at),
        left: span(std::time::Duration::from_millis(one.ends_in_ms)),
        fits: match one.alerts {
            0 => "fits nothing that is wrong".to_owned(),
            more => format!(
                "fits {}",
                if more == 1 { "1 alert".to_owned() } else { format!("{} alerts", thousands(more)) }
            ),
        },
        id: one.id,
    }
}
