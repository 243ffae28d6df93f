//! Tokens that the metadata service of a machine gives: Azure's and Google's. They are asked for only where the
//! settings say so.
//!
//! Both answer a GET, which carries a header that no web page can have sent, with JSON: `access_token` and
//! `expires_in`, a number or, with Azure, its text.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::client::HttpRequestBody;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::Kept;
use crate::error::one_line;
use crate::wire::Service;
use crate::wire::fault::Fault;

/// A machine's token.
pub(crate) struct Machine<T> {
    service: Service,
    url: Url,
    header: (&'static str, &'static str),
    /// Makes of a token what requests are signed with.
    make: fn(String) -> T,
    kept: Kept<T>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Value,
}

impl<T> Machine<T> {
    pub(crate) fn new(
        service: Service,
        url: Url,
        header: (&'static str, &'static str),
        make: fn(String) -> T,
    ) -> Self {
        Self { service, url, header, make, kept: Kept::new() }
    }

    async fn ask(&self) -> Result<(T, Duration), Fault> {
        let denied = |why: String| Fault::Login { why, temporary: false };
        let request = http::Request::builder().uri(self.url.as_str()).header(self.header.0, self.header.1);
        let request = request.body(HttpRequestBody::empty()).map_err(|error| denied(error.to_string()))?;
        let text = self.service.read(request).await?;
        // The text is not shown: it may hold a token.
        let answer: Answer = serde_json::from_str(&text).map_err(|error| {
            denied(format!("the answer of the metadata service: {}", one_line(&error.to_string())))
        })?;
        let seconds = answer.expires_in.as_u64().or_else(|| answer.expires_in.as_str()?.parse().ok());
        let lasts = Duration::from_secs(seconds.unwrap_or_default());
        Ok(((self.make)(answer.access_token), lasts))
    }
}

#[async_trait]
impl<T: fmt::Debug + Send + Sync> CredentialProvider for Machine<T> {
    type Credential = T;

    async fn get_credential(&self) -> object_store::Result<Arc<T>> {
        self.kept.get(self.ask()).await
    }
}

impl<T> fmt::Debug for Machine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Machine").field(&self.url.as_str()).finish()
    }
}
