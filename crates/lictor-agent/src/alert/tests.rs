//! The loop of the desk over a real store, with notifiers that a test answers for.

mod together;

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Mutex as StdMutex;
use std::time::Duration;

use lictor_core::alert::{
    Command, Deliveries, Input, Matchers, NotifierPlan, Report, Route, Row, Silence, Source, Subject,
    SubjectKey, label, text,
};
use lictor_core::{Now, RouteName, Status, Wall};
use lictor_store::Options;
use lictor_store::wire::{self, AlertRow};

use super::*;

/// Accepts or refuses as it was told, and remembers what it was given.
#[derive(Default)]
struct Told {
    given: StdMutex<Vec<Message>>,
    verdicts: StdMutex<VecDeque<Verdict>>,
}

impl Tell for Told {
    fn send<'a>(&'a self, _notifier: &'a NotifierName, message: &'a Message) -> BoxFuture<'a, Verdict> {
        self.given.lock().unwrap().push(message.clone());
        let verdict = self.verdicts.lock().unwrap().pop_front().unwrap_or(Verdict::Accepted);
        Box::pin(async move { verdict })
    }
}

impl Told {
    fn titles(&self) -> Vec<String> {
        let given = self.given.lock().unwrap();
        let said = |message: &Message| {
            let items: Vec<_> =
                message.items.iter().map(|item| format!("{} {}", item.tells.as_str(), item.title)).collect();
            items.join(", ")
        };
        given.iter().map(said).collect()
    }

    async fn until(&self, count: usize) -> Vec<String> {
        for _ in 0..6_000 {
            let titles = self.titles();
            if titles.len() >= count {
                return titles;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("only this was told: {:?}", self.titles());
    }
}

fn plan() -> Arc<AlertPlan> {
    let ops = NotifierName::new("ops").unwrap();
    let route = Route {
        name: RouteName::new("all").unwrap(),
        when: Matchers::default(),
        status: [Status::Critical].into(),
        to: vec![ops.clone()],
        group_by: vec![],
        group_wait: Duration::ZERO,
        group_interval: Duration::ZERO,
        remind_every: None,
        resolved: true,
        go_on: false,
    };
    let notifier = NotifierPlan { parallel: NonZeroU32::MIN, ..NotifierPlan::default() };
    Arc::new(AlertPlan { notifiers: [(ops, notifier)].into(), routes: vec![route], ..AlertPlan::default() })
}

fn report(node: &str, status: Status) -> Input {
    let labels = text(&[(label::SOURCE, "consul"), (label::NODE, node), (label::CHECK, "alive")]);
    let subject = Subject { key: SubjectKey::consul("dc1", node, "", "alive"), labels, tags: [].into() };
    let reports = vec![Report::new(subject, status, "said")];
    Input::Reports { source: Source::new("consul/dc1"), complete: false, reports, gone: vec![] }
}

fn complete() -> Input {
    Input::Reports { source: Source::new("consul/dc1"), complete: true, reports: vec![], gone: vec![] }
}

/// A desk over the store of a directory, until `stop`.
struct Rig {
    desk: DeskInbox,
    tasks: Tasks,
    store: NodeStore,
    told: Arc<Told>,
}

impl Rig {
    async fn over(dir: &std::path::Path) -> Self {
        let opened = NodeStore::open(Options::new(dir, "n1")).unwrap();
        let kept = Kept::local(Kv::embedded(opened.store.clone()));
        let clock = Clock::fresh();
        let rows = kept.load(clock.now()).await.unwrap();
        let (desk, first) = Desk::restore(plan(), rows, clock.now());
        let (sender, mut queue) = mpsc::channel(inbox::QUEUE);
        let (back, told, tasks) = (DeskInbox(sender), Arc::new(Told::default()), Tasks::new());
        let (ledger, mut notes) = Inbox::detached();
        drop(tasks.spawn("notes", OnEnd::Fine, async move { while notes.next().await.is_some() {} }));
        let notifiers: Arc<dyn Tell> = Arc::<Told>::clone(&told);
        let (desk_tasks, stop) = (tasks.clone(), tasks.stopping());
        let running = DeskLoop {
            desk,
            kept,
            clock,
            back: back.clone(),
            notifiers,
            ledger,
            tasks: desk_tasks,
            stop,
            fence: None,
        };
        let work = async move { drop(running.run(first, &mut queue).await) };
        drop(tasks.spawn_draining("desk", OnEnd::Stop, work));
        Self { desk: back, tasks, store: opened.store, told }
    }

    async fn stop(self) {
        assert!(self.tasks.drain(Duration::from_secs(10)).await);
        self.store.close().await;
    }
}

#[tokio::test]
async fn what_nobody_has_accepted_is_known_to_wait() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::over(dir.path()).await;
    let feed = Feed::Desk(rig.desk.clone());
    let refused = || Verdict::Refused { why: "no".to_owned(), retry_after: None, for_good: false };
    rig.told.verdicts.lock().unwrap().extend([refused(), Verdict::Accepted]);
    for input in [complete(), report("n2", Status::Critical), report("n3", Status::Critical)] {
        feed.input(input).await.unwrap();
    }
    rig.told.until(1).await;
    let key = |node| SubjectKey::consul("dc1", node, "", "alive");
    assert!(feed.waiting().await.unwrap().contains(&key("n2")));
    rig.told.until(3).await;
    for _ in 0..500 {
        if feed.waiting().await.unwrap().is_empty() {
            return rig.stop().await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it waits although it was accepted: {:?}", rig.told.titles());
}

#[tokio::test]
async fn what_is_told_is_recorded_and_known_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::over(dir.path()).await;
    rig.desk.input(complete()).await.unwrap();
    rig.desk.input(report("n1", Status::Critical)).await.unwrap();
    assert_eq!(rig.told.until(1).await, ["firing alive on n1"]);
    rig.stop().await;

    let rig = Rig::over(dir.path()).await;
    let view = rig.desk.view().await.unwrap();
    assert_eq!(view.cases.len(), 1);
    rig.desk.input(complete()).await.unwrap();
    assert_eq!(rig.told.until(1).await, ["resolved alive on n1"], "and it was not told again");
    rig.stop().await;
}

#[tokio::test]
async fn what_was_not_accepted_waits_in_the_queue_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::over(dir.path()).await;
    let no = Verdict::Refused { why: "no".into(), retry_after: None, for_good: true };
    rig.told.verdicts.lock().unwrap().push_back(no);
    rig.desk.input(complete()).await.unwrap();
    rig.desk.input(report("n1", Status::Critical)).await.unwrap();
    rig.told.until(1).await;
    rig.stop().await;

    let rig = Rig::over(dir.path()).await;
    let view = rig.desk.view().await.unwrap();
    let error = view.deliveries.values().next().and_then(|delivery| delivery.error.clone());
    assert_eq!(error.as_deref(), Some("no"));
    let answer = rig.desk.command(Command::Retry { which: Deliveries::All, by: "me".into() }).await.unwrap();
    assert_eq!(answer, Ok("1 delivery tried again".to_owned()));
    assert_eq!(rig.told.until(1).await, ["firing alive on n1"]);
    rig.stop().await;
}

#[tokio::test]
async fn thousands_of_rows_are_recorded_in_as_many_transactions_as_it_takes() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::over(dir.path()).await;
    rig.desk.input(complete()).await.unwrap();
    for number in 0..500 {
        rig.desk.input(report(&format!("n{number}"), Status::Critical)).await.unwrap();
    }
    let told = rig.told.until(500).await;
    assert_eq!(told.len(), 500);
    rig.stop().await;
    let rig = Rig::over(dir.path()).await;
    let view = rig.desk.view().await.unwrap();
    assert!(view.cases.values().all(|(case, _)| case.told.values().all(|told| told.firing)));
    assert_eq!((view.cases.len(), view.deliveries.len()), (500, 0));
    rig.stop().await;
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_kept_aside() {
    let dir = tempfile::tempdir().unwrap();
    let opened = NodeStore::open(Options::new(dir.path(), "n1")).unwrap();
    let kv = Kv::embedded(opened.store.clone());
    kv.txn(&[lictor_store::kv::Op::put("alerts/case/x", "{\"v\":1,\"kind\":\"nonsense\"}")]).await.unwrap();
    let now = Clock::fresh().now();
    assert_eq!(Kept::local(kv.clone()).load(now).await.unwrap(), vec![]);
    assert!(kv.get("alerts/case/x").await.unwrap().is_none());
    assert!(kv.get("alerts.unreadable/alerts/case/x").await.unwrap().is_some());
}

#[tokio::test]
async fn a_silence_ends_when_it_was_to_end_though_the_machine_was_off() {
    let dir = tempfile::tempdir().unwrap();
    let opened = NodeStore::open(Options::new(dir.path(), "n1")).unwrap();
    let kv = Kv::embedded(opened.store.clone());
    let hours = |hours: u64| Duration::from_secs(3_600 * hours);
    let from = Clock::fresh().now();
    let (id, when) = ("s1".to_owned(), Matchers(Vec::new()));
    let silence = Silence { id, when, from, lasting: hours(4), by: String::new(), comment: String::new() };
    let row = wire::encode(&AlertRow::from(&Row::Silence(silence))).unwrap();
    kv.txn(&[lictor_store::kv::Op::put("alerts/silence/s1", row)]).await.unwrap();
    // Off for three hours, and on for one minute.
    let after = |boot: u64, wall: u64| {
        let wall = from.wall.as_unix_millis() + i64::try_from(wall).unwrap();
        Now { boot: from.boot.after(Duration::from_millis(boot)), wall: Wall::from_unix_millis(wall) }
    };
    for (wall, left) in [(3 * 3_600_000, hours(1)), (5 * 3_600_000, Duration::ZERO)] {
        let now = after(60_000, wall);
        let rows = Kept::local(kv.clone()).load(now).await.unwrap();
        let [Row::Silence(silence)] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!(silence.ends().since(now.boot), left);
        assert!(silence.from == now || silence.from.wall == from.wall, "{silence:?}");
    }
}
