//! Fleets of thousands, by their numbers: who watches whom by rank, what that costs, how soon it is noticed
//! that a node died, and what is left when many die at once.
//!
//! Nothing here runs a `Mesh`; only its choice of watchers is used.

use std::collections::BTreeSet;
use std::fmt;

use lictor_core::peers::nearest;

use super::super::dice::Dice;
use super::script::Millis;

/// Times of a fleet.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// From one round of a node to its next.
    pub interval: Millis,
    /// Time limit of a look.
    pub timeout: Millis,
    /// By so much the looks of a round are apart at most.
    pub jitter: Millis,
    /// Looks in a row that must fail.
    pub fail_after: u64,
}

/// Who stands nearest to whom, for some number of watchers or less.
#[derive(Clone, Debug)]
pub struct Fleet {
    ids: Vec<String>,
    /// The others, nearest first, as far as they were asked for.
    near: Vec<Vec<u32>>,
}

/// How something is distributed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// Half are no larger.
    pub half: f64,
    /// 99 of 100 are no larger.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of these.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let at = |part: usize| values.get((values.len() * part / 100).min(values.len().saturating_sub(1)));
        let at = |part: usize| at(part).copied().unwrap_or(f64::NAN);
        let mean = values.iter().sum::<f64>() / count(values.len());
        Self { mean, half: at(50), p99: at(99), max: at(100) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mean, half, p99, max } = self;
        write!(f, "mean {mean:.2}, p50 {half:.2}, p99 {p99:.2}, max {max:.2}")
    }
}

/// What a fleet costs each of its nodes.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Looks that a node makes in a second.
    pub looks: Spread,
    /// Bytes that a node receives in a second: answers to its looks, and looks at it.
    pub received: Spread,
    /// Nodes that look at nobody.
    pub idle: usize,
}

/// What is left when many die at once.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// Nodes that died.
    pub dead: usize,
    /// Of these, those whose watchers died all.
    pub unwatched: usize,
    /// How many of these are to be expected.
    pub expected: f64,
    /// Nodes alive that have no watcher left.
    pub alive_unwatched: usize,
    /// Seconds until somebody knew, for those that had a watcher.
    pub first: Spread,
}

/// What changes when nodes come and go.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Nodes that have another set of watchers than before.
    pub subjects: usize,
    /// Pairs of a watcher and a watched one that are new.
    pub pairs: usize,
    /// Pairs that would be new if nobody who stayed had to change anything but what came and went.
    pub least: usize,
}

impl Fleet {
    /// A fleet whose nodes are watched by up to so many. Its nodes have names as clouds give them.
    pub fn new(size: usize, watchers: usize) -> Self {
        let ids: Vec<String> = (0..size).map(id).collect();
        let near = |subject: &String| {
            let others = ids.iter().filter(|other| *other != subject).map(String::as_str);
            nearest(subject, watchers, others).into_iter().filter_map(index).collect()
        };
        let near = ids.iter().map(near).collect();
        Self { ids, near }
    }

    /// Its nodes.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The nodes that watch this one, when each is watched by so many.
    pub fn watchers(&self, node: usize, count: usize) -> impl Iterator<Item = usize> {
        self.near[node].iter().take(count).map(|other| *other as usize)
    }

    /// The nodes that watch this one, when only these are there.
    fn of_these<'a>(
        &'a self,
        node: usize,
        count: usize,
        there: &'a impl Fn(usize) -> bool,
    ) -> impl Iterator<Item = usize> + 'a {
        self.near[node].iter().map(|other| *other as usize).filter(|other| there(*other)).take(count)
    }

    /// What it costs when each is watched by so many.
    pub fn load(&self, count: usize, times: Times) -> Load {
        let mut watched: Vec<Vec<&str>> = vec![Vec::new(); self.ids.len()];
        for (node, id) in self.ids.iter().enumerate() {
            self.watchers(node, count).for_each(|watcher| watched[watcher].push(id));
        }
        let answers: Vec<usize> =
            self.ids.iter().zip(&watched).map(|(id, watched)| answer(id, watched).len()).collect();
        let mut received: Vec<usize> =
            (0..self.ids.len()).map(|node| self.watchers(node, count).count() * REQUEST.len()).collect();
        for (node, answer) in answers.iter().enumerate() {
            self.watchers(node, count).for_each(|watcher| received[watcher] += answer);
        }
        let each_second = |number: usize| self::count(number) * 1_000.0 / millis(times.interval);
        Load {
            looks: Spread::of(watched.iter().map(|watched| each_second(watched.len())).collect()),
            received: Spread::of(received.into_iter().map(each_second).collect()),
            idle: watched.iter().filter(|watched| watched.is_empty()).count(),
        }
    }

    /// Seconds from the death of a node, each once, until the first of its watchers has told, and until all have.
    pub fn detection(&self, count: usize, times: Times, seed: u64) -> (Spread, Spread) {
        let mut dice = Dice::of(seed, "death");
        let phases = self.phases(times, &mut dice);
        let (mut first, mut all) = (Vec::new(), Vec::new());
        for node in 0..self.ids.len() {
            let death = times.interval + dice.below(times.interval);
            let told =
                self.watchers(node, count).map(|one| times.told(phases[one], death, &mut dice) - death);
            let told: Vec<Millis> = told.collect();
            first.extend(told.iter().min().map(|after| millis(*after) / 1_000.0));
            all.extend(told.iter().max().map(|after| millis(*after) / 1_000.0));
        }
        (Spread::of(first), Spread::of(all))
    }

    /// What is left when so many of a hundred die at once.
    pub fn lose(&self, percent: usize, count: usize, times: Times, seed: u64) -> Loss {
        let mut dice = Dice::of(seed, "loss");
        let phases = self.phases(times, &mut dice);
        let size = self.ids.len();
        let dead = self.some(size * percent / 100, &mut dice);
        let alive = |node: &usize| !dead.contains(node);
        let death = times.interval + dice.below(times.interval);
        let mut first = Vec::new();
        for node in &dead {
            let left = self.watchers(*node, count).filter(alive);
            let told = left.map(|one| times.told(phases[one], death, &mut dice) - death).min();
            first.extend(told.map(|after| millis(after) / 1_000.0));
        }
        // The chance that all of a dead one's watchers are among the others that died.
        let chance: f64 =
            (0..count).map(|one| self::count(dead.len() - 1 - one) / self::count(size - 1 - one)).product();
        let unwatched = |node: &usize| !self.watchers(*node, count).any(|watcher| alive(&watcher));
        Loss {
            dead: dead.len(),
            unwatched: dead.iter().filter(|node| unwatched(node)).count(),
            expected: chance * self::count(dead.len()),
            alive_unwatched: (0..size).filter(alive).filter(unwatched).count(),
            first: Spread::of(first),
        }
    }

    /// What changes when so many nodes, drawn by lot, leave, and the others are all that is known.
    /// Backwards it is what changes when they come.
    pub fn leave(&self, leavers: usize, count: usize, seed: u64) -> Change {
        let gone = self.some(leavers, &mut Dice::of(seed, "leavers"));
        let stays = |node: usize| !gone.contains(&node);
        let mut change = Change { subjects: 0, pairs: 0, least: 0 };
        for node in (0..self.ids.len()).filter(|node| stays(*node)) {
            let before: BTreeSet<usize> = self.watchers(node, count).collect();
            let after: BTreeSet<usize> = self.of_these(node, count, &stays).collect();
            change.subjects += usize::from(before != after);
            change.pairs += after.difference(&before).count();
            change.least += before.iter().filter(|watcher| gone.contains(watcher)).count();
        }
        change
    }

    fn phases(&self, times: Times, dice: &mut Dice) -> Vec<Millis> {
        self.ids.iter().map(|_| dice.below(times.interval)).collect()
    }

    /// So many of its nodes.
    fn some(&self, count: usize, dice: &mut Dice) -> BTreeSet<usize> {
        let mut some = BTreeSet::new();
        while some.len() < count.min(self.ids.len()) {
            some.insert(dice.index(self.ids.len()));
        }
        some
    }
}

impl Times {
    /// When a node whose rounds have this phase has told that one is down that died then.
    fn told(self, phase: Millis, death: Millis, dice: &mut Dice) -> Millis {
        let (mut round, mut failed) = (phase, 0);
        loop {
            // Nothing comes back of a look that gets there too late.
            if round + dice.below(self.jitter) >= death {
                failed += 1;
            }
            if failed == self.fail_after {
                // It is judged when the last look of the round is over, whichever that is.
                return round + self.jitter + self.timeout;
            }
            round += self.interval;
        }
    }
}

/// What a look sends.
const REQUEST: &str = "GET /status HTTP/1.1\r\nhost: i-0123456789.eu-central.example.net:5988\r\n\
    accept: application/vnd.lictor.mesh+json, application/json\r\nuser-agent: lictor/0.1.0\r\n\r\n";

/// What a node answers that watches these and has no checks of its own, as the probe writes it.
fn answer(id: &str, watched: &[&str]) -> String {
    let node = id.split('.').next().unwrap_or(id);
    let sees: Vec<String> = watched
        .iter()
        .map(|peer| format!(r#"{{"peer":"{peer}","up":true,"since_s":1234567,"age_s":5,"told":false}}"#))
        .collect();
    let sees = sees.join(",");
    let body = format!(
        r#"{{"checks":[],"summary":{{"total":0,"ok":0}},"mesh":{{"version":1,"node":"{node}","sees":[{sees}]}}}}"#
    );
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn id(node: usize) -> String {
    format!("i-{node:010}.eu-central.example.net:5988")
}

fn index(id: &str) -> Option<u32> {
    id.strip_prefix("i-")?.split('.').next()?.parse().ok()
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}

fn millis(time: Millis) -> f64 {
    u32::try_from(time).map_or(f64::INFINITY, f64::from)
}
