//! A page about a run: the verdict, why, and how the run went. One file with everything in it but the servers' logs, which
//! are linked; it needs no program in it, and goes with light and dark.
//!
//! However long the run was, the page has at most a few megabytes: of plots and of the timeline only
//! so many points are drawn, and it says how many.

mod html;
mod plot;
mod timeline;

use std::collections::BTreeMap;

use crate::check::stats::{Count, Counts};
use crate::check::{Judgement, Outcome, Verdict};
use crate::history::{History, Op};
use html::Page;

/// Most entries of the history that are shown with the findings.
const ENTRIES: usize = 400;

/// What a page is about.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What the run is called.
    pub title: &'a str,
    /// What was done.
    pub history: &'a History,
    /// What is said of it.
    pub judgement: &'a Judgement,
    /// What is known of the run: names and what they are. A `command` repeats it.
    pub about: &'a [(String, String)],
    /// The servers' logs: names, and where they are as seen from the page.
    pub logs: &'a [(String, String)],
}

impl Report<'_> {
    /// The page.
    #[must_use]
    pub fn render(&self) -> String {
        let mut page = Page::new(self.title);
        self.verdict(&mut page);
        self.repeat(&mut page);
        for (number, outcome) in self.ordered().into_iter().enumerate() {
            self.outcome(&mut page, number, outcome);
        }
        let mut cited = self.cited();
        page.section("How the run went");
        page.raw(&plot::throughput(self.history));
        page.raw(&plot::latency(self.history));
        page.raw(&plot::quantiles(self.history));
        self.counts(&mut page);
        page.section("Who did what when");
        page.raw(&timeline::whole(self.history, &cited));
        if !cited.is_empty() {
            page.section("The entries that are named above");
            let more = cited.len().saturating_sub(ENTRIES);
            cited.truncate(ENTRIES);
            self.entries(&mut page, &cited);
            if more > 0 {
                page.text("p", &format!("{more} more are in the history."));
            }
        }
        self.logs(&mut page);
        page.finish()
    }

    /// The outcomes, the worst first.
    fn ordered(&self) -> Vec<&Outcome> {
        let mut outcomes: Vec<&Outcome> = self.judgement.outcomes.iter().collect();
        outcomes.sort_by_key(|outcome| std::cmp::Reverse(outcome.verdict));
        outcomes
    }

    fn verdict(&self, page: &mut Page) {
        let verdict = self.judgement.verdict;
        let why: Vec<&str> = self
            .ordered()
            .into_iter()
            .filter(|outcome| outcome.verdict == verdict)
            .map(|outcome| outcome.summary.as_str())
            .collect();
        let seconds = self.history.duration() / 1_000_000_000;
        let counts = Counts::of(self.history).all;
        let faults = match self.history.windows().len() {
            0 => "no fault".to_owned(),
            1 => "1 fault".to_owned(),
            more => format!("{more} faults"),
        };
        page.open("header", &format!("hero {verdict}"));
        page.text("h1", &format!("{}: {verdict}", self.title));
        page.text("p", &why.join("; "));
        page.text(
            "p",
            &format!(
                "{} calls in {seconds} s: {} ok, {} fail, {} info; {faults}.",
                counts.all(),
                counts.ok,
                counts.fail,
                counts.info,
            ),
        );
        page.close("header");
    }

    fn repeat(&self, page: &mut Page) {
        if self.about.is_empty() {
            return;
        }
        let (command, rest): (Vec<_>, Vec<_>) = self.about.iter().partition(|(name, _)| name == "command");
        for (_, command) in command {
            page.section("To repeat it");
            page.text("pre", command);
        }
        page.details("What it was", |page| page.pairs(rest));
    }

    fn outcome(&self, page: &mut Page, number: usize, outcome: &Outcome) {
        page.open("section", &format!("check {}", outcome.verdict));
        page.text("h2", &format!("{}: {}", outcome.check, outcome.verdict));
        page.text("p", &outcome.summary);
        for (place, finding) in outcome.findings.iter().enumerate() {
            page.text("pre", &finding.text);
            if !finding.entries.is_empty() {
                page.entries(&finding.entries);
                // Of the first ones one sees at once how they lie to each other.
                if number == 0 && place < 3 {
                    page.raw(&timeline::around(self.history, &finding.entries));
                }
            }
        }
        if !outcome.facts.is_empty() {
            let open = outcome.verdict != Verdict::Valid;
            page.details_if(open, "Figures", |page| page.pairs(&outcome.facts));
        }
        page.close("section");
    }

    /// The entries that findings name, in order.
    fn cited(&self) -> Vec<u64> {
        let findings = self.judgement.outcomes.iter().flat_map(|outcome| &outcome.findings);
        let mut cited: Vec<u64> = findings.flat_map(|finding| finding.entries.iter().copied()).collect();
        cited.sort_unstable();
        cited.dedup();
        cited
    }

    fn counts(&self, page: &mut Page) {
        let counts = Counts::of(self.history);
        let latencies = latencies(self.history);
        page.open("table", "");
        page.header(&["calls", "ok", "fail", "info", "ok %", "median", "99 %", "longest"]);
        let mut row = |name: &str, count: &Count, latencies: Option<&Vec<u64>>| {
            let share = count.share().map_or_else(String::new, |share| format!("{share:.1}"));
            let at = |share: u64| quantile(latencies.map_or(&[][..], Vec::as_slice), share);
            let mut cells = vec![name.to_owned()];
            cells.extend([count.ok, count.fail, count.info].map(|count| count.to_string()));
            cells.push(share);
            cells.extend([500, 990, 1000].map(|share| at(share).map_or_else(String::new, plot::duration)));
            page.row(&cells);
        };
        for (f, count) in &counts.by_function {
            row(f, count, latencies.get(f.as_str()));
        }
        for (fault, count) in &counts.by_fault {
            row(&format!("begun during {fault}"), count, None);
        }
        if !counts.by_fault.is_empty() {
            row("begun without a fault", &counts.without_fault, None);
        }
        page.close("table");
    }

    fn entries(&self, page: &mut Page, cited: &[u64]) {
        page.open("table", "");
        page.header(&["entry", "time", "process", "type", "f", "key", "value", "node", "error"]);
        let ops = self.history.ops();
        for index in cited {
            let found = ops.binary_search_by_key(index, |op| op.index);
            if let Some(op) = found.ok().and_then(|place| ops.get(place)) {
                page.entry(op.index, &cells(op));
            }
        }
        page.close("table");
    }

    fn logs(&self, page: &mut Page) {
        if self.logs.is_empty() {
            return;
        }
        page.section("The servers' logs");
        page.open("ul", "");
        for (name, href) in self.logs {
            page.link(name, href);
        }
        page.close("ul");
    }
}

fn cells(op: &Op) -> Vec<String> {
    vec![
        crate::check::linear::seconds(op.time),
        op.process.to_string(),
        op.kind.to_string(),
        op.f.clone(),
        op.key.as_ref().map_or_else(String::new, ToString::to_string),
        op.value.to_string(),
        op.node.clone().unwrap_or_default(),
        op.error.clone().unwrap_or_default(),
    ]
}

/// How long calls took that have an answer, in order, by what they did.
fn latencies(history: &History) -> BTreeMap<&str, Vec<u64>> {
    let mut latencies: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for call in history.calls() {
        let (invoke, end) = (history.invoke(call), history.end(call));
        if let Some(end) = end {
            latencies.entry(&invoke.f).or_default().push(end.time - invoke.time);
        }
    }
    for latencies in latencies.values_mut() {
        latencies.sort_unstable();
    }
    latencies
}

/// What so many of a thousand are not above, of numbers in order.
fn quantile(sorted: &[u64], of_thousand: u64) -> Option<u64> {
    let last = sorted.len().checked_sub(1)? as u64;
    let place = (last * of_thousand).div_ceil(1000);
    usize::try_from(place).ok().and_then(|place| sorted.get(place)).copied()
}

#[cfg(test)]
mod tests;
