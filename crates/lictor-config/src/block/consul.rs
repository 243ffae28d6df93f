//! `consul { … }`: the Consul agent to use.

use std::net::IpAddr;

use url::{Host, Url};

use super::tls;
use crate::code::Code;
use crate::model::{Consul, Tls};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, BlockType, Bodies, Kind, Schema};
use crate::secret::Secret;
use crate::syntax::tree::Is;

pub(super) static BLOCK: BlockType =
    BlockType { name: "consul", labels: &[], repeats: false, bodies: Bodies::One(&SCHEMA) };

static SCHEMA: Schema = Schema {
    doc: "The Consul agent to use. Without this block nothing is shared with other nodes. What is not \
          set comes from the `CONSUL_*` environment, as for the `consul` program: `CONSUL_HTTP_ADDR`, \
          `CONSUL_HTTP_SSL`, `CONSUL_HTTP_TOKEN`, `CONSUL_HTTP_TOKEN_FILE`, `CONSUL_NAMESPACE`, \
          `CONSUL_CACERT`, `CONSUL_CLIENT_CERT`, `CONSUL_CLIENT_KEY`, `CONSUL_TLS_SERVER_NAME` and \
          `CONSUL_HTTP_SSL_VERIFY`.",
    groups: &[
        &[
            Attribute::new(
                "address",
                Kind::Text,
                "The agent: `http://…`, `https://…`, `unix:///path`, or `host:port`.",
            )
            .default_words("`CONSUL_HTTP_ADDR`, or `http://127.0.0.1:8500`"),
            Attribute::new("token", Kind::Secret, "The ACL token."),
            Attribute::new("datacenter", Kind::Text, "The datacenter, when it is not the agent's own."),
            Attribute::new("namespace", Kind::Text, "The namespace (Consul Enterprise)."),
            Attribute::new("prefix", Kind::Text, "Where our keys lie.").default("lictor/"),
            Attribute::new(
                "register",
                Kind::NameOrTrue,
                "Register this agent as a service with a TTL check, under this name; `true` means `lictor`.",
            ),
        ],
        tls::ATTRIBUTES,
    ],
    blocks: &[],
    values: &[],
    example: r#"consul {
  address    = "https://127.0.0.1:8501"
  ca_file    = "/etc/consul.d/ca.pem"
  token_file = "/etc/lictor/consul-token"
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<Consul> {
    let env = |name: &str| reader.decoder.env.var(name).filter(|value| !value.is_empty());
    let token = reader.secret("token").or_else(|| {
        let set = reader.is_set("token");
        let file = || env("CONSUL_HTTP_TOKEN_FILE").map(Secret::file);
        if set { None } else { env("CONSUL_HTTP_TOKEN").map(Secret::value).or_else(file) }
    });
    let address = address(reader, token.is_some());
    let prefix = prefix(reader);
    let register = register(reader);
    let tls = with_env(reader, tls::decode(reader));
    Some(Consul {
        address: address?,
        token,
        datacenter: reader.text("datacenter"),
        namespace: reader.text("namespace").or_else(|| env("CONSUL_NAMESPACE")),
        prefix: prefix?,
        register,
        tls,
    })
}

fn address(reader: &Reader<'_>, token: bool) -> Option<String> {
    let env = |name: &str| reader.decoder.env.var(name).filter(|value| !value.is_empty());
    let written = match reader.value("address") {
        Some(_) => reader.text("address")?,
        None => env("CONSUL_HTTP_ADDR").unwrap_or_else(|| "127.0.0.1:8500".to_owned()),
    };
    let tls = env("CONSUL_HTTP_SSL")
        .is_some_and(|flag| matches!(flag.as_str(), "1" | "true" | "TRUE" | "t" | "T" | "True"));
    let scheme = if tls { "https" } else { "http" };
    let whole = if written.contains("://") { written.clone() } else { format!("{scheme}://{written}") };
    let wrong = |why: &str| {
        let span = reader.span("address");
        let message = format!("the address of Consul cannot be used: {why}");
        reader.decoder.add(
            Draft::new(Code::Address, span, message)
                .help("write http://…, https://…, unix:///path or host:port"),
        );
        None
    };
    if let Some(path) = whole.strip_prefix("unix://") {
        return if path.starts_with('/') {
            Some(whole)
        } else {
            wrong("the path of the socket is not absolute")
        };
    }
    let url = match Url::parse(&whole) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => url,
        Ok(url) => return wrong(&format!("`{}` is not a scheme for it", url.scheme())),
        Err(error) => return wrong(&error.to_string()),
    };
    if !url.username().is_empty() || url.password().is_some() {
        reader.decoder.report.hide(reader.span("address"));
        return wrong("it contains a user or password");
    }
    if url.scheme() == "http" && token && !is_local(&url) {
        let message = "the token travels to Consul in clear text";
        let draft = Draft::warning(Code::ClearText, reader.span("address"), message);
        reader.decoder.add(draft.help("use https://, or the agent on this machine"));
    }
    Some(whole)
}

/// Whether a URL leads to this machine.
pub(super) fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

fn prefix(reader: &Reader<'_>) -> Option<String> {
    let text = match reader.value("prefix") {
        Some(_) => reader.text_at("prefix")?,
        None => return reader.default("prefix").map(str::to_owned),
    };
    if text.is.starts_with('/') || text.is.contains("//") {
        let draft = Draft::new(Code::Name, text.span, format!("`{}` is not a prefix for keys", text.is));
        reader.decoder.add(draft.help("keys do not begin with `/` and have no empty parts"));
        return None;
    }
    Some(if text.is.ends_with('/') { text.is } else { text.is + "/" })
}

fn register(reader: &Reader<'_>) -> Option<String> {
    let value = reader.value("register")?;
    match &value.is {
        Is::Flag(true) => Some("lictor".to_owned()),
        Is::Flag(false) => None,
        Is::Text(name) if !name.is_empty() => Some(name.clone()),
        _ => {
            reader.mismatch("register", value);
            None
        }
    }
}

fn with_env(reader: &Reader<'_>, tls: Tls) -> Tls {
    let env = |name: &str| reader.decoder.env.var(name).filter(|value| !value.is_empty());
    let unverified = || {
        env("CONSUL_HTTP_SSL_VERIFY")
            .is_some_and(|flag| matches!(flag.as_str(), "0" | "false" | "FALSE" | "f" | "F" | "False"))
    };
    let file = |name: &str| env(name).map(std::path::PathBuf::from);
    Tls {
        ca_file: tls.ca_file.or_else(|| file("CONSUL_CACERT")),
        cert_file: tls.cert_file.or_else(|| file("CONSUL_CLIENT_CERT")),
        key_file: tls.key_file.or_else(|| file("CONSUL_CLIENT_KEY")),
        server_name: tls.server_name.or_else(|| env("CONSUL_TLS_SERVER_NAME")),
        insecure: if reader.is_set("insecure") { tls.insecure } else { unverified() },
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{env, mistakes, parsed, parsed_in};
    use insta::assert_snapshot;

    #[test]
    fn what_is_not_set_comes_from_the_environment() {
        let env = env(&[
            ("CONSUL_HTTP_ADDR", "consul.example:8501"),
            ("CONSUL_HTTP_SSL", "true"),
            ("CONSUL_HTTP_TOKEN", "from-env"),
            ("CONSUL_CACERT", "/ca.pem"),
            ("CONSUL_HTTP_SSL_VERIFY", "false"),
        ]);
        let consul = parsed_in("consul {}", &env).config.consul.unwrap();
        assert_eq!(consul.address, "https://consul.example:8501");
        assert_eq!(consul.token.unwrap().reveal().unwrap(), "from-env");
        assert_eq!((consul.tls.ca_file.unwrap().to_str(), consul.tls.insecure), (Some("/ca.pem"), true));
        assert_eq!((consul.prefix.as_str(), consul.register), ("lictor/", None));
        assert!(parsed_in("", &env).config.consul.is_none());
    }

    #[test]
    fn what_is_set_wins() {
        let env = env(&[("CONSUL_HTTP_ADDR", "other:8500"), ("CONSUL_HTTP_TOKEN", "other")]);
        let text = "consul {\n address = \"unix:///run/consul.sock\"\n token_file = \"/t\"\n prefix = \"a/b\"\n register = true\n}";
        let consul = parsed_in(text, &env).config.consul.unwrap();
        assert_eq!((consul.address.as_str(), consul.prefix.as_str()), ("unix:///run/consul.sock", "a/b/"));
        assert_eq!(consul.register.as_deref(), Some("lictor"));
        assert!(consul.token.unwrap().reveal().is_err(), "the file, not the environment");
    }

    #[test]
    fn its_mistakes() {
        let first =
            "consul {\n address = \"ftp://x\"\n prefix = \"/x\"\n register = 5\n cert_file = \"/c\"\n}";
        assert_snapshot!(mistakes(first), @r#"
        2:12: the address of Consul cannot be used: `ftp` is not a scheme for it (write http://…, https://…, unix:///path or host:port) [LIC0305]
        3:11: `/x` is not a prefix for keys (keys do not begin with `/` and have no empty parts) [LIC0303]
        4:13: `register` is a name in quotes, or true, not a number [LIC0206]
        5:14: `cert_file` needs `key_file` [LIC0207]
        "#);
        let text = "consul {\n address = \"http://10.0.0.1:8500\"\n token_file = \"/t\"\n insecure = true\n}";
        let warnings: Vec<String> = parsed(text).warnings.iter().map(crate::Problem::one_line).collect();
        assert_snapshot!(warnings.join("\n"), @r#"
        x.hcl:1:1: nothing is watched (add a block such as watch "http" "NAME" { url = "…" }) [LIC0904]
        x.hcl:2:12: the token travels to Consul in clear text (use https://, or the agent on this machine) [LIC0903]
        x.hcl:4:13: `consul` accepts any certificate (name the authority in `ca_file` instead) [LIC0902]
        "#);
    }
}
