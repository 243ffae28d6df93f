//! Amounts as they are written: durations, sizes, percentages, budgets, ranges.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use lictor_core::{Budget, Compare};

/// Nanoseconds in each unit of a duration, longest name first.
const DURATION_UNITS: [(&str, u128); 6] = [
    ("ms", 1_000_000),
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
];

/// Bytes in each unit of a size.
const SIZE_UNITS: [(&str, u128); 10] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// Reads `10s`, `1h 30m`, `1.5s`, `500ms`; units are ms, s, m, h, d and w (24-hour days).
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = 0_u128;
    while !rest.is_empty() {
        let (amount, after) = amount(rest, &DURATION_UNITS)?;
        total = total.checked_add(amount)?;
        rest = after.trim_start();
    }
    if text.trim().is_empty() {
        return None;
    }
    let seconds = u64::try_from(total / 1_000_000_000).ok()?;
    let nanos = u32::try_from(total % 1_000_000_000).ok()?;
    Some(Duration::new(seconds, nanos))
}

/// Reads `10GiB`, `1.5 GB`, `4096`.
pub(crate) fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Ok(bytes) = text.parse() {
        return Some(bytes);
    }
    let (bytes, rest) = amount(text, &SIZE_UNITS)?;
    if rest.is_empty() { u64::try_from(bytes).ok() } else { None }
}

/// Reads `85%` or `85`.
pub(crate) fn percent(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = text.strip_suffix('%').unwrap_or(text).trim_end();
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    digits.parse().ok().filter(|_| plain)
}

/// Reads `10%`: hundredths of the whole, whole ones.
pub(crate) fn share(text: &str) -> Option<u8> {
    let digits = text.trim().strip_suffix('%')?.trim_end();
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|share| plain && *share <= 100)
}

/// Reads `3 in 1h`.
pub(crate) fn budget(text: &str) -> Option<Budget> {
    let (runs, per) = text.split_once(" in ")?;
    let runs: NonZeroU32 = runs.trim().parse().ok()?;
    duration(per).filter(|per| !per.is_zero()).map(|per| Budget { runs, per })
}

/// Reads `> 90`, `<= -1.5`, `== 0`.
pub(crate) fn comparison(text: &str) -> Option<(Compare, f64)> {
    const SIGNS: [(&str, Compare); 6] = [
        ("<=", Compare::LessOrEqual),
        (">=", Compare::GreaterOrEqual),
        ("==", Compare::Equal),
        ("!=", Compare::NotEqual),
        ("<", Compare::Less),
        (">", Compare::Greater),
    ];
    let text = text.trim();
    let found = SIGNS.iter().find_map(|(sign, how)| text.strip_prefix(sign).map(|rest| (*how, rest.trim())));
    let (how, digits) = found?;
    // Neither `inf` nor `nan`: nothing compares with those as people expect.
    let number: f64 = digits.parse().ok().filter(|number: &f64| number.is_finite())?;
    digits.ends_with(|c: char| c.is_ascii_digit()).then_some((how, number))
}

/// Reads `200`, `200-299` or `2xx`.
pub(crate) fn statuses(text: &str) -> Option<(u16, u16)> {
    let text = text.trim();
    let (low, high) = match text.split_once('-') {
        Some((low, high)) => (status(low.trim())?, status(high.trim())?),
        None => match text.strip_suffix("xx") {
            Some(hundreds) => {
                let hundreds: u16 = hundreds.parse().ok().filter(|n| (1..=5).contains(n))?;
                (hundreds * 100, hundreds * 100 + 99)
            }
            None => (status(text)?, status(text)?),
        },
    };
    (low <= high).then_some((low, high))
}

fn status(text: &str) -> Option<u16> {
    let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|status| digits && (100..=599).contains(status))
}

/// A number, a point and digits perhaps, and a unit; in the smallest unit, and the rest.
fn amount<'a>(text: &'a str, units: &[(&str, u128)]) -> Option<(u128, &'a str)> {
    let digits = |text: &'a str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text.split_at(end)
    };
    let (whole, mut rest) = digits(text);
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        (fraction, rest) = digits(after);
        if fraction.is_empty() {
            return None;
        }
    }
    if whole.is_empty() || whole.len() > 18 || fraction.len() > 9 {
        return None;
    }
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let whole: u128 = whole.parse().ok()?;
    let mut total = whole.checked_mul(*factor)?;
    if !fraction.is_empty() {
        let parts: u128 = fraction.parse().ok()?;
        total = total.checked_add(parts * factor / 10_u128.pow(u32::try_from(fraction.len()).ok()?))?;
    }
    Some((total, rest))
}

/// A duration as it is written in the configuration, exactly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written(pub(crate) Duration);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() {
            return f.write_str("0s");
        }
        let mut rest = self.0.as_nanos();
        let mut first = true;
        let order = ["d", "h", "m", "s", "ms"];
        for unit in order {
            let Some((_, size)) = DURATION_UNITS.iter().find(|(name, _)| *name == unit) else { continue };
            if rest / size > 0 {
                let space = if first { "" } else { " " };
                write!(f, "{space}{}{unit}", rest / size)?;
                first = false;
            }
            rest %= size;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        let millis = |text: &str| duration(text).map(|duration| duration.as_millis());
        assert_eq!(millis("10s"), Some(10_000));
        assert_eq!(millis("2h 5m"), Some(7_500_000));
        assert_eq!(millis("2h5m"), Some(7_500_000));
        assert_eq!(millis("500ms"), Some(500));
        assert_eq!(millis("1.5 s"), Some(1_500));
        assert_eq!(millis("14d"), Some(14 * 86_400_000));
        assert_eq!(millis("0"), Some(0));
        for wrong in
            ["", " ", "10", "s", "-5s", "5 parsecs", "1.s", "1s,2s", "1e3s", "99999999999999999999s", "1us"]
        {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_bytes_in_tens_or_twos() {
        assert_eq!(size("10GiB"), Some(10 << 30));
        assert_eq!(size("1.5 kB"), Some(1_500));
        assert_eq!(size("4096"), Some(4_096));
        for wrong in ["", "10G", "GiB", "-1B", "10GiB 5MiB", "99999999999TiB"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn percentages_budgets_and_statuses() {
        assert_eq!(percent("85%"), Some(85.0));
        assert_eq!(percent("99.5 %"), Some(99.5));
        for wrong in ["", "%", "-1%", "inf", "1e9", "nan%"] {
            assert_eq!(percent(wrong), None, "{wrong}");
        }
        assert_eq!((share("10%"), share("0 %"), share("100%")), (Some(10), Some(0), Some(100)));
        for wrong in ["", "%", "10", "101%", "1.5%", "-1%", "+1%"] {
            assert_eq!(share(wrong), None, "{wrong}");
        }
        assert_eq!(budget("3 in 1h").map(|b| (b.runs.get(), b.per.as_secs())), Some((3, 3_600)));
        for wrong in ["3", "0 in 1h", "3 in 0s", "3 per 1h", "-1 in 1h"] {
            assert_eq!(budget(wrong), None, "{wrong}");
        }
        assert_eq!(statuses("200-299"), Some((200, 299)));
        assert_eq!(statuses("2xx"), Some((200, 299)));
        assert_eq!(statuses("404"), Some((404, 404)));
        for wrong in ["", "99", "600", "300-200", "6xx", "2x", "20-0"] {
            assert_eq!(statuses(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn comparisons_have_a_sign_and_a_number() {
        assert_eq!(comparison("> 90"), Some((Compare::Greater, 90.0)));
        assert_eq!(comparison("<=-1.5"), Some((Compare::LessOrEqual, -1.5)));
        assert_eq!(comparison(" == 0 "), Some((Compare::Equal, 0.0)));
        assert_eq!(comparison(">= 1e6"), Some((Compare::GreaterOrEqual, 1_000_000.0)));
        for wrong in ["", "90", ">", "> ", "> x", "> inf", "< NaN", "=> 3", "= 3", "> 3%", "> 1e999", ">> 3"]
        {
            assert_eq!(comparison(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for text in ["0s", "10s", "1h 30m", "14d", "1d 2h 3m 4s 5ms"] {
            assert_eq!(Written(duration(text).unwrap()).to_string(), text);
        }
    }
}
