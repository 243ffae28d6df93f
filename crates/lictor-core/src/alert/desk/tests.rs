//! The desk in virtual time.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::{Desk, Mute};
use crate::alert::{
    AlertPlan, Batching, Command, Deliveries, Due, Gone, Inhibition, Input, Matcher, Matchers, Message,
    NotifierPlan, Occasion, Output, Over, Pattern, Report, Route, Row, RowKey, ServicePlan, Source, Subject,
    SubjectKey, Tells, Threshold, Verdict, label, text,
};
use crate::check::Status::{self, Critical, Passing, Unknown, Warning};
use crate::name::NotifierName;
use crate::plan::Flap;
use crate::time::{Boot, Now, Wall};

mod contract;
mod counts;
mod faults;
mod gaps;
mod late;
mod news;
mod planned;
mod queue;
mod routes;

const SECOND: Duration = Duration::from_secs(1);

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn notifier(text: &str) -> NotifierName {
    NotifierName::new(text).unwrap()
}

fn is(name: &str, value: &str) -> Matchers {
    Matchers(vec![Matcher {
        label: name.to_owned(),
        any: vec![Pattern::Exactly(value.to_owned())],
        not: false,
    }])
}

fn all() -> Matchers {
    Matchers::default()
}

fn route(name: &str, to: &[&str]) -> Route {
    Route {
        name: crate::RouteName::new(name).unwrap(),
        when: all(),
        status: [Warning, Unknown, Critical].into(),
        to: to.iter().map(|name| notifier(name)).collect(),
        group_by: vec![],
        group_wait: Duration::ZERO,
        group_interval: Duration::ZERO,
        remind_every: None,
        resolved: true,
        go_on: false,
    }
}

fn plan(routes: Vec<Route>) -> AlertPlan {
    let names: BTreeSet<_> = routes.iter().flat_map(|route| route.to.iter().cloned()).collect();
    let notifiers = names.into_iter().map(|name| (name, NotifierPlan::default())).collect();
    AlertPlan { cluster: "dc1".into(), notifiers, routes, ..AlertPlan::default() }
}

/// One route to `ops`, at once.
fn simple() -> AlertPlan {
    plan(vec![route("all", &["ops"])])
}

fn consul(node: &str, service: &str, check: &str) -> Subject {
    let id = if service.is_empty() { String::new() } else { format!("{service}-{node}") };
    let labels = text(&[
        (label::SOURCE, "consul"),
        (label::DATACENTER, "dc1"),
        (label::NODE, node),
        (label::SERVICE, service),
        (label::SERVICE_ID, &id),
        (label::CHECK, check),
        (label::CHECK_ID, check),
    ]);
    Subject { key: SubjectKey::consul("dc1", node, &id, check), labels, tags: [].into() }
}

/// A desk with a clock, a store and notifiers that a test answers for.
struct Stage {
    desk: Desk,
    now: u64,
    /// So much the wall clock is ahead, milliseconds.
    ahead: i64,
    rows: std::collections::BTreeMap<RowKey, Row>,
    /// What was given to notifiers and not answered yet.
    under_way: Vec<Message>,
    /// Everything that notifiers accepted, in order.
    accepted: Vec<Message>,
    events: Vec<String>,
    /// How often the desk did something.
    turns: u64,
}

impl Stage {
    fn new(plan: AlertPlan) -> Self {
        let now = Now { boot: Boot::from_millis(1_000), wall: Wall::from_unix_millis(1_000) };
        let (desk, first) = Desk::restore(Arc::new(plan), vec![], now);
        let mut stage = Self {
            desk,
            now: 1_000,
            ahead: 0,
            rows: [].into(),
            under_way: vec![],
            accepted: vec![],
            events: vec![],
            turns: 0,
        };
        stage.take(first);
        stage.reports(true, vec![]);
        stage
    }

    fn now(&self) -> Now {
        let millis = i64::try_from(self.now).unwrap();
        Now { boot: Boot::from_millis(self.now), wall: Wall::from_unix_millis(millis + self.ahead) }
    }

    fn take(&mut self, output: Output) {
        self.turns += 1;
        for row in output.rows {
            self.rows.insert(row.key(), row);
        }
        for key in output.gone {
            self.rows.remove(&key);
        }
        self.events.extend(output.events.iter().map(|event| event.what.to_string()));
        for id in output.send {
            self.under_way.push(self.desk.message(id).unwrap());
        }
    }

    fn step(&mut self, input: Input) -> Option<Result<String, crate::Refusal>> {
        let mut output = self.desk.step(input, self.now());
        let answer = output.answer.take();
        self.take(output);
        answer
    }

    fn command(&mut self, command: Command) -> String {
        self.step(Input::Command(command)).unwrap().unwrap()
    }

    fn reports(&mut self, complete: bool, reports: Vec<Report>) {
        self.step(Input::Reports { source: Source::new("consul/dc1"), complete, reports, gone: vec![] });
    }

    fn report(&mut self, subject: &Subject, status: Status) {
        self.reports(false, vec![Report::new(subject.clone(), status, format!("it is {status}"))]);
    }

    fn gone(&mut self, subject: &Subject) {
        let gone = vec![subject.key.clone()];
        self.step(Input::Reports {
            source: Source::new("consul/dc1"),
            complete: false,
            reports: vec![],
            gone,
        });
    }

    /// Lets time pass; what wakes the desk wakes it when it is due.
    fn pass(&mut self, by: Duration) {
        let end = self.now + u64::try_from(by.as_millis()).unwrap();
        while let Some(at) = self.desk.next_wake().filter(|at| at.as_millis() <= end) {
            assert!(at.as_millis() >= self.now || self.desk.next_wake().is_some());
            self.now = self.now.max(at.as_millis());
            let before = self.desk.next_wake();
            self.step(Input::Tick);
            assert!(
                self.desk.next_wake() != before || before > Some(self.now().boot),
                "the desk does not move on"
            );
        }
        self.now = end;
    }

    fn answer(&mut self, verdict: &Verdict) {
        for message in std::mem::take(&mut self.under_way) {
            let id = message.id.split('-').next().unwrap().parse().unwrap();
            if *verdict == Verdict::Accepted {
                self.accepted.push(message.clone());
            }
            self.step(Input::Outcome { delivery: id, attempt: message.attempt, verdict: verdict.clone() });
        }
    }

    /// Accepts everything, also what follows of it, and says what it was.
    fn accept(&mut self) -> Vec<String> {
        let from = self.accepted.len();
        while !self.under_way.is_empty() {
            self.answer(&Verdict::Accepted);
        }
        self.accepted.iter().skip(from).map(said).collect()
    }

    /// While all others accept, `ops` answers so; half a minute passes after each time.
    fn ops_fails(&mut self, times: usize, verdict: &Verdict) {
        for _ in 0..times {
            let (ops, others) = self.parted("ops");
            self.under_way = others;
            self.accept();
            self.under_way = ops;
            self.answer(verdict);
            self.pass(secs(30));
        }
    }

    /// What is under way to a notifier, and to the others.
    fn parted(&mut self, name: &str) -> (Vec<Message>, Vec<Message>) {
        self.under_way.drain(..).partition(|message| message.notifier == notifier(name))
    }

    /// Puts another plan in force.
    fn reload(&mut self, plan: AlertPlan) {
        let output = self.desk.reload(Arc::new(plan), self.now());
        self.take(output);
    }

    /// Ends the process at this instant and starts it again.
    fn crash(&mut self) {
        self.under_way.clear();
        let rows = self.rows.values().cloned().collect();
        let plan = Arc::clone(self.desk.plan());
        let (desk, output) = Desk::restore(plan, rows, self.now());
        self.desk = desk;
        self.take(output);
    }
}

/// `ops: firing web on n1 critical, resolved …`.
fn said(message: &Message) -> String {
    let items: Vec<_> = message
        .items
        .iter()
        .map(|item| format!("{} {} {}", item.tells.as_str(), item.title, item.status))
        .collect();
    let more = if message.omitted > 0 { format!(" and {} more", message.omitted) } else { String::new() };
    format!("{}: {}{more}", message.notifier, items.join(", "))
}

fn refused(why: &str) -> Verdict {
    Verdict::Refused { why: why.to_owned(), retry_after: None, for_good: false }
}

fn unclear() -> Verdict {
    Verdict::Unclear { why: "no answer".to_owned(), retry_after: None }
}
