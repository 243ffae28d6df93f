//! Records of several lines, such as stack traces.

use std::time::Duration;

use lictor_config::{Joined, Multiline};
use lictor_core::Boot;

use super::matcher::LINE;

/// Puts lines together. A line that would make a record too large begins the next one.
#[derive(Clone, Debug)]
pub struct Records {
    settings: Multiline,
    /// The record that may go on, with line breaks between its lines.
    pending: Vec<u8>,
    lines: u32,
    /// Where in its source it begins.
    began: u64,
    /// When its latest line came.
    latest: Boot,
}

impl Records {
    /// Nothing yet.
    pub fn new(settings: &Multiline) -> Self {
        Self {
            settings: settings.clone(),
            pending: Vec::new(),
            lines: 0,
            began: 0,
            latest: Boot::from_millis(0),
        }
    }

    /// Takes one line, which begins at that place of its source; `whole` gets the record that is over
    /// by it.
    pub fn line(&mut self, line: &[u8], place: u64, now: Boot, whole: &mut dyn FnMut(&[u8])) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = line.get(..LINE).unwrap_or(line);
        let fits = self.lines < self.settings.max_lines && self.pending.len() + 1 + line.len() <= LINE;
        if !(self.is_pending() && fits && self.goes_on(line)) {
            self.flush(whole);
            self.began = place;
        } else {
            self.pending.push(b'\n');
        }
        self.pending.extend_from_slice(line);
        self.lines += 1;
        self.latest = now;
    }

    /// Whether a line belongs to the record before it.
    fn goes_on(&self, line: &[u8]) -> bool {
        let line = String::from_utf8_lossy(line);
        match &self.settings.by {
            Joined::Start(start) => !start.is_match(&line),
            Joined::Continue(go_on) => go_on.is_match(&line),
        }
    }

    /// Gives the record away for which no line has come for too long.
    pub fn flush_if_due(&mut self, now: Boot, whole: &mut dyn FnMut(&[u8])) {
        if self.due(now).is_some_and(|wait| wait.is_zero()) {
            self.flush(whole);
        }
    }

    /// Gives the last record away.
    pub fn flush(&mut self, whole: &mut dyn FnMut(&[u8])) {
        if self.is_pending() {
            whole(&self.pending);
            self.pending.clear();
            self.lines = 0;
        }
    }

    /// How long until the last record is over if no line comes; `None`: there is none.
    pub fn due(&self, now: Boot) -> Option<Duration> {
        let waited = now.since(self.latest);
        self.is_pending().then(|| self.settings.flush_after.saturating_sub(waited))
    }

    /// Where in its source the record begins that may go on.
    pub fn began(&self) -> Option<u64> {
        self.is_pending().then_some(self.began)
    }

    const fn is_pending(&self) -> bool {
        self.lines > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(by: Joined) -> Multiline {
        Multiline { by, max_lines: 3, flush_after: Duration::from_secs(1) }
    }

    fn start(text: &str) -> Records {
        Records::new(&settings(Joined::Start(regex::Regex::new(text).unwrap())))
    }

    fn go_on(text: &str) -> Records {
        Records::new(&settings(Joined::Continue(regex::Regex::new(text).unwrap())))
    }

    /// The records that lines become, the last one after a pause.
    fn play(mut records: Records, lines: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        let mut whole = |record: &[u8]| found.push(String::from_utf8_lossy(record).into_owned());
        let mut place = 0;
        for line in lines {
            records.line(line.as_bytes(), place, Boot::from_millis(0), &mut whole);
            place += line.len() as u64;
        }
        records.flush_if_due(Boot::from_millis(999), &mut |_| panic!("too soon"));
        records.flush_if_due(Boot::from_millis(1_000), &mut whole);
        assert_eq!(records.began(), None);
        found
    }

    #[test]
    fn a_line_that_starts_a_record_ends_the_one_before() {
        let lines = ["2 first\n", " at a\r\n", "2 second\n", " at b\n"];
        assert_eq!(play(start("^[0-9]"), &lines), ["2 first\n at a", "2 second\n at b"]);
    }

    #[test]
    fn a_line_that_continues_belongs_to_the_one_before() {
        let lines = ["first\n", "  at a\n", "second", "third\n"];
        assert_eq!(play(go_on("^ "), &lines), ["first\n  at a", "second", "third"]);
    }

    #[test]
    fn what_goes_on_after_nothing_is_a_record_of_its_own() {
        assert_eq!(play(go_on("^ "), &[" at a\n", " at b\n", "x\n"]), [" at a\n at b", "x"]);
        assert_eq!(play(start("^[0-9]"), &["tail\n", "1\n"]), ["tail", "1"]);
    }

    #[test]
    fn a_record_is_no_longer_than_it_may_be_and_nothing_of_it_is_dropped() {
        assert_eq!(play(go_on("^ "), &["x", " 1", " 2", " 3", " 4"]), ["x\n 1\n 2", " 3\n 4"]);
        let long = format!(" {}", "y".repeat(40_000));
        let found = play(go_on("^ "), &["x", &long, &long]);
        assert_eq!(found.iter().map(String::len).collect::<Vec<_>>(), [40_003, 40_001]);
    }

    #[test]
    fn it_is_known_where_a_record_begins_that_may_go_on() {
        let mut records = go_on("^ ");
        let mut count = 0;
        for (line, place) in [("a\n", 10), (" b\n", 12), ("c\n", 15)] {
            records.line(line.as_bytes(), place, Boot::from_millis(5), &mut |_| count += 1);
        }
        assert_eq!((records.began(), count), (Some(15), 1));
        assert_eq!(records.due(Boot::from_millis(405)), Some(Duration::from_millis(600)));
    }
}
