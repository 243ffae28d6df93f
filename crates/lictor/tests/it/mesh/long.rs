//! Faults as they come, several at once: what each node has to tell follows from who can see whom.
//!
//! `LICTOR_LONG=1` plays 60 changes, otherwise there are three; `LICTOR_SEED` is another history:
//!
//! ```text
//! LICTOR_LONG=1 cargo test -p lictor --test it mesh::long -- --nocapture
//! ```

use std::collections::{BTreeMap, BTreeSet};

use lictor_testkit::net::Loss;

use super::{ALL, Fleet, PORT, down, itself, others, up};
use crate::flaky::Dice;

/// What is the matter, and what was told last.
#[derive(Debug, Default)]
struct Model {
    dead: BTreeSet<usize>,
    frozen: BTreeSet<usize>,
    ill: BTreeSet<usize>,
    cut: BTreeMap<(usize, usize), Loss>,
    /// Whom each has told to be down.
    told: BTreeSet<(usize, usize)>,
    /// Those that have told that they see nobody.
    alone: BTreeSet<usize>,
}

impl Model {
    fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut.contains_key(&(from, to)) || self.cut.get(&(to, from)) == Some(&Loss::All)
    }

    fn answers(&self, from: usize, to: usize) -> bool {
        !self.dead.contains(&to) && !self.frozen.contains(&to) && !self.is_cut(from, to)
    }

    /// What follows for those that can tell.
    fn news(&mut self) -> Vec<String> {
        let mut news = Vec::new();
        for by in ALL.into_iter().filter(|by| !self.dead.contains(by) && !self.frozen.contains(by)) {
            let others = others(by);
            for &of in &others {
                let bad = !self.answers(by, of) || self.ill.contains(&of);
                if bad && self.told.insert((by, of)) {
                    news.extend(down(&[by], &[of]));
                } else if !bad && self.told.remove(&(by, of)) {
                    news.extend(up(&[by], &[of]));
                }
            }
            let nobody = !others.iter().any(|of| self.answers(by, *of));
            if nobody && self.alone.insert(by) {
                news.extend(itself("CRITICAL", &[by], "sight of peers"));
            } else if !nobody && self.alone.remove(&by) {
                news.extend(itself("RESOLVED", &[by], "sight of peers"));
            }
        }
        news
    }

    /// Changes one thing, on the nodes as well; says what.
    fn change(&mut self, fleet: &mut Fleet, dice: &mut Dice) -> String {
        let mut pick = |among: &[usize]| among[usize::try_from(dice.below(among.len() as u64)).unwrap()];
        let node = pick(&ALL);
        let other = pick(&others(node));
        match dice.below(6) {
            0 if self.dead.remove(&node) => {
                fleet.start_node(node);
                format!("n{node} is started")
            }
            0 | 1 if !self.frozen.contains(&node) && self.dead.insert(node) => {
                fleet.node(node).kill();
                format!("n{node} is killed")
            }
            2 if !self.dead.contains(&node) => {
                let agent = fleet.node(node).agent();
                if self.frozen.remove(&node) {
                    agent.resume().unwrap();
                    format!("n{node} is thawed")
                } else {
                    self.frozen.insert(node);
                    agent.pause().unwrap();
                    format!("n{node} is frozen")
                }
            }
            3 if !self.dead.contains(&node) && !self.frozen.contains(&node) => {
                let file = fleet.node(node).path("broken");
                if self.ill.remove(&node) {
                    std::fs::remove_file(file).unwrap();
                    format!("n{node} is well")
                } else {
                    self.ill.insert(node);
                    std::fs::write(file, "").unwrap();
                    format!("n{node} is ill")
                }
            }
            4 if self.cut.remove(&(node, other)).is_some() => {
                fleet.net.mend(node, other);
                format!("the way from n{node} to n{other} is mended")
            }
            _ => {
                let loss = if dice.below(2) == 0 { Loss::All } else { Loss::To(PORT) };
                self.cut.insert((node, other), loss);
                fleet.net.cut(node, other, loss);
                format!("the way from n{node} to n{other} is cut: {loss:?}")
            }
        }
    }

    /// Ends all of it. Those that are ill become well when all can see it: one that was dead meanwhile is ill until it
    /// has looked at itself.
    fn mend(&mut self, fleet: &mut Fleet, when: &str) {
        // Before anybody can miss them who did not yet.
        for node in std::mem::take(&mut self.dead) {
            let Fleet { net, nodes, .. } = &mut *fleet;
            net.on(node, || nodes[node - 1].start_in(&[]));
        }
        for node in std::mem::take(&mut self.frozen) {
            fleet.node(node).agent().resume().unwrap();
        }
        fleet.net.mend_all();
        self.cut.clear();
        fleet.hear(&format!("{when}, all are there"), self.news());
        for node in std::mem::take(&mut self.ill) {
            std::fs::remove_file(fleet.node(node).path("broken")).unwrap();
        }
        fleet.hear(&format!("{when}, all are well"), self.news());
        assert!(self.told.is_empty() && self.alone.is_empty());
    }
}

#[test]
fn whatever_comes_together_is_told_by_those_that_see_it() {
    let wanted = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let changes = if wanted("LICTOR_LONG") == Some(1) { 60 } else { 3 };
    let seed = wanted("LICTOR_SEED").unwrap_or(1);
    let mut dice = Dice(seed);
    let (mut fleet, mut model) = (Fleet::start(3_600), Model::default());
    for number in 1..=changes {
        let one = model.change(&mut fleet, &mut dice);
        let other = model.change(&mut fleet, &mut dice);
        println!("{number}: {one}, {other}");
        let news = model.news();
        fleet.hear(&format!("seed {seed}, change {number}: {one}, {other}: {model:?}"), news);
        if number % 6 == 0 || number == changes {
            model.mend(&mut fleet, &format!("seed {seed}, after change {number}"));
        }
    }
}
