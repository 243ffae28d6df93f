//! What Consul says of a service: who is active, and how they are.

use std::collections::BTreeMap;

use lictor_compat::powerconsul::{ClusterData, cluster_key, says_unknown};
use lictor_consul::{Client, Index, Query, ServiceHealth, Status};
use lictor_core::service::{Expected, Here, HostPattern, Placement, Role, Share, Sight, Standing, expected};

use super::place::Place;

/// What this node knows of a service.
#[derive(Debug)]
pub(super) struct View {
    pub(super) role: Role,
    pub(super) share: Option<Share>,
    pub(super) expected: Expected,
    /// How the active side is, if that mattered.
    pub(super) sight: Option<Sight>,
    /// The key of the cluster data, which lies in each datacenter.
    pub(super) key: String,
    /// The data that was followed.
    pub(super) own: Option<Stored>,
    /// The same elsewhere, if that mattered.
    pub(super) elsewhere: Vec<Elsewhere>,
    /// What could not be looked at.
    pub(super) remarks: Vec<String>,
}

/// Cluster data, and when it was written.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) data: ClusterData,
    pub(super) written: String,
    pub(super) index: Index,
}

/// The data of another datacenter.
#[derive(Debug)]
pub(super) struct Elsewhere {
    pub(super) datacenter: String,
    /// In words what is wrong with it.
    pub(super) found: Result<Option<Stored>, String>,
}

impl View {
    /// Looks at a service. Only what the answer rests on is asked for: an active node asks nobody how others are.
    ///
    /// # Errors
    /// In words, if it cannot be told what is expected.
    pub(super) async fn of(place: &Place, service: &str) -> Result<Self, String> {
        let mut view = Self {
            role: Role::Standalone,
            share: None,
            expected: Expected::Running,
            sight: None,
            key: String::new(),
            own: None,
            elsewhere: Vec::new(),
            remarks: Vec::new(),
        };
        let Some(prefix) = &place.conf.cluster_key else { return Ok(view) };
        view.key = cluster_key(prefix, service);
        view.own = stored(&place.client, &view.key, &Query::new()).await?;
        let Some(own) = &view.own else { return Ok(view) };
        let share = own.data.cluster().share_of(&place.host).map_err(|why| why.to_string())?;
        let Some(share) = share.cloned() else { return Ok(view) };
        let (mut datacenter, mut datacenters) = (String::new(), None);
        if matches!(share.placement, Placement::Datacenters { .. }) {
            datacenter = place.datacenter().await?;
            datacenters = Some(known(place).await?);
        }
        let all = datacenters.clone().unwrap_or_default();
        let here = Here { host: &place.host, datacenter: &datacenter, datacenters: &all };
        view.role = share.placement.role_of(here).map_err(|why| why.to_string())?;
        view.share = Some(share);
        if view.role == Role::Standby {
            if datacenter.is_empty() {
                datacenter = place.datacenter().await?;
            }
            view.look_around(place, service, &datacenter, datacenters).await;
        }
        view.expected = expected(view.role, view.share.as_ref(), view.sight.unwrap_or_default());
        Ok(view)
    }

    /// Sees how the active side is, and what is agreed on elsewhere.
    async fn look_around(
        &mut self,
        place: &Place,
        service: &str,
        own: &str,
        datacenters: Option<Vec<String>>,
    ) {
        let mut all_known = true;
        let datacenters = match datacenters {
            Some(datacenters) => datacenters,
            None => known(place).await.unwrap_or_else(|why| {
                self.remarks.push(why);
                all_known = false;
                vec![own.to_owned()]
            }),
        };
        let others: Vec<&String> = datacenters.iter().filter(|name| *name != own).collect();
        let key = self.key.as_str();
        let in_others = others.iter().map(|name| {
            let query = Query::new().datacenter(name.as_str());
            async move { stored(&place.client, key, &query).await }
        });
        let placement = self.share.as_ref().map(|share| &share.placement);
        // Of the own datacenter it is asked in any case: who sees nothing at all, not even here, may not look.
        let asked: Vec<&str> = match placement {
            Some(Placement::Datacenters { active, .. }) => vec![active, own],
            _ => datacenters.iter().map(String::as_str).collect(),
        };
        let healths = asked.iter().map(|name| health(place, service, name));
        let (healths, elsewhere) =
            futures::future::join(futures::future::join_all(healths), futures::future::join_all(in_others))
                .await;
        let mut remarks = Vec::new();
        let mut seen: Vec<(String, Standing)> = Vec::new();
        if healths.iter().flatten().all(|looked| !looked.any) {
            all_known = false;
            remarks.push(format!(
                "No instance of [{service}] can be seen: is it registered, and may the token read it?"
            ));
        }
        let is_active = |name: &str| match placement {
            Some(Placement::Datacenters { active, .. }) => name == active,
            _ => true,
        };
        for (name, health) in asked.iter().zip(healths) {
            match health {
                Ok(looked) if is_active(name) => seen.extend(looked.instances),
                Ok(_) => {}
                Err(why) if !is_active(name) => remarks.push(why),
                Err(why) => {
                    all_known = false;
                    remarks.push(why);
                }
            }
        }
        self.sight = Some(match placement {
            Some(Placement::Nodes { active, .. }) => {
                let mut best = BTreeMap::new();
                for (node, standing) in seen {
                    let known = best.entry(node).or_insert(standing);
                    *known = standing.max(*known);
                }
                Sight::of_nodes(active, &best, all_known)
            }
            _ => {
                // As many may pass there as it takes.
                let enough = self.share.as_ref().map_or(1, |share| share.enough.get());
                let unseen = std::iter::repeat_n(Standing::Unknown, if all_known { 0 } else { enough });
                Sight::of(seen.into_iter().map(|(_, standing)| standing).chain(unseen))
            }
        });
        let found = others.into_iter().zip(elsewhere);
        self.elsewhere = found.map(|(name, found)| Elsewhere { datacenter: name.clone(), found }).collect();
        for other in &self.elsewhere {
            if self.own.as_ref().is_some_and(|own| other.is_ahead(own, &place.host)) {
                remarks.push(format!("{}: an exchange of the roles was not finished", other.datacenter));
            } else if let Some(why) = other.fault(self.own.as_ref()) {
                remarks.push(format!("{}: {why}", other.datacenter));
            }
        }
        self.remarks.extend(remarks);
    }
}

impl Elsewhere {
    /// Whether the roles of this host are there as an exchange of ours would make them: one that was not finished.
    pub(super) fn is_ahead(&self, own: &Stored, host: &str) -> bool {
        let exchanged = own.data.cluster().exchanged(host);
        let (Ok(exchanged), Ok(Some(there))) = (exchanged, &self.found) else { return false };
        exchanged != *own.data.cluster() && exchanged.agrees_with(there.data.cluster())
    }

    /// Why nothing can be agreed on with that datacenter, if so. That nothing lies there is no fault.
    pub(super) fn fault(&self, own: Option<&Stored>) -> Option<String> {
        match &self.found {
            Err(why) => Some(why.clone()),
            Ok(None) => None,
            Ok(Some(other)) => {
                let agrees = own.is_some_and(|own| own.data.cluster().agrees_with(other.data.cluster()));
                (!agrees).then(|| "the cluster data there says something else".to_owned())
            }
        }
    }
}

/// The datacenters there are.
async fn known(place: &Place) -> Result<Vec<String>, String> {
    let all = place.client.catalog().datacenters().await;
    all.map_err(|why| format!("Failed to get the datacenters from Consul: {why}"))
}

async fn stored(client: &Client, key: &str, query: &Query) -> Result<Option<Stored>, String> {
    let answer = client.kv().get(key, &query.clone().consistent()).await;
    let answer = answer.map_err(|why| format!("Failed to get cluster data from Consul: {why}"))?;
    let Some(pair) = answer.value else { return Ok(None) };
    let data = ClusterData::read(&pair.value).map_err(|why| why.to_string())?;
    let written = String::from_utf8_lossy(&pair.value).into_owned();
    Ok(Some(Stored { data, written, index: pair.modify_index }))
}

/// What was seen of a service in a datacenter.
struct Looked {
    /// Whether there was anything to see.
    any: bool,
    /// Nodes that count, with how their instances are.
    instances: Vec<(String, Standing)>,
}

async fn health(place: &Place, service: &str, datacenter: &str) -> Result<Looked, String> {
    let query = Query::new().consistent().datacenter(datacenter);
    let answer = place.client.health().service(service, &query).await;
    let answer =
        answer.map_err(|why| format!("Failed to get the health of [{service}] in {datacenter}: {why}"))?;
    let filter = place.conf.service_filter.as_ref();
    let counts = |instance: &&ServiceHealth| {
        filter.is_none_or(|filter: &HostPattern| filter.matches(&instance.node.name))
    };
    let counted = answer.value.iter().filter(counts);
    let instances = counted.map(|instance| (instance.node.name.clone(), standing(instance))).collect();
    Ok(Looked { any: !answer.value.is_empty(), instances })
}

/// How an instance is: all its own checks must pass, and none of its node's may be critical. What a check could not
/// tell is not held against it.
fn standing(instance: &ServiceHealth) -> Standing {
    let (of_node, own): (Vec<_>, Vec<_>) =
        instance.checks.iter().partition(|check| check.service_id.is_empty());
    if of_node.iter().any(|check| check.status == Status::Critical) {
        return Standing::Failing;
    }
    let mut wrong = own.iter().filter(|check| check.status != Status::Passing).peekable();
    if wrong.peek().is_none() {
        Standing::Passing
    } else if wrong.all(|check| says_unknown(&check.output)) {
        Standing::Unknown
    } else {
        Standing::Failing
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// How an instance with these checks is: name, status, and what it put out.
    fn of(checks: &[(&str, &str, &str)]) -> Standing {
        let check = |(id, status, output): &(&str, &str, &str)| {
            let service = if id.starts_with("service:") { "web" } else { "" };
            json!({ "CheckID": id, "Status": status, "Output": output, "ServiceID": service })
        };
        let checks: Vec<Value> = checks.iter().map(check).collect();
        let instance = json!({ "Node": { "Node": "n1" }, "Service": { "ID": "web", "Service": "web" }, "Checks": checks });
        standing(&serde_json::from_value(instance).unwrap())
    }

    #[test]
    fn bug_2_a_dead_node_is_noticed_although_its_service_check_passes() {
        assert_eq!(of(&[("serfHealth", "critical", ""), ("service:web", "passing", "")]), Standing::Failing);
        assert_eq!(of(&[("serfHealth", "passing", ""), ("service:web", "passing", "")]), Standing::Passing);
        // A disk of the node that fills up is no reason to take over.
        assert_eq!(of(&[("disk", "warning", ""), ("service:web", "passing", "")]), Standing::Passing);
    }

    #[test]
    fn bug_4_all_checks_of_an_instance_count_and_none_is_no_fault() {
        let serf = ("serfHealth", "passing", "");
        assert_eq!(
            of(&[serf, ("service:web:1", "passing", ""), ("service:web:2", "critical", "")]),
            Standing::Failing
        );
        assert_eq!(
            of(&[("service:web:1", "critical", ""), serf, ("service:web:2", "passing", "")]),
            Standing::Failing
        );
        assert_eq!(of(&[serf]), Standing::Passing);
        assert_eq!(of(&[]), Standing::Passing);
    }

    #[test]
    fn bug_13_a_check_that_could_not_be_made_is_no_failure() {
        let serf = ("serfHealth", "passing", "");
        let unknown = ("service:web:1", "warning", "Host must match!\n{\"state\": \"unknown\", \"code\": 1}");
        assert_eq!(of(&[serf, unknown]), Standing::Unknown);
        assert_eq!(of(&[serf, unknown, ("service:web:2", "warning", "slow")]), Standing::Failing);
        assert_eq!(of(&[("serfHealth", "critical", ""), unknown]), Standing::Failing);
        let misused = ("service:web:1", "critical", "{\"state\": \"unknown\", \"code\": 2}");
        assert_eq!(of(&[serf, misused]), Standing::Unknown);
    }
}
