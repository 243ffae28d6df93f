//! The servers that are asked: which datacenter's, how they are reached, and what they are.

use lictor_consul::{Client, Error, Limits};
use lictor_snapshot::{Kind, Report};

use crate::cli::SnapshotReach;
use crate::command::consul;
use crate::exit::{Exit, Failure};

/// Of the WAN's members, servers of Consul have this role.
const ROLE: &str = "consul";

/// Servers of which nobody knows what they are take at least what these took.
const OLDEST: (u16, u16) = (1, 0);

/// See the module.
pub(super) struct Place {
    /// Asks the datacenter that is meant.
    pub(super) client: Client,
    /// `dc2, by Consul at http://127.0.0.1:8500`.
    pub(super) shown: String,
    /// The version of the oldest of its servers, if any is known.
    oldest: Option<(u16, u16)>,
}

impl Place {
    /// Finds out what it is, as far as the token may know.
    pub(super) async fn reach(reach: &SnapshotReach) -> Result<Self, Failure> {
        let (agent, address) = consul(reach.http_addr.as_deref(), reach.token_file.as_deref())?;
        let agent = agent.with_limits(Limits { transfer: reach.timeout, ..*agent.limits() });
        let own = match agent.agent().info().await {
            Ok(info) => Some(info.config),
            Err(why) if why.is_denied() => None,
            Err(why) => return Err(Failure::new(Exit::Failed, format!("Consul at {address}: {why}"))),
        };
        let wanted = reach.datacenter.clone().or_else(|| own.map(|own| own.datacenter));
        let client = match &reach.datacenter {
            Some(name) => agent.in_datacenter(name.as_str()),
            None => agent.clone(),
        };
        let oldest = match &wanted {
            Some(name) => oldest(&agent, name).await,
            None => None,
        };
        let shown = match wanted {
            Some(name) => format!("{name}, by Consul at {address}"),
            None => format!("Consul at {address}"),
        };
        Ok(Self { client, shown, oldest })
    }

    /// What a client reaches; nothing is asked yet, and nothing is known of the servers.
    pub(super) fn of(client: &Client, address: &str) -> Self {
        Self { client: client.clone(), shown: format!("Consul at {address}"), oldest: None }
    }

    pub(super) fn failed(&self, what: &str, why: &Error) -> Failure {
        Failure::new(Exit::Failed, format!("{what} ({}): {why}", self.shown))
    }

    /// Whether its servers know every kind of record. One that they do not know would end their processes.
    pub(super) fn takes(&self, report: &Report) -> Result<(), Failure> {
        let refused: Vec<String> =
            report.inspection.refused_by(self.oldest.unwrap_or(OLDEST)).into_iter().map(called).collect();
        if refused.is_empty() {
            return Ok(());
        }
        let kinds = refused.join(", ");
        Err(match self.oldest {
            Some((major, minor)) => {
                let why = format!(
                    "a server of {} is of version {major}.{minor}, does not know records of the kind {kinds}, and would end",
                    self.shown
                );
                Failure::new(Exit::Failed, why)
                    .help("restore it to servers that are at least as new as those that wrote it")
            }
            None => {
                let why = format!(
                    "of which version the servers of {} are is not known, and not all know records of the kind {kinds}",
                    self.shown
                );
                Failure::new(Exit::Failed, why).help("give --http-addr of one of its servers")
            }
        })
    }
}

/// The version of the oldest server of a datacenter, as gossip has it.
async fn oldest(agent: &Client, datacenter: &str) -> Option<(u16, u16)> {
    // Only servers know the WAN's members.
    let mut members = agent.agent().wan_members().await.unwrap_or_default();
    members.extend(agent.agent().members().await.unwrap_or_default());
    let tag = |tags: &std::collections::BTreeMap<String, String>, name: &str| tags.get(name).cloned();
    let servers = members.iter().map(|member| &member.tags).filter(|tags| {
        tag(tags, "role").as_deref() == Some(ROLE) && tag(tags, "dc").as_deref() == Some(datacenter)
    });
    servers.filter_map(|tags| version(&tag(tags, "build")?)).min()
}

/// `1.8.7:1a2b3c`.
fn version(build: &str) -> Option<(u16, u16)> {
    let mut numbers = build.split(['.', ':', '+', '-']).map(str::parse::<u16>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

pub(super) fn called(kind: Kind) -> String {
    kind.name().map_or_else(|| kind.byte().to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_beginning_of_a_build() {
        assert_eq!(version("1.8.7:bb9ee0d9"), Some((1, 8)));
        assert_eq!(version("1.21.0+ent:abc"), Some((1, 21)));
        assert_eq!(version("2.0-beta"), Some((2, 0)));
        assert_eq!((version(""), version("1"), version("x.y")), (None, None, None));
    }
}
