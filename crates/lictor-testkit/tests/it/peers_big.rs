//! Large fleets by their numbers, see `lictor_testkit::sim::peers::big`; and what choosing the watchers costs.
//!
//! 2,000 nodes are held against what must be so. `LICTOR_LONG=1` prints the tables of `docs/peers-scale.md`, for
//! 10,000:
//!
//! ```sh
//! LICTOR_LONG=1 cargo test --release -p lictor-testkit --test it peers_big -- --nocapture --test-threads 1
//! ```

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use lictor_core::peers::{Mesh, MeshPlan, Peer, WhoTells, rank};
use lictor_core::{Boot, Now, Wall};
use lictor_testkit::sim::peers::big::{Fleet, Load, Loss, Times};

const TIMES: Times = Times { interval: 10_000, timeout: 5_000, jitter: 1_000, fail_after: 2 };

/// Watchers that are asked for: more than are used, so that those who leave have successors.
const NEAR: usize = 30;

fn long() -> bool {
    std::env::var("LICTOR_LONG").is_ok_and(|value| value == "1")
}

/// Seconds in which a death is told of at the latest, and at the earliest.
fn bounds(times: Times) -> (f64, f64) {
    let Times { interval, timeout, jitter, fail_after } = times;
    let [most, least] = [fail_after * interval + timeout + jitter, (fail_after - 1) * interval + timeout]
        .map(|millis| Duration::from_millis(millis).as_secs_f64());
    (most, least)
}

/// The load that no node of `size` should exceed if each watches as many as chance gives it: a Poisson distribution
/// is larger in one of a thousand fleets.
fn most_by_chance(mean: f64, size: f64) -> f64 {
    let (mut chance, mut rest, mut number) = ((-mean).exp(), 1.0, 0.0);
    while rest * size > 0.001 {
        rest -= chance;
        number += 1.0;
        chance *= mean / number;
    }
    number
}

#[test]
fn what_2_000_nodes_cost_notice_lose_and_change_is_what_chance_gives() {
    // Made once: it takes longer than all that is asked of it.
    let fleet = Fleet::new(2_000, NEAR);
    each_watches_as_many_as_chance_gives_it_and_notices_a_death_in_time(&fleet);
    when_30_of_100_die_as_many_are_unwatched_as_is_computed(&fleet);
    who_leaves_or_joins_moves_only_what_is_its_own(&fleet);
}

fn each_watches_as_many_as_chance_gives_it_and_notices_a_death_in_time(fleet: &Fleet) {
    for count in [3, 5, 10] {
        let mean = count as f64 / 10.0;
        let Load { looks, idle, .. } = fleet.load(count, TIMES);
        let most = most_by_chance(count as f64, 2_000.0) / 10.0;
        assert!((looks.mean - mean).abs() < 1e-9 && looks.max <= most, "k = {count}: {looks}; {most}");
        let by_chance = 2_000.0 * (-(count as f64)).exp();
        assert!((idle as f64 - by_chance).abs() <= 4.0 * by_chance.sqrt() + 1.0, "k = {count}: {idle}");

        let (first, all) = fleet.detection(count, TIMES, 1);
        let (most, least) = bounds(TIMES);
        assert!(all.max <= most && first.half >= least, "k = {count}: {first}; {all}");
        assert!(first.half < all.half, "more eyes see sooner: {first}; {all}");
    }
}

fn when_30_of_100_die_as_many_are_unwatched_as_is_computed(fleet: &Fleet) {
    for count in [3, 5, 10] {
        let losses: Vec<_> = (0..20).map(|seed| fleet.lose(30, count, TIMES, seed)).collect();
        let unwatched: usize = losses.iter().map(|loss| loss.unwatched).sum();
        let expected: f64 = losses.iter().map(|loss| loss.expected).sum();
        let simple = 0.3_f64.powi(i32::try_from(count).unwrap()) * 600.0 * 20.0;
        // Drawn without putting back: a little less than p^k.
        assert!(expected < simple && expected > 0.8 * simple, "k = {count}: {expected}, {simple}");
        let off = (unwatched as f64 - expected).abs();
        assert!(off <= 4.0 * expected.sqrt() + 1.0, "k = {count}: {unwatched}, not {expected}");
        assert!(losses.iter().all(|loss| loss.first.max <= bounds(TIMES).0), "k = {count}: {losses:?}");
    }
}

fn who_leaves_or_joins_moves_only_what_is_its_own(fleet: &Fleet) {
    for (leavers, count) in [(1, 3), (1, 10), (20, 5), (200, 5)] {
        let change = fleet.leave(leavers, count, 7);
        assert_eq!(change.pairs, change.least, "{leavers} leave, k = {count}: {change:?}");
        assert!(change.subjects <= change.pairs, "{change:?}");
        let by_chance = (leavers * count) as f64;
        let off = (change.pairs as f64 - by_chance).abs();
        assert!(off <= 0.15 * by_chance + 4.0 * by_chance.sqrt(), "{leavers} leave, k = {count}: {change:?}");
    }
}

#[test]
fn a_rank_is_the_place_among_the_nearest() {
    let fleet = Fleet::new(300, 299);
    for node in (0..300).step_by(7) {
        let others = || fleet.ids().iter().filter(|other| **other != fleet.ids()[node]).map(String::as_str);
        for (place, watcher) in fleet.watchers(node, 299).enumerate().step_by(23) {
            assert_eq!(rank(&fleet.ids()[node], &fleet.ids()[watcher], others()), place);
        }
    }
}

#[test]
fn the_tables_of_the_document() {
    if !long() {
        return;
    }
    println!("## Load, each node, of a second");
    let large = Fleet::new(10_000, NEAR);
    let fleets = [(Fleet::new(100, 99), vec![99]), (Fleet::new(300, 299), vec![299])];
    let fleets = fleets.iter().map(|(fleet, counts)| (fleet, counts.clone()));
    for (fleet, counts) in fleets.chain([(&large, vec![3, 5, 10])]) {
        for count in counts {
            let Load { looks, received, idle } = fleet.load(count, TIMES);
            println!(
                "{} nodes, k = {count}: looks {looks}; bytes in {received}; {idle} idle",
                fleet.ids().len()
            );
        }
    }
    println!("## Seconds until a death is told");
    for fail_after in [1, 2] {
        for count in [3, 5, 10] {
            let (first, all) = large.detection(count, Times { fail_after, ..TIMES }, 1);
            println!("fail_after {fail_after}, k = {count}: first {first}; all {all}");
        }
    }
    println!("## 30 % die at once; 100 times");
    for count in [3, 5, 10] {
        let losses: Vec<_> = (0..100).map(|seed| large.lose(30, count, TIMES, seed)).collect();
        let mean = |of: fn(&Loss) -> usize| losses.iter().map(of).sum::<usize>() as f64 / 100.0;
        let (unwatched, alive) = (mean(|loss| loss.unwatched), mean(|loss| loss.alive_unwatched));
        let loss = &losses[0];
        let (dead, expected, first) = (loss.dead, loss.expected, loss.first);
        println!(
            "k = {count}: {dead} dead, {unwatched} unwatched ({expected:.3} computed), {alive} alive unwatched; first {first}"
        );
    }
    println!("## Nodes leave (or come)");
    for (leavers, count) in [(1, 3), (1, 5), (1, 10), (100, 3), (100, 5), (100, 10), (3_000, 5)] {
        let change = large.leave(leavers, count, 7);
        println!("{leavers} of 10,000, k = {count}: {change:?} of {} pairs", 10_000 * count);
    }
    println!("## Choosing whom to watch, after each answer of discovery");
    for size in [300, 2_000, 10_000] {
        println!("{size} peers: {:?}", choosing(size));
    }
}

/// How long one answer of discovery takes to be taken in.
#[expect(clippy::disallowed_methods, reason = "this is what is measured")]
fn choosing(size: usize) -> Duration {
    let number = |number| NonZeroU32::new(number).unwrap();
    let plan = MeshPlan {
        node: "n0".to_owned(),
        every: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
        fail_after: number(2),
        pass_after: number(1),
        confirm: number(1),
        tell: WhoTells::Each,
        watchers: Some(number(5)),
        vanished: true,
    };
    let id = |node: usize| format!("i-{node:010}.eu-central.example.net:5988");
    let peer = |node: usize| Peer { id: id(node), host: id(node), addresses: Vec::new() };
    let now = Now { boot: Boot::from_millis(1), wall: Wall::from_unix_millis(1) };
    let mut mesh = Mesh::new(plan, Vec::new());
    let peers: Vec<_> = (1..size).map(peer).collect();
    mesh.found(peers.clone(), Some(id(0)), now);
    let begun = Instant::now();
    mesh.found(peers, Some(id(0)), now);
    begun.elapsed()
}
