//! Clustered services: drives a [`Member`](lictor_core::service::member::Member) over the shared records, the
//! units of the service, what guards them, and the other nodes.
//!
//! ```text
//!  records (lease, operation) ◀──▶ ┐            ┌──▶ Guard: until when the units may run
//!  other nodes (promises)     ◀──▶ ┤   driver   ├──▶ Units: start, stop, kill; how they are
//!  the agent stops            ───▶ ┘  (Member)  └──▶ ServiceState: what is shown
//! ```
//!
//! The guard is told what is believed *before* anything is sent or done: a lease is never given back, nor
//! its length shortened, while the guard would let the units run for longer.
//!
//! [`SystemdUnits`] and [`GuardSocket`] are the units and the guard of a real machine; the guard itself, a process
//! of its own, is [`guard`].

mod board;
mod checked;
mod datacenters;
mod driver;
mod first;
mod follow;
pub mod guard;
mod guard_socket;
mod hooks;
pub mod install;
mod late;
mod old;
mod operations;
mod pause;
mod place;
mod places;
mod records;
mod roles;
mod says;
mod systemd;
mod voice;
mod words;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_config::ClusterService;
use lictor_core::lease::{Belief, Next};
use lictor_core::service::member::{Local, Order};
use lictor_core::service::operation::Operation;

pub(crate) use board::Means;
pub use board::{Here, Machine, ServiceView, Services};
pub use driver::{Service, Setup};
pub use first::Made;
pub use guard_socket::{GuardSocket, GuardState};
pub use old::{Bars, none as no_bars};
pub use operations::{AskError, Asking};
pub use pause::{LONGEST as LONGEST_PAUSE, Pause};
pub use place::{Place, PlaceError};
pub use systemd::{Limits, SystemdUnits};
pub use voice::{Heard, Spoken, Voice};
pub use words::{Places, Words};

use crate::LeaseState;

/// The service on this machine.
pub trait Units: Send + Sync + 'static {
    /// How it stands now, and whether it could run here.
    fn look(&self) -> BoxFuture<'_, Look>;

    /// Ends when it may stand otherwise than at the last look. To be dropped and asked for again at any time.
    fn changed(&self) -> BoxFuture<'_, ()>;

    /// Carries an order out and verifies it, within its own time limits. `believes` says whether this node may
    /// still run the service: to be asked immediately before it is started.
    ///
    /// # Errors
    /// It is not as ordered. Why, in words.
    fn carry<'a>(
        &'a self,
        order: Order,
        believes: &'a (dyn Fn(u64) -> bool + Send + Sync),
    ) -> BoxFuture<'a, Result<(), String>>;

    /// Stops what runs in order and starts it again under the same token, where it is; verified as the two
    /// orders are. The guard goes on, if the kind of units has a better way than to end it.
    ///
    /// # Errors
    /// It does not run as it did. Why, in words.
    fn restart<'a>(
        &'a self,
        token: u64,
        believes: &'a (dyn Fn(u64) -> bool + Send + Sync),
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            self.carry(Order::Stop, believes).await?;
            self.carry(Order::Start { token }, believes).await
        })
    }
}

/// What a look at the service on this machine finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// How it stands.
    pub local: Local,
    /// Whether it could run here; why not, in words.
    pub able: Result<(), String>,
}

/// What kills the service when this program does not.
pub trait Guard: Send + Sync + 'static {
    /// The service may run until this belief ends; `None`: it may not run. Does not wait.
    fn tell(&self, belief: Option<Belief>);
}

/// How a service stands, as far as its task has noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceState {
    /// Who holds its lease.
    pub lease: LeaseState,
    /// How it stands here.
    pub local: Local,
    /// Whether it could run here; `None`: nobody has looked yet.
    pub able: Option<Result<(), String>>,
    /// What the record of the lease says, if there is one.
    pub record: Option<Recorded>,
    /// What was asked for last.
    pub operation: Option<Operation>,
    /// Until when nobody takes it over by itself.
    pub pause: Option<Pause>,
    /// Why nobody takes it over by itself although that is wanted.
    pub barred: Option<String>,
    /// It could not be told for too long how it stands here: this node neither holds nor takes its lease before it can.
    pub blind: bool,
}

impl ServiceState {
    /// Nobody has looked at anything yet.
    pub(crate) fn unseen() -> Self {
        Self {
            lease: LeaseState::Unknown { why: "the record was not read yet".to_owned() },
            local: Local::Unknown,
            able: None,
            record: None,
            operation: None,
            pause: None,
            barred: None,
            blind: false,
        }
    }
}

/// What the record of a lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The node that holds it, or held it.
    pub holder: String,
    /// The token under which it does.
    pub token: u64,
    /// How long others wait without seeing a change.
    pub length: Duration,
    /// It was given back, and for whom.
    pub released: Option<Next>,
    /// Between which nodes it passes.
    pub nodes: BTreeSet<String>,
}

/// What runs services where nothing else is said: the systemd of this machine.
pub(crate) fn this_machine() -> Machine {
    Arc::new(|service| Box::pin(here(service)))
}

async fn here(service: Arc<ClusterService>) -> Result<Here, String> {
    let place = Place::new(service.name.as_str()).map_err(|error| error.to_string())?;
    let guard = GuardSocket::open(&place)
        .map_err(|error| format!("the guard cannot be reached: {error}; the agent must be root for that"))?;
    let guard = Arc::new(guard);
    let guarded = match guard.state().await {
        GuardState::Guards { left, .. } => left,
        GuardState::Absent | GuardState::Waits => Duration::ZERO,
    };
    let limits = Limits { start: service.start_limit, stop: service.stop_limit };
    let units = SystemdUnits::new(place, service.units.clone(), limits, Arc::clone(&guard));
    let units = units.map_err(|error| error.to_string())?;
    Ok(Here { units: Arc::new(units), guard, guarded })
}

/// How long a stop of the agent waits for what is under way.
const PARTING: Duration = Duration::from_secs(2);
