//! The copies of runs and incidents in Consul: taken over by a node whose disk was lost,
//! kept for the next time.

use std::time::Duration;

use lictor_core::Adoption;
use lictor_store::{Kv, Mirror, MirrorError, NodeStore};
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::inbox::{Gone, Inbox};

/// Pause between two attempts to learn what an earlier store left.
const PAUSE: Duration = Duration::from_secs(3);

/// Adopts what an earlier store of this node left, if this one is not confirmed yet, and
/// then copies what changes for as long as the agent runs.
pub(crate) async fn keep(kv: Kv, store: NodeStore, inbox: Inbox, clock: Clock) {
    let mut mirror = Mirror::new(kv, store.clone());
    let mut told = String::new();
    while !store.confirmed() {
        match confirm(&mut mirror, &store, &inbox, &clock).await {
            Ok(()) => {}
            Err(Trouble::Gone(_)) => return,
            Err(Trouble::Mirror(why)) => {
                let why = why.to_string();
                if told != why {
                    warn!(
                        error = why,
                        "watching but not acting: it is not known what an earlier store of this node had under way; \
                         --new-node says that there was none"
                    );
                    told = why;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    let why = mirror.run().await;
    error!(error = %why, "runs and incidents are no longer copied to Consul");
}

enum Trouble {
    Mirror(MirrorError),
    Gone(Gone),
}

async fn confirm(
    mirror: &mut Mirror,
    store: &NodeStore,
    inbox: &Inbox,
    clock: &Clock,
) -> Result<(), Trouble> {
    let adopted = mirror.adopt(clock.now()).await.map_err(Trouble::Mirror)?;
    if adopted.unreadable > 0 {
        warn!(count = adopted.unreadable, "copies in Consul that cannot be read were left out");
    }
    info!(
        runs = adopted.runs.len(),
        incidents = adopted.incidents.len(),
        "what an earlier store left was read"
    );
    let adoption = Adoption {
        runs: adopted.runs,
        incidents: adopted.incidents,
        highest_run: adopted.highest_run,
        highest_incident: adopted.highest_incident,
    };
    inbox.adopt(adoption).await.map_err(Trouble::Gone)?;
    store.confirm().await.map_err(|error| Trouble::Mirror(error.into()))
}
