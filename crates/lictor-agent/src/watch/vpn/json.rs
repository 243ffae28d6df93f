//! A JSON document that has a status in it.

use std::time::Duration;

use lictor_config::Control;
use serde_json::Value;
use tokio::time::Instant;

use super::{Finding, RAW, Tunnel, Word, gluetun};
use crate::control::Server;

/// Reads the document and compares what the pointer leads to with the values that mean up.
pub(super) async fn ask(control: &Control, limit: Duration, pointer: &str, up: &[String]) -> Finding {
    let deadline = Instant::now() + limit;
    let server = match Server::open(control, limit.mul_f64(0.75)).await {
        Ok(server) => server,
        Err(why) => return Finding::unknown(format!("the document cannot be asked for: {why}")),
    };
    let place = server.place();
    let document = match server.document(deadline).await {
        Ok(document) => document,
        Err(silent) => {
            let summary = format!("the document of {place} cannot be read: {}", silent.why);
            return Finding { word: gluetun::word(&silent), ..Finding::unknown(summary) };
        }
    };
    let Some(found) = document.pointer(pointer).and_then(plain) else {
        return Finding::unknown(format!(
            "the document of {place} has no text, number or truth at {pointer}"
        ));
    };
    let raw = server.shown(&found, RAW);
    let (tunnel, word, how) = if up.contains(&found) {
        (Tunnel::Up, Word::Running, "up")
    } else {
        (Tunnel::Down, Word::Stopped, "down")
    };
    Finding::new(tunnel, word, format!("the tunnel is {how}: {pointer} of {place} is {raw}")).told_by(raw)
}

/// A value as it would be written in the configuration.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
