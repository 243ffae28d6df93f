//! A desk of this node alone, with notifiers that a test answers for.

use std::sync::Mutex;

use futures::future::BoxFuture;
use lictor_core::alert::{Message, NotifierPlan, Route, Subject, Verdict};
use lictor_core::{NotifierName, RouteName};

use super::*;

/// Accepts everything, and remembers who told what.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Tell for Told {
    fn send<'a>(&'a self, notifier: &'a NotifierName, message: &'a Message) -> BoxFuture<'a, Verdict> {
        let items = message.items.iter().map(|item| format!("{} {}", item.tells.as_str(), item.title));
        let items: Vec<_> = items.collect();
        self.0.lock().unwrap().push(format!("{notifier} of {}: {}", message.cluster, items.join(", ")));
        Box::pin(async { Verdict::Accepted })
    }
}

impl Told {
    async fn until(&self, count: usize) -> Vec<String> {
        for _ in 0..500 {
            let told = self.0.lock().unwrap().clone();
            if told.len() >= count {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("only this was told: {:?}", self.0.lock().unwrap());
    }
}

/// Everything to one notifier.
fn plan(notifier: &str) -> Arc<AlertPlan> {
    let name = NotifierName::new(notifier).unwrap();
    let route = Route {
        name: RouteName::new("all").unwrap(),
        when: lictor_core::alert::Matchers::default(),
        status: [Status::Critical].into(),
        to: vec![name.clone()],
        group_by: vec![],
        group_wait: Duration::ZERO,
        group_interval: Duration::ZERO,
        remind_every: None,
        resolved: true,
        go_on: false,
    };
    let notifiers = [(name, NotifierPlan::default())].into();
    let plan = AlertPlan { cluster: "here".into(), notifiers, routes: vec![route], ..AlertPlan::default() };
    Arc::new(plan)
}

fn critical(check: &str) -> Input {
    let report = Report::new(Subject::own("n1", check), Status::Critical, "said");
    let reports = vec![Report { judged: true, ..report }];
    Input::Reports { source: Source::new("own"), complete: true, reports, gone: vec![] }
}

#[tokio::test]
async fn a_reload_reaches_the_desk_that_tells_alone() {
    let (before, after) = (Arc::new(Told::default()), Arc::new(Told::default()));
    let (ledger, mut notes) = Inbox::detached();
    let drained = async move { while notes.next().await.is_some() {} };
    drop(crate::Tasks::new().spawn("notes", crate::OnEnd::Fine, drained));
    let tell: Arc<dyn Tell> = Arc::<Told>::clone(&before);
    let (current, watched) = watch::channel((plan("ops"), tell));
    let silences = watch::channel(Vec::new()).1;
    let mut alone = Alone::new("n1".into(), Kv::memory(), Clock::fresh(), ledger, watched, silences);
    alone.input(critical("disk")).await.unwrap();
    assert_eq!(before.until(1).await, ["ops of here (node n1 alone): firing disk on n1"]);
    let tell: Arc<dyn Tell> = Arc::<Told>::clone(&after);
    current.send_replace((plan("phone"), tell));
    assert_eq!(after.until(1).await, ["phone of here (node n1 alone): firing disk on n1"]);
    alone.input(critical("swap")).await.unwrap();
    assert_eq!(after.until(3).await.len(), 3, "disk is over, and swap is wrong");
    assert_eq!(before.until(1).await.len(), 1, "those of before tell nothing more");
    alone.stop().await;
}
