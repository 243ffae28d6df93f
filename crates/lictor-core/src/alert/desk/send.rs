//! The way of messages to their notifiers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Desk, Sender, Timer, Turn, tell};
use crate::alert::message::{Item, Message, Occasion, Tells, Verdict};
use crate::alert::plan::NotifierPlan;
use crate::alert::row::{Delivery, Sending, Told};
use crate::alert::step::RowKey;
use crate::alert::subject::SubjectKey;
use crate::check::Status;
use crate::event::What;
use crate::name::{DeliveryId, NotifierName};
use crate::time::{Boot, Now, Span};

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
            let mut next = self.next_of(name, notifier, now);
            while let Some((_, id)) = next.filter(|(at, _)| *at <= now) {
                if !self.withhold(id, turn) {
                    self.begin(name, notifier, id, turn);
                }
                next = self.next_of(name, notifier, now);
            }
            self.timers.set(Timer::Sender(name.clone()), next.map(|(at, _)| at));
        }
    }

    /// The delivery of a notifier whose turn is next, and when it is; `None` when none waits or it
    /// has enough under way.
    fn next_of(&self, name: &NotifierName, plan: &NotifierPlan, now: Boot) -> Option<(Boot, DeliveryId)> {
        let sender = self.senders.get(name)?;
        let most = if sender.failures >= PATIENCE { 1 } else { plan.parallel.get() as usize };
        if sender.under_way >= most {
            return None;
        }
        let free = plan.rate.map_or(Boot::default(), |rate| self.counters.free_at(name, rate, now));
        sender.waiting.next(free.max(sender.resume_at).max(now))
    }

    fn begin(&mut self, name: &NotifierName, plan: &NotifierPlan, id: DeliveryId, turn: &mut Turn) {
        let Some(sender) = self.senders.get_mut(name) else { return };
        let Some(delivery) = self.deliveries.get_mut(&id) else { return };
        sender.waiting.remove(delivery);
        sender.under_way += 1;
        delivery.state = Sending::Under;
        delivery.attempts = delivery.attempts.saturating_add(1);
        turn.dirty.insert(RowKey::Delivery(id));
        turn.send.push(id);
        if let Some(rate) = plan.rate {
            self.counters.use_one(name, rate, turn.now);
            turn.dirty.insert(RowKey::Counters);
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
        for (key, ..) in delivery.subjects() {
            // It is sent again, and then it is the last.
            self.overtaken.remove(&(name.clone(), key.clone()));
        }
        turn.dirty.insert(RowKey::Delivery(id));
        sender.waiting.add(delivery);
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

    /// Takes out of a message what nobody is to be told now, and says whether nothing is left of it.
    /// It is told when that is over, if it is still wrong.
    fn withhold(&mut self, id: DeliveryId, turn: &mut Turn) -> bool {
        let Some(delivery) = self.deliveries.get(&id) else { return false };
        if delivery.occasion == Occasion::Digest {
            return false;
        }
        let held: BTreeSet<_> = delivery
            .subjects()
            .filter(|(key, tells, _)| self.is_withheld(key, &delivery.notifier, *tells))
            .map(|(key, ..)| key.clone())
            .collect();
        if held.is_empty() {
            return false;
        }
        let mut whole = delivery.clone();
        // What is left of it may be a reminder only.
        if let Some(sender) = self.senders.get_mut(&whole.notifier) {
            sender.waiting.remove(&whole);
        }
        let (items, left) = whole.items.drain(..).partition(|item| held.contains(&item.key));
        let (rest, counted) = whole.rest.drain(..).partition(|rest| held.contains(&rest.key));
        let part = Delivery { items, rest, ..whole.clone() };
        self.hear(&part, Ending::Withheld, turn);
        (whole.items, whole.rest) = (left, counted);
        self.fill(&mut whole);
        let empty = whole.items.is_empty() && whole.rest.is_empty();
        if let Some(sender) = self.senders.get_mut(&whole.notifier) {
            sender.waiting.add(&whole);
        }
        self.deliveries.insert(id, whole);
        turn.dirty.insert(RowKey::Delivery(id));
        if empty {
            self.close(id, Ending::Withheld, turn);
        }
        empty
    }

    fn is_withheld(&self, key: &SubjectKey, notifier: &NotifierName, tells: Tells) -> bool {
        let Some(case) = self.cases.get(key) else { return false };
        match tells {
            // The end is owed; news of what is well is not.
            Tells::Resolved => {
                let owed = case.told.get(notifier).is_some_and(|told| told.firing);
                !owed && case.news.is_some() && self.muted(case).is_some()
            }
            Tells::Firing => self.muted(case).is_some(),
            Tells::Reminder => case.acknowledged.is_some() || self.muted(case).is_some(),
        }
    }

    /// Tells in words what was only counted, where there is room now.
    fn fill(&self, delivery: &mut Delivery) {
        for rest in std::mem::take(&mut delivery.rest) {
            match self.cases.get(&rest.key).filter(|_| delivery.items.len() < tell::ITEMS) {
                Some(case) => {
                    let item = tell::item(case, &delivery.notifier, rest.tells);
                    delivery.items.push(Item { status: rest.status, ..item });
                }
                None => delivery.rest.push(rest),
            }
        }
        delivery.items = tell::fitted(std::mem::take(&mut delivery.items));
        delivery.occasion = tell::occasion(&delivery.items);
    }

    fn close(&mut self, id: DeliveryId, ending: Ending, turn: &mut Turn) {
        let Some(delivery) = self.deliveries.remove(&id) else { return };
        turn.dirty.insert(RowKey::Delivery(id));
        self.timers.set(Timer::Delivery(id), None);
        if let Some(sender) = self.senders.get_mut(&delivery.notifier) {
            sender.waiting.remove(&delivery);
        }
        if delivery.occasion != Occasion::Digest {
            self.hear(&delivery, ending, turn);
        }
    }

    /// Notes what its receiver was told by a message that ended so.
    fn hear(&mut self, delivery: &Delivery, ending: Ending, turn: &mut Turn) {
        for (key, tells, status) in delivery.subjects() {
            let to = (delivery.notifier.clone(), key.clone());
            self.busy.remove(&to);
            turn.look.insert(key.clone());
            if self.overtaken.remove(&to) && ending == Ending::Accepted {
                // What they heard last is another message, and was noted when that was known.
                continue;
            }
            let Some(case) = self.cases.get_mut(key) else { continue };
            let before = case.told.get(&delivery.notifier);
            let news = delivery.news.get(key).copied();
            let word = Word { tells, status, unclear: delivery.unclear, news };
            let Some(told) = word.told(before, ending, turn.now) else { continue };
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

/// What a message tells of a subject.
#[derive(Clone, Copy, Debug)]
struct Word {
    tells: Tells,
    status: Status,
    unclear: bool,
    news: Option<u64>,
}

impl Word {
    /// What its receiver was told then; `None` when that is as before.
    fn told(self, before: Option<&Told>, ending: Ending, now: Now) -> Option<Told> {
        let Self { tells, status, unclear, news } = self;
        let believed = before.is_some_and(|told| told.firing);
        Some(match (ending, tells) {
            // Nobody can be told that it is over either: they may still believe it and are owed the
            // word; what is wrong anew is told anew. Nobody knows which news they heard last.
            (Ending::Expired, Tells::Resolved) if unclear => {
                Told { status: Status::Passing, news: None, ..before?.clone() }
            }
            (Ending::Expired, Tells::Resolved) => Told { status: Status::Passing, ..before?.clone() },
            (Ending::Withheld, Tells::Resolved) if unclear => Told { news: None, ..before?.clone() },
            (Ending::Withheld, Tells::Resolved | Tells::Reminder) => return None,
            (Ending::Accepted | Ending::Dropped, Tells::Resolved) => {
                Told { status, firing: false, at: now, reminders: 0, news }
            }
            (Ending::Accepted, Tells::Firing) => {
                let reminders = before.map_or(0, |told| told.reminders);
                Told { status, firing: true, at: now, reminders, news }
            }
            (Ending::Accepted | Ending::Expired | Ending::Dropped, Tells::Reminder) => {
                let reminders = before.map_or(0, |told| told.reminders).saturating_add(1);
                Told { status, firing: true, at: now, reminders, news }
            }
            // Whoever may have heard of it hears that it is over. Nobody knows what they heard last: it is told
            // anew while it lasts, also when it is again as they heard it before.
            (Ending::Expired | Ending::Withheld, Tells::Firing) if unclear => {
                Told { status: Status::Passing, firing: true, at: now, reminders: 0, news: None }
            }
            (Ending::Expired, Tells::Firing) if believed => Told { at: now, reminders: 0, ..before?.clone() },
            (Ending::Expired | Ending::Withheld, Tells::Firing) => return None,
            (Ending::Dropped, Tells::Firing) => {
                Told { status, firing: believed || unclear, at: now, reminders: 0, news }
            }
        })
    }
}

/// How a delivery ended, or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Accepted,
    Expired,
    Dropped,
    /// Nobody is to be told now.
    Withheld,
}

impl Sender {
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
    let digest = delivery.occasion == Occasion::Digest;
    match delivery.items.first() {
        None if digest => "digest: nothing is wrong".to_owned(),
        None => delivery.occasion.as_str().to_owned(),
        Some(item) => {
            let more = if total > 1 { format!(" and {} more", total - 1) } else { String::new() };
            let word = if digest { "digest:" } else { item.tells.as_str() };
            format!("{word} {}: {}{more}", item.title, item.status)
        }
    }
}
