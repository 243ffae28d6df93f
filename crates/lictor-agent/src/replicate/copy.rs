//! One prefix on its way to one datacenter, for as long as this node is the one that copies.
//!
//! ```text
//!   news of the source (held question) ─▶ its list, row by row ─▶ Copier ─▶ batches, several under way ─▶ destination
//!   news of the destination, at most every few seconds ─▶ its list ─▶ Copier, and then the source's again
//!   what only the destination has ─▶ prove.rs
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_config::Replicate;
use lictor_consul::{Error, PairRows};
use lictor_core::Boot;
use lictor_core::replicate::{Copier, Deletes, Prefix};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use super::note::Notes;
use super::source::{Place, content, row};
use super::term::Fence;
use super::view::{CopyState, NAMED, Phase};
use super::writer::Writer;
use crate::clock::Clock;
use crate::fault::{self, Plant};

/// How far apart two listings of the destination are at least: it is listed only to see what others did there.
const GAP_THERE: Duration = Duration::from_secs(10);

/// The longest pause after a failure, whatever is set.
const LONGEST: Duration = Duration::from_hours(1);

/// How far apart two questions are at least that bring nothing: who answers may not hold them.
const QUIET: Duration = Duration::from_millis(500);

/// A question is held at least so long when there is no news.
const HELD: Duration = Duration::from_secs(55);

/// What is asked of a copy.
#[derive(Debug)]
pub(super) struct Order {
    /// What is held back, by its name.
    pub(super) id: String,
    /// Whether it is to be deleted; else it stays.
    pub(super) approve: bool,
    /// Whether something of that name was held back.
    pub(super) done: oneshot::Sender<bool>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// This node is not the one that copies any more.
    Lost,
    /// Everything was copied once.
    Once,
    /// It was tried too often.
    GaveUp(String),
}

/// See the module.
pub(super) struct Copying {
    pub(super) settings: Arc<Replicate>,
    pub(super) prefix: Prefix,
    pub(super) copier: Copier,
    pub(super) source: Place,
    pub(super) there: Place,
    pub(super) writer: Writer,
    pub(super) fence: Option<Arc<Fence>>,
    pub(super) clock: Clock,
    pub(super) state: watch::Sender<CopyState>,
    pub(super) orders: mpsc::Receiver<Order>,
    /// Deletes that a person has approved of already.
    pub(super) approved: Arc<Mutex<Vec<String>>>,
    pub(super) notes: Notes,
    /// Whether it ends when everything was copied; it then gives up after so many failures in a row.
    pub(super) once: Option<u32>,
    pub(super) at: At,
}

/// How far it is.
#[derive(Debug)]
pub(super) struct At {
    /// The index that the source is asked to be newer than.
    pub(super) seen: u64,
    /// The same of the destination.
    seen_there: u64,
    /// Whether something may have happened at the source unseen.
    pub(super) anew: bool,
    /// Whether the source is to be listed without waiting for news.
    pub(super) due: bool,
    /// When the destination is to be read; before that nothing is written.
    pub(super) load: Option<Instant>,
    /// When it is to be read because of a write that nobody knows of.
    pub(super) settle: Option<Instant>,
    pub(super) not_before: Instant,
    not_before_there: Instant,
    failures: u32,
    /// Whether another node has taken over.
    pub(super) fenced: bool,
    /// Whether the source was asked for what it has now, and not for news.
    asked: bool,
    passed: bool,
    /// Since when the source is asked.
    since: Instant,
}

impl At {
    pub(super) fn begin(copied: Option<u64>) -> Self {
        let now = Instant::now();
        Self {
            seen: copied.unwrap_or_default(),
            seen_there: 0,
            anew: true,
            due: true,
            load: Some(now),
            settle: None,
            not_before: now,
            not_before_there: now,
            failures: 0,
            fenced: false,
            asked: false,
            passed: false,
            since: now,
        }
    }
}

type Asked = Option<BoxFuture<'static, Result<PairRows, Error>>>;

enum Event {
    Lost,
    Order(Order),
    News(Result<PairRows, Error>),
    There(Result<PairRows, Error>),
    Timer,
}

impl Copying {
    pub(super) async fn run(mut self) -> Ended {
        let (mut news, mut there): (Asked, Asked) = (None, None);
        if self.fence.is_some() {
            // Before anything is copied, so that nodes elsewhere know of this way.
            self.notes.copied(&self.copier, self.clock.now().wall);
            self.notes.write().await;
        }
        loop {
            if self.at.fenced {
                return Ended::Lost;
            }
            if self.at.load.is_some_and(|load| load <= Instant::now()) {
                (news, there) = (None, None);
                if self.at.failures == 0 {
                    self.note(Phase::Loading);
                }
                let rows = self.there.sure_rows().await;
                if let Err(ended) = self.loaded(rows).await {
                    return ended;
                }
                continue;
            }
            if self.once.is_some() && self.at.passed && self.is_settled() {
                return Ended::Once;
            }
            if self.at.load.is_none() && (news.is_none() || self.at.due && !self.at.asked) {
                news = Some(self.ask());
            }
            if there.is_none() && self.at.load.is_none() && self.watches_there() {
                there = Some(self.ask_there());
            }
            match self.next(&mut news, &mut there).await {
                Event::Lost => return Ended::Lost,
                Event::Order(order) => self.obey(order).await,
                Event::News(rows) => {
                    news = None;
                    if let Err(ended) = self.came(rows).await {
                        return ended;
                    }
                }
                Event::There(rows) => {
                    there = None;
                    if let Err(ended) = self.loaded(rows).await {
                        return ended;
                    }
                }
                Event::Timer => {
                    if let Err(ended) = self.timer().await {
                        return ended;
                    }
                }
            }
        }
    }

    async fn next(&mut self, news: &mut Asked, there: &mut Asked) -> Event {
        let timer = self.wakes();
        let fence = self.fence.clone();
        let lost = async move {
            match fence {
                Some(fence) => fence.lost().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = lost => Event::Lost,
            Some(order) = self.orders.recv() => Event::Order(order),
            rows = wait(news) => Event::News(rows),
            rows = wait(there) => Event::There(rows),
            () = until(timer) => Event::Timer,
        }
    }

    /// The question for news of the source.
    fn ask(&mut self) -> BoxFuture<'static, Result<PairRows, Error>> {
        let (place, not_before, known) = (self.source.clone(), self.at.not_before, self.copier.copies());
        let (now, after) = (self.at.due || self.at.anew, self.at.seen);
        (self.at.asked, self.at.since) = (now, Instant::now().max(not_before));
        Box::pin(async move {
            sleep_until(not_before).await;
            // Something may be amiss: a list that is not sure could be an old one.
            if now { place.sure_rows().await } else { place.rows(after, known).await }
        })
    }

    fn ask_there(&self) -> BoxFuture<'static, Result<PairRows, Error>> {
        let (place, not_before, after) = (self.there.clone(), self.at.not_before_there, self.at.seen_there);
        let known = self.copier.copies();
        Box::pin(async move {
            sleep_until(not_before).await;
            place.rows(after, known).await
        })
    }

    /// Whether it matters what others do at the destination.
    fn watches_there(&self) -> bool {
        self.once.is_none() && (self.settings.repair || self.settings.delete) && !fault::planted(Plant::Blind)
    }

    /// Takes the destination's keys in.
    async fn loaded(&mut self, rows: Result<PairRows, Error>) -> Result<(), Ended> {
        let taken = match rows {
            Ok(rows) => self.take_there(rows).await,
            Err(error) => Err(error),
        };
        match taken {
            Ok(()) => Ok(()),
            Err(error) => {
                // What is known of it is only a part.
                self.at.load = Some(Instant::now());
                self.fail(&format!("the keys of the destination: {error}"))
            }
        }
    }

    async fn take_there(&mut self, mut rows: PairRows) -> Result<(), Error> {
        let index = rows.meta().index.map_or(0, |index| index.0);
        if self.at.load.is_none() && index == self.at.seen_there {
            // Nothing has happened.
            self.at.not_before_there = Instant::now() + QUIET;
            return Ok(());
        }
        self.copier.begin_destination();
        let copier = &mut self.copier;
        while rows.next(|pair| copier.destination(&row(&pair), content(pair.flags, &pair.value))).await? {}
        let changed = self.copier.end_destination();
        // What this node has written is no news.
        self.at.due |= changed || self.at.load.is_some();
        (self.at.load, self.at.seen_there) = (None, index);
        self.at.not_before_there = Instant::now() + GAP_THERE;
        Ok(())
    }

    /// An answer of the source.
    async fn came(&mut self, rows: Result<PairRows, Error>) -> Result<(), Ended> {
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => return self.fail(&format!("the source: {error}")),
        };
        let index = rows.meta().index.map_or(0, |index| index.0);
        if !self.at.due && !self.at.anew && index == self.at.seen && self.at.since.elapsed() < HELD {
            // It was held too short a time: when a snapshot is restored Consul answers with what there was before, and a
            // question for something newer would not be answered for long.
            (self.at.due, self.at.not_before) = (true, Instant::now() + QUIET);
            return Ok(());
        }
        // One that was held in vain brings the whole list, which is looked at: a token may see more than before.
        let rows = match index < self.at.seen && !self.at.asked {
            // Servers that start answer with what they had: whether the index went back is asked of all of them.
            true => match self.source.sure_rows().await {
                Ok(rows) => rows,
                Err(error) => return self.fail(&format!("the source: {error}")),
            },
            false => rows,
        };
        match self.pass(rows).await {
            Ok(None) => {
                self.at.passed = true;
                self.note(Phase::Following);
                if !self.settings.dry_run {
                    self.notes.copied(&self.copier, self.clock.now().wall);
                }
                if self.once.is_some() {
                    self.notes.write().await;
                }
                self.delete().await?;
                if !self.at.due {
                    self.at.failures = 0;
                }
                self.state.send_modify(|state| state.known = true);
                Ok(())
            }
            Ok(Some(unclear)) => self.fail(&format!("the destination: {unclear}")),
            Err(error) => self.fail(&format!("the list of the source: {error}")),
        }
    }

    /// What is due by the clock.
    async fn timer(&mut self) -> Result<(), Ended> {
        if self.at.settle.is_some_and(|settle| settle <= Instant::now()) {
            (self.at.settle, self.at.load) = (None, Some(Instant::now()));
            return Ok(());
        }
        self.at.due |= self.copier.next_attempt().is_some_and(|due| due <= self.clock.boot());
        self.notes.write().await;
        self.delete().await
    }

    /// When something is due by the clock.
    fn wakes(&self) -> Option<Instant> {
        let instant = |at: Boot| Instant::now() + self.clock.until(at);
        let deletes = match self.copier.deletes(self.settings.confirm) {
            // First the list that was asked for.
            _ if self.at.due => None,
            Deletes::Nothing => None,
            Deletes::List(at) | Deletes::Prove(at) => Some(instant(at).max(self.at.not_before)),
        };
        // One that is due waits for the list that was asked for.
        let attempt = self.copier.next_attempt().filter(|_| !self.at.due).map(instant);
        [deletes, attempt, self.at.settle, self.at.load, self.notes.due()].into_iter().flatten().min()
    }

    /// Whether a person has approved of these deletes, which counts once.
    pub(super) fn takes(&self, id: &str) -> bool {
        let mut approved = self.approved.lock().unwrap_or_else(PoisonError::into_inner);
        let at = approved.iter().position(|approved| approved == id);
        at.is_some_and(|at| approved.swap_remove(at) == id)
    }

    /// Whether nothing is left to be done that does not wait for a person.
    fn is_settled(&self) -> bool {
        self.at.load.is_none()
            && !self.at.due
            && matches!(self.copier.deletes(self.settings.confirm), Deletes::Nothing)
    }

    async fn obey(&mut self, order: Order) {
        let done = match order.approve {
            true => self.copier.approve(&order.id),
            false => self.copier.discard(&order.id),
        };
        self.publish();
        if done
            && !self.settings.dry_run
            && let Err(error) = self.notes.write_now(&self.copier, self.clock.now().wall).await
        {
            // It is done here, and may be forgotten: nobody is told that it is done.
            warn!(prefix = %self.prefix, %error, "a person's word could not be noted");
            self.notes.copied(&self.copier, self.clock.now().wall);
            return;
        }
        // Who asked may have gone.
        order.done.send(done).unwrap_or_default();
    }

    /// Notes a failure and when it is tried again.
    pub(super) fn fail(&mut self, why: &str) -> Result<(), Ended> {
        let Self { at, prefix, settings, .. } = self;
        let (first, most) = settings.pauses;
        let pause = first.saturating_mul(1 << at.failures.min(16)).min(most).min(LONGEST);
        at.failures = at.failures.saturating_add(1);
        (at.anew, at.due) = (true, true);
        at.not_before = Instant::now() + pause;
        at.load = at.load.map(|load| load.max(at.not_before));
        if at.failures == 1 {
            warn!(%prefix, why, "keys are not copied; trying again");
        } else {
            debug!(%prefix, why, "keys are not copied; trying again");
        }
        let given_up = self.once.is_some_and(|most| at.failures > most);
        let now = self.clock.boot();
        self.state.send_modify(|state| state.behind = state.behind.or(Some(now)));
        self.note(Phase::Failing(why.to_owned()));
        if given_up { Err(Ended::GaveUp(why.to_owned())) } else { Ok(()) }
    }

    pub(super) fn progress(&self, pending: u64) {
        let tally = self.copier.tally();
        self.state.send_modify(|state| {
            (state.phase, state.tally, state.pending) = (Phase::Copying, tally, pending);
        });
    }

    fn note(&mut self, phase: Phase) {
        self.state.send_modify(|state| state.phase = phase);
        self.publish();
    }

    /// Tells whoever asks how it stands.
    pub(super) fn publish(&self) {
        let copier = &self.copier;
        let refused = copier.refused();
        let named = refused.iter().take(NAMED);
        let named = named.map(|(suffix, refused)| (copier.rule().copy_of(suffix), refused.why.clone()));
        let refused = (refused.len(), named.collect());
        self.state.send_modify(|state| {
            (state.tally, state.copies, state.copied) = (copier.tally(), copier.copies(), copier.copied());
            (state.held, state.refused, state.kept) =
                (copier.held().cloned(), refused, copier.kept().count());
        });
    }
}

async fn wait(asked: &mut Asked) -> Result<PairRows, Error> {
    match asked {
        Some(asked) => asked.await,
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
