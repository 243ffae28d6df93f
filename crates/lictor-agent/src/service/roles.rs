//! The roles of a service as other programs read them: the node that runs it writes that it is the active one.
//!
//! The record says who is active, for programs that go by it; who may run the service follows from its lease
//! and from nothing else. Its form is that of powerconsul's cluster data with lists of nodes.

use std::collections::BTreeSet;
use std::time::Duration;

use lictor_core::service::member::Local;
use lictor_store::kv::{Kv, KvError, Op, Revision};
use serde_json::{Map, Value};
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::Service;

/// How long a blocking query waits for a change.
const WATCH: Duration = Duration::from_secs(60);

/// After how long it is tried again; so two that write against each other do no harm.
const AGAIN: Duration = Duration::from_secs(5);

const ACTIVE: &str = "active_nodes";

const STANDBY: &str = "standby_nodes";

/// Keeps the record right for as long as the service runs here.
pub(super) async fn keep(kv: Kv, key: String, node: String, nodes: BTreeSet<String>, service: Service) {
    let mut states = service.state();
    let mut told = String::new();
    loop {
        let runs = states.wait_for(|state| matches!(state.local, Local::Running { .. })).await.is_ok();
        if !runs {
            return;
        }
        let (mut since, mut written) = (Revision(0), false);
        while service.believes().is_some() && matches!(states.borrow().local, Local::Running { .. }) {
            let looked = tokio::select! {
                looked = look(&kv, &key, (&node, &nodes), since, &service) => looked,
                changed = states.changed() => match changed {
                    Ok(()) => continue,
                    Err(_gone) => return,
                },
            };
            match looked {
                Ok((seen, wrote)) => {
                    since = seen;
                    told.clear();
                    if wrote {
                        info!(key, node, "the roles say that this node is the active one");
                    }
                    if wrote && std::mem::replace(&mut written, true) {
                        sleep(AGAIN).await;
                    }
                }
                Err(why) => {
                    match told == why {
                        true => debug!(key, why, "the roles cannot be written"),
                        false => warn!(key, why, "the roles cannot be written"),
                    }
                    told = why;
                    since = Revision(0);
                    sleep(AGAIN).await;
                }
            }
        }
        // The belief may end before the state says so.
        if service.believes().is_none() && states.changed().await.is_err() {
            return;
        }
    }
}

/// A new record: one of these nodes is active, all others stand by.
pub(super) fn among(active: &str, nodes: &[String]) -> Vec<u8> {
    let standby: Vec<_> = nodes.iter().filter(|node| *node != active).collect();
    serde_json::json!({ ACTIVE: [active], STANDBY: standby }).to_string().into_bytes()
}

/// Waits for a change of the record since, and puts it right. Gives what it saw, and whether it wrote.
async fn look(
    kv: &Kv,
    key: &str,
    (node, nodes): (&str, &BTreeSet<String>),
    since: Revision,
    service: &Service,
) -> Result<(Revision, bool), String> {
    let listing = kv.watch(key, since, WATCH).await.map_err(|error| error.to_string())?;
    let pair = listing.pairs.iter().find(|pair| pair.key == key);
    let Some(value) = active(pair.map(|pair| pair.value.as_slice()), node, nodes)? else {
        return Ok((listing.revision, false));
    };
    if service.believes().is_none() {
        return Ok((listing.revision, false));
    }
    let op = match pair {
        Some(pair) => Op::replace(key, value, pair.revision),
        None => Op::create(key, value),
    };
    match kv.txn(&[op]).await {
        Ok(_) => Ok((listing.revision, true)),
        // Somebody was faster; that is seen.
        Err(KvError::Conflict { .. }) => Ok((listing.revision, false)),
        Err(error) => Err(error.to_string()),
    }
}

/// The nodes that a record names, if it is one with lists of nodes.
pub(super) fn named(record: Option<&[u8]>) -> Result<BTreeSet<String>, String> {
    let Some(fields) = record.map(fields).transpose()? else { return Ok(BTreeSet::new()) };
    let [active, standby] = [ACTIVE, STANDBY].map(|name| listed(&fields, name));
    Ok(active?.into_iter().chain(standby?).collect())
}

fn fields(record: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(record) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err("it is not a JSON object".to_owned()),
        Err(error) => Err(format!("it is not JSON: {error}")),
    }
}

/// The record with this node as the active one of its service's; `None`: it says so already. Other nodes have the
/// places that they have: another service may have the same record, with nodes of its own.
fn active(record: Option<&[u8]>, node: &str, nodes: &BTreeSet<String>) -> Result<Option<Vec<u8>>, String> {
    let mut fields = record.map(fields).transpose()?.unwrap_or_default();
    let lists = [ACTIVE, STANDBY].map(|name| listed(&fields, name));
    let [active, standby] = lists;
    let (active, standby) = (active?, standby?);
    if !fields.is_empty() && active.is_empty() && standby.is_empty() {
        return Err(format!("it has no `{ACTIVE}`: roles by datacenter or by filter are not written"));
    }
    let ours: Vec<&String> = active.iter().filter(|one| nodes.contains(*one)).collect();
    if ours == [node] && !standby.iter().any(|one| one == node) {
        return Ok(None);
    }
    // In the place of the one before.
    let at = active.iter().position(|one| nodes.contains(one)).unwrap_or(active.len());
    let (gone, mut actives): (Vec<_>, Vec<_>) = active.into_iter().partition(|one| nodes.contains(one));
    actives.insert(at.min(actives.len()), node.to_owned());
    let others = standby.into_iter().chain(gone).filter(|one| one != node);
    fields.insert(STANDBY.to_owned(), others.map(Value::String).collect());
    fields.insert(ACTIVE.to_owned(), actives.into_iter().map(Value::String).collect());
    serde_json::to_vec(&fields).map(Some).map_err(|error| error.to_string())
}

fn listed(fields: &Map<String, Value>, name: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("`{name}` is not a list of names");
    match fields.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(names)) => {
            names.iter().map(|name| name.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> BTreeSet<String> {
        ["n1", "n2", "n3"].map(str::to_owned).into()
    }

    fn after(record: &str) -> Result<Option<String>, String> {
        let value = active(Some(record.as_bytes()), "n2", &ours())?;
        Ok(value.map(|value| String::from_utf8(value).unwrap()))
    }

    #[test]
    fn the_node_that_runs_it_is_the_active_one_and_all_else_stays() {
        let before = r#"{"active_nodes":["n1"],"standby_nodes":["n2","n3"],"lock":true,"ours":{"x":1}}"#;
        let wanted = r#"{"active_nodes":["n2"],"lock":true,"ours":{"x":1},"standby_nodes":["n3","n1"]}"#;
        assert_eq!(after(before), Ok(Some(wanted.to_owned())));
        assert_eq!(after(wanted), Ok(None));
        assert_eq!(after(r#"{"active_nodes":["n2"]}"#), Ok(None));
        let made = r#"{"active_nodes":["n2"],"standby_nodes":[]}"#;
        assert_eq!(active(None, "n2", &ours()), Ok(Some(made.as_bytes().to_vec())));
    }

    #[test]
    fn nodes_of_another_service_with_the_same_record_have_the_places_that_they_have() {
        let before = r#"{"active_nodes":["m1","n1","m3"],"standby_nodes":["m2","n2","n3"]}"#;
        let wanted = r#"{"active_nodes":["m1","n2","m3"],"standby_nodes":["m2","n3","n1"]}"#;
        assert_eq!(after(before), Ok(Some(wanted.to_owned())));
        assert_eq!(after(wanted), Ok(None));
        let others = r#"{"active_nodes":["m1"],"standby_nodes":["m2"]}"#;
        let both = r#"{"active_nodes":["m1","n2"],"standby_nodes":["m2"]}"#;
        assert_eq!(after(others), Ok(Some(both.to_owned())));
        // Two of ours cannot both be the active one.
        let two = r#"{"active_nodes":["n1","m1","n2"],"standby_nodes":[]}"#;
        let one = r#"{"active_nodes":["n2","m1"],"standby_nodes":["n1"]}"#;
        assert_eq!(after(two), Ok(Some(one.to_owned())));
    }

    #[test]
    fn what_is_no_list_of_nodes_is_left_alone() {
        assert_eq!(after("[]"), Err("it is not a JSON object".to_owned()));
        assert!(after("junk").unwrap_err().starts_with("it is not JSON"));
        assert_eq!(
            after(r#"{"active_nodes":"n1"}"#),
            Err("`active_nodes` is not a list of names".to_owned())
        );
        let by_datacenter = after(r#"{"datacenters":true,"active_datacenter":"dc1"}"#).unwrap_err();
        assert!(by_datacenter.contains("are not written"), "{by_datacenter}");
    }
}
