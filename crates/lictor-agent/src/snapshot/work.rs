//! What the node does that takes the snapshots of a block: looks what there is, takes one when it is due, sends it
//! everywhere, removes what need not stay, and tries one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join_all, pending};
use jiff::Timestamp;
use lictor_config::{Encrypt, Snapshot, When};
use lictor_consul::Client;
use lictor_core::Wall;
use lictor_core::snapshot::{Jump, Series};
use lictor_snapshot::seal::{Passphrase, Recipients};
use lictor_store::wire::{self, LatestDrill, LatestSnapshot};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::place;
use super::seat::{Order, Slot, Wanted};
use super::send::{Ours, Spot};
use super::take::{self, Fresh, UNFINISHED};
use super::trial;
use super::view::{DrillState, Latest, Phase, PlaceState, SnapshotState};
use crate::clock::Clock;
use crate::task::Tasks;

/// The first pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));

/// The same where the server has refused: a person has to do something.
const REFUSED: (Duration, Duration) = (Duration::from_secs(60), Duration::from_mins(15));

/// Longest wait at a time: the wall clock may be stepped meanwhile.
const LOOK: Duration = Duration::from_secs(20);

/// How long a place may take to say what is there.
const LISTED: Duration = Duration::from_mins(2);

/// What names of encrypted ones end with.
const SEALED: &str = ".age";

/// How long a request for a note may take.
const PATIENCE: Duration = Duration::from_secs(10);

const SECOND: Duration = Duration::from_secs(1);

/// How often something is sent that is to be done once.
const ATTEMPTS: u32 = 4;

/// How it came to its end.
#[derive(Debug)]
pub(super) enum Ended {
    /// Another node works, or the agent stops.
    Lost,
    /// It failed so often that another node should try.
    GaveUp(String),
    /// It cannot be done as it is configured.
    Refused(String),
}

/// See the module.
pub(super) struct Work {
    pub(super) settings: Arc<Snapshot>,
    pub(super) home: Option<String>,
    pub(super) own: String,
    pub(super) node: String,
    pub(super) client: Client,
    pub(super) clock: Clock,
    pub(super) slot: Slot,
    pub(super) scratch: PathBuf,
    pub(super) tasks: Tasks,
}

/// A block whose places are open.
pub(super) struct Term {
    pub(super) work: Work,
    pub(super) spots: Vec<Spot>,
    pub(super) datacenter: String,
    note: LatestSnapshot,
}

impl Work {
    /// Until nothing comes of it; who drops it ends it.
    pub(super) async fn run(self, mut orders: mpsc::Receiver<Order>) -> Ended {
        self.slot.phase(&Phase::Looking);
        let max = self.settings.max_failures;
        let mut pause = PAUSES.0;
        let mut term = match self.begin().await {
            Ok(term) => term,
            Err(ended) => return ended,
        };
        term.survey().await;
        let mut unsent = term.left().await;
        let mut failures = 0;
        let mut not_before = None;
        loop {
            let due = term.due(unsent.as_ref()).map(|due| not_before.map_or(due, |pause| due.max(pause)));
            term.show(due, unsent.is_some());
            tokio::select! {
                () = term.deliver(unsent.as_ref()), if unsent.is_some() => {
                    if let Some(fresh) = unsent.take() {
                        term.remove(&fresh);
                    }
                }
                () = term.until(due) => {
                    let nowhere = unsent.as_ref().and_then(|fresh| term.is_nowhere(fresh));
                    let taken = term.round(&mut unsent).await.map(drop);
                    match nowhere.map_or(taken, Err) {
                        Ok(()) => (failures, not_before, pause) = (0, None, PAUSES.0),
                        Err(why) => {
                            failures += 1;
                            term.failed(&why);
                            if failures >= max {
                                return Ended::GaveUp(why);
                            }
                            not_before = term.now().checked_add(pause).ok();
                            pause = (pause * 2).min(PAUSES.1);
                        }
                    }
                }
                () = term.until(term.drill_due()) => term.drill().await,
                order = orders.recv() => match order {
                    Some(Order { what, done }) => {
                        let answer = match what {
                            Wanted::Take => term.round(&mut unsent).await,
                            Wanted::Drill => {
                                term.drill().await;
                                term.drilled()
                            }
                        };
                        // Who asked may have gone.
                        drop(done.send(answer));
                    }
                    None => return Ended::Lost,
                },
            }
        }
    }

    /// Takes one and sends it everywhere, without waiting for anything; what was done, in words.
    pub(super) async fn once(self) -> Result<String, Vec<String>> {
        let mut term = match self.begin().await {
            Ok(term) => term,
            Err(Ended::Refused(why) | Ended::GaveUp(why)) => return Err(vec![why]),
            Err(Ended::Lost) => return Err(vec!["it was stopped".to_owned()]),
        };
        let mut unsent = None;
        let said = term.round(&mut unsent).await.map_err(|why| vec![why])?;
        let Some(fresh) = unsent else { return Ok(said) };
        term.work.slot.phase(&Phase::Sending);
        let sent = join_all((0..term.spots.len()).map(|at| term.to_one(at, &fresh, Some(ATTEMPTS)))).await;
        let failed: Vec<String> = sent.into_iter().filter_map(Result::err).collect();
        term.remove(&fresh);
        term.work.slot.phase(&Phase::Waiting);
        if failed.is_empty() { Ok(said) } else { Err(failed) }
    }

    async fn begin(self) -> Result<Term, Ended> {
        let spots: Result<Vec<Spot>, String> = self.settings.places.iter().map(place::open).collect();
        let spots = spots.map_err(Ended::Refused)?;
        take::folder(&self.scratch).map_err(Ended::GaveUp)?;
        let datacenter = self.datacenter().await.map_err(Ended::GaveUp)?;
        self.slot.state.send_modify(|state| {
            let shown = |spot: &Spot| PlaceState {
                name: spot.settings.name.clone(),
                shown: spot.place.shown().to_owned(),
                ..PlaceState::default()
            };
            *state = SnapshotState {
                places: spots.iter().map(shown).collect(),
                tally: state.tally,
                failing: state.failing,
                failures: state.failures,
                ..SnapshotState::default()
            };
        });
        let mut term = Term { work: self, spots, datacenter, note: LatestSnapshot::default() };
        term.note = term.read_note().await;
        term.show_note(None);
        Ok(term)
    }

    /// The datacenter whose state it is.
    async fn datacenter(&self) -> Result<String, String> {
        match &self.home {
            Some(name) => Ok(name.clone()),
            None => {
                let me = self.client.agent().info().await.map_err(|error| error.to_string())?;
                Ok(me.config.datacenter)
            }
        }
    }
}

impl Term {
    pub(super) fn now(&self) -> Timestamp {
        stamp(self.work.clock.now().wall.as_unix_millis())
    }

    /// The names of what is this block's.
    pub(super) fn series(&self) -> Series<'_> {
        let Work { settings, node, .. } = &self.work;
        Series { names: settings.names, block: &settings.name, datacenter: &self.datacenter, host: node }
    }

    fn state<T>(&self, change: impl FnOnce(&mut SnapshotState) -> T) {
        self.work.slot.state.send_modify(|state| drop(change(state)));
    }

    fn note_key(&self) -> String {
        format!("{}snapshot/{}/latest", self.work.own, self.work.settings.name)
    }

    /// What is noted of the latest one; nothing if it cannot be read, which only makes the next one come sooner.
    async fn read_note(&self) -> LatestSnapshot {
        let (key, query) = (self.note_key(), lictor_consul::Query::new());
        match timeout(PATIENCE, self.work.client.kv().get(&key, &query)).await {
            Ok(Ok(answer)) => {
                let pair = answer.value;
                pair.and_then(|pair| wire::decode(&pair.value).ok()).unwrap_or_default()
            }
            Ok(Err(_)) | Err(_) => LatestSnapshot::default(),
        }
    }

    async fn write_note(&self) {
        let put = async {
            let value = wire::encode(&self.note).map_err(|error| error.to_string())?;
            let kv = self.work.client.kv();
            kv.put(&self.note_key(), value).await.map_err(|error| error.to_string())
        };
        let written = timeout(PATIENCE, put).await.map_err(|_late| "no answer in time".to_owned());
        if let Err(why) = written.and_then(|written| written.map(drop)) {
            warn!(snapshot = %self.work.settings.name, why, "the latest snapshot could not be noted in Consul");
        }
    }

    fn show_note(&self, jump: Option<Jump>) {
        let note = &self.note;
        self.state(|state| {
            state.jump = jump;
            state.latest = (note.at_unix_ms > 0).then(|| Latest {
                file: note.file.clone(),
                at: stamp(note.at_unix_ms),
                index: note.index,
                bytes: note.bytes,
                node: note.node.clone(),
            });
            state.drill = note.drill.as_ref().map(|drill| DrillState {
                at: stamp(drill.at_unix_ms),
                sound: (drill.sound_unix_ms > 0).then(|| stamp(drill.sound_unix_ms)),
                file: drill.file.clone(),
                failed: drill.failed.clone(),
            });
        });
    }

    /// Looks what is in the places.
    async fn survey(&self) {
        let series = self.series();
        let lists = join_all(self.spots.iter().map(|spot| timeout(LISTED, spot.ours(&series)))).await;
        for (at, list) in lists.into_iter().enumerate() {
            match list {
                Ok(Ok(ours)) => self.found(at, &ours),
                Ok(Err(error)) => self.trouble(at, &error.to_string()),
                Err(_late) => self.trouble(at, "it does not say in time what is there"),
            }
        }
        self.state(|state| state.known = true);
    }

    fn place(&self, at: usize, change: impl FnOnce(&mut PlaceState)) {
        self.state(|state| state.places.get_mut(at).map(change));
    }

    fn found(&self, at: usize, ours: &Ours) {
        self.place(at, |place| {
            place.count = Some(ours.len() as u64);
            place.bytes = ours.iter().map(|(_, kept)| kept.size).sum();
            place.newest = ours.last().map(|(made, _)| *made);
            place.trouble = None;
        });
    }

    fn trouble(&self, at: usize, why: &str) {
        let settings = &self.work.settings;
        self.place(at, |place| {
            if place.trouble.as_deref() != Some(why) {
                warn!(snapshot = %settings.name, place = place.name, why, "a place of snapshots has trouble");
                place.trouble = Some(why.to_owned());
            }
        });
    }

    /// Why no place has got this one, if none has.
    fn is_nowhere(&self, fresh: &Fresh) -> Option<String> {
        let state = self.work.slot.state.borrow();
        let there = state.places.iter().any(|place| place.has(fresh));
        let why = state.places.iter().find_map(|place| place.trouble.clone());
        let why = why.unwrap_or_else(|| "it could not be sent in time".to_owned());
        (!there).then(|| format!("no place has got {}: {why}", fresh.name))
    }

    /// When the next one is due; `None`: never.
    fn due(&self, unsent: Option<&Fresh>) -> Option<Timestamp> {
        let state = self.work.slot.state.borrow();
        let known: Vec<Option<Timestamp>> =
            state.places.iter().filter(|place| place.count.is_some()).map(|place| place.newest).collect();
        let last = match known.as_slice() {
            [] => (self.note.at_unix_ms > 0).then(|| stamp(self.note.at_unix_ms)),
            some => some.iter().copied().max().flatten(),
        };
        match last.max(unsent.map(|fresh| fresh.at)) {
            None => Some(self.now()),
            // What seems to be of the future is no older than now.
            Some(last) => self.work.settings.when.after(last.min(self.now())),
        }
    }

    fn drill_due(&self) -> Option<Timestamp> {
        let drill = self.work.settings.drill.as_ref()?;
        let state = self.work.slot.state.borrow();
        // Nothing to try yet.
        let newest = state.places.iter().filter_map(|place| place.newest).max()?;
        let last = self.note.drill.as_ref().map(|drill| stamp(drill.at_unix_ms).min(self.now()));
        match (last, &drill.when) {
            (Some(last), when) => when.after(last),
            (None, When::Every(_)) => Some(newest.min(self.now())),
            (None, at) => at.after(newest.min(self.now())),
        }
    }

    /// Until that time by the wall clock, which may be stepped; without one, for ever.
    async fn until(&self, due: Option<Timestamp>) {
        let Some(due) = due else { return pending().await };
        loop {
            let left = self.now().duration_until(due);
            if left.is_zero() || left.is_negative() {
                return;
            }
            sleep(left.unsigned_abs().min(LOOK)).await;
        }
    }

    fn show(&self, due: Option<Timestamp>, sending: bool) {
        let phase = if sending { Phase::Sending } else { Phase::Waiting };
        self.state(|state| {
            state.next = due;
            if !matches!(state.phase, Phase::Failing(_)) || state.failures == 0 {
                state.phase = phase;
            }
        });
    }

    fn failed(&self, why: &str) {
        warn!(snapshot = %self.work.settings.name, why, "snapshots are not taken as they should be");
        let now = self.work.clock.boot();
        self.state(|state| {
            state.tally.failed += 1;
            state.failures += 1;
            state.failing = state.failing.or(Some(now));
            state.phase = Phase::Failing(why.to_owned());
        });
    }

    /// Takes one, in the place of one that could not be sent; in words, what was done.
    async fn round(&mut self, unsent: &mut Option<Fresh>) -> Result<String, String> {
        self.work.slot.phase(&Phase::Taking);
        let begun = self.work.clock.boot();
        let to = self.recipients()?;
        let settings = Arc::clone(&self.work.settings);
        let (at, name) = loop {
            let at = self.now();
            let name = self.series().name(Wall::from_unix_millis(at.as_millisecond()), to.is_some());
            if name != self.note.file {
                // As exactly as its name has it.
                let made = self.series().made(&name);
                break (made.map_or(at, |wall| stamp(wall.as_unix_millis())), name);
            }
            // Two within a second would have the same name.
            sleep(SECOND).await;
        };
        let Work { client, scratch, tasks, .. } = &self.work;
        let (fresh, found) = take::take(client, settings.stale, scratch, &name, at, to, tasks).await?;
        let took = self.work.clock.boot().since(begun);
        let before = self.note.bytes;
        let jump =
            (self.note.at_unix_ms > 0).then(|| Jump::of(before, found.bytes, settings.max_change)).flatten();
        if let Some(old) = unsent.replace(fresh.clone())
            && old.path != fresh.path
        {
            match (self.is_nowhere(&old), jump) {
                // It may be the last one with everything.
                (Some(_), Some(_)) => {
                    warn!(path = %old.path.display(), "kept here: no place has it, and the next one is another size");
                }
                _ => self.remove(&old),
            }
        }
        self.note.file.clone_from(&fresh.name);
        self.note.at_unix_ms = at.as_millisecond();
        self.note.index = found.index;
        self.note.bytes = found.bytes;
        self.note.node.clone_from(&self.work.node);
        self.show_note(jump);
        self.state(|state| {
            state.tally.taken += 1;
            state.tally.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            (state.failures, state.failing) = (0, None);
            state.phase = Phase::Sending;
        });
        self.write_note().await;
        let (name, index) = (&fresh.name, found.index);
        info!(snapshot = %settings.name, file = name, index, bytes = found.bytes, "a snapshot was taken and is sound");
        Ok(format!("{name} was taken: index {index}, {} bytes", found.bytes))
    }

    /// Read anew each time: a passphrase in a file may be rotated.
    fn recipients(&self) -> Result<Option<Recipients>, String> {
        match &self.work.settings.encrypt {
            None => Ok(None),
            Some(Encrypt::Recipients(keys)) => {
                Recipients::parse(keys).map(Some).map_err(|error| error.to_string())
            }
            Some(Encrypt::Passphrase(secret)) => {
                let text = secret.reveal().map_err(|error| error.to_string())?;
                let passphrase = Passphrase::new(text).map_err(|error| error.to_string())?;
                Ok(Some(Recipients::passphrase(passphrase)))
            }
        }
    }

    /// Sends one to all places that do not have it; ends when all have it.
    async fn deliver(&self, fresh: Option<&Fresh>) {
        let Some(fresh) = fresh else { return pending().await };
        let sent = join_all((0..self.spots.len()).map(|at| self.to_one(at, fresh, None))).await;
        debug_assert!(sent.iter().all(Result::is_ok), "without a limit it is tried again and again");
    }

    /// A snapshot that is there and newer, by the name of its time: one that was left by an earlier process must not take
    /// the place of a later one.
    fn newer(&self, at: usize, fresh: &Fresh) -> Option<String> {
        if !fresh.left {
            return None;
        }
        let newest = self.work.slot.state.borrow().places.get(at)?.newest?;
        (newest >= fresh.at).then(|| newest.to_string())
    }

    /// Sends one to one place, and removes there what need not stay.
    async fn to_one(&self, at: usize, fresh: &Fresh, attempts: Option<u32>) -> Result<(), String> {
        let Some(spot) = self.spots.get(at) else { return Ok(()) };
        if self.work.slot.state.borrow().places.get(at).is_some_and(|place| place.has(fresh)) {
            return Ok(());
        }
        if let Some(newest) = self.newer(at, fresh) {
            info!(place = spot.place.shown(), newest, file = fresh.name, "a newer snapshot is there already");
            return Ok(());
        }
        let Work { settings, scratch, .. } = &self.work;
        let journal = scratch.join(format!("{UNFINISHED}to.{}", spot.settings.name));
        let progress = |sent: u64| self.place(at, |place| place.sending = Some((sent, fresh.size)));
        let (mut failures, mut pauses) = (0, None);
        loop {
            progress(0);
            let sent = spot.send(fresh, &journal, &progress).await;
            self.place(at, |place| place.sending = None);
            match sent {
                Ok(()) => break,
                Err(trouble) => {
                    self.trouble(at, &trouble.why);
                    failures += 1;
                    if attempts.is_some_and(|most| failures >= most || !trouble.passes) {
                        return Err(trouble.why);
                    }
                    let (first, longest) = if trouble.passes { PAUSES } else { REFUSED };
                    let pause = pauses.map_or(first, |before: Duration| (before * 2).min(longest));
                    pauses = Some(pause);
                    sleep(pause).await;
                }
            }
        }
        // It is there; the rest can be done next time, too.
        let name = spot.called(fresh);
        match spot.ours(&self.series()).await {
            Ok(mut ours) => {
                let (removed, failed) = spot.prune(&mut ours, name).await;
                self.found(at, &ours);
                self.state(|state| state.tally.removed += removed);
                if let Some(error) = failed {
                    self.trouble(at, &format!("older snapshots cannot be removed: {error}"));
                }
            }
            Err(error) => {
                self.trouble(at, &format!("what is there cannot be listed, and nothing is removed: {error}"));
            }
        }
        self.place(at, |place| {
            place.newest = place.newest.max(Some(fresh.at));
            place.sent = Some(fresh.name.clone());
        });
        self.stamp(fresh).await;
        info!(snapshot = %settings.name, place = spot.place.shown(), file = name, "the snapshot was sent");
        Ok(())
    }

    /// The time of the latest one, for a program that asks there.
    async fn stamp(&self, fresh: &Fresh) {
        let Some(key) = &self.work.settings.stamp else { return };
        let seconds = fresh.at.as_second().to_string();
        let put = timeout(PATIENCE, self.work.client.kv().put(key, seconds)).await;
        if !matches!(put, Ok(Ok(_))) {
            warn!(snapshot = %self.work.settings.name, key, "the time of the latest snapshot could not be written");
        }
    }

    fn remove(&self, fresh: &Fresh) {
        if let Err(error) = fs::remove_file(&fresh.path) {
            warn!(path = %fresh.path.display(), %error, "what was sent cannot be removed from the scratch folder");
        }
    }

    /// What an earlier process has left in the scratch folder: what is not finished is removed, and the newest one that
    /// a place lacks is sent.
    async fn left(&self) -> Option<Fresh> {
        let (folder, work) = (self.work.scratch.clone(), &self.work);
        let series = self.series();
        let sealed = work.settings.encrypt.is_some();
        let made = |file: String| {
            let plain = fs::symlink_metadata(folder.join(&file)).is_ok_and(|found| found.is_file());
            // What is encrypted now must not leave the machine as it was taken before.
            let fits = plain && file.ends_with(SEALED) == sealed;
            series.made(&named(&file)).filter(|_| fits).map(|wall| (wall, file))
        };
        let mut found: Vec<(Wall, String)> = files(&folder).into_iter().filter_map(made).collect();
        found.sort();
        let newest = found.pop();
        let lacking = |at: Timestamp| {
            let state = work.slot.state.borrow();
            // Of a place that cannot be asked it is not known that it has it.
            state
                .places
                .iter()
                .any(|place| place.count.is_none() || place.newest.is_none_or(|newest| newest < at))
        };
        let wanted = newest.filter(|(wall, name)| {
            let wanted = lacking(stamp(wall.as_unix_millis()));
            if !wanted {
                found.push((*wall, name.clone()));
            }
            wanted
        });
        for (_, name) in found {
            fs::remove_file(folder.join(name)).unwrap_or_default();
        }
        let (wall, file) = wanted?;
        let (path, name) = (folder.join(&file), named(&file));
        let sums = path.clone();
        let sum = work.tasks.on_thread("snapshot", move || take::sum(&sums)).ok()?.await.ok()?;
        match sum {
            Ok((size, sum)) => {
                info!(snapshot = %work.settings.name, file = name, "what an earlier process has taken is sent");
                Some(Fresh { path, name, at: stamp(wall.as_unix_millis()), size, sum, left: true })
            }
            Err(error) => {
                warn!(path = %path.display(), %error, "what an earlier process has taken cannot be read");
                None
            }
        }
    }

    /// Tries the newest one.
    async fn drill(&mut self) {
        self.work.slot.phase(&Phase::Drilling);
        let at = self.now();
        let before = self.note.drill.take().unwrap_or_default();
        let (file, failed) = match trial::newest(self).await {
            Ok((file, said)) => {
                info!(snapshot = %self.work.settings.name, file, said, "the snapshot was restored and is as it was");
                (file, None)
            }
            Err((file, why)) => {
                warn!(snapshot = %self.work.settings.name, file, why, "the drill has failed");
                (file, Some(why))
            }
        };
        let at_unix_ms = at.as_millisecond();
        let sound_unix_ms = if failed.is_none() { at_unix_ms } else { before.sound_unix_ms };
        self.note.drill = Some(LatestDrill { at_unix_ms, sound_unix_ms, file, failed });
        let jump = self.work.slot.state.borrow().jump;
        self.show_note(jump);
        self.write_note().await;
    }

    /// What came of the latest drill, in words.
    fn drilled(&self) -> Result<String, String> {
        match &self.note.drill {
            Some(LatestDrill { failed: Some(why), .. }) => Err(why.clone()),
            Some(LatestDrill { file, .. }) => Ok(format!("{file} was restored, and is as it was")),
            None => Err("nothing was tried".to_owned()),
        }
    }
}

impl PlaceState {
    /// Whether it was sent there.
    fn has(&self, fresh: &Fresh) -> bool {
        self.sent.as_ref() == Some(&fresh.name)
    }
}

/// The names of what lies in a folder, without what is not finished: that is removed unless it tells what was sent.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        match name.strip_prefix(UNFINISHED) {
            Some(rest) if rest.starts_with("to.") => {}
            Some(_) => fs::remove_file(entry.path()).unwrap_or_default(),
            None => found.push(name),
        }
    }
    found
}

/// The name of what lies in the scratch folder as this file; see [`take::filed`].
fn named(file: &str) -> String {
    file.replace(take::PART, "/")
}

/// A time of the wall clock; what cannot be one is the beginning.
pub(super) fn stamp(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}
