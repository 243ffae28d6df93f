//! Incidents: each has a whole timeline, and its row says what the timeline says.

use std::collections::BTreeMap;

use lictor_core::{CheckName, IncidentId, Now, Row, RowKey, Status, What};

use super::{Entry, demand};

#[derive(Debug, Default)]
pub(super) struct Incidents {
    of: BTreeMap<IncidentId, Timeline>,
    open: BTreeMap<CheckName, IncidentId>,
    statuses: BTreeMap<CheckName, Status>,
}

#[derive(Debug)]
struct Timeline {
    check: CheckName,
    opened: Now,
    closed: Option<Now>,
    status: Status,
    worst: Status,
}

impl Incidents {
    pub(super) fn take(&mut self, entry: &Entry, rows: &BTreeMap<RowKey, Row>) -> Result<(), String> {
        for event in &entry.output.events {
            if let Some(id) = event.incident {
                let opens = matches!(event.what, What::IncidentOpened { .. });
                demand!(
                    opens != self.of.contains_key(&id),
                    "`{}` belongs to {id}, which has not begun",
                    event.what
                );
            }
            match &event.what {
                What::IncidentOpened { check } => self.opened(check, event.incident, event.at)?,
                What::Transition { check, from, to, .. } => self.moved(check, *from, *to, event.incident)?,
                What::IncidentClosed { check, .. } => self.closed(check, event.incident, event.at)?,
                _ => {}
            }
        }
        for key in &entry.output.gone {
            match key {
                RowKey::Check(name) => {
                    self.statuses.remove(name);
                    demand!(!self.open.contains_key(name), "{name} is gone but its incident is open");
                }
                RowKey::Incident(id) => {
                    let closed = self.of.get(id).is_some_and(|one| one.closed.is_some());
                    demand!(closed, "{id} is forgotten although it is open");
                }
                RowKey::Flood(_) | RowKey::Run(_) | RowKey::Reading(_) | RowKey::Role(_) => {}
            }
        }
        for row in &entry.output.rows {
            let Row::Incident(row) = row else { continue };
            let told = self.of.get(&row.id).ok_or_else(|| format!("{} was never opened", row.id))?;
            let (id, check) = (row.id, &row.check);
            demand!(*check == told.check && row.opened == told.opened, "{id} is not what was opened");
            demand!(row.closed == told.closed, "{id} was closed {:?}, told {:?}", row.closed, told.closed);
            demand!(row.status == told.status, "{id} is {}, told {}", row.status, told.status);
            demand!(row.worst == told.worst, "{id} was {} at worst, told {}", row.worst, told.worst);
        }
        for (name, status) in &self.statuses {
            let row = rows.get(&RowKey::Check(name.clone()));
            let is = matches!(row, Some(Row::Check(_, check)) if check.status == *status && check.judged());
            demand!(is, "{name} was told to be {status}, its row says {row:?}");
            demand!(
                self.open.contains_key(name) == (*status != Status::Passing),
                "{name} is {status}, its open incident {:?}",
                self.open.get(name)
            );
        }
        Ok(())
    }

    fn opened(&mut self, check: &CheckName, id: Option<IncidentId>, at: Now) -> Result<(), String> {
        let id = id.ok_or("an incident without a number was opened")?;
        demand!(self.of.keys().all(|older| *older < id), "{id} was opened after a later one");
        demand!(!self.open.contains_key(check), "{check} has two open incidents");
        self.open.insert(check.clone(), id);
        let (status, worst) = (Status::Passing, Status::Passing);
        self.of.insert(id, Timeline { check: check.clone(), opened: at, closed: None, status, worst });
        Ok(())
    }

    fn moved(
        &mut self,
        check: &CheckName,
        from: Status,
        to: Status,
        id: Option<IncidentId>,
    ) -> Result<(), String> {
        let before = self.statuses.insert(check.clone(), to);
        demand!(before.unwrap_or_default() == from, "{check} went from {from}, but it was {before:?}");
        demand!(before != Some(to), "{check} went to {to}, which it was already");
        demand!(self.open.get(check).copied() == id, "a change of {check} belongs to {id:?}");
        demand!(id.is_some() || to == Status::Passing, "{check} is {to} without an incident");
        if let Some(told) = id.and_then(|id| self.of.get_mut(&id)) {
            told.status = to;
            told.worst = told.worst.max(to);
        }
        Ok(())
    }

    fn closed(&mut self, check: &CheckName, id: Option<IncidentId>, at: Now) -> Result<(), String> {
        demand!(
            id.is_some() && self.open.remove(check) == id,
            "{id:?} of {check} was closed but was not open"
        );
        let told = id.and_then(|id| self.of.get_mut(&id)).ok_or("an unknown incident was closed")?;
        demand!(told.closed.replace(at).is_none(), "{id:?} was closed twice");
        Ok(())
    }
}
