//! What the watcher runs with under its old name.

use super::env::Watcher;
use crate::hcl::{Writer, list, quoted};

/// The name of the notifier.
pub const NOTIFIER: &str = "telegram";

/// The directory of our own state within STATE_DIR.
const OWN_STATE: &str = "lictor";

/// The configuration that tells as the watcher did, but for the block `peers`: one message for each peer, at once, with
/// nothing but its words. It holds the token; it is for this process only.
pub fn configuration(watcher: &Watcher, state_dir: &str) -> String {
    let mut out = Writer::default();
    out.block("node", |out| {
        out.set("state_dir", &quoted(&format!("{}/{OWN_STATE}", state_dir.trim_end_matches('/'))));
    });
    out.block("http", |out| out.set("port", "0"));
    out.block(&format!("notify \"telegram\" {}", quoted(NOTIFIER)), |out| {
        out.set("token", &quoted(watcher.tg_token.expose()));
        out.set("chat_id", &quoted(&watcher.tg_chat_id));
        out.set("url", &quoted(&watcher.tg_api_url));
        out.set("batch", &quoted("alert"));
        out.set("timeout", &quoted(&format!("{}ms", watcher.timeout.as_millis().clamp(100, 600_000))));
    });
    out.block("route \"peers\"", |out| {
        out.set("source", &quoted("peers"));
        out.set("to", &list(&[quoted(NOTIFIER)]));
        out.set("group_wait", &quoted("0s"));
        out.set("group_interval", &quoted("0s"));
    });
    out.end()
}
