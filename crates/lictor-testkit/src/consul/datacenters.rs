//! Several datacenters that know each other.

use std::time::Duration;

use super::server::{Options, Server};
use crate::wait;

/// How long they may take to know each other. It takes about 1 s.
const MEET: Duration = Duration::from_secs(60);

/// Datacenters of real Consul servers, each on a loopback address of its own. Each forwards what is asked for another.
#[derive(Debug)]
pub struct Datacenters {
    sites: Vec<Vec<Server>>,
}

/// One of several datacenters.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// How many servers it has; more than one are not in memory.
    pub servers: usize,
    /// What kind of servers.
    pub options: Options,
}

impl Site {
    /// One server in memory.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), servers: 1, options: Options { in_memory: true, ..Options::default() } }
    }

    /// Servers with their data on disk.
    #[must_use]
    pub fn on_disk(name: &str, servers: usize) -> Self {
        Self { servers, options: Options::default(), ..Self::new(name) }
    }
}

impl Datacenters {
    /// Starts datacenters of these names, of one server in memory each, and waits until each can be asked by way of each
    /// other.
    ///
    /// # Panics
    /// If they do not know each other in time.
    #[must_use]
    pub fn start(names: &[&str]) -> Self {
        Self::of(&names.iter().map(|name| Site::new(name)).collect::<Vec<_>>())
    }

    /// The same of such datacenters.
    ///
    /// # Panics
    /// If they do not know each other in time.
    #[must_use]
    pub fn of(sites: &[Site]) -> Self {
        let mut numbers = 1..;
        let mut servers = |site: &Site| -> Vec<Server> {
            let numbers = numbers.by_ref().take(site.servers);
            numbers.map(|number| Server::prepare(&format!("n{number}"), site.options.clone())).collect()
        };
        let mut all: Vec<Vec<Server>> = sites.iter().map(&mut servers).collect();
        let wan: Vec<_> = all.iter().flatten().map(Server::wan_address).collect();
        for (servers, site) in all.iter_mut().zip(sites) {
            let lan: Vec<_> = servers.iter().map(Server::gossip_address).collect();
            for server in servers {
                let own = server.wan_address();
                server.federate(&site.name, wan.iter().copied().filter(|other| *other != own).collect());
                let own = server.gossip_address();
                server.join(lan.iter().copied().filter(|other| *other != own).collect());
                server.launch(site.servers);
            }
        }
        for server in all.iter_mut().flatten() {
            server.await_ready();
        }
        let all = Self { sites: all };
        let names: Vec<&str> = sites.iter().map(|site| site.name.as_str()).collect();
        let met = wait::until(MEET, || all.know_each_other(&names).then_some(()));
        assert!(met.is_some(), "{names:?} do not know each other:\n{}", all.server(0).log_tail());
        all
    }

    /// The first server of a datacenter, in the order of their names.
    ///
    /// # Panics
    /// If there is no such number; the first is 0.
    #[must_use]
    pub fn server(&self, number: usize) -> &Server {
        &self.sites[number][0]
    }

    /// All servers of a datacenter.
    ///
    /// # Panics
    /// If there is no such number; the first is 0.
    pub fn servers(&mut self, number: usize) -> &mut [Server] {
        &mut self.sites[number]
    }

    /// Which server of a datacenter leads.
    ///
    /// # Panics
    /// If none does, or there is no such number.
    #[must_use]
    pub fn leader(&self, number: usize) -> usize {
        let leader = self.server(number).leader();
        let place = self.sites[number].iter().position(|server| leader == Some(server.rpc_address()));
        place.unwrap_or_else(|| panic!("nobody leads: {leader:?}"))
    }

    /// Waits until all servers of a datacenter are ready.
    ///
    /// # Panics
    /// If they are not in time, or there is no such number.
    pub fn await_ready(&mut self, number: usize) {
        self.sites[number].iter_mut().for_each(Server::await_ready);
    }

    /// Ends the servers of a datacenter.
    ///
    /// # Panics
    /// If there is no such datacenter.
    pub fn kill(&mut self, number: usize) {
        self.sites[number].iter_mut().for_each(Server::kill);
    }

    fn know_each_other(&self, names: &[&str]) -> bool {
        self.sites.iter().flatten().all(|server| {
            names.iter().all(|name| {
                let answer = server.get(&format!("/v1/health/state/any?dc={name}"));
                answer.is_some_and(|(status, body)| status == 200 && body.contains("serfHealth"))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datacenter_can_be_asked_by_way_of_another() {
        let both = Datacenters::start(&["dc1", "dc2"]);
        assert_eq!(both.server(0).put("/v1/kv/here?dc=dc2", "there").unwrap().0, 200);
        assert_eq!(both.server(1).get("/v1/kv/here?raw"), Some((200, "there".to_owned())));
        assert_eq!(both.server(0).get("/v1/kv/here").unwrap().0, 404);
    }
}
