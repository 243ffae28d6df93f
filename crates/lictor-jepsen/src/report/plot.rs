//! Plots: throughput and latency over time, with a band for each fault.

use std::fmt::Display;

use super::html::{clock, escape};
use super::quantile;
use crate::history::{History, Kind};

/// Most dots of one plot.
pub(super) const DOTS: usize = 6000;

const WIDTH: u64 = 1100;
const HEIGHT: u64 = 260;
const LEFT: u64 = 60;
const TOP: u64 = 16;
const BOTTOM: u64 = 28;

/// Pieces of time of which each has one value.
const PIECES: u64 = 100;

/// A plot that comes into being.
struct Plot {
    out: String,
    /// The last time, in nanoseconds.
    last: u64,
}

/// Calls per second, by what came of them, by when they ended.
pub(super) fn throughput(history: &History) -> String {
    let last = history.duration().max(1);
    let piece = last.div_ceil(PIECES).max(1);
    let mut pieces = [const { Vec::new() }; 3];
    for count in &mut pieces {
        *count = vec![0u64; usize::try_from(PIECES + 1).unwrap_or_default()];
    }
    for call in history.calls() {
        let Some(end) = history.end(call) else { continue };
        let place = usize::try_from(end.time / piece).unwrap_or_default();
        if let Some(count) = pieces[class(end.kind).1].get_mut(place) {
            *count += 1;
        }
    }
    let rate = |count: u64| count.saturating_mul(1_000_000_000) / piece;
    let most = pieces.iter().flatten().copied().map(rate).max().unwrap_or_default().max(1);
    let mut plot = Plot::new(history, "calls ended per second, by what came of them");
    for part in 0..=4 {
        let value = most * part / 4;
        plot.level(height(value, most), &format!("{value}/s"));
    }
    for (name, counts) in ["ok", "fail", "info"].iter().zip(&pieces) {
        let points = counts
            .iter()
            .zip(0..)
            .map(|(count, place)| (place * piece + piece / 2, height(rate(*count), most)));
        plot.line(name, points.filter(|(time, _)| *time <= last));
    }
    plot.legend(&[("ok", "ok"), ("fail", "fail"), ("info", "info")]);
    plot.finish("")
}

/// How long each call took, on a scale by powers of ten.
pub(super) fn latency(history: &History) -> String {
    let ended: Vec<(u64, u64, Kind)> = answered(history);
    let step = ended.len().div_ceil(DOTS).max(1);
    let mut plot = Plot::new(history, "how long each call took, by when it began");
    let scale = Scale::of(ended.iter().map(|(_, latency, _)| *latency));
    scale.levels(&mut plot);
    for (name, number) in [("ok", 0), ("fail", 1), ("info", 2)] {
        // What is rare is not left out.
        let own: Vec<_> = ended.iter().filter(|(.., kind)| class(*kind).1 == number).collect();
        let own_step = if own.len() * 10 < ended.len() { own.len().div_ceil(DOTS / 3).max(1) } else { step };
        plot.dots(
            name,
            own.iter().step_by(own_step).map(|(time, latency, _)| (*time, scale.height(*latency))),
        );
    }
    plot.legend(&[("ok", "ok"), ("fail", "fail"), ("info", "info")]);
    let told = if step > 1 {
        format!("Drawn is about one of {step} of {} calls.", ended.len())
    } else {
        String::new()
    };
    plot.finish(&told)
}

/// Quantiles of how long calls took that happened.
pub(super) fn quantiles(history: &History) -> String {
    let piece = history.duration().div_ceil(PIECES).max(1);
    let mut pieces: Vec<Vec<u64>> = vec![Vec::new(); usize::try_from(PIECES + 1).unwrap_or_default()];
    let ended = answered(history);
    for (time, latency, _) in ended.iter().filter(|(.., kind)| *kind == Kind::Ok) {
        let place = usize::try_from(time / piece).unwrap_or_default();
        if let Some(piece) = pieces.get_mut(place) {
            piece.push(*latency);
        }
    }
    for piece in &mut pieces {
        piece.sort_unstable();
    }
    let mut plot = Plot::new(
        history,
        "how long calls took that happened: half, 95, 99 and all of a hundred took no longer",
    );
    let scale = Scale::of(pieces.iter().flatten().copied());
    scale.levels(&mut plot);
    let names = [("q0", "50 %"), ("q1", "95 %"), ("q2", "99 %"), ("q3", "100 %")];
    for ((class, _), share) in names.iter().zip([500, 950, 990, 1000]) {
        let points = pieces.iter().zip(0..).filter_map(|(latencies, place)| {
            let latency = quantile(latencies, share)?;
            Some((place * piece + piece / 2, scale.height(latency)))
        });
        plot.line(class, points);
    }
    plot.legend(&names);
    plot.finish("")
}

/// When each call began that has an end, and how long it took.
fn answered(history: &History) -> Vec<(u64, u64, Kind)> {
    let ended = history.calls().iter().filter_map(|call| {
        let (invoke, end) = (history.invoke(call), history.end(call)?);
        Some((invoke.time, end.time - invoke.time, end.kind))
    });
    ended.collect()
}

/// What a kind is drawn as, and its number.
pub(super) const fn class(kind: Kind) -> (&'static str, usize) {
    match kind {
        Kind::Ok => ("ok", 0),
        Kind::Fail => ("fail", 1),
        Kind::Info | Kind::Invoke => ("info", 2),
    }
}

/// A height for a part of the whole, from below.
fn height(value: u64, most: u64) -> u64 {
    let room = HEIGHT - TOP - BOTTOM;
    room * value.min(most) / most.max(1)
}

/// Powers of ten from below the least to above the most.
struct Scale {
    from: u32,
    to: u32,
}

impl Scale {
    fn of(values: impl Iterator<Item = u64>) -> Self {
        let (least, most) =
            values.fold((u64::MAX, 1), |(least, most), value| (least.min(value), most.max(value)));
        let from = least.min(most).max(1).ilog10();
        Self { from, to: (most.ilog10() + 1).max(from + 1) }
    }

    fn height(&self, value: u64) -> u64 {
        let room = HEIGHT - TOP - BOTTOM;
        // The place within a power of ten by hundredths is more than one sees.
        #[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
        let exponent = (value.max(1) as f64).log10();
        let share = (exponent - f64::from(self.from)) / f64::from(self.to - self.from);
        #[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
        let height = room as f64 * share.clamp(0.0, 1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the height"
        )]
        let height = height.round() as u64;
        height
    }

    fn levels(&self, plot: &mut Plot) {
        for power in self.from..=self.to {
            let value = 10u64.saturating_pow(power);
            plot.level(self.height(value), &duration(value));
        }
    }
}

/// A time as people say it.
pub(super) fn duration(nanoseconds: u64) -> String {
    let (value, unit) = match nanoseconds {
        0..1_000 => return format!("{nanoseconds} ns"),
        1_000..1_000_000 => (nanoseconds, "µs"),
        1_000_000..1_000_000_000 => (nanoseconds / 1_000, "ms"),
        _ => (nanoseconds / 1_000_000, "s"),
    };
    // A digit behind the point, unless it is nothing.
    let (whole, tenth) = (value / 1000, value % 1000 / 100);
    if tenth == 0 || whole >= 100 { format!("{whole} {unit}") } else { format!("{whole}.{tenth} {unit}") }
}

impl Plot {
    fn new(history: &History, caption: &str) -> Self {
        let last = history.duration().max(1);
        let mut this = Self { out: String::new(), last };
        let caption = escape(caption);
        this.put(format_args!("<figure><figcaption>{caption}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{caption}\">\n"));
        this.out.push_str(&bands(history, |time| across(last, time), TOP, HEIGHT - BOTTOM));
        for time in ticks(0, last) {
            let (x, y) = (this.x(time), HEIGHT - 10);
            this.put(format_args!(
                "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{}</text>\n",
                clock(time)
            ));
        }
        this
    }

    fn put(&mut self, piece: impl Display) {
        self.out.extend([piece.to_string()]);
    }

    fn x(&self, time: u64) -> u64 {
        across(self.last, time)
    }

    /// A line across, with what it stands for.
    fn level(&mut self, height: u64, name: &str) {
        let y = HEIGHT - BOTTOM - height;
        let (to, text) = (WIDTH - 10, y + 4);
        self.put(format_args!(
            "<path class=\"grid\" d=\"M{LEFT} {y}H{to}\"/><text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{}</text>\n",
            LEFT - 6,
            escape(name)
        ));
    }

    fn line(&mut self, class: &str, points: impl Iterator<Item = (u64, u64)>) {
        let mut path = String::new();
        for (time, height) in points {
            let command = if path.is_empty() { 'M' } else { 'L' };
            path.extend([format!("{command}{} {}", self.x(time), HEIGHT - BOTTOM - height)]);
        }
        self.put(format_args!("<path class=\"line {class}\" d=\"{path}\"/>\n"));
    }

    fn dots(&mut self, class: &str, points: impl Iterator<Item = (u64, u64)>) {
        let mut path = String::new();
        for (time, height) in points {
            path.extend([format!("M{} {}h0", self.x(time), HEIGHT - BOTTOM - height)]);
        }
        self.put(format_args!("<path class=\"dots {class}\" d=\"{path}\"/>\n"));
    }

    fn legend(&mut self, names: &[(&str, &str)]) {
        let mut x = LEFT + 10;
        for (class, name) in names {
            let (to, text) = (x + 22, x + 27);
            self.put(format_args!(
                "<path class=\"line {class}\" d=\"M{x} 9H{to}\"/><text x=\"{text}\" y=\"13\">{}</text>\n",
                escape(name)
            ));
            x += 80;
        }
    }

    fn finish(mut self, told: &str) -> String {
        self.out.push_str("</svg>\n");
        if !told.is_empty() {
            self.put(format_args!("<p class=\"told\">{}</p>\n", escape(told)));
        }
        self.out.push_str("</figure>\n");
        self.out
    }
}

fn across(last: u64, time: u64) -> u64 {
    let room = u128::from(WIDTH - LEFT - 10);
    LEFT + u64::try_from(room * u128::from(time.min(last)) / u128::from(last.max(1))).unwrap_or_default()
}

/// Times between two that are good to read: about ten, of a step that is 1, 2 or 5 of a power of ten.
pub(super) fn ticks(from: u64, to: u64) -> impl Iterator<Item = u64> {
    let least = (to.saturating_sub(from) / 10).max(1);
    let power = 10u64.saturating_pow(least.ilog10());
    let step = [1, 2, 5, 10].map(|part| power.saturating_mul(part)).into_iter().find(|step| *step >= least);
    let step = step.unwrap_or(least);
    (from.div_ceil(step)..=to / step).map(move |number| number * step)
}

/// A band for each fault.
pub(super) fn bands(history: &History, x: impl Fn(u64) -> u64, top: u64, bottom: u64) -> String {
    let mut out = String::new();
    for window in history.windows() {
        let end = window.end.unwrap_or_else(|| history.duration());
        let (from, to) = (x(window.begin), x(end));
        let (width, height) = (to.saturating_sub(from).max(1), bottom - top);
        let name = format!("{} from {} to {}", window.fault, clock(window.begin), clock(end));
        out.extend([format!(
            "<rect class=\"band\" x=\"{from}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"><title>{}</title></rect>\n",
            escape(&name)
        )]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_with_a_unit_that_fits() {
        let told: Vec<String> =
            [0, 999, 1_000, 15_300, 2_000_000, 2_450_000_000, 120_000_000_000].map(duration).into();
        assert_eq!(told, ["0 ns", "999 ns", "1 µs", "15.3 µs", "2 ms", "2.4 s", "120 s"]);
    }

    #[test]
    fn times_of_an_axis_are_good_to_read() {
        let told = |from, to| ticks(from, to).map(clock).collect::<Vec<_>>().join(" ");
        const S: u64 = 1_000_000_000;
        assert_eq!(told(0, 61 * S), "0 s 10 s 20 s 30 s 40 s 50 s 60 s");
        assert_eq!(told(0, S), "0 s 0.1 s 0.2 s 0.3 s 0.4 s 0.5 s 0.6 s 0.7 s 0.8 s 0.9 s 1 s");
        assert_eq!(
            told(3_140_000_000, 3_150_000_000),
            "3.14 s 3.141 s 3.142 s 3.143 s 3.144 s 3.145 s 3.146 s 3.147 s 3.148 s 3.149 s 3.15 s"
        );
        assert_eq!(told(0, 0), "0 s");
    }

    #[test]
    fn a_scale_goes_by_powers_of_ten() {
        let scale = Scale::of([20_000, 3_000_000].into_iter());
        assert_eq!((scale.from, scale.to), (4, 7));
        let room = HEIGHT - TOP - BOTTOM;
        assert_eq!(scale.height(10_000), 0);
        assert_eq!(scale.height(10_000_000), room);
        let third = scale.height(100_000);
        assert!(third.abs_diff(room / 3) <= 1, "{third} of {room}");
        assert_eq!(Scale::of([].into_iter()).height(5), Scale { from: 0, to: 1 }.height(5));
    }
}
