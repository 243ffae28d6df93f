//! Where the leases of services lie: in Consul, each in the datacenter that its service names.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use lictor_config::Consul;
use lictor_consul::Client;
use lictor_store::kv::Kv;

use super::places;
use super::words::Places;
use crate::consul;
use crate::task::Tasks;

/// The records of the services of a node, by a client that nothing else uses.
pub(super) struct Datacenters {
    client: Client,
    prefix: String,
    /// Where the nodes are, as each datacenter knows it that has a lease.
    places: Mutex<BTreeMap<Option<String>, Places>>,
}

impl Datacenters {
    /// # Errors
    /// What is wrong with the settings, in words.
    pub(super) fn new(settings: &Consul) -> Result<Self, String> {
        let client = consul::client(settings)?;
        Ok(Self { client, prefix: settings.prefix.clone(), places: Mutex::default() })
    }

    /// Uses the token that the settings name now.
    ///
    /// # Errors
    /// Why the old one stays, in words.
    pub(super) fn renew(&self, settings: &Consul) -> Result<(), String> {
        consul::renew(&self.client, settings)
    }

    /// Our own records in a datacenter; `None`: the one that the block `consul` means.
    pub(super) fn of(&self, datacenter: Option<&str>) -> Kv {
        Kv::consul(self.client(datacenter), self.prefix.clone())
    }

    /// All records there, for those of other programs.
    pub(super) fn all(&self, datacenter: Option<&str>) -> Kv {
        Kv::consul(self.client(datacenter), "")
    }

    /// Where the nodes hear each other, as that datacenter knows it; this one is heard `here`. It is kept there for as
    /// long as the agent runs.
    pub(super) fn places(
        &self,
        datacenter: Option<&str>,
        node: &str,
        here: SocketAddr,
        tasks: &Tasks,
    ) -> Places {
        let mut known = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let keep = || places::keep(self.of(datacenter), node.to_owned(), here, tasks);
        known.entry(datacenter.map(str::to_owned)).or_insert_with(keep).clone()
    }

    fn client(&self, datacenter: Option<&str>) -> Client {
        datacenter.map_or_else(|| self.client.clone(), |name| self.client.in_datacenter(name))
    }
}
