//! Nomad's HTTP API, the few parts of it that are needed.
//!
//! Its refusals are texts, and many a user's mistake is a 500: the text tells more than the status.
//! A restart is only ever asked for with `PUT`: on that path even `GET` restarts.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use lictor_config::NomadApi;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::note::Counters;
use crate::remote::{self, Answer, Failed, Reach, aside, place};
use crate::text::one_line;

/// What is read of an answer, bytes. An allocation is told with its whole job, and a job's
/// allocations with ten events a task.
const READ: usize = 8 << 20;

/// A read that is not held is answered within this, or it is given up.
const LOOK: Duration = Duration::from_secs(10);

/// Of a refusal, characters that are shown.
const SHOWN: usize = 200;

const TOKEN: HeaderName = HeaderName::from_static("x-nomad-token");

/// A Nomad, with the token as it was when it was opened.
pub(super) struct Nomad {
    reach: Reach,
    url: Url,
    token: Option<String>,
    headers: HeaderMap,
    namespace: String,
    region: Option<String>,
}

/// Why Nomad did not do or tell what was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There was no connection: nothing was done.
    Unsent(String),
    /// It was asked, and there is no whole answer.
    Unanswered(String),
    /// The token does not allow it: nothing was done.
    Denied(String),
    /// There is no leader: nothing was done.
    NoLeader,
    /// There is no such thing, or no way to it.
    Missing(String),
    /// Another refusal: its status and what it said. It may have been done all the same.
    Said(u16, String),
    /// The answer is not what it should be.
    Garbled(String),
}

/// An allocation, as far as it matters here. In a list and by itself it has other fields; those
/// that are empty may not be there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Alloc {
    #[serde(rename = "ID")]
    pub(super) id: String,
    /// The job, the group, and which of several of it.
    pub(super) name: String,
    pub(super) namespace: String,
    #[serde(rename = "JobID")]
    pub(super) job: String,
    #[serde(rename = "TaskGroup")]
    pub(super) group: String,
    pub(super) desired_status: String,
    pub(super) client_status: String,
    pub(super) next_allocation: String,
    #[serde(rename = "FollowupEvalID")]
    pub(super) followup: String,
    pub(super) task_states: Option<BTreeMap<String, TaskState>>,
    pub(super) deployment_status: Option<Deployment>,
    pub(super) create_index: u64,
}

/// How a task is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TaskState {
    pub(super) state: String,
    pub(super) failed: bool,
    pub(super) restarts: u64,
    pub(super) started_at: Option<String>,
    /// The last ten.
    pub(super) events: Option<Vec<Event>>,
}

/// What happened to a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Event {
    #[serde(rename = "Type")]
    pub(super) kind: String,
    /// Nanoseconds since 1970, by the clock that `started_at` is of.
    pub(super) time: i64,
}

/// How an allocation does in a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Deployment {
    pub(super) healthy: Option<bool>,
}

/// A job, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Job {
    pub(super) stop: bool,
    pub(super) status: String,
    pub(super) task_groups: Option<Vec<Group>>,
}

/// A group of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) count: Option<i64>,
}

/// An evaluation: Nomad's attempt to place what should run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Evaluation {
    pub(super) status: String,
    pub(super) modify_index: u64,
    #[serde(rename = "FailedTGAllocs")]
    pub(super) failed: Option<BTreeMap<String, Value>>,
}

impl Alloc {
    /// Whether it runs and should.
    pub(super) fn runs(&self) -> bool {
        self.client_status == "running" && self.desired_status == "run" && self.next_allocation.is_empty()
    }

    /// Whether it will not run again.
    pub(super) fn is_over(&self) -> bool {
        !self.next_allocation.is_empty()
            || matches!(self.desired_status.as_str(), "stop" | "evict")
            || matches!(self.client_status.as_str(), "complete" | "failed" | "lost")
    }

    pub(super) fn tasks(&self) -> impl Iterator<Item = (&String, &TaskState)> {
        self.task_states.iter().flatten()
    }

    pub(super) fn task(&self, name: &str) -> Option<&TaskState> {
        self.task_states.as_ref()?.get(name)
    }
}

impl TaskState {
    pub(super) fn counters(&self) -> Counters {
        Counters { restarts: self.restarts, started_at: self.started_at.clone() }
    }

    /// Whether it was told to restart and has not begun anew: its process has so long to end.
    pub(super) fn is_restarting(&self) -> bool {
        let started = self.started_at.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
        let Some(started) = started else { return false };
        let told = |event: &Event| {
            matches!(event.kind.as_str(), "Restart Signaled" | "Restarting")
                && i128::from(event.time) > started.as_nanosecond()
        };
        self.events.iter().flatten().any(told)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsent(why) => write!(f, "it cannot be reached: {why}"),
            Self::Unanswered(why) => f.write_str(why),
            Self::Denied(said) => write!(f, "it refuses us ({said})"),
            Self::NoLeader => f.write_str("its servers have no leader"),
            Self::Missing(said) => write!(f, "status 404: {said}"),
            Self::Said(status, said) => write!(f, "status {status}: {said}"),
            Self::Garbled(why) => write!(f, "its answer is not understood: {why}"),
        }
    }
}

impl fmt::Debug for Nomad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nomad").field("at", &place(&self.url)).finish_non_exhaustive()
    }
}

/// What keeps Nomad from it, in words, with the way out where there is one.
pub(super) fn explain(nomad: &Nomad, trouble: &Trouble) -> String {
    let place = place(&nomad.url);
    match trouble {
        Trouble::Denied(_) => format!(
            "Nomad at {place}: {trouble}; the token needs a policy with namespace \"{}\" {{ capabilities = \
             [\"read-job\", \"alloc-lifecycle\"] }}",
            nomad.namespace
        ),
        Trouble::Unsent(_)
        | Trouble::Unanswered(_)
        | Trouble::NoLeader
        | Trouble::Missing(_)
        | Trouble::Said(..)
        | Trouble::Garbled(_) => format!("Nomad at {place}: {trouble}"),
    }
}

impl Nomad {
    /// Reads the token and certificates; nothing is sent. `limit` is the time limit of what will be
    /// asked.
    ///
    /// # Errors
    /// In words, when one cannot be read or used.
    pub(super) async fn open(api: &NomadApi, limit: Duration) -> Result<Self, String> {
        let connect = limit.mul_f64(0.75).min(LOOK);
        let reach = Reach::new(&api.url, &api.tls, connect).await?;
        let secret = api.token.clone();
        let token =
            aside(move || secret.map(|token| token.reveal()).transpose().map_err(|error| error.to_string()));
        let token = token.await?;
        let mut headers = HeaderMap::new();
        if let Some(token) = &token {
            let mut value = HeaderValue::from_str(token)
                .map_err(|_invalid| "the token holds a character that cannot stand in a header".to_owned())?;
            value.set_sensitive(true);
            headers.insert(TOKEN, value);
        }
        Ok(Self {
            reach,
            url: api.url.clone(),
            token,
            headers,
            namespace: api.namespace.clone().unwrap_or_else(|| "default".to_owned()),
            region: api.region.clone(),
        })
    }

    /// The namespace that is asked about.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The allocations of a job; none for a job that there is not.
    pub(super) async fn allocations(&self, job: &str) -> Result<Vec<Alloc>, Trouble> {
        self.read(&["job", job, "allocations"]).await
    }

    /// A job.
    pub(super) async fn job(&self, job: &str) -> Result<Job, Trouble> {
        self.read(&["job", job]).await
    }

    /// The evaluations of a job.
    pub(super) async fn evaluations(&self, job: &str) -> Result<Vec<Evaluation>, Trouble> {
        self.read(&["job", job, "evaluations"]).await
    }

    /// An allocation.
    pub(super) async fn allocation(&self, id: &str) -> Result<Alloc, Trouble> {
        self.read(&["allocation", id]).await
    }

    /// An allocation, as soon as there is news of it after `index` or `wait` has passed, and the index
    /// to wait after next. The news may be that there is none.
    pub(super) async fn news(&self, id: &str, index: u64, wait: Duration) -> Result<(Alloc, u64), Trouble> {
        let mut url = self.address(&["allocation", id])?;
        if index > 0 {
            // At least 1 ms: without a limit it would be held for minutes.
            let wait = format!("{}ms", wait.as_millis().max(1));
            url.query_pairs_mut().append_pair("index", &index.to_string()).append_pair("wait", &wait);
        }
        // The server adds up to a sixteenth.
        let answer = self.exchange(Method::GET, url, None, LOOK + wait + wait / 16).await?;
        let header = answer.headers.get("x-nomad-index").and_then(|value| value.to_str().ok());
        let index = header.and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok((parsed(&answer)?, index))
    }

    /// Asks for a restart in place, of all tasks or of one. It is answered when the old processes are
    /// gone, and before the new ones are known to run.
    pub(super) async fn restart(
        &self,
        id: &str,
        task: Option<&str>,
        deadline: Instant,
    ) -> Result<(), Trouble> {
        let url = self.address(&["client", "allocation", id, "restart"])?;
        let body = task.map_or_else(|| json!({}), |task| json!({ "TaskName": task }));
        let left = deadline.saturating_duration_since(Instant::now());
        self.exchange(Method::PUT, url, Some(&body), left).await.map(drop)
    }

    /// Asks for an allocation to be stopped, so that another one is placed.
    pub(super) async fn stop(&self, id: &str, deadline: Instant) -> Result<(), Trouble> {
        let url = self.address(&["allocation", id, "stop"])?;
        let left = deadline.saturating_duration_since(Instant::now());
        self.exchange(Method::PUT, url, Some(&json!({})), left).await.map(drop)
    }

    async fn read<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Trouble> {
        let answer = self.exchange(Method::GET, self.address(path)?, None, LOOK).await?;
        parsed(&answer)
    }

    /// An address below `/v1`, under the configured one. The names in it may hold slashes.
    fn address(&self, path: &[&str]) -> Result<Url, Trouble> {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        match url.path_segments_mut() {
            Ok(mut segments) => drop(segments.pop_if_empty().push("v1").extend(path)),
            Err(()) => return Err(Trouble::Unsent("its address names no host".to_owned())),
        }
        url.query_pairs_mut().append_pair("namespace", &self.namespace);
        if let Some(region) = &self.region {
            url.query_pairs_mut().append_pair("region", region);
        }
        Ok(url)
    }

    async fn exchange(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<Answer, Trouble> {
        let mut request =
            self.reach.request(method, url).map_err(Trouble::Unsent)?.headers(self.headers.clone());
        if let Some(body) = body {
            request = request.json(body);
        }
        // Boxed: it is large, and part of everything that asks.
        let answer = Box::pin(remote::send(request, limit, READ)).await.map_err(|failed| match failed {
            Failed::Unsent(why) => Trouble::Unsent(self.shown(&why)),
            Failed::Unanswered(why) => Trouble::Unanswered(self.shown(&why)),
            Failed::TooLarge => Trouble::Garbled(format!("it is larger than {} MiB", READ >> 20)),
        })?;
        if answer.is_good() {
            return Ok(answer);
        }
        Err(refusal(answer.status, self.shown(&answer.text())))
    }

    /// A text of the server's in one line, without our token.
    fn shown(&self, text: &str) -> String {
        let text = match &self.token {
            Some(token) if !token.is_empty() => text.replace(token.as_str(), "***"),
            Some(_) | None => text.to_owned(),
        };
        one_line(&text, SHOWN)
    }
}

/// What a refusal means.
fn refusal(status: u16, said: String) -> Trouble {
    match status {
        401 | 403 => Trouble::Denied(format!("status {status}: {said}")),
        500 if said.contains("acl token lookup failed") => {
            Trouble::Denied(format!("status {status}: {said}"))
        }
        500 if said.contains("No cluster leader") => Trouble::NoLeader,
        404 => Trouble::Missing(said),
        _ => Trouble::Said(status, said),
    }
}

fn parsed<T: DeserializeOwned>(answer: &Answer) -> Result<T, Trouble> {
    serde_json::from_slice(&answer.body).map_err(|error| Trouble::Garbled(error.to_string()))
}

#[cfg(test)]
mod tests {
    use lictor_config::{Secret, Tls};

    use super::*;

    async fn nomad(url: &str) -> Nomad {
        let api = NomadApi {
            url: url.parse().unwrap(),
            token: Some(Secret::value("a6f7c5e1-token")),
            namespace: Some("media team".to_owned()),
            region: Some("eu".to_owned()),
            tls: Tls::default(),
        };
        Nomad::open(&api, Duration::from_secs(1)).await.unwrap()
    }

    #[tokio::test]
    async fn names_are_escaped_and_namespace_and_region_are_named() {
        let nomad = nomad("http://127.0.0.1:4646/?x=1").await;
        let url = nomad.address(&["job", "web/a b", "allocations"]).unwrap();
        assert_eq!(url.path(), "/v1/job/web%2Fa%20b/allocations");
        assert_eq!(url.query(), Some("namespace=media+team&region=eu"));
    }

    #[tokio::test]
    async fn the_token_is_in_nothing_that_is_shown() {
        let nomad = nomad("http://me:pw@127.0.0.1:4646").await;
        let said = nomad.shown("ACL token a6f7c5e1-token\n not found");
        assert_eq!(said, "ACL token *** not found");
        let explained = explain(&nomad, &refusal(403, said));
        assert!(
            explained.starts_with("Nomad at http://127.0.0.1:4646: it refuses us (status 403: "),
            "{explained}"
        );
        assert!(
            explained
                .contains(r#"namespace "media team" { capabilities = ["read-job", "alloc-lifecycle"] }"#)
        );
        assert!(!format!("{nomad:?}").contains("token"), "{nomad:?}");
    }

    #[test]
    fn a_refusal_is_known_by_its_text() {
        let lookup = "acl token lookup failed: index error: UUID must be 36 characters";
        assert!(matches!(refusal(500, lookup.to_owned()), Trouble::Denied(_)));
        assert!(matches!(refusal(403, "Permission denied".to_owned()), Trouble::Denied(_)));
        assert_eq!(refusal(500, "No cluster leader".to_owned()), Trouble::NoLeader);
        let missing = "Unknown allocation \"x\"".to_owned();
        assert_eq!(refusal(404, missing.clone()), Trouble::Missing(missing));
        let said = "1 error occurred: * Task not running".to_owned();
        assert_eq!(refusal(500, said.clone()), Trouble::Said(500, said));
    }

    #[test]
    fn a_task_restarts_from_the_signal_until_it_has_begun_anew() {
        let mut task: TaskState = serde_json::from_str(
            r#"{"State":"running","StartedAt":"2026-11-21T00:16:46.699Z","Events":[
                {"Type":"Started","Time":1795220206699203540},{"Type":"Restart Signaled","Time":1795220220089716749}]}"#,
        )
        .unwrap();
        assert!(task.is_restarting());
        task.started_at = Some("2026-11-21T00:17:00.266442879Z".to_owned());
        assert!(!task.is_restarting());
    }

    #[test]
    fn an_allocation_is_read_as_nomad_1_0_4_tells_it() {
        let text = r#"{"ID":"b9ac8b7b-0e4f-533f-1e3e-40313eb10d08","Namespace":"default","Name":"qbt.dl[0]",
            "JobID":"qbt","Job":{"ID":"qbt","TaskGroups":[]},"TaskGroup":"dl","DesiredStatus":"run",
            "ClientStatus":"running","TaskStates":{
              "vpn":{"State":"running","Failed":false,"Restarts":0,"LastRestart":null,
                "StartedAt":"2026-11-21T00:16:46.77945968Z","FinishedAt":null,"Events":[{"Type":"Received"}]},
              "qbittorrent":{"State":"running","Failed":false,"Restarts":1,
                "LastRestart":"2026-11-21T00:17:00.106154213Z","StartedAt":"2026-11-21T00:17:00.266442879Z","Events":[
                {"Type":"Restart Signaled","Time":1795220220089716749},{"Type":"Terminated","Time":1795220220091515368},
                {"Type":"Restarting","Time":1795220220106154213},{"Type":"Started","Time":1795220220266436153}]}},
            "DeploymentStatus":{"Healthy":true,"Canary":false},"CreateIndex":98,"ModifyIndex":107}"#;
        let alloc: Alloc = serde_json::from_str(text).unwrap();
        assert!(alloc.runs() && !alloc.is_over());
        let task = alloc.task("qbittorrent").unwrap();
        assert_eq!((task.restarts, task.started_at.as_deref()), (1, Some("2026-11-21T00:17:00.266442879Z")));
        assert_eq!(alloc.deployment_status.as_ref().unwrap().healthy, Some(true));
        assert!(!task.is_restarting());
        let stopped: Alloc =
            serde_json::from_str(&text.replace(r#""DesiredStatus":"run""#, r#""DesiredStatus":"stop""#))
                .unwrap();
        assert!(!stopped.runs() && stopped.is_over());
        let pending: Alloc = serde_json::from_str(r#"{"ID":"x","TaskStates":null}"#).unwrap();
        assert_eq!(pending.tasks().count(), 0);
    }
}
