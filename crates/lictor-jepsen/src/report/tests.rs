use serde_json::json;

use super::*;
use crate::check::linear::Linearizable;
use crate::check::linear::model::Register;
use crate::check::stats::Stats;
use crate::check::{Check, all};
use crate::history::{Kind, Process};
use crate::sim::{Dice, Sim, plant};

fn judged(ops: Vec<Op>) -> (History, Judgement) {
    let history = History::new(ops).unwrap();
    let checks: [Box<dyn Check>; 2] = [Box::new(Stats::default()), Box::new(Linearizable::new(Register))];
    let judgement = all(&history, &checks);
    (history, judgement)
}

fn page(history: &History, judgement: &Judgement) -> String {
    let about = [
        ("seed".to_owned(), "7".to_owned()),
        ("command".to_owned(), "lictor-jepsen run --seed 7".to_owned()),
    ];
    let logs = [("n1".to_owned(), "nodes/n1.log".to_owned())];
    Report { title: "register", history, judgement, about: &about, logs: &logs }.render()
}

/// That each tag that is opened is closed, in order, and that there is no program.
fn is_sound(page: &str) {
    assert!(!page.contains("<script"));
    let mut open = Vec::new();
    for piece in page.split('<').skip(1) {
        let tag = piece.split('>').next().unwrap();
        let name = tag.split([' ', '\n']).next().unwrap();
        if tag.ends_with('/') || name.starts_with('!') || name == "meta" {
            continue;
        }
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{page}"),
            None => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn the_verdict_comes_first_then_why_then_how_it_went() {
    let mut ops = Sim { seed: 3, ..Sim::default() }.register();
    assert!(plant::stale_read(&mut ops, &mut Dice::new(3)));
    let (history, judgement) = judged(ops);
    let page = page(&history, &judgement);
    is_sound(&page);
    let places =
        ["register: invalid", "lictor-jepsen run --seed 7", "is not linearizable", "<svg", "nodes/n1.log"]
            .map(|text| page.find(text).unwrap_or_else(|| panic!("{text} is missing")));
    assert!(places.is_sorted(), "{places:?}");
    let entry = judgement.outcomes[1].findings[0].entries[0];
    assert!(page.contains(&format!("href=\"#e{entry}\"")) && page.contains(&format!("id=\"e{entry}\"")));
}

#[test]
fn a_run_of_nothing_has_a_page_too() {
    let (history, judgement) = judged(Vec::new());
    let page = page(&history, &judgement);
    is_sound(&page);
    assert!(page.contains("register: unknown"));
}

#[test]
fn what_clients_wrote_is_no_part_of_the_page() {
    let evil = json!("</td><script>alert('x')</script>");
    let invoke = Op::invoke(1, Process::Client(0), "write", Some(evil.clone()), evil.clone()).at("<b>");
    let end = Op { index: 1, ..invoke.complete(2, Kind::Ok, evil.clone()) };
    let read = Op { index: 2, ..Op::invoke(3, Process::Client(0), "read", Some(evil), json!(null)) };
    let wrong = Op { index: 3, ..read.complete(4, Kind::Ok, json!("<img src=x>")) };
    let (history, judgement) = judged(vec![invoke, end, read, wrong]);
    assert_eq!(judgement.verdict, Verdict::Invalid);
    let page = page(&history, &judgement);
    is_sound(&page);
    assert!(!page.contains("<b>") && !page.contains("<img"));
}

#[test]
fn a_page_stays_small_however_long_the_run_was() {
    let ops = Sim { seed: 5, calls: 100_000, clients: 30, keys: 300, ..Sim::default() }.register();
    let history = History::new(ops).unwrap();
    let judgement = all(&history, &[Box::new(Stats::default())]);
    let page = page(&history, &judgement);
    is_sound(&page);
    assert!(page.len() < 4_000_000, "{}", page.len());
    assert!(page.contains("Drawn is one of 20 of 100000 calls"));
}

#[test]
fn quantiles_are_of_what_there_is() {
    assert_eq!(quantile(&[], 500), None);
    assert_eq!(quantile(&[7], 990), Some(7));
    let all: Vec<u64> = (0..=100).collect();
    assert_eq!([0, 500, 990, 1000].map(|share| quantile(&all, share).unwrap()), [0, 50, 99, 100]);
}
