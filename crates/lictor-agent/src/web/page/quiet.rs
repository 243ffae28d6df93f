//! For how long nobody is to be told of an alert: what people want most often, each with a button of its own.

use std::sync::Arc;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use lictor_core::Wall;
use lictor_core::alert::{Matcher, Pattern, Subject};

use crate::web::alerts::conditions;
use crate::web::text::{timestamp, visible};

/// The hour at which people are there again.
const MORNING: i8 = 8;

/// Labels of an alert that are written out as conditions, and their longest text in bytes; a silence may have as many.
const LABELS: usize = 20;
const LONGEST: usize = 1_000;

/// The form that silences one alert.
#[derive(Debug)]
pub(super) struct Quiet {
    /// The conditions, one a line: all labels of the alert.
    pub(super) matchers: String,
    pub(super) presets: Arc<Presets>,
}

/// What there is a button for.
#[derive(Debug)]
pub(super) struct Presets {
    pub(super) all: Vec<Preset>,
    /// In which time zone a morning is meant.
    pub(super) zone: String,
}

/// A button.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Preset {
    pub(super) label: String,
    /// What it sends: `for` a while, or `until` an instant.
    pub(super) field: &'static str,
    pub(super) value: String,
}

impl Presets {
    /// In the time zone of this machine.
    pub(super) fn here(now: Wall) -> Arc<Self> {
        Arc::new(Self::new(timestamp(now), &TimeZone::system()))
    }

    fn new(now: Timestamp, zone: &TimeZone) -> Self {
        let here = now.to_zoned(zone.clone());
        let hour = Preset { label: "for 1 h".to_owned(), field: "for", value: "1h".to_owned() };
        let mut all = vec![hour];
        let mornings: Vec<_> = (0..=7).filter_map(|days| morning(&here, days)).collect();
        let next = mornings.iter().find(|at| **at > here);
        let monday = mornings.iter().find(|at| at.date() > here.date() && at.weekday() == Weekday::Monday);
        if let Some(next) = next.filter(|next| Some(*next) != monday) {
            let day = if next.date() == here.date() { "today" } else { "tomorrow" };
            all.push(Preset::until(next, format!("until {day} {}", next.strftime("%H:%M"))));
        }
        if let Some(monday) = monday {
            all.push(Preset::until(monday, format!("until {}", monday.strftime("%A %-d %b %H:%M"))));
        }
        // A machine that says nothing of its zone has UTC.
        let name = zone.iana_name().map(|name| if zone.is_unknown() { "UTC" } else { name }.to_owned());
        Self { all, zone: name.unwrap_or_else(|| here.strftime("%Z").to_string()) }
    }
}

impl Preset {
    fn until(at: &Zoned, label: String) -> Self {
        Self { label, field: "until", value: at.timestamp().to_string() }
    }
}

impl Quiet {
    /// The form for an alert; `None` where its labels cannot be written as conditions.
    pub(super) fn new(subject: &Subject, presets: &Arc<Presets>) -> Option<Self> {
        let matcher = |(label, value): (&String, &String)| {
            let plain =
                !label.is_empty() && !label.contains(|c: char| c.is_whitespace() || "\"!,=".contains(c));
            let any = vec![Pattern::Exactly(value.clone())];
            let text = Matcher { label: label.clone(), any, not: false }.to_string();
            (plain && text.len() <= LONGEST && visible(&text, LONGEST) == text).then_some(text)
        };
        let matchers: Option<Vec<_>> = subject.labels.iter().map(matcher).collect();
        let matchers = matchers.filter(|all| !all.is_empty() && all.len() <= LABELS)?;
        // What comes back by the form is read, and has to mean this alert.
        let texts: Vec<_> = matchers.iter().map(|text| text.trim().to_owned()).collect();
        conditions(&texts).ok().filter(|read| read.hold(subject))?;
        Some(Self { matchers: matchers.join("\n"), presets: Arc::clone(presets) })
    }
}

/// When a silence ends, for people who are where this machine is: `Mon 30 Nov 2026 08:00 CET`.
pub(super) fn ends(at: Wall) -> String {
    timestamp(at).to_zoned(TimeZone::system()).strftime("%a %-d %b %Y %H:%M %Z").to_string()
}

/// The morning so many days after today.
fn morning(here: &Zoned, days: i64) -> Option<Zoned> {
    let date = here.date().checked_add(days.days()).ok()?;
    date.at(MORNING, 0, 0, 0).to_zoned(here.time_zone().clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The buttons at a moment, as `label = what is sent`.
    fn buttons(now: &str, zone: &str) -> Vec<String> {
        let zone = TimeZone::get(zone).unwrap();
        let all = Presets::new(now.parse().unwrap(), &zone).all;
        all.into_iter().map(|Preset { label, field, value }| format!("{label} = {field} {value}")).collect()
    }

    #[test]
    fn there_is_a_button_for_an_hour_the_next_morning_and_monday() {
        assert_eq!(
            buttons("2026-11-26T14:30:00Z", "Europe/Berlin"),
            [
                "for 1 h = for 1h",
                "until tomorrow 08:00 = until 2026-11-27T07:00:00Z",
                "until Monday 30 Nov 08:00 = until 2026-11-30T07:00:00Z",
            ]
        );
        // In Berlin it is Friday already, and not yet morning.
        assert_eq!(
            buttons("2026-11-26T23:30:00Z", "Europe/Berlin")[1],
            "until today 08:00 = until 2026-11-27T07:00:00Z"
        );
    }

    #[test]
    fn a_monday_is_named_once_and_is_never_today() {
        assert_eq!(
            buttons("2026-11-22T12:00:00Z", "UTC")[1..],
            ["until Monday 23 Nov 08:00 = until 2026-11-23T08:00:00Z"]
        );
        assert_eq!(
            buttons("2026-11-23T03:00:00Z", "UTC")[1..],
            [
                "until today 08:00 = until 2026-11-23T08:00:00Z",
                "until Monday 30 Nov 08:00 = until 2026-11-30T08:00:00Z"
            ]
        );
        assert_eq!(
            buttons("2026-11-23T08:00:00Z", "UTC")[1..],
            [
                "until tomorrow 08:00 = until 2026-11-24T08:00:00Z",
                "until Monday 30 Nov 08:00 = until 2026-11-30T08:00:00Z"
            ]
        );
    }

    #[test]
    fn a_morning_is_at_eight_whatever_the_clocks_do_before_it() {
        // In the night to Sunday clocks go back, so it is an hour more than four days.
        assert_eq!(
            buttons("2026-10-22T10:00:00Z", "Europe/Berlin")[2],
            "until Monday 26 Oct 08:00 = until 2026-10-26T07:00:00Z"
        );
    }

    #[test]
    fn what_cannot_be_written_as_conditions_has_no_form() {
        let presets = Presets::here(Wall::from_unix_millis(0));
        let quiet = |labels: &[(&str, &str)]| {
            let key = lictor_core::alert::SubjectKey::of(&["x"]);
            let labels = lictor_core::alert::text(labels);
            Quiet::new(&Subject { key, labels, tags: Default::default() }, &presets)
                .map(|quiet| quiet.matchers)
        };
        assert_eq!(quiet(&[("node", "n1"), ("path", "/a,b")]).as_deref(), Some("node=n1\npath=\"/a,b\""));
        for odd in
            [("a b", "x"), ("a", "x\ncheck=y"), ("a", "\u{202e}x"), ("", "x"), ("tag", "x"), ("a", "x ")]
        {
            assert_eq!(quiet(&[odd]), None, "{odd:?}");
        }
        assert_eq!(quiet(&[]), None);
    }
}
