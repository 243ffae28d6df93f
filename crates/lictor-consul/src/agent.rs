//! The agent that is asked: itself, its members, its own services and checks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::Error;
use crate::health::{Check, Service, Status};
use crate::query::{Consistency, Query};
use crate::request::Request;
use crate::wire;

/// The agent that is asked (`/v1/agent`). See [`Client::agent`].
///
/// What is registered here belongs to this agent, which keeps it over a restart and repeats it to the
/// catalog; the catalog may lag behind for a moment.
#[derive(Clone, Copy, Debug)]
pub struct Agent<'a>(&'a Client);

/// What an agent says of itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AgentInfo {
    /// Who it is.
    #[serde(default)]
    pub config: AgentConfig,
    /// Everything it is set to, in a form that differs between versions of Consul.
    #[serde(default)]
    pub debug_config: serde_json::Value,
    /// How it stands, by parts; numbers and words are texts.
    #[serde(default)]
    pub stats: serde_json::Value,
}

/// Who an agent is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AgentConfig {
    /// Its datacenter.
    #[serde(default)]
    pub datacenter: String,
    /// Its node's name.
    #[serde(default)]
    pub node_name: String,
    /// Its node's id.
    #[serde(rename = "NodeID", default)]
    pub node_id: String,
    /// Whether it is a server.
    #[serde(default)]
    pub server: bool,
    /// The version of Consul.
    #[serde(default)]
    pub version: String,
}

/// A member of the agent's gossip.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Member {
    /// Its node's name.
    pub name: String,
    /// Its address.
    #[serde(rename = "Addr", default)]
    pub address: String,
    /// Its port for gossip.
    #[serde(default)]
    pub port: u16,
    /// What it tells of itself.
    #[serde(default, deserialize_with = "wire::null_is_default")]
    pub tags: BTreeMap<String, String>,
    /// How it is, as a number of Serf's.
    #[serde(default)]
    pub status: u8,
}

impl Member {
    /// Whether it is alive as far as the agent knows.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        // Serf: none 0, alive 1, leaving 2, left 3, failed 4.
        self.status == 1
    }
}

/// A service to be registered with the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NewService {
    /// Its id, unique on the node; the name if unset.
    #[serde(rename = "ID", skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// What is noted about it.
    pub meta: BTreeMap<String, String>,
    /// Its address; the node's if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Its checks.
    #[serde(serialize_with = "checks")]
    pub checks: Vec<NewCheck>,
}

/// A check to be registered with the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCheck {
    /// Its id, unique on the node; made from the name or the service if unset.
    pub id: Option<String>,
    /// Its name for people; needed unless it belongs to a [`NewService`].
    pub name: String,
    /// What is noted about it.
    pub notes: String,
    /// The service it is for, by its id; the node if unset.
    pub service_id: Option<String>,
    /// How it is made.
    pub kind: CheckKind,
    /// What it says before it was first made; critical if unset.
    pub status: Option<Status>,
    /// How long it may be critical before its service is taken out: at least 1 min.
    pub deregister_after: Option<Duration>,
}

/// How a check is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// Something must say how it is at least this often ([`Agent::pass`] and others), else it is
    /// critical.
    Ttl(Duration),
    /// The agent asks a URL: 2xx is passing, 429 a warning, the rest critical.
    Http {
        /// The URL.
        url: String,
        /// How often.
        interval: Duration,
        /// Time limit of each.
        timeout: Duration,
    },
    /// The agent connects to `HOST:PORT`.
    Tcp {
        /// The address.
        address: String,
        /// How often.
        interval: Duration,
        /// Time limit of each.
        timeout: Duration,
    },
}

impl NewCheck {
    /// A check with this name and nothing else set.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: CheckKind) -> Self {
        Self {
            id: None,
            name: name.into(),
            notes: String::new(),
            service_id: None,
            kind,
            status: None,
            deregister_after: None,
        }
    }

    /// The check as it is written among a service's.
    fn wire(&self) -> CheckWire<'_> {
        let mut wire = CheckWire {
            check_id: self.id.as_deref(),
            name: &self.name,
            notes: &self.notes,
            service_id: self.service_id.as_deref(),
            status: self.status.as_ref(),
            deregister_critical_service_after: self.deregister_after.map(wire::to_go),
            ..CheckWire::default()
        };
        match &self.kind {
            CheckKind::Ttl(ttl) => wire.ttl = Some(wire::to_go(*ttl)),
            CheckKind::Http { url, interval, timeout } => {
                wire.http = Some(url);
                wire.interval = Some(wire::to_go(*interval));
                wire.timeout = Some(wire::to_go(*timeout));
            }
            CheckKind::Tcp { address, interval, timeout } => {
                wire.tcp = Some(address);
                wire.interval = Some(wire::to_go(*interval));
                wire.timeout = Some(wire::to_go(*timeout));
            }
        }
        wire
    }
}

/// Whether a node or service is taken out of use for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maintenance<'a> {
    /// It is, for this reason: a critical check says so.
    On(&'a str),
    /// It is not.
    Off,
}

impl<'a> Agent<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self(client)
    }

    /// What the agent says of itself.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn info(self) -> Result<AgentInfo, Error> {
        Ok(self.0.fetch(Request::get("/v1/agent/self")).await?.value)
    }

    /// The members of the agent's gossip, dead ones included.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn members(self) -> Result<Vec<Member>, Error> {
        Ok(self.0.fetch(Request::get("/v1/agent/members")).await?.value)
    }

    /// The servers of all datacenters that gossip with each other, dead ones included; none, if the agent is no server.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn wan_members(self) -> Result<Vec<Member>, Error> {
        Ok(self.0.fetch(Request::get("/v1/agent/members").switch("wan")).await?.value)
    }

    /// The agent's own services, by their ids. Of the query, only the filter counts.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn services(self, query: &Query) -> Result<BTreeMap<String, Service>, Error> {
        let request = Request::get("/v1/agent/services").query(query, Consistency::Default);
        Ok(self.0.fetch(request).await?.value)
    }

    /// The agent's own checks, by their ids. Of the query, only the filter counts.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn checks(self, query: &Query) -> Result<BTreeMap<String, Check>, Error> {
        let request = Request::get("/v1/agent/checks").query(query, Consistency::Default);
        Ok(self.0.fetch(request).await?.value)
    }

    /// Registers a service, or changes it. Checks it had and has no more are taken out as well.
    ///
    /// # Errors
    /// If it is not known to have happened.
    pub async fn register_service(self, service: &NewService) -> Result<(), Error> {
        let request =
            Request::put("/v1/agent/service/register").switch("replace-existing-checks").json(service);
        self.0.perform(request).await
    }

    /// Takes out a service, by its id, with its checks. That there is none is success for Consul 1.8,
    /// and an error with status 404 for later ones.
    ///
    /// # Errors
    /// If it is not known to have happened.
    pub async fn deregister_service(self, id: &str) -> Result<(), Error> {
        let request = Request::put("/v1/agent/service/deregister/").name(id);
        self.0.perform(request).await
    }

    /// Registers a check, or changes it.
    ///
    /// # Errors
    /// If it is not known to have happened.
    pub async fn register_check(self, check: &NewCheck) -> Result<(), Error> {
        let mut wire = check.wire();
        // By itself, a check's id is called otherwise than among a service's.
        wire.id = wire.check_id.take();
        let request = Request::put("/v1/agent/check/register").json(&wire);
        self.0.perform(request).await
    }

    /// Takes out a check, by its id. That there is none is success for Consul 1.8, and an error with
    /// status 404 for later ones.
    ///
    /// # Errors
    /// If it is not known to have happened.
    pub async fn deregister_check(self, id: &str) -> Result<(), Error> {
        let request = Request::put("/v1/agent/check/deregister/").name(id);
        self.0.perform(request).await
    }

    /// Says that a TTL check passes, and why.
    ///
    /// # Errors
    /// If it is not known to have happened, or there is no such TTL check.
    pub async fn pass(self, id: &str, output: &str) -> Result<(), Error> {
        self.update(id, &Status::Passing, output).await
    }

    /// Says that a TTL check warns, and why.
    ///
    /// # Errors
    /// If it is not known to have happened, or there is no such TTL check.
    pub async fn warn(self, id: &str, output: &str) -> Result<(), Error> {
        self.update(id, &Status::Warning, output).await
    }

    /// Says that a TTL check is critical, and why.
    ///
    /// # Errors
    /// If it is not known to have happened, or there is no such TTL check.
    pub async fn fail(self, id: &str, output: &str) -> Result<(), Error> {
        self.update(id, &Status::Critical, output).await
    }

    /// Says how a TTL check is. Consul keeps 4 KiB of the output.
    ///
    /// # Errors
    /// If it is not known to have happened, or there is no such TTL check.
    pub async fn update(self, id: &str, status: &Status, output: &str) -> Result<(), Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Update<'a> {
            status: &'a Status,
            output: &'a str,
        }
        let request = Request::put("/v1/agent/check/update/").name(id).json(&Update { status, output });
        self.0.perform(request).await
    }

    /// Takes the whole node out of use, or back into it.
    ///
    /// # Errors
    /// If it is not known to have happened.
    pub async fn maintain_node(self, maintenance: Maintenance<'_>) -> Result<(), Error> {
        let request = Request::put("/v1/agent/maintenance");
        self.maintain(request, maintenance).await
    }

    /// Takes a service, by its id, out of use, or back into it.
    ///
    /// # Errors
    /// If it is not known to have happened, or there is no such service.
    pub async fn maintain_service(self, id: &str, maintenance: Maintenance<'_>) -> Result<(), Error> {
        let request = Request::put("/v1/agent/service/maintenance/").name(id);
        self.maintain(request, maintenance).await
    }

    async fn maintain(self, request: Request, maintenance: Maintenance<'_>) -> Result<(), Error> {
        let request = match maintenance {
            Maintenance::On(reason) => {
                request.parameter("enable", "true").parameter("reason", reason.to_owned())
            }
            Maintenance::Off => request.parameter("enable", "false"),
        };
        self.0.perform(request).await
    }
}

fn checks<S: serde::Serializer>(checks: &[NewCheck], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(checks.iter().map(NewCheck::wire))
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct CheckWire<'a> {
    #[serde(rename = "ID", skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "CheckID", skip_serializing_if = "Option::is_none")]
    check_id: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    notes: &'a str,
    #[serde(rename = "ServiceID", skip_serializing_if = "Option::is_none")]
    service_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a Status>,
    #[serde(rename = "TTL", skip_serializing_if = "Option::is_none")]
    ttl: Option<String>,
    #[serde(rename = "HTTP", skip_serializing_if = "Option::is_none")]
    http: Option<&'a str>,
    #[serde(rename = "TCP", skip_serializing_if = "Option::is_none")]
    tcp: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deregister_critical_service_after: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_written_with_its_checks() {
        let service = NewService {
            name: "web".to_owned(),
            port: Some(80),
            checks: vec![NewCheck {
                deregister_after: Some(Duration::from_mins(2)),
                ..NewCheck::new("", CheckKind::Ttl(Duration::from_secs(10)))
            }],
            ..NewService::default()
        };
        assert_eq!(
            serde_json::to_string(&service).unwrap(),
            concat!(
                r#"{"Name":"web","Tags":[],"Meta":{},"Port":80,"#,
                r#""Checks":[{"TTL":"10000ms","DeregisterCriticalServiceAfter":"120000ms"}]}"#
            )
        );
    }
}
