//! Who is to be told of what: the difference between what should have been told and what was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Desk, Gathering, Group, Timer, Turn};
use crate::alert::message::{Failing, Item, Occasion, Over, Tells};
use crate::alert::plan::{AlertPlan, Batching, Route};
use crate::alert::row::{Case, Delivery, Rest, Sending, Told};
use crate::alert::step::RowKey;
use crate::alert::subject::{SubjectKey, digest, label};
use crate::check::Status;
use crate::name::{DeliveryId, NotifierName, RouteName};
use crate::time::{Boot, Now};

/// Subjects that a message tells in words; it counts the others.
pub(super) const ITEMS: usize = 100;

/// Subjects of one message, those included that it only counts.
pub(super) const SUBJECTS: usize = 1_500;

/// What checks printed, in one message: bytes in all. Each has a fair part of it.
const OUTPUTS: usize = 64 << 10;

/// Of keys, labels and tags, bytes in one message: with the outputs it must fit into one record of
/// Consul's, 512 KiB in base64.
const NAMES: usize = 192 << 10;

/// What a subject takes in a record besides.
const ENTRY: usize = 64;

/// Longest key that services are given.
const KEY: usize = 200;

/// What a receiver has coming.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due<'a> {
    pub(super) tells: Tells,
    route: Option<&'a Route>,
}

impl Desk {
    /// Sees who must be told of a case, and forgets it when nobody has to be any more.
    pub(super) fn reconcile(&mut self, key: &SubjectKey, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        self.drop_vain(&plan, key, turn);
        let Some(case) = self.cases.get(key) else {
            self.arm_case(key, None, turn.now.boot);
            return;
        };
        // Its parent may take longer to be seen.
        let ready = self.first_word(case).filter(|ready| *ready > turn.now.boot);
        let mut wanted = Vec::new();
        for (notifier, due) in self.due_of(&plan, case, turn.now.boot) {
            if ready.is_some() || self.busy.contains_key(&(notifier.clone(), key.clone())) {
                continue;
            }
            let values = due.route.map(|route| {
                route.group_by.iter().map(|name| case.subject.label(name).to_owned()).collect::<Vec<_>>()
            });
            let route = due.route.map(|route| route.name.clone());
            let group = Group { notifier, route, values: values.unwrap_or_default() };
            let wait = due.route.map_or(Duration::ZERO, |route| route.group_wait);
            let interval = due.route.map_or(Duration::ZERO, |route| route.group_interval);
            wanted.push((group, wait, interval));
        }
        let over = case.settled == Status::Passing && case.live == Status::Passing;
        // Whether it flaps is seen by what it did before.
        let remembered = plan.flap.zip(case.changes.back()).map(|(flap, at)| at.boot.after(flap.within));
        let remembered = remembered.filter(|until| over && *until > turn.now.boot);
        let owed = case.told.values().any(|told| told.firing);
        let busy = plan.notifiers.keys().any(|name| self.busy.contains_key(&(name.clone(), key.clone())));
        let news = case.news.is_some() && case.gone.is_none();
        if over && !owed && !busy && remembered.is_none() && case.was_critical.is_none() && !news {
            self.cases.remove(key);
            turn.dirty.insert(RowKey::Case(key.clone()));
            self.arm_case(key, None, turn.now.boot);
            return;
        }
        for (group, wait, interval) in wanted {
            let soonest = self.flushed.get(&group).map_or(Boot::default(), |at| at.after(interval));
            let due = turn.now.boot.after(wait).max(soonest);
            let gathering =
                self.groups.entry(group.clone()).or_insert_with(|| Gathering { keys: BTreeSet::new(), due });
            gathering.keys.insert(key.clone());
            if gathering.due <= turn.now.boot {
                self.flush(&group, turn);
            } else {
                let due = gathering.due;
                self.timers.set(Timer::Group(group), Some(due));
            }
        }
        self.arm_case(key, ready.or(remembered), turn.now.boot);
    }

    /// When the first word of a case that is wrong may be said; `None` when it was, or none is due.
    pub(super) fn first_word(&self, case: &Case) -> Option<Boot> {
        let first = case.settled != Status::Passing && !case.told.values().any(|told| told.firing);
        first.then(|| case.opened.boot.after(self.parent_wait(&case.subject)))
    }

    /// Forgets whom nobody owes a word any more, but for the news that they know.
    fn drop_vain(&mut self, plan: &AlertPlan, key: &SubjectKey, turn: &mut Turn) {
        let Some(case) = self.cases.get(key) else { return };
        let silent: Vec<_> = case
            .told
            .iter()
            .filter(|(notifier, told)| {
                let route = route_to(plan, case, notifier);
                let still = case.settled != Status::Passing && (route.is_none() || fires(case, route));
                let owed = told.firing && !quiet(plan, case, notifier);
                !still && !owed
            })
            .map(|(notifier, told)| {
                let known = told.news.filter(|_| route_of_news(plan, case, notifier).is_some());
                let well = Told { status: Status::Passing, firing: false, reminders: 0, ..told.clone() };
                (notifier.clone(), known.map(|_| well))
            })
            .filter(|(notifier, left)| case.told.get(notifier) != left.as_ref())
            .collect();
        if silent.is_empty() {
            return;
        }
        if let Some(case) = self.cases.get_mut(key) {
            for (notifier, left) in silent {
                match left {
                    Some(told) => drop(case.told.insert(notifier, told)),
                    None => drop(case.told.remove(&notifier)),
                }
            }
            turn.dirty.insert(RowKey::Case(key.clone()));
        }
    }

    /// Who has a word coming about a case now.
    pub(super) fn due_of<'a>(
        &self,
        plan: &'a AlertPlan,
        case: &'a Case,
        now: Boot,
    ) -> Vec<(NotifierName, Due<'a>)> {
        let tellable = case.settled != Status::Passing || case.news.is_some();
        let muted = tellable && self.muted(case).is_some();
        let mut receivers: BTreeMap<&NotifierName, Option<&Route>> = BTreeMap::new();
        for notifier in case.told.keys() {
            receivers.insert(notifier, route_to(plan, case, notifier));
        }
        for route in plan.routes_of(&case.subject, case.settled) {
            // A notifier is not asked to tell that it does not work.
            let able = |name: &&NotifierName| {
                plan.notifiers.contains_key(name) && case.subject.key != super::send::of_notifier(name)
            };
            for notifier in route.to.iter().filter(able) {
                receivers.entry(notifier).or_insert_with(|| route_to(plan, case, notifier));
            }
        }
        if case.settled == Status::Passing {
            let names = plan.notifiers.keys();
            let told_of = names.filter_map(|name| Some((name, Some(told_of(plan, case, name)?))));
            receivers.extend(told_of.filter(|(name, _)| case.subject.key != super::send::of_notifier(name)));
        }
        let due = |notifier: &NotifierName, route: Option<&'a Route>| {
            let told = case.told.get(notifier);
            let firing = told.is_some_and(|told| told.firing);
            if case.settled == Status::Passing || route.is_some_and(|_| !fires(case, route)) {
                let known = told.and_then(|told| told.news) == case.news;
                let told_of = told_of(plan, case, notifier).is_some() && case.live == Status::Passing;
                let news = told_of && !known && !muted;
                return (firing || news).then_some(Tells::Resolved);
            }
            if muted || route.is_none() || case.live == Status::Passing {
                // It recovers already; and those who are told no more of such alerts hear when
                // it is over.
                return None;
            }
            match told {
                None => Some(Tells::Firing),
                Some(told) if told.status != case.settled || told.news != case.news => Some(Tells::Firing),
                Some(told) => {
                    let at = remind_at(case, route, told.at)?;
                    (firing && at <= now).then_some(Tells::Reminder)
                }
            }
        };
        let found = receivers.into_iter().filter_map(|(notifier, route)| {
            Some((notifier.clone(), Due { tells: due(notifier, route)?, route }))
        });
        found.collect()
    }

    /// When the next reminder of a case is due.
    pub(super) fn remind_at(&self, case: &Case) -> Option<Boot> {
        if case.settled == Status::Passing || self.muted(case).is_some() {
            return None;
        }
        let times = case.told.iter().filter(|(_, told)| told.firing).filter_map(|(notifier, told)| {
            if self.busy.contains_key(&(notifier.clone(), case.subject.key.clone())) {
                return None;
            }
            let route =
                route_to(&self.plan, case, notifier).filter(|route| route.status.contains(&case.settled));
            let at = remind_at(case, route, told.at)?;
            // One whose time has come waits for its group.
            let group = self.groups.iter().any(|(group, gathering)| {
                group.notifier == *notifier && gathering.keys.contains(&case.subject.key)
            });
            (!group).then_some(at)
        });
        times.min()
    }

    /// Tells a group what it has coming.
    pub(super) fn flush(&mut self, group: &Group, turn: &mut Turn) {
        self.timers.set(Timer::Group(group.clone()), None);
        let Some(gathering) = self.groups.remove(group) else {
            self.flushed.remove(group);
            return;
        };
        let plan = Arc::clone(&self.plan);
        let Some(notifier) = plan.notifiers.get(&group.notifier) else { return };
        let mut found = Vec::new();
        for key in gathering.keys {
            let Some(case) = self.cases.get(&key) else { continue };
            if self.busy.contains_key(&(group.notifier.clone(), key.clone())) {
                continue;
            }
            let due = self.due_of(&plan, case, turn.now.boot);
            let due = due.into_iter().find(|(to, due)| {
                *to == group.notifier && due.route.map(|route| &route.name) == group.route.as_ref()
            });
            if let Some((_, due)) = due {
                found.push((due.tells, std::cmp::Reverse(case.settled), key));
            }
            turn.look.insert(case.subject.key.clone());
        }
        if found.is_empty() {
            return;
        }
        found.sort();
        let of = |route: &&Route| group.route.as_ref() == Some(&route.name);
        let interval = plan.routes.iter().find(of).map_or(Duration::ZERO, |route| route.group_interval);
        if !interval.is_zero() {
            self.flushed.insert(group.clone(), turn.now.boot);
            // It is forgotten then, unless it gathers anew.
            self.timers.set(Timer::Group(group.clone()), Some(turn.now.boot.after(interval)));
        }
        let known = turn.failing.get(&group.notifier).copied();
        let failing = known.unwrap_or_else(|| self.failing_for(&group.notifier));
        turn.failing.insert(group.notifier.clone(), failing);
        let mut parts: BTreeMap<String, Vec<(SubjectKey, Tells)>> = BTreeMap::new();
        for (tells, _, key) in found {
            let Some(case) = self.cases.get(&key) else { continue };
            let part = match notifier.batch {
                Batching::Together => String::new(),
                Batching::PerNode => case.subject.label(label::NODE).to_owned(),
                Batching::PerAlert => key.to_string(),
            };
            parts.entry(part).or_default().push((key, tells));
        }
        for part in parts.into_values() {
            for some in self.messages(part) {
                self.deliver(group, &some, failing, turn);
            }
        }
    }

    /// Cuts what is told to what one message holds: so many subjects, and what has room in a record.
    fn messages(&self, part: Vec<(SubjectKey, Tells)>) -> Vec<Vec<(SubjectKey, Tells)>> {
        let mut messages: Vec<Vec<_>> = Vec::new();
        let mut size = 0;
        for (key, tells) in part {
            let place = messages.last().map_or(0, Vec::len);
            let labels = |case: &Case| {
                let labels: usize =
                    case.subject.labels.iter().map(|(name, value)| name.len() + value.len()).sum();
                labels + case.subject.tags.iter().map(String::len).sum::<usize>() + key.as_str().len()
            };
            let told_of = self.cases.get(&key).filter(|_| place < ITEMS).map_or(0, labels);
            let bytes = ENTRY + key.as_str().len() + told_of;
            match messages.last_mut().filter(|some| some.len() < SUBJECTS && size + bytes <= NAMES) {
                Some(some) => some.push((key, tells)),
                None => {
                    messages.push(vec![(key, tells)]);
                    size = 0;
                }
            }
            size += bytes;
        }
        messages
    }

    fn deliver(
        &mut self,
        group: &Group,
        subjects: &[(SubjectKey, Tells)],
        failing: Failing,
        turn: &mut Turn,
    ) {
        let (mut items, mut rest) = (Vec::<Item>::new(), Vec::new());
        for (key, tells) in subjects {
            let Some(case) = self.cases.get(key) else { continue };
            if items.len() < ITEMS {
                items.push(item(case, &group.notifier, *tells));
            } else {
                let status = case.settled;
                rest.push(Rest { key: key.clone(), tells: *tells, status });
            }
        }
        let items = fitted(items);
        let occasion = occasion(&items);
        let id = self.queue(&group.notifier, group.route.clone(), occasion, (items, rest), failing, turn);
        for (key, _) in subjects {
            self.busy.insert((group.notifier.clone(), key.clone()), id);
        }
    }

    /// Puts a message into the queue of its notifier.
    pub(super) fn queue(
        &mut self,
        notifier: &NotifierName,
        route: Option<RouteName>,
        occasion: Occasion,
        (items, rest): (Vec<Item>, Vec<Rest>),
        failing: Failing,
        turn: &mut Turn,
    ) -> DeliveryId {
        self.counters.deliveries += 1;
        let id = DeliveryId(self.counters.deliveries);
        let keys = items.iter().map(|item| &item.key).chain(rest.iter().map(|rest| &rest.key));
        let news = keys.filter_map(|key| Some((key.clone(), self.cases.get(key)?.news?))).collect();
        let delivery = Delivery {
            id,
            notifier: notifier.clone(),
            route,
            occasion,
            items,
            rest,
            news,
            failing,
            created: turn.now,
            state: Sending::Waiting { since: turn.now, pause: Duration::ZERO },
            attempts: 0,
            unclear: false,
            error: None,
        };
        if let Some(sender) = self.senders.get_mut(notifier) {
            sender.waiting.add(&delivery);
        }
        let expire = self.plan.notifiers.get(notifier).map(|plan| turn.now.boot.after(plan.expire));
        self.timers.set(Timer::Delivery(id), expire);
        self.deliveries.insert(id, delivery);
        turn.dirty.insert(RowKey::Delivery(id));
        turn.dirty.insert(RowKey::Counters);
        id
    }

    /// How many are wrong of those that a receiver hears of.
    pub(super) fn failing_for(&self, notifier: &NotifierName) -> Failing {
        let mut failing = Failing::default();
        for case in self.cases.values() {
            let route = route_to(&self.plan, case, notifier);
            if fires(case, route) && self.muted(case).is_none() {
                failing.add(case.settled);
            }
        }
        failing
    }
}

/// The route by which a receiver hears of a case. When none takes it to them in its status: the
/// first that would in another one, if all that would are for others. `None` when another route
/// takes it away from them: then they hear when it is over.
fn route_to<'a>(plan: &'a AlertPlan, case: &'a Case, notifier: &NotifierName) -> Option<&'a Route> {
    let leads = |route: &&Route| route.to.contains(notifier);
    if let Some(route) = plan.routes_of(&case.subject, case.settled).find(leads) {
        return Some(route);
    }
    let mut others = plan.routes.iter().filter(leads).filter(|route| route.when.hold(&case.subject));
    let first = others.next()?;
    let in_vain = |route: &Route| route.status.contains(&case.settled);
    (!in_vain(first) && !others.any(in_vain)).then_some(first)
}

/// Whether no route by which a receiver hears of a case tells that it is over.
fn quiet(plan: &AlertPlan, case: &Case, notifier: &NotifierName) -> bool {
    let leads = |route: &&Route| route.to.contains(notifier) && route.when.hold(&case.subject);
    let mut routes = plan.routes.iter().filter(leads).peekable();
    routes.peek().is_some() && routes.all(|route| !route.resolved)
}

/// By which route a receiver is told of a case that is well and has news.
fn told_of<'a>(plan: &'a AlertPlan, case: &'a Case, notifier: &NotifierName) -> Option<&'a Route> {
    route_of_news(plan, case, notifier).filter(|_| case.settled == Status::Passing)
}

/// By which route a receiver hears of the news of a case while that is well: as of a critical one.
fn route_of_news<'a>(plan: &'a AlertPlan, case: &'a Case, notifier: &NotifierName) -> Option<&'a Route> {
    if case.news.is_none() || case.gone.is_some() {
        return None;
    }
    let mut routes = plan.routes_of(&case.subject, Status::Critical);
    routes.find(|route| route.to.contains(notifier) && route.resolved)
}

/// Whether a case is something to be told by a route.
fn fires(case: &Case, route: Option<&Route>) -> bool {
    case.settled != Status::Passing && route.is_some_and(|route| route.status.contains(&case.settled))
}

fn remind_at(case: &Case, route: Option<&Route>, told: Now) -> Option<Boot> {
    let every = route?.remind_every?;
    let at = told.boot.after(every);
    match &case.acknowledged {
        None => Some(at),
        // Until it is over, or so long.
        Some(one) => one.lasting.map(|lasting| at.max(one.at.boot.after(lasting))),
    }
}

pub(super) fn item(case: &Case, notifier: &NotifierName, tells: Tells) -> Item {
    let told = case.told.get(notifier);
    let over = (tells == Tells::Resolved).then(|| match case.gone {
        Some(why) => Over::Gone(why),
        None if case.settled == Status::Passing => Over::Recovered,
        None => Over::Milder,
    });
    let notes = match over {
        Some(Over::Gone(why)) => why.as_str().to_owned(),
        Some(Over::Recovered | Over::Milder) | None => case.notes.clone(),
    };
    Item {
        key: case.subject.key.clone(),
        incident: incident(&case.subject.key),
        title: case.subject.title(),
        labels: case.subject.labels.clone(),
        tags: case.subject.tags.clone(),
        tells,
        over,
        status: case.settled,
        before: told.filter(|told| told.firing).map(|told| told.status),
        since: case.since.wall,
        opened: case.opened.wall,
        lasted: over.map(|_| case.since.boot.since(case.opened.boot)),
        output: case.output.clone(),
        notes,
        reminders: if tells == Tells::Reminder { told.map_or(1, |told| told.reminders + 1) } else { 0 },
    }
}

/// Why they are told.
pub(super) fn occasion(items: &[Item]) -> Occasion {
    let reminder = items.iter().all(|item| item.tells == Tells::Reminder);
    if reminder { Occasion::Reminder } else { Occasion::Change }
}

/// The same with outputs that are together not too long for one message.
pub(super) fn fitted(mut items: Vec<Item>) -> Vec<Item> {
    let part = (OUTPUTS / items.len().max(1)).max(256);
    for item in &mut items {
        super::judge::cut(&mut item.output, part);
        super::judge::cut(&mut item.notes, part);
    }
    items
}

/// The key for services that keep incidents; a long one is cut and told apart by a digest.
fn incident(key: &SubjectKey) -> String {
    let text = key.as_str();
    if text.len() <= KEY {
        return text.to_owned();
    }
    let head = text.get(..KEY - 17).unwrap_or(text);
    format!("{head}-{:016x}", digest(text))
}
