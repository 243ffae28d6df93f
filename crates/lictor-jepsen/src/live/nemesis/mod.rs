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
use futures::stream;
use lictor_consul::{Client, Query};
use serde_json::{Value, json};

use self::fault::Fault;
use super::client::connect;
use super::tool::ToolError;
use super::world::disk::DiskError;
use super::world::net::{Quality, Way};
use super::world::server::{Server, ServerError};
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

impl From<ServerError> for NemesisError {
    fn from(error: ServerError) -> Self {
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

    /// Begins a fault, and says on whom.
    ///
    /// # Errors
    /// If it is not at work as it should be. It is to be ended nevertheless.
    pub async fn begin(&mut self, world: &mut World, fault: Fault) -> Result<Value, NemesisError> {
        let leader = world.leader().await;
        let active = self.draw(fault, world.servers.len(), leader);
        let said = active.describe(leader);
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
        let said = ended.describe(None);
        self.undo(world, ended).await?;
        Ok(said)
    }

    fn draw(&mut self, fault: Fault, hosts: usize, leader: Option<usize>) -> Active {
        let (mut drawn, mut ways) = (Vec::new(), BTreeSet::new());
        match fault {
            Fault::Partition(shape) => ways = shape.ways(hosts, leader, &mut self.dice),
            Fault::Kill(who)
            | Fault::Pause(who)
            | Fault::Slow(who)
            | Fault::Lossy(who)
            | Fault::DiskFreeze(who)
            | Fault::DiskFull(who) => drawn = who.of(hosts, leader, &mut self.dice),
            Fault::RestartAll => drawn = (0..hosts).collect(),
            Fault::Restore => {}
            Fault::Membership => {
                let followers: Vec<_> = (0..hosts).filter(|&host| Some(host) != leader).collect();
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
            Fault::Kill(_) => kill(world, hosts).await?,
            Fault::Pause(_) => {
                for server in chosen(&mut world.servers, hosts) {
                    server.freeze()?;
                }
            }
            Fault::RestartAll => {
                kill(world, hosts).await?;
                start(world, hosts)?;
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
        let hosts = self.unwanted(&ended);
        match ended.fault {
            Fault::Partition(_) => world.net.cut(&self.ways()).await?,
            Fault::Kill(_) | Fault::RestartAll | Fault::Membership => start(world, &hosts)?,
            Fault::Pause(_) => {
                for server in chosen(&mut world.servers, &hosts) {
                    server.thaw()?;
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

    /// The hosts of a fault that ended which no fault of its kind still has.
    fn unwanted(&self, ended: &Active) -> Vec<usize> {
        let kind = Kind::of(ended.fault);
        let same = self.active.iter().filter(|active| Kind::of(active.fault) == kind);
        let wanted: BTreeSet<usize> = same.flat_map(|active| active.hosts.iter().copied()).collect();
        ended.hosts.iter().copied().filter(|host| !wanted.contains(host)).collect()
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
            Fault::Kill(_) | Fault::RestartAll | Fault::Membership => Self::Process,
            Fault::Pause(_) => Self::Pause,
            Fault::Slow(_) | Fault::Lossy(_) => Self::Line,
            Fault::DiskFreeze(_) | Fault::DiskFull(_) => Self::Disk,
            Fault::Restore => Self::State,
        }
    }
}

impl Active {
    /// What stands in the history: who it is done to, and who led when it began.
    fn describe(&self, leader: Option<usize>) -> Value {
        let mut said = serde_json::Map::new();
        if !self.hosts.is_empty() {
            said.insert("nodes".to_owned(), self.hosts.iter().map(|&host| net::name(host)).collect());
        }
        if !self.ways.is_empty() {
            let ways = self.ways.iter().map(|&(from, to)| json!([net::name(from), net::name(to)]));
            said.insert("cut".to_owned(), ways.collect());
        }
        if let Some(leader) = leader {
            said.insert("leader".to_owned(), json!(net::name(leader)));
        }
        Value::Object(said)
    }
}

fn chosen<'a, T>(all: &'a mut [T], hosts: &'a [usize]) -> impl Iterator<Item = &'a mut T> {
    all.iter_mut().enumerate().filter(|(host, _)| hosts.contains(host)).map(|(_, one)| one)
}

async fn kill(world: &mut World, hosts: &[usize]) -> Result<(), WorldError> {
    let ends = chosen(&mut world.servers, hosts).map(Server::kill);
    for ended in futures::future::join_all(ends).await {
        ended?;
    }
    Ok(())
}

fn start(world: &mut World, hosts: &[usize]) -> Result<(), WorldError> {
    for server in chosen(&mut world.servers, hosts) {
        server.start(&world.net)?;
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
            if let Err(error) = server.depart(PATIENCE).await {
                server.kill().await?;
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
        nemesis.active.push(begin(Fault::Kill(Who::One), &[2]));
        nemesis.active.push(begin(Fault::Pause(Who::All), &[0, 1, 2]));
        let ended = begin(Fault::Kill(Who::Minority), &[1, 2]);
        assert_eq!(nemesis.unwanted(&ended), [1]);
    }

    #[test]
    fn all_that_is_parted_is_cut() {
        let mut nemesis = Nemesis::new(Dice::new(1));
        for shape in [Shape::Leader, Shape::Halves] {
            let drawn = nemesis.draw(Fault::Partition(shape), 5, Some(0));
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
            let drawn = nemesis.draw(Fault::Membership, 3, Some(1));
            assert!(matches!(drawn.hosts[..], [0 | 2]), "{drawn:?}");
        }
    }
}
