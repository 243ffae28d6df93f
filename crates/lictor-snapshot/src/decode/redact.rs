//! What is not shown unless somebody asks for it: a snapshot holds every secret of its cluster.

use std::borrow::Cow;

use crate::kind::Kind;
use crate::msgpack::Value;

/// What stands in the place of a secret.
pub const HIDDEN: &str = "(hidden)";

/// What is hidden.
///
/// By default: the secrets of tokens, and tokens wherever a record has one; private keys, and what the
/// certificate authority keeps; whatever is called a secret, a password or a key for encryption, in
/// anybody's metadata or configuration too; headers and bodies that checks send; passwords in
/// URLs, as checks have them and print them; parts of large commands; and records that cannot be looked into, because they are of an unknown kind or protobuf inside.
///
/// Values of keys are shown, unless their prefix is given here: which of them are secrets only their
/// owners know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redact {
    /// Hides nothing at all.
    pub reveal: bool,
    /// Values of keys that begin with one of these are hidden.
    pub key_prefixes: Vec<Vec<u8>>,
}

/// Ends of names, in lower case and without hyphens and underscores.
const SECRET_NAMES: &[&str] = &[
    "token",
    "tokens",
    "secret",
    "secrets",
    "secretid",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "credentials",
    "privatekey",
    "privatekeys",
    "privatekeypem",
    "signingkey",
    "gossipkey",
    "encrypt",
    "encryptkey",
    "encryptionkey",
    "secretkey",
    "secretaccesskey",
    "accesskey",
    "apikey",
    "authorization",
    "serviceaccountjwt",
    "bearer",
];

impl Redact {
    /// Whether the value of this key is hidden.
    pub(super) fn hides_key(&self, key: &[u8]) -> bool {
        !self.reveal && self.key_prefixes.iter().any(|prefix| key.starts_with(prefix))
    }

    /// Whether a record is hidden as a whole.
    pub(super) fn hides_all(&self, kind: Kind, value: Value<'_>) -> bool {
        if self.reveal || value.is_nothing() {
            return false;
        }
        match kind {
            Kind::PEERING_SECRET => true,
            // A list of coordinates holds no secret, and all other records are maps; but what is bytes may
            // hold anything.
            Kind::CONFIG_ENTRY => false,
            _ => kind.name().is_none() || matches!(value, Value::Bytes(_) | Value::Extension(..)),
        }
    }

    /// Whether a note of the servers is hidden: one of them is a token of theirs.
    pub(super) fn hides_system_metadata(&self, key: Value<'_>) -> bool {
        !self.reveal && key.bytes().is_none_or(is_secret_name)
    }

    /// A text without what stands between `scheme://user:` and `@host`, however many there are.
    pub(super) fn without_passwords<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let mut shown = Cow::Borrowed(text);
        let mut from = 0;
        while !self.reveal
            && let Some((begin, end)) = password_after(&shown, from)
        {
            shown.to_mut().splice(begin..end, HIDDEN.bytes());
            from = begin + HIDDEN.len();
        }
        shown
    }

    /// Whether a field is hidden. What says nothing is not: that there is no token is worth knowing.
    pub(super) fn hides(
        &self,
        kind: Kind,
        within: &[u8],
        name: &[u8],
        value: Value<'_>,
        first_level: bool,
    ) -> bool {
        if self.reveal || value.is_nothing() || matches!(value, Value::Bool(_)) {
            return false;
        }
        let by_kind = first_level
            && match kind {
                // Before Consul 1.4 a token was called by its secret.
                Kind::LEGACY_ACL => name == b"ID",
                Kind::CA_PROVIDER_STATE => !matches!(
                    name,
                    b"ID" | b"RootCert" | b"IntermediateCert" | b"CreateIndex" | b"ModifyIndex"
                ),
                Kind::CA_CONFIG => name == b"State",
                Kind::CHUNKING_STATE => true,
                _ => false,
            };
        let of_check = within == b"Definition" && matches!(name, b"Header" | b"Body");
        // Numbers are no secrets: a `TTL` of tokens, a count of keys.
        let may_be = matches!(value, Value::Bytes(_) | Value::List(_) | Value::Map(_));
        by_kind || of_check || may_be && is_secret_name(name) || is_private_key(value)
    }
}

fn is_secret_name(name: &[u8]) -> bool {
    let name: Vec<u8> =
        name.iter().filter(|byte| !matches!(byte, b'-' | b'_' | b'.')).map(u8::to_ascii_lowercase).collect();
    SECRET_NAMES.iter().any(|end| name.ends_with(end.as_bytes()))
}

/// Where the next password of a URL begins and ends, from a place on.
fn password_after(text: &[u8], from: usize) -> Option<(usize, usize)> {
    const MARK: &[u8] = b"://";
    let mut from = from;
    loop {
        let rest = text.get(from..)?;
        let authority = from + rest.windows(MARK.len()).position(|part| part == MARK)? + MARK.len();
        let ends =
            |byte: &u8| matches!(byte, b'/' | b'?' | b'#' | b'"' | b'<' | b'>') || byte.is_ascii_whitespace();
        let name: &[u8] = text.get(authority..)?.split(ends).next()?;
        // A password may have an `@`; a host has none.
        let user = name.iter().rposition(|byte| *byte == b'@').and_then(|at| name.get(..at));
        let colon =
            user.and_then(|user| user.iter().position(|byte| *byte == b':').map(|colon| (colon, user.len())));
        match colon {
            Some((colon, end)) if colon + 1 < end => return Some((authority + colon + 1, authority + end)),
            _ => from = authority,
        }
    }
}

/// Whether a text is a private key, wherever it stands.
fn is_private_key(value: Value<'_>) -> bool {
    const MARK: &[u8] = b"PRIVATE KEY-----";
    matches!(value, Value::Bytes(bytes) if bytes.windows(MARK.len()).any(|part| part == MARK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Data, StateBuilder, kv};
    use crate::decode::write_record;
    use crate::state::RecordReader;

    fn line(kind: Kind, data: &Data, redact: &Redact) -> String {
        let state = StateBuilder::new(1).record(kind, data).finish();
        let mut out = Vec::new();
        let mut reader = RecordReader::new(&state[..]).unwrap();
        write_record(&mut out, &reader.next().unwrap().unwrap(), redact);
        String::from_utf8(out).unwrap()
    }

    /// A record with a secret in one place.
    fn secrets() -> Vec<(Kind, Data)> {
        let secret = || Data::text("hunter2");
        let id = || ("ID", Data::text("01234567-0123-0123-0123-0123456789ab"));
        let check = |field: &str| {
            let definition = Data::Map(vec![(field.into(), Data::map([("x", Data::List(vec![secret()]))]))]);
            Data::map([("Node", Data::text("n")), ("Check", Data::map([("Definition", definition)]))])
        };
        vec![
            (Kind::ACL_TOKEN, Data::map([("AccessorID", Data::text("a")), ("SecretID", secret())])),
            (Kind::LEGACY_ACL, Data::map([("ID", secret())])),
            (Kind::REGISTER, Data::map([("Node", Data::text("n")), ("Token", secret())])),
            (Kind::REGISTER, check("Header")),
            (Kind::REGISTER, check("Body")),
            (
                Kind::REGISTER,
                Data::map([
                    ("Node", Data::text("n")),
                    ("Service", Data::map([("Meta", Data::map([("db_password", secret())]))])),
                ]),
            ),
            (Kind::PREPARED_QUERY, Data::map([id(), ("Token", secret())])),
            (Kind::CA_PROVIDER_STATE, Data::map([("ID", Data::text("i")), ("PrivateKey", secret())])),
            (Kind::CA_PROVIDER_STATE, Data::map([("ID", Data::text("i")), ("NewField", secret())])),
            (Kind::CA_CONFIG, Data::map([("Config", Data::map([("Token", secret())]))])),
            (Kind::CA_CONFIG, Data::map([("State", Data::map([("x", secret())]))])),
            (Kind::CA_ROOT, Data::map([("ID", Data::text("i")), ("SigningKey", secret())])),
            (
                Kind::ACL_AUTH_METHOD,
                Data::map([
                    ("Name", Data::text("m")),
                    ("Config", Data::map([("ServiceAccountJWT", secret()), ("OIDCClientSecret", secret())])),
                ]),
            ),
            (
                Kind::SYSTEM_METADATA,
                Data::map([("Key", Data::text("server-management-token")), ("Value", secret())]),
            ),
            (Kind::CHUNKING_STATE, Data::map([("ChunkMap", Data::map([("1", secret())]))])),
            (Kind::PEERING_SECRET, secret()),
            (Kind::RESOURCE, secret()),
            (Kind::new(65), Data::map([("x", secret())])),
            (Kind::AUTOPILOT, Data::map([("x", Data::text("-----BEGIN EC PRIVATE KEY-----\nhunter2"))])),
            (Kind::KVS, kv("secret/x", b"hunter2", 0, "")),
        ]
    }

    #[test]
    fn no_secret_is_shown_unless_somebody_asks_for_it() {
        let hide = Redact { reveal: false, key_prefixes: vec![b"secret/".to_vec()] };
        let reveal = Redact { reveal: true, ..hide.clone() };
        for (kind, data) in secrets() {
            let seen = |line: &str| line.contains("hunter2") || line.contains("aHVudGVyMg==");
            let hidden = line(kind, &data, &hide);
            assert!(!seen(&hidden) && hidden.contains(HIDDEN), "{hidden}");
            let shown = line(kind, &data, &reveal);
            assert!(seen(&shown) && !shown.contains(HIDDEN), "{shown}");
        }
    }

    #[test]
    fn what_is_no_secret_is_shown_and_so_is_that_there_is_none() {
        let data = Data::map([
            ("AccessorID", Data::text("public")),
            ("SecretID", Data::text("s")),
            ("Token", Data::text("")),
            ("TokenTTL", Data::Unsigned(5)),
            ("EnableToken", Data::Bool(true)),
        ]);
        let line = line(Kind::ACL_TOKEN, &data, &Redact::default());
        for part in ["public", r#""Token":"""#, r#""TokenTTL":5"#, r#""EnableToken":true"#] {
            assert!(line.contains(part), "{line}");
        }
    }

    #[test]
    fn values_of_keys_are_hidden_by_their_prefix_only() {
        let redact = Redact { reveal: false, key_prefixes: vec![b"secret/".to_vec(), b"vault/".to_vec()] };
        assert!(line(Kind::KVS, &kv("app/x", b"hunter2", 0, ""), &redact).contains("aHVudGVyMg=="));
        assert!(!line(Kind::KVS, &kv("vault/x", b"hunter2", 0, ""), &redact).contains("aHVudGVyMg=="));
        assert!(
            line(Kind::KVS, &kv("secret/x", b"hunter2", 0, ""), &Redact::default()).contains("aHVudGVyMg==")
        );
    }

    #[test]
    fn a_password_in_a_url_is_hidden_and_the_rest_of_it_is_shown() {
        let check = |url: &str| {
            let definition = Data::map([("HTTP", Data::text(url))]);
            let check =
                Data::map([("Output", Data::text(format!("GET {url}: 200 OK"))), ("Definition", definition)]);
            Data::map([("Node", Data::text("n")), ("Check", check)])
        };
        let shown = |url: &str, redact: &Redact| line(Kind::REGISTER, &check(url), redact);
        let hidden = |url: &str| shown(url, &Redact::default());
        for url in [
            "http://user:hunter2@db.example/health",
            "https://user:hunter2@[::1]:80",
            "postgres://u:a@hunter2:b@db?x=1",
            "http://a.example/ http://:hunter2@b.example",
        ] {
            let line = hidden(url);
            assert!(!line.contains("hunter2") && line.matches(HIDDEN).count() == 2, "{line}");
            let reveal = Redact { reveal: true, ..Redact::default() };
            assert!(shown(url, &reveal).contains(url));
        }
        assert!(
            hidden("http://user:hunter2@db.example/health")
                .contains("http://user:(hidden)@db.example/health")
        );
        for fine in ["http://user@db.example/a:b@c", "http://db:80/", "://", "http://user:@db", "a:b@c"] {
            let line = hidden(fine);
            assert!(line.contains(fine) && !line.contains(HIDDEN), "{line}");
        }
    }
}
