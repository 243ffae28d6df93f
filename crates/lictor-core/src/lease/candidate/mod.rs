//! One node's side of the lease.

mod answers;

use std::collections::BTreeSet;
use std::time::Duration;

use super::claim::{Claim, Seen, Sighting};
use super::promise::{Given, Voices};
use super::{
    Among, Belief, Effect, Input, Next, Params, Question, Record, Revision, Roll, Stamp, Standing, Wish,
};

/// The longest time after which [`Candidate::wait`] wants to be told the time.
const IDLE: Duration = Duration::from_secs(60);

/// A node that holds the lease, or would. See the [module](super) for the rules.
#[derive(Clone, Debug)]
pub struct Candidate {
    node: String,
    incarnation: String,
    params: Params,
    among: Option<Among>,
    wish: Wish,
    stage: Stage,
    asked: Option<Asked>,
    /// The highest token in any record seen or written.
    highest: u64,
    /// The beat of the latest write that was ordered.
    sent: u64,
    /// The highest beat of ours that was ever in the record, as far as is known: what is above
    /// it is a late write of ours.
    landed: u64,
    /// The token of an earlier process with whose work this one goes on, until it has renewed the lease.
    inherited: Option<u64>,
    /// The process of this node whose record was there when this one came. It has ended.
    predecessor: Option<String>,
    /// Whether the record was seen at least once, or was seen to be missing.
    looked: bool,
    /// How many looks were asked for.
    looks: u64,
    /// Nothing is asked before so long after then.
    rest: Option<(Stamp, Duration)>,
    /// When a write was last not as expected or unclear.
    stumbled: Option<Stamp>,
    /// Why reads fail, since the last one that did not: as the first one said.
    unread: Option<String>,
    /// Why writes fail, since the last one that did not: as the first one said.
    unwritten: Option<String>,
    /// The record has changed, as somebody says.
    hint: bool,
    /// What was promised to a holder.
    given: Option<Given>,
    voices: Voices,
}

#[derive(Clone, Debug)]
enum Stage {
    /// What the record says is not known; what was known before does not count any more.
    Blind,
    /// Somebody else holds it, or nobody.
    Watching(Sighting),
    /// This node holds it. Without a revision it must be read before it is written.
    /// It was last renewed by a write that was sent then.
    Holding { belief: Belief, revision: Option<Revision>, renewed: Stamp },
    /// This node gives it back, if the record has this token of its own.
    Leaving { token: u64, revision: Option<Revision>, next: Next, stay: bool },
    /// This node takes no part any more.
    Left,
}

#[derive(Clone, Debug)]
enum Asked {
    Read,
    Write { sent: Stamp, record: Record, kind: Kind },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Taking,
    Renewal,
    Release,
}

impl Candidate {
    /// A process of a node that knows nothing of the lease yet. `incarnation` is the process's
    /// own: no other of this node, before or after it, has the same.
    pub fn new(node: impl Into<String>, incarnation: impl Into<String>, params: Params) -> Self {
        Self {
            node: node.into(),
            incarnation: incarnation.into(),
            params,
            among: None,
            wish: Wish::Expired { after: Duration::ZERO },
            stage: Stage::Blind,
            asked: None,
            highest: 0,
            sent: 0,
            landed: 0,
            inherited: None,
            predecessor: None,
            looked: false,
            looks: 0,
            rest: None,
            stumbled: None,
            unread: None,
            unwritten: None,
            hint: false,
            given: None,
            voices: Voices::default(),
        }
    }

    /// The same for a lease that passes between named nodes only, whose record must be there already.
    #[must_use]
    pub fn among(self, among: Among, wish: Wish) -> Self {
        Self { among: Some(among), wish, ..self }
    }

    /// Takes in what happened, and says what to do. An answer that nobody waits for is passed
    /// over.
    pub fn step(&mut self, input: Input, now: Stamp) -> Option<Effect> {
        self.lapse(now);
        match input {
            Input::Tick => {}
            Input::Read(reading) => {
                if let Some(Asked::Read) = self.asked {
                    self.asked = None;
                    self.read(reading, now);
                }
            }
            Input::Written(written) => {
                if let Some(Asked::Write { sent, record, kind }) = self.asked.take_if(|one| one.is_write()) {
                    match kind {
                        Kind::Release => self.given_back(&written, record, now),
                        Kind::Taking | Kind::Renewal => self.written(written, sent, record, now),
                    }
                }
            }
            Input::Release { next, stay } => self.leave(next, stay),
            Input::Wish(wish) => self.wish = wish,
            Input::Hint => self.hint = true,
            Input::Answered(answer) => {
                if let Some(belief) = self.voices.answered(&answer, &self.node, now) {
                    self.believe(belief, now);
                }
            }
        }
        if self.asked.is_none() { self.next(now) } else { None }
    }

    /// This node's belief that it holds the lease, if it has one now.
    pub fn belief(&self, now: Stamp) -> Option<Belief> {
        match &self.stage {
            Stage::Holding { belief, .. } if belief.holds(now) => Some(*belief),
            Stage::Holding { .. }
            | Stage::Blind
            | Stage::Watching(_)
            | Stage::Leaving { .. }
            | Stage::Left => None,
        }
    }

    /// How the lease stands.
    pub fn standing(&self, now: Stamp) -> Standing<'_> {
        if let Some(belief) = self.belief(now) {
            return Standing::Held(belief);
        }
        let unknown = self.unread.as_deref().or(self.unwritten.as_deref());
        match (&self.stage, unknown) {
            (Stage::Leaving { .. } | Stage::Left, _) => {
                Standing::Unknown { why: "this node has given it back" }
            }
            (_, Some(why)) => Standing::Unknown { why },
            (Stage::Blind | Stage::Holding { .. }, None) => {
                Standing::Unknown { why: "the record was not read yet" }
            }
            (Stage::Watching(sighting), None) => match &sighting.seen {
                Seen::Unreadable(why, _) => Standing::Unknown { why },
                Seen::Absent => Standing::Free,
                Seen::Record(record, _) if record.released.is_some() || self.nobodys(record) => {
                    Standing::Free
                }
                Seen::Record(record, _) => {
                    Standing::Other { holder: &record.holder, changed: sighting.since }
                }
            },
        }
    }

    /// These are the nodes from now on, once the holder has written so.
    pub fn enroll(&mut self, nodes: BTreeSet<String>) {
        if let Some(among) = &mut self.among {
            among.nodes = nodes;
        }
    }

    /// Whom to ask now to wait, while the record cannot be written: the answers come back as
    /// [`Input::Answered`], from those that [promise](Self::promise) it or refuse to. To be asked after each
    /// step.
    pub fn question(&mut self, now: Stamp) -> Option<Question> {
        let (among, belief) = (self.among.as_ref()?, self.belief(now)?);
        if self.lets_go() {
            return None;
        }
        if self.voices.is_alone(&self.node) {
            self.believe(Belief { since: now, ..belief }, now);
            return None;
        }
        // Who promises waits out what is believed.
        let length = match belief.lasts > self.params.belief() {
            true => among.steady.length(),
            false => self.params.length(),
        };
        let due = self.until_question(belief, now).is_some_and(|wait| wait.is_zero());
        due.then(|| self.voices.ask(&self.node, belief, length, now))
    }

    /// After what time the others are to be asked; `None`: never.
    fn until_question(&self, belief: Belief, now: Stamp) -> Option<Duration> {
        self.among.as_ref().filter(|_| !self.lets_go())?;
        let last = if self.voices.is_alone(&self.node) { Some(belief.since) } else { self.voices.asked() };
        Some(last.map_or(Duration::ZERO, |last| self.params.renew().saturating_sub(now.longest_since(last))))
    }

    /// A holder asks this node to wait for `length` from now, as if it had seen the record change: whether
    /// it will. It does not if it knows better. One that is just taking the lease may say so all
    /// the same: it has waited, so that whoever can go on because of this believes nothing any more.
    pub fn promise(&mut self, token: u64, length: Duration, now: Stamp) -> bool {
        self.lapse(now);
        if token < self.highest || matches!(self.stage, Stage::Holding { .. }) {
            return false;
        }
        if let Stage::Watching(Sighting { seen: Seen::Record(record, _), .. }) = &self.stage
            && record.released.is_some()
            && record.token >= token
        {
            return false;
        }
        self.highest = token;
        let given = Given { at: now, token, length };
        self.given = match self.given {
            Some(before) if before.left(now) > length => Some(Given { token, ..before }),
            Some(_) | None => Some(given),
        };
        true
    }

    /// The record as it was last seen, if another node holds the lease or nobody does.
    pub const fn seen(&self) -> Option<&Record> {
        match &self.stage {
            Stage::Watching(Sighting { seen: Seen::Record(record, _), .. }) => Some(record),
            Stage::Blind
            | Stage::Watching(_)
            | Stage::Holding { .. }
            | Stage::Leaving { .. }
            | Stage::Left => None,
        }
    }

    /// How many looks at the record were asked for so far, for [`Self::seen_after`]; another one follows soon.
    pub const fn looks_anew(&mut self) -> u64 {
        self.hint = true;
        self.looks
    }

    /// The same as [`Self::seen`], if a look saw it that was asked for later than so many.
    pub fn seen_after(&self, looks: u64) -> Option<&Record> {
        match &self.stage {
            Stage::Watching(sighting) if sighting.look > looks => self.seen(),
            _ => None,
        }
    }

    /// Whether this node is configured to pass the lease to that one.
    pub fn lists(&self, node: &str) -> bool {
        self.among.as_ref().is_none_or(|among| among.nodes.contains(node))
    }

    /// Whether the lease was given back and nothing is left to do.
    pub fn has_left(&self) -> bool {
        matches!(self.stage, Stage::Left)
    }

    /// After what time [`Input::Tick`] is wanted, if nothing else happens before.
    pub fn wait(&self, now: Stamp) -> Duration {
        let mut wait = IDLE;
        if let Stage::Holding { belief, .. } = &self.stage {
            wait = wait.min(belief.left(now)).min(self.until_question(*belief, now).unwrap_or(IDLE));
        }
        if self.asked.is_some() {
            return wait;
        }
        let rest = self.resting(now);
        if !rest.is_zero() {
            return wait.min(rest);
        }
        let until_renewal = |since| self.params.renew().saturating_sub(now.longest_since(since));
        match &self.stage {
            Stage::Blind | Stage::Leaving { .. } => Duration::ZERO,
            Stage::Left => wait,
            Stage::Holding { .. } if self.lets_go() => wait,
            Stage::Holding { renewed, .. } => wait.min(until_renewal(*renewed)),
            Stage::Watching(sighting) => {
                let ripe = self.ripe(sighting, now).unwrap_or(IDLE);
                wait.min(until_renewal(sighting.looked)).min(ripe)
            }
        }
    }

    /// How much longer what was seen must stay as it is before it is taken; `None`: for ever.
    fn ripe(&self, sighting: &Sighting, now: Stamp) -> Option<Duration> {
        let wait = sighting.claim.wait(self.wish)?.saturating_sub(now.shortest_since(sighting.since));
        // What was given back after a promise is bound by it no more.
        let freed = match &sighting.seen {
            Seen::Record(record, _) => record.released.as_ref().map(|_| record.token),
            Seen::Absent | Seen::Unreadable(..) => None,
        };
        let given = self.given.filter(|given| freed.is_none_or(|token| token < given.token));
        Some(wait.max(given.map_or(Duration::ZERO, |given| given.left(now))))
    }

    /// A holder past its belief forgets what it wrote, and what the record was then: if the
    /// records were put back meanwhile, that would be there again and prove nothing.
    fn lapse(&mut self, now: Stamp) {
        if let Stage::Holding { belief, .. } = &self.stage
            && !belief.holds(now)
        {
            self.stage = Stage::Blind;
        }
    }

    /// The next look is at once, unless that was so a moment ago.
    fn stumble(&mut self, now: Stamp) {
        let pace = self.params.pause();
        if self.stumbled.is_some_and(|then| now.longest_since(then) < pace) {
            self.rest = Some((now, pace));
        }
        self.stumbled = Some(now);
    }

    /// Only what this node holds, or may have just taken, is given back. A record that merely
    /// names it proves nothing if the records were put back.
    fn leave(&mut self, next: Next, stay: bool) {
        let writing = match &self.asked {
            Some(Asked::Write { record, .. }) => Some(record.token),
            Some(Asked::Read) | None => None,
        };
        let (token, revision) = match &self.stage {
            Stage::Left => return,
            Stage::Leaving { token, revision, .. } => (Some(*token), *revision),
            Stage::Holding { belief, revision, .. } => (Some(belief.token), *revision),
            Stage::Watching(Sighting { doubtful, .. }) => (writing.or(*doubtful), None),
            Stage::Blind => (writing, None),
        };
        match token {
            Some(token) => self.stage = Stage::Leaving { token, revision, next, stay },
            None if stay => {}
            None => self.stage = Stage::Left,
        }
    }

    fn next(&mut self, now: Stamp) -> Option<Effect> {
        if !self.resting(now).is_zero() {
            return None;
        }
        self.rest = None;
        let due = |since| now.longest_since(since) >= self.params.renew();
        match &self.stage {
            Stage::Left => None,
            Stage::Holding { .. } if self.lets_go() => None,
            Stage::Blind | Stage::Leaving { revision: None, .. } | Stage::Holding { revision: None, .. } => {
                Some(self.look())
            }
            Stage::Leaving { token, revision: Some(revision), next, .. } => {
                let (revision, token, next) = (*revision, *token, next.clone());
                Some(self.write(Some(revision), token, Some(next), (Kind::Release, Duration::ZERO), now))
            }
            Stage::Holding { belief, revision: Some(revision), renewed } => {
                let (revision, token) = (*revision, belief.token);
                let kind = (Kind::Renewal, Duration::ZERO);
                due(*renewed).then(|| self.write(Some(revision), token, None, kind, now))
            }
            Stage::Watching(sighting) => {
                let ripe = self.ripe(sighting, now).is_some_and(|left| left.is_zero());
                if ripe && sighting.doubtful.is_none() {
                    let goes_on = match sighting.claim {
                        Claim::Ours { goes_on } => goes_on,
                        Claim::Never | Claim::Closed | Claim::Free | Claim::Expired(_) => None,
                    };
                    let expect = sighting.seen.revision();
                    let token = self.highest + u64::from(goes_on.is_none());
                    let least = goes_on.unwrap_or_default();
                    return Some(self.write(expect, token, None, (Kind::Taking, least), now));
                }
                let look = sighting.doubtful.is_some() || self.hint || due(sighting.looked);
                look.then(|| self.look())
            }
        }
    }

    fn look(&mut self) -> Effect {
        self.hint = false;
        self.looks += 1;
        self.asked = Some(Asked::Read);
        Effect::Read
    }

    /// `least`: others wait for no less.
    fn write(
        &mut self,
        expect: Option<Revision>,
        token: u64,
        released: Option<Next>,
        (kind, least): (Kind, Duration),
        now: Stamp,
    ) -> Effect {
        self.sent += 1;
        let times = if kind == Kind::Taking { self.params } else { self.times(now) };
        let roll =
            self.among.as_ref().map(|among| Roll { nodes: among.nodes.clone(), boot: among.boot.clone() });
        if let Some(roll) = &roll {
            self.voices.in_force.extend(roll.nodes.iter().cloned());
        }
        // Who sees the record waits for no longer than it says.
        if let Stage::Holding { belief, .. } = &mut self.stage {
            belief.lasts = belief.lasts.min(times.belief());
        }
        let record = Record {
            holder: self.node.clone(),
            incarnation: self.incarnation.clone(),
            token,
            beat: self.sent,
            length: times.length().max(least),
            released,
            roll,
        };
        self.asked = Some(Asked::Write { sent: now, record: record.clone(), kind });
        Effect::Write { expect, record }
    }

    /// The times as this node would write them now.
    fn times(&self, now: Stamp) -> Params {
        let Some(among) = &self.among else { return self.params };
        // What was proven long ago is not enough to wait for less.
        let old = match &self.stage {
            Stage::Holding { belief, .. } if belief.lasts > self.params.belief() => {
                now.longest_since(belief.since) + self.params.renew() > self.params.belief()
            }
            _ => false,
        };
        if old || self.voices.is_one_silent(&self.node, now) { among.steady } else { self.params }
    }

    /// What is held runs out.
    fn lets_go(&self) -> bool {
        self.wish == Wish::Lapse
    }

    fn resting(&self, now: Stamp) -> Duration {
        self.rest.map_or(Duration::ZERO, |(since, lasts)| lasts.saturating_sub(now.longest_since(since)))
    }

    fn is_ours(&self, record: &Record) -> bool {
        record.holder == self.node && record.incarnation == self.incarnation
    }

    fn is_predecessors(&self, record: &Record) -> bool {
        record.holder == self.node && self.predecessor.as_ref() == Some(&record.incarnation)
    }

    /// Whether the process that the record names certainly acts no more.
    fn nobodys(&self, record: &Record) -> bool {
        self.is_ours(record) || self.is_predecessors(record)
    }
}

impl Asked {
    const fn is_write(&self) -> bool {
        matches!(self, Self::Write { .. })
    }
}
