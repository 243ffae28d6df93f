//! The signature that the services of AWS want (Signature Version 4).

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use lictor_core::Wall;

use super::request::{Request, Revealed};

/// Signs a request that is to be signed: host, kind of content and body, at this time. Other headers
/// may be changed on the way.
///
/// # Errors
/// What cannot be signed.
pub(super) fn add(request: &mut Request, revealed: &Revealed, now: Wall) -> Result<(), String> {
    let Some(found) = revealed.credentials.as_ref().filter(|_| request.signed) else { return Ok(()) };
    let token = found.session_token.clone();
    let credentials = Credentials::new(&found.access_key, &found.secret_key, token, None, "lictor");
    let identity = credentials.into();
    let millis = u64::try_from(now.as_unix_millis()).unwrap_or_default();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(revealed.setting("region").unwrap_or_default())
        .name("sns")
        .time(UNIX_EPOCH + Duration::from_millis(millis))
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| format!("cannot sign the request: {error}"))?
        .into();
    let kind = request.headers.get("content-type").map_or("", String::as_str);
    let headers = [("content-type", kind)].into_iter();
    let body = SignableBody::Bytes(request.body.as_bytes());
    let signed = SignableRequest::new(&request.method, request.url.as_str(), headers, body)
        .and_then(|whole| sign(whole, &params))
        .map_err(|error| format!("cannot sign the request: {error}"))?;
    let (instructions, _) = signed.into_parts();
    for (name, value) in instructions.headers() {
        request.headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    Ok(())
}
