//! What the search works on: the operations by their ends, and which of them are open at each end.

use std::collections::BTreeSet;

use super::model::{NEVER, Timed};

/// Operations that have an end are numbered by it, which is their *rank*; the others are apart.
#[derive(Debug)]
pub(super) struct Plan {
    /// The operation of each rank.
    pub(super) operations: Vec<usize>,
    /// Its end.
    pub(super) ends: Vec<u32>,
    /// Its lane.
    pub(super) lanes: Vec<u16>,
    /// How many lanes there are.
    pub(super) width: usize,
    /// Of each rank where its part of `open` begins; one more for the end.
    from: Vec<usize>,
    /// For each rank the ranks that are open right before its end and have not ended before, itself first.
    open: Vec<u32>,
    /// Those without an end, those of equal effects together, in the order of their beginnings.
    pub(super) classes: Vec<Vec<(u32, usize)>>,
}

/// Too much is open at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crowded {
    /// There are so many lanes.
    Lanes(usize),
    /// What is open would need so many bytes.
    Memory(u64),
}

impl Plan {
    /// Lays out operations. `memory` is the most bytes of what is open.
    pub(super) fn new<A: PartialEq>(operations: &[Timed<A>], memory: u64) -> Result<Self, Crowded> {
        let mut ranked: Vec<usize> =
            (0..operations.len()).filter(|at| operations[*at].end != NEVER).collect();
        ranked.sort_by_key(|at| (operations[*at].end, operations[*at].begin));
        let ends: Vec<u32> = ranked.iter().map(|at| operations[*at].end).collect();
        let begins: Vec<u32> = ranked.iter().map(|at| operations[*at].begin).collect();
        let mut by_begin: Vec<usize> = (0..ranked.len()).collect();
        by_begin.sort_by_key(|rank| begins[*rank]);

        let (lanes, width) = lanes(&by_begin, &begins, &ends);
        if width > usize::from(u16::MAX) {
            return Err(Crowded::Lanes(width));
        }
        let (from, open) = opened(&by_begin, &begins, &ends, memory)?;
        Ok(Self { operations: ranked, ends, lanes, width, from, open, classes: classes(operations) })
    }

    /// How many operations have an end.
    pub(super) fn len(&self) -> usize {
        self.operations.len()
    }

    /// What is open right before an end, in the order of the ends; nothing behind the last one.
    pub(super) fn open(&self, rank: u32) -> &[u32] {
        match self.from.get(rank as usize..) {
            Some([from, to, ..]) => &self.open[*from..*to],
            _ => &[],
        }
    }
}

/// The lane of each, and how many there are: the first one that is free.
fn lanes(by_begin: &[usize], begins: &[u32], ends: &[u32]) -> (Vec<u16>, usize) {
    let mut lanes = vec![0; ends.len()];
    let mut free = BTreeSet::new();
    let mut width = 0;
    // What is open, by its end.
    let mut busy = BTreeSet::new();
    for &rank in by_begin {
        while let Some(&(end, lane)) = busy.first() {
            if end >= begins[rank] {
                break;
            }
            busy.pop_first();
            free.insert(lane);
        }
        let lane = free.pop_first().unwrap_or_else(|| {
            width += 1;
            width - 1
        });
        busy.insert((ends[rank], lane));
        lanes[rank] = u16::try_from(lane).unwrap_or(u16::MAX);
    }
    (lanes, width)
}

/// What is open right before each end: where its part begins, and all parts.
fn opened(
    by_begin: &[usize],
    begins: &[u32],
    ends: &[u32],
    memory: u64,
) -> Result<(Vec<usize>, Vec<u32>), Crowded> {
    let mut from = Vec::with_capacity(ends.len() + 1);
    let mut open = Vec::new();
    let mut active: Vec<u32> = Vec::new();
    let mut next = 0;
    for end in ends {
        while let Some(&begun) = by_begin.get(next).filter(|begun| begins[**begun] < *end) {
            let begun = u32::try_from(begun).unwrap_or(u32::MAX);
            let place = active.partition_point(|other| *other < begun);
            active.insert(place, begun);
            next += 1;
        }
        from.push(open.len());
        open.extend_from_slice(&active);
        let bytes = open.len() as u64 * 4;
        if bytes > memory {
            return Err(Crowded::Memory(bytes));
        }
        // Ranks go by ends, so that the first one is the one that ends.
        active.remove(0);
    }
    from.push(open.len());
    Ok((from, open))
}

/// Those without an end by what they do.
fn classes<A: PartialEq>(operations: &[Timed<A>]) -> Vec<Vec<(u32, usize)>> {
    let mut classes: Vec<Vec<(u32, usize)>> = Vec::new();
    for (at, operation) in operations.iter().enumerate().filter(|(_, operation)| operation.end == NEVER) {
        let alike = classes.iter_mut().find(|class| {
            class.first().is_some_and(|(_, first)| operations[*first].action == operation.action)
        });
        match alike {
            Some(class) => class.push((operation.begin, at)),
            None => classes.push(vec![(operation.begin, at)]),
        }
    }
    for class in &mut classes {
        class.sort_unstable();
    }
    classes
}
