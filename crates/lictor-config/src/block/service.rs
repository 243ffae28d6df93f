//! `service "NAME" { … }`: units that run on one of several nodes at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lictor_core::lease::{Params, Timing};
use lictor_core::{Hooks, ServiceName};

use super::starting;
use crate::code::Code;
use crate::model::{ClusterService, ServiceCommand, UnitName};
use crate::problem::Draft;
use crate::reader::{Decoder, Reader};
use crate::schema::{Attribute, BlockType, Bodies, Kind, Schema};
use crate::source::Span;
use crate::syntax::tree::{Block, Text};

pub(super) static BLOCK: BlockType =
    BlockType { name: "service", labels: &["NAME"], repeats: true, bodies: Bodies::One(&SCHEMA) };

/// Bytes of the longest name: that of its guard's socket must fit into an address.
const LONGEST: usize = 64;

/// G: how late the guard may be. Its loop 0.1 s, PID 1's watchdog over it 0.5 s, the slack of PID 1's timers 0.25 s.
const GUARD: Duration = Duration::from_millis(850);

/// r: by how many millionths a clock may run too fast or too slow, measured by CLOCK_BOOTTIME and
/// CLOCK_MONOTONIC_RAW.
const DRIFT: u32 = 5_000;

static SCHEMA: Schema = Schema {
    doc: "Units that run on one of several nodes at a time: the one that holds the lease of the service in Consul. They \
          die when their node can no longer prove that it holds it, before another node may start them; a guard process \
          and PID 1 see to that, whatever becomes of this program. `lictor service init NAME` makes the lease and the \
          files that bind the units to it. The same on all nodes.",
    groups: &[&[
        Attribute::new(
            "nodes",
            Kind::Texts,
            "The names of the nodes between which it passes (`node.name` of each), the preferred one first.",
        )
        .required(),
        Attribute::new(
            "units",
            Kind::Texts,
            "The units of systemd that it consists of, in the order in which they are started. An init script has a \
             unit of its name. They must not be enabled. Services without a common node may have the same ones.",
        ),
        Attribute::new(
            "command",
            Kind::Texts,
            "In the place of `units`: a program, from the root, and its arguments. No shell reads them. `lictor service \
             init` makes a unit of it, lictor-run-NAME.service; what needs more than that is a unit of its own.",
        ),
        Attribute::new("user", Kind::Text, "Under whose name the program of `command` runs.")
            .default_words("root"),
        Attribute::new(
            "failover",
            Kind::Word(&["manual", "automatic"]),
            "Whether another node takes it over by itself when the one that runs it is gone.",
        )
        .default("manual"),
        Attribute::new(
            "datacenter",
            Kind::Text,
            "The datacenter of Consul in which the lease lies, for nodes in several datacenters: the same on all of them. \
             While it cannot be reached nobody takes the service over.",
        )
        .default_words("that of the block `consul`"),
        Attribute::new(
            "lease",
            Kind::Word(&["fast", "steady"]),
            "`fast`: another node may take over after 4.2 s; needs a block `cluster`, because nobody can renew a lease \
             while Consul elects a leader, and the other nodes then promise to wait. `steady`: after 32 s, which \
             outlasts an election.",
        )
        .default_words("`fast` with a block `cluster`, else `steady`"),
        Attribute::new(
            "fence",
            Kind::Duration(Duration::from_millis(100), Duration::from_secs(600)),
            "How long it takes at most until nothing of it lives any more, once all of it was killed. A longer one makes \
             the lease longer.",
        )
        .default("750ms"),
        Attribute::new(
            "start_limit",
            Kind::Duration(Duration::from_secs(1), Duration::from_secs(3_600)),
            "How long each unit may take to start. What its own file says holds besides.",
        )
        .default("90s"),
        Attribute::new(
            "stop_limit",
            Kind::Duration(Duration::from_secs(1), Duration::from_secs(3_600)),
            "How long each unit may take to stop when that was asked for; then it is killed.",
        )
        .default("90s"),
        Attribute::new(
            "stagger",
            Kind::Duration(Duration::ZERO, Duration::from_secs(600)),
            "How much later than the one before it in `nodes` a node takes the service over.",
        )
        .default("250ms"),
        Attribute::new(
            "attempts",
            Kind::Whole(1, 100),
            "How often it may fail on a node, starting or running, before another one is to try.",
        )
        .default("3"),
        Attribute::new(
            "rest",
            Kind::Duration(Duration::from_secs(1), Duration::from_secs(86_400)),
            "How long that node does without it then. A failure after it ran for so long is a first one.",
        )
        .default("10m"),
        Attribute::new(
            "check",
            Kind::Checks,
            "`check.NAME`: while this check is critical on a node, the service does not come to it. Where the service runs \
             and the check was passing, it is killed and started again when the check becomes critical.",
        ),
        Attribute::new(
            "on_promote",
            Kind::Remedy,
            "`remedy.NAME`: runs on this node once each time the service has come to run here under another token. Its \
             programs get `LICTOR_SERVICE`, `LICTOR_ROLE` (`active`) and `LICTOR_TOKEN`. For what follows the service, such \
             as a DNS record; what must not be in two places at once belongs into `units`.",
        ),
        Attribute::new(
            "on_demote",
            Kind::Remedy,
            "`remedy.NAME`: the same when the service does not run here any more: it was moved or stopped, or the lease was \
             lost (`LICTOR_ROLE` is `standby`, `LICTOR_TOKEN` the last one). No stop waits for it.",
        ),
        Attribute::new(
            "roles",
            Kind::Text,
            "Key of the cluster data of powerconsul, `CLUSTER_KEY/SERVICE`: the node that runs the service writes there \
             that it is the active one, so that programs that read it are right. Nodes of other services keep their \
             places in it.",
        ),
    ]],
    blocks: &[],
    values: &[],
    example: r#"consul {
}

service "shop" {
  nodes    = ["node1", "node2", "node3"]
  units    = ["postgresql.service", "shop.service"]
  failover = "automatic"
}"#,
};

/// All services, and what follows when they come or leave. `cluster`: whether the nodes can speak to each other.
pub(super) fn decode(
    decoder: &Decoder<'_>,
    blocks: &[&Block],
    cluster: bool,
) -> (BTreeMap<ServiceName, Arc<ClusterService>>, BTreeMap<ServiceName, Hooks>) {
    let mut firsts: BTreeMap<&str, Span> = BTreeMap::new();
    let mut found: BTreeMap<ServiceName, Arc<ClusterService>> = BTreeMap::new();
    // Whose a unit is on a node.
    let mut owners: BTreeMap<(UnitName, String), ServiceName> = BTreeMap::new();
    let mut hooks = BTreeMap::new();
    for block in blocks {
        let [label] = block.labels.as_slice() else { continue };
        if let Some(first) = firsts.insert(&label.is, label.span) {
            let message = format!("the name `{}` is used twice", label.is);
            let draft = Draft::new(Code::Twice, label.span, message).label("again here");
            decoder.add(draft.also(first, "first here"));
        }
        let reader = Reader::new(decoder, block, &SCHEMA);
        let follows = Hooks {
            promote: starting::remedy(&reader, "on_promote"),
            demote: starting::remedy(&reader, "on_demote"),
        };
        if let Some(service) = one(&reader, label, cluster) {
            for unit in &service.units {
                let own = |node: &String| {
                    let other = owners.insert((unit.clone(), node.clone()), service.name.clone())?;
                    Some((other, node.clone()))
                };
                // All of them, for the next one.
                let shared: Vec<_> = service.nodes.iter().filter_map(own).collect();
                if let Some((other, node)) = shared.first() {
                    let message = match *other == service.name {
                        true => format!("`{unit}` stands twice in `units`"),
                        false => format!("`{unit}` is a unit of the service `{other}` already on {node}"),
                    };
                    let draft = Draft::new(Code::Twice, reader.span("units"), message);
                    let help = "each unit has one lease on a node: join the services, copy the unit, or give them \
                                nodes of their own";
                    decoder.add(draft.help(help));
                }
            }
            hooks.insert(service.name.clone(), follows);
            found.insert(service.name.clone(), Arc::new(service));
        }
    }
    (found, hooks)
}

fn one(reader: &Reader<'_>, label: &Text, cluster: bool) -> Option<ClusterService> {
    let name = name(reader, label);
    if !reader.decoder.scope.consul && !reader.decoder.report.is_partial() {
        let message = "a service passes between nodes by a lease in Consul, and no Consul is named";
        let draft = Draft::new(Code::Combination, reader.head, message);
        reader.decoder.add(draft.help("add a block consul { }; one machine alone needs no `service`"));
    }
    if !reader.decoder.scope.token && !reader.decoder.report.is_partial() {
        let message = "anybody on this machine may have it stopped or moved: the listener asks for no token";
        let draft = Draft::warning(Code::OpenService, reader.head, message);
        reader.decoder.add(draft.help("set token_file in the block http"));
    }
    let nodes = listed(reader, "nodes", |text| Some(text.is.clone()));
    reader.needs("user", "command");
    reader.exclude("units", "command");
    let command = command(reader);
    let units = match (&command, &name) {
        (Err(Wrong), _) | (Ok(Some(_)), None) => None,
        (Ok(Some(_)), Some(name)) => UnitName::new(&format!("lictor-run-{name}")).ok().map(|unit| vec![unit]),
        (Ok(None), _) => units(reader),
    };
    let check = match reader.value("check") {
        None => None,
        Some(value) => match reader.decoder.checks(value).unwrap_or_default().as_slice() {
            [] => None,
            [(name, _)] => Some(name.clone()),
            [_, (_, second), ..] => {
                let draft = Draft::new(Code::Combination, *second, "`check` names one check");
                reader
                    .decoder
                    .add(draft.help("join them by a block check \"NAME\" { all = […] } and name that"));
                None
            }
        },
    };
    let times = times(reader, cluster);
    let rest = reader.duration("rest");
    let (start_limit, stop_limit) = (reader.duration("start_limit"), reader.duration("stop_limit"));
    let (automatic, stagger) = (reader.word("failover") == Some("automatic"), reader.duration("stagger"));
    let attempts = reader.count_or_default("attempts").get();
    let (roles, datacenter) = (reader.text("roles"), reader.text("datacenter"));
    Some(ClusterService {
        name: name?,
        nodes: nodes?,
        units: units?,
        command: command.ok()?,
        datacenter,
        automatic,
        times: times?,
        stagger,
        attempts,
        rest,
        start_limit,
        stop_limit,
        check,
        roles,
    })
}

/// What is wrong with it was said.
struct Wrong;

fn units(reader: &Reader<'_>) -> Option<Vec<UnitName>> {
    if reader.value("units").is_none() {
        let message = format!("`units` of `{}` is missing", reader.title);
        let draft = Draft::new(Code::Missing, reader.head, message);
        reader
            .decoder
            .add(draft.help("add `units = [\"…\"]`, or `command = [\"/…\"]` for a program without a unit"));
        return None;
    }
    listed(reader, "units", |text| match UnitName::new(&text.is) {
        Ok(unit) => Some(unit),
        Err(error) => {
            reader.decoder.add(Draft::new(Code::Name, text.span, error.to_string()));
            None
        }
    })
}

fn command(reader: &Reader<'_>) -> Result<Option<ServiceCommand>, Wrong> {
    let wrong = |message: &str, help: &str| {
        let draft = Draft::new(Code::Combination, reader.span("command"), message);
        reader.decoder.add(draft.help(help.to_owned()));
        Err(Wrong)
    };
    if !reader.is_set("command") {
        return Ok(None);
    }
    let argv: Vec<String> = reader.texts("command").iter().map(|text| text.is.clone()).collect();
    match argv.first() {
        Some(program) if program.starts_with('/') => {}
        _ => {
            return wrong(
                "`command` begins with a program, from the root",
                "such as [\"/usr/bin/shop\", \"--port\", \"80\"]",
            );
        }
    }
    let user = reader.text("user");
    if argv.first().is_some_and(|program| program.contains('$')) {
        return wrong(
            "the path of a program in a unit has no `$`",
            "give it another name, or make a unit of it",
        );
    }
    if user.as_ref().is_some_and(|user| !is_user(user)) {
        let message = "this is no name of a user: letters, digits, `_`, `-` and `.`";
        reader.decoder.add(Draft::new(Code::Name, reader.span("user"), message));
        return Err(Wrong);
    }
    if argv.iter().any(|text| text.contains(['\n', '\r', '\0'])) {
        return wrong(
            "a unit's file has no place for line ends in arguments",
            "put it into a file of its own",
        );
    }
    Ok(Some(ServiceCommand { argv, user }))
}

/// Whether systemd can mean nobody else by it.
fn is_user(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

fn name(reader: &Reader<'_>, label: &Text) -> Option<ServiceName> {
    let odd = label.is.chars().find(|c| !(c.is_ascii_alphanumeric() || "_-.".contains(*c)));
    let wrong = match (ServiceName::new(&label.is), odd) {
        (Ok(_), None) if label.is.len() > LONGEST => {
            format!("the name of a service has {LONGEST} bytes at most")
        }
        (Ok(name), None) if label.is.starts_with(|c: char| c.is_ascii_alphanumeric()) => return Some(name),
        (Ok(_), None) => "the name of a service begins with a letter or a digit".to_owned(),
        (_, Some(odd)) => format!("the name of a service has letters, digits, `_`, `-` and `.`, not {odd:?}"),
        (Err(error), None) => error.to_string(),
    };
    reader.decoder.add(Draft::new(Code::Name, label.span, wrong));
    None
}

/// A list of which each stands there once.
pub(super) fn listed<T>(
    reader: &Reader<'_>,
    name: &str,
    each: impl Fn(&Text) -> Option<T>,
) -> Option<Vec<T>> {
    reader.value(name)?;
    let texts = reader.texts(name);
    if texts.is_empty() {
        reader.decoder.add(Draft::new(Code::Missing, reader.span(name), format!("`{name}` names nothing")));
        return None;
    }
    for (at, text) in texts.iter().enumerate() {
        let first = texts.iter().position(|other| other.is == text.is);
        if let Some(first) = first.filter(|first| *first < at).and_then(|first| texts.get(first)) {
            let draft = Draft::new(Code::Twice, text.span, format!("`{}` stands twice in `{name}`", text.is));
            reader.decoder.add(draft.also(first.span, "first here"));
        }
    }
    let found: Vec<_> = texts.iter().map(each).collect();
    found.into_iter().collect()
}

/// The times of the lease, and those while one of the nodes is silent.
fn times(reader: &Reader<'_>, cluster: bool) -> Option<(Params, Params)> {
    let margin = GUARD.saturating_add(reader.duration("fence"));
    let fast = match reader.word("lease") {
        Some("fast") if !cluster && !reader.decoder.report.is_partial() => {
            let message = "a fast lease ends at every election of a Consul leader: the nodes cannot ask each other to wait";
            let draft = Draft::new(Code::Combination, reader.span("lease"), message);
            reader.decoder.add(draft.help("add a block cluster { address = \"…\" key_file = \"…\" }"));
            return None;
        }
        Some(word) => word == "fast",
        None => cluster,
    };
    let millis = Duration::from_millis;
    let steady = lease(millis(5_000), millis(2_000), millis(24_000), margin, millis(32_000));
    let fast =
        if fast { lease(millis(1_000), millis(1_000), millis(2_500), margin, millis(4_200)) } else { steady };
    Some((fast?, steady?))
}

/// The times, with a length that suits the margin.
fn lease(
    renew: Duration,
    request: Duration,
    belief: Duration,
    margin: Duration,
    length: Duration,
) -> Option<Params> {
    let timing = Timing { renew, request, belief, margin, length, drift_ppm: DRIFT };
    match Params::new(timing) {
        Err(lictor_core::lease::ParamsError::TooShort { needed, .. }) => {
            // Rounded up to a tenth of a second.
            let tenths = needed.as_millis().div_ceil(100);
            let length = Duration::from_millis(u64::try_from(tenths).unwrap_or(u64::MAX).saturating_mul(100));
            Params::new(Timing { length, ..timing }).ok()
        }
        other => other.ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use insta::assert_snapshot;
    use lictor_core::Hooks;

    use crate::model::{ClusterService, ServiceCommand, UnitName};
    use crate::testing::{mistakes, parsed};

    const CLUSTER: &str = "cluster {\n address = \"10.0.0.1\"\n key_file = \"/k\"\n}\n";

    const LEAST: &str = "nodes = [\"n1\", \"n2\"]\nunits = [\"web\"]\n";

    fn service(around: &str, lines: &str) -> ClusterService {
        let text = format!("consul {{}}\n{around}service \"web\" {{\n{lines}\n}}");
        let config = parsed(&text).config;
        Arc::unwrap_or_clone(config.services.values().next().unwrap().clone())
    }

    fn lengths(around: &str, lines: &str) -> (u128, u128) {
        let (fast, steady) = service(around, &format!("{LEAST}{lines}")).times;
        (fast.length().as_millis(), steady.length().as_millis())
    }

    #[test]
    fn nodes_and_units_are_enough() {
        let found = service("", LEAST);
        assert_eq!(
            (found.nodes.as_slice(), found.place("n2"), found.place("n3")),
            (&["n1".to_owned(), "n2".to_owned()][..], Some(1), None)
        );
        assert_eq!(found.units[0].as_str(), "web.service");
        assert!(!found.automatic && found.check.is_none() && found.roles.is_none());
        assert_eq!(
            (found.attempts, found.rest, found.stagger),
            (3, Duration::from_secs(600), Duration::from_millis(250))
        );
    }

    #[test]
    fn a_program_takes_the_place_of_units() {
        let found = service("", "nodes = [\"n1\"]\ncommand = [\"/usr/bin/shop\", \"-v\"]\nuser = \"shop\"");
        assert_eq!(found.units, [UnitName::new("lictor-run-web.service").unwrap()]);
        let command = ServiceCommand {
            argv: vec!["/usr/bin/shop".to_owned(), "-v".to_owned()],
            user: Some("shop".to_owned()),
        };
        assert_eq!(found.command, Some(command));
        let wrong = |lines: &str| {
            mistakes(&format!(
                "consul {{}}\nhttp {{\n token = \"t\"\n}}\nservice \"web\" {{\n nodes = [\"n1\"]\n{lines}\n}}"
            ))
        };
        assert_snapshot!(wrong("command = [\"shop\"]"), @r#"7:11: `command` begins with a program, from the root (such as ["/usr/bin/shop", "--port", "80"]) [LIC0207]"#);
        assert_snapshot!(wrong("command = [\"/shop\", \"a\\nb\"]"), @r#"7:11: a unit's file has no place for line ends in arguments (put it into a file of its own) [LIC0207]"#);
        assert_snapshot!(wrong("command = [\"/shop\"]\nunits = [\"shop\"]"), @r#"7:11: `units` and `command` exclude each other (the other one: x.hcl:8:9) [LIC0207]"#);
        assert_snapshot!(wrong("command = [\"/s$hop\"]"), @r#"7:11: the path of a program in a unit has no `$` (give it another name, or make a unit of it) [LIC0207]"#);
        assert_snapshot!(wrong("command = [\"/shop\"]\nuser = \" \""), @r#"8:8: this is no name of a user: letters, digits, `_`, `-` and `.` [LIC0303]"#);
        assert_snapshot!(wrong("units = [\"shop\"]\nuser = \"shop\""), @r#"8:8: `user` needs `command` [LIC0207]"#);
    }

    #[test]
    fn the_lease_is_fast_where_the_nodes_can_ask_each_other_to_wait() {
        assert_eq!(lengths("", ""), (32_000, 32_000));
        assert_eq!(lengths(CLUSTER, ""), (4_200, 32_000));
        assert_eq!(lengths(CLUSTER, "lease = \"steady\""), (32_000, 32_000));
    }

    #[test]
    fn what_dies_slowly_has_a_longer_lease() {
        // (2.5 + 0.85 + 3) * 1.005 / 0.995 = 6.413…
        assert_eq!(lengths(CLUSTER, "fence = \"3s\""), (6_500, 32_000));
        // (24 + 0.85 + 60) * 1.005 / 0.995 = 85.702…
        assert_eq!(lengths("", "fence = \"1m\""), (85_800, 85_800));
    }

    #[test]
    fn what_follows_it_is_a_rule_or_a_remedy() {
        let up = "remedy \"up\" {\n step \"s\" {\n act \"exec\" {\n command = [\"x\"]\n }\n }\n}\n";
        let hooks = "on_promote = remedy.up\n on_demote = remedy.up";
        let with = |hooks: &str| format!("consul {{}}\n{up}service \"web\" {{\n{LEAST}{hooks}\n}}");
        let plan = parsed(&with(hooks)).config.plan;
        let found = plan.services.values().next().unwrap();
        let up = plan.remedies.keys().next();
        assert_eq!((found.promote.as_ref(), found.demote.as_ref()), (up, up));
        assert_eq!(parsed(&with("")).config.plan.services.values().next(), Some(&Hooks::default()));
        assert_snapshot!(mistakes(&with("on_promote = remedy.upp\n on_demote = check.up")), @r#"
        12:21: no rule or remedy is named `upp` (known here: `up`) [LIC0401]
        13:14: `check.up` is not remedy.NAME [LIC0206]
        "#);
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes("service \"web\" {\n}"), @r#"
        1:1: `nodes` of `service "web"` is missing (add `nodes = …`, a list of texts such as ["a", "b"]) [LIC0203]
        1:1: `units` of `service "web"` is missing (add `units = ["…"]`, or `command = ["/…"]` for a program without a unit) [LIC0203]
        1:1: a service passes between nodes by a lease in Consul, and no Consul is named (add a block consul { }; one machine alone needs no `service`) [LIC0207]
        "#);
        assert_snapshot!(mistakes("consul {}\nservice \"a/b\" {\n nodes = []\n units = [\"x.nothing\", \"y\", \"y\"]\n}"), @r#"
        2:9: the name of a service has letters, digits, `_`, `-` and `.`, not '/' [LIC0303]
        3:10: `nodes` names nothing [LIC0203]
        4:29: `y` stands twice in `units` (first here: x.hcl:4:24) [LIC0204]
        "#);
        assert_snapshot!(mistakes(&format!("consul {{}}\nservice \"-web\" {{\n{LEAST} lease = \"fast\"\n check = check.gone\n fence = \"1ms\"\n}}")), @r#"
        2:9: the name of a service begins with a letter or a digit [LIC0303]
        5:10: a fast lease ends at every election of a Consul leader: the nodes cannot ask each other to wait (add a block cluster { address = "…" key_file = "…" }) [LIC0207]
        6:16: no watcher or check is named `gone` [LIC0401]
        7:10: `fence` is between 100ms and 10m, not 1ms [LIC0302]
        "#);
        assert_snapshot!(mistakes(&format!("consul {{}}\nservice \"web\" {{\n{LEAST}}}\nservice \"web\" {{\n{LEAST}}}")), @r#"
        6:9: the name `web` is used twice (first here: x.hcl:2:9) [LIC0204]
        8:9: `web.service` stands twice in `units` (each unit has one lease on a node: join the services, copy the unit, or give them nodes of their own) [LIC0204]
        "#);
        let twice = "service \"a\" {\n nodes = [\"n1\"]\n units = [\"x\", \"x.service\"]\n}";
        let shared = "service \"b\" {\n nodes = [\"n2\", \"n1\"]\n units = [\"x\"]\n}";
        assert_snapshot!(mistakes(&format!("consul {{}}\n{twice}\n{shared}")), @r#"
        4:10: `x.service` stands twice in `units` (each unit has one lease on a node: join the services, copy the unit, or give them nodes of their own) [LIC0204]
        8:10: `x.service` is a unit of the service `a` already on n1 (each unit has one lease on a node: join the services, copy the unit, or give them nodes of their own) [LIC0204]
        "#);
    }

    #[test]
    fn services_with_nodes_of_their_own_may_have_the_same_units() {
        let group = |name: &str, nodes: &str| {
            format!(
                "service \"{name}\" {{\n nodes = [{nodes}]\n units = [\"web\"]\n roles = \"cluster/web\"\n}}\n"
            )
        };
        let text =
            format!("consul {{}}\n{}{}", group("web-1", "\"a1\", \"a2\""), group("web-2", "\"b1\", \"b2\""));
        let services = parsed(&text).config.services;
        let units: Vec<_> = services.values().map(|service| service.units[0].as_str()).collect();
        assert_eq!(units, ["web.service"; 2]);
    }
}
