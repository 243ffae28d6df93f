//! What a candidate makes of what was read and written.

use super::super::claim::{Claim, Seen, Sighting, released};
use super::super::{Belief, Reading, Record, Revision, Stamp, Written};
use super::{Candidate, Stage};

impl Candidate {
    pub(super) fn read(&mut self, reading: Reading, now: Stamp) {
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
            Seen::Record(record, revision) if self.is_ours(record) && record.released.is_none() => {
                Some((record.token, record.beat, *revision))
            }
            Seen::Record(..) | Seen::Absent | Seen::Unreadable(..) => None,
        };
        match (&mut self.stage, ours) {
            (Stage::Left, _) => {}
            (Stage::Leaving { token: known, revision, .. }, Some((token, _, found))) if token == *known => {
                *revision = Some(found);
            }
            (Stage::Leaving { stay: false, .. }, _) => self.stage = Stage::Left,
            (Stage::Holding { belief, revision, .. }, Some((token, beat, found)))
                if token == belief.token =>
            {
                *revision = Some(found);
                self.landed = self.landed.max(beat);
            }
            (Stage::Watching(sighting), _) if sighting.seen == seen => {
                (sighting.looked, sighting.look) = (now, self.looks);
                sighting.doubtful = None;
            }
            (Stage::Blind | Stage::Watching(_) | Stage::Holding { .. } | Stage::Leaving { .. }, _) => {
                self.sight(seen, first, now);
            }
        }
    }

    /// Something is seen that was not seen before: what must be waited for begins now.
    fn sight(&mut self, seen: Seen, first: bool, now: Stamp) {
        let claim = match &seen {
            Seen::Absent if self.among.is_none() => Claim::Expired(self.params.length()),
            // Only a person makes it. Another program may know what the other says; this one never takes it
            // over.
            Seen::Absent | Seen::Unreadable(..) => Claim::Never,
            Seen::Record(record, _) => {
                if first && record.holder == self.node && record.incarnation != self.incarnation {
                    self.predecessor = Some(record.incarnation.clone());
                }
                let claim = self.claim(record);
                if let Claim::Ours { goes_on: Some(_) } = claim {
                    self.inherited = Some(record.token);
                }
                self.highest = self.highest.max(record.token);
                if self.is_ours(record) {
                    self.landed = self.landed.max(record.beat);
                }
                claim
            }
        };
        self.unwritten = None;
        let (since, look) = (now, self.looks);
        self.stage = Stage::Watching(Sighting { seen, since, looked: now, look, claim, doubtful: None });
    }

    /// On what grounds a record that was not seen before may be replaced.
    fn claim(&self, record: &Record) -> Claim {
        // Where the nodes are named, what the record says counts and nothing else.
        let length = match self.among {
            Some(_) => record.length,
            None => record.length.max(self.params.length()),
        };
        let listed = record.roll.as_ref().is_some_and(|roll| roll.nodes.contains(&self.node));
        let open = self.among.is_none() && record.roll.is_none();
        let late = self.is_ours(record) && record.beat > self.landed;
        match &record.released {
            _ if !listed && !open => Claim::Never,
            // A token of the past: the records were put back.
            _ if record.token < self.highest => Claim::Expired(length),
            Some(next) => released(next, &self.node, length),
            None if self.is_predecessors(record) => {
                let boot = self.among.as_ref().map(|among| &among.boot);
                let same = boot.is_some() && boot == record.roll.as_ref().map(|roll| &roll.boot);
                Claim::Ours { goes_on: same.then_some(record.length) }
            }
            // A write of ours that goes on with what an earlier process left.
            None if late && self.inherited == Some(record.token) => {
                Claim::Ours { goes_on: Some(record.length) }
            }
            None if late => Claim::Ours { goes_on: None },
            None => Claim::Expired(length),
        }
    }

    /// This node holds the lease for as long as this says, or for as long as it knew before.
    pub(super) fn believe(&mut self, proven: Belief, now: Stamp) {
        if let Stage::Holding { belief, .. } = &mut self.stage
            && belief.token == proven.token
            && belief.holds(now)
        {
            // A record that says that less must be waited for may be there already.
            let proven = Belief { lasts: proven.lasts.min(belief.lasts), ..proven };
            if proven.left(now) > belief.left(now) {
                *belief = proven;
            }
        }
    }

    pub(super) fn written(&mut self, written: Written, sent: Stamp, record: Record, now: Stamp) {
        match written {
            Written::Done { revision } => self.done(revision, sent, record, now),
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
                    Stage::Watching(sighting) => sighting.doubtful = Some(record.token),
                }
                self.stumble(now);
            }
        }
    }

    /// The lease is taken or renewed.
    fn done(&mut self, revision: Revision, sent: Stamp, record: Record, now: Stamp) {
        self.landed = self.landed.max(record.beat);
        self.highest = self.highest.max(record.token);
        (self.unwritten, self.stumbled, self.inherited) = (None, None, None);
        let lasts = match &self.among {
            Some(among) if record.length == among.steady.length() => among.steady.belief(),
            Some(_) | None => self.params.belief(),
        };
        let proven = Belief { token: record.token, since: sent, lasts };
        // What was sent before can land no more.
        self.voices.in_force = record.roll.map(|roll| roll.nodes).unwrap_or_default();
        let belief = match &mut self.stage {
            Stage::Left => return,
            Stage::Leaving { revision: known, .. } => {
                *known = Some(revision);
                return;
            }
            Stage::Holding { belief, .. } if belief.token == proven.token => {
                // One that was promised meanwhile may hold for longer.
                if proven.left(now) > belief.left(now) { proven } else { *belief }
            }
            Stage::Blind | Stage::Watching(_) | Stage::Holding { .. } => {
                self.voices.begin(now);
                proven
            }
        };
        self.stage = match belief.holds(now) {
            true => Stage::Holding { belief, revision: Some(revision), renewed: sent },
            false => Stage::Blind,
        };
    }

    /// What became of giving it back. If it failed, nothing is lost: the others wait.
    pub(super) fn given_back(&mut self, written: &Written, record: Record, now: Stamp) {
        let stay = matches!(self.stage, Stage::Leaving { stay: true, .. });
        match (written, &mut self.stage) {
            (Written::NotDone { .. }, _) => self.rest = Some((now, self.params.pause())),
            (Written::Done { revision }, _) if stay => {
                self.landed = self.landed.max(record.beat);
                self.sight(Seen::Record(record, *revision), false, now);
            }
            // Who stays sees to it that it is done.
            (Written::Conflict | Written::Unclear { .. }, Stage::Leaving { revision, stay: true, .. }) => {
                *revision = None;
                self.stumble(now);
            }
            (Written::Done { .. } | Written::Conflict | Written::Unclear { .. }, _) => {
                self.stage = Stage::Left;
            }
        }
    }
}
