//! What the public page says: of the groups that are named, and by the names that are given.

use std::collections::BTreeMap;

use lictor_config::{StatusGroup, StatusPage};
use lictor_core::alert::{Silence, Subject};
use lictor_core::{CheckName, Status, Wall};
use lictor_store::Stood;

use super::Sources;
use super::closed::{Closed, Spell};
use crate::View;
use crate::past::Record;
use crate::web::text::visible;

/// Longest text that is shown, characters.
const TEXT: usize = 2_000;

/// Troubles that are shown.
const SHOWN: usize = 30;

/// How long ago troubles may be over that are still shown, milliseconds.
const LATELY: i64 = 90 * 86_400_000;

/// How a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Up,
    Maintenance,
    Unknown,
    Degraded,
    Down,
}

/// All that is shown.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) title: String,
    pub(super) description: Option<String>,
    pub(super) url: Option<String>,
    pub(super) groups: Vec<Group>,
    pub(super) troubles: Vec<Trouble>,
    pub(super) announcements: Vec<Announced>,
    /// Whether what is over could not be read.
    pub(super) past_unknown: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) slug: String,
    pub(super) description: Option<String>,
    pub(super) state: State,
    pub(super) parts: Vec<(String, State)>,
    pub(super) record: Option<Record>,
}

/// A time in which some of a group did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) group: String,
    pub(super) slug: String,
    /// The number of its first incident.
    pub(super) incident: u64,
    pub(super) from: Wall,
    /// `None`: it goes on.
    pub(super) until: Option<Wall>,
}

#[derive(Clone, Debug)]
pub(super) struct Announced {
    pub(super) title: String,
    pub(super) text: String,
    pub(super) from: Option<Wall>,
    pub(super) until: Option<Wall>,
}

impl Shown {
    /// Puts it together. `past_unknown`: not all that is over could be read.
    pub(super) fn gather(
        page: &StatusPage,
        view: &View,
        windows: &[Silence],
        sources: &Sources,
        closed: &Closed,
        past_unknown: bool,
    ) -> Self {
        let now = view.at.wall;
        let state = |check: &CheckName| state(view, windows, &sources.node, check);
        let worst = |checks: &[CheckName]| checks.iter().map(state).max().unwrap_or(State::Unknown);
        let group = |group: &StatusGroup| Group {
            name: visible(&group.name, TEXT),
            slug: group.slug(),
            description: group.description.as_deref().map(|text| visible(text, TEXT)),
            state: worst(&group.checks),
            parts: group.parts.iter().map(|part| (visible(&part.name, TEXT), worst(&part.checks))).collect(),
            record: together(group.checks.iter().filter_map(|check| sources.past.of(check, now))),
        };
        let mut troubles = Vec::new();
        for group in &page.groups {
            let mut spans = Vec::new();
            for check in &group.checks {
                spans.extend_from_slice(closed.of(check));
                let open = view.incidents.values().filter(|one| one.closed.is_none() && one.check == *check);
                spans.extend(open.map(|incident| Spell {
                    from: incident.opened.wall.as_unix_millis(),
                    until: None,
                    incident: incident.id.0,
                }));
            }
            if worst(&group.checks) == State::Maintenance {
                // It is meant to be so.
                spans.retain(|span| span.until.is_some());
            }
            let late = |until: &Option<i64>| until.is_none_or(|end| now.as_unix_millis() - end < LATELY);
            let whole = joined(spans).into_iter().filter(|span| late(&span.until));
            troubles.extend(whole.map(|span| Trouble {
                group: visible(&group.name, TEXT),
                slug: group.slug(),
                incident: span.incident,
                from: Wall::from_unix_millis(span.from),
                until: span.until.map(Wall::from_unix_millis),
            }));
        }
        // What goes on first, then the latest.
        troubles.sort_by_key(|trouble| (trouble.until.is_some(), std::cmp::Reverse(trouble.from)));
        troubles.truncate(SHOWN);
        Self {
            title: visible(&page.title, TEXT),
            description: page.description.as_deref().map(|text| visible(text, TEXT)),
            url: page.url.as_ref().map(ToString::to_string),
            groups: page.groups.iter().map(group).collect(),
            troubles,
            announcements: announced(page, now),
            past_unknown,
        }
    }

    /// The state of all.
    pub(super) fn worst(&self) -> State {
        self.groups.iter().map(|group| group.state).max().unwrap_or(State::Unknown)
    }
}

fn state(view: &View, windows: &[Silence], node: &str, check: &CheckName) -> State {
    let Some(found) = view.checks.get(check) else { return State::Unknown };
    let state = match found.status {
        Status::Passing => return State::Up,
        Status::Warning => State::Degraded,
        Status::Unknown => State::Unknown,
        Status::Critical => State::Down,
    };
    let subject = Subject::own(node, check.as_str());
    if windows.iter().any(|window| window.when.hold(&subject)) { State::Maintenance } else { state }
}

/// How several checks stood, added up.
fn together(records: impl Iterator<Item = Record>) -> Option<Record> {
    records.reduce(|mut all, one| {
        for (all, one) in all.windows.iter_mut().zip(&one.windows) {
            all.add(one);
        }
        for (all, one) in all.days.iter_mut().zip(one.days) {
            if let Some(one) = one {
                all.get_or_insert(Stood::default()).add(&one);
            }
        }
        all
    })
}

/// Times that touch each other, as one, by the number of the first incident; the oldest first.
fn joined(mut spans: Vec<Spell>) -> Vec<Spell> {
    spans.sort_unstable();
    let mut whole: Vec<Spell> = Vec::new();
    for span in spans {
        match whole.last_mut() {
            Some(last) if last.until.is_none_or(|end| span.from <= end) => {
                last.until = last.until.zip(span.until).map(|(one, other)| one.max(other));
                last.incident = last.incident.min(span.incident);
            }
            _ => whole.push(span),
        }
    }
    whole
}

fn announced(page: &StatusPage, now: Wall) -> Vec<Announced> {
    let wall = |at: jiff::Timestamp| Wall::from_unix_millis(at.as_millisecond());
    let shown = page.announcements.iter().filter(|one| {
        one.from.map(wall).is_none_or(|from| from <= now)
            && one.until.map(wall).is_none_or(|until| now < until)
    });
    let told = |one: &lictor_config::Announcement| Announced {
        title: visible(&one.title, TEXT),
        text: visible(&one.text, TEXT),
        from: one.from.map(wall),
        until: one.until.map(wall),
    };
    shown.map(told).collect()
}

impl State {
    /// The word for it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Maintenance => "maintenance",
            Self::Unknown => "no data",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }

    /// The status whose colour and shape it has.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Up => "passing",
            Self::Maintenance | Self::Unknown => "unknown",
            Self::Degraded => "warning",
            Self::Down => "critical",
        }
    }

    /// The tone of what is said first.
    pub(super) const fn tone(self) -> &'static str {
        match self {
            Self::Up => "good",
            Self::Maintenance | Self::Unknown => "note",
            Self::Degraded => "warn",
            Self::Down => "bad",
        }
    }
}

/// How many groups are in each state.
pub(super) fn counted(groups: &[Group]) -> BTreeMap<State, usize> {
    let mut counted = BTreeMap::new();
    for group in groups {
        *counted.entry(group.state).or_default() += 1;
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::past::DAYS;

    fn together_are(spans: &[(i64, Option<i64>, u64)]) -> Vec<(i64, Option<i64>, u64)> {
        let spans = spans.iter().map(|&(from, until, incident)| Spell { from, until, incident });
        joined(spans.collect()).iter().map(|span| (span.from, span.until, span.incident)).collect()
    }

    #[test]
    fn troubles_that_touch_are_one() {
        assert_eq!(
            together_are(&[(5, Some(9), 1), (1, Some(5), 2), (20, Some(30), 3), (21, Some(22), 4)]),
            [(1, Some(9), 1), (20, Some(30), 3)]
        );
        assert_eq!(together_are(&[(1, None, 1), (3, Some(4), 2), (9, Some(11), 3)]), [(1, None, 1)]);
        assert_eq!(together_are(&[(1, Some(4), 1), (3, None, 2)]), [(1, None, 1)]);
        assert_eq!(together_are(&[]), []);
    }

    #[test]
    fn the_days_of_several_checks_are_added_up() {
        let record = |stood: Stood, known: usize| {
            let mut days = vec![None; DAYS];
            days[DAYS - known..].fill(Some(stood));
            Record { days, today: 9, windows: [stood; 4], took: vec![1] }
        };
        let well = Stood { passing: 10, ..Stood::default() };
        let ill = Stood { critical: 10, ..Stood::default() };
        let both = together([record(well, 2), record(ill, 1)].into_iter()).unwrap();
        assert_eq!(both.windows[0], Stood { passing: 10, critical: 10, ..Stood::default() });
        assert_eq!(both.days[DAYS - 2], Some(well));
        assert_eq!(both.days[DAYS - 1].unwrap().critical, 10);
        assert_eq!(together(std::iter::empty()), None);
    }
}
