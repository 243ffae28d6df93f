//! The places of connections: so many and no more, and of them a share for each source. Who waits longest
//! for a request makes place.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// All places of a listener.
#[derive(Clone, Debug)]
pub(super) struct Seats {
    most: usize,
    /// So many are for one source at most.
    share: usize,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    taken: usize,
    /// How many of them each source has.
    sources: BTreeMap<Source, usize>,
    /// Those that wait for a request, in the order in which they began to.
    idle: BTreeMap<u64, (Source, CancellationToken)>,
    next: u64,
}

/// Where connections come from that share what one may take. Of IPv6 it is a network: whoever has an
/// address of it mostly has all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// This machine, a proxy mostly: it may take all.
    Here,
    /// An address of IPv4.
    Four(Ipv4Addr),
    /// The first half of addresses of IPv6.
    Six([u16; 4]),
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            address if address.is_loopback() => Self::Here,
            IpAddr::V4(four) => Self::Four(four),
            IpAddr::V6(six) => {
                let [a, b, c, d, ..] = six.segments();
                Self::Six([a, b, c, d])
            }
        }
    }
}

/// A connection's place, given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    source: Source,
    /// Under which it waits; `None` while it is answered.
    waits: Mutex<Option<u64>>,
    evicted: CancellationToken,
}

impl Seats {
    /// So many, of which one source has a quarter at most.
    pub(super) fn new(most: usize) -> Self {
        Self { most, share: most.div_ceil(4), table: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from there; if need be that of the one that waits longest, of the same source when
    /// that has its share. `None` while all of these are answered.
    pub(super) fn sit(&self, from: IpAddr) -> Option<Seat> {
        let source = Source::from(from);
        let mut table = self.lock();
        let has = table.sources.get(&source).copied().unwrap_or_default();
        if source != Source::Here && has >= self.share {
            table.evict(Some(source)).then_some(())?;
        } else if table.taken >= self.most {
            table.evict(None).then_some(())?;
        }
        table.taken += 1;
        *table.sources.entry(source).or_default() += 1;
        drop(table);
        let seat =
            Seat { seats: self.clone(), source, waits: Mutex::default(), evicted: CancellationToken::new() };
        seat.wait();
        Some(seat)
    }

    /// Closes the connection that waits longest for a request; whether there is one.
    pub(super) fn evict(&self) -> bool {
        self.lock().evict(None)
    }

    #[cfg(test)]
    fn taken(&self) -> usize {
        let table = self.lock();
        assert_eq!(table.sources.values().sum::<usize>(), table.taken);
        table.taken
    }
}

impl Table {
    /// Closes the connection that waits longest, of this source if one is given; whether there is one.
    fn evict(&mut self, source: Option<Source>) -> bool {
        let found = self.idle.iter().find(|(_, (of, _))| source.is_none_or(|source| *of == source));
        let Some(id) = found.map(|(id, _)| *id) else { return false };
        let Some((source, longest)) = self.idle.remove(&id) else { return false };
        self.leave(source);
        longest.cancel();
        true
    }

    fn leave(&mut self, source: Source) {
        self.taken -= 1;
        if let Some(has) = self.sources.get_mut(&source) {
            *has -= 1;
            if *has == 0 {
                self.sources.remove(&source);
            }
        }
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
            table.idle.insert(id, (self.source, self.evicted.clone()));
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
            self.seats.lock().leave(self.source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn gone(seat: &Seat) -> bool {
        seat.evicted.is_cancelled()
    }

    #[test]
    fn the_one_that_waits_longest_makes_place() {
        let seats = Seats::new(3);
        let [first, second, third] = [0; 3].map(|_| seats.sit(HERE).unwrap());
        assert!(first.work());
        first.wait();
        let fourth = seats.sit(HERE).unwrap();
        assert_eq!([&first, &second, &third, &fourth].map(gone), [false, true, false, false]);
        let _fifth = seats.sit(HERE).unwrap();
        assert_eq!([&first, &third, &fourth].map(gone), [false, true, false]);
        assert_eq!(seats.taken(), 3);
        assert!(!second.work(), "it has no place any more");
    }

    #[test]
    fn who_is_answered_keeps_the_place() {
        let seats = Seats::new(1);
        let first = seats.sit(HERE).unwrap();
        assert!(first.work());
        assert!(seats.sit(HERE).is_none() && !gone(&first));
        first.wait();
        assert!(seats.sit(HERE).is_some());
    }

    #[test]
    fn each_place_is_given_back_once() {
        let seats = Seats::new(2);
        let [first, second] = [0; 2].map(|_| seats.sit(HERE).unwrap());
        assert!(second.work());
        let third = seats.sit(HERE).unwrap();
        assert_eq!(seats.taken(), 2);
        drop(first);
        assert_eq!(seats.taken(), 2, "it was evicted");
        drop((second, third));
        assert_eq!(seats.taken(), 0);
    }

    #[test]
    fn one_source_takes_its_share_and_no_more() {
        let seats = Seats::new(8);
        let (many, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let of_other = seats.sit(other).unwrap();
        let [first, second] = [0; 2].map(|_| seats.sit(many).unwrap());
        // It makes place among its own, although others wait longer and there is room.
        let third = seats.sit("::ffff:192.0.2.1".parse().unwrap()).unwrap();
        assert_eq!([&of_other, &first, &second, &third].map(gone), [false, true, false, false]);
        assert!(second.work() && third.work());
        assert!(seats.sit(many).is_none(), "all of its own are answered");
        assert!(seats.sit(other).is_some());
        drop((first, second));
        assert!(seats.sit(many).is_some());
        let here: Vec<_> = (0..8).map(|_| seats.sit(HERE)).collect();
        assert!(here.iter().all(Option::is_some), "this machine may take all that wait");
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let of = |address: &str| Source::from(address.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::1"), Source::Here);
    }
}
