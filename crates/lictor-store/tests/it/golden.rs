//! What version 1 wrote is read for ever, and written the same by this one.
//!
//! Each line of `tests/golden/*.v1.jsonl` is one stored value. A line is never changed once
//! it was released. `LICTOR_GOLDEN=write cargo test golden` writes the files from the samples
//! below, for values that are new.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lictor_core::{
    Basis, Boot, Change, Check, CheckName, Ending, Event, Flood, Hold, Holding, IncidentId, LeaseName, Mode,
    Note, Outcome, Role, Roles, Row, RunId, RunState, Sample, Status, Tally, Value, What,
};
use lictor_store::wire::{self, WireError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::support::*;

/// Compares a file with the samples it was written from, both ways.
fn golden<W, C>(
    file: &str,
    samples: &[C],
    wire_of: impl Fn(&C) -> W,
    core_of: impl Fn(W) -> Result<C, WireError>,
) where
    W: Serialize + DeserializeOwned,
    C: PartialEq + std::fmt::Debug,
{
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    let written: Vec<Vec<u8>> =
        samples.iter().map(|sample| wire::encode(&wire_of(sample)).unwrap()).collect();
    if std::env::var("LICTOR_GOLDEN").is_ok_and(|value| value == "write") {
        let lines = written.iter().flat_map(|line| [line.as_slice(), b"\n"].concat());
        std::fs::write(&path, lines.collect::<Vec<_>>()).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines {
        let core = core_of(wire::decode(line.as_bytes()).unwrap()).unwrap();
        let again = wire::encode(&wire_of(&core)).unwrap();
        assert_eq!(String::from_utf8(again).unwrap(), **line);
    }
    assert_eq!(lines.len(), samples.len(), "{file}");
    for (line, sample) in lines.iter().zip(samples) {
        assert_eq!(core_of(wire::decode(line.as_bytes()).unwrap()).unwrap(), *sample, "{line}");
    }
}

#[test]
fn rows_are_what_they_were() {
    golden("rows.v1.jsonl", &rows(), |row| wire::Row::from(row), TryInto::try_into);
}

#[test]
fn events_are_what_they_were() {
    let events: Vec<Event> = whats().into_iter().map(of_everything).collect();
    golden("events.v1.jsonl", &events, |event| wire::Event::from(event), TryInto::try_into);
    let kinds: BTreeSet<&str> = whats().iter().map(What::kind).collect();
    assert_eq!(kinds.len(), What::KINDS.len(), "each kind of event has a sample");
}

#[test]
fn what_a_store_says_of_itself_is_what_it_was() {
    let made = wire::Made {
        schema: 1,
        lineage: "0123456789abcdef0123456789abcdef".into(),
        node: "node1".into(),
        confirmed: true,
    };
    let live = wire::Live {
        commit: 7,
        clean: true,
        next_seq: 8,
        entries: 9,
        bytes: 10,
        rows: 11,
        rows_sum: 12,
        kv_revision: 13,
        anchor: Some((&anchor(14)).into()),
        acts: None,
    };
    let position = wire::Position { watcher: "journal".into(), at: "s=ab;i=1".into() };
    golden("made.v1.jsonl", &[made], Clone::clone, Ok);
    golden("live.v1.jsonl", &[live, wire::Live::default()], Clone::clone, Ok);
    golden("positions.v1.jsonl", &[position], Clone::clone, Ok);
}

#[test]
fn acts_and_how_checks_stood_are_what_they_were() {
    let hash = "ab".repeat(32);
    let act = wire::ActEntry {
        at: at(1).into(),
        by: "ann".into(),
        from: "192.0.2.7".into(),
        door: "page".into(),
        what: "POST /v1/runs/r1/cancel".into(),
        detail: String::new(),
        end: wire::End::Begun,
        said: String::new(),
        of: None,
        before: hash.clone(),
    };
    let ends = [wire::End::Done, wire::End::Refused, wire::End::Failed, wire::End::Unclear];
    let ends = ends.map(|end| wire::ActEntry {
        detail: "by=ann".into(),
        end,
        said: "it is".into(),
        of: Some(7),
        ..act.clone()
    });
    let acts: Vec<_> = std::iter::once(act).chain(ends).collect();
    golden("acts.v1.jsonl", &acts, Clone::clone, Ok);
    let acts = wire::ActChain { last: 9, hash: hash.clone(), cut: 2, cut_hash: hash };
    let live = wire::Live { acts: Some(acts), ..wire::Live::default() };
    golden("live-acts.v1.jsonl", &[live], Clone::clone, Ok);
    let checks = [("shop".to_owned(), vec![60_000, 0, 0, 0, 0, 6, 72]), ("new".to_owned(), Vec::new())];
    golden("past.v1.jsonl", &[wire::Past { checks: checks.into() }], Clone::clone, Ok);
}

#[test]
fn copies_are_what_they_were() {
    let lineage = "0123456789abcdef0123456789abcdef";
    let owner = wire::Owner {
        lineage: lineage.into(),
        writer: "0123456789abcdef".into(),
        revision: 3,
        at: at(1).into(),
        reads: 1,
        open: 2,
        highest_run: 17,
        highest_incident: 5,
        beat: 4,
        stopped: false,
    };
    let stopped = wire::Owner { beat: 5, stopped: true, ..owner.clone() };
    let copy = |row: Option<&Row>| wire::Copy {
        lineage: lineage.into(),
        revision: 3,
        at: at(1).into(),
        row: row.map(Into::into),
    };
    let canary = wire::Canary { made_by: "node1".into(), generation: 1 };
    golden("owner.v1.jsonl", &[owner, stopped], Clone::clone, Ok);
    golden("copies.v1.jsonl", &[copy(None), copy(Some(&incident(5, true)))], Clone::clone, Ok);
    golden("canary.v1.jsonl", &[canary], Clone::clone, Ok);
}

fn of_everything(what: What) -> Event {
    Event { at: at(90), incident: Some(IncidentId(5)), run: Some(RunId(17)), what }
}

fn rows() -> Vec<Row> {
    let boot = Boot::from_millis;
    let name = |text: &str| text.parse().unwrap();
    let mut all = vec![incident(5, true), incident(6, false), check_row("new", 1)];

    let mut check = Check::new(at(1));
    check.status = Status::Critical;
    check.judged = true;
    check.since = at(2);
    check.started = true;
    check.flapping = true;
    check.changes = [boot(1), boot(2)].into();
    check.watched_since = Boot::default();
    let sample = Sample::new(Status::Warning, "93 % \"used\"\n\u{e9}")
        .taking(Duration::from_millis(12))
        .with(name_of("used_percent"), Value::Number(93.1))
        .with(name_of("tiny"), Value::Number(5e-324))
        .with(name_of("third"), Value::Number(1.0 / 3.0))
        .with(name_of("endless"), Value::Number(f64::NEG_INFINITY))
        .with(name_of("version"), Value::Text("1.2".into()));
    check.last = Some((at(3), sample));
    all.push(Row::Check(CheckName::new("disk.root").unwrap(), check));

    let flood = Flood {
        held: true,
        deferred: Some("again".into()),
        captures: Default::default(),
        starts: [boot(1), boot(2)].into(),
        unhelpful: 3,
        gave_up: true,
        told: true,
        held_by: Some(Hold::GaveUp),
        suppressed: 4,
        fresh_from: boot(5),
        basis: Some(Basis { on: "check.web == \"critical\"".into(), mode: Mode::Act }),
    };
    all.push(Row::Flood(name("restart-web"), flood));
    all.push(Row::Flood(name("idle"), Flood::default()));

    let states = [
        RunState::Acting { attempt: 1, since: boot(5) },
        RunState::Inspecting { attempt: 2, since: boot(5), asked: boot(6) },
        RunState::Verifying { attempt: 1, since: boot(5), done: true },
        RunState::BackingOff { attempt: 2, until: boot(7) },
        RunState::Queued { attempt: 1 },
        RunState::Waiting { attempt: 1, since: boot(5), held: None },
        RunState::Waiting { attempt: 1, since: boot(5), held: Some(boot(6)) },
        RunState::Parked { why: "nobody knows".into(), attempt: 3 },
        RunState::Ended(Ending::Done, at(9)),
        RunState::Ended(Ending::Failed { why: "no".into() }, at(9)),
        RunState::Ended(Ending::Cancelled { why: "asked".into() }, at(9)),
    ];
    all.extend((1..).zip(states).map(|(id, state)| Row::Run(run(id, state))));
    let mut full = acting(99);
    full.incident = Some(IncidentId(5));
    full.mode = Mode::Observe;
    full.cancelled = Some("asked".into());
    full.cleaning = true;
    full.visits = BTreeMap::from([("restart".parse().unwrap(), 2)]);
    full.tally =
        BTreeMap::from([("restart".parse().unwrap(), Tally { attempt: 3, tries: 2, unclear: true })]);
    all.push(Row::Run(full));
    let mut noted = run(100, RunState::Preparing { attempt: 2, since: boot(8) });
    let note = Note { text: "{\"v\":1}".into(), done: true, at: at(7) };
    noted.notes = Arc::new(BTreeMap::from([("stop".parse().unwrap(), note)]));
    all.push(Row::Run(noted));
    let held_by = Some(Hold::Lease);
    let pattern = |text: &str| text.parse::<lictor_core::PatternName>().unwrap();
    let watcher = |text: &str| text.parse::<CheckName>().unwrap();
    all.push(Row::Reading(watcher("log"), lictor_core::Reading::default()));
    let reading = lictor_core::Reading {
        position: Some("{\"v\":1,\"cursor\":\"s=1;i=2\"}".into()),
        counted: BTreeMap::from([(pattern("oom"), [boot(5), boot(6)].into())]),
        silent_since: BTreeMap::from([(pattern("beat"), Some(boot(7))), (pattern("told"), None)]),
    };
    all.push(Row::Reading(watcher("journal"), reading));
    let captures = Arc::new(BTreeMap::from([("address".to_owned(), "192.0.2.1".to_owned())]));
    let captured = || Arc::clone(&captures);
    all.push(Row::Run(lictor_core::Run {
        captures: captured(),
        ..run(101, RunState::Queued { attempt: 1 })
    }));
    let waits = Flood { deferred: Some("log matched oom".into()), captures: captured(), ..Flood::default() };
    all.push(Row::Flood(name("waits"), waits));
    all.push(Row::Flood(name("leased"), Flood { held_by, ..Flood::default() }));
    let service = |text: &str| text.parse::<lictor_core::ServiceName>().unwrap();
    let active = Role::Active { token: 9 };
    for (number, role) in [(102, active), (103, Role::Standby)] {
        let change = Some(Change { service: service("web"), role, token: 9 });
        all.push(Row::Run(lictor_core::Run { change, ..run(number, RunState::Queued { attempt: 1 }) }));
    }
    let roles = Roles { seen: active, followed: Some(Role::Standby), token: 9, run: Some(RunId(102)) };
    all.push(Row::Role(service("web"), roles.clone()));
    all.push(Row::Role(service("db"), Roles { seen: Role::Standby, followed: None, ..roles }));
    all.push(Row::Role(service("new"), Roles::default()));
    all
}

fn name_of(text: &str) -> lictor_core::ValueName {
    text.parse().unwrap()
}

fn whats() -> Vec<What> {
    let check = CheckName::new("web").unwrap();
    let step: lictor_core::StepName = "restart".parse().unwrap();
    let remedy: lictor_core::RemedyName = "restart-web".parse().unwrap();
    let target: lictor_core::Target = "web".parse().unwrap();
    let action: lictor_core::ActionName = "systemd".parse().unwrap();
    let why = || "because".to_owned();
    let after = Duration::from_millis(1_500);
    let outcome = |outcome| What::Outcome { step: step.clone(), attempt: 1, outcome };
    let ended = |ending| What::RunEnded { remedy: remedy.clone(), ending, after };
    let held = |by| What::Suppressed { remedy: remedy.clone(), target: target.clone(), by, deferred: true };
    let mut all = vec![
        What::AgentStarted { version: "0.1.0".into(), clean: false },
        What::AgentStopped,
        What::RecordingFailed { why: why() },
        What::RecordingResumed { lost: 3 },
        What::Reloaded { difference: "1 check more".into() },
        What::ReloadRefused { why: why() },
        What::Service { service: "web".parse().unwrap(), said: "it runs here".into() },
        What::WatcherRestarted { check: check.clone(), why: why() },
        What::Transition {
            check: check.clone(),
            from: Status::Passing,
            to: Status::Unknown,
            summary: "no answer".into(),
            evidence: vec![
                (at(1), Status::Warning, "slow".into()),
                (at(2), Status::Unknown, "no answer".into()),
            ],
        },
        What::Flapping { check: check.clone(), flaps: true },
        What::IncidentOpened { check: check.clone() },
        What::IncidentClosed { check: check.clone(), after, why: None },
        What::IncidentClosed { check: check.clone(), after, why: Some(why()) },
        What::Matched { source: check.clone(), pattern: "synced".parse().unwrap(), line: "a\tline".into() },
        What::ValueChanged { check: check.clone(), value: name_of("ip"), from: "1".into(), to: "2".into() },
        What::RunStarted { remedy: remedy.clone(), target: target.clone(), cause: why(), mode: Mode::Act },
        What::Intent { step: step.clone(), attempt: 1, action: action.clone() },
        What::WouldAct { step: step.clone(), action },
        outcome(Outcome::Done { detail: "exit 0".into() }),
        outcome(Outcome::Failed { detail: "exit 1".into() }),
        outcome(Outcome::NotStarted { detail: "it died".into() }),
        outcome(Outcome::Unknown { detail: "no answer".into() }),
        What::Inspecting { step: step.clone(), attempt: 1, why: why() },
        What::Verified { step: step.clone() },
        What::Waiting { step: step.clone(), condition: "check.web == \"passing\"".into() },
        What::StepDone { step: step.clone() },
        What::StepFailed { step: step.clone(), why: why(), next: "the run fails".into() },
        What::Retrying { step: step.clone(), attempt: 2, after, why: why() },
        What::Parked { remedy: remedy.clone(), why: why() },
        ended(Ending::Done),
        ended(Ending::Failed { why: why() }),
        ended(Ending::Cancelled { why: why() }),
        What::Escalated { remedy: remedy.clone(), target: target.clone(), why: why() },
        What::Commanded { command: "retry r17".into() },
    ];
    let holds = [Hold::Guard, Hold::Cooldown, Hold::Budget, Hold::Busy, Hold::GaveUp, Hold::Fleet];
    all.extend(holds.map(held));
    all.push(What::StateSetAside { path: "/var/lib/lictor/state.redb.unreadable-1".into(), why: why() });
    all.push(What::NameTaken { why: why() });
    all.push(What::Adopted { runs: 2, incidents: 3 });
    all.push(What::StepSkipped { step: step.clone(), why: why() });
    let holdings = [Holding::Ours, Holding::Other { node: "node2".into() }, Holding::Unknown { why: why() }];
    let lease = LeaseName::new("cure").unwrap();
    all.extend(holdings.map(|holding| What::LeaseChanged { lease: lease.clone(), holding }));
    all.push(What::TakenOver { remedy, step, from: "node2".into() });
    all.push(What::SharedState { of: "sp".into(), why: why() });
    let unheard: Vec<_> = all.iter().map(What::kind).filter(|kind| !What::KINDS.contains(kind)).collect();
    assert!(unheard.is_empty(), "{unheard:?} are not among the kinds");
    all
}
