use std::time::Duration;

use insta::assert_snapshot;
use lictor_core::alert::{AlertPlan, Subject, SubjectKey, text};

use crate::model::{Alerts, ConsulChecks, LifeSignTo};
use crate::testing::{json_mistakes, mistakes, parsed};

/// Behind a text, so that its lines keep their numbers.
const NOTIFIERS: &str = r#"
notify "log" "ops" {
  path = "/var/log/ops.log"
}
notify "log" "mail" {
  path = "/var/log/mail.log"
}
"#;

fn alerts(text: &str) -> Alerts {
    Alerts::clone(&parsed(&format!("{text}\n{NOTIFIERS}")).config.alerts)
}

fn plan(text: &str) -> AlertPlan {
    AlertPlan::clone(&alerts(text).plan)
}

/// A check of Consul's on node `n` in `dc1`.
fn consul(service: &str, check: &str) -> Subject {
    let labels = [
        ("source", "consul"),
        ("datacenter", "dc1"),
        ("node", "n"),
        ("service", service),
        ("check", check),
        ("check_id", check),
    ];
    let key = SubjectKey::consul("dc1", "n", service, check);
    Subject { key, labels: text(&labels), tags: ["blue".to_owned()].into() }
}

#[test]
fn without_anything_there_is_no_plan() {
    let alerts = parsed("").config.alerts;
    assert_eq!(*alerts, Alerts::default());
}

#[test]
fn without_a_route_every_notifier_tells_everything() {
    let plan = plan("");
    let [route] = plan.routes.as_slice() else { panic!("{:?}", plan.routes) };
    let to: Vec<&str> = route.to.iter().map(lictor_core::NotifierName::as_str).collect();
    assert_eq!((route.name.as_str(), to), ("default", vec!["mail", "ops"]));
    assert_eq!((route.when.0.len(), route.status.len(), route.resolved), (0, 3, true));
    assert_eq!(plan.notifiers.len(), 2);
}

#[test]
fn a_selection_is_what_must_fit_and_what_must_not() {
    let selected =
        |lines: &str| plan(&format!("alerts {{\n ignore {{\n{lines}\n }}\n}}")).ignored[0].to_string();
    assert_eq!(selected("check = \"a\""), "check=a");
    assert_eq!(selected("node = [\"a\", \"/^b/\"]"), "node=a,/^b/");
    assert_eq!(selected("service = \"\""), "service=");
    assert_eq!(
        selected(
            "tag = \"t\"\nsource = \"consul\"\ndatacenter = \"d\"\nservice = \"s\"\nnode = \"n\"\ncheck = \"c\""
        ),
        "check=c, service=s, node=n, datacenter=d, source=consul, tag=t"
    );
    assert_eq!(selected("labels = { team = [\"a\", \"b\"], check_id = \"/x/\" }"), "team=a,b, check_id=/x/");
    assert_eq!(selected("labels {\n team = \"a\"\n}"), "team=a");
    assert_eq!(
        selected("check = \"c\"\nnot {\n node = \"n\"\n labels = { team = \"a\" }\n}"),
        "check=c, node!=n, team!=a"
    );
    assert_eq!(selected("not = { node = \"n\" }"), "node!=n");
    assert_eq!(selected("check = \"/a/b\""), "check=\"/a/b\"", "no pattern: it does not end with a slash");
}

#[test]
fn a_pattern_is_found_anywhere_and_a_text_is_the_same() {
    let holds = |lines: &str| {
        plan(&format!("alerts {{\n ignore {{\n{lines}\n }}\n}}")).ignored[0].hold(&consul("web", "http"))
    };
    assert!(holds("check = \"/tt/\""));
    assert!(!holds("check = \"tt\""));
    assert!(holds("tag = [\"green\", \"blue\"]"));
    assert!(!holds("not {\n tag = \"/bl/\"\n}"));
    assert!(holds("labels = { team = \"\" }"), "what is not there is an empty text");
    assert!(!holds("service = \"web\"\nnode = \"other\""));
}

/// The narrowest threshold is in force, wherever it is written.
#[test]
fn the_narrowest_threshold_is_in_force() {
    let single = ("single", "check = \"http\"\nservice = \"web\"\nnode = \"n\"\n");
    let check = ("check", "check = \"/ht/\"\n");
    let service = ("service", "service = \"web\"\n");
    let node = ("node", "node = \"n\"\n");
    let global = ("global", "");
    let all = [single, check, service, node, global];
    let forwards: Vec<_> = (0..all.len()).map(|from| &all[from..]).collect();
    for kinds in forwards {
        for reversed in [false, true] {
            let mut blocks: Vec<String> = kinds
                .iter()
                .map(|(name, lines)| {
                    let seconds = all.iter().position(|(known, _)| known == name).unwrap() + 1;
                    format!(
                        "threshold {{\n{lines} for = \"{seconds}s\"\n recover_for = \"{}s\"\n}}\n",
                        seconds * 10
                    )
                })
                .collect();
            if reversed {
                blocks.reverse();
            }
            let plan = plan(&format!("alerts {{\n{}\n}}", blocks.concat()));
            let (bad, good) = plan.threshold(&consul("web", "http"));
            let expected = u64::try_from(all.len() - kinds.len() + 1).unwrap();
            assert_eq!(
                (bad.as_secs(), good.as_secs()),
                (expected, expected * 10),
                "{} of {kinds:?}",
                kinds[0].0
            );
        }
    }
}

#[test]
fn equally_narrow_thresholds_are_asked_in_the_order_of_the_text() {
    let text = r#"alerts {
  threshold {
    labels = { check_id = "/h/" }
    for    = "1s"
  }
  threshold {
    check = "http"
    for   = "2s"
  }
  threshold {
    check   = "/http/"
    service = "web"
    node    = "n"
    for     = "3s"
  }
  threshold {
    node = "n"
    for  = "4s"
  }
  threshold {
    not {
      check = "x"
    }
    for = "5s"
  }
}"#;
    let plan = plan(text);
    let order: Vec<u64> = plan.thresholds.iter().map(|threshold| threshold.bad_for.as_secs()).collect();
    assert_eq!(order, [1, 2, 3, 4, 5], "a pattern is no single check, and what is left out does not narrow");
    assert_eq!(plan.threshold(&consul("web", "http")).0.as_secs(), 1);
    assert_eq!(plan.threshold(&consul("", "mem")).0.as_secs(), 4);
    assert_eq!(plan.threshold(&Subject::own("m", "x")), (Duration::ZERO, Duration::ZERO));
}

#[test]
fn an_alert_of_our_own_may_be_silent_or_depend_on_others() {
    let text = r#"
watch "heartbeat" "router" {
  within = "1m"
  alert  = true
}
watch "heartbeat" "shop" {
  within     = "1m"
  depends_on = ["router", check.database]
}
watch "heartbeat" "noise" {
  within = "1m"
  alert  = false
}
check "database" {
  all        = [check.noise]
  depends_on = check.router
}
"#;
    let plan = plan(text);
    let ignored: Vec<String> = plan.ignored.iter().map(ToString::to_string).collect();
    assert_eq!(ignored, ["source=own, check=noise"]);
    let muted = plan.inhibitions.iter().map(|one| {
        format!("{} > {} by {} after {:?}", one.source, one.target, one.equal.join(","), one.wait)
    });
    assert_snapshot!(muted.collect::<Vec<_>>().join("\n"), @r"
    source=own, check=router > source=own, check=shop by node after 10s
    source=own, check=database > source=own, check=shop by node after 10s
    source=own, check=router > source=own, check=database by node after 10s
    ");
}

#[test]
fn what_depends_on_itself_is_named() {
    let watch = |name: &str, lines: &str| {
        format!("watch \"heartbeat\" \"{name}\" {{\n within = \"1m\"\n{lines}\n}}\n")
    };
    let circle = watch("a", "depends_on = [\"b\"]")
        + &watch("b", "depends_on = [\"c\"]")
        + &watch("c", "depends_on = [\"a\"]");
    assert_snapshot!(mistakes(&circle), @"1:19: the alerts of these checks depend on each other in a circle: a → b → c → a [LIC0402]");
    assert_snapshot!(mistakes(&watch("a", "depends_on = check.a")), @"1:19: the alerts of these checks depend on each other in a circle: a → a [LIC0402]");
    let odd = watch("a", "depends_on = [\"bb\", 5, check.cc, \"b\", \"b\"]\n alert = \"no\"")
        + &watch("b", "depends_on = true");
    assert_snapshot!(mistakes(&odd), @r"
    3:15: no watcher or check is named `bb` (known here: `a`, `b`) [LIC0401]
    3:21: `depends_on` is check.NAME, or a list of those, not a number [LIC0206]
    3:30: no watcher or check is named `cc` (known here: `a`, `b`) [LIC0401]
    3:39: `b` stands twice in `depends_on` (first here: x.hcl:3:34) [LIC0204]
    4:10: `alert` is true or false, not text [LIC0206]
    8:14: `depends_on` is check.NAME, or a list of those, not a truth value [LIC0206]
    ");
}

#[test]
fn the_checks_of_consul_are_watched_when_that_is_written() {
    let of = |inner: &str| {
        let alerts = alerts(&format!("consul {{}}\nalerts {{\n{inner}\n}}"));
        (alerts.consul.clone(), alerts.plan.inhibitions.len())
    };
    let checks = |datacenters: &[&str], stale| {
        let datacenters = datacenters.iter().map(ToString::to_string).collect();
        Some(ConsulChecks { datacenters, stale, alone_after: Duration::from_secs(30), paused: false })
    };
    assert_eq!(of(""), (None, 0));
    assert_eq!(of("consul {}"), (checks(&[], false), 1));
    assert_eq!(of("consul = {}"), (checks(&[], false), 1));
    assert_eq!(
        of("consul {\n datacenters = [\"a\", \"b\"]\n stale = true\n}"),
        (checks(&["a", "b"], true), 1)
    );
    assert_eq!(of("consul {\n datacenters = \"a\"\n dead_node_mutes = false\n}"), (checks(&["a"], false), 0));
    let after = of("consul {\n alone_after = \"10s\"\n}").0.map(|checks| checks.alone_after.as_secs());
    assert_eq!(after, Some(10));
}

#[test]
fn a_dead_node_mutes_what_is_on_it() {
    let plan = plan("consul {}\nalerts {\n consul {}\n}");
    let dead = &plan.inhibitions[0];
    assert!(dead.source.hold(&consul("", "serfHealth")) && !dead.source.hold(&consul("web", "http")));
    assert!(dead.target.hold(&consul("web", "http")));
    assert_eq!((dead.equal.join(","), dead.wait), ("node,datacenter".to_owned(), Duration::ZERO));
}

#[test]
fn what_mutes_what_is_taken_over() {
    let text = r#"alerts {
  cluster = "berlin"
  flap    = { changes = 6, within = "10m" }
  inhibit {
    when {
      check = "uplink"
      not {
        node = "lab"
      }
    }
    mutes = { check = "/^remote-/" }
    equal = ["datacenter", "team"]
  }
  inhibit {
    when  = { check = "a" }
    mutes = {}
    equal = "node"
    wait  = "1m"
  }
}"#;
    let plan = plan(text);
    let inhibited = |at: usize| {
        let one = &plan.inhibitions[at];
        (one.source.to_string(), one.target.to_string(), one.equal.join(","), one.wait.as_secs())
    };
    let of = |a: &str, b: &str, c: &str, wait| (a.to_owned(), b.to_owned(), c.to_owned(), wait);
    assert_eq!(inhibited(0), of("check=uplink, node!=lab", "check=/^remote-/", "datacenter,team", 10));
    assert_eq!(inhibited(1), of("check=a", "everything", "node", 60));
    assert_eq!(plan.cluster, "berlin");
    assert_eq!(plan.flap.map(|flap| (flap.changes.get(), flap.within.as_secs())), Some((6, 600)));
}

#[test]
fn the_cluster_is_called_after_its_datacenter() {
    let cluster = |text: &str| plan(text).cluster;
    assert_eq!(cluster(""), "");
    assert_eq!(cluster("consul {\n datacenter = \"c\"\n}"), "c");
    assert_eq!(cluster("node {\n datacenter = \"n\"\n}\nconsul {\n datacenter = \"c\"\n}"), "n");
    assert_eq!(cluster("node {\n datacenter = \"n\"\n}\nalerts {\n cluster = \"a\"\n}"), "a");
}

#[test]
fn services_are_judged_together() {
    let text = r#"alerts {
  service "web" {
    at_least   = 2
    warn_below = 4
    datacenter = "dc1"
    tag        = ["live", "/^v/"]
    instead    = false
  }
  service "/^db-/" {
    at_least = 1
  }
}"#;
    let services = plan(text).services;
    let shown = services.iter().map(|one| {
        let warn = one.warn_below.map_or(0, std::num::NonZeroU32::get);
        format!("{}: {} {warn} {}", one.when, one.at_least, one.instead)
    });
    assert_snapshot!(shown.collect::<Vec<_>>().join("\n"), @r"
    source=consul, service=web, datacenter=dc1, tag=live,/^v/: 2 4 false
    source=consul, service=/^db-/: 1 0 true
    ");
    assert!(!services[0].when.hold(&consul("web", "http")), "its tag is blue");
    assert!(services[1].when.hold(&consul("db-1", "x")));
}

#[test]
fn what_is_said_regularly() {
    let text = r#"alerts {
  heartbeat {
    url = "https://deadman.example/ping"
  }
  heartbeat {
    to    = ["ops", "mail"]
    every = "5m"
  }
  digest "mornings" {
    to       = "mail"
    cron     = "0 8 * * mon-fri"
    timezone = "Europe/Berlin"
    not {
      datacenter = "lab"
    }
  }
  digest "always" {
    to             = ["ops"]
    cron           = "*/30 * * * *"
    also_when_well = false
  }
}"#;
    let alerts = alerts(text);
    let heard: Vec<(usize, u64)> = alerts
        .heartbeats
        .iter()
        .map(|sign| match &sign.to {
            LifeSignTo::Notifiers(to) => (to.len(), sign.every.as_secs()),
            LifeSignTo::Url(url) => {
                (usize::from(url.as_str() != "https://deadman.example/ping"), sign.every.as_secs())
            }
        })
        .collect();
    assert_eq!(heard, [(0, 60), (2, 300)]);
    let digests = alerts.digests.iter().map(|one| {
        format!("{}: {} to {:?} at {} {}", one.name, one.when, one.to, one.at, one.also_when_well)
    });
    assert_snapshot!(digests.collect::<Vec<_>>().join("\n"), @r#"
    mornings: datacenter!=lab to ["mail"] at 0 8 * * mon-fri Europe/Berlin true
    always: everything to ["ops"] at */30 * * * * UTC false
    "#);
}

#[test]
fn all_mistakes_are_found_at_once() {
    let text = r#"
alerts {
  cluster = 5
  clutser = "x"
  flap {
    changes = 1
  }
  consul {
    stale       = "yes"
    datacenters = ["a", "a", ""]
    mute        = true
    dead_node_mutes = 1
  }
  threshold {
    check = 5
    for   = "5"
  }
  threshold {
    node        = []
    recover_for = "-1s"
  }
  threshold "x" {
    for = "1s"
  }
  ignore {
  }
  ignore {
    source = "consull"
    check  = "/a(b/"
    node   = "//"
    labels = { "" = "x", a = 5 }
    not {
      not {
        node = "x"
      }
      chek = "x"
    }
  }
  inhibit {
    when {
    }
    mutes {
    }
    wait = "soon"
  }
  inhibit {
    when  = "x"
    equal = 5
  }
  service "web" {
    at_least   = 3
    warn_below = 3
    tag        = 5
  }
  service "/(/" {
    at_least = 0
    instead  = 1
  }
  service "" {
  }
}
"#;
    assert_snapshot!(mistakes(text), @r#"
    3:13: `cluster` is text in quotes, not a number [LIC0206]
    4:3: unknown attribute `clutser` in `alerts` (did you mean `cluster`?) [LIC0201]
    5:3: `within` of `flap` is missing (add `within = …`, a duration such as "10s") [LIC0203]
    6:15: `changes` is a whole number from 2 to 1000, not 1 [LIC0302]
    8:3: the checks of Consul cannot be watched: no Consul is named (add a block consul { } beside alerts) [LIC0207]
    9:19: `stale` is true or false, not text [LIC0206]
    10:25: `a` stands twice in `datacenters` [LIC0204]
    10:30: an entry of `datacenters` is empty [LIC0203]
    11:5: unknown attribute `mute` in `alerts.consul` (known here: `alone_after`, `datacenters`, `dead_node_mutes`, `stale`) [LIC0201]
    12:23: `dead_node_mutes` is true or false, not a number [LIC0206]
    15:13: `check` is text, a pattern such as "/^web/", or a list of those, not a number [LIC0206]
    16:13: `5` is not a duration (write a number and a unit, or several: 500ms, 10s, 5m, 2h, 7d, 1h 30m) [LIC0301]
    18:3: `for` of `threshold` is missing (add `for = …`, a duration such as "10s") [LIC0203]
    19:19: `node` names nothing that could fit (leave it out, or name at least one) [LIC0203]
    20:19: `recover_for` must not be negative [LIC0302]
    22:3: `threshold` has no label, not 1 (write threshold { … }) [LIC0205]
    25:3: this would ignore every alert (say which alerts are meant, such as node = "lab1") [LIC0203]
    28:14: no alert has the source `consull` (did you mean `consul`?) [LIC0306]
    29:17: not a regular expression: unclosed group [LIC0304]
    30:14: the pattern is empty and fits everything (leave it out, or write what must be found) [LIC0304]
    31:16: a label has no name [LIC0203]
    31:30: `a` is text, a pattern such as "/^web/", or a list of those, not a number [LIC0206]
    33:7: `not` stands in `not` (write what it holds outside of both) [LIC0207]
    36:7: unknown attribute `chek` in `not` (did you mean `check`?) [LIC0201]
    40:5: `when` would be every alert (say which alerts mute the others) [LIC0203]
    42:5: this would mute every other alert (say which alerts are muted, or add `equal`) [LIC0203]
    44:12: `soon` is not a duration (write a number and a unit, or several: 500ms, 10s, 5m, 2h, 7d, 1h 30m) [LIC0301]
    46:3: `mutes` of `inhibit` is missing (add `mutes = …`, an object or a block such as { node = "web1" }) [LIC0203]
    47:13: `when` is an object or a block such as { node = "web1" }, not text [LIC0206]
    48:13: `equal` is a list of texts such as ["a", "b"], not a number [LIC0206]
    52:18: `warn_below` is 3, but below 3 it is critical already (give it a number above `at_least`) [LIC0302]
    53:18: `tag` is text, a pattern such as "/^web/", or a list of those, not a number [LIC0206]
    55:13: not a regular expression: unclosed group [LIC0304]
    56:16: `at_least` is a whole number from 1 to 10000, not 0 [LIC0302]
    57:16: `instead` is true or false, not a number [LIC0206]
    59:3: `at_least` of `service ""` is missing (add `at_least = …`, a whole number) [LIC0203]
    59:11: a service has a name [LIC0303]
    "#);
}

#[test]
fn mistakes_in_what_is_said_regularly() {
    let text = r#"
alerts {
  heartbeat {
    every = "2d"
  }
  heartbeat {
    to  = ["op"]
    url = "ftp://x"
  }
  heartbeat {
    to = []
  }
  digest "a b" {
    to   = ["mail", "mail", "nobody"]
    cron = "0 8 * *"
  }
  digest "b" {
    to       = ["ops"]
    cron     = "0 25 * * *"
    timezone = "Europe/Berln"
  }
  digest "b" {
    cron     = "0 8 30 2 *"
    timezone = "nowhere at all"
    also_when_well = "x"
  }
}
"#;
    assert_snapshot!(mistakes(&format!("{text}{NOTIFIERS}")), @r#"
    3:3: nobody hears this heartbeat (add `url` or `to`) [LIC0203]
    4:13: `every` is between 1s and 1d, not 2d [LIC0302]
    7:12: no notifier is named `op` (did you mean `ops`?) [LIC0401]
    8:11: `to` and `url` exclude each other (the other one: x.hcl:7:11) [LIC0207]
    8:11: `url` is not an http or https URL (use http:// or https://) [LIC0305]
    11:10: `to` names nobody (name at least one notifier) [LIC0203]
    13:10: a name has letters, digits, `_`, `-`, `.`, `:`, `@` and `/`, not ' ' [LIC0303]
    14:21: `mail` stands twice in `to` (first here: x.hcl:14:13) [LIC0204]
    14:29: no notifier is named `nobody` (known here: `mail`, `ops`) [LIC0401]
    15:12: `0 8 * *` is not a time: it has 4 fields, not minute, hour, day, month and weekday (write minute, hour, day of the month, month and weekday, such as "0 2 * * sun") [LIC0308]
    19:16: `0 25 * * *` is not a time: value must be in range 0..=23; found 25 (write minute, hour, day of the month, month and weekday, such as "0 2 * * sun") [LIC0308]
    20:16: there is no time zone `Europe/Berln` (did you mean `Europe/Berlin`?) [LIC0308]
    22:3: `to` of `digest "b"` is missing (add `to = …`, a list of texts such as ["a", "b"]) [LIC0203]
    22:10: the digest `b` is defined twice (first here: x.hcl:17:10) [LIC0204]
    23:16: `0 8 30 2 *` is not a time: it never happens (write minute, hour, day of the month, month and weekday, such as "0 2 * * sun") [LIC0308]
    24:16: there is no time zone `nowhere at all` (write a name such as "Europe/Berlin" or "UTC") [LIC0308]
    25:22: `also_when_well` is true or false, not text [LIC0206]
    "#);
}

#[test]
fn json_says_the_same() {
    let hcl = format!(
        r#"
consul {{}}
watch "heartbeat" "a" {{
  within = "1m"
}}
watch "heartbeat" "b" {{
  within     = "1m"
  alert      = false
  depends_on = [check.a]
}}
alerts {{
  cluster = "x"
  consul {{
    datacenters = ["d"]
  }}
  flap {{
    changes = 3
    within  = "1m"
  }}
  threshold {{
    for = "1m"
  }}
  threshold {{
    check = "c"
    for   = "2m"
  }}
  ignore {{
    node = "n"
    not {{
      labels = {{ team = "x" }}
    }}
  }}
  inhibit {{
    when {{
      check = "a"
    }}
    mutes {{
      check = "/b/"
    }}
  }}
  service "web" {{
    at_least = 1
  }}
  heartbeat {{
    to = ["ops"]
  }}
  digest "d" {{
    to   = ["ops"]
    cron = "0 8 * * *"
  }}
}}
route "first" {{
  not {{
    tag = "t"
  }}
  to       = ["mail"]
  continue = true
}}
route {{
  to = ["ops"]
}}
route {{
  status = ["critical"]
  to     = ["ops"]
}}
maintenance "m" {{
  node = "n"
  cron = "0 2 * * 0"
  for  = "2h"
}}
{NOTIFIERS}"#
    );
    let json = r#"{
  "consul": {},
  "watch": {"heartbeat": {"a": {"within": "1m"}, "b": {"within": "1m", "alert": false, "depends_on": ["check.a"]}}},
  "alerts": {
    "cluster": "x",
    "consul": {"datacenters": ["d"]},
    "flap": {"changes": 3, "within": "1m"},
    "threshold": [{"for": "1m"}, {"check": "c", "for": "2m"}],
    "ignore": {"node": "n", "not": {"labels": {"team": "x"}}},
    "inhibit": {"when": {"check": "a"}, "mutes": {"check": "/b/"}},
    "service": {"web": {"at_least": 1}},
    "heartbeat": {"to": ["ops"]},
    "digest": {"d": {"to": ["ops"], "cron": "0 8 * * *"}}
  },
  "route": [
    {"first": {"not": {"tag": "t"}, "to": ["mail"], "continue": true}},
    {"to": ["ops"]},
    {"status": ["critical"], "to": ["ops"]}
  ],
  "maintenance": {"m": {"node": "n", "cron": "0 2 * * 0", "for": "2h"}},
  "notify": {"log": {"ops": {"path": "/var/log/ops.log"}, "mail": {"path": "/var/log/mail.log"}}}
}"#;
    let hcl = parsed(&hcl).config;
    let json = match crate::parse("x.json", json) {
        Ok(loaded) => loaded.config,
        Err(failure) => panic!("{}", failure.lines().collect::<Vec<_>>().join("\n")),
    };
    assert_eq!(hcl.alerts, json.alerts);
    for block in ["routes", "route first", "route ops-2", "maintenance m"] {
        assert_eq!(hcl.blocks.get(block), json.blocks.get(block), "{block}");
        assert!(hcl.blocks.contains_key(block), "{block}");
    }
    assert_eq!(hcl.alerts.plan.routes.len(), 3);
}

#[test]
fn json_mistakes_have_their_places_too() {
    let text = r#"{
  "watch": {"heartbeat": {"a": {"within": "1m", "depends_on": ["check.b", "c"]}}},
  "alerts": {"consul": 5, "ignore": {"chek": "x"}, "threshold": [{"for": 5}]},
  "route": {"to": ["ops"], "satus": 5},
  "notify": {"log": {"opps": {"path": "/x"}}}
}"#;
    assert_snapshot!(json_mistakes(text), @r#"
    2:71: no watcher or check is named `b` (known here: `a`) [LIC0401]
    2:75: no watcher or check is named `c` (known here: `a`) [LIC0401]
    3:24: `consul` is an object or a block, not a number [LIC0206]
    3:27: this would ignore every alert (say which alerts are meant, such as node = "lab1") [LIC0203]
    3:38: unknown attribute `chek` in `ignore` (did you mean `check`?) [LIC0201]
    3:74: `for` is a duration and needs a unit (write "5s" for seconds) [LIC0301]
    4:20: no notifier is named `ops` (did you mean `opps`?) [LIC0401]
    4:28: unknown attribute `satus` in `route` (did you mean `status`?) [LIC0201]
    "#);
}

#[test]
fn a_reload_tells_what_changes() {
    let changes = |old: &str, new: &str| {
        let config = |text: &str| parsed(&format!("{text}\n{NOTIFIERS}")).config;
        crate::difference(&config(old), &config(new))
    };
    let (one, two) =
        ("route \"one\" {\n node = \"a\"\n to = [\"ops\"]\n}\n", "route {\n to = [\"mail\"]\n}\n");
    let both = format!("{one}{two}");
    assert_eq!(changes(&both, &both), "nothing changed");
    assert_eq!(changes(&both, &format!("{two}{one}")), "routes in another order");
    assert_eq!(changes(one, &both), "1 route added (mail)");
    assert_eq!(changes(&both, &both.replace("\"a\"", "\"b\"")), "route one changed");
    let alerts = |first: &str, second: &str| {
        format!(
            "alerts {{\n threshold {{\n check = \"/a/\"\n for = \"{first}\"\n }}\n threshold {{\n check = \"/b/\"\n for = \"{second}\"\n }}\n}}\n"
        )
    };
    let swapped = |text: String| text.replace("/a/", "/c/").replace("/b/", "/a/").replace("/c/", "/b/");
    assert_eq!(changes(&alerts("1m", "1m"), &alerts("1m", "2m")), "alerts block changed");
    assert_eq!(changes(&alerts("1m", "1m"), &swapped(alerts("1m", "1m"))), "alerts block changed");
    let window =
        |lasts: &str| format!("maintenance \"w\" {{\n cron = \"0 2 * * *\"\n for = \"{lasts}\"\n}}\n");
    assert_eq!(changes("", &window("1h")), "1 maintenance window added (w)");
    assert_eq!(changes(&window("1h"), &window("2h")), "maintenance window w changed");
}

#[test]
fn files_may_each_say_a_part_of_alerts() {
    let alerts = alerts("alerts {\n cluster = \"x\"\n}\nalerts {\n ignore {\n node = \"n\"\n }\n}");
    assert_eq!((alerts.plan.cluster.as_str(), alerts.plan.ignored.len()), ("x", 1));
}
