//! Who does the faults.
//!
//! Each fault is a pair: it is begun, on hosts that are drawn, and ended, on the same ones. Several may be at work at a time;
//! ending one leaves what another still wants. At the end all are ended, and the world is healed as a whole besides.

pub mod fault;
pub mod schedule;
pub mod shape;
pub mod who;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{join, join_all};
use futures::stream;
use lictor_consul::{Client, Query};
use serde_json::{Value, json};

use self::fault::{Fault, Part};
use self::who::Chief;
use super::client::connect;
use super::tool::ToolError;
use super::world::agent::Agent;
use super::world::disk::DiskError;
use super::world::net::{Quality, Way};
use super::world::process::ProcessError;
use super::world::{World, WorldError, net};
use crate::dice::Dice;

/// How long a snapshot may take, either way, and a server to leave.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a fault was not begun or ended as it should be.
#[derive(Debug, thiserror::Error)]
pub enum NemesisError {
    /// This machine refused: the run cannot say what it should.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The cluster refused, as one may that is in trouble.
    #[error("{0}")]
    Refused(String),
}

impl From<ToolError> for NemesisError {
    fn from(error: ToolError) -> Self {
        Self::World(error.into())
    }
}

impl From<ProcessError> for NemesisError {
    fn from(error: ProcessError) -> Self {
        Self::World(error.into())
    }
}

impl From<DiskError> for NemesisError {
    fn from(error: DiskError) -> Self {
        Self::World(error.into())
    }
}

impl NemesisError {
    fn refused(attempt: &str) -> impl Fn(lictor_consul::Error) -> Self {
        move |error| Self::Refused(format!("{attempt}: {error}"))
    }
}

/// Who does the faults, and what it has begun.
#[derive(Debug)]
pub struct Nemesis {
    dice: Dice,
    active: Vec<Active>,
}

/// A fault at work.
#[derive(Debug)]
struct Active {
    fault: Fault,
    hosts: Vec<usize>,
    ways: BTreeSet<Way>,
    snapshot: Vec<Bytes>,
}

impl Nemesis {
    /// One that has begun nothing yet.
    #[must_use]
    pub fn new(dice: Dice) -> Self {
        Self { dice, active: Vec::new() }
    }

    /// What it has begun and not ended.
    #[must_use]
    pub fn active(&self) -> Vec<Fault> {
        self.active.iter().map(|active| active.fault).collect()
    }

    /// Begins a fault, and says on whom. `active` is the host that does what is tested.
    ///
    /// # Errors
    /// If it is not at work as it should be. It is to be ended nevertheless.
    pub async fn begin(
        &mut self,
        world: &mut World,
        fault: Fault,
        active: Option<usize>,
    ) -> Result<Value, NemesisError> {
        let chief = Chief { leader: world.leader().await, active };
        let active = self.draw(fault, world.servers.len(), chief);
        let said = active.describe(chief);
        self.active.push(active);
        self.apply(world).await?;
        Ok(said)
    }

    /// Ends a fault.
    ///
    /// # Errors
    /// If it is not ended as it should be.
    pub async fn end(&mut self, world: &mut World, fault: Fault) -> Result<Value, NemesisError> {
        let Some(place) = self.active.iter().position(|active| active.fault == fault) else {
            return Ok(Value::Null);
        };
        let ended = self.active.remove(place);
        let said = ended.describe(Chief::default());
        self.undo(world, ended).await?;
        Ok(said)
    }

    fn draw(&mut self, fault: Fault, hosts: usize, chief: Chief) -> Active {
        let (mut drawn, mut ways) = (Vec::new(), BTreeSet::new());
        match fault {
            Fault::Partition(shape) => ways = shape.ways(hosts, chief, &mut self.dice),
            Fault::Kill(_, who)
            | Fault::Pause(_, who)
            | Fault::Slow(who)
            | Fault::Lossy(who)
            | Fault::DiskFreeze(who)
            | Fault::DiskFull(who) => drawn = who.of(hosts, chief, &mut self.dice),
            Fault::RestartAll => drawn = (0..hosts).collect(),
            Fault::Restore => {}
            Fault::Membership => {
                let followers: Vec<_> = (0..hosts).filter(|&host| Some(host) != chief.leader).collect();
                drawn = self.dice.pick(&followers).copied().into_iter().collect();
            }
        }
        Active { fault, hosts: drawn, ways, snapshot: Vec::new() }
    }

    /// Does what the fault that was begun last wants.
    async fn apply(&mut self, world: &mut World) -> Result<(), NemesisError> {
        let ways = self.ways();
        let Some(active) = self.active.last_mut() else { return Ok(()) };
        let hosts = &active.hosts;
        match active.fault {
            Fault::Partition(_) => world.net.cut(&ways).await?,
            Fault::Kill(part, _) => kill(world, part, hosts).await?,
            Fault::Pause(part, _) => {
                for (part, host) in parts(part, hosts) {
                    match part {
                        Part::Host => {}
                        Part::Agent => chosen(&mut world.agents, &[host]).try_for_each(Agent::freeze)?,
                        Part::Consul => freeze(world, host)?,
                    }
                }
            }
            Fault::RestartAll => {
                kill(world, Part::Host, hosts).await?;
                start(world, &parts(Part::Host, hosts))?;
            }
            Fault::Slow(_) => {
                let delay_ms = 50 + u32::try_from(self.dice.below(250)).unwrap_or_default();
                worsen(world, hosts, Some(Quality { delay_ms, loss_percent: 0 })).await?;
            }
            Fault::Lossy(_) => {
                let loss_percent = 10 + u32::try_from(self.dice.below(30)).unwrap_or_default();
                worsen(world, hosts, Some(Quality { delay_ms: 0, loss_percent })).await?;
            }
            Fault::DiskFreeze(_) => {
                for host in hosts {
                    if let Some(disk) = world.disks.get_mut(host) {
                        disk.freeze().await?;
                    }
                }
            }
            Fault::DiskFull(_) => {
                for host in hosts {
                    if let Some(disk) = world.disks.get_mut(host) {
                        disk.fill()?;
                    }
                }
            }
            Fault::Restore => active.snapshot = save(world).await?,
            Fault::Membership => leave(world, hosts).await?,
        }
        Ok(())
    }

    /// Undoes what a fault did that is not active any more, and that no other one wants.
    async fn undo(&mut self, world: &mut World, ended: Active) -> Result<(), NemesisError> {
        let unwanted = self.unwanted(&ended);
        let hosts: Vec<usize> =
            unwanted.iter().map(|&(_, host)| host).collect::<BTreeSet<_>>().into_iter().collect();
        match ended.fault {
            Fault::Partition(_) => world.net.cut(&self.ways()).await?,
            Fault::Kill(..) | Fault::RestartAll | Fault::Membership => start(world, &unwanted)?,
            Fault::Pause(..) => {
                for (part, host) in unwanted {
                    match part {
                        Part::Host => {}
                        Part::Agent => chosen(&mut world.agents, &[host]).try_for_each(Agent::thaw)?,
                        Part::Consul => thaw(world, host)?,
                    }
                }
            }
            Fault::Slow(_) | Fault::Lossy(_) => worsen(world, &hosts, None).await?,
            Fault::DiskFreeze(_) | Fault::DiskFull(_) => {
                for host in &hosts {
                    if let Some(disk) = world.disks.get_mut(host) {
                        disk.mend().await?;
                    }
                }
            }
            Fault::Restore => restore(world, ended.snapshot).await?,
        }
        Ok(())
    }

    /// All ways that some fault wants cut.
    fn ways(&self) -> BTreeSet<Way> {
        self.active.iter().flat_map(|active| active.ways.iter().copied()).collect()
    }

    /// What of which hosts a fault that ended had, and no fault of its kind still has.
    fn unwanted(&self, ended: &Active) -> Vec<(Part, usize)> {
        let kind = Kind::of(ended.fault);
        let same = self.active.iter().filter(|active| Kind::of(active.fault) == kind);
        let wanted: BTreeSet<(Part, usize)> = same.flat_map(Active::parts).collect();
        ended.parts().into_iter().filter(|part| !wanted.contains(part)).collect()
    }
}

/// What faults have in common that do the same to a host.
#[derive(PartialEq, Eq)]
enum Kind {
    Ways,
    Process,
    Pause,
    Line,
    Disk,
    State,
}

impl Kind {
    fn of(fault: Fault) -> Self {
        match fault {
            Fault::Partition(_) => Self::Ways,
            Fault::Kill(..) | Fault::RestartAll | Fault::Membership => Self::Process,
            Fault::Pause(..) => Self::Pause,
            Fault::Slow(_) | Fault::Lossy(_) => Self::Line,
            Fault::DiskFreeze(_) | Fault::DiskFull(_) => Self::Disk,
            Fault::Restore => Self::State,
        }
    }
}

impl Active {
    /// What it is done to, of which hosts.
    fn parts(&self) -> Vec<(Part, usize)> {
        let part = match self.fault {
            Fault::Kill(part, _) | Fault::Pause(part, _) => part,
            // Who leaves is a server.
            Fault::Membership => Part::Consul,
            Fault::Partition(_)
            | Fault::RestartAll
            | Fault::Slow(_)
            | Fault::Lossy(_)
            | Fault::DiskFreeze(_)
            | Fault::DiskFull(_)
            | Fault::Restore => Part::Host,
        };
        parts(part, &self.hosts)
    }

    /// What stands in the history: who it is done to, and who stood out when it began.
    fn describe(&self, chief: Chief) -> Value {
        let mut said = serde_json::Map::new();
        if !self.hosts.is_empty() {
            said.insert("nodes".to_owned(), self.hosts.iter().map(|&host| net::name(host)).collect());
        }
        if !self.ways.is_empty() {
            let ways = self.ways.iter().map(|&(from, to)| json!([net::name(from), net::name(to)]));
            said.insert("cut".to_owned(), ways.collect());
        }
        for (who, host) in [("leader", chief.leader), ("active", chief.active)] {
            if let Some(host) = host {
                said.insert(who.to_owned(), json!(net::name(host)));
            }
        }
        Value::Object(said)
    }
}

/// What a part of a host consists of, for each of these hosts.
fn parts(part: Part, hosts: &[usize]) -> Vec<(Part, usize)> {
    let parts = match part {
        Part::Host => &[Part::Agent, Part::Consul][..],
        Part::Agent => &[Part::Agent],
        Part::Consul => &[Part::Consul],
    };
    hosts.iter().flat_map(|&host| parts.iter().map(move |&part| (part, host))).collect()
}

fn chosen<'a, T>(all: &'a mut [T], hosts: &'a [usize]) -> impl Iterator<Item = &'a mut T> {
    all.iter_mut().enumerate().filter(|(host, _)| hosts.contains(host)).map(|(_, one)| one)
}

fn freeze(world: &mut World, host: usize) -> Result<(), ProcessError> {
    chosen(&mut world.servers, &[host]).try_for_each(|server| server.process.freeze())
}

fn thaw(world: &mut World, host: usize) -> Result<(), ProcessError> {
    chosen(&mut world.servers, &[host]).try_for_each(|server| server.process.thaw())
}

/// Kills a part of hosts, all at once; a whole host is one whose power is cut.
async fn kill(world: &mut World, part: Part, hosts: &[usize]) -> Result<(), WorldError> {
    let agents = async {
        let ends = chosen(&mut world.agents, hosts).map(async |agent| match part {
            Part::Host => agent.power_cut().await,
            Part::Agent => agent.kill().await,
            Part::Consul => Ok(()),
        });
        join_all(ends).await
    };
    let servers = async {
        let ends = chosen(&mut world.servers, hosts).map(async |server| match part {
            Part::Host | Part::Consul => server.process.kill().await,
            Part::Agent => Ok(()),
        });
        join_all(ends).await
    };
    let (agents, servers) = join(agents, servers).await;
    for ended in agents.into_iter().chain(servers) {
        ended?;
    }
    Ok(())
}

/// Starts parts of hosts: servers first, which agents need.
fn start(world: &mut World, parts: &[(Part, usize)]) -> Result<(), WorldError> {
    let of = |wanted: Part| parts.iter().filter(move |(part, _)| *part == wanted).map(|&(_, host)| host);
    for server in chosen(&mut world.servers, &of(Part::Consul).collect::<Vec<_>>()) {
        server.start(&world.net)?;
    }
    for agent in chosen(&mut world.agents, &of(Part::Agent).collect::<Vec<_>>()) {
        agent.start(&world.net)?;
    }
    Ok(())
}

async fn worsen(world: &mut World, hosts: &[usize], quality: Option<Quality>) -> Result<(), WorldError> {
    for &host in hosts {
        world.net.worsen(host, quality).await?;
    }
    Ok(())
}

/// A client of the server that leads.
async fn of_leader(world: &World) -> Result<Client, NemesisError> {
    let leader = world.leader().await.ok_or_else(|| NemesisError::Refused("nobody leads".to_owned()))?;
    Ok(connect(leader, PATIENCE).map_err(WorldError::from)?)
}

async fn save(world: &World) -> Result<Vec<Bytes>, NemesisError> {
    let client = of_leader(world).await?;
    let refused = NemesisError::refused("cannot take a snapshot");
    let mut archive = client.snapshot().save(&Query::new()).await.map_err(&refused)?;
    let mut pieces = Vec::new();
    while let Some(piece) = archive.chunk().await.map_err(&refused)? {
        pieces.push(piece);
    }
    Ok(pieces)
}

async fn restore(world: &World, snapshot: Vec<Bytes>) -> Result<(), NemesisError> {
    if snapshot.is_empty() {
        return Err(NemesisError::Refused("there is no snapshot to restore".to_owned()));
    }
    let client = of_leader(world).await?;
    let pieces = stream::iter(snapshot.into_iter().map(Ok::<_, std::convert::Infallible>));
    client.snapshot().restore(pieces).await.map_err(NemesisError::refused("cannot restore a snapshot"))
}

/// Has servers leave the cluster, which then does without them.
async fn leave(world: &mut World, hosts: &[usize]) -> Result<(), NemesisError> {
    for &host in hosts {
        let client = connect(host, PATIENCE).map_err(WorldError::from)?;
        let asked = client.raw().put("/v1/agent/leave", &Value::Null).await;
        asked.map_err(NemesisError::refused("it does not leave"))?;
        for server in chosen(&mut world.servers, &[host]) {
            if let Err(error) = server.process.depart(PATIENCE).await {
                server.process.kill().await?;
                return Err(NemesisError::Refused(error.to_string()));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::shape::Shape;
    use super::who::Who;
    use super::*;

    #[test]
    fn what_another_fault_wants_is_left_to_it() {
        let mut nemesis = Nemesis::new(Dice::new(1));
        let begin = |fault, hosts: &[usize]| Active {
            fault,
            hosts: hosts.to_vec(),
            ways: BTreeSet::new(),
            snapshot: Vec::new(),
        };
        nemesis.active.push(begin(Fault::Kill(Part::Host, Who::One), &[2]));
        nemesis.active.push(begin(Fault::Kill(Part::Agent, Who::One), &[1]));
        nemesis.active.push(begin(Fault::Pause(Part::Host, Who::All), &[0, 1, 2]));
        let ended = begin(Fault::Kill(Part::Host, Who::Minority), &[0, 1, 2]);
        let unwanted = [(Part::Agent, 0), (Part::Consul, 0), (Part::Consul, 1)];
        assert_eq!(nemesis.unwanted(&ended), unwanted);
    }

    #[test]
    fn all_that_is_parted_is_cut() {
        let mut nemesis = Nemesis::new(Dice::new(1));
        for shape in [Shape::Leader, Shape::Halves] {
            let drawn = nemesis.draw(Fault::Partition(shape), 5, Chief { leader: Some(0), active: None });
            nemesis.active.push(drawn);
        }
        let ways = nemesis.ways();
        assert!(nemesis.active.iter().all(|active| active.ways.is_subset(&ways)));
        assert!((1..5).all(|other| ways.contains(&(0, other)) && ways.contains(&(other, 0))));
    }

    #[test]
    fn it_is_never_the_leader_who_leaves() {
        let mut nemesis = Nemesis::new(Dice::new(1));
        for _ in 0..50 {
            let drawn = nemesis.draw(Fault::Membership, 3, Chief { leader: Some(1), active: None });
            assert!(matches!(drawn.hosts[..], [0 | 2]), "{drawn:?}");
        }
    }
}
