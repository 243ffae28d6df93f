//! One block that is copied without an agent: nothing else runs beside it.

use std::fmt;
use std::future::pending;
use std::sync::Arc;

use futures::future::{join_all, select_all};
use lictor_config::{Consul, Replicate};
use lictor_consul::Client;

use super::board::{Means, seats};
use super::seat::{Seat, Slot};
use super::view::{CopyView, Phase};
use crate::task::Tasks;

/// A block that is copied by itself, by a client of its own.
pub struct Alone {
    seats: Vec<Seat>,
    copies: Copies,
    tasks: Tasks,
    once: bool,
}

impl Alone {
    /// Nothing is copied before [`Alone::run`]. `settings` say where records of our own lie and which datacenter is meant, and
    /// `client` reaches Consul; `others` are copied beside it. `once`: it ends when everything was copied, and gives up after so many failures in a row.
    pub fn new(
        config: &Arc<Replicate>,
        settings: &Consul,
        client: &Client,
        means: &Means,
        others: &[Arc<Replicate>],
        once: Option<u32>,
    ) -> Self {
        let (seats, slots) = seats(config, settings, client, means, others, once);
        let copies = Copies { config: Arc::clone(config), slots };
        Self { seats, copies, tasks: means.tasks.clone(), once: once.is_some() }
    }

    /// How it stands, now and later.
    pub fn copies(&self) -> Copies {
        self.copies.clone()
    }

    /// Copies, once or without an end. When this is dropped nothing more is copied.
    ///
    /// # Errors
    /// Why something could not be copied.
    pub async fn run(self) -> Result<(), String> {
        match (self.copies.slots.is_empty(), self.once) {
            (false, _) => {}
            (true, true) => return Ok(()),
            (true, false) => return pending().await,
        }
        let ends = join_all(self.seats.into_iter().map(|seat| seat.run(self.tasks.clone()))).await;
        ends.into_iter().collect()
    }
}

/// How the copies of a block stand. Cheap to clone.
#[derive(Clone)]
pub struct Copies {
    config: Arc<Replicate>,
    slots: Vec<(String, Slot)>,
}

impl Copies {
    /// All of them.
    pub fn all(&self) -> Vec<CopyView> {
        self.slots.iter().map(|(to, slot)| slot.view(&self.config, to)).collect()
    }

    /// Waits until one of them is in a phase of this kind, and gives it.
    pub async fn until(&self, is: impl Fn(&Phase) -> bool) -> Phase {
        if self.slots.is_empty() {
            return pending().await;
        }
        let looks = self.slots.iter().map(|(_, slot)| {
            let (mut state, is) = (slot.state.subscribe(), &is);
            Box::pin(async move {
                let found = state.wait_for(|state| is(&state.phase)).await.map(|state| state.phase.clone());
                match found {
                    Ok(phase) => phase,
                    // Nobody writes there any more.
                    Err(_) => pending().await,
                }
            })
        });
        select_all(looks).await.0
    }
}

impl fmt::Debug for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copies").field("config", &self.config.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Alone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alone").field("copies", &self.copies).finish_non_exhaustive()
    }
}
