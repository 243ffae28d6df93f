//! The places of connections: so many and no more. Who waits longest for a request makes place.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// All places of a listener.
#[derive(Clone, Debug)]
pub(super) struct Seats {
    most: usize,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    taken: usize,
    /// Those that wait for a request, in the order in which they began to.
    idle: BTreeMap<u64, CancellationToken>,
    next: u64,
}

/// A connection's place, given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    /// Under which it waits; `None` while it is answered.
    waits: Mutex<Option<u64>>,
    evicted: CancellationToken,
}

impl Seats {
    pub(super) fn new(most: usize) -> Self {
        Self { most, table: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, if need be that of the one that waits longest; `None` while all are answered.
    pub(super) fn sit(&self) -> Option<Seat> {
        let mut table = self.lock();
        if table.taken >= self.most {
            self.evict_from(&mut table).then_some(())?;
        }
        table.taken += 1;
        drop(table);
        let seat = Seat { seats: self.clone(), waits: Mutex::default(), evicted: CancellationToken::new() };
        seat.wait();
        Some(seat)
    }

    /// Closes the connection that waits longest for a request; whether there is one.
    pub(super) fn evict(&self) -> bool {
        self.evict_from(&mut self.lock())
    }

    fn evict_from(&self, table: &mut Table) -> bool {
        let Some((_, longest)) = table.idle.pop_first() else { return false };
        table.taken -= 1;
        longest.cancel();
        true
    }

    #[cfg(test)]
    fn taken(&self) -> usize {
        self.lock().taken
    }
}

impl Seat {
    /// It waits for a request from now on.
    pub(super) fn wait(&self) {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        if waits.is_none() && !self.evicted.is_cancelled() {
            let mut table = self.seats.lock();
            let id = table.next;
            table.next += 1;
            table.idle.insert(id, self.evicted.clone());
            *waits = Some(id);
        }
    }

    /// It is answered from now on; whether it still has its place.
    pub(super) fn work(&self) -> bool {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        match *waits {
            Some(id) if self.seats.lock().idle.remove(&id).is_some() => *waits = None,
            Some(_) => return false,
            None => {}
        }
        true
    }

    /// Resolves when it must make place.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // One that was evicted has given it back already.
        if self.work() {
            self.seats.lock().taken -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(seat: &Seat) -> bool {
        seat.evicted.is_cancelled()
    }

    #[test]
    fn the_one_that_waits_longest_makes_place() {
        let seats = Seats::new(3);
        let [first, second, third] = [0; 3].map(|_| seats.sit().unwrap());
        assert!(first.work());
        first.wait();
        let fourth = seats.sit().unwrap();
        assert_eq!([&first, &second, &third, &fourth].map(gone), [false, true, false, false]);
        let _fifth = seats.sit().unwrap();
        assert_eq!([&first, &third, &fourth].map(gone), [false, true, false]);
        assert_eq!(seats.taken(), 3);
        assert!(!second.work(), "it has no place any more");
    }

    #[test]
    fn who_is_answered_keeps_the_place() {
        let seats = Seats::new(1);
        let first = seats.sit().unwrap();
        assert!(first.work());
        assert!(seats.sit().is_none() && !gone(&first));
        first.wait();
        assert!(seats.sit().is_some());
    }

    #[test]
    fn each_place_is_given_back_once() {
        let seats = Seats::new(2);
        let [first, second] = [0; 2].map(|_| seats.sit().unwrap());
        assert!(second.work());
        let third = seats.sit().unwrap();
        assert_eq!(seats.taken(), 2);
        drop(first);
        assert_eq!(seats.taken(), 2, "it was evicted");
        drop((second, third));
        assert_eq!(seats.taken(), 0);
    }
}
