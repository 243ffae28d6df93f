//! A bucket of S3.

use std::sync::Arc;

use object_store::StaticCredentialProvider;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, AwsCredentialProvider, Checksum};
use url::Url;

use crate::checks;
use crate::error::{PlaceError, innermost};
use crate::login::sts::{Asked, Assume, Sts};
use crate::objects::{Dialect, Make, Objects, Store};
use crate::settings::{Hidden, S3, S3Credentials, S3Encryption, S3Keys};
use crate::wire::{Service, Signer, Wire, retries};

/// Where the metadata service of a machine of Amazon's is.
const METADATA: &str = "http://169.254.169.254";

pub(crate) fn place(settings: &S3) -> Result<Objects, PlaceError> {
    let place = checks::shown("s3", &settings.bucket, &settings.prefix);
    check(settings, &place)?;
    let metadata = metadata(&settings.credentials, &place)?;
    let named = [settings.endpoint.as_ref(), sts_endpoint(&settings.credentials), metadata.as_ref()];
    let wire = Wire::new(&place, named.into_iter().flatten())?;
    let provider = provider(settings, &wire, metadata.as_ref(), &place)?;
    let service = wire.signed(Signer::Aws { provider, service: "s3", region: settings.region.clone() });
    let builder = builder(settings).map_err(|error| PlaceError::Settings {
        place: place.clone(),
        setting: "what it is told",
        why: format!("cannot be used: {}", innermost(&error)),
    })?;
    let make: Make = Box::new(move |service: &Service| {
        let store = builder.clone().with_http_connector(service.clone()).build()?;
        Ok(Arc::new(store) as Arc<dyn Store>)
    });
    Objects::new(place, &settings.prefix, service, Dialect::S3, make)
}

fn check(settings: &S3, place: &str) -> Result<(), PlaceError> {
    checks::bucket(place, "`bucket`", &settings.bucket)?;
    checks::prefix(place, &settings.prefix)?;
    checks::word(place, "`region`", &settings.region)?;
    checks::endpoint(place, "`endpoint`", settings.endpoint.as_ref())?;
    checks::endpoint(place, "`sts_endpoint`", sts_endpoint(&settings.credentials))?;
    if let S3Encryption::Kms(Some(key)) = &settings.encryption {
        checks::word(place, "the key of KMS", key)?;
    }
    match &settings.credentials {
        S3Credentials::Keys(keys) => check_keys(keys, place),
        S3Credentials::Role { role_arn, session_name, keys, .. } => {
            checks::word(place, "`role_arn`", role_arn)?;
            checks::word(place, "`session_name`", session_name)?;
            check_keys(keys, place)
        }
        S3Credentials::WebIdentity { role_arn, session_name, .. } => {
            checks::word(place, "`role_arn`", role_arn)?;
            checks::word(place, "`session_name`", session_name)
        }
        S3Credentials::Metadata { endpoint } => {
            checks::endpoint(place, "`endpoint` of the metadata", endpoint.as_ref())
        }
    }
}

fn check_keys(keys: &S3Keys, place: &str) -> Result<(), PlaceError> {
    checks::word(place, "the id of the key", &keys.id)?;
    checks::secret(place, "the secret of the key", &keys.secret)?;
    match &keys.session_token {
        Some(token) => checks::secret(place, "the session token", token),
        None => Ok(()),
    }
}

fn sts_endpoint(credentials: &S3Credentials) -> Option<&Url> {
    match credentials {
        S3Credentials::WebIdentity { sts_endpoint, .. } | S3Credentials::Role { sts_endpoint, .. } => {
            sts_endpoint.as_ref()
        }
        S3Credentials::Keys(_) | S3Credentials::Metadata { .. } => None,
    }
}

/// Where the metadata service is, if it is to be asked.
fn metadata(credentials: &S3Credentials, place: &str) -> Result<Option<Url>, PlaceError> {
    match credentials {
        S3Credentials::Metadata { endpoint } => {
            checks::endpoint_or(place, endpoint.as_ref(), METADATA).map(Some)
        }
        S3Credentials::Keys(_) | S3Credentials::WebIdentity { .. } | S3Credentials::Role { .. } => Ok(None),
    }
}

fn provider(
    settings: &S3,
    wire: &Wire,
    metadata: Option<&Url>,
    place: &str,
) -> Result<AwsCredentialProvider, PlaceError> {
    let url = |given: &Option<Url>| {
        let default = format!("https://sts.{}.{}", settings.region, domain(&settings.region));
        checks::endpoint_or(place, given.as_ref(), &default)
    };
    let region = settings.region.clone();
    Ok(match &settings.credentials {
        S3Credentials::Keys(keys) => fixed(keys),
        S3Credentials::Role { role_arn, session_name, external_id, sts_endpoint, keys } => {
            Arc::new(Sts::new(
                wire.signed(Signer::Aws { provider: fixed(keys), service: "sts", region }),
                url(sts_endpoint)?,
                Asked { role_arn: role_arn.clone(), session_name: session_name.clone() },
                Assume::Keys { external_id: external_id.clone() },
            ))
        }
        S3Credentials::WebIdentity { role_arn, session_name, token_file, sts_endpoint } => {
            Arc::new(Sts::new(
                wire.unsigned(),
                url(sts_endpoint)?,
                Asked { role_arn: role_arn.clone(), session_name: session_name.clone() },
                Assume::WebIdentity { token_file: token_file.clone() },
            ))
        }
        S3Credentials::Metadata { .. } => {
            // A store that is never asked: it is its provider that is wanted.
            let endpoint = metadata.map_or(METADATA, Url::as_str).trim_end_matches('/');
            let builder = AmazonS3Builder::new()
                .with_bucket_name(&settings.bucket)
                .with_region(&region)
                .with_metadata_endpoint(endpoint)
                .with_retry(retries())
                .with_http_connector(wire.unsigned());
            let built = builder.build().map_err(|error| PlaceError::Settings {
                place: place.to_owned(),
                setting: "the metadata service",
                why: format!("cannot be used: {}", innermost(&error)),
            })?;
            Arc::clone(built.credentials())
        }
    })
}

fn fixed(keys: &S3Keys) -> AwsCredentialProvider {
    Arc::new(StaticCredentialProvider::new(AwsCredential {
        key_id: keys.id.clone(),
        secret_key: keys.secret.expose().to_owned(),
        token: keys.session_token.as_ref().map(Hidden::expose).map(str::to_owned),
    }))
}

fn builder(settings: &S3) -> object_store::Result<AmazonS3Builder> {
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_endpoint(endpoint(settings))
        .with_virtual_hosted_style_request(true)
        // Requests are signed where they are sent.
        .with_skip_signature(true)
        .with_disable_bulk_delete(true)
        .with_retry(retries());
    if settings.checksum {
        builder = builder.with_checksum_algorithm(Checksum::SHA256);
    }
    let (kind, key) = match &settings.encryption {
        S3Encryption::Bucket => (None, None),
        S3Encryption::Sse => (Some("AES256"), None),
        S3Encryption::Kms(key) => (Some("aws:kms"), key.as_deref()),
    };
    for (setting, value) in [("aws_server_side_encryption", kind), ("aws_sse_kms_key_id", key)] {
        if let Some(value) = value {
            builder = builder.with_config(setting.parse::<AmazonS3ConfigKey>()?, value);
        }
    }
    Ok(builder)
}

/// What the address of an object begins with: the bucket in the host, or in the path.
fn endpoint(settings: &S3) -> String {
    let (scheme, host) = match &settings.endpoint {
        Some(url) => {
            let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
            (url.scheme().to_owned(), format!("{}{port}{}", url.host_str().unwrap_or_default(), url.path()))
        }
        None => ("https".to_owned(), format!("s3.{}.{}", settings.region, domain(&settings.region))),
    };
    let host = host.trim_end_matches('/');
    // A certificate of `*.s3…` is none of a bucket with dots.
    let in_path = settings.path_style || (scheme == "https" && settings.bucket.contains('.'));
    if in_path {
        format!("{scheme}://{host}/{}", settings.bucket)
    } else {
        format!("{scheme}://{}.{host}", settings.bucket)
    }
}

/// What the names of Amazon's servers in a region end with.
fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(bucket: &str, endpoint: Option<&str>, path_style: bool) -> S3 {
        S3 {
            bucket: bucket.to_owned(),
            prefix: String::new(),
            region: "eu-west-1".to_owned(),
            endpoint: endpoint.map(|url| url.parse().unwrap()),
            path_style,
            credentials: S3Credentials::Keys(S3Keys {
                id: "id".to_owned(),
                secret: "secret".into(),
                session_token: None,
            }),
            encryption: S3Encryption::Bucket,
            checksum: true,
        }
    }

    #[test]
    fn the_bucket_is_in_the_host_or_in_the_path() {
        for (bucket, given, path_style, expected) in [
            ("b", None, false, "https://b.s3.eu-west-1.amazonaws.com"),
            ("b", None, true, "https://s3.eu-west-1.amazonaws.com/b"),
            ("b.c", None, false, "https://s3.eu-west-1.amazonaws.com/b.c"),
            ("b", Some("http://minio:9000"), true, "http://minio:9000/b"),
            ("b", Some("http://minio:9000/"), false, "http://b.minio:9000"),
            ("b", Some("https://storage.example/s3/"), true, "https://storage.example/s3/b"),
        ] {
            assert_eq!(endpoint(&settings(bucket, given, path_style)), expected);
        }
        let china = S3 { region: "cn-north-1".to_owned(), ..settings("b", None, false) };
        assert_eq!(endpoint(&china), "https://b.s3.cn-north-1.amazonaws.com.cn");
    }

    #[test]
    fn what_cannot_be_is_told_before_anything_is_asked() {
        let refused = |settings: &S3| place(settings).unwrap_err().to_string();
        assert_eq!(refused(&settings("", None, true)), "s3://: `bucket` is empty");
        let error = refused(&settings("b", Some("ftp://x"), true));
        assert_eq!(error, "s3://b: `endpoint` must begin with https:// or http://");
        let error = refused(&settings("b", Some("http://user:hunter2@x"), true));
        assert_eq!(
            error,
            "s3://b: `endpoint` has a user or a password in it; those are settings of their own"
        );
        let region = S3 { region: "eu west".to_owned(), ..settings("b", None, true) };
        assert_eq!(refused(&region), "s3://b: `region` has a character that it cannot have");
        assert_eq!(place(&settings("b", None, true)).unwrap().shown(), "s3://b");
    }
}
