//! HTTP probes against a local nginx, beside prometheus-blackbox-exporter, all on the same
//! processors.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::bed::{self, Server};
use super::measure::RUNS;
use super::{Bed, Better, Row};
use crate::error::Error;

/// Seconds of one measurement.
const SECONDS: u64 = 5;

/// Checks that together want more probes than two processors can give.
const CHECKS: u32 = 3_000;

/// Requests under way at the peer.
const CLIENTS: usize = 32;

/// Rate, CPU per probe and memory of one measurement.
struct Figures {
    rate: f64,
    cpu: f64,
    memory: f64,
}

pub(super) fn run(bed: &Bed<'_>) -> Result<Vec<Row>, Error> {
    let program = bed::program(bed.workspace)?;
    let dir = bed::fresh(bed.workspace, "probes")?;
    let port = bed::free_port()?;
    let _nginx = bed::nginx(&dir, port)?;
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        all[0].push(ours(&program, &dir, port, true)?);
        all[1].push(ours(&program, &dir, port, false)?);
        all[2].push(peer(&dir, port)?);
    }
    let [kept, fresh, peer] = all;
    let command = "cargo xtask bench probes";
    let mut rows = Vec::new();
    for (name, ours) in [("HTTP probes, connection kept", &kept), ("HTTP probes, fresh connection", &fresh)] {
        let take = |of: &[Figures], what: fn(&Figures) -> f64, unit| {
            bed::sample(of.iter().map(what).collect(), unit)
        };
        rows.push(Row::new(
            name,
            take(ours, |one| one.rate, "/s")?,
            take(&peer, |one| one.rate, "/s")?,
            Better::More,
            command,
        ));
        rows.push(Row::new(
            &format!("{name}: CPU"),
            take(ours, |one| one.cpu, "ms each")?,
            take(&peer, |one| one.cpu, "ms each")?,
            Better::Less,
            command,
        ));
        rows.push(Row::new(
            &format!("{name}: memory"),
            take(ours, |one| one.memory, "MB")?,
            take(&peer, |one| one.memory, "MB")?,
            Better::Less,
            command,
        ));
    }
    Ok(rows)
}

fn ours(program: &Path, dir: &Path, target: u16, keep: bool) -> Result<Figures, Error> {
    let more = format!("  timeout = \"100ms\"\n  keep_alive = {keep}\n");
    let blocks = bed::http_checks(CHECKS, "100ms", &more, |_| target);
    let port = bed::free_port()?;
    let agent = bed::agent(program, dir, port, &blocks)?;
    bed::rest(3);
    let (before, cpu) = (bed::passed(port)?, agent.cpu_ms());
    bed::rest(SECONDS);
    let (after, spent) = (bed::passed(port)?, agent.cpu_ms() - cpu);
    Ok(Figures {
        rate: (after - before) / SECONDS as f64,
        cpu: spent / (after - before),
        memory: agent.memory_mb(),
    })
}

fn peer(dir: &Path, target: u16) -> Result<Figures, Error> {
    let port = bed::free_port()?;
    let config = dir.join("blackbox.yml");
    let text = "modules:\n  http_2xx:\n    prober: http\n    timeout: 5s\n";
    std::fs::write(&config, text).map_err(Error::file("write", &config))?;
    let mut command = Command::new("prometheus-blackbox-exporter");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let exporter = Server::start(command, &dir.join("blackbox.log"))?;
    bed::wait_for(port)?;
    let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let path = format!("/probe?module=http_2xx&target=http://127.0.0.1:{target}/");
    thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| scope.spawn(|| client(port, &path, &stop, &count))).collect();
        bed::rest(1);
        let (before, cpu) = (count.load(Ordering::Relaxed), exporter.cpu_ms());
        bed::rest(SECONDS);
        let probes = (count.load(Ordering::Relaxed) - before) as f64;
        let spent = exporter.cpu_ms() - cpu;
        let memory = exporter.memory_mb();
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client
                .join()
                .map_err(|_panic| Error::Verdict("a client panicked".into()))?
                .map_err(|source| Error::Start { command: "a request to the peer".into(), source })?;
        }
        Ok(Figures { rate: probes / SECONDS as f64, cpu: spent / probes, memory })
    })
}

/// Asks for one probe after the other on a kept connection.
fn client(port: u16, path: &str, stop: &AtomicBool, count: &AtomicU64) -> std::io::Result<()> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    while !stop.load(Ordering::Relaxed) {
        writer.write_all(request.as_bytes())?;
        let mut length = None;
        let mut line = String::new();
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse::<u64>().ok();
            }
            if line == "\r\n" || line.is_empty() {
                break;
            }
        }
        match length {
            Some(length) => drop(std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?),
            None => skip_chunks(&mut reader)?,
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn skip_chunks(reader: &mut BufReader<TcpStream>) -> std::io::Result<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
        // The chunk and its line break.
        std::io::copy(&mut reader.by_ref().take(size + 2), &mut std::io::sink())?;
        if size == 0 {
            return Ok(());
        }
    }
}
