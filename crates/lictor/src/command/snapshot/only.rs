//! Keys below a prefix are put back from a snapshot or a backup, and nothing else: what people need who have deleted a folder.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use lictor_agent::text::one_line;
use lictor_consul::{Client, Error, Guard, Index, Limits as ServerLimits, Operation, Pair, Put, Query};
use lictor_snapshot::archive::Limits;
use lictor_snapshot::pshima::Password;
use lictor_snapshot::seal::{Keys, Recipients, seal};
use lictor_snapshot::view::Kv;
use lictor_snapshot::{Shape, Source, pshima};
use serde_json::{Value, json};

use super::keys::look;
use super::place::Place;
use super::unverified::{Unverified, before};
use super::{ask, beside, password, reading, unless_stopped, unsound};
use crate::busy::Busy;
use crate::cli::{SnapshotKeys, SnapshotReach, SnapshotRestore, SnapshotSecret};
use crate::command::status::count;
use crate::exit::{Exit, Failure};
use crate::output::Terminal;

/// The values of a file that are kept in memory, bytes.
const MOST: usize = 512 << 20;

/// How long the list of what there is may take.
const LONG: Duration = Duration::from_mins(2);

/// A prefix for all keys.
const ALL: &str = "/";

/// Keys that are named.
const NAMED: usize = 20;

/// Characters of a key that are shown.
const SHOWN: usize = 200;

/// A value with its flags.
type Kept = (Vec<u8>, u64);

/// Puts all keys of a file back without asking, as consul-snapshot did: others stay, and so do those that begin with one of
/// `leave`. What there was of them is kept beside the file.
pub(crate) async fn all_of(
    file: &Path,
    keys: &Keys,
    leave: &[&str],
    client: &Client,
    address: &str,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let source = look(file, keys).map_err(|error| unsound(file, &error))?;
    let args = SnapshotRestore {
        file: file.to_owned(),
        only: vec![ALL.to_owned()],
        delete: false,
        leave: leave.iter().map(ToString::to_string).collect(),
        yes: true,
        no_backup: false,
        dry_run: false,
        reach: SnapshotReach { datacenter: None, http_addr: None, token_file: None, timeout: LONG },
        keys: SnapshotKeys { identity: Vec::new(), passphrase_file: None },
        secret: SnapshotSecret { password_file: None },
    };
    run(&args, &source, keys, &Place::of(client, address), terminal).await
}

pub(super) async fn run(
    args: &SnapshotRestore,
    source: &Source,
    keys: &Keys,
    place: &Place,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let plan = unless_stopped("nothing was restored", plan(args, source, keys, place, terminal)).await?;
    let Some(plan) = plan else { return Ok(()) };
    let mut done = Done { all: plan.steps.len(), ..Done::default() };
    let sending = async {
        let limits = place.client.find_limits().await;
        let limits = limits.map_err(|why| place.failed("the limits of Consul are not known", &why))?;
        let client = place.client.with_limits(limits);
        let busy = Busy::with("restoring keys");
        for batch in batches(plan.steps, &limits) {
            batch.send(&client, &mut done).await?;
            busy.now(format!("restoring keys, {} of {}", done.over, done.all));
        }
        Ok(())
    };
    let sent = unless_stopped("not everything was restored", sending).await;
    Terminal::data(&format!("{} of {} restored", done.over, count(done.all, "key", "keys")))?;
    list("changed by somebody else meanwhile, or not readable to this token, and left alone", &done.changed)?;
    list("refused", &done.refused)?;
    sent?;
    let all = done.over == done.all && plan.held.is_empty();
    if all {
        Ok(())
    } else {
        Err(Failure::new(Exit::Failed, "not everything was restored")
            .help("the same command again shows what there is now, and goes on"))
    }
}

/// What became of it.
#[derive(Default)]
struct Done {
    all: usize,
    over: usize,
    changed: Vec<String>,
    refused: Vec<String>,
}

/// What is to be done, when somebody wants it; `None`: nothing.
async fn plan(
    args: &SnapshotRestore,
    source: &Source,
    keys: &Keys,
    place: &Place,
    terminal: &Terminal,
) -> Result<Option<Plan>, Failure> {
    if args.only.iter().any(String::is_empty) {
        let why = "--only is empty, and would mean all keys";
        return Err(Failure::new(Exit::Usage, why).help("write `/` for all keys"));
    }
    // No key begins with it.
    let only: Vec<&str> = args.only.iter().map(|prefix| prefix.trim_start_matches('/')).collect();
    let wanted = {
        let (file, leave) = (args.file.clone(), args.leave.clone());
        let (source, _busy) = reading("looking for its keys", source);
        let only: Vec<String> = only.iter().map(ToString::to_string).collect();
        let password = if source.shape().is_backup() { password(&args.secret)? } else { None };
        beside(move || wanted(&file, &only, &leave, &source, password.as_ref())).await??
    };
    if wanted.is_empty() {
        let why = format!("{} has no key that begins with {}", args.file.display(), args.only.join(" or "));
        return Err(Failure::new(Exit::NotFound, why));
    }
    let mut present = BTreeMap::new();
    let asking = Client::with_limits(
        &place.client,
        ServerLimits { answer_bytes: MOST * 2, answer: LONG, ..*place.client.limits() },
    );
    let busy = Busy::with("asking Consul for its keys");
    for prefix in only {
        let pairs = asking.kv().list(prefix, &Query::new().consistent()).await;
        let pairs = pairs.map_err(|why| place.failed("the keys cannot be read", &why))?;
        if pairs.meta.filtered_by_acls == Some(true) {
            terminal.say("warning: Consul leaves out keys that the token may not read");
        }
        let pairs = pairs.value.into_iter().filter(|pair| !is_left(&args.leave, &pair.key));
        present.extend(pairs.map(|pair| (pair.key.clone(), pair)));
    }
    drop(busy);
    let plan = Plan::new(wanted, &present, args.delete);
    let words = plan.words(args, place);
    if args.dry_run || plan.steps.is_empty() {
        Terminal::data(&words)?;
        return Ok(None);
    }
    if args.yes {
        Terminal::data(&words)?;
    } else {
        ask(terminal, &words, "keys would be replaced").await?;
    }
    if !args.no_backup && !plan.replaced.is_empty() {
        let secret = source.was_sealed() || source.shape() == Shape::Encrypted;
        let to = keys.recipients().filter(|_| secret);
        let (backup, open) = match &to {
            Some(_) => ("keys.json.age", "for `age -d` and `consul kv import`"),
            None => ("keys.json", "for `consul kv import @FILE`"),
        };
        let backup = keep(&plan.replaced, &before(&args.file, backup), to.as_ref()).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("what there is now cannot be kept: {error}; nothing was restored"),
            )
        })?;
        terminal.say(&format!("what there was is in {}, {open}", backup.display()));
    }
    Ok(Some(plan))
}

/// Whether a key is none to be put back or deleted.
fn is_left(leave: &[String], key: &str) -> bool {
    leave.iter().any(|prefix| key.starts_with(prefix.as_str()))
}

/// The keys of the file.
fn wanted(
    file: &Path,
    only: &[String],
    leave: &[String],
    source: &Source,
    password: Option<&Password>,
) -> Result<BTreeMap<String, Kept>, Failure> {
    let (mut found, mut odd, mut bytes) = (BTreeMap::new(), 0_usize, 0_usize);
    let mut take = |key: &[u8], value: &[u8], flags: u64| {
        if !only.iter().any(|prefix| key.starts_with(prefix.as_bytes())) {
            return ControlFlow::Continue(());
        }
        let Ok(key) = std::str::from_utf8(key) else {
            odd += 1;
            return ControlFlow::Continue(());
        };
        if is_left(leave, key) {
            return ControlFlow::Continue(());
        }
        bytes += value.len();
        if bytes > MOST {
            return ControlFlow::Break(());
        }
        found.insert(key.to_owned(), (value.to_vec(), flags));
        ControlFlow::Continue(())
    };
    let limits = Limits::default();
    let read = if source.shape().is_backup() {
        let read = pshima::read(source, password, &limits, |pair| {
            // It reads to its end; what is too much is told below.
            take(pair.key.as_bytes(), &pair.value, pair.flags).is_continue();
        });
        read.map(drop).map_err(|error| unsound(file, &error))
    } else {
        let read = source.read(&limits, |record| match Kv::of(record) {
            Some(kv) => take(kv.key, kv.value, kv.flags),
            None => ControlFlow::Continue(()),
        });
        read.map(drop).map_err(|error| unsound(file, &error))
    };
    if bytes > MOST {
        let why = format!("the values have more than {} MB together: choose a longer prefix", MOST >> 20);
        return Err(unsound(file, &why));
    }
    read?;
    if odd > 0 {
        let why = format!("{} not UTF-8, and cannot be written over HTTP", count(odd, "key is", "keys are"));
        return Err(unsound(file, &why));
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

    /// What a person is shown.
    fn words(&self, args: &SnapshotRestore, place: &Place) -> String {
        let what = if args.dry_run { "would be" } else { "to be" };
        let mut words = vec![format!("{} in {}:", args.only.join(", "), place.shown)];
        for (verb, keys) in [("added", &self.added), ("changed", &self.changed), ("deleted", &self.deleted)] {
            words.extend(listed(&format!("{} {what} {verb}", count(keys.len(), "key", "keys")), keys));
        }
        words.push(format!("{} the same", count(self.same, "key is", "keys are")));
        if self.others > 0 {
            let keys = count(
                self.others,
                "key that the file does not have stays",
                "keys that the file does not have stay",
            );
            words.push(format!("{keys} (--delete deletes them)"));
        }
        let held = count(
            self.held.len(),
            "key stays as it is: a session holds it",
            "keys stay as they are: a session holds them",
        );
        words.extend(listed(&held, &self.held));
        words.join("\n")
    }
}

fn list(what: &str, keys: &[String]) -> Result<(), Failure> {
    listed(what, keys).iter().try_for_each(|line| Terminal::data(line))
}

/// A line, and the first of the keys below it; nothing if there are none.
fn listed(what: &str, keys: &[String]) -> Vec<String> {
    if keys.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!("{what}:")];
    lines.extend(keys.iter().take(NAMED).map(|key| format!("  {}", one_line(key, SHOWN))));
    let more = keys.len().saturating_sub(NAMED);
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    lines
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
    /// Does it, as far as it can be done.
    async fn send(self, client: &Client, done: &mut Done) -> Result<(), Failure> {
        if self.0.len() > 1 {
            let operations: Vec<Operation> = self.0.iter().map(Step::operation).collect();
            match client.txn().run(&operations).await {
                Ok(_) => {
                    done.over += self.0.len();
                    return Ok(());
                }
                // One that cannot be done keeps all of them from being done.
                Err(Error::RolledBack { .. }) => {}
                Err(error) => return Err(broken(&error)),
            }
        }
        for step in self.0 {
            match step.alone(client).await {
                Ok(true) => done.over += 1,
                Ok(false) => done.changed.push(step.key),
                // It is about this key; the others go on.
                Err(error) if is_refusal(&error) => {
                    done.refused.push(format!("{}: {error}", step.key));
                }
                Err(error) => return Err(broken(&error)),
            }
        }
        Ok(())
    }
}

/// Whether it is about what was written, and would be said again.
fn is_refusal(error: &Error) -> bool {
    match error {
        Error::Invalid { .. } => true,
        Error::Status { status, .. } => (400..500).contains(status),
        _ => false,
    }
}

fn broken(error: &Error) -> Failure {
    let unclear = if error.may_have_happened() { "; the last of it may be done" } else { "" };
    Failure::new(Exit::Failed, format!("not everything was restored: {error}{unclear}"))
        .help("the same command again shows what there is now, and goes on")
}

/// Writes what there is now, as `consul kv export` does; sealed, if it is to be.
fn keep(pairs: &[Pair], path: &Path, to: Option<&Recipients>) -> io::Result<PathBuf> {
    let row =
        |pair: &Pair| json!({ "key": pair.key, "flags": pair.flags, "value": STANDARD.encode(&pair.value) });
    let rows = Value::from(pairs.iter().map(row).collect::<Vec<_>>()).to_string();
    let kept = Unverified::beside(path)?;
    match to {
        Some(to) => seal(to, rows.as_bytes(), &kept.file).map(drop).map_err(io::Error::other)?,
        None => (&kept.file).write_all(rows.as_bytes())?,
    }
    kept.name(path, true)?;
    Ok(path.to_owned())
}
