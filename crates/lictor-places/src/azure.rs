//! A container of Azure Blob Storage.

use std::sync::Arc;

use object_store::azure::{AzureAccessKey, AzureCredential, MicrosoftAzureBuilder, split_sas};
use object_store::{CredentialProvider, StaticCredentialProvider};
use url::Url;

use crate::checks;
use crate::error::{PlaceError, innermost};
use crate::login::machine::Machine;
use crate::objects::{Dialect, Make, Objects, Store};
use crate::settings::{Azure, AzureCredentials};
use crate::wire::{Service, Signer, Wire, retries};

/// Where the metadata service of a machine of Azure's gives out tokens.
const METADATA: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

/// Who gives out tokens in the public cloud.
const AUTHORITY: &str = "https://login.microsoftonline.com";

/// What a token is for, in the words of the metadata service.
const RESOURCE: &str = "https://storage.azure.com/";

type Provider = Arc<dyn CredentialProvider<Credential = AzureCredential>>;

pub(crate) fn place(settings: &Azure) -> Result<Objects, PlaceError> {
    let place =
        checks::shown("azure", &format!("{}/{}", settings.account, settings.container), &settings.prefix);
    checks::bucket(&place, "`account`", &settings.account)?;
    checks::bucket(&place, "`container`", &settings.container)?;
    checks::prefix(&place, &settings.prefix)?;
    checks::endpoint(&place, "`endpoint`", settings.endpoint.as_ref())?;
    let usual = format!("https://{}.blob.core.windows.net", settings.account);
    let endpoint = checks::endpoint_or(&place, settings.endpoint.as_ref(), &usual)?;
    let login = login_endpoint(&settings.credentials, &place)?;
    let wire = Wire::new(&place, [Some(&endpoint), login.as_ref()].into_iter().flatten())?;
    let provider = provider(settings, &wire, login.as_ref(), &place)?;
    let signer = Signer::Azure { provider: Arc::clone(&provider), account: settings.account.clone() };
    let service = wire.signed(signer);
    let builder = MicrosoftAzureBuilder::new()
        .with_account(&settings.account)
        .with_container_name(&settings.container)
        .with_endpoint(endpoint.as_str().trim_end_matches('/').to_owned())
        // Requests are signed where they are sent; this keeps it from looking for what to sign with.
        .with_credentials(provider)
        .with_skip_signature(true)
        .with_retry(retries());
    let make: Make = Box::new(move |service: &Service| {
        let store = builder.clone().with_http_connector(service.clone()).build()?;
        Ok(Arc::new(store) as Arc<dyn Store>)
    });
    let mut container = endpoint;
    if let Ok(mut path) = container.path_segments_mut() {
        path.pop_if_empty().push(&settings.container);
    }
    Objects::new(place, &settings.prefix, service, Dialect::Azure { container }, make)
}

/// Who gives out tokens, if they are needed.
fn login_endpoint(credentials: &AzureCredentials, place: &str) -> Result<Option<Url>, PlaceError> {
    let (given, usual) = match credentials {
        AzureCredentials::Key(_) | AzureCredentials::Sas(_) => return Ok(None),
        AzureCredentials::ClientSecret { authority, .. }
        | AzureCredentials::WorkloadIdentity { authority, .. } => (authority, AUTHORITY),
        AzureCredentials::Managed { endpoint, .. } => (endpoint, METADATA),
    };
    checks::endpoint(place, "who gives out tokens", given.as_ref())?;
    checks::endpoint_or(place, given.as_ref(), usual).map(Some)
}

fn provider(settings: &Azure, wire: &Wire, login: Option<&Url>, place: &str) -> Result<Provider, PlaceError> {
    let refused = |setting, error: &object_store::Error| PlaceError::Settings {
        place: place.to_owned(),
        setting,
        why: format!("cannot be used: {}", innermost(error)),
    };
    let fixed = |credential| Arc::new(StaticCredentialProvider::new(credential)) as Provider;
    // A store that is never asked: it is its provider that is wanted.
    let builder = || {
        MicrosoftAzureBuilder::new()
            .with_account(&settings.account)
            .with_container_name(&settings.container)
            .with_authority_host(login.map_or(AUTHORITY, Url::as_str).trim_end_matches('/'))
            .with_retry(retries())
            .with_http_connector(wire.unsigned())
    };
    match &settings.credentials {
        AzureCredentials::Key(key) => {
            checks::secret(place, "the key", key)?;
            // The message of what is no base64 may show a part of it.
            let key = AzureAccessKey::try_new(key.expose()).map_err(|_error| PlaceError::Settings {
                place: place.to_owned(),
                setting: "the key",
                why: "is no base64, as keys of accounts are".to_owned(),
            })?;
            Ok(fixed(AzureCredential::AccessKey(key)))
        }
        AzureCredentials::Sas(sas) => {
            checks::secret(place, "the shared access signature", sas)?;
            let pairs = split_sas(sas.expose()).map_err(|_error| PlaceError::Settings {
                place: place.to_owned(),
                setting: "the shared access signature",
                why: "is none: it is a text like `sv=…&sp=…&sig=…`".to_owned(),
            })?;
            Ok(fixed(AzureCredential::SASToken(pairs)))
        }
        AzureCredentials::ClientSecret { tenant, client, secret, .. } => {
            checks::word(place, "`tenant`", tenant)?;
            checks::word(place, "`client`", client)?;
            checks::secret(place, "the secret of the client", secret)?;
            let builder = builder()
                .with_client_secret_authorization(client, secret.expose(), tenant)
                .with_credential_type("client_secret");
            let built = builder.build().map_err(|error| refused("the client", &error))?;
            Ok(Arc::clone(built.credentials()))
        }
        AzureCredentials::WorkloadIdentity { tenant, client, token_file, .. } => {
            checks::word(place, "`tenant`", tenant)?;
            checks::word(place, "`client`", client)?;
            let builder = builder()
                .with_client_id(client)
                .with_tenant_id(tenant)
                .with_federated_token_file(token_file.display().to_string())
                .with_credential_type("workload_identity");
            let built = builder.build().map_err(|error| refused("the client", &error))?;
            Ok(Arc::clone(built.credentials()))
        }
        AzureCredentials::Managed { client, .. } => {
            let mut url = checks::endpoint_or(place, login, METADATA)?;
            url.query_pairs_mut().append_pair("api-version", "2019-08-01").append_pair("resource", RESOURCE);
            if let Some(client) = client {
                url.query_pairs_mut().append_pair("client_id", client);
            }
            let make = AzureCredential::BearerToken;
            Ok(Arc::new(Machine::new(wire.unsigned(), url, ("metadata", "true"), make)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(credentials: AzureCredentials) -> Azure {
        let (account, container) = ("acc".to_owned(), "con".to_owned());
        Azure { account, container, prefix: "p".to_owned(), credentials, endpoint: None }
    }

    #[test]
    fn a_key_that_is_none_is_not_shown() {
        let error = place(&settings(AzureCredentials::Key("hunter2!".into()))).unwrap_err().to_string();
        assert_eq!(error, "azure://acc/con/p: the key is no base64, as keys of accounts are");
        let error = place(&settings(AzureCredentials::Sas("hunter2".into()))).unwrap_err().to_string();
        assert!(
            error.contains("the shared access signature is none") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn nothing_is_asked_when_a_place_is_made() {
        for credentials in [
            AzureCredentials::Key("a2V5".into()),
            AzureCredentials::Sas("?sv=2024-01-01&sig=x".into()),
            AzureCredentials::ClientSecret {
                tenant: "t".to_owned(),
                client: "c".to_owned(),
                secret: "s".into(),
                authority: None,
            },
            AzureCredentials::WorkloadIdentity {
                tenant: "t".to_owned(),
                client: "c".to_owned(),
                token_file: "/does/not/exist".into(),
                authority: None,
            },
            AzureCredentials::Managed { client: None, endpoint: None },
        ] {
            assert_eq!(place(&settings(credentials)).unwrap().shown(), "azure://acc/con/p");
        }
    }
}
