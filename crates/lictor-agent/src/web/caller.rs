//! Who may call in for a check that waits for calls: heartbeats and webhooks.

use http::{HeaderMap, StatusCode};

use super::error::Failure;
use super::guard::Proof;
use super::source::Caller;
use super::token;

/// Where those may call in who show a token of the check's own. The guard lets them through; the
/// handlers of these routes ask [`admit`].
pub(super) fn has_own_token(path: &str) -> bool {
    path.starts_with("/v1/heartbeat/") || is_webhook(path)
}

/// Whether a path is that of a webhook, whose handler takes the body itself: larger ones than
/// other routes do, and only of who may call.
pub(super) fn is_webhook(path: &str) -> bool {
    path.starts_with("/v1/webhook/")
}

/// Refuses who may not call. Without a `caller` there is no such check, and that is not told to those who
/// may not see it.
pub(super) async fn admit(caller: Option<&Caller>, proof: Proof, headers: &HeaderMap) -> Result<(), Failure> {
    let shown = token::shown(headers);
    let allowed = match (caller, &shown) {
        (None | Some(Caller::Any), _) => proof.holds(),
        (Some(Caller::Holder(_)), _) if proof == Proof::Shown => true,
        (Some(Caller::Holder(_)), None) => false,
        (Some(Caller::Holder(own)), Some(shown)) => {
            let own = token::reveal(own.clone()).await.map_err(|why| {
                Failure::new(StatusCode::SERVICE_UNAVAILABLE, "token_unavailable", why)
                    .help("nobody is let in until the agent can read the token of this check")
            })?;
            token::same(shown, &own)
        }
    };
    if allowed {
        return Ok(());
    }
    let proof = if shown.is_some() { Proof::Wrong } else { Proof::Missing };
    Err(proof.refusal(headers))
}
