use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use lictor_testkit::host::Host;
use lictor_testkit::wait;

use super::*;

/// What takes a second or two on an idle machine.
const LONG: Duration = Duration::from_secs(60);

/// The day of the packages in tests.
const DATE: &str = "1700000000";

/// A program, and where packages of it are made.
struct Bench {
    workspace: Workspace,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Beside the tests: cargo builds the programs of a workspace with its tests.
        let tests = std::env::current_exe().unwrap();
        let built = tests.parent().and_then(Path::parent).unwrap().join("lictor");
        assert!(built.is_file(), "{} is missing: run `cargo build --package lictor`", built.display());
        let program = dir.path().join("lictor");
        // Most of it is of use to a debugger only.
        Tool::new("strip").arg("-o").args([&program, &built]).quiet().unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(dir.path().join("licences")).unwrap();
        fs::write(dir.path().join("licences/LIST.txt"), "a-crate-1.0: MIT\n").unwrap();
        Self { workspace: Workspace::find().unwrap(), dir }
    }

    fn tree(&self, family: Family) -> Tree {
        let (program, licences) = (self.dir.path().join("lictor"), self.dir.path().join("licences"));
        let parts = Parts { program: &program, licences: &licences, date: DATE };
        Tree::lay(&self.workspace, parts, family, self.dir.path().join(format!("{family:?}"))).unwrap()
    }

    fn about<'a>(&self, version: &'a str, out: &'a Path) -> About<'a> {
        fs::create_dir_all(out).unwrap();
        About { version, platform: "x86_64-unknown-linux-gnu", glibc: Some("2.34"), date: DATE, out }
    }

    fn deb(&self, tree: &Tree, version: &str, into: &str) -> PathBuf {
        let out = self.dir.path().join(into);
        let control = tree.root().join("DEBIAN");
        if control.exists() {
            fs::remove_dir_all(&control).unwrap();
        }
        deb::build(&self.workspace, tree, &self.about(version, &out), Pack::Fast).unwrap()
    }

    fn rpm(&self, tree: &Tree, version: &str, into: &str) -> PathBuf {
        let out = self.dir.path().join(into);
        rpm::build(&self.workspace, tree, &self.about(version, &out), Pack::Fast).unwrap()
    }
}

/// A machine with a file of ours, and two services that fail when they are killed.
fn host(files: &[(&Path, &str)]) -> Host {
    let host = Host::boot();
    // That of the machine it is made of may forbid packages to restart what runs.
    host.ok(&["rm", "-f", "/usr/sbin/policy-rc.d"]);
    // Its disk is in memory, and no index of all its man pages is wanted.
    host.ok(&["rm", "-f", "/var/lib/man-db/auto-update"]);
    host.write("/etc/dpkg/dpkg.cfg.d/test", "force-unsafe-io\n");
    for (from, to) in files {
        fs::copy(from, host.outside(to)).unwrap();
    }
    for name in ["shop", "other"] {
        host.unit(&format!("{name}.service"), "[Service]\nExecStart=/bin/sleep 100000\n");
        host.ok(&["systemctl", "start", name]);
    }
    host
}

/// What a person writes into the one file, for a unit.
fn rule(name: &str) -> String {
    format!(
        "watch \"unit\" \"{name}\" {{\n  unit = \"{name}.service\"\n}}\n\
         rule \"restart-{name}\" {{\n  on = check.{name} == \"critical\"\n  act \"systemd\" {{\n    unit = \"{name}.service\"\n  }}\n}}\n"
    )
}

fn until<T>(host: &Host, what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait::until(LONG, look).unwrap_or_else(|| {
        let log = host.run(&["journalctl", "--output=cat", "--lines=60"]).stdout;
        panic!("{what}: not within {LONG:?}\n{log}")
    })
}

fn active(host: &Host, unit: &str) -> bool {
    host.run(&["systemctl", "is-active", "--quiet", unit]).code == 0
}

fn answers(host: &Host) {
    until(host, "the agent answers", || (host.run(&["lictor", "status"]).code == 0).then_some(()));
}

/// What the user of the agent may do to a unit.
fn may(host: &Host, verb: &str, unit: &str) -> bool {
    let user = ["setpriv", "--reuid=lictor", "--regid=lictor", "--clear-groups"];
    host.run(&[&user[..], &["systemctl", "--no-ask-password", verb, unit]].concat()).code == 0
}

fn main_pid(host: &Host) -> String {
    host.ok(&["systemctl", "show", "--value", "--property=MainPID", "lictor"]).trim().to_owned()
}

/// All that is called after us on a machine, out of what is ours for certain.
fn traces(host: &Host) -> String {
    let found =
        host.run(&["find", "/etc", "/usr", "/var", "/run", "/opt", "/tmp", "-xdev", "-iname", "*lictor*"]);
    let mut lines: Vec<_> = found.stdout.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn on_a_real_host_the_deb_works_without_root_keeps_its_state_and_is_purged_whole() {
    let bench = Bench::new();
    let tree = bench.tree(Family::Debian);
    let (old, new) = (bench.deb(&tree, "1.0.0", "old"), bench.deb(&tree, "1.0.1", "new"));
    let again = bench.deb(&tree, "1.0.0", "again");
    assert!(fs::read(&old).unwrap() == fs::read(&again).unwrap(), "the same tree gave other bytes");
    let host = host(&[(&old, "/opt/old.deb"), (&new, "/opt/new.deb")]);
    let before = traces(&host);

    // Installed, and nothing runs yet.
    host.ok(&["dpkg", "--install", "/opt/old.deb"]);
    assert_eq!(host.ok(&["dpkg", "--verify", "lictor"]), "");
    assert!(!active(&host, "lictor"));
    assert_eq!(host.run(&["systemctl", "is-enabled", "lictor"]).stdout, "disabled\n");
    assert_eq!(
        host.ok(&["lictor", "validate"]),
        "the configuration is valid: 2 watchers, 2 checks, 0 remedies in 1 file\n"
    );
    assert!(
        host.ok(&["man", "--where", "lictor-service-status"]).contains("man1/lictor-service-status.1.gz")
    );

    // One file is edited, and it is started.
    let file = "/etc/lictor.d/lictor.hcl";
    host.write(file, &(host.read(file) + &rule("shop")));
    host.ok(&["systemctl", "enable", "--quiet", "--now", "lictor"]);
    answers(&host);
    let status = host.read(&format!("/proc/{}/status", main_pid(&host)));
    let uid = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert_eq!(uid.split_whitespace().nth(1), Some(host.ok(&["id", "--user", "lictor"]).trim()));
    assert_ne!(uid.split_whitespace().nth(1), Some("0"));

    // It does what the file says, and its user may do nothing else.
    host.ok(&["systemctl", "kill", "--signal=KILL", "shop"]);
    until(&host, "the shop is back", || {
        host.run(&["lictor", "incidents"]).stdout.contains("shop").then_some(())?;
        active(&host, "shop").then_some(())
    });
    assert!(may(&host, "restart", "shop.service"));
    assert!(!may(&host, "stop", "shop.service") && !may(&host, "restart", "other.service"));
    assert!(!may(&host, "start", "reboot.target"));
    let allowed = "/run/lictor-allow/units";
    let write = format!("echo restart other.service >{allowed}");
    let user = ["setpriv", "--reuid=lictor", "--regid=lictor", "--clear-groups", "sh", "-c"];
    assert_ne!(host.run(&[&user[..], &[&write]].concat()).code, 0);

    // What a reload adds is allowed after it.
    host.write(file, &(host.read(file) + &rule("other")));
    host.ok(&["systemctl", "reload", "lictor"]);
    assert!(
        host.read(allowed).ends_with("\nrestart other.service\nrestart shop.service\n"),
        "{}",
        host.read(allowed)
    );
    assert!(may(&host, "restart", "other.service"));

    // An upgrade goes on with the state and with what was edited.
    let (pid, incidents) = (main_pid(&host), host.ok(&["lictor", "incidents"]));
    host.ok(&["dpkg", "--install", "/opt/new.deb"]);
    until(&host, "the new one runs", || (main_pid(&host) != pid).then_some(()));
    answers(&host);
    let first = |text: &str| {
        text.lines().next_back().unwrap_or_default().split_whitespace().next().map(str::to_owned)
    };
    assert_eq!(first(&host.ok(&["lictor", "incidents"])), first(&incidents), "{incidents}");
    assert!(host.read(file).ends_with(&rule("other")));

    // Removed, it can come back; purged, it was never there.
    host.ok(&["dpkg", "--remove", "lictor"]);
    assert!(!active(&host, "lictor") && !host.read(file).is_empty());
    assert!(host.outside("/var/lib/private/lictor").exists());
    host.ok(&["dpkg", "--purge", "lictor"]);
    assert_eq!(traces(&host), before);
    assert_ne!(host.run(&["getent", "passwd", "lictor"]).code, 0);
    assert_ne!(host.run(&["getent", "group", "lictor"]).code, 0);
    assert!(active(&host, "shop"), "what it looked after goes on");
}

/// The block for a shell of the page about installing that begins so.
fn block(bench: &Bench, begins: &str) -> String {
    let page = fs::read_to_string(bench.workspace.root().join("docs/install.md")).unwrap();
    let (_, from) = page.split_once(&format!("```sh\n{begins}")).unwrap();
    format!("{begins}{}", from.split_once("```").unwrap().0)
}

#[test]
fn on_a_real_host_the_archive_is_installed_as_the_manual_says() {
    let bench = Bench::new();
    let name = "lictor-0.1.0-x86_64-unknown-linux-gnu";
    let (out, archive) = (bench.dir.path().join("archive"), format!("{name}.tar.gz"));
    let stage = out.join(name);
    copy(&bench.dir.path().join("lictor"), &stage.join("bin/lictor")).unwrap();
    for (from, to) in CONTENT {
        copy(&bench.workspace.root().join(from), &stage.join(to)).unwrap();
    }
    pack(&out, name, &archive, DATE).unwrap();
    let sums = Tool::new("sha256sum").arg(&archive).dir(&out).output().unwrap();
    let host = host(&[(&out.join(&archive), &format!("/opt/{archive}"))]);
    // What else the page speaks of is not there.
    host.write("/opt/SHA256SUMS", &format!("{sums}{}  lictor_0.1.0_amd64.deb\n", "0".repeat(64)));
    let typed = block(&bench, "sha256sum --check");
    host.ok(&["sh", "-euc", &format!("cd /opt\n{typed}")]);

    assert!(host.ok(&["lictor", "validate"]).starts_with("the configuration is valid: "));
    let file = "/etc/lictor.d/lictor.hcl";
    host.write(file, &(host.read(file) + &rule("shop")));
    host.ok(&["systemctl", "enable", "--quiet", "--now", "lictor"]);
    answers(&host);
    host.ok(&["systemctl", "kill", "--signal=KILL", "shop"]);
    until(&host, "the shop is back", || {
        host.run(&["lictor", "incidents"]).stdout.contains("shop").then_some(())?;
        active(&host, "shop").then_some(())
    });
    assert!(may(&host, "restart", "shop.service") && !may(&host, "restart", "other.service"));
}

#[test]
fn a_real_rpm_is_installed_upgraded_and_removed_and_keeps_what_was_edited() {
    let bench = Bench::new();
    let tree = bench.tree(Family::RedHat);
    let (old, new) = (bench.rpm(&tree, "1.0.0", "old"), bench.rpm(&tree, "1.0.1", "new"));
    let again = bench.rpm(&tree, "1.0.0", "again");
    assert!(fs::read(&old).unwrap() == fs::read(&again).unwrap(), "the same tree gave other bytes");
    let host = host(&[(&old, "/opt/old.rpm"), (&new, "/opt/new.rpm")]);
    let rpm = |words: &[&str]| {
        // This is Debian, and what it has no rpm knows of.
        host.ok(&[&["rpm", "--dbpath", "/opt/rpm", "--nodeps"], words].concat())
    };

    rpm(&["--install", "/opt/old.rpm"]);
    assert!(!active(&host, "lictor"));
    let file = "/etc/lictor.d/lictor.hcl";
    host.write(file, &(host.read(file) + &rule("shop")));
    host.ok(&["systemctl", "enable", "--quiet", "--now", "lictor"]);
    answers(&host);
    assert!(may(&host, "restart", "shop.service") && !may(&host, "restart", "other.service"));

    let pid = main_pid(&host);
    rpm(&["--upgrade", "/opt/new.rpm"]);
    until(&host, "the new one runs", || (main_pid(&host) != pid).then_some(()));
    answers(&host);
    assert!(host.read(file).ends_with(&rule("shop")));

    rpm(&["--erase", "lictor"]);
    assert!(!active(&host, "lictor") && !host.outside("/usr/bin/lictor").exists());
    assert!(host.outside("/var/lib/private/lictor").exists(), "rpm knows no purge");
    assert!(host.read(&format!("{file}.rpmsave")).ends_with(&rule("shop")));
}

#[test]
fn a_directory_is_copied_with_all_that_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    fs::create_dir_all(from.join("inner")).unwrap();
    fs::write(from.join("inner/file"), "text").unwrap();
    copy(&from, &dir.path().join("to")).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("to/inner/file")).unwrap(), "text");
}

#[test]
fn a_program_in_which_tests_can_plant_faults_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("lictor");
    for (text, fine) in [("a program", true), ("\0LICTOR_PLANT\0", false), ("xLICTOR_FAULTx", false)] {
        fs::write(&program, text).unwrap();
        assert_eq!(not_for_tests(&program).is_ok(), fine, "{text}");
    }
    let said = not_for_tests(&program).unwrap_err().to_string();
    assert!(said.contains("LICTOR_FAULT") && said.contains("build it without"), "{said}");
}

#[test]
fn a_missing_file_is_named() {
    let error =
        copy(Path::new("/nowhere/README.md"), Path::new("/nowhere/else/README.md")).unwrap_err().to_string();
    assert!(error.contains("/nowhere"), "{error}");
}

#[test]
fn licence_texts_are_told_from_other_files() {
    assert!(["LICENSE-MIT", "license.md", "COPYRIGHT", "NOTICE", "UNLICENSE"].into_iter().all(is_notice));
    assert!(!["README.md", "Cargo.toml", "lib.rs"].into_iter().any(is_notice));
}

/// The text of a configuration within another file: what is between a line that ends in one mark and one that is the other.
fn within(text: &str, begin: &str, end: &str) -> String {
    let lines = text.lines().skip_while(|line| !line.ends_with(begin)).skip(1);
    lines.take_while(|line| line.trim() != end).map(|line| format!("{line}\n")).collect()
}

#[test]
fn every_configuration_that_is_shipped_is_in_order() {
    let bench = Bench::new();
    let packaging = bench.workspace.root().join("packaging");
    let read = |path: &str| fs::read_to_string(packaging.join(path)).unwrap();
    let nomad = within(&read("nomad/lictor.nomad.hcl"), "<<-LICTOR", "LICTOR");
    // What Nomad puts in there: directories, names and addresses.
    let filled = |part: &str| match part.split_once("}}") {
        Some((what, rest)) if what.contains("NOMAD_") => format!("/value{rest}"),
        Some((_, rest)) => format!("value{rest}"),
        None => part.to_owned(),
    };
    let nomad: String = nomad.split("{{").map(filled).collect();
    let shipped = [
        ("config/lictor.hcl", read("config/lictor.hcl")),
        ("container/config/lictor.hcl", read("container/config/lictor.hcl")),
        ("ansible/playbook.yml", within(&read("ansible/playbook.yml"), "lictor_config: |", "")),
        ("nomad/lictor.nomad.hcl", nomad),
    ];
    for (name, text) in shipped {
        assert!(text.lines().count() > 1, "{name}: {text:?}");
        let path = bench.dir.path().join("shipped.hcl");
        fs::write(&path, &text).unwrap();
        let checked = Tool::new(bench.dir.path().join("lictor")).arg("validate").arg(&path).output();
        assert!(checked.is_ok(), "{name}: {}\n{text}", checked.unwrap_err());
    }
}
