//! `watch "tcp"`: passing when the port accepts, and answers as expected.

use super::{judgement, tls, watch, watch_http};
use crate::model::{Tcp, WatchKind};
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};

pub(super) static SCHEMA: Schema = Schema {
    doc: "A TCP connection: passing when the port accepts it, and answers as expected.",
    groups: &[
        &[
            Attribute::new("address", Kind::HostPort, "Host and port.").required(),
            watch_http::FAMILY,
            Attribute::new("send", Kind::Text, "What to send after connecting."),
            Attribute::new("expect", Kind::Regex, "What the answer must match."),
            watch_http::WARN_SLOWER,
            Attribute::new("tls", Kind::Flag, "Speak TLS. Any of the TLS attributes means so too.")
                .default("false"),
        ],
        tls::ATTRIBUTES,
        watch::SCHEDULE,
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[],
    values: &[
        ("total_seconds", "Time of the whole look."),
        ("dns_seconds", "Time of the name resolution."),
        ("connect_seconds", "Time of the TCP connection."),
        ("tls_seconds", "Time of the TLS handshake."),
        ("first_byte_seconds", "Time to the first byte of the answer."),
        ("certificate_days", "Days until the certificate ends."),
    ],
    example: r#"watch "tcp" "redis" {
  address = "127.0.0.1:6379"
  send    = "PING\r\n"
  expect  = "^\\+PONG"
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<WatchKind> {
    let address = reader.host_port("address");
    let settings = tls::decode(reader);
    let spoken = reader.flag_if("tls").unwrap_or_else(|| tls::is_set(reader));
    let tcp = Tcp {
        family: watch_http::family(reader),
        send: reader.body_text("send").map(String::into_bytes),
        expect: reader.regex("expect"),
        warn_slower: reader.duration_if("warn_slower"),
        tls: spoken.then_some(settings),
        host: address.clone()?.0,
        port: address?.1,
    };
    Some(WatchKind::Tcp(tcp))
}

#[cfg(test)]
mod tests {
    use crate::model::{Tcp, WatchKind};
    use crate::testing::{mistakes, watch};
    use insta::assert_snapshot;

    fn tcp(lines: &str) -> Tcp {
        let text = format!("watch \"tcp\" \"x\" {{\n{lines}\n}}");
        match watch(&text).kind {
            WatchKind::Tcp(tcp) => tcp,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn host_and_port_of_any_kind() {
        let address = |text: &str| {
            let tcp = tcp(&format!("address = \"{text}\""));
            (tcp.host, tcp.port)
        };
        assert_eq!(address("db.example:5432"), ("db.example".to_owned(), 5_432));
        assert_eq!(address("[::1]:22"), ("::1".to_owned(), 22));
        assert!(tcp("address = \"h:1\"").tls.is_none());
        assert!(tcp("address = \"h:1\"\nserver_name = \"x\"").tls.is_some());
        assert!(tcp("address = \"h:1\"\ntls = true").tls.is_some());
        assert_eq!(tcp("address = \"h:1\"\nsend = \"PING\\r\\n\"").send.unwrap(), b"PING\r\n");
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(r#"
watch "tcp" "a" {
  address = "db.example"
  expect  = "["
}
watch "tcp" "b" {
  address = "::1:99"
  family  = "5"
}
watch "tcp" "c" {
  address = "h:70000"
  cert_file = "c.pem"
}
watch "tcp" "d" {
  address = "http://h:80/"
}
"#), @r#"
        3:13: `db.example` is not host and port (write host:port, such as "db.example:5432" or "[::1]:22") [LIC0305]
        4:14: not a regular expression: unclosed character class [LIC0304]
        7:13: `::1:99` is not host and port (write host:port, such as "db.example:5432" or "[::1]:22") [LIC0305]
        8:13: `family` cannot be `5` (known here: `4`, `6`, `any`) [LIC0306]
        11:13: `h:70000` is not host and port (write host:port, such as "db.example:5432" or "[::1]:22") [LIC0305]
        12:15: `cert_file` needs `key_file` [LIC0207]
        12:15: `cert_file` must be an absolute path (begin it with `/`) [LIC0305]
        15:13: `http://h:80/` is not host and port (write host:port, such as "db.example:5432" or "[::1]:22") [LIC0305]
        "#);
    }
}
