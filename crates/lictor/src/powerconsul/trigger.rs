//! `watch` and `trigger`: what is run when a check fails.

use std::io::Write as _;
use std::os::fd::AsRawFd as _;

use lictor_compat::powerconsul::{Action, State, action_key, role_name, says_unknown};
use lictor_consul::Query;
use lictor_core::service::{Expected, Role};
use rustix::fs::{MemfdFlags, memfd_create};
use serde_json::Value;

use super::log::Log;
use super::place::Place;
use super::program::{Ended, run};
use super::view::View;

/// Most bytes of an action's output that are logged.
const LOGGED: usize = 16 << 10;

/// Runs the triggers of all checks in a list that are of this node, one after the other. One that fails does not
/// keep the next from being run.
///
/// # Errors
/// In the old words, if this is no such list.
pub(super) async fn watch(place: &Place, state: State, input: &str) -> Result<(), String> {
    if input.trim().is_empty() {
        return Err("Command \"powerconsul watch\" requires data from STDIN!".to_owned());
    }
    let checks: Option<Vec<Value>> =
        serde_json::from_str(input).map_err(|why| format!("Failed to get Consul services: {why}"))?;
    let log = Log::new(&place.logs, "watch", state.as_str());
    for check in checks.unwrap_or_default() {
        let text = |name: &str| check.get(name).and_then(Value::as_str).unwrap_or_default();
        let (service, output) = (text("ServiceName"), text("Output"));
        // One that has put out nothing was just started.
        if text("Node") != place.host || output.is_empty() {
            continue;
        }
        let left = if service.is_empty() {
            Some("it is of no service")
        } else if says_unknown(output) {
            Some("it could not tell how the service is")
        } else {
            None
        };
        let check_id = text("CheckID");
        if let Some(why) = left {
            log.info(service, "watch", &format!("no trigger for check {check_id}: {why}"));
            continue;
        }
        log.info(service, "watch", &format!("trigger for check {check_id}"));
        if let Err(why) = trigger(place, state, &check).await {
            log.error(service, "watch", &why);
        }
    }
    Ok(())
}

/// Runs the trigger of one check, given as JSON.
///
/// # Errors
/// In words, if that is no check of a service, or it cannot be told what is to be run.
pub(super) async fn trigger_of(place: &Place, state: State, json: &str) -> Result<(), String> {
    let check =
        serde_json::from_str(json).map_err(|why| format!("Failed to parse service JSON object: {why}"))?;
    trigger(place, state, &check).await
}

async fn trigger(place: &Place, state: State, check: &Value) -> Result<(), String> {
    let service = check.get("ServiceName").and_then(Value::as_str).filter(|name| !name.is_empty());
    let Some(service) = service else {
        return Err("Failed to parse service JSON object: it has no ServiceName".to_owned());
    };
    let log = Log::new(&place.logs, "trigger", &format!("{service}.{}", state.as_str()));
    let done = act(place, state, service, &log).await;
    if let Err(why) = &done {
        log.error(service, "run", why);
    }
    done
}

async fn act(place: &Place, state: State, service: &str, log: &Log) -> Result<(), String> {
    if place.conf.noop_triggers.iter().any(|noop| noop == service) {
        log.info(service, "run", "Service trigger(s) configured as noop. Skipping...");
        return Ok(());
    }
    let view = View::of(place, service).await?;
    for remark in &view.remarks {
        log.error(service, "view", remark);
    }
    // Who is to take over does what an active node does.
    let role = match (view.role, view.expected) {
        (Role::Standby, Expected::Running) => Role::Active,
        // As it is, it stays: what runs here may be all that runs.
        (Role::Standby, Expected::Unknown) => {
            log.info(service, "run", "It cannot be told how the active side is. Skipping...");
            return Ok(());
        }
        (role, _) => role,
    };
    let key = action_key(service, role, state);
    let value = place.client.kv().get(&key, &Query::new().consistent()).await;
    let value = value.map_err(|why| format!("Failed to get the trigger `{key}`: {why}"))?.value;
    let text = value.map(|pair| String::from_utf8_lossy(&pair.value).into_owned()).unwrap_or_default();
    let state = state.as_str();
    let Some(action) = Action::read(&text, &place.conf.sub_vars) else {
        log.info(service, "run", &format!("type=default, state={state}, output=noop"));
        return Ok(());
    };
    let kind = action.kind();
    log.info(service, "run", &format!("type={kind}, state={state}, role={}, started", role_name(role)));
    match carry_out(place, &action).await {
        Ok(ended) if ended.code == Some(0) => {
            log.info(service, "run", &format!("type={kind}, state={state}, output={}", end(&ended.stdout)));
        }
        // That an action fails does not make the trigger fail: the check goes on to say how things are.
        Ok(ended) => log.error(
            service,
            "run",
            &format!("type={kind}, state={state}, error={}", failure(place, &ended)),
        ),
        Err(why) => log.error(service, "run", &format!("type={kind}, state={state}, error={why}")),
    }
    Ok(())
}

async fn carry_out(place: &Place, action: &Action) -> Result<Ended, String> {
    match action {
        Action::Command(words) => run(words, place.action_limit).await,
        Action::Script { interpreter, argument, text } => {
            // A file of no directory: what is put into the text may be secret, and nothing is left of it.
            let file = memfd_create("trigger", MemfdFlags::CLOEXEC)
                .map_err(|why| format!("cannot make a file for the script: {why}"))?;
            let mut file = std::fs::File::from(file);
            file.write_all(text.as_bytes()).map_err(|why| format!("cannot write the script: {why}"))?;
            // It is ours, and is opened there by the interpreter: what that starts does not inherit it.
            let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
            let words: Vec<String> =
                [interpreter.clone()].into_iter().chain(argument.clone()).chain([path]).collect();
            run(&words, place.action_limit).await
        }
    }
}

/// The end of what an action put out, where it says how it went.
fn end(text: &str) -> &str {
    let text = text.trim();
    let from = text.len().saturating_sub(LOGGED);
    let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    text.split_at(from).1
}

/// Why an action is no success.
fn failure(place: &Place, ended: &Ended) -> String {
    let how = match (ended.late, ended.code) {
        (true, _) => format!("ended after {:?}", place.action_limit),
        (false, Some(code)) => format!("exit status {code}"),
        (false, None) => "killed".to_owned(),
    };
    let said = [end(&ended.stderr), end(&ended.stdout)].into_iter().find(|said| !said.is_empty());
    said.map_or_else(|| how.clone(), |said| format!("{said} ({how})"))
}
