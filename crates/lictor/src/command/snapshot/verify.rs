//! Whether snapshots are sound.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use lictor_snapshot::archive::Limits;
use lictor_snapshot::pshima::{self, Password};
use lictor_snapshot::seal::{self, Keys};
use lictor_snapshot::source::OpenError;
use lictor_snapshot::{DEPTH, LeftOut, Source, Verdict, verify, verify_dir};
use serde::Serialize;

use super::keys::{WAY_OUT, keys, look};
use super::{password, reading, unsound};
use crate::busy::Busy;
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
    /// Nobody looked into it, for want of a key.
    Sealed,
    Other,
}

pub(super) fn run(args: &SnapshotVerify, terminal: &Terminal) -> Result<(), Failure> {
    let password = password(&args.secret)?;
    let keys = keys(&args.keys)?;
    let found = if args.path.is_dir() {
        let threads = available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        let busy = Busy::with("looking for snapshots");
        let told = |done, all| busy.now(format!("checking files, {done} of {all}"));
        let all = verify_dir(&args.path, &keys, &Limits::default(), threads, told)
            .map_err(|error| unsound(&args.path, &error))?;
        drop(busy);
        left_out(all.left_out, terminal);
        let files = all.files.into_iter();
        files.map(|(path, verdict)| in_folder(path, verdict, &keys, password.as_ref())).collect()
    } else {
        vec![match look(&args.path, &keys) {
            Ok(source) => {
                let (source, _busy) = reading("checking it", &source);
                one(&args.path, &source, password.as_ref())
            }
            Err(OpenError::Sealed(why)) if why.wants_key() => Found::sealed(&args.path, &why),
            Err(error) => return Err(unsound(&args.path, &error)),
        }]
    };
    match args.format {
        Format::Json => Terminal::json(&found),
        // What is something else is not shown.
        Format::Text => {
            let shown = found.iter().filter(|found| found.is != Is::Other);
            Terminal::data(&table(["IS", "FILE", "INDEX", "RECORDS", "WHY"], shown.map(Found::row)))
        }
    }?;
    let so = |is: Is| found.iter().filter(|found: &&Found| found.is == is).count();
    let (damaged, sealed, sound) = (so(Is::Damaged), so(Is::Sealed), so(Is::Sound));
    if damaged + sealed + sound == 0 {
        return Err(Failure::new(Exit::NotFound, format!("there is no snapshot in {}", args.path.display())));
    }
    if damaged > 0 {
        terminal.say(&format!("{} damaged", count(damaged, "file is", "files are")));
    }
    if sealed > 0 {
        let files = count(sealed, "file is sealed and was", "files are sealed and were");
        let unknown = format!("{files} not looked into: whether that is sound is not known");
        return Err(Failure::new(Exit::Failed, unknown).help(WAY_OUT));
    }
    if damaged > 0 { Err(Failure::Said(Exit::Failed)) } else { Ok(()) }
}

/// Says what nobody looked at.
fn left_out(what: LeftOut, terminal: &Terminal) {
    if what.links > 0 {
        terminal.say(&format!("{} not followed", many(what.links, "link was", "links were")));
    }
    if what.too_deep > 0 {
        let folders = many(what.too_deep, "folder that lies", "folders that lie");
        terminal.say(&format!("warning: {folders} too deep, more than {DEPTH} below, left out"));
    }
}

fn many(number: u64, one: &str, more: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), one, more)
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

fn in_folder(path: PathBuf, verdict: Verdict, keys: &Keys, password: Option<&Password>) -> Found {
    match verdict {
        Verdict::Sound(report) => Found::sound(&path, Some(report.whole.last_index), report.whole.records),
        Verdict::Damaged(why) => Found::new(&path, Is::Damaged, why.to_string()),
        Verdict::Sealed(why) => Found::sealed(&path, &why),
        Verdict::Other(what) => match Source::open_with(&path, keys) {
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

    fn sealed(path: &Path, why: &seal::OpenError) -> Self {
        Self::new(path, Is::Sealed, format!("not looked into: {why}"))
    }

    fn row(&self) -> [String; 5] {
        let is = match self.is {
            Is::Sound => "sound",
            Is::Damaged => "damaged",
            Is::Sealed => "sealed",
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
