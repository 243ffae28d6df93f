//! The copies of runs and incidents in Consul: taken over by a node whose disk was lost,
//! kept for the next time.

use std::time::Duration;

use lictor_core::{Adoption, Event, What};
use lictor_store::{Mirror, MirrorError, MirrorState, NodeStore};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

use crate::clock::Clock;
use crate::inbox::{Gone, Inbox};

/// Pause between two attempts to learn what an earlier store left.
const PAUSE: Duration = Duration::from_secs(3);

/// How long a stop waits for Consul to take the last changes.
const PARTING: Duration = Duration::from_secs(2);

/// Adopts what an earlier store of this node left, if this one is not confirmed yet, and
/// then copies what changes, until `decided`, the decide loop, has ended.
pub(crate) async fn keep(
    mut mirror: Mirror,
    store: NodeStore,
    inbox: Inbox,
    clock: Clock,
    decided: JoinHandle<()>,
) {
    let state = mirror.state();
    let copy = async {
        if take_up(&mut mirror, &store, &inbox, &clock).await.is_ok() {
            mirror.run().await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = copy => {}
        () = tell(state, &store, &inbox, &clock) => {}
        // However it ended: nothing is decided any more.
        _ended = decided => {}
    }
    match timeout(PARTING, mirror.part()).await {
        Ok(Ok(())) => {}
        Ok(Err(why)) => warn!(%why, "the last changes are not copied to Consul"),
        Err(_late) => warn!("the last changes are not copied to Consul: it did not answer in time"),
    }
}

/// Confirms the store, however often that has to be tried.
async fn take_up(mirror: &mut Mirror, store: &NodeStore, inbox: &Inbox, clock: &Clock) -> Result<(), Gone> {
    while !store.confirmed() {
        match mirror.adopt(clock.now()).await {
            Ok(adopted) => {
                if adopted.unreadable > 0 {
                    warn!(count = adopted.unreadable, "copies in Consul that cannot be read were left out");
                }
                let (runs, incidents) = (adopted.runs.len(), adopted.incidents.len());
                info!(runs, incidents, "what an earlier store left was read");
                let adoption = Adoption {
                    runs: adopted.runs,
                    incidents: adopted.incidents,
                    highest_run: adopted.highest_run,
                    highest_incident: adopted.highest_incident,
                };
                inbox.adopt(adoption).await?;
                if let Err(why) = store.confirm().await {
                    warn!(%why, "cannot record that this store is the node's");
                    sleep(PAUSE).await;
                }
            }
            // Asking takes as long as it takes to see whether that one is still alive.
            Err(MirrorError::Duplicate { .. }) => {}
            Err(_told_by_the_state) => sleep(PAUSE).await,
        }
    }
    Ok(())
}

/// Tells how the copies stand: the log of everything, the ledger of another machine that
/// has the name of this node.
async fn tell(mut state: watch::Receiver<MirrorState>, store: &NodeStore, inbox: &Inbox, clock: &Clock) {
    let mut told = state.borrow_and_update().why().map(str::to_owned);
    // Noted once, also when Consul comes and goes meanwhile.
    let mut noted = None;
    while state.changed().await.is_ok() {
        let now = state.borrow_and_update().clone();
        let why = now.why().map(str::to_owned);
        if why == told {
            continue;
        }
        told = why;
        match now {
            MirrorState::InStep { .. } => {
                info!("the copies in Consul are in step");
                noted = None;
            }
            MirrorState::Behind { why } => debug!(why, "the copies in Consul are behind"),
            MirrorState::Unconfirmed { why } => warn!(
                why,
                "watching but not acting: it is not known what an earlier store of this node had under way; \
                 --new-node says that there was none"
            ),
            MirrorState::Duplicate { why } => {
                let without = if store.confirmed() { "copied to Consul" } else { "acted on" };
                let why = format!("nothing is {without}: {why}");
                error!("{why}");
                if noted.as_ref() != Some(&why) {
                    let what = What::NameTaken { why: why.clone() };
                    let event = Event { at: clock.now(), incident: None, run: None, what };
                    if inbox.note(event).await.is_err() {
                        break;
                    }
                    noted = Some(why);
                }
            }
        }
    }
    std::future::pending::<()>().await;
}
