//! Programs that are asked in place of name servers: `dig` and `getent`, or what stands in for them.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::{Target, is_host};
use crate::text::one_line;
use crate::watch::{Ran, World};

/// Time limit of a program; `dig` gives up after some 6 s by itself.
const LIMIT: Duration = Duration::from_secs(10);

/// Of an output, bytes that are read.
const OUTPUT: usize = 1 << 20;

/// Of an output that is of no use, characters that are shown.
const SHOWN: usize = 200;

/// The hosts and ports that an SRV record names.
pub(super) async fn dig(program: &Path, name: &str, world: &World) -> Result<Vec<Target>, String> {
    let argv = command(program, &["+short", "+time=3", "+tries=2", "SRV", name]);
    let ran = world.run(argv, LIMIT, OUTPUT).await?;
    if ran.code != Some(0) {
        return Err(format!("dig SRV {name} failed: {}", output(&ran)));
    }
    let targets: Vec<Target> = ran.stdout.lines().filter_map(target).collect();
    // `dig +short` is silent and content also when the server refuses, so nothing is not nobody.
    if targets.is_empty() {
        return Err(format!("no SRV records parsed; raw output: {}", output(&ran)));
    }
    Ok(targets)
}

/// The addresses of a host; at least one.
pub(super) async fn getent(program: &Path, host: &str, world: &World) -> Result<Vec<IpAddr>, String> {
    let ran = world.run(command(program, &["hosts", host]), LIMIT, OUTPUT).await?;
    let mut found: Vec<IpAddr> = Vec::new();
    for line in ran.stdout.lines() {
        let first = line.split_whitespace().next().and_then(|word| word.parse().ok());
        found.extend(first.filter(|address| !found.contains(address)));
    }
    if found.is_empty() { Err(format!("could not resolve {host}")) } else { Ok(found) }
}

/// `prio weight port target.`: exactly four words.
fn target(line: &str) -> Option<Target> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [priority, weight, port, host] = words.as_slice() else { return None };
    let numbers = priority.parse::<u16>().is_ok() && weight.parse::<u16>().is_ok();
    let port = port.parse().ok().filter(|port| numbers && *port > 0)?;
    let host = host.strip_suffix('.').unwrap_or(host).to_lowercase();
    is_host(&host).then(|| Target::new(host, port))
}

/// The program and its arguments. It may be named with arguments of its own, as in a shell; a path
/// with blanks that leads to a file is that file.
fn command(program: &Path, arguments: &[&str]) -> Vec<String> {
    let named = program.to_string_lossy();
    let mut argv: Vec<String> = if program.is_file() {
        vec![named.into_owned()]
    } else {
        named.split_whitespace().map(str::to_owned).collect()
    };
    argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    argv
}

/// What it printed, on one line.
fn output(ran: &Ran) -> String {
    one_line(&format!("{} {}", ran.stdout, ran.stderr), SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_dig_has_exactly_four_words() {
        let found = |line: &str| target(line).map(|target| target.id());
        assert_eq!(found("0 10 5988 Node-A.peers.test."), Some("node-a.peers.test:5988".to_owned()));
        assert_eq!(found("0 10 5988 node"), Some("node:5988".to_owned()));
        for junk in [
            "",
            "node.",
            "0 10 5988",
            "0 10 5988 a. b.",
            "0 10 0 a.",
            "0 10 x a.",
            "0 10 70000 a.",
            "a b 1 c.",
            ";; connection timed out; no",
            "0 10 1 .",
            "0 10 1 a\\032b.",
            "0 10 1 a/b.",
        ] {
            assert_eq!(found(junk), None, "{junk:?}");
        }
    }

    #[test]
    fn a_program_may_have_arguments_of_its_own() {
        let argv = command(Path::new("getent -s  files"), &["hosts", "a b"]);
        assert_eq!(argv, ["getent", "-s", "files", "hosts", "a b"]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("my dig");
        std::fs::write(&path, "").unwrap();
        assert_eq!(command(&path, &["x"]), [path.to_str().unwrap(), "x"]);
    }
}
