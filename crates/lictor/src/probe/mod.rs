//! The probe without the rest of the agent: `lictor probe`, and under the old names `probe` and `router`.
//!
//! It keeps no state. Under its old name it answers as the old program did, one request over a
//! connection; what was a risk there is not taken here: a file of passwords that cannot be used.

mod router;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use lictor_agent::probe::{Looking, Manner, Server, Settings, Sources, Target, bind, check_users};
use lictor_agent::text::visible;
use lictor_compat::sentinella::Probe as Told;
use lictor_config::{Env as _, ProbeTls, ProcessEnv};
use tokio::net::TcpListener;

use crate::called::{as_program, by_name};
use crate::cli::Probe;
use crate::command::run::runtime;
use crate::exit::{Exit, Failure};
use crate::output::Terminal;
use crate::telemetry::{self, LogFormat};

const USAGE: &str = "Answers how URLs stand and how full the disks of this machine are: GET /status, /disk, or / for both.

Usage: probe

Environment:
  PORT       the port [default: 5988]
  URLS       URLs to look at, parted by blanks
  VOLUMES    paths whose file systems are shown [default: all that df shows]
  TIMEOUT    seconds that a look at a URL may take [default: 5]
  AUTH_FILE  file with a line `user:password` for each who may ask [default: everybody may]

This is lictor. `lictor probe` does the same with options and listens to this machine only unless told otherwise.";

/// The old name that it is called by, with the arguments after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called<'a> {
    /// `probe`: it serves.
    Probe(&'a [OsString]),
    /// `router`: it answers one request on standard input.
    Router(&'a [OsString]),
}

/// Whether it is called by one of the old names; `probe` as a command is ours.
pub(crate) fn called(args: &[OsString]) -> Option<Called<'_>> {
    let probe = as_program(args, "probe").map(Called::Probe);
    probe.or_else(|| by_name(args, "router").map(Called::Router))
}

/// The program under an old name.
pub(crate) fn main(called: Called<'_>) -> ExitCode {
    let terminal = Terminal::new(false);
    let (Called::Probe(args) | Called::Router(args)) = called;
    let done = match (called, args) {
        (_, [word]) if word == "--help" || word == "-h" => Terminal::data(match called {
            Called::Probe(_) => USAGE,
            Called::Router(_) => router::USAGE,
        }),
        (_, [word, ..]) => {
            let message = format!("unexpected argument `{}`", word.to_string_lossy());
            Err(Failure::new(Exit::Usage, message).help("--help says what the environment may say"))
        }
        (Called::Probe(_), []) => told().and_then(|told| old(told, &terminal)),
        (Called::Router(_), []) => told().and_then(|told| router::run(told, &terminal)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !(matches!(called, Called::Router(_)) && router::stderr_is_the_connection()) {
                failure.show(&terminal);
            }
            failure.exit().into()
        }
    }
}

/// What the environment says.
fn told() -> Result<Told, Failure> {
    Told::read(|name| ProcessEnv.var(name)).map_err(|error| Failure::new(Exit::Config, error.to_string()))
}

/// What the old program showed, and to whom.
fn settings(told: Told) -> Settings {
    Settings {
        targets: told.urls.iter().map(|url| Target::written(url)).collect(),
        looking: Looking::OnDemand(Duration::ZERO),
        timeout: told.timeout,
        volumes: told.volumes.map(|paths| paths.into_iter().map(PathBuf::from).collect()),
        checks: Vec::new(),
        auth_file: auth_file(told.auth_file, std::env::var_os("AUTH_FILE")),
        tls: None,
        manner: Manner::Literal,
    }
}

/// The file of those who may ask. A path that is no UTF-8 is one as well: as none it would let everybody in.
fn auth_file(told: Option<String>, variable: Option<OsString>) -> Option<PathBuf> {
    told.map(PathBuf::from).or_else(|| variable.filter(|path| path.to_str().is_none()).map(PathBuf::from))
}

/// Serves under the old name: at all addresses.
fn old(told: Told, terminal: &Terminal) -> Result<(), Failure> {
    telemetry::start("warn", LogFormat::Text, terminal.colours_err())?;
    let port = told.port;
    serve(settings(told), terminal, || {
        let all = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
        let [both, old] = all.map(|address| SocketAddr::new(address, port));
        // A machine may have no IPv6; what else is wrong is wrong with both.
        listen(both).or_else(|_no_ipv6| listen(old))
    })
}

/// `lictor probe`.
pub(crate) fn run(args: &Probe, terminal: &Terminal) -> Result<(), Failure> {
    telemetry::start(&args.log_level, LogFormat::Text, terminal.colours_err())?;
    let given = |name: &str| match name {
        "PORT" => args.port.map(|port| port.to_string()),
        "URLS" => (!args.urls.is_empty()).then(|| args.urls.join(" ")),
        "TIMEOUT" => args.timeout.clone(),
        _ => None,
    };
    let told = Told::read(|name| given(name).or_else(|| ProcessEnv.var(name)));
    let told = told.map_err(|error| Failure::new(Exit::Config, error.to_string()))?;
    let port = told.port;
    let mut settings = settings(told);
    settings.manner = Manner::Usual;
    settings.looking = Looking::OnDemand(Duration::from_secs(args.fresh.into()));
    if args.auth_file.is_some() {
        settings.auth_file.clone_from(&args.auth_file);
    }
    if !args.volumes.is_empty() {
        settings.volumes = Some(args.volumes.iter().map(PathBuf::from).collect());
    }
    if let (Some(cert_file), Some(key_file)) = (args.cert_file.clone(), args.key_file.clone()) {
        settings.tls = Some(ProbeTls { cert_file, key_file, client_ca_file: args.client_ca_file.clone() });
    }
    let asks = settings.auth_file.is_some() || args.client_ca_file.is_some();
    let usual =
        if asks || args.open { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { Ipv4Addr::LOCALHOST.into() };
    let address = args.address.unwrap_or(usual);
    if !asks && !args.open && !address.to_canonical().is_loopback() {
        let message = format!("a probe on {address} is shown to everybody who reaches it");
        let help = "give --auth-file or --client-ca-file, listen on 127.0.0.1 or ::1, or say --open";
        return Err(Failure::new(Exit::Usage, message).help(help));
    }
    serve(settings, terminal, || {
        let listener = listen(SocketAddr::new(address, port));
        match args.address {
            Some(_) => listener,
            None if usual.is_unspecified() => {
                listener.or_else(|_no_ipv6| listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))))
            }
            None => listener,
        }
    })
}

fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    bind(address).map_err(|error| {
        let message = format!("cannot listen at {address}: {error}");
        Failure::new(Exit::Unavailable, message).help("PORT, or --port, says another port")
    })
}

/// Refuses a file that would let nobody in, and says when everybody is.
fn check(settings: &Settings) -> Result<(), Failure> {
    let Some(file) = &settings.auth_file else { return Ok(()) };
    check_users(file).map_err(|why| {
        Failure::new(Exit::Config, format!("the file of those who may ask: {why}"))
            .help("it has a line `user:password` for each; without AUTH_FILE everybody may ask")
    })
}

fn serve(
    settings: Settings,
    terminal: &Terminal,
    listen: impl FnOnce() -> Result<TcpListener, Failure>,
) -> Result<(), Failure> {
    check(&settings)?;
    let certified = settings.tls.as_ref().is_some_and(|tls| tls.client_ca_file.is_some());
    let open = settings.auth_file.is_none() && !certified;
    let said = *terminal;
    let tell = move |url: &str, code: u16| said.say(&line(&said, url, code));
    let runtime = runtime()?;
    let end = runtime.block_on(async {
        let listener = listen()?;
        let address = listener.local_addr().map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        if open && !address.ip().to_canonical().is_loopback() {
            let warning = terminal.strong("warning:");
            terminal.say(&format!(
                "{warning} everybody who reaches {address} is answered; AUTH_FILE asks for a password"
            ));
        }
        let sources = Sources { told: Arc::new(tell), ..Sources::none() };
        let server = Server::start(listener, settings, sources);
        let server = server.map_err(|why| Failure::new(Exit::Config, why))?;
        terminal.say(&format!("the probe answers at {address}"));
        if server.until_stopped().await {
            Ok(())
        } else {
            Err(Failure::new(Exit::Failed, "the probe did not stop in order"))
        }
    });
    // Reading that hangs is not waited for.
    runtime.shutdown_background();
    end
}

/// The line of a look, as the old program wrote it.
fn line(terminal: &Terminal, url: &str, code: u16) -> String {
    terminal.good(&format!("{} -> {code:03}", visible(url, 2_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_called_by_its_old_names_and_probe_as_a_command_is_ours() {
        let args = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let kind = |words: &[&str]| match called(&args(words)) {
            Some(Called::Probe(rest)) => format!("probe {}", rest.len()),
            Some(Called::Router(rest)) => format!("router {}", rest.len()),
            None => "ours".to_owned(),
        };
        assert_eq!(kind(&["/usr/bin/probe"]), "probe 0");
        assert_eq!(kind(&["probe", "--help"]), "probe 1");
        assert_eq!(kind(&["./router"]), "router 0");
        assert_eq!(kind(&["lictor", "router"]), "router 0");
        assert_eq!(kind(&["lictor", "probe"]), "ours");
        assert_eq!(kind(&["lictor"]), "ours");
    }

    #[test]
    fn a_file_whose_name_is_no_utf8_lets_nobody_in_who_is_not_in_it() {
        use std::os::unix::ffi::OsStringExt as _;

        let strange = || OsString::from_vec(b"/etc/\xff".to_vec());
        let found = auth_file(None, Some(strange())).unwrap();
        assert_eq!(found, PathBuf::from(strange()));
        assert!(check_users(&found).is_err(), "it does not start");
        assert_eq!(auth_file(Some("/a".into()), Some("/a".into())), Some("/a".into()));
        assert_eq!([None, Some(" ".into())].map(|none| auth_file(None, none)), [None, None]);
    }
}
