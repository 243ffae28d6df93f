//! A snapshot takes the place of all there is. It is decoded to its end before anything is sent: one with right sums and a
//! state that cannot be decoded ends the process of Consul's leader.

use std::ops::ControlFlow;
use std::path::PathBuf;

use lictor_snapshot::archive::Limits;
use lictor_snapshot::diff::{Summary, What, compare};
use lictor_snapshot::seal::Keys;
use lictor_snapshot::source::ReadError;
use lictor_snapshot::view::Kv;
use lictor_snapshot::{Kind, Report, Shape, Source, diff};

use super::keys::{keys, open};
use super::place::{Place, called};
use super::save::fill;
use super::sending::{Sending, sum_of};
use super::unverified::{Unverified, before};
use super::{ask, beside, checked, only, reading, unless_stopped, unsound};
use crate::busy::Busy;
use crate::cli::SnapshotRestore;
use crate::command::status::span;
use crate::exit::{Exit, Failure};
use crate::output::Terminal;

/// Below this agents of Lictor have their leases, unless they are told otherwise.
const LEASES: &[u8] = b"lictor/lease/";

/// Kinds of which nobody misses that they are not compared: what the servers make themselves.
const OWN: [Kind; 4] = [Kind::INDEX, Kind::CHUNKING_STATE, Kind::TOMBSTONE, Kind::COORDINATES];

/// What changes by itself all the time, and is no reason to ask again.
const LIVELY: [What; 4] = [What::Node, What::Service, What::Check, What::Session];

pub(super) async fn run(args: &SnapshotRestore, terminal: &Terminal) -> Result<(), Failure> {
    let keys = keys(&args.keys)?;
    let source = open(&args.file, &keys)?;
    let place = unless_stopped("nothing was restored", Place::reach(&args.reach)).await?;
    if !args.only.is_empty() {
        return only::run(args, &source, &keys, &place, terminal).await;
    }
    if source.shape() != Shape::Archive {
        let why = "only an archive of Consul can take the place of what its servers know";
        return Err(unsound(&args.file, &why).help("--only PREFIX puts keys back"));
    }
    let ready =
        unless_stopped("nothing was restored", Ready::new(args, &source, &keys, &place, terminal)).await?;
    let Some(Ready { report, sending, kept }) = ready else { return Ok(()) };
    let there = kept.map_or_else(String::new, |path| format!("; what there was is in {}", path.display()));
    let put = async {
        let _busy = Busy::with("restoring it");
        let sent = place.client.snapshot().restore(sending.pieces()).await;
        sent.map_err(|why| match why.may_have_happened() {
            true => place
                .failed(&format!("it is not known whether it was restored{there}"), &why)
                .help("the same command with --dry-run shows what there is now against this snapshot"),
            false => place.failed("nothing was restored", &why),
        })
    };
    unless_stopped(&format!("it is not known whether it was restored{there}"), put).await?;
    Terminal::data(&format!("Restored snapshot: {} records", report.whole.records))?;
    look_after(&source, &place, terminal).await;
    Ok(())
}

/// What there is then. That it cannot be told does not undo anything.
async fn look_after(source: &Source, place: &Place, terminal: &Terminal) {
    let after = async {
        let after = now(None, place).await?;
        compared(source, &self::source(&after)?).await
    };
    match unless_stopped("it was not looked at again", after).await {
        Ok(left) if left.is_same() => {}
        Ok(left) => {
            terminal.say(&format!("others have changed something since, or the servers themselves:\n{left}"));
        }
        Err(failure) => {
            terminal
                .say("warning: what there is now cannot be looked at; the token may be one that is gone:");
            failure.show(terminal);
        }
    }
}

/// What is about to be restored.
struct Ready {
    report: Report,
    sending: Sending,
    /// Where what there was is kept.
    kept: Option<PathBuf>,
}

impl Ready {
    /// Checks it, shows what it means, and asks; `None`: it was only to be shown.
    async fn new(
        args: &SnapshotRestore,
        source: &Source,
        keys: &Keys,
        place: &Place,
        terminal: &Terminal,
    ) -> Result<Option<Self>, Failure> {
        let unsound = |error: &dyn std::fmt::Display| unsound(&args.file, error);
        let bytes = || source.bytes().map_err(|error| unsound(&error));
        let sum = {
            let (source, _busy) = reading("reading it", source);
            let plain = source.bytes().map_err(|error| unsound(&error))?;
            beside(move || sum_of(plain)).await?.map_err(|error| unsound(&error))?
        };
        let report = checked(source).await?.map_err(|error| unsound(&error))?;
        place.takes(&report)?;
        let leases = leases(source).await?.map_err(|error| unsound(&error))?;
        let keeps = !(args.no_backup || args.dry_run);
        let kept_beside = keeps.then_some(&args.file);
        let mut present = now(kept_beside, place).await;
        let present = loop {
            let change = match &present {
                Ok(present) => Some(compared(&self::source(present)?, source).await?),
                // Who wants it in any case need not know what there is.
                Err(_) if args.yes && args.no_backup => None,
                Err(_) => break present?,
            };
            let words = explain(args, &report, change.as_ref(), leases, place);
            if args.dry_run || args.yes {
                Terminal::data(&words)?;
                match present {
                    Err(failure) => {
                        terminal.say("warning: what there is now is not known:");
                        failure.show(terminal);
                        let sending = Sending::new(bytes()?, sum);
                        return Ok(Some(Self { report, sending, kept: None }));
                    }
                    Ok(_) if args.dry_run => return Ok(None),
                    Ok(present) => break present,
                }
            }
            ask(terminal, &words, "everything would be replaced").await?;
            // Somebody may have read for long.
            let fresh = now(kept_beside, place).await?;
            let since = compared(&self::source(&present?)?, &self::source(&fresh)?).await?;
            let matters = |what: &What| {
                let totals = since.of(*what);
                totals.added + totals.removed + totals.changed > 0
            };
            if !What::ALL.iter().filter(|what| !LIVELY.contains(what)).any(matters) {
                break fresh;
            }
            terminal.say(&format!("meanwhile somebody has changed something:\n{since}\n"));
            present = Ok(fresh);
        };
        let kept = match keeps {
            true => Some(keep(present, args, source, keys).await?),
            false => None,
        };
        if let Some(kept) = &kept {
            terminal.say(&format!("what there was is in {}", kept.display()));
        }
        let sending = Sending::new(bytes()?, sum);
        Ok(Some(Self { report, sending, kept }))
    }
}

/// All there is now. `beside`: what will be restored, if it is to be kept there.
async fn now(beside: Option<&PathBuf>, place: &Place) -> Result<Unverified, Failure> {
    let saved = beside.map_or_else(Unverified::anywhere, |path| Unverified::beside(path));
    let saved = saved.map_err(|error| {
        Failure::new(Exit::Failed, format!("what there is now cannot be written anywhere: {error}"))
            .help("--no-backup writes it into TMPDIR only, to compare it")
    })?;
    fill(&saved, place, false).await?;
    Ok(saved)
}

/// Keeps what there is beside the file; sealed, if that is.
async fn keep(
    present: Unverified,
    args: &SnapshotRestore,
    source: &Source,
    keys: &Keys,
) -> Result<PathBuf, Failure> {
    let failed = |why: &dyn std::fmt::Display| {
        let why = format!("what there is now cannot be kept: {why}; nothing was restored");
        Failure::new(Exit::Failed, why)
    };
    let name = args.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let path = before(&args.file, &name);
    let present = match keys.recipients().filter(|_| source.was_sealed()) {
        Some(recipients) => present.sealed(&recipients, &path).await?,
        None => present,
    };
    present.name(&path, true).map_err(|error| failed(&error))?;
    Ok(path)
}

fn source(saved: &Unverified) -> Result<Source, Failure> {
    Source::open(saved.path()).map_err(|error| unsound(saved.path(), &error))
}

async fn compared(one: &Source, other: &Source) -> Result<Summary, Failure> {
    let (other, _busy) = reading("comparing it with what there is", other);
    let one = one.clone();
    let compare = move || compare(&one, &other, &Limits::default(), |_change| ControlFlow::Continue(()));
    beside(compare)
        .await?
        .map_err(|error| Failure::new(Exit::Failed, format!("what there is cannot be compared: {error}")))
}

/// How many leases of Lictor it has.
async fn leases(source: &Source) -> Result<Result<u64, ReadError>, Failure> {
    let (source, _busy) = reading("looking for leases in it", source);
    beside(move || {
        let mut count = 0;
        source.read(&Limits::default(), |record| {
            count += u64::from(Kv::of(record).is_some_and(|kv| kv.key.starts_with(LEASES)));
            ControlFlow::Continue(())
        })?;
        Ok(count)
    })
    .await
}

fn explain(
    args: &SnapshotRestore,
    report: &Report,
    change: Option<&Summary>,
    leases: u64,
    place: &Place,
) -> String {
    let meta = report.whole.meta.clone().unwrap_or_default();
    let now = jiff::Timestamp::now().as_millisecond();
    let age = meta.taken_unix_ms().and_then(|taken| u64::try_from(now).ok()?.checked_sub(taken));
    let age =
        age.map_or_else(|| "at a time that is not known".to_owned(), |age| format!("{} ago", span(age)));
    let what = if args.dry_run { "would replace" } else { "replaces" };
    let mut words = vec![format!(
        "{} was saved {age}, at index {}, and has {} records. It {what} everything that is known to {}:",
        args.file.display(),
        meta.index,
        report.whole.records,
        place.shown
    )];
    words.push(match change {
        Some(change) if change.is_same() => "nothing of what is compared becomes another".to_owned(),
        Some(change) => change.to_string().trim_end().to_owned(),
        None => "what becomes another is not known".to_owned(),
    });
    let kinds = report.inspection.kinds().into_iter();
    let more: Vec<String> = kinds
        .filter(|(kind, _)| !diff::compares(*kind) && !OWN.contains(kind))
        .map(|(kind, count)| format!("{} {}", count.count, called(kind)))
        .collect();
    if !more.is_empty() {
        words.push(format!("replaced without being compared: {}", more.join(", ")));
    }
    if leases > 0 {
        words.push(format!(
            "{leases} leases of Lictor become older ones: stop its agents first, and start them a minute later"
        ));
    }
    words.join("\n")
}
