//! Which allocations are meant: those of a job, or the one behind a service in Consul.

use std::time::Duration;

use lictor_config::{NomadAction, NomadHow, NomadTarget};
use lictor_consul::Query;
use lictor_core::{Note, Order};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::Env;
use super::client::{Alloc, Nomad, Trouble, explain};
use super::note::{Aim, Method, Target, short};

/// Consul answers within this, or it is not waited for.
const CONSUL: Duration = Duration::from_secs(10);

/// How the id of a service begins that Nomad registered; the allocation's id follows.
const PREFIX: &str = "_nomad-task-";

/// How long the id of an allocation is.
const UUID: usize = 36;

/// How often the place of an allocation may have been taken by another one since it was noted.
const GENERATIONS: u32 = 16;

/// Finds the allocations and how the counters of their tasks stand, except for what an earlier
/// attempt has `finished`. An error says in words why there is nothing to restart.
pub(super) async fn resolve(
    nomad: &Nomad,
    action: &NomadAction,
    order: &Order,
    env: &Env,
    finished: &[String],
    deadline: Instant,
) -> Result<Aim, String> {
    let found = match &action.target {
        NomadTarget::Job { job, group } => of_job(nomad, job, group.as_deref()).await?,
        NomadTarget::Service { service } => of_service(nomad, service, order, env, deadline).await?,
    };
    let tasks: &[String] = match &action.how {
        NomadHow::Restart { tasks } => tasks,
        NomadHow::Replace => &[],
    };
    let method = match &action.how {
        NomadHow::Restart { .. } => Method::Restart,
        NomadHow::Replace => Method::Replace,
    };
    let left: Vec<&Alloc> = found.iter().filter(|alloc| !finished.contains(&alloc.id)).collect();
    let Some(first) = left.first() else {
        return Err(format!(
            "the attempt before restarted {}, and there is no other allocation that runs",
            finished.iter().map(|alloc| short(alloc)).collect::<Vec<_>>().join(", ")
        ));
    };
    let (job, ns) = (first.job.clone(), first.namespace.clone());
    let ns = if ns.is_empty() { nomad.namespace().to_owned() } else { ns };
    let targets = left.iter().map(|alloc| aimed(alloc, tasks, method)).collect::<Result<_, _>>()?;
    let service = match &action.target {
        NomadTarget::Job { .. } => None,
        NomadTarget::Service { service } => Some(service.clone()),
    };
    Ok(Aim::new(job, ns, service, targets, method))
}

/// An allocation with the tasks that must restart: those that are named, or all that run. One that is
/// over, as it only prepared something, is not restarted by Nomad; one that has not begun waits
/// for something else.
fn aimed(alloc: &Alloc, tasks: &[String], method: Method) -> Result<Target, String> {
    let id = short(&alloc.id);
    let names = || alloc.tasks().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    for name in tasks {
        match alloc.task(name) {
            None => return Err(format!("allocation {id} has no task `{name}`; it has {}", names())),
            Some(task) if task.state == "dead" => {
                return Err(format!("task `{name}` of allocation {id} is over: Nomad does not restart it"));
            }
            Some(_) => {}
        }
    }
    let lives = |state: &str, begun: bool| state == "running" || (state == "pending" && begun);
    let wanted = alloc.tasks().filter(|(name, task)| {
        if tasks.is_empty() { lives(&task.state, task.started_at.is_some()) } else { tasks.contains(name) }
    });
    let wanted: std::collections::BTreeMap<_, _> =
        wanted.map(|(name, task)| (name.clone(), task.counters())).collect();
    if wanted.is_empty() && method == Method::Restart {
        return Err(format!("no task of allocation {id} runs"));
    }
    Ok(Target {
        alloc: alloc.id.clone(),
        group: alloc.group.clone(),
        index: alloc.create_index,
        tasks: wanted,
    })
}

async fn of_job(nomad: &Nomad, job: &str, group: Option<&str>) -> Result<Vec<Alloc>, String> {
    let all = nomad.allocations(job).await.map_err(|trouble| explain(nomad, &trouble))?;
    let of_group = |alloc: &Alloc| group.is_none_or(|group| group == alloc.group);
    let (running, others): (Vec<_>, Vec<_>) = all.into_iter().filter(of_group).partition(Alloc::runs);
    if running.is_empty() {
        return Err(why_none(nomad, job, group, &others).await);
    }
    Ok(running)
}

/// Why no allocation of a job runs.
async fn why_none(nomad: &Nomad, job: &str, group: Option<&str>, others: &[Alloc]) -> String {
    let found = match nomad.job(job).await {
        Ok(found) => found,
        Err(Trouble::Missing(_)) => {
            return format!("Nomad has no job `{job}` in the namespace `{}`", nomad.namespace());
        }
        Err(trouble) => return explain(nomad, &trouble),
    };
    if found.stop {
        return format!("job `{job}` is stopped: nothing of it runs");
    }
    let groups = found.task_groups.unwrap_or_default();
    let named = groups.iter().filter(|known| group.is_none_or(|group| group == known.name));
    let counts: Vec<Option<i64>> = named.map(|group| group.count).collect();
    if let (Some(group), true) = (group, counts.is_empty()) {
        let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        return format!("job `{job}` has no group `{group}`; it has {}", names.join(", "));
    }
    let what =
        group.map_or_else(|| format!("job `{job}`"), |group| format!("group `{group}` of job `{job}`"));
    if !counts.is_empty() && counts.iter().all(|count| *count == Some(0)) {
        return format!("{what} has the count 0: nothing of it runs");
    }
    if let Some(why) = blocked(nomad, job, group).await {
        return format!("nothing of {what} runs: {why}");
    }
    match others.iter().max_by_key(|alloc| alloc.create_index) {
        Some(last) if last.client_status == "failed" && !last.followup.is_empty() => format!(
            "nothing of {what} runs: allocation {} has failed, and Nomad is going to place another one",
            short(&last.id)
        ),
        Some(last) => {
            format!(
                "nothing of {what} runs: its latest allocation {} is {}",
                short(&last.id),
                last.client_status
            )
        }
        None => format!("nothing of {what} runs: the job is {}", found.status),
    }
}

/// Why Nomad places nothing more for what was aimed at, when that is so.
pub(super) async fn placement(nomad: &Nomad, aim: &Aim) -> Option<String> {
    let group = aim.targets.first().map(|target| target.group.as_str());
    blocked(nomad, &aim.job, group).await
}

async fn blocked(nomad: &Nomad, job: &str, group: Option<&str>) -> Option<String> {
    let evaluations = nomad.evaluations(job).await.ok()?;
    let blocked = evaluations.iter().filter(|evaluation| evaluation.status == "blocked");
    let failed = blocked.max_by_key(|evaluation| evaluation.modify_index)?.failed.as_ref()?;
    let (group, why) = failed.iter().find(|(name, _)| group.is_none_or(|group| group == *name))?;
    let keys = |field: &str| -> Vec<String> {
        let map = why.get(field).and_then(Value::as_object);
        map.into_iter().flat_map(|map| map.keys()).map(|key| crate::text::one_line(key, 60)).collect()
    };
    let exhausted = keys("DimensionExhausted");
    let filtered = keys("ConstraintFiltered");
    let reason = if !exhausted.is_empty() {
        format!("no node has enough {}", exhausted.join(" and "))
    } else if !filtered.is_empty() {
        format!("no node fulfils {}", filtered.join(" and "))
    } else {
        "no node can take it".to_owned()
    };
    Some(format!("Nomad cannot place group `{group}`: {reason}"))
}

/// The allocations behind a service. While it is not registered, as in an outage, those that an
/// earlier note of this run found behind it, or what has taken their place.
async fn of_service(
    nomad: &Nomad,
    service: &str,
    order: &Order,
    env: &Env,
    deadline: Instant,
) -> Result<Vec<Alloc>, String> {
    let (behind, why) = match registered(service, env, deadline).await {
        Ok(ids) if !ids.is_empty() => (ids, None),
        Ok(_none) => {
            (Vec::new(), Some(format!("Consul has no instance of `{service}` that Nomad registered")))
        }
        Err(why) => (Vec::new(), Some(why)),
    };
    let ids = if behind.is_empty() { remembered(service, order) } else { behind };
    let mut found: Vec<Alloc> = Vec::new();
    let mut over = Vec::new();
    for id in &ids {
        let known = |found: &[Alloc], alloc: &Alloc| found.iter().any(|other| other.id == alloc.id);
        match nomad.allocation(id).await {
            Ok(alloc) if alloc.runs() => {
                if !known(&found, &alloc) {
                    found.push(alloc);
                }
            }
            Ok(alloc) => match successor(nomad, &Slot::of(&alloc), &[]).await {
                Ok(Some(alloc)) if alloc.runs() && !known(&found, &alloc) => found.push(alloc),
                Ok(_) => over.push(format!("allocation {} is {}", short(id), alloc.client_status)),
                Err(trouble) => return Err(explain(nomad, &trouble)),
            },
            Err(Trouble::Missing(_)) => over.push(format!("Nomad has no allocation {}", short(id))),
            Err(trouble) => return Err(explain(nomad, &trouble)),
        }
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let mut reasons: Vec<String> = why.into_iter().chain(over).collect();
    reasons.push("naming the `job` in place of the service does not depend on Consul".to_owned());
    Err(format!("nothing runs behind the service `{service}`: {}", reasons.join("; ")))
}

/// The allocations of a service's instances, as their ids have them.
async fn registered(service: &str, env: &Env, deadline: Instant) -> Result<Vec<String>, String> {
    let Some(consul) = &env.consul else {
        return Err("this agent has no `consul` block to look it up with".to_owned());
    };
    let limit = deadline.saturating_duration_since(Instant::now()).min(CONSUL);
    let consul = consul.with_time_limit(limit);
    let query = Query::new();
    let asked = timeout(limit, consul.health().service(service, &query)).await;
    let answer = asked
        .map_err(|_late| "Consul has not answered in time".to_owned())?
        .map_err(|error| format!("Consul cannot say: {}", crate::text::one_line(&error.to_string(), 200)))?;
    let mut ids: Vec<String> = Vec::new();
    for instance in &answer.value {
        let by_nomad = instance.service.meta.get("external-source").is_some_and(|by| by == "nomad");
        let id = allocation_of(&instance.service.id).filter(|_| by_nomad);
        ids.extend(id.filter(|id| !ids.iter().any(|other| other == id)).map(str::to_owned));
    }
    Ok(ids)
}

/// The allocation's id in the id of a service that Nomad registered.
fn allocation_of(service_id: &str) -> Option<&str> {
    let rest = service_id.strip_prefix(PREFIX)?;
    let (id, after) = (rest.get(..UUID)?, rest.get(UUID..)?);
    let well_formed = |(at, c): (usize, char)| {
        if matches!(at, 8 | 13 | 18 | 23) { c == '-' } else { c.is_ascii_hexdigit() }
    };
    (after.starts_with('-') && id.chars().enumerate().all(well_formed)).then_some(id)
}

/// The allocations of a note of this run that were found behind this service: of this step, or else
/// of the latest.
fn remembered(service: &str, order: &Order) -> Vec<String> {
    let of = |note: &Note| {
        let aim = Aim::from_text(&note.text)?;
        (aim.service.as_deref() == Some(service)).then_some(aim)
    };
    let own = order.notes.get(&order.step).and_then(of);
    let latest = || {
        let notes = order.notes.values().filter_map(|note| Some((note.at.boot, of(note)?)));
        notes.max_by_key(|(at, _)| *at).map(|(_, aim)| aim)
    };
    let aim = own.or_else(latest);
    aim.map_or_else(Vec::new, |aim| aim.targets.into_iter().map(|target| target.alloc).collect())
}

/// The place of an allocation, which another one takes when it is over.
#[derive(Clone, Debug)]
pub(super) struct Slot<'a> {
    pub(super) job: &'a str,
    pub(super) group: &'a str,
    /// Which of several of the group: `job.group[0]`. `None`: not known any more.
    pub(super) name: Option<&'a str>,
    /// The allocation that took it, when that is known.
    pub(super) next: Option<&'a str>,
    /// When the allocation was made.
    pub(super) index: u64,
}

impl<'a> Slot<'a> {
    pub(super) fn of(alloc: &'a Alloc) -> Self {
        let some = |text: &'a String| (!text.is_empty()).then_some(text.as_str());
        Self {
            job: &alloc.job,
            group: &alloc.group,
            name: some(&alloc.name),
            next: some(&alloc.next_allocation),
            index: alloc.create_index,
        }
    }
}

/// The allocation that has taken a place, at last; none of those that are `taken` for others.
pub(super) async fn successor(
    nomad: &Nomad,
    slot: &Slot<'_>,
    taken: &[String],
) -> Result<Option<Alloc>, Trouble> {
    let mut next = slot.next.map(str::to_owned);
    for _ in 0..GENERATIONS {
        let Some(id) = next else { break };
        let alloc = match nomad.allocation(&id).await {
            Ok(alloc) => alloc,
            Err(Trouble::Missing(_)) => break,
            Err(trouble) => return Err(trouble),
        };
        if alloc.next_allocation.is_empty() && !alloc.is_over() {
            return Ok(Some(alloc));
        }
        next = Some(alloc.next_allocation).filter(|next| !next.is_empty());
    }
    // Older ones do not say in a list what came next, and an allocation may be forgotten.
    let all = nomad.allocations(slot.job).await?;
    let fits = |alloc: &Alloc| {
        alloc.group == slot.group
            && alloc.create_index > slot.index
            && slot.name.is_none_or(|name| name == alloc.name)
            && !alloc.is_over()
            && !taken.contains(&alloc.id)
    };
    Ok(all.into_iter().filter(fits).max_by_key(|alloc| alloc.create_index))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::client::TaskState;
    use super::*;

    #[test]
    fn the_allocation_is_read_out_of_the_id_of_a_service() {
        let id = "b9ac8b7b-0e4f-533f-1e3e-40313eb10d08";
        for rest in ["qbittorrent-sp-http", "group-dl-sp-http"] {
            assert_eq!(allocation_of(&format!("_nomad-task-{id}-{rest}")), Some(id));
        }
        for other in ["sp", "_nomad-task-", "_nomad-task-b9ac8b7b", "_nomad-server-x"] {
            assert_eq!(allocation_of(other), None, "{other}");
        }
        assert_eq!(allocation_of(&format!("_nomad-task-{}-x", id.replace("-0e4f", "z0e4f"))), None);
        assert_eq!(allocation_of(&format!("_nomad-task-{id}")), None);
    }

    fn alloc(tasks: &[(&str, &str, Option<&str>)]) -> Alloc {
        let task = |(name, state, started): &(&str, &str, Option<&str>)| {
            let state = TaskState {
                state: (*state).to_owned(),
                started_at: started.map(str::to_owned),
                ..TaskState::default()
            };
            ((*name).to_owned(), state)
        };
        let states: BTreeMap<_, _> = tasks.iter().map(task).collect();
        Alloc { id: "b9ac8b7b-0e4f".to_owned(), task_states: Some(states), ..Alloc::default() }
    }

    fn wanted(alloc: &Alloc, tasks: &[&str]) -> Result<String, String> {
        let tasks: Vec<String> = tasks.iter().map(|task| (*task).to_owned()).collect();
        let target = aimed(alloc, &tasks, Method::Restart)?;
        Ok(target.tasks.into_keys().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn all_tasks_are_those_that_live() {
        let began = Some("2026-11-21T00:16:46Z");
        let mixed = alloc(&[
            ("init", "dead", began),
            ("vpn", "running", began),
            ("qbittorrent", "pending", began),
            ("cleanup", "pending", None),
        ]);
        assert_eq!(wanted(&mixed, &[]).unwrap(), "qbittorrent vpn");
        assert_eq!(wanted(&mixed, &["vpn"]).unwrap(), "vpn");
        let none = alloc(&[("init", "dead", began)]);
        assert_eq!(wanted(&none, &[]).unwrap_err(), "no task of allocation b9ac8b7b runs");
    }

    #[test]
    fn a_task_that_cannot_be_restarted_is_told_of_before() {
        let alloc = alloc(&[("init", "dead", None), ("vpn", "running", None)]);
        let error = wanted(&alloc, &["vpm"]).unwrap_err();
        assert_eq!(error, "allocation b9ac8b7b has no task `vpm`; it has init, vpn");
        let error = wanted(&alloc, &["init"]).unwrap_err();
        assert_eq!(error, "task `init` of allocation b9ac8b7b is over: Nomad does not restart it");
    }
}
