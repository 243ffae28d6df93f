//! A block that this node works for: what is noted of it, how its places stand, and what others see of that.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use lictor_config::{Place, PlaceKind, When};
use lictor_core::Now;
use lictor_core::snapshot::{Jump, Series};
use lictor_store::wire::{self, LatestDrill, LatestSnapshot};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::due::{Due, stamp, wall};
use super::place;
use super::send::{AHEAD, Ours, Spot, must_list};
use super::shelf::{self, Shelf};
use super::take::Fresh;
use super::view::{DrillState, Failing, Latest, Phase, PlaceState, SnapshotState};
use super::work::Work;

/// How long a place may take to say what is there.
pub(super) const LISTED: Duration = Duration::from_mins(2);

/// How long a request for a note may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many files of others are noted.
const FOREIGN: usize = 16;

/// See the module.
pub(super) struct Term {
    pub(super) work: Work,
    pub(super) datacenter: String,
    pub(super) shelf: Shelf,
    /// Those that can be used.
    spots: Vec<Option<Spot>>,
    note: Mutex<LatestSnapshot>,
    /// One after the other; whether the last one could not be.
    writing: tokio::sync::Mutex<bool>,
    doing: Mutex<Doing>,
}

/// What is being done.
#[derive(Default)]
pub(super) struct Doing {
    pub(super) taking: bool,
    pub(super) drilling: bool,
}

/// A clock was wrong: when it was is not known.
fn forget_the_future(note: &mut LatestSnapshot, latest: i64) {
    let drill = note.drill.iter_mut().flat_map(|drill| [&mut drill.at_unix_ms, &mut drill.sound_unix_ms]);
    for at in [&mut note.at_unix_ms, &mut note.sent_unix_ms].into_iter().chain(drill) {
        if *at > latest {
            *at = 0;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Term {
    /// Nothing is asked of the places yet.
    pub(super) async fn new(work: Work, opened: Vec<Result<Spot, String>>, datacenter: String) -> Self {
        let shown = |(settings, spot): (&Place, &Result<Spot, String>)| PlaceState {
            name: settings.name.clone(),
            shown: spot.as_ref().map_or(&*settings.name, |spot| spot.place.shown()).to_owned(),
            since: work.clock.boot(),
            ..PlaceState::default()
        };
        let places = work.settings.places.iter().zip(&opened).map(shown).collect();
        let spots = opened.into_iter().map(Result::ok).collect();
        work.slot.state.send_modify(|state| {
            state.begins();
            *state = SnapshotState {
                places,
                tally: state.tally,
                failing: state.failing.take(),
                failures: state.failures,
                ..SnapshotState::default()
            };
        });
        let term = Self {
            work,
            datacenter,
            shelf: Shelf::default(),
            spots,
            note: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            doing: Mutex::default(),
        };
        term.read_note().await;
        term.show_note(None);
        term
    }

    pub(super) fn now(&self) -> Timestamp {
        wall(self.work.clock.now())
    }

    /// The names of what is this block's.
    pub(super) fn series(&self) -> Series<'_> {
        let Work { settings, node, .. } = &self.work;
        Series { names: settings.names, block: &settings.name, datacenter: &self.datacenter, host: node }
    }

    /// How many places there are.
    pub(super) fn places(&self) -> usize {
        self.spots.len()
    }

    /// A place, opened anew where that takes a secret: it may have been changed.
    ///
    /// # Errors
    /// What is missing, in words.
    pub(super) fn spot(&self, at: usize) -> Result<Spot, String> {
        let Some(settings) = self.work.settings.places.get(at) else {
            return Err(format!("there is no place {at}"));
        };
        match (&settings.at, self.spots.get(at)) {
            (PlaceKind::Folder(_), Some(Some(spot))) => Ok(spot.clone()),
            _ => place::open(settings),
        }
    }

    /// The file in which it is noted how much was sent to a place.
    pub(super) fn journal(&self, spot: &Spot) -> PathBuf {
        self.work.scratch.join(format!("{}to.{}", super::take::UNFINISHED, spot.settings.name))
    }

    pub(super) fn state<T>(&self, change: impl FnOnce(&mut SnapshotState) -> T) {
        self.work.slot.state.send_modify(|state| drop(change(state)));
    }

    pub(super) fn place(&self, at: usize, change: impl FnOnce(&mut PlaceState)) {
        self.state(|state| state.places.get_mut(at).map(change));
    }

    /// How a place stands.
    pub(super) fn stands(&self, at: usize) -> PlaceState {
        self.work.slot.state.borrow().places.get(at).cloned().unwrap_or_default()
    }

    pub(super) fn doing(&self, change: impl FnOnce(&mut Doing)) {
        change(&mut lock(&self.doing));
        self.show();
    }

    /// What is being done, for whoever looks.
    pub(super) fn show(&self) {
        let (Doing { taking, drilling }, sending) = (&*lock(&self.doing), !self.shelf.is_empty());
        self.state(|state| {
            state.phase = match &state.failing {
                _ if *taking => Phase::Taking,
                _ if *drilling => Phase::Drilling,
                Some(Failing { why, .. }) => Phase::Failing(why.clone()),
                None if sending => Phase::Sending,
                None => Phase::Waiting,
            };
        });
    }

    /// What was begun `then` has failed.
    pub(super) fn failed(&self, why: &str, then: Now) {
        warn!(snapshot = %self.work.settings.name, why, "snapshots are not taken as they should be");
        self.state(|state| {
            state.tally.failed += 1;
            state.failures += 1;
            state.fails(why, true, then);
        });
        self.show();
    }

    /// A place has got one: what failed before it was begun is over.
    pub(super) async fn delivered(&self, fresh: &Fresh) {
        self.state(|state| state.is_somewhere(fresh.at));
        self.show();
        let at = fresh.at.as_millisecond();
        let first = {
            let mut note = lock(&self.note);
            let first = note.sent_unix_ms < at;
            note.sent_unix_ms = note.sent_unix_ms.max(at);
            first
        };
        if !first {
            return;
        }
        self.write_note().await;
        let Some(key) = &self.work.settings.stamp else { return };
        let seconds = fresh.at.as_second().to_string();
        let put = timeout(PATIENCE, self.work.client.kv().put(key, seconds)).await;
        if !matches!(put, Ok(Ok(_))) {
            warn!(snapshot = %self.work.settings.name, key, "the time of the latest snapshot could not be written");
        }
    }

    /// What is noted.
    pub(super) fn note(&self) -> LatestSnapshot {
        lock(&self.note).clone()
    }

    /// Notes something, for whoever comes later.
    pub(super) async fn noted(&self, change: impl FnOnce(&mut LatestSnapshot)) {
        // Another program may have noted something meanwhile.
        self.read_note().await;
        change(&mut lock(&self.note));
        let jump = self.work.slot.state.borrow().jump;
        self.show_note(jump);
        self.write_note().await;
    }

    /// Takes over what is noted in Consul, unless this node knows of something later: all that Consul knows may have been
    /// put back to what it was.
    pub(super) async fn read_note(&self) {
        let read = self.work.read_note().await;
        let latest =
            self.now().as_millisecond().saturating_add(i64::try_from(AHEAD.as_millis()).unwrap_or(i64::MAX));
        let mut note = lock(&self.note);
        forget_the_future(&mut note, latest);
        let Some(mut read) = read else { return };
        forget_the_future(&mut read, latest);
        let tried = |note: &LatestSnapshot| note.drill.as_ref().map(|drill| drill.at_unix_ms);
        let drill = if tried(&read) > tried(&note) { read.drill.take() } else { note.drill.take() };
        let sent_unix_ms = read.sent_unix_ms.max(note.sent_unix_ms);
        if read.at_unix_ms >= note.at_unix_ms {
            *note = read;
        }
        (note.drill, note.sent_unix_ms) = (drill, sent_unix_ms);
    }

    /// Notes that a file was put by somebody else.
    pub(super) async fn knows_foreign(&self, name: &str) {
        if self.note().foreign.iter().any(|known| known == name) {
            return;
        }
        let noted = self.noted(|note| {
            note.foreign.push(name.to_owned());
            let most = note.foreign.len().saturating_sub(FOREIGN);
            note.foreign.drain(..most);
        });
        noted.await;
    }

    async fn write_note(&self) {
        let mut failed = self.writing.lock().await;
        let note = self.note();
        let put = async {
            let value = wire::encode(&note).map_err(|error| error.to_string())?;
            let kv = self.work.client.kv();
            kv.put(&self.work.note_key(), value).await.map_err(|error| error.to_string())
        };
        let written = timeout(PATIENCE, put).await.map_err(|_late| "no answer in time".to_owned());
        let written = written.and_then(|written| written.map(drop));
        if let Err(why) = &written
            && !*failed
        {
            warn!(snapshot = %self.work.settings.name, why, "the latest snapshot could not be noted in Consul");
        }
        *failed = written.is_err();
    }

    pub(super) fn show_note(&self, jump: Option<Jump>) {
        let note = self.note();
        self.state(|state| {
            state.jump = jump;
            state.latest = (note.at_unix_ms > 0).then(|| Latest {
                file: note.file,
                at: stamp(note.at_unix_ms),
                index: note.index,
                bytes: note.bytes,
                node: note.node,
            });
            state.drill = note.drill.map(|drill| DrillState {
                at: (drill.at_unix_ms > 0).then(|| stamp(drill.at_unix_ms)),
                sound: (drill.sound_unix_ms > 0).then(|| stamp(drill.sound_unix_ms)),
                file: drill.file,
                failed: drill.failed,
                untried: drill.untried,
            });
        });
    }

    /// Looks what is in all places.
    pub(super) async fn survey(&self) {
        join_all((0..self.places()).map(|at| self.look(at))).await;
        self.state(|state| state.known = true);
    }

    /// Looks what is in one.
    pub(super) async fn look(&self, at: usize) {
        let spot = match self.spot(at) {
            Ok(spot) => spot,
            Err(why) => return self.trouble(at, &why),
        };
        let why = match timeout(LISTED, spot.ours(&self.series(), self.now())).await {
            Ok(Ok(ours)) => return self.found(at, &ours),
            Ok(Err(error)) => error.to_string(),
            Err(_late) => "it does not say in time what is there".to_owned(),
        };
        if must_list(&spot.settings) {
            self.trouble(at, &why);
        } else {
            // Where nothing is removed the right to look is not needed.
            debug!(place = spot.place.shown(), why, "what is there is not known");
            let sent = self.note().sent_unix_ms;
            self.place(at, |place| place.newest = (sent > 0).then(|| stamp(sent)));
        }
    }

    pub(super) fn found(&self, at: usize, ours: &Ours) {
        self.place(at, |place| {
            place.count = Some(ours.kept.len() as u64);
            place.bytes = ours.kept.iter().map(|(_, kept)| kept.size).sum();
            place.newest = ours.newest();
            place.ahead = ours.ahead;
            place.trouble = None;
        });
    }

    pub(super) fn trouble(&self, at: usize, why: &str) {
        let settings = &self.work.settings;
        self.place(at, |place| {
            if place.trouble.as_deref() != Some(why) {
                warn!(snapshot = %settings.name, place = place.name, why, "a place of snapshots has trouble");
                place.trouble = Some(why.to_owned());
            }
        });
    }

    /// Whether it has to be known what is in a place, and is not.
    pub(super) fn is_unknown(&self, at: usize) -> bool {
        self.work.settings.places.get(at).is_some_and(must_list) && self.stands(at).count.is_none()
    }

    /// What an earlier process has taken and not sent everywhere is sent now.
    pub(super) async fn take_over_what_is_left(&self) {
        let Work { settings, scratch, tasks, slot, .. } = &self.work;
        let lacking = |at: Timestamp| {
            let lacks = |place: &PlaceState| place.newest.is_none_or(|newest| newest < at);
            // Of a place that cannot be asked it is not known that it has it.
            slot.state.borrow().places.iter().any(|place| place.count.is_none() || lacks(place))
        };
        let sealed = settings.encrypt.is_some();
        if let Some(left) = shelf::left(scratch, &self.series(), sealed, lacking, tasks).await {
            info!(snapshot = %settings.name, file = left.name, "what an earlier process has taken is sent");
            self.shelf.put(left, self.places(), false);
        }
    }

    /// Why no place has got the latest one, although all were tried.
    pub(super) fn is_nowhere(&self) -> Option<String> {
        let name = self.shelf.nowhere()?;
        let state = self.work.slot.state.borrow();
        let whys: Option<Vec<&str>> = state.places.iter().map(|place| place.trouble.as_deref()).collect();
        whys.map(|whys| format!("no place has got {name}: {}", whys.first().unwrap_or(&"there is none")))
    }

    /// When the next one is due.
    pub(super) fn due(&self) -> Due {
        let now = self.work.clock.now();
        let state = self.work.slot.state.borrow();
        let known: Vec<Option<Timestamp>> =
            state.places.iter().filter(|place| place.count.is_some()).map(|place| place.newest).collect();
        let noted = self.note().at_unix_ms;
        let last = match known.as_slice() {
            [] => (noted > 0).then(|| stamp(noted)),
            some => some.iter().copied().max().flatten(),
        };
        match last.max(self.shelf.newest()) {
            None => Due::Boot(now.boot),
            Some(last) => Due::after(&self.work.settings.when, last, now),
        }
    }

    /// When the newest one is to be tried.
    pub(super) fn drill_due(&self) -> Due {
        let now = self.work.clock.now();
        let Some(drill) = &self.work.settings.drill else { return Due::Never };
        let newest = self.work.slot.state.borrow().places.iter().filter_map(|place| place.newest).max();
        // Nothing to try yet.
        let Some(newest) = newest else { return Due::Never };
        let last = self.note().drill.map_or(0, |LatestDrill { at_unix_ms, .. }| at_unix_ms);
        match (last, &drill.when) {
            (0, When::Every(_)) => Due::Boot(now.boot),
            (0, at @ When::At(_)) => Due::after(at, newest, now),
            (last, when) => Due::after(when, stamp(last), now),
        }
    }
}
