//! What a workload that tests Lictor has besides its actors: agents on the hosts, and what they have done.
//!
//! What counts is not what agents say but what came of them: the programs that they start write down when they did what,
//! on a clock that all hosts share, each host in a directory of its own. When all is over these lines become calls of the
//! history ([`super::witness`]).

use std::io;
use std::path::PathBuf;

use async_trait::async_trait;

use super::witness::Deed;
use super::world::agent::{Agent, Home};
use super::world::process::ProcessError;

/// The agents of a workload.
#[async_trait]
pub trait Scene: Send + Sync {
    /// Where agents live.
    fn home(&self) -> Home;

    /// What the agent of a host is told, besides who it is and where its Consul is. `@DIR@` stands for the directory of that host,
    /// and `@HARNESS@` for the address at which it finds the harness.
    fn blocks(&self, host: usize) -> String;

    /// More files of a booted machine, and what is in them.
    fn files(&self, _host: usize) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Brings about what has to be there before the actors begin; the agents were started.
    ///
    /// # Errors
    /// If an agent cannot be asked, or refuses.
    async fn install(&self, _agents: &mut [Agent]) -> Result<(), ProcessError> {
        Ok(())
    }

    /// What is between the agents and being well; asked before the actors begin and after all faults.
    ///
    /// # Errors
    /// If an agent cannot be asked at all.
    async fn obstacle(&self, agents: &mut [Agent]) -> Result<Option<String>, ProcessError>;

    /// The host that does now what is tested, if there is one.
    fn active(&self) -> Option<usize>;

    /// What was done.
    ///
    /// # Errors
    /// If what was written down cannot be read, or makes no sense.
    fn deeds(&self) -> Result<Vec<Deed>, SceneError>;
}

/// What was written down cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum SceneError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is not what a program writes.
    #[error("{}: `{line}` is not what the programs of this workload write", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// What stands there.
        line: String,
    },
}
