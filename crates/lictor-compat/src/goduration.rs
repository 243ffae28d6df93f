//! Durations as Go programs read them: `250ms`, `1m30s`, `1.5h`.

use std::time::Duration;

use thiserror::Error;

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum DurationError {
    #[error("{0:?} is no duration such as 250ms or 1m30s")]
    Format(String),
    #[error("the duration {0:?} has no unit: ms, s, m or h")]
    Unit(String),
    #[error("the duration {0:?} is too long")]
    Long(String),
}

/// Digits of a fraction that count; a nanosecond is no longer than the first nine of an hour's thirteen.
const DIGITS: usize = 18;

/// Reads a duration, in nanoseconds. It may be negative.
pub(crate) fn parse(text: &str) -> Result<i64, DurationError> {
    let format = || DurationError::Format(text.to_owned());
    let long = || DurationError::Long(text.to_owned());
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(format());
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err(format());
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end).ok_or_else(format)?;
        let unit = match unit {
            "" => return Err(DurationError::Unit(text.to_owned())),
            other => nanoseconds(other).ok_or_else(format)?,
        };
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_error| long())? };
        total += u128::from(whole) * unit + part(fraction, unit);
        if total > u128::from(u64::MAX) {
            return Err(long());
        }
        rest = after;
    }
    let total = i128::try_from(total).map_err(|_error| long())?;
    i64::try_from(if negative { -total } else { total }).map_err(|_error| long())
}

/// Nanoseconds as a duration; none is shorter than zero.
pub(crate) fn duration(nanoseconds: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

const fn nanoseconds(unit: &str) -> Option<u128> {
    Some(match unit.as_bytes() {
        b"ns" => 1,
        b"us" | b"\xc2\xb5s" | b"\xce\xbcs" => 1_000,
        b"ms" => 1_000_000,
        b"s" => 1_000_000_000,
        b"m" => 60_000_000_000,
        b"h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// What a fraction of a unit is.
fn part(fraction: &str, unit: u128) -> u128 {
    let (mut number, mut scale) = (0, 1);
    for digit in fraction.chars().take(DIGITS).filter_map(|digit| digit.to_digit(10)) {
        number = number * 10 + u128::from(digit);
        scale *= 10;
    }
    number * unit / scale
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duration_is_a_sum_of_numbers_with_units() {
        for (text, expected) in [
            ("0", 0),
            ("-0", 0),
            ("5s", 5_000_000_000),
            ("+5s", 5_000_000_000),
            ("-1.5s", -1_500_000_000),
            ("250ms", 250_000_000),
            ("1m30s", 90_000_000_000),
            ("1h0m0.5s", 3_600_500_000_000),
            (".5us", 500),
            ("1.s", 1_000_000_000),
            ("3\u{b5}s4\u{3bc}s5ns", 7_005),
            ("0.100000000000000000000000h", 360_000_000_000),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused_with_a_reason() {
        for (text, why) in [
            ("", "\"\" is no duration such as 250ms or 1m30s"),
            ("-", "\"-\" is no duration such as 250ms or 1m30s"),
            ("s", "\"s\" is no duration such as 250ms or 1m30s"),
            (".s", "\".s\" is no duration such as 250ms or 1m30s"),
            ("5d", "\"5d\" is no duration such as 250ms or 1m30s"),
            ("5 s", "\"5 s\" is no duration such as 250ms or 1m30s"),
            ("5", "the duration \"5\" has no unit: ms, s, m or h"),
            ("1s5", "the duration \"1s5\" has no unit: ms, s, m or h"),
            ("9223372036854775808ns", "the duration \"9223372036854775808ns\" is too long"),
            ("99999999999999999999h", "the duration \"99999999999999999999h\" is too long"),
        ] {
            assert_eq!(parse(text).map_err(|error| error.to_string()), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_negative_duration_is_none() {
        assert_eq!(duration(-1), Duration::ZERO);
        assert_eq!(duration(1_500_000_000), Duration::from_millis(1_500));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-+]?([0-9.]{0,25}(ns|us|µs|ms|s|m|h|x|é)?){0,5}") {
            parse(&text).ok();
        }
    }
}
