//! Texts for people: times, durations, numbers.

use std::time::Duration;

use jiff::Timestamp;
use lictor_core::{Now, Span, Wall};

pub(super) use crate::text::visible;

/// An instant as RFC 3339 in UTC with milliseconds; one outside the calendar (years
/// -9999 to 9999) is shown as its nearest end.
pub(crate) fn rfc3339(at: Wall) -> String {
    format!("{:.3}", timestamp(at))
}

/// An instant as `2026-11-21 03:04:05 UTC`.
pub(super) fn utc(at: Wall) -> String {
    timestamp(at).strftime("%F %T UTC").to_string()
}

/// The time of day of an instant in UTC, `03:04:05`.
pub(super) fn clock(at: Wall) -> String {
    timestamp(at).strftime("%T").to_string()
}

/// An instant as a time of the calendar; see [`rfc3339`].
pub(super) fn timestamp(at: Wall) -> Timestamp {
    let end = if at.as_unix_millis() < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(at.as_unix_millis()).unwrap_or(end)
}

/// What a program said, made [`visible`], its lines in one.
pub(super) fn in_a_line(text: &str, most: usize) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    visible(&lines.collect::<Vec<_>>().join(" / "), most)
}

/// Whole milliseconds of a duration.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A duration in words, without a unit that is too small to matter.
pub(super) fn span(span: Duration) -> String {
    let whole = if span.as_secs() >= 10 { Duration::from_secs(span.as_secs()) } else { span };
    Span(whole).to_string()
}

/// How long ago `then` was, by the boot-time axis.
pub(super) fn ago(then: Now, now: Now) -> String {
    let past = now.boot.since(then.boot);
    if past < Duration::from_secs(1) { "now".to_owned() } else { format!("{} ago", span(past)) }
}

/// How long ago an instant was by the wall clock, which may have been set since.
pub(super) fn since(then: Wall, now: Wall) -> String {
    let past = u64::try_from(now.as_unix_millis().saturating_sub(then.as_unix_millis())).unwrap_or(0);
    if past < 1_000 { "now".to_owned() } else { format!("{} ago", span(Duration::from_millis(past))) }
}

/// A number of bytes with its largest unit: `31.0 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1_024 {
        return if bytes == 1 { "1 byte".to_owned() } else { format!("{bytes} bytes") };
    }
    let mut tenths = u128::from(bytes) * 10;
    let mut unit = "";
    for next in UNITS {
        if tenths < 10_240 {
            break;
        }
        (tenths, unit) = (tenths / 1_024, next);
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// `1 check`, `2 checks`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{} {noun}s", thousands(number)) }
}

/// A number with its thousands apart: `10,000`.
pub(super) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use lictor_core::Boot;

    #[test]
    fn an_instant_is_shown_in_utc_with_milliseconds() {
        assert_eq!(rfc3339(Wall::from_unix_millis(1_795_230_245_007)), "2026-11-21T03:04:05.007Z");
        assert_eq!(utc(Wall::from_unix_millis(1_795_230_245_007)), "2026-11-21 03:04:05 UTC");
        assert_eq!(rfc3339(Wall::from_unix_millis(-1)), "1969-12-31T23:59:59.999Z");
        assert!(rfc3339(Wall::from_unix_millis(i64::MAX)).starts_with("9999-"));
        assert!(rfc3339(Wall::from_unix_millis(i64::MIN)).starts_with("-009999-"));
    }

    #[test]
    fn an_age_is_told_by_the_boot_axis() {
        let at = |boot| Now { boot: Boot::from_millis(boot), wall: Wall::default() };
        assert_eq!(ago(at(500), at(900)), "now");
        assert_eq!(ago(at(0), at(2_500)), "2.5s ago");
        assert_eq!(ago(at(0), at(42_700)), "42s ago");
        assert_eq!(ago(at(9_000), at(0)), "now");
    }

    #[test]
    fn bytes_are_told_in_their_largest_unit() {
        assert_eq!([0, 1, 1_023].map(bytes), ["0 bytes", "1 byte", "1023 bytes"]);
        assert_eq!([1_024, 1_536, 1_048_575].map(bytes), ["1.0 KiB", "1.5 KiB", "1023.9 KiB"]);
        assert_eq!([1 << 20, 5 << 30, u64::MAX].map(bytes), ["1.0 MiB", "5.0 GiB", "15.9 EiB"]);
    }

    #[test]
    fn an_instant_is_told_by_the_wall_clock_and_never_to_come() {
        let at = Wall::from_unix_millis;
        assert_eq!(since(at(0), at(2_500)), "2.5s ago");
        assert_eq!(since(at(5_000), at(0)), "now");
    }

    #[test]
    fn numbers_are_grouped_and_nouns_agree() {
        assert_eq!(count(1, "check"), "1 check");
        assert_eq!(count(0, "check"), "0 checks");
        assert_eq!(count(1_234_567, "check"), "1,234,567 checks");
        assert_eq!(thousands(100), "100");
    }
}
