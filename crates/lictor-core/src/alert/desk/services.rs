//! Services whose instances are judged together.

use std::collections::{BTreeMap, BTreeSet};

use crate::alert::plan::{AlertPlan, Pattern, ServicePlan};
use crate::alert::subject::{Report, Source, Subject, SubjectKey, label, text};
use crate::check::Status;

/// Outputs of failing checks that the report of a service has.
const OUTPUTS: usize = 10;

/// What is known of the instances. Not stored: sources report everything at a start.
#[derive(Clone, Debug, Default)]
pub(super) struct Services {
    members: BTreeMap<Place, BTreeMap<SubjectKey, Member>>,
    places: BTreeMap<SubjectKey, Place>,
    /// The services that have, or had, an instance on a node.
    on_nodes: BTreeMap<(String, String), BTreeSet<Place>>,
    /// Checks of nodes that are critical or in maintenance: their instances are not healthy.
    bad_nodes: BTreeMap<(String, String), BTreeMap<SubjectKey, String>>,
    changed: BTreeSet<Place>,
}

/// A service in a datacenter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    datacenter: String,
    service: String,
}

/// A check of an instance.
#[derive(Clone, Debug)]
struct Member {
    instance: (String, String),
    title: String,
    tags: BTreeSet<String>,
    bad: bool,
    output: String,
}

/// Whether it is a check of an instance of a service.
pub(super) fn is_instance(subject: &Subject) -> bool {
    !subject.label(label::SERVICE_ID).is_empty()
}

impl Services {
    /// Takes in what is reported of a check.
    pub(super) fn take(&mut self, plan: &AlertPlan, report: &Report) {
        if plan.services.is_empty() {
            return;
        }
        let subject = &report.subject;
        let bad = report.status == Status::Critical || report.maintenance;
        let at = |name| subject.label(name).to_owned();
        if !is_instance(subject) {
            if subject.label(label::SOURCE) == "consul" {
                let node = (at(label::DATACENTER), at(label::NODE));
                self.node(&node, &subject.key, bad.then(|| subject.title()));
            }
            return;
        }
        let place = Place { datacenter: at(label::DATACENTER), service: at(label::SERVICE) };
        let ours = plan.services.iter().any(|one| one.when.hold(subject));
        if self.places.get(&subject.key).is_some_and(|old| !ours || *old != place) {
            self.forget(&subject.key);
        }
        if !ours {
            return;
        }
        let member = Member {
            instance: (at(label::NODE), at(label::SERVICE_ID)),
            title: subject.title(),
            tags: subject.tags.clone(),
            bad,
            output: if bad { report.output.clone() } else { String::new() },
        };
        let node = (place.datacenter.clone(), member.instance.0.clone());
        self.on_nodes.entry(node).or_default().insert(place.clone());
        self.places.insert(subject.key.clone(), place.clone());
        self.members.entry(place.clone()).or_default().insert(subject.key.clone(), member);
        self.changed.insert(place);
    }

    fn node(&mut self, node: &(String, String), key: &SubjectKey, bad: Option<String>) {
        let found = self.bad_nodes.entry(node.clone()).or_default();
        let changed = match bad {
            Some(title) => found.insert(key.clone(), title).is_none(),
            None => found.remove(key).is_some(),
        };
        if found.is_empty() {
            self.bad_nodes.remove(node);
        }
        if changed {
            self.changed.extend(self.on_nodes.get(node).into_iter().flatten().cloned());
        }
    }

    /// The alert of a service is there from before: it is judged again.
    pub(super) fn again(&mut self, subject: &Subject) {
        let at = |name| subject.label(name).to_owned();
        self.changed.insert(Place { datacenter: at(label::DATACENTER), service: at(label::SERVICE) });
    }

    /// A check is no more.
    pub(super) fn forget(&mut self, key: &SubjectKey) {
        if let Some(place) = self.places.remove(key) {
            if let Some(members) = self.members.get_mut(&place) {
                members.remove(key);
            }
            self.changed.insert(place);
            return;
        }
        let node =
            self.bad_nodes.iter().find(|(_, keys)| keys.contains_key(key)).map(|(node, _)| node.clone());
        if let Some(node) = node {
            self.node(&node, key, None);
        }
    }

    /// All that a source has was reported: what is not among it is no more.
    pub(super) fn retain(&mut self, source: &Source, present: &BTreeSet<SubjectKey>) {
        let Some(datacenter) = source.as_str().strip_prefix("consul/") else { return };
        let ours = self.places.iter().filter(|(_, place)| place.datacenter == datacenter).map(|(key, _)| key);
        let nodes = self.bad_nodes.iter().filter(|(node, _)| node.0 == datacenter);
        let known = ours.chain(nodes.flat_map(|(_, keys)| keys.keys()));
        let missing: Vec<_> = known.filter(|key| !present.contains(*key)).cloned().collect();
        for key in missing {
            self.forget(&key);
        }
    }

    /// What is to be said of services that changed, and whether they are no more.
    pub(super) fn judge(&mut self, plan: &AlertPlan, source: &Source) -> Vec<(Report, bool)> {
        if let Some(datacenter) = source.as_str().strip_prefix("consul/") {
            // A service that is asked for by its name is missed when it was never there.
            for service in plan.services.iter().filter_map(named) {
                let place = Place { datacenter: datacenter.to_owned(), service };
                if !self.members.contains_key(&place) && of_datacenter(plan, &place) {
                    self.changed.insert(place);
                }
            }
        }
        let changed = std::mem::take(&mut self.changed);
        let mut reports = Vec::new();
        for place in changed {
            let members = self.members.get(&place).filter(|members| !members.is_empty());
            let subject = subject_of(&place, members);
            let found = plan.services.iter().find(|one| one.when.hold(&as_instance(&subject)));
            match (found, members) {
                (Some(one), Some(members)) => {
                    reports.push((self.healthy(one, &place, subject, members), false));
                }
                (Some(one), None) if named(one).is_some() => {
                    let output = "no instance is registered";
                    reports.push((Report::new(subject, Status::Critical, output), false));
                }
                _ => {
                    self.members.remove(&place);
                    reports.push((Report::new(subject, Status::Passing, ""), true));
                }
            }
        }
        reports
    }

    fn healthy(
        &self,
        plan: &ServicePlan,
        place: &Place,
        subject: Subject,
        members: &BTreeMap<SubjectKey, Member>,
    ) -> Report {
        let mut instances: BTreeMap<&(String, String), bool> = BTreeMap::new();
        for member in members.values() {
            let node = (place.datacenter.clone(), member.instance.0.clone());
            let bad = member.bad || self.bad_nodes.contains_key(&node);
            *instances.entry(&member.instance).or_insert(false) |= bad;
        }
        let (all, healthy) = (instances.len(), instances.values().filter(|bad| !**bad).count());
        let below = |least: std::num::NonZeroU32| healthy < least.get() as usize;
        let status = if below(plan.at_least) {
            Status::Critical
        } else if plan.warn_below.is_some_and(below) {
            Status::Warning
        } else {
            Status::Passing
        };
        let mut output = format!("{healthy} of {all} instances are healthy, {} needed", plan.at_least);
        let bad = members.values().filter(|member| member.bad);
        for member in bad.take(OUTPUTS) {
            let first: Vec<_> = member.output.trim().lines().take(3).collect();
            output.extend(["\n", &member.title, ": ", &first.join(" / ")]);
        }
        let nodes: BTreeSet<_> = instances.keys().map(|(node, _)| node.clone()).collect();
        for node in nodes {
            let titles =
                self.bad_nodes.get(&(place.datacenter.clone(), node)).into_iter().flat_map(BTreeMap::values);
            for title in titles {
                output.extend(["\n", title]);
            }
        }
        Report::new(subject, status, output)
    }
}

/// The service that a plan names, if it names just one.
fn named(plan: &ServicePlan) -> Option<String> {
    let names = plan.when.0.iter().find(|one| one.label == label::SERVICE && !one.not)?;
    match names.any.as_slice() {
        [Pattern::Exactly(name)] => Some(name.clone()),
        _ => None,
    }
}

fn of_datacenter(plan: &AlertPlan, place: &Place) -> bool {
    let subject = as_instance(&subject_of(place, None));
    plan.services.iter().any(|one| one.when.hold(&subject))
}

/// A service as conditions on its instances see it.
fn as_instance(subject: &Subject) -> Subject {
    let mut subject = subject.clone();
    subject.labels.insert(label::SOURCE.to_owned(), "consul".to_owned());
    subject
}

fn subject_of(place: &Place, members: Option<&BTreeMap<SubjectKey, Member>>) -> Subject {
    let labels = text(&[
        (label::SOURCE, "service"),
        (label::DATACENTER, &place.datacenter),
        (label::SERVICE, &place.service),
        (label::CHECK, "instances"),
    ]);
    let tags = members
        .into_iter()
        .flat_map(BTreeMap::values)
        .flat_map(|member| member.tags.iter().cloned())
        .collect();
    Subject { key: SubjectKey::service(&place.datacenter, &place.service), labels, tags }
}
