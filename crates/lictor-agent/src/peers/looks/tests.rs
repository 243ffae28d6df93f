use std::net::{Ipv4Addr, SocketAddr};

use futures::StreamExt as _;
use lictor_config::Discovery;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::discover::tests::{peers, world};
use super::*;
use crate::{OnEnd, Tasks};

/// Peers that never answer, by the third part of their address.
const HANGS: u8 = 9;

const WELL: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 42\r\nConnection: close\r\n\r\n\
                      {\"checks\":[],\"summary\":{\"total\":0,\"ok\":0}}";

/// Peers on one port, each at an address of its own, as long as this lives.
struct Crowd {
    port: u16,
    _tasks: Tasks,
}

impl Crowd {
    async fn start() -> Self {
        // The queue of a listener is shorter than a crowd, and what does not fit in is sent again after a second.
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
        let (port, tasks) = (listener.local_addr().unwrap().port(), Tasks::new());
        let each = tasks.clone();
        tasks.spawn("crowd", OnEnd::Fine, async move {
            while let Ok((stream, _)) = listener.accept().await {
                each.spawn("peer", OnEnd::Fine, answer(stream));
            }
        });
        Self { port, _tasks: tasks }
    }

    /// So many that answer, and so many that hang.
    fn targets(&self, well: u16, hang: u16) -> Vec<Found> {
        let at = |kind: u8, number: u16| {
            let [high, low] = number.to_be_bytes();
            let address = SocketAddr::from(([127, 100 + high, kind, low], self.port));
            let name = if kind == HANGS { "hangs" } else { "well" };
            let host = format!("{name}{number}");
            Found { id: format!("{host}:{}", self.port), host, port: self.port, addresses: vec![address] }
        };
        (0..well).map(|number| at(1, number)).chain((0..hang).map(|number| at(HANGS, number))).collect()
    }
}

async fn answer(mut stream: TcpStream) {
    let mut request = [0; 1_024];
    let hangs = matches!(stream.local_addr(), Ok(SocketAddr::V4(own)) if own.ip().octets()[2] == HANGS);
    // Whoever has heard enough goes away.
    while stream.read(&mut request).await.is_ok_and(|count| count > 0) {
        if !hangs {
            stream.write_all(WELL).await.ok();
            return;
        }
    }
}

fn looks(every: Duration, timeout: Duration, at_once: usize) -> Looks {
    let peers = Peers { every, timeout, ..peers(Discovery::Static(Vec::new())) };
    Looks::new(Arc::new(peers), world(), Clock::fresh(), at_once)
}

/// What came of a round, and after how long since its beginning.
async fn round(looks: &mut Looks, targets: Vec<Found>) -> Vec<(Look, Duration)> {
    let begun = Instant::now();
    let mut ends = Vec::new();
    let mut under_way = std::pin::pin!(looks.begin(targets));
    while let Some(look) = under_way.next().await {
        ends.push((look, begun.elapsed()));
    }
    ends.iter().for_each(|(look, _)| looks.remember(look));
    ends
}

fn is_there(look: &Look) -> bool {
    look.found.as_ref().is_some_and(|outcome| outcome.looked.seen.is_there())
}

#[tokio::test(flavor = "multi_thread")]
async fn six_hundred_peers_that_hang_do_not_hold_up_the_looks_at_four_hundred_others() {
    let crowd = Crowd::start().await;
    let limit = Duration::from_secs(5);
    let mut looks = looks(limit, limit, 2_400);
    let round = round(&mut looks, crowd.targets(400, 600)).await;
    assert_eq!(round.len(), 1_000);
    let there: Vec<Duration> = round.iter().filter(|(look, _)| is_there(look)).map(|(_, end)| *end).collect();
    assert_eq!(there.len(), 400);
    let last = there.iter().max().unwrap();
    assert!(*last < limit, "the last answer came after {last:?}");
    let hung = round.iter().filter(|(look, _)| look.found.is_some() && !is_there(look));
    assert_eq!(hung.count(), 600, "each was looked at");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_few_looks_fit_at_once_those_that_hang_take_turns_among_themselves() {
    let crowd = Crowd::start().await;
    let (every, timeout) = (Duration::from_secs(3), Duration::from_secs(1));
    let mut looks = looks(every, timeout, 20);
    let targets = || crowd.targets(30, 60);
    let (mut rounds, mut seen) = (0, BTreeSet::new());
    while seen.len() < targets().len() {
        let round = round(&mut looks, targets()).await;
        let (_, end) = round.last().unwrap();
        assert!(*end < every + timeout / 2, "a round took {end:?}");
        seen.extend(round.into_iter().filter(|(look, _)| look.found.is_some()).map(|(look, _)| look.id));
        rounds += 1;
        assert!(rounds < 12, "{} of {} were ever looked at", seen.len(), targets().len());
    }
    // Who hangs is known now, and holds up its like only.
    let last = round(&mut looks, targets()).await;
    let there = last.iter().filter(|(look, end)| is_there(look) && *end < timeout);
    assert_eq!(there.count(), 30, "{last:?}");
    assert!(rounds > 1, "they did not fit into one round");
}

#[test]
fn each_peer_has_its_place_in_a_round_and_all_together_fill_it() {
    let places: Vec<f64> = (0..1_000).map(|peer| place(7, &format!("n{peer}:5988"))).collect();
    assert!(places.iter().all(|place| (0.0..=1.0).contains(place)));
    let early = places.iter().filter(|place| **place < 0.5).count();
    assert!((400..600).contains(&early), "{early}");
    assert_eq!(places[3], place(7, "n3:5988"), "the same in each round");
    assert_ne!(places[3], place(8, "n3:5988"), "another one on another node");
}

#[tokio::test]
async fn the_looks_at_a_few_begin_almost_at_once_and_those_at_thousands_within_a_part_of_the_round() {
    let looks = looks(Duration::from_secs(1), Duration::from_millis(500), 1);
    assert_eq!(looks.spread(4), Duration::from_millis(2));
    assert_eq!(looks.spread(5_000), Duration::from_millis(100));
}
