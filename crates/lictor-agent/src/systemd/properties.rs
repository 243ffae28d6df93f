//! All that systemd says of a unit, by name.

use std::collections::BTreeMap;

use lictor_config::UnitName;
use zbus::wire::{OwnedVariant, Variant};

use super::bus::{Bus, Trouble};
use super::unit::{PROPERTIES, UNIT, garbled, number, text};
use super::{MANAGER, MANAGER_INTERFACE, unit_path};

/// The properties of a unit, in general or of its kind. What this version of systemd does not have is empty.
#[derive(Debug, Default)]
pub(crate) struct Properties(BTreeMap<String, OwnedVariant>);

impl Properties {
    pub(crate) fn text(&self, name: &str) -> String {
        self.0.get(name).and_then(|value| text(value)).unwrap_or_default()
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        self.0.get(name).and_then(|value| number(value)).unwrap_or_default()
    }

    pub(crate) fn truth(&self, name: &str) -> bool {
        matches!(self.0.get(name).map(|value| &**value), Some(Variant::Bool(true)))
    }

    /// The texts of a list of texts.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let value = self.0.get(name).and_then(|value| value.try_clone().ok());
        value.and_then(|value| value.try_into().ok()).unwrap_or_default()
    }

    /// How many a list has, of whatever it is.
    pub(crate) fn count(&self, name: &str) -> usize {
        match self.0.get(name).map(|value| &**value) {
            Some(Variant::Array(list)) => list.len(),
            _ => 0,
        }
    }
}

impl Bus {
    /// The properties of a unit that all units have, or those of its kind, such as `Service`.
    pub(crate) async fn properties(
        &self,
        unit: &UnitName,
        kind: Option<&str>,
    ) -> Result<Properties, Trouble> {
        let interface =
            kind.map_or_else(|| UNIT.to_owned(), |kind| format!("org.freedesktop.systemd1.{kind}"));
        let answer = self.call(&unit_path(unit), PROPERTIES, "GetAll", &(interface.as_str(),)).await?;
        answer.body().deserialize().map(Properties).map_err(|error| garbled(&error))
    }

    /// How the machine is: `running`, `degraded`, `stopping` and so on.
    pub(crate) async fn system_state(&self) -> Result<String, Trouble> {
        let state = self.property(MANAGER, MANAGER_INTERFACE, "SystemState").await?;
        Ok(state.and_then(|state| text(&state)).unwrap_or_default())
    }
}
