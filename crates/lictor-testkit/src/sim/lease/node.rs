//! A node: its clocks, its process, and a copy of what drives the candidate.

use std::time::Duration;

use lictor_core::lease::{Candidate, Effect, Input, Params, Reading, Record, Revision, Stamp, Written};

use super::Mistake;
use super::eyes::{Basis, Eyes};
use super::register::State;
use super::script::Micros;

/// Where all clocks begin: some time after their origin.
const ORIGIN: u64 = 100_000_000_000;

/// Two clocks that run at rates of their own; one stands while the machine sleeps.
#[derive(Debug)]
pub(super) struct Clock {
    ppm: [i64; 2],
    /// By how many hundredths a sleep is longer on the clock that counts it.
    oversleeps: u64,
    slept: Micros,
    asleep: Option<Micros>,
}

impl Clock {
    pub(super) fn read(&self, now: Micros) -> Stamp {
        let slept = self.slept + self.asleep.map_or(0, |since| now - since);
        let shown = |passed: Micros, ppm: i64| {
            let passed = i128::from(passed) * i128::from(1_000_000 + ppm) / 1_000_000;
            Duration::from_micros(ORIGIN + u64::try_from(passed).unwrap_or_default())
        };
        let [awake, whole] = self.ppm;
        let whole = shown(now + slept * self.oversleeps / 100, whole);
        Stamp { awake: shown(now - slept, awake), whole }
    }

    /// How long the faster clock takes for a time, a little more.
    pub(super) fn lasts(&self, time: Duration) -> Micros {
        let rate = 1_000_000 + self.ppm.into_iter().max().unwrap_or_default();
        let micros = i128::try_from(time.as_micros()).unwrap_or(i128::MAX / 1_000_000) * 1_000_000;
        u64::try_from(micros / i128::from(rate)).unwrap_or(u64::MAX) + 1
    }

    pub(super) fn fall_asleep(&mut self, now: Micros) {
        self.asleep.get_or_insert(now);
    }

    pub(super) fn wake_up(&mut self, now: Micros) {
        if let Some(since) = self.asleep.take() {
            self.slept += now - since;
        }
    }
}

/// A belief as it is acted on: a token, and since when.
pub(super) type Claim = (u64, Stamp);

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) clock: Clock,
    pub(super) params: Params,
    mistake: Mistake,
    /// The process that runs, if one does.
    candidate: Option<Candidate>,
    /// Each process is another life.
    pub(super) life: u64,
    /// What it last acted on; things may still be going on from then.
    pub(super) danger: Option<Claim>,
    /// What it was told last that it may act on.
    pub(super) told: Option<Claim>,
    /// The token of a lease that it took from what a restore had put back.
    pub(super) restored: Option<u64>,
    eyes: Eyes,
    planted: Planted,
}

/// What a mistake remembers.
#[derive(Debug, Default)]
struct Planted {
    claim: Option<Claim>,
    unclear: bool,
    looked: bool,
    sending: Option<Record>,
    last: Option<(Revision, Record)>,
    bypass: Option<(Stamp, Record)>,
}

impl Node {
    pub(super) fn new(number: usize, ppm: [i64; 2], params: Params, mistake: Mistake) -> Self {
        let ppm = if mistake == Mistake::DriftsTooMuch { ppm.map(|one| one * 3) } else { ppm };
        Self {
            name: format!("n{number}"),
            clock: Clock {
                ppm,
                oversleeps: if number.is_multiple_of(2) { 20 } else { 0 },
                slept: 0,
                asleep: None,
            },
            params,
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
        self.candidate = Some(Candidate::new(self.name.clone(), self.incarnation(), self.params));
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
    pub(super) fn claim(&self, now: Micros) -> Option<Claim> {
        let stamp = self.clock.read(now);
        let belief = self.candidate.as_ref()?.belief(stamp).map(|belief| (belief.token, belief.since));
        let planted =
            self.planted.claim.filter(|(_, since)| stamp.longest_since(*since) < self.params.belief());
        match (belief, planted) {
            (Some(belief), Some(planted)) if planted.1.whole > belief.1.whole => Some(planted),
            (Some(belief), _) => Some(belief),
            (None, planted) => planted,
        }
    }

    /// Whether something that it began under a lease may still be going on.
    pub(super) fn is_dangerous(&self, now: Micros) -> bool {
        let margin = match self.mistake {
            Mistake::StopsTooSlowly => self.params.margin() * 3 / 2,
            _ => self.params.margin(),
        };
        let stamp = self.clock.read(now);
        let acts =
            self.danger.is_some_and(|(_, since)| stamp.longest_since(since) < self.params.belief() + margin);
        acts || (self.mistake == Mistake::ActsUntilItNotices && self.told.is_some())
    }

    /// Whether it acts, or acted last, under a lease that no wait since a restore proves.
    pub(super) fn rests_on_a_restore(&self) -> bool {
        self.restored.is_some() && self.restored == self.danger.map(|(token, _)| token)
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
        let effect = candidate.step(input, stamp);
        let belief = candidate.belief(real);
        if self.mistake == Mistake::CountsFromTheAnswer
            && done
            && let Some(belief) = belief
        {
            self.planted.claim = Some((belief.token, real));
        }
        effect.map(|effect| self.plant_after(effect, belief.is_some(), real))
    }

    fn plant_before(&mut self, input: Input, now: Stamp) -> (Input, Stamp) {
        let incarnation = self.incarnation();
        let planted = &mut self.planted;
        match (self.mistake, &input) {
            (Mistake::CountsFromTheRead, Input::Written(written)) => {
                planted.unclear = matches!(written, Written::Unclear { .. });
            }
            (Mistake::CountsFromTheRead, Input::Read(Reading::Found { record, .. })) => {
                let ours =
                    record.holder == self.name && record.incarnation == incarnation && !record.released;
                if ours && std::mem::take(&mut planted.unclear) {
                    planted.claim = Some((record.token, now));
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
                            planted.claim = Some((record.token, sent));
                            planted.last = Some((*revision, record));
                        }
                        Written::Conflict => planted.last = None,
                        Written::NotDone { .. } | Written::Unclear { .. } => {}
                    }
                    return (Input::Read(Reading::Failed { why: "planted".to_owned() }), now);
                }
                if let (Written::Done { revision }, Some(record)) = (written, planted.sending.take()) {
                    planted.last = Some((*revision, record)).filter(|(_, record)| !record.released);
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
