//! VPN: whether a tunnel is up, as far as somebody can say it.
//!
//! Who cannot be asked, or gives no clear answer, is *unknown* with the reason and never critical:
//! a control server that is away says nothing about the tunnel.

mod gluetun;
mod json;
mod tailscale;
mod wireguard;

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use lictor_config::{Command, Vpn, VpnSource, Watch};
use lictor_core::{Sample, Span, Status, ValueName};
use tokio::time::{Instant, timeout};

use super::exec::program::{self, Ended};
use super::fault::Fault;
use super::look::{Look, Memory, World};
use super::value::{self, Measured as _};

pub(super) use gluetun::explain;

/// Of the word that it was told by, characters that are kept.
const RAW: usize = 64;

/// Of what a program said of its failure, characters that are shown.
const SAID: usize = 200;

/// What is read of a program's output, bytes: a large tailnet is told of in megabytes.
const OUTPUT: usize = 4 << 20;

/// What is kept from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// Since when the tunnel has been between up and down, without a look that saw otherwise.
    between: Option<Instant>,
    /// That a gluetun is of the kind that knows only the routes of OpenVPN.
    old: Option<gluetun::Old>,
}

/// What a look found.
#[derive(Debug)]
struct Finding {
    tunnel: Tunnel,
    word: Word,
    summary: String,
    /// The word it was told by.
    raw: Option<String>,
    numbers: Vec<(&'static LazyLock<ValueName>, f64)>,
}

/// How the tunnel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tunnel {
    Up,
    Down,
    /// On its way up or down: not known for a while, then down.
    Between,
    Unknown,
}

/// The value `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Running,
    Stopped,
    Error,
    Unknown,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Error => "error",
            Self::Unknown => "unknown",
        })
    }
}

impl Finding {
    fn new(tunnel: Tunnel, word: Word, summary: impl Into<String>) -> Self {
        Self { tunnel, word, summary: summary.into(), raw: None, numbers: Vec::new() }
    }

    fn unknown(summary: impl Into<String>) -> Self {
        Self::new(Tunnel::Unknown, Word::Unknown, summary)
    }

    fn told_by(mut self, raw: impl Into<String>) -> Self {
        self.raw = Some(raw.into());
        self
    }
}

pub(super) async fn look(vpn: &Vpn, watch: &Watch, memory: &mut Memory, world: &World) -> Look {
    let begun = Instant::now();
    let past = memory.tunnel.get_or_insert_default();
    let finding = find(&vpn.source, watch.timeout, past, world).await;
    let mut sample = judge(finding, vpn.grace, past, begun);
    sample.seconds(&value::TOTAL_SECONDS, begun.elapsed());
    Look::new(sample)
}

async fn find(source: &VpnSource, limit: Duration, past: &mut Past, world: &World) -> Finding {
    let late = |_late| Finding::unknown(format!("nobody has said how the tunnel is within {}", Span(limit)));
    match source {
        VpnSource::Gluetun(control) => {
            timeout(limit, gluetun::ask(control, limit, &mut past.old)).await.unwrap_or_else(late)
        }
        VpnSource::Json { control, pointer, up } => {
            timeout(limit, json::ask(control, limit, pointer, up)).await.unwrap_or_else(late)
        }
        // A program has its own time limit, which ends it in good order.
        VpnSource::WireGuard { command, interface, handshake } => match run(command, limit, world).await {
            Ok(ended) => {
                let now = world.clock.now().wall;
                wireguard::judge(command, &ended, interface.as_deref(), *handshake, now)
            }
            Err(fault) => Finding::unknown(fault.message),
        },
        VpnSource::Tailscale { command } => match run(command, limit, world).await {
            Ok(ended) => tailscale::judge(command, &ended),
            Err(fault) => Finding::unknown(fault.message),
        },
    }
}

async fn run(argv: &[String], limit: Duration, world: &World) -> Result<Ended, Fault> {
    let command = Command { argv: argv.to_vec(), captured: Vec::new(), env: Vec::new(), cwd: None };
    let ended = program::run_reading(&command, limit, OUTPUT, world).await?;
    if ended.status.is_none() {
        let name = argv.first().map_or("", String::as_str);
        return Err(Fault::unknown(format!("`{name}` took longer than {} and was ended", Span(limit))));
    }
    Ok(ended)
}

/// The result, in view of how long the tunnel has been between up and down.
fn judge(finding: Finding, grace: Duration, past: &mut Past, now: Instant) -> Sample {
    let Finding { tunnel, word, mut summary, raw, numbers } = finding;
    let status = match tunnel {
        Tunnel::Up => Status::Passing,
        Tunnel::Down => Status::Critical,
        Tunnel::Unknown => Status::Unknown,
        Tunnel::Between => {
            let since = *past.between.get_or_insert(now);
            let passed = now.saturating_duration_since(since);
            if passed < grace {
                Status::Unknown
            } else {
                summary = format!("{summary}, and not up after {}", Span(passed));
                Status::Critical
            }
        }
    };
    if tunnel != Tunnel::Between {
        past.between = None;
    }
    let mut sample = Sample::new(status, summary);
    match status {
        Status::Passing => sample.flag(&value::UP, true),
        Status::Warning | Status::Critical => sample.flag(&value::UP, false),
        Status::Unknown => {}
    }
    sample.text(&value::STATUS, word.to_string());
    if let Some(raw) = raw {
        sample.text(&value::RAW, raw);
    }
    for (name, number) in numbers {
        sample.number(name, number);
    }
    sample
}

/// What a program that failed said of it, in one line: its standard error only, for what it
/// prints otherwise may hold keys.
fn failure(argv: &[String], ended: &Ended) -> String {
    let name = argv.first().map_or("", String::as_str);
    let said = crate::text::one_line(&ended.output.stderr, SAID);
    let how = ended.status.map_or_else(String::new, |status| status.to_string());
    if said.is_empty() { format!("`{name}` failed: {how}") } else { format!("`{name}` failed: {said}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(60);

    /// What becomes of one finding after another, 40 s apart.
    fn judged(tunnels: &[Tunnel]) -> Vec<(Status, Option<f64>)> {
        let (mut past, mut now) = (Past::default(), Instant::now());
        let judge = |tunnel: &Tunnel| {
            now += Duration::from_secs(40);
            let sample = judge(Finding::new(*tunnel, Word::Unknown, "so"), GRACE, &mut past, now);
            let up = sample.value(&value::UP).map(|up| up.to_string().parse().unwrap());
            (sample.status, up)
        };
        tunnels.iter().map(judge).collect()
    }

    #[test]
    fn between_up_and_down_is_unknown_for_a_while_and_then_critical() {
        use Tunnel::{Between, Up};
        let unknown = (Status::Unknown, None);
        let critical = (Status::Critical, Some(0.0));
        let passing = (Status::Passing, Some(1.0));
        assert_eq!(judged(&[Between, Between, Between, Between]), [unknown, unknown, critical, critical]);
        assert_eq!(judged(&[Between, Between, Up, Between]), [unknown, unknown, passing, unknown]);
    }

    #[test]
    fn a_look_that_sees_nothing_begins_the_while_anew() {
        use Tunnel::{Between, Unknown};
        let unknown = (Status::Unknown, None);
        assert_eq!(judged(&[Between, Between, Unknown, Between, Between]), [unknown; 5]);
    }

    #[tokio::test]
    async fn the_summary_tells_how_long_it_has_not_come_up() {
        let mut past = Past { between: Some(Instant::now()), old: None };
        let later = Instant::now() + Duration::from_secs(90);
        let sample =
            judge(Finding::new(Tunnel::Between, Word::Unknown, "it starts"), GRACE, &mut past, later);
        assert_eq!(sample.summary, "it starts, and not up after 1m 30s");
    }
}
