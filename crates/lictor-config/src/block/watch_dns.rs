//! `watch "dns"`: passing when a name has an answer.

use super::{judgement, watch, watch_http};
use crate::code::Code;
use crate::model::{Dns, DnsRecord, WatchKind};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};

const RECORDS: [(&str, DnsRecord); 9] = [
    ("A", DnsRecord::A),
    ("AAAA", DnsRecord::Aaaa),
    ("CNAME", DnsRecord::Cname),
    ("MX", DnsRecord::Mx),
    ("NS", DnsRecord::Ns),
    ("PTR", DnsRecord::Ptr),
    ("SRV", DnsRecord::Srv),
    ("TXT", DnsRecord::Txt),
    ("SOA", DnsRecord::Soa),
];

pub(super) static SCHEMA: Schema = Schema {
    doc: "A DNS question: passing when the name has an answer, and the expected ones are among those \
          given. Without `server` the system's resolver is asked, with its hosts file, for A or AAAA.",
    groups: &[
        &[
            Attribute::new("name", Kind::Text, "The name to ask for.").required(),
            Attribute::new(
                "record",
                Kind::Word(&["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT", "SOA"]),
                "The record type.",
            )
            .default("A"),
            Attribute::new("server", Kind::Address, "The server to ask; port 53 unless written.")
                .default_words("the system's resolver"),
            Attribute::new("expect", Kind::Texts, "Answers that must be among those given, as text."),
            Attribute::new("others", Kind::Flag, "Whether other answers than those may be given too.")
                .default("true"),
            watch_http::WARN_SLOWER,
        ],
        watch::SCHEDULE,
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[],
    values: &[
        ("total_seconds", "Time of the whole look."),
        ("answers", "How many answers were given."),
        ("serial", "Of SOA: the serial number of the zone."),
    ],
    example: r#"watch "dns" "consul-dns" {
  name   = "consul.service.consul"
  server = "127.0.0.1:8600"
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<WatchKind> {
    let name = reader.text_at("name");
    let word = reader.word("record");
    let record = RECORDS.iter().find(|(known, _)| Some(*known) == word).map(|(_, record)| *record);
    let server = reader.address("server", 53);
    if !reader.is_set("server")
        && record.is_some_and(|record| !matches!(record, DnsRecord::A | DnsRecord::Aaaa))
    {
        let message = "the system's resolver answers only A and AAAA";
        let draft = Draft::new(Code::Combination, reader.span("record"), message);
        reader.decoder.add(draft.help("name a server, such as server = \"127.0.0.53:53\""));
    }
    reader.needs("others", "expect");
    let dns = Dns {
        expect: reader.texts("expect").into_iter().map(|text| text.is).collect(),
        others: reader.flag("others"),
        warn_slower: reader.duration_if("warn_slower"),
        record: record?,
        server,
        name: name?.is,
    };
    Some(WatchKind::Dns(dns))
}

#[cfg(test)]
mod tests {
    use crate::model::{Dns, DnsRecord, WatchKind};
    use crate::testing::{mistakes, watch};
    use insta::assert_snapshot;

    fn dns(lines: &str) -> Dns {
        let text = format!("watch \"dns\" \"x\" {{\n name = \"a.example\"\n{lines}\n}}");
        match watch(&text).kind {
            WatchKind::Dns(dns) => dns,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_name_is_enough() {
        let found = dns("");
        assert_eq!((found.record, found.server, found.others), (DnsRecord::A, None, true));
        let found = dns("server = \"127.0.0.1\"\nrecord = \"SRV\"\nexpect = [\"0 0 80 b.\"]\nothers = false");
        assert_eq!((found.record, found.server.unwrap().port()), (DnsRecord::Srv, 53));
        assert_eq!((found.expect.len(), found.others), (1, false));
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(r#"
watch "dns" "a" {
  name   = ""
  record = "mx"
}
watch "dns" "b" {
  name   = "x"
  record = "MX"
  others = false
}
watch "dns" "c" {
  name   = "x"
  server = "dns.example"
}
"#), @r#"
        3:12: `name` is empty [LIC0203]
        4:12: `record` cannot be `mx` (known here: `A`, `AAAA`, `CNAME`, `MX`, `NS`, `PTR`, `SOA`, `SRV`, `TXT`) [LIC0306]
        8:12: the system's resolver answers only A and AAAA (name a server, such as server = "127.0.0.53:53") [LIC0207]
        9:12: `others` needs `expect` [LIC0207]
        13:12: `dns.example` is not an address (write an IP address and a port, such as "127.0.0.1:53" or "[::1]:53") [LIC0305]
        "#);
    }
}
