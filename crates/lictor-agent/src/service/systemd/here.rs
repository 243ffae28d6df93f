//! What a service of the configuration is on this machine.

use std::sync::Arc;
use std::time::Duration;

use lictor_config::ClusterService;

use super::super::{GuardSocket, GuardState, Here, Machine, Place};
use super::{Limits, SystemdUnits};

/// What systemd itself does not limit: a unit whose TimeoutStartSec= or TimeoutStopSec= is infinity or longer.
const LIMITS: Limits = Limits { start: Duration::from_secs(1_800), stop: Duration::from_secs(300) };

/// Runs services as units of systemd, where nothing else is said.
pub(crate) fn this_machine() -> Machine {
    Arc::new(|service| Box::pin(here(service)))
}

async fn here(service: Arc<ClusterService>) -> Result<Here, String> {
    let place = Place::new(service.name.as_str()).map_err(|error| error.to_string())?;
    let no_guard =
        |error| format!("it cannot be guarded here: {error}; the agent must be root, see docs/guard.md");
    let guard = Arc::new(GuardSocket::open(&place).map_err(no_guard)?);
    let guarded = match guard.state().await {
        GuardState::Guards { left, .. } => left,
        GuardState::Waits | GuardState::Absent => Duration::ZERO,
    };
    let units = SystemdUnits::new(place, service.units.clone(), LIMITS, Arc::clone(&guard));
    let units = units.map_err(|error| error.to_string())?;
    Ok(Here { units: Arc::new(units), guard, guarded })
}
