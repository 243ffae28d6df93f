//! From an observation to the action it causes, with the decision made durable in
//! between: a heartbeat says critical over HTTP, and the request of the remedy arrives.

use std::fs::File;
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

/// From a line in a file to the action it causes.
pub(super) fn file(bed: &Bed<'_>) -> Result<Vec<Row>, Error> {
    let program = bed::program(bed.workspace)?;
    let dir = bed::fresh(bed.workspace, "file")?;
    let io = |source| Error::Start { command: "the listener of the action".into(), source };
    let actions = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(io)?;
    let target = actions.local_addr().map_err(io)?.port();
    let path = dir.join("app.log");
    let blocks = format!(
        "watch \"file\" \"log\" {{\n  path = \"{}\"\n  match \"bad\" {{\n    contains = \"bad\"\n  }}\n}}\n\
         rule \"tell\" {{\n  on = match.log.bad\n  cooldown = \"0s\"\n  give_up_after = 0\n  act \"http\" {{\n    \
         url = \"http://127.0.0.1:{target}/\"\n  }}\n}}\n",
        path.display()
    );
    let mut log = File::create(&path).map_err(Error::file("create", &path))?;
    let _agent = bed::agent(&program, &dir, bed::free_port()?, &blocks)?;
    // Its watcher begins at the end of the file as it finds it.
    bed::rest(3);
    let (mut middles, mut tails) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let mut times = Vec::new();
        for _ in 0..FAULTS {
            let begun = Instant::now();
            log.write_all(b"a bad line\n").map_err(Error::file("write", &path))?;
            answer(&actions).map_err(io)?;
            times.push(begun.elapsed());
            // The run has ended before the next line.
            std::thread::sleep(Duration::from_millis(10));
        }
        times.sort_unstable();
        let at = |share: usize| {
            times.get(times.len() * share / 100).copied().unwrap_or_default().as_secs_f64() * 1_000.0
        };
        middles.push(at(50));
        tails.push(at(99));
    }
    let bound = |ms| bed::sample(vec![ms; RUNS], "ms (wanted)");
    let row = |name, ours, wanted| -> Result<Row, Error> {
        Ok(Row::new(name, bed::sample(ours, "ms")?, bound(wanted)?, Better::Less, "cargo xtask bench file"))
    };
    Ok(vec![
        row("line in a file to request of the action, p50", middles, 3.5)?,
        row("line in a file to request of the action, p99", tails, 5.0)?,
    ])
}

/// Lines that are written in a second while others are acted on.
const FLOOD: u64 = 200_000;

/// Seconds of that.
const SECONDS: u64 = 30;

/// From a line in a file to the action it causes while far more lines are written than anybody reads.
pub(super) fn flood(bed: &Bed<'_>) -> Result<Vec<Row>, Error> {
    let program = bed::program(bed.workspace)?;
    let dir = bed::fresh(bed.workspace, "flood")?;
    let io = |source| Error::Start { command: "the listener of the action".into(), source };
    let actions = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(io)?;
    let target = actions.local_addr().map_err(io)?.port();
    let path = dir.join("app.log");
    let blocks = format!(
        "watch \"file\" \"log\" {{\n  path = \"{}\"\n  every = \"1s\"\n  match \"bad\" {{\n    contains = \"bad\"\n  }}\n  \
         match \"talk\" {{\n    regex = \"worker (?P<worker>[0-9]) is busy\"\n  }}\n}}\n\
         rule \"tell\" {{\n  on = match.log.bad\n  cooldown = \"0s\"\n  give_up_after = 0\n  act \"http\" {{\n    \
         url = \"http://127.0.0.1:{target}/\"\n  }}\n}}\n",
        path.display()
    );
    let file = |source| Error::file("write", &path)(source);
    let mut log = File::create(&path).map_err(file)?;
    let port = bed::free_port()?;
    let agent = bed::agent(&program, &dir, port, &blocks)?;
    bed::rest(3);
    // A tenth of a second of it: one line in a thousand matches a pattern that starts nothing.
    let talk: String = (0..FLOOD / 10)
        .map(|number| match number % 1_000 {
            0 => "Nov 21 12:00:00 host app[77]: INFO worker 4 is busy\n",
            _ => "Nov 21 12:00:00 host app[77]: INFO order 4711 was accepted in 23 ms (queue 0, retries 0)\n",
        })
        .collect();
    let (mut written, mut times, mut memory) = (0, Vec::new(), Vec::new());
    let begun = Instant::now();
    for tenth in 1..=SECONDS * 10 {
        log.write_all(talk.as_bytes()).map_err(file)?;
        let asked = Instant::now();
        log.write_all(b"a bad line\n").map_err(file)?;
        written += FLOOD / 10 + 1;
        answer(&actions).map_err(io)?;
        times.push(asked.elapsed().as_secs_f64() * 1_000.0);
        memory.push(agent.memory_mb());
        std::thread::sleep(
            (begun + Duration::from_millis(100 * tenth)).saturating_duration_since(Instant::now()),
        );
    }
    let took = begun.elapsed().as_secs_f64();
    bed::rest(3);
    let state = bed::get(port, "/v1/checks/log")?;
    let lines = state.split("\"lines\":").nth(1).and_then(|rest| rest.split([',', '}', '.']).next());
    if lines.and_then(|lines| lines.trim().parse::<u64>().ok()) != Some(written) {
        let what = format!("of {written} lines: {state}");
        return Err(Error::Answer { of: "the agent under a flood of lines", what });
    }
    times.sort_by(f64::total_cmp);
    let late = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
    let most = memory.iter().copied().fold(0.0, f64::max);
    let same = |figure, unit| bed::sample(vec![figure; RUNS], unit);
    let again = "cargo xtask bench flood";
    let rate = written as f64 / took;
    Ok(vec![
        Row::new(
            "lines written and read",
            same(rate, "/s")?,
            same(FLOOD as f64, "/s (wanted)")?,
            Better::More,
            again,
        ),
        Row::new(
            "line to request behind 20,000 others, p99",
            same(late, "ms")?,
            same(100.0, "ms (wanted)")?,
            Better::Less,
            again,
        ),
        Row::new("memory under that", same(most, "MB")?, same(100.0, "MB (wanted)")?, Better::Less, again),
    ])
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
pub(super) fn answer(actions: &TcpListener) -> std::io::Result<()> {
    let (mut stream, _) = actions.accept()?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut part = [0; 4_096];
    let count = stream.read(&mut part)?;
    if count == 0 {
        return Err(std::io::Error::other("the action sent nothing"));
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}
