//! `status_page { … }`: what everybody may see.

use std::collections::BTreeSet;

use lictor_core::CheckName;

use super::alerts;
use crate::code::Code;
use crate::model::{Announcement, StatusGroup, StatusPage, StatusPart, slug};
use crate::problem::Draft;
use crate::reader::{Decoder, Reader};
use crate::schema::{Attribute, BlockType, Bodies, Kind, Schema};
use crate::syntax::tree::Block;

pub(super) static BLOCK: BlockType =
    BlockType { name: "status_page", labels: &[], repeats: false, bodies: Bodies::One(&SCHEMA) };

static GROUP: BlockType =
    BlockType { name: "group", labels: &["NAME"], repeats: true, bodies: Bodies::One(&GROUP_SCHEMA) };

static PART: BlockType =
    BlockType { name: "part", labels: &["NAME"], repeats: true, bodies: Bodies::One(&PART_SCHEMA) };

static ANNOUNCEMENT: BlockType = BlockType {
    name: "announcement",
    labels: &["TITLE"],
    repeats: true,
    bodies: Bodies::One(&ANNOUNCEMENT_SCHEMA),
};

/// The port that is used when none is written.
const PORT: u16 = 8520;

/// Longest name or heading that is shown, characters.
const NAME: usize = 80;

static SCHEMA: Schema = Schema {
    doc: "A status page for everybody, on a listener of its own that has nothing else: it asks for no token, shows \
          only what stands here by the names that stand here, and takes no orders. No check, host, address or \
          message of a program is on it. It has a feed (`/feed.xml`), a badge for each group (`/badge/GROUP.svg`) \
          and the same as JSON (`/status.json`).",
    groups: &[&[
        Attribute::new("address", Kind::Address, "Where it listens.").default("127.0.0.1:8520"),
        Attribute::new("title", Kind::Text, "Its heading.").default("Status"),
        Attribute::new("description", Kind::Text, "What stands below the heading."),
        Attribute::new("url", Kind::Url, "Where people reach it, for the links of the feed."),
    ]],
    blocks: &[&GROUP, &ANNOUNCEMENT],
    values: &[],
    example: r#"watch "http" "shop" {
  url = "http://10.0.0.7:8080/health"
}

watch "tcp" "pay" {
  address = "10.0.0.8:9000"
}

status_page {
  address = "127.0.0.1:8520"
  title   = "Status of the shop"
  url     = "https://status.shop.example"

  group "Shop" {
    description = "What customers see."
    checks      = [check.shop]

    part "Payment" {
      checks = [check.pay]
    }
  }

  announcement "A new warehouse" {
    text     = "Orders may take a minute longer on Sunday."
    from     = "2026-11-28T18:00"
    until    = "2026-11-29T20:00"
    timezone = "Europe/Berlin"
  }
}"#,
};

static GROUP_SCHEMA: Schema = Schema {
    doc: "Checks that are shown as one, by this name. It is as bad as the worst of them.",
    groups: &[&[
        Attribute::new("checks", Kind::Checks, "The checks. Their names are not shown."),
        Attribute::new("description", Kind::Text, "What it is, for people."),
    ]],
    blocks: &[&PART],
    values: &[],
    example: "",
};

static PART_SCHEMA: Schema = Schema {
    doc: "Checks of the group that have a line of their own, by this name.",
    groups: &[&[Attribute::new("checks", Kind::Checks, "The checks. Their names are not shown.").required()]],
    blocks: &[],
    values: &[],
    example: "",
};

static ANNOUNCEMENT_SCHEMA: Schema = Schema {
    doc: "Something that everybody is told, with this heading.",
    groups: &[&[
        Attribute::new("text", Kind::Text, "What is told.").required(),
        Attribute::new(
            "from",
            Kind::Text,
            "From when on it is shown: `\"2026-12-01T22:00\"`, or with an offset from UTC behind it.",
        )
        .default_words("at once"),
        Attribute::new("until", Kind::Text, "Until when it is shown.")
            .default_words("for as long as it stands here"),
        alerts::TIMEZONE,
    ]],
    blocks: &[],
    values: &[],
    example: "",
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<StatusPage> {
    let decoder = reader.decoder;
    let address = reader.address("address", PORT);
    let title = reader.text("title").or_else(|| reader.default("title").map(str::to_owned));
    let title = title.unwrap_or_default();
    let (description, url) = (reader.text("description"), reader.http_url("url"));
    let blocks = reader.blocks("group");
    if blocks.is_empty() {
        let draft = Draft::new(Code::Missing, reader.head, "`status_page` shows nothing");
        decoder.add(draft.help("add group \"NAME\" { checks = [check.NAME] }"));
    }
    unlike(decoder, &blocks, "group");
    let groups: Vec<_> = blocks.iter().map(|block| group(decoder, block)).collect();
    let blocks = reader.blocks("announcement");
    unlike(decoder, &blocks, "announcement");
    let announcements: Vec<_> = blocks.iter().map(|block| announcement(decoder, block)).collect();
    Some(StatusPage {
        address: address?,
        title,
        description,
        url,
        groups: groups.into_iter().collect::<Option<_>>()?,
        announcements: announcements.into_iter().collect::<Option<_>>()?,
    })
}

/// Reports names that stand twice, are empty or too long. Badges are found by the letters and digits of a name.
fn unlike(decoder: &Decoder<'_>, blocks: &[&Block], what: &str) {
    let mut seen = BTreeSet::new();
    for label in blocks.iter().filter_map(|block| block.labels.first()) {
        let slug = slug(&label.is);
        let message = match label.is.chars().count() {
            _ if slug.is_empty() => format!("the name of this {what} has no letter and no digit"),
            length if length > NAME => format!("the name of this {what} has more than {NAME} characters"),
            _ if !seen.insert(slug) => format!("another {what} is called like `{}`", label.is),
            _ => continue,
        };
        decoder.add(Draft::new(Code::Name, label.span, message).help("give it another name"));
    }
}

fn group(decoder: &Decoder<'_>, block: &Block) -> Option<StatusGroup> {
    let label = block.labels.first()?;
    let reader = Reader::new(decoder, block, &GROUP_SCHEMA);
    let (own, description) = (checks(&reader), reader.text("description"));
    let blocks = reader.blocks("part");
    unlike(decoder, &blocks, "part");
    let parts: Vec<_> = blocks.iter().map(|block| part(decoder, block)).collect();
    let parts: Vec<StatusPart> = parts.into_iter().collect::<Option<_>>()?;
    let mut checks = own?;
    for check in parts.iter().flat_map(|part| &part.checks) {
        if !checks.contains(check) {
            checks.push(check.clone());
        }
    }
    if checks.is_empty() {
        let message = format!("the group `{}` has no checks", label.is);
        decoder.add(Draft::new(Code::Missing, reader.head, message).help("add checks = [check.NAME]"));
    }
    Some(StatusGroup { name: label.is.clone(), description, checks, parts })
}

fn part(decoder: &Decoder<'_>, block: &Block) -> Option<StatusPart> {
    let label = block.labels.first()?;
    let reader = Reader::new(decoder, block, &PART_SCHEMA);
    Some(StatusPart { name: label.is.clone(), checks: checks(&reader)? })
}

fn checks(reader: &Reader<'_>) -> Option<Vec<CheckName>> {
    let Some(value) = reader.value("checks") else { return Some(Vec::new()) };
    let mut names: Vec<CheckName> = Vec::new();
    for (name, span) in reader.decoder.checks(value)? {
        if names.contains(&name) {
            let message = format!("`check.{name}` stands twice in `checks`");
            reader.decoder.add(Draft::new(Code::Twice, span, message));
        }
        names.push(name);
    }
    Some(names)
}

fn announcement(decoder: &Decoder<'_>, block: &Block) -> Option<Announcement> {
    let label = block.labels.first()?;
    let reader = Reader::new(decoder, block, &ANNOUNCEMENT_SCHEMA);
    let text = reader.text("text");
    let moment = |name: &str| match reader.is_set(name) {
        true => alerts::moment(&reader, name).map(Some),
        false => Some(None),
    };
    let (from, until) = (moment("from"), moment("until"));
    if let (Some(Some(from)), Some(Some(until))) = (from, until)
        && until <= from
    {
        let draft = Draft::new(Code::Combination, reader.span("until"), "it is over before it begins");
        decoder.add(draft.also(reader.span("from"), "its beginning"));
    }
    Some(Announcement { title: label.is.clone(), text: text?, from: from?, until: until? })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::model::slug;
    use crate::testing::{mistakes, parsed};

    #[test]
    fn a_group_has_the_checks_of_its_parts_too() {
        let text = "status_page {\n group \"Disk & Co\" {\n checks = [check.space]\n part \"L\" {\n checks = [check.load, check.space]\n }\n }\n announcement \"Soon\" {\n text = \"x\"\n from = \"2026-12-01T22:00:00+01:00\"\n }\n}";
        let watched = "watch \"disk\" \"space\" {\n}\nwatch \"disk\" \"load\" {\n}\n";
        let page = parsed(&format!("{watched}{text}")).config.status_page.unwrap();
        assert_eq!((page.address.to_string().as_str(), page.title.as_str()), ("127.0.0.1:8520", "Status"));
        let [group] = &page.groups[..] else { panic!("{page:?}") };
        let names: Vec<&str> = group.checks.iter().map(lictor_core::CheckName::as_str).collect();
        assert_eq!((names, group.parts.len()), (vec!["space", "load"], 1));
        let [told] = &page.announcements[..] else { panic!("{page:?}") };
        assert_eq!((told.from.unwrap().to_string().as_str(), told.until), ("2026-12-01T21:00:00Z", None));
        assert_eq!(slug("Disk & Co"), "disk-co");
        assert_eq!(slug("Größe/2"), "größe-2");
        assert!(parsed(watched).config.status_page.is_none());
    }

    #[test]
    fn its_mistakes() {
        let text = "watch \"disk\" \"space\" {\n}\nstatus_page {\n group \"A b\" {\n checks = [check.nothing]\n }\n group \"a-B\" {\n }\n group \"!\" {\n checks = [check.space, check.space]\n }\n announcement \"x\" {\n text = \"\"\n from = \"2026-12-02\"\n until = \"2026-12-01T00:00\"\n }\n}";
        assert_snapshot!(mistakes(text), @"
        5:18: no watcher or check is named `nothing` (known here: `space`) [LIC0401]
        7:2: the group `a-B` has no checks (add checks = [check.NAME]) [LIC0203]
        7:8: another group is called like `a-B` (give it another name) [LIC0303]
        9:8: the name of this group has no letter and no digit (give it another name) [LIC0303]
        10:25: `check.space` stands twice in `checks` [LIC0204]
        13:9: `text` is empty [LIC0203]
        15:10: it is over before it begins (its beginning: x.hcl:14:9) [LIC0207]
        ");
        assert_snapshot!(mistakes("watch \"disk\" \"space\" {\n}\nstatus_page {\n}"), @"3:1: `status_page` shows nothing (add group \"NAME\" { checks = [check.NAME] }) [LIC0203]");
    }
}
