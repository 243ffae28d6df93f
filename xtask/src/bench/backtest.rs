//! A backtest over an exported journal of 5,000,000 entries, against `grep` that only counts the lines with
//! one of the patterns in the same file; and its memory, against that of a hundredth of the entries.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::bed::{self, program};
use super::measure::measure_both;
use super::{Bed, Better, Row};
use crate::error::Error;

/// Entries of the large journal.
const ENTRIES: u32 = 5_000_000;

/// Entries of the small one.
const FEW: u32 = ENTRIES / 100;

/// Units that write it.
const UNITS: u32 = 20;

/// 2026-11-14T12:00:00Z in microseconds: a week follows.
const BEGIN: u64 = 1_794_657_600_000_000;

/// Ten watchers with two patterns each, and a rule for each pattern.
fn config() -> String {
    let mut text = String::new();
    for unit in 0..10 {
        text.push_str(&format_watch(unit));
    }
    text
}

fn format_watch(unit: u32) -> String {
    let rule = |pattern: &str| {
        format!(
            "rule \"{pattern}-{unit}\" {{\n  on = match.unit{unit}.{pattern}\n  cooldown = \"30s\"\n  act \"exec\" {{\n    \
             command = [\"true\"]\n  }}\n}}\n"
        )
    };
    format!(
        "watch \"journal\" \"unit{unit}\" {{\n  unit = \"unit{unit}\"\n  match \"lost\" {{\n    contains = \"connection lost\"\n  \
         }}\n  match \"slow\" {{\n    regex = \"took [0-9]{{5,}} ms\"\n    at_least = 5\n    within = \"1m\"\n  }}\n}}\n{}{}",
        rule("lost"),
        rule("slow")
    )
}

/// Writes a journal as `journalctl -o export` does, with the fields that an ordinary entry has.
fn journal(path: &Path, entries: u32) -> Result<(), Error> {
    let wrong = |source| Error::file("write", path)(source);
    let mut file =
        BufWriter::with_capacity(1 << 20, File::create(path).map_err(Error::file("create", path))?);
    for number in 0..entries {
        let at = BEGIN + u64::from(number) * 120_000;
        let unit = number.wrapping_mul(2_654_435_761) >> 16 & 0xff;
        let unit = unit % UNITS;
        let message = match number % 10_000 {
            7 => "peer 10.0.0.7: connection lost, trying again".to_owned(),
            n if n % 100 == 9 => format!("GET /item/{number} took {} ms", 9_000 + n),
            _ => format!("request {number} of client 10.0.{}.{} was answered", number % 256, number % 199),
        };
        let written = writeln!(
            file,
            "__CURSOR=s=0123456789abcdef0123456789abcdef;i={number:x};b=fedcba9876543210fedcba9876543210;m={at:x};t={at:x}\n\
             __REALTIME_TIMESTAMP={at}\n__MONOTONIC_TIMESTAMP={number}000\n_BOOT_ID=fedcba9876543210fedcba9876543210\n\
             PRIORITY=6\n_UID=1000\n_GID=1000\n_SYSTEMD_SLICE=system.slice\n_MACHINE_ID=00112233445566778899aabbccddeeff\n\
             _HOSTNAME=box\n_TRANSPORT=stdout\nSYSLOG_IDENTIFIER=unit{unit}\n_PID=123{unit}\n_COMM=unit{unit}\n\
             _EXE=/usr/bin/unit{unit}\n_CMDLINE=/usr/bin/unit{unit} --serve\n_SYSTEMD_CGROUP=/system.slice/unit{unit}.service\n\
             _SYSTEMD_UNIT=unit{unit}.service\nMESSAGE={message}\n"
        );
        written.map_err(wrong)?;
    }
    file.flush().map_err(wrong)
}

/// How long a command takes, seconds, and its largest resident memory, MB.
pub(super) fn timed(command: &mut Command) -> Result<(f64, f64), Error> {
    let shown = format!("{command:?}");
    let begun = Instant::now();
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = spawned.map_err(|source| Error::Start { command: shown.clone(), source })?;
    let mut memory: f64 = 0.0;
    loop {
        let status = child.try_wait().map_err(|source| Error::Start { command: shown.clone(), source })?;
        match status {
            // grep says so when it found nothing.
            Some(status) if status.success() => return Ok((begun.elapsed().as_secs_f64(), memory)),
            Some(status) => {
                return Err(Error::Failed {
                    command: shown,
                    status: status.to_string(),
                    said: String::new(),
                });
            }
            None => {
                memory = memory.max(most_resident(child.id()));
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

fn most_resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() * 1_024.0 / 1e6
}

pub(super) fn run(bed: &Bed<'_>) -> Result<Vec<Row>, Error> {
    let program = program(bed.workspace)?;
    let dir = bed::fresh(bed.workspace, "backtest")?;
    let (large, small, rules) = (dir.join("large.export"), dir.join("small.export"), dir.join("rules.hcl"));
    journal(&large, ENTRIES)?;
    journal(&small, FEW)?;
    std::fs::write(&rules, config()).map_err(Error::file("write", &rules))?;
    let play = |path: &PathBuf| {
        let mut command = Command::new(&program);
        command.args(["backtest", "--format", "json", "--config"]).arg(&rules).arg(path);
        command
    };
    let rate = |seconds: f64| f64::from(ENTRIES) / seconds;
    let mut memory = (Vec::new(), Vec::new());
    let (ours, peer) = measure_both(
        "/s",
        || {
            let (seconds, most) = timed(&mut play(&large))?;
            memory.0.push(most);
            Ok(rate(seconds))
        },
        || {
            let (_, most) = timed(&mut play(&small))?;
            memory.1.push(most);
            let mut grep = Command::new("grep");
            grep.args(["-E", "-c", "connection lost|took [0-9]{5,} ms"]).arg(&large).env("LC_ALL", "C");
            Ok(rate(timed(&mut grep)?.0))
        },
    )?;
    let command = "cargo xtask bench backtest";
    let rows = vec![
        Row::new("backtest, entries of 5 million, against grep -c", ours, peer, Better::More, command),
        Row::new(
            "backtest, memory, against that of 50,000 entries",
            bed::sample(memory.0, "MB")?,
            bed::sample(memory.1, "MB")?,
            Better::Less,
            command,
        ),
    ];
    std::fs::remove_dir_all(&dir).map_err(Error::file("remove", &dir))?;
    Ok(rows)
}
