//! The places of a block, opened.

use lictor_config::{
    AzureCredentials, GoogleCredentials, Place as Settings, PlaceKind, S3Credentials, S3Encryption, S3Keys,
    Secret,
};
use lictor_places::{self as places, Hidden, Place};
use serde_json::Map;

use super::send::Spot;
use crate::alert::notify::Credentials;

/// Opens a place: nothing is asked of it yet.
///
/// # Errors
/// What is missing, in words.
pub(super) fn open(settings: &Settings) -> Result<Spot, String> {
    let opened = at(&settings.at).and_then(|at| Place::new(&at).map_err(|error| error.to_string()));
    let place = opened.map_err(|why| format!("the place {}: {why}", settings.name))?;
    Ok(Spot { settings: settings.clone(), place })
}

fn hidden(secret: &Secret) -> Result<Hidden, String> {
    secret.reveal().map(Hidden::new).map_err(|error| error.to_string())
}

fn at(kind: &PlaceKind) -> Result<places::Settings, String> {
    Ok(match kind {
        PlaceKind::Folder(path) => places::Settings::Folder(places::Folder { path: path.clone() }),
        PlaceKind::S3(s3) => places::Settings::S3(places::S3 {
            bucket: s3.bucket.clone(),
            prefix: s3.prefix.clone(),
            region: s3.region.clone(),
            endpoint: s3.endpoint.clone(),
            path_style: s3.path_style,
            credentials: credentials(&s3.credentials)?,
            encryption: match &s3.encryption {
                S3Encryption::Bucket => places::S3Encryption::Bucket,
                S3Encryption::Aes256 => places::S3Encryption::Sse,
                S3Encryption::Kms(key) => places::S3Encryption::Kms(key.clone()),
            },
            checksum: s3.checksum,
        }),
        PlaceKind::Azure(azure) => places::Settings::Azure(places::Azure {
            account: azure.account.clone(),
            container: azure.container.clone(),
            prefix: azure.prefix.clone(),
            endpoint: azure.endpoint.clone(),
            credentials: match &azure.credentials {
                AzureCredentials::Key(key) => places::AzureCredentials::Key(hidden(key)?),
                AzureCredentials::Sas(sas) => places::AzureCredentials::Sas(hidden(sas)?),
                AzureCredentials::Client { tenant, client, secret } => {
                    places::AzureCredentials::ClientSecret {
                        tenant: tenant.clone(),
                        client: client.clone(),
                        secret: hidden(secret)?,
                        authority: None,
                    }
                }
                AzureCredentials::Machine => {
                    places::AzureCredentials::Managed { client: None, endpoint: None }
                }
            },
        }),
        PlaceKind::Google(google) => places::Settings::Google(places::Google {
            bucket: google.bucket.clone(),
            prefix: google.prefix.clone(),
            endpoint: google.endpoint.clone(),
            credentials: match &google.credentials {
                GoogleCredentials::Key(key) => places::GoogleCredentials::Json(hidden(key)?),
                GoogleCredentials::Machine => places::GoogleCredentials::Metadata { endpoint: None },
            },
        }),
    })
}

fn credentials(given: &S3Credentials) -> Result<places::S3Credentials, String> {
    Ok(match given {
        S3Credentials::Keys(own) => places::S3Credentials::Keys(keys(own)?),
        S3Credentials::Environment => places::S3Credentials::Keys(of_environment()?),
        S3Credentials::Role { role, session, sts, keys: own } => places::S3Credentials::Role {
            role_arn: role.clone(),
            session_name: session.clone(),
            external_id: None,
            sts_endpoint: sts.clone(),
            keys: match own {
                Some(own) => keys(own)?,
                None => of_environment()?,
            },
        },
        S3Credentials::WebIdentity { role, session, sts, token_file } => places::S3Credentials::WebIdentity {
            role_arn: role.clone(),
            session_name: session.clone(),
            sts_endpoint: sts.clone(),
            token_file: token_file.clone(),
        },
        S3Credentials::Machine { endpoint } => places::S3Credentials::Metadata { endpoint: endpoint.clone() },
    })
}

fn keys(own: &S3Keys) -> Result<places::S3Keys, String> {
    let id = own.access_key.reveal().map_err(|error| error.to_string())?;
    let session_token = own.session_token.as_ref().map(hidden).transpose()?;
    Ok(places::S3Keys { id, secret: hidden(&own.secret_key)?, session_token })
}

/// As the programs of AWS find them: variables, or the file that they share.
fn of_environment() -> Result<places::S3Keys, String> {
    let found = Credentials::find(&Map::new(), |name| std::env::var(name).ok())?;
    let session_token = found.session_token.map(Hidden::new);
    Ok(places::S3Keys { id: found.access_key, secret: Hidden::new(found.secret_key), session_token })
}
