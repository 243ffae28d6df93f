//! `cluster { … }`: how the nodes of the services reach each other.

use crate::code::Code;
use crate::model::Cluster;
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, BlockType, Bodies, Kind, Schema};

pub(super) static BLOCK: BlockType =
    BlockType { name: "cluster", labels: &[], repeats: false, bodies: Bodies::One(&SCHEMA) };

/// The port of the words between nodes, beside that of the listener.
const PORT: u16 = 8_511;

/// Bytes of the shortest key that is taken.
const SHORTEST: usize = 16;

static SCHEMA: Schema = Schema {
    doc: "How the nodes of the services reach each other, without Consul: a node whose lease cannot be renewed asks \
          the others to wait, and goes on when all have promised to. Datagrams (UDP) that a key proves.",
    groups: &[&[
        Attribute::new(
            "address",
            Kind::Address,
            "Where this node hears the others; port 8511 unless written.",
        )
        .required(),
        Attribute::new("advertise", Kind::Address, "Where they find it.").default_words("`address`"),
        Attribute::new("key", Kind::Secret, "The key, the same on all nodes; 16 bytes at least.").required(),
        Attribute::new(
            "old_key",
            Kind::Secret,
            "A key that is accepted besides, while the nodes change from one to the other.",
        ),
    ]],
    blocks: &[],
    values: &[],
    example: r#"cluster {
  address  = "10.0.0.1"
  key_file = "/etc/lictor/cluster-key"
}"#,
};

/// What is said of it, as far as it is without mistakes.
pub(super) fn decode(reader: &Reader<'_>) -> Option<Cluster> {
    let address = reader.address("address", PORT);
    let advertise = if reader.is_set("advertise") { reader.address("advertise", PORT) } else { None };
    if let Some(address) = address.filter(|address| address.ip().is_unspecified() && advertise.is_none()) {
        let message = format!("nobody finds a node at {}", address.ip());
        let draft = Draft::new(Code::Combination, reader.span("address"), message);
        reader.decoder.add(draft.help("name an address of this machine, or set `advertise`"));
    }
    let key = reader.secret("key");
    let short = |secret: &crate::Secret| secret.known().is_some_and(|key| key.len() < SHORTEST);
    if key.as_ref().is_some_and(short) {
        let message = format!("the key of the cluster has less than {SHORTEST} bytes");
        let draft = Draft::new(Code::Range, reader.span("key"), message);
        reader.decoder.add(draft.help("make one with: head -c 32 /dev/urandom | base64"));
    }
    Some(Cluster { address: address?, advertise, key: key?, old_key: reader.secret("old_key") })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::model::Cluster;
    use crate::testing::{mistakes, parsed};

    fn cluster(lines: &str) -> Cluster {
        let text = format!("cluster {{\n{lines}\n}}");
        parsed(&text).config.cluster.unwrap()
    }

    #[test]
    fn an_address_and_a_key_are_enough() {
        let found = cluster("address = \"10.0.0.1\"\nkey = \"0123456789abcdef\"");
        assert_eq!(found.address.to_string(), "10.0.0.1:8511");
        assert_eq!((found.advertise, found.old_key), (None, None));
        assert_eq!(found.key.reveal().unwrap(), "0123456789abcdef");
    }

    #[test]
    fn it_may_be_found_elsewhere() {
        let found = cluster("address = \"[::]:9000\"\nadvertise = \"192.0.2.1:9001\"\nkey_file = \"/k\"");
        assert_eq!(found.address.to_string(), "[::]:9000");
        assert_eq!(found.advertise.unwrap().to_string(), "192.0.2.1:9001");
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes("cluster {}"), @r#"
        1:1: `address` of `cluster` is missing (add `address = …`, an address such as "127.0.0.1:8510") [LIC0203]
        1:1: `key` of `cluster` is missing (add `key = …`, text in quotes) [LIC0203]
        "#);
        assert_snapshot!(mistakes("cluster {\n address = \"0.0.0.0\"\n key = \"short\"\n}"), @r#"
        2:12: nobody finds a node at 0.0.0.0 (name an address of this machine, or set `advertise`) [LIC0207]
        3:8: the key of the cluster has less than 16 bytes (make one with: head -c 32 /dev/urandom | base64) [LIC0302]
        "#);
    }
}
