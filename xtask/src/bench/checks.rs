//! Many checks at once: isolation, first sweep, and what an idle agent costs.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::bed::{self, Server};
use super::measure::RUNS;
use super::{Bed, Better, Row};
use crate::error::Error;

/// Checks of the isolation row, a tenth of which never get an answer.
const MANY: u32 = 5_000;

/// Checks of the row with as many as one node has.
const MOST: u32 = 10_000;

/// Checks of the isolation row beside Monit, every 3 s.
const SOME: u32 = 500;

/// Checks of the idle row.
const FEW: u32 = 100;

/// 10,000 checks every 10 s: how long until each was looked at once, and the memory when
/// every one has its history, against what is promised.
pub(super) fn many(bed: &Bed<'_>) -> Result<Vec<Row>, Error> {
    let program = bed::program(bed.workspace)?;
    let dir = bed::fresh(bed.workspace, "many")?;
    let port = bed::free_port()?;
    let _nginx = bed::nginx(&dir, port)?;
    let blocks = bed::http_checks(MOST, "10s", "  keep_alive = true\n", |_| port);
    let (mut sweeps, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let begun = Instant::now();
        let listen = bed::free_port()?;
        let agent = bed::agent(&program, &dir, listen, &blocks)?;
        while bed::passed(listen)? < f64::from(MOST) {
            std::thread::sleep(Duration::from_millis(50));
            if begun.elapsed() > Duration::from_secs(60) {
                return Err(Error::Verdict("not all checks were looked at within a minute".into()));
            }
        }
        sweeps.push(begun.elapsed().as_secs_f64());
        // Five more looks at each: as many as are kept as evidence.
        bed::rest(50);
        memory.push(agent.memory_mb());
    }
    let command = "cargo xtask bench many";
    let promised = |value, unit| bed::sample(vec![value; RUNS], unit);
    let (sweep, held) = (promised(10.0, "s promised")?, promised(60.0, "MB promised")?);
    Ok(vec![
        Row::new(
            "10,000 checks / 10 s: all looked at once",
            bed::sample(sweeps, "s")?,
            sweep,
            Better::Less,
            command,
        ),
        Row::new("10,000 checks / 10 s: memory", bed::sample(memory, "MB")?, held, Better::Less, command),
    ])
}

/// Lateness of healthy checks while a tenth of all targets accept and never answer,
/// against what is promised; and how many of them are looked at beside Monit.
pub(super) fn isolation(bed: &Bed<'_>) -> Result<Vec<Row>, Error> {
    let program = bed::program(bed.workspace)?;
    let dir = bed::fresh(bed.workspace, "isolation")?;
    let port = bed::free_port()?;
    let _nginx = bed::nginx(&dir, port)?;
    // The kernel accepts for it; nobody ever answers.
    let hole = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((listener, address.port()))
    });
    let (hole, dead) = hole.map_err(|source| Error::Start { command: "bind".into(), source })?;
    let keep = std::thread::spawn(move || hole.incoming().flatten().take(100_000).collect::<Vec<_>>());
    let target = |number: u32| if number.is_multiple_of(10) { dead } else { port };
    let beside = beside_monit(bed, &program, port, &target)?;
    let blocks = bed::http_checks(MANY, "10s", "", target);
    let listen = bed::free_port()?;
    let _agent = bed::agent(&program, &dir, listen, &blocks)?;
    bed::rest(12);
    let mut late = Vec::new();
    for _ in 0..RUNS {
        let before = bed::get(listen, "/metrics")?;
        bed::rest(10);
        let after = bed::get(listen, "/metrics")?;
        late.push(bed::quantile(&before, &after, "lictor_probe_lateness_seconds", 0.99) * 1_000.0);
    }
    drop(keep);
    let promised = bed::sample(vec![50.0; RUNS], "ms promised")?;
    let name = "lateness p99, 5,000 checks / 10 s, a tenth hang";
    let command = "cargo xtask bench isolation";
    Ok(vec![beside, Row::new(name, bed::sample(late, "ms")?, promised, Better::Less, command)])
}

/// Healthy looks a second with 500 checks every 3 s of which a tenth never get an answer.
fn beside_monit(bed: &Bed<'_>, program: &Path, port: u16, target: &dyn Fn(u32) -> u16) -> Result<Row, Error> {
    let dir = bed::fresh(bed.workspace, "isolation-monit")?;
    let rate = || -> Result<f64, Error> {
        bed::rest(6);
        let before = bed::answered(port)?;
        bed::rest(15);
        Ok((bed::answered(port)? - before) / 15.0)
    };
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let blocks = bed::http_checks(SOME, "3s", "", target);
        let agent = bed::agent(program, &dir, bed::free_port()?, &blocks)?;
        ours.push(rate()?);
        drop(agent);
        let monit = monit(&dir, SOME, 3, "", target)?;
        peer.push(rate()?);
        drop(monit);
    }
    let (ours, peer) = (bed::sample(ours, "/s")?, bed::sample(peer, "/s")?);
    let name = "healthy looks, 500 checks / 3 s, a tenth hang (Monit)";
    Ok(Row::new(name, ours, peer, Better::More, "cargo xtask bench isolation"))
}

/// 100 checks every 10 s, beside Monit with the same.
pub(super) fn idle(bed: &Bed<'_>) -> Result<Vec<Row>, Error> {
    let program = bed::program(bed.workspace)?;
    let dir = bed::fresh(bed.workspace, "idle")?;
    let port = bed::free_port()?;
    let _nginx = bed::nginx(&dir, port)?;
    let blocks = bed::http_checks(FEW, "10s", "", |_| port);
    let listen = bed::free_port()?;
    let agent = bed::agent(&program, &dir, listen, &blocks)?;
    let monit = monit(&dir, FEW, 10, "", &|_| port)?;
    bed::rest(15);
    let (mut ours, mut peer) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for _ in 0..RUNS {
        let before = (agent.cpu_ms(), monit.cpu_ms());
        bed::rest(10);
        ours.0.push((agent.cpu_ms() - before.0) / 100.0);
        peer.0.push((monit.cpu_ms() - before.1) / 100.0);
        ours.1.push(agent.memory_mb());
        peer.1.push(monit.memory_mb());
    }
    let command = "cargo xtask bench idle";
    let cpu = (bed::sample(ours.0, "% of a core")?, bed::sample(peer.0, "% of a core")?);
    let memory = (bed::sample(ours.1, "MB")?, bed::sample(peer.1, "MB")?);
    Ok(vec![
        Row::new("100 checks / 10 s: CPU (Monit)", cpu.0, cpu.1, Better::Less, command),
        Row::new("100 checks / 10 s: memory (Monit)", memory.0, memory.1, Better::Less, command),
    ])
}

/// Monit with so many checks, one after the other every so many seconds, and what else is to be in its configuration.
pub(super) fn monit(
    dir: &Path,
    checks: u32,
    every: u32,
    more: &str,
    target: &dyn Fn(u32) -> u16,
) -> Result<Server, Error> {
    let at = dir.display();
    let mut text = format!(
        "set daemon {every}\nset log {at}/monit.own.log\nset pidfile {at}/monit.pid\nset idfile {at}/monit.id\n\
         set statefile {at}/monit.state\n{more}"
    );
    let checks = (0..checks).map(|number| {
        let target = target(number);
        format!(
            "check host c{number} with address 127.0.0.1\n  \
             if failed port {target} protocol http request \"/{number}\" then alert\n"
        )
    });
    text.extend(checks);
    let config = dir.join("monitrc");
    fs::write(&config, text).map_err(Error::file("write", &config))?;
    let mut mode = fs::metadata(&config).map_err(Error::file("read", &config))?.permissions();
    // Monit refuses a file that others may read.
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o600);
    fs::set_permissions(&config, mode).map_err(Error::file("change", &config))?;
    let mut command = Command::new("monit");
    command.arg("-I").arg("-c").arg(&config);
    Server::start(command, &dir.join("monit.log"))
}
