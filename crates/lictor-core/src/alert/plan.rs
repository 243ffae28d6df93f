//! Who is told of what, when: what a configuration asks of the alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use regex::Regex;

use super::subject::Subject;
use crate::check::Status;
use crate::name::{NotifierName, RouteName};
use crate::plan::Flap;

/// Everything that is decided by about alerts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertPlan {
    /// What messages call this installation.
    pub cluster: String,
    /// Who tells.
    pub notifiers: BTreeMap<NotifierName, NotifierPlan>,
    /// Which alert goes where, in order: the first that matches takes it, and goes on to the next
    /// when it says so.
    pub routes: Vec<Route>,
    /// How long it lasts until it counts; the first that matches is in force. What none matches
    /// counts at once.
    pub thresholds: Vec<Threshold>,
    /// What is not looked at, as if it did not exist.
    pub ignored: Vec<Matchers>,
    /// What is not told while something else is wrong.
    pub inhibitions: Vec<Inhibition>,
    /// Services whose instances are judged together.
    pub services: Vec<ServicePlan>,
    /// When something flaps. `None`: never.
    pub flap: Option<Flap>,
}

/// How one notifier is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotifierPlan {
    /// What goes into one message.
    pub batch: Batching,
    /// So many messages at once, never two of one subject (default 1).
    pub parallel: NonZeroU32,
    /// At most so many messages in such a time.
    pub rate: Option<(NonZeroU32, Duration)>,
    /// Pause after the first attempt that was not accepted; doubles for each further one
    /// (default 1 s).
    pub backoff: Duration,
    /// Upper bound of the pause (default 5 min).
    pub backoff_max: Duration,
    /// A message that was not accepted by then is given up (default 24 h).
    pub expire: Duration,
}

impl Default for NotifierPlan {
    fn default() -> Self {
        Self {
            batch: Batching::Together,
            parallel: NonZeroU32::MIN,
            rate: None,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(300),
            expire: Duration::from_secs(86_400),
        }
    }
}

/// What goes into one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Batching {
    /// Everything of a group.
    #[default]
    Together,
    /// What concerns one node.
    PerNode,
    /// One subject: for services that keep an incident of each.
    PerAlert,
}

/// Which alerts go to whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Its name.
    pub name: RouteName,
    /// Which alerts.
    pub when: Matchers,
    /// In which statuses it takes them (default all but passing). Whom it told of one that is in
    /// another status now hears that it is over.
    pub status: BTreeSet<Status>,
    /// Who tells.
    pub to: Vec<NotifierName>,
    /// Alerts that differ in one of these labels do not share a message.
    pub group_by: Vec<String>,
    /// How long the first alert of a group waits for others (default 1 s).
    pub group_wait: Duration,
    /// Shortest time from one message of a group to the next (default 15 s).
    pub group_interval: Duration,
    /// How often it is said again while it lasts. `None`: not at all.
    pub remind_every: Option<Duration>,
    /// Whether it is told that it is over (default yes).
    pub resolved: bool,
    /// Whether the routes after it are asked too.
    pub go_on: bool,
}

/// How long something lasts until it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// For which alerts.
    pub when: Matchers,
    /// So long it must have been bad.
    pub bad_for: Duration,
    /// So long it must have been good again.
    pub good_for: Duration,
}

/// What is not told while something else is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Inhibition {
    /// While one of these is critical, counted at once and not only when it is told …
    pub source: Matchers,
    /// … none of these is told, itself excepted.
    pub target: Matchers,
    /// They must have the same value of each of these labels.
    pub equal: Vec<String>,
    /// A target waits so long before it is first told: its parent may need longer to be seen
    /// (default 10 s).
    pub wait: Duration,
}

/// Instances of a service of Consul's that are judged together: `critical` below `at_least`
/// healthy ones, `warning` below `warn_below`.
#[derive(Clone, Debug, PartialEq)]
pub struct ServicePlan {
    /// The instances, by their labels and tags.
    pub when: Matchers,
    /// Fewer healthy instances are critical. A healthy one has no check that is critical and is
    /// not in maintenance.
    pub at_least: NonZeroU32,
    /// Fewer healthy instances are a warning.
    pub warn_below: Option<NonZeroU32>,
    /// Whether the checks of the instances are no alerts of their own (default yes).
    pub instead: bool,
}

/// Conditions on a subject that must all hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matchers(pub Vec<Matcher>);

impl Matchers {
    /// Whether all hold; without any, they do.
    pub fn hold(&self, subject: &Subject) -> bool {
        self.0.iter().all(|matcher| matcher.holds(subject))
    }
}

impl fmt::Display for Matchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("everything");
        }
        for (place, matcher) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{matcher}")?;
        }
        Ok(())
    }
}

/// A condition on a label, or on the tags.
#[derive(Clone, Debug, PartialEq)]
pub struct Matcher {
    /// The label, or `tag`: then one of the tags must fit.
    pub label: String,
    /// One of these must fit; a missing label is an empty text.
    pub any: Vec<Pattern>,
    /// None of them may fit instead.
    pub not: bool,
}

/// The label that stands for the tags.
pub const TAG: &str = "tag";

impl Matcher {
    /// Whether it holds.
    pub fn holds(&self, subject: &Subject) -> bool {
        let fits = |value: &str| self.any.iter().any(|pattern| pattern.fits(value));
        let found = if self.label == TAG {
            subject.tags.iter().any(|tag| fits(tag))
        } else {
            fits(subject.label(&self.label))
        };
        found != self.not
    }
}

/// As people write it and the API reads it: `node=n1`, `service!=/^web/,db`.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.not { "!=" } else { "=" };
        let any: Vec<_> = self.any.iter().map(ToString::to_string).collect();
        write!(f, "{}{sign}{}", self.label, any.join(","))
    }
}

/// What a text is compared with.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// The same text.
    Exactly(String),
    /// A regular expression that is found in it somewhere.
    Regex(Regex),
}

impl Pattern {
    /// Whether the text fits.
    pub fn fits(&self, text: &str) -> bool {
        match self {
            Self::Exactly(wanted) => wanted == text,
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exactly(one), Self::Exactly(two)) => one == two,
            (Self::Regex(one), Self::Regex(two)) => one.as_str() == two.as_str(),
            (Self::Exactly(_), Self::Regex(_)) | (Self::Regex(_), Self::Exactly(_)) => false,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(text) if text.contains(',') || text.starts_with(['"', '/', '~']) => {
                write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
            }
            Self::Exactly(text) => f.write_str(text),
            Self::Regex(regex) => write!(f, "/{}/", slashed(regex.as_str())),
        }
    }
}

/// A pattern as it stands between slashes: a comma after a slash would end it.
fn slashed(pattern: &str) -> String {
    if pattern.is_empty() {
        return "(?:)".to_owned();
    }
    let (mut shown, mut escaped) = (String::new(), false);
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '/' && !escaped && chars.peek() == Some(&',') {
            shown.push('\\');
        }
        escaped = c == '\\' && !escaped;
        shown.push(c);
    }
    shown
}

impl AlertPlan {
    /// The routes that take an alert in a status, in order.
    pub fn routes_of<'a>(&'a self, subject: &'a Subject, status: Status) -> impl Iterator<Item = &'a Route> {
        let mut over = false;
        self.routes.iter().filter(move |route| {
            let takes = !over && route.status.contains(&status) && route.when.hold(subject);
            over |= takes && !route.go_on;
            takes
        })
    }

    /// How long a subject must have been bad, and good again, before it counts.
    pub fn threshold(&self, subject: &Subject) -> (Duration, Duration) {
        let found = self.thresholds.iter().find(|threshold| threshold.when.hold(subject));
        found.map_or((Duration::ZERO, Duration::ZERO), |found| (found.bad_for, found.good_for))
    }
}
