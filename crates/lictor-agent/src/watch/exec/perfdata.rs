//! What a plugin prints: a summary, and values after a bar.
//!
//! The format is that of the Monitoring Plugins' guidelines:
//! `TEXT | 'label'=number[unit];warn;crit;min;max …`, where text and values may go on in
//! further lines, values again after a bar.

use lictor_core::ValueName;

use crate::watch::value::named;

/// Values of one look that are taken.
const VALUES: usize = 64;

/// The output of a plugin, taken apart.
#[derive(Debug, PartialEq)]
pub(super) struct Printed<'a> {
    pub(super) summary: &'a str,
    pub(super) values: Vec<(ValueName, f64)>,
}

pub(super) fn split(text: &str) -> Printed<'_> {
    let text = text.trim_start();
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (summary, bar) = first.split_once('|').unwrap_or((first, ""));
    let mut values = Vec::new();
    parse(bar, &mut values);
    if let Some((_long_text, bar)) = rest.split_once('|') {
        parse(bar, &mut values);
    }
    Printed { summary: summary.trim_end(), values }
}

fn parse(mut text: &str, values: &mut Vec<(ValueName, f64)>) {
    while values.len() < VALUES {
        text = text.trim_start();
        let Some((label, after)) = label(text) else { return };
        let end = after.find(char::is_whitespace).unwrap_or(after.len());
        let (value, rest) = after.split_at_checked(end).unwrap_or((after, ""));
        if let (Some(name), Some(number)) = (named(label), number(value))
            && !values.iter().any(|(known, _)| *known == name)
        {
            values.push((name, number));
        }
        text = rest;
    }
}

/// The label before `=`, and what follows it. A quoted one may hold anything but a quote.
fn label(text: &str) -> Option<(&str, &str)> {
    match text.strip_prefix('\'') {
        Some(quoted) => {
            let (label, rest) = quoted.split_once('\'')?;
            Some((label, rest.strip_prefix('=')?))
        }
        None => text.split_once('='),
    }
}

/// The number before the first `;`, in seconds when it is a time and in bytes when it is a size.
fn number(text: &str) -> Option<f64> {
    let text = text.split(';').next().unwrap_or_default();
    let end = text.find(|c: char| !(c.is_ascii_digit() || "+-.,eE".contains(c))).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    // Some plugins print in their locale.
    let number: f64 = digits.replace(',', ".").parse().ok()?;
    let scale = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "KB" => 1_024.0,
        "MB" => 1_048_576.0,
        "GB" => 1_073_741_824.0,
        "TB" => 1_099_511_627_776.0,
        _ => 1.0,
    };
    Some(number * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<(String, f64)> {
        split(text).values.into_iter().map(|(name, number)| (name.to_string(), number)).collect()
    }

    fn named_values(list: &[(&str, f64)]) -> Vec<(String, f64)> {
        list.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
    }

    #[test]
    fn values_of_all_lines_are_read() {
        let text = "DISK OK - free space: / 3326 MB (56%); | /=2643MB;5948;5958;0;5968\n\
                    / 15272 MB (77%);\n/boot 68 MB (69%); | /boot=68MB;88;93;0;98\n/home=69357KB;253404\n";
        assert_eq!(split(text).summary, "DISK OK - free space: / 3326 MB (56%);");
        let wanted =
            [("/", 2643.0 * 1_048_576.0), ("/boot", 68.0 * 1_048_576.0), ("/home", 69_357.0 * 1_024.0)];
        assert_eq!(values(text), named_values(&wanted));
    }

    #[test]
    fn labels_may_be_quoted_and_times_become_seconds() {
        let text = "OK|'response time'=12ms;;;0 load1=0,25 total=U size=1e3B time=7us;1";
        let wanted = [("response_time", 0.012), ("load1", 0.25), ("size", 1_000.0), ("time", 7e-6)];
        let found = values(text);
        assert_eq!(found.len(), wanted.len());
        for ((name, number), (wanted_name, wanted_number)) in found.iter().zip(wanted) {
            assert_eq!(name, wanted_name);
            assert!((number - wanted_number).abs() < 1e-9, "{name} is {number}");
        }
    }

    #[test]
    fn what_is_not_perfdata_is_left_alone() {
        assert_eq!(split("").summary, "");
        assert_eq!(values("OK | no values here"), []);
        assert_eq!(values("OK | 'open=5"), []);
        assert_eq!(values("OK | a=b c=NaN d=--5"), []);
        assert_eq!(values(&format!("OK |{}", " x=1".repeat(100_000))).len(), 1);
        let many: String = (0..1_000).map(|n| format!(" v{n}=1")).collect();
        assert_eq!(values(&format!("OK |{many}")).len(), 64);
    }

    proptest::proptest! {
        #[test]
        fn any_output_is_read_without_harm(text in "(?s)[a-z0-9|=;' .,%\\n\u{e9}]{0,200}") {
            let printed = split(&text);
            assert!(text.contains(printed.summary));
            assert!(printed.values.len() <= VALUES);
        }
    }
}
