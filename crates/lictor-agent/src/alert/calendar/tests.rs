//! The calendar of a configuration over a desk, in a time that passes as fast as nothing happens.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use futures::future::BoxFuture;
use insta::assert_snapshot;
use jiff::tz::TimeZone;
use lictor_config::parse;
use lictor_core::alert::{Desk, Input, Message, Occasion, Report, Source, Subject, SubjectKey, label};
use lictor_core::{Boot, Now, Span, Status};
use lictor_testkit::service::{Answer, Service};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::inbox::{AlertView, Message as Asked, QUEUE, Seat};
use super::*;

/// The wall clock goes on in steps of this.
const STEP: Duration = Duration::from_secs(30);

/// Accepts everything after a while.
#[derive(Default)]
struct Slow {
    takes: Duration,
    given: Mutex<Vec<(Instant, Occasion)>>,
}

impl Tell for Slow {
    fn send<'a>(&'a self, _notifier: &'a NotifierName, message: &'a Message) -> BoxFuture<'a, Verdict> {
        self.given.lock().unwrap().push((Instant::now(), message.occasion));
        Box::pin(async {
            tokio::time::sleep(self.takes).await;
            Verdict::Accepted
        })
    }
}

/// A clock that shows that.
fn clock_at(shown: &str) -> Clock {
    let clock = Clock::fresh();
    let wanted: Timestamp = shown.parse().unwrap();
    clock.step_wall(wanted.as_millisecond() - clock.now().wall.as_unix_millis());
    clock
}

/// What happens of itself: at such a time a check has such a status, the clock is set forward by so
/// many minutes, or the desk does not answer so many commands.
#[derive(Clone, Copy)]
enum Event {
    Status(&'static str, Status),
    /// A person ends the silence of a window.
    End(&'static str),
    /// The agent starts anew, with other blocks.
    Start(&'static str),
    /// Nothing runs for so many hours.
    Stop(u64),
    Set(i64),
    Deaf(usize),
}

/// A desk, and what is done with it and told by it.
struct Stage {
    desk: Desk,
    clock: Clock,
    begun: Instant,
    deaf: usize,
    log: Vec<String>,
}

impl Stage {
    fn now(&self) -> Now {
        let passed = u64::try_from(self.begun.elapsed().as_millis()).unwrap();
        Now { boot: Boot::from_millis(1_000_000_000 + passed), wall: self.clock.now().wall }
    }

    fn shown(&self) -> String {
        stamp(self.clock.now().wall).to_zoned(TimeZone::UTC).strftime("%a %H:%M").to_string()
    }

    fn shows(&self, time: &str) -> bool {
        self.shown() == time
    }

    fn say(&mut self, what: &str) {
        let line = format!("{} {what}", self.shown());
        self.log.push(line);
    }

    fn take(&mut self, input: Input) -> Option<Result<String, lictor_core::Refusal>> {
        let mut output = self.desk.step(input, self.now());
        let answer = output.answer.take();
        for id in output.send {
            let Some(message) = self.desk.message(id) else { continue };
            let items: Vec<_> =
                message.items.iter().map(|item| format!("{} {}", item.title, item.status.as_str())).collect();
            let told = format!("told by {}: {}", message.occasion.as_str(), items.join(", "));
            self.say(told.trim_end());
            self.take(Input::Outcome { delivery: id, attempt: message.attempt, verdict: Verdict::Accepted });
        }
        answer
    }

    fn asked(&mut self, asked: Asked) {
        let (command, answer) = match asked {
            Asked::Command(command, answer) => (command, answer),
            Asked::Input(input) => return drop(self.take(input)),
            _ => return,
        };
        let what = match &command {
            Command::Silence { id, lasting, .. } => {
                let minutes = lasting.as_secs().div_ceil(60);
                format!(
                    "silence {} for {}",
                    id.clone().unwrap_or_default(),
                    Span(Duration::from_secs(minutes * 60))
                )
            }
            Command::Digest { name, due: Due::At(_), .. } => format!("digest {name}"),
            Command::Digest { name, due: Due::Missed(at), .. } => {
                let due = stamp(*at).to_zoned(TimeZone::UTC).strftime("%a %H:%M").to_string();
                format!("digest {name} of {due} if it was missed")
            }
            other => format!("{other:?}"),
        };
        if self.deaf > 0 {
            self.deaf -= 1;
            self.say(&format!("not answered: {what}"));
            return;
        }
        self.say(&what);
        if let Some(said) = self.take(Input::Command(command)) {
            if let Err(refusal) = &said {
                self.say(&refusal.to_string());
            }
            // It may not wait any more.
            drop(answer.send(said));
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Status(check, status) => {
                let labels = [(label::SOURCE, "consul"), (label::NODE, "db1"), (label::CHECK, check)];
                let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
                let key = SubjectKey::consul("dc1", "db1", "", check);
                let subject = Subject { key, labels, tags: [].into() };
                let reports = vec![Report::new(subject, status, "said")];
                let source = Source::new("consul/dc1");
                self.take(Input::Reports { source, complete: false, reports, gone: vec![] });
            }
            Event::End(window) => {
                let (id, by) = (format!("maintenance {window}"), "ada".to_owned());
                let said = self.take(Input::Command(Command::Unsilence { id, by }));
                self.say(&said.and_then(Result::ok).unwrap_or_default());
            }
            // Of the whole play; see there.
            Event::Start(_) | Event::Stop(_) => {}
            Event::Set(minutes) => self.clock.step_wall(minutes * 60_000),
            Event::Deaf(commands) => self.deaf = commands,
        }
    }
}

/// The configuration of these blocks.
fn config_of(blocks: &str) -> Arc<Alerts> {
    let text = format!("notify \"log\" \"ops\" {{\n path = \"/told\"\n}}\n{blocks}");
    match parse("x.hcl", &text) {
        Ok(loaded) => Arc::clone(&loaded.config.alerts),
        Err(failure) => panic!("{:?}", failure.lines().collect::<Vec<_>>()),
    }
}

/// The calendar of these blocks, begun.
fn begin(blocks: &str, clock: &Clock) -> (Tasks, mpsc::Receiver<Asked>) {
    let (sender, queue) = mpsc::channel(QUEUE);
    let tasks = Tasks::new();
    let calendar = Calendar {
        alerts: config_of(blocks),
        desk: DeskInbox(sender),
        notifiers: Arc::new(Slow::default()),
        clock: clock.clone(),
    };
    calendar.start(&tasks);
    (tasks, queue)
}

/// What the calendar of these blocks does from a time on for so many hours, while that happens.
async fn play(blocks: &'static str, from: &str, hours: u64, events: &[(&str, Event)]) -> String {
    let clock = clock_at(from);
    let begun = Instant::now();
    let at = Now { boot: Boot::from_millis(1_000_000_000), wall: clock.now().wall };
    let (desk, _) = Desk::restore(Arc::clone(&config_of(blocks).plan), vec![], at);
    let mut stage = Stage { desk, clock: clock.clone(), begun, deaf: 0, log: Vec::new() };
    let source = Source::new("consul/dc1");
    stage.take(Input::Reports { source, complete: true, reports: vec![], gone: vec![] });
    let (mut blocks, mut tasks, mut queue) = {
        let (tasks, queue) = begin(blocks, &clock);
        (blocks, tasks, queue)
    };
    let mut events = events.iter().peekable();
    let mut times = tokio::time::interval_at(begun + STEP, STEP);
    while begun.elapsed() < Duration::from_secs(hours * 3_600) {
        tokio::select! {
            biased;
            Some(asked) = queue.recv() => stage.asked(asked),
            _ = times.tick() => {
                clock.step_wall(i64::try_from(STEP.as_millis()).unwrap());
                while let Some((_, event)) = events.next_if(|(at, _)| stage.shows(at)) {
                    stage.happens(*event);
                    let stopped = if let Event::Stop(hours) = event { *hours } else { 0 };
                    if let Event::Start(others) = event {
                        blocks = others;
                    }
                    if matches!(event, Event::Start(_) | Event::Stop(_)) {
                        tasks.drain(Duration::from_secs(1)).await;
                        clock.step_wall(i64::try_from(stopped * 3_600_000).unwrap());
                        (tasks, queue) = begin(blocks, &clock);
                    }
                }
                if stage.desk.next_wake().is_some_and(|at| at <= stage.now().boot) {
                    stage.take(Input::Tick);
                }
            }
        }
    }
    tasks.drain(Duration::from_secs(1)).await;
    assert!(events.next().is_none(), "some things never happened");
    stage.log.join("\n")
}

/// Each night at two for two hours, in a database.
const NIGHTLY: &str = r#"
maintenance "night" {
  node     = "db1"
  cron     = "0 2 * * *"
  for      = "2h"
  timezone = "UTC"
}
"#;

#[tokio::test(start_paused = true)]
async fn a_window_begins_silences_and_ends() {
    use Status::{Critical, Passing};
    let events = [
        ("Mon 01:00", Event::Status("disk", Critical)),
        ("Mon 02:30", Event::Status("lag", Critical)),
        ("Mon 03:00", Event::Status("disk", Passing)),
        ("Mon 03:10", Event::Status("backup", Critical)),
        ("Mon 03:20", Event::Status("backup", Passing)),
    ];
    assert_snapshot!(play(NIGHTLY, "2026-03-02T00:30:00Z", 30, &events).await, @"
    Mon 01:00 told by change: disk on db1 critical
    Mon 02:00 silence maintenance night for 2h
    Mon 03:00 told by change: disk on db1 passing
    Mon 04:01 told by change: lag on db1 critical
    Tue 02:00 silence maintenance night for 2h
    ");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_starts_within_a_window_silences_the_rest_of_it() {
    assert_snapshot!(play(NIGHTLY, "2026-03-02T03:15:00Z", 2, &[]).await, @"Mon 03:15 silence maintenance night for 45m");
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_past_is_none() {
    let once = "maintenance \"move\" {\n start = \"2026-03-02T10:00:00Z\"\n for = \"1h\"\n}";
    assert_eq!(play(once, "2026-03-02T12:00:00Z", 24, &[]).await, "");
    assert_snapshot!(play(once, "2026-03-02T09:00:00Z", 24, &[]).await, @"Mon 10:00 silence maintenance move for 1h");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_into_a_window_begins_it_at_once() {
    let events = [("Mon 01:00", Event::Set(75))];
    assert_snapshot!(play(NIGHTLY, "2026-03-02T00:30:00Z", 4, &events).await, @"Mon 02:15 silence maintenance night for 1h 45m");
}

#[tokio::test(start_paused = true)]
async fn a_desk_that_does_not_answer_is_asked_for_the_window_again() {
    let events = [("Mon 01:00", Event::Deaf(2))];
    assert_snapshot!(play(NIGHTLY, "2026-03-02T00:30:00Z", 4, &events).await, @"
    Mon 02:00 not answered: silence maintenance night for 2h
    Mon 02:00 not answered: silence maintenance night for 2h
    Mon 02:01 silence maintenance night for 1h 59m
    ");
}

#[tokio::test(start_paused = true)]
async fn a_digest_comes_at_its_times() {
    let digest = "alerts {\n digest \"mornings\" {\n to = [\"ops\"]\n cron = \"0 8 * * mon-fri\"\n timezone = \"UTC\"\n}\n}";
    let events = [
        ("Fri 06:00", Event::Status("disk", Status::Critical)),
        ("Mon 09:00", Event::Deaf(1)),
        ("Tue 23:00", Event::Status("disk", Status::Passing)),
    ];
    assert_snapshot!(play(digest, "2026-03-06T05:00:00Z", 24 * 5 + 6, &events).await, @"
    Fri 05:00 digest mornings of Thu 08:00 if it was missed
    Fri 06:00 told by change: disk on db1 critical
    Fri 08:00 digest mornings
    Fri 08:00 told by digest: disk on db1 critical
    Mon 08:00 digest mornings
    Mon 08:00 told by digest: disk on db1 critical
    Tue 08:00 not answered: digest mornings
    Tue 08:00 digest mornings
    Tue 08:00 told by digest: disk on db1 critical
    Tue 23:00 told by change: disk on db1 passing
    Wed 08:00 digest mornings
    Wed 08:00 told by digest:
    ");
}

#[tokio::test(start_paused = true)]
async fn a_digest_of_each_minute_comes_once_a_minute() {
    let digest =
        "alerts {\n digest \"all\" {\n to = [\"ops\"]\n cron = \"* * * * *\"\n also_when_well = false\n}\n}";
    let said = play(digest, "2026-03-06T05:00:30Z", 1, &[]).await;
    assert_eq!(said.lines().filter(|line| line.ends_with("digest all")).count(), 60, "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_window_that_a_person_ended_stays_ended_over_a_restart_and_comes_the_next_night() {
    let events = [("Mon 02:30", Event::End("night")), ("Mon 03:00", Event::Start(NIGHTLY))];
    assert_snapshot!(play(NIGHTLY, "2026-03-02T00:30:00Z", 26, &events).await, @"
    Mon 02:00 silence maintenance night for 2h
    Mon 02:30 silence maintenance night is over
    Mon 03:00 silence maintenance night for 1h
    Mon 03:00 silence maintenance night was ended by ada
    Tue 02:00 silence maintenance night for 2h
    ");
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_configured_no_more_ends_at_once() {
    let events = [
        ("Mon 02:10", Event::Status("disk", Status::Critical)),
        ("Mon 02:30", Event::Start("")),
        ("Mon 02:50", Event::Start(NIGHTLY)),
    ];
    assert_snapshot!(play(NIGHTLY, "2026-03-02T00:30:00Z", 3, &events).await, @"
    Mon 02:00 silence maintenance night for 2h
    Mon 02:30 told by change: disk on db1 critical
    Mon 02:50 silence maintenance night for 1h 10m
    ");
}

#[tokio::test(start_paused = true)]
async fn digests_that_were_due_while_nobody_ran_are_made_up_for_once() {
    let digest =
        "alerts {\n digest \"daily\" {\n to = [\"ops\"]\n cron = \"0 8 * * *\"\n timezone = \"UTC\"\n}\n}";
    let events = [("Tue 09:00", Event::Stop(72)), ("Fri 12:00", Event::Start(digest))];
    assert_snapshot!(play(digest, "2026-03-02T07:00:00Z", 24 + 6, &events).await, @"
    Mon 07:00 digest daily of Sun 08:00 if it was missed
    Mon 08:00 digest daily
    Mon 08:00 told by digest:
    Tue 08:00 digest daily
    Tue 08:00 told by digest:
    Fri 09:00 digest daily of Fri 08:00 if it was missed
    Fri 09:00 told by digest:
    Fri 12:00 digest daily of Fri 08:00 if it was missed
    ");
}

/// What a desk says that is asked for its state.
const WELL: u8 = 0;
const HANGS: u8 = 1;
const CANNOT_RECORD: u8 = 2;

fn view(clock: &Clock, cannot_record: Option<String>) -> AlertView {
    AlertView {
        at: clock.now(),
        seat: Seat::Local,
        plan: Arc::default(),
        cases: BTreeMap::new(),
        deliveries: BTreeMap::new(),
        silences: BTreeMap::new(),
        lost: BTreeMap::new(),
        cannot_record,
    }
}

/// Signs of life, and how the desk is.
struct Living {
    tasks: Tasks,
    state: Arc<AtomicU8>,
}

impl Living {
    fn start(to: LifeSignTo, every: Duration, notifiers: Arc<dyn Tell>) -> Self {
        let (sender, mut queue) = mpsc::channel(QUEUE);
        let (tasks, clock, state) = (Tasks::new(), Clock::fresh(), Arc::new(AtomicU8::new(WELL)));
        let (said, shown) = (Arc::clone(&state), clock.clone());
        let desk = async move {
            let mut kept_waiting = Vec::new();
            while let Some(asked) = queue.recv().await {
                let Asked::View(answer) = asked else { continue };
                let why = match said.load(Ordering::Relaxed) {
                    HANGS => {
                        kept_waiting.push(answer);
                        continue;
                    }
                    CANNOT_RECORD => Some("the disk is full".to_owned()),
                    _ => None,
                };
                drop(answer.send(Arc::new(view(&shown, why))));
            }
        };
        drop(tasks.spawn("desk", OnEnd::Fine, desk));
        let heartbeats = vec![LifeSign { to, every }];
        let alerts = Arc::new(Alerts { heartbeats, ..Alerts::default() });
        Calendar { alerts, desk: DeskInbox(sender), notifiers, clock }.start(&tasks);
        Self { tasks, state }
    }
}

#[tokio::test]
async fn a_sign_of_life_stays_out_while_the_desk_hangs_or_cannot_record() {
    let service = Service::start(|_call| Answer::new(200, "OK"));
    let url = Url::parse(&format!("{}/ping/4711", service.url())).unwrap();
    let every = Duration::from_millis(40);
    let living = Living::start(LifeSignTo::Url(url), every, Arc::new(Slow::default()));
    let more = async |than: usize| {
        for _ in 0..500 {
            if service.calls().len() > than {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no more than {than} signs of life");
    };
    more(2).await;
    let first = service.calls().remove(0);
    assert_eq!((first.method.as_str(), first.path.as_str()), ("GET", "/ping/4711"));
    for state in [CANNOT_RECORD, HANGS] {
        living.state.store(state, Ordering::Relaxed);
        // One may have been under way.
        tokio::time::sleep(every * 4).await;
        let before = service.calls().len();
        tokio::time::sleep(every * 8).await;
        assert_eq!(service.calls().len(), before, "it is silent");
        if state == CANNOT_RECORD {
            living.state.store(WELL, Ordering::Relaxed);
            more(before + 2).await;
        }
    }
    living.tasks.drain(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_receiver_leaves_the_pace_of_the_signs_alone() {
    let slow = Arc::new(Slow { takes: Duration::from_secs(20), given: Mutex::default() });
    let told = LifeSignTo::Notifiers(vec![NotifierName::new("ops").unwrap()]);
    let begun = Instant::now();
    let living = Living::start(told, Duration::from_secs(60), Arc::<Slow>::clone(&slow));
    tokio::time::sleep(Duration::from_secs(150)).await;
    living.tasks.drain(Duration::from_secs(1)).await;
    let given = slow.given.lock().unwrap();
    let times: Vec<_> = given.iter().map(|(at, what)| ((*at - begun).as_secs(), *what)).collect();
    assert_eq!(times, [0, 60, 120].map(|at| (at, Occasion::LifeSign)));
}
