//! The options: what they are called on the command line and in files, and what was said.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::log::LogLevel;
use crate::{Secret, goduration};

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text.
    Text,
    /// One that is not shown.
    Secret,
    /// True or false.
    Flag,
    /// A number from 0.
    Number,
    /// A duration of Go's, or 0.
    Time,
    /// Names with values; `NAME=VALUE` on the command line, any number of times.
    Pairs,
}

/// An option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) option: Opt,
    /// Its name in files, behind that of the object in which it stands; empty: there is none.
    pub(super) key: &'static str,
    /// Its name on the command line; empty: there is none.
    pub(super) flag: &'static str,
    pub(super) kind: Kind,
}

macro_rules! options {
    ($($option:ident $key:literal $flag:literal $kind:ident;)*) => {
        /// Which option.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Opt {
            $($option),*
        }

        /// Every option that the manual has.
        pub(super) const OPTIONS: &[Known] = &[$(Known {
            option: Opt::$option,
            key: $key,
            flag: $flag,
            kind: Kind::$kind,
        }),*];
    };
}

options! {
    HttpAddr "http_addr" "http-addr" Text;
    Token "token" "token" Secret;
    TokenFile "" "token-file" Text;
    Datacenter "datacenter" "datacenter" Text;
    CaFile "ca_file" "ca-file" Text;
    CaPath "ca_path" "ca-path" Text;
    CertFile "cert_file" "client-cert" Text;
    KeyFile "key_file" "client-key" Text;
    TlsServerName "tls_server_name" "tls-server-name" Text;
    LicensePath "license_path" "" Text;
    LoginAuthMethod "login.auth_method" "login-auth-method" Text;
    LoginBearerToken "login.bearer_token" "login-bearer-token" Secret;
    LoginBearerTokenFile "login.bearer_token_file" "login-bearer-token-file" Text;
    LoginMeta "login.meta" "login-meta" Pairs;
    LogLevel "log.level" "log-level" Text;
    Syslog "log.enable_syslog" "syslog" Flag;
    SyslogFacility "log.syslog_facility" "syslog-facility" Text;
    Interval "snapshot.interval" "interval" Time;
    Retain "snapshot.retain" "retain" Number;
    Stale "snapshot.stale" "stale" Flag;
    Service "snapshot.service" "service" Text;
    DeregisterAfter "snapshot.deregister_after" "deregister-after" Time;
    LockKey "snapshot.lock_key" "lock-key" Text;
    MaxFailures "snapshot.max_failures" "max-failures" Number;
    ScratchPath "snapshot.local_scratch_path" "local-scratch-path" Text;
    LocalPath "local_storage.path" "local-path" Text;
    AccessKey "aws_storage.access_key_id" "aws-access-key-id" Secret;
    SecretKey "aws_storage.secret_access_key" "aws-secret-access-key" Secret;
    SessionToken "aws_storage.session_token" "aws-session-token" Secret;
    IamEndpoint "aws_storage.iam_endpoint" "aws-iam-endpoint" Text;
    RoleArn "aws_storage.role_arn" "aws-role-arn" Text;
    RoleSession "aws_storage.role_session_name" "aws-role-session-name" Text;
    WebIdentityTokenFile "aws_storage.web_identity_token_file" "aws-web-identity-token-file" Text;
    StsEndpoint "aws_storage.sts_endpoint" "aws-sts-endpoint" Text;
    Region "aws_storage.s3_region" "aws-s3-region" Text;
    Bucket "aws_storage.s3_bucket" "aws-s3-bucket" Text;
    KeyPrefix "aws_storage.s3_key_prefix" "aws-s3-key-prefix" Text;
    Endpoint "aws_storage.s3_endpoint" "aws-s3-endpoint" Text;
    ServerSideEncryption "aws_storage.s3_server_side_encryption" "aws-s3-server-side-encryption" Flag;
    StaticName "aws_storage.s3_static_snapshot_name" "aws-s3-static-snapshot-name" Text;
    PathStyle "aws_storage.s3_force_path_style" "aws-s3-force-path-style" Flag;
    EnableKms "aws_storage.s3_enable_kms" "aws-s3-enable-kms" Flag;
    KmsKey "aws_storage.s3_kms_key" "aws-s3-kms-key" Text;
    AzureAccount "azure_blob_storage.account_name" "azure-blob-account-name" Text;
    AzureKey "azure_blob_storage.account_key" "azure-blob-account-key" Secret;
    AzureContainer "azure_blob_storage.container_name" "azure-blob-container-name" Text;
    AzureEnvironment "azure_blob_storage.environment" "azure-blob-environment" Text;
    GoogleBucket "google_storage.bucket" "gcs-bucket" Text;
}

/// The value of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Secret(Secret),
    Flag(bool),
    Number(u32),
    Time(Duration),
}

impl Value {
    /// What is written on the command line; a flag has no text of its own.
    pub(super) fn read(kind: Kind, text: &str) -> Result<Self, String> {
        match kind {
            Kind::Text => Ok(Self::Text(text.to_owned())),
            Kind::Secret => Ok(Self::Secret(Secret::new(text))),
            Kind::Flag => crate::goflags::truth(text)
                .map(Self::Flag)
                .ok_or_else(|| "it is neither true nor false".to_owned()),
            Kind::Number => {
                text.parse().map(Self::Number).map_err(|_error| "it is no number from 0".to_owned())
            }
            Kind::Time => {
                let time = goduration::parse(text).map_err(|error| error.to_string())?;
                if time < 0 {
                    return Err("it cannot be negative".to_owned());
                }
                Ok(Self::Time(goduration::duration(time)))
            }
            Kind::Pairs => match text.split_once('=') {
                Some((name, _)) if !name.is_empty() => Ok(Self::Text(text.to_owned())),
                _ => Err("it is not NAME=VALUE".to_owned()),
            },
        }
    }
}

/// What the flags say, or what a file says; the rest is left to others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    said: BTreeMap<Opt, Value>,
}

impl Given {
    /// Takes a value; it goes before what was said until now.
    pub(super) fn set(&mut self, option: Opt, value: Value) {
        self.said.insert(option, value);
    }

    /// Both together: of two values the later one counts.
    #[must_use]
    pub(super) fn and(mut self, later: Self) -> Self {
        self.said.extend(later.said);
        self
    }

    /// A text; an empty one is none.
    pub(super) fn text(&self, option: Opt) -> Option<String> {
        match self.said.get(&option) {
            Some(Value::Text(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        }
    }

    /// What is not shown; an empty one is none.
    pub(super) fn secret(&self, option: Opt) -> Option<Secret> {
        match self.said.get(&option) {
            Some(Value::Secret(secret)) if !secret.expose().is_empty() => Some(secret.clone()),
            _ => None,
        }
    }

    /// Whether it is true; it is not unless that is said.
    pub(super) fn flag(&self, option: Opt) -> bool {
        matches!(self.said.get(&option), Some(Value::Flag(true)))
    }

    pub(super) fn number(&self, option: Opt) -> Option<u32> {
        match self.said.get(&option) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn time(&self, option: Opt) -> Option<Duration> {
        match self.said.get(&option) {
            Some(Value::Time(time)) => Some(*time),
            _ => None,
        }
    }
}

/// The level of this name as this program has it: `error` as well as `err`.
pub(super) fn level(name: &str) -> Option<LogLevel> {
    if name.eq_ignore_ascii_case("error") { Some(LogLevel::Err) } else { LogLevel::named(name) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_options_share_a_name() {
        for name in [|known: &Known| known.key, |known: &Known| known.flag] {
            let named: Vec<_> = OPTIONS.iter().map(name).filter(|name| !name.is_empty()).collect();
            assert_eq!(named.iter().collect::<BTreeSet<_>>().len(), named.len());
        }
        assert!(OPTIONS.iter().all(|known| !(known.key.is_empty() && known.flag.is_empty())));
    }

    #[test]
    fn what_is_empty_is_as_if_it_was_not_said() {
        let mut given = Given::default();
        given.set(Opt::Token, Value::Secret(Secret::new("")));
        given.set(Opt::Service, Value::Text(String::new()));
        assert_eq!((given.secret(Opt::Token), given.text(Opt::Service)), (None, None));
    }

    #[test]
    fn a_value_is_read_by_its_kind() {
        let read = |kind, text| Value::read(kind, text);
        assert_eq!(read(Kind::Time, "0"), Ok(Value::Time(Duration::ZERO)));
        assert_eq!(read(Kind::Time, "1h30m"), Ok(Value::Time(Duration::from_secs(5_400))));
        assert_eq!(read(Kind::Number, "30"), Ok(Value::Number(30)));
        for (kind, text, why) in [
            (Kind::Time, "30", "the duration \"30\" has no unit: ms, s, m or h"),
            (Kind::Time, "-1h", "it cannot be negative"),
            (Kind::Number, "-1", "it is no number from 0"),
            (Kind::Number, "99999999999", "it is no number from 0"),
            (Kind::Flag, "yes", "it is neither true nor false"),
            (Kind::Pairs, "name", "it is not NAME=VALUE"),
            (Kind::Pairs, "=value", "it is not NAME=VALUE"),
        ] {
            assert_eq!(read(kind, text), Err(why.to_owned()), "{text}");
        }
    }
}
