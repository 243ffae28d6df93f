//! When which fault begins and ends. What comes next is drawn from the dice; when, is a fixed interval.

use std::fmt;
use std::str::FromStr;

use super::fault::Fault;
use crate::dice::Dice;

/// The order of the faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// One at a time, in the order in which they are given, over and over.
    #[default]
    Fixed,
    /// One at a time, any of them.
    Random,
    /// Any of them, and several at a time.
    Mixed,
}

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A fault begins.
    Begin(Fault),
    /// A fault ends.
    End(Fault),
}

/// Says what is done next.
#[derive(Debug)]
pub struct Schedule {
    faults: Vec<Fault>,
    order: Order,
    dice: Dice,
    begun: usize,
}

impl Schedule {
    /// A schedule of these faults.
    #[must_use]
    pub fn new(faults: Vec<Fault>, order: Order, dice: Dice) -> Self {
        Self { faults, order, dice, begun: 0 }
    }

    /// What is done next while these faults are at work; `None` if there are no faults.
    pub fn next(&mut self, active: &[Fault]) -> Option<Step> {
        let step = match self.order {
            Order::Fixed => match active.first() {
                Some(&active) => Step::End(active),
                None => Step::Begin(*self.faults.get(self.begun % self.faults.len().max(1))?),
            },
            Order::Random => match active.first() {
                Some(&active) => Step::End(active),
                None => Step::Begin(*self.dice.pick(&self.faults)?),
            },
            Order::Mixed => {
                let drawn = *self.dice.pick(&self.faults)?;
                if active.contains(&drawn) { Step::End(drawn) } else { Step::Begin(drawn) }
            }
        };
        if let Step::Begin(_) = step {
            self.begun += 1;
        }
        Some(step)
    }
}

impl FromStr for Order {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Self::Fixed, Self::Random, Self::Mixed];
        let found = all.into_iter().find(|order| order.to_string() == name);
        found.ok_or_else(|| format!("there is no schedule `{name}`; there are fixed, random, mixed"))
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed => "fixed",
            Self::Random => "random",
            Self::Mixed => "mixed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::Part;
    use super::super::who::Who;
    use super::*;

    const KILL: Fault = Fault::Kill(Part::Host, Who::One);
    const PAUSE: Fault = Fault::Pause(Part::Host, Who::One);

    /// The steps of a schedule, each done at once; a small letter ends.
    fn play(order: Order, faults: &[Fault], steps: usize, seed: u64) -> String {
        let mut schedule = Schedule::new(faults.to_vec(), order, Dice::new(seed));
        let mut active = Vec::new();
        let mut text = String::new();
        for _ in 0..steps {
            match schedule.next(&active).unwrap() {
                Step::Begin(fault) => {
                    assert!(!active.contains(&fault), "{fault} begins twice");
                    text.push(if fault == KILL { 'K' } else { 'P' });
                    active.push(fault);
                }
                Step::End(fault) => {
                    assert!(active.contains(&fault), "{fault} ends before it began");
                    text.push(if fault == KILL { 'k' } else { 'p' });
                    active.retain(|&other| other != fault);
                }
            }
        }
        text
    }

    #[test]
    fn a_fixed_schedule_goes_round() {
        assert_eq!(play(Order::Fixed, &[KILL, PAUSE], 6, 1), "KkPpKk");
    }

    #[test]
    fn a_random_schedule_has_one_at_a_time_and_is_repeated_by_its_seed() {
        let text = play(Order::Random, &[KILL, PAUSE], 40, 7);
        assert!(text.contains('K') && text.contains('P'), "{text}");
        let pairs: Vec<_> = text.as_bytes().chunks(2).collect();
        assert!(pairs.iter().all(|pair| pair[0].to_ascii_lowercase() == pair[1]), "{text}");
        assert_eq!(text, play(Order::Random, &[KILL, PAUSE], 40, 7));
    }

    #[test]
    fn a_mixed_schedule_has_several_at_a_time() {
        let text = play(Order::Mixed, &[KILL, PAUSE], 40, 7);
        assert!(text.contains("KP") || text.contains("PK"), "{text}");
    }

    #[test]
    fn without_faults_nothing_is_done() {
        for order in [Order::Fixed, Order::Random, Order::Mixed] {
            assert_eq!(Schedule::new(Vec::new(), order, Dice::new(1)).next(&[]), None);
        }
    }
}
