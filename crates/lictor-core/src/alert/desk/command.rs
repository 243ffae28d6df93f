//! What people and the calendar ask for.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Desk, Timer, Turn, tell};
use crate::alert::message::{Occasion, Tells};
use crate::alert::plan::Matchers;
use crate::alert::row::{Acknowledged, Ended, Rest, Silence};
use crate::alert::step::{Command, Deliveries, Due, RowKey};
use crate::alert::subject::SubjectKey;
use crate::check::Status;
use crate::event::What;
use crate::name::{DeliveryId, NotifierName};
use crate::step::Refusal;

/// Two windows whose ends are so close are the same one, milliseconds: the clocks that measure them differ.
const SAME_END: i64 = 60_000;

impl Desk {
    pub(super) fn command(&mut self, command: Command, turn: &mut Turn) -> Result<String, Refusal> {
        match command {
            Command::Silence { id, when, lasting, by, comment } => {
                if lasting.is_zero() {
                    return Err(Refusal::Conflict("a silence must last some time".to_owned()));
                }
                let id = id.unwrap_or_else(|| self.new_silence(turn));
                let silence = Silence { id, when, from: turn.now, lasting, by, comment };
                self.not_ended(&silence, turn)?;
                Ok(self.silence(silence, turn))
            }
            Command::Unsilence { id, by } => {
                let Some(silence) = self.silences.get(&id) else {
                    return Err(Refusal::NotFound(format!("there is no silence `{id}`")));
                };
                if silence.by == Silence::CONFIGURATION {
                    let ended = Ended { by: by.clone(), until: silence.until() };
                    self.counters.ended.insert(id.clone(), ended);
                    turn.dirty.insert(RowKey::Counters);
                }
                self.silence_over(&id, &by, turn);
                Ok(format!("silence {id} is over"))
            }
            Command::Acknowledge { subject, by, comment, lasting } => {
                let one = Acknowledged { by, comment, at: turn.now, lasting };
                self.acknowledge(&subject, Some(one), String::new(), turn)
            }
            Command::Unacknowledge { subject, by } => self.acknowledge(&subject, None, by, turn),
            Command::Retry { which, by } => self.retry(&which, &by, turn),
            Command::Drop { which, by } => {
                let found = self.waiting(&which)?;
                let who = if by.is_empty() { "a person" } else { &by };
                for id in &found {
                    self.abandon(*id, &format!("{who} asked for it"), turn);
                }
                Ok(format!("{} given up", count(found.len())))
            }
            Command::Digest { name, when, to, also_when_well, due } => {
                self.digest(&name, &when, (&to, also_when_well), due, turn)
            }
        }
    }

    /// The silences of the configuration that it does not have now are over.
    pub(super) fn planned(&mut self, silences: &BTreeSet<String>, turn: &mut Turn) {
        let of_ours = self.silences.values().filter(|one| one.by == Silence::CONFIGURATION);
        let over: Vec<_> =
            of_ours.filter(|one| !silences.contains(&one.id)).map(|one| one.id.clone()).collect();
        for id in over {
            self.silence_over(&id, Silence::CONFIGURATION, turn);
        }
    }

    /// Refuses a silence of the configuration that a person has ended: the same window has the same end.
    fn not_ended(&mut self, silence: &Silence, turn: &mut Turn) -> Result<(), Refusal> {
        let before = self.counters.ended.len();
        self.counters.ended.retain(|_, ended| ended.until > turn.now.wall);
        if self.counters.ended.len() != before {
            turn.dirty.insert(RowKey::Counters);
        }
        let Some(ended) = self.counters.ended.get(&silence.id) else { return Ok(()) };
        let later = silence.until().as_unix_millis().saturating_sub(ended.until.as_unix_millis());
        if silence.by != Silence::CONFIGURATION || later > SAME_END {
            return Ok(());
        }
        Err(Refusal::Conflict(format!("silence {} was ended by {}", silence.id, ended.by)))
    }

    /// An id that no silence has, also none that a person named.
    fn new_silence(&mut self, turn: &mut Turn) -> String {
        turn.dirty.insert(RowKey::Counters);
        loop {
            self.counters.silences += 1;
            let id = format!("s{}", self.counters.silences);
            if !self.silences.contains_key(&id) {
                return id;
            }
        }
    }

    fn silence(&mut self, silence: Silence, turn: &mut Turn) -> String {
        let id = silence.id.clone();
        let hit = self.cases.values().filter(|case| silence.when.hold(&case.subject));
        let keys: Vec<_> = hit.map(|case| case.subject.key.clone()).collect();
        let (when, until, by) = (silence.when.to_string(), Some(silence.lasting), silence.by.clone());
        turn.note(What::Silenced { id: id.clone(), when, until, by });
        self.timers.set(Timer::Silence(id.clone()), Some(silence.ends()));
        turn.dirty.insert(RowKey::Silence(id.clone()));
        if let Some(old) = self.silences.insert(id.clone(), silence) {
            let freed = self.cases.values().filter(|case| old.when.hold(&case.subject));
            turn.look.extend(freed.map(|case| case.subject.key.clone()));
        }
        turn.look.extend(keys);
        id
    }

    fn acknowledge(
        &mut self,
        key: &SubjectKey,
        one: Option<Acknowledged>,
        ended_by: String,
        turn: &mut Turn,
    ) -> Result<String, Refusal> {
        let missing = || Refusal::NotFound(format!("nothing is wrong with `{key}`"));
        let case =
            self.cases.get_mut(key).filter(|case| case.settled != Status::Passing).ok_or_else(missing)?;
        let title = case.subject.title();
        let by = one.as_ref().map(|one| one.by.clone());
        case.acknowledged = one;
        turn.dirty.insert(RowKey::Case(key.clone()));
        turn.look.insert(key.clone());
        turn.note(What::Acknowledged { subject: title.clone(), by: by.clone(), ended_by });
        Ok(match by {
            Some(by) => format!("{title}: {by} looks after it"),
            None => format!("{title}: nobody looks after it any more"),
        })
    }

    /// Takes an acknowledgement away whose time is over.
    pub(super) fn acknowledged_long_enough(&mut self, key: &SubjectKey, turn: &mut Turn) {
        let Some(case) = self.cases.get_mut(key) else { return };
        let until = case.acknowledged.as_ref().and_then(|one| Some(one.at.boot.after(one.lasting?)));
        if until.is_some_and(|until| until <= turn.now.boot) {
            case.acknowledged = None;
            turn.dirty.insert(RowKey::Case(key.clone()));
        }
    }

    fn retry(&mut self, deliveries: &Deliveries, by: &str, turn: &mut Turn) -> Result<String, Refusal> {
        let found = self.waiting(deliveries)?;
        for id in &found {
            let Some(delivery) = self.deliveries.get_mut(id) else { continue };
            let Some(sender) = self.senders.get_mut(&delivery.notifier) else { continue };
            sender.waiting.remove(delivery);
            sender.resume_at = turn.now.boot;
            delivery.state = super::Sending::Waiting { since: turn.now, pause: Duration::ZERO };
            sender.waiting.add(delivery);
            turn.dirty.insert(RowKey::Delivery(*id));
        }
        let said = format!("{} tried again", count(found.len()));
        let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
        turn.note(What::Commanded { command: format!("{said}{by}") });
        Ok(said)
    }

    fn waiting(&self, deliveries: &Deliveries) -> Result<Vec<DeliveryId>, Refusal> {
        let waits = |delivery: &&super::Delivery| delivery.due().is_some();
        let of = |name: Option<&NotifierName>| {
            let found = self.deliveries.values().filter(waits);
            found.filter(|one| name.is_none_or(|name| one.notifier == *name)).map(|one| one.id).collect()
        };
        match deliveries {
            Deliveries::One(id) => match self.deliveries.get(id) {
                None => Err(Refusal::NotFound(format!("there is no delivery {id} in the queue"))),
                Some(delivery) if delivery.due().is_none() => {
                    Err(Refusal::Conflict(format!("{id} is being sent at this moment")))
                }
                Some(_) => Ok(vec![*id]),
            },
            Deliveries::Of(name) if !self.plan.notifiers.contains_key(name) => {
                Err(Refusal::NotFound(format!("there is no notifier `{name}`")))
            }
            Deliveries::Of(name) => Ok(of(Some(name))),
            Deliveries::All => Ok(of(None)),
        }
    }

    fn digest(
        &mut self,
        name: &str,
        when: &Matchers,
        (to, also_when_well): (&[NotifierName], bool),
        due: Due,
        turn: &mut Turn,
    ) -> Result<String, Refusal> {
        let known: Vec<_> = to.iter().filter(|name| self.senders.contains_key(name)).collect();
        if known.is_empty() {
            return Err(Refusal::NotFound(format!("digest {name}: none of its notifiers is configured")));
        }
        // A time to come was noted by a clock that was wrong.
        let last = self.counters.digests.get(name).filter(|at| **at <= turn.now.wall).copied();
        let (Due::At(then) | Due::Missed(then)) = due;
        if last.is_some_and(|last| last >= then) {
            return Ok(format!("digest {name}: it was made already"));
        }
        self.counters.digests.insert(name.to_owned(), turn.now.wall);
        turn.dirty.insert(RowKey::Counters);
        if last.is_none() && matches!(due, Due::Missed(_)) {
            return Ok(format!("digest {name}: its times begin now"));
        }
        let wrong: Vec<_> = self
            .cases
            .values()
            .filter(|case| case.settled != Status::Passing && when.hold(&case.subject))
            .cloned()
            .collect();
        if wrong.is_empty() && !also_when_well {
            return Ok(format!("digest {name}: nothing is wrong"));
        }
        for notifier in known {
            let items = wrong.iter().take(tell::ITEMS).map(|case| tell::item(case, notifier, Tells::Firing));
            let items = tell::fitted(items.collect());
            let rest = wrong.iter().take(tell::SUBJECTS).skip(tell::ITEMS).map(|case| Rest {
                key: case.subject.key.clone(),
                tells: Tells::Firing,
                status: case.settled,
            });
            let mut failing = crate::alert::Failing::default();
            wrong.iter().for_each(|case| failing.add(case.settled));
            let content = (items, rest.collect());
            self.queue(notifier, None, Occasion::Digest, content, failing, turn);
        }
        Ok(format!("digest {name}: {} wrong", wrong.len()))
    }
}

fn count(deliveries: usize) -> String {
    if deliveries == 1 { "1 delivery".to_owned() } else { format!("{deliveries} deliveries") }
}
