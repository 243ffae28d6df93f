//! Snapshots of Consul: looking at one and checking it to its last record against `consul snapshot inspect`, which compares sums
//! and counts, and saving one that is checked against `consul snapshot save`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::backtest::timed;
use super::measure::RUNS;
use super::{Bed, Better, Row, bed};
use crate::error::Error;
use crate::setup;

const AGAIN: &str = "cargo xtask bench snapshot";

/// Keys of the server that is saved.
const SAVED: u32 = 150_000;

/// Keys of the snapshot that is made.
const MADE: u32 = 1_000_000;

/// Bytes of a value.
const BYTES: u32 = 100;

pub(super) fn run(bed: &Bed<'_>) -> Result<Vec<Row>, Error> {
    let program = bed::program(bed.workspace)?;
    let make = bed::cargo_example(bed.workspace, "lictor-snapshot", "make")?;
    let fill = bed::cargo_example(bed.workspace, "lictor-agent", "copy_rate")?;
    let consul = setup::consul::path(bed.workspace);
    let dir = bed::fresh(bed.workspace, "snapshot")?;
    let server = Server::start(&consul, &dir)?;
    bed::numbers(Command::new(fill).args(["fill", &server.url(), &SAVED.to_string(), &BYTES.to_string()]))?;
    let mut rows = saving(&program, &consul, &server, &dir)?;
    let saved = dir.join("saved.snap");
    rows.extend(reading(&program, &consul, &saved, SAVED)?);
    let made = dir.join("made.snap");
    bed::numbers(Command::new(make).arg(&made).args([MADE.to_string(), BYTES.to_string()]))?;
    rows.extend(reading(&program, &consul, &made, MADE)?);
    Ok(rows)
}

/// Saves one to a file, checked, and has Consul's program save one.
fn saving(program: &Path, consul: &Path, server: &Server, dir: &Path) -> Result<Vec<Row>, Error> {
    let save = |program: &Path, name: &str| {
        let mut command = Command::new(program);
        command.args(["snapshot", "save"]).arg(dir.join(name)).env("CONSUL_HTTP_ADDR", server.url());
        command
    };
    compared(
        &format!("save a snapshot of {SAVED} keys; ours is decoded to its end before it gets its name"),
        || save(program, "saved.snap"),
        || save(consul, "theirs.snap"),
    )
}

/// Looks at a snapshot, and checks it.
fn reading(program: &Path, consul: &Path, file: &Path, keys: u32) -> Result<Vec<Row>, Error> {
    let ours = |verb: &str| {
        let mut command = Command::new(program);
        command.args(["snapshot", verb]).arg(file);
        command
    };
    let theirs = || {
        let mut command = Command::new(consul);
        command.args(["snapshot", "inspect"]).arg(file);
        command
    };
    let mut rows = Vec::new();
    for verb in ["inspect", "verify"] {
        let name = format!("{verb} a snapshot of {keys} keys, against `consul snapshot inspect`");
        rows.extend(compared(&name, || ours(verb), theirs)?);
    }
    Ok(rows)
}

/// Runs two commands in turn: how long they take, and what memory.
fn compared(name: &str, ours: impl Fn() -> Command, theirs: impl Fn() -> Command) -> Result<Vec<Row>, Error> {
    let (mut time, mut memory) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for _ in 0..RUNS {
        let (seconds, most) = timed(&mut ours())?;
        time.0.push(seconds);
        memory.0.push(most);
        let (seconds, most) = timed(&mut theirs())?;
        time.1.push(seconds);
        memory.1.push(most);
    }
    let row = |what: &str, (ours, theirs): (Vec<f64>, Vec<f64>), unit| -> Result<Row, Error> {
        let (ours, theirs) = (bed::sample(ours, unit)?, bed::sample(theirs, unit)?);
        Ok(Row::new(&format!("{name}: {what}"), ours, theirs, Better::Less, AGAIN))
    };
    Ok(vec![row("time", time, "s")?, row("memory", memory, "MB")?])
}

/// A Consul server that writes to the disk.
struct Server {
    http: u16,
    _running: bed::Server,
}

impl Server {
    fn start(consul: &Path, dir: &Path) -> Result<Self, Error> {
        let mut ports = Vec::new();
        for _ in 0..4 {
            ports.push(bed::free_port()?);
        }
        let [http, serf, wan, rpc] = ports[..] else {
            return Err(Error::Verdict("no free ports".to_owned()));
        };
        let config = format!(
            "{{\"ports\": {{\"http\": {http}, \"serf_lan\": {serf}, \"serf_wan\": {wan}, \"server\": {rpc}, \"dns\": -1, \
             \"grpc\": -1}}, \"limits\": {{\"http_max_conns_per_client\": 500}}}}"
        );
        let file: PathBuf = dir.join("consul.json");
        std::fs::write(&file, config).map_err(Error::file("write", &file))?;
        let mut command = Command::new(consul);
        command.args(["agent", "-server", "-bootstrap-expect=1", "-bind=127.0.0.1", "-log-level=err"]);
        command.arg(format!("-data-dir={}", dir.join("consul").display()));
        command.arg(format!("-config-file={}", file.display()));
        let running = bed::Server::start(command, &dir.join("consul.log"))?;
        bed::wait_for(http)?;
        for _ in 0..300 {
            if bed::get(http, "/v1/status/leader").unwrap_or_default().contains(':') {
                return Ok(Self { http, _running: running });
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        Err(Error::Verdict("Consul has no leader".to_owned()))
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }
}
