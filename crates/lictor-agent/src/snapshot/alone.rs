//! One block without an agent: one snapshot, or snapshots until it is stopped.

use std::sync::Arc;

use futures::future::BoxFuture;
use lictor_config::{Consul, Snapshot};
use lictor_consul::{Client, Status};
use tokio_util::sync::CancellationToken;

use super::board::{Means, says};
use super::seat::{Seat, Slot};
use super::service;
use super::view::SnapshotView;
use super::work::Work;

/// See the module.
pub struct SnapshotAlone {
    config: Arc<Snapshot>,
    settings: Consul,
    client: Client,
    means: Means,
    slot: Slot,
}

impl SnapshotAlone {
    /// Nothing is taken before it is told to. `settings` say where records of our own lie and which datacenter is meant, and
    /// `client` reaches Consul.
    pub fn new(config: &Arc<Snapshot>, settings: &Consul, client: &Client, means: &Means) -> Self {
        Self {
            config: Arc::clone(config),
            settings: settings.clone(),
            client: client.clone(),
            means: means.clone(),
            slot: Slot::default(),
        }
    }

    /// How it stands, now and later.
    pub fn shows(&self) -> impl Fn() -> SnapshotView + Send + Sync + 'static {
        let (config, slot) = (Arc::clone(&self.config), self.slot.clone());
        move || SnapshotView { config: Arc::clone(&config), state: slot.state.borrow().clone() }
    }

    /// Takes one and sends it, without a lease; in words, what was done.
    ///
    /// # Errors
    /// What could not be done of it.
    pub async fn once(self) -> Result<String, Vec<String>> {
        // Nobody else is kept out: so nothing of the folder is shared.
        let scratch = self.seat().scratch.join(format!("once-{:016x}", rand::random::<u64>()));
        let folder = Folder(scratch.clone());
        let Seat { settings, home, own, node, client, clock, slot, tasks, .. } = self.seat();
        let done = Work { settings, home, own, node, client, clock, slot, scratch, tasks }.once().await;
        drop(folder);
        done
    }

    /// Takes them, as one of several if there are others, until it is stopped.
    pub async fn run(self, stop: CancellationToken) {
        if let Some(name) = &self.config.service {
            let said = says(&self.config, &self.slot, &self.means.clock);
            let said = move || -> BoxFuture<'static, (Status, String)> { said() };
            service::keep(
                name,
                &self.config,
                &self.client,
                &self.means.node,
                said,
                &self.slot,
                &self.means.tasks,
            );
        }
        self.seat().run(stop).await;
    }

    fn seat(&self) -> Seat {
        let Means { node, clock, scratch, tasks } = self.means.clone();
        let scratch = self.config.scratch.clone().unwrap_or(scratch).join(self.config.name.as_str());
        Seat {
            settings: Arc::clone(&self.config),
            home: self.settings.datacenter.clone(),
            own: self.settings.prefix.clone(),
            node,
            client: self.client.clone(),
            clock,
            slot: self.slot.clone(),
            scratch,
            tasks,
        }
    }
}

impl std::fmt::Debug for SnapshotAlone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotAlone").field("config", &self.config.name).finish_non_exhaustive()
    }
}

/// Removed with all that is in it.
struct Folder(std::path::PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // It may never have been made.
        std::fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}
