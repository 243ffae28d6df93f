//! HTTP servers that are asked or told something: attributes that watchers and actions share.

use url::Url;

use super::{consul::is_local, tls, watch_http};
use crate::code::Code;
use crate::model::{Control, IpRange};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind};

/// How one may talk to it.
pub(super) const ACCESS: &[Attribute] = &[
    Attribute::new("api_key", Kind::Secret, "The key to show as `X-API-Key`."),
    Attribute::new(
        "basic_auth",
        Kind::Object(&watch_http::BASIC_AUTH),
        "User and password of HTTP basic authentication.",
    ),
];

/// Addresses that must not be seen.
pub(super) const FORBIDDEN: Attribute = Attribute::new(
    "forbidden",
    Kind::Texts,
    "Addresses (or ranges such as `203.0.113.0/24`) that others must never see: there is a leak then.",
);

/// The server, when it is named.
pub(super) fn decode(reader: &Reader<'_>) -> Option<Control> {
    let url = reader.http_url("url");
    let (api_key, basic_auth) = (reader.secret("api_key"), watch_http::basic_auth(reader));
    let control = Control { api_key, basic_auth, tls: tls::decode(reader), url: url? };
    warn_clear(reader, &control.url, control.api_key.is_some() || control.basic_auth.is_some());
    Some(control)
}

/// Warns of a secret that anybody on the way can read.
pub(super) fn warn_clear(reader: &Reader<'_>, url: &Url, secret: bool) {
    if secret && url.scheme() == "http" && !is_local(url) {
        let message = format!("a secret travels to {} in clear text", url.host_str().unwrap_or_default());
        reader.decoder.add(Draft::warning(Code::ClearText, reader.span("url"), message).help("use https://"));
    }
}

/// Reads `forbidden`.
pub(super) fn forbidden(reader: &Reader<'_>) -> Vec<IpRange> {
    let ranges = reader.texts("forbidden").into_iter().filter_map(|text| {
        let range = IpRange::parse(&text.is);
        if range.is_none() {
            let message = format!("`{}` is not an address or a range of them", text.is);
            let draft = Draft::new(Code::Address, text.span, message);
            reader.decoder.add(draft.help("write 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32"));
        }
        range
    });
    ranges.collect()
}

/// A JSON pointer (RFC 6901).
pub(super) fn pointer(reader: &Reader<'_>, name: &str) -> Option<String> {
    let text = reader.text_at(name)?;
    if !text.is.starts_with('/') {
        let draft = Draft::new(Code::Address, text.span, format!("`{}` is not a JSON pointer", text.is));
        reader.decoder.add(draft.help("a pointer begins with `/`, such as \"/vpn/status\""));
        return None;
    }
    Some(text.is)
}
