//! A bucket of Google Cloud Storage.

use std::sync::Arc;

use object_store::gcp::{GcpCredential, GcpCredentialProvider, GoogleCloudStorageBuilder};
use url::Url;

use crate::checks;
use crate::error::{PlaceError, innermost};
use crate::login::machine::Machine;
use crate::objects::{Dialect, Make, Objects, Store};
use crate::settings::{Google, GoogleCredentials};
use crate::wire::{Service, Signer, Wire, retries};

/// Where the storage is.
const STORAGE: &str = "https://storage.googleapis.com";

/// Where the metadata service of a machine of Google's is.
const METADATA: &str = "http://metadata.google.internal";

/// Where it gives out tokens.
const TOKEN: &str = "computeMetadata/v1/instance/service-accounts/default/token";

/// What a token is for.
const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_write";

pub(crate) fn place(settings: &Google) -> Result<Objects, PlaceError> {
    let place = checks::shown("gs", &settings.bucket, &settings.prefix);
    checks::bucket(&place, "`bucket`", &settings.bucket)?;
    checks::prefix(&place, &settings.prefix)?;
    checks::endpoint(&place, "`endpoint`", settings.endpoint.as_ref())?;
    let endpoint = checks::endpoint_or(&place, settings.endpoint.as_ref(), STORAGE)?;
    let metadata = metadata(&settings.credentials, &place)?;
    let wire = Wire::new(&place, [Some(&endpoint), metadata.as_ref()].into_iter().flatten())?;
    let provider = provider(settings, &wire, metadata, &place)?;
    let service = wire.signed(Signer::Google { provider: Arc::clone(&provider) });
    let builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&settings.bucket)
        .with_base_url(endpoint.as_str().trim_end_matches('/'))
        // Requests are signed where they are sent; this keeps it from looking for what to sign with.
        .with_credentials(provider)
        .with_skip_signature(true)
        .with_retry(retries());
    let make: Make = Box::new(move |service: &Service| {
        let store = builder.clone().with_http_connector(service.clone()).build()?;
        Ok(Arc::new(store) as Arc<dyn Store>)
    });
    Objects::new(place, &settings.prefix, service, Dialect::Google, make)
}

/// Where the metadata service is, if it is to be asked.
fn metadata(credentials: &GoogleCredentials, place: &str) -> Result<Option<Url>, PlaceError> {
    match credentials {
        GoogleCredentials::ServiceAccountFile(_) | GoogleCredentials::Json(_) => Ok(None),
        GoogleCredentials::Metadata { endpoint } => {
            checks::endpoint(place, "`endpoint` of the metadata", endpoint.as_ref())?;
            checks::endpoint_or(place, endpoint.as_ref(), METADATA).map(Some)
        }
    }
}

fn provider(
    settings: &Google,
    wire: &Wire,
    metadata: Option<Url>,
    place: &str,
) -> Result<GcpCredentialProvider, PlaceError> {
    // A store that is never asked: it is its provider that is wanted.
    let builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&settings.bucket)
        .with_base_url(STORAGE)
        .with_retry(retries())
        .with_http_connector(wire.unsigned());
    let builder = match &settings.credentials {
        GoogleCredentials::ServiceAccountFile(path) => {
            builder.with_service_account_path(path.display().to_string())
        }
        GoogleCredentials::Json(key) => builder.with_service_account_key(key.expose()),
        GoogleCredentials::Metadata { .. } => {
            let mut url = checks::endpoint_or(place, metadata.as_ref(), METADATA)?;
            if let Ok(mut path) = url.path_segments_mut() {
                path.pop_if_empty().extend(TOKEN.split('/'));
            }
            url.query_pairs_mut().append_pair("scopes", SCOPE);
            let make = |bearer| GcpCredential { bearer };
            return Ok(Arc::new(Machine::new(wire.unsigned(), url, ("metadata-flavor", "Google"), make)));
        }
    };
    let built = builder.build().map_err(|error| PlaceError::Settings {
        place: place.to_owned(),
        setting: "the key of the service account",
        why: format!("cannot be used: {}", innermost(&error)),
    })?;
    Ok(Arc::clone(built.credentials()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(credentials: GoogleCredentials) -> Google {
        Google { bucket: "b".to_owned(), prefix: String::new(), credentials, endpoint: None }
    }

    #[test]
    fn a_key_that_is_none_is_told_of_and_not_shown() {
        let error =
            place(&settings(GoogleCredentials::Json("{\"private_key\": \"hunter2\"}".into()))).unwrap_err();
        let error = error.to_string();
        assert!(error.starts_with("gs://b: the key of the service account cannot be used: "), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        let missing = settings(GoogleCredentials::ServiceAccountFile("/does/not/exist".into()));
        assert!(place(&missing).unwrap_err().to_string().contains("No such file"));
    }

    #[test]
    fn nothing_is_asked_when_a_place_is_made() {
        let settings = settings(GoogleCredentials::Metadata { endpoint: None });
        assert_eq!(place(&settings).unwrap().shown(), "gs://b");
    }
}
