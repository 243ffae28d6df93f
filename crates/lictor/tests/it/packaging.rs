//! What is packaged for sentinèlla: the NixOS module, and the units for other systems.
//!
//! The module is evaluated by Nix against a stand-in for the `lib` of nixpkgs; the units it comes to
//! are then given to a real systemd.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use lictor_testkit::host::{Host, Options};
use lictor_testkit::wait;
use serde_json::{Value, json};

use crate::node::{LONG, run};

const PACKAGING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging");

/// The services by the short set of options, with what they cannot do without.
const BOTH: &str = r#"hectic.sentinella = {
    enable = true; peersDns = "peers.example.com"; tgTokenFile = "/run/secrets/tg"; tgChatId = "-100123";
};"#;

/// What NixOS would be told with a configuration, Lictor being installed at `lictor`; or why it is refused.
fn told(lictor: &str, configuration: &str) -> Result<Value, String> {
    let home = tempfile::tempdir().unwrap();
    let nix = env::var_os("LICTOR_NIX_BIN").map_or_else(|| PathBuf::from("nix-instantiate"), PathBuf::from);
    let mut command = Command::new(nix);
    // It needs no store, reads no channels, and leaves nothing behind.
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home.path());
    command.args(["--store", "dummy://", "--eval", "--strict", "--json"]);
    command.arg(format!("{PACKAGING}/nixos/tests/evaluate.nix"));
    command.args(["--argstr", "lictor", lictor, "--arg", "configuration", &format!("{{ {configuration} }}")]);
    let (code, out, err) = run(command);
    if code == 0 { Ok(serde_json::from_str(&out).unwrap()) } else { Err(err) }
}

/// A configuration that is in order.
#[track_caller]
fn good(configuration: &str) -> Value {
    let told = told("/usr", configuration).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(told["failed"], json!([]));
    told
}

/// Why a configuration is refused: by the types and names of options, or by what they say together.
#[track_caller]
fn refused(configuration: &str) -> String {
    match told("/usr", configuration) {
        Err(error) => error,
        Ok(told) => told["failed"].as_array().unwrap().iter().map(|why| why.as_str().unwrap()).collect(),
    }
}

fn lines(told: &Value, unit: &str) -> Vec<String> {
    told["units"][unit].as_str().unwrap_or_default().lines().map(str::to_owned).collect()
}

/// The settings of a unit's service, in the words of the files; without those that are no matter of
/// how it is kept.
fn kept(unit: &str) -> BTreeMap<String, Vec<String>> {
    let service = unit.split_once("[Service]").unwrap().1;
    let mut settings = BTreeMap::<String, Vec<String>>::new();
    for line in service.lines().take_while(|line| !line.starts_with('[')) {
        let setting = line.split_once('=').filter(|_| !line.starts_with('#'));
        let Some((name, value)) = setting else { continue };
        let value = match value {
            "true" => "yes",
            "false" => "no",
            other => other,
        };
        settings.entry(name.to_owned()).or_default().push(value.to_owned());
    }
    settings.retain(|name, _| !["Environment", "EnvironmentFile", "LoadCredential"].contains(&name.as_str()));
    settings
}

#[test]
fn the_short_options_make_both_services_with_the_usual_values() {
    let told = good(BOTH);
    let services = &told["services"];
    assert_eq!(
        services.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["sentinella-probe", "sentinella-watcher"]
    );
    let (probe, watcher) = (&services["sentinella-probe"], &services["sentinella-watcher"]);
    assert_eq!(probe["serviceConfig"]["ExecStart"], "/usr/bin/lictor probe --open");
    assert_eq!(watcher["serviceConfig"]["ExecStart"], "/usr/bin/lictor watcher");
    assert_eq!(probe["environment"], json!({ "PORT": "5988" }));
    assert_eq!(
        watcher["environment"],
        json!({
            "PEERS_DNS": "peers.example.com",
            "PEERS_PORT": "5988",
            "PEERS_SCHEME": "http",
            "POLLING_INTERVAL_SEC": "3",
            "STATE_DIR": "/var/lib/sentinella",
            "TG_CHAT_ID": "-100123",
            "TG_TOKEN_FILE": "%d/tg-token",
        })
    );
    for service in [probe, watcher] {
        assert_eq!(service["wantedBy"], json!(["multi-user.target"]));
        assert_eq!(service["serviceConfig"]["Restart"], "always");
        assert_eq!(service["serviceConfig"]["DynamicUser"], true);
    }
    assert_eq!(watcher["serviceConfig"]["StateDirectory"], "sentinella");
    assert_eq!((&told["ports"], &told["warnings"]), (&json!([5988]), &json!([])));
}

#[test]
fn every_short_option_reaches_its_service() {
    let told = good(
        r#"hectic.sentinella = {
            enable = true; port = 15988; authFile = "/run/secrets/users"; peersSrv = "_sentinella._tcp.example.com";
            peersPort = 25988; peersScheme = "https"; peersTokenFile = "/run/secrets/peers";
            tgTokenFile = "/run/secrets/tg"; tgChatIdFile = "/run/secrets/chat";
        };"#,
    );
    let (probe, watcher) = (&told["services"]["sentinella-probe"], &told["services"]["sentinella-watcher"]);
    assert_eq!(probe["environment"], json!({ "AUTH_FILE": "%d/auth", "PORT": "15988" }));
    assert_eq!(probe["serviceConfig"]["LoadCredential"], json!(["auth:/run/secrets/users"]));
    assert_eq!(
        watcher["environment"],
        json!({
            "PEERS_PORT": "25988",
            "PEERS_SCHEME": "https",
            "PEERS_SRV": "_sentinella._tcp.example.com",
            "PEERS_TOKEN_FILE": "%d/peers-token",
            "POLLING_INTERVAL_SEC": "3",
            "STATE_DIR": "/var/lib/sentinella",
            "TG_CHAT_ID_FILE": "%d/tg-chat-id",
            "TG_TOKEN_FILE": "%d/tg-token",
        })
    );
    assert_eq!(
        watcher["serviceConfig"]["LoadCredential"],
        json!(["peers-token:/run/secrets/peers", "tg-chat-id:/run/secrets/chat", "tg-token:/run/secrets/tg"])
    );
    assert_eq!(told["ports"], json!([15988]));
}

#[test]
fn every_long_option_reaches_its_service() {
    let told = good(
        r#"hectic.services."sentinèlla" = {
            probe = {
                enable = true; port = 15988; urls = [ "https://a/" "https://b/" ]; volumes = [ "/" "/srv" ];
                authFile = "/run/secrets/users"; environmentFile = "/run/secrets/probe";
            };
            watcher = {
                enable = true; self = "10.0.0.1 fd00::1"; peersSrv = "_sentinella._tcp.example.com";
                peersDns = "peers.example.com"; peersPort = 25988; peersScheme = "https"; pollingIntervalSec = 60;
                tgTokenFile = "/run/secrets/tg"; tgChatIdFile = "/run/secrets/chat";
                peersTokenFile = "/run/secrets/peers"; environmentFile = "/run/secrets/watcher";
            };
        };"#,
    );
    let (probe, watcher) = (&told["services"]["sentinella-probe"], &told["services"]["sentinella-watcher"]);
    assert_eq!(
        probe["environment"],
        json!({
            "AUTH_FILE": "%d/auth", "PORT": "15988", "URLS": "https://a/ https://b/", "VOLUMES": "/ /srv",
        })
    );
    assert_eq!(probe["serviceConfig"]["LoadCredential"], json!(["auth:/run/secrets/users"]));
    assert_eq!(probe["serviceConfig"]["EnvironmentFile"], json!(["/run/secrets/probe"]));
    assert_eq!(
        watcher["environment"],
        json!({
            "PEERS_DNS": "peers.example.com",
            "PEERS_PORT": "25988",
            "PEERS_SCHEME": "https",
            "PEERS_SRV": "_sentinella._tcp.example.com",
            "PEERS_TOKEN_FILE": "%d/peers-token",
            "POLLING_INTERVAL_SEC": "60",
            "SELF": "10.0.0.1 fd00::1",
            "STATE_DIR": "/var/lib/sentinella",
            "TG_CHAT_ID_FILE": "%d/tg-chat-id",
            "TG_TOKEN_FILE": "%d/tg-token",
        })
    );
    assert_eq!(
        watcher["serviceConfig"]["LoadCredential"],
        json!(["peers-token:/run/secrets/peers", "tg-chat-id:/run/secrets/chat", "tg-token:/run/secrets/tg"])
    );
    assert_eq!(watcher["serviceConfig"]["EnvironmentFile"], json!(["/run/secrets/watcher"]));
    assert_eq!(told["ports"], json!([15988]));
}

#[test]
fn a_list_is_one_quoted_variable_and_a_percent_sign_no_specifier() {
    let urls = r#"hectic.sentinella.urls = [ "https://a/x%20y" "https://b/" ];"#;
    let told = good(&format!("{BOTH} {urls}"));
    let probe = lines(&told, "sentinella-probe");
    assert!(probe.contains(&r#"Environment="URLS=https://a/x%%20y https://b/""#.to_owned()), "{probe:?}");
}

#[test]
fn what_the_long_options_say_wins_over_the_short_ones() {
    let told = good(&format!(
        r#"{BOTH} hectic.services."sentinèlla" = {{
            probe = {{ port = 1234; openFirewall = false; }}; watcher.enable = false;
        }};"#
    ));
    assert_eq!(told["services"].as_object().unwrap().keys().collect::<Vec<_>>(), ["sentinella-probe"]);
    assert_eq!(told["services"]["sentinella-probe"]["environment"]["PORT"], "1234");
    assert_eq!(told["ports"], json!([]));
}

#[test]
fn another_package_is_run_when_it_is_named() {
    let package = r#"hectic.sentinella.package = { outPath = "/opt/lictor"; };"#;
    let told = good(&format!("{BOTH} {package}"));
    for (name, command) in [("probe", "probe --open"), ("watcher", "watcher")] {
        let service = &told["services"][format!("sentinella-{name}")];
        assert_eq!(service["serviceConfig"]["ExecStart"], format!("/opt/lictor/bin/lictor {command}"));
    }
}

#[test]
fn nothing_is_there_until_it_is_enabled() {
    let told = good("");
    assert_eq!((&told["services"], &told["ports"]), (&json!({}), &json!([])));
}

#[test]
fn a_token_in_the_configuration_works_and_is_warned_of() {
    let told = good(
        r#"hectic.sentinella = {
            enable = true; peersDns = "p"; tgToken = "1:abc"; tgChatId = "1"; environmentFile = "/nix/store/x-env";
        };"#,
    );
    let watcher = &told["services"]["sentinella-watcher"];
    assert_eq!(watcher["environment"]["TG_TOKEN"], "1:abc");
    assert_eq!(watcher["serviceConfig"].get("LoadCredential"), None);
    let warnings = told["warnings"].to_string();
    assert!(warnings.contains("tgToken ends in the Nix store"), "{warnings}");
    assert!(warnings.contains("environmentFile is a file in the Nix store"), "{warnings}");
}

#[test]
fn what_cannot_work_is_refused_with_the_option_that_is_wrong() {
    let watcher = |options: &str| {
        refused(&format!(r#"hectic.services."sentinèlla".watcher = {{ enable = true; {options} }};"#))
    };
    let nothing = watcher("");
    for missing in [
        "neither peersSrv nor peersDns",
        "neither tgToken nor tgTokenFile",
        "neither tgChatId nor tgChatIdFile",
    ] {
        assert!(nothing.contains(missing), "{missing}: {nothing}");
    }
    assert_eq!(watcher(r#"peersSrv = "_s._tcp.example.com"; tgToken = "1:a"; tgChatIdFile = "/c";"#), "");
    // All of it may be in there.
    assert_eq!(watcher(r#"environmentFile = "/run/secrets/watcher";"#), "");
    let twice = watcher(
        r#"peersDns = "p"; tgToken = "1:a"; tgTokenFile = "/t"; tgChatId = "1"; tgChatIdFile = "/c";"#,
    );
    assert!(
        twice.contains("both tgToken and tgTokenFile") && twice.contains("both tgChatId and tgChatIdFile"),
        "{twice}"
    );

    for (wrong, option) in [
        (r#"hectic.sentinella.urls = [ "http://a/ http://b/" ];"#, "hectic.sentinella.urls"),
        ("hectic.sentinella.port = 70000;", "hectic.sentinella.port"),
        ("hectic.sentinella.pollingIntervalSec = 0;", "hectic.sentinella.pollingIntervalSec"),
        (r#"hectic.sentinella.tgTokenFile = "token";"#, "tgTokenFile"),
        (r#"hectic.services."sentinèlla".watcher.peersScheme = "ftp";"#, "peersScheme"),
        (r#"hectic.services."sentinèlla".probe.ulrs = [ ];"#, "probe.ulrs"),
    ] {
        let why = refused(&format!("{BOTH} {wrong}"));
        assert!(why.contains(option), "{wrong}: {why}");
    }
}

#[test]
fn a_port_below_1024_gives_the_one_right_it_needs() {
    let low = good(&format!("{BOTH} hectic.sentinella.port = 80;"));
    let probe = kept(low["units"]["sentinella-probe"].as_str().unwrap());
    assert_eq!(probe["AmbientCapabilities"], ["CAP_NET_BIND_SERVICE"]);
    assert_eq!(probe["CapabilityBoundingSet"], ["CAP_NET_BIND_SERVICE"]);
    assert_eq!(probe["PrivateUsers"], ["no"]);
    let watcher = kept(low["units"]["sentinella-watcher"].as_str().unwrap());
    assert_eq!(watcher["CapabilityBoundingSet"], [""]);
    assert_eq!(low["services"]["sentinella-watcher"]["environment"]["PEERS_PORT"], "80");
}

#[test]
fn the_module_and_the_unit_files_keep_their_services_in_the_same_way() {
    let told = good(BOTH);
    for name in ["sentinella-probe", "sentinella-watcher"] {
        let file = fs::read_to_string(format!("{PACKAGING}/systemd/{name}.service")).unwrap();
        assert_eq!(kept(told["units"][name].as_str().unwrap()), kept(&file), "{name}");
    }
}

/// The units with a program that is there, in a directory.
fn units_to_check(dir: &Path) -> Vec<PathBuf> {
    let told = good(BOTH);
    let mut units = BTreeMap::<String, String>::new();
    for entry in fs::read_dir(format!("{PACKAGING}/systemd")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".service") || name.ends_with(".socket") {
            units.insert(name, fs::read_to_string(path).unwrap());
        }
    }
    for name in ["sentinella-probe", "sentinella-watcher"] {
        units.insert(format!("nixos-{name}.service"), told["units"][name].as_str().unwrap().to_owned());
    }
    let write = |(name, text): (String, String)| {
        let path = dir.join(name);
        fs::write(&path, text.replace("/usr/bin/lictor", "/bin/true")).unwrap();
        path
    };
    units.into_iter().map(write).collect()
}

#[test]
fn the_agent_has_on_nixos_what_its_unit_says() {
    let told = good(
        r#"services.lictor = {
            enable = true; environmentFile = "/run/secrets/lictor"; credentials.pager = "/run/secrets/pager";
            openFirewall = [ 8520 ];
            settings = {
                watch.http.shop = { url = "http://127.0.0.1:8080/"; };
                rule.restart = { on = "check.shop == \"critical\""; act.systemd = { unit = "shop.service"; }; };
            };
        };
        services.lictor.settings.node.name = "web1";"#,
    );
    let unit = told["units"]["lictor"].as_str().unwrap();
    let file = fs::read_to_string(format!("{PACKAGING}/systemd/lictor.service")).unwrap();
    assert_eq!(kept(unit), kept(&file));
    for line in ["LoadCredential=pager:/run/secrets/pager", "EnvironmentFile=/run/secrets/lictor"] {
        assert!(unit.contains(line), "{line}: {unit}");
    }
    assert_eq!((&told["ports"], &told["warnings"]), (&json!([8520]), &json!([])));
    assert_eq!(told["tmpfiles"], json!(["d /run/lictor-allow 0755 root root -"]));
    assert!(told["polkit"].as_str().unwrap().contains("/run/lictor-allow/units"));
    // What it writes is a configuration, and names what polkit allows.
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("nixos.json"), told["files"]["lictor.d/nixos.json"].as_str().unwrap()).unwrap();
    let mut units = Command::new(env!("CARGO_BIN_EXE_lictor"));
    units.args(["units", "--config"]).arg(dir.path());
    let (code, out, err) = run(units);
    assert_eq!((code, out.as_str()), (0, "restart shop.service\n"), "{err}");
    let empty = good("services.lictor = { enable = true; credentials.x = \"/nix/store/x\"; };");
    let warnings = empty["warnings"].to_string();
    assert!(
        warnings.contains("nothing is watched") && warnings.contains("x is a file in the Nix store"),
        "{warnings}"
    );
    let bare = good("services.lictor = { enable = true; manageUnits = false; };");
    assert_eq!(bare["polkit"], "");
}

#[test]
fn systemd_understands_every_unit_and_calls_each_sandbox_tight() {
    let dir = tempfile::tempdir().unwrap();
    let units = units_to_check(dir.path());
    assert!(units.len() >= 7, "{units:?}");
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]).args(&units);
    // An unknown setting is a line of its output and no failure.
    assert_eq!(run(verify), (0, String::new(), String::new()));
    for unit in units.iter().filter(|unit| unit.extension().is_some_and(|kind| kind == "service")) {
        let mut security = Command::new("systemd-analyze");
        // 1.5 of 10.
        security.args(["security", "--offline=yes", "--no-pager", "--threshold=15"]).arg(unit);
        let (code, out, err) = run(security);
        assert_eq!(code, 0, "{}: {out}{err}", unit.display());
    }
}

/// A machine with Lictor and a file of two users that root alone can read.
fn machine() -> Host {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_lictor"));
    let host = Host::with(&Options { programs: vec![program], ..Options::default() });
    host.write("/etc/secrets/users", "node:first\npeer:second\n");
    host.ok(&["chmod", "600", "/etc/secrets/users"]);
    host
}

/// What the probe of a machine answers to `curl` with these arguments, as soon as it answers.
fn answer(host: &Host, arguments: &[&str]) -> String {
    let curl = [&["curl", "--silent", "--max-time", "20"], arguments].concat();
    let answered = wait::until(LONG, || Some(host.run(&curl)).filter(|said| said.code == 0));
    answered.map(|said| said.stdout).unwrap_or_else(|| {
        let log = host.run(&["journalctl", "--output=cat", "--lines=60"]).stdout;
        panic!("no answer within {LONG:?}\n{log}")
    })
}

#[test]
fn on_a_real_host_the_probe_of_the_module_looks_at_every_url_and_asks_for_its_password() {
    let host = machine();
    let told = told(
        "/usr/local",
        r#"hectic.services."sentinèlla".probe = {
            enable = true; authFile = "/etc/secrets/users"; volumes = [ "/" ];
            urls = [ "http://127.0.0.1:1/a%20b" "http://127.0.0.1:1/c" ];
        };"#,
    );
    host.unit("sentinella-probe.service", told.unwrap()["units"]["sentinella-probe"].as_str().unwrap());
    host.ok(&["systemctl", "start", "sentinella-probe"]);

    let whole: Value =
        serde_json::from_str(&answer(&host, &["--user", "peer:second", "http://127.0.0.1:5988/"])).unwrap();
    let urls: Vec<&Value> =
        whole["status"]["checks"].as_array().unwrap().iter().map(|check| &check["url"]).collect();
    assert_eq!(urls, ["http://127.0.0.1:1/a%20b", "http://127.0.0.1:1/c"]);
    assert_eq!(whole["disk"]["volumes"][0]["mount"], "/");
    let stranger = answer(&host, &["--write-out", " %{http_code}", "http://127.0.0.1:5988/status"]);
    assert!(stranger.ends_with(" 401"), "{stranger}");

    let pid = host.ok(&["systemctl", "show", "--value", "--property=MainPID", "sentinella-probe"]);
    let status = host.read(&format!("/proc/{}/status", pid.trim()));
    let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(!line("Uid:").contains("\t0"), "it runs as root: {status}");
    assert_eq!(line("CapBnd:"), "CapBnd:\t0000000000000000");
    assert_eq!(
        (line("NoNewPrivs:"), line("Seccomp:")),
        ("NoNewPrivs:\t1".to_owned(), "Seccomp:\t2".to_owned())
    );
}

/// In the place of Lictor: it writes down what it was given.
const WRITES_DOWN: &str = "#!/bin/sh\n\
    { echo \"called $*\"; echo \"token $(cat \"$TG_TOKEN_FILE\")\"; echo \"old $(cat \"$STATE_DIR/1.state\")\"; env; } \
    >\"$STATE_DIR/new\" && mv \"$STATE_DIR/new\" \"$STATE_DIR/given\"\nexec sleep 1000\n";

#[test]
fn on_a_real_host_the_watcher_of_the_module_has_its_token_and_the_states_of_the_old_one() {
    let host = machine();
    host.write("/opt/bin/lictor", WRITES_DOWN);
    host.ok(&["chmod", "755", "/opt/bin/lictor"]);
    host.write("/etc/secrets/tg", "123:secret");
    host.ok(&["chmod", "600", "/etc/secrets/tg"]);
    // As the old watcher left it, which ran as root.
    host.write("/var/lib/sentinella/1.state", "up:1/1:200");
    host.ok(&["chmod", "600", "/var/lib/sentinella/1.state"]);
    let told = told(
        "/opt",
        r#"hectic.services."sentinèlla".watcher = {
            enable = true; peersDns = "peers.example.com"; self = "10.0.0.1 fd00::1";
            tgTokenFile = "/etc/secrets/tg"; tgChatId = "a \"b\" \\ 100%n";
        };"#,
    );
    host.unit("sentinella-watcher.service", told.unwrap()["units"]["sentinella-watcher"].as_str().unwrap());
    host.ok(&["systemctl", "start", "sentinella-watcher"]);

    let given = wait::until(LONG, || {
        Some(host.read("/var/lib/private/sentinella/given")).filter(|given| !given.is_empty())
    });
    let given = given.unwrap_or_else(|| panic!("{}", host.ok(&["journalctl", "--output=cat", "--lines=60"])));
    for line in [
        "called watcher",
        "token 123:secret",
        "old up:1/1:200",
        "SELF=10.0.0.1 fd00::1",
        r#"TG_CHAT_ID=a "b" \ 100%n"#,
    ] {
        assert!(given.lines().any(|is| is == line), "{line}:\n{given}");
    }
    assert_eq!(given.matches("secret").count(), given.matches("token 123:secret").count(), "{given}");
}

#[test]
fn on_a_real_host_the_unit_files_serve_as_a_service_and_by_a_socket() {
    let host = machine();
    for name in ["sentinella-probe.service", "probe.socket", "probe@.service"] {
        let text = fs::read_to_string(format!("{PACKAGING}/systemd/{name}")).unwrap();
        host.unit(name, &text.replace("/usr/bin/lictor", "/usr/local/bin/lictor"));
    }
    host.write(
        "/etc/lictor/sentinella.env",
        "URLS=\"http://127.0.0.1:1/a http://127.0.0.1:1/b\"\nVOLUMES=/\n",
    );

    host.ok(&["systemctl", "start", "sentinella-probe"]);
    let served = answer(&host, &["http://127.0.0.1:5988/status"]);
    assert!(served.contains("\"total\":2"), "{served}");

    // They exclude each other, so the port is free for it.
    host.ok(&["systemctl", "start", "probe.socket"]);
    assert_eq!(host.run(&["systemctl", "is-active", "sentinella-probe"]).stdout.trim(), "inactive");
    for _ in 0..3 {
        let answered = answer(&host, &["http://127.0.0.1:5988/"]);
        let answered: Value = serde_json::from_str(&answered).unwrap();
        assert_eq!(answered["status"]["summary"]["total"], 2);
        assert_eq!(answered["disk"]["volumes"][0]["mount"], "/");
    }
    let left = || host.run(&["systemctl", "list-units", "--all", "--plain", "--no-legend", "probe@*"]).stdout;
    let gone = wait::until(LONG, || left().trim().is_empty().then_some(()));
    assert!(gone.is_some(), "units of requests are left behind:\n{}", left());
}
