//! `watch "public_ip"`: the address under which others see us.

use super::{control, judgement, tls, watch, watch_vpn};
use crate::model::{IpSource, PublicIp, WatchKind};
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};

/// Who says it, and where.
pub(super) const SOURCE: &[Attribute] = &[
    Attribute::new(
        "source",
        Kind::Word(&["gluetun", "json"]),
        "Who says it: the control server of a gluetun, or any JSON document.",
    )
    .default("gluetun"),
    Attribute::new("url", Kind::Url, "The control server (`http://127.0.0.1:8000`), or the JSON document.")
        .required(),
];

/// Where in a document it stands.
pub(super) const POINTER: &[Attribute] =
    &[Attribute::new("pointer", Kind::Text, "JSON pointer to the address, for `json`.")
        .default_words("`/ip`")];

pub(super) static SCHEMA: Schema = Schema {
    doc: "The address under which others see us: passing when there is one, critical when there is none, and \
          when it is a forbidden one, which is a leak. When nobody can say it is unknown.",
    groups: &[
        SOURCE,
        control::ACCESS,
        tls::ATTRIBUTES,
        POINTER,
        &[control::FORBIDDEN],
        watch::SCHEDULE,
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[],
    values: &[
        ("ok", "1 when there is an address and it is not forbidden, otherwise 0."),
        ("leak", "1 when it is a forbidden one."),
        ("ip", "The address."),
        ("country", "Where it is, as far as the source says."),
        ("region", "The same."),
        ("city", "The same."),
        ("organization", "Whose it is."),
        ("hostname", "Its name."),
        ("timezone", "Its time zone."),
        ("location", "Its coordinates."),
        ("postal_code", "Its postal code."),
        ("total_seconds", "Time of the whole look."),
    ],
    example: r#"watch "public_ip" "address" {
  url          = "http://127.0.0.1:8000"
  forbidden    = ["203.0.113.7"]
  every        = "30s"
  tell_changes = ["ip"]
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<WatchKind> {
    let (source, forbidden) = (source(reader), control::forbidden(reader));
    Some(WatchKind::PublicIp(Box::new(PublicIp { source: source?, forbidden })))
}

/// Who says what the address is.
pub(super) fn source(reader: &Reader<'_>) -> Option<IpSource> {
    let source = reader.word("source").unwrap_or("gluetun");
    if source == "gluetun" {
        watch_vpn::refuse(reader, source, &["pointer"]);
    }
    let control = control::decode(reader);
    let pointer =
        if reader.is_set("pointer") { control::pointer(reader, "pointer")? } else { "/ip".to_owned() };
    Some(match source {
        "json" => IpSource::Json { control: control?, pointer },
        _ => IpSource::Gluetun(control?),
    })
}
