//! What is tested and what it stands on: hosts, the network between them, servers, agents, disks.

pub mod agent;
pub mod disk;
mod late;
pub mod machine;
pub mod net;
pub mod process;
pub mod server;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::join_all;
use lictor_consul::{Check, Client, Query, Status};
use tokio::time::{Instant, sleep, timeout};

use self::agent::{Agent, Place};
use self::disk::{Disk, DiskError};
use self::net::Net;
use self::process::{ProcessError, State};
use self::server::{Server, Setup};
use super::client::{ClientError, connect};
use super::scene::Scene;
use super::tool::ToolError;

/// How long all servers may take to be ready after a start or a heal. Elections with Consul's default timing take some 20 s,
/// and a server that was cut off for long comes back after as many.
const READY: Duration = Duration::from_secs(120);

/// How long to rest between two looks whether they are.
const POLL: Duration = Duration::from_millis(200);

/// How long a server may take to say who leads.
const ANSWER: Duration = Duration::from_secs(1);

/// Why something cannot be done with the world.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The network refuses.
    #[error(transparent)]
    Net(#[from] ToolError),
    /// A server refuses, or an agent.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A disk refuses.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A client cannot be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A directory cannot be made.
    #[error("cannot make the directory {}: {source}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There are too many hosts, or too few.
    #[error("{count} nodes: a cluster has 1 to {most} of them", most = net::MOST)]
    Count {
        /// How many were wanted.
        count: usize,
    },
    /// The servers do not get ready, or the agents.
    #[error("the hosts are not ready after {READY:?}: {why}; see their logs")]
    NotReady {
        /// What the last look saw.
        why: String,
    },
}

/// Where the world keeps its things.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// Data of the servers, gone after the run.
    pub scratch: &'a Path,
    /// Logs of the servers, kept.
    pub logs: &'a Path,
}

/// The directory, in the scratch of a run, in which each host has one for what its agent's programs leave.
#[must_use]
pub fn left(scratch: &Path) -> PathBuf {
    scratch.join("left")
}

/// The hosts, their servers, and the network between them. All of it ends with the namespaces of this process.
#[derive(Debug)]
pub struct World {
    /// The network.
    pub net: Net,
    /// The servers, one on each host.
    pub servers: Vec<Server>,
    /// The agents of Lictor, one on each host if that is what is tested.
    pub agents: Vec<Agent>,
    /// The disks of the servers, if they have their own.
    pub disks: BTreeMap<usize, Disk>,
    clients: Vec<Client>,
    datacenters: usize,
}

impl World {
    /// Makes hosts with servers on them, which are not started yet. `disks`: each has one of its own.
    ///
    /// # Errors
    /// If this machine cannot make them.
    pub async fn make(
        count: usize,
        setup: &Setup,
        places: Places<'_>,
        disks: bool,
    ) -> Result<Self, WorldError> {
        if !(1..=net::MOST).contains(&count) {
            return Err(WorldError::Count { count });
        }
        let net = Net::make(count).await?;
        fs::create_dir_all(places.logs)
            .map_err(|source| WorldError::Directory { path: places.logs.to_owned(), source })?;
        let mut world = Self {
            net,
            servers: Vec::new(),
            agents: Vec::new(),
            disks: BTreeMap::new(),
            clients: Vec::new(),
            datacenters: setup.datacenters,
        };
        for host in 0..count {
            let data = places.scratch.join(net::name(host));
            if disks {
                world.disks.insert(host, Disk::make(&data).await?);
            }
            let log = places.logs.join(format!("{}.log", net::name(host)));
            world.servers.push(Server::prepare(host, count, setup, &data, log)?);
            world.clients.push(connect(host, ANSWER)?);
        }
        Ok(world)
    }

    /// Starts all servers that are down, and waits until all are ready.
    ///
    /// # Errors
    /// If they cannot be started, or do not get ready.
    pub async fn start(&mut self) -> Result<(), WorldError> {
        for server in &mut self.servers {
            server.start(&self.net)?;
        }
        self.ready().await
    }

    /// Puts an agent on each host, none of which is started yet.
    ///
    /// # Errors
    /// If this machine cannot make them.
    pub fn populate(
        &mut self,
        setup: &agent::Setup,
        scene: &dyn Scene,
        places: Places<'_>,
    ) -> Result<(), WorldError> {
        let place = |host| Place {
            host,
            blocks: scene.blocks(host),
            files: scene.files(host),
            // On the same disk as the server's.
            state: places.scratch.join(net::name(host)).join("lictor"),
            left: left(places.scratch).join(net::name(host)),
            logs: places.logs,
        };
        let all: Vec<_> = (0..self.net.hosts()).map(place).collect();
        self.agents = Agent::prepare(setup, scene.home(), &all)?;
        Ok(())
    }

    /// Starts all agents that are down, and does not wait.
    ///
    /// # Errors
    /// If one cannot be started.
    pub fn start_agents(&mut self) -> Result<(), WorldError> {
        for agent in &mut self.agents {
            agent.start(&self.net)?;
        }
        Ok(())
    }

    /// Ends whatever was done to the world: ways are whole, disks thawed and empty, servers run. Does not wait.
    ///
    /// # Errors
    /// The first thing that could not be mended; the rest was tried.
    pub async fn heal(&mut self) -> Result<(), WorldError> {
        let mut first = Ok(());
        let mut note = |outcome: Result<(), WorldError>| {
            if first.is_ok() {
                first = outcome;
            } else if let Err(error) = outcome {
                tracing::warn!(%error, "something else could not be healed");
            }
        };
        // Disks first: what waits for one cannot be signalled.
        for disk in self.disks.values_mut() {
            note(disk.mend().await.map_err(WorldError::from));
        }
        note(self.net.cut(&std::collections::BTreeSet::new()).await.map_err(WorldError::from));
        for host in self.net.worsened().collect::<Vec<_>>() {
            note(self.net.worsen(host, None).await.map_err(WorldError::from));
        }
        for server in &mut self.servers {
            note(server.process.thaw().and_then(|()| server.start(&self.net)).map_err(WorldError::from));
        }
        for agent in &mut self.agents {
            note(agent.thaw().and_then(|()| agent.start(&self.net)).map_err(WorldError::from));
        }
        first
    }

    /// Waits until all servers name one leader, answer sure reads, and are registered, so that sessions can be made on each.
    ///
    /// # Errors
    /// If that does not come about in time.
    pub async fn ready(&mut self) -> Result<(), WorldError> {
        self.ready_for(None).await
    }

    /// The same, and until the agents of a scene are well too.
    ///
    /// # Errors
    /// If that does not come about in time.
    pub async fn ready_for(&mut self, scene: Option<&dyn Scene>) -> Result<(), WorldError> {
        let deadline = Instant::now() + READY;
        loop {
            let mut why = self.obstacle().await?;
            if let (None, Some(scene)) = (&why, scene) {
                why = scene.obstacle(&mut self.agents).await?;
            }
            let Some(why) = why else { return Ok(()) };
            if Instant::now() >= deadline {
                return Err(WorldError::NotReady { why });
            }
            sleep(POLL).await;
        }
    }

    /// What is between the servers and being ready.
    async fn obstacle(&mut self) -> Result<Option<String>, WorldError> {
        for server in &mut self.servers {
            if server.process.look()? != State::Running {
                return Ok(Some(format!("{} does not run", server.process.name())));
            }
        }
        let named = self.named().await;
        for (host, &leader) in named.iter().enumerate() {
            let Some(leader) = leader else {
                return Ok(Some(format!("{} names no leader", net::name(host))));
            };
            // What the first one of its datacenter says, and one of them.
            let first = named.iter().enumerate().find(|&(other, _)| self.together(other, host));
            if first.is_some_and(|(_, &first)| first != Some(leader)) || !self.together(leader, host) {
                let (name, leader) = (net::name(host), net::name(leader));
                return Ok(Some(format!("{name} names {leader} as the leader, and others do not")));
            }
        }
        for (host, client) in self.clients.iter().enumerate() {
            let (name, query) = (net::name(host), Query::new().consistent());
            match client.health().node(&name, &query).await {
                Ok(checks) if checks.value.iter().any(alive) => {}
                Ok(_) => return Ok(Some(format!("{name} is not registered, or not alive"))),
                Err(error) => return Ok(Some(format!("{name} answers no sure read: {error}"))),
            }
        }
        Ok(None)
    }

    /// Whether hosts are in the same datacenter.
    fn together(&self, one: usize, other: usize) -> bool {
        let datacenter = |host| server::datacenter(host, self.clients.len(), self.datacenters);
        datacenter(one) == datacenter(other)
    }

    /// The host whose server leads, as most of those that answer say; of several datacenters, that of one of them.
    pub async fn leader(&self) -> Option<usize> {
        let mut votes: BTreeMap<usize, usize> = BTreeMap::new();
        for host in self.named().await.into_iter().flatten() {
            *votes.entry(host).or_default() += 1;
        }
        votes.into_iter().max_by_key(|&(_, votes)| votes).map(|(host, _)| host)
    }

    /// Whom each server names as the leader.
    async fn named(&self) -> Vec<Option<usize>> {
        let count = self.clients.len();
        let ask = self.clients.iter().map(async |client| {
            let answer = timeout(ANSWER, client.status().leader()).await.ok()?;
            server::by_raft_address(&answer.ok()??, count)
        });
        join_all(ask).await
    }

    /// How servers and agents ended that nobody had killed.
    ///
    /// # Errors
    /// If that cannot be told of one.
    pub fn falls(&mut self) -> Result<Vec<String>, WorldError> {
        let mut falls = Vec::new();
        for server in &mut self.servers {
            server.process.look()?;
            falls.extend(server.process.falls().iter().cloned());
        }
        for agent in &mut self.agents {
            agent.look()?;
            falls.extend(agent.falls().iter().cloned());
        }
        Ok(falls)
    }
}

/// Whether a check is the one that says that a node is alive, and says so.
fn alive(check: &Check) -> bool {
    check.id == "serfHealth" && check.status == Status::Passing
}
