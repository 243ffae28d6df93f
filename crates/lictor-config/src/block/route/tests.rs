use insta::assert_snapshot;
use lictor_core::alert::{Route, Subject};
use lictor_core::{NotifierName, Status};

use crate::testing::{mistakes, parsed};

/// Behind a text, so that its lines keep their numbers.
const NOTIFIERS: &str = r#"
watch "heartbeat" "w" {
  within = "1m"
}
notify "log" "ops" {
  path = "/var/log/ops.log"
}
notify "log" "mail" {
  path = "/var/log/mail.log"
}
"#;

fn routes(text: &str) -> Vec<Route> {
    parsed(&format!("{text}\n{NOTIFIERS}")).config.alerts.plan.routes.clone()
}

fn warnings(text: &str) -> String {
    let warnings = parsed(&format!("{text}\n{NOTIFIERS}")).warnings;
    let line = |problem: &crate::Problem| problem.one_line().trim_start_matches("x.hcl:").to_owned();
    warnings.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn names(routes: &[Route]) -> Vec<&str> {
    routes.iter().map(|route| route.name.as_str()).collect()
}

#[test]
fn a_few_lines_are_a_route() {
    let routes = routes(
        r#"route {
  status       = ["critical"]
  to           = ["ops"]
  remind_every = "30m"
}"#,
    );
    let route = &routes[0];
    assert_eq!(route.to, [NotifierName::new("ops").unwrap()]);
    assert_eq!(route.status, [Status::Critical].into());
    assert_eq!(route.remind_every.map(|every| every.as_secs()), Some(1_800));
    assert_eq!((route.group_wait.as_secs(), route.group_interval.as_secs()), (1, 15));
    assert_eq!((route.when.0.len(), route.group_by.len()), (0, 0));
    assert_eq!((route.resolved, route.go_on), (true, false));
}

#[test]
fn everything_is_taken_over() {
    let routes = routes(
        r#"route "night" {
  check          = "c"
  service        = "/s/"
  node           = ["n", "m"]
  datacenter     = "d"
  source         = "consul"
  tag            = "t"
  labels         = { team = "x" }
  status         = ["critical", "warning"]
  to             = ["ops", "mail"]
  group_by       = ["node", "team"]
  group_wait     = "0s"
  group_interval = "1m"
  resolved       = false
  continue       = true
  not {
    node = "lab"
  }
}"#,
    );
    let route = &routes[0];
    assert_eq!(
        route.when.to_string(),
        "check=c, service=/s/, node=n,m, datacenter=d, source=consul, tag=t, team=x, node!=lab"
    );
    assert_eq!((route.name.as_str(), route.status.len(), route.to.len()), ("night", 2, 2));
    assert_eq!(route.group_by, ["node", "team"]);
    assert_eq!(
        (route.group_wait.as_secs(), route.group_interval.as_secs(), route.remind_every),
        (0, 60, None)
    );
    assert_eq!((route.resolved, route.go_on), (false, true));
}

#[test]
fn routes_are_asked_in_order_until_one_takes_it() {
    let text = r#"
route "all" {
  to       = ["mail"]
  continue = true
}
route "web" {
  check = "/web/"
  to    = ["ops"]
}
route "rest" {
  to = ["mail"]
}"#;
    let plan = parsed(&format!("{text}\n{NOTIFIERS}")).config.alerts.plan.clone();
    let of = |check: &str| -> Vec<String> {
        plan.routes_of(&Subject::own("n", check), Status::Critical)
            .map(|route| route.name.to_string())
            .collect()
    };
    assert_eq!(of("web"), ["all", "web"]);
    assert_eq!(of("disk"), ["all", "rest"]);
}

#[test]
fn a_route_without_a_name_is_called_after_those_it_leads_to() {
    let route = |to: &str| format!("route {{\n node = \"x\"\n to = [{to}]\n}}\n");
    let text = route("\"ops\"") + &route("\"ops\", \"mail\"") + &route("") + &route("\"ops\"");
    assert_eq!(names(&routes(&text)), ["ops", "ops:mail", "nobody", "ops-2"]);
    let taken = format!("{}route \"ops\" {{\n to = [\"ops\"]\n}}", route("\"ops\""));
    assert_eq!(names(&routes(&taken)), ["ops-2", "ops"]);
}

#[test]
fn what_nobody_hears_of_is_warned_of() {
    let text = r#"route "first" {
  status = ["critical"]
  to     = ["ops"]
}
route {
  to = ["ops"]
}
route {
  node = "x"
  to   = ["ops"]
}"#;
    assert_snapshot!(warnings(text), @r#"
    8:1: no alert comes this far: the route `ops` before it takes them all (add `continue = true` to that one, or write it last) [LIC0911]
    19:14: no route leads to the notifier `mail` (add `to = ["mail"]` to a route) [LIC0910]
    "#);
    assert_eq!(warnings("route {\n to = [\"ops\"]\n continue = true\n}\nroute {\n to = [\"mail\"]\n}"), "");
    assert_eq!(warnings(""), "", "without a route all of them tell");
    let digest = "route {\n to = [\"ops\"]\n}\nalerts {\n digest \"d\" {\n to = [\"mail\"]\n cron = \"0 8 * * *\"\n }\n}";
    assert_eq!(warnings(digest), "");
}

#[test]
fn its_mistakes() {
    let text = r#"
route "a b" {
  to     = ["opps"]
  status = ["critcal", "passing"]
}
route "twice" {
}
route "twice" {
  to             = ["ops", "ops"]
  status         = []
  group_by       = ["node", "node"]
  group_wait     = "2h"
  group_interval = 5
  remind_every   = "0s"
  resolved       = "yes"
  continue       = 1
  contineu       = true
}
route "x" "y" {
  to = ["ops"]
}
route {
  to     = "mial"
  labels = ["x"]
  act "exec" {
  }
}
"#;
    assert_snapshot!(mistakes(&format!("{text}{NOTIFIERS}")), @r#"
    2:7: a name has letters, digits, `_`, `-`, `.`, `:`, `@` and `/`, not ' ' [LIC0303]
    3:13: no notifier is named `opps` (did you mean `ops`?) [LIC0401]
    4:13: `status` cannot be `critcal` (did you mean `critical`?) [LIC0306]
    4:24: `passing` is nothing that is wrong (that it is over is told by `resolved = true`) [LIC0306]
    6:1: `to` of `route "twice"` is missing (add `to = …`, a list of texts such as ["a", "b"]) [LIC0203]
    8:7: the route `twice` is defined twice (first here: x.hcl:6:7) [LIC0204]
    9:28: `ops` stands twice in `to` (first here: x.hcl:9:21) [LIC0204]
    10:20: `status` is empty: nothing would ever be told (to tell nobody write `to = []`) [LIC0203]
    11:29: `node` stands twice in `group_by` [LIC0204]
    12:20: `group_wait` is between 0s and 1h, not 2h [LIC0302]
    13:20: `group_interval` is a duration and needs a unit (write "5s" for seconds) [LIC0301]
    14:20: `remind_every` is between 1s and 3650d, not 0s [LIC0302]
    15:20: `resolved` is true or false, not text [LIC0206]
    16:20: `continue` is true or false, not a number [LIC0206]
    17:3: unknown attribute `contineu` in `route "twice"` (did you mean `continue`?) [LIC0201]
    19:1: `route` has at most one label, not 2 (write route ["NAME"] { … }) [LIC0205]
    23:12: no notifier is named `mial` (did you mean `mail`?) [LIC0401]
    24:12: `labels` is an object such as { team = "db" }, not a list [LIC0206]
    25:3: unknown block `act` in `route` [LIC0202]
    "#);
}
