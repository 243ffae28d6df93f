//! What a snapshot holds, in the words of Consul's own program.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use lictor_agent::text::{escaped, one_line};
use lictor_snapshot::archive::Limits;
use lictor_snapshot::inspect::{Format, KvDetails};
use lictor_snapshot::source::ReadError;
use lictor_snapshot::{Source, pshima, verify};
use serde_json::json;

use super::keys::{keys, open};
use super::{password, reading, unsound};
use crate::cli::SnapshotInspect;
use crate::exit::{Exit, Failure};
use crate::output::Terminal;

/// Characters of a name out of a file that are shown.
const SHOWN: usize = 200;

pub(super) fn run(args: &SnapshotInspect, terminal: &Terminal) -> Result<(), Failure> {
    let format: Format = args.format.parse().map_err(|error| {
        Failure::new(Exit::Usage, format!("{error}")).help("there are pretty, json and consul-1.8")
    })?;
    let source = open(&args.file, &keys(&args.keys)?)?;
    if source.shape().is_backup() {
        return backup(args, &source, format);
    }
    let wanted = args.kvdetails || !args.kvfilter.is_empty();
    let details =
        wanted.then(|| KvDetails { depth: args.kvdepth, filter: args.kvfilter.clone().into_bytes() });
    let (source, busy) = reading("reading it", &source);
    let report = verify(&source, &Limits::default(), details);
    drop(busy);
    let report = report.map_err(|error| failed(&args.file, &error, format, terminal))?;
    let meta = report.whole.meta.clone().unwrap_or_default();
    shown(&report.inspection.render(&meta, format))
}

/// In the old form also its errors are as they were.
fn failed(path: &Path, error: &ReadError, format: Format, terminal: &Terminal) -> Failure {
    match error.consul_text() {
        Some(text) if format == Format::Consul18 => {
            terminal.say(&format!("Error verifying snapshot: {text}"));
            Failure::Said(Exit::Failed)
        }
        _ => unsound(path, error),
    }
}

/// A backup of consul-snapshot, which has no records.
fn backup(args: &SnapshotInspect, source: &Source, format: Format) -> Result<(), Failure> {
    let password = password(&args.secret)?;
    let mut size = 0_u64;
    let (source, busy) = reading("reading it", source);
    let found = pshima::read(&source, password.as_ref(), &Limits::default(), |pair| {
        size += pair.value.len() as u64;
    });
    drop(busy);
    let found = found.map_err(|error| unsound(&args.file, &error))?;
    let meta = found.meta.clone().unwrap_or_default();
    if format == Format::Json {
        return Terminal::json(&json!({
            "backup_of": "consul-snapshot",
            "version": meta.consul_snapshot_version,
            "node": meta.node_name,
            "start": meta.start_time,
            "end": meta.end_time,
            "keys": found.keys,
            "bytes": size,
            "queries": found.queries,
            "tokens": found.tokens,
        }));
    }
    let mut lines = vec!["a backup of consul-snapshot: keys and their values, no state of Consul".to_owned()];
    if found.meta.is_some() {
        let (version, node) =
            (one_line(&meta.consul_snapshot_version, SHOWN), one_line(&meta.node_name, SHOWN));
        lines.push(format!("written by version {version}, which asked {node}"));
    }
    lines.push(format!("{} keys with {size} bytes of values", found.keys));
    if found.queries + found.tokens > 0 {
        lines.push(format!(
            "and {} prepared queries and {} tokens, which cannot be restored from it",
            found.queries, found.tokens
        ));
    }
    Terminal::data(&lines.join("\n"))
}

/// Writes it as it is; on a terminal without what plays tricks on it.
fn shown(text: &[u8]) -> Result<(), Failure> {
    match io::stdout().is_terminal() {
        true => Terminal::data(&escaped(&String::from_utf8_lossy(text))),
        false => bytes(text),
    }
}

/// Writes what need not be text.
pub(super) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| written(&error))
}

/// A reader that has left is nothing to be told of.
pub(super) fn written(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Said(Exit::Failed),
        _ => Failure::new(Exit::Failed, format!("cannot write to stdout: {error}")),
    }
}
