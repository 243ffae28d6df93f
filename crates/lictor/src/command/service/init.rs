//! `lictor service init`: prepares a machine for a service.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lictor_agent::service::{Place, install};
use lictor_config::{ServiceCommand, UnitName};
use serde_json::{Value, json};

use super::asked::who;
use super::shape::{Service, Taken};
use super::{client, look, path};
use crate::cli::{Agent, Init};
use crate::client::typed;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal};

/// A file that belongs to a service.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    /// Where, from the root of the file system.
    path: PathBuf,
    text: String,
    /// Who may read and run it.
    mode: u32,
}

pub(super) async fn run(args: &Init, terminal: &Terminal) -> Result<(), Failure> {
    let agent = &args.one.agent;
    let client = client(agent)?;
    let (_, service) = look(&client, &args.one.name).await?;
    let files = wanted(args, &service)?;
    if args.print {
        return print(&files, agent.format);
    }
    let found = compare(&args.root, files)?;
    let other: Vec<_> = found.iter().filter(|(_, state)| *state == State::Other).collect();
    if !other.is_empty() && !args.force {
        let shown: Vec<_> =
            other.iter().map(|(file, _)| at(&args.root, file).display().to_string()).collect();
        let message = format!("there is something else already in {}", shown.join(", "));
        return Err(Failure::new(Exit::Conflict, message)
            .help("nothing was changed; `--print` shows what would be there, `--force` replaces it"));
    }
    for (file, state) in &found {
        if *state != State::Same {
            write(&at(&args.root, file), file)?;
        }
    }
    let here = args.root == Path::new("/");
    let changed = found.iter().any(|(_, state)| *state != State::Same);
    let mut to_do = Vec::new();
    if here && changed && Path::new("/run/systemd/system").is_dir() {
        to_do.extend(daemon_reload());
    } else if changed {
        to_do.push("`systemctl daemon-reload` on the machine that the files are for".to_owned());
    }
    let lease = if here {
        let body = json!({ "by": who(args.one.by.as_deref()) });
        Some(typed::<Taken>(client.post_with(&path(&service.name, "init"), &body).await?)?.message)
    } else {
        to_do.push(format!("`lictor service init {}` on that machine, for the lease", service.name));
        None
    };
    let enabled: Vec<_> = if here { enabled(&service.units) } else { service.units.clone() };
    if !enabled.is_empty() {
        let units = enabled.join(" ");
        to_do.push(format!("`systemctl disable {units}`: only the agent may start them, not the boot"));
    }
    let others: Vec<_> = service.nodes.iter().filter(|node| **node != service.node).cloned().collect();
    if !others.is_empty() {
        to_do.push(format!("the same on {}", others.join(", ")));
    }
    report(args, &found, lease, &to_do, terminal)
}

fn report(
    args: &Init,
    found: &[(Wanted, State)],
    lease: Option<String>,
    to_do: &[String],
    terminal: &Terminal,
) -> Result<(), Failure> {
    let line = |(file, state): &(Wanted, State)| {
        let word = match state {
            State::Same => "as it should be",
            State::Missing => "written",
            State::Other => "replaced",
        };
        (at(&args.root, file).display().to_string(), word)
    };
    let files: Vec<_> = found.iter().map(line).collect();
    if args.one.agent.format == Format::Json {
        let files: Vec<Value> = files.iter().map(|(path, is)| json!({ "path": path, "is": is })).collect();
        return Terminal::json(&json!({ "files": files, "lease": lease, "to_do": to_do }));
    }
    let mut lines: Vec<_> = files.iter().map(|(path, is)| format!("{path}: {is}")).collect();
    lines.extend(lease.map(|lease| format!("lease: {lease}")));
    Terminal::data(&lines.join("\n"))?;
    if !to_do.is_empty() {
        terminal.say(&format!("{}\n  {}", terminal.strong("still to be done:"), to_do.join("\n  ")));
    }
    Ok(())
}

/// All files of a service on this machine.
fn wanted(args: &Init, service: &Service) -> Result<Vec<Wanted>, Failure> {
    let program = std::env::current_exe()
        .map_err(|why| Failure::new(Exit::Failed, format!("cannot tell where this program is: {why}")))?;
    let name = &service.name;
    let strange = |why: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("the agent's answer is not what was expected: {why}"))
    };
    let place = Place::new(name).map_err(|why| strange(&why))?;
    let units: Result<Vec<_>, _> = service.units.iter().map(|unit| UnitName::new(unit)).collect();
    let units = units.map_err(|why| strange(&why))?;
    let bound = install::files(&place, &units, &program).into_iter();
    let mut files: Vec<_> = bound.map(|(path, text)| Wanted { path, text, mode: 0o644 }).collect();
    for unit in units.iter().filter(|unit| is_made_of_a_script(&args.root, unit)) {
        let (path, text) = install::of_script(unit);
        files.push(Wanted { path, text, mode: 0o644 });
    }
    if let (Some(argv), [unit]) = (&service.command, units.as_slice()) {
        let command = ServiceCommand { argv: argv.clone(), user: service.user.clone() };
        let (path, text) = install::unit_of(&place, unit, &command);
        files.push(Wanted { path, text, mode: 0o644 });
    }
    if args.init_script {
        let unit = format!("{name}.service");
        if service.units.contains(&unit) {
            let message =
                format!("an init script `{name}` would be hidden by the unit {unit} of the same name");
            return Err(Failure::new(Exit::Conflict, message)
                .help(format!("`lictor service {name} VERB` takes the same words as the script would")));
        }
        let text = init_script(name, &program);
        files.push(Wanted { path: Path::new("/etc/init.d").join(name), text, mode: 0o755 });
    }
    if let Some(dir) = &args.consul_definitions {
        if !dir.is_absolute() {
            let message = "--consul-definitions: a path from the root, such as /etc/consul.d";
            return Err(Failure::new(Exit::Usage, message));
        }
        let path = dir.join(format!("service_{name}.json"));
        files.push(Wanted { path, text: definition(name, &args.one.agent), mode: 0o644 });
        if let Some(key) = &service.roles {
            let path = dir.join(format!("watch_{name}.json"));
            files.push(Wanted { path, text: watches(service, key, &program), mode: 0o644 });
        }
    }
    Ok(files)
}

/// Whether systemd has made the unit of an init script.
fn is_made_of_a_script(root: &Path, unit: &UnitName) -> bool {
    root.join("run/systemd/generator.late").join(unit.as_str()).exists()
}

/// A script for /etc/init.d. Nothing starts it at the boot: the agent starts what is to run here.
fn init_script(name: &str, program: &Path) -> String {
    let program = program.display();
    format!(
        r#"#!/bin/sh
### BEGIN INIT INFO
# Provides:          {name}
# Required-Start:    $remote_fs $syslog $network
# Required-Stop:     $remote_fs $syslog $network
# Default-Start:
# Default-Stop:
# Short-Description: {name}, on one of several nodes
# Description:       Tells Lictor what is wanted of the clustered service {name}.
### END INIT INFO

case "$1" in
    start|stop|restart|status|start-primary|promote|demote)
        exec "{program}" service {name} "$@"
        ;;
    reload|force-reload)
        exec "{program}" service {name} restart
        ;;
    *)
        echo "Usage: service {name} {{start|stop|restart|start-primary|status|demote}}" >&2
        exit 2
        ;;
esac
"#
    )
}

/// The service for Consul's catalog: it passes where it runs, so that its name in the DNS is that node.
fn definition(name: &str, agent: &Agent) -> String {
    let address = agent.address.trim_end_matches('/');
    let check = json!({
        "name": format!("{name} runs here"), "http": format!("{address}/v1/services/{name}/active"),
        "interval": "2s", "timeout": "2s",
    });
    let text = json!({ "service": { "name": name, "enable_tag_override": true, "checks": [check] } });
    format!("{text:#}\n")
}

/// What has Consul tell us when somebody writes powerconsul's keys for this node.
fn watches(service: &Service, roles: &str, program: &Path) -> String {
    let (name, node) = (&service.name, &service.node);
    let of_old = roles.rsplit('/').next().unwrap_or(roles);
    let watch = |word: &str| {
        let args = json!([program, "service", name, word]);
        json!({ "type": "key", "key": format!("service/{of_old}/{node}/{word}"), "args": args })
    };
    let all = ["demote", "promote"].map(watch);
    format!("{:#}\n", json!({ "watches": all }))
}

fn print(files: &[Wanted], format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        let files: Vec<Value> =
            files.iter().map(|file| json!({ "path": file.path, "text": file.text })).collect();
        return Terminal::json(&json!({ "files": files }));
    }
    let shown = files.iter().map(|file| format!("==> {} <==\n{}", file.path.display(), file.text));
    Terminal::data(&shown.collect::<Vec<_>>().join("\n"))
}

/// How a file is before anything is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Same,
    Missing,
    /// There is something else.
    Other,
}

fn compare(root: &Path, files: Vec<Wanted>) -> Result<Vec<(Wanted, State)>, Failure> {
    let one = |file: Wanted| {
        let path = at(root, &file);
        let state = match fs::read(&path) {
            Ok(bytes) if bytes == file.text.as_bytes() => State::Same,
            Ok(_) => State::Other,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => State::Missing,
            Err(why) => return Err(cannot("read", &path, &why)),
        };
        Ok((file, state))
    };
    files.into_iter().map(one).collect()
}

fn at(root: &Path, file: &Wanted) -> PathBuf {
    root.join(file.path.strip_prefix("/").unwrap_or(&file.path))
}

/// Writes a file whole or not at all.
fn write(path: &Path, file: &Wanted) -> Result<(), Failure> {
    let failed = |why: std::io::Error| cannot("write", path, &why);
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(failed)?;
    }
    // systemd reads only names that it knows the end of, so it passes this one over.
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    let mut options = fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(file.mode).open(&aside);
    let written = opened.and_then(|mut to| {
        to.write_all(file.text.as_bytes())?;
        to.sync_all()
    });
    written.and_then(|()| fs::rename(&aside, path)).map_err(failed)
}

fn cannot(what: &str, path: &Path, why: &std::io::Error) -> Failure {
    let failure = Failure::new(Exit::Failed, format!("cannot {what} {}: {why}", path.display()));
    match why.kind() {
        std::io::ErrorKind::PermissionDenied => failure.help("this needs to be root"),
        _ => failure,
    }
}

/// What is still to be done when systemd does not read its units again.
fn daemon_reload() -> Option<String> {
    let ended = Command::new("systemctl").arg("daemon-reload").stdin(Stdio::null()).status();
    (!ended.is_ok_and(|status| status.success())).then(|| "`systemctl daemon-reload`".to_owned())
}

/// Units that the boot would start.
fn enabled(units: &[String]) -> Vec<String> {
    let is_enabled = |unit: &&String| {
        let mut command = Command::new("systemctl");
        command.args(["is-enabled", "--quiet", "--"]).arg(unit).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    units.iter().filter(is_enabled).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_init_script_passes_its_words_on() {
        insta::assert_snapshot!(init_script("web", Path::new("/usr/bin/lictor")), @r#"
        #!/bin/sh
        ### BEGIN INIT INFO
        # Provides:          web
        # Required-Start:    $remote_fs $syslog $network
        # Required-Stop:     $remote_fs $syslog $network
        # Default-Start:
        # Default-Stop:
        # Short-Description: web, on one of several nodes
        # Description:       Tells Lictor what is wanted of the clustered service web.
        ### END INIT INFO

        case "$1" in
            start|stop|restart|status|start-primary|promote|demote)
                exec "/usr/bin/lictor" service web "$@"
                ;;
            reload|force-reload)
                exec "/usr/bin/lictor" service web restart
                ;;
            *)
                echo "Usage: service web {start|stop|restart|start-primary|status|demote}" >&2
                exit 2
                ;;
        esac
        "#);
    }

    #[test]
    fn the_definition_passes_where_the_service_runs() {
        let agent = Agent {
            address: "http://127.0.0.1:8510".to_owned(),
            token: None,
            token_file: None,
            format: Format::Text,
        };
        insta::assert_snapshot!(definition("web", &agent), @r#"
        {
          "service": {
            "checks": [
              {
                "http": "http://127.0.0.1:8510/v1/services/web/active",
                "interval": "2s",
                "name": "web runs here",
                "timeout": "2s"
              }
            ],
            "enable_tag_override": true,
            "name": "web"
          }
        }
        "#);
    }

    #[test]
    fn consul_tells_when_the_keys_of_powerconsul_change() {
        let text = include_str!("../../../../lictor-agent/tests/data/service.json");
        let service: Service = serde_json::from_str(text).unwrap();
        insta::assert_snapshot!(watches(&service, "cluster/shop", Path::new("/usr/bin/lictor")), @r#"
        {
          "watches": [
            {
              "args": [
                "/usr/bin/lictor",
                "service",
                "web",
                "demote"
              ],
              "key": "service/shop/node1/demote",
              "type": "key"
            },
            {
              "args": [
                "/usr/bin/lictor",
                "service",
                "web",
                "promote"
              ],
              "key": "service/shop/node1/promote",
              "type": "key"
            }
          ]
        }
        "#);
    }

    #[test]
    fn a_file_is_written_once_and_what_differs_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let file = || Wanted { path: "/etc/x/web".into(), text: "text\n".into(), mode: 0o755 };
        let state = |root: &Path| compare(root, vec![file()]).unwrap()[0].1;
        assert_eq!(state(dir.path()), State::Missing);
        write(&at(dir.path(), &file()), &file()).unwrap();
        assert_eq!(state(dir.path()), State::Same);
        fs::write(dir.path().join("etc/x/web"), "other").unwrap();
        assert_eq!(state(dir.path()), State::Other);
    }
}
