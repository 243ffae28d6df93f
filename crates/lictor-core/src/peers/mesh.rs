//! One node's part of the mesh: what it knows of each peer, and how it judges when a round is over.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::entry::Entry;
use super::plan::MeshPlan;
use super::rank::{Ring, nearest};
use super::seen::Seen;
use super::view::Opinion;
use crate::check::Status;
use crate::time::{Now, Wall};

/// Answers of discovery in a row in which a peer is missing until it counts as vanished: some servers
/// give a part of what they have.
const MISSING: u32 = 3;

/// Of the peers that are not seen, so many are asked about where each is watched by a few: when more are
/// not, it is no longer single nodes that fail.
const ASKED: usize = 32;

/// How long a peer that vanished is told of; then it is forgotten.
const FORGET: Duration = Duration::from_secs(3_600);

/// A peer as discovery names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// `host:port`, the same on every node.
    pub id: String,
    /// The host it is known by.
    pub host: String,
    /// Its addresses, in the order in which they are tried.
    pub addresses: Vec<IpAddr>,
}

/// What is kept of a peer over a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// It.
    pub peer: Peer,
    /// How it stood, and since when. `None`: it was not judged.
    pub stood: Option<(Status, Now)>,
    /// What those who are to be told knew.
    pub verdict: Option<Verdict>,
    /// Whether this node took it upon itself to tell that it is down.
    pub told: bool,
    /// Discovery no longer names it since then.
    pub vanished: Option<Now>,
}

/// What came of a look at a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// What was found.
    pub seen: Seen,
    /// The address that answered.
    pub address: Option<IpAddr>,
    /// The name it gives itself, and what it sees of others; none from an old one.
    pub says: Option<(String, Vec<Sight>)>,
}

/// What another node says of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The peer's id.
    pub peer: String,
    /// Whether it sees it.
    pub up: bool,
    /// For so long.
    pub since: Duration,
    /// Its look is so old.
    pub age: Duration,
    /// It took it upon itself to tell that it is down.
    pub told: bool,
    /// Nobody has accepted that word for so long.
    pub waits: Option<Duration>,
}

/// How something stands, for those who are to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How it stands.
    pub status: Status,
    /// In words.
    pub output: String,
    /// What of it is worth telling anew, also while the status stays: changes with the set of failing checks, and not
    /// with their numbers.
    pub detail: String,
}

/// A node's part of the mesh.
#[derive(Debug)]
pub struct Mesh {
    pub(super) plan: MeshPlan,
    pub(super) entries: BTreeMap<String, Entry>,
    /// Under which id the others know this node.
    pub(super) own: Option<String>,
    /// Discovery named nobody but us in the last answer.
    pub(super) nobody: bool,
    pub(super) lost: Option<(String, Now)>,
    pub(super) failures: u32,
    pub(super) cut_off: Option<Now>,
    /// Why this node cannot ask anybody, and for how many rounds.
    pub(super) blind: Option<(String, u32)>,
    /// Whom the next answer does not name nobody wants watched.
    other_peers: bool,
    /// Peers that are no more, of which somebody may have been told.
    gone: Vec<Peer>,
    finding: Option<Verdict>,
    alone: Option<Verdict>,
    /// When the last round was over.
    pub(super) at: Option<Now>,
    /// A peer that this node watches has answered since then.
    pub(super) answered: bool,
}

impl Mesh {
    /// A mesh that remembers these peers.
    pub fn new(plan: MeshPlan, known: Vec<Known>) -> Self {
        let entries = known.into_iter().map(|known| {
            let mut entry = Entry::new(known.peer);
            (entry.stood, entry.verdict, entry.told) = (known.stood, known.verdict, known.told);
            entry.vanished = known.vanished;
            entry.missing = if known.vanished.is_some() { MISSING } else { 0 };
            (entry.peer.id.clone(), entry)
        });
        Self {
            plan,
            entries: entries.collect(),
            own: None,
            nobody: false,
            lost: None,
            failures: 0,
            cut_off: None,
            blind: None,
            other_peers: false,
            gone: Vec::new(),
            finding: None,
            alone: None,
            at: None,
            answered: false,
        }
    }

    /// Puts another plan in force.
    pub fn set_plan(&mut self, plan: MeshPlan) {
        self.plan = plan;
        self.share_out();
    }

    /// Discovery named these, and us under that id.
    pub fn found(&mut self, peers: Vec<Peer>, own: Option<String>, now: Now) {
        (self.lost, self.failures) = (None, 0);
        self.nobody = peers.is_empty();
        self.own = own;
        for entry in self.entries.values_mut() {
            entry.missing = entry.missing.saturating_add(1);
        }
        for peer in peers {
            let entry = self.entries.entry(peer.id.clone()).or_insert_with(|| Entry::new(peer.clone()));
            // Where it was is the best guess while nobody can say where it is.
            let addresses = std::mem::take(&mut entry.peer.addresses);
            (entry.peer, entry.missing, entry.vanished) = (peer, 0, None);
            if entry.peer.addresses.is_empty() {
                entry.peer.addresses = addresses;
            }
        }
        let unwanted = std::mem::take(&mut self.other_peers);
        let (tells, gone) = (self.plan.vanished, &mut self.gone);
        self.entries.retain(|_, entry| {
            let unwanted = unwanted && entry.missing > 0;
            if entry.missing < MISSING && !unwanted {
                return true;
            }
            let since = *entry.vanished.get_or_insert(now);
            let stays = !unwanted && tells && entry.stood.is_some() && now.boot.since(since.boot) < FORGET;
            if !stays && entry.verdict.is_some() {
                gone.push(entry.peer.clone());
            }
            stays
        });
        self.share_out();
    }

    /// Discovery failed: the last known peers are watched on.
    pub fn not_found(&mut self, why: &str, now: Now) {
        self.failures = self.failures.saturating_add(1);
        let since = self.lost.take().map_or(now, |(_, since)| since);
        self.lost = Some((why.to_owned(), since));
    }

    /// The peers to be looked at in a round.
    pub fn to_look_at(&self) -> impl Iterator<Item = &Peer> {
        let wanted = |entry: &&Entry| (entry.watched || entry.asked) && entry.vanished.is_none();
        self.entries.values().filter(wanted).map(|entry| &entry.peer)
    }

    /// Whether this node judges a peer, and does not only ask it what it sees.
    pub fn watches(&self, id: &str) -> bool {
        self.entries.get(id).is_some_and(Entry::is_looked_at)
    }

    /// What came of a look at a peer.
    pub fn looked(&mut self, id: &str, looked: Looked, now: Now) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.address = looked.address.or(entry.address);
        if let Some((node, sights)) = looked.says {
            let opinion = |sight: Sight| {
                let at = |age: Duration| ago(now, age);
                let said = Opinion {
                    node: node.clone(),
                    up: sight.up,
                    since: at(sight.since),
                    at: at(sight.age),
                    told: sight.told,
                    waits: sight.waits.map(at),
                };
                (sight.peer, said)
            };
            entry.says = sights.into_iter().map(opinion).collect();
            entry.node = Some(node);
        } else if looked.seen.is_there() {
            // An old one, or one that no longer watches.
            entry.says.clear();
        }
        if entry.watched {
            self.answered |= looked.seen.is_there();
            entry.take(looked.seen, &self.plan, now);
        } else {
            entry.seen = Some((looked.seen, now));
        }
    }

    /// Something of this node's own kept it from asking anybody in this round, or no longer does.
    pub fn cannot_ask(&mut self, why: Option<String>) {
        let rounds = self.blind.take().map_or(0, |(_, rounds)| rounds);
        self.blind = why.map(|why| (why, rounds.saturating_add(1)));
    }

    /// Whether the word that a peer is down, which this node took upon itself, waits to be accepted by somebody.
    pub fn waits(&mut self, id: &str, waits: bool, now: Now) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.waits = if waits && entry.told { entry.waits.or(Some(now)) } else { None };
    }

    /// The peers of which this node took it upon itself to tell that they are down.
    pub fn told(&self) -> impl Iterator<Item = &Peer> {
        self.entries.values().filter(|entry| entry.told).map(|entry| &entry.peer)
    }

    /// Somebody wants other peers watched: one that the next answer of discovery does not name has not vanished.
    pub fn other_peers(&mut self) {
        self.other_peers = true;
    }

    /// These ids are this node's: what was known of them as peers is void.
    pub fn is_us(&mut self, own: &[String]) {
        for id in own {
            let Some(entry) = self.entries.remove(id) else { continue };
            if entry.verdict.is_some() {
                self.gone.push(entry.peer);
            }
        }
    }

    /// A round is over: judges, and gives what those who are to be told do not know yet. `all`: everything, as for
    /// somebody who knows nothing.
    pub fn judge(&mut self, all: bool, now: Now) -> Changes {
        (self.at, self.answered) = (Some(now), false);
        let watched: Vec<_> = self.entries.values().filter(|entry| entry.is_looked_at()).collect();
        let seen = watched.iter().filter(|entry| !entry.is_lost()).count();
        let answer = watched.iter().filter(|entry| !entry.is_silent()).count();
        let (of, confirm) = (watched.len(), self.plan.confirm.get() as usize);
        let few = (answer == 0 && of >= 2) || (of > 0 && of + 1 >= confirm && seen + 1 < confirm);
        if few && self.blind.is_none() {
            self.cut_off.get_or_insert(now);
        } else {
            self.cut_off = None;
        }
        let mut changes = Changes { gone: std::mem::take(&mut self.gone), ..Changes::default() };
        changes.peers = self.judge_peers(all, now, |_| true);
        self.ask_others();
        let finding = self.judge_finding();
        if all || self.finding.as_ref() != Some(&finding) {
            changes.finding = Some(finding.clone());
            self.finding = Some(finding);
        }
        let alone = self.judge_alone(seen, of);
        if all || self.alone.as_ref() != Some(&alone) {
            changes.alone = Some(alone.clone());
            self.alone = Some(alone);
        }
        changes
    }

    /// Judges these peers, and gives those of which there is something new to be told.
    pub(super) fn judge_peers(&mut self, all: bool, now: Now, which: impl Fn(&Entry) -> bool) -> Vec<Change> {
        let mut changes = Vec::new();
        let judged: Vec<_> =
            self.entries.values().map(|entry| which(entry).then(|| self.verdict(entry, now))).collect();
        for (entry, judged) in self.entries.values_mut().zip(judged) {
            let Some((verdict, told)) = judged else { continue };
            entry.told = told;
            entry.waits = entry.waits.filter(|_| told);
            let changed = verdict.is_some() && verdict != entry.verdict;
            entry.verdict = verdict.or(entry.verdict.take());
            if let Some(verdict) = entry.verdict.clone().filter(|_| changed || all) {
                changes.push(Change {
                    peer: entry.peer.clone(),
                    address: entry.address,
                    seen: entry.seen.as_ref().map(|(seen, _)| seen.clone()),
                    verdict,
                });
            }
        }
        changes
    }

    /// What is to be kept over a restart.
    pub fn known(&self) -> Vec<Known> {
        let known = |entry: &Entry| Known {
            peer: entry.peer.clone(),
            stood: entry.stood,
            verdict: entry.verdict.clone(),
            told: entry.told,
            vanished: entry.vanished,
        };
        self.entries.values().map(known).collect()
    }

    /// What this node says to those who ask.
    pub fn sights(&self, now: Now) -> Vec<Sight> {
        let watched = self.entries.values().filter(|entry| entry.is_looked_at());
        let sight = |entry: &Entry| {
            let (_, at) = entry.seen.as_ref()?;
            let age = now.boot.since(at.boot);
            let up = entry.is_there();
            let turned = entry.turned.filter(|_| entry.is_turning()).map(|(_, begun)| begun);
            let since = turned.or(entry.stood.map(|(_, since)| since));
            let since = since.map_or(age, |since| now.boot.since(since.boot));
            let waits = entry.waits.map(|since| now.boot.since(since.boot));
            Some(Sight { peer: entry.peer.id.clone(), up, since, age, told: entry.told, waits })
        };
        watched.filter_map(sight).collect()
    }

    /// Decides whom this node watches. What it told of one that others watch now is over.
    fn share_out(&mut self) {
        let ids = self.named();
        let ring = Ring::new(ids.iter().map(String::as_str));
        for (id, entry) in &mut self.entries {
            // One that the others do not know watches all: nobody counts on it.
            let share = self.plan.watchers.zip(self.own.as_deref());
            let watched = share.is_none_or(|(count, own)| ring.is_near(id, own, count.get() as usize));
            if entry.watched && !watched && entry.verdict.is_some() {
                self.gone.push(entry.peer.clone());
            }
            if !watched && (entry.watched || !entry.asked) {
                entry.unwatch();
            }
            entry.watched = watched;
        }
    }

    /// The peers that discovery named last.
    fn named(&self) -> Vec<String> {
        let named = self.entries.values().filter(|entry| entry.missing == 0);
        named.map(|entry| entry.peer.id.clone()).collect()
    }

    /// Those that watch a peer as well are asked what they see of it, while it is not seen from here.
    fn ask_others(&mut self) {
        let Some((count, own)) = self.plan.watchers.zip(self.own.clone()) else { return };
        let lost = self.entries.values().filter(|entry| entry.is_looked_at() && !entry.is_there());
        let lost: Vec<String> = lost.map(|entry| entry.peer.id.clone()).collect();
        let ids = self.named();
        let mut asked = BTreeSet::new();
        for id in lost.iter().take(ASKED) {
            let others = ids.iter().map(String::as_str).chain([own.as_str()]).filter(|other| other != id);
            asked.extend(nearest(id, count.get() as usize, others).into_iter().map(str::to_owned));
        }
        for (id, entry) in &mut self.entries {
            entry.asked = !entry.watched && asked.contains(id);
            if !entry.watched && !entry.asked {
                entry.unwatch();
            }
        }
    }
}

/// How a peer stands now, for those who did not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The peer.
    pub peer: Peer,
    /// The address that answered last.
    pub address: Option<IpAddr>,
    /// What the last look found; none since the start.
    pub seen: Option<Seen>,
    /// How it stands.
    pub verdict: Verdict,
}

/// What changed for those who are to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Peers that are no more, or are watched by others.
    pub gone: Vec<Peer>,
    /// How peers stand now.
    pub peers: Vec<Change>,
    /// How finding them goes.
    pub finding: Option<Verdict>,
    /// Whether this node is cut off.
    pub alone: Option<Verdict>,
}

/// The instant so long before `now`.
fn ago(now: Now, age: Duration) -> Now {
    let millis = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    let wall = Wall::from_unix_millis(now.wall.as_unix_millis().saturating_sub(millis));
    Now { boot: now.boot.before(age), wall }
}
