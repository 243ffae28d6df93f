//! `probe { … }`: what this node answers about itself.

use std::path::PathBuf;
use std::time::Duration;

use lictor_core::CheckName;
use url::Url;

use crate::code::Code;
use crate::model::{Probe, ProbeTls};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, BlockType, Bodies, Kind, Schema};

pub(super) static BLOCK: BlockType =
    BlockType { name: "probe", labels: &[], repeats: false, bodies: Bodies::One(&SCHEMA) };

/// The port that is used when none is written.
const PORT: u16 = 5988;

static SCHEMA: Schema = Schema {
    doc: "What this node answers about itself, to its peers and to whoever may ask: `/status` (URLs and checks), \
          `/disk` and `/` (both). It has a listener of its own, since it is shown to more people than the page. On an \
          address that is not loopback it needs `auth_file` or `client_ca_file`, or must say that it is `open`. The \
          URLs are looked at in the background, so an answer waits for none of them.",
    groups: &[&[
        Attribute::new("address", Kind::Address, "Where it listens; `[::]` is IPv4 and IPv6.")
            .default("127.0.0.1:5988"),
        Attribute::new(
            "urls",
            Kind::Texts,
            "URLs to look at, in this order; a status from 200 to 399 is good. Redirects are not followed.",
        ),
        Attribute::new(
            "volumes",
            Kind::Texts,
            "Paths whose file systems are reported, each by where it is mounted.",
        )
        .default_words("all that `df` shows"),
        Attribute::new(
            "checks",
            Kind::Checks,
            "Checks that are reported beside the URLs, as `check:NAME`; passing and warning are good.",
        ),
        Attribute::new(
            "timeout",
            Kind::Duration(Duration::from_millis(100), Duration::from_secs(60)),
            "Time limit of one look at a URL.",
        )
        .default("5s"),
        Attribute::new(
            "fresh",
            Kind::Duration(Duration::from_secs(1), Duration::from_secs(3_600)),
            "Time between two looks at a URL, however many ask.",
        )
        .default("5s"),
        Attribute::new(
            "auth_file",
            Kind::Path,
            "File with a line `user:password` for each who may ask, read again when it changed. While it cannot be \
             read, or holds no line, nobody is answered.",
        ),
        Attribute::new("open", Kind::Flag, "Anybody who reaches the listener may ask.").default("false"),
        Attribute::new(
            "cert_file",
            Kind::Path,
            "Its certificate, with those between it and the root (PEM): it then speaks TLS.",
        ),
        Attribute::new("key_file", Kind::Path, "The key of that certificate (PEM)."),
        Attribute::new(
            "client_ca_file",
            Kind::Path,
            "Who asks must show a certificate of one of these authorities (PEM).",
        ),
    ]],
    blocks: &[],
    values: &[],
    example: r#"watch "disk" "space" {
}

probe {
  address   = "[::]:5988"
  urls      = ["http://127.0.0.1:8080/health"]
  checks    = [check.space]
  auth_file = "/etc/lictor/probe.users"
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<Probe> {
    let address = reader.address("address", PORT);
    let tls = tls(reader);
    let asks = reader.is_set("auth_file") || reader.is_set("client_ca_file");
    let open = reader.flag("open");
    if let Some(address) = address.filter(|address| !address.ip().to_canonical().is_loopback()) {
        if !asks && !open {
            let message = format!("a probe on {} is shown to everybody who reaches it", address.ip());
            let draft = Draft::new(Code::OpenProbe, reader.span("address"), message);
            reader.decoder.add(
                draft.help(
                    "set auth_file or client_ca_file, listen on 127.0.0.1 or [::1], or say open = true",
                ),
            );
        }
        if reader.is_set("auth_file") && tls.is_none() {
            let message = format!("the passwords of the probe travel in clear text to {}", address.ip());
            let draft = Draft::warning(Code::ClearText, reader.span("address"), message);
            reader.decoder.add(draft.help("set cert_file and key_file"));
        }
    }
    if asks && open {
        let other = if reader.is_set("auth_file") { "auth_file" } else { "client_ca_file" };
        let message = format!("`open` and `{other}` exclude each other");
        let draft = Draft::new(Code::Combination, reader.span("open"), message);
        reader.decoder.add(draft.also(reader.span(other), "the other one"));
    }
    let (urls, volumes, checks) = (urls(reader), volumes(reader), checks(reader));
    let (timeout, fresh) = (reader.duration("timeout"), reader.duration("fresh"));
    let auth_file = reader.file("auth_file");
    Some(Probe {
        address: address?,
        urls: urls?,
        volumes,
        checks: checks?,
        timeout,
        fresh,
        auth_file,
        open,
        tls,
    })
}

fn urls(reader: &Reader<'_>) -> Option<Vec<Url>> {
    let instead = "let a watcher with `basic_auth` look at it, and name that in `checks`";
    let url = |text| reader.http_url_of("urls", &text, instead);
    // All of them, so that each mistake is shown.
    let found: Vec<_> = reader.texts("urls").into_iter().map(url).collect();
    found.into_iter().collect()
}

fn volumes(reader: &Reader<'_>) -> Option<Vec<PathBuf>> {
    reader.value("volumes")?;
    let mut paths = Vec::new();
    for text in reader.texts("volumes") {
        if !text.is.starts_with('/') {
            let draft =
                Draft::new(Code::Address, text.span, format!("`{}` is not an absolute path", text.is));
            reader.decoder.add(draft.help("begin it with `/`"));
        }
        paths.push(text.is.into());
    }
    Some(paths)
}

fn checks(reader: &Reader<'_>) -> Option<Vec<CheckName>> {
    let Some(value) = reader.value("checks") else { return Some(Vec::new()) };
    let mut names: Vec<CheckName> = Vec::new();
    for (name, span) in reader.decoder.checks(value)? {
        if names.contains(&name) {
            reader.decoder.add(Draft::new(
                Code::Twice,
                span,
                format!("`check.{name}` stands twice in `checks`"),
            ));
        }
        names.push(name);
    }
    Some(names)
}

fn tls(reader: &Reader<'_>) -> Option<ProbeTls> {
    reader.needs("cert_file", "key_file");
    reader.needs("key_file", "cert_file");
    reader.needs("client_ca_file", "cert_file");
    let client_ca_file = reader.file("client_ca_file");
    Some(ProbeTls {
        cert_file: reader.file("cert_file")?,
        key_file: reader.file("key_file")?,
        client_ca_file,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use insta::assert_snapshot;

    use crate::model::Probe;
    use crate::testing::{mistakes, parsed};

    const WATCHED: &str = "watch \"disk\" \"space\" {\n}\n";

    fn probe(lines: &str) -> Probe {
        parsed(&format!("{WATCHED}probe {{\n{lines}\n}}"))
            .config
            .probe
            .map(std::sync::Arc::unwrap_or_clone)
            .unwrap()
    }

    #[test]
    fn without_its_block_there_is_none() {
        assert_eq!(parsed(WATCHED).config.probe, None);
    }

    #[test]
    fn it_is_shown_to_this_machine_unless_told_otherwise() {
        let probe = probe("");
        assert_eq!(probe.address.to_string(), "127.0.0.1:5988");
        assert_eq!((probe.timeout, probe.fresh), (Duration::from_secs(5), Duration::from_secs(5)));
        assert_eq!((probe.urls.len(), probe.checks.len()), (0, 0));
        assert_eq!((probe.volumes, probe.auth_file, probe.tls, probe.open), (None, None, None, false));
    }

    #[test]
    fn all_of_it_is_taken_as_written() {
        let probe = probe(
            "address = \"[::]\"\nurls = [\"http://b/x\", \"https://a/?y=1\"]\nvolumes = [\"/\", \"/srv/a b\"]\n\
             checks = [check.space]\ntimeout = \"2s\"\nfresh = \"1m\"\nauth_file = \"/u\"\ncert_file = \"/c\"\n\
             key_file = \"/k\"\nclient_ca_file = \"/ca\"",
        );
        assert_eq!(probe.address.to_string(), "[::]:5988");
        assert_eq!(
            probe.urls.iter().map(url::Url::as_str).collect::<Vec<_>>(),
            ["http://b/x", "https://a/?y=1"]
        );
        assert_eq!(probe.volumes.unwrap(), ["/", "/srv/a b"].map(std::path::PathBuf::from));
        assert_eq!(probe.checks, ["space".parse().unwrap()]);
        assert_eq!((probe.timeout, probe.fresh), (Duration::from_secs(2), Duration::from_secs(60)));
        assert_eq!(probe.auth_file.unwrap().as_os_str(), "/u");
        let tls = probe.tls.unwrap();
        assert_eq!((tls.cert_file.as_os_str(), tls.key_file.as_os_str()), ("/c".as_ref(), "/k".as_ref()));
        assert_eq!(tls.client_ca_file.unwrap().as_os_str(), "/ca");
    }

    #[test]
    fn no_volume_at_all_is_not_every_volume() {
        assert_eq!(probe("volumes = []").volumes, Some(Vec::new()));
    }

    #[test]
    fn it_is_open_to_others_only_when_it_says_so() {
        let mistake = |lines: &str| mistakes(&format!("{WATCHED}probe {{\n{lines}\n}}"));
        assert_snapshot!(mistake("address = \"0.0.0.0\""), @"4:11: a probe on 0.0.0.0 is shown to everybody who reaches it (set auth_file or client_ca_file, listen on 127.0.0.1 or [::1], or say open = true) [LIC0604]");
        assert_snapshot!(mistake("open = true\nauth_file = \"/u\""), @"4:8: `open` and `auth_file` exclude each other (the other one: x.hcl:5:13) [LIC0207]");
        assert!(probe("address = \"0.0.0.0\"\nopen = true").open);
        assert!(probe("address = \"0.0.0.0\"\nauth_file = \"/u\"").auth_file.is_some());
        let certified =
            "address = \"0.0.0.0\"\ncert_file = \"/c\"\nkey_file = \"/k\"\nclient_ca_file = \"/ca\"";
        assert!(probe(certified).tls.is_some());
        assert!(!probe("address = \"[::ffff:127.0.0.1]:1\"").open);
    }

    #[test]
    fn a_password_in_clear_text_is_warned_of() {
        let text = format!("{WATCHED}probe {{\naddress = \"10.0.0.1\"\nauth_file = \"/u\"\n}}");
        assert_snapshot!(parsed(&text).warnings.last().unwrap().one_line(), @"x.hcl:4:11: the passwords of the probe travel in clear text to 10.0.0.1 (set cert_file and key_file) [LIC0903]");
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(r#"
probe {
  address        = "example.org:5988"
  urls           = ["localhost:80/", "ftp://x/", "http://u:p@x/", 7]
  volumes        = ["tmp"]
  checks         = [check.space, check.gone, check.space]
  timeout        = "2m"
  fresh          = "10ms"
  client_ca_file = "ca.pem"
}
watch "disk" "space" {
}
"#), @r#"
        3:20: `example.org:5988` is not an address (write an IP address and a port, such as "127.0.0.1:5988" or "[::1]:5988") [LIC0305]
        4:21: `urls` is not an http or https URL (write http://localhost:80/ or https://localhost:80/) [LIC0305]
        4:38: `urls` is not an http or https URL (use http:// or https://) [LIC0305]
        4:50: `urls` contains a password (let a watcher with `basic_auth` look at it, and name that in `checks`) [LIC0305]
        4:67: `urls` is a list of texts such as ["a", "b"], not a number [LIC0206]
        5:21: `tmp` is not an absolute path (begin it with `/`) [LIC0305]
        6:40: no watcher or check is named `gone` (known here: `space`) [LIC0401]
        7:20: `timeout` is between 100ms and 1m, not 2m [LIC0302]
        8:20: `fresh` is between 1s and 1h, not 10ms [LIC0302]
        9:20: `client_ca_file` needs `cert_file` [LIC0207]
        9:20: `client_ca_file` must be an absolute path (begin it with `/`) [LIC0305]
        "#);
    }
}
