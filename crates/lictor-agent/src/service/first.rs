//! The first records of a service: that of its lease, without which nobody runs it, and those that powerconsul's
//! programs want to find.

use lictor_config::ClusterService;
use lictor_core::lease::{Next, Record, Roll};
use lictor_store::kv::{Kv, KvError, Op};
use lictor_store::wire;

use super::{AskError, roles};

/// What became of the first record of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// There is one now.
    New,
    /// There was one.
    Before,
}

fn failed(error: &dyn std::fmt::Display) -> AskError {
    AskError::Records { why: error.to_string() }
}

/// Makes the record of the lease with this token, given back for anyone; for nobody where it names a datacenter.
pub(super) async fn lease(kv: &Kv, config: &ClusterService, token: u64) -> Result<Made, AskError> {
    let record = Record {
        holder: config.nodes.first().cloned().unwrap_or_default(),
        incarnation: "init".to_owned(),
        token,
        beat: 0,
        length: config.times.0.length(),
        // Between datacenters there may be another lease, under which it still runs: a person has to know.
        released: Some(if config.datacenter.is_some() { Next::Nobody } else { Next::Anyone }),
        roll: Some(Roll { nodes: config.nodes.iter().cloned().collect(), boot: "init".to_owned() }),
    };
    let value = wire::encode(&wire::Lease::from(&record)).map_err(|error| failed(&error))?;
    create(kv, format!("service/{}/lease", config.name), value).await
}

/// Makes what powerconsul wants to find of a service with this key of cluster data: its roles, with the preferred
/// node as the active one, and the keys by which this node is promoted and demoted, with nothing asked. `kv` has all
/// records, not only ours.
pub(super) async fn of_powerconsul(
    kv: &Kv,
    config: &ClusterService,
    key: &str,
    node: &str,
) -> Result<(), AskError> {
    let first = config.nodes.first().map_or("", String::as_str);
    create(kv, key.to_owned(), roles::among(first, &config.nodes)).await?;
    let service = key.rsplit('/').next().unwrap_or(key);
    for word in ["promote", "demote"] {
        create(kv, format!("service/{service}/{node}/{word}"), b"NULL".to_vec()).await?;
    }
    Ok(())
}

async fn create(kv: &Kv, key: String, value: Vec<u8>) -> Result<Made, AskError> {
    match kv.txn(&[Op::create(key, value)]).await {
        Ok(_) => Ok(Made::New),
        Err(KvError::Conflict { .. }) => Ok(Made::Before),
        Err(error) => Err(failed(&error)),
    }
}
