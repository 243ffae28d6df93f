//! `act "vpn"`: has the tunnel of a gluetun stopped and started.
//!
//! It may be repeated at will. Once it was stopped, starting it is tried until the time is over: a
//! tunnel that is left stopped is told of.

use std::time::Duration;

use lictor_config::VpnAction;
use lictor_core::Outcome;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use super::{failed, unknown};
use crate::control::{Server, Trouble};

/// Of every VPN; since 3.31.
const VPN: &str = "/v1/vpn/status";

/// Of OpenVPN only. Told to start it, a gluetun with WireGuard would change over to OpenVPN.
const OPENVPN: &str = "/v1/openvpn/status";

/// The pause between two looks, and between two attempts to start it.
const PAUSE: Duration = Duration::from_secs(1);

/// One that says stopped although it was started is started again after this.
const AGAIN: Duration = Duration::from_secs(5);

/// A look is answered within this, or given up.
const LOOK: Duration = Duration::from_secs(5);

/// Has the tunnel stopped and started, and waits until it runs.
pub(super) async fn act(action: &VpnAction, limit: Duration) -> Outcome {
    let begun = Instant::now();
    let deadline = begun + limit;
    let server = match Server::open(&action.control, limit.mul_f64(0.25).min(LOOK)).await {
        Ok(server) => server,
        Err(why) => return failed(format!("gluetun was not asked for anything: {why}")),
    };
    // Time must be left to start it.
    let (route, stopped) = match stop(&server, begun + limit / 2).await {
        Ok(stopped) => stopped,
        Err(why) => return failed(format!("the tunnel was left as it is: {why}")),
    };
    start(&server, route, &stopped, deadline, limit).await
}

/// Tells it to stop. Gives the route that it understands and what became of it; an error when
/// nothing was done.
async fn stop(server: &Server, deadline: Instant) -> Result<(&'static str, String), String> {
    let order = json!({ "status": "stopped" });
    let mut route = VPN;
    let mut trouble = server.put(route, &order, deadline).await;
    if trouble == Err(Trouble::Missing) {
        // Before 3.31. With WireGuard it would say stopped, whatever is, and must not be told to start.
        let word = look(server, OPENVPN, deadline).await;
        if !word.as_ref().is_ok_and(|word| matches!(word.as_str(), "running" | "starting" | "crashed")) {
            let why = "it is of before 3.31, and does not say that OpenVPN runs: bring it up to date";
            return Err(format!("gluetun at {}: {why}", server.place()));
        }
        route = OPENVPN;
        trouble = server.put(route, &order, deadline).await;
    }
    match trouble {
        Ok(answer) => Ok((route, outcome(server, &answer))),
        // It may have been told, and stops.
        Err(Trouble::Unanswered(why) | Trouble::Garbled(why)) => Ok((route, why)),
        Err(why @ Trouble::Status(500.., _)) => Ok((route, why.to_string())),
        Err(why) => Err(explain(server, route, &why)),
    }
}

/// Tells it to start until it runs or the time is over.
async fn start(
    server: &Server,
    route: &'static str,
    stopped: &str,
    deadline: Instant,
    limit: Duration,
) -> Outcome {
    let order = json!({ "status": "running" });
    let mut trouble = None;
    let mut seen: Option<Result<String, String>> = None;
    let mut told: Option<Instant> = None;
    let work = async {
        loop {
            let stale = told.is_none_or(|told| {
                told.elapsed() >= AGAIN && seen.as_ref().is_some_and(|seen| seen.as_deref() == Ok("stopped"))
            });
            if stale {
                match server.put(route, &order, deadline).await {
                    Ok(_outcome) => {
                        told = Some(Instant::now());
                        trouble = None;
                    }
                    Err(why) => trouble = Some(explain(server, route, &why)),
                }
            }
            seen = Some(look(server, route, deadline).await);
            if seen.as_ref().is_some_and(|seen| seen.as_deref() == Ok("running")) {
                return;
            }
            sleep(PAUSE).await;
        }
    };
    if timeout_at(deadline, work).await.is_ok() {
        let after = (limit.saturating_sub(deadline.saturating_duration_since(Instant::now()))).as_secs_f64();
        return Outcome::Done {
            detail: format!("the tunnel was stopped ({stopped}) and started; it runs after {after:.1} s"),
        };
    }
    let order = format!("it was told to stop ({stopped})");
    let how = match (&seen, &trouble) {
        (_, Some(why)) => format!("and could not be told to start again: {why}; it may be left stopped"),
        (Some(Ok(word)), None) => format!("and to start, but says {word}"),
        (Some(Err(why)), None) => format!("and to start, but cannot be looked at: {why}"),
        (None, None) => "and to start, but has not answered".to_owned(),
    };
    let detail = format!("the tunnel does not run after {:.1} s: {order}, {how}", limit.as_secs_f64());
    match seen {
        Some(Ok(_)) => failed(detail),
        Some(Err(_)) | None => unknown(detail),
    }
}

/// How it is, in its own word.
async fn look(server: &Server, route: &str, deadline: Instant) -> Result<String, String> {
    let deadline = deadline.min(Instant::now() + LOOK);
    let answer = server.get(route, deadline).await.map_err(|silent| explain(server, route, &silent.why))?;
    let word = answer.get("status").and_then(Value::as_str).map(|word| server.shown(word, 40));
    word.ok_or_else(|| format!("gluetun at {} told no status", server.place()))
}

fn outcome(server: &Server, answer: &Value) -> String {
    let word = answer.get("outcome").and_then(Value::as_str).unwrap_or("no outcome was told");
    server.shown(word, 40)
}

fn explain(server: &Server, route: &str, why: &Trouble) -> String {
    let place = server.place();
    match why {
        Trouble::Denied(_) => format!(
            "gluetun at {place}: {why}; since 3.39.1 it wants a role in its auth/config.toml that lists \
             \"PUT {route}\" and \"GET {route}\", and here the api_key or basic_auth of that role"
        ),
        Trouble::Unsent(_)
        | Trouble::Unanswered(_)
        | Trouble::Missing
        | Trouble::Status(..)
        | Trouble::Garbled(_) => format!("gluetun at {place}: {why}"),
    }
}
