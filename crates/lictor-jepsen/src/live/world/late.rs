//! Packets that arrive late or not at all: the router hands those of a host to a program that holds each of them for a
//! while, and drops some. Not every kernel has `netem`; this needs `/dev/net/tun` and perl.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use lictor_testkit::net::HOLDER;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::net::{Quality, batch, line, network};
use crate::live::tool::ToolError;

/// Where the rules of the first host stand: after those that cut ways.
const RULES: usize = 20_000;

/// How long the program may take to begin.
const BEGIN: Duration = Duration::from_secs(10);

/// A line whose packets are late, or lost.
#[derive(Debug)]
pub(super) struct Late {
    holder: Child,
}

impl Late {
    /// Begins to hold the packets of a host, to it and from it.
    pub(super) async fn begin(host: usize, quality: Quality) -> Result<Self, ToolError> {
        let (device, table) = (device(host), table(host));
        let made = [format!("tuntap add dev {device} mode tun"), format!("link set {device} up")];
        batch(&[], &made).await?;
        let holder = match hold(&device, quality).await {
            Ok(holder) => holder,
            Err(error) => {
                batch(&[], &[format!("tuntap del dev {device} mode tun")]).await?;
                return Err(error);
            }
        };
        let mut orders = vec![format!("route add default dev {device} table {table}")];
        orders.extend(rules(host, "add"));
        batch(&[], &orders).await?;
        Ok(Self { holder })
    }

    /// Packets arrive at once again; those that are on the way are lost.
    pub(super) async fn end(mut self, host: usize) -> Result<(), ToolError> {
        batch(&[], &rules(host, "del")).await?;
        drop(self.holder.stdin.take());
        let ended = timeout(BEGIN, self.holder.wait()).await;
        tracing::debug!(host, ?ended, "packets are held no more");
        // With the device goes its route.
        batch(&[], &[format!("tuntap del dev {} mode tun", device(host))]).await
    }
}

async fn hold(device: &str, quality: Quality) -> Result<Child, ToolError> {
    let what = || format!("perl, to hold the packets of {device}");
    let start = |source: io::Error| ToolError::Start { what: what(), source };
    let seconds = Duration::from_millis(quality.delay_ms.into()).as_secs_f64().to_string();
    let mut command = Command::new("perl");
    command.args(["-e", HOLDER, device, &seconds, &quality.loss_percent.to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut holder = command.spawn().map_err(start)?;
    let Some(output) = holder.stdout.take() else {
        return Err(start(io::Error::other("it has no output")));
    };
    let mut lines = BufReader::new(output).lines();
    match timeout(BEGIN, lines.next_line()).await {
        Ok(Ok(Some(line))) if line == "ready" => Ok(holder),
        Ok(Err(source)) => Err(start(source)),
        Ok(Ok(_)) => {
            let output = holder.wait_with_output().await.map_err(start)?;
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(ToolError::Failed { what: what(), said })
        }
        Err(_) => Err(ToolError::Slow { what: what() }),
    }
}

/// What sends the packets of a host to the one that holds them, and on from there.
fn rules(host: usize, verb: &str) -> [String; 3] {
    let (at, device, line, table) = (RULES + host * 3, device(host), line(host), table(host));
    [
        format!("rule {verb} pref {at} iif {device} lookup main"),
        format!("rule {verb} pref {} iif {line} lookup {table}", at + 1),
        format!("rule {verb} pref {} to {} lookup {table}", at + 2, network(host)),
    ]
}

fn device(host: usize) -> String {
    format!("late{}", host + 1)
}

fn table(host: usize) -> usize {
    1_000 + host
}
