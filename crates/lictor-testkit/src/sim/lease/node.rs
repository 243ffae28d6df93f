//! A node: its clocks, its process, and a copy of what drives the candidate.

use std::collections::BTreeSet;
use std::time::Duration;

use lictor_core::lease::{
    Among, Answer, Belief, Candidate, Effect, Input, Params, Question, Reading, Record, Revision, Stamp,
    Wish, Written,
};

use super::super::clock::Clock;
use super::Mistake;
use super::eyes::{Basis, Eyes};
use super::register::State;
use super::script::Micros;

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) clock: Clock,
    pub(super) params: Params,
    /// Where the nodes are named: the times while one is silent.
    steady: Option<Params>,
    /// The nodes that it is configured with.
    names: BTreeSet<String>,
    rank: u32,
    mistake: Mistake,
    /// The process that runs, if one does.
    candidate: Option<Candidate>,
    /// Each process is another life.
    pub(super) life: u64,
    /// What it last acted on; things may still be going on from then.
    pub(super) danger: Option<Belief>,
    /// What it was told last that it may act on.
    pub(super) told: Option<Belief>,
    /// The token of a lease that it took from what a restore had put back.
    pub(super) restored: Option<u64>,
    eyes: Eyes,
    planted: Planted,
}

/// What a mistake remembers.
#[derive(Debug, Default)]
struct Planted {
    claim: Option<Belief>,
    unclear: bool,
    looked: bool,
    sending: Option<Record>,
    last: Option<(Revision, Record)>,
    bypass: Option<(Stamp, Record)>,
}

impl Node {
    pub(super) fn new(
        number: usize,
        ppm: [i64; 2],
        params: Params,
        (steady, names): (Option<Params>, BTreeSet<String>),
        mistake: Mistake,
    ) -> Self {
        let ppm = if mistake == Mistake::DriftsTooMuch { ppm.map(|one| one * 3) } else { ppm };
        Self {
            name: super::world::name(number),
            clock: Clock::new(number, ppm),
            params,
            steady,
            names,
            rank: u32::try_from(number).unwrap_or_default(),
            mistake,
            candidate: None,
            life: 0,
            danger: None,
            told: None,
            restored: None,
            eyes: Eyes::default(),
            planted: Planted::default(),
        }
    }

    pub(super) fn start(&mut self) {
        let mut candidate = Candidate::new(self.name.clone(), self.incarnation(), self.params);
        if let Some(steady) = self.steady {
            // Each other process comes after a boot.
            let boot = format!("boot {}", self.life / 2);
            let wish = Wish::Expired { after: self.params.renew() / 2 * self.rank };
            candidate = candidate.among(Among { nodes: self.names.clone(), boot, steady }, wish);
        }
        self.candidate = Some(candidate);
    }

    /// The process is gone. What it began may still be going on.
    pub(super) fn end(&mut self) {
        self.candidate = None;
        self.life += 1;
        (self.told, self.eyes, self.planted) = (None, Eyes::default(), Planted::default());
    }

    pub(super) fn runs(&self) -> bool {
        self.candidate.is_some()
    }

    pub(super) fn has_left(&self) -> bool {
        self.candidate.as_ref().is_some_and(Candidate::has_left)
    }

    /// How long it would sleep now.
    pub(super) fn wait(&self, now: Micros) -> Duration {
        self.candidate.as_ref().map_or(Duration::MAX, |candidate| candidate.wait(self.clock.read(now)))
    }

    /// What it acts on now.
    pub(super) fn claim(&self, now: Micros) -> Option<Belief> {
        let stamp = self.clock.read(now);
        let belief = self.candidate.as_ref()?.belief(stamp);
        let planted = self.planted.claim.filter(|belief| belief.holds(stamp));
        belief.into_iter().chain(planted).max_by_key(|belief| belief.left(stamp))
    }

    /// Whether something that it began under a lease may still be going on.
    pub(super) fn is_dangerous(&self, now: Micros) -> bool {
        let margin = match self.mistake {
            Mistake::StopsTooSlowly => self.params.margin() * 3 / 2,
            _ => self.params.margin(),
        };
        let stamp = self.clock.read(now);
        let acts = self
            .danger
            .is_some_and(|Belief { since, lasts, .. }| stamp.longest_since(since) < lasts + margin);
        acts || (self.mistake == Mistake::ActsUntilItNotices && self.told.is_some())
    }

    /// It is configured anew.
    pub(super) fn enroll(&mut self, names: BTreeSet<String>) {
        if let Some(candidate) = &mut self.candidate {
            candidate.enroll(names.clone());
        }
        self.names = names;
    }

    /// Whom it would ask now.
    pub(super) fn question(&mut self, now: Micros) -> Option<Question> {
        let stamp = self.clock.read(now);
        let mut question = self.candidate.as_mut()?.question(stamp)?;
        if self.mistake == Mistake::AsksWhomItKnows {
            let (known, others) = question.to.into_iter().partition(|name| self.names.contains(name));
            question.to = known;
            self.answered(question.number, others, stamp);
        }
        Some(question)
    }

    fn answered(&mut self, number: u64, by: BTreeSet<String>, now: Stamp) {
        for by in by {
            if let Some(candidate) = &mut self.candidate {
                drop(candidate.step(Input::Answered(Answer { number, by, promises: true }), now));
            }
        }
    }

    /// What it says to a holder that asks.
    pub(super) fn promise(&mut self, question: &Question, now: Micros) -> Option<bool> {
        let stamp = self.clock.read(now);
        let candidate = self.candidate.as_mut()?;
        let mut forgetful = candidate.clone();
        Some(match self.mistake {
            Mistake::ForgetsItsPromise => forgetful.promise(question.token, question.length, stamp),
            _ => candidate.promise(question.token, question.length, stamp),
        })
    }

    /// One of those it asked has answered.
    pub(super) fn hears(&mut self, answer: &Answer, asked: &BTreeSet<String>, now: Micros) {
        if self.mistake == Mistake::OnePromiseIsEnough && answer.promises {
            let others = asked.iter().filter(|name| **name != answer.by).cloned().collect();
            self.answered(answer.number, others, self.clock.read(now));
        }
    }

    /// Whether it acts, or acted last, under a lease that no wait since a restore proves.
    pub(super) fn rests_on_a_restore(&self) -> bool {
        self.restored.is_some() && self.restored == self.danger.map(|belief| belief.token)
    }

    pub(super) fn sees(&mut self, state: State, now: Micros) {
        let incarnation = self.incarnation();
        self.eyes.see(state, &self.name, &incarnation, now);
    }

    pub(super) fn sends(&mut self, record: &Record) {
        self.eyes.send(record);
    }

    pub(super) fn forgets(&mut self) {
        self.eyes.forget();
    }

    /// What it rests on if this record takes the lease.
    pub(super) fn basis(&self, record: &Record) -> Option<Basis> {
        self.eyes.basis(record)
    }

    fn incarnation(&self) -> String {
        format!("life {}", self.life)
    }

    /// Hands the candidate something, wrongly if a mistake is planted.
    pub(super) fn step(&mut self, input: Input, now: Micros) -> Option<Effect> {
        let real = self.clock.read(now);
        let (input, stamp) = self.plant_before(input, real);
        let candidate = self.candidate.as_mut()?;
        let done = matches!(input, Input::Written(Written::Done { .. }));
        if done {
            self.eyes.done();
        }
        let before = candidate.belief(real);
        let effect = candidate.step(input, stamp);
        let belief = candidate.belief(real);
        if self.mistake == Mistake::CountsFromTheAnswer
            && done
            && let Some(belief) = belief
        {
            self.planted.claim = Some(Belief { since: real, ..belief });
        }
        self.plant_lengths(before, effect.as_ref());
        effect.map(|effect| self.plant_after(effect, belief.is_some(), real))
    }

    /// What is believed while another length is being written.
    fn plant_lengths(&mut self, before: Option<Belief>, effect: Option<&Effect>) {
        let (Some(steady), Some(before), Some(Effect::Write { record, .. })) = (self.steady, before, effect)
        else {
            return;
        };
        let long = record.length == steady.length();
        if self.mistake == Mistake::LengthensTooEarly && long {
            self.planted.claim = Some(Belief { lasts: steady.belief(), ..before });
        }
        if self.mistake == Mistake::ShortensTooLate && !long && before.lasts == steady.belief() {
            self.planted.claim = Some(before);
        }
    }

    fn plant_before(&mut self, input: Input, now: Stamp) -> (Input, Stamp) {
        let incarnation = self.incarnation();
        let planted = &mut self.planted;
        match (self.mistake, &input) {
            (Mistake::CountsFromTheRead, Input::Written(written)) => {
                planted.unclear = matches!(written, Written::Unclear { .. });
            }
            (Mistake::CountsFromTheRead, Input::Read(Reading::Found { record, .. })) => {
                let ours = record.holder == self.name
                    && record.incarnation == incarnation
                    && record.released.is_none();
                if ours && std::mem::take(&mut planted.unclear) {
                    planted.claim =
                        Some(Belief { token: record.token, since: now, lasts: self.params.belief() });
                }
            }
            (Mistake::DoesNotWaitAtFirstSight, Input::Read(Reading::Found { .. } | Reading::Absent))
                if !std::mem::replace(&mut planted.looked, true) =>
            {
                let long_ago = |time: Duration| time.saturating_sub(self.params.length() * 2);
                return (input, Stamp { awake: long_ago(now.awake), whole: long_ago(now.whole) });
            }
            (Mistake::RemembersPastItsBelief, Input::Written(written)) => {
                if let Some((sent, record)) = planted.bypass.take() {
                    match written {
                        Written::Done { revision } => {
                            let lasts = self.params.belief();
                            planted.claim = Some(Belief { token: record.token, since: sent, lasts });
                            planted.last = Some((*revision, record));
                        }
                        Written::Conflict => planted.last = None,
                        Written::NotDone { .. } | Written::Unclear { .. } => {}
                    }
                    return (Input::Read(Reading::Failed { why: "planted".to_owned() }), now);
                }
                if let (Written::Done { revision }, Some(record)) = (written, planted.sending.take()) {
                    planted.last = Some((*revision, record)).filter(|(_, record)| record.released.is_none());
                }
            }
            _ => {}
        }
        (input, now)
    }

    fn plant_after(&mut self, effect: Effect, believes: bool, now: Stamp) -> Effect {
        match (self.mistake, effect) {
            (Mistake::KeepsTheBeat, Effect::Write { expect, mut record }) => {
                record.beat = 1;
                Effect::Write { expect, record }
            }
            (Mistake::RemembersPastItsBelief, Effect::Write { expect, record }) => {
                self.planted.sending = Some(record.clone());
                Effect::Write { expect, record }
            }
            (Mistake::RemembersPastItsBelief, Effect::Read) if !believes => match &self.planted.last {
                Some((revision, record)) => {
                    let record = Record { beat: record.beat + 1_000, ..record.clone() };
                    self.planted.bypass = Some((now, record.clone()));
                    Effect::Write { expect: Some(*revision), record }
                }
                None => Effect::Read,
            },
            (_, effect) => effect,
        }
    }
}
