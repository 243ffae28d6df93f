//! `node { … }`: this machine.

use std::path::PathBuf;

use crate::code::Code;
use crate::model::Node;
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, BlockType, Bodies, Kind, Schema};

pub(super) static BLOCK: BlockType =
    BlockType { name: "node", labels: &[], repeats: false, bodies: Bodies::One(&SCHEMA) };

static SCHEMA: Schema = Schema {
    doc: "This machine: what it is called and where it keeps its state.",
    groups: &[&[
        Attribute::new("name", Kind::Text, "The name of this node, unique in its fleet.")
            .default_words("the host's name"),
        Attribute::new("datacenter", Kind::Text, "The datacenter, for display and for Consul."),
        Attribute::new("state_dir", Kind::Path, "Where the state lies.")
            .default_words("systemd's `STATE_DIRECTORY`, or `/var/lib/lictor`"),
    ]],
    blocks: &[],
    values: &[],
    example: r#"node {
  name      = "node1"
  state_dir = "/var/lib/lictor"
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Node {
    let env = reader.decoder.env;
    let name = reader.text_at("name").and_then(|name| {
        // The same letters as other names: it becomes part of keys and labels.
        match lictor_core::CheckName::new(&name.is) {
            Ok(_) => Some(name.is),
            Err(error) => {
                reader.decoder.add(Draft::new(Code::Name, name.span, format!("{error}")));
                None
            }
        }
    });
    let host = || env.host_name().or_else(|| env.var("HOSTNAME")).filter(|name| !name.is_empty());
    let state = || {
        let given = env.var("STATE_DIRECTORY")?;
        given.split(':').next().filter(|first| !first.is_empty()).map(PathBuf::from)
    };
    Node {
        name: name.or_else(host).unwrap_or_else(|| "localhost".to_owned()),
        datacenter: reader.text("datacenter"),
        state_dir: reader
            .path("state_dir")
            .or_else(state)
            .unwrap_or_else(|| PathBuf::from("/var/lib/lictor")),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{env, mistakes, parsed_in};
    use insta::assert_snapshot;

    #[test]
    fn what_is_not_written_comes_from_the_host() {
        let env = env(&[("HOSTNAME", "kettle"), ("STATE_DIRECTORY", "/var/lib/a:/var/lib/b")]);
        let node = parsed_in("", &env).config.node;
        assert_eq!((node.name.as_str(), node.state_dir.to_str()), ("kettle", Some("/var/lib/a")));
        let node = parsed_in("node {\n name = \"n1\"\n datacenter = \"dc1\"\n}", &env).config.node;
        assert_eq!((node.name.as_str(), node.datacenter.as_deref()), ("n1", Some("dc1")));
    }

    #[test]
    fn wrong_values_are_told_together() {
        assert_snapshot!(mistakes("node {\n name = \"my node\"\n statedir = \"/x\"\n state_dir = \"x\"\n}\n"), @r#"
        2:9: a name has letters, digits, `_`, `-`, `.`, `:`, `@` and `/`, not ' ' [LIC0303]
        3:2: unknown attribute `statedir` in `node` (did you mean `state_dir`?) [LIC0201]
        4:14: `state_dir` must be an absolute path (begin it with `/`) [LIC0305]
        "#);
    }
}
