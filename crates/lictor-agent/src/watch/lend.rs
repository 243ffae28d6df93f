//! What the watchers' means do for others than watchers.

use std::net::SocketAddr;
use std::time::Duration;

use lictor_config::{Command, Family};

use super::exec::program::{Ended, run_reading};
use super::look::World;

/// A program that has ended by itself.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    /// The addresses of `host` by the system's resolver, in its order; at least one.
    ///
    /// # Errors
    /// In words.
    pub(crate) async fn lookup(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        self.resolver.addresses(host, port, Family::Any).await.map_err(|fault| fault.message)
    }

    /// Runs a program without a shell and reads at most `most` bytes of each of its outputs.
    ///
    /// # Errors
    /// In words, when it cannot be started or has not ended within `limit`.
    pub(crate) async fn run(&self, argv: Vec<String>, limit: Duration, most: usize) -> Result<Ran, String> {
        let name = argv.first().cloned().unwrap_or_default();
        let command = Command { argv, captured: Vec::new(), env: Vec::new(), cwd: None };
        let Ended { status, output } =
            run_reading(&command, limit, most, self).await.map_err(|fault| fault.message)?;
        match status {
            Some(status) => Ok(Ran { code: status.code(), stdout: output.stdout, stderr: output.stderr }),
            None => Err(format!("`{name}` took longer than {}", lictor_core::Span(limit))),
        }
    }
}
