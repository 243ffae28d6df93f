//! What a node hands on, and what it tells alone when it cannot.

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use lictor_core::NotifierName;
use lictor_core::alert::{AlertPlan, Matchers, Message, NotifierPlan, Route, Subject, Verdict};

use super::super::Tell;
use super::*;
use crate::clock::Clock;
use crate::inbox::Inbox;

/// Accepts everything, and remembers what was told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Tell for Told {
    fn send<'a>(&'a self, _notifier: &'a NotifierName, message: &'a Message) -> BoxFuture<'a, Verdict> {
        let told = message.items.iter().map(|item| format!("{} {}", item.tells.as_str(), item.title));
        self.0.lock().unwrap().extend(told);
        Box::pin(async { Verdict::Accepted })
    }
}

impl Told {
    /// What was told when nothing more comes.
    async fn all(&self) -> Vec<String> {
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.0.lock().unwrap().clone()
    }
}

fn plan() -> AlertPlan {
    let ops = NotifierName::new("ops").unwrap();
    let route = Route {
        name: "all".parse().unwrap(),
        when: Matchers::default(),
        status: [Status::Warning, Status::Critical].into(),
        to: vec![ops.clone()],
        group_by: vec![],
        group_wait: Duration::ZERO,
        group_interval: Duration::ZERO,
        remind_every: None,
        resolved: true,
        go_on: false,
    };
    let notifiers = [(ops, NotifierPlan::default())].into();
    AlertPlan { notifiers, routes: vec![route], ..AlertPlan::default() }
}

/// After so long it tells alone.
const ALONE: Duration = Duration::from_secs(30);

/// The relay of a node whose records are these; the sender keeps it from ending.
fn relay(kv: &Kv) -> (Relay, Arc<Told>) {
    let told = Arc::new(Told::default());
    let tell: Arc<dyn Tell> = Arc::<Told>::clone(&told);
    let (ledger, mut notes) = Inbox::detached();
    let drained = async move { while notes.next().await.is_some() {} };
    drop(crate::Tasks::new().spawn("notes", crate::OnEnd::Fine, drained));
    let current = watch::channel((Arc::new(plan()), tell)).1;
    let clock = Clock::fresh();
    let silences = watch::channel(Vec::new()).1;
    let alone = Alone::new("n1".into(), Kv::memory(), clock.clone(), ledger, current, silences);
    let seat = watch::channel(Seat::Other { holder: "n2".into() }).1;
    let asks = Asks { kv: kv.clone(), clock };
    let queue = mpsc::channel(1).1;
    (Relay::new(asks, "n1", queue, seat, (alone, watch::channel(ALONE).1), CancellationToken::new()), told)
}

fn says(checks: &[(&str, Status, &str)]) -> Input {
    let report = |(check, status, output): &(&str, Status, &str)| Report {
        judged: true,
        ..Report::new(Subject::own("n1", check), *status, *output)
    };
    let reports = checks.iter().map(report).collect();
    Input::Reports { source: own(), complete: true, reports, gone: vec![] }
}

/// One that has handed on that `disk` is critical, and is cut off since long.
async fn cut_off(kv: &Kv) -> (Relay, Arc<Told>) {
    let (mut relay, told) = relay(kv);
    relay.take(says(&[("disk", Status::Critical, "full"), ("swap", Status::Passing, "")])).await;
    relay.catch_up().await.unwrap();
    relay.stuck = Instant::now().checked_sub(ALONE);
    (relay, told)
}

#[tokio::test]
async fn what_the_shared_desk_told_is_not_told_again_alone() {
    use Status::{Critical, Passing};
    let (mut relay, told) = cut_off(&Kv::memory()).await;
    relay.take(says(&[("disk", Critical, "fuller"), ("swap", Critical, "used")])).await;
    relay.tell_alone().await;
    assert_eq!(told.all().await, ["firing swap on n1"]);
    // All checks are said anew after a reload.
    relay.take(says(&[("disk", Critical, "full"), ("swap", Critical, "used")])).await;
    relay.take(says(&[("disk", Critical, "fullest"), ("swap", Critical, "used")])).await;
    assert_eq!(told.all().await, ["firing swap on n1"]);
    relay.take(says(&[("disk", Critical, "full"), ("swap", Passing, "")])).await;
    assert_eq!(told.all().await, ["firing swap on n1", "resolved swap on n1"]);
    relay.alone.stop().await;
}

#[tokio::test]
async fn what_was_told_alone_in_between_is_put_right_alone() {
    use Status::{Critical, Warning};
    let (mut relay, told) = cut_off(&Kv::memory()).await;
    relay.take(says(&[("disk", Warning, "better")])).await;
    relay.tell_alone().await;
    assert_eq!(told.all().await, ["firing disk on n1"], "a warning");
    relay.take(says(&[("disk", Critical, "full")])).await;
    assert_eq!(told.all().await.len(), 2, "they do not stay with the warning");
    relay.alone.stop().await;
}

#[tokio::test]
async fn whom_it_told_alone_is_handed_on_when_a_node_is_back() {
    let kv = Kv::memory();
    let (mut relay, told) = cut_off(&kv).await;
    relay.take(says(&[("disk", Status::Critical, "full"), ("swap", Status::Critical, "used")])).await;
    relay.tell_alone().await;
    assert_eq!(told.all().await, ["firing swap on n1"]);
    relay.catch_up().await.unwrap();
    assert!(!relay.alone.tells() && relay.told_alone.is_empty());
    let handed_on = kv.list("alerts.from/n1/told/").await.unwrap().pairs;
    let (_, said) = wire::decode::<Said>(&handed_on[0].value).unwrap().into_report().unwrap();
    assert_eq!((handed_on.len(), said.subject.title().as_str()), (1, "swap on n1"));
}

/// Waits until there are records below this, and says whether there are in time.
async fn written(kv: &Kv, place: &str) -> bool {
    for _ in 0..100 {
        if !kv.list(place).await.unwrap().pairs.is_empty() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

#[tokio::test]
async fn what_waits_for_a_node_that_tells_is_handed_on_as_soon_as_there_is_one() {
    let kv = Kv::memory();
    let (mut relay, told) = relay(&kv);
    let (seat, seated) = watch::channel(Seat::Nobody { why: "no leader".into() });
    let (_queue, inputs) = mpsc::channel(1);
    (relay.seat, relay.queue) = (seated, inputs);
    relay.take(Input::Lost { source: Source::new("consul"), why: "nobody tells".into() }).await;
    assert_eq!(told.all().await.len(), 1);
    let tasks = crate::Tasks::new();
    drop(tasks.spawn("relay", crate::OnEnd::Fine, relay.run()));
    assert!(written(&kv, "alerts.from/n1/").await, "it sees its records again");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(kv.list("alerts.from/n1/told/").await.unwrap().pairs.is_empty(), "nobody tells yet");
    seat.send_replace(Seat::Other { holder: "n2".into() });
    assert!(written(&kv, "alerts.from/n1/told/").await, "not only with its next look");
    assert!(tasks.drain(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn what_a_node_told_alone_outlives_that_it_is_forgotten() {
    let kv = Kv::memory();
    let now = Clock::fresh().now().wall;
    kv.txn(&[Op::put("alerts.from/n1/own/1", "x"), Op::put("alerts.from/n1/told/1", "y")]).await.unwrap();
    let said = forget(&kv, "n1", now).await.unwrap().unwrap();
    assert_eq!(said, "n1 is forgotten: 1 record of what it said last", "its marker says nothing");
    let left = kv.list("alerts.from/").await.unwrap().pairs;
    assert_eq!(left.iter().map(|pair| pair.key.as_str()).collect::<Vec<_>>(), ["alerts.from/n1/told/1"]);
    let again = forget(&kv, "n1", now).await.unwrap().unwrap_err();
    assert_eq!(again.to_string(), "no node `n1` has said anything");
}
