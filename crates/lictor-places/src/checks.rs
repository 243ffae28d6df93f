//! Settings that are looked at before anything is asked of a place.

use url::Url;

use crate::error::PlaceError;
use crate::name;
use crate::settings::Hidden;

/// How a place is named: `s3://bucket/prefix`.
pub(crate) fn shown(scheme: &str, bucket: &str, prefix: &str) -> String {
    let (bucket, prefix) = (bucket.escape_debug(), prefix.escape_debug());
    if prefix.clone().next().is_none() {
        format!("{scheme}://{bucket}")
    } else {
        format!("{scheme}://{bucket}/{prefix}")
    }
}

fn settings(place: &str, setting: &'static str, why: impl Into<String>) -> PlaceError {
    PlaceError::Settings { place: place.to_owned(), setting, why: why.into() }
}

/// The name of a bucket, a container or an account: it becomes part of an address.
pub(crate) fn bucket(place: &str, setting: &'static str, text: &str) -> Result<(), PlaceError> {
    if text.is_empty() {
        return Err(settings(place, setting, "is empty"));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '$');
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$'));
    if text.len() > 255 || !starts || !text.chars().all(fits) {
        return Err(settings(place, setting, "is not a name of letters, digits, `-`, `_` and `.`"));
    }
    Ok(())
}

pub(crate) fn prefix(place: &str, text: &str) -> Result<(), PlaceError> {
    match name::prefix_fault(text) {
        Some(why) => Err(settings(place, "`prefix`", why)),
        None => Ok(()),
    }
}

/// A text that is sent as it is, or becomes part of an address.
pub(crate) fn word(place: &str, setting: &'static str, text: &str) -> Result<(), PlaceError> {
    if text.is_empty() {
        return Err(settings(place, setting, "is empty"));
    }
    if !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err(settings(place, setting, "has a character that it cannot have"));
    }
    Ok(())
}

pub(crate) fn secret(place: &str, setting: &'static str, text: &Hidden) -> Result<(), PlaceError> {
    word(place, setting, text.expose())
}

pub(crate) fn endpoint(place: &str, setting: &'static str, url: Option<&Url>) -> Result<(), PlaceError> {
    let Some(url) = url else { return Ok(()) };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(settings(place, setting, "must begin with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(settings(
            place,
            setting,
            "has a user or a password in it; those are settings of their own",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(settings(place, setting, "has a `?` or a `#` in it"));
    }
    Ok(())
}

/// The endpoint that is given, or the usual one.
pub(crate) fn endpoint_or(place: &str, given: Option<&Url>, usual: &str) -> Result<Url, PlaceError> {
    match given {
        Some(url) => Ok(url.clone()),
        None => usual
            .parse()
            .map_err(|error| settings(place, "the endpoint", format!("is not one ({usual}): {error}"))),
    }
}
