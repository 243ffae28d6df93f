//! Which values somebody has seen, and when: what registers know besides.

use std::collections::HashMap;

use serde_json::Value;

use super::{NEVER, Timed};

/// The number of `null`, which is what a register holds before anything was written.
pub(super) const NIL: u32 = 0;

/// Values as numbers.
#[derive(Debug, Default)]
pub struct Values {
    /// Whole numbers apart, as almost all values are.
    whole: HashMap<i64, u32>,
    other: HashMap<String, u32>,
}

impl Values {
    /// The number of a value. Equal ones have equal ones.
    pub(crate) fn number(&mut self, value: &Value) -> u32 {
        if value.is_null() {
            return NIL;
        }
        let next = u32::try_from(self.whole.len() + self.other.len() + 1).unwrap_or(u32::MAX);
        match value.as_i64() {
            Some(number) => *self.whole.entry(number).or_insert(next),
            None => *self.other.entry(value.to_string()).or_insert(next),
        }
    }
}

/// An end that nobody knows, of something that was seen.
const SOMETIME: u32 = NEVER - 1;

/// What an operation has to do with values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// The value that is there before it.
    pub(super) sees: Option<u32>,
    /// The value that is there after it.
    pub(super) makes: Option<u32>,
}

/// Of a value: who makes and who sees it.
#[derive(Clone, Copy, Debug, Default)]
struct Sight {
    makers: u32,
    /// One more than the last position at which a read begins that sees it; 0 if none does.
    read: u32,
    /// How many that have an end change it into another one.
    changed: u32,
    /// How many that may or may not have happened do.
    perhaps: u32,
}

/// Of all values of a register: who makes and who sees them.
#[derive(Debug, Default)]
pub(super) struct Sights(Vec<Sight>);

impl Sights {
    pub(super) fn new<A>(operations: &[Timed<A>], part: impl Fn(&A) -> Part) -> Self {
        let mut sights = Self(Vec::new());
        // What is there at first was made by nobody whom one sees.
        sights.at(NIL).makers += 1;
        for operation in operations {
            let Part { sees, makes } = part(&operation.action);
            if let Some(value) = makes {
                sights.at(value).makers += 1;
            }
            let Some(value) = sees else { continue };
            let sight = sights.at(value);
            match (makes, operation.end) {
                (None, _) => sight.read = sight.read.max(operation.begin + 1),
                (Some(_), NEVER) => sight.perhaps += 1,
                (Some(_), _) => sight.changed += 1,
            }
        }
        sights
    }

    fn at(&mut self, value: u32) -> &mut Sight {
        let place = value as usize;
        if self.0.len() <= place {
            self.0.resize(place + 1, Sight::default());
        }
        &mut self.0[place]
    }

    fn of(&self, value: u32) -> Sight {
        self.0.get(value as usize).copied().unwrap_or_default()
    }

    /// Whether a value is made by one operation at most.
    pub(super) fn once(&self, value: u32) -> bool {
        self.of(value).makers == 1
    }

    /// Whether a value that is there now, and whose open readers have read it, must not be overwritten: it comes
    /// once, and somebody will see it later.
    pub(super) fn held(&self, value: u32, part: Part, now: u32) -> bool {
        let sight = self.of(value);
        sight.makers == 1 && (sight.read > now || (sight.changed > 0 && part.sees != Some(value)))
    }

    /// Whether nobody sees a value right after it is made, of those that are open and those that nobody knows of.
    pub(super) fn in_vain(&self, value: u32, mut seen: impl Iterator<Item = u32>) -> bool {
        self.of(value).perhaps == 0 && !seen.any(|other| other == value)
    }

    /// Whether all who see a value are readers that are open or done.
    pub(super) fn seen_by(&self, value: u32, now: u32) -> bool {
        let sight = self.of(value);
        sight.read <= now && sight.changed == 0 && sight.perhaps == 0
    }
}

/// Leaves out what nobody knows of and whose value nobody saw. If an order has one of them, then without it the value before it
/// stays there longer, and nobody looks.
///
/// What made a value that nobody else made, and that was seen, happened before it was seen: it gets that end.
pub(super) fn simplify<A>(operations: &mut Vec<Timed<A>>, part: impl Fn(&A) -> Part) {
    let mut makers: HashMap<u32, u32> = HashMap::from([(NIL, 1)]);
    for value in operations.iter().filter_map(|operation| part(&operation.action).makes) {
        *makers.entry(value).or_default() += 1;
    }
    // What nobody knows of, by what it makes; and what was seen, with the end of who saw it.
    let mut unsure: HashMap<u32, Vec<usize>> = HashMap::new();
    let mut news = Vec::new();
    for (position, operation) in operations.iter().enumerate() {
        let Part { sees, makes } = part(&operation.action);
        match (operation.end, makes) {
            (NEVER, Some(value)) => unsure.entry(value).or_default().push(position),
            (end, _) => news.extend(sees.map(|value| (value, end.min(SOMETIME)))),
        }
    }
    let mut seen: HashMap<u32, u32> = HashMap::new();
    while let Some((value, by)) = news.pop() {
        if seen.get(&value).is_some_and(|known| *known <= by) {
            continue;
        }
        seen.insert(value, by);
        // Who made it saw what was there before, and by then at the latest if nobody else can have made it.
        let by = if makers.get(&value) == Some(&1) { by } else { SOMETIME };
        let makers = unsure.get(&value).into_iter().flatten();
        news.extend(makers.filter_map(|maker| Some((part(&operations[*maker].action).sees?, by))));
    }
    operations.retain_mut(|operation| {
        let Some(value) = part(&operation.action).makes.filter(|_| operation.end == NEVER) else {
            return true;
        };
        let Some(by) = seen.get(&value) else { return false };
        let alone = makers.get(&value) == Some(&1);
        if alone && *by < SOMETIME && *by > operation.begin {
            operation.end = *by;
        }
        true
    });
}
