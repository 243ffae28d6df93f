//! Several nodes over one set of records, with notifiers that a test answers for.

use lictor_core::alert::{Command, Item};
use lictor_store::kv::Op;

use super::*;
use crate::NoAnswer;

/// A node that shares the desk.
struct Node {
    desk: DeskInbox,
    tasks: Tasks,
    told: Arc<Told>,
    seat: watch::Receiver<Seat>,
    posts: Posts,
    feed: Feed,
    asks: Asks,
}

impl Node {
    fn start(kv: &Kv, name: &str) -> Self {
        let (clock, tasks) = (Clock::fresh(), Tasks::new());
        let told = Arc::new(Told::default());
        let (sender, queue) = mpsc::channel(inbox::QUEUE);
        let desk = DeskInbox(sender);
        let (ledger, mut notes) = Inbox::detached();
        drop(tasks.spawn("notes", OnEnd::Fine, async move { while notes.next().await.is_some() {} }));
        let seat = watch::Sender::new(Seat::Nobody { why: String::new() });
        let asks = Asks { kv: kv.clone(), clock: clock.clone() };
        let elsewhere = Elsewhere { seat: seat.subscribe(), asks: asks.clone() };
        let posts = Posts::shared(Arc::new(desk.clone()), clock.clone(), Some(elsewhere), &tasks);
        let (said, says) = mpsc::channel(RELAYED);
        let notifiers: Arc<dyn Tell> = Arc::<Told>::clone(&told);
        let (_, current) = watch::channel((plan(), Arc::clone(&notifiers)));
        let alone = Alone::new(
            name.to_owned(),
            Kv::memory(),
            clock.clone(),
            ledger.clone(),
            current,
            watch::channel(Vec::new()).1,
        );
        let stop = tasks.stopping();
        let relay = Relay::new(
            asks.clone(),
            name,
            says,
            seat.subscribe(),
            (alone, watch::channel(Duration::from_secs(30)).1),
            stop,
        );
        drop(tasks.spawn_draining("relay", OnEnd::Fine, relay.run()));
        let alerts = Arc::new(lictor_config::Alerts { plan: plan(), ..Default::default() });
        let sources = Sources::new(desk.clone(), None, clock.clone(), alerts, Arc::clone(&notifiers));
        let watched = seat.subscribe();
        let running = SeatLoop {
            kv: kv.clone(),
            node: name.to_owned(),
            try_for: seat::try_for(kv.clone(), name.to_owned(), clock.clone()),
            predecessor: None,
            plan: plan(),
            notifiers,
            clock,
            queue,
            back: desk.clone(),
            ledger,
            sources,
            posts: posts.clone(),
            alone_after: watch::channel(Duration::from_secs(30)).1,
            seat,
            said: said.clone(),
            tasks: tasks.clone(),
            stop: tasks.stopping(),
            looked: seat::Looked::default(),
        };
        drop(tasks.spawn_draining("alerts", OnEnd::Stop, running.run()));
        Self { desk, tasks, told, seat: watched, posts, feed: Feed::Shared(said), asks }
    }

    async fn tells(&mut self) {
        let seated = self.seat.wait_for(|seat| matches!(seat, Seat::Ours { .. }));
        tokio::time::timeout(Duration::from_secs(8), seated).await.expect("it does not tell").unwrap();
    }

    async fn says(&self, node: &str, status: Status) {
        let report = Report { judged: true, ..Report::new(Subject::own(node, "shop"), status, "said") };
        let input =
            Input::Reports { source: relay::own(), complete: false, reports: vec![report], gone: vec![] };
        self.feed.input(input).await.unwrap();
    }

    async fn stop(self) {
        assert!(self.tasks.drain(Duration::from_secs(10)).await);
    }
}

#[tokio::test]
async fn one_of_two_tells_what_both_see_and_the_other_goes_on_after_it() {
    let kv = Kv::memory();
    let mut one = Node::start(&kv, "n1");
    one.tells().await;
    let mut two = Node::start(&kv, "n2");
    let other = Seat::Other { holder: "n1".to_owned() };
    two.seat.wait_for(|seat| *seat == other).await.unwrap();
    one.says("n1", Status::Critical).await;
    assert_eq!(one.told.until(1).await, ["firing shop on n1"]);
    two.says("n2", Status::Critical).await;
    assert_eq!(one.told.until(2).await[1], "firing shop on n2");
    let view = two.desk.view().await.unwrap();
    assert_eq!((view.cases.len(), &view.seat), (2, &other), "whoever is asked shows it");

    one.stop().await;
    two.tells().await;
    two.says("n2", Status::Passing).await;
    assert_eq!(two.told.until(1).await, ["resolved shop on n2"], "and nothing is told anew");
    // That of the node that stopped is still what it said last.
    assert_eq!(two.desk.view().await.unwrap().cases.len(), 1);
    two.stop().await;
}

#[tokio::test]
async fn what_is_asked_of_any_node_is_done_by_the_one_that_tells() {
    let kv = Kv::memory();
    let mut one = Node::start(&kv, "n1");
    one.tells().await;
    let two = Node::start(&kv, "n2");
    let silence = Command::Silence {
        id: Some("upgrade".to_owned()),
        when: Matchers::default(),
        lasting: Duration::from_secs(60),
        by: "me".to_owned(),
        comment: "why".to_owned(),
    };
    two.desk.command(silence).await.unwrap().unwrap();
    assert!(one.desk.view().await.unwrap().silences.contains_key("upgrade"));
    let unknown = Command::Acknowledge {
        subject: SubjectKey::of(&["x"]),
        by: "me".to_owned(),
        comment: String::new(),
        lasting: None,
    };
    assert!(two.desk.command(unknown).await.unwrap().is_err(), "also a refusal comes back");
    assert_eq!(kv.list("alerts.a").await.unwrap().pairs, vec![], "nothing of it stays");
    let posted = serde_json::json!([{"labels": {"alertname": "Disk", "instance": "web1:9100"}}]);
    two.desk.command(Command::Unsilence { id: "upgrade".into(), by: "me".into() }).await.unwrap().unwrap();
    two.posts.take(serde_json::from_value(posted).unwrap()).await.unwrap();
    assert_eq!(one.told.until(1).await, ["firing Disk on web1"]);
    two.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn a_node_whose_term_is_over_records_nothing_and_sends_nothing() {
    let kv = Kv::memory();
    let mut one = Node::start(&kv, "n1");
    one.tells().await;
    // Another node begins its term while this one still believes in its lease.
    let term = lictor_store::wire::Term { holder: "n2".to_owned(), token: 99, number: 7 };
    Kept::begin(kv.clone(), &term, || true, None).await.unwrap();
    let fenced = kv.list("alerts/c").await.unwrap();
    one.says("n1", Status::Critical).await;
    // Its lease is good still, so it begins anew, and takes up what is to be told.
    assert_eq!(one.told.until(1).await, ["firing shop on n1"]);
    let term = kv.get("alerts/.term").await.unwrap().unwrap();
    let term: lictor_store::wire::Term = lictor_store::wire::decode(&term.value).unwrap();
    assert_eq!((term.holder.as_str(), fenced.pairs.len()), ("n1", 0), "in a term of its own");
    assert_ne!(term.number, 7);
    one.stop().await;
}

#[tokio::test]
async fn what_was_sent_too_late_is_put_right() {
    let kv = Kv::memory();
    let mut one = Node::start(&kv, "n1");
    one.tells().await;
    one.says("n1", Status::Critical).await;
    one.told.until(1).await;
    let late = one.told.given.lock().unwrap()[0].clone();
    one.says("n1", Status::Passing).await;
    assert_eq!(one.told.until(2).await[1], "resolved shop on n1");
    // Now the first message, as a node sent it that had been frozen meanwhile.
    one.asks.late(&late).await.unwrap();
    assert_eq!(one.told.until(3).await[2], "resolved shop on n1", "nobody stays with what is past");
    // What is as it was sent is not told again.
    one.says("n1", Status::Critical).await;
    let again = one.told.until(4).await;
    let last: Message = one.told.given.lock().unwrap()[3].clone();
    one.asks.late(&last).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(one.told.titles(), again);
    assert!(last.items.iter().all(|item: &Item| item.status == Status::Critical));
    one.stop().await;
}

#[tokio::test]
async fn how_long_a_reported_alert_holds_is_judged_where_it_was_reported() {
    let kv = Kv::memory();
    let mut one = Node::start(&kv, "n1");
    one.tells().await;
    let two = Node::start(&kv, "n2");
    two.seat.clone().wait_for(|seat| matches!(seat, Seat::Other { .. })).await.unwrap();
    // The clock of the node that is told of it is an hour behind, as is that of who tells it.
    two.asks.clock.step_wall(-3_600_000);
    let ends = two.asks.clock.now().wall.as_unix_millis() + 120_000;
    let ends = jiff::Timestamp::from_millisecond(ends).unwrap().to_string();
    let posted = serde_json::json!([{"labels": {"alertname": "Disk"}, "endsAt": ends}]);
    two.posts.take(serde_json::from_value(posted).unwrap()).await.unwrap();
    assert_eq!(one.told.until(1).await, ["firing Disk"]);
    two.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn any_node_forgets_one_that_is_gone_for_good_and_none_that_lives() {
    let kv = Kv::memory();
    let mut one = Node::start(&kv, "n1");
    one.tells().await;
    let two = Node::start(&kv, "n2");
    two.says("n2", Status::Critical).await;
    assert_eq!(one.told.until(1).await, ["firing shop on n2"]);
    let forget = async |of: &Node, node: &str| {
        let said = of.desk.forget(node.to_owned(), "ada".to_owned()).await.unwrap();
        said.map_err(|refusal| refusal.to_string())
    };
    let alive = forget(&one, "n2").await.unwrap_err();
    assert!(alive.starts_with("n2 is alive: it was heard of "), "{alive}");
    assert_eq!(forget(&one, "n9").await.unwrap_err(), "no node `n9` has said anything");
    two.stop().await;
    // Nothing was heard of it for long.
    let mark = lictor_store::wire::Alive { unix_ms: Clock::fresh().now().wall.as_unix_millis() - 200_000 };
    let mark = lictor_store::wire::encode(&mark).unwrap();
    kv.txn(&[Op::put("alerts.from/n2/self", mark)]).await.unwrap();
    let three = Node::start(&kv, "n3");
    assert_eq!(forget(&three, "n2").await.unwrap(), "n2 is forgotten: 1 record of what it said last");
    assert_eq!(one.told.until(2).await[1], "resolved shop on n2");
    assert_eq!(kv.list("alerts.from/n2/").await.unwrap().pairs, vec![]);
    three.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn a_node_that_shares_its_alerts_with_nobody_forgets_none() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::over(dir.path()).await;
    let said = rig.desk.forget("n2".to_owned(), "ada".to_owned()).await.unwrap().unwrap_err();
    assert_eq!(said.to_string(), "this node shares its alerts with no other");
    rig.stop().await;
}

#[tokio::test]
async fn without_the_right_to_read_the_records_nobody_is_told_anew() {
    // A list that lacks the record of the term is not taken for all there is.
    let kv = Kv::memory();
    let term = lictor_store::wire::Term { holder: "n1".to_owned(), token: 1, number: 1 };
    let kept = Kept::begin(kv.clone(), &term, || true, None).await.unwrap();
    kv.txn(&[Op::delete("alerts/.term")]).await.unwrap();
    let error = kept.load(Clock::fresh().now()).await.unwrap_err();
    assert!(error.to_string().contains("may the token read it?"), "{error}");
}

#[tokio::test]
async fn a_command_waits_for_a_node_that_tells() {
    let kv = Kv::memory();
    let asks = Asks { kv: kv.clone(), clock: Clock::fresh() };
    let asked = async { asks.command(&Command::Retry { which: Deliveries::All, by: "me".into() }).await };
    let (answer, mut one) = tokio::join!(asked, async { Node::start(&kv, "n1") });
    one.tells().await;
    assert!(matches!(answer, Ok(Ok(_)) | Err(NoAnswer::Late)), "{answer:?}");
    one.stop().await;
}

/// What a node that was cut off leaves when it can be reached again: whom it told of its check, and how
/// that stands, if it is wrong still.
async fn told_alone(kv: &Kv, still: Option<Status>) {
    use lictor_store::wire::{Said, encode};
    let ops = NotifierName::new("ops").unwrap();
    let now = Clock::fresh().now();
    let told = lictor_core::alert::Told {
        status: Status::Critical,
        firing: true,
        at: now,
        reminders: 0,
        news: None,
    };
    let report = |status| Report { judged: true, ..Report::new(Subject::own("n2", "shop"), status, "said") };
    let said = Report { told: [(ops, told)].into(), ..report(Status::Critical) };
    let value = |report: &Report| encode(&Said::new(&relay::own(), report)).unwrap();
    let mut records = vec![Op::put("alerts.from/n2/told/1", value(&said))];
    records.extend(still.map(|status| Op::put("alerts.from/n2/own/1", value(&report(status)))));
    kv.txn(&records).await.unwrap();
}

#[tokio::test]
async fn whom_a_node_told_alone_hears_of_the_end_once() {
    let kv = Kv::memory();
    told_alone(&kv, None).await;
    let mut one = Node::start(&kv, "n1");
    one.tells().await;
    assert_eq!(one.told.until(1).await, ["resolved shop on n2"]);
    one.stop().await;
    assert_eq!(kv.get("alerts.from/n2/told/1").await.unwrap(), None, "it is taken in once");
    let mut three = Node::start(&kv, "n3");
    three.tells().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(three.told.titles(), Vec::<String>::new());
    three.stop().await;
}

#[tokio::test]
async fn whom_a_node_told_alone_is_not_told_again() {
    let kv = Kv::memory();
    told_alone(&kv, Some(Status::Critical)).await;
    let mut one = Node::start(&kv, "n1");
    one.tells().await;
    one.says("n1", Status::Critical).await;
    assert_eq!(one.told.until(1).await, ["firing shop on n1"], "and nothing of n2");
    let view = one.desk.view().await.unwrap();
    assert!(view.cases.values().all(|(case, _)| case.told.values().all(|told| told.firing)));
    assert_eq!(view.cases.len(), 2);
    one.stop().await;
}
