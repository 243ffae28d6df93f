//! What must be true, after each round and when all faults are over.

use std::collections::BTreeSet;

use lictor_core::Status;
use lictor_core::peers::{Change, Changes, Known, Peer, Verdict, WhoTells, nearest};

use super::eye::{Eye, Found};
use super::script::{EVERY, Millis, TIMEOUT, id, name};
use super::world::{Node, World, boot, number_of};

/// How old a look of another node may be and still count: what `MeshPlan` allows, two rounds with their looks
/// and one more.
const MEMORY: Millis = 2 * (EVERY + TIMEOUT) + EVERY;

impl World<'_> {
    /// A node looks at these in this round. It may hand over the others, and forgets what it was shown of them.
    pub(super) fn is_watched_as_it_must_be(
        &mut self,
        number: usize,
        targets: &BTreeSet<usize>,
    ) -> Result<(), String> {
        let (who, node) = (name(number), &mut self.nodes[number]);
        let mesh = &node.mesh;
        let stands =
            |other: usize| mesh.known().iter().any(|one| one.peer.id == id(other) && one.stood.is_some());
        if let Some(ghost) = targets.iter().find(|other| node.eyes.get(other).is_some_and(Eye::has_vanished))
        {
            return Err(format!("{who} looks at {}, which discovery no longer names", name(*ghost)));
        }
        let all = self.script.rules.watchers.is_none();
        let tells = self.script.rules.vanished;
        let (mut handed_over, mut lost) = (0, None);
        node.eyes.retain(|other, eye| {
            if targets.contains(other) || (eye.has_vanished() && stands(*other)) {
                return true;
            }
            handed_over += u64::from(eye.well.is_some() && !eye.has_vanished());
            // A play is over before one that vanished may be forgotten.
            let stays = !eye.has_vanished() || (tells && eye.well.is_some());
            lost = lost.or(Some(*other).filter(|_| all && stays));
            false
        });
        self.report.handed_over += handed_over;
        lost.map_or(Ok(()), |other| Err(format!("{who} no longer looks at {}", name(other))))
    }

    /// A round was judged: takes what those who are told learn by it, and gives what is to be kept.
    pub(super) fn take(&mut self, number: usize, changes: Changes) -> Result<Vec<Known>, String> {
        for gone in changes.gone {
            self.say(|| format!("{}: gone {}", name(number), gone.id));
            self.nodes[number].ledger.remove(&gone.id);
        }
        let alone = changes.alone.as_ref().map_or(self.nodes[number].alone, |verdict| Some(verdict.status));
        // Where others must agree, one that sees too few tells that instead.
        let is_silenced = self.script.rules.confirm.get() > 1 && alone == Some(Status::Critical);
        for Change { peer, verdict, .. } in changes.peers {
            let node = &self.nodes[number];
            let told = node.ledger.get(&peer.id).map(|(status, _)| *status);
            let eye = number_of(&peer.id).and_then(|other| node.eyes.get(&other));
            let unseen = eye.is_some_and(|eye| eye.last() == Some(&Found::Silent));
            let news = verdict.status == Status::Critical && told != Some(Status::Critical);
            if is_silenced && unseen && news {
                return Err(format!("{} is cut off, and tells of {}", name(number), peer.id));
            }
            self.learn(number, &peer, &verdict)?;
        }
        if let Some(verdict) = changes.finding {
            self.say(|| format!("{}: {}", name(number), verdict.output));
            self.nodes[number].finding = Some(verdict.status);
        }
        if let Some(verdict) = changes.alone {
            self.say(|| format!("{}: {}", name(number), verdict.output));
            let before = self.nodes[number].alone.replace(verdict.status);
            if verdict.status == Status::Critical && before != Some(Status::Critical) {
                self.report.cut_off += 1;
                self.has_reason_to_feel_alone(number)?;
            }
        }
        self.is_known_as_it_must_be(number)
    }

    /// A part of a round was judged: takes what those who are told learn by it.
    pub(super) fn take_early(&mut self, number: usize, changes: Vec<Change>) -> Result<(), String> {
        for Change { peer, verdict, .. } in changes {
            let before = self.nodes[number].ledger.get(&peer.id).map(|(status, _)| *status);
            if before.is_none_or(|before| before == verdict.status) {
                return Err(format!("{} tells of {} early what is no news", name(number), peer.id));
            }
            if self.nodes[number].alone == Some(Status::Critical) {
                return Err(format!("{} is cut off, and tells of {} early", name(number), peer.id));
            }
            self.learn(number, &peer, &verdict)?;
        }
        let node = &self.nodes[number];
        for (other, eye) in &node.eyes {
            let (told, must) = (node.ledger.get(&id(*other)), eye.told());
            if let (Some((told, _)), Some((must, _))) = (told, must)
                && *told != must
                && !eye.has_vanished()
            {
                return Err(format!("{} told early, and not of {}", name(number), name(*other)));
            }
        }
        Ok(())
    }

    /// Those who are told by a node learn this.
    fn learn(&mut self, number: usize, peer: &Peer, verdict: &Verdict) -> Result<(), String> {
        self.say(|| format!("{}: {} {}: {}", name(number), verdict.status.as_str(), peer.id, verdict.output));
        let other = number_of(&peer.id).ok_or("a peer that is none is told of")?;
        let node = &mut self.nodes[number];
        let news = (verdict.status, verdict.detail.clone());
        let before = node.ledger.insert(peer.id.clone(), news).map(|(status, _)| status);
        if before == Some(verdict.status) {
            return Ok(());
        }
        let eye = node.eyes.get(&other).cloned().unwrap_or_default();
        let told = || format!("{} tells that {} is {}", name(number), name(other), verdict.status.as_str());
        match verdict.status {
            Status::Critical => {
                self.report.told += 1;
                if eye.well != Some(false) || eye.last() == Some(&Found::Well) {
                    return Err(format!("{}, and it was not so often not well", told()));
                }
                if self.script.one_way {
                    return Err(format!("{}, and only one way is cut", told()));
                }
                if eye.last() == Some(&Found::Silent) {
                    self.is_confirmed(number, other, verdict)?;
                }
            }
            Status::Passing if eye.well == Some(true) => {
                self.report.ended += u64::from(before == Some(Status::Critical));
            }
            Status::Passing if before == Some(Status::Critical) => {
                return Err(format!("{}, and it was not so often well", told()));
            }
            Status::Passing => {}
            Status::Warning if eye.has_vanished() => self.report.vanished += 1,
            Status::Warning => return Err(format!("{}, and discovery names it", told())),
            Status::Unknown => return Err(told()),
        }
        Ok(())
    }

    /// So many as must agree did not see it lately, or it is said that they could not be asked.
    fn is_confirmed(&mut self, number: usize, other: usize, verdict: &Verdict) -> Result<(), String> {
        let confirm = self.script.rules.confirm.get() as usize;
        let lately = |from: usize| self.unseen.get(&(from, other)).is_some_and(|at| self.time - at <= MEMORY);
        let agree = 1 + (0..self.script.size).filter(|from| *from != number && lately(*from)).count();
        if verdict.output.contains("unconfirmed") {
            self.report.unconfirmed += 1;
        } else if agree < confirm {
            let (who, whom) = (name(number), name(other));
            return Err(format!("{who} tells that {whom} is down, and {agree} of {confirm} did not see it"));
        }
        Ok(())
    }

    fn has_reason_to_feel_alone(&self, number: usize) -> Result<(), String> {
        let node = &self.nodes[number];
        let watched: Vec<_> = node.eyes.values().filter(|eye| !eye.has_vanished()).collect();
        let all_seen = watched.iter().all(|eye| eye.last() != Some(&Found::Silent));
        if all_seen && watched.len() + 1 >= self.script.rules.confirm.get() as usize {
            return Err(format!("{} says that it is cut off, and sees all its peers", name(number)));
        }
        Ok(())
    }

    /// What is known of each peer follows from what was seen, and the mesh knows what it has told.
    fn is_known_as_it_must_be(&mut self, number: usize) -> Result<Vec<Known>, String> {
        let (who, rules) = (name(number), self.script.rules);
        let node = &self.nodes[number];
        let alone = rules.tell == WhoTells::Each && rules.confirm.get() == 1;
        for (other, eye) in &node.eyes {
            let (told, must) = (node.ledger.get(&id(*other)), eye.told());
            if alone && must.is_some() && must.as_ref() != told {
                return Err(format!("{who} told {told:?} of {}, and not {must:?}", name(*other)));
            }
            self.report.disputed += u64::from(
                !alone
                    && eye.told().is_some_and(|(status, _)| status == Status::Critical)
                    && told.is_none_or(|(status, _)| *status != Status::Critical),
            );
        }
        let known = node.mesh.known();
        for Known { peer, stood, verdict, told, vanished: _ } in &known {
            let eye = number_of(&peer.id).and_then(|other| node.eyes.get(&other));
            let since = eye.and_then(|eye| eye.well.map(|_| boot(eye.since)));
            if self.script.exact && stood.map(|(_, since)| since.boot) != since {
                return Err(format!("{who} says that {} stands so since {stood:?}, not {since:?}", peer.id));
            }
            let thinks = verdict.as_ref().map(|verdict| (verdict.status, verdict.detail.clone()));
            let heard = node.ledger.get(&peer.id).cloned();
            if *told != heard.as_ref().is_some_and(|(status, _)| *status == Status::Critical) {
                return Err(format!("{who}: told is {told} of {}, and {heard:?} is known", peer.id));
            }
            if thinks != heard {
                return Err(format!("{who} thinks that {thinks:?} is known of {}, not {heard:?}", peer.id));
            }
        }
        match node.ledger.keys().find(|told| known.iter().all(|one| one.peer.id != **told)) {
            Some(left) => Err(format!("{who} has forgotten {left}, and nobody was told")),
            None => Ok(known),
        }
    }

    /// Nothing is wrong, and has not been for a while.
    pub(super) fn all_is_well(&self) -> Result<(), String> {
        for (number, node) in self.nodes.iter().enumerate() {
            let who = name(number);
            if let Some((of, told)) = node.ledger.iter().find(|(_, (status, _))| *status != Status::Passing) {
                return Err(format!("all is well, and {who} has told {told:?} of {of}"));
            }
            let sights = node.mesh.sights(self.now(number));
            if let Some(sight) = sights.iter().find(|sight| !sight.up || sight.told) {
                return Err(format!("all is well, and {who} says {sight:?}"));
            }
            let watched: BTreeSet<usize> = sights.iter().filter_map(|sight| number_of(&sight.peer)).collect();
            let must = self.watched_by(number);
            if watched != must {
                return Err(format!("{who} watches {watched:?}, and not {must:?}"));
            }
            if watched.iter().any(|other| !node.ledger.contains_key(&id(*other))) {
                return Err(format!("{who} has not told how all stand that it watches"));
            }
            if node.finding != Some(Status::Passing) {
                return Err(format!("all is well, and {who} says {:?} of how it finds peers", node.finding));
            }
            // One that watches too few can never see enough.
            let enough = watched.len() + 1 >= self.script.rules.confirm.get() as usize;
            if enough && node.alone != Some(Status::Passing) {
                return Err(format!("all is well, and {who} says that it is cut off"));
            }
            let groups = node.mesh.view(self.now(number)).groups;
            if groups.len() != 1 {
                return Err(format!("all is well, and {who} sees {groups:?}"));
            }
        }
        Ok(())
    }

    /// Whom a node watches when all know all.
    fn watched_by(&self, number: usize) -> BTreeSet<usize> {
        let others = (0..self.script.size).filter(|other| *other != number);
        let Some(count) = self.script.rules.watchers else { return others.collect() };
        let ids: Vec<String> = (0..self.script.size).map(id).collect();
        let is_near = |other: &usize| {
            let rest = ids.iter().filter(|one| **one != ids[*other]).map(String::as_str);
            nearest(&ids[*other], count.get() as usize, rest).contains(&ids[number].as_str())
        };
        others.filter(is_near).collect()
    }

    /// The lost have been dead for a while, and all else is well.
    pub(super) fn the_lost_are_told(&mut self) -> Result<(), String> {
        let rules = self.script.rules;
        let confirm = rules.confirm.get() as usize;
        for dead in &self.script.lost {
            let alive = || self.nodes.iter().filter(|node| node.runs);
            let watches = |node: &&Node| node.eyes.contains_key(dead);
            // One that sees too few tells that instead, where others must agree.
            let can_tell = |node: &&Node| confirm == 1 || node.alone != Some(Status::Critical);
            let has_told = |node: &&Node| {
                node.ledger.get(&id(*dead)).is_some_and(|(status, _)| *status == Status::Critical)
            };
            let able = alive().filter(watches).filter(can_tell).count();
            let tellers = alive().filter(has_told).count();
            // One that sees too few now may have told before that; each round was held to it that it did not since.
            let right_now = alive().filter(can_tell).filter(has_told).count();
            let right = match rules.tell {
                WhoTells::Each => able == right_now,
                WhoTells::One => able == 0 || tellers > 0,
            };
            if !right {
                return Err(format!("{} is dead, and {tellers} of {able} nodes have told", name(*dead)));
            }
            if rules.tell == WhoTells::One && rules.watchers.is_none() && tellers > 0 {
                self.report.lost_for_one += 1;
                self.report.told_by_one += tellers as u64;
            }
        }
        Ok(())
    }
}
