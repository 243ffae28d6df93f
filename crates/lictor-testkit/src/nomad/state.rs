//! What the servers know: allocations and their tasks, and what they will learn.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Asked, OnRestart, Restart, Settings};

/// How many events of a task are kept.
const EVENTS: usize = 10;

/// The instant at which each stand-in starts, by its own account: nanoseconds since 1970.
const START: u64 = 1_795_219_200_000_000_000;

/// What a stand-in is and knows.
pub(crate) struct State {
    pub(super) settings: Settings,
    pub(super) restarts: Vec<Restart>,
    pub(super) asked: Vec<Asked>,
    pub(super) closed: bool,
    allocs: Vec<Alloc>,
    /// Jobs that are stopped.
    stopped_jobs: BTreeSet<String>,
    /// What becomes known later, in no order.
    due: Vec<(Instant, Change)>,
    /// The last index of all.
    index: u64,
    started: Instant,
}

#[derive(Clone, Debug)]
struct Alloc {
    id: String,
    namespace: String,
    job: String,
    group: String,
    /// Which of several of its group.
    slot: usize,
    desired: &'static str,
    client: &'static str,
    created: u64,
    modified: u64,
    next: Option<String>,
    followup: bool,
    tasks: BTreeMap<String, Task>,
}

#[derive(Clone, Debug)]
struct Task {
    state: &'static str,
    failed: bool,
    restarts: u64,
    last_restart: Option<Instant>,
    started: Option<Instant>,
    finished: Option<Instant>,
    /// The last ten.
    events: Vec<(&'static str, Instant)>,
}

impl Task {
    /// Has something happen to it.
    fn note(&mut self, kind: &'static str, at: Instant) {
        self.events.push((kind, at));
        let many = self.events.len().saturating_sub(EVENTS);
        self.events.drain(..many);
    }
}

/// What becomes known of an allocation.
#[derive(Clone, Debug)]
enum Change {
    /// These tasks were told to restart.
    Told(String, Vec<String>),
    /// These tasks have ended and will be started again.
    Down(String, Vec<String>),
    /// They run.
    Up(String, Vec<String>),
    /// The client has ended it.
    Ended(String),
    /// Another one is placed in its stead.
    Place(String),
}

impl State {
    pub(super) fn new(started: Instant) -> Self {
        Self {
            settings: Settings::default(),
            restarts: Vec::new(),
            asked: Vec::new(),
            closed: false,
            allocs: Vec::new(),
            stopped_jobs: BTreeSet::new(),
            due: Vec::new(),
            index: 10,
            started,
        }
    }

    pub(super) fn run(&mut self, namespace: &str, job: &str, group: &str, tasks: &[&str]) -> String {
        let id = uuid();
        let started = Some(self.started);
        let task = Task {
            state: "running",
            failed: false,
            restarts: 0,
            last_restart: None,
            started,
            finished: None,
            events: vec![("Received", self.started), ("Started", self.started)],
        };
        self.index += 1;
        // One that takes another's place has its slot.
        let of = |alloc: &&Alloc| alloc.namespace == namespace && alloc.job == job && alloc.group == group;
        let slot = self.allocs.iter().filter(of).map(|alloc| alloc.slot + 1).max().unwrap_or(0);
        self.allocs.push(Alloc {
            id: id.clone(),
            slot,
            namespace: namespace.to_owned(),
            job: job.to_owned(),
            group: group.to_owned(),
            desired: "run",
            client: "running",
            created: self.index,
            modified: self.index,
            next: None,
            followup: false,
            tasks: tasks.iter().map(|name| ((*name).to_owned(), task.clone())).collect(),
        });
        id
    }

    pub(super) fn add_finished_task(&mut self, alloc: &str, task: &str) {
        let started = self.started;
        let Some(alloc) = self.alloc(alloc) else { panic!("there is no allocation {alloc}") };
        let over = Task {
            state: "dead",
            failed: false,
            restarts: 0,
            last_restart: None,
            started: Some(started),
            finished: Some(started),
            events: vec![("Started", started), ("Terminated", started)],
        };
        alloc.tasks.insert(task.to_owned(), over);
    }

    pub(super) fn allocations(&self, job: &str) -> Vec<String> {
        self.allocs.iter().filter(|alloc| alloc.job == job).map(|alloc| alloc.id.clone()).collect()
    }

    /// The client tells tasks to restart (`None`: those that run); the servers learn of it later.
    pub(super) fn told(&mut self, alloc: &str, task: Option<&str>, at: Instant) {
        let tasks = self.live(alloc, task);
        self.due.push((at + self.settings.late, Change::Told(alloc.to_owned(), tasks)));
    }

    fn live(&mut self, alloc: &str, task: Option<&str>) -> Vec<String> {
        let live = |(name, state): (&String, &Task)| {
            (state.state != "dead" && task.is_none_or(|task| task == name)).then(|| name.clone())
        };
        self.alloc(alloc).map_or_else(Vec::new, |alloc| alloc.tasks.iter().filter_map(live).collect())
    }

    /// The client restarts tasks (`None`: those that run); the servers learn of it later.
    pub(super) fn restarted(&mut self, alloc: &str, task: Option<&str>, at: Instant) {
        let tasks = self.live(alloc, task);
        let down = at + self.settings.late;
        let up = down + self.settings.down;
        self.due.push((down, Change::Down(alloc.to_owned(), tasks.clone())));
        self.due.push((up, Change::Up(alloc.to_owned(), tasks.clone())));
        if let OnRestart::Again(after) = self.settings.restart {
            let (down, up) = (up + after, up + after + self.settings.down);
            self.due.push((down, Change::Down(alloc.to_owned(), tasks.clone())));
            self.due.push((up, Change::Up(alloc.to_owned(), tasks)));
        }
    }

    /// An allocation is to be stopped and replaced. `false`: there is none.
    pub(super) fn stopped(&mut self, alloc: &str, at: Instant) -> bool {
        let later = self.settings.late;
        let modified = self.next_index();
        let Some(found) = self.alloc(alloc) else { return false };
        found.desired = "stop";
        found.modified = modified;
        self.due.push((at + later, Change::Ended(alloc.to_owned())));
        self.place_another(alloc, at + later);
        true
    }

    /// The tasks of an allocation end for good.
    pub(super) fn failed(&mut self, alloc: &str, at: Instant) {
        let modified = self.next_index();
        let Some(found) = self.alloc(alloc) else { return };
        found.client = "failed";
        found.followup = true;
        found.modified = modified;
        for task in found.tasks.values_mut() {
            *task = Task { state: "dead", failed: true, finished: Some(at), ..task.clone() };
        }
        self.place_another(alloc, at);
    }

    pub(super) fn stop_job(&mut self, job: &str, at: Instant) {
        self.stopped_jobs.insert(job.to_owned());
        let modified = self.next_index();
        let later = at + self.settings.late;
        for alloc in self.allocs.iter_mut().filter(|alloc| alloc.job == job && alloc.desired == "run") {
            alloc.desired = "stop";
            alloc.modified = modified;
            self.due.push((later, Change::Ended(alloc.id.clone())));
        }
    }

    pub(super) fn forget(&mut self, alloc: &str) {
        self.allocs.retain(|other| other.id != alloc);
    }

    fn place_another(&mut self, alloc: &str, at: Instant) {
        if !self.settings.full {
            self.due.push((at + self.settings.placing, Change::Place(alloc.to_owned())));
        }
    }

    /// Takes in what has become known by now.
    pub(super) fn settle(&mut self, now: Instant) {
        loop {
            let next = self.due.iter().enumerate().filter(|(_, (at, _))| *at <= now);
            let Some((position, _)) = next.min_by_key(|(_, (at, _))| *at) else { return };
            let (at, change) = self.due.swap_remove(position);
            self.learn(change, at);
        }
    }

    /// When something becomes known next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.iter().map(|(at, _)| *at).min()
    }

    fn learn(&mut self, change: Change, at: Instant) {
        let modified = self.next_index();
        match change {
            Change::Told(alloc, tasks) => {
                let Some(alloc) = self.alloc(&alloc) else { return };
                alloc.modified = modified;
                for (_, task) in alloc.tasks.iter_mut().filter(|(name, _)| tasks.contains(name)) {
                    task.note("Restart Signaled", at);
                }
            }
            Change::Down(alloc, tasks) => {
                let Some(alloc) = self.alloc(&alloc) else { return };
                alloc.modified = modified;
                for (_, task) in alloc.tasks.iter_mut().filter(|(name, _)| tasks.contains(name)) {
                    task.state = "pending";
                    task.restarts += 1;
                    task.last_restart = Some(at);
                    task.finished = Some(at);
                    task.note("Terminated", at);
                    task.note("Restarting", at);
                }
            }
            Change::Up(alloc, tasks) => {
                let Some(alloc) = self.alloc(&alloc) else { return };
                alloc.modified = modified;
                alloc.client = "running";
                for (_, task) in alloc.tasks.iter_mut().filter(|(name, _)| tasks.contains(name)) {
                    *task = Task { state: "running", started: Some(at), finished: None, ..task.clone() };
                    task.note("Started", at);
                }
            }
            Change::Ended(alloc) => {
                let Some(alloc) = self.alloc(&alloc) else { return };
                alloc.modified = modified;
                alloc.client = "complete";
                for task in alloc.tasks.values_mut() {
                    *task = Task { state: "dead", finished: Some(at), ..task.clone() };
                }
            }
            Change::Place(alloc) => self.place(&alloc, modified, at),
        }
    }

    fn place(&mut self, old: &str, index: u64, at: Instant) {
        let id = uuid();
        let Some(found) = self.alloc(old) else { return };
        found.next = Some(id.clone());
        found.modified = index;
        let tasks: Vec<String> = found.tasks.keys().cloned().collect();
        let fresh = Task {
            state: "pending",
            failed: false,
            restarts: 0,
            last_restart: None,
            started: None,
            finished: None,
            events: vec![("Received", at)],
        };
        let new = Alloc {
            id: id.clone(),
            desired: "run",
            client: "pending",
            created: index,
            next: None,
            followup: false,
            tasks: tasks.iter().map(|name| (name.clone(), fresh.clone())).collect(),
            ..found.clone()
        };
        self.allocs.push(new);
        self.due.push((at + self.settings.starting, Change::Up(id, tasks)));
    }

    fn next_index(&mut self) -> u64 {
        self.index += 1;
        self.index
    }

    fn alloc(&mut self, id: &str) -> Option<&mut Alloc> {
        self.allocs.iter_mut().find(|alloc| alloc.id == id)
    }

    /// Whether there is such an allocation, and the states of its tasks if it should run.
    pub(super) fn tasks(&self, alloc: &str) -> Option<Option<BTreeMap<String, &'static str>>> {
        let alloc = self.allocs.iter().find(|other| other.id == alloc)?;
        let runs = alloc.desired == "run" && alloc.client == "running";
        let states = alloc.tasks.iter().map(|(name, task)| (name.clone(), task.state));
        Some(runs.then(|| states.collect()))
    }

    /// An allocation as it is read by its id, with its index.
    pub(super) fn full(&self, namespace: &str, id: &str) -> Option<(Value, u64)> {
        let alloc = self.allocs.iter().find(|alloc| alloc.id == id && alloc.namespace == namespace)?;
        let mut value = self.shown(alloc);
        // What is empty is left out here, and the job is told whole.
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|_, value| value.as_str() != Some(""));
            fields.insert("Job".to_owned(), json!({ "ID": alloc.job, "Version": 0 }));
            if let Some(next) = &alloc.next {
                fields.insert("NextAllocation".to_owned(), json!(next));
            }
        }
        Some((value, alloc.modified))
    }

    /// The allocations of a job as they are listed, with their index; none for an unknown job.
    pub(super) fn list(&self, namespace: &str, job: &str) -> (Value, u64) {
        let of = |alloc: &&Alloc| alloc.job == job && alloc.namespace == namespace;
        let list: Vec<Value> = self.allocs.iter().filter(of).map(|alloc| self.shown(alloc)).collect();
        let index = self.allocs.iter().filter(of).map(|alloc| alloc.modified).max();
        (Value::Array(list), index.unwrap_or(1))
    }

    pub(super) fn job(&self, namespace: &str, job: &str) -> Option<Value> {
        let of: Vec<&Alloc> =
            self.allocs.iter().filter(|alloc| alloc.job == job && alloc.namespace == namespace).collect();
        let groups: BTreeSet<&str> = of.iter().map(|alloc| alloc.group.as_str()).collect();
        let stop = self.stopped_jobs.contains(job);
        let status = if stop {
            "dead"
        } else if of.iter().any(|alloc| alloc.client == "running") {
            "running"
        } else {
            "pending"
        };
        let groups: Vec<Value> = groups.iter().map(|name| json!({ "Name": name, "Count": 1 })).collect();
        (!of.is_empty()).then(|| {
            json!({
                "ID": job, "Name": job, "Namespace": namespace, "Type": "service", "Version": 0,
                "Stop": stop, "Status": status, "TaskGroups": groups,
            })
        })
    }

    pub(super) fn evaluations(&self, namespace: &str, job: &str) -> Value {
        let of = |alloc: &&Alloc| alloc.job == job && alloc.namespace == namespace;
        let waiting = |alloc: &&Alloc| alloc.next.is_none() && (alloc.desired != "run" || alloc.followup);
        let mut list = vec![json!({
            "ID": "28143cb9-a81c-aa72-e7f1-2343220ad7ba", "JobID": job, "Status": "complete",
            "TriggeredBy": "job-register", "CreateIndex": 10, "ModifyIndex": 11,
        })];
        let short = self.allocs.iter().filter(of).find(waiting).filter(|_| self.settings.full);
        if let Some(alloc) = short {
            list.push(json!({
                "ID": "92f912c5-aa27-aa2e-a645-25fa9fad35c4", "JobID": job, "Status": "blocked",
                "TriggeredBy": "queued-allocs", "CreateIndex": alloc.modified, "ModifyIndex": alloc.modified,
                "FailedTGAllocs": { alloc.group.clone(): {
                    "NodesEvaluated": 1, "NodesExhausted": 1,
                    "DimensionExhausted": { "memory": 1 }, "ConstraintFiltered": null,
                } },
            }));
        }
        Value::Array(list)
    }

    fn shown(&self, alloc: &Alloc) -> Value {
        let task = |task: &Task| {
            json!({
                "State": task.state, "Failed": task.failed, "Restarts": task.restarts,
                "LastRestart": task.last_restart.map(|at| self.time(at)),
                "StartedAt": task.started.map(|at| self.time(at)),
                "FinishedAt": task.finished.map(|at| self.time(at)),
                "Events": task.events.iter().map(|event| self.event(event)).collect::<Vec<_>>(),
            })
        };
        let tasks: BTreeMap<&String, Value> =
            alloc.tasks.iter().map(|(name, state)| (name, task(state))).collect();
        let followup = if alloc.followup { "300378b5-868a-76c4-2bb6-ed0a91a54d20" } else { "" };
        let description = if alloc.desired == "stop" { "alloc is being migrated" } else { "" };
        json!({
            "ID": alloc.id, "Namespace": alloc.namespace, "JobID": alloc.job, "TaskGroup": alloc.group,
            "Name": format!("{}.{}[{}]", alloc.job, alloc.group, alloc.slot), "JobVersion": 0,
            "DesiredStatus": alloc.desired, "DesiredDescription": description,
            "ClientStatus": alloc.client, "FollowupEvalID": followup,
            "DeploymentStatus": null, "TaskStates": tasks,
            "CreateIndex": alloc.created, "ModifyIndex": alloc.modified,
        })
    }

    fn event(&self, (kind, at): &(&'static str, Instant)) -> Value {
        let since = u64::try_from(at.saturating_duration_since(self.started).as_nanos()).unwrap_or(u64::MAX);
        json!({ "Type": kind, "Time": START.saturating_add(since), "Message": "" })
    }

    /// An instant as Nomad writes it: without zeros at the end of the fraction.
    fn time(&self, at: Instant) -> String {
        let since: Duration = at.saturating_duration_since(self.started);
        let seconds = since.as_secs();
        let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        let fraction = format!("{:09}", since.subsec_nanos());
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        format!("2026-11-21T{hours:02}:{minutes:02}:{seconds:02}{point}{fraction}Z")
    }
}

/// A random id in the usual form.
fn uuid() -> String {
    let part = |bits: u32| rand::random_range(0..1_u64 << bits);
    format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", part(32), part(16), part(16), part(16), part(48))
}
