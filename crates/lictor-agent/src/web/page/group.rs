//! The checks of the overview, under the headings of their groups.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use lictor_core::{Check, CheckName, Status};
use url::form_urlencoded;

use super::check::{Around, CheckRow};
use crate::View;
use crate::web::text::{count, thousands, visible};

/// Checks that are not passing, shown without `?all`.
const BAD: usize = 300;
/// Checks shown without `?all`, those that are not passing among them.
const CHECKS: usize = 200;
/// Groups shown without `?all`, besides those of which there are checks to show.
const GROUPS: usize = 100;
/// With more checks than this, the groups of which all is well are folded.
const FEW: usize = 20;
/// Longest name, characters.
const NAME: usize = 128;

/// Checks under one heading.
#[derive(Debug)]
pub(super) struct Group {
    /// `None`: no check has a group, so that there are no headings.
    pub(super) name: Option<String>,
    /// What the browser knows it by, while others come and go.
    pub(super) id: String,
    pub(super) standing: &'static str,
    /// How many of its checks stand how.
    pub(super) counts: String,
    pub(super) open: bool,
    pub(super) checks: Vec<CheckRow>,
    /// How many of its checks are not shown.
    pub(super) left: usize,
}

/// How a check stands, for the heading; a later one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Passing,
    /// It does not pass, and is not meant to.
    Maintenance,
    Warning,
    Unknown,
    Critical,
}

/// A group as it is being gathered.
#[derive(Default)]
struct Gathered<'a> {
    counts: BTreeMap<Standing, usize>,
    shown: Vec<(&'a CheckName, &'a Check)>,
    left: usize,
}

/// The groups, worst first, then by name, and in each the checks likewise; and how many checks are left out, in words.
pub(super) fn groups(view: &View, around: &Around, all: bool) -> (Vec<Group>, Option<String>) {
    let mut checks: Vec<_> = view.checks.iter().map(|(name, check)| (name, &**check)).collect();
    // By name already; the sort is stable.
    checks.sort_by_key(|(_, check)| Reverse(check.status));
    let total = checks.len();
    let bad = checks.partition_point(|(_, check)| check.status != Status::Passing);
    let most = match all {
        true => total,
        false if bad > CHECKS => bad.min(BAD),
        false => CHECKS.min(total),
    };
    let group = |name: &CheckName| view.plan.checks.get(name).and_then(|plan| plan.group.as_deref());
    let mut gathered: BTreeMap<Option<&str>, Gathered<'_>> = BTreeMap::new();
    for (index, (name, check)) in checks.into_iter().enumerate() {
        let group = gathered.entry(group(name)).or_default();
        *group.counts.entry(Standing::of(name, check, around)).or_default() += 1;
        match index < most {
            true => group.shown.push((name, check)),
            false => group.left += 1,
        }
    }
    let headings = gathered.keys().any(Option::is_some);
    let mut sorted: Vec<_> = gathered.into_iter().collect();
    sorted.sort_by_key(|(name, group)| (Reverse(group.worst()), name.is_none(), *name));
    let mut rank = 0;
    sorted.retain(|(_, group)| {
        rank += 1;
        all || rank <= GROUPS || !group.shown.is_empty()
    });
    let row = |(name, check)| CheckRow::new(name, check, view, around);
    let made = sorted.into_iter().map(|(name, group)| Group {
        name: headings.then(|| name.map_or_else(|| "Other checks".to_owned(), |name| visible(name, NAME))),
        id: id(name),
        standing: group.worst().as_str(),
        counts: group.counts(),
        open: total <= FEW || group.worst() > Standing::Maintenance,
        checks: group.shown.into_iter().map(row).collect(),
        left: group.left,
    });
    (made.collect(), (most < total).then(|| hidden(most, total)))
}

/// Names have what an identifier must not have.
fn id(name: Option<&str>) -> String {
    name.map_or_else(
        || "checks".to_owned(),
        |name| format!("checks:{}", form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>()),
    )
}

fn hidden(shown: usize, total: usize) -> String {
    let (few, left) = (thousands(shown), thousands(total - shown));
    format!("Showing {few} of {}, the worst first; {left} are hidden.", count(total, "check"))
}

impl Standing {
    fn of(name: &CheckName, check: &Check, around: &Around) -> Self {
        match check.status {
            Status::Passing => Self::Passing,
            _ if around.maintains(name) => Self::Maintenance,
            Status::Warning => Self::Warning,
            Status::Unknown => Self::Unknown,
            Status::Critical => Self::Critical,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Maintenance => "maintenance",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Critical => "critical",
        }
    }
}

impl Gathered<'_> {
    fn worst(&self) -> Standing {
        self.counts.last_key_value().map_or(Standing::Passing, |(worst, _)| *worst)
    }

    /// `1 critical, 2 in maintenance, 12 passing`.
    fn counts(&self) -> String {
        let told = self.counts.iter().rev().map(|(standing, number)| {
            let word = if *standing == Standing::Maintenance { "in maintenance" } else { standing.as_str() };
            format!("{} {word}", thousands(*number))
        });
        told.collect::<Vec<_>>().join(", ")
    }
}
