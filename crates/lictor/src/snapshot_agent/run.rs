//! Takes snapshots as the old program did: once, or until a signal comes.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use lictor_agent::snapshot::{SnapshotAlone, SnapshotMeans, SnapshotPhase, SnapshotState};
use lictor_agent::{Clock, Tasks};
use lictor_compat::snapshot_agent::{Mode, Start, text};
use lictor_config::{Env as _, ProcessEnv};
use lictor_consul::Client;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use super::Told;
use crate::command::run::runtime;
use crate::command::snapshot::agent::take;
use crate::command::stopped;
use crate::exit::{Exit, Failure};
use crate::output::Terminal;
use crate::{old_log, old_places};

/// The name in the system log.
const NAME: &str = "consul-snapshot";

/// Pause before a Consul agent that does not answer is asked again.
const AGAIN: Duration = Duration::from_secs(5);

/// Runs until it is done or told to end.
pub(super) fn run(told: Told, terminal: &Terminal) -> Result<(), Failure> {
    old_log::start(told.start.log_level, told.start.syslog.map(|facility| (facility, NAME)))?;
    for remark in &told.start.remarks {
        warn!("{remark}");
    }
    old_places::look(&told.snapshot).map_err(|why| Failure::new(Exit::Failed, why))?;
    let runtime = runtime()?;
    let done = runtime.block_on(serve(told, terminal));
    // A name server that does not answer must not hold up the end.
    runtime.shutdown_background();
    done
}

async fn serve(told: Told, terminal: &Terminal) -> Result<(), Failure> {
    let Told { start, snapshot, consul, client } = told;
    let client = Client::new(client).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    tokio::select! {
        stays = stays(&start, &client) => stays?,
        () = stopped() => return Ok(()),
    }
    info!("{}", text::RUNNING);
    let means = SnapshotMeans {
        node: ProcessEnv.host_name().unwrap_or_else(|| NAME.to_owned()),
        clock: Clock::fresh(),
        scratch: std::env::temp_dir(),
        tasks: Tasks::new(),
    };
    let alone = SnapshotAlone::new(&Arc::new(snapshot), &consul, &client, &means).without_lease();
    let state = alone.state();
    let mut told = Followed::default();
    // A lock that is free is got sooner than `follow` looks.
    told.look(&state.borrow());
    let done = tokio::select! {
        done = take(vec![alone], &means.tasks, start.mode == Mode::Once, terminal) => done,
        never = told.follow(state.clone()) => match never {},
    };
    told.look(&state.borrow());
    done
}

/// Whether it may go on with this Consul agent, which is asked until it answers.
async fn stays(start: &Start, client: &Client) -> Result<(), Failure> {
    if start.consul.datacenter.is_none() || start.mode == Mode::Once {
        return Ok(());
    }
    loop {
        match client.agent().info().await {
            Ok(found) => {
                let stays = start.stays_in(&found.config.datacenter);
                return stays.map_err(|why| Failure::new(Exit::Failed, why.to_string()));
            }
            Err(error) if error.is_denied() => {
                warn!(%error, "the datacenter of the agent cannot be asked for; it is taken for the one that was given");
                return Ok(());
            }
            Err(error) => warn!(%error, "the agent of Consul does not say which datacenter it belongs to"),
        }
        sleep(AGAIN).await;
    }
}

/// Says in the old program's words how it goes.
#[derive(Default)]
struct Followed {
    waits: bool,
    saved: Option<String>,
}

impl Followed {
    async fn follow(&mut self, mut state: watch::Receiver<SnapshotState>) -> Infallible {
        loop {
            self.look(&state.borrow_and_update());
            if state.changed().await.is_err() {
                return pending().await;
            }
        }
    }

    fn look(&mut self, state: &SnapshotState) {
        match &state.phase {
            SnapshotPhase::Standby(_) => {
                if !std::mem::replace(&mut self.waits, true) {
                    info!("{}", text::WAITING);
                }
            }
            // That it does not come about is told by who tries it.
            SnapshotPhase::Failing(_) | SnapshotPhase::Refused(_) => {}
            SnapshotPhase::Looking
            | SnapshotPhase::Waiting
            | SnapshotPhase::Taking
            | SnapshotPhase::Sending
            | SnapshotPhase::Drilling => {
                if std::mem::take(&mut self.waits) {
                    info!("{}", text::OBTAINED);
                }
            }
        }
        let Some(name) = everywhere(state).filter(|name| self.saved.as_ref() != Some(name)) else { return };
        if let Some(begun) = nanoseconds(&name) {
            info!("{}", text::saved(begun));
        }
        self.saved = Some(name);
    }
}

/// The one that every place has got last.
fn everywhere(state: &SnapshotState) -> Option<String> {
    let first = state.places.first()?.sent.clone()?;
    state.places.iter().all(|place| place.sent.as_ref() == Some(&first)).then_some(first)
}

/// What the name says of when it was begun.
fn nanoseconds(name: &str) -> Option<i64> {
    name.strip_prefix("consul-")?.strip_suffix(".snap")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use lictor_agent::snapshot::PlaceState;

    use super::*;

    fn sent(names: &[Option<&str>]) -> SnapshotState {
        let place =
            |name: &Option<&str>| PlaceState { sent: name.map(str::to_owned), ..PlaceState::default() };
        SnapshotState { places: names.iter().map(place).collect(), ..SnapshotState::default() }
    }

    #[test]
    fn one_is_saved_when_every_store_has_it() {
        let name = Some("consul-1793610307089000000.snap");
        assert_eq!(everywhere(&sent(&[name, name])).as_deref(), name);
        for others in [&[name, None][..], &[None, name], &[name, Some("consul-1.snap")], &[]] {
            assert_eq!(everywhere(&sent(others)), None, "{others:?}");
        }
        assert_eq!(nanoseconds("consul-1793610307089000000.snap"), Some(1_793_610_307_089_000_000));
    }

    #[test]
    fn leadership_is_obtained_only_by_who_has_waited_for_it() {
        let mut followed = Followed::default();
        let in_phase = |phase| SnapshotState { phase, ..SnapshotState::default() };
        followed.look(&in_phase(SnapshotPhase::Looking));
        assert!(!followed.waits);
        followed.look(&in_phase(SnapshotPhase::Standby("another".to_owned())));
        followed.look(&in_phase(SnapshotPhase::Failing("denied".to_owned())));
        assert!(followed.waits);
        followed.look(&in_phase(SnapshotPhase::Taking));
        assert!(!followed.waits);
    }
}
