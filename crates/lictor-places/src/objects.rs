//! What all places have in common that keep objects: a bucket of S3 or Google, a container of Azure.

mod fetch;
mod journal;
mod source;
mod upload;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt as _;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use object_store::client::{HttpRequest, HttpRequestBody};
use object_store::multipart::MultipartStore;
use object_store::path::Path as Key;
use object_store::{Attribute, Attributes, GetOptions, ObjectStore, ObjectStoreExt as _};
use tokio::io::AsyncWrite;
use url::Url;

use crate::error::{PlaceError, innermost};
use crate::limits;
use crate::place::{Kept, Put, Stored};
use crate::wire::Service;
use crate::wire::fault::{self, Fault};

/// What an object carries that tells whose upload it is. Azure takes no hyphens in such names.
const TOKEN: &str = "lictorput";

/// What is asked of a server.
pub(crate) trait Store: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> Store for T {}

/// Makes a [`Store`] whose requests pass through a [`Service`].
pub(crate) type Make = Box<dyn Fn(&Service) -> object_store::Result<Arc<dyn Store>> + Send + Sync>;

/// How one kind of server is told things that [`object_store`] has no words for.
#[derive(Clone, Debug)]
pub(crate) enum Dialect {
    /// S3 completes an upload only if nothing has the name.
    S3,
    /// Azure hears only at the end what an object carries; an object is removed by its address.
    Azure { container: Url },
    /// Google speaks of generations.
    Google,
}

/// Where objects are kept.
pub(crate) struct Objects {
    shown: String,
    /// What all names begin with: nothing, or a text that ends with `/`.
    prefix: String,
    service: Service,
    make: Make,
    store: Arc<dyn Store>,
    dialect: Dialect,
}

/// What is there under a name.
#[derive(Debug)]
struct Found {
    stored: Stored,
    /// Whose upload it is, if it says so.
    token: Option<String>,
}

/// What a look at a name gave.
#[derive(Debug)]
enum Look {
    Nothing,
    Found(Found),
    /// We may not look; keys that may only write are of use too.
    Hidden,
}

impl Objects {
    pub(crate) fn new(
        shown: String,
        prefix: &str,
        service: Service,
        dialect: Dialect,
        make: Make,
    ) -> Result<Self, PlaceError> {
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let store = make(&service).map_err(|error| PlaceError::Settings {
            place: shown.clone(),
            setting: "what it is told",
            why: format!("cannot be used: {}", innermost(&error)),
        })?;
        Ok(Self { shown, prefix, service, make, store, dialect })
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    pub(crate) async fn put(
        &self,
        name: &str,
        file: &Path,
        how: Put,
        journal: Option<&Path>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Stored, PlaceError> {
        upload::put(self, name, file, how, journal, progress).await
    }

    pub(crate) async fn list(&self) -> Result<Vec<Kept>, PlaceError> {
        let tried = "list what is there";
        let prefix = self.prefix.strip_suffix('/').map(|prefix| self.raw_key(prefix, tried)).transpose()?;
        let mut listed = self.store.list(prefix.as_ref());
        let mut kept = Vec::new();
        while let Some(meta) =
            listed.try_next().await.map_err(|error| self.told(&error, tried, "the bucket"))?
        {
            // What is called as the prefix itself is no name there.
            let Some(name) = meta.location.as_ref().strip_prefix(&*self.prefix) else { continue };
            let (seconds, nanos) =
                (meta.last_modified.timestamp(), meta.last_modified.timestamp_subsec_nanos());
            let modified = i32::try_from(nanos).map_err(|error| self.odd(tried, &error))?;
            let modified = Timestamp::new(seconds, modified).map_err(|error| self.odd(tried, &error))?;
            kept.push(Kept { name: name.to_owned(), size: meta.size, modified });
            if kept.len() > limits::NAMES {
                return Err(PlaceError::TooMany { place: self.shown.clone(), limit: limits::NAMES });
            }
        }
        Ok(kept)
    }

    pub(crate) async fn fetch(
        &self,
        name: &str,
        to: &mut (impl AsyncWrite + Unpin + Send),
    ) -> Result<u64, PlaceError> {
        fetch::fetch(self, name, to).await
    }

    pub(crate) async fn size(&self, name: &str) -> Result<Option<u64>, PlaceError> {
        let tried = format!("look at `{name}`");
        match self.look(name, &tried).await? {
            Look::Found(found) => Ok(Some(found.stored.size)),
            Look::Nothing => Ok(None),
            Look::Hidden => Err(PlaceError::Denied {
                place: self.shown.clone(),
                tried,
                why: "whoever asks may not read there, or not list".to_owned(),
            }),
        }
    }

    pub(crate) async fn remove(&self, name: &str) -> Result<(), PlaceError> {
        let tried = format!("remove `{name}`");
        let what = format!("`{name}`");
        let key = self.key(name, &tried)?;
        let removed = match &self.dialect {
            Dialect::S3 | Dialect::Google => {
                self.store.delete(&key).await.map_err(|error| self.told(&error, &tried, &what))
            }
            Dialect::Azure { container } => {
                let request = self.removal(container, &key, &tried)?;
                let answer = self.service.insist(request).await.map(drop);
                answer.map_err(|fault| fault::tell(&fault, &self.shown, &tried, &what))
            }
        };
        match removed {
            Err(PlaceError::NotFound { what: missing, .. }) if missing == what => Ok(()),
            removed => removed,
        }
    }

    /// A look at a name.
    async fn look(&self, name: &str, tried: &str) -> Result<Look, PlaceError> {
        let key = self.key(name, tried)?;
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.store.get_opts(&key, options).await {
            Ok(found) => {
                let token = found.attributes.get(&token_attribute()).map(|token| token.to_string());
                let (size, etag, version) = (found.meta.size, found.meta.e_tag, found.meta.version);
                Ok(Look::Found(Found { stored: Stored { size, etag, version }, token }))
            }
            Err(error) => match self.told(&error, tried, name) {
                PlaceError::NotFound { what, .. } if what == name => Ok(Look::Nothing),
                // S3 says so of what is not there, too, to those who may not list.
                PlaceError::Denied { .. }
                    if fault::found(&error).is_some_and(|fault| fault.refused(&[403]).is_some()) =>
                {
                    Ok(Look::Hidden)
                }
                error => Err(error),
            },
        }
    }

    /// A store that completes uploads as this one is to be: marked, and only if nothing has the name.
    fn completing(&self, how: Put, token: &str, tried: &str) -> Result<Arc<dyn Store>, PlaceError> {
        let mut headers = HeaderMap::new();
        let (condition, value) = match self.dialect {
            Dialect::S3 | Dialect::Azure { .. } => ("if-none-match", "*"),
            Dialect::Google => ("x-goog-if-generation-match", "0"),
        };
        if how == Put::New {
            headers.insert(condition, http::HeaderValue::from_static(value));
        }
        if matches!(self.dialect, Dialect::Azure { .. }) {
            let token = http::HeaderValue::from_str(token).map_err(|error| self.odd(tried, &error))?;
            headers.insert("x-ms-meta-lictorput", token);
        }
        (self.make)(&self.service.completing(headers)).map_err(|error| self.odd(tried, &error))
    }

    /// What an object is marked with when its upload begins.
    fn marked(&self, token: &str) -> Attributes {
        Attributes::from_iter([(token_attribute(), token.to_owned())])
    }

    fn removal(&self, container: &Url, key: &Key, tried: &str) -> Result<HttpRequest, PlaceError> {
        let mut url = container.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(key.as_ref().split('/'));
        }
        let request = http::Request::builder().method(Method::DELETE).uri(url.as_str());
        request.body(HttpRequestBody::empty()).map_err(|error| self.odd(tried, &error))
    }

    fn key(&self, name: &str, tried: &str) -> Result<Key, PlaceError> {
        self.raw_key(&format!("{}{name}", self.prefix), tried)
    }

    /// As it is: `Key::from` would write odd characters in another way.
    fn raw_key(&self, key: &str, tried: &str) -> Result<Key, PlaceError> {
        Key::parse(key).map_err(|error| self.odd(tried, &error))
    }

    /// What an error means for what was tried, and on what.
    fn told(&self, error: &object_store::Error, tried: &str, what: &str) -> PlaceError {
        match fault::found(error) {
            Some(fault) => fault::tell(fault, &self.shown, tried, what),
            None => self.odd(tried, error),
        }
    }

    fn odd(&self, tried: &str, error: &(dyn std::error::Error + 'static)) -> PlaceError {
        PlaceError::Other { place: self.shown.clone(), tried: tried.to_owned(), why: innermost(error) }
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Objects").field(&self.shown).finish()
    }
}

fn token_attribute() -> Attribute {
    Attribute::Metadata(TOKEN.into())
}

/// Whether an error is a refusal with this status.
fn refused(error: &object_store::Error, status: &[u16]) -> bool {
    fault::found(error).is_some_and(|fault| fault.refused(status).is_some())
}

/// Whether an error says that nothing moved any more.
fn timed_out(error: &object_store::Error) -> bool {
    matches!(fault::found(error), Some(Fault::TimedOut(_)))
}
