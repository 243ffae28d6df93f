//! `backup`: snapshots are taken and sent as the old program did, once or until a signal comes.

use std::sync::Arc;

use lictor_agent::snapshot::{SnapshotAlone, SnapshotMeans};
use lictor_agent::{Clock, OnEnd, Tasks};
use lictor_config::{Env as _, ProcessEnv};

use super::{NAME, Told, failed, health};
use crate::command::run::runtime;
use crate::command::snapshot::agent::take;
use crate::exit::Failure;
use crate::output::Terminal;

/// Runs until it is done or told to end.
pub(super) fn run(told: Told, once: bool, terminal: &Terminal) -> Result<(), Failure> {
    let runtime = runtime()?;
    let done = runtime.block_on(serve(told, once, terminal));
    // A name server that does not answer must not hold up the end.
    runtime.shutdown_background();
    done
}

async fn serve(told: Told, once: bool, terminal: &Terminal) -> Result<(), Failure> {
    let (client, _) = told.consul()?;
    let means = SnapshotMeans {
        node: ProcessEnv.host_name().unwrap_or_else(|| NAME.to_owned()),
        clock: Clock::fresh(),
        scratch: std::env::temp_dir(),
        tasks: Tasks::new(),
    };
    if !once && !told.start.acceptance {
        let listener = health::listen().await.map_err(failed)?;
        let client = client.clone();
        means.tasks.spawn("health", OnEnd::Stop, async move { health::serve(listener, &client).await });
    }
    let block = Arc::new(told.snapshot);
    // The old one knew of no other: each one of them made its own backups.
    let alone = SnapshotAlone::new(&block, &told.consul, &client, &means).without_lease();
    take(vec![alone], &means.tasks, once, terminal).await
}
