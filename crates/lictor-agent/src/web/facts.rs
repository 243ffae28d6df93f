//! Questions to the present state.

use std::collections::BTreeMap;

use lictor_core::{
    Boot, CheckName, Condition, Facts, Incident, IncidentId, Status, Trigger, Value, ValueName,
};

use crate::View;

impl Facts for View {
    fn status(&self, check: &CheckName) -> Status {
        self.checks.get(check).map_or(Status::Unknown, |check| check.status)
    }

    fn value(&self, check: &CheckName, value: &ValueName) -> Option<f64> {
        let (_, sample) = self.checks.get(check)?.last.as_ref()?;
        match sample.value(value)? {
            Value::Number(number) if sample.status != Status::Unknown => Some(*number),
            Value::Number(_) | Value::Text(_) => None,
        }
    }

    fn text(&self, check: &CheckName, value: &ValueName) -> Option<String> {
        let (_, sample) = self.checks.get(check)?.last.as_ref()?;
        sample.value(value).filter(|_| sample.status != Status::Unknown).map(ToString::to_string)
    }

    fn seen(&self, check: &CheckName) -> Option<Boot> {
        Some(self.checks.get(check)?.last.as_ref()?.0.boot)
    }
}

/// The open incident of each check that has one.
pub(super) fn open_incidents(view: &View) -> BTreeMap<&CheckName, &Incident> {
    let open = view.incidents.values().filter(|incident| incident.closed.is_none());
    open.map(|incident| (&incident.check, incident)).collect()
}

/// The number of the open incident of one check.
pub(super) fn open_incident(view: &View, check: &CheckName) -> Option<IncidentId> {
    let mut open = view.incidents.values().filter(|incident| incident.closed.is_none());
    open.find(|incident| &incident.check == check).map(|incident| incident.id)
}

/// Whether a trigger looks at a check.
pub(super) fn looks_at(trigger: &Trigger, check: &CheckName) -> bool {
    match trigger {
        Trigger::When(condition) => condition.checks().contains(check),
        Trigger::Match { source, .. } => source == check,
        Trigger::Changed { check: changed, .. } => changed == check,
    }
}

/// Whether a condition holds, in words.
pub(super) fn verdict(condition: &Condition, view: &View) -> &'static str {
    match condition.holds(view) {
        Some(true) => "holds",
        Some(false) => "does not hold",
        None => "cannot be told",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lictor_core::{Check, Now, Plan, Sample};
    use std::sync::Arc;

    fn view(sample: Sample) -> View {
        let name = CheckName::new("disk").unwrap();
        let mut check = Check::new(Now::default());
        check.status = sample.status;
        check.last = Some((Now::default(), sample));
        View {
            at: Now::default(),
            plan: Arc::new(Plan::default()),
            checks: BTreeMap::from([(name, Arc::new(check))]),
            floods: BTreeMap::new(),
            runs: BTreeMap::new(),
            incidents: BTreeMap::new(),
            cannot_record: None,
            withheld: false,
            leases: BTreeMap::new(),
            copies: None,
        }
    }

    #[test]
    fn a_value_without_data_cannot_be_told() {
        let disk = CheckName::new("disk").unwrap();
        let used = ValueName::new("used_percent").unwrap();
        let condition = Condition::Value {
            check: disk.clone(),
            value: used.clone(),
            op: lictor_core::Compare::Greater,
            number: 90.0,
        };
        let with = |status| view(Sample::new(status, "").with(used.clone(), Value::Number(95.0)));
        assert_eq!(verdict(&condition, &with(Status::Critical)), "holds");
        assert_eq!(verdict(&condition, &with(Status::Unknown)), "cannot be told");
        let is = Condition::Is { check: CheckName::new("absent").unwrap(), status: Status::Unknown };
        assert_eq!(verdict(&is, &with(Status::Passing)), "holds");
        assert_eq!(verdict(&Condition::Not(Box::new(is)), &with(Status::Passing)), "does not hold");
    }
}
