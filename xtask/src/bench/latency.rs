//! From an observation to the action it causes, with the decision made durable in
//! between: a heartbeat says critical over HTTP, and the request of the remedy arrives.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use super::measure::RUNS;
use super::{Bed, Better, Row, bed, machine};
use crate::error::Error;

/// Faults of one measurement.
const FAULTS: usize = 1_000;

pub(super) fn run(bed: &Bed<'_>) -> Result<Vec<Row>, Error> {
    let program = bed::program(bed.workspace)?;
    let dir = bed::fresh(bed.workspace, "latency")?;
    let io = |source| Error::Start { command: "the listener of the action".into(), source };
    let actions = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(io)?;
    let target = actions.local_addr().map_err(io)?.port();
    let blocks = format!(
        "watch \"heartbeat\" \"job\" {{\n  within = \"1h\"\n}}\n\
         rule \"tell\" {{\n  on = check.job == \"critical\"\n  cooldown = \"0s\"\n  give_up_after = 0\n  act \"http\" {{\n    \
         url = \"http://127.0.0.1:{target}/\"\n  }}\n}}\n"
    );
    let port = bed::free_port()?;
    let _agent = bed::agent(&program, &dir, port, &blocks)?;
    let mut tails = Vec::new();
    for _ in 0..RUNS {
        let mut times = Vec::new();
        for _ in 0..FAULTS {
            let begun = Instant::now();
            beat(port, "critical")?;
            answer(&actions).map_err(io)?;
            times.push(begun.elapsed());
            beat(port, "passing")?;
            // The run has ended before the next fault.
            std::thread::sleep(Duration::from_millis(10));
        }
        times.sort_unstable();
        let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
        tails.push(p99.as_secs_f64() * 1_000.0);
    }
    let sync = machine::sync_time(&dir, 99)?.median();
    let bound = bed::sample(vec![2.0 * sync + 2.0; RUNS], "ms (2 x fdatasync p99 + 2)")?;
    let name = "heartbeat by HTTP to request of the action, p99";
    Ok(vec![Row::new(name, bed::sample(tails, "ms")?, bound, Better::Less, "cargo xtask bench latency")])
}

fn beat(port: u16, status: &str) -> Result<(), Error> {
    let body = format!("{{\"status\":\"{status}\"}}");
    let request = format!(
        "POST /v1/heartbeat/job HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    bed::http(port, &request).map(drop)
}

/// Takes one request of the action and says that it was done.
fn answer(actions: &TcpListener) -> std::io::Result<()> {
    let (mut stream, _) = actions.accept()?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut part = [0; 4_096];
    let count = stream.read(&mut part)?;
    if count == 0 {
        return Err(std::io::Error::other("the action sent nothing"));
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}
