//! What `tailscale status --json` says.

use serde::Deserialize;

use super::{Finding, RAW, Tunnel, Word, failure};
use crate::text::one_line;
use crate::watch::exec::program::Ended;

/// The part of it that matters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    backend_state: String,
    #[serde(rename = "Self")]
    node: Option<Node>,
    /// There when everything goes out through another node.
    exit_node_status: Option<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    #[serde(rename = "Online", default)]
    online: bool,
}

/// What the program's end says of the tunnel. Its exit status is another one for a tunnel that is
/// down, so what it printed counts first.
pub(super) fn judge(argv: &[String], ended: &Ended) -> Finding {
    let state: State = match serde_json::from_str(&ended.output.stdout) {
        Ok(state) => state,
        Err(_none) if ended.status.is_some_and(|status| !status.success()) => {
            return Finding::unknown(failure(argv, ended));
        }
        Err(error) => {
            let name = argv.first().map_or("", String::as_str);
            return Finding::unknown(format!("what `{name}` printed is not the status as JSON: {error}"));
        }
    };
    let raw = one_line(&state.backend_state, RAW);
    let online = state.node.as_ref().is_some_and(|node| node.online);
    let (tunnel, word, summary) = match state.backend_state.as_str() {
        "Running" if !online => {
            let summary = "tailscale says Running, but that this node is not online".to_owned();
            (Tunnel::Unknown, Word::Unknown, summary)
        }
        "Running" if state.exit_node_status.is_some_and(|node| !node.online) => {
            let summary =
                "the tunnel is down: tailscale says Running, but its exit node is offline".to_owned();
            (Tunnel::Down, Word::Error, summary)
        }
        "Running" => (Tunnel::Up, Word::Running, "the tunnel is up: tailscale says Running".to_owned()),
        "Stopped" | "NoState" | "NeedsLogin" | "NeedsMachineAuth" => {
            (Tunnel::Down, Word::Stopped, format!("the tunnel is down: tailscale says {raw}"))
        }
        "Starting" => (Tunnel::Between, Word::Unknown, "tailscale says Starting".to_owned()),
        _ => {
            let summary = format!("tailscale says `{raw}`, which is no state that is known");
            (Tunnel::Unknown, Word::Unknown, summary)
        }
    };
    Finding::new(tunnel, word, summary).told_by(raw)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;
    use crate::watch::exec::program::Output;

    fn judged(code: i32, stdout: &str, stderr: &str) -> String {
        let output = Output { stdout: stdout.to_owned(), stderr: stderr.to_owned() };
        let status = Some(ExitStatus::from_raw(code << 8));
        let finding = judge(&["tailscale".to_owned()], &Ended { status, output });
        format!("{:?} {}: {}", finding.tunnel, finding.word, finding.summary)
    }

    fn state(backend: &str, rest: &str) -> String {
        let document = format!(r#"{{"Version":"1.80.0","BackendState":"{backend}","Health":[]{rest}}}"#);
        judged(0, &document, "")
    }

    #[test]
    fn running_and_online_is_up() {
        let said = state("Running", r#","Self":{"Online":true,"TailscaleIPs":["100.64.0.7"]},"Peer":null"#);
        assert_eq!(said, "Up running: the tunnel is up: tailscale says Running");
        let said = state("Running", r#","Self":{"Online":true},"ExitNodeStatus":{"ID":"n1","Online":true}"#);
        assert!(said.starts_with("Up"), "{said}");
    }

    #[test]
    fn running_alone_is_not_enough() {
        let said = state("Running", r#","Self":{"Online":false}"#);
        assert_eq!(said, "Unknown unknown: tailscale says Running, but that this node is not online");
        assert!(state("Running", "").starts_with("Unknown"), "without Self");
        let said = state("Running", r#","Self":{"Online":true},"ExitNodeStatus":{"ID":"n1","Online":false}"#);
        assert!(said.starts_with("Down error") && said.ends_with("its exit node is offline"), "{said}");
    }

    #[test]
    fn the_other_states_are_down_between_or_unknown() {
        for (backend, wanted) in [
            ("Stopped", "Down stopped"),
            ("NoState", "Down stopped"),
            ("NeedsLogin", "Down stopped"),
            ("NeedsMachineAuth", "Down stopped"),
            ("Starting", "Between unknown"),
            ("Dreaming", "Unknown unknown"),
        ] {
            let said = state(backend, r#","Self":{"Online":true}"#);
            assert!(said.starts_with(wanted), "{said}");
        }
    }

    #[test]
    fn a_program_that_fails_is_unknown_with_what_it_said() {
        let said = judged(1, "", "failed to connect to local tailscaled; is it running?\n");
        let why = "`tailscale` failed: failed to connect to local tailscaled; is it running?";
        assert_eq!(said, format!("Unknown unknown: {why}"));
        assert!(judged(0, "100.64.0.7 node linux -", "").contains("is not the status as JSON"));
    }
}
