//! What all nodes that share a desk say, as sources of that desk.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lictor_core::Status;
use lictor_core::alert::{Input, Report, Silence, Source, SubjectKey};
use lictor_store::kv::{Kv, Revision};
use lictor_store::wire::{self, Said};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::inbox::DeskInbox;
use super::keep::Kept;
use super::relay::{AGAIN, FROM, TOLD, whole};
use crate::clock::Clock;
use crate::inbox::Gone;

/// How long one look for news is held open.
const HOLD: Duration = Duration::from_secs(30);

/// Pause between two looks at what all nodes say.
const GAP: Duration = Duration::from_millis(100);

/// Keeps the silences of the shared desk at hand, for when it cannot be reached.
pub(super) async fn keep_silences(kv: Kv, clock: Clock, kept: watch::Sender<Vec<Silence>>) {
    let mut since = Revision(0);
    loop {
        match Kept::silences(&kv, since, HOLD, clock.now()).await {
            Ok((silences, revision)) => {
                since = revision;
                kept.send_replace(silences);
                sleep(AGAIN).await;
            }
            Err(why) => {
                debug!(%why, "the silences cannot be read");
                sleep(AGAIN).await;
            }
        }
    }
}

/// Hands in what all nodes say, as long as this one tells: first everything, then what changes.
pub(super) async fn gather(kv: Kv, desk: DeskInbox) {
    // It stops.
    let _gone = follow(&kv, &desk).await;
}

async fn follow(kv: &Kv, desk: &DeskInbox) -> Result<(), Gone> {
    let (mut since, mut known) = (Revision(0), None);
    let mut handed_in = BTreeSet::new();
    loop {
        let listing = match kv.watch(FROM, since, HOLD).await {
            Ok(listing) => listing,
            Err(why) => {
                warn!(%why, "what other nodes say cannot be read");
                sleep(AGAIN).await;
                continue;
            }
        };
        since = listing.revision;
        let (mut now, mut reports) = (Known::new(), Vec::new());
        let mut told = Vec::new();
        for pair in listing.pairs {
            if pair.key.ends_with("/self") {
                continue;
            }
            let before = known.as_ref().and_then(|known: &Known| known.get(&pair.key));
            if let Some(same) = before.filter(|(revision, ..)| *revision == pair.revision) {
                now.insert(pair.key, same.clone());
                continue;
            }
            match wire::decode::<Said>(&pair.value).and_then(Said::into_report) {
                Ok((source, report)) if pair.key.contains(&format!("/{TOLD}")) => {
                    told.push((pair.key, source, report));
                }
                Ok((source, report)) => {
                    let seen = (pair.revision, source.clone(), report.subject.key.clone(), report.status);
                    now.insert(pair.key, seen);
                    reports.push((source, report));
                }
                Err(why) => warn!(record = pair.key, %why, "what a node says is not understood"),
            }
        }
        // Whom a node told while it was cut off is handed in with how it stands, so that nobody is told
        // again.
        handed_in.retain(|key| told.iter().any(|(known, ..)| known == key));
        let mut keys: BTreeMap<Source, Vec<String>> = BTreeMap::new();
        for (key, source, said) in told {
            if !handed_in.insert(key.clone()) {
                continue;
            }
            keys.entry(source.clone()).or_default().push(key);
            let subject = &said.subject.key;
            match reports.iter_mut().find(|(_, report)| report.subject.key == *subject) {
                Some((_, report)) => report.told.extend(said.told),
                None => {
                    let standing = now.values().find(|(_, _, known, _)| known == subject);
                    let status = standing.map_or(Status::Passing, |(.., status)| *status);
                    reports.push((source, Report { status, ..said }));
                }
            }
        }
        let mut gone = Vec::new();
        for (key, (_, source, subject, _)) in known.iter().flatten() {
            // Another node may speak of it now, as of a place of snapshots whoever takes them.
            if !now.contains_key(key) && !now.values().any(|(_, _, still, _)| still == subject) {
                gone.push((source.clone(), subject.clone()));
            }
        }
        let complete = known.is_none();
        let mut sources: BTreeSet<Source> = reports.iter().map(|(source, _)| source.clone()).collect();
        sources.extend(gone.iter().map(|(source, _)| source.clone()));
        if complete {
            sources.extend(whole());
        }
        for source in sources {
            let of_it = reports.iter().filter(|(from, _)| *from == source).map(|(_, report)| report.clone());
            let gone_of_it = gone.iter().filter(|(from, _)| *from == source).map(|(_, key)| key.clone());
            let keys = keys.remove(&source).unwrap_or_default();
            let input = Input::Reports {
                complete: complete && whole().contains(&source),
                reports: of_it.collect(),
                gone: gone_of_it.collect(),
                source,
            };
            desk.asked(keys, input).await?;
        }
        known = Some(now);
        // While many change, they are looked at together.
        sleep(GAP).await;
    }
}

/// The records that were seen: when each was written, of what it speaks, and how that stands.
type Known = BTreeMap<String, (Revision, Source, SubjectKey, Status)>;
