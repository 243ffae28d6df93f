//! The tables of the state file.

use lictor_core::{CheckName, Event, IncidentId, RowKey, RunId};
use redb::{Key, ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, TableError, Value};

use super::error::StoreError;
use super::sum::{seal, unseal};
use crate::wire;

/// The layout below. A file with a higher number is refused.
pub(super) const SCHEMA: u32 = 1;

/// `made` and `live`.
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// The present, by kind and name: `check/disk`, `run/00000000000000000017`.
pub(super) const ROWS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("rows");
/// How far each watcher has read its source.
pub(super) const POSITIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("positions");
/// The past, by number.
pub(super) const LEDGER: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("ledger");
/// Which entries of the ledger are about what: `i5`, `r17`, `c/disk`.
pub(super) const SUBJECTS: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("subjects");
/// Shared records of a node that stands alone.
pub(super) const KV: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("kv");

/// How checks stood, by the length of a part of time and its number.
pub(super) const PAST: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("past");

/// Who asked for what, by number.
pub(super) const ACTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("acts");

/// A table that files of older programs do not have.
pub(super) fn optional<K: Key + 'static, V: Value + 'static>(
    read: &ReadTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<Option<ReadOnlyTable<K, V>>, StoreError> {
    match read.open_table(table) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads one of the two values of `meta`.
pub(super) fn meta<T: serde::de::DeserializeOwned>(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<T>, StoreError> {
    let Some(found) = table.get(key)? else { return Ok(None) };
    Ok(Some(wire::decode(unseal(key.as_bytes(), found.value())?)?))
}

/// The stored form of a value under a key.
pub(super) fn sealed<T: serde::Serialize>(key: &[u8], value: &T) -> Result<Vec<u8>, StoreError> {
    Ok(seal(key, &wire::encode(value)?))
}

/// The key of a row.
pub(super) fn row_key(key: &RowKey) -> String {
    match key {
        RowKey::Check(name) => format!("check/{name}"),
        RowKey::Flood(remedy) => format!("flood/{remedy}"),
        RowKey::Run(RunId(id)) => format!("run/{id:020}"),
        RowKey::Incident(IncidentId(id)) => format!("incident/{id:020}"),
        RowKey::Reading(name) => format!("reading/{name}"),
        RowKey::Role(service) => format!("role/{service}"),
    }
}

/// Reads a row.
pub(super) fn row(key: &str, bytes: &[u8]) -> Result<lictor_core::Row, StoreError> {
    use lictor_core::Row;
    let body = unseal(key.as_bytes(), bytes)?;
    let kind = key.split_once('/').map_or(key, |(kind, _)| kind);
    Ok(match kind {
        "check" => wire::decode::<wire::Check>(body)?.try_into()?,
        "flood" => wire::decode::<wire::Flood>(body)?.try_into()?,
        "run" => Row::Run(wire::decode::<wire::Run>(body)?.try_into()?),
        "incident" => Row::Incident(wire::decode::<wire::Incident>(body)?.try_into()?),
        "reading" => wire::decode::<wire::Reading>(body)?.try_into()?,
        "role" => wire::decode::<wire::Roles>(body)?.try_into()?,
        _ => return Err(StoreError::Damaged { why: format!("row {key:?} is of no known kind") }),
    })
}

/// Reads an entry of the ledger.
pub(super) fn event(seq: u64, bytes: &[u8]) -> Result<Event, StoreError> {
    Ok(wire::decode::<wire::Event>(unseal(&seq.to_be_bytes(), bytes)?)?.try_into()?)
}

/// The subjects of an event, in `SUBJECTS`.
pub(super) fn subjects(event: &Event) -> impl Iterator<Item = String> {
    let incident = event.incident.map(incident_subject);
    let run = event.run.map(run_subject);
    let check = event.what.check().map(check_subject);
    incident.into_iter().chain(run).chain(check)
}

pub(super) fn incident_subject(id: IncidentId) -> String {
    id.to_string()
}

pub(super) fn run_subject(id: RunId) -> String {
    id.to_string()
}

pub(super) fn check_subject(name: &CheckName) -> String {
    format!("c/{name}")
}
