//! What the agent hands to the shim over a pipe: it holds secrets, so it is neither an
//! argument nor a file.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::time::Duration;

use lictor_config::{Command, SecretError};
use lictor_core::Order;
use serde::{Deserialize, Serialize};

/// The search path of programs when the agent has none itself.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The variables of its own that the agent passes on.
pub(super) const KEPT: [&str; 3] = ["PATH", "HOME", "LANG"];

/// A job has less than this, bytes: the kernel takes no more arguments and environment
/// than some MiB anyway.
pub(super) const LARGEST: u64 = 8 * 1024 * 1024;

/// A program to run, whole.
#[derive(Serialize, Deserialize)]
pub(super) struct Job {
    /// Program and arguments; not empty.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// What must not be kept of its output.
    pub secrets: Vec<String>,
    /// Working directory.
    pub cwd: PathBuf,
    /// Time limit, milliseconds.
    pub limit_millis: u64,
    /// From TERM to KILL, milliseconds.
    pub grace_millis: u64,
}

impl Job {
    /// The job for an order, with its secrets read; `identity` is what the order is called in
    /// front of others.
    ///
    /// # Errors
    /// When a secret cannot be read.
    pub(super) fn new(
        order: &Order,
        identity: String,
        command: &Command,
        limit: Duration,
        grace: Duration,
    ) -> Result<Self, SecretError> {
        let mut env = kept();
        let mut secrets = Vec::with_capacity(command.env.len());
        for (name, value) in &command.env {
            let value = value.reveal()?;
            secrets.push(value.clone());
            env.insert(name.clone(), value);
        }
        // Last: nothing takes the place of what identifies the step.
        for (name, value) in [
            ("LICTOR_STEP", identity),
            ("LICTOR_RUN", order.run.to_string()),
            ("LICTOR_TARGET", order.target.to_string()),
            ("LICTOR_REMEDY", order.remedy.to_string()),
        ] {
            env.insert(name.to_owned(), value);
        }
        Ok(Self {
            argv: command.argv.clone(),
            env,
            secrets,
            cwd: command.cwd.clone().unwrap_or_else(|| PathBuf::from("/")),
            limit_millis: millis(limit),
            grace_millis: millis(grace),
        })
    }
}

/// PATH, HOME and LANG as the agent has them.
pub(super) fn kept() -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> =
        KEPT.iter().filter_map(|name| Some(((*name).to_owned(), env::var(name).ok()?))).collect();
    env.entry("PATH".to_owned()).or_insert_with(|| PATH.to_owned());
    env
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
