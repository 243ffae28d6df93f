//! Breaks a promise in a history, so that no order can explain it. Each returns false if there is no place for it.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::Dice;
use crate::history::{Kind, Op};

/// What is known of a write whose values are new each time.
struct Write {
    key: Option<Value>,
    value: Value,
    begin: u64,
    end: u64,
}

/// Writes that succeeded, in the order of their beginnings. A `cas` is one too.
fn writes(ops: &[Op]) -> Vec<Write> {
    let mut begun = HashMap::new();
    let mut writes = Vec::new();
    for op in ops.iter().filter(|op| op.f == "write" || op.f == "cas") {
        if op.kind == Kind::Invoke {
            begun.insert(op.process, op.index);
        } else if op.kind == Kind::Ok
            && let Some(begin) = begun.remove(&op.process)
        {
            let value = if op.f == "cas" { op.value.get(1).cloned() } else { Some(op.value.clone()) };
            writes.push(Write {
                key: op.key.clone(),
                value: value.unwrap_or_default(),
                begin,
                end: op.index,
            });
        }
    }
    writes.sort_by_key(|write| write.begin);
    writes
}

/// Lets a read find a value that was overwritten for certain before it began. Values have to be new each time.
pub fn stale_read(ops: &mut [Op], dice: &mut Dice) -> bool {
    let writes = writes(ops);
    let mut begun = HashMap::new();
    let mut places = Vec::new();
    for (place, op) in ops.iter().enumerate().filter(|(_, op)| op.f == "read") {
        match op.kind {
            Kind::Invoke => {
                begun.insert(op.process, op.index);
            }
            Kind::Ok => places.extend(begun.remove(&op.process).map(|begin| (place, begin))),
            Kind::Fail | Kind::Info => {}
        }
    }
    let mut found = Vec::new();
    for (place, begin) in places {
        let key = &ops[place].key;
        // The last one that had ended before the read began, and an older one that had ended before that one.
        let newer = writes.iter().rfind(|write| write.key == *key && write.end < begin);
        let Some(newer) = newer else { continue };
        let older = writes.iter().rfind(|write| write.key == *key && write.end < newer.begin);
        found.extend(older.map(|older| (place, older.value.clone())));
    }
    let Some((place, value)) = pick(found, dice) else { return false };
    ops[place].value = value;
    true
}

/// Takes a write that succeeded and was read away from all who read it: they find what was there before. Values have to be new
/// each time.
pub fn lost_update(ops: &mut [Op], dice: &mut Dice) -> bool {
    let writes = writes(ops);
    let lost = writes.iter().filter(|write| {
        // Somebody reads it after it had ended.
        ops.iter()
            .any(|op| op.f == "read" && op.kind == Kind::Ok && op.key == write.key && op.value == write.value)
            && writes.iter().any(|before| before.key == write.key && before.end < write.begin)
    });
    let lost: Vec<&Write> = lost.collect();
    let Some(lost) = pick(lost, dice) else { return false };
    let before = writes.iter().rfind(|write| write.key == lost.key && write.end < lost.begin);
    let Some(before) = before.map(|before| before.value.clone()) else { return false };
    let mut begun = HashMap::new();
    let mut changed = false;
    let places: Vec<usize> = (0..ops.len()).filter(|place| ops[*place].f == "read").collect();
    for place in places {
        let op = &mut ops[place];
        if op.kind == Kind::Invoke {
            begun.insert(op.process, op.index);
        } else if op.kind == Kind::Ok && op.key == lost.key && op.value == lost.value {
            op.value = before.clone();
            changed |= begun.get(&op.process).is_some_and(|begin| *begin > lost.end);
        }
    }
    changed
}

/// Lets a second session acquire a lock while it is held for certain.
pub fn double_acquire(ops: &mut Vec<Op>, dice: &mut Dice) -> bool {
    let mut held: HashMap<Value, usize> = HashMap::new();
    let mut places = Vec::new();
    for (place, op) in ops.iter().enumerate() {
        match (op.f.as_str(), op.kind) {
            ("acquire", Kind::Ok) => {
                held.insert(op.value.clone(), place);
            }
            ("release", Kind::Invoke) => {
                places.extend(held.remove(&op.value).map(|from| (from, place, op.value.clone())));
            }
            _ => {}
        }
    }
    // Whoever tries to release it and succeeds had it all the time.
    places.retain(|(_, _, session)| {
        ops.iter().any(|op| op.f == "release" && op.kind == Kind::Ok && op.value == *session)
    });
    let Some((from, to, _)) = pick(places, dice) else { return false };
    let process = crate::history::Process::Client(1_000_000_000);
    let after = &ops[from];
    let invoke = Op::invoke(after.time, process, "acquire", after.key.clone(), json!("thief"));
    let end = invoke.complete(after.time, Kind::Ok, json!("thief"));
    ops.splice(from + 1..from + 1, [invoke, end]);
    debug_assert!(to > from, "a release comes after its acquire");
    for (index, op) in ops.iter_mut().enumerate() {
        op.index = index as u64;
    }
    true
}

/// Takes an element that was added away from a read that began after that.
pub fn lost_element(ops: &mut [Op], dice: &mut Dice) -> bool {
    let added: Vec<(u64, Value)> = ops
        .iter()
        .filter(|op| op.f == "add" && op.kind == Kind::Ok)
        .map(|op| (op.index, op.value.clone()))
        .collect();
    let mut begun = HashMap::new();
    let mut places = Vec::new();
    for (place, op) in ops.iter().enumerate().filter(|(_, op)| op.f == "read") {
        match op.kind {
            Kind::Invoke => {
                begun.insert(op.process, op.index);
            }
            Kind::Ok => {
                if let Some(begin) = begun.remove(&op.process) {
                    places.extend(
                        added.iter().filter(|(end, _)| *end < begin).map(|(_, value)| (place, value)),
                    );
                }
            }
            Kind::Fail | Kind::Info => {}
        }
    }
    let Some((place, value)) = pick(places, dice).map(|(place, value)| (place, value.clone())) else {
        return false;
    };
    if let Some(list) = ops[place].value.as_array_mut() {
        list.retain(|element| *element != value);
    }
    true
}

fn pick<T>(mut of: Vec<T>, dice: &mut Dice) -> Option<T> {
    if of.is_empty() {
        return None;
    }
    let place = dice.below(of.len() as u64);
    usize::try_from(place).ok().map(|place| of.swap_remove(place))
}
