//! `service "NAME" { … }` of `alerts`: the instances of a service judged together.

use std::num::NonZeroU32;

use lictor_core::alert::{Matcher, Matchers, ServicePlan, TAG, label};

use super::select;
use crate::code::Code;
use crate::problem::Draft;
use crate::reader::{Decoder, Reader};
use crate::schema::{Attribute, BlockType, Bodies, Kind, Schema};
use crate::syntax::tree::Block;

pub(super) static BLOCK: BlockType =
    BlockType { name: "service", labels: &["NAME"], repeats: true, bodies: Bodies::One(&SCHEMA) };

static SCHEMA: Schema = Schema {
    doc: "The instances of a service of Consul's are one alert, by how many of them are healthy. Its text \
          names the checks that failed. The name may be a pattern, `\"/…/\"`: then each service it fits is \
          judged for itself.",
    groups: &[&[
        Attribute::new("at_least", Kind::Whole(1, 10_000), "Fewer healthy instances are critical.")
            .required(),
        Attribute::new("warn_below", Kind::Whole(2, 10_000), "Fewer healthy instances are a warning."),
        Attribute::new(label::DATACENTER, Kind::Selector, "In which datacenters; each is judged for itself."),
        Attribute::new(TAG, Kind::Selector, "Only instances with such a tag count."),
        Attribute::new(
            "instead",
            Kind::Flag,
            "Whether the checks of the instances are no alerts of their own then.",
        )
        .default("true"),
    ]],
    blocks: &[],
    values: &[],
    example: r#"consul {}

alerts {
  consul {}
  service "web" {
    at_least   = 2
    warn_below = 4
  }
}"#,
};

pub(super) fn decode(decoder: &Decoder<'_>, block: &Block) -> Option<ServicePlan> {
    let name = block.labels.first()?;
    let reader = Reader::new(decoder, block, &SCHEMA);
    if name.is.is_empty() {
        decoder.add(Draft::new(Code::Name, name.span, "a service has a name"));
    }
    let service = select::pattern(&reader, name);
    let mut when = vec![select::exactly(label::SOURCE, "consul")];
    when.extend(service.map(|one| Matcher { label: label::SERVICE.to_owned(), any: vec![one], not: false }));
    when.extend(
        [label::DATACENTER, TAG].into_iter().filter_map(|name| select::matcher(&reader, name, false)),
    );
    let (at_least, warn_below) = (reader.count("at_least"), reader.count("warn_below"));
    if let Some((least, warn)) = at_least.zip(warn_below).filter(|(least, warn)| warn <= least) {
        let message = format!("`warn_below` is {warn}, but below {least} it is critical already");
        let draft = Draft::new(Code::Range, reader.span("warn_below"), message);
        decoder.add(draft.help("give it a number above `at_least`"));
    }
    let instead = reader.flag("instead");
    Some(ServicePlan {
        when: Matchers(when),
        at_least: at_least.unwrap_or(NonZeroU32::MIN),
        warn_below,
        instead,
    })
}
