//! The sources of a desk, as the configuration in force has them.

use std::sync::Arc;
use std::time::Duration;

use lictor_config::Alerts;
use lictor_consul::Client;
use lictor_core::alert::Input;
use tokio::sync::{Mutex, mpsc};
use tracing::warn;

use super::calendar::Calendar;
use super::inbox::DeskInbox;
use super::{Tell, consul};
use crate::clock::Clock;
use crate::task::{OnEnd, Tasks};

/// How long the sources of before may take to end.
const ENDS: Duration = Duration::from_secs(3);

/// Consul's checks and the calendar: what only the node that tells looks at. Clones are the same.
#[derive(Clone)]
pub(super) struct Sources(Arc<Shared>);

struct Shared {
    desk: DeskInbox,
    consul: Option<Client>,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    alerts: Arc<Alerts>,
    tell: Arc<dyn Tell>,
    /// The running ones.
    running: Option<Tasks>,
}

impl Sources {
    /// None of them runs yet.
    pub(super) fn new(
        desk: DeskInbox,
        consul: Option<Client>,
        clock: Clock,
        alerts: Arc<Alerts>,
        tell: Arc<dyn Tell>,
    ) -> Self {
        let state = Mutex::new(State { alerts, tell, running: None });
        Self(Arc::new(Shared { desk, consul, clock, state }))
    }

    /// Starts them.
    pub(super) async fn begin(&self) {
        let mut state = self.0.state.lock().await;
        self.drain(&mut state).await;
        state.running = Some(self.start(&state).await);
    }

    /// Ends them.
    pub(super) async fn end(&self) {
        self.drain(&mut *self.0.state.lock().await).await;
    }

    /// Puts another configuration in force; those that run are started anew.
    pub(super) async fn apply(&self, alerts: Arc<Alerts>, tell: Arc<dyn Tell>) {
        let mut state = self.0.state.lock().await;
        (state.alerts, state.tell) = (alerts, tell);
        if state.running.is_some() {
            self.drain(&mut state).await;
            state.running = Some(self.start(&state).await);
        }
    }

    async fn drain(&self, state: &mut State) {
        if let Some(running) = state.running.take()
            && !running.drain(ENDS).await
        {
            warn!("the sources of the alerts of before did not end in time");
        }
    }

    async fn start(&self, state: &State) -> Tasks {
        let Shared { desk, consul, clock, .. } = &*self.0;
        let alerts = &state.alerts;
        let tasks = Tasks::new();
        let watched = alerts.consul.as_ref().filter(|_| consul.is_some());
        let watched = Input::Watched { consul: watched.map(|checks| checks.datacenters.clone()) };
        // It stops.
        let _gone = desk.input(watched).await;
        let looked_at = alerts.consul.as_ref().filter(|checks| !checks.paused);
        if let (Some(checks), Some(client)) = (looked_at, consul.clone()) {
            // One at a time: while the desk is busy, Consul is not asked.
            let (inputs, mut reported) = mpsc::channel(1);
            let source = consul::Source::new(client, checks.datacenters.clone(), inputs, tasks.stopping());
            let source = if checks.stale { source.stale() } else { source };
            drop(tasks.spawn("checks of Consul", OnEnd::Fine, source.run()));
            let desk = desk.clone();
            let forward = async move {
                while let Some(input) = reported.recv().await {
                    if desk.input(input).await.is_err() {
                        return;
                    }
                }
            };
            drop(tasks.spawn("reports of Consul", OnEnd::Fine, forward));
        }
        let calendar = Calendar {
            alerts: Arc::clone(alerts),
            desk: desk.clone(),
            notifiers: Arc::clone(&state.tell),
            clock: clock.clone(),
        };
        calendar.start(&tasks);
        tasks
    }
}
