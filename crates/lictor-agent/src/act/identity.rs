//! What an order is called in front of others.

use std::fmt::Write as _;

use lictor_core::Order;

/// Of a node's name, bytes that are shown: no host has a longer one, and the whole stays below
/// the 255 characters that servers allow an idempotency key.
const NODE: usize = 64;

/// Of a store's lineage, digits that are shown: two stores of one node are told apart.
const LINEAGE: usize = 8;

/// Names orders so that no other node, and no earlier store of this one, gives the same name
/// to something else: runs are counted anew in each store.
#[derive(Clone, Debug)]
pub(super) struct Namer {
    node: String,
    lineage: String,
}

impl Namer {
    /// A name is fit for a header and for a word of a shell, whatever the host is called.
    pub(super) fn new(node: &str, lineage: &str) -> Self {
        let fit = |c: char| if c.is_ascii_alphanumeric() || "-._:@".contains(c) { c } else { '_' };
        Self {
            node: node.chars().take(NODE).map(fit).collect(),
            lineage: lineage.chars().take(LINEAGE).map(fit).collect(),
        }
    }

    /// `node1.3f2a9c51/r17/restart/1`.
    pub(super) fn name(&self, order: &Order) -> String {
        format!("{}{}", self.node, self.tail(order))
    }

    /// Whether this variable of a process (`NAME=value`) says that the process belongs to the
    /// order. The node may have been called otherwise when it was started.
    pub(super) fn marks(&self, variable: &[u8], order: &Order) -> bool {
        variable.starts_with(b"LICTOR_STEP=") && variable.ends_with(self.tail(order).as_bytes())
    }

    fn tail(&self, order: &Order) -> String {
        let mut tail = format!(".{}", self.lineage);
        // Writing to a string cannot fail.
        write!(tail, "/{order}").ok();
        tail
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lictor_core::{ActionName, RemedyName, RunId, StepName, Target};

    fn order(run: u64, step: &str) -> Order {
        Order {
            run: RunId(run),
            step: StepName::new(step).unwrap(),
            attempt: 1,
            action: Some(ActionName::new("a").unwrap()),
            target: Target::new("t").unwrap(),
            remedy: RemedyName::new("r").unwrap(),
            definition: "d".to_owned(),
            lease: None,
            notes: lictor_core::Notes::default(),
            captures: lictor_core::Captures::default(),
            change: None,
            since: lictor_core::Boot::default(),
        }
    }

    #[test]
    fn two_nodes_and_two_stores_of_one_never_give_the_same_name() {
        let name = |node, lineage| Namer::new(node, lineage).name(&order(1, "restart"));
        assert_eq!(name("node1", "3f2a9c5177aa"), "node1.3f2a9c51/r1/restart/1");
        assert_ne!(name("node1", "3f2a9c5177aa"), name("node2", "3f2a9c5177aa"));
        assert_ne!(name("node1", "3f2a9c5177aa"), name("node1", "0b11d2e077aa"));
    }

    #[test]
    fn a_name_can_be_sent_whatever_host_and_step_are_called() {
        let odd = Namer::new("Zoë's host/1\n", "3f2a9c51").name(&order(1, "a"));
        assert_eq!(odd, "Zo__s_host_1_.3f2a9c51/r1/a/1");
        let name = Namer::new(&"n".repeat(500), &"0".repeat(32)).name(&order(u64::MAX, &"s".repeat(128)));
        assert!(name.len() <= 255, "{}", name.len());
    }

    #[test]
    fn a_process_is_known_by_store_and_order_also_when_the_node_was_renamed() {
        let before = format!("LICTOR_STEP={}", Namer::new("old", "3f2a9c51").name(&order(1, "a")));
        let now = Namer::new("new", "3f2a9c51");
        assert!(now.marks(before.as_bytes(), &order(1, "a")));
        assert!(!now.marks(before.as_bytes(), &order(11, "a")));
        assert!(!now.marks(before.replace("STEP", "OTHER").as_bytes(), &order(1, "a")));
        assert!(!Namer::new("old", "00000000").marks(before.as_bytes(), &order(1, "a")));
    }
}
