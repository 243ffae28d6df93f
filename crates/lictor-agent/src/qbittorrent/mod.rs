//! A client of qBittorrent's WebUI, of versions 4.1 to 5.2, which watchers and actions share.
//!
//! Whoever has its password wrong five times is banned for an hour, the remedy with the watcher. So
//! all who ask share one session for each set of settings, a login is only made where the server
//! has said that it wants one, and what was refused twice is not tried again, see `refused.rs`.
//!
//! Announce URLs hold passkeys. They are reduced to their hosts where they are read (`maindata.rs`,
//! `trackers.rs`) and go no further.

mod client;
mod login;
mod maindata;
mod picture;
mod problem;
mod refused;
mod torrents;
mod trackers;
mod version;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use lictor_config::QbittorrentApi;

pub(crate) use client::Client;
pub(crate) use picture::{Connection, Fresh, Picture};
pub(crate) use problem::Problem;
pub(crate) use torrents::{Change, Hash, State};
pub(crate) use trackers::{Host, Row, TrackerName};

use refused::Refused;

/// Of settings that nobody uses any more, how many clients are kept.
const CLIENTS: usize = 64;

/// The sessions of one agent with every qBittorrent it knows. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub struct Sessions(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clients: Mutex<Vec<Arc<Client>>>,
    refused: Arc<Refused>,
}

impl Sessions {
    /// No sessions yet. In `state_dir` it is kept which logins were refused, so that a restart of
    /// the agent does not try them again; `None`: that is known only as long as this lives.
    pub fn new(state_dir: Option<PathBuf>) -> Self {
        let refused = Arc::new(Refused::load(state_dir));
        Self(Arc::new(Shared { clients: Mutex::default(), refused }))
    }

    /// The client for these settings; all who have the same ones share it, and its session.
    pub(crate) fn client(&self, api: &QbittorrentApi) -> Arc<Client> {
        let mut clients = self.0.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.iter().find(|client| client.is_for(api)) {
            return Arc::clone(client);
        }
        if clients.len() >= CLIENTS {
            clients.retain(|client| Arc::strong_count(client) > 1);
        }
        let client = Arc::new(Client::new(api.clone(), Arc::clone(&self.0.refused)));
        clients.push(Arc::clone(&client));
        client
    }
}
