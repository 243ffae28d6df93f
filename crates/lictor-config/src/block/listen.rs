//! `http { … }`: the listener of API, metrics and page.

use std::net::SocketAddr;

use crate::code::Code;
use crate::model::Listen;
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, BlockType, Bodies, Kind, Schema};

pub(super) static BLOCK: BlockType =
    BlockType { name: "http", labels: &[], repeats: false, bodies: Bodies::One(&SCHEMA) };

/// The port that is used when none is written.
const PORT: u16 = 8510;

static SCHEMA: Schema = Schema {
    doc: "The listener of the API, the metrics and the status page. On an address that is not \
          loopback it needs a token, since whoever reaches it can run remedies.",
    groups: &[&[
        Attribute::new("address", Kind::Address, "Where it listens.").default("127.0.0.1:8510"),
        Attribute::new(
            "port",
            Kind::Whole(0, 65_535),
            "The port, in place of the one in `address`; 0 takes a free one.",
        ),
        Attribute::new("token", Kind::Secret, "What a caller must show as `Authorization: Bearer …`."),
        Attribute::new(
            "allowed_hosts",
            Kind::Texts,
            "Host names under which browsers may reach the page, besides the address and `localhost`.",
        ),
    ]],
    blocks: &[],
    values: &[],
    example: r#"http {
  address    = "0.0.0.0:8510"
  token_file = "/etc/lictor/token"
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Listen {
    let local = SocketAddr::from(([127, 0, 0, 1], PORT));
    let mut address = reader.address("address", PORT).unwrap_or(local);
    if let Some(port) = reader.whole("port").and_then(|port| u16::try_from(port).ok()) {
        address.set_port(port);
    }
    let token = reader.secret("token");
    let open = !address.ip().to_canonical().is_loopback();
    if open && !reader.is_set("token") {
        let message = format!("a listener on {} needs a token", address.ip());
        let draft = Draft::new(Code::OpenListener, reader.span("address"), message);
        reader.decoder.add(draft.help("set token_file, or listen on 127.0.0.1 or [::1]"));
    } else if open {
        let message = format!("the token travels in clear text to {}", address.ip());
        let draft = Draft::warning(Code::ClearText, reader.span("address"), message);
        reader.decoder.add(draft.help("put a proxy with TLS before it, and listen on 127.0.0.1"));
    }
    let allowed_hosts = reader.texts("allowed_hosts").into_iter().map(|host| host.is).collect();
    Listen { address, token, allowed_hosts }
}

#[cfg(test)]
mod tests {
    use crate::testing::{mistakes, parsed};
    use insta::assert_snapshot;

    #[test]
    fn it_listens_on_loopback_unless_told_otherwise() {
        let address = |text: &str| parsed(text).config.http.address.to_string();
        assert_eq!(address(""), "127.0.0.1:8510");
        assert_eq!(address("http {\n port = 0\n}"), "127.0.0.1:0");
        assert_eq!(address("http {\n address = \"localhost:99\"\n}"), "127.0.0.1:99");
        assert_eq!(address("http {\n address = \"::1\"\n}"), "[::1]:8510");
        let open = "http {\n address = \"0.0.0.0\"\n token_file = \"/t\"\n}";
        assert_eq!(address(open), "0.0.0.0:8510");
        assert_snapshot!(parsed(open).warnings[1].one_line(), @"x.hcl:2:12: the token travels in clear text to 0.0.0.0 (put a proxy with TLS before it, and listen on 127.0.0.1) [LIC0903]");
    }

    #[test]
    fn it_is_never_open_without_a_token() {
        assert_snapshot!(mistakes("http {\n address = \"0.0.0.0:8510\"\n}"), @"2:12: a listener on 0.0.0.0 needs a token (set token_file, or listen on 127.0.0.1 or [::1]) [LIC0601]");
        assert_snapshot!(mistakes("http {\n address = \"[::ffff:10.0.0.1]:8510\"\n}"), @"2:12: a listener on ::ffff:10.0.0.1 needs a token (set token_file, or listen on 127.0.0.1 or [::1]) [LIC0601]");
        assert_snapshot!(mistakes("http {\n address = \"example.org:80\"\n port = 99999\n}"), @r#"
        2:12: `example.org:80` is not an address (write an IP address and a port, such as "127.0.0.1:8510" or "[::1]:8510") [LIC0305]
        3:9: `port` is a whole number from 0 to 65535, not 99999 [LIC0302]
        "#);
    }
}
