//! `connection_monitor "NAME" { … }`: what an operator writes of a connection; the watchers,
//! the check and the remedies it stands for are written by [`crate::expand`].

use std::time::Duration;

use super::{act_nomad, control, qbittorrent, tls, watch_public_ip, watch_vpn};
use crate::code::Code;
use crate::problem::Draft;
use crate::reader::{Reader, as_body};
use crate::schema::{Attribute, BlockType, Bodies, Kind, LONGEST, Schema};
use crate::syntax::tree::{Body, Is, Text};
use crate::units::Written;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

pub(crate) static BLOCK: BlockType =
    BlockType { name: "connection_monitor", labels: &["NAME"], repeats: true, bodies: Bodies::One(&SCHEMA) };

/// Cures in the order in which they may be named, from the lightest.
pub(crate) const CURES: [&str; 5] =
    ["port_bounce", "vpn_restart", "task_restart", "allocation_restart", "allocation_replace"];

pub(crate) static SCHEMA: Schema = Schema {
    doc: "Watches a qBittorrent behind a tunnel and cures its connection: stops the torrents of a tracker, has the \
          workload restarted by Nomad, waits until the connection has been stable, and starts exactly those torrents \
          again. It stands for watchers, a check and remedies named after it; `lictor explain NAME --config PATH` \
          shows them as they would be written. Its state is kept in Consul as well, where qbittorrent's earlier \
          monitor (qbitcheck) keeps its own.",
    groups: &[
        &[
            Attribute::new("qbittorrent", Kind::Object(&QBITTORRENT), "The qBittorrent.").required(),
            Attribute::new(
                "tracker",
                Kind::Text,
                "The tracker whose torrents are stopped meanwhile, by the end of its host name. Without it: all.",
            ),
            Attribute::new("nomad", Kind::Object(&NOMAD), "The workload that is restarted."),
            Attribute::new("vpn", Kind::Object(&VPN), "Who says whether the tunnel is up: see `watch \"vpn\"`."),
            Attribute::new(
                "public_ip",
                Kind::Object(&PUBLIC_IP),
                "Who says which address others see: see `watch \"public_ip\"`.",
            )
            .default_words("the control server of `vpn`, if that is a gluetun"),
            control::FORBIDDEN,
            Attribute::new(
                "cures",
                Kind::Texts,
                "What is tried, in this order: `port_bounce`, `vpn_restart`, `task_restart` (the `tasks` of `nomad`), \
                 `allocation_restart`, `allocation_replace`. The last one is repeated.",
            )
            .default_words("`[\"allocation_restart\"]` with `nomad`, otherwise `[\"vpn_restart\"]` with a gluetun, otherwise \
                            `[\"port_bounce\"]`"),
        ],
        &[
            Attribute::new("every", Kind::Duration(SECOND, LONGEST), "Time from one look to the next.").default("30s"),
            Attribute::new("timeout", Kind::Duration(MILLI, LONGEST), "Time limit of one look.").default("10s"),
            Attribute::new("fail_after", Kind::Whole(1, 1_000), "So many bad looks in a row make it unstable.")
                .default("3"),
            Attribute::new("pass_after", Kind::Whole(1, 1_000), "So many good looks in a row make it stable.")
                .default("3"),
            Attribute::new(
                "startup_grace",
                Kind::Duration(Duration::ZERO, LONGEST),
                "Bad looks this soon after the first start do not count.",
            )
            .default("1m"),
            Attribute::new("strict", Kind::Flag, "Whether `firewalled` is not enough. Never asked for while waiting for stability.")
                .default("false"),
            Attribute::new(
                "firewalled_grace",
                Kind::Duration(Duration::ZERO, LONGEST),
                "How long `firewalled` is only unknown when `strict`.",
            )
            .default("30m"),
            Attribute::new(
                "tracker_alone",
                Kind::Word(&["warning", "critical"]),
                "Whether it counts when the tracker fails and nothing else is wrong.",
            )
            .default("warning"),
        ],
        &[
            Attribute::new(
                "stability_required",
                Kind::Duration(Duration::ZERO, LONGEST),
                "The connection must be good for so long without a break before torrents are started again.",
            )
            .default("1h"),
            Attribute::new(
                "stability_timeout",
                Kind::Duration(SECOND, LONGEST),
                "If it is not, after this time the last cure is tried again.",
            )
            .default("2h"),
            Attribute::new("stop_timeout", Kind::Duration(SECOND, LONGEST), "Time for stopping the torrents.").default("1m"),
            Attribute::new("restart_timeout", Kind::Duration(SECOND, LONGEST), "Time limit of one restart.").default("5m"),
            Attribute::new("start_timeout", Kind::Duration(SECOND, LONGEST), "Time limit of one try to start the torrents.")
                .default("2m"),
            Attribute::new(
                "cure_wait",
                Kind::Duration(SECOND, LONGEST),
                "How long a cure that is not the last one may take to help.",
            )
            .default("3m"),
            Attribute::new("max_attempts", Kind::Whole(1, 1_000), "So often is the last cure tried; then it gives up.")
                .default("3"),
            Attribute::new(
                "backoff",
                Kind::Duration(Duration::ZERO, LONGEST),
                "Pause before the second attempt; it doubles for each further one.",
            )
            .default("5m"),
            Attribute::new("backoff_max", Kind::Duration(Duration::ZERO, LONGEST), "Upper bound of the pause.").default("1h"),
            Attribute::new(
                "cooldown",
                Kind::Duration(Duration::ZERO, LONGEST),
                "Time from the start of one run to the next.",
            )
            .default("5m"),
            Attribute::new(
                "proceed_if_stop_fails",
                Kind::Flag,
                "Whether it goes on when the torrents cannot be stopped, as when qBittorrent is not reached; they are \
                 then stopped as soon as it is.",
            )
            .default("true"),
            Attribute::new(
                "cancel_if_recovered",
                Kind::Flag,
                "Whether a connection that recovers by itself spares the restart.",
            )
            .default("true"),
            Attribute::new(
                "on_give_up",
                Kind::Word(&["wait", "start", "leave"]),
                "When it gave up: wait until the connection has been stable and then start the torrents, start them at \
                 once, or leave them to a person.",
            )
            .default("wait"),
            Attribute::new("tag", Kind::Text, "A tag in qBittorrent on what it has stopped; with `-leak` behind it on what a leak stopped.").default("qbitcheck-stopped"),
            Attribute::new("reannounce", Kind::Flag, "Whether the trackers are told at once of what was started.")
                .default("false"),
        ],
        &[
            Attribute::new("prefix", Kind::Text, "Where its state lies in Consul.").default("qbitcheck/connection_monitor/"),
            Attribute::new(
                "retain",
                Kind::Duration(Duration::ZERO, LONGEST),
                "How long its state is kept there after the monitor was removed from the configuration.",
            )
            .default("30d"),
            Attribute::new(
                "instances",
                Kind::Whole(1, 100),
                "How many nodes have this monitor. With more than one, the one that holds a lease in Consul acts.",
            )
            .default("1"),
            Attribute::new(
                "act_without_consul",
                Kind::Flag,
                "Whether it acts while Consul cannot be reached. Never with more than one instance.",
            )
            .default("true"),
        ],
    ],
    blocks: &[],
    values: &[],
    example: r#"consul {
}

connection_monitor "torrents" {
  tracker   = "tracker.example"
  forbidden = ["203.0.113.7"]
  qbittorrent {
    url           = "http://127.0.0.1:8080"
    password_file = "/etc/lictor/qbittorrent-password"
  }
  nomad {
    url     = "http://127.0.0.1:4646"
    service = "sp"
  }
  vpn {
    url = "http://127.0.0.1:8000"
  }
}"#,
};

static QBITTORRENT: Schema = Schema {
    doc: "How the qBittorrent is reached.",
    groups: &[qbittorrent::API, tls::ATTRIBUTES],
    blocks: &[],
    values: &[],
    example: r#"qbittorrent = { url = "http://127.0.0.1:8080", password_file = "/etc/lictor/password" }"#,
};

static NOMAD: Schema = Schema {
    doc: "How Nomad is reached, and which workload is meant.",
    groups: &[act_nomad::API, tls::ATTRIBUTES],
    blocks: &[],
    values: &[],
    example: r#"nomad = { url = "http://127.0.0.1:4646", job = "media" }"#,
};

static VPN: Schema = Schema {
    doc: "Who says whether the tunnel is up.",
    groups: &[watch_vpn::SOURCE, control::ACCESS, tls::ATTRIBUTES, watch_vpn::PARTICULARS],
    blocks: &[],
    values: &[],
    example: r#"vpn = { url = "http://127.0.0.1:8000" }"#,
};

static PUBLIC_IP: Schema = Schema {
    doc: "Who says which address others see.",
    groups: &[watch_public_ip::SOURCE, control::ACCESS, tls::ATTRIBUTES, watch_public_ip::POINTER],
    blocks: &[],
    values: &[],
    example: r#"public_ip = { source = "json", url = "https://ip.example/json" }"#,
};

/// The part of that name, as a block of its own.
pub(crate) fn part(reader: &Reader<'_>, name: &str) -> Option<Body> {
    let value = reader.value(name)?;
    let body = as_body(value);
    if body.is_none() {
        reader.decoder.report.hide(value.span);
        let message = format!("`{name}` is an object or a block");
        reader.decoder.add(Draft::new(Code::WrongType, value.span, message));
    }
    body
}

/// Reads a part by what it becomes a part of, for the mistakes in it.
fn check_part(reader: &Reader<'_>, name: &'static str, schema: &'static Schema, each: impl Fn(&Reader<'_>)) {
    if let Some(body) = part(reader, name) {
        each(&Reader::over(reader.decoder, &body, schema, reader.span(name), name.to_owned()));
    }
}

/// Finds every mistake in a monitor, at the place where it is written: what it stands for is
/// made only of one that has none.
pub(crate) fn check(reader: &Reader<'_>, label: &Text) {
    if label.is.len() > 60 {
        let draft = Draft::new(Code::Name, label.span, "the name of a monitor has at most 60 bytes");
        reader.decoder.add(draft);
    } else if let Err(error) = lictor_core::CheckName::new(&label.is) {
        reader.decoder.add(Draft::new(Code::Name, label.span, error.to_string()));
    }
    control::forbidden(reader);
    let (hold, most) = (reader.duration("stability_required"), reader.duration("stability_timeout"));
    if most < hold {
        let message = format!("`stability_timeout` is shorter than `stability_required`, {}", Written(hold));
        let draft = Draft::new(Code::Combination, reader.span("stability_timeout"), message);
        reader.decoder.add(draft.help("no torrent would ever be started again"));
    }
    if reader.duration("backoff_max") < reader.duration("backoff") && reader.is_set("backoff_max") {
        let message = "`backoff_max` is shorter than `backoff`";
        reader.decoder.add(Draft::new(Code::Combination, reader.span("backoff_max"), message));
    }
    if reader.duration("timeout") > reader.duration("every") {
        let draft = Draft::new(Code::Combination, reader.span("timeout"), "`timeout` is longer than `every`");
        reader.decoder.add(draft.help("a look must have ended before the next begins"));
    }
    for name in ["fail_after", "pass_after", "max_attempts"] {
        reader.count_or_default(name);
    }
    let instances = reader.whole("instances").unwrap_or(1);
    if instances > 1 && !reader.decoder.scope.consul && !reader.decoder.report.is_partial() {
        let message = "which of several instances acts is decided in Consul";
        let draft = Draft::new(Code::Combination, reader.span("instances"), message);
        reader.decoder.add(draft.help("add a `consul` block, or leave `instances` at 1"));
    }
    qbittorrent::tracker(reader);
    reader.text("tag");
    reader.text_at("prefix");
    for name in ["tracker_alone", "on_give_up"] {
        reader.word(name);
    }
    for name in ["strict", "proceed_if_stop_fails", "cancel_if_recovered", "reannounce", "act_without_consul"]
    {
        reader.flag(name);
    }
    check_part(reader, "qbittorrent", &QBITTORRENT, |part| drop(qbittorrent::api(part)));
    check_part(reader, "nomad", &NOMAD, |part| drop(act_nomad::settings(part)));
    check_part(reader, "vpn", &VPN, |part| drop(watch_vpn::source(part)));
    check_part(reader, "public_ip", &PUBLIC_IP, |part| drop(watch_public_ip::source(part)));
    check_cures(reader);
}

fn check_cures(reader: &Reader<'_>) {
    let has = |part: &str, name: &str| {
        let body = self::part(reader, part);
        body.is_some_and(|body| body.attributes.iter().any(|attribute| attribute.name.is == name))
    };
    for cure in reader.texts("cures") {
        let lacks = match cure.is.as_str() {
            "port_bounce" => None,
            "vpn_restart" if !has_gluetun(reader) => Some("needs `vpn` with a gluetun"),
            "vpn_restart" => None,
            "task_restart" if !has("nomad", "tasks") => Some("needs `nomad` with `tasks`"),
            "task_restart" => None,
            "allocation_restart" | "allocation_replace" if !reader.is_set("nomad") => Some("needs `nomad`"),
            "allocation_restart" | "allocation_replace" => None,
            _ => {
                let message = format!("`{}` is not a cure", cure.is);
                let draft = Draft::new(Code::Word, cure.span, message);
                reader.decoder.add_near(draft, &cure.is, CURES);
                continue;
            }
        };
        if let Some(lacks) = lacks {
            reader.decoder.add(Draft::new(Code::Combination, cure.span, format!("`{}` {lacks}", cure.is)));
        }
    }
}

/// Whether the tunnel is that of a gluetun.
pub(crate) fn has_gluetun(reader: &Reader<'_>) -> bool {
    part(reader, "vpn").is_some_and(|body| {
        let source = body.attributes.iter().find(|attribute| attribute.name.is == "source");
        source.is_none_or(|source| source.value.is == Is::Text("gluetun".to_owned()))
    })
}
