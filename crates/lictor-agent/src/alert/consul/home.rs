//! Which datacenter the asked Consul is of.

use std::time::Duration;

use lictor_consul::{Client, Query};
use lictor_core::alert::{Input, Source};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::Closed;
use super::outage::{Outage, Pauses, Reason};

/// The longest pause between two questions.
const LONGEST: Duration = Duration::from_secs(10);

/// The name of the client's datacenter, as soon as it is known. Until then what is wrong is told of
/// the source `consul`.
pub(super) async fn datacenter(
    client: &Client,
    inputs: &mpsc::Sender<Input>,
    grace: Duration,
) -> Result<String, Closed> {
    let source = Source::new("consul");
    let (mut outage, mut pauses) = (Outage::new(grace), Pauses::new(LONGEST));
    loop {
        let reason = match ask(client).await {
            Ok(name) => {
                if outage.over() {
                    let (reports, gone) = (Vec::new(), Vec::new());
                    inputs.send(Input::Reports { source, complete: true, reports, gone }).await?;
                }
                return Ok(name);
            }
            Err(reason) => reason,
        };
        if let Some(why) = outage.failed(Instant::now(), reason, false) {
            warn!(why, "cannot find out which datacenter Consul is of");
            inputs.send(Input::Lost { source: source.clone(), why }).await?;
        }
        sleep(pauses.next()).await;
    }
}

/// The service that every server of Consul's has is readable with what the checks need anyway; what
/// the agent says of itself needs one right more.
async fn ask(client: &Client) -> Result<String, Reason> {
    let servers = client.catalog().service("consul", &Query::new().stale()).await;
    let servers = servers.map_err(|error| Reason::from(&error))?.value;
    let named = servers.into_iter().map(|server| server.datacenter).find(|name| !name.is_empty());
    if let Some(name) = named {
        return Ok(name);
    }
    match client.agent().info().await {
        Ok(info) if !info.config.datacenter.is_empty() => Ok(info.config.datacenter),
        Ok(_) => Err(Reason::no_datacenter()),
        Err(error) if error.is_denied() => Err(Reason::no_datacenter()),
        Err(error) => Err(Reason::from(&error)),
    }
}
