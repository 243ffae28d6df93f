//! What can be told before a round is over: a peer that was refused at once must not wait for one that hangs.
//!
//! Only where a node tells by itself what it sees by itself. Where others must agree, or take turns in telling, what
//! they see now is known when all of them have been asked; and whether this node is the one that is cut off is known
//! as soon as one peer has answered.

use super::entry::Entry;
use super::mesh::{Change, Mesh};
use super::plan::WhoTells;
use crate::time::Now;

impl Mesh {
    /// Whether those who are told know a peer otherwise than the looks of this round have it, and need not wait for
    /// the rest of them.
    pub fn is_news(&self, id: &str) -> bool {
        self.tells_alone() && self.entries.get(id).is_some_and(Entry::is_news)
    }

    /// Looks of a round are still out: judges the peers that are news, as [`Mesh::judge`] would at its end. Nothing as
    /// long as it may be this node that is cut off, and nothing before its first round is over.
    pub fn judge_early(&mut self, now: Now) -> Vec<Change> {
        let sees = self.at.is_some() && self.answered && self.cut_off.is_none() && self.blind.is_none();
        if sees && self.tells_alone() { self.judge_peers(false, now, Entry::is_news) } else { Vec::new() }
    }

    fn tells_alone(&self) -> bool {
        self.plan.confirm.get() == 1 && self.plan.tell == WhoTells::Each
    }
}

impl Entry {
    /// Whether it stands otherwise than was told. How it stands first is no news: nobody knew it otherwise.
    fn is_news(&self) -> bool {
        let told = self.verdict.as_ref().map(|verdict| verdict.status);
        self.is_looked_at() && self.stood.zip(told).is_some_and(|((stands, _), told)| stands != told)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::super::{Looked, MeshPlan, Peer, Seen};
    use super::*;
    use crate::check::Status;
    use crate::time::Boot;

    fn at(seconds: u64) -> Now {
        Now { boot: Boot::from_millis(seconds * 1_000), ..Now::default() }
    }

    fn id(node: u32) -> String {
        format!("n{node}:5988")
    }

    /// A node that saw `n2` to `n4` well in its first round, and tells of one that did not answer once.
    fn mesh(shape: impl Fn(&mut MeshPlan)) -> Mesh {
        let mut plan = MeshPlan {
            node: "n1".to_owned(),
            every: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            fail_after: NonZeroU32::MIN,
            pass_after: NonZeroU32::MIN,
            confirm: NonZeroU32::MIN,
            tell: WhoTells::Each,
            watchers: None,
            vanished: true,
        };
        shape(&mut plan);
        let mut mesh = Mesh::new(plan, Vec::new());
        let named = |node| Peer { id: id(node), host: format!("n{node}"), addresses: Vec::new() };
        mesh.found((2..=4).map(named).collect(), Some(id(1)), at(1));
        for node in 2..=4 {
            sees(&mut mesh, node, true, 10);
            assert!(!mesh.is_news(&id(node)), "how it stands first is told when the round is over");
            assert_eq!(told(&mut mesh, 10), [""; 0]);
        }
        assert_eq!(mesh.judge(false, at(10)).peers.len(), 3);
        mesh
    }

    fn sees(mesh: &mut Mesh, node: u32, well: bool, time: u64) {
        let seen = match well {
            true => Seen::Report { good: 1, total: 1, failing: Vec::new() },
            false => Seen::Silent { why: "connection refused".to_owned() },
        };
        mesh.looked(&id(node), Looked { seen, address: None, says: None }, at(time));
    }

    fn told(mesh: &mut Mesh, time: u64) -> Vec<String> {
        let line = |change: Change| format!("{} {}", change.verdict.status.as_str(), change.peer.id);
        mesh.judge_early(at(time)).into_iter().map(line).collect()
    }

    #[test]
    fn who_tells_alone_tells_of_a_peer_once_and_before_the_round_is_over() {
        let mut mesh = mesh(|_| {});
        sees(&mut mesh, 2, true, 20);
        sees(&mut mesh, 3, false, 20);
        assert!(mesh.is_news(&id(3)) && !mesh.is_news(&id(2)));
        assert_eq!(told(&mut mesh, 20), ["critical n3:5988"]);
        assert_eq!(told(&mut mesh, 20), [""; 0], "it is known now");
        assert!(!mesh.is_news(&id(3)));
        sees(&mut mesh, 4, true, 21);
        assert_eq!(mesh.judge(false, at(21)).peers, []);
        assert_eq!(mesh.known().iter().filter(|known| known.told).count(), 1);

        for (node, well) in [(2, true), (3, true)] {
            sees(&mut mesh, node, well, 30);
        }
        assert_eq!(told(&mut mesh, 30), ["passing n3:5988"]);
    }

    #[test]
    fn nothing_is_told_early_while_this_node_may_be_the_one_that_is_cut_off() {
        let mut mesh = mesh(|_| {});
        sees(&mut mesh, 2, false, 20);
        sees(&mut mesh, 3, false, 20);
        assert!(mesh.is_news(&id(2)));
        assert_eq!(told(&mut mesh, 20), [""; 0], "nobody has answered in this round");
        sees(&mut mesh, 4, false, 25);
        let changes = mesh.judge(false, at(25));
        assert_eq!((changes.peers.len(), changes.alone.unwrap().status), (3, Status::Critical));

        sees(&mut mesh, 2, true, 30);
        assert_eq!(told(&mut mesh, 30), [""; 0], "that it is not is told with what follows from it");
        let changes = mesh.judge(false, at(30));
        assert_eq!((changes.peers.len(), changes.alone.unwrap().status), (1, Status::Passing));
    }

    #[test]
    fn after_a_restart_a_first_round_is_judged_as_a_whole() {
        let before = mesh(|_| {});
        let mut mesh = Mesh::new(before.plan.clone(), before.known());
        sees(&mut mesh, 2, true, 60);
        sees(&mut mesh, 3, false, 60);
        assert_eq!(told(&mut mesh, 60), [""; 0]);
        assert_eq!(mesh.judge(true, at(60)).peers.len(), 3);
    }

    #[test]
    fn where_nodes_agree_or_take_turns_a_peer_is_told_when_the_round_is_over() {
        let two = NonZeroU32::new(2).unwrap();
        let shapes: [fn(&mut MeshPlan, NonZeroU32); 2] =
            [|plan, two| plan.confirm = two, |plan, _| plan.tell = WhoTells::One];
        for shape in shapes {
            let mut mesh = mesh(|plan| shape(plan, two));
            sees(&mut mesh, 2, true, 20);
            sees(&mut mesh, 3, false, 20);
            assert!(!mesh.is_news(&id(3)));
            assert_eq!(told(&mut mesh, 20), [""; 0]);
            sees(&mut mesh, 4, true, 20);
            assert_eq!(mesh.judge(false, at(20)).peers.len(), 1);
        }
    }
}
