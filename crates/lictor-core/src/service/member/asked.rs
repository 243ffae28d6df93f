//! What a node makes of what people have asked for.

use std::time::Duration;

use super::super::operation::{Operation, Phase, What};
use super::{Local, Member, Seen, left};
use crate::lease::{Next, Record, Stamp, Standing, Wish};

impl Member {
    /// Whether a holder has to give the lease back, and for whom.
    pub(super) fn to_leave(&self, now: Stamp) -> Option<Next> {
        let exhausted = self.resting(now).is_some();
        if let Some(Seen { operation, .. }) = self.open() {
            let ours = operation.to() == Some(&self.node);
            match (&operation.what, &operation.phase) {
                (What::Stop, Phase::Stopping { .. }) => return Some(Next::Nobody),
                (What::Switchover { to }, Phase::Stopping { .. }) if !ours => {
                    return Some(Next::Node(to.clone()));
                }
                _ if ours && exhausted => match &operation.from {
                    Some(from) if *from != self.node => return Some(Next::Node(from.clone())),
                    None if !self.part.automatic => return Some(Next::Nobody),
                    Some(_) | None => {}
                },
                _ => {}
            }
        }
        if exhausted && self.part.automatic {
            return Some(Next::Anyone);
        }
        // What is stopped with the machine is free for others; who only comes back goes on.
        let ends = self.quitting && self.order.is_none() && self.local == Local::Stopped;
        ends.then(|| match self.part.automatic {
            true => Next::Anyone,
            false => Next::Node(self.node.clone()),
        })
    }

    pub(super) fn is_to_stop(&self) -> bool {
        self.open().is_some_and(|seen| seen.operation.what == What::Stop)
    }

    /// What this node has to say of the operation.
    pub(super) fn next_phase(&self, now: Stamp) -> Option<Operation> {
        let Seen { operation, since, looks, .. } = self.open()?;
        let held = self.belief(now);
        let runs = matches!((self.local, held), (Local::Running { token }, Some(belief)) if token == Some(belief.token));
        let ours = operation.to() == Some(&self.node);
        let late = left(*since, operation.deadline, now).is_zero();
        if ours && runs {
            return Some(operation.now(Phase::Done));
        }
        if ours && self.resting(now).is_some() {
            return Some(operation.failed(format!("it does not start on {}: {}", self.node, self.failed)));
        }
        if operation.is_harmless() && late {
            let why = match (&operation.what, &operation.phase) {
                (What::Stop, _) => "no node that runs it has answered".to_owned(),
                (_, Phase::Asked) => format!("{} has not answered", operation.to().unwrap_or_default()),
                (What::Take { .. }, _) => "another node holds it".to_owned(),
                _ => "the node that runs it has not answered".to_owned(),
            };
            return Some(operation.failed(why));
        }
        if late && !ours && held.is_none() && self.is_abandoned(now) {
            return Some(operation.failed("the nodes that were to do it do not answer any more"));
        }
        match (&operation.what, &operation.phase) {
            (What::Switchover { .. } | What::Take { .. }, Phase::Asked) if ours && !self.quitting => {
                match self.able.as_ref()? {
                    Ok(()) => Some(operation.now(Phase::Ready)),
                    Err(why) => Some(operation.failed(format!("{} cannot run it: {why}", self.node))),
                }
            }
            (What::Switchover { to }, Phase::Ready) if !ours => {
                let token = held?.token;
                if !self.candidate.lists(to) {
                    let why = format!("{to} is not among the nodes that {} knows of", self.node);
                    return Some(operation.failed(why));
                }
                Some(operation.stopping(&self.node, token))
            }
            (What::Stop, Phase::Asked) => match held {
                Some(belief) => Some(operation.stopping(&self.node, belief.token)),
                // Somebody may have started it between what was seen before and this.
                None => {
                    let stopped = |record: &Record| record.released == Some(Next::Nobody);
                    let now = self.candidate.seen_after(*looks).is_some_and(stopped);
                    now.then(|| operation.now(Phase::Done))
                }
            },
            (What::Take { .. }, Phase::Ready) if ours && held.is_some() => Some(operation.now(Phase::Handed)),
            // It was stopped and given back, and nobody else says so.
            (What::Switchover { to }, Phase::Stopping { token }) => {
                self.is_given(&Next::Node(to.clone()), *token).then(|| operation.now(Phase::Handed))
            }
            (What::Stop, Phase::Stopping { token }) => {
                self.is_given(&Next::Nobody, *token).then(|| operation.now(Phase::Done))
            }
            // Nobody has asked for that, but so it is.
            (_, Phase::Handed) if runs => Some(operation.failed(format!("it runs on {}", self.node))),
            _ => None,
        }
    }

    /// Whether another node has the lease and was not seen to renew it for twice its length: it is gone, and
    /// whoever might have taken it as well.
    fn is_abandoned(&self, now: Stamp) -> bool {
        let Some(record) = self.candidate.seen() else { return false };
        match self.candidate.standing(now) {
            Standing::Other { changed, .. } => now.shortest_since(changed) >= record.length.saturating_mul(2),
            Standing::Held(_) | Standing::Free | Standing::Unknown { .. } => false,
        }
    }

    /// Whether the lease was seen to be given back for that, by who held it then or later.
    fn is_given(&self, next: &Next, since: u64) -> bool {
        self.candidate
            .seen()
            .is_some_and(|record| record.released.as_ref() == Some(next) && record.token >= since)
    }

    pub(super) fn wish(&self, now: Stamp) -> Wish {
        if self.is_blind(now) {
            return Wish::Lapse;
        }
        if self.quitting {
            return Wish::Watch;
        }
        if let Some(Seen { operation, .. }) = self.open() {
            let ours = operation.to() == Some(&self.node);
            let from = operation.from.as_deref() == Some(&self.node);
            match (&operation.what, &operation.phase) {
                (What::Switchover { .. }, Phase::Stopping { .. } | Phase::Handed)
                | (What::Take { .. }, Phase::Ready | Phase::Handed)
                    if ours =>
                {
                    return Wish::Ordered;
                }
                // The other one does not come.
                (What::Switchover { .. }, Phase::Handed) if from => {
                    return Wish::Expired { after: Duration::ZERO };
                }
                _ => {}
            }
        }
        if self.is_to_stop() {
            // Whoever can closes it.
            return match self.open().map(|seen| &seen.operation.phase) {
                Some(Phase::Stopping { .. }) => Wish::Expired { after: self.part.after },
                _ => Wish::Free,
            };
        }
        let was_ours = || {
            let ours = |record: &Record| record.holder == self.node && record.released.is_none();
            self.candidate.seen().is_some_and(ours)
        };
        match self.part.automatic {
            true if !matches!(self.able, Some(Ok(()))) || self.resting(now).is_some() => Wish::Watch,
            true => Wish::Expired { after: self.part.after },
            // The one that ran it last comes back to it.
            false if was_ours() => Wish::Expired { after: Duration::ZERO },
            false if self.part.active => Wish::Free,
            false => Wish::Given,
        }
    }
}
