//! A desk for the web: the real one, with time and silence in the test's hands, and without a store or
//! anybody who tells.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_agent::alert::{AlertView, Seat};
use lictor_agent::web::Alerts;
use lictor_agent::{Gone, NoAnswer};
use lictor_core::alert::{
    AlertPlan, Command, Desk, Input, Matchers, NotifierPlan, Report, Route, Source, Subject, Verdict,
};
use lictor_core::{DeliveryId, Now, Refusal, Status};

use crate::web_world::{before, name, noon};

/// The desk.
pub(crate) struct DeskStandin {
    desk: Mutex<Desk>,
    now: Mutex<Now>,
    commands: Mutex<Vec<Command>>,
    pub(crate) inputs: Mutex<Vec<Input>>,
    lost: Mutex<BTreeMap<String, String>>,
    cannot_record: Mutex<Option<String>>,
    /// Who tells.
    pub(crate) seat: Mutex<Seat>,
    /// It does not answer.
    pub(crate) gone: AtomicBool,
    /// It takes commands and cannot record them yet.
    pub(crate) slow: AtomicBool,
}

impl DeskStandin {
    /// One that nobody is told by.
    pub(crate) fn idle() -> Arc<Self> {
        Self::with(AlertPlan::default())
    }

    pub(crate) fn with(plan: AlertPlan) -> Arc<Self> {
        let now = noon();
        let (desk, _) = Desk::restore(Arc::new(plan), Vec::new(), now);
        Arc::new(Self {
            desk: Mutex::new(desk),
            now: Mutex::new(now),
            commands: Mutex::default(),
            inputs: Mutex::default(),
            lost: Mutex::default(),
            seat: Mutex::new(Seat::Local),
            cannot_record: Mutex::default(),
            gone: AtomicBool::new(false),
            slow: AtomicBool::new(false),
        })
    }

    /// One with two notifiers: `ops` accepts, and `chat` has refused twice. Two alerts were told, one is
    /// silenced, one looked after, and Consul cannot be asked.
    pub(crate) fn busy() -> Arc<Self> {
        let route = Route {
            name: name("all"),
            when: Matchers::default(),
            status: [Status::Warning, Status::Unknown, Status::Critical].into(),
            to: vec![name("chat"), name("ops")],
            group_by: Vec::new(),
            group_wait: Duration::ZERO,
            group_interval: Duration::ZERO,
            remind_every: None,
            resolved: true,
            go_on: false,
        };
        let notifier = NotifierPlan { parallel: NonZeroU32::new(4).unwrap(), ..NotifierPlan::default() };
        let notifiers = [(name("chat"), notifier), (name("ops"), notifier)].into();
        let desk = Self::with(AlertPlan { notifiers, routes: vec![route], ..AlertPlan::default() });
        *desk.now.lock().unwrap() = before(noon(), 300);
        let own = |check: &str, status, said: &str| Report {
            judged: true,
            ..Report::new(Subject::own("node1", check), status, said)
        };
        let mut labels = lictor_core::alert::text(&[
            ("source", "consul"),
            ("node", "web1"),
            ("service", "shop"),
            ("check", "http <b>"),
        ]);
        labels.insert("datacenter".to_owned(), "dc1".to_owned());
        let key = lictor_core::alert::SubjectKey::consul("dc1", "web1", "shop-1", "http");
        let shop = Report {
            notes: "https://run.example/shop".to_owned(),
            ..Report::new(
                Subject { key, labels, tags: ["prod".to_owned()].into() },
                Status::Warning,
                crate::web_world::HOSTILE,
            )
        };
        desk.report(
            "own",
            vec![own("disk", Status::Critical, "95 % used"), own("swap", Status::Warning, "full")],
        );
        desk.report("consul/dc1", vec![shop]);
        desk.answer("ops", || Verdict::Accepted);
        desk.answer("chat", || Verdict::Refused {
            why: "HTTP 502 <Bad Gateway>".to_owned(),
            retry_after: None,
            for_good: false,
        });
        desk.pass(2);
        desk.answer("chat", || Verdict::Unclear {
            why: "no answer within 10s".to_owned(),
            retry_after: None,
        });
        desk.step(Input::Command(Command::Acknowledge {
            subject: Subject::own("node1", "disk").key,
            by: "ada".to_owned(),
            comment: "ordering disks".to_owned(),
            lasting: Some(Duration::from_secs(7_200)),
        }));
        desk.step(Input::Command(Command::Silence {
            id: None,
            when: Matchers(vec![lictor_core::alert::Matcher {
                label: "check".to_owned(),
                any: vec![lictor_core::alert::Pattern::Exactly("swap".to_owned())],
                not: false,
            }]),
            lasting: Duration::from_secs(3_600),
            by: "<i>bob</i>".to_owned(),
            comment: "known & harmless".to_owned(),
        }));
        desk.lose("consul/dc2", "no leader");
        desk.pass(298);
        desk.commands.lock().unwrap().clear();
        desk
    }

    pub(crate) fn step(&self, input: Input) -> Option<Result<String, Refusal>> {
        let now = *self.now.lock().unwrap();
        self.desk.lock().unwrap().step(input, now).answer
    }

    pub(crate) fn report(&self, source: &str, reports: Vec<Report>) {
        let source = Source::new(source);
        drop(self.step(Input::Reports { source, complete: true, reports, gone: Vec::new() }));
    }

    /// So many seconds go by.
    pub(crate) fn pass(&self, seconds: u64) {
        let later = {
            let mut now = self.now.lock().unwrap();
            let millis = seconds * 1_000;
            *now = Now {
                boot: now.boot.after(Duration::from_millis(millis)),
                wall: lictor_core::Wall::from_unix_millis(
                    now.wall.as_unix_millis() + i64::try_from(millis).unwrap(),
                ),
            };
            *now
        };
        drop(self.desk.lock().unwrap().step(Input::Tick, later));
    }

    /// What a notifier says to all it is asked to send now.
    fn answer(&self, notifier: &str, verdict: impl Fn() -> Verdict) {
        let under_way: Vec<(DeliveryId, u32)> = {
            let desk = self.desk.lock().unwrap();
            let of = desk
                .deliveries()
                .values()
                .filter(|one| one.notifier.as_str() == notifier && one.due().is_none());
            of.map(|one| (one.id, one.attempts)).collect()
        };
        assert!(!under_way.is_empty(), "nothing is sent by {notifier}");
        for (delivery, attempt) in under_way {
            drop(self.step(Input::Outcome { delivery, attempt, verdict: verdict() }));
        }
    }

    /// A source cannot be asked.
    pub(crate) fn lose(&self, source: &str, why: &str) {
        self.lost.lock().unwrap().insert(source.to_owned(), why.to_owned());
    }

    pub(crate) fn cannot_record(&self, why: &str) {
        *self.cannot_record.lock().unwrap() = Some(why.to_owned());
    }

    pub(crate) fn commands(&self) -> Vec<Command> {
        self.commands.lock().unwrap().clone()
    }

    /// The subjects that are wrong, with the status that counts.
    pub(crate) fn wrong(&self) -> Vec<(String, Status)> {
        let desk = self.desk.lock().unwrap();
        let wrong = desk.cases().values().filter(|case| case.settled != Status::Passing);
        wrong.map(|case| (case.subject.title(), case.settled)).collect()
    }
}

impl Alerts for DeskStandin {
    fn view(&self) -> BoxFuture<'_, Result<Arc<AlertView>, NoAnswer>> {
        if self.gone.load(Ordering::Relaxed) {
            return Box::pin(async { Err(NoAnswer::Gone) });
        }
        let desk = self.desk.lock().unwrap();
        let cases = desk.cases().iter().map(|(key, case)| (key.clone(), (case.clone(), desk.muted(case))));
        let view = AlertView {
            at: *self.now.lock().unwrap(),
            seat: self.seat.lock().unwrap().clone(),
            plan: Arc::clone(desk.plan()),
            cases: cases.collect(),
            deliveries: desk.deliveries().clone(),
            silences: desk.silences().clone(),
            lost: self.lost.lock().unwrap().clone(),
            cannot_record: self.cannot_record.lock().unwrap().clone(),
        };
        Box::pin(async { Ok(Arc::new(view)) })
    }

    fn forget(&self, node: String, by: String) -> BoxFuture<'_, Result<Result<String, Refusal>, NoAnswer>> {
        let said = match node.as_str() {
            "gone" => Ok(format!("gone is forgotten, says {by}")),
            _ => Err(Refusal::Conflict(format!("{node} is alive"))),
        };
        Box::pin(async { Ok(said) })
    }

    fn command(&self, command: Command) -> BoxFuture<'_, Result<Result<String, Refusal>, NoAnswer>> {
        self.commands.lock().unwrap().push(command.clone());
        if self.slow.load(Ordering::Relaxed) {
            return Box::pin(async { Err(NoAnswer::Late) });
        }
        let answer = self.step(Input::Command(command)).unwrap();
        Box::pin(async { Ok(answer) })
    }

    fn input(&self, input: Input) -> BoxFuture<'_, Result<(), Gone>> {
        self.inputs.lock().unwrap().push(input.clone());
        drop(self.step(input));
        Box::pin(async { Ok(()) })
    }
}
