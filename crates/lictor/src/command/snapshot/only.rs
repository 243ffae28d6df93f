//! Keys below a prefix are put back from a snapshot or a backup, and nothing else: what people need who have deleted a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use lictor_agent::text::one_line;
use lictor_consul::{Client, Error, Guard, Index, Limits as ServerLimits, Operation, Pair, Put, Query};
use lictor_snapshot::archive::Limits;
use lictor_snapshot::view::Kv;
use lictor_snapshot::{Shape, Source, pshima};
use serde_json::{Value, json};

use super::{ask, password, unsound};
use crate::cli::SnapshotRestore;
use crate::command::status::count;
use crate::exit::{Exit, Failure};
use crate::output::Terminal;

/// The values of a file that are kept in memory, bytes.
const MOST: usize = 512 << 20;

/// Keys that are named.
const NAMED: usize = 20;

/// Characters of a key that are shown.
const SHOWN: usize = 200;

/// A value with its flags.
type Kept = (Vec<u8>, u64);

pub(super) async fn run(
    args: &SnapshotRestore,
    source: &Source,
    client: &Client,
    shown: &str,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let failed = |what: &str, why: Error| Failure::new(Exit::Failed, format!("{what} at {shown}: {why}"));
    let wanted = wanted(args, source)?;
    if wanted.is_empty() {
        let why = format!("{} has no key that begins with {}", args.file.display(), args.only.join(" or "));
        return Err(Failure::new(Exit::NotFound, why));
    }
    let mut present = BTreeMap::new();
    for prefix in &args.only {
        let pairs = client.kv().list(prefix, &Query::new().consistent()).await;
        let pairs = pairs.map_err(|why| failed("the keys cannot be read", why))?.value;
        present.extend(pairs.into_iter().map(|pair| (pair.key.clone(), pair)));
    }
    let plan = Plan::new(wanted, &present, args.delete);
    plan.explain(args, shown)?;
    if args.dry_run || plan.is_done() {
        return Ok(());
    }
    if !args.yes {
        ask(terminal, "keys would be replaced").await?;
    }
    if !args.no_backup && !plan.replaced.is_empty() {
        let backup = keep(&plan.replaced, &args.file).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("what there is now cannot be kept: {error}; nothing was restored"),
            )
        })?;
        terminal.say(&format!("what there was is in {}, for `consul kv import @FILE`", backup.display()));
    }
    let limits =
        client.find_limits().await.map_err(|why| failed("the limits of Consul are not known", why))?;
    let client = client.with_limits(limits);
    let mut changed = BTreeSet::new();
    for batch in batches(plan.steps, &limits) {
        changed.extend(batch.send(&client).await.map_err(|why| failed("not all was restored", why))?);
    }
    if changed.is_empty() {
        return Ok(());
    }
    let named: Vec<String> =
        changed.iter().take(NAMED).map(|key| format!("\n  {}", one_line(key, SHOWN))).collect();
    let keys = count(changed.len(), "key was", "keys were");
    let why = format!("{keys} changed by somebody else meanwhile, and not restored:{}", named.concat());
    Err(Failure::new(Exit::Failed, why).help("the same command again shows what there is now, and goes on"))
}

/// The keys of the file.
fn wanted(args: &SnapshotRestore, source: &Source) -> Result<BTreeMap<String, Kept>, Failure> {
    let (mut found, mut odd, mut bytes) = (BTreeMap::new(), 0_usize, 0_usize);
    let mut take = |key: &[u8], value: &[u8], flags: u64| {
        if !args.only.iter().any(|prefix| key.starts_with(prefix.as_bytes())) {
            return ControlFlow::Continue(());
        }
        let Ok(key) = std::str::from_utf8(key) else {
            odd += 1;
            return ControlFlow::Continue(());
        };
        bytes += value.len();
        if bytes > MOST {
            return ControlFlow::Break(());
        }
        found.insert(key.to_owned(), (value.to_vec(), flags));
        ControlFlow::Continue(())
    };
    let limits = Limits::default();
    let read = match source.shape() {
        Shape::Archive | Shape::State => source
            .read(&limits, |record| match Kv::of(record) {
                Some(kv) => take(kv.key, kv.value, kv.flags),
                None => ControlFlow::Continue(()),
            })
            .map(drop)
            .map_err(|error| unsound(&args.file, &error)),
        Shape::ConsulSnapshot | Shape::ConsulSnapshotV1 | Shape::Encrypted => {
            let password = password(&args.secret)?;
            pshima::read(source, password.as_ref(), &limits, |pair| {
                // It reads to its end; what is too much is told below.
                take(pair.key.as_bytes(), &pair.value, pair.flags).is_continue();
            })
            .map(drop)
            .map_err(|error| unsound(&args.file, &error))
        }
    };
    if bytes > MOST {
        let why = format!("the values have more than {} MB together: choose a longer prefix", MOST >> 20);
        return Err(unsound(&args.file, &why));
    }
    read?;
    if odd > 0 {
        let why = format!("{} not UTF-8, and cannot be written over HTTP", count(odd, "key is", "keys are"));
        return Err(unsound(&args.file, &why));
    }
    Ok(found)
}

/// One key that is written or deleted, if it still is as it was read.
struct Step {
    key: String,
    /// `None`: it is deleted.
    value: Option<(Bytes, u64)>,
    guard: Index,
}

/// What is to be done.
struct Plan {
    steps: Vec<Step>,
    added: Vec<String>,
    changed: Vec<String>,
    deleted: Vec<String>,
    same: usize,
    /// Keys that a session holds: a lock is not broken.
    held: Vec<String>,
    /// Keys that the file does not have, and that stay.
    others: usize,
    /// What there is now of the keys that become others.
    replaced: Vec<Pair>,
}

impl Plan {
    fn new(wanted: BTreeMap<String, Kept>, present: &BTreeMap<String, Pair>, delete: bool) -> Self {
        let mut plan = Self {
            steps: Vec::new(),
            added: Vec::new(),
            changed: Vec::new(),
            deleted: Vec::new(),
            same: 0,
            held: Vec::new(),
            others: 0,
            replaced: Vec::new(),
        };
        for pair in present.values().filter(|pair| !wanted.contains_key(&pair.key)) {
            match (delete, pair.session.is_some()) {
                (false, _) => plan.others += 1,
                (true, true) => plan.held.push(pair.key.clone()),
                (true, false) => {
                    plan.deleted.push(pair.key.clone());
                    plan.replaced.push(pair.clone());
                    plan.steps.push(Step { key: pair.key.clone(), value: None, guard: pair.modify_index });
                }
            }
        }
        for (key, (value, flags)) in wanted {
            let guard = match present.get(&key) {
                None => {
                    plan.added.push(key.clone());
                    Index::ZERO
                }
                Some(pair) if pair.value == value && pair.flags == flags => {
                    plan.same += 1;
                    continue;
                }
                Some(pair) if pair.session.is_some() => {
                    plan.held.push(key);
                    continue;
                }
                Some(pair) => {
                    plan.changed.push(key.clone());
                    plan.replaced.push(pair.clone());
                    pair.modify_index
                }
            };
            plan.steps.push(Step { key, value: Some((value.into(), flags)), guard });
        }
        plan
    }

    fn is_done(&self) -> bool {
        self.steps.is_empty()
    }

    fn explain(&self, args: &SnapshotRestore, shown: &str) -> Result<(), Failure> {
        let what = if args.dry_run { "would be" } else { "are" };
        let parts = [("added", &self.added), ("changed", &self.changed), ("deleted", &self.deleted)];
        Terminal::data(&format!("{} to Consul at {shown}:", args.only.join(", ")))?;
        for (verb, keys) in parts {
            list(&format!("{} {what} {verb}", count(keys.len(), "key", "keys")), keys)?;
        }
        Terminal::data(&format!("{} the same", count(self.same, "key is", "keys are")))?;
        if self.others > 0 {
            let keys = count(
                self.others,
                "key that the file does not have stays",
                "keys that the file does not have stay",
            );
            Terminal::data(&format!("{keys} (--delete deletes them)"))?;
        }
        if !self.held.is_empty() {
            let keys = count(
                self.held.len(),
                "key stays as it is: a session holds it",
                "keys stay as they are: a session holds them",
            );
            list(&keys, &self.held)?;
        }
        Ok(())
    }
}

fn list(what: &str, keys: &[String]) -> Result<(), Failure> {
    if keys.is_empty() {
        return Ok(());
    }
    Terminal::data(&format!("{what}:"))?;
    for key in keys.iter().take(NAMED) {
        Terminal::data(&format!("  {}", one_line(key, SHOWN)))?;
    }
    match keys.len().saturating_sub(NAMED) {
        0 => Ok(()),
        more => Terminal::data(&format!("  and {more} more")),
    }
}

/// What goes in one transaction, or the one step that does not fit into any.
struct Batch(Vec<Step>);

fn batches(steps: Vec<Step>, limits: &ServerLimits) -> Vec<Batch> {
    let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 2);
    for step in steps {
        let length = step.operation().encoded_len() + 1;
        if batch.len() == limits.transaction_operations || bytes + length > limits.transaction_bytes {
            batches.push(Batch(std::mem::take(&mut batch)));
            bytes = 2;
        }
        bytes += length;
        batch.push(step);
    }
    batches.push(Batch(batch));
    batches.retain(|batch| !batch.0.is_empty());
    batches
}

impl Step {
    fn operation(&self) -> Operation {
        match &self.value {
            Some((value, flags)) => {
                Operation::cas(self.key.as_str(), value.clone(), self.guard).flags(*flags)
            }
            None => Operation::delete_cas(self.key.as_str(), self.guard),
        }
    }

    async fn alone(&self, client: &Client) -> Result<bool, Error> {
        match &self.value {
            Some((value, flags)) => {
                let put = Put { flags: *flags, guard: Guard::Index(self.guard) };
                client.kv().put_with(&self.key, value.clone(), &put).await
            }
            None => client.kv().delete_cas(&self.key, self.guard).await,
        }
    }
}

impl Batch {
    /// Does it; the keys that somebody else has changed.
    async fn send(&self, client: &Client) -> Result<Vec<String>, Error> {
        if let [one] = self.0.as_slice() {
            let done = one.alone(client).await?;
            return Ok(if done { Vec::new() } else { vec![one.key.clone()] });
        }
        let operations: Vec<Operation> = self.0.iter().map(Step::operation).collect();
        match client.txn().run(&operations).await {
            Ok(_) => Ok(Vec::new()),
            // One that is another one keeps all of them from being done.
            Err(Error::RolledBack { .. }) => {
                let mut changed = Vec::new();
                for step in &self.0 {
                    if !step.alone(client).await? {
                        changed.push(step.key.clone());
                    }
                }
                Ok(changed)
            }
            Err(error) => Err(error),
        }
    }
}

/// Writes what there is now, as `consul kv export` does.
fn keep(pairs: &[Pair], restored: &Path) -> io::Result<PathBuf> {
    let row =
        |pair: &Pair| json!({ "key": pair.key, "flags": pair.flags, "value": STANDARD.encode(&pair.value) });
    let rows = Value::from(pairs.iter().map(row).collect::<Vec<_>>());
    let name = format!("before-{}-keys.json", jiff::Timestamp::now().as_millisecond());
    let path = restored.with_file_name(name);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(rows.to_string().as_bytes())?;
    file.sync_all()?;
    Ok(path)
}
