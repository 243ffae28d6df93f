//! Cluster data: who is active, as it lies in Consul.

use std::num::NonZeroUsize;

use lictor_core::service::{Cluster, ClusterError, Group, HostPattern, Placement, Share};
use serde_json::{Map, Value};
use thiserror::Error;

use super::pyjson::dumps;

const FILTER: &str = "filter";
const LOCK: &str = "lock";
/// How many active nodes must pass; the old program leaves it alone.
const MIN_ACTIVE: &str = "min_active";

/// Cluster data, with all that others keep in it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterData {
    json: Map<String, Value>,
    cluster: Cluster,
}

/// Why cluster data says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DataError {
    /// It is not JSON, or not of the right shape.
    #[error("Failed to parse cluster data: {0}")]
    Shape(String),
    /// It makes no sense.
    #[error(transparent)]
    Cluster(ClusterError),
}

impl From<ClusterError> for DataError {
    fn from(error: ClusterError) -> Self {
        Self::Cluster(error)
    }
}

impl ClusterData {
    /// Reads it.
    ///
    /// # Errors
    /// If it says nothing that can be followed, in the old words.
    pub fn read(bytes: &[u8]) -> Result<Self, DataError> {
        let value: Value = serde_json::from_slice(bytes).map_err(|why| DataError::Shape(why.to_string()))?;
        let Value::Object(json) = value else {
            return Err(DataError::Shape("it is no object".to_owned()));
        };
        let cluster = match json.get(FILTER).filter(|filter| !filter.is_null()) {
            None => Cluster::Whole(share(&json, "")?),
            Some(Value::Object(groups)) => {
                let locked = is_locked(&json);
                let group = |(hosts, members): (&String, &Value)| {
                    let Value::Object(members) = members else {
                        return Err(DataError::Shape(format!("filter `{hosts}` is no object")));
                    };
                    let share = share(members, &format!("filter `{hosts}`: "))?;
                    let share = Share { locked: share.locked || locked, ..share };
                    Ok(Group { hosts: HostPattern::new(hosts)?, share })
                };
                Cluster::Groups(groups.iter().map(group).collect::<Result<_, _>>()?)
            }
            Some(_) => return Err(DataError::Shape("`filter` is no object".to_owned())),
        };
        Ok(Self { json, cluster })
    }

    /// What it says.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The same data with these roles and locks in place of its own. Everything else in it stays, also groups that
    /// `cluster` does not have.
    #[must_use]
    pub fn with(&self, cluster: &Cluster) -> String {
        let mut json = self.json.clone();
        match cluster {
            Cluster::Alone => {}
            Cluster::Whole(share) => write(&mut json, share),
            Cluster::Groups(groups) => {
                // A lock of all becomes locks of those that still have one.
                json.remove(LOCK);
                if let Some(Value::Object(filter)) = json.get_mut(FILTER) {
                    for group in groups {
                        if let Some(Value::Object(members)) = filter.get_mut(group.hosts.as_str()) {
                            write(members, &group.share);
                        }
                    }
                }
            }
        }
        dumps(&Value::Object(json))
    }
}

/// What the members of an object say.
fn share(members: &Map<String, Value>, place: &str) -> Result<Share, DataError> {
    let wrong = |name: &str, wanted: &str| DataError::Shape(format!("{place}`{name}` is no {wanted}"));
    let given = |name: &str| members.get(name).filter(|value| !value.is_null());
    let list = |name: &str| {
        let Some(value) = given(name) else { return Ok(None) };
        let names = value.as_array().map(|items| items.iter().map(|item| item.as_str().map(str::to_owned)));
        names.and_then(Iterator::collect).map(Some).ok_or_else(|| wrong(name, "list of names"))
    };
    let text = |name: &str| match given(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong(name, "text")),
    };
    let nodes = (list("active_nodes")?, list("standby_nodes")?);
    let datacenters = (text("active_datacenter")?, text("standby_datacenter")?);
    let enough = match given(MIN_ACTIVE) {
        None => NonZeroUsize::MIN,
        Some(value) => {
            let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
            number.and_then(NonZeroUsize::new).ok_or_else(|| wrong(MIN_ACTIVE, "number above 0"))?
        }
    };
    Ok(Share { placement: Placement::new(nodes, datacenters)?, locked: is_locked(members), enough })
}

fn is_locked(members: &Map<String, Value>) -> bool {
    members.get(LOCK).is_some_and(|lock| lock.as_bool().unwrap_or(!lock.is_null()))
}

fn write(members: &mut Map<String, Value>, share: &Share) {
    match &share.placement {
        Placement::Everywhere => {}
        Placement::Nodes { active, standby } => {
            members.insert("active_nodes".to_owned(), active.clone().into());
            members.insert("standby_nodes".to_owned(), standby.clone().into());
        }
        Placement::Datacenters { active, standby } => {
            members.insert("active_datacenter".to_owned(), active.clone().into());
            members.insert("standby_datacenter".to_owned(), standby.clone().into());
        }
    }
    if share.locked {
        members.insert(LOCK.to_owned(), true.into());
    } else {
        members.remove(LOCK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> ClusterData {
        ClusterData::read(text.as_bytes()).unwrap()
    }

    fn error(text: &str) -> String {
        ClusterData::read(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn bug_30_a_change_keeps_every_other_field() {
        let data = read(
            r#"{"comment": "ours", "active_nodes": ["a"], "standby_nodes": ["b"], "n": 1, "lock": true}"#,
        );
        let changed = data.cluster().exchanged("a").unwrap().unlocked("a").unwrap();
        assert_eq!(
            data.with(&changed),
            r#"{"active_nodes": ["b"], "comment": "ours", "n": 1, "standby_nodes": ["a"]}"#
        );
        let data = read(r#"{"active_datacenter": "a", "standby_datacenter": "b"}"#);
        let changed = data.cluster().exchanged("x").unwrap();
        assert_eq!(data.with(&changed), r#"{"active_datacenter": "b", "standby_datacenter": "a"}"#);
    }

    #[test]
    fn bug_6_a_lock_beside_groups_is_understood_and_other_groups_stay() {
        let group = |name: &str| {
            format!(r#""{name}": {{"active_nodes": ["{name}1"], "standby_nodes": ["{name}2"]}}"#)
        };
        let text = format!(r#"{{"filter": {{{}, {}}}, "lock": true}}"#, group("db"), group("web"));
        let data = read(&text);
        assert_eq!(data.with(data.cluster()).matches("\"lock\": true").count(), 2);
        let changed = data.cluster().unlocked("web1").unwrap().exchanged("web1").unwrap();
        assert_eq!(
            data.with(&changed),
            r#"{"filter": {"db": {"active_nodes": ["db1"], "lock": true, "standby_nodes": ["db2"]}, "web": {"active_nodes": ["web2"], "standby_nodes": ["web1"]}}}"#
        );
    }

    #[test]
    fn what_says_nothing_is_told_in_the_old_words() {
        assert_eq!(
            error("{'a': 1}"),
            "Failed to parse cluster data: key must be a string at line 1 column 2"
        );
        assert_eq!(error("[]"), "Failed to parse cluster data: it is no object");
        assert_eq!(error(r#"{"active_nodes": ["a"]}"#), "Must specify both active/standby nodes attributes");
        assert_eq!(
            error(r#"{"filter": {"a": {"active_nodes": "a", "standby_nodes": []}}}"#),
            "Failed to parse cluster data: filter `a`: `active_nodes` is no list of names"
        );
        assert_eq!(
            error(r#"{"min_active": 0}"#),
            "Failed to parse cluster data: `min_active` is no number above 0"
        );
    }

    #[test]
    fn data_without_either_pair_makes_everybody_active() {
        assert_eq!(*read("{}").cluster(), Cluster::Whole(Share::new(Placement::Everywhere)));
    }
}
