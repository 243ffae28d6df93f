//! The routes: what is answered to what.

use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Asked, OnRestart, Restart, Shared, State};
use crate::standin::{Reply, Request, lock};
use crate::wait::now;

/// A hanging answer is given up after this, so that a test that fails ends.
const HANGS: Duration = Duration::from_secs(60);

/// How long a blocking query without a limit of its own is held.
const WAIT: Duration = Duration::from_secs(300);

const REGION: &str = "global";

const NOT_RUNNING: &str = "1 error occurred:\n\t* Task not running\n\n";

impl Shared {
    pub(super) fn answer(&self, request: &Request) -> Option<Reply> {
        let mut state = lock(&self.state);
        let named = |name: &str| request.query.get(name).cloned();
        state.asked.push(Asked {
            method: request.method.clone(),
            path: request.path.clone(),
            namespace: named("namespace"),
            region: named("region"),
            token: request.header("x-nomad-token").map(str::to_owned),
            blocking: request.query.contains_key("index"),
        });
        state = self.until(state, HANGS, |state| !state.settings.hangs);
        if let Some(refused) = refused(&state, request) {
            return Some(refused);
        }
        let namespace = named("namespace").unwrap_or_else(|| "default".to_owned());
        let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        let reply = match (request.method.as_str(), segments.as_slice()) {
            ("GET", ["v1", "status", "leader"]) => Reply::json(&json!("127.0.0.1:4647")),
            ("GET", ["v1", "agent", "health"]) => {
                let fine = json!({ "ok": true, "message": "ok" });
                Reply::json(&json!({ "client": fine, "server": fine }))
            }
            ("GET", ["v1", "job", job, "allocations"]) => {
                return Some(self.held(state, request, |state| Some(state.list(&namespace, job))));
            }
            ("GET", ["v1", "job", job, "evaluations"]) => Reply::json(&state.evaluations(&namespace, job)),
            ("GET", ["v1", "job", job]) => {
                state.settle(now());
                state
                    .job(&namespace, job)
                    .map_or_else(|| Reply::text(404, "job not found"), |job| Reply::json(&job))
            }
            ("GET", ["v1", "allocation", id]) => {
                return Some(self.held(state, request, |state| state.full(&namespace, id)));
            }
            (method, ["v1", "allocation", id, "stop"]) => {
                state.settle(now());
                if !matches!(method, "PUT" | "POST") {
                    Reply::text(405, "Invalid method")
                } else if state.stopped(id, now()) {
                    self.changed.notify_all();
                    Reply::json(&json!({ "EvalID": "9cb28649-b8b8-1592-b655-a43e14f80ec7", "Index": 25 }))
                } else {
                    Reply::text(404, format!("Unknown allocation \"{id}\""))
                }
            }
            // Whatever the method.
            (method, ["v1", "client", "allocation", id, "restart"]) => {
                return Some(self.restart(state, method, id, &request.body));
            }
            _ => Reply::text(404, "Invalid path"),
        };
        Some(reply)
    }

    /// A read, which may be held until there is something newer than an index.
    fn held(
        &self,
        mut state: MutexGuard<'_, State>,
        request: &Request,
        read: impl Fn(&State) -> Option<(Value, u64)>,
    ) -> Reply {
        let Ok(after) = request.query.get("index").map_or(Ok(0), |text| text.parse::<u64>()) else {
            return Reply::text(400, "Invalid index");
        };
        let Some(wait) = request.query.get("wait").map_or(Some(WAIT), |text| duration(text)) else {
            return Reply::text(400, "Invalid wait time");
        };
        let deadline = now() + wait;
        loop {
            let at = now();
            state.settle(at);
            let Some((value, index)) = read(&state) else {
                let id = request.segments.get(2).map_or("", String::as_str);
                return Reply::text(404, format!("alloc not found: \"{id}\""));
            };
            let index = if state.settings.restored { index.min(3) } else { index };
            let old = after > 0 && index <= after && !state.settings.restored;
            if !old || at >= deadline || state.closed {
                return Reply::json(&value)
                    .with("X-Nomad-Index", index)
                    .with("X-Nomad-Knownleader", true)
                    .with("X-Nomad-Lastcontact", 0);
            }
            let next = state.next_due().map_or(deadline, |due| due.min(deadline));
            state = self.wait(state, next);
        }
    }

    /// The call of a restart: held until the old processes are gone.
    fn restart<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        method: &str,
        alloc: &str,
        body: &str,
    ) -> Reply {
        state.settle(now());
        let body: Value = match serde_json::from_str(if body.is_empty() { "{}" } else { body }) {
            Ok(body) => body,
            Err(error) => return Reply::text(500, format!("failed to decode JSON: {error}")),
        };
        let task = body.get("TaskName").and_then(Value::as_str).filter(|task| !task.is_empty());
        state.restarts.push(Restart {
            method: method.to_owned(),
            alloc: alloc.to_owned(),
            task: task.map(str::to_owned),
            at: now().saturating_duration_since(self.started),
        });
        if alloc.len() != 36 {
            return Reply::text(500, "alloc lookup failed: index error: UUID must be 36 characters");
        }
        let Some(tasks) = state.tasks(alloc) else {
            return Reply::text(404, format!("Unknown allocation \"{alloc}\""));
        };
        let Some(tasks) = tasks else { return Reply::text(500, NOT_RUNNING) };
        let over = |name: &str| tasks.get(name).is_some_and(|state| *state != "running");
        let says = match task {
            Some(task) if !tasks.contains_key(task) => {
                return Reply::text(500, format!("Could not find task runner for task: {task}"));
            }
            Some(task) if over(task) => return Reply::text(500, "Task not running"),
            None if !state.settings.modern && tasks.keys().any(|name| over(name)) => Some(NOT_RUNNING),
            Some(_) | None => None,
        };
        let comes = state.settings.restart.clone();
        match &comes {
            OnRestart::Refused(status, text) => return Reply::text(*status, text.clone()),
            OnRestart::Ignored => return done(),
            OnRestart::Replaced => {
                state.stopped(alloc, now());
            }
            OnRestart::Fails => state.failed(alloc, now()),
            OnRestart::Works | OnRestart::WorksButSays(..) | OnRestart::Again(_) => {
                state.told(alloc, task, now());
                drop(state);
                self.changed.notify_all();
                let hook = lock(&self.on_restart).clone();
                if let Some(hook) = hook {
                    hook(alloc, task);
                }
                state = lock(&self.state);
                let held = state.settings.blocks;
                state = self.until(state, held, |_| false);
                state.restarted(alloc, task, now());
            }
        }
        drop(state);
        self.changed.notify_all();
        match (comes, says) {
            (OnRestart::WorksButSays(status, text), _) => Reply::text(status, text),
            (_, Some(text)) => Reply::text(500, text),
            (_, None) => done(),
        }
    }

    /// Waits until something holds, but not for long.
    fn until<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        long: Duration,
        holds: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        let deadline = now() + long;
        while !holds(&state) && !state.closed && now() < deadline {
            state = self.wait(state, deadline);
        }
        state
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, until: Instant) -> MutexGuard<'a, State> {
        let long = until.saturating_duration_since(now());
        self.changed.wait_timeout(state, long).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Why nobody who asks like this gets an answer now.
fn refused(state: &State, request: &Request) -> Option<Reply> {
    let settings = &state.settings;
    if let Some((status, text)) = &settings.refuses {
        return Some(Reply::text(*status, text.clone()));
    }
    if settings.leaderless {
        return Some(Reply::text(500, "No cluster leader"));
    }
    if request.query.get("region").is_some_and(|region| region != REGION) {
        return Some(Reply::text(500, "No path to region"));
    }
    let wanted = settings.token.as_deref()?;
    match request.header("x-nomad-token") {
        Some(token) if token == wanted => None,
        None => Some(Reply::text(403, "Permission denied")),
        Some(token) if token.len() != 36 => {
            let text = "acl token lookup failed: index error: UUID must be 36 characters";
            Some(Reply::text(500, text))
        }
        Some(_) => Some(Reply::text(403, "ACL token not found")),
    }
}

fn done() -> Reply {
    Reply::json(&json!({ "Index": 0 }))
}

/// A duration as Go writes it, in milliseconds, seconds or minutes.
fn duration(text: &str) -> Option<Duration> {
    let (digits, millis) = if let Some(digits) = text.strip_suffix("ms") {
        (digits, 1)
    } else if let Some(digits) = text.strip_suffix('s') {
        (digits, 1_000)
    } else {
        (text.strip_suffix('m')?, 60_000)
    };
    Some(Duration::from_millis(digits.parse::<u64>().ok()? * millis))
}
