//! Where old programs kept snapshots, and by what right they used it.

use std::time::Duration;

use thiserror::Error;

use crate::Secret;
use crate::hcl::{Writer, quoted, span};

/// Where snapshots are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// A folder of this machine; it may be relative to the one in which the program was started.
    Folder(String),
    /// S3, or what speaks like it.
    S3(S3),
    /// Azure Blob Storage.
    Azure(Azure),
    /// Google Cloud Storage.
    Google(Google),
}

/// A bucket of S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3 {
    /// The bucket.
    pub bucket: String,
    /// What names in it begin with, without a `/` around it.
    pub prefix: String,
    /// The region by which requests are signed.
    pub region: String,
    /// Where it is, with a scheme, if not where Amazon has the region.
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the path and not in the host's name.
    pub path_style: bool,
    /// By what right.
    pub rights: S3Rights,
    /// Encryption by the server.
    pub encryption: S3Encryption,
    /// One name for all, from the bucket's root.
    pub file: Option<String>,
}

/// By what right a bucket of S3 is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum S3Rights {
    /// Keys that were given.
    Keys(S3Keys),
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN` of the environment, which are there.
    Environment,
    /// A role.
    Role(S3Role),
    /// What the machine's metadata address gives.
    Machine {
        /// Where that is.
        endpoint: String,
    },
}

/// Keys of S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Keys {
    /// Which one.
    pub access_key: Secret,
    /// What is signed with.
    pub secret_key: Secret,
    /// Of keys that are valid for a while.
    pub session_token: Option<Secret>,
}

/// A role of S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Role {
    /// Its ARN.
    pub arn: String,
    /// What the session is called, if that was said.
    pub session: Option<String>,
    /// Where the role is asked for, with a scheme, if that was said.
    pub sts: Option<String>,
    /// By what it is taken.
    pub by: RoleBy,
}

/// By what a role is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleBy {
    /// Keys that were given.
    Keys(S3Keys),
    /// The keys of the environment, which are there.
    Environment,
    /// A token in this file.
    TokenFile(String),
}

/// Encryption by the server of S3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum S3Encryption {
    /// What the bucket says.
    #[default]
    Bucket,
    /// With keys of S3.
    Aes256,
    /// With a key of KMS; `None`: that of the account.
    Kms(Option<String>),
}

/// A container of Azure Blob Storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Azure {
    /// The storage account.
    pub account: String,
    /// Its key.
    pub key: Secret,
    /// The container.
    pub container: String,
    /// Where the account is, if not in the public cloud.
    pub endpoint: Option<String>,
}

/// A bucket of Google Cloud Storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Google {
    /// The bucket.
    pub bucket: String,
    /// What names in it begin with, without a `/` around it.
    pub prefix: String,
    /// The file with the key of a service account.
    pub key_file: String,
}

/// Why a store cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// Of two keys that belong together one is missing.
    #[error("{missing} is missing: {given} is worth nothing without it")]
    Half {
        /// What is there.
        given: &'static str,
        /// What is not.
        missing: &'static str,
    },
    /// Nobody says by what right a bucket of S3 is used.
    #[error(
        "it is not said by what right the bucket `{bucket}` is used: {ways}; ~/.aws/credentials is not read, and the machine's metadata address is not asked by itself"
    )]
    S3Rights {
        /// The bucket.
        bucket: String,
        /// How it could be said.
        ways: &'static str,
    },
    /// Nobody says by what right a bucket of Google is used.
    #[error(
        "it is not said by what right the bucket `{0}` is used: set GOOGLE_APPLICATION_CREDENTIALS to the file with the key of a service account; the machine's metadata address is not asked by itself"
    )]
    GoogleRights(String),
    /// A role, and nothing by which it could be taken.
    #[error(
        "the role {0} cannot be taken: give keys, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name the file with a token of a web identity"
    )]
    Role(String),
}

/// What was said of the rights to S3 elsewhere than in the environment; texts are not empty.
#[derive(Default)]
pub(crate) struct S3Said {
    pub(crate) access_key: Option<Secret>,
    pub(crate) secret_key: Option<Secret>,
    pub(crate) session_token: Option<Secret>,
    pub(crate) role: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) token_file: Option<String>,
    pub(crate) sts: Option<String>,
    pub(crate) machine: Option<String>,
}

impl S3Rights {
    /// Keys that were given go before everything, then a role that was given, then the keys of the environment, then its role
    /// (a web identity), and at last the machine's own, if somebody said where that is asked for.
    pub(crate) fn new(
        said: S3Said,
        bucket: &str,
        ways: &'static str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, StoreError> {
        let keys = match (said.access_key, said.secret_key) {
            (Some(access_key), Some(secret_key)) => {
                Some(S3Keys { access_key, secret_key, session_token: said.session_token })
            }
            (None, None) => None,
            (Some(_), None) => return Err(half("the access key", "the secret access key")),
            (None, Some(_)) => return Err(half("the secret access key", "the access key")),
        };
        let environment = match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
            (Some(_), Some(_)) => true,
            (None, None) => false,
            // With keys that are given the environment does not matter.
            _ if keys.is_some() => false,
            (Some(_), None) => return Err(half("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
            (None, Some(_)) => return Err(half("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")),
        };
        let session = said.session.or_else(|| variable("AWS_ROLE_SESSION_NAME"));
        let sts = said.sts.map(|sts| with_https(&sts));
        let token_of_environment = || variable("AWS_WEB_IDENTITY_TOKEN_FILE");
        if let Some(arn) = said.role {
            let by = match (keys, said.token_file) {
                (Some(keys), _) => RoleBy::Keys(keys),
                (None, Some(file)) => RoleBy::TokenFile(file),
                (None, None) if environment => RoleBy::Environment,
                (None, None) => match token_of_environment() {
                    Some(file) => RoleBy::TokenFile(file),
                    None => return Err(StoreError::Role(arn)),
                },
            };
            return Ok(Self::Role(S3Role { arn, session, sts, by }));
        }
        if let Some(keys) = keys {
            return Ok(Self::Keys(keys));
        }
        if environment {
            return Ok(Self::Environment);
        }
        let role = variable("AWS_ROLE_ARN").zip(said.token_file.or_else(token_of_environment));
        match (role, said.machine) {
            (Some((arn, file)), _) => {
                Ok(Self::Role(S3Role { arn, session, sts, by: RoleBy::TokenFile(file) }))
            }
            (None, Some(endpoint)) => Ok(Self::Machine { endpoint: with_https(&endpoint) }),
            (None, None) => Err(StoreError::S3Rights { bucket: bucket.to_owned(), ways }),
        }
    }
}

const fn half(given: &'static str, missing: &'static str) -> StoreError {
    StoreError::Half { given, missing }
}

/// An address with its scheme: that of Amazon's programs is https.
pub(crate) fn with_https(address: &str) -> String {
    if address.contains("://") { address.to_owned() } else { format!("https://{address}") }
}

/// How often; a block does it no more often than each ten seconds.
pub(crate) fn write_every(every: Duration, out: &mut Writer) {
    if every < SHORTEST {
        out.comment(&format!(
            "TODO: it was each {}, which is too often: each has a server write all that it knows.",
            span(every)
        ));
    }
    out.set("every", &quoted(&span(every.max(SHORTEST))));
}

/// Snapshots of a block are taken no more often.
const SHORTEST: Duration = Duration::from_secs(10);

/// The block `place` of a store. Secrets are not printed.
pub(crate) fn write(store: &Store, out: &mut Writer) {
    match store {
        Store::Folder(path) => out.block("place \"folder\" \"folder\"", |out| write_path("path", path, out)),
        Store::S3(s3) => out.block("place \"s3\" \"s3\"", |out| write_s3(s3, out)),
        Store::Azure(azure) => out.block("place \"azure\" \"azure\"", |out| {
            out.set("account", &quoted(&azure.account));
            out.set("container", &quoted(&azure.container));
            out.text("endpoint", azure.endpoint.as_deref().unwrap_or_default());
            out.comment("TODO: write the key of the account into this file.");
            out.set("key_file", &quoted("/etc/lictor/azure-key"));
        }),
        Store::Google(google) => out.block("place \"google\" \"google\"", |out| {
            out.set("bucket", &quoted(&google.bucket));
            out.text("prefix", &google.prefix);
            out.comment("TODO: the file that GOOGLE_APPLICATION_CREDENTIALS names; or `machine_account = true`, which was used without it.");
            out.set("key_file", &quoted(&google.key_file));
        }),
    }
}

/// A path; one that is relative was so to a folder that is not known here.
pub(crate) fn write_path(name: &str, path: &str, out: &mut Writer) {
    if path.starts_with('/') {
        return out.set(name, &quoted(path));
    }
    out.comment(&format!("TODO: it was {}, in the folder in which the program was started.", quoted(path)));
    out.set(name, &quoted("/var/backups/consul"));
}

fn write_s3(s3: &S3, out: &mut Writer) {
    out.set("bucket", &quoted(&s3.bucket));
    match &s3.file {
        // Such a name is one from the root of the bucket.
        Some(file) => out.set("file", &quoted(file)),
        None => out.text("prefix", &s3.prefix),
    }
    out.set("region", &quoted(&s3.region));
    if let Some(endpoint) = &s3.endpoint {
        out.set("endpoint", &quoted(endpoint));
    }
    // The block takes it for true where there is an endpoint.
    if s3.path_style || s3.endpoint.is_some() {
        out.set("path_style", if s3.path_style { "true" } else { "false" });
    }
    match &s3.encryption {
        S3Encryption::Bucket => {}
        S3Encryption::Aes256 => out.set("encryption", &quoted("aes256")),
        S3Encryption::Kms(key) => {
            out.set("encryption", &quoted("kms"));
            out.text("kms_key", key.as_deref().unwrap_or_default());
        }
    }
    match &s3.rights {
        S3Rights::Keys(keys) => write_keys(keys, out),
        S3Rights::Environment => write_environment(out),
        S3Rights::Machine { endpoint } => {
            out.set("machine_role", "true");
            out.set("metadata", &quoted(endpoint));
        }
        S3Rights::Role(role) => {
            out.set("role", &quoted(&role.arn));
            out.text("role_session", role.session.as_deref().unwrap_or_default());
            out.text("sts", role.sts.as_deref().unwrap_or_default());
            match &role.by {
                RoleBy::Keys(keys) => write_keys(keys, out),
                RoleBy::Environment => write_environment(out),
                RoleBy::TokenFile(file) => write_path("token_file", file, out),
            }
        }
    }
    out.comment("What was sent is read again, which needs s3:GetObject; `read_back = false` does without.");
}

fn write_keys(keys: &S3Keys, out: &mut Writer) {
    out.comment("TODO: write the keys into these files.");
    out.set("access_key_file", &quoted("/etc/lictor/s3-access-key"));
    out.set("secret_key_file", &quoted("/etc/lictor/s3-secret-key"));
    if keys.session_token.is_some() {
        out.set("session_token_file", &quoted("/etc/lictor/s3-session-token"));
    }
}

fn write_environment(out: &mut Writer) {
    out.comment("TODO: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the agent's environment are used; or name a `role` with a");
    out.comment("`token_file`, or set `machine_role = true` if the machine's own role was used.");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(said: S3Said, variables: &[(&str, &str)]) -> Result<S3Rights, String> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        S3Rights::new(said, "b", "set the variables", variable).map_err(|error| error.to_string())
    }

    fn keys() -> S3Said {
        let secret = |text: &str| Some(Secret::new(text));
        S3Said { access_key: secret("a"), secret_key: secret("s"), ..S3Said::default() }
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s")];
    const WEB: [(&str, &str); 2] = [("AWS_ROLE_ARN", "arn:env"), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t")];

    #[test]
    fn keys_that_were_given_go_before_all_of_the_environment() {
        let all = [&KEYS[..], &WEB[..]].concat();
        assert!(matches!(rights(keys(), &all), Ok(S3Rights::Keys(_))));
        assert!(matches!(rights(keys(), &KEYS[..1]), Ok(S3Rights::Keys(_))));
        assert_eq!(rights(S3Said::default(), &all), Ok(S3Rights::Environment));
    }

    #[test]
    fn a_role_is_taken_by_what_there_is() {
        let role = |said: S3Said, variables: &[(&str, &str)]| match rights(
            S3Said { role: text("arn:said"), ..said },
            variables,
        ) {
            Ok(S3Rights::Role(role)) => Ok(role.by),
            Ok(other) => panic!("{other:?}"),
            Err(why) => Err(why),
        };
        assert!(matches!(role(keys(), &WEB), Ok(RoleBy::Keys(_))));
        let file = S3Said { token_file: text("/said"), ..S3Said::default() };
        assert_eq!(role(file, &KEYS), Ok(RoleBy::TokenFile("/said".to_owned())));
        assert_eq!(role(S3Said::default(), &KEYS), Ok(RoleBy::Environment));
        assert_eq!(role(S3Said::default(), &WEB), Ok(RoleBy::TokenFile("/t".to_owned())));
        assert!(role(S3Said::default(), &[]).unwrap_err().starts_with("the role arn:said cannot be taken: "));
    }

    #[test]
    fn without_keys_the_web_identity_of_the_environment_is_used() {
        let found = rights(S3Said { session: text("me"), ..S3Said::default() }, &WEB);
        let by = RoleBy::TokenFile("/t".to_owned());
        let role = S3Role { arn: "arn:env".to_owned(), session: text("me"), sts: None, by };
        assert_eq!(found, Ok(S3Rights::Role(role)));
    }

    #[test]
    fn the_machine_is_asked_only_where_somebody_says_so() {
        let machine = || S3Said { machine: text("127.0.0.1:1338"), ..S3Said::default() };
        let endpoint = "https://127.0.0.1:1338".to_owned();
        assert_eq!(rights(machine(), &[]), Ok(S3Rights::Machine { endpoint }));
        assert_eq!(rights(machine(), &KEYS), Ok(S3Rights::Environment));
        let why = rights(S3Said::default(), &WEB[..1]).unwrap_err();
        assert!(why.contains("the bucket `b`") && why.contains("set the variables"), "{why}");
    }

    #[test]
    fn half_of_what_belongs_together_is_a_mistake() {
        let said = S3Said { secret_key: None, ..keys() };
        let why = "the secret access key is missing: the access key is worth nothing without it";
        assert_eq!(rights(said, &KEYS), Err(why.to_owned()));
        let why = "AWS_ACCESS_KEY_ID is missing: AWS_SECRET_ACCESS_KEY is worth nothing without it";
        assert_eq!(rights(S3Said::default(), &KEYS[1..]), Err(why.to_owned()));
    }

    #[test]
    fn secrets_are_not_shown() {
        let said = S3Said { secret_key: Some(Secret::new("geheim")), ..keys() };
        assert!(!format!("{:?}", rights(said, &[])).contains("geheim"));
    }
}
