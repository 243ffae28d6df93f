//! `watch "vpn"`: whether a tunnel is up; `act "vpn"`: restart it.

use std::time::Duration;

use lictor_core::Repeatability;

use super::{control, judgement, tls, watch};
use crate::code::Code;
use crate::model::{Action, Vpn, VpnAction, VpnSource, WatchKind};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, LONGEST, Schema};

/// Who says so, and where.
pub(super) const SOURCE: &[Attribute] = &[
    Attribute::new(
        "source",
        Kind::Word(&["gluetun", "json", "wireguard", "tailscale"]),
        "Who says so: the control server of a gluetun, any JSON document, `wg show`, or `tailscale status`.",
    )
    .default("gluetun"),
    Attribute::new("url", Kind::Url, "The control server (`http://127.0.0.1:8000`), or the JSON document."),
];

/// What only some of them need.
pub(super) const PARTICULARS: &[Attribute] = &[
    Attribute::new("pointer", Kind::Text, "JSON pointer to the status, for `json`."),
    Attribute::new("up", Kind::Texts, "Values of it that mean up, for `json`.")
        .default_words("`[\"running\"]`"),
    Attribute::new("interface", Kind::Text, "Only this interface, for `wireguard`."),
    Attribute::new(
        "handshake",
        Kind::Duration(Duration::from_secs(1), LONGEST),
        "How old the latest handshake may be, for `wireguard`; there must be traffic or a keepalive.",
    )
    .default("190s"),
    Attribute::new("command", Kind::Command, "What to run in place of `wg` or `tailscale`.").default_words(
        "`[\"wg\", \"show\", \"all\", \"dump\"]` or `[\"tailscale\", \"status\", \"--json\"]`",
    ),
    Attribute::new(
        "starting_grace",
        Kind::Duration(Duration::ZERO, LONGEST),
        "How long starting and stopping are only unknown.",
    )
    .default("1m"),
];

pub(super) static SCHEMA: Schema = Schema {
    doc: "A tunnel: passing while it is up, critical while it is down. When nobody can say (the control server \
          cannot be reached, or refuses us) it is unknown, never critical.",
    groups: &[
        SOURCE,
        control::ACCESS,
        tls::ATTRIBUTES,
        PARTICULARS,
        watch::SCHEDULE,
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[],
    values: &[
        ("up", "1 when it is up, 0 when it is not."),
        ("status", "`running`, `stopped`, `error` or `unknown`."),
        ("raw", "The word it was told by."),
        ("handshake_age_seconds", "Age of the latest handshake (`wireguard`)."),
        ("rx_bytes", "Received in all (`wireguard`)."),
        ("tx_bytes", "Sent in all (`wireguard`)."),
        ("total_seconds", "Time of the whole look."),
    ],
    example: r#"watch "vpn" "tunnel" {
  url          = "http://127.0.0.1:8000"
  api_key_file = "/etc/lictor/gluetun-key"
  every        = "30s"
  timeout      = "10s"
}"#,
};

pub(super) static ACT: Schema = Schema {
    doc: "Has the tunnel of a gluetun stopped and started. It is done when it runs again.",
    groups: &[
        &[Attribute::new("url", Kind::Url, "The control server, such as `http://127.0.0.1:8000`.")
            .required()],
        control::ACCESS,
        tls::ATTRIBUTES,
    ],
    blocks: &[],
    values: &[],
    example: r#"watch "vpn" "tunnel" {
  url = "http://127.0.0.1:8000"
}

rule "tunnel" {
  on = check.tunnel == "critical"
  act "vpn" {
    url = "http://127.0.0.1:8000"
  }
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<WatchKind> {
    Some(WatchKind::Vpn(Box::new(source(reader)?)))
}

/// Who says whether it is up.
pub(super) fn source(reader: &Reader<'_>) -> Option<Vpn> {
    let source = reader.word("source").unwrap_or("gluetun");
    let foreign: &[&str] = match source {
        "json" => &["interface", "handshake", "command"],
        "wireguard" => &["url", "pointer", "up", "api_key", "basic_auth"],
        "tailscale" => &["url", "pointer", "up", "api_key", "basic_auth", "interface", "handshake"],
        _ => &["pointer", "up", "interface", "handshake", "command"],
    };
    refuse(reader, source, foreign);
    let control = control::decode(reader);
    let source = match source {
        "wireguard" => VpnSource::WireGuard {
            command: command(reader, &["wg", "show", "all", "dump"])?,
            interface: reader.text("interface"),
            handshake: reader.duration("handshake"),
        },
        "tailscale" => VpnSource::Tailscale { command: command(reader, &["tailscale", "status", "--json"])? },
        kind => {
            if !reader.is_set("url") {
                let draft =
                    Draft::new(Code::Missing, reader.head, format!("`url` of {} is missing", reader.place()));
                reader.decoder.add(draft.help("add url = \"http://…\""));
            }
            let pointer = if kind == "json" { Some(needed_pointer(reader)) } else { None };
            match pointer {
                Some(pointer) => {
                    let mut up: Vec<String> = reader.texts("up").into_iter().map(|text| text.is).collect();
                    if up.is_empty() {
                        up.push("running".to_owned());
                    }
                    VpnSource::Json { control: control?, pointer: pointer?, up }
                }
                None => VpnSource::Gluetun(control?),
            }
        }
    };
    Some(Vpn { source, grace: reader.duration("starting_grace") })
}

pub(super) fn act(reader: &Reader<'_>) -> Option<(Action, Repeatability)> {
    let action = VpnAction { control: control::decode(reader)? };
    Some((Action::Vpn(Box::new(action)), Repeatability::Idempotent))
}

/// The JSON pointer, which must be there.
pub(super) fn needed_pointer(reader: &Reader<'_>) -> Option<String> {
    if !reader.is_set("pointer") {
        let draft = Draft::new(Code::Missing, reader.head, "a JSON document needs `pointer`");
        reader.decoder.add(draft.help("add pointer = \"/status\""));
    }
    control::pointer(reader, "pointer")
}

/// Attributes that mean nothing for a source.
pub(super) fn refuse(reader: &Reader<'_>, source: &str, names: &[&str]) {
    for name in names.iter().filter(|name| reader.is_set(name)) {
        let message = format!("`{name}` means nothing for the source `{source}`");
        reader.decoder.add(Draft::new(Code::Combination, reader.span(name), message));
    }
}

fn command(reader: &Reader<'_>, usual: &[&str]) -> Option<Vec<String>> {
    if reader.is_set("command") {
        return reader.command("command");
    }
    Some(usual.iter().map(|word| (*word).to_owned()).collect())
}
