//! What its environment says.

use std::time::Duration;

use thiserror::Error;

use crate::Secret;
use crate::reach::{Reach, Said};
use crate::stores::{Google, S3, S3Encryption, S3Rights, S3Said, Store, StoreError, with_https};

/// What a backup is called in the temporary folder when it is not to be sent (`ACCEPTANCE_TEST`).
pub const ACCEPTANCE_FILE: &str = "acceptancetest.tar.gz";

/// Everything that it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The Consul agent.
    pub consul: Reach,
    /// From backup to backup; not zero.
    pub every: Duration,
    /// Where they are kept; each gets every one. With [`Self::acceptance`] it is the temporary folder alone.
    pub stores: Vec<Store>,
    /// Where one lies before it is sent.
    pub scratch: String,
    /// What they are encrypted with.
    pub password: Option<Secret>,
    /// They are not sent: each lies in the temporary folder as [`ACCEPTANCE_FILE`], and `restore` takes it from there.
    pub acceptance: bool,
    /// What is done in another way, or has no effect. Each is worth a warning.
    pub remarks: Vec<String>,
}

/// An environment that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StartError {
    /// There is no bucket.
    #[error("neither S3BUCKET with S3REGION nor GCSBUCKET is set: say where the backups are kept")]
    Nowhere,
    /// S3 without its region.
    #[error("S3REGION is not set: say which region the bucket `{0}` of S3BUCKET is in")]
    Region(String),
    /// No time that can be waited for.
    #[error("BACKUPINTERVAL is {0:?}, which is no number of seconds above 0")]
    Interval(String),
    /// An encryption that S3 does not have.
    #[error("CONSUL_SNAPSHOT_S3_SSE is {0:?}, which is neither AES256 nor aws:kms")]
    Encryption(String),
    /// A bucket cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How the rights to a bucket can be said.
const WAYS: &str =
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE";

/// What is said about encryption at the start.
const AGE: &str = "CRYPTO_PASSWORD: backups are encrypted in the format of age and called *.age, which consul-snapshot does not \
                   read; those that it has encrypted are read";

impl Start {
    /// Reads the environment, which is given as a look-up. An empty variable is none.
    ///
    /// # Errors
    /// The first thing that cannot be used.
    pub fn new(environment: impl Fn(&str) -> Option<String>) -> Result<Self, StartError> {
        let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
        let mut remarks = Vec::new();
        let scratch = variable("SNAPSHOT_TMP_DIR").unwrap_or_else(|| "/tmp".to_owned());
        let acceptance = variable("ACCEPTANCE_TEST").is_some();
        let stores = match acceptance {
            true => vec![Store::Folder(scratch.clone())],
            false => stores(&variable, &mut remarks)?,
        };
        let password = variable("CRYPTO_PASSWORD").map(Secret::new);
        if password.is_some() {
            remarks.push(AGE.to_owned());
        }
        Ok(Self {
            consul: Reach::new(Said::default(), variable, &mut remarks),
            every: if acceptance { Duration::from_mins(1) } else { every(variable("BACKUPINTERVAL"))? },
            stores,
            scratch,
            password,
            acceptance,
            remarks,
        })
    }

    /// From where a backup is restored: Google's bucket goes before that of S3.
    pub fn restores_from(&self) -> Option<&Store> {
        let google = self.stores.iter().find(|store| matches!(store, Store::Google(_)));
        google.or_else(|| self.stores.first())
    }
}

fn every(given: Option<String>) -> Result<Duration, StartError> {
    let Some(given) = given else { return Ok(Duration::from_mins(1)) };
    match given.parse::<u64>() {
        Ok(seconds) if (1..=31_536_000).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(StartError::Interval(given)),
    }
}

fn stores(
    variable: &impl Fn(&str) -> Option<String>,
    remarks: &mut Vec<String>,
) -> Result<Vec<Store>, StartError> {
    let prefix = variable("CONSUL_SNAPSHOT_UPLOAD_PREFIX").unwrap_or_else(|| "backups".to_owned());
    let prefix = prefix.trim_matches('/');
    let mut stores = Vec::new();
    if let Some(bucket) = variable("S3BUCKET") {
        stores.push(Store::S3(s3(bucket, prefix, variable, remarks)?));
    }
    if let Some(bucket) = variable("GCSBUCKET") {
        let key_file = variable("GOOGLE_APPLICATION_CREDENTIALS");
        let key_file = key_file.ok_or_else(|| StoreError::GoogleRights(bucket.clone()))?;
        stores.push(Store::Google(Google { bucket, prefix: prefix.to_owned(), key_file }));
    }
    if stores.is_empty() { Err(StartError::Nowhere) } else { Ok(stores) }
}

fn s3(
    bucket: String,
    prefix: &str,
    variable: &impl Fn(&str) -> Option<String>,
    remarks: &mut Vec<String>,
) -> Result<S3, StartError> {
    let endpoint = variable("S3ENDPOINT").map(|endpoint| with_https(&endpoint));
    Ok(S3 {
        region: variable("S3REGION").ok_or_else(|| StartError::Region(bucket.clone()))?,
        prefix: prefix.to_owned(),
        path_style: endpoint.is_some(),
        endpoint,
        rights: S3Rights::new(S3Said::default(), &bucket, WAYS, variable)?,
        encryption: encryption(variable, remarks)?,
        file: None,
        bucket,
    })
}

fn encryption(
    variable: &impl Fn(&str) -> Option<String>,
    remarks: &mut Vec<String>,
) -> Result<S3Encryption, StartError> {
    let key = variable("CONSUL_SNAPSHOT_S3_SSE_KMS_KEY_ID");
    match (variable("CONSUL_SNAPSHOT_S3_SSE").as_deref(), key) {
        (None, None) => Ok(S3Encryption::Bucket),
        (None, Some(key)) => {
            let said =
                "CONSUL_SNAPSHOT_S3_SSE is not set: it is taken for aws:kms, since a key of KMS is named";
            remarks.push(said.to_owned());
            Ok(S3Encryption::Kms(Some(key)))
        }
        (Some("aws:kms"), key) => Ok(S3Encryption::Kms(key)),
        (Some("AES256"), key) => {
            if key.is_some() {
                let said =
                    "CONSUL_SNAPSHOT_S3_SSE_KMS_KEY_ID has no effect: CONSUL_SNAPSHOT_S3_SSE is AES256";
                remarks.push(said.to_owned());
            }
            Ok(S3Encryption::Aes256)
        }
        (Some(other), _) => Err(StartError::Encryption(other.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S3: &[(&str, &str)] = &[
        ("S3BUCKET", "b"),
        ("S3REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
    ];
    const GOOGLE: &[(&str, &str)] = &[("GCSBUCKET", "g"), ("GOOGLE_APPLICATION_CREDENTIALS", "/key.json")];

    fn started(variables: &[&[(&str, &str)]]) -> Result<Start, String> {
        let variables = variables.concat();
        // Of a name that stands there twice, the last counts.
        let variable = |name: &str| {
            variables.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Start::new(variable).map_err(|error| error.to_string())
    }

    fn bucket(variables: &[(&str, &str)]) -> S3 {
        match started(&[S3, variables]).unwrap().stores.as_slice() {
            [Store::S3(s3)] => s3.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_set_is_as_it_was() {
        let found = started(&[S3]).unwrap();
        assert_eq!((found.every, found.scratch.as_str()), (Duration::from_mins(1), "/tmp"));
        assert_eq!((found.password, found.acceptance, found.remarks), (None, false, Vec::new()));
        assert_eq!(found.consul.address, "http://127.0.0.1:8500");
        let found = bucket(&[]);
        assert_eq!((found.prefix.as_str(), found.region.as_str()), ("backups", "eu-central-1"));
        assert_eq!((found.endpoint, found.path_style, found.file), (None, false, None));
        assert_eq!((found.rights, found.encryption), (S3Rights::Environment, S3Encryption::Bucket));
    }

    #[test]
    fn what_is_set_counts() {
        let set = [
            ("S3ENDPOINT", "http://minio:9000"),
            ("CONSUL_SNAPSHOT_UPLOAD_PREFIX", "/a/b/"),
            ("BACKUPINTERVAL", "3600"),
            ("SNAPSHOT_TMP_DIR", "/scratch"),
            ("CONSUL_HTTP_ADDR", "c:1"),
            ("CONSUL_HTTP_TOKEN", "t"),
            ("CRYPTO_PASSWORD", "geheim"),
        ];
        let found = started(&[S3, &set]).unwrap();
        assert_eq!((found.every, found.scratch.as_str()), (Duration::from_hours(1), "/scratch"));
        assert_eq!((found.consul.address.as_str(), found.consul.token.is_some()), ("http://c:1", true));
        assert_eq!(found.remarks, [AGE]);
        assert!(!format!("{found:?}").contains("geheim"));
        let found = bucket(&set);
        assert_eq!(found.endpoint.as_deref(), Some("http://minio:9000"));
        assert!(found.path_style && found.prefix == "a/b");
    }

    #[test]
    fn both_buckets_get_every_backup_and_google_is_restored_from() {
        let found = started(&[S3, GOOGLE]).unwrap();
        let [Store::S3(_), Store::Google(google)] = found.stores.as_slice() else { panic!("{found:?}") };
        assert_eq!((google.bucket.as_str(), google.prefix.as_str()), ("g", "backups"));
        assert_eq!(found.restores_from(), found.stores.last());
        let found = started(&[S3]).unwrap();
        assert_eq!(found.restores_from(), found.stores.first());
        assert_eq!(started(&[GOOGLE]).unwrap().stores.len(), 1);
    }

    #[test]
    fn a_test_keeps_them_in_the_temporary_folder() {
        let found = started(&[&[("ACCEPTANCE_TEST", "1"), ("BACKUPINTERVAL", "5")]]).unwrap();
        assert_eq!(found.stores, [Store::Folder("/tmp".to_owned())]);
        assert!(found.acceptance && found.every == Duration::from_mins(1));
    }

    #[test]
    fn encryption_by_the_server_is_what_its_header_would_be() {
        let of = |sse: &str, key: &str| {
            let set = [("CONSUL_SNAPSHOT_S3_SSE", sse), ("CONSUL_SNAPSHOT_S3_SSE_KMS_KEY_ID", key)];
            started(&[S3, &set]).map(|found| {
                let [Store::S3(s3)] = found.stores.as_slice() else { panic!() };
                (s3.encryption.clone(), found.remarks.len())
            })
        };
        let kms = |key: &str| S3Encryption::Kms(Some(key.to_owned()));
        assert_eq!(of("AES256", ""), Ok((S3Encryption::Aes256, 0)));
        assert_eq!(of("aws:kms", ""), Ok((S3Encryption::Kms(None), 0)));
        assert_eq!(of("aws:kms", "k"), Ok((kms("k"), 0)));
        assert_eq!(of("", "k"), Ok((kms("k"), 1)));
        assert_eq!(of("AES256", "k"), Ok((S3Encryption::Aes256, 1)));
        let why = "CONSUL_SNAPSHOT_S3_SSE is \"rot13\", which is neither AES256 nor aws:kms";
        assert_eq!(of("rot13", ""), Err(why.to_owned()));
    }

    #[test]
    fn what_cannot_be_used_is_told_with_the_way_out() {
        let s3_with = |variable| [S3, &[variable][..]].concat();
        let environments = [
            Vec::new(),
            vec![("S3REGION", "r")],
            vec![("S3BUCKET", "b")],
            vec![("S3BUCKET", "b"), ("S3REGION", "r")],
            vec![("GCSBUCKET", "g")],
            s3_with(("BACKUPINTERVAL", "0")),
            s3_with(("BACKUPINTERVAL", "1h")),
        ];
        let told: Vec<String> = environments.iter().map(|set| started(&[set]).unwrap_err()).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        neither S3BUCKET with S3REGION nor GCSBUCKET is set: say where the backups are kept
        neither S3BUCKET with S3REGION nor GCSBUCKET is set: say where the backups are kept
        S3REGION is not set: say which region the bucket `b` of S3BUCKET is in
        it is not said by what right the bucket `b` is used: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE; ~/.aws/credentials is not read, and the machine's metadata address is not asked by itself
        it is not said by what right the bucket `g` is used: set GOOGLE_APPLICATION_CREDENTIALS to the file with the key of a service account; the machine's metadata address is not asked by itself
        BACKUPINTERVAL is "0", which is no number of seconds above 0
        BACKUPINTERVAL is "1h", which is no number of seconds above 0
        "#);
    }
}
