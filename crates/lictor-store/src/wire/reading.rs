//! How far watchers have read.

use std::collections::BTreeMap;

use lictor_core as core;
use serde::{Deserialize, Serialize};

use super::{WireError, name};

/// What is remembered of a watcher that reads lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The watcher.
    pub name: String,
    /// How far it has read, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// When lines matched that count towards an event, by pattern.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counted_boot_ms: BTreeMap<String, Vec<u64>>,
    /// Since when no line matched that is waited for, by pattern; nothing when that was told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub silent_since_boot_ms: BTreeMap<String, Option<u64>>,
}

impl Reading {
    /// The stored form of what is remembered of a watcher.
    pub fn new(name: &core::CheckName, reading: &core::Reading) -> Self {
        let counted = reading
            .counted
            .iter()
            .map(|(pattern, times)| (pattern.to_string(), times.iter().map(|at| at.as_millis()).collect()));
        let silent = reading.silent_since.iter();
        Self {
            name: name.to_string(),
            position: reading.position.clone(),
            counted_boot_ms: counted.collect(),
            silent_since_boot_ms: silent
                .map(|(pattern, since)| (pattern.to_string(), since.map(core::Boot::as_millis)))
                .collect(),
        }
    }
}

impl TryFrom<Reading> for core::Row {
    type Error = WireError;
    fn try_from(reading: Reading) -> Result<Self, WireError> {
        let counted = reading.counted_boot_ms.into_iter().map(|(pattern, times)| {
            Ok((name(&pattern)?, times.into_iter().map(core::Boot::from_millis).collect()))
        });
        let silent = reading.silent_since_boot_ms.into_iter();
        let silent = silent.map(|(pattern, since)| Ok((name(&pattern)?, since.map(core::Boot::from_millis))));
        let remembered = core::Reading {
            position: reading.position,
            counted: counted.collect::<Result<_, WireError>>()?,
            silent_since: silent.collect::<Result<_, WireError>>()?,
        };
        Ok(Self::Reading(name(&reading.name)?, remembered))
    }
}
