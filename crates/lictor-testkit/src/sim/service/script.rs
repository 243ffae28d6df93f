//! What goes wrong with a clustered service, what is asked for, and when.

use std::time::Duration;

use lictor_core::lease::{Params, Timing};

use super::super::clock::Micros;
use super::super::dice::Dice;

pub(super) const SECOND: Micros = 1_000_000;

/// Everything about a play that is decided before it.
#[derive(Clone, Debug)]
pub struct Script {
    /// What it was made from.
    pub seed: u64,
    /// The times of the lease, and those while a node is silent.
    pub params: (Params, Params),
    /// By how many millionths each machine's two clocks are too fast.
    pub clocks: Vec<[i64; 2]>,
    /// Whether the machines take the service over by themselves.
    pub automatic: bool,
    /// What goes wrong, or is asked for, and when it begins.
    pub faults: Vec<(Micros, Fault)>,
    /// When everything is well again.
    pub heal: Micros,
    /// But for this machine, whose agent cannot reach the units from some time before on.
    pub blind: Option<usize>,
}

/// Something that happens for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The agent of this machine, or of the one that runs the service, is killed and started
    /// again after that.
    Kill(Option<usize>, Micros),
    /// It ends in order.
    Quit(Option<usize>, Micros),
    /// It does not run.
    Freeze(Option<usize>, Micros),
    /// The machine loses its power.
    PowerCut(Option<usize>, Micros),
    /// It cannot reach the records.
    Cut(Option<usize>, Micros),
    /// Its requests get there at once, and the answers come as late as may be; then its agent is
    /// killed.
    Slow(Option<usize>, Micros),
    /// It hears nothing of the other machines.
    Alone(Option<usize>, Micros),
    /// Nobody can reach the records: what is sent is lost, or lands late.
    Down(Micros),
    /// All requests and answers take all sorts of times.
    Rough(Micros),
    /// The service does not start there.
    Broken(usize, Micros),
    /// It takes long to stop.
    Sluggish(usize, Micros),
    /// It takes long to start.
    Heavy(usize, Micros),
    /// The agent of this machine, or of the one that runs the service, cannot reach the units.
    Hidden(Option<usize>, Micros),
    /// It is killed, and the one that is started instead can reach neither the units nor the guard.
    Barred(Option<usize>, Micros),
    /// It ends when nothing is under way with the units, and is started again at once, as on a reload.
    Reload(Option<usize>),
    /// The service ends by itself.
    Dies,
    /// Somebody starts it by hand.
    Started(usize),
    /// Somebody asks for it to move there.
    Switchover(usize),
    /// Somebody asks for it to be taken there.
    Take(usize),
    /// Somebody asks for it to stop.
    Stop,
}

impl Script {
    /// The script of a seed.
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::of(seed, "service");
        let machines = 2 + dice.index(3);
        let drift: i64 = dice.pick(&[5_000, 5_000, 50_000]);
        let millis = Duration::from_millis;
        let fast = shortest(millis(1_000), millis(2_500), millis(1_600), drift);
        let steady = shortest(millis(1_000), millis(12_000), millis(1_600), drift);
        let clocks = (0..machines).map(|_| [dice.pick(&[drift, -drift, 0]); 2]).collect();
        let automatic = dice.chance(70);
        let heal = 120 * SECOND;
        let mut faults = Vec::new();
        let mut at = dice.pick(&[0, SECOND, 10 * SECOND]) + dice.below(SECOND);
        while at < heal {
            let fault = fault(&mut dice, machines);
            faults.push((at, fault));
            // A second one meets the first.
            if dice.chance(40) {
                faults.push((at + dice.below(5 * SECOND), self::fault(&mut dice, machines)));
            }
            at += dice.pick(&[SECOND, 3 * SECOND, 8 * SECOND, 20 * SECOND]) + dice.below(SECOND);
        }
        faults.retain(|(at, _)| *at < heal);
        // Somebody else has to take it over, and by itself.
        let blind = (automatic && dice.chance(25)).then(|| dice.index(machines));
        if let Some(number) = blind {
            let begins = heal.saturating_sub(dice.pick(&[0, SECOND, 10 * SECOND]));
            let hides = if dice.chance(50) { Fault::Hidden } else { Fault::Barred };
            faults.push((begins, hides(Some(number), Micros::MAX / 2)));
        }
        faults.sort_by_key(|(at, _)| *at);
        Self { seed, params: (fast, steady), clocks, automatic, faults, heal, blind }
    }
}

/// The shortest lease that is safe.
fn shortest(renew: Duration, belief: Duration, margin: Duration, drift: i64) -> Params {
    let drift_ppm = u32::try_from(drift).unwrap_or_default();
    let held = u64::try_from((belief + margin).as_micros()).unwrap_or_default();
    let length = (held * (1_000_000 + u64::from(drift_ppm))).div_ceil(1_000_000 - u64::from(drift_ppm));
    let length = Duration::from_millis(length.div_ceil(1_000));
    Params::new(Timing { renew, request: renew, belief, margin, length, drift_ppm })
        .unwrap_or_else(|error| unreachable!("the shortest lease is allowed: {error}"))
}

fn fault(dice: &mut Dice, machines: usize) -> Fault {
    let span = dice.pick(&[SECOND / 2, SECOND, 2 * SECOND, 3 * SECOND, 5 * SECOND, 8 * SECOND, 20 * SECOND])
        + dice.below(SECOND / 2);
    let one = dice.index(machines);
    let who = (!dice.chance(60)).then_some(one);
    match dice.below(100) {
        0..12 => Fault::Kill(who, dice.pick(&[1_000, SECOND / 2, SECOND, span])),
        12..16 => Fault::Quit(who, dice.pick(&[1_000, SECOND / 2, span])),
        16..26 => Fault::Freeze(who, span),
        26..34 => Fault::PowerCut(who, span),
        34..44 => Fault::Cut(who, span),
        44..48 => Fault::Slow(who, dice.pick(&[2 * SECOND, 4 * SECOND]) + dice.below(SECOND)),
        48..51 => Fault::Alone(who, span),
        51..59 => Fault::Down(span),
        59..64 => Fault::Rough(span),
        64..66 => Fault::Broken(one, span),
        66..69 => Fault::Sluggish(one, span),
        69..75 => Fault::Heavy(one, span.max(10 * SECOND)),
        75..78 => Fault::Hidden(who, span),
        78..80 => Fault::Barred(who, span),
        80..82 => Fault::Reload(who),
        82..84 => Fault::Dies,
        84..85 => Fault::Started(one),
        85..92 => Fault::Switchover(one),
        92..97 => Fault::Take(one),
        _ => Fault::Stop,
    }
}
