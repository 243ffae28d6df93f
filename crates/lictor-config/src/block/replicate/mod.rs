//! `replicate "NAME" { … }`: keys of Consul that other datacenters have too.

mod ways;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use lictor_core::ReplicateName;
use lictor_core::replicate::{Exclude, Limit, Locks, Prefix, PrefixError, overlap};

use super::alerts::{each_once, not_twice};
use super::service::listed;
use crate::code::Code;
use crate::model::{Consul, Replicate};
use crate::problem::Draft;
use crate::reader::{Decoder, Reader};
use crate::schema::{Attribute, BlockType, Bodies, Kind, LONGEST, Schema};
use crate::source::Span;
use crate::syntax::tree::{Block, Text};
use crate::units::Written;
use crate::value::Share;

pub(super) static BLOCK: BlockType =
    BlockType { name: "replicate", labels: &["NAME"], repeats: true, bodies: Bodies::One(&SCHEMA) };

/// How much longer than `wait` its changes may wait, unless that is written.
const PATIENCE: u32 = 4;

/// The characters of a datacenter's name besides letters and digits.
const MARKS: &str = "_.-";

static SCHEMA: Schema = Schema {
    doc: "Keys of Consul that are copied from one datacenter to others, and kept there as they are at the source. A write \
          never goes over what was not read before, and a delete rests on two answers on which the servers of the source \
          agreed. Lictor's own records are neither written over nor deleted. The same on all nodes: one of them works.",
    groups: &[
        &[
            Attribute::new(
                "prefixes",
                Kind::Texts,
                "What is copied: `SOURCE@DATACENTER`, or `SOURCE@DATACENTER:DESTINATION` where the copies have other names. \
                 What keys begin with is text and no folder, so that `global` means `globalization` too. `/@DATACENTER` \
                 are all keys.",
            )
            .required(),
            Attribute::new("to", Kind::Texts, "The datacenters to which it is copied.")
                .default_words("that of the Consul agent, or what the block `consul` says"),
            Attribute::new(
                "folder",
                Kind::Flag,
                "Whether sources and destinations are folders: one that does not end in `/` gets one.",
            )
            .default("false"),
            Attribute::new(
                "exclude",
                Kind::Texts,
                "Keys that are left alone, and their copies with them: those that begin so, by their names at the source.",
            ),
            Attribute::new(
                "exclude_containing",
                Kind::Texts,
                "The same for those in which this stands somewhere.",
            ),
            Attribute::new(
                "exclude_matching",
                Kind::Texts,
                "The same for those in which a regular expression finds something.",
            ),
        ],
        &[
            Attribute::new(
                "delete",
                Kind::Flag,
                "Whether keys that only a destination has are deleted there, whoever wrote them.",
            )
            .default("false"),
            Attribute::new(
                "delete_limit",
                Kind::Share,
                "How many may be deleted at a time without a person, in hundredths of the keys that are there (and ten in any \
                 case) or by their number. More are held back until `lictor replicate approve` or `discard`.",
            )
            .default("10%"),
            Attribute::new(
                "confirm",
                Kind::Duration(Duration::from_secs(1), Duration::from_secs(3_600)),
                "How far apart the two answers of the source are on which a delete rests.",
            )
            .default("3s"),
            Attribute::new(
                "canary",
                Kind::Text,
                "A key of the source that its token may read: while it is not to be seen, deletes are held back.",
            ),
        ],
        &[
            Attribute::new(
                "repair",
                Kind::Flag,
                "Whether a copy that somebody else has changed is put right, also when the source has not changed since.",
            )
            .default("true"),
            Attribute::new(
                "locks",
                Kind::Word(&["skip", "copy"]),
                "What becomes of keys that a session holds, or that are marked as a lock or a semaphore: they are left \
                 alone, or copied without the session.",
            )
            .default("skip"),
            Attribute::new(
                "wait",
                Kind::Duration(Duration::from_millis(10), Duration::from_secs(3_600)),
                "How long the source must be quiet before its changes are copied. Without it they are copied at once.",
            ),
            Attribute::new(
                "wait_max",
                Kind::Duration(Duration::from_millis(10), Duration::from_secs(86_400)),
                "How long they wait for that at most.",
            )
            .default_words("4 × `wait`"),
            Attribute::new(
                "max_stale",
                Kind::Duration(Duration::from_millis(1), LONGEST),
                "How old an answer of the source may be that comes from another server than the leader. Deletes never rest \
                 on one.",
            )
            .default_words("the leader is asked"),
            Attribute::new("parallel", Kind::Whole(1, 32), "Transactions that are under way at a time.").default("8"),
            Attribute::new("dry_run", Kind::Flag, "Write nothing and delete nothing; only tell what would be done.")
                .default("false"),
            Attribute::new(
                "service",
                Kind::Text,
                "Register as this service of Consul, with a TTL check that says how it stands.",
            ),
        ],
    ],
    blocks: &[],
    values: &[],
    example: r#"consul {
}

replicate "config" {
  prefixes = ["config/@dc1", "shared/@dc1:from-dc1/"]
  to       = ["dc2", "dc3"]
  exclude  = ["config/local/"]
  delete   = true
}"#,
};

/// A block, and where each of its prefixes is written.
struct Found {
    replicate: Replicate,
    places: Vec<Span>,
    service: Option<Text>,
}

/// All that is copied. `consul`: the agent by which it is.
pub(super) fn decode(
    decoder: &Decoder<'_>,
    blocks: &[&Block],
    consul: Option<&Consul>,
) -> BTreeMap<ReplicateName, Arc<Replicate>> {
    not_twice(decoder, blocks, "replication");
    let mut all = Vec::new();
    for block in blocks {
        let [label] = block.labels.as_slice() else { continue };
        all.extend(one(&Reader::new(decoder, block, &SCHEMA), label));
    }
    each_once(decoder, all.iter().filter_map(|found| found.service.as_ref()), "service of Consul");
    ways::check(decoder, &all, consul);
    all.into_iter().map(|found| (found.replicate.name.clone(), Arc::new(found.replicate))).collect()
}

fn one(reader: &Reader<'_>, label: &Text) -> Option<Found> {
    let name = name(reader, label);
    if !reader.decoder.scope.consul && !reader.decoder.report.is_partial() {
        let message = "keys are copied by way of an agent of Consul, and none is named";
        let draft = Draft::new(Code::Combination, reader.head, message);
        reader.decoder.add(draft.help("add a block consul { }"));
    }
    let folder = reader.flag("folder");
    let prefixes = listed(reader, "prefixes", |text| Some((prefix(reader, text, folder)?, text.span)));
    let to = match reader.is_set("to") {
        true => listed(reader, "to", |text| datacenter(reader, text)),
        false => Some(Vec::new()),
    };
    for needy in ["delete_limit", "confirm", "canary"] {
        reader.needs(needy, "delete");
    }
    let limit = match reader.share("delete_limit") {
        Some(Share::Number(keys)) => Limit::Keys(keys),
        Some(Share::Percent(share)) => Limit::Percent(share),
        None => Limit::Keys(0),
    };
    let canary = canary(reader);
    let (delete, confirm, repair) =
        (reader.flag("delete"), reader.duration("confirm"), reader.flag("repair"));
    let locks = match reader.word("locks") {
        Some("copy") => Locks::Copy,
        Some(_) | None => Locks::Skip,
    };
    let (wait, max_stale) = (wait(reader), reader.duration_if("max_stale"));
    let parallel = reader.whole("parallel").and_then(|count| usize::try_from(count).ok()).unwrap_or(1);
    let (dry_run, service) = (reader.flag("dry_run"), reader.text_at("service"));
    let excludes = excludes(reader);
    let (prefixes, places): (Vec<_>, Vec<_>) = prefixes?.into_iter().unzip();
    check_excludes(reader, &prefixes);
    if delete {
        check_deletes(reader, &prefixes, &places);
    }
    let replicate = Replicate {
        name: name?,
        prefixes,
        to: to?,
        excludes,
        delete,
        limit,
        confirm,
        canary,
        repair,
        locks,
        wait,
        max_stale,
        parallel,
        dry_run,
        service: service.as_ref().map(|service| service.is.clone()),
        pauses: Replicate::PAUSES,
        approved: Vec::new(),
        notes: None,
    };
    Some(Found { replicate, places, service })
}

fn name(reader: &Reader<'_>, label: &Text) -> Option<ReplicateName> {
    let odd = label.is.chars().find(|c| !(c.is_ascii_alphanumeric() || MARKS.contains(*c)));
    let wrong = match (ReplicateName::new(&label.is), odd) {
        (Ok(name), None) if label.is.starts_with(|c: char| c.is_ascii_alphanumeric()) => return Some(name),
        (Ok(_), None) => "the name of a replication begins with a letter or a digit".to_owned(),
        (_, Some(odd)) => {
            format!("the name of a replication has letters, digits, `_`, `-` and `.`, not {odd:?}")
        }
        (Err(error), None) => error.to_string(),
    };
    reader.decoder.add(Draft::new(Code::Name, label.span, wrong));
    None
}

fn prefix(reader: &Reader<'_>, text: &Text, folder: bool) -> Option<Prefix> {
    let place = |range: Range<usize>| reader.decoder.inside(text.span, range);
    let mut prefix = match text.is.parse::<Prefix>() {
        Ok(prefix) => prefix,
        Err(error) => {
            let (range, help) = fault(&text.is, error);
            let draft = Draft::new(Code::Prefix, place(range), error.to_string());
            reader.decoder.add(draft.help(help));
            return None;
        }
    };
    let start = text.is.find('@').map_or(0, |at| at + 1);
    check_case(reader, &prefix.datacenter, place(start..start + prefix.datacenter.len()));
    if prefix.destination.starts_with('/') && !prefix.source.starts_with('/') {
        let start = text.is.find(':').map_or(0, |colon| colon + 1);
        let message = "the keys of the destination would begin with `/`";
        let draft = Draft::new(Code::Prefix, place(start..start + 1), message);
        reader.decoder.add(draft.help("leave the `/` out"));
        return None;
    }
    let starts = [0, text.is.find(':').map_or(0, |colon| colon + 1)];
    for (part, start) in [&prefix.source, &prefix.destination].into_iter().zip(starts) {
        if let Some(range) = without_path(part) {
            let message =
                format!("`{part}` has no path in the HTTP interface of Consul, and cannot be listed");
            let at = place(start + range.start..start + range.end);
            reader.decoder.add(
                Draft::new(Code::Prefix, at, message)
                    .help("copy a shorter one, and leave the rest out by `exclude`"),
            );
            return None;
        }
    }
    if folder {
        for part in [&mut prefix.source, &mut prefix.destination] {
            if !part.is_empty() && !part.ends_with('/') {
                part.push('/');
            }
        }
    }
    Some(prefix)
}

/// The part of a prefix that Consul takes for another path, because its server tidies paths up: `//`, `/./`, `/../`.
fn without_path(prefix: &str) -> Option<Range<usize>> {
    let mut start = 0;
    for part in prefix.split('/') {
        let end = start + part.len();
        if matches!(part, "." | "..") || part.is_empty() && !prefix.is_empty() && end < prefix.len() {
            return Some(start..end.max(start + 1));
        }
        start = end + 1;
    }
    None
}

/// Where a text stops being a prefix, and the way out.
fn fault(text: &str, error: PrefixError) -> (Range<usize>, String) {
    let (from, rest) = text.find(':').and_then(|colon| text.split_at_checked(colon)).unwrap_or((text, ""));
    let form = || "write SOURCE@DATACENTER or SOURCE@DATACENTER:DESTINATION".to_owned();
    let (source, datacenter) = from.split_once('@').unwrap_or((from, ""));
    let odd = datacenter.char_indices().find(|(_, c)| !(c.is_ascii_alphanumeric() || MARKS.contains(*c)));
    match (error, odd) {
        (PrefixError::Empty, _) => (0..from.len(), form()),
        (PrefixError::NoDatacenter, _) => {
            (from.len()..from.len(), format!("write `{from}@DATACENTER{rest}`"))
        }
        (PrefixError::Format, _) if source.is_empty() => {
            (0..from.len(), format!("write `/{from}{rest}` for all keys"))
        }
        (PrefixError::Format, Some((at, odd))) => {
            let at = source.len() + 1 + at;
            let help = format!("the name of a datacenter has letters, digits, `_`, `-` and `.`, not {odd:?}");
            (at..at + odd.len_utf8(), help)
        }
        (PrefixError::Format, None) => (from.len()..from.len(), form()),
    }
}

fn datacenter(reader: &Reader<'_>, text: &Text) -> Option<String> {
    let plain = text.is.chars().all(|c| c.is_ascii_alphanumeric() || MARKS.contains(c));
    if plain && !text.is.is_empty() {
        check_case(reader, &text.is, text.span);
        return Some(text.is.clone());
    }
    let message = format!("`{}` is not the name of a datacenter", text.is);
    let draft = Draft::new(Code::Prefix, text.span, message);
    reader.decoder.add(draft.help("it has letters, digits, `_`, `-` and `.`"));
    None
}

/// Consul makes the names of its datacenters small, and knows none that is not.
fn check_case(reader: &Reader<'_>, datacenter: &str, at: Span) {
    let small = datacenter.to_ascii_lowercase();
    if small != datacenter {
        let message =
            format!("no datacenter of Consul is called `{datacenter}`: their names have no capitals");
        reader.decoder.add(Draft::new(Code::Prefix, at, message).help(format!("write `{small}`")));
    }
}

fn canary(reader: &Reader<'_>) -> Option<String> {
    let text = reader.text_at("canary")?;
    if text.is.starts_with('/') {
        let draft = Draft::new(Code::Prefix, text.span, "no key begins with `/`");
        reader.decoder.add(draft.help("leave the `/` out"));
    }
    Some(text.is)
}

fn wait(reader: &Reader<'_>) -> Option<(Duration, Duration)> {
    reader.needs("wait_max", "wait");
    let most = reader.duration_if("wait_max");
    let quiet = reader.duration_if("wait")?;
    let most = most.unwrap_or(quiet.saturating_mul(PATIENCE));
    if most < quiet {
        let message = format!("`wait_max` is shorter than `wait`, {}", Written(quiet));
        reader.decoder.add(Draft::new(Code::Combination, reader.span("wait_max"), message));
    }
    Some((quiet, most))
}

fn excludes(reader: &Reader<'_>) -> Vec<Exclude> {
    let texts = |name: &str| {
        let (empty, full): (Vec<_>, Vec<_>) =
            reader.texts(name).into_iter().partition(|text| text.is.is_empty());
        for text in empty {
            reader.decoder.add(Draft::new(Code::Missing, text.span, "this would leave every key alone"));
        }
        full
    };
    let mut found: Vec<Exclude> = texts("exclude").into_iter().map(|text| Exclude::Prefix(text.is)).collect();
    found.extend(texts("exclude_containing").into_iter().map(|text| Exclude::Contains(text.is)));
    let patterns = texts("exclude_matching");
    found.extend(patterns.iter().filter_map(|text| reader.pattern(text)).map(Exclude::Matches));
    found
}

/// Each of `exclude` must mean something that is copied.
fn check_excludes(reader: &Reader<'_>, prefixes: &[Prefix]) {
    for text in reader.texts("exclude") {
        if !prefixes.iter().any(|prefix| overlap(&prefix.source, &text.is)) {
            let message = format!("nothing that is copied begins with `{}`", text.is);
            let draft = Draft::warning(Code::NeverLeft, text.span, message);
            reader.decoder.add(draft.help("keys are meant by their names at the source"));
        }
    }
}

/// Where all keys of a datacenter are the copies, nothing else can stay there.
fn check_deletes(reader: &Reader<'_>, prefixes: &[Prefix], places: &[Span]) {
    let whole = prefixes.iter().zip(places).find(|(prefix, _)| prefix.destination.is_empty());
    if let Some((prefix, place)) = whole {
        let message =
            format!("every key of the destination that {} does not have is deleted", prefix.datacenter);
        let draft = Draft::warning(Code::DeletesAll, *place, message);
        reader.decoder.add(draft.help(format!(
            "give the copies a folder, such as `/@{0}:{0}/`, or leave `delete` out",
            prefix.datacenter
        )));
    }
}

#[cfg(test)]
mod tests;
