//! `watch "unit"`: the state of a unit of systemd, told by systemd at each change.
//!
//! Nothing is polled. A signal only says that something changed: what it is now is then read whole,
//! so that a signal that was lost or came twice does no harm.

use std::convert::Infallible;
use std::time::Duration;

use lictor_config::{Unit, UnitExpect};
use lictor_core::{CheckName, Sample, Status};
use tokio::time::{MissedTickBehavior, interval};

use super::follow::{self, Feed};
use super::look::{Look, Memory, World};
use super::value::{self, Measured as _};
use crate::systemd::{Bus, Signals, UnitState};

/// How often systemd is asked whether it is there: it says nothing when it hangs.
const PING: Duration = Duration::from_secs(30);

pub(super) fn look(unit: &Unit, check: &CheckName, memory: &mut Memory, world: &World) -> Look {
    let unit = unit.clone();
    follow::look(check, memory, world, move |feed| {
        let unit = unit.clone();
        async move {
            match watch(&unit, &feed).await {
                Ok(never) => match never {},
                Err(why) => why,
            }
        }
    })
}

async fn watch(unit: &Unit, feed: &Feed) -> Result<Infallible, String> {
    let text = |trouble: crate::systemd::Trouble| trouble.to_string();
    let bus = Bus::open(&unit.bus).await.map_err(text)?;
    let name = bus.resolve(&unit.unit).await.map_err(text)?;
    let mut signals = Signals::new(&bus, &name);
    let rules = signals.rules();
    signals.during(bus.subscribe(&rules)).await.map_err(text)?;
    let mut ping = interval(PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping.reset();
    let mut told: Option<UnitState> = None;
    loop {
        let state = signals.during(bus.unit(&unit.unit)).await.map_err(text)?;
        if state.id != name.as_str() {
            return Err(format!("{} is another name of {} now", unit.unit, state.id));
        }
        if told.as_ref() != Some(&state) {
            feed.tell(judge(unit, &state)).await.map_err(|gone| gone.to_string())?;
        }
        // One that nothing needs is loaded only to be looked at, and goes away at once: to look
        // again because of that would never end.
        let loaded = state.active != "inactive";
        told = Some(state);
        loop {
            tokio::select! {
                changed = signals.changed(loaded) => {
                    changed.map_err(text)?;
                    break;
                }
                _ = ping.tick() => {}
            }
            signals.during(bus.ping()).await.map_err(text)?;
        }
    }
}

/// What a state means for the check.
fn judge(unit: &Unit, state: &UnitState) -> Sample {
    let status = match unit.expect {
        UnitExpect::Active if state.is_up() => Status::Passing,
        UnitExpect::Active if state.is_down() || state.is_between_restarts() => Status::Critical,
        UnitExpect::Active => Status::Warning,
        UnitExpect::Inactive if state.active == "inactive" => Status::Passing,
        UnitExpect::Inactive if state.is_up() || state.is_between_restarts() => Status::Critical,
        UnitExpect::Inactive => Status::Warning,
        UnitExpect::NotFailed if state.active == "failed" || state.is_between_restarts() => Status::Critical,
        // One that cannot be started at all has not failed only because nobody could try.
        UnitExpect::NotFailed if state.is_down() && state.load != "loaded" => Status::Critical,
        UnitExpect::NotFailed => Status::Passing,
    };
    let mut sample = Sample::new(status, format!("{} is {}", unit.unit, state.describe()));
    sample.flag(&value::ACTIVE, state.is_up());
    sample.text(&value::STATE, state.active.clone());
    sample.text(&value::SUB_STATE, state.sub.clone());
    if let Some(result) = &state.result {
        sample.text(&value::RESULT, result.clone());
    }
    if let Some(restarts) = state.restarts {
        sample.count(&value::RESTARTS, restarts);
    }
    if let Some(pid) = state.pid {
        sample.count(&value::PID, pid.into());
    }
    if !state.invocation.is_empty() {
        sample.text(&value::INVOCATION, state.invocation.clone());
    }
    sample
}

#[cfg(test)]
mod tests {
    use lictor_config::{SystemdBus, UnitName};

    use super::*;

    fn status(expect: UnitExpect, load: &str, active: &str, sub: &str) -> Status {
        let unit = Unit { unit: UnitName::new("x").unwrap(), bus: SystemdBus::System, expect };
        let state =
            UnitState { load: load.into(), active: active.into(), sub: sub.into(), ..UnitState::default() };
        judge(&unit, &state).status
    }

    #[test]
    fn each_state_is_judged_by_what_is_expected() {
        use Status::{Critical, Passing, Warning};
        let states = [
            ("loaded", "active", "running", [Passing, Critical, Passing]),
            ("loaded", "active", "exited", [Passing, Critical, Passing]),
            ("not-found", "active", "running", [Passing, Critical, Passing]),
            ("loaded", "reloading", "reload", [Passing, Critical, Passing]),
            ("loaded", "activating", "start-pre", [Warning, Warning, Passing]),
            ("loaded", "activating", "auto-restart", [Critical, Critical, Critical]),
            ("loaded", "deactivating", "stop-sigterm", [Warning, Warning, Passing]),
            ("loaded", "inactive", "dead", [Critical, Passing, Passing]),
            ("loaded", "failed", "failed", [Critical, Warning, Critical]),
            ("not-found", "inactive", "dead", [Critical, Passing, Critical]),
            ("masked", "inactive", "dead", [Critical, Passing, Critical]),
            ("loaded", "maintenance", "maintenance", [Warning, Warning, Passing]),
        ];
        for (load, active, sub, wanted) in states {
            let found = [UnitExpect::Active, UnitExpect::Inactive, UnitExpect::NotFailed]
                .map(|expect| status(expect, load, active, sub));
            assert_eq!(found, wanted, "{load} {active} {sub}");
        }
    }
}
