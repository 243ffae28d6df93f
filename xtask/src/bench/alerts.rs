//! From a check that turns critical in a Consul to the request at a notifier's address, with
//! what is told made durable in between; and what watching many checks costs.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::measure::RUNS;
use super::{Bed, Better, Row, bed, latency};
use crate::error::Error;
use crate::setup;

/// Changes of one measurement of the latency.
const CHANGES: usize = 200;

/// Checks while the latency is measured.
const FEW: usize = 500;

/// Checks while the cost is measured.
const MANY: usize = 5_000;

/// Changes in a second while the cost is measured.
const BUSY: u64 = 50;

/// Seconds over which a cost is measured.
const SECONDS: u64 = 20;

pub(super) fn run(bed: &Bed<'_>) -> Result<Vec<Row>, Error> {
    let program = bed::program(bed.workspace)?;
    let consul = setup::consul::path(bed.workspace);
    let mut rows = speed(bed, &program, &consul)?;
    rows.extend(cost(bed, &program, &consul)?);
    Ok(rows)
}

fn speed(bed: &Bed<'_>, program: &Path, consul: &Path) -> Result<Vec<Row>, Error> {
    let dir = bed::fresh(bed.workspace, "alerts")?;
    let io = |source| Error::Start { command: "the listener of the notifier".into(), source };
    let told = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(io)?;
    let (port, _server) = watched(consul, &dir, FEW)?;
    let blocks = blocks(port, told.local_addr().map_err(io)?.port());
    let _agent = bed::agent(program, &dir, bed::free_port()?, &blocks)?;
    bed::rest(3);
    let (mut middles, mut tails) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let mut times = Vec::new();
        for change in 0..CHANGES {
            let check = change % FEW;
            let begun = Instant::now();
            set(port, check, "fail")?;
            latency::answer(&told).map_err(io)?;
            times.push(begun.elapsed());
            set(port, check, "pass")?;
            latency::answer(&told).map_err(io)?;
        }
        times.sort_unstable();
        let at = |share: usize| {
            times.get(times.len() * share / 100).copied().unwrap_or_default().as_secs_f64() * 1_000.0
        };
        middles.push(at(50));
        tails.push(at(99));
    }
    let row = |name, ours, wanted: f64| -> Result<Row, Error> {
        let wanted = bed::sample(vec![wanted; RUNS], "ms (wanted)")?;
        Ok(Row::new(name, bed::sample(ours, "ms")?, wanted, Better::Less, "cargo xtask bench alerts"))
    };
    Ok(vec![
        row("check of Consul critical to request of the notifier, 500 checks, p50", middles, 50.0)?,
        row("check of Consul critical to request of the notifier, 500 checks, p99", tails, 100.0)?,
    ])
}

fn cost(bed: &Bed<'_>, program: &Path, consul: &Path) -> Result<Vec<Row>, Error> {
    let dir = bed::fresh(bed.workspace, "alerts-cost")?;
    let (port, _server) = watched(consul, &dir, MANY)?;
    // Nobody is told: what is measured is the watching.
    let blocks =
        blocks(port, bed::free_port()?) + "route \"nobody\" {\n  check = \"none\"\n  to = [\"hook\"]\n}\n";
    let agent = bed::agent(program, &dir, bed::free_port()?, &blocks)?;
    bed::rest(5);
    let before = agent.cpu_ms();
    bed::rest(SECONDS);
    let idle = (agent.cpu_ms() - before) / (SECONDS as f64 * 10.0);
    let before = agent.cpu_ms();
    let begun = Instant::now();
    for change in 0..BUSY * SECONDS {
        let (check, state) = ((change / 2) as usize % MANY, if change % 2 == 0 { "fail" } else { "pass" });
        set(port, check, state)?;
        let due = begun + Duration::from_millis(change * 1_000 / BUSY);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let busy = (agent.cpu_ms() - before) / (begun.elapsed().as_secs_f64() * 10.0);
    let memory = agent.memory_mb();
    let row = |name, figure, wanted, unit, unit_wanted| -> Result<Row, Error> {
        let (ours, wanted) =
            (bed::sample(vec![figure; RUNS], unit)?, bed::sample(vec![wanted; RUNS], unit_wanted)?);
        Ok(Row::new(name, ours, wanted, Better::Less, "cargo xtask bench alerts"))
    };
    Ok(vec![
        row("5,000 checks of Consul watched, nothing happens: CPU", idle.max(0.01), 1.0, "%", "% (wanted)")?,
        row("5,000 checks of Consul watched, 50 changes/s: CPU", busy, 50.0, "%", "% (wanted)")?,
        row("5,000 checks of Consul watched: memory", memory, 40.0, "MB", "MB (wanted)")?,
    ])
}

fn blocks(consul: u16, told: u16) -> String {
    format!(
        "consul {{\n  address = \"http://127.0.0.1:{consul}\"\n}}\n\
         alerts {{\n  consul {{\n  }}\n}}\n\
         notify \"http\" \"hook\" {{\n  url  = \"http://127.0.0.1:{told}/\"\n}}\n\
         route \"all\" {{\n  source = \"consul\"\n  status = [\"critical\"]\n  to = [\"hook\"]\n  group_wait = \"0s\"\n  \
         group_interval = \"0s\"\n}}\n"
    )
}

/// A Consul with so many checks that pass, and its port.
fn watched(program: &Path, dir: &Path, checks: usize) -> Result<(u16, bed::Server), Error> {
    let mut ports = Vec::new();
    for _ in 0..6 {
        ports.push(bed::free_port()?);
    }
    let [http, serf, wan, server, dns, grpc] = ports[..] else {
        return Err(Error::Verdict("no free ports".to_owned()));
    };
    let mut config = format!(
        "{{\"ports\": {{\"http\": {http}, \"serf_lan\": {serf}, \"serf_wan\": {wan}, \"server\": {server}, \"dns\": {dns}, \
         \"grpc\": {grpc}}}, \"limits\": {{\"http_max_conns_per_client\": 500}}, \"services\": ["
    );
    for check in 0..checks {
        let comma = if check == 0 { "" } else { "," };
        let _infallible = write!(
            config,
            "{comma}{{\"name\": \"s{check}\", \"checks\": [{{\"id\": \"c{check}\", \"name\": \"alive\", \"ttl\": \"24h\", \
             \"status\": \"passing\"}}]}}"
        );
    }
    config.push_str("]}");
    let file = dir.join("consul.json");
    std::fs::write(&file, config).map_err(Error::file("write", &file))?;
    let mut command = Command::new(program);
    command.args(["agent", "-dev", "-bind=127.0.0.1", "-log-level=err"]);
    command.arg(format!("-config-file={}", file.display()));
    let running = bed::Server::start(command, &dir.join("consul.log"))?;
    bed::wait_for(http)?;
    for _ in 0..600 {
        let known = bed::get(http, "/v1/health/state/passing").unwrap_or_default();
        if known.matches("\"CheckID\"").count() > checks {
            return Ok((http, running));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(Error::Verdict(format!("Consul does not have {checks} checks after a minute")))
}

fn set(consul: u16, check: usize, state: &str) -> Result<(), Error> {
    let request = format!(
        "PUT /v1/agent/check/{state}/c{check} HTTP/1.1\r\nHost: 127.0.0.1:{consul}\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n"
    );
    bed::http(consul, &request).map(drop)
}
