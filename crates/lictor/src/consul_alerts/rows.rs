//! What the old program remembers as rows of ours, and ours as it remembers them.
//!
//! It knows one thing per check, "to be told" or not, and we who was told what. What it no longer
//! has to tell was told to all whom it would have chosen; what it says is over is still owed by us
//! to those who did not hear it from us.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use lictor_compat::Moment;
use lictor_compat::consul_alerts::state::{CheckState, HealthCheck};
use lictor_compat::consul_alerts::{CheckRef, Message, PREFIX, Settings, Stored};
use lictor_core::alert::{AlertPlan, Case, Row, Source, Subject, SubjectKey, Told, label};
use lictor_core::{NotifierName, Now, Status, Wall};

/// The old program never forgets a check. What is no longer registered and was told longer ago than
/// this is not told to be over: by now nobody asks.
const FORGOTTEN: Duration = Duration::from_hours(24);

/// Who was told what.
type Heard = BTreeMap<NotifierName, Told>;

/// What records are taken up with.
pub(super) struct Scene<'a> {
    pub(super) plan: &'a AlertPlan,
    pub(super) datacenter: &'a str,
    /// Node and id of each check that Consul has; empty when that is not known.
    pub(super) registered: &'a BTreeSet<(String, String)>,
    pub(super) now: Now,
}

impl Scene<'_> {
    /// Our rows with what is in its records.
    pub(super) fn take_up(&self, stored: &Stored, ours: Vec<Row>) -> Vec<Row> {
        let key = |check: &HealthCheck| {
            SubjectKey::consul(self.datacenter, &check.node, &check.service_id, &check.check_id)
        };
        let mut states: BTreeMap<_, _> =
            stored.states.values().map(|state| (key(&state.health_check), state)).collect();
        let mut rows = Vec::new();
        for row in ours {
            rows.push(match row {
                Row::Case(case) => Row::Case(match states.remove(&case.subject.key) {
                    Some(state) => self.joined(case, state, stored.reminder_of(PREFIX, state)),
                    None => case,
                }),
                other => other,
            });
        }
        let theirs = states.into_values().filter_map(|state| {
            let reminder = stored.reminder_of(PREFIX, state);
            let case = self.case(state, reminder);
            let nothing =
                case.settled == Status::Passing && case.live == Status::Passing && case.told.is_empty();
            (!nothing && !self.ignores(&case.subject) && !self.is_forgotten(&case, state, reminder))
                .then_some(Row::Case(case))
        });
        rows.extend(theirs);
        rows
    }

    /// A state as a case.
    fn case(&self, state: &CheckState, reminder: Option<&Message>) -> Case {
        let check = &state.health_check;
        let settled = status(&state.current).unwrap_or(Status::Passing);
        let (live, live_since) = match status(&state.pending) {
            Some(pending) => (pending, self.at(&state.pending_timestamp)),
            None => (settled, self.at(&state.current_timestamp)),
        };
        let since = self.at(&state.current_timestamp);
        let same_side = (live == Status::Passing) == (settled == Status::Passing);
        let subject = self.subject(check);
        let told = self.told(&subject, settled, state, reminder);
        Case {
            subject,
            source: Source::new(&format!("consul/{}", self.datacenter)),
            settled,
            since,
            opened: since,
            live,
            live_since,
            side_since: if same_side { since } else { live_since },
            judged: false,
            news: None,
            output: check.output.clone(),
            notes: check.notes.clone(),
            maintenance: false,
            gone: None,
            acknowledged: None,
            told,
            changes: VecDeque::new(),
            flapping: false,
            was_critical: None,
        }
    }

    /// A case of ours with what became of it while we did not look.
    fn joined(&self, ours: Case, state: &CheckState, reminder: Option<&Message>) -> Case {
        if self.ignores(&ours.subject) {
            return ours;
        }
        let theirs = self.case(state, reminder);
        let chosen = self.plan.routes_of(&ours.subject, ours.settled).any(|route| !route.to.is_empty());
        let left = state_of(&ours, &theirs_names(state), chosen);
        if counts(&left) == counts(state) {
            let told_by_them = left.for_notification && !state.for_notification;
            return match (ours.settled, told_by_them) {
                (Status::Passing, _) => ours,
                (_, true) => Case { told: together(ours.told, theirs.told), ..ours },
                (_, false) => Case { told: reminded(ours.settled, ours.told, &theirs.told), ..ours },
            };
        }
        let told = together(ours.told, theirs.told);
        if millis(&state.current_timestamp) < ours.since.wall.as_unix_millis() {
            return Case { told, ..ours };
        }
        let over = theirs.settled == Status::Passing;
        let began = if over || ours.settled != Status::Passing { ours.opened } else { theirs.opened };
        Case {
            opened: began,
            told,
            acknowledged: ours.acknowledged.filter(|_| !over),
            subject: ours.subject,
            maintenance: ours.maintenance,
            changes: ours.changes,
            flapping: ours.flapping && !over,
            was_critical: ours.was_critical,
            ..theirs
        }
    }

    /// Who was told what, as far as it remembers.
    fn told(
        &self,
        subject: &Subject,
        settled: Status,
        state: &CheckState,
        reminder: Option<&Message>,
    ) -> Heard {
        let counts = self.at(&state.current_timestamp);
        let reminded = reminder.and_then(|reminder| {
            let at = if reminder.rmd_check.is_zero() { counts } else { self.at(&reminder.rmd_check) };
            let status = status(&reminder.status).filter(|status| *status != Status::Passing)?;
            Some((status, at))
        });
        let words = match (settled, state.for_notification, reminded) {
            (Status::Passing, false, _) => vec![],
            (Status::Passing, true, Some(told)) => vec![told],
            // It does not say what they were told.
            (Status::Passing, true, None) => vec![(Status::Critical, counts), (Status::Warning, counts)],
            (bad, false, Some((told, at))) if told == bad => vec![(bad, at)],
            (bad, false, _) => vec![(bad, counts)],
            (bad, true, Some((told, at))) if told != bad => vec![(told, at)],
            (_, true, _) => vec![],
        };
        let mut heard = Heard::new();
        for (status, at) in words {
            for route in self.plan.routes_of(subject, status) {
                for notifier in route.to.iter().filter(|name| self.plan.notifiers.contains_key(name)) {
                    let told = Told { status, firing: true, at, reminders: 0, news: None };
                    heard.entry(notifier.clone()).or_insert(told);
                }
            }
        }
        heard
    }

    fn ignores(&self, subject: &Subject) -> bool {
        self.plan.ignored.iter().any(|one| one.hold(subject))
    }

    fn is_forgotten(&self, case: &Case, state: &CheckState, reminder: Option<&Message>) -> bool {
        let check = &state.health_check;
        let named = (check.node.clone(), check.check_id.clone());
        let age = self.now.boot.since(case.since.boot.max(case.live_since.boot));
        !self.registered.is_empty()
            && !self.registered.contains(&named)
            && reminder.is_none()
            && age > FORGOTTEN
    }

    fn subject(&self, check: &HealthCheck) -> Subject {
        let labels = [
            (label::SOURCE, "consul"),
            (label::DATACENTER, self.datacenter),
            (label::NODE, &check.node),
            (label::SERVICE, &check.service_name),
            (label::SERVICE_ID, &check.service_id),
            (label::CHECK, &check.name),
            (label::CHECK_ID, &check.check_id),
        ];
        let known = labels.into_iter().filter(|(_, value)| !value.is_empty());
        Subject {
            key: SubjectKey::consul(self.datacenter, &check.node, &check.service_id, &check.check_id),
            labels: known.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            tags: BTreeSet::new(),
        }
    }

    /// A time by how long ago it was; never is now.
    fn at(&self, moment: &Moment) -> Now {
        if moment.is_zero() {
            return self.now;
        }
        let present = self.now.wall.as_unix_millis();
        let wall = millis(moment).min(present);
        let age = Duration::from_millis(u64::try_from(present.saturating_sub(wall)).unwrap_or(0));
        Now { boot: self.now.boot.before(age), wall: Wall::from_unix_millis(wall) }
    }
}

/// What names a check: parts of its key in Consul.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) node: String,
    /// Empty for a check of the node.
    pub(super) service_id: String,
    pub(super) check_id: String,
}

impl Names {
    /// Those of a check of this datacenter; nothing for any other subject.
    pub(super) fn of(key: &SubjectKey, datacenter: &str) -> Option<Self> {
        let parts: Vec<_> = key.as_str().split('/').map(decoded).collect::<Option<_>>()?;
        let [source, found, node, service, check_id] = <[String; 5]>::try_from(parts).ok()?;
        (source == "consul" && found == datacenter).then(|| {
            let service_id = if service == "_" { String::new() } else { service };
            Self { node, service_id, check_id }
        })
    }

    pub(super) fn with<'a>(&'a self, status: &'a str) -> CheckRef<'a> {
        CheckRef { node: &self.node, service_id: &self.service_id, check_id: &self.check_id, status }
    }
}

fn theirs_names(state: &CheckState) -> Names {
    let HealthCheck { node, service_id, check_id, .. } = state.health_check.clone();
    Names { node, service_id, check_id }
}

/// A part of a key as it was before it was percent-encoded.
fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}

/// A case as a state; `chosen` is whether anybody is to be told of it.
pub(super) fn state_of(case: &Case, names: &Names, chosen: bool) -> CheckState {
    let firing =
        |told: &Told| told.firing && (case.settled == Status::Passing || told.status == case.settled);
    // Those who were told that it is wrong are owed the end; of what is wrong, nobody is owed more
    // by the other program once somebody was told.
    let any = case.told.values().any(firing);
    let for_notification = if case.settled == Status::Passing { any } else { chosen && !any };
    let waits = case.live != case.settled;
    let shown = if for_notification { case.settled } else { case.live };
    CheckState {
        current: case.settled.as_str().to_owned(),
        current_timestamp: moment(case.since.wall),
        pending: if waits { case.live.as_str().to_owned() } else { String::new() },
        pending_timestamp: if waits { moment(case.live_since.wall) } else { Moment::zero() },
        health_check: HealthCheck {
            node: names.node.clone(),
            check_id: names.check_id.clone(),
            name: case.subject.label(label::CHECK).to_owned(),
            status: shown.as_str().to_owned(),
            notes: case.notes.clone(),
            output: case.output.clone(),
            service_id: names.service_id.clone(),
            service_name: case.subject.label(label::SERVICE).to_owned(),
        },
        for_notification,
    }
}

/// The state of what is well, and of which nobody is owed anything.
pub(super) fn well(before: &CheckState, at: Wall) -> CheckState {
    let passing = Status::Passing.as_str().to_owned();
    let since = if before.current == passing { before.current_timestamp.clone() } else { moment(at) };
    CheckState {
        current: passing.clone(),
        current_timestamp: since,
        pending: String::new(),
        pending_timestamp: Moment::zero(),
        health_check: HealthCheck { status: passing, ..before.health_check.clone() },
        for_notification: false,
    }
}

/// The reminder of a case of which somebody was told, when its profile has reminders.
pub(super) fn reminder_of(case: &Case, names: &Names, settings: &Settings) -> Option<Message> {
    if case.settled == Status::Passing {
        return None;
    }
    let told = case.told.values().filter(|told| told.firing && told.status == case.settled);
    let last = told.map(|told| told.at.wall).max()?;
    let check = names.with(case.settled.as_str());
    let profile = settings.profiles.get(settings.selection.of(&check)).filter(|one| one.interval > 0)?;
    Some(Message {
        node: names.node.clone(),
        service_id: names.service_id.clone(),
        service: case.subject.label(label::SERVICE).to_owned(),
        check_id: names.check_id.clone(),
        check: case.subject.label(label::CHECK).to_owned(),
        status: case.settled.as_str().to_owned(),
        output: case.output.clone(),
        notes: case.notes.clone(),
        interval: profile.interval.into(),
        rmd_check: moment(last),
        notif_list: Some(profile.list.clone()).filter(|list| !list.is_empty()),
        var_overrides: profile.var_overrides().clone(),
        timestamp: moment(case.since.wall),
    })
}

/// What two states must have alike to be the same one.
pub(super) fn counts(state: &CheckState) -> (&str, i64, &str, i64) {
    (&state.current, millis(&state.current_timestamp), &state.pending, millis(&state.pending_timestamp))
}

/// The later word to each counts.
fn together(mut ours: Heard, theirs: Heard) -> Heard {
    for (notifier, told) in theirs {
        match ours.get_mut(&notifier) {
            Some(mine) if mine.at.wall >= told.at.wall => {}
            Some(mine) => *mine = Told { reminders: mine.reminders, ..told },
            None => {
                ours.insert(notifier, told);
            }
        }
    }
    ours
}

/// Who was told by us was reminded by them, when their last word is later than all of ours.
fn reminded(settled: Status, mut ours: Heard, theirs: &Heard) -> Heard {
    let last = |heard: &Heard| heard.values().map(|told| told.at).max_by_key(|at| at.wall);
    if let (Some(mine), Some(later)) = (last(&ours), last(theirs))
        && later.wall > mine.wall
    {
        let same = ours.values_mut().filter(|told| told.firing && told.status == settled);
        same.for_each(|told| told.at = later);
    }
    ours
}

/// The status of a word; none of an empty one.
fn status(word: &str) -> Option<Status> {
    match word {
        "" => None,
        "passing" => Some(Status::Passing),
        "warning" => Some(Status::Warning),
        // Consul's old word for what is critical because somebody works on it.
        "critical" | "maintenance" => Some(Status::Critical),
        _ => Some(Status::Unknown),
    }
}

fn millis(moment: &Moment) -> i64 {
    moment.timestamp().as_millisecond()
}

fn moment(at: Wall) -> Moment {
    Moment::utc(Timestamp::from_millisecond(at.as_unix_millis()).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
