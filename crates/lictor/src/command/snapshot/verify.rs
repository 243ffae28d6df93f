//! Whether snapshots are sound.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use lictor_snapshot::archive::Limits;
use lictor_snapshot::{Report, Source, Verdict, verify, verify_dir};
use serde_json::{Value, json};

use super::unsound;
use crate::cli::SnapshotVerify;
use crate::command::status::count;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal, table};

pub(super) fn run(args: &SnapshotVerify, terminal: &Terminal) -> Result<(), Failure> {
    let found = verdicts(&args.path)?;
    let damaged = found.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Damaged(_))).count();
    let sound = found.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Sound(_))).count();
    let as_json = |(path, verdict): &(PathBuf, Verdict)| as_json(path, verdict);
    match args.format {
        Format::Json => Terminal::json(&found.iter().map(as_json).collect::<Vec<_>>()),
        Format::Text => {
            Terminal::data(&table(["IS", "FILE", "INDEX", "RECORDS", "WHY"], found.iter().filter_map(row)))
        }
    }?;
    match (damaged, sound) {
        (0, 0) => {
            Err(Failure::new(Exit::NotFound, format!("there is no snapshot in {}", args.path.display())))
        }
        (0, _) => Ok(()),
        (damaged, _) => {
            terminal.say(&format!("{} damaged", count(damaged, "file is", "files are")));
            Err(Failure::Said(Exit::Failed))
        }
    }
}

fn verdicts(path: &Path) -> Result<Vec<(PathBuf, Verdict)>, Failure> {
    let limits = Limits::default();
    if path.is_dir() {
        let threads = available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        return verify_dir(path, &limits, threads).map_err(|error| unsound(path, &error));
    }
    let source = Source::open(path).map_err(|error| unsound(path, &error))?;
    let verdict = match verify(&source, &limits, None) {
        Ok(report) => Verdict::Sound(Box::new(report)),
        Err(error) => Verdict::Damaged(error),
    };
    Ok(vec![(path.to_owned(), verdict)])
}

/// What is neither sound nor damaged is something else, and not shown.
fn row((path, verdict): &(PathBuf, Verdict)) -> Option<[String; 5]> {
    let path = path.display().to_string();
    let none = String::new;
    match verdict {
        Verdict::Sound(report) => {
            let Report { whole, .. } = &**report;
            Some(["sound".to_owned(), path, whole.last_index.to_string(), whole.records.to_string(), none()])
        }
        Verdict::Damaged(why) => Some(["damaged".to_owned(), path, none(), none(), why.to_string()]),
        Verdict::Other(_) => None,
    }
}

fn as_json(path: &Path, verdict: &Verdict) -> Value {
    let file = path.display().to_string();
    match verdict {
        Verdict::Sound(report) => json!({
            "file": file,
            "is": "sound",
            "index": report.whole.last_index,
            "records": report.whole.records,
            "bytes": report.whole.state_bytes,
        }),
        Verdict::Damaged(why) => json!({ "file": file, "is": "damaged", "why": why.to_string() }),
        Verdict::Other(what) => json!({ "file": file, "is": "other", "why": what }),
    }
}
