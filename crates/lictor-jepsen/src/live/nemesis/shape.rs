//! Who cannot reach whom while the network is parted. Pure: what is drawn comes from the dice.

use std::collections::BTreeSet;
use std::fmt;

use super::who::Chief;
use crate::dice::Dice;
use crate::live::world::net::Way;

/// How a network is parted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One host cannot reach the others, nor they it.
    One,
    /// The one that leads cannot reach the others, nor they it.
    Leader,
    /// The same with the one that does what is tested.
    Active,
    /// Two parts as equal as can be.
    Halves,
    /// A minority of any size and the rest.
    Majority,
    /// Two halves, and one host that reaches both.
    Bridge,
    /// Each host hears a majority, and each another one.
    Ring,
    /// One host is not heard, or does not hear: nothing passes in one direction.
    OneWay,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::One,
        Self::Leader,
        Self::Active,
        Self::Halves,
        Self::Majority,
        Self::Bridge,
        Self::Ring,
        Self::OneWay,
    ];

    /// The ways that are cut among so many hosts, of which some may stand out.
    #[must_use]
    pub fn ways(self, hosts: usize, chief: Chief, dice: &mut Dice) -> BTreeSet<Way> {
        let mixed = dice.shuffled((0..hosts).collect::<Vec<_>>());
        match self {
            Self::One => apart(&mixed, 1),
            Self::Leader | Self::Active => {
                let chief = if self == Self::Leader { chief.leader } else { chief.active };
                let first = chief.filter(|&chief| chief < hosts).or(mixed.first().copied());
                first.map(|first| first_apart(first, &mixed)).unwrap_or_default()
            }
            Self::Halves => apart(&mixed, hosts / 2),
            Self::Majority => {
                let most = hosts.saturating_sub(1) / 2;
                apart(&mixed, 1 + dice.index(most))
            }
            Self::Bridge => {
                let mut ways = apart(&mixed, hosts / 2);
                if let Some(bridge) = mixed.get(hosts / 2) {
                    ways.retain(|(from, to)| from != bridge && to != bridge);
                }
                ways
            }
            Self::Ring => ring(&mixed),
            Self::OneWay => {
                let Some((&one, others)) = mixed.split_first() else { return BTreeSet::new() };
                let deaf = dice.chance(50);
                others.iter().map(|&other| if deaf { (other, one) } else { (one, other) }).collect()
            }
        }
    }
}

/// The first so many of these and the rest do not reach each other.
fn apart(mixed: &[usize], first: usize) -> BTreeSet<Way> {
    let (some, others) = mixed.split_at(first.min(mixed.len()));
    some.iter().flat_map(|&one| others.iter().flat_map(move |&other| [(one, other), (other, one)])).collect()
}

fn first_apart(first: usize, all: &[usize]) -> BTreeSet<Way> {
    all.iter().filter(|&&other| other != first).flat_map(|&other| [(first, other), (other, first)]).collect()
}

/// In a ring, each hears itself and those after it that make a majority with it, and nobody else.
fn ring(mixed: &[usize]) -> BTreeSet<Way> {
    let (count, majority) = (mixed.len(), mixed.len() / 2 + 1);
    let mut ways = BTreeSet::new();
    for (place, &hearer) in mixed.iter().enumerate() {
        for step in majority..count {
            if let Some(&unheard) = mixed.get((place + step) % count) {
                ways.insert((unheard, hearer));
            }
        }
    }
    ways
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "one",
            Self::Leader => "leader",
            Self::Active => "active",
            Self::Halves => "halves",
            Self::Majority => "majority",
            Self::Bridge => "bridge",
            Self::Ring => "ring",
            Self::OneWay => "one-way",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// How many hosts each host hears, itself included, in many parted networks of this shape.
    fn heard(shape: Shape, hosts: usize) -> Vec<BTreeMap<usize, usize>> {
        let mut dice = Dice::of(1, "shapes");
        let count =
            |ways: &BTreeSet<Way>, host| (0..hosts).filter(|&other| !ways.contains(&(other, host))).count();
        let play = |dice: &mut Dice| {
            let ways = shape.ways(hosts, Chief { leader: Some(2), active: Some(4) }, dice);
            assert!(ways.iter().all(|&(from, to)| from != to && from < hosts && to < hosts), "{ways:?}");
            (0..hosts).map(|host| (host, count(&ways, host))).collect()
        };
        (0..200).map(|_| play(&mut dice)).collect()
    }

    fn sorted(heard: &BTreeMap<usize, usize>) -> Vec<usize> {
        let mut counts: Vec<_> = heard.values().copied().collect();
        counts.sort_unstable();
        counts
    }

    #[test]
    fn one_is_alone() {
        assert!(heard(Shape::One, 5).iter().all(|heard| sorted(heard) == [1, 4, 4, 4, 4]));
    }

    #[test]
    fn the_leader_is_alone() {
        assert!(heard(Shape::Leader, 5).iter().all(|heard| heard[&2] == 1));
        assert!(heard(Shape::Active, 5).iter().all(|heard| heard[&4] == 1));
    }

    #[test]
    fn halves_of_five_are_two_and_three() {
        assert!(heard(Shape::Halves, 5).iter().all(|heard| sorted(heard) == [2, 2, 3, 3, 3]));
    }

    #[test]
    fn a_majority_always_remains() {
        for hosts in 3..8 {
            for heard in heard(Shape::Majority, hosts) {
                assert!(heard.values().any(|&count| count > hosts / 2), "{heard:?}");
                assert!(heard.values().any(|&count| count < hosts), "somebody is cut off: {heard:?}");
            }
        }
    }

    #[test]
    fn the_bridge_hears_all_and_the_halves_hear_it() {
        assert!(heard(Shape::Bridge, 5).iter().all(|heard| sorted(heard) == [3, 3, 3, 3, 5]));
    }

    #[test]
    fn in_a_ring_each_hears_a_majority_and_no_two_the_same() {
        let mut dice = Dice::new(1);
        for hosts in [3, 4, 5, 7] {
            let ways = Shape::Ring.ways(hosts, Chief::default(), &mut dice);
            let hears = |host| -> BTreeSet<usize> {
                (0..hosts).filter(|&other| !ways.contains(&(other, host))).collect()
            };
            let all: Vec<_> = (0..hosts).map(hears).collect();
            assert!(all.iter().all(|heard| heard.len() == hosts / 2 + 1), "{all:?}");
            let different: BTreeSet<_> = all.iter().collect();
            assert_eq!(different.len(), hosts);
        }
    }

    #[test]
    fn one_way_is_cut_in_one_direction_only() {
        let mut dice = Dice::new(1);
        for _ in 0..100 {
            let ways = Shape::OneWay.ways(5, Chief::default(), &mut dice);
            assert_eq!(ways.len(), 4);
            assert!(ways.iter().all(|&(from, to)| !ways.contains(&(to, from))));
        }
    }

    #[test]
    fn alone_there_is_nothing_to_part() {
        for shape in Shape::ALL {
            assert!(shape.ways(1, Chief::default(), &mut Dice::new(1)).is_empty(), "{shape}");
        }
    }
}
