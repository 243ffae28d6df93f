//! Which servers something happens to.

use std::fmt;

use crate::dice::Dice;

/// Who stands out among the hosts when something is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chief {
    /// Whose server leads Consul.
    pub leader: Option<usize>,
    /// Who does what is tested.
    pub active: Option<usize>,
}

/// Which servers something happens to. Who that is, is drawn each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Any one.
    One,
    /// As many as the others can do without.
    Minority,
    /// As many as the others cannot do without.
    Majority,
    /// The one that leads; any one when none does.
    Leader,
    /// The one that does what is tested: where a service runs, or whose agent has something under way; any one when there is
    /// none.
    Active,
    /// All.
    All,
}

impl Who {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::One, Self::Minority, Self::Majority, Self::Leader, Self::Active, Self::All];

    /// The hosts of those, in order.
    #[must_use]
    pub fn of(self, hosts: usize, chief: Chief, dice: &mut Dice) -> Vec<usize> {
        let mut mixed = dice.shuffled((0..hosts).collect::<Vec<_>>());
        match self {
            Self::One => mixed.truncate(1),
            Self::Minority => mixed.truncate((hosts.saturating_sub(1) / 2).max(1)),
            Self::Majority => mixed.truncate(hosts / 2 + 1),
            Self::Leader | Self::Active => {
                let chief = if self == Self::Leader { chief.leader } else { chief.active };
                match chief.filter(|&chief| chief < hosts) {
                    Some(chief) => mixed = vec![chief],
                    None => mixed.truncate(1),
                }
            }
            Self::All => {}
        }
        mixed.sort_unstable();
        mixed
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "one",
            Self::Minority => "minority",
            Self::Majority => "majority",
            Self::Leader => "leader",
            Self::Active => "active",
            Self::All => "all",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LED: Chief = Chief { leader: Some(0), active: None };

    #[test]
    fn a_minority_can_be_spared_and_a_majority_cannot() {
        let mut dice = Dice::new(1);
        let mut count = |who: Who, hosts| who.of(hosts, LED, &mut dice).len();
        assert_eq!([3, 4, 5, 7].map(|hosts| count(Who::Minority, hosts)), [1, 1, 2, 3]);
        assert_eq!([3, 4, 5, 7].map(|hosts| count(Who::Majority, hosts)), [2, 3, 3, 4]);
        assert_eq!([1, 3].map(|hosts| count(Who::One, hosts)), [1, 1]);
        assert_eq!([1, 3].map(|hosts| count(Who::All, hosts)), [1, 3]);
    }

    #[test]
    fn the_leader_is_who_leads_or_anyone() {
        let mut dice = Dice::new(1);
        let chief = Chief { leader: Some(3), active: None };
        assert_eq!(Who::Leader.of(5, chief, &mut dice), [3]);
        assert_eq!(Who::Leader.of(5, Chief::default(), &mut dice).len(), 1);
        assert_eq!(Who::Active.of(5, chief, &mut dice).len(), 1, "it need not be the leader");
        assert_eq!(Who::Active.of(5, Chief { active: Some(2), ..chief }, &mut dice), [2]);
    }

    #[test]
    fn each_is_drawn_some_time() {
        let mut dice = Dice::new(1);
        let drawn: std::collections::BTreeSet<_> =
            (0..200).flat_map(|_| Who::One.of(5, LED, &mut dice)).collect();
        assert_eq!(drawn.len(), 5);
    }
}
