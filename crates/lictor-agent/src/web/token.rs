//! Who a caller is: the token it shows and the one it must show.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, header};
use lictor_config::Secret;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Carries a token where `Authorization` is taken by a proxy.
pub(super) const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-lictor-token");

/// The token a request shows: `X-Lictor-Token`, `Authorization: Bearer`, or the
/// password of `Authorization: Basic` (what a browser sends after it asked a person).
pub(super) fn shown(headers: &HeaderMap) -> Option<String> {
    if let Some(token) = headers.get(TOKEN_HEADER) {
        return token.to_str().ok().map(|token| token.trim().to_owned());
    }
    let (scheme, credentials) = credentials(headers)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.to_owned());
    }
    basic(scheme, credentials).map(|(_user, password)| password)
}

/// Who says to show it: the user of `Authorization: Basic`.
pub(super) fn user(headers: &HeaderMap) -> Option<String> {
    let (scheme, credentials) = credentials(headers)?;
    basic(scheme, credentials).map(|(user, _password)| user).filter(|user| !user.trim().is_empty())
}

fn credentials(headers: &HeaderMap) -> Option<(&str, &str)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = value.trim().split_once(' ')?;
    Some((scheme, credentials.trim()))
}

fn basic(scheme: &str, credentials: &str) -> Option<(String, String)> {
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    decoded.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

/// Whether two tokens are the same, in a time that tells nothing of either.
pub(super) fn same(left: &str, right: &str) -> bool {
    Sha256::digest(left).as_slice().ct_eq(Sha256::digest(right).as_slice()).into()
}

/// How long a token that was read is believed. A rotated token file is taken up within
/// this time, the old token at most so long accepted.
const BELIEVED: Duration = Duration::from_secs(5);

/// The token of the listener. It may lie in a file, which is read again when it is old
/// or when a caller shows another one (at most once a second then).
pub(super) struct Guarded {
    secret: Secret,
    known: Mutex<Option<(Instant, String)>>,
}

impl Guarded {
    pub(super) fn new(secret: Secret) -> Self {
        Self { secret, known: Mutex::new(None) }
    }

    /// Whether `token` is it.
    ///
    /// # Errors
    /// In words, when the token cannot be read: then nobody is let in.
    pub(super) async fn is(&self, token: &str) -> Result<bool, String> {
        let mut known = self.known.lock().await;
        if let Some((read, expected)) = &*known {
            let age = read.elapsed();
            if age < BELIEVED && same(token, expected) {
                return Ok(true);
            }
            if age < Duration::from_secs(1) {
                return Ok(false);
            }
        }
        *known = None;
        let expected = reveal(self.secret.clone()).await?;
        let right = same(token, &expected);
        *known = Some((Instant::now(), expected));
        Ok(right)
    }
}

/// Reads a secret without holding up the other tasks.
pub(super) async fn reveal(secret: Secret) -> Result<String, String> {
    let read = tokio::task::spawn_blocking(move || secret.reveal());
    match tokio::time::timeout(Duration::from_secs(2), read).await {
        Ok(Ok(Ok(token))) if token.is_empty() => Err("the token is empty".to_owned()),
        Ok(Ok(Ok(token))) => Ok(token),
        Ok(Ok(Err(why))) => Err(why.to_string()),
        Ok(Err(_panicked)) => Err("the reader of the token panicked".to_owned()),
        Err(_late) => Err("the token was not read within 2s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn headers(name: &str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        headers
    }

    #[test]
    fn a_token_is_shown_in_three_ways() {
        let shows = |name, value| shown(&headers(name, value));
        assert_eq!(shows("x-lictor-token", "abc").as_deref(), Some("abc"));
        assert_eq!(shows("authorization", "Bearer abc").as_deref(), Some("abc"));
        assert_eq!(shows("authorization", "bearer  abc ").as_deref(), Some("abc"));
        let basic = format!("Basic {}", STANDARD.encode("anyone:a:b"));
        assert_eq!(shows("authorization", &basic).as_deref(), Some("a:b"));
        assert_eq!(user(&headers("authorization", &basic)).as_deref(), Some("anyone"));
        assert_eq!(user(&headers("authorization", "Bearer abc")), None);
        for odd in ["Digest abc", "Basic %%%", "Bearer", "Basic YWJj", ""] {
            assert_eq!(shows("authorization", odd), None, "{odd}");
        }
        assert_eq!(shown(&HeaderMap::new()), None);
    }

    #[test]
    fn tokens_are_the_same_only_when_every_byte_is() {
        assert!(same("abc", "abc"));
        assert!(!same("abc", "abd"));
        assert!(!same("abc", "abc "));
        assert!(!same("", "abc"));
    }

    #[tokio::test]
    async fn a_rotated_token_file_is_taken_up() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"first-token\n").unwrap();
        let guarded = Guarded::new(Secret::file(file.path()));
        assert_eq!(guarded.is("first-token").await, Ok(true));
        std::fs::write(file.path(), "second-token\n").unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while guarded.is("second-token").await != Ok(true) {
            assert!(Instant::now() < deadline, "the new token is not taken up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(guarded.is("first-token").await, Ok(false));
    }

    #[tokio::test]
    async fn a_token_that_cannot_be_read_lets_nobody_in() {
        let guarded = Guarded::new(Secret::file("/nonexistent/token"));
        assert!(guarded.is("").await.is_err());
        let empty = Guarded::new(Secret::value(""));
        assert!(empty.is("").await.is_err());
    }
}
