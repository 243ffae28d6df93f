//! The files in which the old program kept how each peer stands.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use lictor_agent::peers::{Customs, ToldBefore};
use lictor_compat::sentinella::{
    Named, State, Told, Watcher, file_name, key_of_address, keys_of_hosts, label,
};
use lictor_core::Wall;
use lictor_core::peers::{MeshView, Peer, Seen, Verdict};
use tokio::sync::watch;
use tracing::warn;

/// How the old program called its peers, and where it kept how they stand.
pub(super) struct Files {
    by_name: bool,
    scheme: &'static str,
    dir: PathBuf,
    older: Option<PathBuf>,
}

impl Files {
    /// The files of `dir`; what is not there is looked for in `older`.
    pub(super) fn new(watcher: &Watcher, dir: PathBuf, older: Option<PathBuf>) -> Self {
        let by_name = matches!(watcher.peers, Named::Srv(_));
        Self { by_name, scheme: if watcher.https { "https" } else { "http" }, dir, older }
    }

    /// Writes how the peers stand after each round, where that differs from what was written.
    pub(super) async fn follow(self: Arc<Self>, mut mesh: watch::Receiver<Arc<MeshView>>) {
        let mut written = BTreeMap::new();
        let mut failed = false;
        while mesh.changed().await.is_ok() {
            let view = Arc::clone(&mesh.borrow_and_update());
            let files = Arc::clone(&self);
            let known = written.clone();
            let done = tokio::task::spawn_blocking(move || files.write(&view, known)).await;
            let (now, result) = done.unwrap_or_else(|_panicked| (BTreeMap::new(), Ok(())));
            written = now;
            if let Err((path, why)) = &result
                && !failed
            {
                warn!(path = %path.display(), %why, "how the peers stand cannot be written; what was told is kept all the same");
            }
            failed = result.is_err();
        }
    }

    /// What was written, and the first file that could not be.
    fn write(
        &self,
        view: &MeshView,
        mut written: BTreeMap<PathBuf, String>,
    ) -> (BTreeMap<PathBuf, String>, Result<(), (PathBuf, io::Error)>) {
        let peers: Vec<_> = view.peers.iter().map(|peer| (peer.id.as_str(), peer.address)).collect();
        let mut result = Ok(());
        for (name, shown) in self.names(&peers).into_iter().zip(&view.peers) {
            // One that was not judged, or was looked at too seldom, stands as it stood.
            let (Some((seen, _)), Some(_)) = (&shown.seen, shown.status) else { continue };
            let path = self.dir.join(name);
            let text = state(seen).to_string();
            if written.get(&path) == Some(&text) {
                continue;
            }
            match replace(&path, &text) {
                Ok(()) => drop(written.insert(path, text)),
                Err(why) if result.is_ok() => result = Err((path, why)),
                Err(_another) => {}
            }
        }
        (written, result)
    }

    /// The files of peers, in their order, with the addresses that answered last.
    fn names(&self, peers: &[(&str, Option<IpAddr>)]) -> Vec<String> {
        if self.by_name {
            let hosts = peers.iter().map(|(id, _)| host(id));
            let hosts: Vec<(String, u16)> = hosts.map(|(host, port)| (host.to_owned(), port)).collect();
            return keys_of_hosts(&hosts).iter().map(|key| file_name(key)).collect();
        }
        let name = |(id, address): &(&str, Option<IpAddr>)| {
            let (host, port) = host(id);
            match address.or_else(|| host.parse().ok()) {
                Some(address) => file_name(&key_of_address(self.scheme, address, port)),
                None => file_name(id),
            }
        };
        peers.iter().map(name).collect()
    }

    fn label(&self, peer: &Peer, address: Option<IpAddr>) -> String {
        let (host, port) = host(&peer.id);
        match (self.by_name, host.parse::<IpAddr>()) {
            (false, Ok(address)) => format!("{}://{}", self.scheme, SocketAddr::new(address, port)),
            (false, Err(_)) | (true, _) => label(host, address),
        }
    }
}

impl Customs for Files {
    fn output(&self, peer: &Peer, address: Option<IpAddr>, seen: &Seen, verdict: &Verdict) -> String {
        let label = self.label(peer, address);
        if verdict.detail == "vanished" {
            return format!("FAIL: {label} — {}", verdict.output);
        }
        let (good, total) = seen.counts();
        let failing: Vec<_> = seen.failing().iter().map(|one| (one.url.as_str(), one.code)).collect();
        Told { up: seen.is_well(), label: &label, good, total, failing: &failing, down_for: None }.to_string()
    }

    fn told(&self, peer: &Peer, all: &[Peer], address: Option<IpAddr>, seen: &Seen) -> Option<ToldBefore> {
        let place = all.iter().position(|other| other.id == peer.id)?;
        let peers: Vec<_> = all.iter().map(|other| (other.id.as_str(), address)).collect();
        let name = self.names(&peers).into_iter().nth(place)?;
        let dirs = [Some(&self.dir), self.older.as_ref()];
        let path = dirs.into_iter().flatten().map(|dir| dir.join(&name)).find(|path| path.exists())?;
        let read = std::fs::read(&path).map_err(|why| why.to_string());
        let read = read
            .and_then(|bytes| State::parse(&String::from_utf8_lossy(&bytes)).map_err(|why| why.to_string()));
        match read {
            Ok(before) => {
                let (before, now) = (before?, state(seen));
                let changed = std::fs::metadata(&path).and_then(|about| about.modified()).ok();
                let at = changed.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
                // What the old program took for well it may not have looked into: `up:0/0:200` of any answer.
                Some(ToldBefore {
                    down: !before.up,
                    same: before.up == now.up && counts(before) == counts(now),
                    at: at.and_then(|at| i64::try_from(at.as_millis()).ok()).map(Wall::from_unix_millis),
                })
            }
            Err(why) => {
                warn!(path = %path.display(), %why, "how a peer stood cannot be read; it counts as never seen");
                None
            }
        }
    }
}

/// What of a state is told: the counts of one that is down. The old program lost those of the others.
fn counts(state: State) -> (u32, u32) {
    if state.up { (0, 0) } else { (state.good, state.total) }
}

fn state(seen: &Seen) -> State {
    let (good, total) = seen.counts();
    State { up: seen.is_well(), good, total, code: seen.code() }
}

/// Host and port of an id, the host without brackets.
fn host(id: &str) -> (&str, u16) {
    let (host, port) = id.rsplit_once(':').unwrap_or((id, ""));
    (host.trim_start_matches('[').trim_end_matches(']'), port.parse().unwrap_or(0))
}

/// Writes a file as a whole: whoever reads it, and whatever happens, finds the old or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::rename(&new, path)
}
