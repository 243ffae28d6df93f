//! The way of messages to their notifiers.

use std::sync::Arc;
use std::time::Duration;

use super::{Desk, Sender, Timer, Turn};
use crate::alert::message::{Message, Occasion, Tells, Verdict};
use crate::alert::plan::NotifierPlan;
use crate::alert::row::{Delivery, Sending, Told};
use crate::alert::step::RowKey;
use crate::alert::subject::SubjectKey;
use crate::check::Status;
use crate::event::What;
use crate::name::{DeliveryId, NotifierName};
use crate::time::{Boot, Span};

/// After so many attempts in a row that were not accepted a notifier is tried with one message
/// at a time, and not at once.
const PATIENCE: u32 = 5;

/// A notifier that accepted nothing for so long is an alert itself.
const FAILING: Duration = Duration::from_secs(300);

impl Desk {
    /// The message of a delivery for its present attempt.
    pub fn message(&self, id: DeliveryId) -> Option<Message> {
        let delivery = self.deliveries.get(&id)?;
        Some(Message {
            id: format!("{id}-{}", delivery.created.wall.as_unix_millis()),
            notifier: delivery.notifier.clone(),
            occasion: delivery.occasion,
            cluster: self.plan.cluster.clone(),
            items: delivery.items.clone(),
            omitted: delivery.rest.len(),
            failing: delivery.failing,
            at: delivery.created.wall,
            attempt: delivery.attempts,
        })
    }

    /// Lets go what may go.
    pub(super) fn dispatch(&mut self, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let now = turn.now.boot;
        for (name, notifier) in &plan.notifiers {
            let Some(sender) = self.senders.get_mut(name) else { continue };
            let most = if sender.failures >= PATIENCE { 1 } else { notifier.parallel.get() as usize };
            while sender.under_way < most && sender.may_send(notifier, now).is_none() {
                let Some((due, id)) = sender.waiting.first().copied() else { break };
                if due > now {
                    break;
                }
                sender.waiting.remove(&(due, id));
                let Some(delivery) = self.deliveries.get_mut(&id) else { continue };
                sender.under_way += 1;
                if notifier.rate.is_some() {
                    sender.used.push_back(now);
                }
                delivery.state = Sending::Under;
                delivery.attempts = delivery.attempts.saturating_add(1);
                turn.dirty.insert(RowKey::Delivery(id));
                turn.send.push(id);
            }
            let first = sender.waiting.first().map(|(due, _)| *due).filter(|_| sender.under_way < most);
            let free = sender.may_send(notifier, now).unwrap_or_default();
            let at = first.map(|due| due.max(free));
            self.timers.set(Timer::Sender(name.clone()), at);
        }
    }

    pub(super) fn outcome(&mut self, id: DeliveryId, attempt: u32, verdict: Verdict, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let Some(delivery) = self.deliveries.get_mut(&id) else { return };
        if delivery.state != Sending::Under || delivery.attempts != attempt {
            return;
        }
        let name = delivery.notifier.clone();
        let (Some(notifier), Some(sender)) = (plan.notifiers.get(&name), self.senders.get_mut(&name)) else {
            return;
        };
        sender.under_way = sender.under_way.saturating_sub(1);
        let (why, retry_after, for_good, unclear) = match verdict {
            Verdict::Accepted => {
                sender.accepted();
                let what = summary(delivery);
                turn.note(What::Told { notifier: name.clone(), delivery: id, what });
                self.about_notifier(&name, turn);
                self.close(id, Ending::Accepted, turn);
                return;
            }
            Verdict::Refused { why, retry_after, for_good } => (why, retry_after, for_good, false),
            Verdict::Unclear { why, retry_after } => (why, retry_after, false, true),
        };
        delivery.unclear |= unclear;
        let pause = pause(notifier, attempt, for_good).max(retry_after.unwrap_or_default());
        delivery.state = Sending::Waiting { since: turn.now, pause };
        delivery.error = Some(why.clone());
        turn.dirty.insert(RowKey::Delivery(id));
        let due = turn.now.boot.after(pause);
        sender.waiting.insert((due, id));
        // What is wrong with one message says nothing about the others.
        if for_good {
            sender.failing_since.get_or_insert(turn.now);
            sender.error = Some(why.clone());
        } else {
            sender.failed(&why, turn.now);
            if let Some(after) = retry_after {
                sender.resume_at = sender.resume_at.max(turn.now.boot.after(after));
            } else if sender.failures >= PATIENCE {
                let pause = super::send::pause(notifier, sender.failures - PATIENCE + 1, false);
                sender.resume_at = sender.resume_at.max(turn.now.boot.after(pause));
            }
        }
        if attempt == 1 {
            let next = format!("tried again after {}", Span(pause));
            turn.note(What::NotTold { notifier: name.clone(), delivery: id, why, next });
        }
        self.about_notifier(&name, turn);
    }

    /// A notifier that does not accept anything is an alert itself, told by the others.
    fn about_notifier(&mut self, name: &NotifierName, turn: &mut Turn) {
        let Some(sender) = self.senders.get(name) else { return };
        let check = check_of(name);
        match sender.failing_since {
            None => self.about_ourselves(&check, Status::Passing, "it accepts again".to_owned(), turn),
            Some(since) => {
                let lasting = turn.now.boot.since(since.boot);
                if lasting < FAILING {
                    return;
                }
                let error = sender.error.clone().unwrap_or_default();
                let output = format!("nothing was accepted for {}: {error}", Span(lasting));
                self.about_ourselves(&check, Status::Critical, output, turn);
            }
        }
    }

    pub(super) fn expire(&mut self, id: DeliveryId, turn: &mut Turn) {
        let Some(delivery) = self.deliveries.get(&id) else { return };
        if delivery.state == Sending::Under {
            // Its outcome is due soon, and decides.
            self.timers.set(Timer::Delivery(id), Some(turn.now.boot.after(Duration::from_secs(60))));
            return;
        }
        let (notifier, error) = (delivery.notifier.clone(), delivery.error.clone());
        let why = error.unwrap_or_else(|| "it was never its turn".to_owned());
        let next = "given up: it expired".to_owned();
        turn.note(What::NotTold { notifier, delivery: id, why, next });
        self.close(id, Ending::Expired, turn);
    }

    /// Gives a delivery up because a person wants it, or because nobody could send it.
    pub(super) fn abandon(&mut self, id: DeliveryId, why: &str, turn: &mut Turn) {
        let Some(delivery) = self.deliveries.get(&id) else { return };
        let notifier = delivery.notifier.clone();
        let next = "given up".to_owned();
        turn.note(What::NotTold { notifier, delivery: id, why: why.to_owned(), next });
        self.close(id, Ending::Dropped, turn);
    }

    fn close(&mut self, id: DeliveryId, ending: Ending, turn: &mut Turn) {
        let Some(delivery) = self.deliveries.remove(&id) else { return };
        turn.dirty.insert(RowKey::Delivery(id));
        self.timers.set(Timer::Delivery(id), None);
        if let Some(sender) = self.senders.get_mut(&delivery.notifier)
            && let Some(due) = delivery.due()
        {
            sender.waiting.remove(&(due, id));
        }
        if delivery.occasion == Occasion::Digest {
            return;
        }
        for (key, tells, status) in delivery.subjects() {
            self.busy.remove(&(delivery.notifier.clone(), key.clone()));
            turn.look.insert(key.clone());
            let Some(case) = self.cases.get_mut(key) else { continue };
            let before = case.told.get(&delivery.notifier);
            let believed = before.is_some_and(|told| told.firing);
            let told = match (ending, tells) {
                // Nobody can be told that it is over either: that is the end of it.
                (Ending::Expired, Tells::Resolved) => match before {
                    // They may still believe it and are owed the word; what is wrong anew is told anew.
                    Some(told) => Told { status: Status::Passing, ..told.clone() },
                    None => continue,
                },
                (_, Tells::Resolved) => Told { status, firing: false, at: turn.now, reminders: 0 },
                (Ending::Accepted, Tells::Firing) => Told {
                    status,
                    firing: true,
                    at: turn.now,
                    reminders: before.map_or(0, |told| told.reminders),
                },
                (_, Tells::Reminder) => {
                    let reminders = before.map_or(0, |told| told.reminders).saturating_add(1);
                    Told { status, firing: true, at: turn.now, reminders }
                }
                (Ending::Expired, Tells::Firing) => {
                    // Whoever may have heard of it hears that it is over; it is told anew while it lasts.
                    if !believed && !delivery.unclear {
                        continue;
                    }
                    let status = before.map_or(Status::Passing, |told| told.status);
                    Told { status, firing: true, at: turn.now, reminders: 0 }
                }
                (Ending::Dropped, Tells::Firing) => {
                    Told { status, firing: believed || delivery.unclear, at: turn.now, reminders: 0 }
                }
            };
            case.told.insert(delivery.notifier.clone(), told);
            turn.dirty.insert(RowKey::Case(key.clone()));
        }
    }
}

/// The name of the check that says whether a notifier works.
fn check_of(notifier: &NotifierName) -> String {
    format!("notifier {notifier}")
}

/// What is reported of a notifier that does not work is about this.
pub(super) fn of_notifier(notifier: &NotifierName) -> SubjectKey {
    SubjectKey::of(&["lictor", &check_of(notifier)])
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Accepted,
    Expired,
    Dropped,
}

impl Sender {
    /// Until when nothing may be sent.
    fn may_send(&mut self, plan: &NotifierPlan, now: Boot) -> Option<Boot> {
        let mut free = Boot::default();
        if let Some((most, per)) = plan.rate {
            while self.used.front().is_some_and(|at| now.since(*at) >= per) {
                self.used.pop_front();
            }
            if self.used.len() >= most.get() as usize {
                free = self.used.front().map_or(now, |at| at.after(per));
            }
        }
        let free = free.max(self.resume_at);
        (free > now).then_some(free)
    }

    fn accepted(&mut self) {
        (self.failures, self.failing_since, self.error) = (0, None, None);
    }

    fn failed(&mut self, why: &str, now: crate::time::Now) {
        // Those that were begun before the pause say nothing new.
        if now.boot >= self.resume_at {
            self.failures = self.failures.saturating_add(1);
        }
        self.failing_since.get_or_insert(now);
        self.error = Some(why.to_owned());
    }
}

fn pause(plan: &NotifierPlan, attempt: u32, for_good: bool) -> Duration {
    if for_good {
        return plan.backoff_max;
    }
    let doubled = 1_u32.checked_shl(attempt.saturating_sub(1).min(20)).unwrap_or(u32::MAX);
    plan.backoff.saturating_mul(doubled).min(plan.backoff_max)
}

fn summary(delivery: &Delivery) -> String {
    let total = delivery.items.len() + delivery.rest.len();
    match delivery.items.first() {
        None => delivery.occasion.as_str().to_owned(),
        Some(item) => {
            let more = if total > 1 { format!(" and {} more", total - 1) } else { String::new() };
            format!("{} {}: {}{more}", item.tells.as_str(), item.title, item.status)
        }
    }
}
