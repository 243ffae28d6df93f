//! The play: virtual time, the nodes, and what lies between them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lictor_core::peers::{Failing, Known, Looked, Mesh, Peer, Seen};
use lictor_core::{Boot, Now, Status, Wall};

use super::eye::{Eye, Found, url};
use super::script::{EVERY, Fault, Millis, Script, TIMEOUT, id, name};
use super::{Mistake, Report};

/// The wall clock when the play begins.
const WALL: i64 = 1_900_000_000_000;

/// How long the nodes have been up then, in milliseconds.
const BOOT: Millis = 1_000_000_000;

/// What happens at some instant. A process's own events are bound to its life.
#[derive(Clone, Copy, Debug)]
enum Event {
    Fault(usize),
    Start(usize),
    Round(usize, u64),
    /// A look gets to the other one.
    Arrive(usize, u64, usize),
    /// A look has waited long enough.
    GivenUp(usize, u64, usize),
}

/// A node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) mesh: Mesh,
    pub(super) runs: bool,
    frozen: Millis,
    life: u64,
    /// Its clock on the wall is set by so much.
    step: i64,
    /// Looks that have not come back.
    open: usize,
    /// Nothing was judged since it started.
    pub(super) fresh: bool,
    /// What is on its disk, and what it had been shown then.
    kept: (Vec<Known>, BTreeMap<usize, Eye>),
    pub(super) eyes: BTreeMap<usize, Eye>,
    /// How often in a row discovery has left out each, watched or not.
    missing: BTreeMap<usize, u32>,
    /// What those whom it tells know of each peer.
    pub(super) ledger: BTreeMap<String, (Status, String)>,
    /// What they know of the node itself: whether it is cut off, and whether it finds peers.
    pub(super) alone: Option<Status>,
    pub(super) finding: Option<Status>,
}

/// Everything.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) script: &'a Script,
    mistake: Mistake,
    pub(super) time: Millis,
    events: BTreeMap<(Millis, u64), Event>,
    number: u64,
    pub(super) nodes: Vec<Node>,
    /// Until when a way is cut, in one direction.
    cut: BTreeMap<(usize, usize), Millis>,
    slow: BTreeMap<usize, Millis>,
    flap: BTreeMap<usize, Millis>,
    /// How often in a row one that flaps did not answer an asker.
    flaps: BTreeMap<(usize, usize), u32>,
    ill: BTreeMap<usize, (u8, Millis)>,
    lost: BTreeMap<usize, Millis>,
    partial: BTreeMap<(usize, usize), Millis>,
    unlisted: BTreeMap<usize, Millis>,
    /// When a node did not see another one last.
    pub(super) unseen: BTreeMap<(usize, usize), Millis>,
    pub(super) report: Report,
    pub(super) log: Vec<String>,
    logs: bool,
}

impl<'a> World<'a> {
    pub(super) fn new(script: &'a Script, mistake: Mistake, logs: bool) -> Self {
        let node = |number| Node {
            mesh: Mesh::new(script.plan(number), Vec::new()),
            runs: false,
            frozen: 0,
            life: 0,
            step: 0,
            open: 0,
            fresh: true,
            kept: (Vec::new(), BTreeMap::new()),
            eyes: BTreeMap::new(),
            missing: BTreeMap::new(),
            ledger: BTreeMap::new(),
            alone: None,
            finding: None,
        };
        let mut world = Self {
            script,
            mistake,
            time: 0,
            events: BTreeMap::new(),
            number: 0,
            nodes: (0..script.size).map(node).collect(),
            cut: BTreeMap::new(),
            slow: BTreeMap::new(),
            flap: BTreeMap::new(),
            flaps: BTreeMap::new(),
            ill: BTreeMap::new(),
            lost: BTreeMap::new(),
            partial: BTreeMap::new(),
            unlisted: BTreeMap::new(),
            unseen: BTreeMap::new(),
            report: Report { plays: 1, ..Report::default() },
            log: Vec::new(),
            logs,
        };
        (0..script.size).for_each(|node| world.at(0, Event::Start(node)));
        for (number, (at, _)) in script.faults.iter().enumerate() {
            world.at(*at, Event::Fault(number));
        }
        world
    }

    pub(super) fn play(&mut self) -> Result<(), String> {
        let Script { heal, lost, one_way, .. } = self.script;
        self.until(*heal)?;
        if !one_way {
            self.heal();
        }
        self.until(heal + self.script.settle())?;
        if !one_way {
            self.all_is_well()?;
            lost.iter().for_each(|node| self.kill(*node));
            self.until(self.time + self.script.settle())?;
            self.the_lost_are_told()?;
            self.heal();
            self.until(self.time + self.script.settle())?;
            self.all_is_well()?;
        }
        Ok(())
    }

    fn at(&mut self, time: Millis, event: Event) {
        self.number += 1;
        self.events.insert((time, self.number), event);
    }

    pub(super) fn say(&mut self, what: impl FnOnce() -> String) {
        if self.logs {
            self.log.push(format!("{:>7.1} s  {}", seconds(self.time), what()));
        }
    }

    fn until(&mut self, end: Millis) -> Result<(), String> {
        while let Some(((at, number), event)) = self.events.pop_first() {
            if at > end {
                self.events.insert((at, number), event);
                break;
            }
            self.time = at;
            if let Event::Round(node, life) | Event::Arrive(node, life, _) | Event::GivenUp(node, life, _) =
                event
            {
                let process = &self.nodes[node];
                if !process.runs || process.life != life {
                    continue;
                }
                if process.frozen > at {
                    self.events.insert((process.frozen, number), event);
                    continue;
                }
            }
            match event {
                Event::Fault(number) => self.begin(self.script.faults[number].1),
                Event::Start(node) => self.start(node),
                Event::Round(node, life) => self.round(node, life)?,
                Event::Arrive(node, life, to) => self.arrive(node, life, to)?,
                Event::GivenUp(node, _, to) => self.looked(node, to, Found::Silent)?,
            }
        }
        self.time = end;
        Ok(())
    }

    fn begin(&mut self, fault: Fault) {
        self.say(|| format!("{fault:?}"));
        let (now, all) = (self.time, 0..self.script.size);
        let mut cut = |from: usize, to: usize, span: Millis| {
            let until = self.cut.entry((from, to)).or_default();
            *until = (now + span).max(*until);
        };
        match fault {
            Fault::Kill(node, span) => {
                self.kill(node);
                self.at(now + span, Event::Start(node));
            }
            Fault::Freeze(node, span) => self.nodes[node].frozen = now + span,
            Fault::OneWay(from, to, span) => cut(from, to, span),
            Fault::BothWays(one, other, span) => {
                cut(one, other, span);
                cut(other, one, span);
            }
            Fault::Island(node, span) => all.for_each(|other| {
                cut(node, other, span);
                cut(other, node, span);
            }),
            Fault::Partition(last, span) => {
                for (one, other) in all.clone().flat_map(|one| all.clone().map(move |other| (one, other))) {
                    if (one <= last) != (other <= last) {
                        cut(one, other, span);
                    }
                }
            }
            Fault::Slow(node, span) => _ = self.slow.insert(node, now + span),
            Fault::Flap(node, span) => _ = self.flap.insert(node, now + span),
            Fault::Ill(node, which, span) => _ = self.ill.insert(node, (which, now + span)),
            Fault::Lost(node, span) => _ = self.lost.insert(node, now + span),
            Fault::Partial(node, other, span) => _ = self.partial.insert((node, other), now + span),
            Fault::Unlisted(node, span) => _ = self.unlisted.insert(node, now + span),
            Fault::Step(node, by) => self.nodes[node].step += by,
        }
    }

    /// All faults are over.
    fn heal(&mut self) {
        self.say(|| "all is well from here on".to_owned());
        self.cut.clear();
        self.ill.clear();
        let lasting = [&mut self.slow, &mut self.flap, &mut self.lost, &mut self.unlisted];
        lasting.into_iter().for_each(BTreeMap::clear);
        self.partial.clear();
        for node in 0..self.script.size {
            self.nodes[node].frozen = 0;
            self.start(node);
        }
        // What had waited for a node to go on comes now.
        let waiting = std::mem::take(&mut self.events);
        let soon = |event: &Event| matches!(event, Event::Arrive(..) | Event::GivenUp(..));
        for ((at, number), event) in waiting {
            let at = if soon(&event) { at.min(self.time + TIMEOUT) } else { at.min(self.time + EVERY) };
            self.events.insert((at, number), event);
        }
    }

    fn kill(&mut self, node: usize) {
        self.say(|| format!("{} dies", name(node)));
        self.nodes[node].runs = false;
    }

    fn start(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        if node.runs {
            return;
        }
        let (known, eyes) = node.kept.clone();
        let known = if self.mistake == Mistake::ForgetsAtARestart { Vec::new() } else { known };
        (node.mesh, node.eyes) = (Mesh::new(self.script.plan(number), known), eyes);
        node.eyes.values_mut().for_each(Eye::restart);
        // What has vanished is remembered so.
        node.missing = node.eyes.iter().map(|(other, eye)| (*other, eye.missing)).collect();
        (node.runs, node.fresh, node.life, node.open, node.frozen) = (true, true, node.life + 1, 0, 0);
        let life = node.life;
        self.report.restarts += u64::from(life > 1);
        self.say(|| format!("{} starts", name(number)));
        let next = self.time - self.time % EVERY + self.script.phases[number];
        self.at(if next < self.time { next + EVERY } else { next }, Event::Round(number, life));
    }

    pub(super) fn now(&self, node: usize) -> Now {
        let step = self.nodes[node].step;
        let wall = WALL + step + i64::try_from(self.time).unwrap_or(i64::MAX);
        Now { boot: boot(self.time), wall: Wall::from_unix_millis(wall) }
    }

    /// A round begins: peers are looked for, and looked at.
    fn round(&mut self, number: usize, life: u64) -> Result<(), String> {
        self.at(self.time + EVERY, Event::Round(number, life));
        if self.nodes[number].open > 0 {
            // It went on after a pause: the last round is not over.
            return Ok(());
        }
        let (now, lasts) =
            (self.now(number), |until: Option<&Millis>| until.is_some_and(|until| *until > self.time));
        let lost = lasts(self.lost.get(&number));
        let turn = self.time / EVERY;
        let named: BTreeSet<usize> = (0..self.script.size)
            .filter(|other| !lasts(self.unlisted.get(other)))
            .filter(|other| !lasts(self.partial.get(&(number, *other))) || turn.is_multiple_of(3))
            .collect();
        let own = named.contains(&number).then(|| id(number));
        let others = named.iter().filter(|other| **other != number).map(|other| peer(*other)).collect();
        let node = &mut self.nodes[number];
        match (lost, self.mistake) {
            (false, _) => node.mesh.found(others, own, now),
            (true, Mistake::TakesNoAnswerForNobody) => node.mesh.found(Vec::new(), own, now),
            (true, _) => node.mesh.not_found("the name server does not answer", now),
        }
        if !lost {
            for other in 0..self.script.size {
                let missing = node.missing.entry(other).or_default();
                *missing = if named.contains(&other) { 0 } else { *missing + 1 };
                node.eyes.entry(other).and_modify(|eye| eye.missing = *missing);
            }
        }
        let targets: BTreeSet<usize> =
            node.mesh.to_look_at().filter_map(|peer| number_of(&peer.id)).collect();
        // Others may be asked what they see, and are not judged.
        let judged = targets.iter().copied().filter(|other| node.mesh.watches(&id(*other))).collect();
        self.is_watched_as_it_must_be(number, &judged)?;
        self.nodes[number].open = targets.len();
        for target in &targets {
            // Later for each, by up to a second.
            let late = (self.time / 1_000 * 31 + (number * 17 + target * 7) as u64) % 1_000;
            self.at(self.time + late, Event::Arrive(number, life, *target));
        }
        if targets.is_empty() { self.judge(number) } else { Ok(()) }
    }

    /// A look gets to another node, or does not.
    fn arrive(&mut self, from: usize, life: u64, to: usize) -> Result<(), String> {
        let lasts = |until: Option<&Millis>| until.is_some_and(|until| *until > self.time);
        let there = &self.nodes[to];
        let cut = lasts(self.cut.get(&(from, to))) || lasts(self.slow.get(&to)) || there.frozen > self.time;
        let ill = self.ill.get(&to).filter(|(_, until)| *until > self.time).map(|(which, _)| *which);
        let flaps = lasts(self.flap.get(&to)) && {
            let row = self.flaps.entry((from, to)).or_default();
            *row = (*row + 1) % self.script.rules.fail_after.get();
            *row != 0
        };
        if cut || flaps {
            self.at(self.time + TIMEOUT, Event::GivenUp(from, life, to));
            return Ok(());
        }
        let found = match (there.runs, ill) {
            (false, _) => Found::Silent,
            (true, None) => Found::Well,
            (true, Some(which)) => Found::Ill(which),
        };
        self.looked(from, to, found)
    }

    /// A look is over.
    fn looked(&mut self, from: usize, to: usize, found: Found) -> Result<(), String> {
        self.report.looks += 1;
        let seen = match &found {
            Found::Well => Seen::Report { good: 2, total: 2, failing: Vec::new() },
            Found::Ill(which) => {
                let failing = vec![Failing { url: url(*which), code: 500 }];
                Seen::Report { good: 1, total: 2, failing }
            }
            Found::Silent => {
                self.report.silent += 1;
                self.unseen.insert((from, to), self.time);
                Seen::Silent { why: "timed out".to_owned() }
            }
        };
        let (now, asked) = (self.now(from), self.mistake != Mistake::AsksNobody);
        let says =
            (asked && found != Found::Silent).then(|| (name(to), self.nodes[to].mesh.sights(self.now(to))));
        let looked = Looked { seen, address: None, says };
        let node = &mut self.nodes[from];
        let missing = node.missing.get(&to).copied().unwrap_or_default();
        if node.mesh.watches(&id(to)) {
            let eye = node.eyes.entry(to).or_insert_with(|| Eye::new(missing));
            eye.look(found, &self.script.rules, self.time);
        }
        if self.mistake == Mistake::CountsALookTwice {
            node.mesh.looked(&id(to), looked.clone(), now);
        }
        node.mesh.looked(&id(to), looked, now);
        node.open -= 1;
        if node.open == 0 { self.judge(from) } else { self.judge_early(from) }
    }

    /// Looks of a round are still out: what need not wait for them is kept, and told.
    fn judge_early(&mut self, number: usize) -> Result<(), String> {
        let (now, node) = (self.now(number), &mut self.nodes[number]);
        let peers = node.mesh.judge_early(now);
        if peers.is_empty() {
            return Ok(());
        }
        self.report.early += peers.len() as u64;
        self.take_early(number, peers)?;
        let node = &mut self.nodes[number];
        node.kept = (node.mesh.known(), node.eyes.clone());
        Ok(())
    }

    fn judge(&mut self, number: usize) -> Result<(), String> {
        self.report.rounds += 1;
        let (now, node) = (self.now(number), &mut self.nodes[number]);
        let mut changes = node.mesh.judge(node.fresh, now);
        node.fresh = false;
        if self.mistake == Mistake::KeepsWhatIsGone {
            changes.gone.clear();
        }
        let known = self.take(number, changes)?;
        let node = &mut self.nodes[number];
        node.kept = (known, node.eyes.clone());
        Ok(())
    }
}

/// The time of the play on the boot axis, the same on all nodes.
pub(super) fn boot(time: Millis) -> Boot {
    Boot::from_millis(BOOT + time)
}

fn peer(node: usize) -> Peer {
    Peer { id: id(node), host: name(node), addresses: Vec::new() }
}

/// The node that has this id.
pub(super) fn number_of(id: &str) -> Option<usize> {
    id.strip_prefix('n')?.split(':').next()?.parse().ok()
}

pub(super) fn seconds(time: Millis) -> f64 {
    Duration::from_millis(time).as_secs_f64()
}
