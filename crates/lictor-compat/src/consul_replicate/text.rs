//! What it says, on the standard error as before.

use crate::Moment;
use crate::log::LogLevel;

/// What is said when the reload signal comes.
pub const RELOADING: &str = "Reloading configuration...";

/// What is said when the kill signal comes.
pub const CLEANING_UP: &str = "Cleaning up...";

/// What `-version` prints: scripts look for the first two words.
pub fn version(lictor: &str) -> String {
    format!("consul-replicate v0.4.0 (lictor {lictor})")
}

/// A line of the log, such as `2026/11/21 00:18:22 [ERR] (cli) …`. The time is shown in its own zone.
pub fn line(at: &Moment, level: LogLevel, what: &str) -> String {
    format!("{} [{}] (cli) {what}", at.format("2006/01/02 15:04:05"), level.name())
}

/// What `-h` prints.
pub const USAGE: &str = "\
Usage: consul-replicate [options]

Copies keys of Consul from other datacenters into that of the agent, and keeps the copies as their sources are.

What is copied:
  -prefix=<source@datacenter[:destination]>
      Keys that begin with the source; at the destination they begin with that instead [default: the source] (can be
      repeated)
  -exclude=<source>        Leave keys alone that begin so at the source, and their copies (can be repeated)
  -excludematch=<text>     Leave keys alone that have this in their names at the source (can be repeated)
  -delete                  Delete keys that only the destination has [default: true]
  -approve=<id>            Do deletes that were held back under this id (can be repeated)
  -repair                  Put right copies that somebody else has changed [default: false]
  -once                    Copy once and end
  -wait=<min[:max]>        Wait until the source is quiet for so long; at most as long as the second time [default: four
                           times the first]
  -max-stale=<duration>    Take answers of any server that are at most so old; 0: only those of the leader [default: 2s]
  -status-dir=<key>        Where it is noted how far each prefix is copied [default: service/consul-replicate/statuses]

Consul:
  -consul-addr=<address>   The agent [default: 127.0.0.1:8500]
  -consul-auth=<user[:password]>
  -consul-token=<token>
  -consul-retry            Try again what fails [default: true]
  -consul-retry-attempts=<n>               So often; 0: without an end [default: 12]
  -consul-retry-backoff=<duration>         The first pause; it doubles each time [default: 250ms]
  -consul-retry-max-backoff=<duration>     The longest pause; 0: none is too long [default: 1m]
  -consul-ssl              Use TLS; each of the following turns it on
  -consul-ssl-ca-cert=<file>               Certificates of authorities
  -consul-ssl-ca-path=<directory>          The same, in files
  -consul-ssl-cert=<file>                  Our certificate
  -consul-ssl-key=<file>                   Its key [default: in the same file]
  -consul-ssl-server-name=<name>           The name in the server's certificate
  -consul-ssl-verify       Look at the server's certificate [default: true]
  -consul-transport-dial-timeout=<duration>
  -consul-transport-tls-handshake-timeout=<duration>
                           How long it may take to be connected

The program:
  -config=<path>           A file in HCL or JSON, or a directory of such files (can be repeated); flags go before them
  -kill-signal=<name>      Ends it, as SIGTERM does; empty: none [default: SIGINT]
  -reload-signal=<name>    Has it read its files again; empty: none [default: SIGHUP]
  -log-level=<level>       trace, debug, info, warn or err [default: warn]
  -pid-file=<file>         Holds the process id while it runs
  -syslog                  Log to the system log as well
  -syslog-facility=<name>  [default: LOCAL0]
  -v, -version             Print the version
  -h, -help                Print this text

Without effect, but understood: -consul-transport-dial-keep-alive, -consul-transport-disable-keep-alives and
-consul-transport-max-idle-conns-per-host. Deprecated: -auth, -consul, -retry, -ssl, -ssl-ca-cert, -ssl-ca-path,
-ssl-cert, -ssl-server-name, -ssl-verify and -token, which are -consul-… now.

This is lictor in the place of consul-replicate.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_with_time_level_and_part() {
        let at = Moment::parse("2026-02-03T04:05:06.7+01:00").unwrap();
        assert_eq!(line(&at, LogLevel::Err, "no"), "2026/02/03 04:05:06 [ERR] (cli) no");
        assert_eq!(line(&at, LogLevel::Warn, "well"), "2026/02/03 04:05:06 [WARN] (cli) well");
    }

    #[test]
    fn the_version_is_that_of_the_old_program_and_says_who_it_is() {
        assert_eq!(version("1.2.3"), "consul-replicate v0.4.0 (lictor 1.2.3)");
    }
}
