//! Keys copied from one datacenter to another, between two real Consul servers that write to the disk: how many a second
//! against what transactions of 64 on eight connections reach at the same server, and how soon one that changed is there
//! against one list of the source.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::measure::RUNS;
use super::{Bed, Better, Row, bed};
use crate::error::Error;
use crate::setup;

const AGAIN: &str = "cargo xtask bench replicate";

/// Keys and the bytes of their values.
const SIZES: [(u32, u32); 4] = [(10_000, 100), (10_000, 1_024), (100_000, 100), (100_000, 1_024)];

/// Changes of one measurement of the latency, and how many a second.
const CHANGES: u32 = 200;
const RATE: u32 = 10;

/// Keys while the cost is measured.
const FEW: u32 = 10_000;

/// Keys while the latency is measured: at ten changes a second, and at one where a list alone takes a third of it.
const AMONG: [(u32, u32); 2] = [(FEW, RATE), (100_000, 1)];

/// Keys while the memory is measured.
const MANY: u32 = 1_000_000;

/// What was seen of consul-replicate 0.4.0 against a server with a disk: keys of 100 bytes a second at first, the median of
/// the time until one change was there, and the share of a core at ten changes a second.
const OLD: (f64, f64, f64) = (1_260.0, 90.0, 40.0);

pub(super) fn run(bed: &Bed<'_>) -> Result<Vec<Row>, Error> {
    let driver = bed::cargo_example(bed.workspace, "lictor-agent", "copy_rate")?;
    let program = bed::program(bed.workspace)?;
    let consul = setup::consul::path(bed.workspace);
    let mut rows = Vec::new();
    for (keys, bytes) in SIZES {
        rows.extend(first(bed, &driver, &consul, keys, bytes)?);
    }
    for (keys, rate) in AMONG {
        rows.extend(changes(bed, &driver, &program, &consul, keys, rate)?);
    }
    rows.extend(memory(bed, &driver, &program, &consul)?);
    Ok(rows)
}

/// The first copy.
fn first(bed: &Bed<'_>, driver: &Path, consul: &Path, keys: u32, bytes: u32) -> Result<Vec<Row>, Error> {
    let sites = Sites::start(bed, consul, "replicate-first")?;
    let (keys_word, bytes_word) = (keys.to_string(), bytes.to_string());
    drive(driver, &["fill", &sites.url(0), &keys_word, &bytes_word])?;
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        raw.extend(drive(driver, &["raw", &sites.url(1), &keys_word, &bytes_word])?);
        ours.extend(drive(driver, &["copy", &sites.url(1), &keys_word])?);
    }
    let name = format!("first copy of {keys} keys of {bytes} B, against writing them by eight connections");
    let mut rows = vec![Row::new(
        &name,
        bed::sample(ours.clone(), "keys/s")?,
        bed::sample(raw, "keys/s (raw)")?,
        Better::More,
        AGAIN,
    )];
    if (keys, bytes) == (10_000, 100) {
        let old = bed::sample(vec![OLD.0; RUNS], "keys/s (consul-replicate, elsewhere)")?;
        let name = format!("first copy of {keys} keys of {bytes} B, against consul-replicate");
        rows.push(Row::new(&name, bed::sample(ours, "keys/s")?, old, Better::More, AGAIN));
    }
    Ok(rows)
}

/// One key that changes among so many, so often a second.
fn changes(
    bed: &Bed<'_>,
    driver: &Path,
    program: &Path,
    consul: &Path,
    keys: u32,
    rate: u32,
) -> Result<Vec<Row>, Error> {
    let sites = Sites::start(bed, consul, "replicate-changes")?;
    drive(driver, &["fill", &sites.url(0), &keys.to_string(), "100"])?;
    let agent = sites.agent(program, keys)?;
    let (mut middles, mut tails, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    let (mut lists, mut list_tails) = (Vec::new(), Vec::new());
    let two = |seen: Vec<f64>| match seen[..] {
        [middle, tail] => Ok((middle, tail)),
        _ => Err(Error::Verdict("two figures were expected".to_owned())),
    };
    for _ in 0..RUNS {
        let words = [(CHANGES * rate / RATE).to_string(), rate.to_string()];
        let (list, list_tail) = two(drive(driver, &["list", &sites.url(1), &words[0]])?)?;
        lists.push(list);
        list_tails.push(list_tail);
        let before = agent.cpu_ms();
        let begun = std::time::Instant::now();
        let seen = drive(driver, &["visible", &sites.url(0), &sites.url(1), &words[0], &words[1]])?;
        let (middle, tail) = two(seen)?;
        middles.push(middle);
        tails.push(tail);
        shares.push((agent.cpu_ms() - before) / (begun.elapsed().as_secs_f64() * 10.0));
    }
    let row = |what: &str, ours: &[f64], against: &[f64], unit, unit_against| -> Result<Row, Error> {
        let name = format!("one change among {keys} keys, {rate}/s: {what}");
        let (ours, against) =
            (bed::sample(ours.to_vec(), unit)?, bed::sample(against.to_vec(), unit_against)?);
        Ok(Row::new(&name, ours, against, Better::Less, AGAIN))
    };
    let mut rows = vec![
        row("there after, p50", &middles, &lists, "ms", "ms (one list of the source)")?,
        row("there after, p99", &tails, &list_tails, "ms", "ms (one list of the source)")?,
    ];
    if (keys, rate) == (FEW, RATE) {
        let old = "ms (consul-replicate, elsewhere)";
        rows.push(row("there after, p50, too", &middles, &[OLD.1; RUNS], "ms", old)?);
        rows.push(row("there after, p99, too", &tails, &[30.0; RUNS], "ms", "ms (wanted)")?);
        rows.push(row("CPU", &shares, &[OLD.2; RUNS], "%", "% (consul-replicate, elsewhere)")?);
    }
    Ok(rows)
}

/// What a million keys take.
fn memory(bed: &Bed<'_>, driver: &Path, program: &Path, consul: &Path) -> Result<Vec<Row>, Error> {
    let sites = Sites::start(bed, consul, "replicate-memory")?;
    drive(driver, &["fill", &sites.url(0), &MANY.to_string(), "100"])?;
    let agent = sites.agent(program, MANY)?;
    let ours = bed::sample(vec![agent.memory_mb(); RUNS], "MB")?;
    let wanted = bed::sample(vec![150.0; RUNS], "MB (wanted)")?;
    Ok(vec![Row::new("1,000,000 keys are copied and followed: memory", ours, wanted, Better::Less, AGAIN)])
}

fn drive(driver: &Path, words: &[&str]) -> Result<Vec<f64>, Error> {
    bed::numbers(Command::new(driver).args(words))
}

/// Two datacenters that know each other.
struct Sites {
    dir: PathBuf,
    ports: [u16; 2],
    _servers: [bed::Server; 2],
}

impl Sites {
    fn start(bed: &Bed<'_>, consul: &Path, name: &str) -> Result<Self, Error> {
        let dir = bed::fresh(bed.workspace, name)?;
        let mut ports = Vec::new();
        for _ in 0..10 {
            ports.push(bed::free_port()?);
        }
        let [http1, serf1, wan1, rpc1, grpc1, http2, serf2, wan2, rpc2, grpc2] = ports[..] else {
            return Err(Error::Verdict("no free ports".to_owned()));
        };
        let start = |datacenter: &str, [http, serf, wan, rpc, grpc]: [u16; 5], other: u16| {
            let config = format!(
                "{{\"datacenter\": \"{datacenter}\", \"node_name\": \"{datacenter}\", \"ports\": {{\"http\": {http}, \
                 \"serf_lan\": {serf}, \"serf_wan\": {wan}, \"server\": {rpc}, \"dns\": -1, \"grpc\": {grpc}}}, \
                 \"retry_join_wan\": [\"127.0.0.1:{other}\"], \"limits\": {{\"http_max_conns_per_client\": 500}}}}"
            );
            let file = dir.join(format!("{datacenter}.json"));
            std::fs::write(&file, config).map_err(Error::file("write", &file))?;
            let mut command = Command::new(consul);
            command.args(["agent", "-server", "-bootstrap-expect=1", "-bind=127.0.0.1", "-log-level=err"]);
            command.arg(format!("-data-dir={}", dir.join(datacenter).display()));
            command.arg(format!("-config-file={}", file.display()));
            let running = bed::Server::start(command, &dir.join(format!("{datacenter}.log")))?;
            bed::wait_for(http)?;
            Ok::<_, Error>(running)
        };
        let servers = [
            start("dc1", [http1, serf1, wan1, rpc1, grpc1], wan2)?,
            start("dc2", [http2, serf2, wan2, rpc2, grpc2], wan1)?,
        ];
        let sites = Self { dir, ports: [http1, http2], _servers: servers };
        for _ in 0..600 {
            let known = |port, other| {
                let path = format!("/v1/health/state/any?dc={other}");
                bed::get(port, &path).unwrap_or_default().contains("serfHealth")
            };
            if known(http1, "dc1") && known(http1, "dc2") && known(http2, "dc1") && known(http2, "dc2") {
                return Ok(sites);
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        Err(Error::Verdict("the two datacenters do not know each other".to_owned()))
    }

    fn url(&self, number: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports.get(number).copied().unwrap_or_default())
    }

    /// An agent of the second one that has copied so many keys.
    fn agent(&self, program: &Path, keys: u32) -> Result<bed::Server, Error> {
        let blocks = format!(
            "consul {{\n  address = \"{}\"\n}}\nreplicate \"bench\" {{\n  prefixes = [\"bench/@dc1:copy/\"]\n}}\n",
            self.url(1)
        );
        let port = bed::free_port()?;
        let agent = bed::agent(program, &self.dir, port, &blocks)?;
        let all = format!("\"written\":{keys},");
        for _ in 0..3_000 {
            let said = bed::get(port, "/v1/replicate").unwrap_or_default();
            if said.contains(&all) && said.contains("\"following\"") {
                return Ok(agent);
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        Err(Error::Verdict(format!("{keys} keys were not copied in time")))
    }
}
