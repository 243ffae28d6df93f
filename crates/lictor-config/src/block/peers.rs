//! `peers { … }`: the other nodes, each watched by each.

use std::net::IpAddr;
use std::time::Duration;

use super::tls;
use crate::code::Code;
use crate::model::{Announce, Discovery, DnsPrograms, Peers, WhoTells};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, BlockType, Bodies, Kind, Schema};
use crate::syntax::tree::Text;
use crate::units::Written;

pub(super) static BLOCK: BlockType =
    BlockType { name: "peers", labels: &[], repeats: false, bodies: Bodies::One(&SCHEMA) };

/// The ways in which peers are found, of which there is one.
const WAYS: [&str; 4] = ["srv", "dns", "consul", "static"];

/// The time limit of one look when none is written.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The port of name servers.
const DNS: u16 = 53;

static SCHEMA: Schema = Schema {
    doc: "The other nodes: this one looks at what the `probe` of each answers, and tells when one is down, says \
          that something of it fails, or has vanished. They are found anew in every round by exactly one of `srv`, \
          `dns`, `consul` and `static`; a peer that has one of our own addresses is this node and left out. Records \
          should have a TTL of about 60 s.",
    groups: &[
        &[
            Attribute::new(
                "srv",
                Kind::Text,
                "An SRV record with host and port of each, such as `_sentinella._tcp.example.com`.",
            ),
            Attribute::new("dns", Kind::Text, "A name with an A or AAAA record for each."),
            Attribute::new("port", Kind::Whole(1, 65_535), "With `dns`: the port of all of them.")
                .default("5988"),
            Attribute::new("consul", Kind::Text, "A service of Consul's catalog, whose instances they are."),
            Attribute::new("static", Kind::Texts, "Their addresses: host and port of each."),
            Attribute::new(
                "server",
                Kind::Address,
                "With `srv` or `dns`: the name server to ask; port 53 unless written.",
            )
            .default_words("those of the system"),
            Attribute::new(
                "dig",
                Kind::Path,
                "With `srv`: a program to ask in place of a name server; it is called as `dig` is.",
            ),
            Attribute::new(
                "getent",
                Kind::Path,
                "With `srv` or `dns`: a program that finds addresses; it is called as `getent hosts NAME`.",
            ),
            Attribute::new(
                "own",
                Kind::Texts,
                "Our own addresses, when the peers know this node by others than it has itself.",
            )
            .default_words("those of the interfaces"),
            Attribute::new(
                "every",
                Kind::Duration(Duration::from_millis(100), Duration::from_secs(86_400)),
                "Time from one round to the next.",
            )
            .default("10s"),
            Attribute::new(
                "timeout",
                Kind::Duration(Duration::from_millis(10), Duration::from_secs(86_400)),
                "Time limit of one look; at most `every`.",
            )
            .default_words("`5s`, or `every` if that is shorter"),
            Attribute::new(
                "token",
                Kind::Secret,
                "What each peer is shown as `Authorization: Basic …`: `user:password` in Base64.",
            ),
            Attribute::new("tls", Kind::Flag, "Speak TLS. Any of the TLS attributes means so too.")
                .default("false"),
            Attribute::new(
                "fail_after",
                Kind::Whole(1, 1_000),
                "So many looks in a row must fail until a peer counts as down.",
            )
            .default("2"),
            Attribute::new(
                "pass_after",
                Kind::Whole(1, 1_000),
                "So many must succeed until it counts as up again.",
            )
            .default("1"),
            Attribute::new(
                "confirm",
                Kind::Whole(1, 1_000),
                "So many nodes, this one among them, must see a peer down until it is told; at most `watchers`. \
                 When fewer can be asked, that is told.",
            )
            .default("1"),
            Attribute::new(
                "tell",
                Kind::Word(&["each", "one"]),
                "Who tells: each node that watches a peer, or one of them; when that one does not say that it \
                 did, the next.",
            )
            .default("each"),
            Attribute::new("watchers", Kind::Whole(1, 1_000), "Each peer is watched by so many nodes.")
                .default_words("all"),
            Attribute::new(
                "announce",
                Kind::Word(&["no", "changes", "always"]),
                "What is told besides that a peer is down and is up again: how one stands that was never seen \
                 before and each change of which of its checks fail, or how all stand in every round.",
            )
            .default("no"),
            Attribute::new("vanished", Kind::Flag, "Tell of a peer that is not found any more.")
                .default("true"),
        ],
        tls::ATTRIBUTES,
    ],
    blocks: &[],
    values: &[],
    example: r#"peers {
  srv        = "_sentinella._tcp.example.com"
  tls        = true
  token_file = "/etc/lictor/peers-token"
  confirm    = 2
}"#,
};

/// What is said of the peers, as far as it is without mistakes.
pub(super) fn decode(reader: &Reader<'_>) -> Option<Peers> {
    let settings = tls::decode(reader);
    let https = reader.flag_if("tls").unwrap_or_else(|| tls::is_set(reader));
    if !https && tls::is_set(reader) {
        let message = "`tls = false` leaves the other settings of TLS without a meaning";
        reader.decoder.add(Draft::new(Code::Combination, reader.span("tls"), message));
    }
    let token = reader.secret("token");
    if reader.is_set("token") && !https {
        let message = "the token travels to the peers in clear text";
        let draft = Draft::warning(Code::ClearText, token_span(reader), message);
        reader.decoder.add(draft.help("write tls = true and give the probes a certificate"));
    }
    let (every, timeout) = schedule(reader);
    let (confirm, watchers) = (reader.count_or_default("confirm"), reader.count("watchers"));
    if let Some(watchers) = watchers.filter(|watchers| confirm > *watchers) {
        let message = format!("`confirm` is {confirm}, but only {watchers} nodes watch a peer");
        let draft = Draft::new(Code::Combination, reader.span("confirm"), message);
        reader.decoder.add(draft.also(reader.span("watchers"), "said here"));
    }
    let tell = match reader.word("tell") {
        Some("one") => WhoTells::One,
        Some(_) | None => WhoTells::Each,
    };
    let (discovery, own) = (discovery(reader), own(reader));
    // What is wrong with the others is found before what these lack ends it.
    let (fail_after, pass_after) =
        (reader.count_or_default("fail_after"), reader.count_or_default("pass_after"));
    let announce = match reader.word("announce") {
        Some("changes") => Announce::Changes,
        Some("always") => Announce::Always,
        Some(_) | None => Announce::No,
    };
    let vanished = reader.flag("vanished");
    Some(Peers {
        discovery: discovery?,
        https,
        own: own?,
        every,
        timeout,
        token,
        tls: settings,
        fail_after,
        pass_after,
        confirm,
        tell,
        watchers,
        announce,
        vanished,
    })
}

/// How peers are found.
fn discovery(reader: &Reader<'_>) -> Option<Discovery> {
    let set: Vec<&str> = WAYS.into_iter().filter(|way| reader.is_set(way)).collect();
    for (name, ways) in
        [("port", &["dns"][..]), ("server", &["srv", "dns"]), ("dig", &["srv"]), ("getent", &["srv", "dns"])]
    {
        if reader.is_set(name) && !set.is_empty() && !ways.iter().any(|way| set.contains(way)) {
            let ways: Vec<String> = ways.iter().map(|way| format!("`{way}`")).collect();
            let message = format!("`{name}` needs {}", ways.join(" or "));
            reader.decoder.add(Draft::new(Code::Combination, reader.span(name), message));
        }
    }
    reader.exclude("server", "dig");
    reader.exclude("server", "getent");
    let programs = || {
        let (dig, getent) = (reader.file("dig"), reader.file("getent"));
        (dig.is_some() || getent.is_some()).then_some(DnsPrograms { dig, getent })
    };
    match set.as_slice() {
        [] => {
            let message = "`peers` does not say how peers are found";
            let draft = Draft::new(Code::Missing, reader.head, message).label("in this block");
            reader.decoder.add(draft.help("add one of `srv`, `dns`, `consul` and `static`"));
            None
        }
        ["srv"] => Some(Discovery::Srv {
            name: reader.text("srv")?,
            server: reader.address("server", DNS),
            programs: programs(),
        }),
        ["dns"] => Some(Discovery::Addresses {
            name: reader.text("dns")?,
            port: reader.whole("port").and_then(|port| u16::try_from(port).ok())?,
            server: reader.address("server", DNS),
            programs: programs(),
        }),
        ["consul"] => consul(reader),
        ["static"] => listed(reader),
        [first, rest @ ..] => {
            for other in rest {
                reader.exclude(first, other);
            }
            None
        }
    }
}

fn consul(reader: &Reader<'_>) -> Option<Discovery> {
    if !reader.decoder.scope.consul && !reader.decoder.report.is_partial() {
        let message = "peers cannot be found in Consul: no Consul is named";
        let draft = Draft::new(Code::Combination, reader.span("consul"), message);
        reader.decoder.add(draft.help("add a block consul { }"));
    }
    Some(Discovery::Consul { service: reader.text("consul")? })
}

fn listed(reader: &Reader<'_>) -> Option<Discovery> {
    let written = reader.texts("static");
    if written.is_empty() {
        let draft = Draft::new(Code::Missing, reader.span("static"), "`static` names no peer");
        reader.decoder.add(draft);
    }
    let peers: Vec<_> = written.iter().map(|text| reader.host_port_of(text)).collect();
    let peers: Vec<(String, u16)> = peers.into_iter().collect::<Option<_>>()?;
    for (at, (peer, text)) in peers.iter().zip(&written).enumerate() {
        let same = |other: &(String, u16)| other.0.eq_ignore_ascii_case(&peer.0) && other.1 == peer.1;
        if let Some(first) = peers.iter().position(same).filter(|first| *first < at) {
            let first = written.get(first).map_or(text.span, |text| text.span);
            let draft = Draft::new(Code::Twice, text.span, format!("`{}` is named twice", text.is));
            reader.decoder.add(draft.also(first, "first here"));
        }
    }
    Some(Discovery::Static(peers))
}

fn own(reader: &Reader<'_>) -> Option<Vec<IpAddr>> {
    let address = |text: &Text| {
        let found = text.is.parse().ok();
        if found.is_none() {
            let message = format!("`{}` is not an IP address", text.is);
            let draft = Draft::new(Code::Address, text.span, message);
            reader.decoder.add(draft.help("write such as \"192.0.2.1\" or \"2001:db8::1\", without a port"));
        }
        found
    };
    let found: Vec<_> = reader.texts("own").iter().map(address).collect();
    found.into_iter().collect()
}

fn schedule(reader: &Reader<'_>) -> (Duration, Duration) {
    let every = reader.duration("every");
    let timeout = reader.duration_if("timeout").unwrap_or(every.min(TIMEOUT));
    if timeout > every {
        let message = format!("`timeout` is longer than `every`, {}", Written(every));
        let draft = Draft::new(Code::Combination, reader.span("timeout"), message);
        reader.decoder.add(draft.help("a look must have ended before the next round begins"));
    }
    (every, timeout.min(every))
}

/// Where the token is written, under whichever of its names.
fn token_span(reader: &Reader<'_>) -> crate::source::Span {
    let names = reader.attribute("token").names();
    let found = names.into_iter().find_map(|name| reader.value(&name).map(|value| value.span));
    found.unwrap_or(reader.head)
}

#[cfg(test)]
#[path = "peers_tests.rs"]
mod tests;
