//! The desk: owns what is wrong and who was told, and decides who is to be told.
//!
//! It compares what should have been told with what was, so nothing rests on having seen every
//! change: after a crash, a reload or a new source the difference is told.

mod circle;
mod command;
mod judge;
mod late;
mod mute;
mod queue;
mod send;
mod services;
mod tell;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use super::message::{Failing, Gone};
use super::plan::AlertPlan;
use super::row::{Case, Counters, Delivery, Sending, Silence};
use super::step::{Input, Output, Row, RowKey};
use super::subject::{Source, SubjectKey};
use crate::event::{Event, What};
use crate::name::{DeliveryId, NotifierName, RouteName};
use crate::time::{Boot, Now};
use crate::timers::Timers;

pub use mute::Mute;

/// Owns the state of the alerts and decides. As with [`crate::Engine`], what a step gives is
/// recorded first, and only then carried out.
#[derive(Clone, Debug)]
pub struct Desk {
    plan: Arc<AlertPlan>,
    cases: BTreeMap<SubjectKey, Case>,
    deliveries: BTreeMap<DeliveryId, Delivery>,
    silences: BTreeMap<String, Silence>,
    counters: Counters,
    sources: BTreeMap<Source, SourceState>,
    groups: BTreeMap<Group, Gathering>,
    /// When a group was last told.
    flushed: BTreeMap<Group, Boot>,
    /// The unfinished delivery that tells a receiver of a subject.
    busy: BTreeMap<(NotifierName, SubjectKey), DeliveryId>,
    /// Of those, what receivers may hear before another node's late message, which is then the last.
    /// Not stored: after a start what is under way is sent again, and comes last.
    overtaken: BTreeSet<(NotifierName, SubjectKey)>,
    senders: BTreeMap<NotifierName, Sender>,
    parents: Vec<mute::Parents>,
    /// Found when it is first asked for after the parents changed.
    circles: OnceLock<circle::Circles>,
    services: services::Services,
    timers: Timers<Timer>,
}

/// What is known of a source. Not stored: after a start nothing is, until it reports.
#[derive(Clone, Debug, Default)]
struct SourceState {
    /// Everything it has was reported since it was last lost.
    known: bool,
    /// Why it cannot be asked.
    lost: Option<String>,
}

/// Alerts that share a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    notifier: NotifierName,
    route: Option<RouteName>,
    values: Vec<String>,
}

/// What a group gathers until it is told.
#[derive(Clone, Debug)]
struct Gathering {
    keys: BTreeSet<SubjectKey>,
    due: Boot,
}

/// How a notifier does. Not stored.
#[derive(Clone, Debug, Default)]
struct Sender {
    /// Deliveries that wait.
    waiting: queue::Queue,
    /// Attempts under way.
    under_way: usize,
    /// Not before is anything tried.
    resume_at: Boot,
    /// Attempts in a row that were not accepted, and since when.
    failures: u32,
    failing_since: Option<Now>,
    /// The last thing it said when it did not accept.
    error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Case(SubjectKey),
    Parent(usize, Vec<String>),
    Silence(String),
    Group(Group),
    /// A delivery expires.
    Delivery(DeliveryId),
    Sender(NotifierName),
}

/// What one step gathers.
struct Turn {
    now: Now,
    dirty: BTreeSet<RowKey>,
    events: Vec<Event>,
    send: Vec<DeliveryId>,
    /// Cases of which it is to be seen whether somebody must be told.
    look: BTreeSet<SubjectKey>,
    /// How many are wrong for whom, once it was counted.
    failing: BTreeMap<NotifierName, Failing>,
    /// The circles before, when what inhibits changed.
    circles: Option<circle::Circles>,
}

impl Turn {
    fn note(&mut self, what: What) {
        self.events.push(Event { at: self.now, incident: None, run: None, what });
    }
}

impl Desk {
    /// A desk over the rows of a store; without rows, a new one. A message that was being sent
    /// may have been accepted: it is sent again.
    pub fn restore(plan: Arc<AlertPlan>, rows: Vec<Row>, now: Now) -> (Self, Output) {
        let mut desk = Self {
            plan,
            cases: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            silences: BTreeMap::new(),
            counters: Counters::default(),
            sources: BTreeMap::new(),
            groups: BTreeMap::new(),
            flushed: BTreeMap::new(),
            busy: BTreeMap::new(),
            overtaken: BTreeSet::new(),
            senders: BTreeMap::new(),
            parents: Vec::new(),
            circles: OnceLock::new(),
            services: services::Services::default(),
            timers: Timers::default(),
        };
        let mut turn = desk.turn(now);
        for mut row in rows {
            row.not_after(now);
            match row {
                Row::Case(case) => {
                    desk.cases.insert(case.subject.key.clone(), case);
                }
                Row::Delivery(mut delivery) => {
                    if delivery.state == Sending::Under {
                        delivery.unclear = true;
                        delivery.state = Sending::Waiting { since: now, pause: std::time::Duration::ZERO };
                        turn.dirty.insert(RowKey::Delivery(delivery.id));
                    }
                    desk.deliveries.insert(delivery.id, delivery);
                }
                Row::Silence(silence) => {
                    desk.silences.insert(silence.id.clone(), silence);
                }
                Row::Counters(counters) => desk.counters = counters,
            }
        }
        let last = desk.deliveries.last_key_value().map_or(0, |(id, _)| id.0);
        desk.counters.deliveries = desk.counters.deliveries.max(last);
        desk.take_up(&mut turn);
        let output = desk.finish(turn);
        (desk, output)
    }

    /// Puts another plan in force. Sources report everything anew after it.
    pub fn reload(&mut self, plan: Arc<AlertPlan>, now: Now) -> Output {
        let mut turn = self.turn(now);
        self.plan = plan;
        self.services = services::Services::default();
        self.take_up(&mut turn);
        self.finish(turn)
    }

    /// Takes one input in.
    pub fn step(&mut self, input: Input, now: Now) -> Output {
        let mut turn = self.turn(now);
        let mut answer = None;
        match input {
            Input::Reports { source, complete, reports, gone } => {
                self.reports(&source, complete, reports, gone, &mut turn);
            }
            Input::Lost { source, why } => self.lost(&source, why, &mut turn),
            Input::Watched { consul } => self.watched(consul.as_deref(), &mut turn),
            Input::Planned { silences } => self.planned(&silences, &mut turn),
            Input::Outcome { delivery, attempt, verdict } => {
                self.outcome(delivery, attempt, verdict, &mut turn);
            }
            Input::Late { notifier, items } => self.late(&notifier, items, &mut turn),
            Input::Command(command) => answer = Some(self.command(command, &mut turn)),
            Input::Tick => {}
        }
        let mut output = self.finish(turn);
        output.answer = answer;
        output
    }

    /// When `step` wants to be called with [`Input::Tick`] at the latest.
    pub fn next_wake(&self) -> Option<Boot> {
        self.timers.next()
    }

    /// The plan in force.
    pub fn plan(&self) -> &Arc<AlertPlan> {
        &self.plan
    }

    /// What is wrong, may come to be, or is believed to be by somebody.
    pub fn cases(&self) -> &BTreeMap<SubjectKey, Case> {
        &self.cases
    }

    /// Messages on their way.
    pub fn deliveries(&self) -> &BTreeMap<DeliveryId, Delivery> {
        &self.deliveries
    }

    /// Silences in force.
    pub fn silences(&self) -> &BTreeMap<String, Silence> {
        &self.silences
    }

    /// Sources that cannot be asked, with the reason.
    pub fn lost_sources(&self) -> impl Iterator<Item = (&Source, &str)> {
        self.sources.iter().filter_map(|(source, state)| Some((source, state.lost.as_deref()?)))
    }

    fn turn(&mut self, now: Now) -> Turn {
        let (dirty, look, failing) = ([].into(), [].into(), [].into());
        let mut turn = Turn { now, dirty, events: vec![], send: vec![], look, failing, circles: None };
        while let Some(timer) = self.timers.take_due(now.boot) {
            match timer {
                Timer::Case(key) => {
                    self.acknowledged_long_enough(&key, &mut turn);
                    self.ripen(&key, &mut turn);
                    turn.look.insert(key);
                }
                Timer::Parent(rule, values) => self.parent_over(rule, &values, &mut turn),
                Timer::Silence(id) => self.silence_over(&id, "", &mut turn),
                Timer::Group(group) => self.flush(&group, &mut turn),
                Timer::Delivery(id) => self.expire(id, &mut turn),
                Timer::Sender(_) => {}
            }
        }
        turn
    }

    /// Brings what follows from plan and rows up to date.
    fn take_up(&mut self, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        self.busy.clear();
        let senders = std::mem::take(&mut self.senders);
        for name in plan.notifiers.keys() {
            let before = senders.get(name).cloned().unwrap_or_default();
            let sender = Sender { waiting: queue::Queue::default(), under_way: 0, ..before };
            self.senders.insert(name.clone(), sender);
        }
        let rated = |name: &NotifierName| plan.notifiers.get(name).is_some_and(|one| one.rate.is_some());
        if self.counters.used.keys().any(|name| !rated(name)) {
            self.counters.used.retain(|name, _| rated(name));
            turn.dirty.insert(RowKey::Counters);
        }
        let orphans: Vec<_> = self
            .deliveries
            .values()
            .filter(|one| !plan.notifiers.contains_key(&one.notifier))
            .map(|one| one.id)
            .collect();
        for id in orphans {
            self.abandon(id, "its notifier is no longer configured", turn);
        }
        for delivery in self.deliveries.values() {
            for (key, _, _) in delivery.subjects().filter(|_| delivery.occasion != super::Occasion::Digest) {
                self.busy.insert((delivery.notifier.clone(), key.clone()), delivery.id);
            }
            if let Some(sender) = self.senders.get_mut(&delivery.notifier) {
                sender.waiting.add(delivery);
                sender.under_way += usize::from(delivery.state == Sending::Under);
            }
            let expire =
                plan.notifiers.get(&delivery.notifier).map(|one| delivery.created.boot.after(one.expire));
            self.timers.set(Timer::Delivery(delivery.id), expire);
        }
        self.overtaken.retain(|one| self.busy.contains_key(one));
        for case in self.cases.values_mut() {
            let before = case.told.len();
            case.told.retain(|notifier, _| plan.notifiers.contains_key(notifier));
            if case.told.len() != before {
                turn.dirty.insert(RowKey::Case(case.subject.key.clone()));
            }
        }
        for silence in self.silences.values() {
            self.timers.set(Timer::Silence(silence.id.clone()), Some(silence.ends()));
        }
        self.find_parents(turn);
        let known: BTreeSet<_> = plan.notifiers.keys().map(send::of_notifier).collect();
        let stray =
            |key: &&SubjectKey| key.as_str().starts_with("lictor/notifier%20") && !known.contains(*key);
        for key in self.cases.keys().filter(stray).cloned().collect::<Vec<_>>() {
            self.over(&key, Gone::Unconfigured, turn);
        }
        for key in self.cases.keys().cloned().collect::<Vec<_>>() {
            self.ripen(&key, turn);
            turn.look.insert(key);
        }
    }

    fn finish(&mut self, mut turn: Turn) -> Output {
        self.look_at_circles(&mut turn);
        loop {
            while let Some(key) = turn.look.pop_first() {
                self.reconcile(&key, &mut turn);
            }
            // What it withholds is looked at again.
            self.dispatch(&mut turn);
            if turn.look.is_empty() {
                break;
            }
        }
        let mut output = Output { events: turn.events, send: turn.send, ..Output::default() };
        for key in turn.dirty {
            let row = match &key {
                RowKey::Case(key) => self.cases.get(key).cloned().map(Row::Case),
                RowKey::Delivery(id) => self.deliveries.get(id).cloned().map(Row::Delivery),
                RowKey::Silence(id) => self.silences.get(id).cloned().map(Row::Silence),
                RowKey::Counters => Some(Row::Counters(self.counters.clone())),
            };
            match row {
                Some(row) => output.rows.push(row),
                None => output.gone.push(key),
            }
        }
        output
    }
}
