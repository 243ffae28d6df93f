//! qBittorrent: whether its WebUI answers, its port is open, and its trackers work.
//!
//! Only what says that it is cut off is critical: it is not reached, it has no open port, no tracker
//! of any torrent works, or the world sees it under an address that it must never have. What is a
//! matter of settings (a wrong password, a foreign host name) is unknown, and so never a reason to
//! restart anything.

mod ask;
mod judge;

use lictor_config::{Qbittorrent, Watch};
use lictor_core::{Sample, Status};
use tokio::time::{Instant, timeout_at};

use super::look::{Look, Memory, World};
use super::value::{self, Measured as _};
use crate::qbittorrent::{Connection, Hash, Problem};

/// What is kept from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// Since when nobody has connected to the open port.
    firewalled: Option<Instant>,
    /// A torrent whose tracker worked: the first to be asked about.
    working: Option<Hash>,
    /// Where the next look begins among the others.
    turn: usize,
}

pub(super) async fn look(settings: &Qbittorrent, watch: &Watch, memory: &mut Memory, world: &World) -> Look {
    let begun = Instant::now();
    let until = begun + watch.timeout;
    let past = memory.qbittorrent.get_or_insert_default();
    let client = world.qbittorrent.client(&settings.api);
    let late = || {
        let span = lictor_core::Span(watch.timeout);
        Problem::Down(format!("qBittorrent cannot be reached: no answer within {span}"))
    };
    let seen = timeout_at(until, ask::ask(&client, settings, past, until)).await;
    let mut sample = match seen.unwrap_or_else(|_elapsed| Err(late())) {
        Ok(seen) => {
            match seen.connection {
                Connection::Firewalled => drop(past.firewalled.get_or_insert(begun)),
                Connection::Connected | Connection::Disconnected => past.firewalled = None,
            }
            judge::judge(settings, &seen, past.firewalled.map(|since| begun.duration_since(since)))
        }
        Err(Problem::Down(why)) => {
            // It may be a new one next time.
            past.firewalled = None;
            let mut sample = Sample::new(Status::Critical, why);
            sample.flag(&value::STABLE, false);
            sample
        }
        Err(Problem::Barred(why)) => Sample::new(Status::Unknown, why),
    };
    sample.seconds(&value::TOTAL_SECONDS, begun.elapsed());
    Look::new(sample)
}
