//! What is in a snapshot: records as JSON, the value of a key, what differs between two.

use std::io::{self, BufWriter, Write as _};
use std::ops::ControlFlow;

use lictor_snapshot::archive::Limits;
use lictor_snapshot::decode::{Redact, write_header, write_record};
use lictor_snapshot::source::ReadError;
use lictor_snapshot::{diff, get as value_of, pshima, verify};

use super::inspect::{bytes, written};
use super::keys::{keys, open};
use super::{password, reading, unsound};
use crate::cli::{SnapshotDecode, SnapshotDiff, SnapshotGet};
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal, ascii_tricks};

pub(super) fn decode(args: &SnapshotDecode) -> Result<(), Failure> {
    let source = open(&args.file, &keys(&args.keys)?)?;
    let key_prefixes = args.hide.iter().map(|prefix| prefix.clone().into_bytes()).collect();
    let redact = Redact { reveal: args.reveal, key_prefixes };
    // Nothing of a file that is damaged is shown as if it were sound.
    let report = {
        let (source, _busy) = reading("checking it", &source);
        verify(&source, &Limits::default(), None).map_err(|error| unsound(&args.file, &error))?
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut line = Vec::new();
    let header = write_header(&mut line, &report.whole.meta.unwrap_or_default());
    header.map_err(|error| unsound(&args.file, &error))?;
    out.write_all(&line).map_err(|error| written(&error))?;
    let mut broken = None;
    let read = source.read(&Limits::default(), |record| {
        line.clear();
        write_record(&mut line, record, &redact);
        match out.write_all(ascii_tricks(&String::from_utf8_lossy(&line)).as_bytes()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                broken = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    match (broken, read) {
        (Some(error), _) => Err(written(&error)),
        (None, Err(error)) => Err(unsound(&args.file, &error)),
        (None, Ok(_)) => out.flush().map_err(|error| written(&error)),
    }
}

pub(super) fn diff(args: &SnapshotDiff) -> Result<(), Failure> {
    let keys = keys(&args.keys)?;
    let (before, after) = (open(&args.before, &keys)?, open(&args.after, &keys)?);
    for (path, source) in [(&args.before, &before), (&args.after, &after)] {
        if source.shape().is_backup() {
            return Err(unsound(path, &ReadError::NoState));
        }
    }
    let mut broken = None;
    let compared = diff::compare(&before, &after, &Limits::default(), |change| {
        let shown = match args.format {
            Format::Text => Terminal::data(&change.to_string()),
            Format::Json => Terminal::json_line(&change.to_json()),
        };
        match shown {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => {
                broken = Some(failure);
                ControlFlow::Break(())
            }
        }
    });
    if let Some(failure) = broken {
        return Err(failure);
    }
    let summary = compared.map_err(|error| {
        let files = format!("{} and {} cannot be compared", args.before.display(), args.after.display());
        Failure::new(Exit::Failed, format!("{files}: {error}"))
    })?;
    match args.format {
        Format::Text => Terminal::data(&summary.to_string()),
        Format::Json => Terminal::json_line(&summary.to_json()),
    }
}

pub(super) fn get(args: &SnapshotGet) -> Result<(), Failure> {
    let (source, busy) = reading("looking for it", &open(&args.file, &keys(&args.keys)?)?);
    let found = if source.shape().is_backup() {
        let (password, mut found) = (password(&args.secret)?, None);
        let read = pshima::read(&source, password.as_ref(), &Limits::default(), |pair| {
            if pair.key == args.key {
                found = Some(pair.value);
            }
        });
        read.map_err(|error| unsound(&args.file, &error))?;
        found
    } else {
        let found = value_of(&source, &Limits::default(), args.key.as_bytes());
        found.map_err(|error| unsound(&args.file, &error))?
    };
    drop(busy);
    match found {
        Some(value) => bytes(&value),
        None => {
            Err(Failure::new(Exit::NotFound, format!("{} has no key `{}`", args.file.display(), args.key)))
        }
    }
}
