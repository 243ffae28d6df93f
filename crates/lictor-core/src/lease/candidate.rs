//! One node's side of the lease.

use std::time::Duration;

use super::{Belief, Effect, Input, Params, Reading, Record, Revision, Stamp, Standing, Written};

/// The longest time after which [`Candidate::wait`] wants to be told the time.
const IDLE: Duration = Duration::from_secs(60);

/// A node that holds the lease, or would. See the [module](super) for the rules.
#[derive(Clone, Debug)]
pub struct Candidate {
    node: String,
    incarnation: String,
    params: Params,
    stage: Stage,
    asked: Option<Asked>,
    /// The highest token in any record seen or written.
    highest: u64,
    /// The beat of the latest write that was ordered.
    sent: u64,
    /// The highest beat of ours that was ever in the record, as far as is known: what is above
    /// it is a late write of ours.
    landed: u64,
    /// The process of this node whose record was there when this one came. It has ended.
    predecessor: Option<String>,
    /// Whether the record was seen at least once, or was seen to be missing.
    looked: bool,
    /// Nothing is asked before so long after then.
    rest: Option<(Stamp, Duration)>,
    /// When a write was last not as expected or unclear.
    stumbled: Option<Stamp>,
    /// Why reads fail, since the last one that did not: as the first one said.
    unread: Option<String>,
    /// Why writes fail, since the last one that did not: as the first one said.
    unwritten: Option<String>,
}

#[derive(Clone, Debug)]
enum Stage {
    /// What the record says is not known; what was known before does not count any more.
    Blind,
    /// Somebody else holds it, or nobody.
    Watching(Sighting),
    /// This node holds it. Without a revision it must be read before it is written.
    Holding { belief: Belief, revision: Option<Revision> },
    /// This node gives it back, if the record has this token of its own.
    Leaving { token: u64, revision: Option<Revision> },
    /// This node takes no part any more.
    Left,
}

/// What was seen, unchanged since.
#[derive(Clone, Debug)]
struct Sighting {
    seen: Seen,
    /// When it was seen first.
    since: Stamp,
    /// When it was seen last.
    looked: Stamp,
    /// For how long it must be seen before the lease may be taken; `None`: for ever.
    wait: Option<Duration>,
    /// A write of ours with this token may have changed it: it must be read before it is
    /// written again.
    doubtful: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Absent,
    Record(Record, Revision),
    Unreadable(String, Revision),
}

#[derive(Clone, Debug)]
enum Asked {
    Read,
    Write { sent: Stamp, token: u64, beat: u64, released: bool },
}

impl Candidate {
    /// A process of a node that knows nothing of the lease yet. `incarnation` is the process's
    /// own: no other of this node, before or after it, has the same.
    pub fn new(node: impl Into<String>, incarnation: impl Into<String>, params: Params) -> Self {
        Self {
            node: node.into(),
            incarnation: incarnation.into(),
            params,
            stage: Stage::Blind,
            asked: None,
            highest: 0,
            sent: 0,
            landed: 0,
            predecessor: None,
            looked: false,
            rest: None,
            stumbled: None,
            unread: None,
            unwritten: None,
        }
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
                if let Some(Asked::Write { sent, token, beat, released }) = self.asked {
                    self.asked = None;
                    match released {
                        true => self.released(&written, now),
                        false => self.written(
                            written,
                            Belief { token, since: sent, lasts: self.params.belief() },
                            beat,
                            now,
                        ),
                    }
                }
            }
            Input::Release => self.leave(),
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
                Seen::Record(record, _) if record.released || self.nobodys(record) => Standing::Free,
                Seen::Record(record, _) => {
                    Standing::Other { holder: &record.holder, changed: sighting.since }
                }
            },
        }
    }

    /// Whether the lease was given back and nothing is left to do.
    pub fn has_left(&self) -> bool {
        matches!(self.stage, Stage::Left)
    }

    /// After what time [`Input::Tick`] is wanted, if nothing else happens before.
    pub fn wait(&self, now: Stamp) -> Duration {
        let mut wait = IDLE;
        if let Stage::Holding { belief, .. } = &self.stage {
            wait = wait.min(belief.left(now));
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
            Stage::Holding { belief, .. } => wait.min(until_renewal(belief.since)),
            Stage::Watching(sighting) => {
                let ripe =
                    sighting.wait.map(|length| length.saturating_sub(now.shortest_since(sighting.since)));
                wait.min(until_renewal(sighting.looked)).min(ripe.unwrap_or(IDLE))
            }
        }
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

    fn read(&mut self, reading: Reading, now: Stamp) {
        let seen = match reading {
            Reading::Found { record, revision } => Seen::Record(record, revision),
            Reading::Absent => Seen::Absent,
            Reading::Unreadable { revision, why } => Seen::Unreadable(why, revision),
            Reading::Failed { why } => {
                self.unread.get_or_insert(why);
                self.rest = Some((now, self.params.pause()));
                return;
            }
        };
        self.unread = None;
        let first = !std::mem::replace(&mut self.looked, true);
        let ours = match &seen {
            Seen::Record(record, revision) if self.is_ours(record) && !record.released => {
                Some((record.token, record.beat, *revision))
            }
            Seen::Record(..) | Seen::Absent | Seen::Unreadable(..) => None,
        };
        match (&mut self.stage, ours) {
            (Stage::Left, _) => {}
            (Stage::Leaving { token: known, revision }, Some((token, _, found))) if token == *known => {
                *revision = Some(found);
            }
            (Stage::Leaving { .. }, _) => self.stage = Stage::Left,
            (Stage::Holding { belief, revision }, Some((token, beat, found))) if token == belief.token => {
                *revision = Some(found);
                self.landed = self.landed.max(beat);
            }
            (Stage::Watching(sighting), _) if sighting.seen == seen => {
                sighting.looked = now;
                sighting.doubtful = None;
            }
            (Stage::Blind | Stage::Watching(_) | Stage::Holding { .. }, _) => self.sight(seen, first, now),
        }
    }

    /// Something is seen that was not seen before: what must be waited for begins now.
    fn sight(&mut self, seen: Seen, first: bool, now: Stamp) {
        let mut wait = Some(self.params.length());
        match &seen {
            Seen::Absent => {}
            // Another program may know what it says; this one never takes it over.
            Seen::Unreadable(..) => wait = None,
            Seen::Record(record, _) => {
                if first && record.holder == self.node && record.incarnation != self.incarnation {
                    self.predecessor = Some(record.incarnation.clone());
                }
                let late = self.is_ours(record) && record.beat > self.landed;
                // A token of the past: the records were put back.
                let present = record.token >= self.highest;
                wait = match present && (record.released || self.is_predecessors(record) || late) {
                    true => Some(Duration::ZERO),
                    false => wait.max(Some(record.length)),
                };
                self.highest = self.highest.max(record.token);
                if self.is_ours(record) {
                    self.landed = self.landed.max(record.beat);
                }
            }
        }
        self.unwritten = None;
        self.stage = Stage::Watching(Sighting { seen, since: now, looked: now, wait, doubtful: None });
    }

    fn written(&mut self, written: Written, belief: Belief, beat: u64, now: Stamp) {
        match written {
            Written::Done { revision } => {
                self.landed = self.landed.max(beat);
                self.highest = self.highest.max(belief.token);
                (self.unwritten, self.stumbled) = (None, None);
                match self.stage {
                    Stage::Left => {}
                    Stage::Leaving { token, .. } => {
                        self.stage = Stage::Leaving { token, revision: Some(revision) };
                    }
                    Stage::Blind | Stage::Watching(_) | Stage::Holding { .. } => {
                        self.stage = match belief.holds(now) {
                            true => Stage::Holding { belief, revision: Some(revision) },
                            false => Stage::Blind,
                        };
                    }
                }
            }
            Written::NotDone { why } => {
                self.unwritten.get_or_insert(why);
                self.rest = Some((now, self.params.pause()));
            }
            Written::Conflict => {
                match &mut self.stage {
                    Stage::Left => {}
                    Stage::Leaving { revision, .. } | Stage::Holding { revision, .. } => *revision = None,
                    // It changed, and that was not seen: what is seen next is new.
                    Stage::Blind | Stage::Watching(_) => self.stage = Stage::Blind,
                }
                self.stumble(now);
            }
            Written::Unclear { why } => {
                self.unwritten.get_or_insert(why);
                match &mut self.stage {
                    Stage::Left | Stage::Blind => {}
                    Stage::Leaving { revision, .. } | Stage::Holding { revision, .. } => *revision = None,
                    Stage::Watching(sighting) => sighting.doubtful = Some(belief.token),
                }
                self.stumble(now);
            }
        }
    }

    /// What became of giving it back. If it failed, nothing is lost: the others wait.
    fn released(&mut self, written: &Written, now: Stamp) {
        match written {
            Written::NotDone { .. } => self.rest = Some((now, self.params.pause())),
            Written::Done { .. } | Written::Conflict | Written::Unclear { .. } => self.stage = Stage::Left,
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
    fn leave(&mut self) {
        let writing = match self.asked {
            Some(Asked::Write { token, .. }) => Some(token),
            Some(Asked::Read) | None => None,
        };
        self.stage = match &self.stage {
            Stage::Left => Stage::Left,
            Stage::Leaving { token, revision } => Stage::Leaving { token: *token, revision: *revision },
            Stage::Holding { belief, revision } => {
                Stage::Leaving { token: belief.token, revision: *revision }
            }
            Stage::Watching(Sighting { doubtful, .. }) => match writing.or(*doubtful) {
                Some(token) => Stage::Leaving { token, revision: None },
                None => Stage::Left,
            },
            Stage::Blind => match writing {
                Some(token) => Stage::Leaving { token, revision: None },
                None => Stage::Left,
            },
        };
    }

    fn next(&mut self, now: Stamp) -> Option<Effect> {
        if !self.resting(now).is_zero() {
            return None;
        }
        self.rest = None;
        let due = |since| now.longest_since(since) >= self.params.renew();
        match &self.stage {
            Stage::Left => None,
            Stage::Blind | Stage::Leaving { revision: None, .. } | Stage::Holding { revision: None, .. } => {
                Some(self.look())
            }
            Stage::Leaving { token, revision: Some(revision) } => {
                let (revision, token) = (*revision, *token);
                Some(self.write(Some(revision), token, true, now))
            }
            Stage::Holding { belief, revision: Some(revision) } => {
                let (revision, token) = (*revision, belief.token);
                due(belief.since).then(|| self.write(Some(revision), token, false, now))
            }
            Stage::Watching(sighting) => {
                let waited = now.shortest_since(sighting.since);
                if sighting.doubtful.is_none() && sighting.wait.is_some_and(|length| waited >= length) {
                    let expect = match &sighting.seen {
                        Seen::Absent => None,
                        Seen::Record(_, revision) | Seen::Unreadable(_, revision) => Some(*revision),
                    };
                    let token = self.highest.saturating_add(1);
                    return Some(self.write(expect, token, false, now));
                }
                (sighting.doubtful.is_some() || due(sighting.looked)).then(|| self.look())
            }
        }
    }

    fn look(&mut self) -> Effect {
        self.asked = Some(Asked::Read);
        Effect::Read
    }

    fn write(&mut self, expect: Option<Revision>, token: u64, released: bool, now: Stamp) -> Effect {
        self.sent += 1;
        self.asked = Some(Asked::Write { sent: now, token, beat: self.sent, released });
        let record = Record {
            holder: self.node.clone(),
            incarnation: self.incarnation.clone(),
            token,
            beat: self.sent,
            length: self.params.length(),
            released,
        };
        Effect::Write { expect, record }
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
