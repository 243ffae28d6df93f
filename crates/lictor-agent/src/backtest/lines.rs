//! A log file as a source of lines, each with its time.

use std::collections::VecDeque;
use std::io::{self, BufRead};

use jiff::tz::TimeZone;
use memchr::memchr;

use super::stamp::{Stamp, Stamps, Style};
use crate::lines::LINE;

/// Lines in which a time is looked for before it is given up.
const SEARCHED: usize = 1_000;

/// Bytes of those lines.
const KEPT: usize = 4 << 20;

/// Lines in which it is looked for whether an odd time is borne out, and times that do so.
const BORNE_OUT: (usize, usize) = (100, 2);

/// Where the time of a line comes from.
#[derive(Debug)]
enum Times {
    /// The lines say it.
    Said(Stamps),
    /// So many a second, from here on; milliseconds.
    Rate { begin: i64, per_second: f64, number: u64 },
}

/// Reads one line after the other.
pub(super) struct Lines<R> {
    input: R,
    /// Lines that were read to find out how their times are written, and whether an odd one is right.
    ahead: VecDeque<Vec<u8>>,
    times: Times,
    line: Vec<u8>,
    /// When the latest was written, milliseconds.
    at: i64,
    /// Bytes of lines beyond what counts of them.
    pub(super) skipped: u64,
    /// Whether a compressed file was cut off.
    pub(super) torn: bool,
}

/// How to tell the time.
#[derive(Clone, Debug)]
pub(super) struct Clocks {
    pub(super) zone: TimeZone,
    /// When the log was last written, or the present.
    pub(super) until: i64,
    /// Lines a second, for those that do not say their time.
    pub(super) rate: Option<f64>,
    /// When the first of those was written.
    pub(super) from: Option<i64>,
}

impl<R: BufRead> Lines<R> {
    /// Begins to read; whether the lines say their times.
    pub(super) fn new(mut input: R, clocks: &Clocks) -> io::Result<(Self, bool)> {
        let (mut ahead, mut kept, mut skipped, mut torn) = (VecDeque::new(), 0, 0, false);
        // The first time that can be one of the log, or else the first one.
        let mut said: Option<(Stamps, Stamp)> = None;
        let mut sure = false;
        while !sure && ahead.len() < SEARCHED && kept < KEPT {
            let mut line = Vec::new();
            if !read_line(&mut input, &mut line, &mut skipped, &mut torn)? {
                break;
            }
            let found = Style::of(&line).and_then(|style| {
                let stamps = Stamps::new(style, clocks.zone.clone(), clocks.until);
                let stamps = stamps.beginning(&line, clocks.until);
                let stamp = stamps.find(&line)?;
                Some((stamps, stamp))
            });
            if let Some((stamps, stamp)) = found {
                sure = stamps.is_past(&stamp);
                said = if sure { Some((stamps, stamp)) } else { said.or(Some((stamps, stamp))) };
            }
            kept += line.len();
            ahead.push_back(line);
        }
        let said = said.filter(|_| clocks.rate.is_none());
        let says = said.is_some();
        // What comes before the first time belongs to it.
        let at = said.as_ref().map_or(0, |(_, stamp)| stamp.at);
        let times = match said {
            Some((mut stamps, stamp)) => {
                stamps.accept(&stamp);
                Times::Said(stamps)
            }
            None => {
                let per_second = clocks.rate.unwrap_or(1.0);
                Times::Rate { begin: clocks.from.unwrap_or(clocks.until), per_second, number: 0 }
            }
        };
        Ok((Self { input, ahead, times, line: Vec::new(), at, skipped, torn }, says))
    }

    /// Reads the next line; `false` at the end.
    pub(super) fn next(&mut self) -> io::Result<bool> {
        match self.ahead.pop_front() {
            Some(line) => self.line = line,
            None => {
                self.line.clear();
                if !read_line(&mut self.input, &mut self.line, &mut self.skipped, &mut self.torn)? {
                    return Ok(false);
                }
            }
        }
        // What does not say its time belongs to the line before it.
        if let Some(stamp) = self.said()? {
            self.at = stamp.at;
        }
        match &mut self.times {
            Times::Said(_) => {}
            Times::Rate { begin, per_second, number } => {
                self.at = begin.saturating_add(after(*number, *per_second));
                *number += 1;
            }
        }
        Ok(true)
    }

    /// The time in the line that was read last, if it is that of the line.
    fn said(&mut self) -> io::Result<Option<Stamp>> {
        let Times::Said(stamps) = &mut self.times else { return Ok(None) };
        let Some(stamp) = stamps.find(&self.line) else { return Ok(None) };
        if stamps.is_odd(&stamp) {
            let (most, enough) = BORNE_OUT;
            let (mut agree, mut after) = (0, stamps.clone());
            after.accept(&stamp);
            for number in 0..most {
                if self.ahead.len() <= number {
                    let mut line = Vec::new();
                    if !read_line(&mut self.input, &mut line, &mut self.skipped, &mut self.torn)? {
                        break;
                    }
                    self.ahead.push_back(line);
                }
                let Some(later) = self.ahead.get(number).and_then(|line| after.find(line)) else { continue };
                if !stamps.bears_out(&stamp, &later) {
                    return Ok(None);
                }
                agree += 1;
                if agree == enough {
                    break;
                }
            }
            if agree == 0 && !stamps.may_be(&stamp) {
                return Ok(None);
            }
        }
        stamps.accept(&stamp);
        Ok(Some(stamp))
    }

    /// The line that was read last, without its end.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// When it was written, milliseconds since 1970.
    pub(super) const fn at(&self) -> i64 {
        self.at
    }
}

/// When line of that number comes, at a rate: milliseconds after the first.
fn after(number: u64, per_second: f64) -> i64 {
    let number = u32::try_from(number % 1_000_000_000).map_or(0.0, f64::from)
        + u32::try_from(number / 1_000_000_000).map_or(0.0, f64::from) * 1e9;
    let millis = std::time::Duration::try_from_secs_f64(number / per_second).unwrap_or_default();
    i64::try_from(millis.as_millis()).unwrap_or(i64::MAX)
}

/// Reads a line without its end; of a longer one what counts. `false` at the end.
fn read_line(
    input: &mut impl BufRead,
    line: &mut Vec<u8>,
    skipped: &mut u64,
    torn: &mut bool,
) -> io::Result<bool> {
    let mut any = false;
    loop {
        let piece = match input.fill_buf() {
            Ok(piece) => piece,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                *torn = true;
                return Ok(any);
            }
            Err(error) => return Err(error),
        };
        if piece.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = memchr(b'\n', piece);
        let part = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
        let room = LINE.saturating_sub(line.len()).min(part.len());
        line.extend_from_slice(part.get(..room).unwrap_or_default());
        *skipped += (part.len() - room) as u64;
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clocks(rate: Option<f64>) -> Clocks {
        Clocks { zone: TimeZone::UTC, until: 1_795_262_400_000, rate, from: Some(1_000) }
    }

    fn read(text: &[u8], rate: Option<f64>) -> (Vec<(i64, String)>, bool) {
        let (mut lines, said) = Lines::new(text, &clocks(rate)).unwrap();
        let mut found = Vec::new();
        while lines.next().unwrap() {
            found.push((lines.at(), String::from_utf8_lossy(lines.line()).into_owned()));
        }
        (found, said)
    }

    #[test]
    fn a_line_without_a_time_has_that_of_the_line_before() {
        let text = b"starting\n2026-11-21T12:00:00Z one\r\n  at x\n2026-11-21T12:00:01Z two";
        let (found, said) = read(text, None);
        let noon = 1_795_262_400_000;
        let times: Vec<i64> = found.iter().map(|(at, _)| *at - noon).collect();
        assert_eq!((times, said), (vec![0, 0, 0, 1_000], true));
        assert_eq!(found[1].1, "2026-11-21T12:00:00Z one");
    }

    /// Seconds from the first time to those of the lines.
    fn seconds(text: &str) -> Vec<i64> {
        read(text.as_bytes(), None).0.iter().map(|(at, _)| (at - 1_795_262_400_000) / 1_000).collect()
    }

    #[test]
    fn times_that_a_line_only_tells_of_move_nothing() {
        let told = ["certificate expires 2027-01-01 00:00:00", "2027-01-01 00:00:00 is when it expires"];
        for told in told {
            let text = format!("2026-11-21 12:00:00 one\n{told}\n{told}\n2026-11-21 12:00:05 two\n");
            assert_eq!(seconds(&text), [0, 0, 0, 5], "{told}");
            // At the end, and at the beginning.
            assert_eq!(seconds(&format!("2026-11-21 12:00:00 one\n{told}\n")), [0, 0], "{told}");
            assert_eq!(seconds(&format!("{told}\n2026-11-21 12:00:00 one\n")), [0, 0], "{told}");
        }
        let past = "2026-11-21 12:00:00 one\n2020-01-01 00:00:00 is when it began\n2026-11-21 12:00:05 two\n";
        assert_eq!(seconds(past), [0, 0, 5]);
    }

    #[test]
    fn a_log_that_was_silent_for_days_goes_on_where_it_does() {
        let day = 86_400;
        let weekly = "2026-11-01 12:00:00 a\n2026-11-08 12:00:00 b\n  more\n2026-11-15 12:00:00 c\n";
        assert_eq!(seconds(weekly), [-20 * day, -13 * day, -13 * day, -6 * day]);
        // As after a clock that was wrong was set.
        let set =
            "2026-11-21 12:00:00 a\n2030-01-01 00:00:00 b\n2030-01-01 00:00:01 c\n2030-01-01 00:00:02 d\n";
        assert_eq!(seconds(set).iter().filter(|at| **at > day).count(), 3);
    }

    #[test]
    fn a_line_of_december_that_comes_late_leaves_the_year_alone() {
        let text =
            "Nov 20 00:00:00 a\nDec 31 23:59:59 b\nJan  1 00:00:00 c\nDec 31 23:59:58 d\nJan  1 00:00:03 e\n";
        let found = seconds(text);
        assert_eq!((found[2] - found[1], found[2] - found[3], found[4] - found[2]), (1, 2, 3));
    }

    #[test]
    fn lines_without_times_come_at_a_rate() {
        let (found, said) = read(b"one\ntwo\nthree\n", Some(4.0));
        assert_eq!(found.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1_000, 1_250, 1_500]);
        assert!(!said);
        assert_eq!(read(b"one\ntwo\n", None).0[1].0, 2_000);
        assert_eq!(read(b"", None), (Vec::new(), false));
        // A rate that is asked for goes before what the lines say.
        assert_eq!(read(b"2026-11-21T12:00:00Z one\n", Some(1.0)).0[0].0, 1_000);
    }

    #[test]
    fn of_a_line_that_is_too_long_the_beginning_is_kept() {
        let text = [vec![b'x'; 3 * LINE], b"\nnext\n".to_vec()].concat();
        let (found, _) = read(&text, None);
        assert_eq!(found.iter().map(|(_, line)| line.len()).collect::<Vec<_>>(), [LINE, 4]);
    }
}
