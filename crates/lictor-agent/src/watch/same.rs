//! Whether two watchers are the same, so that a reload leaves it alone. Every structure is
//! taken apart whole: a field added to the configuration does not compile until it is compared.

use lictor_config::{
    Command, Disk, Dns, File, Heartbeat, Http, IpSource, Joined, Multiline, Pattern, Process, ProcessBy,
    PublicIp, Qbittorrent, Stream, Tcp, Temperature, Vpn, VpnSource, Watch, WatchKind, Webhook,
    WebhookFormat,
};
use regex::Regex;

/// Whether `a` looks at the same thing in the same way as `b`.
pub(super) fn same(a: &Watch, b: &Watch) -> bool {
    let Watch { kind, every, timeout, patterns } = a;
    *every == b.every
        && *timeout == b.timeout
        && patterns.len() == b.patterns.len()
        && patterns.iter().zip(&b.patterns).all(|(a, b)| pattern(a, b))
        && match (kind, &b.kind) {
            (WatchKind::Http(a), WatchKind::Http(b)) => http(a, b),
            (WatchKind::Tcp(a), WatchKind::Tcp(b)) => tcp(a, b),
            (WatchKind::Dns(a), WatchKind::Dns(b)) => dns(a, b),
            (WatchKind::Exec(a), WatchKind::Exec(b)) => exec(a, b),
            (WatchKind::Disk(a), WatchKind::Disk(b)) => disk(a, b),
            (WatchKind::Process(a), WatchKind::Process(b)) => process(a, b),
            (WatchKind::Heartbeat(a), WatchKind::Heartbeat(b)) => heartbeat(a, b),
            (WatchKind::Qbittorrent(a), WatchKind::Qbittorrent(b)) => qbittorrent(a, b),
            (WatchKind::Vpn(a), WatchKind::Vpn(b)) => vpn(a, b),
            (WatchKind::PublicIp(a), WatchKind::PublicIp(b)) => public_ip(a, b),
            (WatchKind::Prometheus(a), WatchKind::Prometheus(b)) => a == b,
            (WatchKind::Redis(a), WatchKind::Redis(b)) => a == b,
            (WatchKind::Webhook(a), WatchKind::Webhook(b)) => webhook(a, b),
            (WatchKind::Memory(a), WatchKind::Memory(b)) => a == b,
            (WatchKind::Swap(a), WatchKind::Swap(b)) => a == b,
            (WatchKind::Load(a), WatchKind::Load(b)) => a == b,
            (WatchKind::Temperature(a), WatchKind::Temperature(b)) => temperature(a, b),
            (WatchKind::Clock(a), WatchKind::Clock(b)) => a == b,
            (WatchKind::File(a), WatchKind::File(b)) => file(a, b),
            (WatchKind::Stream(a), WatchKind::Stream(b)) => stream(a, b),
            (WatchKind::Journal(a), WatchKind::Journal(b)) => a == b,
            (WatchKind::Unit(a), WatchKind::Unit(b)) => a == b,
            (
                WatchKind::Http(_)
                | WatchKind::Tcp(_)
                | WatchKind::Dns(_)
                | WatchKind::Exec(_)
                | WatchKind::Disk(_)
                | WatchKind::Process(_)
                | WatchKind::Heartbeat(_)
                | WatchKind::Qbittorrent(_)
                | WatchKind::Vpn(_)
                | WatchKind::PublicIp(_)
                | WatchKind::Prometheus(_)
                | WatchKind::Redis(_)
                | WatchKind::Webhook(_)
                | WatchKind::Memory(_)
                | WatchKind::Swap(_)
                | WatchKind::Load(_)
                | WatchKind::Temperature(_)
                | WatchKind::Clock(_)
                | WatchKind::File(_)
                | WatchKind::Stream(_)
                | WatchKind::Journal(_)
                | WatchKind::Unit(_),
                _,
            ) => false,
        }
}

fn webhook(a: &Webhook, b: &Webhook) -> bool {
    let Webhook { token, format, expire } = a;
    *token == b.token
        && *expire == b.expire
        && match (format, &b.format) {
            (
                WebhookFormat::Alertmanager { matchers, severity, warning },
                WebhookFormat::Alertmanager { matchers: others, severity: label, warning: words },
            ) => {
                severity == label
                    && warning == words
                    && matchers.len() == others.len()
                    && matchers.iter().zip(others).all(|(a, b)| a.0 == b.0 && regex(&a.1, &b.1))
            }
            (
                WebhookFormat::Json { pointer, critical, warning, passing, lines },
                WebhookFormat::Json {
                    pointer: at,
                    critical: bad,
                    warning: worse,
                    passing: good,
                    lines: texts,
                },
            ) => pointer == at && critical == bad && warning == worse && passing == good && lines == texts,
            (WebhookFormat::Alertmanager { .. } | WebhookFormat::Json { .. }, _) => false,
        }
}

fn temperature(a: &Temperature, b: &Temperature) -> bool {
    let Temperature { sensors, warn_celsius, critical_celsius } = a;
    regexes(sensors.as_ref(), b.sensors.as_ref())
        && warn_celsius.total_cmp(&b.warn_celsius).is_eq()
        && critical_celsius.total_cmp(&b.critical_celsius).is_eq()
}

fn file(a: &File, b: &File) -> bool {
    let File { paths, from_start, missing, multiline } = a;
    *paths == b.paths
        && *from_start == b.from_start
        && *missing == b.missing
        && multilines(multiline.as_ref(), b.multiline.as_ref())
}

fn stream(a: &Stream, b: &Stream) -> bool {
    let Stream { command, restart, multiline } = a;
    exec(command, &b.command) && *restart == b.restart && multilines(multiline.as_ref(), b.multiline.as_ref())
}

fn multilines(a: Option<&Multiline>, b: Option<&Multiline>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            let Multiline { by, max_lines, flush_after } = a;
            *max_lines == b.max_lines
                && *flush_after == b.flush_after
                && match (by, &b.by) {
                    (Joined::Start(a), Joined::Start(b)) | (Joined::Continue(a), Joined::Continue(b)) => {
                        regex(a, b)
                    }
                    (Joined::Start(_) | Joined::Continue(_), _) => false,
                }
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn qbittorrent(a: &Qbittorrent, b: &Qbittorrent) -> bool {
    let Qbittorrent { api, tracker, tracker_critical, strict, grace, forbidden } = a;
    *api == b.api
        && *tracker == b.tracker
        && *tracker_critical == b.tracker_critical
        && *strict == b.strict
        && *grace == b.grace
        && *forbidden == b.forbidden
}

fn vpn(a: &Vpn, b: &Vpn) -> bool {
    let Vpn { source, grace } = a;
    *grace == b.grace
        && match (source, &b.source) {
            (VpnSource::Gluetun(a), VpnSource::Gluetun(b)) => a == b,
            (
                VpnSource::Json { control, pointer, up },
                VpnSource::Json { control: other, pointer: to, up: when },
            ) => control == other && pointer == to && up == when,
            (
                VpnSource::WireGuard { command, interface, handshake },
                VpnSource::WireGuard { command: other, interface: of, handshake: within },
            ) => command == other && interface == of && handshake == within,
            (VpnSource::Tailscale { command }, VpnSource::Tailscale { command: other }) => command == other,
            (
                VpnSource::Gluetun(_)
                | VpnSource::Json { .. }
                | VpnSource::WireGuard { .. }
                | VpnSource::Tailscale { .. },
                _,
            ) => false,
        }
}

fn public_ip(a: &PublicIp, b: &PublicIp) -> bool {
    let PublicIp { source, forbidden } = a;
    *forbidden == b.forbidden
        && match (source, &b.source) {
            (IpSource::Gluetun(a), IpSource::Gluetun(b)) => a == b,
            (IpSource::Json { control, pointer }, IpSource::Json { control: other, pointer: to }) => {
                control == other && pointer == to
            }
            (IpSource::Gluetun(_) | IpSource::Json { .. }, _) => false,
        }
}

fn regex(a: &Regex, b: &Regex) -> bool {
    a.as_str() == b.as_str()
}

fn regexes(a: Option<&Regex>, b: Option<&Regex>) -> bool {
    a.map(Regex::as_str) == b.map(Regex::as_str)
}

fn pattern(a: &Pattern, b: &Pattern) -> bool {
    let Pattern { name, regex: wanted } = a;
    *name == b.name && regex(wanted, &b.regex)
}

fn http(a: &Http, b: &Http) -> bool {
    let Http {
        url,
        method,
        headers,
        body,
        basic_auth,
        bearer,
        status,
        expect_headers,
        body_matches,
        body_lacks,
        json,
        warn_slower,
        warn_expiry,
        critical_expiry,
        redirects,
        keep_alive,
        family,
        max_body,
        tls,
    } = a;
    *url == b.url
        && *method == b.method
        && *headers == b.headers
        && *body == b.body
        && *basic_auth == b.basic_auth
        && *bearer == b.bearer
        && *status == b.status
        && expect_headers.len() == b.expect_headers.len()
        && expect_headers.iter().zip(&b.expect_headers).all(|(a, b)| a.0 == b.0 && regex(&a.1, &b.1))
        && regexes(body_matches.as_ref(), b.body_matches.as_ref())
        && regexes(body_lacks.as_ref(), b.body_lacks.as_ref())
        && *json == b.json
        && *warn_slower == b.warn_slower
        && *warn_expiry == b.warn_expiry
        && *critical_expiry == b.critical_expiry
        && *redirects == b.redirects
        && *keep_alive == b.keep_alive
        && *family == b.family
        && *max_body == b.max_body
        && *tls == b.tls
}

fn tcp(a: &Tcp, b: &Tcp) -> bool {
    let Tcp { host, port, family, send, expect, warn_slower, tls } = a;
    *host == b.host
        && *port == b.port
        && *family == b.family
        && *send == b.send
        && regexes(expect.as_ref(), b.expect.as_ref())
        && *warn_slower == b.warn_slower
        && *tls == b.tls
}

fn dns(a: &Dns, b: &Dns) -> bool {
    let Dns { name, record, server, expect, others, warn_slower } = a;
    *name == b.name
        && *record == b.record
        && *server == b.server
        && *expect == b.expect
        && *others == b.others
        && *warn_slower == b.warn_slower
}

fn exec(a: &Command, b: &Command) -> bool {
    let Command { argv, captured, env, cwd } = a;
    *argv == b.argv && *captured == b.captured && *env == b.env && *cwd == b.cwd
}

fn disk(a: &Disk, b: &Disk) -> bool {
    let Disk {
        paths,
        warn_used_percent,
        critical_used_percent,
        critical_available_bytes,
        critical_inodes_percent,
    } = a;
    *paths == b.paths
        && warn_used_percent.total_cmp(&b.warn_used_percent).is_eq()
        && critical_used_percent.total_cmp(&b.critical_used_percent).is_eq()
        && *critical_available_bytes == b.critical_available_bytes
        && critical_inodes_percent.total_cmp(&b.critical_inodes_percent).is_eq()
}

fn process(a: &Process, b: &Process) -> bool {
    let Process { by, at_least, at_most, warn_memory_bytes } = a;
    *at_least == b.at_least
        && *at_most == b.at_most
        && *warn_memory_bytes == b.warn_memory_bytes
        && match (by, &b.by) {
            (ProcessBy::PidFile(a), ProcessBy::PidFile(b)) => a == b,
            (ProcessBy::CommandLine(a), ProcessBy::CommandLine(b)) => regex(a, b),
            (ProcessBy::Name(a), ProcessBy::Name(b)) => a == b,
            (ProcessBy::PidFile(_) | ProcessBy::CommandLine(_) | ProcessBy::Name(_), _) => false,
        }
}

fn heartbeat(a: &Heartbeat, b: &Heartbeat) -> bool {
    let Heartbeat { within, token } = a;
    *within == b.within && *token == b.token
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lictor_config::Secret;

    use super::*;

    fn heart(token: &str) -> Watch {
        Watch {
            kind: WatchKind::Heartbeat(Heartbeat {
                within: Duration::from_secs(60),
                token: Some(Secret::value(token)),
            }),
            every: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            patterns: Vec::new(),
        }
    }

    #[test]
    fn a_changed_secret_is_a_change_although_it_cannot_be_printed() {
        assert!(same(&heart("a"), &heart("a")));
        assert!(!same(&heart("a"), &heart("b")));
    }

    #[test]
    fn another_kind_is_a_change() {
        let exec = WatchKind::Exec(Command {
            argv: vec!["true".into()],
            captured: Vec::new(),
            env: Vec::new(),
            cwd: None,
        });
        let other = Watch { kind: exec, ..heart("a") };
        assert!(!same(&heart("a"), &other));
        assert!(same(&other, &other.clone()));
    }

    #[test]
    fn another_interval_or_pattern_is_a_change() {
        let slower = Watch { every: Duration::from_secs(20), ..heart("a") };
        assert!(!same(&heart("a"), &slower));
        let pattern = |text: &str| Pattern { name: "p".parse().unwrap(), regex: Regex::new(text).unwrap() };
        let with = |text| Watch { patterns: vec![pattern(text)], ..heart("a") };
        assert!(same(&with("x"), &with("x")));
        assert!(!same(&with("x"), &with("y")));
        assert!(!same(&with("x"), &heart("a")));
    }
}
