//! What single reads tell: what needs no cycle, and the order of each list.

use std::collections::{HashMap, HashSet};

use super::Wrong;
use super::transaction::{Fate, Step, Transactions};

/// The longest list that was read of each key.
pub(super) type Orders = HashMap<u32, Vec<u32>>;

/// Looks at each read, and says in which order each list grew.
pub(super) fn judge(transactions: &Transactions) -> (Orders, Vec<Wrong>) {
    let mut wrong = Vec::new();
    let mut longest: HashMap<u32, (usize, &[u32])> = HashMap::new();
    let mut reads: Vec<(usize, u32, &[u32])> = Vec::new();
    for (number, transaction) in transactions.all.iter().enumerate() {
        if transaction.fate != Fate::Committed {
            continue;
        }
        own(transactions, number, &mut wrong);
        for step in &transaction.steps {
            let Step::Read { key, list: Some(list) } = step else { continue };
            reads.push((number, *key, list));
            let known = longest.entry(*key).or_insert((number, list));
            if list.len() > known.1.len() {
                *known = (number, list);
            }
        }
    }
    for &(number, key, list) in &reads {
        last(transactions, number, key, list, &mut wrong);
        let Some(&(other, long)) = longest.get(&key) else { continue };
        // What is the beginning of another list is looked at with that one.
        if number == other && std::ptr::eq(list, long) {
            contents(transactions, number, key, list, &mut wrong);
        } else if !long.starts_with(list) {
            contents(transactions, number, key, list, &mut wrong);
            wrong.push(incompatible(transactions, key, (number, list), (other, long)));
        }
    }
    (longest.into_iter().map(|(key, (_, list))| (key, list.to_vec())).collect(), wrong)
}

fn incompatible(
    transactions: &Transactions,
    key: u32,
    (reader, list): (usize, &[u32]),
    (other, long): (usize, &[u32]),
) -> Wrong {
    let same = long.iter().zip(list).take_while(|(one, other)| one == other).count();
    Wrong {
        kind: "incompatible order",
        text: format!(
            "incompatible order: {} and {} read lists of {} that are no beginning of one another; from element {} on they are {} and {}",
            transactions.name(reader),
            transactions.name(other),
            transactions.key_name(key),
            same + 1,
            part(transactions, list, same),
            part(transactions, long, same),
        ),
        of: vec![reader, other],
    }
}

/// Some elements of a list from a place on.
fn part(transactions: &Transactions, list: &[u32], from: usize) -> String {
    let names: Vec<String> =
        list.iter().skip(from).take(3).map(|element| transactions.element_name(*element)).collect();
    let more = if list.len() > from + 3 { ", …" } else { "" };
    format!("[{}{more}]", names.join(", "))
}

/// That a transaction sees what it read and appended itself.
fn own(transactions: &Transactions, number: usize, wrong: &mut Vec<Wrong>) {
    // Of each list what is known of it: all, or how it ends.
    let mut known: HashMap<u32, (bool, Vec<u32>)> = HashMap::new();
    for step in &transactions.all[number].steps {
        match step {
            Step::Append { key, element } => {
                known.entry(*key).or_insert_with(|| (false, Vec::new())).1.push(*element);
            }
            Step::Read { key, list: Some(list) } => {
                let fits = known
                    .get(key)
                    .is_none_or(|(whole, tail)| if *whole { list == tail } else { list.ends_with(tail) });
                if let (false, Some((_, tail))) = (fits, known.get(key)) {
                    let end = |list: &[u32]| part(transactions, list, list.len().saturating_sub(3));
                    let text = format!(
                        "internal: {} does not see its own earlier steps in {}: the list it reads ends with {}, and has to with {}",
                        transactions.name(number),
                        transactions.key_name(*key),
                        end(list),
                        end(tail),
                    );
                    wrong.push(Wrong { kind: "internal", text, of: vec![number] });
                }
                known.insert(*key, (true, list.clone()));
            }
            Step::Read { list: None, .. } => {}
        }
    }
}

/// That what is read was appended by one who committed, and once.
fn contents(transactions: &Transactions, number: usize, key: u32, list: &[u32], wrong: &mut Vec<Wrong>) {
    let reader = transactions.name(number);
    let name = |element| format!("{} of {}", transactions.element_name(element), transactions.key_name(key));
    let mut seen = HashSet::new();
    for element in list {
        if !seen.insert(element) {
            let text = format!("duplicate: {reader} reads {} twice", name(*element));
            wrong.push(Wrong { kind: "duplicate", text, of: vec![number] });
        }
        match transactions.writers.get(&(key, *element)) {
            None => {
                let text = format!("phantom: {reader} reads {}, which nobody appended", name(*element));
                wrong.push(Wrong { kind: "phantom", text, of: vec![number] });
            }
            Some(writer) if transactions.all[writer.transaction].fate == Fate::Aborted => {
                let by = transactions.name(writer.transaction);
                let text =
                    format!("G1a: {reader} reads {}, which {by} appended, and that failed", name(*element));
                wrong.push(Wrong { kind: "G1a", text, of: vec![number, writer.transaction] });
            }
            Some(_) => {}
        }
    }
}

/// That a list does not end in the middle of another transaction.
fn last(transactions: &Transactions, number: usize, key: u32, list: &[u32], wrong: &mut Vec<Wrong>) {
    let Some(element) = list.last() else { return };
    let Some(writer) = transactions.writers.get(&(key, *element)) else { return };
    if writer.last || writer.transaction == number {
        return;
    }
    let text = format!(
        "G1b: {} reads a list of {} that ends with {}, after which {} appended more",
        transactions.name(number),
        transactions.key_name(key),
        transactions.element_name(*element),
        transactions.name(writer.transaction),
    );
    wrong.push(Wrong { kind: "G1b", text, of: vec![number, writer.transaction] });
}
