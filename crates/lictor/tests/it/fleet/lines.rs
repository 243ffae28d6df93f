//! What the service wrote on all machines: where it ran, under which token, and when it did not.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use super::rig::{NODES, name};

/// A line that the service wrote.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    /// Seconds on a clock that all machines share.
    pub(super) at: f64,
    pub(super) token: u64,
    pub(super) node: usize,
}

/// The lines of all machines, read as they come.
#[derive(Debug)]
pub(super) struct Lines {
    dir: PathBuf,
    /// How much of the file of each machine was read.
    read: [u64; NODES.end],
    last: Option<Line>,
    /// The first and the last line of each run of the service.
    runs: BTreeMap<(u64, usize), (f64, f64)>,
    /// When something was written since the last [`Self::mark`], and just before it.
    times: Vec<f64>,
}

impl Lines {
    /// What will be written below a directory, by each machine in a file of its name.
    pub(super) fn below(dir: PathBuf) -> Self {
        Self { dir, read: [0; NODES.end], last: None, runs: BTreeMap::new(), times: Vec::new() }
    }

    /// The last one of all, now.
    pub(super) fn last(&mut self) -> Option<Line> {
        NODES.for_each(|node| self.look(node));
        self.last
    }

    /// From now on is what the longest time without a line is asked of.
    pub(super) fn mark(&mut self) {
        let last = self.last();
        self.times = last.map(|line| line.at).into_iter().collect();
    }

    /// The longest time without a line since the mark.
    pub(super) fn gap(&mut self) -> Duration {
        self.last();
        self.times.sort_by(f64::total_cmp);
        let longest = self.times.windows(2).map(|two| two[1] - two[0]).fold(0.0, f64::max);
        Duration::from_secs_f64(longest)
    }

    /// The longest time for which two runs both wrote.
    pub(super) fn overlap(&mut self) -> Duration {
        self.last();
        let mut until = f64::NEG_INFINITY;
        let mut longest: f64 = 0.0;
        for (first, last) in self.runs.values() {
            longest = longest.max(until.min(*last) - first);
            until = until.max(*last);
        }
        Duration::from_secs_f64(longest)
    }

    /// Tokens only grow, no two machines have the same one, and of two runs one had ended when the other one began.
    #[track_caller]
    pub(super) fn never_two(&mut self) {
        self.last();
        let wrong = self.wrong();
        assert_eq!(wrong, None);
    }

    /// Two runs that should not have been so.
    fn wrong(&self) -> Option<String> {
        let mut ended = f64::NEG_INFINITY;
        let mut before = None;
        for ((token, node), (first, last)) in &self.runs {
            let run = format!("{} under token {token} from {first} to {last}", name(*node));
            if let Some((_, before)) = before.filter(|(lower, _)| lower == token || ended >= *first) {
                return Some(format!("{before}, and {run}"));
            }
            ended = *last;
            before = Some((*token, run));
        }
        None
    }

    fn look(&mut self, node: usize) {
        let mut file = match File::open(self.dir.join(name(node))) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => panic!("what {} wrote: {error}", name(node)),
        };
        let mut text = String::new();
        file.seek(SeekFrom::Start(self.read[node])).and_then(|_| file.read_to_string(&mut text)).unwrap();
        // The last one may be half written.
        let Some((whole, _)) = text.rsplit_once('\n') else { return };
        self.read[node] += whole.len() as u64 + 1;
        for line in whole.lines() {
            let line = line.split_once(' ').and_then(|(token, at)| {
                Some(Line { at: at.parse().ok()?, token: token.parse().ok()?, node })
            });
            self.add(line.unwrap_or_else(|| panic!("{} wrote {whole:?}", name(node))));
        }
    }

    fn add(&mut self, line: Line) {
        let run = self.runs.entry((line.token, line.node)).or_insert((line.at, line.at));
        *run = (run.0.min(line.at), run.1.max(line.at));
        self.times.push(line.at);
        if self.last.is_none_or(|last| last.at < line.at) {
            self.last = Some(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs that wrote at these times, under a token on a machine.
    fn written(runs: &[(u64, usize, &[f64])]) -> Lines {
        let mut lines = Lines::below(PathBuf::from("/nonexistent"));
        for (token, node, times) in runs {
            times.iter().for_each(|at| lines.add(Line { at: *at, token: *token, node: *node }));
        }
        lines
    }

    fn is_fine(runs: &[(u64, usize, &[f64])]) -> bool {
        written(runs).wrong().is_none()
    }

    #[test]
    fn of_two_runs_one_has_ended_when_the_other_begins_and_its_token_is_lower() {
        assert!(is_fine(&[(1, 0, &[1.0, 2.0]), (2, 1, &[2.5, 3.0]), (4, 0, &[4.0])]));
        assert!(!is_fine(&[(1, 0, &[1.0, 2.0]), (2, 1, &[1.5, 3.0])]), "both at once");
        assert!(!is_fine(&[(1, 0, &[1.0, 5.0]), (2, 1, &[2.5, 3.0])]), "one goes on after the other one");
        assert!(!is_fine(&[(2, 0, &[1.0, 2.0]), (1, 1, &[2.5, 3.0])]), "a token that falls");
        assert!(!is_fine(&[(1, 0, &[1.0, 2.0]), (1, 1, &[2.5, 3.0])]), "one token on two machines");
    }

    #[test]
    fn the_longest_overlap_and_the_longest_gap_are_told() {
        let mut lines = written(&[(1, 0, &[1.0, 5.0]), (2, 1, &[2.0, 3.0]), (3, 2, &[4.5, 6.0])]);
        assert_eq!(lines.overlap(), Duration::from_secs(1));
        assert_eq!(lines.gap(), Duration::from_millis(1_500));
        assert_eq!(written(&[(1, 0, &[1.0, 2.0]), (2, 1, &[2.5])]).overlap(), Duration::ZERO);
    }
}
