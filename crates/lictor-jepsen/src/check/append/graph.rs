//! What has to come before what.

use std::collections::{HashMap, HashSet};

use super::reads::Orders;
use super::transaction::{Fate, Step, Transactions};

/// Why one comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Why {
    /// It appended to that list before the other appended that element.
    Ww { key: u32, element: u32 },
    /// It appended that element, with which the list ended that the other read.
    Wr { key: u32, element: u32 },
    /// It read that list without the element that the other appended.
    Rw { key: u32, element: u32 },
    /// It had ended before the other began.
    Time,
    /// On the way through a node that is no transaction.
    Through,
}

/// Nodes are transactions, and behind them such as stand for many edges: one for each end in time, which are in a
/// row, and one for each list, from those who read all of it to those whose elements nobody read.
#[derive(Debug)]
pub(super) struct Graph {
    /// How many nodes are transactions.
    pub(super) transactions: usize,
    /// Of each node where its edges go.
    pub(super) edges: Vec<Vec<(usize, Why)>>,
}

impl Graph {
    pub(super) fn new(transactions: &Transactions, orders: &Orders) -> Self {
        let count = transactions.all.len();
        let mut this = Self { transactions: count, edges: vec![Vec::new(); count] };
        let unread = this.lists(transactions, orders);
        this.reads(transactions, orders, &unread);
        this.time(transactions);
        this
    }

    fn node(&mut self) -> usize {
        self.edges.push(Vec::new());
        self.edges.len() - 1
    }

    fn edge(&mut self, from: usize, to: usize, why: Why) {
        if from != to {
            self.edges[from].push((to, why));
        }
    }

    /// Who appended before whom. What nobody read was appended behind all that was: for each list with such elements
    /// the node is returned that those who read all of it come before.
    fn lists(&mut self, transactions: &Transactions, orders: &Orders) -> HashMap<u32, usize> {
        let mut read = HashSet::new();
        for (key, list) in orders {
            read.extend(list.iter().map(|element| (*key, *element)));
            for pair in list.windows(2) {
                let [before, after] = pair else { continue };
                let writers = [before, after].map(|element| writer(transactions, *key, *element));
                if let [Some(before), Some(writer)] = writers {
                    self.edge(before, writer, Why::Ww { key: *key, element: *after });
                }
            }
        }
        let mut ends = HashMap::new();
        let mut unread: Vec<_> = transactions.writers.keys().filter(|place| !read.contains(place)).collect();
        unread.sort_unstable();
        for &(key, element) in unread {
            // What nobody saw and nobody knows of need not have happened.
            let Some(number) = writer(transactions, key, element)
                .filter(|number| transactions.all[*number].fate == Fate::Committed)
            else {
                continue;
            };
            let end = *ends.entry(key).or_insert_with(|| self.node());
            self.edge(end, number, Why::Rw { key, element });
            let last = orders.get(&key).and_then(|list| list.last());
            if let Some(last) = last.and_then(|last| writer(transactions, key, *last)) {
                self.edge(last, number, Why::Ww { key, element });
            }
        }
        ends
    }

    /// Who read what whom appended, and before whom.
    fn reads(&mut self, transactions: &Transactions, orders: &Orders, ends: &HashMap<u32, usize>) {
        for (number, transaction) in transactions.all.iter().enumerate() {
            if transaction.fate != Fate::Committed {
                continue;
            }
            for step in &transaction.steps {
                let Step::Read { key, list: Some(list) } = step else { continue };
                if let Some(element) = list.last()
                    && let Some(before) = writer(transactions, *key, *element)
                {
                    self.edge(before, number, Why::Wr { key: *key, element: *element });
                }
                // A list that does not fit says nothing of what came next.
                let Some(order) = orders.get(key).filter(|order| order.starts_with(list)) else { continue };
                if let Some(element) = order.get(list.len()) {
                    if let Some(after) = writer(transactions, *key, *element) {
                        self.edge(number, after, Why::Rw { key: *key, element: *element });
                    }
                } else if let Some(end) = ends.get(key) {
                    self.edge(number, *end, Why::Through);
                }
            }
        }
    }

    /// Who had ended before whom began: through a row of nodes, one for each end.
    fn time(&mut self, transactions: &Transactions) {
        let mut marks: Vec<(usize, bool, usize)> = Vec::new();
        for (number, transaction) in transactions.all.iter().enumerate() {
            if transaction.fate == Fate::Committed {
                marks.push((transaction.begin, false, number));
                marks.extend(transaction.end.map(|end| (end, true, number)));
            }
        }
        marks.sort_unstable();
        let mut last: Option<usize> = None;
        for (_, ends, number) in marks {
            if ends {
                let node = self.node();
                self.edge(number, node, Why::Time);
                if let Some(last) = last {
                    self.edge(last, node, Why::Time);
                }
                last = Some(node);
            } else if let Some(last) = last {
                self.edge(last, number, Why::Time);
            }
        }
    }
}

fn writer(transactions: &Transactions, key: u32, element: u32) -> Option<usize> {
    let number = transactions.writers.get(&(key, element))?.transaction;
    (transactions.all[number].fate != Fate::Aborted).then_some(number)
}
