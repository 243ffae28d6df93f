//! Keys that are given for an hour: what Amazon's STS, or a compatible one, answers.
//!
//! The request is a form in the body, so that no token is in an address that somebody writes down. The answer has the
//! keys and when they end: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use http::header::CONTENT_TYPE;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use object_store::client::{HttpRequest, HttpRequestBody};
use url::Url;
use url::form_urlencoded::Serializer;

use super::Kept;
use crate::wire::Service;
use crate::wire::fault::{Fault, element};

/// For how long keys are asked, in seconds: the least that every role allows at most.
const SECONDS: u64 = 3600;

/// Which role is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) role_arn: String,
    pub(crate) session_name: String,
}

/// By what it is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Assume {
    /// By keys, with which the request is signed.
    Keys { external_id: Option<String> },
    /// By a token in a file.
    WebIdentity { token_file: PathBuf },
}

/// Keys of a role, which are renewed in time.
pub(crate) struct Sts {
    service: Service,
    url: Url,
    asked: Asked,
    by: Assume,
    kept: Kept<AwsCredential>,
}

impl Sts {
    pub(crate) fn new(service: Service, url: Url, asked: Asked, by: Assume) -> Self {
        Self { service, url, asked, by, kept: Kept::new() }
    }

    async fn ask(&self) -> Result<(AwsCredential, Duration), Fault> {
        let request = self.request().await?;
        let text = self.service.read(request).await?;
        let word = |name| element(&text, name).filter(|word| !word.is_empty());
        match (word("AccessKeyId"), word("SecretAccessKey"), word("SessionToken")) {
            (Some(key_id), Some(secret_key), token @ Some(_)) => {
                Ok((AwsCredential { key_id, secret_key, token }, Duration::from_secs(SECONDS)))
            }
            _ => Err(Fault::Login { why: "the answer of STS has no keys".to_owned(), temporary: false }),
        }
    }

    async fn request(&self) -> Result<HttpRequest, Fault> {
        let by = match &self.by {
            Assume::Keys { external_id } => {
                let id = external_id.iter().map(|id| ("ExternalId", id.clone()));
                [("Action", "AssumeRole".to_owned())].into_iter().chain(id).collect::<Vec<_>>()
            }
            Assume::WebIdentity { token_file } => {
                let token = tokio::fs::read_to_string(token_file).await.map_err(|error| Fault::Login {
                    why: format!("{}: {error}", token_file.display()),
                    temporary: false,
                })?;
                let token = ("WebIdentityToken", token.trim().to_owned());
                vec![("Action", "AssumeRoleWithWebIdentity".to_owned()), token]
            }
        };
        let form = Serializer::new(String::new())
            .append_pair("Version", "2011-06-15")
            .append_pair("RoleArn", &self.asked.role_arn)
            .append_pair("RoleSessionName", &self.asked.session_name)
            .append_pair("DurationSeconds", &SECONDS.to_string())
            .extend_pairs(by)
            .finish();
        http::Request::builder()
            .method(Method::POST)
            .uri(self.url.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8")
            .body(HttpRequestBody::from(form))
            .map_err(|error| Fault::Login { why: error.to_string(), temporary: false })
    }
}

#[async_trait]
impl CredentialProvider for Sts {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        self.kept.get(self.ask()).await
    }
}

impl fmt::Debug for Sts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sts").field(&self.asked.role_arn).finish()
    }
}
