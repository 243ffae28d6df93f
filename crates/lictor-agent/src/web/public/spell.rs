//! How the page, the feed and the badges say it.

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use lictor_core::{Span, Wall};

use super::shown::{Shown, State, Trouble, counted};
use crate::web::text::{count, timestamp};

/// What is said first.
pub(super) fn headline(shown: &Shown) -> String {
    let groups = &shown.groups;
    let all = groups.len();
    let mut bad = counted(groups).into_iter().rev();
    match bad.next() {
        None | Some((State::Up, _)) => "All is well".to_owned(),
        Some((state, number)) if number == all && all > 1 => {
            format!("All {} {}", count(all, "group"), are(state))
        }
        Some((state, 1)) => {
            let name = groups.iter().find(|group| group.state == state).map_or("", |group| &group.name);
            format!("{name} {}", is(state))
        }
        Some((state, number)) => format!("{number} of {} {}", count(all, "group"), are(state)),
    }
}

const fn is(state: State) -> &'static str {
    match state {
        State::Up => "is up",
        State::Maintenance => "is under maintenance",
        State::Unknown => "cannot be told at present",
        State::Degraded => "is degraded",
        State::Down => "is down",
    }
}

const fn are(state: State) -> &'static str {
    match state {
        State::Up => "are up",
        State::Maintenance => "are under maintenance",
        State::Unknown => "cannot be told at present",
        State::Degraded => "are degraded",
        State::Down => "are down",
    }
}

/// An instant to the minute, `2026-11-21 03:04 UTC`.
pub(super) fn minute(at: Wall) -> String {
    timestamp(at).strftime("%F %R UTC").to_string()
}

/// An instant as feeds have it, `Sat, 21 Nov 2026 03:04:05 GMT`; none outside their calendar.
pub(super) fn feed_time(at: Wall) -> Option<String> {
    let at: Timestamp = timestamp(at);
    rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()
}

/// When a trouble was, and how long it lasted.
pub(super) fn trouble(trouble: &Trouble) -> String {
    let from = minute(trouble.from);
    match trouble.until {
        None => format!("since {from}"),
        Some(until) => {
            let millis = until.as_unix_millis().saturating_sub(trouble.from.as_unix_millis());
            let seconds = u64::try_from(millis / 1_000).unwrap_or(0);
            let lasted = Span(std::time::Duration::from_secs(seconds));
            format!("from {from} to {}, {lasted}", minute(until))
        }
    }
}
