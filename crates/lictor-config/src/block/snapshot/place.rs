//! `place "KIND" "NAME" { … }`: where snapshots are kept.

use lictor_core::snapshot::Keep;
use url::Url;

use crate::code::Code;
use crate::model::{
    Azure, AzureCredentials, Google, GoogleCredentials, Place, PlaceKind, S3, S3Credentials, S3Encryption,
    S3Keys,
};
use crate::problem::Draft;
use crate::reader::{Decoder, Reader, as_body};
use crate::schema::{Attribute, BlockType, Bodies, Kind, Schema};
use crate::syntax::tree::Block;

pub(super) static BLOCK: BlockType =
    BlockType { name: "place", labels: &["KIND", "NAME"], repeats: true, bodies: Bodies::Kinds(&KINDS) };

static KINDS: [(&str, &Schema); 4] =
    [("folder", &FOLDER), ("s3", &S3_SCHEMA), ("azure", &AZURE), ("google", &GOOGLE)];

/// What a session of a role is called.
const SESSION: &str = "lictor";

pub(super) static KEEP: Schema = Schema {
    doc: "What stays: whatever one of these keeps, and the newest one in any case.",
    groups: &[&[
        Attribute::new("last", Kind::Whole(0, 1_000_000), "So many of the newest; 0 keeps all.")
            .default("30"),
        Attribute::new("daily", Kind::Whole(0, 100_000), "The newest of each of so many days (by UTC).")
            .default("0"),
        Attribute::new("weekly", Kind::Whole(0, 100_000), "The newest of each of so many weeks.")
            .default("0"),
        Attribute::new("monthly", Kind::Whole(0, 100_000), "The newest of each of so many months.")
            .default("0"),
    ]],
    blocks: &[],
    values: &[],
    example: "",
};

const COMMON: &[Attribute] = &[
    Attribute::new("keep", Kind::Object(&KEEP), "What stays there.").default_words("what the block says"),
    Attribute::new(
        "file",
        Kind::Text,
        "One name for all: each takes the place of the one before, and nothing is ever removed.",
    )
    .default_words("each has a name of its own, `NAME.DATACENTER.TIME.snap`"),
    Attribute::new(
        "read_back",
        Kind::Flag,
        "Whether what was sent is read again and compared. Otherwise only its size is.",
    )
    .default("true"),
];

const PREFIX: Attribute = Attribute::new("prefix", Kind::Text, "What names begin with; a `/` follows.");

static FOLDER: Schema = Schema {
    doc: "A folder of this machine, or one that is mounted there.",
    groups: &[
        &[Attribute::new(
            "path",
            Kind::Path,
            "The folder. It is made if it is not there, for its owner only.",
        )
        .required()],
        COMMON,
    ],
    blocks: &[],
    values: &[],
    example: "",
};

static S3_SCHEMA: Schema = Schema {
    doc: "A bucket of Amazon S3, or of a server that speaks like it.",
    groups: &[
        &[
            Attribute::new("bucket", Kind::Text, "The bucket.").required(),
            PREFIX,
            Attribute::new("region", Kind::Text, "The region, by which requests are signed.").default("us-east-1"),
            Attribute::new("endpoint", Kind::Url, "Where it is.").default_words("where Amazon has the region"),
            Attribute::new("path_style", Kind::Flag, "Whether the bucket stands in the path and not in the host's name.")
                .default_words("true with `endpoint`"),
            Attribute::new("encryption", Kind::Word(&["aes256", "kms"]), "Encryption by the server.")
                .default_words("what the bucket says"),
            Attribute::new(
                "checksum",
                Kind::Flag,
                "Whether the server is asked to check a SHA-256 of what is sent. Some that are not Amazon's refuse that.",
            )
            .default("true"),
            Attribute::new("kms_key", Kind::Text, "The key of KMS.").default_words("that of the account"),
        ],
        &[
            Attribute::new("access_key", Kind::Secret, "The access key.")
                .default_words("`AWS_ACCESS_KEY_ID` and the variables that belong to it"),
            Attribute::new("secret_key", Kind::Secret, "The secret of the access key."),
            Attribute::new("session_token", Kind::Secret, "The token of a key that is valid for a while."),
            Attribute::new("role", Kind::Text, "The ARN of a role that is taken, by the key or by `token_file`."),
            Attribute::new("role_session", Kind::Text, "What the session of the role is called.").default(SESSION),
            Attribute::new("token_file", Kind::Path, "A token of a web identity by which the role is taken."),
            Attribute::new("sts", Kind::Url, "Where the role is asked for.").default_words("where Amazon has it"),
            Attribute::new(
                "machine_role",
                Kind::Flag,
                "Use what the machine's metadata address gives to everybody who asks. It is never asked otherwise.",
            )
            .default("false"),
            Attribute::new("metadata", Kind::Url, "Where that is.").default_words("the usual address"),
        ],
        COMMON,
    ],
    blocks: &[],
    values: &[],
    example: "",
};

static AZURE: Schema = Schema {
    doc: "A container of Azure Blob Storage.",
    groups: &[
        &[
            Attribute::new("account", Kind::Text, "The storage account.").required(),
            Attribute::new("container", Kind::Text, "The container.").required(),
            PREFIX,
            Attribute::new("endpoint", Kind::Url, "Where it is.").default_words("where Azure has the account"),
        ],
        &[
            Attribute::new("key", Kind::Secret, "The key of the account."),
            Attribute::new("sas", Kind::Secret, "A shared access signature."),
            Attribute::new("tenant", Kind::Text, "The directory of a registered application."),
            Attribute::new("client", Kind::Text, "Its identifier."),
            Attribute::new("client_secret", Kind::Secret, "Its secret."),
            Attribute::new(
                "machine_identity",
                Kind::Flag,
                "Use the identity of the machine, which its metadata address gives. It is never asked otherwise.",
            )
            .default("false"),
        ],
        COMMON,
    ],
    blocks: &[],
    values: &[],
    example: "",
};

static GOOGLE: Schema = Schema {
    doc: "A bucket of Google Cloud Storage.",
    groups: &[
        &[
            Attribute::new("bucket", Kind::Text, "The bucket.").required(),
            PREFIX,
            Attribute::new("endpoint", Kind::Url, "Where it is.").default_words("where Google has it"),
        ],
        &[
            Attribute::new("key", Kind::Secret, "The key of a service account, as Google gives it: a text of JSON."),
            Attribute::new(
                "machine_account",
                Kind::Flag,
                "Use the account of the machine, which its metadata address gives. It is never asked otherwise.",
            )
            .default("false"),
        ],
        COMMON,
    ],
    blocks: &[],
    values: &[],
    example: "",
};

pub(super) fn decode(decoder: &Decoder<'_>, block: &Block, keep: Keep) -> Option<Place> {
    let [kind, name] = block.labels.as_slice() else { return None };
    let (known, schema) = KINDS.iter().find(|(known, _)| *known == kind.is)?;
    let reader = Reader::new(decoder, block, schema);
    super::super::alerts::name(&reader, name);
    let file = file(&reader);
    if reader.is_set("file") {
        reader.exclude("file", "keep");
    }
    let keep = if reader.is_set("keep") { self::keep(&reader) } else { keep };
    let at = match *known {
        "folder" => reader.path("path").map(PlaceKind::Folder),
        "s3" => s3(&reader).map(PlaceKind::S3),
        "azure" => azure(&reader).map(PlaceKind::Azure),
        _ => google(&reader).map(PlaceKind::Google),
    };
    Some(Place { name: name.is.clone(), keep, file: file?, read_back: reader.flag("read_back"), at: at? })
}

/// What `keep` says.
pub(super) fn keep(reader: &Reader<'_>) -> Keep {
    let of = |inner: &Reader<'_>| {
        let count = |name| inner.whole(name).and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
        let keep = Keep {
            last: count("last"),
            daily: count("daily"),
            weekly: count("weekly"),
            monthly: count("monthly"),
        };
        if keep.last == 0 && (keep.daily, keep.weekly, keep.monthly) != (0, 0, 0) {
            let draft =
                Draft::new(Code::Combination, inner.head, "all are kept: the other rules mean nothing");
            inner.decoder.add(draft.help("set `last` to 1 or more"));
        }
        keep
    };
    match reader.value("keep") {
        Some(value) => match as_body(value) {
            Some(body) => {
                of(&Reader::over(reader.decoder, &body, &KEEP, value.span, "snapshot.keep".to_owned()))
            }
            None => {
                reader.mismatch("keep", value);
                Keep::ALL
            }
        },
        None => Keep { last: 30, ..Keep::ALL },
    }
}

/// A name for all of them; nothing is a good answer, too.
fn file(reader: &Reader<'_>) -> Option<Option<String>> {
    let Some(text) = reader.text_at("file") else { return Some(None) };
    let parts = || text.is.split('/');
    let odd = text.is.chars().any(char::is_control) || parts().any(|part| matches!(part, "" | "." | ".."));
    if odd || parts().next_back().is_some_and(|name| name.starts_with('.')) {
        let message = format!("`{}` is not the name of a file", text.is.escape_debug());
        reader.decoder.add(Draft::new(Code::Name, text.span, message));
        return None;
    }
    Some(Some(text.is))
}

/// Without the `/` around it.
fn prefix(reader: &Reader<'_>) -> String {
    reader.text("prefix").unwrap_or_default().trim_matches('/').to_owned()
}

/// What is written, or what the schema says else.
fn text_or_default(reader: &Reader<'_>, name: &str) -> String {
    reader.text(name).unwrap_or_else(|| reader.default(name).unwrap_or_default().to_owned())
}

fn url(reader: &Reader<'_>, name: &str) -> Option<Option<Url>> {
    match reader.is_set(name) {
        true => reader.http_url(name).map(Some),
        false => Some(None),
    }
}

fn s3(reader: &Reader<'_>) -> Option<S3> {
    reader.needs("access_key", "secret_key");
    for needy in ["secret_key", "session_token"] {
        reader.needs(needy, "access_key");
    }
    for needy in ["token_file", "sts"] {
        reader.needs(needy, "role");
    }
    for other in ["access_key", "role", "token_file"] {
        if reader.flag("machine_role") {
            reader.exclude("machine_role", other);
        }
    }
    reader.exclude("token_file", "access_key");
    if reader.is_set("metadata") && !reader.flag("machine_role") {
        reader.needs("metadata", "machine_role");
    }
    let encryption = match reader.word("encryption") {
        Some("kms") => S3Encryption::Kms(reader.text("kms_key")),
        Some(_) => S3Encryption::Aes256,
        None => S3Encryption::Bucket,
    };
    if reader.is_set("kms_key") && !matches!(encryption, S3Encryption::Kms(_)) {
        let draft =
            Draft::new(Code::Combination, reader.span("kms_key"), "`kms_key` needs `encryption = \"kms\"`");
        reader.decoder.add(draft);
    }
    let endpoint = url(reader, "endpoint")?;
    Some(S3 {
        bucket: reader.text("bucket")?,
        prefix: prefix(reader),
        region: text_or_default(reader, "region"),
        path_style: reader.flag_if("path_style").unwrap_or(endpoint.is_some()),
        endpoint,
        credentials: s3_credentials(reader)?,
        encryption,
        checksum: reader.flag("checksum"),
    })
}

fn s3_credentials(reader: &Reader<'_>) -> Option<S3Credentials> {
    if reader.flag("machine_role") {
        return Some(S3Credentials::Machine { endpoint: url(reader, "metadata")? });
    }
    let keys = match (reader.secret("access_key"), reader.secret("secret_key")) {
        (Some(access_key), Some(secret_key)) => {
            Some(S3Keys { access_key, secret_key, session_token: reader.secret("session_token") })
        }
        _ => None,
    };
    if reader.is_set("access_key") && keys.is_none() {
        return None;
    }
    let Some(role) = reader.text("role") else {
        return Some(keys.map_or(S3Credentials::Environment, S3Credentials::Keys));
    };
    let (session, sts) = (text_or_default(reader, "role_session"), url(reader, "sts")?);
    match reader.is_set("token_file") {
        true => {
            let token_file = reader.path("token_file")?;
            Some(S3Credentials::WebIdentity { role, session, sts, token_file })
        }
        false => Some(S3Credentials::Role { role, session, sts, keys }),
    }
}

fn azure(reader: &Reader<'_>) -> Option<Azure> {
    let ways = ["key", "sas", "client_secret"].into_iter().filter(|name| reader.is_set(name));
    let ways: Vec<&str> = ways.chain(reader.flag("machine_identity").then_some("machine_identity")).collect();
    if let [first, second, ..] = ways.as_slice() {
        reader.exclude(first, second);
    }
    for (needy, other) in [("tenant", "client"), ("client", "client_secret"), ("client_secret", "tenant")] {
        reader.needs(needy, other);
    }
    let credentials = match ways.first().copied() {
        Some("key") => AzureCredentials::Key(reader.secret("key")?),
        Some("sas") => AzureCredentials::Sas(reader.secret("sas")?),
        Some("client_secret") => AzureCredentials::Client {
            tenant: reader.text("tenant")?,
            client: reader.text("client")?,
            secret: reader.secret("client_secret")?,
        },
        Some(_) => AzureCredentials::Machine,
        None => {
            let message = "it is not said by what right the container is used";
            let draft = Draft::new(Code::Missing, reader.head, message);
            reader
                .decoder
                .add(draft.help("add `key_file`, `sas_file`, `client_secret_file` or `machine_identity`"));
            return None;
        }
    };
    Some(Azure {
        account: reader.text("account")?,
        container: reader.text("container")?,
        prefix: prefix(reader),
        endpoint: url(reader, "endpoint")?,
        credentials,
    })
}

fn google(reader: &Reader<'_>) -> Option<Google> {
    let machine = reader.flag("machine_account").then_some("machine_account");
    let ways: Vec<&str> = reader.is_set("key").then_some("key").into_iter().chain(machine).collect();
    if let [first, second, ..] = ways.as_slice() {
        reader.exclude(first, second);
    }
    let credentials = match ways.first().copied() {
        Some("key") => GoogleCredentials::Key(reader.secret("key")?),
        Some(_) => GoogleCredentials::Machine,
        None => {
            let message = "it is not said by what right the bucket is used";
            let draft = Draft::new(Code::Missing, reader.head, message);
            reader.decoder.add(draft.help("add `key_file` or `machine_account`"));
            return None;
        }
    };
    Some(Google {
        bucket: reader.text("bucket")?,
        prefix: prefix(reader),
        endpoint: url(reader, "endpoint")?,
        credentials,
    })
}
