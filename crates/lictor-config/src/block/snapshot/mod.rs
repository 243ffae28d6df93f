//! `snapshot "NAME" { … }`: snapshots of all that Consul knows, taken regularly.

mod place;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lictor_core::SnapshotName;

use super::alerts::{CRON, TIMEZONE, cron, each_once, not_twice};
use crate::code::Code;
use crate::model::{Drill, Encrypt, Names, Place, PlaceKind, Snapshot, When};
use crate::problem::Draft;
use crate::reader::{Decoder, Reader, as_body};
use crate::schema::{Attribute, BlockType, Bodies, Kind, LONGEST, Schema};
use crate::syntax::tree::{Block, Text};

pub(super) static BLOCK: BlockType =
    BlockType { name: "snapshot", labels: &["NAME"], repeats: true, bodies: Bodies::One(&SCHEMA) };

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// One may be as old as three pauses between them, unless something is written.
const MISSED: u32 = 3;

static SCHEMA: Schema = Schema {
    doc: "Snapshots of all that a datacenter of Consul knows, taken regularly and kept in one or more places. Each is \
          decoded to its end before it counts, sent to every place, read there again and compared; only then older ones are \
          removed, and only those that this block has made. The same on all nodes: one of them works.",
    groups: &[
        &[
            Attribute::new(
                "every",
                Kind::Duration(Duration::from_secs(10), LONGEST),
                "So long after the last one the next one is taken, whoever has taken that.",
            )
            .default_words("`1h`, unless `cron` is set"),
            CRON,
            TIMEZONE,
            Attribute::new(
                "stale",
                Kind::Flag,
                "Whether any server may answer, also one that has lost its leader: the snapshot may lack what is new.",
            )
            .default("false"),
            Attribute::new(
                "keep",
                Kind::Object(&place::KEEP),
                "What stays in each place that does not say otherwise.",
            )
            .default_words("the last 30"),
            Attribute::new(
                "encrypt",
                Kind::Object(&ENCRYPT),
                "Encrypt them, in the format of age, before they leave the machine.",
            )
            .default_words("they are not encrypted, and hold every secret of the cluster"),
            Attribute::new(
                "scratch",
                Kind::Path,
                "The folder in which one lies while it is taken, checked and sent.",
            )
            .default_words("`snapshots` in `state_dir`"),
        ],
        &[
            Attribute::new(
                "max_age",
                Kind::Duration(Duration::from_secs(30), LONGEST),
                "How old the newest one in a place may become before somebody is told.",
            )
            .default_words("3 × `every`, or 25 hours with `cron`"),
            Attribute::new(
                "max_change",
                Kind::Whole(1, 10_000),
                "By how many hundredths of the one before a snapshot may be larger or smaller (and by a MiB in any case) \
                 before somebody is told.",
            )
            .default("50"),
            Attribute::new(
                "max_failures",
                Kind::Whole(1, 1_000),
                "After so many failures in a row this node lets another one try.",
            )
            .default("3"),
            Attribute::new(
                "drill",
                Kind::Object(&DRILL),
                "Restore the newest one into a server of Consul that is thrown away, and compare: the proof that it can be \
                 restored.",
            )
            .default_words("none"),
        ],
        &[
            Attribute::new(
                "service",
                Kind::Text,
                "Register as this service of Consul, with a TTL check that says how it stands.",
            ),
            Attribute::new(
                "lock",
                Kind::Text,
                "A key of Consul that is locked by a session, too, while this node works: for snapshot agents of Consul \
                 Enterprise beside it, which use `consul-snapshot/lock`.",
            ),
        ],
    ],
    blocks: &[&place::BLOCK],
    values: &[],
    example: r#"consul {
}

snapshot "consul" {
  every = "1h"
  keep {
    last  = 24
    daily = 14
  }
  encrypt {
    recipients = ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]
  }
  place "folder" "here" {
    path = "/var/backups/consul"
  }
  place "s3" "elsewhere" {
    bucket          = "backups"
    prefix          = "consul"
    region          = "eu-central-1"
    access_key_file = "/etc/lictor/s3-access-key"
    secret_key_file = "/etc/lictor/s3-secret-key"
  }
}"#,
};

static ENCRYPT: Schema = Schema {
    doc: "Encrypt snapshots, in the format of age.",
    groups: &[&[
        Attribute::new(
            "recipients",
            Kind::Texts,
            "Public keys (`age1…`), as `age-keygen` prints them; whoever has the key of one of them can read it. This machine \
             need not have one.",
        ),
        Attribute::new("passphrase", Kind::Secret, "A passphrase in the place of keys."),
    ]],
    blocks: &[],
    values: &[],
    example: "",
};

static DRILL: Schema = Schema {
    doc: "Restore the newest snapshot into a server of Consul on the loopback address, which is thrown away, and compare.",
    groups: &[&[
        Attribute::new("every", Kind::Duration(HOUR, LONGEST), "How often.")
            .default_words("`1d`, unless `cron` is set"),
        CRON,
        TIMEZONE,
        Attribute::new("consul", Kind::Path, "The program `consul`.")
            .default_words("that of the search path"),
        Attribute::new(
            "identity",
            Kind::Secret,
            "The key that reads what is encrypted to recipients, as `age-keygen` writes it. Without one such snapshots \
             cannot be tried on this machine.",
        ),
        Attribute::new(
            "limit",
            Kind::Duration(Duration::from_secs(10), DAY),
            "How long it may take before it has failed.",
        )
        .default("10m"),
    ]],
    blocks: &[],
    values: &[],
    example: "",
};

/// All that is taken.
pub(super) fn decode(decoder: &Decoder<'_>, blocks: &[&Block]) -> BTreeMap<SnapshotName, Arc<Snapshot>> {
    not_twice(decoder, blocks, "snapshot");
    let mut services = Vec::new();
    let mut all = BTreeMap::new();
    for block in blocks {
        let [label] = block.labels.as_slice() else { continue };
        let reader = Reader::new(decoder, block, &SCHEMA);
        services.extend(reader.text_at("service"));
        if let Some(found) = one(&reader, label) {
            all.insert(found.name.clone(), Arc::new(found));
        }
    }
    each_once(decoder, services.iter(), "service of Consul");
    all
}

fn one(reader: &Reader<'_>, label: &Text) -> Option<Snapshot> {
    let name = name(reader, label);
    if !reader.decoder.scope.consul && !reader.decoder.report.is_partial() {
        let message = "snapshots are taken of Consul, and none is named";
        let draft = Draft::new(Code::Combination, reader.head, message);
        reader.decoder.add(draft.help("add a block consul { }"));
    }
    let when = when(reader, HOUR);
    let keep = place::keep(reader);
    let places = places(reader, keep);
    let (encrypt, scratch) = (encrypt(reader), reader.path("scratch"));
    let encrypted = reader.is_set("encrypt");
    let drill = drill(reader, encrypt.as_ref());
    let max_age = reader.duration_if("max_age");
    let whole = |name: &str| reader.whole(name).and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
    let (max_change, max_failures) = (whole("max_change"), whole("max_failures"));
    let lock = reader.text_at("lock");
    if let Some(lock) = lock.as_ref().filter(|lock| lock.is.is_empty() || lock.is.starts_with('/')) {
        let draft =
            Draft::new(Code::Prefix, lock.span, format!("`{}` is no key that can be locked", lock.is));
        reader.decoder.add(draft.help("write it without a `/` at its beginning"));
    }
    let when = when?;
    let max_age = max_age.unwrap_or(match &when {
        When::Every(pause) => pause.saturating_mul(MISSED),
        When::At(_) => DAY + HOUR,
    });
    if let (When::Every(pause), true) = (&when, reader.is_set("max_age"))
        && max_age <= *pause
    {
        let message = "each snapshot becomes so old before the next one is taken";
        let draft = Draft::new(Code::Combination, reader.span("max_age"), message);
        reader.decoder.add(draft.help("make `max_age` longer than `every`"));
    }
    if let Some(far) = places.iter().flatten().find(|place| !matches!(place.at, PlaceKind::Folder(_)))
        && !encrypted
    {
        let message = format!("the place `{}` gets every secret of the cluster in clear text", far.name);
        let draft = Draft::warning(Code::PlainSnapshot, reader.head, message);
        reader.decoder.add(draft.help("add `encrypt { recipients = [\"age1…\"] }`"));
    }
    if encrypted && encrypt.is_none() {
        return None;
    }
    Some(Snapshot {
        name: name?,
        when,
        stale: reader.flag("stale"),
        places: places?,
        encrypt,
        scratch,
        max_age: Some(max_age),
        max_change,
        max_failures,
        service: reader.text("service"),
        deregister_after: None,
        lock: lock.map(|lock| lock.is),
        stamp: None,
        drill,
        names: Names::Dated,
    })
}

/// It is a part of names of files, between dots.
fn name(reader: &Reader<'_>, label: &Text) -> Option<SnapshotName> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let wrong = match (SnapshotName::new(&label.is), label.is.chars().find(|c| !plain(*c))) {
        (Ok(name), None) if !label.is.starts_with('-') => return Some(name),
        (Ok(_), None) => "the name of snapshots begins with a letter or a digit".to_owned(),
        (_, Some(odd)) => format!("the name of snapshots has letters, digits, `_` and `-`, not {odd:?}"),
        (Err(error), None) => error.to_string(),
    };
    reader.decoder.add(Draft::new(Code::Name, label.span, wrong));
    None
}

/// What `every` and `cron` say.
fn when(reader: &Reader<'_>, default: Duration) -> Option<When> {
    if reader.exclude("every", "cron") {
        return None;
    }
    match reader.is_set("cron") {
        true => cron(reader).map(When::At),
        false => {
            reader.needs("timezone", "cron");
            match (reader.is_set("every"), reader.duration_if("every")) {
                (true, pause) => pause.map(When::Every),
                (false, _) => Some(When::Every(default)),
            }
        }
    }
}

fn places(reader: &Reader<'_>, keep: lictor_core::snapshot::Keep) -> Option<Vec<Place>> {
    let blocks = reader.blocks("place");
    if blocks.is_empty() && !reader.has_block("place") {
        let message = "the snapshots are kept nowhere";
        let draft = Draft::new(Code::Missing, reader.head, message);
        reader.decoder.add(draft.help("add place \"folder\" \"NAME\" { path = \"/var/backups/consul\" }"));
    }
    each_once(reader.decoder, blocks.iter().filter_map(|block| block.labels.get(1)), "place");
    let found: Vec<Option<Place>> =
        blocks.iter().map(|block| place::decode(reader.decoder, block, keep)).collect();
    let found: Option<Vec<Place>> = found.into_iter().collect();
    let found = found?;
    for (at, one) in found.iter().enumerate() {
        let before = found.iter().take(at);
        if before.clone().any(|other| is_same_place(&other.at, &one.at)) {
            let span = blocks.get(at).map_or(reader.head, |block| block.head());
            let message = format!("the place `{}` is the same as another one of this block", one.name);
            reader.decoder.add(Draft::new(Code::Twice, span, message));
        }
    }
    Some(found)
}

fn is_same_place(one: &PlaceKind, other: &PlaceKind) -> bool {
    match (one, other) {
        (PlaceKind::Folder(one), PlaceKind::Folder(other)) => one == other,
        (PlaceKind::S3(one), PlaceKind::S3(other)) => {
            (&one.bucket, &one.prefix, &one.endpoint) == (&other.bucket, &other.prefix, &other.endpoint)
        }
        (PlaceKind::Azure(one), PlaceKind::Azure(other)) => {
            (&one.account, &one.container, &one.prefix) == (&other.account, &other.container, &other.prefix)
        }
        (PlaceKind::Google(one), PlaceKind::Google(other)) => {
            (&one.bucket, &one.prefix) == (&other.bucket, &other.prefix)
        }
        _ => false,
    }
}

fn object<'d>(reader: &Reader<'d>, name: &str, schema: &'static Schema, decode: impl FnOnce(&Reader<'_>)) {
    let Some(value) = reader.value(name) else { return };
    match as_body(value) {
        Some(body) => {
            let title = format!("snapshot.{name}");
            decode(&Reader::over(reader.decoder, &body, schema, value.span, title));
        }
        None => reader.mismatch(name, value),
    }
}

fn encrypt(reader: &Reader<'_>) -> Option<Encrypt> {
    let mut found = None;
    object(reader, "encrypt", &ENCRYPT, |inner| {
        if inner.exclude("recipients", "passphrase") {
            return;
        }
        let recipients = inner.texts("recipients");
        for odd in recipients.iter().filter(|text| !is_recipient(&text.is)) {
            let message = format!("`{}` is no public key of age", odd.is);
            let draft = Draft::new(Code::Encryption, odd.span, message);
            inner.decoder.add(draft.help("write what `age-keygen` prints as the public key: age1…"));
        }
        found = match (recipients.is_empty(), inner.secret("passphrase")) {
            (false, _) => Some(Encrypt::Recipients(recipients.into_iter().map(|text| text.is).collect())),
            (true, Some(passphrase)) => Some(Encrypt::Passphrase(passphrase)),
            (true, None) => {
                if !inner.is_set("passphrase") {
                    let draft =
                        Draft::new(Code::Missing, inner.head, "it is not said for whom it is encrypted");
                    inner.decoder.add(draft.help("add `recipients` or `passphrase_file`"));
                }
                None
            }
        };
    });
    found
}

/// `age1` and 58 characters of the alphabet of Bech32; its sum is looked at when it is used.
fn is_recipient(text: &str) -> bool {
    text.strip_prefix("age1").is_some_and(|rest| {
        rest.len() == 58 && rest.chars().all(|c| "qpzry9x8gf2tvdw0s3jn54khce6mua7l".contains(c))
    })
}

fn drill(reader: &Reader<'_>, encrypt: Option<&Encrypt>) -> Option<Drill> {
    let mut found = None;
    object(reader, "drill", &DRILL, |inner| {
        let (when, identity) = (when(inner, DAY), inner.secret("identity"));
        let consul: Option<PathBuf> = inner.path("consul");
        if matches!(encrypt, Some(Encrypt::Recipients(_))) && !inner.is_set("identity") {
            let message =
                "no snapshot can be tried: they are encrypted to keys that this machine does not have";
            let draft = Draft::new(Code::Combination, inner.head, message);
            inner
                .decoder
                .add(draft.help("add `identity_file`, or try them elsewhere by `lictor snapshot drill`"));
        }
        let limit = inner.duration("limit");
        found = when.map(|when| Drill { when, consul, identity, limit });
    });
    found
}

#[cfg(test)]
mod tests;
