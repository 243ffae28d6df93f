//! TLS as a client: attributes that several blocks share.

use crate::code::Code;
use crate::model::Tls;
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind};

pub(super) const ATTRIBUTES: &[Attribute] = &[
    Attribute::new("ca_file", Kind::Path, "A file of CA certificates (PEM) in place of the system's."),
    Attribute::new("cert_file", Kind::Path, "Our certificate (PEM)."),
    Attribute::new("key_file", Kind::Path, "The key of our certificate (PEM)."),
    Attribute::new("server_name", Kind::Text, "The name the certificate must have.")
        .default_words("the host's name"),
    Attribute::new("insecure", Kind::Flag, "Accept any certificate.").default("false"),
];

/// What is set of TLS.
pub(super) fn decode(reader: &Reader<'_>) -> Tls {
    reader.needs("cert_file", "key_file");
    reader.needs("key_file", "cert_file");
    let insecure = reader.flag("insecure");
    if insecure {
        let message = format!("{} accepts any certificate", reader.place());
        let draft = Draft::warning(Code::AnyCertificate, reader.span("insecure"), message);
        reader.decoder.add(draft.help("name the authority in `ca_file` instead"));
    }
    Tls {
        ca_file: reader.file("ca_file"),
        cert_file: reader.file("cert_file"),
        key_file: reader.file("key_file"),
        server_name: reader.text("server_name"),
        insecure,
    }
}

/// Whether anything of it is set.
pub(super) fn is_set(reader: &Reader<'_>) -> bool {
    ATTRIBUTES.iter().any(|attribute| reader.is_set(attribute.name))
}
