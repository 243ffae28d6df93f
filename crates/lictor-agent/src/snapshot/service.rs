//! The service under which a block says in Consul how it stands: each node has one that says that it is there, and the
//! node that works says beside it how it goes, as the snapshot agent of Consul Enterprise does.

use std::time::Duration;

use futures::future::BoxFuture;
use lictor_config::Snapshot;
use lictor_consul::{CheckKind, Client, NewCheck, Status};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::seat::Slot;
use super::view::Phase;
use crate::consul;
use crate::task::{OnEnd, Tasks};

/// What the checks are called.
const ALIVE: &str = "Consul Snapshot Agent Alive";
const SAVING: &str = "Consul Snapshot Agent Saving Snapshots";

/// It is critical when nothing was said for so long.
const TTL: Duration = Duration::from_secs(30);

/// How often it is said.
const EVERY: Duration = Duration::from_secs(10);

/// The same while the check is not there: its service may be registered in a moment.
const SOON: Duration = Duration::from_secs(1);

/// How long a stop waits for Consul.
const GOODBYE: Duration = Duration::from_secs(1);

/// Keeps both registered for as long as the tasks run. `says`: how it goes.
pub(super) fn keep(
    name: &str,
    config: &Snapshot,
    client: &Client,
    node: &str,
    says: impl Fn() -> BoxFuture<'static, (Status, String)> + Send + Sync + 'static,
    slot: &Slot,
    tasks: &Tasks,
) {
    let mut service = consul::service(name, node, ALIVE, None);
    for check in &mut service.checks {
        check.deregister_after = config.deregister_after;
    }
    let id = service.id.clone().unwrap_or_default();
    let of = slot.clone();
    let alive = move || -> BoxFuture<'static, (Status, String)> {
        let phase = of.state.borrow().phase.clone();
        let said =
            phase.why().map_or_else(|| phase.word().to_owned(), |why| format!("{}: {why}", phase.word()));
        Box::pin(std::future::ready((Status::Passing, said)))
    };
    let entry = consul::keep(client.clone(), service, alive, tasks.stopping());
    tasks.spawn_draining(format!("snapshot {} in Consul", config.name), OnEnd::Fine, entry);
    let saving = saving(client.clone(), id, slot.clone(), says, tasks.stopping());
    tasks.spawn_draining(format!("snapshot {} saving", config.name), OnEnd::Fine, saving);
}

/// The check of the node that works. It is there only as long as this node does.
async fn saving(
    client: Client,
    service: String,
    slot: Slot,
    says: impl Fn() -> BoxFuture<'static, (Status, String)> + Send + Sync,
    stop: CancellationToken,
) {
    let id = format!("{service}:saving");
    let mut check = NewCheck::new(SAVING, CheckKind::Ttl(TTL));
    check.id = Some(id.clone());
    check.service_id = Some(service);
    check.status = Some(Status::Passing);
    let mut state = slot.state.subscribe();
    let mut there = false;
    loop {
        let works = !matches!(state.borrow_and_update().phase, Phase::Standby(_));
        let done = async {
            match (works, there) {
                (true, _) => {
                    let (status, note) = says().await;
                    if !there {
                        client.agent().register_check(&check).await?;
                    }
                    client.agent().update(&id, &status, &note).await
                }
                (false, true) => client.agent().deregister_check(&id).await,
                (false, false) => Ok(()),
            }
        };
        let said = tokio::select! {
            said = done => said,
            () = stop.cancelled() => break,
        };
        // Until it is gone it is there.
        there = if works { said.is_ok() } else { there && said.is_err() };
        if let Err(error) = said {
            // The service may not be registered yet, or Consul has forgotten it.
            debug!(%error, id, "the check of the snapshots was not updated");
        }
        let changed = async {
            // A change of who works is said at once, the rest in turn.
            while state.changed().await.is_ok() {
                if works == matches!(state.borrow_and_update().phase, Phase::Standby(_)) {
                    return;
                }
            }
        };
        tokio::select! {
            () = sleep(if works && !there { SOON } else { EVERY }) => {}
            () = changed => {}
            () = stop.cancelled() => break,
        }
    }
    if there {
        // It goes with its service in any case.
        drop(timeout(GOODBYE, client.agent().deregister_check(&id)).await);
    }
}
