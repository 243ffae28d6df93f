//! Looking for patterns in a log of 1 GB, beside what else does: grep and ripgrep, which only tell that
//! one of the patterns matched, and mtail and fail2ban-regex, which tell which one.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::measure::RUNS;
use super::{Bed, Better, Row, bed};
use crate::error::Error;

/// Bytes of the log.
const LOG: u64 = 1_000_000_000;

/// Of it, what the slow ones are given.
const SHORT: u64 = 20_000_000;

/// Patterns as people write them, for what programs and the kernel log.
const PATTERNS: [&str; 20] = [
    "Out of memory: Killed process (?P<pid>[0-9]+)",
    "I/O error, dev (?P<disk>[a-z0-9]+), sector",
    "EXT4-fs error",
    "segfault at [0-9a-f]+ ip",
    "Failed password for (invalid user )?(?P<user>[a-z0-9_-]+) from (?P<ip>[0-9.]+)",
    "authentication failure",
    "upstream timed out",
    "connect\\(\\) failed \\((?P<errno>[0-9]+): Connection refused\\)",
    "Main process exited, code=(killed|dumped)",
    "Failed to start (?P<unit>.+)\\.",
    "panic: runtime error",
    "java\\.lang\\.OutOfMemoryError",
    "too many open files",
    "No space left on device",
    "certificate has expired",
    "deadlock detected",
    "replication lag is (?P<seconds>[0-9]+) s",
    "temperature above threshold",
    "link is down",
    "status=5[0-9][0-9] .*request_time=[0-9]{2,}",
];

/// What most lines are.
const TALK: [&str; 8] = [
    "systemd[1]: Started Session {} of user backup.",
    "sshd[{}]: Accepted publickey for deploy from 10.0.3.17 port 50122 ssh2: ED25519 SHA256:q1Zt7xv",
    "nginx[811]: 10.2.0.9 GET /api/v1/items/{} status=200 bytes=5123 request_time=0.013 upstream=10.0.0.4",
    "kernel: [{}.123456] device eth0 entered promiscuous mode",
    "postgres[4021]: LOG:  checkpoint complete: wrote {} buffers (0.9%); write=26.9 s, sync=0.004 s",
    "app[77]: INFO order {} was accepted in 23 ms by worker 4 (queue 0, retries 0)",
    "dhclient[612]: DHCPACK of 10.0.3.{} from 10.0.3.1",
    "CRON[{}]: (root) CMD (test -x /usr/sbin/anacron || run-parts --report /etc/cron.hourly)",
];

/// Who reads the log.
struct Peer {
    name: &'static str,
    run: fn(&Path, &Files) -> Command,
    short: bool,
}

/// What they are given.
struct Files {
    /// With named groups, as only ours knows what to do with them.
    named: PathBuf,
    patterns: PathBuf,
    programs: PathBuf,
    filter: PathBuf,
}

pub(super) fn run(bed: &Bed<'_>) -> Result<Vec<Row>, Error> {
    let ours = bed::cargo_example(bed.workspace, "lictor-agent", "lines")?;
    let dir = bed::fresh(bed.workspace, "lines")?;
    let (log, short) = (dir.join("log"), dir.join("short"));
    write_log(&log, LOG)?;
    write_log(&short, SHORT)?;
    let mut rows = Vec::new();
    for count in [20, 200] {
        let files = write_patterns(&dir, count)?;
        let peers = [
            Peer {
                name: "ripgrep",
                run: |log, files| command("rg", &["--count", "-f"], &[&files.patterns, log]),
                short: false,
            },
            Peer {
                name: "grep -E",
                run: |log, files| command("grep", &["-E", "-c", "-f"], &[&files.patterns, log]),
                short: false,
            },
            Peer { name: "mtail", run: mtail, short: true },
            Peer { name: "fail2ban-regex", run: fail2ban, short: true },
        ];
        let (mut speed, mut memory) = (Vec::new(), Vec::new());
        let mut theirs: Vec<Vec<f64>> = peers.iter().map(|_| Vec::new()).collect();
        for _ in 0..RUNS {
            let figures = bed::numbers(Command::new(&ours).arg(&files.named).arg(&log))?;
            let [rate, peak, ..] = figures.as_slice() else {
                return Err(Error::Answer { of: "the measurement of lines", what: format!("{figures:?}") });
            };
            speed.push(*rate);
            memory.push(*peak);
            for (peer, figures) in peers.iter().zip(&mut theirs) {
                let (log, bytes) = if peer.short { (&short, SHORT) } else { (&log, LOG) };
                figures.push(bytes as f64 / 1e6 / cpu((peer.run)(log, &files))?);
            }
        }
        let again = "cargo xtask bench lines";
        for (peer, figures) in peers.iter().zip(theirs) {
            let name = format!("{count} patterns, beside {}", peer.name);
            let ours = bed::sample(speed.clone(), "MB/s of CPU")?;
            rows.push(Row::new(&name, ours, bed::sample(figures, "MB/s of CPU")?, Better::More, again));
        }
        let bound = bed::sample(vec![50.0; RUNS], "MB (wanted)")?;
        let name = format!("{count} patterns: memory");
        rows.push(Row::new(&name, bed::sample(memory, "MB")?, bound, Better::Less, again));
    }
    fs::remove_file(&log).map_err(Error::file("remove", &log))?;
    Ok(rows)
}

fn command(name: &str, words: &[&str], files: &[&Path]) -> Command {
    let mut command = Command::new(name);
    command.args(words).args(files);
    command
}

fn mtail(log: &Path, files: &Files) -> Command {
    let mut command = Command::new("mtail");
    command.args(["--one_shot", "--logtostderr", "--progs"]).arg(&files.programs).arg("--logs").arg(log);
    command
}

fn fail2ban(log: &Path, files: &Files) -> Command {
    let mut command = Command::new("fail2ban-regex");
    command.args(["--print-no-missed", "--print-no-ignored"]).arg(log).arg(&files.filter);
    command
}

/// Seconds of CPU that a program takes; that of grep's may find nothing.
fn cpu(mut command: Command) -> Result<f64, Error> {
    let before = children();
    let shown = format!("{command:?}");
    // grep reads no further than the first match when its output is /dev/null.
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).stderr(Stdio::null());
    let status = command.output().map_err(|source| Error::Start { command: shown.clone(), source })?.status;
    if !matches!(status.code(), Some(0 | 1)) {
        return Err(Error::Failed { command: shown, status: status.to_string(), said: String::new() });
    }
    Ok(children() - before)
}

/// Seconds of CPU of all children that ended.
fn children() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // cutime and cstime, in hundredths.
    [13, 14].iter().filter_map(|field| fields.get(*field)?.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// A log in which one line of a thousand matches.
fn write_log(path: &Path, size: u64) -> Result<(), Error> {
    let write = || -> std::io::Result<()> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        let (mut written, mut number) = (0, 0_u64);
        while written < size {
            number += 1;
            // Numbers that are all over the place, and the same each time.
            let odd = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
            let talk = TALK.get(usize::try_from(odd % 8).unwrap_or_default()).copied().unwrap_or_default();
            let mut line = format!(
                "Nov 21 12:{:02}:{:02} host {}",
                number / 60 % 60,
                number % 60,
                talk.replace("{}", &(odd % 100_000).to_string())
            );
            if number.is_multiple_of(1_000) {
                line = match number / 1_000 % 3 {
                    0 => "Nov 21 12:00:00 host kernel: Out of memory: Killed process 4711 (app)".to_owned(),
                    1 => "Nov 21 12:00:00 host sshd[9]: Failed password for invalid user admin from 192.0.2.7 port 4 ssh2".to_owned(),
                    _ => format!("Nov 21 12:00:00 host app[77]: ERROR component-{:03} failed with code {}", odd % 200, odd % 50),
                };
            }
            line.push('\n');
            file.write_all(line.as_bytes())?;
            written += line.len() as u64;
        }
        file.flush()
    };
    write().map_err(Error::file("write", path))
}

fn write_patterns(dir: &Path, count: usize) -> Result<Files, Error> {
    let more = (PATTERNS.len()..count)
        .map(|number| format!("component-{number:03} (failed with code|crashed after) [0-9]+"));
    let all: Vec<String> = PATTERNS.iter().map(|pattern| (*pattern).to_owned()).chain(more).collect();
    let files = Files {
        named: dir.join(format!("named.{count}")),
        patterns: dir.join(format!("patterns.{count}")),
        programs: dir.join(format!("programs.{count}")),
        filter: dir.join(format!("filter.{count}.conf")),
    };
    let (mut program, mut filter) = (String::new(), "[Definition]\nfailregex = ".to_owned());
    let mut plain = String::new();
    for (number, pattern) in all.iter().enumerate() {
        // grep knows no named groups.
        let unnamed = unnamed(pattern);
        let indent = if number == 0 { "" } else { "            " };
        writeln!(plain, "{unnamed}").ok();
        writeln!(program, "counter p{number}\n/{}/ {{\n  p{number}++\n}}", unnamed.replace('/', "\\/")).ok();
        writeln!(filter, "{indent}^.*{}.*<F-ID>.*</F-ID>$", unnamed.replace('%', "%%")).ok();
    }
    fs::create_dir_all(&files.programs).map_err(Error::file("create", &files.programs))?;
    let named = all.join("\n");
    let program_file = files.programs.join("bench.mtail");
    for (path, text) in [
        (&files.named, &named),
        (&files.patterns, &plain),
        (&program_file, &program),
        (&files.filter, &filter),
    ] {
        fs::write(path, text).map_err(Error::file("write", path))?;
    }
    Ok(files)
}

fn unnamed(pattern: &str) -> String {
    let mut parts = pattern.split("(?P<");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push('(');
        text.push_str(part.split_once('>').map_or(part, |(_, rest)| rest));
    }
    text
}
