//! From a line in the journal to the action it causes, with the decision made durable in between: a
//! line is given to systemd-journal-remote, and the request of the rule arrives.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::measure::RUNS;
use super::{Bed, Better, Row, bed, latency};
use crate::error::Error;
use crate::setup::find_program;

/// Lines of one measurement.
const LINES: u64 = 500;

/// Time until the first line was acted upon.
const START: Duration = Duration::from_secs(30);

/// What is aimed at, ms.
const AIM: f64 = 10.0;

pub(super) fn run(bed: &Bed<'_>) -> Result<Vec<Row>, Error> {
    let program = bed::program(bed.workspace)?;
    let dir = bed::fresh(bed.workspace, "journal")?;
    let io = |source| Error::Start { command: "the listener of the action".into(), source };
    let actions = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(io)?;
    let target = actions.local_addr().map_err(io)?.port();
    let files = dir.join("journal");
    std::fs::create_dir_all(&files).map_err(Error::file("create", &files))?;
    let blocks = format!(
        "watch \"journal\" \"app\" {{\n  unit = \"app\"\n  directory = \"{}\"\n  match \"line\" {{\n    \
         contains = \"line\"\n  }}\n}}\n\
         rule \"tell\" {{\n  on = match.app.line\n  cooldown = \"0s\"\n  give_up_after = 0\n  act \"http\" {{\n    \
         url = \"http://127.0.0.1:{target}/\"\n  }}\n}}\n",
        files.display()
    );
    let mut journal = Journal::start(&files.join("system.journal"))?;
    journal.write("first")?;
    let _agent = bed::agent(&program, &dir, bed::free_port()?, &blocks)?;
    // It follows when it acts.
    let rest = Duration::from_millis(300);
    actions.set_nonblocking(true).map_err(io)?;
    let end = Instant::now() + START;
    while latency::answer(&actions).is_err() {
        if Instant::now() > end {
            return Err(Error::Late { command: "the first line".into(), seconds: START.as_secs() });
        }
        journal.write("line")?;
        thread::sleep(rest);
    }
    // Those that came meanwhile.
    while latency::answer(&actions).is_ok() {
        thread::sleep(rest);
    }
    actions.set_nonblocking(false).map_err(io)?;
    let (mut halves, mut tails) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let mut times = Vec::new();
        for line in 0..LINES {
            let begun = Instant::now();
            journal.write("line")?;
            latency::answer(&actions).map_err(io)?;
            times.push(begun.elapsed());
            // The run has ended before the next line, and lines do not keep step with the agent's looks.
            thread::sleep(Duration::from_millis(10) + Duration::from_micros(37 * (line % 100)));
        }
        times.sort_unstable();
        let at = |percent: usize| {
            let time = times.get(times.len() * percent / 100).copied().unwrap_or_default();
            time.as_secs_f64() * 1_000.0
        };
        halves.push(at(50));
        tails.push(at(99));
    }
    let row = |name: &str, figures: Vec<f64>| {
        let bound = bed::sample(vec![AIM; RUNS], "ms (aim)")?;
        Ok(Row::new(name, bed::sample(figures, "ms")?, bound, Better::Less, "cargo xtask bench journal"))
    };
    Ok(vec![
        row("line in the journal to request of the action, p50", halves)?,
        row("line in the journal to request of the action, p99", tails)?,
    ])
}

/// Writes a journal.
struct Journal {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Journal {
    fn start(file: &std::path::Path) -> Result<Self, Error> {
        let program = find_program("systemd-journal-remote");
        let mut command = Command::new(program.unwrap_or_else(|| "systemd-journal-remote".into()));
        command.arg("-o").arg(file).args(["--split-mode=none", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = command.spawn();
        let mut child =
            started.map_err(|source| Error::Start { command: "systemd-journal-remote".into(), source })?;
        let stdin = child.stdin.take();
        Ok(Self { child, stdin })
    }

    fn write(&mut self, message: &str) -> Result<(), Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let record = format!(
            "__REALTIME_TIMESTAMP={now}\n__MONOTONIC_TIMESTAMP={now}\n_BOOT_ID=00112233445566778899aabbccddeeff\n\
             _SYSTEMD_UNIT=app.service\nMESSAGE={message}\n\n"
        );
        let written = self.stdin.as_mut().map_or(Ok(()), |stdin| stdin.write_all(record.as_bytes()));
        written.map_err(|source| Error::Start { command: "systemd-journal-remote".into(), source })
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // It ends with its input.
        self.child.wait().ok();
    }
}
