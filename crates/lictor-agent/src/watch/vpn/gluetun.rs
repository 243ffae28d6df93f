//! The control server of a gluetun.

use std::time::Duration;

use lictor_config::Control;
use serde_json::Value;
use tokio::time::Instant;

use super::{Finding, RAW, Tunnel, Word};
use crate::control::{NoAnswer, Server, Trouble};

/// Of every VPN; since 3.31.
const VPN: &str = "/v1/vpn/status";

/// Of OpenVPN only: with WireGuard it says `stopped`, whatever is.
const OPENVPN: &str = "/v1/openvpn/status";

/// What is known of a gluetun before 3.31.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Old {
    /// Whether it ever said that OpenVPN runs: then `stopped` means what it says.
    ran: bool,
}

/// Asks how the VPN is.
pub(super) async fn ask(control: &Control, limit: Duration, old: &mut Option<Old>) -> Finding {
    let deadline = Instant::now() + limit;
    match Server::open(control, limit.mul_f64(0.75)).await {
        Ok(server) => by(&server, deadline, old).await,
        Err(why) => Finding::unknown(format!("gluetun cannot be asked: {why}")),
    }
}

async fn by(server: &Server, deadline: Instant, old: &mut Option<Old>) -> Finding {
    if old.is_some() {
        match status(server, OPENVPN, deadline).await {
            Ok(word) if word == "running" => {
                *old = Some(Old { ran: true });
                return judge(server, &word);
            }
            Err(silent) if matches!(silent.why, Trouble::Unsent(_) | Trouble::Unanswered(_)) => {
                *old = None;
                return unanswered(server, OPENVPN, &silent);
            }
            // It may say so because it is not that old any more.
            Ok(_) | Err(_) => {}
        }
    }
    match status(server, VPN, deadline).await {
        Ok(word) => {
            *old = None;
            judge(server, &word)
        }
        Err(NoAnswer { why: Trouble::Missing, .. }) => {
            let word = match status(server, OPENVPN, deadline).await {
                Ok(word) => word,
                Err(NoAnswer { why: Trouble::Missing, .. }) => {
                    let place = server.place();
                    return Finding::unknown(format!(
                        "{place} has neither {VPN} nor {OPENVPN}: is it a gluetun?"
                    ));
                }
                Err(silent) => return unanswered(server, OPENVPN, &silent),
            };
            let known = old.get_or_insert_default();
            known.ran |= word == "running";
            if word == "stopped" && !known.ran {
                let why = "gluetun says stopped, but one before 3.31 always does with WireGuard: bring it up to date";
                return Finding::unknown(why).told_by(word);
            }
            judge(server, &word)
        }
        Err(silent) => {
            // Whoever was away may come back as another version.
            *old = None;
            unanswered(server, VPN, &silent)
        }
    }
}

async fn status(server: &Server, route: &str, deadline: Instant) -> Result<String, NoAnswer> {
    let answer = server.get(route, deadline).await?;
    let word = answer.get("status").and_then(Value::as_str);
    word.map(str::to_owned).ok_or_else(|| {
        let why = Trouble::Garbled("the answer has no `status`".to_owned());
        NoAnswer { why, exhausted: false }
    })
}

/// What a word means.
fn judge(server: &Server, word: &str) -> Finding {
    let (tunnel, meaning) = match word {
        "running" => (Tunnel::Up, Word::Running),
        "stopped" => (Tunnel::Down, Word::Stopped),
        "crashed" => (Tunnel::Down, Word::Error),
        "stopping" => (Tunnel::Between, Word::Stopped),
        "starting" => (Tunnel::Between, Word::Unknown),
        _ => (Tunnel::Unknown, Word::Unknown),
    };
    let raw = server.shown(word, RAW);
    let summary = match (tunnel, word) {
        (Tunnel::Up, _) => format!("the tunnel is up: gluetun says {raw}"),
        (Tunnel::Down, _) => format!("the tunnel is down: gluetun says {raw}"),
        (Tunnel::Between, _) => format!("gluetun says {raw}"),
        (Tunnel::Unknown, "completed") => {
            "gluetun says completed: whether the tunnel is up, it does not".to_owned()
        }
        (Tunnel::Unknown, _) => format!("gluetun says `{raw}`, which is no status that is known"),
    };
    Finding::new(tunnel, meaning, summary).told_by(raw)
}

/// Why nothing is known, and what can be done about it.
fn unanswered(server: &Server, route: &str, silent: &NoAnswer) -> Finding {
    Finding { word: word(silent), ..Finding::unknown(explain(server, route, &silent.why)) }
}

/// A server that answers with errors, or cannot be reached however often it is asked, is one that
/// does not work; of the tunnel that says nothing.
pub(super) fn word(silent: &NoAnswer) -> Word {
    match silent.why {
        Trouble::Status(500.., _) => Word::Error,
        Trouble::Unsent(_) | Trouble::Unanswered(_) if silent.exhausted => Word::Error,
        Trouble::Unsent(_)
        | Trouble::Unanswered(_)
        | Trouble::Denied(_)
        | Trouble::Missing
        | Trouble::Status(..)
        | Trouble::Garbled(_) => Word::Unknown,
    }
}

/// What keeps a gluetun from telling, in words, with the way out where there is one.
pub(in crate::watch) fn explain(server: &Server, route: &str, why: &Trouble) -> String {
    let place = server.place();
    match why {
        Trouble::Denied(status) => format!(
            "gluetun at {place} refuses us (status {status}): since 3.39.1 it wants a role in its auth/config.toml \
             that lists \"GET {route}\", and here the api_key or basic_auth of that role"
        ),
        Trouble::Missing => format!("{place} has no {route}: is it a gluetun?"),
        Trouble::Unsent(why) => format!("gluetun at {place} cannot be reached: {why}"),
        Trouble::Unanswered(_) | Trouble::Status(..) | Trouble::Garbled(_) => {
            format!("gluetun at {place} does not say: {why}")
        }
    }
}
