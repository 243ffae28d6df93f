//! One job of one unit, asked for and waited for.

use std::time::Duration;

use lictor_config::{SystemdBus, UnitName};
use lictor_core::Span;
use tokio::time::timeout;
use zbus::wire::OwnedObjectPath;

use crate::systemd::{Bus, Signals, Trouble, UnitState};

/// What is to be done to a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Start,
    Stop,
}

impl Verb {
    const fn method(self) -> &'static str {
        match self {
            Self::Start => "StartUnit",
            Self::Stop => "StopUnit",
        }
    }
}

/// Has systemd do it, and gives how the unit is when that is over. It has a connection of its own: what is told
/// of other units meanwhile is not to hold it up.
pub(super) async fn job(
    bus: &SystemdBus,
    unit: &UnitName,
    verb: Verb,
    limit: Duration,
) -> Result<UnitState, String> {
    let done = async {
        let bus = Bus::open(bus).await?;
        let unit = bus.resolve(unit).await?;
        let mut signals = Signals::new(&bus, &unit);
        let rules = signals.rules();
        signals.during(bus.subscribe(&rules)).await?;
        let asked = signals.during(bus.manager(verb.method(), &(unit.as_str(), "replace"))).await;
        let answer = match (verb, asked) {
            // What systemd does not know cannot run.
            (Verb::Stop, Err(Trouble::Said { name, .. })) if name == "NoSuchUnit" => {
                return Ok((
                    String::new(),
                    UnitState { active: "inactive".to_owned(), ..UnitState::default() },
                ));
            }
            (_, asked) => asked?,
        };
        let job: OwnedObjectPath =
            answer.body().deserialize().map_err(|error| Trouble::Garbled(error.to_string()))?;
        let removed = signals.removed(job.as_str()).await?;
        let state = signals.during(bus.unit(&unit)).await?;
        Ok::<_, Trouble>((removed.result, state))
    };
    match timeout(limit, done).await {
        Ok(Ok((result, state))) => match (verb, result.as_str()) {
            (Verb::Start, "dependency") => {
                Err(format!("something that it needs has failed; {}", state.describe()))
            }
            (Verb::Start, "canceled") => Err(format!("another job took its place; {}", state.describe())),
            // How it is says more than how its job ended.
            _ => Ok(state),
        },
        Ok(Err(trouble)) => Err(trouble.to_string()),
        Err(_late) => Err(format!("that is not over after {}", Span(limit))),
    }
}
