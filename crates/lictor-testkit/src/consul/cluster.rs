//! Three Consul servers.

use std::net::SocketAddr;
use std::time::Duration;

use super::server::{Options, Server};
use crate::wait;

/// How many servers a cluster has: the least that survives the loss of one.
const SIZE: usize = 3;

/// How long an election may take. It takes 2 to 4 s with the quick timing used here.
const ELECTION: Duration = Duration::from_secs(60);

/// Three real Consul servers that elect a leader, each on a loopback address of its own.
#[derive(Debug)]
pub struct Cluster {
    servers: Vec<Server>,
}

impl Cluster {
    /// Starts the servers and waits until all of them are ready.
    ///
    /// # Panics
    /// If they are not ready in time.
    #[must_use]
    pub fn start() -> Self {
        Self::with(&Options::default())
    }

    /// Starts servers of the kind that is wanted and waits until all of them are ready.
    ///
    /// # Panics
    /// If they are not ready in time.
    #[must_use]
    pub fn with(options: &Options) -> Self {
        assert!(!options.in_memory, "a cluster keeps its data on disk");
        let mut servers: Vec<Server> =
            (1..=SIZE).map(|number| Server::prepare(&format!("n{number}"), options.clone())).collect();
        let gossip: Vec<SocketAddr> = servers.iter().map(Server::gossip_address).collect();
        for (own, server) in servers.iter_mut().enumerate() {
            let mut others = gossip.clone();
            others.remove(own);
            server.join(others);
            server.launch(SIZE);
        }
        for server in &mut servers {
            server.await_ready();
        }
        Self { servers }
    }

    /// The servers.
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// A server, to end, restart, freeze.
    ///
    /// # Panics
    /// If there is no such number; the first is 0.
    pub fn server(&mut self, number: usize) -> &mut Server {
        &mut self.servers[number]
    }

    /// The number of the server that leads, once all servers that answer agree on it.
    ///
    /// # Panics
    /// If they do not agree in time.
    #[must_use]
    pub fn leader(&self) -> usize {
        wait::until(ELECTION, || self.agreed()).unwrap_or_else(|| {
            let logs: Vec<String> = self.servers.iter().map(Server::log_tail).collect();
            panic!("no leader within {ELECTION:?}; the logs end:\n{}", logs.join("\n---\n"))
        })
    }

    /// The numbers of the servers that do not lead.
    #[must_use]
    pub fn followers(&self) -> Vec<usize> {
        let leader = self.leader();
        (0..self.servers.len()).filter(|&number| number != leader).collect()
    }

    /// Ends the leader as a power cut would, and gives its number. The others need seconds to elect.
    pub fn kill_leader(&mut self) -> usize {
        let leader = self.leader();
        self.servers[leader].kill();
        leader
    }

    /// The leader all answering servers name, if it is one that answers and a majority does.
    fn agreed(&self) -> Option<usize> {
        let named: Vec<(usize, SocketAddr)> = self
            .servers
            .iter()
            .enumerate()
            .filter_map(|(number, server)| Some((number, server.leader()?)))
            .collect();
        let &(_, address) = named.first()?;
        let unanimous = named.iter().all(|&(_, other)| other == address);
        let leader = self.servers.iter().position(|server| server.rpc_address() == address)?;
        let answers = named.iter().any(|&(number, _)| number == leader);
        (unanimous && answers && named.len() > SIZE / 2).then_some(leader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_that_lost_its_leader_elects_another() {
        let mut cluster = Cluster::start();
        let first = cluster.kill_leader();
        let second = cluster.leader();
        assert_ne!(first, second);
        cluster.server(first).restart();
        assert_eq!(cluster.followers().len(), 2);
    }
}
