//! Whether snapshots are sound.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use lictor_snapshot::archive::Limits;
use lictor_snapshot::pshima::{self, Password};
use lictor_snapshot::{Source, Verdict, verify, verify_dir};
use serde::Serialize;

use super::{open, password, unsound};
use crate::cli::SnapshotVerify;
use crate::command::status::count;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal, table};

/// What is said of a file.
#[derive(Serialize)]
struct Found {
    file: String,
    is: Is,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Is {
    Sound,
    Damaged,
    Other,
}

pub(super) fn run(args: &SnapshotVerify, terminal: &Terminal) -> Result<(), Failure> {
    let password = password(&args.secret)?;
    let found = if args.path.is_dir() {
        let threads = available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        let all = verify_dir(&args.path, &Limits::default(), threads)
            .map_err(|error| unsound(&args.path, &error))?;
        all.into_iter().map(|(path, verdict)| in_folder(path, verdict, password.as_ref())).collect()
    } else {
        vec![one(&args.path, &open(&args.path)?, password.as_ref())]
    };
    let so = |is: Is| found.iter().filter(|found: &&Found| found.is == is).count();
    let (damaged, sound) = (so(Is::Damaged), so(Is::Sound));
    match args.format {
        Format::Json => Terminal::json(&found),
        // What is something else is not shown.
        Format::Text => {
            let shown = found.iter().filter(|found| found.is != Is::Other);
            Terminal::data(&table(["IS", "FILE", "INDEX", "RECORDS", "WHY"], shown.map(Found::row)))
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

/// A file by itself; one that is a backup of consul-snapshot is checked as that.
fn one(path: &Path, source: &Source, password: Option<&Password>) -> Found {
    if source.shape().is_backup() {
        let read = pshima::read(source, password, &Limits::default(), |_pair| {});
        return match read {
            Ok(backup) => Found::sound(path, None, backup.keys),
            Err(why) => Found::new(path, Is::Damaged, why.to_string()),
        };
    }
    match verify(source, &Limits::default(), None) {
        Ok(report) => Found::sound(path, Some(report.whole.last_index), report.whole.records),
        Err(why) => Found::new(path, Is::Damaged, why.to_string()),
    }
}

fn in_folder(path: PathBuf, verdict: Verdict, password: Option<&Password>) -> Found {
    match verdict {
        Verdict::Sound(report) => Found::sound(&path, Some(report.whole.last_index), report.whole.records),
        Verdict::Damaged(why) => Found::new(&path, Is::Damaged, why.to_string()),
        Verdict::Other(what) => match Source::open(&path) {
            Ok(source) if source.shape().is_backup() => one(&path, &source, password),
            Ok(_) | Err(_) => Found::new(&path, Is::Other, what.to_owned()),
        },
    }
}

impl Found {
    fn sound(path: &Path, index: Option<u64>, records: u64) -> Self {
        Self { file: path.display().to_string(), is: Is::Sound, index, records: Some(records), why: None }
    }

    fn new(path: &Path, is: Is, why: String) -> Self {
        Self { file: path.display().to_string(), is, index: None, records: None, why: Some(why) }
    }

    fn row(&self) -> [String; 5] {
        let is = match self.is {
            Is::Sound => "sound",
            Is::Damaged => "damaged",
            Is::Other => "other",
        };
        let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
        [
            is.to_owned(),
            self.file.clone(),
            number(self.index),
            number(self.records),
            self.why.clone().unwrap_or_default(),
        ]
    }
}
