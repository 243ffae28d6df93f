//! Circles of what inhibits each other: without a first, nobody would be told of any of them.

use std::collections::{BTreeMap, BTreeSet};

use super::mute::values;
use super::{Desk, Turn};
use crate::alert::subject::{Subject, SubjectKey};

/// Of each subject that inhibits itself by way of others, the first of its circle by key.
pub(super) type Circles = BTreeMap<SubjectKey, SubjectKey>;

/// What inhibits what: a subject all those of its groups, a group all its targets. Subjects come
/// first among the numbers, and what has the same values of the same rule is one group.
#[derive(Default)]
struct Graph {
    next: Vec<Vec<usize>>,
    before: Vec<Vec<usize>>,
}

impl Desk {
    /// What inhibits is another than before.
    pub(super) fn circles_change(&mut self, turn: &mut Turn) {
        let before = self.circles.take().unwrap_or_default();
        turn.circles.get_or_insert(before);
    }

    /// Looks at those of which the circle changed, and at the first of it: one may be the first now, or
    /// what mutes the first follows of it now, or does so no more.
    pub(super) fn look_at_circles(&mut self, turn: &mut Turn) {
        let Some(before) = turn.circles.take() else { return };
        let now = self.circles.get_or_init(|| self.find_circles());
        let changed = before.keys().chain(now.keys()).filter(|key| before.get(*key) != now.get(*key));
        let firsts = |key| [Some(key), before.get(key), now.get(key)].into_iter().flatten();
        turn.look.extend(changed.flat_map(firsts).cloned());
    }

    /// Finds the circles among what inhibits now.
    pub(super) fn find_circles(&self) -> Circles {
        let keys: BTreeSet<_> =
            self.parents.iter().flat_map(BTreeMap::values).flat_map(BTreeMap::keys).collect();
        let subjects: Vec<&Subject> =
            keys.into_iter().filter_map(|key| Some(&self.cases.get(key)?.subject)).collect();
        let places: BTreeMap<_, _> =
            subjects.iter().enumerate().map(|(place, subject)| (&subject.key, place)).collect();
        let mut graph = Graph::default();
        graph.grow(subjects.len());
        for (rule, groups) in self.plan.inhibitions.iter().zip(&self.parents) {
            let targets = subjects.iter().enumerate().filter(|(_, one)| rule.target.hold(one));
            let mut below: BTreeMap<_, Vec<_>> = BTreeMap::new();
            for (target, subject) in targets {
                below.entry(values(rule, subject)).or_default().push(target);
            }
            for (wanted, targets) in below {
                let Some(sources) = groups.get(&wanted) else { continue };
                let group = graph.grow(1);
                let sources = sources.keys().filter_map(|key| places.get(key).copied());
                sources.for_each(|source| graph.link(source, group));
                targets.into_iter().for_each(|target| graph.link(group, target));
            }
        }
        let mut circles = Circles::new();
        for circle in graph.circles() {
            let members: BTreeSet<_> =
                circle.into_iter().filter_map(|one| Some(&subjects.get(one)?.key)).collect();
            if let Some(first) = members.first().filter(|_| members.len() > 1) {
                circles.extend(members.iter().map(|one| ((*one).clone(), (*first).clone())));
            }
        }
        circles
    }
}

impl Graph {
    /// Adds so many, and gives the number of the first.
    fn grow(&mut self, by: usize) -> usize {
        let first = self.next.len();
        self.next.resize(first + by, Vec::new());
        self.before.resize(first + by, Vec::new());
        first
    }

    fn link(&mut self, from: usize, to: usize) {
        self.next[from].push(to);
        self.before[to].push(from);
    }

    /// What leads to each other (Kosaraju's algorithm; it may be too deep to recurse).
    fn circles(&self) -> Vec<Vec<usize>> {
        let mut left = Vec::with_capacity(self.next.len());
        let mut seen = vec![false; self.next.len()];
        for start in 0..self.next.len() {
            walk(&self.next, start, &mut seen, &mut left);
        }
        let mut seen = vec![false; self.next.len()];
        let circle = |start| {
            let mut found = Vec::new();
            walk(&self.before, start, &mut seen, &mut found);
            found
        };
        left.into_iter().rev().map(circle).filter(|circle| circle.len() > 1).collect()
    }
}

/// Walks to everything that was not seen yet, and notes each when all after it was noted.
fn walk(edges: &[Vec<usize>], start: usize, seen: &mut [bool], left: &mut Vec<usize>) {
    if std::mem::replace(&mut seen[start], true) {
        return;
    }
    let mut path = vec![(start, edges[start].iter())];
    while let Some((at, rest)) = path.last_mut() {
        match rest.next() {
            None => {
                left.push(*at);
                path.pop();
            }
            Some(&to) if std::mem::replace(&mut seen[to], true) => {}
            Some(&to) => path.push((to, edges[to].iter())),
        }
    }
}
