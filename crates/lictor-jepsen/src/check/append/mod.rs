//! Transactions that append to lists and read them: strict serializability, by cycles in what must come before what, in
//! the manner of Elle.
//!
//! A list says in which order its elements came. From that follows who wrote before whom (`ww`), who read what
//! someone wrote (`wr`), and who read before someone wrote (`rw`); who had ended before another one began comes before
//! that one in time. In an order that explains everything all of them point one way, so a cycle means that there is none:
//!
//! | name | cycle of |
//! |---|---|
//! | G0 | `ww` |
//! | G1c | `ww` and `wr` |
//! | G-single | one `rw` and others |
//! | G2-item | several `rw` and others |
//!
//! and each with `-realtime` if it takes the time besides. What needs no cycle is looked at first: reads of what was
//! aborted (G1a), of the middle of a transaction (G1b), of what nobody appended, twice the same element, lists that are
//! no beginning of one another, and transactions that do not see their own appends.

mod cycle;
mod graph;
mod reads;
mod transaction;

use super::{Check, Finding, Outcome, Verdict};
use crate::history::History;
use transaction::{Fate, Transactions};

/// Judges `txn` calls whose value is `[["append", key, element], ["r", key, list], …]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Append;

impl Check for Append {
    fn name(&self) -> String {
        "append".to_owned()
    }

    fn check(&self, history: &History) -> Outcome {
        let transactions = match Transactions::of(history) {
            Ok(transactions) => transactions,
            Err(why) => return Outcome::new("append", Verdict::Unknown, format!("it was not judged: {why}")),
        };
        let committed = transactions.all.iter().filter(|one| one.fate == Fate::Committed).count();
        let (orders, wrong) = reads::judge(&transactions);
        let graph = graph::Graph::new(&transactions, &orders);
        let cycles = cycle::find(&transactions, &graph);
        let mut kinds: Vec<&str> = wrong.iter().map(|wrong| wrong.kind).collect();
        kinds.extend(cycles.iter().map(|cycle| cycle.kind));
        kinds.sort_unstable();
        kinds.dedup();
        let told = cycles.into_iter().chain(wrong);
        let findings: Vec<Finding> = told.map(|wrong| finding(history, &transactions, wrong)).collect();
        let (verdict, summary) = if !findings.is_empty() {
            (Verdict::Invalid, format!("no order explains the transactions: {}", kinds.join(", ")))
        } else if committed == 0 {
            (Verdict::Unknown, "no transaction succeeded".to_owned())
        } else {
            (Verdict::Valid, format!("nothing speaks against an order of the {committed} transactions"))
        };
        let mut outcome = Outcome::new("append", verdict, summary).with(findings);
        outcome.fact("transactions", transactions.all.len());
        outcome.fact("committed", committed);
        outcome.fact("lists", transactions.keys.len());
        outcome
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wrong {
    kind: &'static str,
    text: String,
    /// The transactions that show it.
    of: Vec<usize>,
}

fn finding(history: &History, transactions: &Transactions, wrong: Wrong) -> Finding {
    let calls = wrong.of.iter().filter_map(|one| history.calls().get(transactions.all.get(*one)?.call));
    let entries = calls.flat_map(|call| {
        [Some(history.invoke(call).index), history.end(call).map(|end| end.index)].into_iter().flatten()
    });
    Finding::new(wrong.text, entries.collect())
}

#[cfg(test)]
mod tests;
