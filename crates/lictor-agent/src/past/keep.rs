//! Looks at how the checks stand, and has the store keep it.

use std::collections::BTreeMap;
use std::time::Duration;

use lictor_core::CheckName;
use lictor_core::alert::{Silence, Subject};
use lictor_store::{Grain, NodeStore, Slot, StoreError};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::book::number;
use super::{Look, Past};
use crate::View;
use crate::alert::DeskInbox;
use crate::clock::Clock;
use crate::inbox::Inbox;

/// Time between two looks.
const PERIOD: Duration = Duration::from_secs(10);

/// How long somebody may take to say how things stand.
const PATIENCE: Duration = Duration::from_secs(5);

/// Parts of time that wait while the store records nothing; the oldest beyond that are given up.
const WAITING: usize = 240;

/// Keeps how checks stand.
pub(crate) struct Keeper {
    pub(crate) past: Past,
    pub(crate) node: String,
    pub(crate) store: NodeStore,
    pub(crate) inbox: Inbox,
    pub(crate) desk: DeskInbox,
    pub(crate) clock: Clock,
}

impl Keeper {
    /// Takes up what the store has, and looks until the agent stops.
    pub(crate) async fn run(self, stop: CancellationToken) {
        self.take_up().await;
        let mut waiting: BTreeMap<(Grain, u32), Slot> = BTreeMap::new();
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut telling = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            if let Some(view) = self.present().await {
                let windows = self.windows().await;
                self.look(&view, &windows);
            }
            let over = self.past.with(|book| book.over(self.clock.now().wall, false));
            gather(&mut waiting, over);
            if waiting.is_empty() {
                continue;
            }
            match self.record(&mut waiting).await {
                Ok(()) => telling = true,
                Err(error) if telling => {
                    telling = false;
                    warn!(%error, "how the checks stood is not kept");
                }
                Err(_told) => {}
            }
        }
        let over = self.past.with(|book| book.over(self.clock.now().wall, true));
        gather(&mut waiting, over);
        if let Err(error) = self.record(&mut waiting).await {
            debug!(%error, "how the checks stood in the last minute is not kept");
        }
    }

    async fn take_up(&self) {
        let (store, past, now) = (self.store.clone(), self.past.clone(), self.clock.now().wall);
        let read = move || {
            let all = |grain: Grain| store.past(grain, 0..u32::MAX);
            let (days, mut hours, minutes) = (all(Grain::Day)?, all(Grain::Hour)?, all(Grain::Minute)?);
            // Older ones are in their days, unless the agent was away when that was over.
            let oldest = number(Grain::Hour, now).saturating_sub(48);
            hours.retain(|hour| {
                hour.number >= oldest || !days.iter().any(|day| day.number == hour.number / 24)
            });
            past.take_up(&days, &hours, &minutes);
            Ok::<_, StoreError>(())
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "how the checks stood before cannot be read"),
            Err(error) => warn!(%error, "how the checks stood before was not read"),
        }
    }

    async fn present(&self) -> Option<std::sync::Arc<View>> {
        tokio::time::timeout(PATIENCE, self.inbox.view()).await.ok()?.ok()
    }

    /// The windows of maintenance in force.
    async fn windows(&self) -> Vec<Silence> {
        let view = tokio::time::timeout(PATIENCE, self.desk.view()).await.ok().and_then(Result::ok);
        self.past.windows(view.as_deref(), self.clock.now())
    }

    fn look(&self, view: &View, windows: &[Silence]) {
        let now = self.clock.now();
        let maintained = |name: &CheckName| {
            !windows.is_empty() && {
                let subject = Subject::own(&self.node, name.as_str());
                windows.iter().any(|window| window.when.hold(&subject))
            }
        };
        let looks = view.checks.iter().map(|(name, check)| Look {
            name,
            status: check.status,
            judged: check.judged(),
            since: check.since.boot,
            last: check
                .last
                .as_ref()
                .map(|(at, sample)| (at.boot, u64::try_from(sample.took.as_millis()).unwrap_or(u64::MAX))),
            maintenance: maintained(name),
        });
        // The view may be a little old: what it says holds for now.
        self.past.with(|book| {
            book.observe(now, looks);
            book.forget(now.wall, |name| view.checks.contains_key(name));
        });
    }

    async fn record(&self, waiting: &mut BTreeMap<(Grain, u32), Slot>) -> Result<(), StoreError> {
        self.store.record_past(waiting.values().cloned().collect()).await?;
        waiting.clear();
        Ok(())
    }
}

fn gather(waiting: &mut BTreeMap<(Grain, u32), Slot>, over: Vec<Slot>) {
    for slot in over {
        match waiting.entry((slot.grain, slot.number)) {
            std::collections::btree_map::Entry::Vacant(place) => drop(place.insert(slot)),
            std::collections::btree_map::Entry::Occupied(mut found) => {
                for (name, stood) in slot.checks {
                    found.get_mut().checks.entry(name).or_default().add(&stood);
                }
            }
        }
    }
    while waiting.len() > WAITING {
        waiting.pop_first();
    }
}
