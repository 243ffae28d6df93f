use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::*;

fn names(list: &str) -> Vec<String> {
    list.split_whitespace().map(str::to_owned).collect()
}

fn nodes(active: &str, standby: &str) -> Share {
    Share::new(Placement::new((Some(names(active)), Some(names(standby))), (None, None)).unwrap())
}

fn datacenters(active: &str, standby: &str) -> Share {
    let pair = (Some(active.to_owned()), Some(standby.to_owned()));
    Share::new(Placement::new((None, None), pair).unwrap())
}

fn groups(of: &[(&str, Share)]) -> Cluster {
    let group = |(hosts, share): &(&str, Share)| Group {
        hosts: HostPattern::new(hosts).unwrap(),
        share: share.clone(),
    };
    Cluster::Groups(of.iter().map(group).collect())
}

/// The role of a host in a datacenter, or what is wrong, where there are dc1, dc2 and dc10.
fn role(cluster: &Cluster, host: &str, datacenter: &str) -> String {
    let here = Here { host, datacenter, datacenters: &names("dc1 dc2 dc10") };
    match cluster.role_of(here) {
        Ok(role) => format!("{role:?}"),
        Err(why) => why.to_string(),
    }
}

/// Of an active side such as `+-?`: passing, failing, unknown.
fn sight(text: &str) -> Sight {
    Sight::of(text.chars().map(|sign| match sign {
        '+' => Standing::Passing,
        '-' => Standing::Failing,
        _ => Standing::Unknown,
    }))
}

fn of_standby(share: &Share, seen: &str) -> Expected {
    expected(Role::Standby, Some(share), sight(seen))
}

#[test]
fn a_node_has_the_role_of_the_list_it_is_in() {
    let cluster = Cluster::Whole(nodes("n1 n3", "n2"));
    assert_eq!(role(&cluster, "n1", "dc1"), "Active");
    assert_eq!(role(&cluster, "n2", "dc1"), "Standby");
    assert_eq!(
        role(&cluster, "n9", "dc1"),
        r#"Local node address [n9] must be in either active ["n1", "n3"] or standby ["n2"] node list!"#
    );
    assert_eq!(role(&Cluster::Alone, "n9", "dc1"), "Standalone");
    let everywhere = Share::new(Placement::new((None, None), (None, None)).unwrap());
    assert_eq!(role(&Cluster::Whole(everywhere), "n9", "dc1"), "Active");
}

#[test]
fn a_datacenter_must_exist_and_be_one_of_both() {
    let cluster = Cluster::Whole(datacenters("dc1", "dc2"));
    assert_eq!(
        (role(&cluster, "n1", "dc1"), role(&cluster, "n1", "dc2")),
        ("Active".into(), "Standby".into())
    );
    let error =
        "Local server's datacenter [dc10] must be either the active [dc1] or standby [dc2] datacenter!";
    assert_eq!(role(&cluster, "n1", "dc10"), error);
    let error = r#"Standby datacenter [dc3] not valid, available datacenters: ["dc1", "dc2", "dc10"]"#;
    assert_eq!(role(&Cluster::Whole(datacenters("dc1", "dc3")), "n1", "dc1"), error);
}

#[test]
fn bug_20_a_datacenter_is_compared_as_a_whole() {
    let cluster = Cluster::Whole(datacenters("dc10", "dc1"));
    assert_eq!(
        (role(&cluster, "n1", "dc1"), role(&cluster, "n1", "dc10")),
        ("Standby".into(), "Active".into())
    );
}

#[test]
fn what_makes_no_sense_is_told_in_the_old_words() {
    let new = |active, standby, pair: (Option<&str>, Option<&str>)| {
        let list = |text: Option<&str>| text.map(names);
        let pair = (pair.0.map(str::to_owned), pair.1.map(str::to_owned));
        Placement::new((list(active), list(standby)), pair).unwrap_err().to_string()
    };
    let half = "Must specify both active/standby nodes attributes";
    assert_eq!(new(Some("a"), None, (None, None)), half);
    assert_eq!(new(None, Some("a"), (None, None)), half);
    let half = "Must specify both active/standby datacenters attributes";
    assert_eq!(new(None, None, (Some("a"), None)), half);
    let both = "Active/standby datacenters and nodes options are mutually exclusive!";
    assert_eq!(new(Some("a"), Some("b"), (Some("a"), Some("b"))), both);
    let twice = "Node [b] must not be in both the active and the standby node list!";
    assert_eq!(new(Some("a b"), Some("b"), (None, None)), twice);
}

#[test]
fn a_host_belongs_to_the_only_group_that_matches_the_start_of_its_name() {
    let cluster = groups(&[("web-", nodes("web-1", "web-2")), ("db", nodes("db1", "db2"))]);
    assert_eq!(role(&cluster, "web-2", "dc1"), "Standby");
    assert_eq!(role(&cluster, "db1", "dc1"), "Active");
    assert_eq!(role(&cluster, "my-web-1", "dc1"), "Host must match at least one cluster filter!");
    let several = groups(&[("web", nodes("web-1", "web-2")), ("w|x", nodes("a", "b"))]);
    assert_eq!(
        role(&several, "web-1", "dc1"),
        r#"Host [web-1] must match only one cluster filter, not several: ["web", "w|x"]"#
    );
    let error = HostPattern::new("web(").unwrap_err().to_string();
    assert!(error.starts_with("Cluster filter [web(] is no regular expression: "), "{error}");
}

#[test]
fn a_standby_is_expected_to_be_stopped_while_any_active_node_passes() {
    let share = nodes("a b", "c");
    assert_eq!(of_standby(&share, "+-"), Expected::Stopped);
    assert_eq!(of_standby(&share, "--"), Expected::Running);
    for role in [Role::Standalone, Role::Active] {
        assert_eq!(expected(role, Some(&share), sight("--")), Expected::Running);
    }
    assert_eq!(expected(Role::Standby, None, sight("+")), Expected::Running);
}

#[test]
fn bug_2_a_dead_node_is_noticed() {
    // A node that Consul has forgotten is as dead as one that it knows to be.
    let seen = BTreeMap::from([("a".to_owned(), Standing::Failing)]);
    let sight = Sight::of_nodes(&names("a b"), &seen, true);
    assert_eq!(sight, Sight { failing: 2, ..Sight::default() });
    assert_eq!(expected(Role::Standby, Some(&nodes("a b", "c")), sight), Expected::Running);
}

#[test]
fn bug_8_an_unreachable_datacenter_matters_only_where_an_active_node_may_be_in_it() {
    let seen = |node: &str, standing| BTreeMap::from([(node.to_owned(), standing)]);
    let share = nodes("a", "c");
    let of = |seen: &BTreeMap<_, _>| {
        expected(Role::Standby, Some(&share), Sight::of_nodes(&names("a"), seen, false))
    };
    assert_eq!(of(&seen("a", Standing::Passing)), Expected::Stopped);
    assert_eq!(of(&seen("a", Standing::Failing)), Expected::Running);
    assert_eq!(of(&seen("z", Standing::Passing)), Expected::Unknown);
}

#[test]
fn bug_19_more_than_one_active_node_can_be_asked_for() {
    let share = Share { enough: NonZeroUsize::new(2).unwrap(), ..nodes("a b", "c") };
    assert_eq!(of_standby(&share, "++"), Expected::Stopped);
    assert_eq!(of_standby(&share, "+-"), Expected::Running);
    assert_eq!(of_standby(&share, "+?"), Expected::Unknown);
    // More than there are cannot be asked for.
    let share = Share { enough: NonZeroUsize::new(9).unwrap(), ..nodes("a b", "c") };
    assert_eq!(of_standby(&share, "++"), Expected::Stopped);
}

#[test]
fn bug_6_only_the_group_of_the_host_is_exchanged() {
    let cluster = groups(&[("web", nodes("web1", "web2")), ("db", nodes("db1", "db2"))]);
    let exchanged = cluster.exchanged("web2").unwrap();
    assert_eq!(exchanged, groups(&[("web", nodes("web2", "web1")), ("db", nodes("db1", "db2"))]));
    assert_eq!(exchanged.exchanged("web1").unwrap(), cluster);
    assert_eq!(cluster.exchanged("other"), Err(ClusterError::NoGroup));
}

#[test]
fn bug_5_who_does_not_run_it_takes_no_role() {
    let share = nodes("a", "b");
    let standby = |runs, may| change(Role::Standby, Some(&share), Expected::Running, runs, may);
    assert_eq!(standby(true, true), Some(Change::Exchange));
    assert_eq!((standby(false, true), standby(true, false)), (None, None));
    assert_eq!(change(Role::Active, Some(&share), Expected::Running, true, true), None);
    assert_eq!(change(Role::Standby, Some(&share), Expected::Unknown, true, true), None);
}

#[test]
fn bug_5_roles_are_exchanged_only_after_that_was_so_for_a_while() {
    let after = |seconds: &[u64]| {
        let mut before = None;
        let mut due = Vec::new();
        for second in seconds {
            let (vacancy, now_due) = Patience::USUAL.again(before, Duration::from_secs(*second));
            before = Some(vacancy);
            due.push(now_due);
        }
        due
    };
    assert_eq!(after(&[100, 110, 120, 130]), [false, false, true, true]);
    assert_eq!(after(&[100, 101, 102, 119, 120]), [false, false, false, false, true]);
    // After too long a pause, and after the machine was started anew, it begins again.
    assert_eq!(after(&[100, 110, 300, 310, 320]), [false, false, false, false, true]);
    assert_eq!(after(&[1_000, 1_010, 30, 40, 50]), [false, false, false, false, true]);
}

#[test]
fn a_lock_stays_until_an_active_node_passes() {
    let share = Share { locked: true, ..nodes("a", "b") };
    let of = |expected| change(Role::Standby, Some(&share), expected, true, true);
    assert_eq!(of(Expected::Stopped), Some(Change::Unlock));
    assert_eq!((of(Expected::Running), of(Expected::Unknown)), (None, None));
    let cluster = Cluster::Whole(share);
    assert_eq!(cluster.unlocked("b").unwrap(), Cluster::Whole(nodes("a", "b")));
    assert!(cluster.agrees_with(&Cluster::Whole(nodes("a", "b"))));
    assert!(!cluster.agrees_with(&Cluster::Whole(nodes("b", "a"))));
}
