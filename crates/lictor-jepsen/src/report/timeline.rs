//! Timelines: a row for each process, a bar for each call.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::html::{clock, escape};
use super::plot::{bands, class, ticks};
use crate::check::linear::described;
use crate::history::{Call, History, Process};

const WIDTH: u64 = 1100;
const LEFT: u64 = 60;
const ROW: u64 = 15;
const TOP: u64 = 20;

/// Most bars of a timeline.
pub(super) const BARS: usize = 5000;

/// Most rows.
const ROWS: usize = 80;

/// Most bars of the calls around a finding.
const AROUND: usize = 600;

/// Calls that are drawn, from a time to a time.
struct Timeline<'a> {
    history: &'a History,
    calls: Vec<&'a Call>,
    from: u64,
    to: u64,
    /// Entries that findings name.
    named: BTreeSet<u64>,
}

/// All of the run.
pub(super) fn whole(history: &History, named: &[u64]) -> String {
    let named: BTreeSet<u64> = named.iter().copied().collect();
    let all = history.calls();
    let step = all.len().div_ceil(BARS).max(1);
    let calls = all
        .iter()
        .enumerate()
        .filter(|(place, call)| place % step == 0 || named.contains(&history.invoke(call).index));
    let calls: Vec<&Call> = calls.map(|(_, call)| call).take(2 * BARS).collect();
    let told = if step > 1 {
        format!("Drawn is one of {step} of {} calls, and those that are named above.", all.len())
    } else {
        String::new()
    };
    Timeline { history, calls, from: 0, to: history.duration().max(1), named }.draw(&told)
}

/// What happened around some entries.
pub(super) fn around(history: &History, entries: &[u64]) -> String {
    let named: BTreeSet<u64> = entries.iter().copied().collect();
    let own = history.calls().iter().filter(|call| named.contains(&history.invoke(call).index));
    let own: Vec<&Call> = own.collect();
    let begin = own.iter().map(|call| history.invoke(call).time).min();
    let end = own.iter().filter_map(|call| Some(history.end(call)?.time)).max();
    let (Some(begin), Some(end)) = (begin, end) else { return String::new() };
    let margin = (end.saturating_sub(begin) / 20).max(1_000_000);
    let (from, to) = (begin.saturating_sub(margin), end + margin);
    let meets = |call: &&Call| {
        let ends = history.end(call).map_or(u64::MAX, |end| end.time);
        history.invoke(call).time <= to && ends >= from
    };
    // Only what concerns the same things.
    let keys: Vec<_> = own.iter().map(|call| &history.invoke(call).key).collect();
    let mut calls: Vec<&Call> = history
        .calls()
        .iter()
        .filter(meets)
        .filter(|call| keys.contains(&&history.invoke(call).key))
        .collect();
    let all = calls.len();
    let mut told = String::new();
    if all > AROUND {
        let step = all.div_ceil(AROUND);
        let mut place = 0;
        calls.retain(|call| {
            place += 1;
            place % step == 0 || named.contains(&history.invoke(call).index)
        });
        told = format!(
            "Drawn is one of {step} of the {all} calls of this time, and those that are named above."
        );
    }
    Timeline { history, calls, from, to, named }.draw(&told)
}

impl Timeline<'_> {
    fn x(&self, time: u64) -> u64 {
        let room = u128::from(WIDTH - LEFT - 10);
        let time = time.clamp(self.from, self.to) - self.from;
        LEFT + u64::try_from(room * u128::from(time) / u128::from((self.to - self.from).max(1)))
            .unwrap_or_default()
    }

    /// The row of each process. A number that ends leaves its row to a later one.
    fn rows(&self) -> (HashMap<Process, usize>, usize) {
        let mut lives: BTreeMap<Process, (u64, u64)> = BTreeMap::new();
        for call in &self.calls {
            let invoke = self.history.invoke(call);
            let end = self.history.end(call).map_or(self.to, |end| end.time);
            let life = lives.entry(invoke.process).or_insert((invoke.time, end));
            *life = (life.0.min(invoke.time), life.1.max(end));
        }
        let mut order: Vec<(Process, (u64, u64))> = lives.into_iter().collect();
        // Those that are there from the beginning in the order of their numbers, whoever was quicker by a moment.
        let soon = self.from + (self.to - self.from) / 50;
        order.sort_by_key(|(process, life)| (life.0.max(soon), *process));
        let mut free: Vec<u64> = Vec::new();
        let mut rows = HashMap::new();
        for (process, (from, to)) in order {
            let row = free.iter().position(|until| *until < from).unwrap_or(free.len());
            match free.get_mut(row) {
                Some(until) => *until = to,
                None => free.push(to),
            }
            rows.insert(process, row);
        }
        (rows, free.len())
    }

    fn draw(&self, told: &str) -> String {
        let (rows, count) = self.rows();
        let shown = count.min(ROWS);
        let bottom = TOP + ROW * shown as u64;
        let height = bottom + 24;
        let mut out = format!(
            "<figure><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"calls by process\">\n"
        );
        out.push_str(&bands(self.history, |time| self.x(time), TOP - 4, bottom));
        for time in ticks(self.from, self.to) {
            let (x, y) = (self.x(time), bottom + 16);
            out.extend([format!(
                "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{}</text>\n",
                clock(time)
            )]);
        }
        let mut first: BTreeMap<usize, Process> = BTreeMap::new();
        for call in &self.calls {
            let process = self.history.invoke(call).process;
            let Some(row) = rows.get(&process).copied().filter(|row| *row < ROWS) else { continue };
            first.entry(row).or_insert(process);
            self.bar(&mut out, call, row);
        }
        for (row, process) in first {
            let y = TOP + ROW * row as u64 + 11;
            out.extend([format!(
                "<text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{process}</text>\n",
                LEFT - 6
            )]);
        }
        out.push_str("</svg>\n");
        let mut lines: Vec<String> = Vec::new();
        if !told.is_empty() {
            lines.push(told.to_owned());
        }
        if count > shown {
            lines.push(format!("{} more rows are not drawn.", count - shown));
        }
        for line in lines {
            out.extend([format!("<p class=\"told\">{}</p>\n", escape(&line))]);
        }
        out.push_str("</figure>\n");
        out
    }

    fn bar(&self, out: &mut String, call: &Call, row: usize) {
        let invoke = self.history.invoke(call);
        let (kind, _) = class(self.history.outcome(call));
        let end = self.history.end(call).map_or(self.to, |end| end.time);
        let (x, y) = (self.x(invoke.time), TOP + ROW * row as u64 + 1);
        let width = self.x(end).saturating_sub(x).max(1);
        let named = if self.named.contains(&invoke.index) { " named" } else { "" };
        out.extend([format!(
            "<rect class=\"{kind}{named}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"12\"><title>{}</title></rect>\n",
            escape(&short(&described(self.history, call)))
        )]);
    }
}

/// Not more of a text than one reads.
fn short(text: &str) -> String {
    const MOST: usize = 300;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST).chain(['…']).collect()
}
