//! What a node does that cannot see how its service stands, or sees that an earlier process of it has begun something.

use super::*;

/// A process of the node that holds the lease under token 5, by its record.
fn back(local: Local) -> Rig {
    Rig::new("n1", part(true, true), record(5, None), local)
}

#[test]
fn a_holder_that_cannot_see_its_units_any_more_lets_the_lease_run_out_and_gives_nothing_back() {
    let mut rig = Rig::running(true);
    rig.give(Input::Able(Err("systemd cannot be reached".into())));
    rig.give(Input::Local(Local::Unknown));
    rig.until(19.5);
    let beat = rig.lease.clone().unwrap().0.beat;
    assert!(rig.member.belief(stamp(rig.now)).is_some() && !rig.member.is_blind(stamp(rig.now)));
    // The other node is silent, so that its lease is a long one.
    rig.until(45.0);
    let (record, _) = rig.lease.clone().unwrap();
    assert!(rig.member.is_blind(stamp(rig.now)));
    assert!(rig.member.belief(stamp(rig.now)).is_none(), "its guard kills what runs");
    assert!(record.released.is_none() && record.beat <= beat + 1, "{record:?}");
    rig.until(100.0);
    assert!(rig.takes().is_empty(), "nor does it take it again");
    // It sees again that nothing runs.
    rig.give(Input::Able(Ok(())));
    rig.give(Input::Local(Local::Stopped));
    rig.until(101.0);
    assert_eq!(rig.takes(), ["start 7"], "it renews what nobody else has taken, as a new one");
}

#[test]
fn a_holder_that_sees_its_units_again_in_time_goes_on() {
    let mut rig = Rig::running(true);
    rig.give(Input::Local(Local::Unknown));
    rig.until(19.0);
    rig.give(Input::Local(Local::Running { token: Some(6) }));
    rig.give(Input::Local(Local::Unknown));
    rig.until(38.0);
    rig.give(Input::Local(Local::Running { token: Some(6) }));
    rig.until(60.0);
    assert!(rig.takes().is_empty());
    assert!(rig.member.belief(stamp(rig.now)).is_some());
}

#[test]
fn units_in_other_hands_are_not_units_that_nobody_sees() {
    let mut rig = Rig::running(true);
    rig.give(Input::Local(Local::Foreign));
    rig.until(60.0);
    assert!(rig.takes().is_empty());
    assert!(rig.member.belief(stamp(rig.now)).is_some());
}

#[test]
fn a_process_that_cannot_reach_its_units_does_not_go_on_with_what_an_earlier_one_held() {
    for manual in [false, true] {
        let among = Among { nodes: nodes(), boot: "b1".into(), steady: Params::STEADY };
        let candidate = Candidate::new("n1", "p2", times()).among(among, Wish::Watch);
        let part = part(!manual, true);
        let member = Member::new("n1", candidate, part, Duration::ZERO, stamp(0.0));
        let lease = Some((record(5, None), 20));
        let mut rig = Rig { member, lease, operation: None, said: vec![], now: 0.0 };
        rig.give(Input::Able(Err("it is not root".into())));
        rig.give(Input::Local(Local::Unknown));
        rig.until(60.0);
        assert!(rig.takes().is_empty());
        assert_eq!(rig.lease.clone().unwrap().0, record(5, None), "others may take it");
        // It can after all.
        rig.give(Input::Able(Ok(())));
        rig.give(Input::Local(Local::Stopped));
        assert_eq!(rig.takes(), ["takes 5", "start 5"]);
    }
}

#[test]
fn what_cannot_be_seen_is_not_stopped_to_be_given_away() {
    let mut rig = Rig::running(false);
    rig.give(Input::Local(Local::Unknown));
    rig.asks(switchover("n2", Phase::Stopping { token: 6 }));
    rig.until(60.0);
    assert!(rig.takes().is_empty());
    assert!(rig.lease.clone().unwrap().0.released.is_none());
    assert!(rig.member.belief(stamp(rig.now)).is_none(), "the other one takes it when it has run out");
}

#[test]
fn between_two_kills_somebody_looks_what_is_left() {
    let mut rig = Rig::running(true);
    rig.give(Input::Local(Local::Partly));
    rig.give(Input::Ended(Err("one hangs in the kernel".into())));
    rig.until(1.0);
    assert_eq!(rig.takes(), ["kill"]);
    rig.give(Input::Local(Local::Partly));
    assert_eq!(rig.takes(), ["kill"]);
    // What is there and does not die keeps the lease.
    rig.until(60.0);
    assert!(rig.member.belief(stamp(rig.now)).is_some());
    rig.give(Input::Ended(Err("systemd cannot be reached".into())));
    rig.give(Input::Local(Local::Unknown));
    rig.until(105.0);
    assert!(rig.takes().is_empty());
    assert!(rig.member.belief(stamp(rig.now)).is_none());
}

#[test]
fn one_whose_unit_is_gone_gives_it_away_after_its_attempts() {
    let mut rig = Rig::running(true);
    rig.give(Input::Able(Err("shop.service is not there".into())));
    rig.give(Input::Local(Local::Stopped));
    assert_eq!(rig.takes(), ["start 6"]);
    rig.give(Input::Ended(Err("shop.service is not there".into())));
    rig.give(Input::Ended(Ok(())));
    assert_eq!(rig.takes(), ["kill", "gives it to Anyone"]);
    rig.until(120.0);
    assert!(rig.takes().is_empty(), "nor does it take it again");
}

#[test]
fn a_start_that_an_earlier_process_has_begun_is_gone_on_with() {
    let mut rig = back(Local::Starting { token: 5 });
    assert_eq!(rig.takes(), ["takes 5", "start 5"]);
    rig.until(30.0);
    rig.give(Input::Ended(Ok(())));
    rig.until(40.0);
    assert!(rig.takes().is_empty());
    // What was begun under another lease is not.
    let mut rig = back(Local::Starting { token: 4 });
    assert_eq!(rig.takes(), ["takes 5", "kill"]);
}

#[test]
fn a_stop_that_an_earlier_process_has_begun_is_gone_on_with_and_then_given_away() {
    let mut rig = back(Local::Stopping);
    assert_eq!(rig.takes(), ["takes 5", "stop"]);
    rig.asks(switchover("n2", Phase::Stopping { token: 5 }));
    rig.give(Input::Ended(Ok(())));
    assert_eq!(rig.takes(), ["gives it to Node(\"n2\")", "handed"]);
}

#[test]
fn what_an_earlier_process_has_begun_is_killed_without_a_lease() {
    for local in [Local::Starting { token: 5 }, Local::Stopping] {
        let mut rig = Rig::new("n2", part(true, false), record(5, None), local);
        rig.until(1.9);
        assert!(rig.takes().is_empty(), "the lease may be renewed in time");
        rig.until(2.2);
        assert_eq!(rig.takes(), ["kill"]);
    }
}
