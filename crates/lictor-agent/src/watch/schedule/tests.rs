use std::sync::Mutex;

use lictor_config::{Command, Heartbeat};
use lictor_core::{Input, Match};
use prometheus_client::registry::Registry;

use super::*;
use crate::watch::HeartbeatError;
use crate::{Clock, Inputs};

const SECOND: Duration = Duration::from_secs(1);

/// A scheduler with looks of the test's own.
struct Rig {
    inbox: Inbox,
    inputs: Inputs,
    orders: mpsc::Sender<Order>,
    world: Arc<World>,
    metrics: Arc<Metrics>,
    /// What is checked, and how long after the start.
    looked: Arc<Mutex<Vec<(String, Duration)>>>,
    begun: Instant,
}

/// What a planted look does.
type Plan = fn(&str) -> BoxFuture<'static, ()>;

fn rig(watches: &[(&str, Watch)], room: usize, plan: Plan) -> Rig {
    let begun = Instant::now();
    let looked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&looked);
    let looks: Looks = Arc::new(move |check, _watch, memory, _world| {
        noted.lock().unwrap().push((check.to_string(), begun.elapsed()));
        let work = plan(check.as_str());
        Box::pin(async move {
            work.await;
            (memory, Look::new(Sample::new(Status::Passing, "fine")))
        })
    });
    start(watches, room, looks, looked, begun)
}

fn start(
    watches: &[(&str, Watch)],
    room: usize,
    looks: Looks,
    looked: Arc<Mutex<Vec<(String, Duration)>>>,
    begun: Instant,
) -> Rig {
    let tasks = Tasks::new();
    let world = World::new(tasks.clone(), Clock::fresh());
    let metrics = Arc::new(Metrics::register(&mut Registry::default()));
    let (inbox, inputs) = Inbox::detached();
    let (orders, ordered) = mpsc::channel(ORDERS);
    let mut scheduler = Scheduler::new(Arc::clone(&world), inbox.clone(), Arc::clone(&metrics), looks, room);
    scheduler.apply(all(watches));
    tasks.spawn("watchers", OnEnd::Stop, scheduler.run(ordered));
    Rig { inbox, inputs, orders, world, metrics, looked, begun }
}

fn all(watches: &[(&str, Watch)]) -> BTreeMap<CheckName, Arc<Watch>> {
    watches.iter().map(|(name, watch)| (name.parse().unwrap(), Arc::new(watch.clone()))).collect()
}

fn every(every: Duration, timeout: Duration) -> Watch {
    let kind = WatchKind::Exec(Command {
        argv: vec!["true".into()],
        captured: Vec::new(),
        env: Vec::new(),
        cwd: None,
    });
    Watch { kind, every, timeout, patterns: Vec::new() }
}

fn heartbeat(within: Duration) -> Watch {
    let kind = WatchKind::Heartbeat(Heartbeat { within, token: None });
    Watch { kind, every: 10 * SECOND, timeout: 5 * SECOND, patterns: Vec::new() }
}

impl Rig {
    /// When a check was looked at, from the start on.
    fn times(&self, check: &str) -> Vec<Duration> {
        let looked = self.looked.lock().unwrap();
        looked.iter().filter(|(name, _)| name == check).map(|(_, at)| *at).collect()
    }

    /// The next input, as text with its time.
    async fn next(&mut self) -> String {
        let input = tokio::time::timeout(10_000 * SECOND, self.inputs.next()).await;
        let at = self.begun.elapsed();
        match input.expect("nothing comes").unwrap() {
            Input::Observed { check, sample } => {
                format!("{} {check} {}: {}", Span(at), sample.status, sample.summary)
            }
            Input::Note(event) => format!("{} {}", Span(at), event.what),
            other => format!("{other:?}"),
        }
    }

    async fn apply(&self, watches: &[(&str, Watch)]) -> Difference {
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order::Apply(all(watches), answer)).await.unwrap();
        answered.await.unwrap()
    }

    async fn beat(&self, status: Status, message: &str) -> Result<(), HeartbeatError> {
        let check = "job".parse().unwrap();
        self.world.heart(&check).unwrap().beat(&check, status, message, &self.inbox).await
    }
}

#[tokio::test(start_paused = true)]
async fn looks_do_not_drift_however_long_they_take() {
    let slow: Plan = |_| Box::pin(tokio::time::sleep(Duration::from_millis(300)));
    let rig = rig(&[("a", every(5 * SECOND, 2 * SECOND))], 10, slow);
    tokio::time::sleep(502 * SECOND).await;
    let times = rig.times("a");
    assert!(times[0] < 5 * SECOND, "{times:?}");
    for (at, time) in times.iter().enumerate() {
        let late = *time - times[0] - 5 * SECOND * u32::try_from(at).unwrap();
        assert!(late < Duration::from_millis(2), "look {at} is {late:?} late");
    }
    assert!((100..=101).contains(&times.len()), "{}", times.len());
}

#[tokio::test(start_paused = true)]
async fn a_late_look_does_not_move_those_after_it() {
    let rig = rig(&[("a", every(5 * SECOND, 2 * SECOND))], 10, |_| Box::pin(async {}));
    // Time goes in leaps, as on a machine that has too much to do.
    let leap = Duration::from_millis(700);
    for _ in 0..1_000 {
        tokio::time::advance(leap).await;
        tokio::task::yield_now().await;
    }
    let times = rig.times("a");
    assert!((139..=140).contains(&times.len()), "{} looks in 700 s", times.len());
    let first = Spread::of("a", 5 * SECOND).first;
    for (at, time) in times.iter().enumerate() {
        let planned = first + 5 * SECOND * u32::try_from(at).unwrap();
        assert!(*time >= planned && *time - planned < 2 * leap, "look {at}: {time:?}, planned {planned:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_watcher_has_looked_once_within_ten_seconds_of_the_start() {
    let watches: Vec<(String, Watch)> =
        (0..500).map(|n| (format!("check-{n}"), every(3_600 * SECOND, SECOND))).collect();
    let named: Vec<(&str, Watch)> =
        watches.iter().map(|(name, watch)| (name.as_str(), watch.clone())).collect();
    let rig = rig(&named, 1_000, |_| Box::pin(async {}));
    tokio::time::sleep(Duration::from_millis(10_002)).await;
    assert_eq!(rig.looked.lock().unwrap().len(), 500);
    let early = rig.looked.lock().unwrap().iter().filter(|(_, at)| *at < 5 * SECOND).count();
    assert!((200..300).contains(&early), "{early} of 500 looked in the first half");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_hangs_holds_up_no_other() {
    let plan: Plan = |check| {
        if check == "hangs" { Box::pin(tokio::time::sleep(9 * SECOND)) } else { Box::pin(async {}) }
    };
    let watch = || every(10 * SECOND, 9 * SECOND);
    let rig = rig(&[("hangs", watch()), ("fine", watch())], 10, plan);
    tokio::time::sleep(100 * SECOND).await;
    let times = rig.times("fine");
    assert_eq!(times.len(), 10);
    for pair in times.windows(2) {
        assert!((pair[1] - pair[0]).abs_diff(10 * SECOND) < Duration::from_millis(2), "{times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn looks_wait_for_room_and_are_started_when_there_is_some() {
    let slow: Plan = |_| Box::pin(tokio::time::sleep(4 * SECOND));
    let watch = || every(10 * SECOND, 5 * SECOND);
    let mut rig = rig(&[("a", watch()), ("b", watch()), ("c", watch())], 1, slow);
    for _ in 0..9 {
        rig.next().await;
        assert!(rig.metrics.in_flight.get() <= 1);
    }
    let looked = rig.looked.lock().unwrap().clone();
    for pair in looked.windows(2) {
        assert!(pair[1].1 - pair[0].1 >= 4 * SECOND, "two at once: {pair:?}");
    }
    for check in ["a", "b", "c"] {
        assert!(rig.times(check).len() >= 2, "{check} was never given room: {looked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_beyond_its_interval_skips_looks_and_returns_to_the_schedule() {
    let plan: Plan = |_| Box::pin(tokio::time::sleep(Duration::from_secs(25)));
    let rig = rig(&[("a", every(10 * SECOND, 20 * SECOND))], 10, plan);
    tokio::time::sleep(100 * SECOND).await;
    let times = rig.times("a");
    for pair in times.windows(2) {
        assert!((pair[1] - pair[0]).abs_diff(30 * SECOND) < Duration::from_millis(2), "{times:?}");
    }
    assert_eq!(rig.metrics.stats().skipped, 6);
}

/// The whole seconds from each time to the next.
fn rounded(times: &[Duration]) -> Vec<u64> {
    let half = Duration::from_millis(500);
    times.windows(2).map(|pair| (pair[1] - pair[0] + half).as_secs()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_panics_is_started_again_after_growing_pauses_and_told_of() {
    let plan: Plan = |_| Box::pin(async { panic!("planted") });
    let mut rig = rig(&[("a", every(2 * SECOND, SECOND))], 10, plan);
    let first = rig.next().await;
    assert!(first.ends_with("watcher of a restarted: it panicked: planted"), "{first}");
    let told = rig.next().await;
    let wanted = "a unknown: the watcher was restarted: it panicked: planted; it looks again in 2s";
    assert!(told.ends_with(wanted), "{told}");
    for _ in 0..20 {
        rig.next().await;
    }
    let times = rig.times("a");
    let pauses = rounded(&times);
    assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
}

#[tokio::test(start_paused = true)]
async fn one_good_look_forgives_the_failures_before_it() {
    static LOOKS: Mutex<u32> = Mutex::new(0);
    let plan: Plan = |_| {
        Box::pin(async {
            let look = {
                let mut looks = LOOKS.lock().unwrap();
                *looks += 1;
                *looks
            };
            assert!(look % 3 == 0, "planted");
        })
    };
    let rig = rig(&[("a", every(2 * SECOND, SECOND))], 10, plan);
    tokio::time::sleep(60 * SECOND).await;
    let times = rig.times("a");
    let pauses = rounded(&times);
    assert_eq!(pauses.get(..6).unwrap(), [2, 4, 2, 2, 4, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_goes_quiet_is_restarted_and_its_look_given_up() {
    static DROPPED: Mutex<bool> = Mutex::new(false);
    struct Told;
    impl Drop for Told {
        fn drop(&mut self) {
            *DROPPED.lock().unwrap() = true;
        }
    }
    let plan: Plan = |_| {
        Box::pin(async {
            let _told = Told;
            std::future::pending::<()>().await;
        })
    };
    let mut rig = rig(&[("a", every(10 * SECOND, 5 * SECOND))], 10, plan);
    let note = rig.next().await;
    let wanted = "watcher of a restarted: its look has been silent for 40s with a time limit of 5s";
    assert!(note.ends_with(wanted), "{note}");
    let told = rig.next().await;
    assert!(told.contains(" a unknown: the watcher was restarted: "), "{told}");
    assert!(*DROPPED.lock().unwrap(), "the look was left running");
    tokio::time::sleep(20 * SECOND).await;
    assert_eq!(rig.times("a").len(), 2);
    assert_eq!(rig.metrics.stats().in_flight, 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_decide_loop_does_not_count_as_a_quiet_watcher() {
    let mut rig = rig(&[("a", every(10 * SECOND, 5 * SECOND))], 10, |_| Box::pin(async {}));
    let line = || vec![Match::new("p".parse().unwrap(), "")];
    // Fills the inbox: nobody takes anything out of it.
    let full = async {
        loop {
            rig.inbox.read("x".parse().unwrap(), line(), None).await.unwrap();
        }
    };
    assert!(tokio::time::timeout(300 * SECOND, full).await.is_err());
    assert_eq!(rig.times("a").len(), 1, "a second look was started while the first was not handed in");
    assert_eq!(rig.metrics.stats().restarts, 0);
    let mut seen = String::new();
    while !seen.contains("a passing") {
        seen = rig.next().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_leaves_alone_what_did_not_change() {
    let watch = || every(100 * SECOND, 5 * SECOND);
    let changed = every(100 * SECOND, 6 * SECOND);
    let rig = rig(&[("kept", watch()), ("changed", watch()), ("gone", watch())], 10, |_| Box::pin(async {}));
    tokio::time::sleep(30 * SECOND).await;
    let difference = rig.apply(&[("kept", watch()), ("changed", changed), ("new", watch())]).await;
    assert_eq!(difference, Difference { started: 1, changed: 1, stopped: 1, kept: 1 });
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(rig.times("kept").len(), 1, "it was started anew");
    assert_eq!(rig.times("changed").len(), 2, "it was not started anew");
    assert_eq!(rig.times("new").len(), 1);
    tokio::time::sleep(200 * SECOND).await;
    assert_eq!(rig.times("gone").len(), 1, "it looks although it is gone");
    assert_eq!(rig.metrics.stats().watchers, 3);
}

#[tokio::test(start_paused = true)]
async fn a_reload_gives_up_the_look_of_a_watcher_that_is_gone() {
    static DROPPED: Mutex<bool> = Mutex::new(false);
    struct Told;
    impl Drop for Told {
        fn drop(&mut self) {
            *DROPPED.lock().unwrap() = true;
        }
    }
    let plan: Plan = |_| {
        Box::pin(async {
            let _told = Told;
            tokio::time::sleep(4 * SECOND).await;
        })
    };
    let mut rig = rig(&[("a", every(5 * SECOND, 5 * SECOND))], 10, plan);
    while rig.times("a").is_empty() {
        tokio::time::sleep(SECOND / 10).await;
    }
    rig.apply(&[]).await;
    tokio::time::sleep(SECOND / 10).await;
    assert!(*DROPPED.lock().unwrap());
    assert_eq!(rig.metrics.stats().in_flight, 0);
    let silent = tokio::time::timeout(100 * SECOND, rig.inputs.next()).await;
    assert!(silent.is_err(), "{silent:?}");
}

fn hearts(watches: &[(&str, Watch)]) -> Rig {
    start(watches, 10, real_looks(), Arc::default(), Instant::now())
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_says_nothing_until_a_whole_time_has_passed_without_a_call() {
    let mut rig = hearts(&[("job", heartbeat(25 * SECOND))]);
    let first = rig.next().await;
    assert_eq!(first, "25s job critical: no call for 25s, wanted every 25s");
}

#[tokio::test(start_paused = true)]
async fn each_call_is_a_result_and_a_missing_one_is_noticed_on_time() {
    let mut rig = hearts(&[("job", heartbeat(60 * SECOND))]);
    tokio::time::sleep(SECOND).await;
    rig.beat(Status::Warning, "half done").await.unwrap();
    assert_eq!(rig.next().await, "1s job warning: half done");
    tokio::time::sleep(SECOND).await;
    rig.beat(Status::Passing, "").await.unwrap();
    assert_eq!(rig.next().await, "2s job passing: called");
    let mut last = String::new();
    while !last.contains("critical") {
        last = rig.next().await;
        assert!(last.contains("critical") || last.contains("job passing: called"), "{last}");
    }
    assert_eq!(last, "1m 2s job critical: no call for 1m, wanted every 1m");
    rig.beat(Status::Passing, "back").await.unwrap();
    assert_eq!(rig.next().await, "1m 2s job passing: back");
}
