//! Puts new configurations in force while the agent runs.

use std::sync::Arc;

use lictor_config::{Config, Consul};
use lictor_consul::Client;
use lictor_core::{Event, What};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::{Loader, TellMaker};
use crate::act::{Actions, Actors};
use crate::alert::Alerting;
use crate::clock::Clock;
use crate::inbox::{Inbox, NoAnswer};
use crate::monitor::Monitors;
use crate::notify::ServiceManager;
use crate::past::Past;
use crate::peers::Watching;
use crate::replicate::Replication;
use crate::service::Services;
use crate::snapshot::Snapshots;
use crate::watch::Watchers;
use crate::{consul, probe, web};

/// Puts new configurations in force, one after the other.
pub(super) struct Reloader {
    pub(super) config: Config,
    pub(super) loader: Loader,
    pub(super) inbox: Inbox,
    pub(super) clock: Clock,
    pub(super) watchers: Watchers,
    pub(super) actors: Actors,
    pub(super) monitors: Monitors,
    /// None where only the rest is tried out.
    pub(super) alerting: Option<Alerting>,
    pub(super) probe: probe::Keeper,
    /// None where only the rest is tried out.
    pub(super) public: Option<web::PublicKeeper>,
    /// The windows of maintenance, for what does not ask the desk.
    pub(super) past: Past,
    /// None where only the rest is tried out.
    pub(super) watching: Option<Watching>,
    /// None where only the rest is tried out.
    pub(super) services: Option<Services>,
    /// None where only the rest is tried out.
    pub(super) replication: Option<Replication>,
    pub(super) snapshots: Option<Snapshots>,
    pub(super) tell: TellMaker,
    /// The client that everything shares.
    pub(super) consul: Option<Client>,
    pub(super) manager: Arc<ServiceManager>,
}

impl Reloader {
    pub(super) async fn run(mut self, mut asked: mpsc::Receiver<web::Reload>) {
        while let Some(answer) = asked.recv().await {
            self.manager.reloading();
            let result = self.reload().await;
            // The entry of the ledger is logged as well, for everybody.
            match &result {
                Ok(difference) => debug!(difference, "configuration reloaded"),
                Err(why) => debug!(error = why, "configuration refused; the old one stays in force"),
            }
            self.manager.reloaded();
            // Whoever asked may have left.
            drop(answer.send(result));
        }
    }

    async fn reload(&mut self) -> Result<String, String> {
        let loader = Arc::clone(&self.loader);
        let loaded = tokio::task::spawn_blocking(move || loader()).await;
        let loaded = loaded.unwrap_or_else(|_panicked| Err("reading it failed".to_owned()));
        let config = match loaded.and_then(|config| fixed(&self.config, &config).map(|()| config)) {
            Ok(config) => config,
            Err(why) => {
                let what = What::ReloadRefused { why: why.clone() };
                let event = Event { at: self.clock.now(), incident: None, run: None, what };
                self.inbox.note(event).await.map_err(|gone| gone.to_string())?;
                return Err(why);
            }
        };
        let difference = lictor_config::difference(&self.config, &config);
        let what = What::Reloaded { difference: difference.clone() };
        let event = Event { at: self.clock.now(), incident: None, run: None, what };
        // The actions first: the new plan may start one at once.
        self.actors.announce(Actions::of(&config));
        let plan = Arc::clone(&config.plan);
        let recorded = self.inbox.reload(plan, event).await;
        if let Err(why @ (NoAnswer::Gone | NoAnswer::Busy)) = recorded {
            return Err(why.to_string());
        }
        // From here on the new plan is in force, recorded or not: the rest must follow.
        self.actors.take_up();
        let mut told = vec![match recorded {
            Ok(()) => difference,
            Err(_late) => format!("in force, not recorded yet{}: {difference}", self.why_late().await),
        }];
        if let Err(why) = self.watchers.apply(&config.watches).await {
            told.push(format!("the watchers are those of before: {why}"));
        }
        self.monitors.apply(&config.monitors).await;
        if let Some(alerting) = &self.alerting {
            alerting.apply(&config, (self.tell)(&config)).await;
        }
        self.past.plan(&config.alerts.maintenance);
        if let Some(watching) = &self.watching {
            watching.apply(&config).await;
        }
        if let Some(services) = &self.services {
            told.extend(services.apply(&config).await);
        }
        if let Some(replication) = &self.replication {
            told.extend(replication.apply(&config).await);
        }
        if let Some(snapshots) = &self.snapshots {
            told.extend(snapshots.apply(&config).await);
        }
        if let Err(why) = self.probe.apply(config.probe.as_ref()).await {
            warn!(error = why, "the probe stays the one of before");
            told.push(format!("the probe stays the one of before: {why}"));
        }
        if let Some(public) = &mut self.public
            && let Err(why) = public.apply(config.status_page.as_ref()).await
        {
            warn!(error = why, "the status page is not the one that is wanted");
            told.push(format!("the status page is not the one that is wanted: {why}"));
        }
        if let (Some(client), Some(settings)) = (&self.consul, &config.consul)
            && let Err(why) = consul::renew(client, settings)
        {
            warn!(error = why, "the token for Consul stays the one of before");
            told.push(format!("the token for Consul stays the one of before: {why}"));
        }
        self.config = config;
        Ok(told.join("; "))
    }

    /// Why the loop cannot record, in brackets, if it says so.
    async fn why_late(&self) -> String {
        let view = self.inbox.view().await.ok();
        let why = view.and_then(|view| view.cannot_record.as_ref().map(|(why, _)| format!(" ({why})")));
        why.unwrap_or_default()
    }
}

/// Refuses a configuration that changes what is set up once, at a start. A token is no part of
/// that where it is read anew: that of the listener from its file, that for Consul at each reload.
fn fixed(old: &Config, new: &Config) -> Result<(), String> {
    // Their secrets do not show in these texts.
    let consul = |config: &Config| {
        config.consul.clone().map(|consul| format!("{:?}", Consul { token: None, ..consul }))
    };
    let places =
        |config: &Config| config.cluster.as_ref().map(|cluster| (cluster.address, cluster.advertise));
    let http = |config: &Config| format!("{:?}", config.http);
    let moved: Vec<&str> = [
        ("node.name", old.node.name != new.node.name),
        ("node.datacenter", old.node.datacenter != new.node.datacenter),
        ("node.state_dir", old.node.state_dir != new.node.state_dir),
        ("http", http(old) != http(new) || old.http.token != new.http.token),
        ("consul", consul(old) != consul(new)),
        // A key is read anew at each reload.
        ("cluster", places(old) != places(new)),
    ]
    .into_iter()
    .filter_map(|(name, moved)| moved.then_some(name))
    .collect();
    if moved.is_empty() {
        Ok(())
    } else {
        Err(format!("{} can only change with a restart", moved.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures::future::BoxFuture;
    use lictor_config::parse;
    use lictor_core::{CheckName, Now, Plan, Status};

    use lictor_store::Kv;
    use prometheus_client::registry::Registry;
    use tokio::time::Duration;

    use super::*;
    use crate::act::{self, Keys, KeysError};
    use crate::alert::notify::Notifiers;
    use crate::inbox::{Message, View};
    use crate::qbittorrent::Sessions;
    use crate::task::Tasks;

    #[derive(Debug)]
    struct NoKeys;

    impl Keys for NoKeys {
        fn get<'a>(&'a self, _key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, KeysError>> {
            Box::pin(std::future::pending())
        }
        fn put<'a>(&'a self, _key: &'a str, _value: Vec<u8>) -> BoxFuture<'a, Result<(), KeysError>> {
            Box::pin(std::future::pending())
        }
        fn delete<'a>(&'a self, _key: &'a str) -> BoxFuture<'a, Result<(), KeysError>> {
            Box::pin(std::future::pending())
        }
    }

    fn name(check: &str) -> CheckName {
        CheckName::new(check).unwrap()
    }

    fn config(check: &str) -> Config {
        parse("x.hcl", &format!("watch \"heartbeat\" \"{check}\" {{\n  within = \"1h\"\n}}\n"))
            .unwrap()
            .config
    }

    fn view(plan: Arc<Plan>, at: Now) -> Arc<View> {
        let (checks, floods) = (BTreeMap::new(), BTreeMap::new());
        let (runs, incidents) = (BTreeMap::new(), BTreeMap::new());
        let cannot_record = Some(("the disk is full".to_owned(), at));
        Arc::new(View {
            at,
            plan,
            checks,
            floods,
            runs,
            incidents,
            cannot_record,
            withheld: false,
            leases: BTreeMap::new(),
            copies: None,
        })
    }

    /// A reloader, the loop's end of its inbox, and what keeps both.
    fn rig(tasks: &Tasks) -> (Reloader, mpsc::Receiver<Message>, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let (sender, messages) = mpsc::channel(1);
        let (inbox, clock, config) = (Inbox(sender), Clock::fresh(), config("old"));
        let how = act::Settings::new(dir.path(), "node1", "lineage");
        let keys = Arc::new(NoKeys);
        let actors =
            Actors::new(how, Actions::default(), tasks.clone(), inbox.clone(), clock.clone(), keys).unwrap();
        let mut registry = Registry::default();
        let sessions = Sessions::new(None);
        let positions = crate::watch::Positions::default();
        let watchers = Watchers::start(
            &config.watches,
            tasks,
            inbox.clone(),
            clock.clone(),
            &mut registry,
            sessions,
            positions,
        );
        let loader: Loader = Arc::new(|| Ok(self::config("new")));
        let manager = Arc::new(ServiceManager::from_env());
        let consul = None;
        let monitors = Monitors::new(None, Kv::memory());
        let alerting = None;
        let probe = probe::Keeper::new(inbox.clone(), Arc::new(|| None), tasks.clone());
        let usual = clock.clone();
        let tell: TellMaker = Arc::new(move |config| Arc::new(Notifiers::new(config, usual.clone())));
        let reloader = Reloader {
            config,
            loader,
            inbox,
            clock,
            watchers,
            actors,
            monitors,
            alerting,
            probe,
            public: None,
            past: Past::default(),
            watching: None,
            services: None,
            replication: None,
            snapshots: None,
            tell,
            consul,
            manager,
        };
        (reloader, messages, dir)
    }

    async fn watched(reloader: &Reloader, check: &str) -> bool {
        let check = name(check);
        let called = reloader.watchers.heartbeat(&check, Status::Passing, "called");
        // Nobody takes it out of the inbox, but only a heartbeat that is there is handed in.
        !matches!(
            tokio::time::timeout(Duration::from_secs(1), called).await,
            Ok(Err(crate::watch::HeartbeatError::NotFound(_)))
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_plan_that_is_in_force_is_followed_by_all_the_rest_also_when_it_is_not_recorded_yet() {
        let tasks = Tasks::new();
        let (mut reloader, mut messages, _dir) = rig(&tasks);
        let clock = reloader.clock.clone();
        let engine = async {
            let Some(Message::Reload(plan, _, _unanswered)) = messages.recv().await else {
                panic!("no plan")
            };
            let Some(Message::View(reader)) = messages.recv().await else { panic!("nobody asks why") };
            reader.send(view(plan, clock.now())).unwrap();
            // Neither is ever answered: the disk stays full.
            std::future::pending::<()>().await;
        };
        let told = tokio::select! {
            told = reloader.reload() => told.unwrap(),
            () = engine => unreachable!(),
        };
        assert!(told.starts_with("in force, not recorded yet (the disk is full): "), "{told}");
        assert!(
            reloader.config.watches.contains_key(&name("new")),
            "compared with the wrong one at the next reload"
        );
        assert!(watched(&reloader, "new").await, "the watchers are those of before");
        assert!(!watched(&reloader, "old").await, "the watchers are those of before");
    }

    #[tokio::test(start_paused = true)]
    async fn a_plan_that_the_loop_did_not_take_changes_nothing() {
        let tasks = Tasks::new();
        let (mut reloader, _messages, _dir) = rig(&tasks);
        let event = Event {
            at: reloader.clock.now(),
            incident: None,
            run: None,
            what: What::ReloadRefused { why: "the loop is busy with this".to_owned() },
        };
        reloader.inbox.note(event).await.unwrap();
        let told = reloader.reload().await.unwrap_err();
        assert!(told.contains("nothing was changed"), "{told}");
        assert!(reloader.config.watches.contains_key(&name("old")));
        assert!(watched(&reloader, "old").await && !watched(&reloader, "new").await);
    }

    #[test]
    fn what_is_set_up_once_can_only_change_with_a_restart() {
        let with = |blocks: &str| parse("x.hcl", blocks).unwrap().config;
        let check = |old: &str, new: &str| fixed(&with(old), &with(new));
        let base = "node {\n  name = \"a\"\n  state_dir = \"/x\"\n}\n";
        assert_eq!(check(base, base), Ok(()));
        let moved = "node {\n  name = \"a\"\n  state_dir = \"/x\"\n  datacenter = \"dc2\"\n}\n";
        assert_eq!(check(base, moved), Err("node.datacenter can only change with a restart".to_owned()));
        let http = |token: &str| format!("{base}http {{\n  token = \"{token}\"\n}}\n");
        let refused = check(&http("first-token"), &http("second-token"));
        assert_eq!(refused, Err("http can only change with a restart".to_owned()));
        let consul = |lines: &str| format!("{base}consul {{\n{lines}\n}}\n");
        assert_eq!(check(&consul("token = \"first\""), &consul("token = \"second\"")), Ok(()));
        let refused = check(&consul(""), &consul("address = \"http://10.0.0.9:8500\""));
        assert_eq!(refused, Err("consul can only change with a restart".to_owned()));
    }
}
