//! The state of a unit.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lictor_config::UnitName;
use zbus::wire::{OwnedVariant, Variant};

use super::bus::{Bus, Trouble};
use super::unit_path;
use crate::text::hex;

pub(super) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
pub(super) const UNIT: &str = "org.freedesktop.systemd1.Unit";

/// What systemd says of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnitState {
    /// Its own name: it may be looked at by another.
    pub(crate) id: String,
    /// Whether its file was read: `loaded`, `not-found`, `masked`, `bad-setting`, `error`.
    pub(crate) load: String,
    /// Why not.
    pub(crate) load_error: String,
    /// `active`, `reloading`, `inactive`, `failed`, `activating`, `deactivating`.
    pub(crate) active: String,
    /// The same in more detail.
    pub(crate) sub: String,
    /// How it ended when it last did, if its kind can say.
    pub(crate) result: Option<String>,
    /// How often systemd restarted a service by itself.
    pub(crate) restarts: Option<u64>,
    /// The main process of a service.
    pub(crate) pid: Option<u32>,
    /// How the main process of a service ended, for people.
    pub(crate) exit: Option<String>,
    /// Another one after each start; empty when it was never started.
    pub(crate) invocation: String,
    /// When it was last started, on the monotonic clock.
    pub(crate) entered: u64,
    /// When its state last changed.
    pub(crate) changed: u64,
    /// Whether a job of it waits or runs.
    pub(crate) job: bool,
}

impl UnitState {
    /// Whether it is up, also while it reads its configuration again.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading" | "refreshing")
    }

    /// Whether it is down for good, failed or not.
    pub(crate) fn is_down(&self) -> bool {
        matches!(self.active.as_str(), "inactive" | "failed")
    }

    /// Whether it failed and systemd starts it again in a moment.
    pub(crate) fn is_between_restarts(&self) -> bool {
        self.sub.starts_with("auto-restart")
    }

    /// Whether systemd refuses to start it because that failed too often.
    pub(crate) fn is_limited(&self) -> bool {
        self.result.as_deref() == Some("start-limit-hit")
    }

    /// In a few words, with what is known of the reason: `failed: exit-code, exit status 3`.
    pub(crate) fn describe(&self) -> String {
        match self.load.as_str() {
            "not-found" if self.is_down() => return "not found: systemd knows no such unit".to_owned(),
            "masked" if self.is_down() => return "masked: it cannot be started".to_owned(),
            "bad-setting" | "error" if self.is_down() => {
                return format!("not loaded ({}): {}", self.load, self.load_error);
            }
            _ => {}
        }
        let mut text = self.active.clone();
        if self.sub != self.active {
            // Writing to a string cannot fail.
            write!(text, " ({})", self.sub).ok();
        }
        if self.active == "failed" || self.is_between_restarts() {
            let result = self.result.as_deref().filter(|result| !result.is_empty());
            let reasons: Vec<&str> = result.into_iter().chain(self.exit.as_deref()).collect();
            if !reasons.is_empty() {
                write!(text, ": {}", reasons.join(", ")).ok();
            }
        }
        text
    }
}

impl Bus {
    /// The state of a unit; systemd reads its file if it has not yet.
    pub(crate) async fn unit(&self, unit: &UnitName) -> Result<UnitState, Trouble> {
        let path = unit_path(unit);
        let answer = self.call(&path, PROPERTIES, "GetAll", &(UNIT,)).await?;
        let body = answer.body();
        let all: BTreeMap<String, OwnedVariant> = body.deserialize().map_err(|error| garbled(&error))?;
        let text = |name: &str| all.get(name).and_then(|value| text(value)).unwrap_or_default();
        let number = |name: &str| all.get(name).and_then(|value| number(value)).unwrap_or_default();
        if text("ActiveState").is_empty() {
            return Err(Trouble::Garbled(format!("{unit} has no state")));
        }
        let invocation: Vec<u8> = all
            .get("InvocationID")
            .and_then(|value| value.try_clone().ok())
            .and_then(|value| value.try_into().ok())
            .unwrap_or_default();
        let mut state = UnitState {
            id: text("Id"),
            load: text("LoadState"),
            load_error: load_error(&all),
            active: text("ActiveState"),
            sub: text("SubState"),
            invocation: hex(&invocation),
            entered: number("ActiveEnterTimestampMonotonic"),
            changed: number("StateChangeTimestampMonotonic"),
            job: job(&all),
            ..UnitState::default()
        };
        if let Some(interface) = interface(unit.kind()) {
            state.result =
                self.property(&path, interface, "Result").await?.and_then(|value| self::text(&value));
        }
        if unit.kind() == "service" {
            self.service(&path, &mut state).await?;
        }
        Ok(state)
    }

    /// The own name of a unit: signals and jobs have only that.
    pub(crate) async fn resolve(&self, unit: &UnitName) -> Result<UnitName, Trouble> {
        let id = self.property(&unit_path(unit), UNIT, "Id").await?;
        let id = id.and_then(|id| text(&id)).and_then(|id| UnitName::new(&id).ok());
        Ok(id.unwrap_or_else(|| unit.clone()))
    }

    async fn service(&self, path: &str, state: &mut UnitState) -> Result<(), Trouble> {
        let get = |name: &'static str| self.property(path, "org.freedesktop.systemd1.Service", name);
        let (restarts, pid, code, status) =
            tokio::try_join!(get("NRestarts"), get("MainPID"), get("ExecMainCode"), get("ExecMainStatus"))?;
        let whole = |value: Option<OwnedVariant>| value.as_ref().and_then(|value| number(value));
        state.restarts = whole(restarts);
        state.pid = whole(pid).and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
        state.exit = match (whole(code), whole(status)) {
            // CLD_EXITED, CLD_KILLED and CLD_DUMPED of waitid(2).
            (Some(1), Some(0)) => None,
            (Some(1), Some(status)) => Some(format!("exit status {status}")),
            (Some(2 | 3), Some(signal)) => Some(format!("signal {signal}")),
            _ => None,
        };
        Ok(())
    }

    /// A property; `None` when this version of systemd does not have it.
    pub(super) async fn property(
        &self,
        path: &str,
        interface: &str,
        name: &str,
    ) -> Result<Option<OwnedVariant>, Trouble> {
        match self.call(path, PROPERTIES, "Get", &(interface, name)).await {
            Ok(answer) => answer.body().deserialize().map(Some).map_err(|error| garbled(&error)),
            Err(Trouble::Said { name, .. }) if name == "UnknownProperty" || name == "UnknownInterface" => {
                Ok(None)
            }
            Err(trouble) => Err(trouble),
        }
    }
}

/// The interface of a kind of unit that says how it ended.
fn interface(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "service" => "org.freedesktop.systemd1.Service",
        "socket" => "org.freedesktop.systemd1.Socket",
        "timer" => "org.freedesktop.systemd1.Timer",
        "mount" => "org.freedesktop.systemd1.Mount",
        "automount" => "org.freedesktop.systemd1.Automount",
        "swap" => "org.freedesktop.systemd1.Swap",
        "path" => "org.freedesktop.systemd1.Path",
        "scope" => "org.freedesktop.systemd1.Scope",
        _ => return None,
    })
}

pub(super) fn garbled(error: &zbus::Error) -> Trouble {
    Trouble::Garbled(error.to_string())
}

pub(super) fn text(value: &Variant<'_>) -> Option<String> {
    match value {
        Variant::Str(text) => Some(text.to_string()),
        _ => None,
    }
}

pub(super) fn number(value: &Variant<'_>) -> Option<u64> {
    match value {
        Variant::U32(number) => Some(u64::from(*number)),
        Variant::U64(number) => Some(*number),
        Variant::I32(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// `LoadError` is a name and a text.
fn load_error(all: &BTreeMap<String, OwnedVariant>) -> String {
    let pair = all.get("LoadError").and_then(|value| value.try_clone().ok());
    let pair: Option<(String, String)> = pair.and_then(|value| value.try_into().ok());
    pair.map(|(_, text)| text).unwrap_or_default()
}

/// `Job` is a number, 0 for none, and an object.
fn job(all: &BTreeMap<String, OwnedVariant>) -> bool {
    let pair = all.get("Job").and_then(|value| value.try_clone().ok());
    let pair: Option<(u32, zbus::wire::OwnedObjectPath)> = pair.and_then(|value| value.try_into().ok());
    pair.is_some_and(|(number, _)| number != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_told_with_its_reason() {
        let told = |load: &str, active: &str, sub: &str, result: &str, exit: Option<&str>| {
            let state = UnitState {
                load: load.into(),
                load_error: "Unit has a bad unit file setting.".into(),
                active: active.into(),
                sub: sub.into(),
                result: Some(result.into()),
                exit: exit.map(str::to_owned),
                ..UnitState::default()
            };
            state.describe()
        };
        assert_eq!(told("loaded", "active", "running", "success", None), "active (running)");
        let failed = told("loaded", "failed", "failed", "exit-code", Some("exit status 3"));
        assert_eq!(failed, "failed: exit-code, exit status 3");
        let between = told("loaded", "activating", "auto-restart", "signal", Some("signal 11"));
        assert_eq!(between, "activating (auto-restart): signal, signal 11");
        assert_eq!(told("masked", "inactive", "dead", "", None), "masked: it cannot be started");
        assert_eq!(told("not-found", "inactive", "dead", "", None), "not found: systemd knows no such unit");
        let bad = told("bad-setting", "inactive", "dead", "", None);
        assert_eq!(bad, "not loaded (bad-setting): Unit has a bad unit file setting.");
        // Its file was removed while it ran: it still does.
        assert_eq!(told("not-found", "active", "running", "success", None), "active (running)");
    }
}
