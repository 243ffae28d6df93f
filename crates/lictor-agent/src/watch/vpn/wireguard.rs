//! What `wg show all dump` says. The columns of private and preshared keys are never kept.

use std::time::Duration;

use lictor_core::{Span, Wall};

use super::{Finding, Tunnel, Word, failure};
use crate::watch::exec::program::Ended;
use crate::watch::value::{self, float};

/// What there is of the interfaces that count.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    interfaces: u32,
    peers: u32,
    /// Seconds since 1970; 0: there never was one.
    newest: u64,
    rx: u64,
    tx: u64,
}

/// What the program's end says of the tunnel: up is a handshake younger than `handshake`.
pub(super) fn judge(
    argv: &[String],
    ended: &Ended,
    interface: Option<&str>,
    handshake: Duration,
    now: Wall,
) -> Finding {
    if !ended.status.is_some_and(|status| status.success()) {
        return Finding::unknown(failure(argv, ended));
    }
    let seen = match read(&ended.output.stdout, interface) {
        Ok(seen) => seen,
        Err(why) => {
            let name = argv.first().map_or("", String::as_str);
            return Finding::unknown(format!("what `{name}` printed is not a dump of WireGuard: {why}"));
        }
    };
    if seen.interfaces == 0 && !ended.output.stderr.trim().is_empty() {
        // It may not look at them, and says so, but not by its exit status.
        return Finding::unknown(failure(argv, ended));
    }
    let mut finding = told(&seen, interface, handshake, now);
    if seen.peers > 0 {
        finding.numbers.extend([(&value::RX_BYTES, float(seen.rx)), (&value::TX_BYTES, float(seen.tx))]);
    }
    finding
}

fn told(seen: &Seen, interface: Option<&str>, handshake: Duration, now: Wall) -> Finding {
    let down = |why: String| Finding::new(Tunnel::Down, Word::Stopped, format!("the tunnel is down: {why}"));
    let which = interface.map_or_else(String::new, |name| format!(" `{name}`"));
    if seen.interfaces == 0 {
        return down(format!("there is no WireGuard interface{which}"));
    }
    if seen.peers == 0 {
        return down(format!("the WireGuard interface{which} has no peer"));
    }
    if seen.newest == 0 {
        return down(format!("the WireGuard interface{which} never had a handshake"));
    }
    let now = u64::try_from(now.as_unix_millis()).unwrap_or(0) / 1_000;
    let ahead = Duration::from_secs(seen.newest.saturating_sub(now));
    if ahead > handshake {
        let why = format!("the latest handshake is {} ahead of this machine's clock", Span(ahead));
        return Finding::unknown(why);
    }
    let age = Duration::from_secs(now.saturating_sub(seen.newest));
    let mut finding = if age < handshake {
        let summary = format!("the tunnel is up: the latest handshake was {} ago", Span(age));
        Finding::new(Tunnel::Up, Word::Running, summary)
    } else {
        down(format!("the latest handshake was {} ago, longer than {}", Span(age), Span(handshake)))
    };
    finding.numbers.push((&value::HANDSHAKE_AGE_SECONDS, age.as_secs_f64()));
    finding
}

/// Reads the dump of all interfaces, or of one. An error says where it is none, without
/// showing anything of the line.
fn read(text: &str, interface: Option<&str>) -> Result<Seen, String> {
    let mut seen = Seen::default();
    for (number, line) in text.lines().enumerate() {
        let columns: Vec<&str> = line.split('\t').collect();
        let wrong = || format!("line {} has a form of its own", number + 1);
        // The dump of one interface has no column for its name.
        let (name, rest) = match columns.len() {
            5 | 9 => columns.split_first().ok_or_else(wrong)?,
            4 | 8 => (&"", columns.as_slice()),
            _ => return Err(wrong()),
        };
        if interface.is_some_and(|interface| !name.is_empty() && interface != *name) {
            continue;
        }
        // A peer: its key, the preshared key, endpoint, addresses, handshake, received, sent, keepalive.
        if let [_, _, _, _, handshake, rx, tx, _] = rest {
            let count = |text: &str| text.parse::<u64>().map_err(|_not_one| wrong());
            seen.peers += 1;
            seen.newest = seen.newest.max(count(handshake)?);
            seen.rx = seen.rx.saturating_add(count(rx)?);
            seen.tx = seen.tx.saturating_add(count(tx)?);
        } else {
            seen.interfaces += 1;
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;
    use crate::watch::exec::program::Output;

    const NOW: u64 = 1_795_220_300;
    const LIMIT: Duration = Duration::from_secs(190);
    const PRIVATE: &str = "wH0private0000000000000000000000000000000000=";

    fn interface(name: &str) -> String {
        format!("{name}\t{PRIVATE}\tPUBLIC=\t51820\toff\n")
    }

    fn peer(name: &str, handshake: u64, rx: u64, tx: u64) -> String {
        format!("{name}\tPEER=\t{PRIVATE}\t203.0.113.9:51820\t0.0.0.0/0,::/0\t{handshake}\t{rx}\t{tx}\t25\n")
    }

    fn judged(code: i32, stdout: &str, stderr: &str, only: Option<&str>) -> Finding {
        let output = Output { stdout: stdout.to_owned(), stderr: stderr.to_owned() };
        let ended = Ended { status: Some(ExitStatus::from_raw(code << 8)), output };
        let now = Wall::from_unix_millis(i64::try_from(NOW).unwrap() * 1_000);
        judge(&["wg".to_owned()], &ended, only, LIMIT, now)
    }

    fn told(stdout: &str, only: Option<&str>) -> String {
        let finding = judged(0, stdout, "", only);
        let numbers: Vec<f64> = finding.numbers.iter().map(|(_, number)| *number).collect();
        format!("{} {numbers:?}", finding.summary)
    }

    #[test]
    fn the_newest_handshake_of_all_peers_counts() {
        let dump = interface("wg0") + &peer("wg0", NOW - 900, 5, 6) + &peer("wg0", NOW - 20, 100, 200);
        assert_eq!(
            told(&dump, None),
            "the tunnel is up: the latest handshake was 20s ago [20.0, 105.0, 206.0]"
        );
        let old = interface("wg0") + &peer("wg0", NOW - 190, 1, 2);
        let why = "the tunnel is down: the latest handshake was 3m 10s ago, longer than 3m 10s";
        assert_eq!(told(&old, None), format!("{why} [190.0, 1.0, 2.0]"));
    }

    #[test]
    fn another_interface_does_not_count() {
        let dump = interface("wg0") + &peer("wg0", 0, 0, 148) + &interface("wg1") + &peer("wg1", NOW, 1, 1);
        assert!(told(&dump, None).starts_with("the tunnel is up"));
        let never = "the tunnel is down: the WireGuard interface `wg0` never had a handshake [0.0, 148.0]";
        assert_eq!(told(&dump, Some("wg0")), never);
        assert_eq!(told(&dump, Some("wg7")), "the tunnel is down: there is no WireGuard interface `wg7` []");
    }

    #[test]
    fn no_interface_and_no_peer_is_down() {
        assert_eq!(told("", None), "the tunnel is down: there is no WireGuard interface []");
        let none = "the tunnel is down: the WireGuard interface has no peer []";
        assert_eq!(told(&interface("wg0"), None), none);
    }

    #[test]
    fn the_dump_of_one_interface_has_no_names() {
        let dump = (interface("wg0") + &peer("wg0", NOW - 1, 3, 4)).replace("wg0\t", "");
        assert!(told(&dump, Some("wg0")).starts_with("the tunnel is up"), "{}", told(&dump, Some("wg0")));
    }

    #[test]
    fn a_handshake_far_in_the_future_is_unknown_and_a_near_one_is_new() {
        let at = |handshake| interface("wg0") + &peer("wg0", handshake, 0, 0);
        assert!(told(&at(NOW + 5), None).starts_with("the tunnel is up: the latest handshake was 0"));
        let finding = judged(0, &at(NOW + 86_400), "", None);
        assert_eq!((finding.tunnel, finding.word), (Tunnel::Unknown, Word::Unknown));
    }

    #[test]
    fn what_is_no_dump_is_unknown_and_not_shown() {
        let truncated = format!("wg0\t{PRIVATE}");
        let odd = peer("wg0", 1, 2, 3).replace("\t2\t", "\tmany\t");
        for text in [truncated.as_str(), &odd, "interface: wg0\n  private key: (hidden)\n"] {
            let finding = judged(0, text, "", None);
            assert_eq!(finding.tunnel, Tunnel::Unknown);
            assert_eq!(
                finding.summary,
                "what `wg` printed is not a dump of WireGuard: line 1 has a form of its own"
            );
        }
    }

    #[test]
    fn who_may_not_look_knows_nothing() {
        let why = "Unable to access interface wg0: Operation not permitted\n";
        for code in [0, 1] {
            let finding = judged(code, "", why, None);
            assert_eq!(finding.tunnel, Tunnel::Unknown);
            let wanted = "`wg` failed: Unable to access interface wg0: Operation not permitted";
            assert_eq!(finding.summary, wanted);
        }
    }

    #[test]
    fn no_key_is_in_what_is_told() {
        let dump = interface("wg0") + &peer("wg0", NOW, 1, 2);
        let finding = format!("{:?}", judged(0, &dump, "", None));
        assert!(!finding.contains("private0") && !finding.contains("PEER="), "{finding}");
        let failed = format!("{:?}", judged(1, &dump, "", None));
        assert!(!failed.contains("private0"), "{failed}");
    }
}
