//! A whole machine with its own systemd, journal and D-Bus, booted in about a second.
//!
//! It is this machine seen through an overlay: all programs are there, what is written goes to memory,
//! and nothing of it is left when the value is dropped or the test is killed. It has a network
//! namespace with nothing but a loopback interface, and an identity and a journal of its own. Needs
//! root. The kernel is shared, so its clocks are this machine's; each boot has a boot id of its own.

mod find;

use std::env;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::wait;

/// How long a boot or a shutdown may take. It takes about a second; a machine that compiles at the
/// same time is many times slower.
const READY: Duration = Duration::from_secs(90);

/// After this a shutdown for a restart has failed. Units have 10 s to stop.
const STOPPED: Duration = Duration::from_secs(45);

/// How long a command in there may take, in seconds.
const COMMAND: u32 = 60;

/// What the name of a directory of one begins with.
const PREFIX: &str = "lictor-host-";

/// What makes the namespaces, the mounts and the control groups.
const SCRIPT: &str = include_str!("host/host.sh");

/// What kind of host is wanted.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Programs that are `/usr/local/bin/NAME` in there, wherever they are out here.
    pub programs: Vec<PathBuf>,
    /// Each boot begins at zero on the clocks that count from the boot, as on a machine of its own.
    pub own_clocks: bool,
    /// A directory of it that is on a small disk of its own, and the size of that: `("/var/lib/x", "48m")`. What is
    /// written there is kept over a restart as the rest is.
    pub small_disk: Option<(&'static str, &'static str)>,
    /// The network namespace in which it lives, as a file; one of its own, with a loopback interface and nothing else,
    /// if none is named. One that is named is kept over a restart.
    pub network: Option<PathBuf>,
    /// More options of systemd-nspawn.
    pub nspawn: Vec<String>,
}

/// A booted machine. Dropping it switches it off and leaves nothing behind.
#[derive(Debug)]
pub struct Host {
    keeper: Child,
    orders: Option<ChildStdin>,
    /// Its process 1, as we see it.
    leader: u32,
    dir: PathBuf,
    /// How long its last boot took.
    booted_in: Duration,
}

/// What a command in there said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The exit status; 124 when it took too long, -1 when a signal ended it.
    pub code: i32,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// And to its standard error.
    pub stderr: String,
}

impl Host {
    /// Boots one and waits until all its units are there.
    ///
    /// # Panics
    /// If it cannot be booted; the message has the end of what it wrote to its console.
    #[must_use]
    pub fn boot() -> Self {
        Self::with(&Options::default())
    }

    /// Boots one of the kind that is wanted.
    ///
    /// # Panics
    /// If it cannot be booted; the message has the end of what it wrote to its console.
    #[must_use]
    pub fn with(options: &Options) -> Self {
        let nspawn = requirements();
        let dir = TempDir::with_prefix(PREFIX).unwrap_or_else(|error| panic!("{error}"));
        // From here on the keeper removes it.
        let dir = dir.keep();
        // Not after a process: in a namespace of its own a test is process 1, and so is another one.
        let name = dir.file_name().unwrap_or_default().to_string_lossy().replace(PREFIX, "h");
        let prepared = fs::create_dir(dir.join("disk"))
            .and_then(|()| fs::write(dir.join("host.sh"), SCRIPT))
            .and_then(|()| File::create(dir.join("console.log")));
        let log = prepared.unwrap_or_else(|error| panic!("cannot write to {}: {error}", dir.display()));
        let mut command = match &options.network {
            Some(network) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net={}", network.display())).arg("/bin/sh");
                command
            }
            None => Command::new("/bin/sh"),
        };
        command.arg(dir.join("host.sh")).arg("outer").arg(&dir).arg(format!("lictor-{name}")).arg(&name);
        command.arg(nspawn).args(&options.nspawn).args(options.programs.iter().map(|program| bound(program)));
        command.env_clear().env("PATH", PATH).stdin(Stdio::piped()).process_group(0);
        if options.network.is_some() {
            command.env("SHARED_NETWORK", "yes");
        }
        if options.own_clocks {
            command.env("OWN_CLOCKS", "yes");
        }
        if let Some((at, size)) = options.small_disk {
            command.env("SMALL_DISK", at).env("SMALL_DISK_SIZE", size);
        }
        let errors = log.try_clone().unwrap_or_else(|error| panic!("{error}"));
        let mut keeper = command
            .stdout(log)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start a shell: {error}"));
        let orders = keeper.stdin.take();
        let mut host = Self { keeper, orders, leader: 0, dir, booted_in: Duration::ZERO };
        host.start();
        host
    }

    /// Boots it again after [`Self::poweroff`] or [`Self::power_cut`].
    ///
    /// # Panics
    /// If it is not up in time; the message has the end of what it wrote to its console.
    pub fn start(&mut self) {
        let orders = self.orders.as_mut().unwrap_or_else(|| unreachable!("only a drop takes it"));
        if let Err(error) = orders.write_all(b"boot\n") {
            panic!("the host cannot be made: {error}\n{}", self.console());
        }
        self.await_ready(0);
    }

    /// Runs a command in there as root and waits for its end, a minute at most.
    ///
    /// # Panics
    /// If it cannot be run at all.
    #[must_use]
    pub fn run(&self, argv: &[&str]) -> Output {
        self.enter(argv).unwrap_or_else(|error| panic!("cannot enter the host: {error}\n{}", self.console()))
    }

    /// Runs a command that must succeed, and gives what it wrote to its standard output.
    ///
    /// # Panics
    /// If it fails; the message has what it said.
    #[expect(clippy::must_use_candidate, reason = "it is run for its effect as well")]
    pub fn ok(&self, argv: &[&str]) -> String {
        let output = self.run(argv);
        assert!(output.code == 0, "{argv:?} in the host: {output:?}\n{}", self.console());
        output.stdout
    }

    /// Writes a file in there, and the directories above it.
    ///
    /// # Panics
    /// If that fails.
    pub fn write(&self, path: &str, text: &str) {
        let outside = self.outside(path);
        let written = outside.parent().map_or(Ok(()), fs::create_dir_all);
        let written = written.and_then(|()| fs::write(&outside, text));
        written.unwrap_or_else(|error| panic!("cannot write {path} in the host: {error}"));
    }

    /// The text of a file in there; empty when there is none.
    #[must_use]
    pub fn read(&self, path: &str) -> String {
        let bytes = fs::read(self.outside(path)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its first process, as we see it; another one after each boot.
    #[must_use]
    pub const fn leader(&self) -> u32 {
        self.leader
    }

    /// Where a file of it is for us, while it runs. A symbolic link on the way with an absolute target
    /// leads to this machine's own files.
    #[must_use]
    pub fn outside(&self, path: &str) -> PathBuf {
        let path = path.trim_start_matches('/');
        Path::new("/proc").join(self.leader.to_string()).join("root").join(path)
    }

    /// Writes a unit file, and has systemd read it.
    ///
    /// # Panics
    /// If that fails.
    pub fn unit(&self, name: &str, text: &str) {
        self.write(&format!("/etc/systemd/system/{name}"), text);
        self.ok(&["systemctl", "daemon-reload"]);
    }

    /// Shuts it down and boots it again, as a person would have it done.
    ///
    /// # Panics
    /// If it is not up again in time.
    pub fn reboot(&mut self) {
        let before = self.leader;
        let said = self.run(&["systemctl", "reboot"]);
        let gone = wait::until(STOPPED, || {
            find::leader(self.keeper.id()).is_none_or(|leader| leader != before).then_some(())
        });
        if gone.is_none() {
            tell(&format!("the host does not go down: {said:?}\n{}\nits power is cut", self.console()));
            self.power_cut();
            return self.start();
        }
        self.await_ready(before);
    }

    /// Waits for a restart that something in there has asked for.
    ///
    /// # Panics
    /// If it is not up again in time.
    pub fn await_reboot(&mut self) {
        self.await_ready(self.leader);
    }

    /// Shuts it down in good order; [`Self::start`] boots it again.
    ///
    /// # Panics
    /// If it does not go down in time.
    pub fn poweroff(&mut self) {
        drop(self.run(&["systemctl", "poweroff"]));
        self.await_down();
    }

    /// Takes its power away: all its processes end at once, and no file is written any more.
    ///
    /// # Panics
    /// If it does not go down in time.
    pub fn power_cut(&mut self) {
        find::kill(self.leader);
        self.await_down();
    }

    /// How long its last boot took.
    #[must_use]
    pub const fn booted_in(&self) -> Duration {
        self.booted_in
    }

    /// The end of what it wrote to its console.
    #[must_use]
    pub fn console(&self) -> String {
        const TAIL: usize = 4096;
        let bytes = fs::read(self.dir.join("console.log")).unwrap_or_default();
        let tail = bytes.get(bytes.len().saturating_sub(TAIL)..).unwrap_or_default();
        String::from_utf8_lossy(tail).into_owned()
    }

    fn await_ready(&mut self, before: u32) {
        let start = wait::now();
        let up = wait::until(READY, || {
            assert!(matches!(self.keeper.try_wait(), Ok(None)), "the host is gone\n{}", self.console());
            let leader = find::leader(self.keeper.id()).filter(|&leader| leader != before)?;
            self.leader = leader;
            let state = self.enter(&["systemctl", "is-system-running"]).ok()?.stdout;
            ["running", "degraded"].contains(&state.trim()).then_some(())
        });
        if up.is_none() {
            let jobs =
                self.enter(&["systemctl", "list-jobs"]).map(|output| output.stdout).unwrap_or_default();
            panic!("the host is not up after {READY:?}\n{}\n{jobs}", self.console());
        }
        self.booted_in = start.elapsed();
        tell(&format!("host up after {:.1} s", self.booted_in.as_secs_f64()));
    }

    fn await_down(&mut self) {
        let down = wait::until(READY, || find::leader(self.keeper.id()).is_none().then_some(()));
        assert!(down.is_some(), "the host is not down after {READY:?}\n{}", self.console());
    }

    fn enter(&self, argv: &[&str]) -> io::Result<Output> {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.leader.to_string()).arg("--all").arg("--");
        command.args(["/usr/bin/timeout", "--kill-after=5"]).arg(COMMAND.to_string()).args(argv);
        command.env_clear().env("PATH", PATH).env("LANG", "C.UTF-8").env("HOME", "/root").env("TZ", "UTC");
        let output = command.stdin(Stdio::null()).output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Output {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The end of its input has the inner shell end, and with it all that runs in its namespaces.
        drop(self.orders.take());
        if let Err(error) = self.keeper.wait() {
            tell(&format!("the host cannot be waited for: {error}"));
        }
        if self.dir.exists() {
            tell(&format!("{} of a host is left behind", self.dir.display()));
        }
    }
}

/// Removes the control groups of hosts that were killed together with what looks after them, and whose directories are in this
/// one: they are all that such a host leaves besides.
///
/// # Errors
/// If one is there that cannot be removed.
pub fn sweep(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let Some(host) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        for tree in ["", "unified", "systemd"] {
            let group = Path::new("/sys/fs/cgroup").join(tree).join(format!("lictor-h{host}"));
            if group.is_dir() {
                remove_group(&group)?;
            }
        }
    }
    Ok(())
}

/// Removes a control group and those within it. What else is in there are files of the kernel's.
fn remove_group(group: &Path) -> io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_group(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

/// Where programs are, in here and in there.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program that boots it, on a machine that can.
fn requirements() -> PathBuf {
    assert!(
        rustix::process::geteuid().is_root(),
        "booting a host needs root; `cargo xtask test --partial` leaves these tests out and says so"
    );
    let dbus = ["/usr/lib/systemd/system/dbus.service", "/lib/systemd/system/dbus.service"];
    let nspawn = env::var_os("LICTOR_NSPAWN_BIN").map(PathBuf::from);
    let nspawn = nspawn.or_else(|| {
        env::split_paths(PATH).map(|dir| dir.join("systemd-nspawn")).find(|program| program.is_file())
    });
    match nspawn {
        Some(nspawn) if dbus.iter().any(|unit| Path::new(unit).exists()) => nspawn,
        Some(_) | None => {
            panic!("systemd-nspawn or the D-Bus of the system is missing: run `cargo xtask setup`")
        }
    }
}

/// The option that makes a program known in there.
fn bound(program: &Path) -> String {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    format!("--bind-ro={}:/usr/local/bin/{name}", program.display())
}

#[expect(clippy::print_stderr, reason = "the test's output is the only place to say it")]
fn tell(message: &str) {
    eprintln!("{message}");
}

#[cfg(test)]
mod tests;
