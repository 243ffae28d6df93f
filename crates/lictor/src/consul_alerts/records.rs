//! The records of the old program: what it told before us is taken up, and what we tell is left
//! there, so that it goes on where we end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_agent::alert::{Predecessor, Records};
use lictor_agent::{Clock, OnEnd, Tasks};
use lictor_compat::consul_alerts::state::{CHECKS, CheckState, REMINDERS, check_key, reminder_key};
use lictor_compat::consul_alerts::{Message, PREFIX, Settings, Stored};
use lictor_consul::{Client, Error, Pair, Query};
use lictor_core::Now;
use lictor_core::alert::{AlertPlan, Case, Row, RowKey, SubjectKey};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{info, warn};

use super::live::Live;
use super::lock::Lock;
use super::outbox::Outbox;
use super::rows::{Names, Scene, counts, reminder_of, state_of, well};

/// How long the lock and what is to be written have at the end.
const PARTING: Duration = Duration::from_secs(6);

/// The old program, as the agent is to deal with it.
pub(super) struct Before {
    lock: Lock,
    /// The task of the lock.
    keeps: JoinHandle<()>,
    records: Arc<OldRecords>,
    tasks: Tasks,
}

impl Before {
    pub(super) fn start(client: &Client, live: Arc<Live>) -> Self {
        let (tasks, outbox) = (Tasks::new(), Outbox::new());
        let (lock, keeps) = Lock::start(client, outbox.unwritten(), &tasks);
        let writing = outbox.clone().run(client.clone(), lock.session());
        drop(tasks.spawn("old records", OnEnd::Fine, writing));
        let known = Mutex::default();
        let records =
            Arc::new(OldRecords { client: client.clone(), live, clock: Clock::fresh(), known, outbox });
        Self { lock, keeps, records, tasks }
    }

    /// For the agent.
    pub(super) fn predecessor(&self) -> Predecessor {
        let records: Arc<dyn Records> = Arc::<OldRecords>::clone(&self.records);
        Predecessor { guard: Arc::new(self.lock.clone()), records }
    }

    /// Once the agent has ended: the lock is let go.
    pub(super) async fn end(self) {
        self.lock.end();
        if timeout(PARTING, self.keeps).await.is_err() {
            warn!("the lock of consul-alerts was not let go in time");
        }
        self.tasks.drain(PARTING).await;
    }
}

struct OldRecords {
    client: Client,
    live: Arc<Live>,
    clock: Clock,
    known: Mutex<Known>,
    outbox: Outbox,
}

/// What is in the records of the cases that there are.
#[derive(Default)]
struct Known {
    datacenter: String,
    entries: BTreeMap<SubjectKey, Entry>,
}

#[derive(Clone, Default)]
struct Entry {
    state: Option<CheckState>,
    reminder: Option<Message>,
}

/// Values by key; `None` deletes.
type Values = BTreeMap<String, Option<String>>;

impl Records for OldRecords {
    fn take_up<'a>(
        &'a self,
        plan: &'a AlertPlan,
        ours: Vec<Row>,
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Row>, String>> {
        Box::pin(async move {
            let said = |why: Error| format!("the records of consul-alerts cannot be read: {why}");
            self.read(plan, ours, now).await.map_err(said)
        })
    }

    fn leave(&self, rows: &[Row], gone: &[RowKey]) {
        let current = self.live.current();
        let at = self.clock.now().wall;
        let mut known = self.known();
        let mut values = Values::new();
        for row in rows {
            if let Row::Case(case) = row {
                known.take(case, &current.settings, &mut values);
            }
        }
        for key in gone {
            let RowKey::Case(key) = key else { continue };
            let entry = known.entries.remove(key);
            let (Some(entry), Some(names)) = (entry, Names::of(key, &known.datacenter)) else { continue };
            let state = entry.state.as_ref().map(|state| well(state, at));
            write(&names, &entry, &Entry { state, reminder: None }, &mut values);
        }
        self.outbox.put(values);
    }
}

impl OldRecords {
    async fn read(&self, plan: &AlertPlan, ours: Vec<Row>, now: Now) -> Result<Vec<Row>, Error> {
        let datacenter = self.datacenter().await?;
        let sure = Query::new().consistent();
        let mut pairs = self.client.kv().list(&format!("{PREFIX}{CHECKS}"), &sure).await?.value;
        pairs.extend(self.client.kv().list(&format!("{PREFIX}{REMINDERS}"), &sure).await?.value);
        let checks = self.client.health().state(None, &sure).await?.value;
        let registered: BTreeSet<_> = checks.into_iter().map(|check| (check.node, check.id)).collect();
        let stored =
            Stored::read(PREFIX, pairs.iter().map(|Pair { key, value, .. }| (key.as_str(), &**value)));
        for (key, why) in &stored.unusable {
            warn!(key, why, "a record of consul-alerts is left as it is");
        }
        let before = ours.len();
        let scene = Scene { plan, datacenter: &datacenter, registered: &registered, now };
        let rows = scene.take_up(&stored, ours);
        let taken = rows.len() - before;
        info!(states = stored.states.len(), taken, "the records of consul-alerts are taken up");
        self.compare(datacenter, &rows, &stored);
        Ok(rows)
    }

    /// Brings the records to what the rows say, where they say something else.
    fn compare(&self, datacenter: String, rows: &[Row], stored: &Stored) {
        let current = self.live.current();
        let mut known = self.known();
        *known = Known { datacenter, entries: BTreeMap::new() };
        let mut values = Values::new();
        for row in rows {
            let Row::Case(case) = row else { continue };
            let Some(names) = Names::of(&case.subject.key, &known.datacenter) else { continue };
            let state = stored.states.get(&check_key(PREFIX, &names.with(""))).cloned();
            let reminder = stored.reminders.get(&reminder_key(PREFIX, &names.node, &names.check_id)).cloned();
            let as_it_is = state.as_ref().is_some_and(|state| {
                let wanted = state_of(case, &names, chosen(case, &names, &current.settings));
                counts(state) == counts(&wanted) && state.for_notification == wanted.for_notification
            });
            known.entries.insert(case.subject.key.clone(), Entry { state, reminder });
            if !as_it_is {
                known.take(case, &current.settings, &mut values);
            }
        }
        self.outbox.put(values);
    }

    /// The datacenter whose checks are asked for. The service that every server of Consul's has is
    /// readable with what the checks need anyway.
    async fn datacenter(&self) -> Result<String, Error> {
        let servers = self.client.catalog().service("consul", &Query::new().stale()).await?.value;
        let named = servers.into_iter().map(|server| server.datacenter).find(|name| !name.is_empty());
        match named {
            Some(name) => Ok(name),
            None => Ok(self.client.agent().info().await?.config.datacenter),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Notes how a case stands, and what is to be written for it.
    fn take(&mut self, case: &Case, settings: &Settings, values: &mut Values) {
        let Some(names) = Names::of(&case.subject.key, &self.datacenter) else { return };
        let reminder = reminder_of(case, &names, settings);
        let state = state_of(case, &names, chosen(case, &names, settings));
        let entry = Entry { state: Some(state), reminder };
        let before = self.entries.entry(case.subject.key.clone()).or_default();
        write(&names, before, &entry, values);
        *before = entry;
    }
}

/// Whether anybody is to be told of a case.
fn chosen(case: &Case, names: &Names, settings: &Settings) -> bool {
    !settings.told(&names.with(case.settled.as_str())).to.is_empty()
}

/// What is to be written when the records of a check become others.
fn write(names: &Names, before: &Entry, after: &Entry, values: &mut Values) {
    let failed = |why| warn!(check = names.check_id, %why, "a record of consul-alerts cannot be made");
    if let Some(state) = after.state.as_ref().filter(|state| before.state.as_ref() != Some(*state)) {
        match state.to_json() {
            Ok(json) => drop(values.insert(check_key(PREFIX, &names.with("")), Some(json))),
            Err(why) => failed(why),
        }
    }
    let key = reminder_key(PREFIX, &names.node, &names.check_id);
    match &after.reminder {
        Some(reminder) if before.reminder.as_ref() == Some(reminder) => {}
        Some(reminder) => match reminder.to_json() {
            Ok(json) => drop(values.insert(key, Some(json))),
            Err(why) => failed(why),
        },
        None if before.reminder.is_some() => drop(values.insert(key, None)),
        None => {}
    }
}
