//! One block without an agent: one snapshot, or snapshots until it is stopped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use lictor_config::{Consul, Snapshot};
use lictor_consul::{Client, Status};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::board::{Means, says};
use super::lone;
use super::seat::{Seat, Slot};
use super::view::{Phase, SnapshotState, SnapshotView};
use super::work::Work;
use super::{service, take};

/// See the module.
pub struct SnapshotAlone {
    config: Arc<Snapshot>,
    settings: Consul,
    client: Client,
    means: Means,
    slot: Slot,
    leased: bool,
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
            leased: true,
        }
    }

    /// The same without the lease: only who has the lock that the block names works, and if it names none, everybody does.
    #[must_use]
    pub fn without_lease(self) -> Self {
        if self.config.lock.is_some() {
            // Until that is known, it is not this one that works.
            self.slot.phase(&Phase::Standby("it is not known yet who holds the lock".to_owned()));
        }
        Self { leased: false, ..self }
    }

    /// The block.
    pub fn config(&self) -> &Arc<Snapshot> {
        &self.config
    }

    /// How it stands, now and later.
    pub fn shows(&self) -> impl Fn() -> SnapshotView + Send + Sync + 'static {
        let (config, slot) = (Arc::clone(&self.config), self.slot.clone());
        move || SnapshotView { config: Arc::clone(&config), state: slot.state.borrow().clone() }
    }

    /// How it stands, for who waits until it changes.
    pub fn state(&self) -> watch::Receiver<SnapshotState> {
        self.slot.state.subscribe()
    }

    /// Takes one and sends it, without a lease; in words, what was done.
    ///
    /// # Errors
    /// What could not be done of it.
    pub async fn once(self) -> Result<String, Vec<String>> {
        // Nobody else is kept out: so nothing of the folder is shared.
        let folder = Folder::new(&self.seat().scratch).map_err(|why| vec![why])?;
        let scratch = folder.path.clone();
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
        let seat = self.seat();
        if self.leased { seat.run(stop).await } else { lone::run(seat, stop).await }
    }

    fn seat(&self) -> Seat {
        let Means { node, clock, scratch, tasks } = self.means.clone();
        let name = self.config.name.as_str();
        // Where nobody expects a folder of ours, one of a plain name may stand in somebody's way.
        let folder = if self.leased { name.to_owned() } else { format!(".{name}.scratch") };
        let scratch = self.config.scratch.clone().unwrap_or(scratch).join(folder);
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

/// What names of folders begin with in which one is taken once.
const ONCE: &str = "once-";

/// A folder that is removed with all that is in it; one whose process was killed, by the next one.
struct Folder {
    path: PathBuf,
    /// Locked for as long as the process lives.
    _alive: File,
}

impl Folder {
    fn new(parent: &Path) -> Result<Self, String> {
        take::folder(parent)?;
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let dead = || File::open(entry.path()).is_ok_and(|folder| folder.try_lock().is_ok());
            if entry.file_name().to_string_lossy().starts_with(ONCE) && dead() {
                // Whoever comes next tries it again.
                fs::remove_dir_all(entry.path()).unwrap_or_default();
            }
        }
        let name = format!("{ONCE}{:016x}", rand::random::<u64>());
        // It has its name when it is locked: nobody finds it otherwise.
        let (unlocked, path) = (parent.join(format!(".{name}")), parent.join(name));
        take::folder(&unlocked)?;
        let alive = File::open(&unlocked).and_then(|folder| folder.lock().map(|()| folder));
        let named = alive.and_then(|alive| fs::rename(&unlocked, &path).map(|()| alive));
        let alive = named.map_err(|error| format!("cannot lock {}: {error}", path.display()))?;
        Ok(Self { path, _alive: alive })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The next one removes what cannot be removed now.
        fs::remove_dir_all(&self.path).unwrap_or_default();
        if let Some(around) = self.path.parent() {
            // Only if nothing is left there.
            fs::remove_dir(around).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_has_left_is_removed_and_nothing_of_one_that_lives() {
        let parent = tempfile::tempdir().unwrap();
        let dead = parent.path().join("once-0");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("a.snap"), "x").unwrap();
        let other = parent.path().join("other");
        fs::create_dir(&other).unwrap();
        let one = Folder::new(parent.path()).unwrap();
        let two = Folder::new(parent.path()).unwrap();
        assert!(!dead.exists() && other.exists() && one.path.exists());
        drop(two);
        assert!(one.path.exists());
    }
}
