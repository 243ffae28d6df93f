//! How long nothing is written when a service moves, on three booted machines with Consul: a person moves it, its agent
//! or its unit is killed, its machine loses its power, is cut off, or its agent freezes. The tests of these machines play it
//! (`crates/lictor/tests/it/fleet`) and write down what they saw; that nobody writes beside another one is their business.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::measure::RUNS;
use super::{Bed, Better, Row, bed};
use crate::error::Error;
use crate::lint::{BUILD, cargo};
use crate::test::hermetic;

const AGAIN: &str = "cargo xtask bench failover";

/// Time for one round of all of them.
const ROUND: Duration = Duration::from_secs(10 * 60);

/// For a planned switchover.
const MOVED: Aim = Aim { wanted: 1_000.0, patroni: Some(2_400.0) };

/// When something is killed that starts again where it was.
const KILLED: Aim = Aim { wanted: 2_000.0, patroni: None };

/// When another node has to take it over.
const TAKEN: Aim = Aim { wanted: 6_000.0, patroni: Some(26_000.0) };

/// What something is held against, milliseconds.
struct Aim {
    /// What the longest gap is to be.
    wanted: f64,
    /// What was seen of Patroni, with its defaults and elsewhere. A session of Consul takes 20 s to 35 s to run out, and
    /// keepalived needs 3.6 s without anything that ends the old one.
    patroni: Option<f64>,
}

/// Kinds of rounds as the tests call them, whether Consul's leader is where it happens, and what they are called here.
const KINDS: [(&str, Option<bool>, &str, &Aim); 8] = [
    ("Switchover", None, "planned switchover", &MOVED),
    ("AgentKilled", None, "agent of the active node killed", &KILLED),
    ("UnitKilled", None, "unit killed", &KILLED),
    ("AgentFrozen", None, "agent of the active node frozen", &TAKEN),
    ("PowerCut", Some(false), "power of the active node cut", &TAKEN),
    ("PowerCut", Some(true), "power of the active node cut, Consul's leader on it", &TAKEN),
    ("CutOff", Some(false), "active node cut off", &TAKEN),
    ("CutOff", Some(true), "active node cut off, Consul's leader on it", &TAKEN),
];

pub(super) fn run(bed: &Bed<'_>) -> Result<Vec<Row>, Error> {
    let file = bed::fresh(bed.workspace, "failover")?.join("figures.json");
    let test = ["test", "--release", "--package", "lictor", "--test", "it"];
    cargo(bed.workspace).args(test).arg("--no-run").deadline(BUILD).run()?;
    let play = cargo(bed.workspace).args(test).args(["fleet::a_service_survives", "--", "--nocapture"]);
    hermetic(&bed.environment, play.deadline(ROUND.saturating_mul(bed.rounds)))
        .env("LICTOR_ROUNDS", bed.rounds.to_string())
        .env("LICTOR_FIGURES", &file)
        .run()?;
    rows(&read(&file)?, bed.rounds)
}

fn read(file: &Path) -> Result<Value, Error> {
    let text = std::fs::read_to_string(file).map_err(Error::file("read", file))?;
    serde_json::from_str(&text).map_err(|_odd| odd(text))
}

fn odd(what: String) -> Error {
    Error::Answer { of: "the tests of the machines", what }
}

/// `{"overlap_ms": 0, "figures": [{"fault": "PowerCut", "leads": true, "gaps_ms": [4321.0, …]}, …]}` as rows.
fn rows(figures: &Value, rounds: u32) -> Result<Vec<Row>, Error> {
    let overlap = figures["overlap_ms"].as_f64().ok_or_else(|| odd(figures.to_string()))?;
    println!("longest time for which two nodes wrote at once: {overlap} ms (wanted: 0)");
    if overlap > 0.0 {
        return Err(Error::Verdict(format!("two nodes wrote at once for {overlap} ms")));
    }
    let all = figures["figures"].as_array().ok_or_else(|| odd(figures.to_string()))?;
    let mut rows = Vec::new();
    for (fault, leads, name, aim) in KINDS {
        let is_it = |one: &&Value| one["fault"] == fault && one["leads"].as_bool() == leads;
        let found = all.iter().find(is_it).and_then(|one| one["gaps_ms"].as_array());
        let mut gaps: Vec<f64> = found.into_iter().flatten().filter_map(Value::as_f64).collect();
        gaps.sort_by(f64::total_cmp);
        let at = |part: usize| gaps.get((gaps.len() * part / 100).min(gaps.len().saturating_sub(1))).copied();
        let (Some(middle), Some(tail)) = (at(50), at(99)) else {
            return Err(odd(format!("no {fault} with leads = {leads:?} in {figures}")));
        };
        let row = |what, ours, peer, unit| -> Result<Row, Error> {
            let (ours, peer) = (bed::sample(ours, "ms")?, bed::sample(vec![peer; RUNS], unit)?);
            Ok(Row::new(&format!("{name}: gap, {what} of {rounds}"), ours, peer, Better::Less, AGAIN))
        };
        if let Some(patroni) = aim.patroni {
            // All of them where they are enough for a sample: it shows how far they lie apart.
            let gaps = if gaps.len() < RUNS { vec![middle; RUNS] } else { gaps };
            rows.push(row("p50", gaps, patroni, "ms (Patroni, elsewhere)")?);
        }
        rows.push(row("p99", vec![tail; RUNS], aim.wanted, "ms (wanted)")?);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn figures(overlap: f64) -> Value {
        let of = |(fault, leads, ..): (&str, Option<bool>, &str, &Aim)| json!({ "fault": fault, "leads": leads, "gaps_ms": [300.0, 100.0, 200.0] });
        json!({ "overlap_ms": overlap, "figures": KINDS.map(of) })
    }

    #[test]
    fn each_kind_has_its_middle_beside_another_and_its_longest_beside_what_is_wanted() {
        let rows = rows(&figures(0.0), 3).unwrap();
        let cut = |what: &str| {
            rows.iter().find(|row| row.name == format!("power of the active node cut: gap, {what} of 3"))
        };
        assert_eq!(cut("p50").unwrap().ratio(), 130.0);
        assert_eq!(cut("p99").unwrap().ratio(), 20.0);
        assert_eq!(rows.len(), 14);
    }

    #[test]
    fn two_at_once_or_a_kind_that_is_missing_are_no_figures() {
        assert_eq!(rows(&figures(0.5), 3).unwrap_err().to_string(), "two nodes wrote at once for 0.5 ms");
        let mut less = figures(0.0);
        less["figures"].as_array_mut().unwrap().pop();
        assert!(rows(&less, 3).unwrap_err().to_string().contains("no CutOff with leads = Some(true)"));
    }
}
