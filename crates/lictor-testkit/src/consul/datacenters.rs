//! Several datacenters that know each other.

use std::time::Duration;

use super::server::{Options, Server};
use crate::wait;

/// How long they may take to know each other. It takes about 1 s.
const MEET: Duration = Duration::from_secs(60);

/// Datacenters of one real Consul server each, in memory, each on a loopback address of its own. Each
/// forwards what is asked for another.
#[derive(Debug)]
pub struct Datacenters {
    servers: Vec<Server>,
}

impl Datacenters {
    /// Starts datacenters of these names and waits until each can be asked by way of each other.
    ///
    /// # Panics
    /// If they do not know each other in time.
    #[must_use]
    pub fn start(names: &[&str]) -> Self {
        let options = Options { in_memory: true, ..Options::default() };
        let mut servers: Vec<Server> =
            (1..=names.len()).map(|number| Server::prepare(&format!("n{number}"), options.clone())).collect();
        let gossip: Vec<_> = servers.iter().map(Server::wan_address).collect();
        for (own, (server, name)) in servers.iter_mut().zip(names).enumerate() {
            let mut others = gossip.clone();
            others.remove(own);
            server.federate(name, others);
            server.launch(1);
        }
        for server in &mut servers {
            server.await_ready();
        }
        let all = Self { servers };
        let met = wait::until(MEET, || all.know_each_other(names).then_some(()));
        assert!(met.is_some(), "{names:?} do not know each other:\n{}", all.servers[0].log_tail());
        all
    }

    /// The server of a datacenter, in the order of their names.
    ///
    /// # Panics
    /// If there is no such number; the first is 0.
    #[must_use]
    pub fn server(&self, number: usize) -> &Server {
        &self.servers[number]
    }

    /// Ends the server of a datacenter.
    ///
    /// # Panics
    /// If there is no such datacenter.
    pub fn kill(&mut self, number: usize) {
        self.servers[number].kill();
    }

    fn know_each_other(&self, names: &[&str]) -> bool {
        self.servers.iter().all(|server| {
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
