//! Looks at how the checks stand, and has the store keep it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lictor_core::CheckName;
use lictor_core::alert::{Silence, Subject};
use lictor_store::{Grain, NodeStore, Slot, StoreError};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Look, Past};
use crate::View;
use crate::alert::DeskInbox;
use crate::clock::Clock;
use crate::inbox::Inbox;

/// Time between two looks.
const PERIOD: Duration = Duration::from_secs(10);

/// How long somebody may take to say how things stand.
const PATIENCE: Duration = Duration::from_secs(5);

/// What waits while the store records nothing, checks of parts of time, each of some 100 bytes; minutes beyond that are
/// given up, then hours, the oldest first.
const WAITING: usize = 100_000;

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
            let numbers = |grain| store.past_numbers(grain);
            let slot = |grain, number: u32| Ok(store.past(grain, number..number.saturating_add(1))?.pop());
            past.read(now, numbers, slot)
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
        let slots = Arc::new(std::mem::take(waiting).into_values().collect::<Vec<_>>());
        let recorded = self.store.record_past(Arc::clone(&slots), self.clock.now().wall).await;
        if recorded.is_err() {
            // The store has let go of them, or is about to.
            gather(waiting, Arc::try_unwrap(slots).unwrap_or_else(|shared| shared.to_vec()));
        }
        recorded
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
    let mut many: usize = waiting.values().map(|slot| slot.checks.len()).sum();
    while many > WAITING
        && let Some((_, slot)) = waiting.pop_first()
    {
        many -= slot.checks.len();
    }
}

#[cfg(test)]
mod tests {
    use lictor_store::Stood;

    use super::*;

    #[test]
    fn what_waits_is_bounded_by_what_it_holds_and_minutes_go_first() {
        let slot = |grain, number, many: usize| {
            let name = |at| CheckName::new(&format!("check{at}")).unwrap();
            Slot { grain, number, checks: (0..many).map(|at| (name(at), Stood::default())).collect() }
        };
        let mut waiting = BTreeMap::new();
        gather(&mut waiting, vec![slot(Grain::Hour, 1, 5_000)]);
        gather(&mut waiting, (100..140).map(|number| slot(Grain::Minute, number, 5_000)).collect());
        let kept: Vec<u32> = waiting.keys().map(|(_, number)| *number).collect();
        let wanted: Vec<u32> = (121..140).chain([1]).collect();
        assert_eq!(kept, wanted);
    }
}
