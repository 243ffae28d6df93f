use insta::assert_snapshot;
use lictor_core::{Compare, Condition, Trigger};

use crate::testing::{mistakes, parsed};

const WATCHES: &str = r#"
watch "exec" "w" {
  command = ["x"]
  match "odd" {
    contains = "odd"
  }
}
watch "tcp" "odd.name" {
  address = "h:1"
}
watch "tcp" "5" {
  address = "h:1"
}
check "all" {
  all = [check.w, check["odd.name"], check.5]
}
"#;

fn rule(on: &str, guard: &str) -> String {
    let guard = if guard.is_empty() { String::new() } else { format!("  guard = {guard}\n") };
    format!(
        "{WATCHES}rule \"r\" {{\n  on = {on}\n{guard}  act \"exec\" {{\n    command = [\"x\"]\n  }}\n}}\n"
    )
}

#[track_caller]
fn triggers(on: &str) -> Vec<Trigger> {
    parsed(&rule(on, "")).config.plan.remedies.values().next().unwrap().on.clone()
}

#[track_caller]
fn condition(on: &str) -> Condition {
    match triggers(on).pop().unwrap() {
        Trigger::When(condition) => condition,
        other => panic!("{other:?}"),
    }
}

#[test]
fn operators_bind_as_in_hcl() {
    let shape = |on: &str| match condition(on) {
        Condition::All(parts) => format!("all {}", parts.len()),
        Condition::Any(parts) => format!("any {}", parts.len()),
        Condition::Not(_) => "not".to_owned(),
        Condition::Is { .. } => "is".to_owned(),
        Condition::Value { .. } => "value".to_owned(),
        Condition::Text { .. } => "text".to_owned(),
    };
    let a = "check.w == \"critical\"";
    assert_eq!(shape(a), "is");
    assert_eq!(shape("check.w != \"passing\""), "not");
    assert_eq!(shape("\"critical\" == check.w"), "is");
    assert_eq!(shape("no_data(check.w)"), "is");
    assert_eq!(shape(&format!("{a} && {a} && {a}")), "all 3");
    assert_eq!(shape(&format!("{a} || {a} && {a}")), "any 2");
    assert_eq!(shape(&format!("({a} || {a}) && {a}")), "all 2");
    assert_eq!(shape(&format!("!({a} || {a})")), "not");
    assert_eq!(shape("value.w.load >= -1.5"), "value");
    assert_eq!(shape("value.w.state == \"up\""), "text");
    assert_eq!(shape("\"up\" != value.w.state"), "not");
    assert_eq!(shape("rate(value.w.errors, \"5m\") > 0.5"), "value");
    assert_eq!(shape("check[\"odd.name\"] == \"warning\""), "is");
    assert_eq!(shape("check.5 == \"unknown\""), "is");
    assert_eq!(shape("check.all == \"warning\""), "is");
}

#[test]
fn a_comparison_may_be_written_either_way_round() {
    let compare = |on: &str| match condition(on) {
        Condition::Value { op, number, .. } => (op, number),
        other => panic!("{other:?}"),
    };
    assert_eq!(compare("value.w.load > 90"), (Compare::Greater, 90.0));
    assert_eq!(compare("90 < value.w.load"), (Compare::Greater, 90.0));
    assert_eq!(compare("90 >= value.w.load"), (Compare::LessOrEqual, 90.0));
    assert_eq!(compare("0.5 != value.w.load"), (Compare::NotEqual, 0.5));
}

#[test]
fn events_stand_beside_conditions() {
    let kinds = |on: &str| {
        let kind = |trigger: &Trigger| match trigger {
            Trigger::When(_) => "when",
            Trigger::Match { .. } => "match",
            Trigger::Changed { .. } => "changed",
        };
        triggers(on).iter().map(kind).collect::<Vec<_>>()
    };
    let condition = "check.w == \"critical\"";
    assert_eq!(kinds("match.w.odd"), ["match"]);
    assert_eq!(kinds("match.exec.w.odd"), ["match"]);
    assert_eq!(kinds("changed(value.w.serial)"), ["changed"]);
    assert_eq!(kinds(&format!("[match.w.odd, {condition}]")), ["match", "when"]);
    assert_eq!(
        kinds(&format!("match.w.odd || {condition} || changed(value.w.x)")),
        ["match", "when", "changed"]
    );
    assert_eq!(kinds(&format!("{condition} || {condition}")), ["when"]);
}

#[test]
fn what_is_no_condition_says_why() {
    let wrong = |on: &str| {
        mistakes(&rule(on, ""))
            .lines()
            .map(|line| line.split_once(": ").unwrap().1.to_owned())
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_snapshot!(wrong("check.w"), @r#"`check.w` alone is not a condition (compare it: check.w == "critical") [LIC0501]"#);
    assert_snapshot!(wrong("value.w.load"), @"`value.w.load` alone is not a condition (compare it: value.w.load > 90) [LIC0501]");
    assert_snapshot!(wrong("check.w.load > 5"), @r#"`check.w.load` cannot be compared with a number (a check is check.NAME and has a status: check.NAME == "critical") [LIC0503]"#);
    assert_snapshot!(wrong("value.w > 5"), @"`value.w` cannot be compared with a number (a value is value.CHECK.VALUE and a number: value.CHECK.VALUE > 90) [LIC0503]");
    assert_snapshot!(wrong("check.w == \"broken\""), @"`broken` is not a status (known here: `critical`, `passing`, `unknown`, `warning`) [LIC0306]");
    assert_snapshot!(wrong("check.w == 5"), @r#"`check.w` cannot be compared with a number (a check is check.NAME and has a status: check.NAME == "critical") [LIC0503]"#);
    assert_snapshot!(wrong("check.w >= \"warning\""), @"statuses have no order here (use `==` or `!=`, joined by `||`) [LIC0503]");
    assert_snapshot!(wrong("check.w == check.all"), @"a reference and a reference cannot be compared (compare a check with a status, or a value with a number) [LIC0503]");
    assert_snapshot!(wrong("value.w.load + 5 > 90"), @"an expression and a number cannot be compared (compare a check with a status, or a value with a number) [LIC0503]");
    assert_snapshot!(wrong("chek.w == \"critical\""), @"`chek.w` cannot be compared with a status (did you mean `check`?) [LIC0503]");
    assert_snapshot!(wrong("true"), @r#"a truth value is not a condition (write a comparison, such as check.NAME == "critical" or value.NAME.VALUE > 90) [LIC0501]"#);
    assert_snapshot!(wrong("\"check.w\""), @"text stands where an expression is expected (write it without quotes) [LIC0206]");
    assert_snapshot!(wrong("check.w ? 1 : 2"), @r#"a choice by `?` is not a condition (write a comparison, such as check.NAME == "critical" or value.NAME.VALUE > 90) [LIC0501]"#);
    assert_snapshot!(wrong("check[*].x == \"critical\""), @"an access to a part of a value and text cannot be compared (compare a check with a status, or a value with a number) [LIC0503]");
    assert_snapshot!(wrong("nodata(check.w)"), @"unknown function `nodata` (did you mean `no_data`?) [LIC0501]");
    assert_snapshot!(wrong("no_data(value.w.x)"), @"`value.w.x` is not check.NAME [LIC0206]");
    assert_snapshot!(wrong("no_data()"), @"write no_data(check.NAME) [LIC0501]");
    assert_snapshot!(wrong("no_data([check.w, check.all])"), @"write no_data(check.NAME) [LIC0501]");
    assert_snapshot!(wrong("check.w = \"critical\""), @"unexpected `=` (set a value by `name = value`; compare by `==`) [LIC0101]");
}

#[test]
fn events_that_cannot_be_say_why() {
    let wrong = |on: &str| {
        mistakes(&rule(on, ""))
            .lines()
            .map(|line| line.split_once(": ").unwrap().1.to_owned())
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_snapshot!(wrong("match.w.od"), @"`w` has no `match` block named `od` (did you mean `odd`?) [LIC0401]");
    assert_snapshot!(wrong("match.tcp.w.odd"), @"`w` is a watcher of kind `exec`, not `tcp` [LIC0401]");
    assert_snapshot!(wrong("match.exec.all.odd"), @"`all` is a check, not a watcher of kind `exec` [LIC0401]");
    assert_snapshot!(wrong("match.w"), @"`match.w` is not a reference (a match is match.CHECK.PATTERN) [LIC0501]");
    assert_snapshot!(wrong("changed(check.w)"), @"`changed` needs a value (write changed(value.CHECK.VALUE), or with what it changes to, or from and to) [LIC0501]");
    assert_snapshot!(wrong("match.w.odd && check.w == \"critical\""), @"a match is an event and never holds, so it cannot be a condition or part of one (events can only start something: put it into `on`, alone, in a list, or joined by `||`) [LIC0502]");
    assert_snapshot!(wrong("!changed(value.w.x)"), @"a change of a value is an event and never holds, so it cannot be a condition or part of one (events can only start something: put it into `on`, alone, in a list, or joined by `||`) [LIC0502]");
    assert_snapshot!(mistakes(&rule("match.w.odd", "changed(value.w.x)")), @"19:11: a change of a value is an event and never holds, so it cannot be a condition or part of one (events can only start something: put it into `on`, alone, in a list, or joined by `||`) [LIC0502]");
}

#[test]
fn a_rate_is_kept_by_the_check_whose_value_it_is_of() {
    let rule = rule("rate(value.w.errors, \"5m\") > 3 || 1 < rate(value.w.errors, \"1m\")", "");
    let plan = &parsed(&rule).config.plan;
    let rates = plan.checks.iter().flat_map(|(check, plan)| plan.rates.iter().map(move |rate| (check, rate)));
    let rates: Vec<String> = rates
        .map(|(check, rate)| format!("{check} {} of {} in {:?}", rate.name, rate.of, rate.within))
        .collect();
    let wanted = ["w errors.per_second.60s of errors in 60s", "w errors.per_second.300s of errors in 300s"];
    assert_eq!(rates, wanted);
    let on = plan.remedies.values().next().unwrap().on[0].to_string();
    assert_eq!(on, "(value.w.errors.per_second.300s > 3 || value.w.errors.per_second.60s > 1)");
}

#[test]
fn a_change_may_be_one_from_something_to_something() {
    let shown = |on: &str| triggers(on)[0].to_string();
    for written in
        ["changed(value.w.x)", "changed(value.w.x, 1)", "changed(value.w.x, \"active\", \"failed\")"]
    {
        assert_eq!(shown(written), written);
    }
}

#[test]
fn what_is_wrong_with_rates_changes_and_texts() {
    let wrong = |on: &str| mistakes(&rule(on, "")).split_once(": ").unwrap().1.to_owned();
    assert_snapshot!(wrong("rate(value.w.x, \"5m\")"), @r#"a rate alone is not a condition (compare it: rate(value.CHECK.VALUE, "5m") > 3, in changes per second) [LIC0501]"#);
    assert_snapshot!(wrong("rate(value.w.x) > 3"), @r#"`rate` needs a value and a time (write rate(value.CHECK.VALUE, "5m")) [LIC0501]"#);
    assert_snapshot!(wrong("rate(check.w, \"5m\") > 3"), @r#"`check.w` cannot be compared with a number (a check is check.NAME and has a status: check.NAME == "critical") [LIC0503]"#);
    assert_snapshot!(wrong("rate(value.w.x, \"soon\") > 3"), @r#"`soon` is not a duration (write rate(value.CHECK.VALUE, "5m")) [LIC0206]"#);
    assert_snapshot!(wrong("rate(value.w.x, \"2d\") > 3"), @"`2d` is not between 1s and 1d [LIC0302]");
    assert_snapshot!(wrong("changed(value.w.x, 1, 2, 3)"), @"`changed` has too many arguments (write changed(value.CHECK.VALUE, FROM, TO)) [LIC0501]");
    assert_snapshot!(wrong("changed(value.w.x, [1])"), @"a value changes to a number or a text, not to a list [LIC0501]");
    assert_snapshot!(wrong("value.w.state < \"up\""), @"texts have no order here (use `==` or `!=`, or compare with a number) [LIC0503]");
}

#[test]
fn values_that_nobody_reports_are_told() {
    let told = |on: &str| {
        let found: Vec<String> =
            parsed(&rule(on, "")).warnings.iter().map(crate::Problem::one_line).collect();
        found.join("\n")
    };
    assert_eq!(told("value[\"odd.name\"].total_seconds > 1 || value.w.anything > 1"), "");
    assert_snapshot!(told("value[\"odd.name\"].total > 1 || value.all.x > 1"), @r#"
    x.hcl:18:26: the watcher `odd.name` reports no value `total` (known here: `certificate_days`, `connect_seconds`, `dns_seconds`, `first_byte_seconds`, `tls_seconds`, `total_seconds`) [LIC0907]
    x.hcl:18:49: `all` is a check over checks and has no values [LIC0907]
    "#);
}
