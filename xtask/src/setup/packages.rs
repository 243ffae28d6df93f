//! The Debian packages the tests and benchmarks use, and installing them without starting anything.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;
use crate::tool::Tool;

/// One package and what it is for.
#[derive(Debug)]
pub(crate) struct Package {
    /// Its name in Debian.
    pub(crate) name: &'static str,
    /// The program we want of it.
    pub(crate) program: &'static str,
    /// The variable by which tests learn where the program is.
    pub(crate) variable: &'static str,
    /// Why it is needed.
    pub(crate) reason: &'static str,
}

/// All of them; each must earn its place.
pub(crate) const PACKAGES: &[Package] = &[
    Package {
        name: "nginx",
        program: "nginx",
        variable: "LICTOR_NGINX_BIN",
        reason: "a real web server for http watchers to probe, and the target of the probe benchmark",
    },
    Package {
        name: "dnsmasq-base",
        program: "dnsmasq",
        variable: "LICTOR_DNSMASQ_BIN",
        reason: "a real name server for dns watchers (this package has the program without the daemon)",
    },
    Package {
        name: "prometheus-blackbox-exporter",
        program: "prometheus-blackbox-exporter",
        variable: "LICTOR_BLACKBOX_BIN",
        reason: "what the probe benchmark is measured against",
    },
    Package {
        name: "monit",
        program: "monit",
        variable: "LICTOR_MONIT_BIN",
        reason: "what the probe, isolation and idle benchmarks are measured against",
    },
    Package {
        name: "faketime",
        program: "faketime",
        variable: "LICTOR_FAKETIME_BIN",
        reason: "a wall clock that a test can step without touching that of the machine",
    },
    Package {
        name: "iproute2",
        program: "ip",
        variable: "LICTOR_IP_BIN",
        reason: "makes networks of their own for nodes that watch each other",
    },
    Package {
        name: "qbittorrent-nox",
        program: "qbittorrent-nox",
        variable: "LICTOR_QBITTORRENT_BIN",
        reason: "a real BitTorrent client for the watcher and the action that know it",
    },
    Package {
        name: "systemd-container",
        program: "systemd-nspawn",
        variable: "LICTOR_NSPAWN_BIN",
        reason: "boots whole machines for the tests of systemd and its journal",
    },
    Package {
        name: "dbus",
        program: "dbus-daemon",
        variable: "LICTOR_DBUS_BIN",
        reason: "the bus of those machines, and one to give odd answers on",
    },
    Package {
        name: "systemd-journal-remote",
        program: "systemd-journal-remote",
        variable: "LICTOR_JOURNAL_REMOTE_BIN",
        reason: "writes real files of journals with the lines, times and boots that a test wants",
    },
    Package {
        name: "prometheus",
        program: "prometheus",
        variable: "LICTOR_PROMETHEUS_BIN",
        reason: "a real Prometheus for the watcher that asks one",
    },
    Package {
        name: "prometheus-alertmanager",
        program: "prometheus-alertmanager",
        variable: "LICTOR_ALERTMANAGER_BIN",
        reason: "a real Alertmanager, whose webhook is a trigger",
    },
    Package {
        name: "redis-server",
        program: "redis-server",
        variable: "LICTOR_REDIS_BIN",
        reason: "a real Redis for the watcher and the action that know it",
    },
    Package {
        name: "python3-aiosmtpd",
        program: "aiosmtpd",
        variable: "LICTOR_AIOSMTPD_BIN",
        reason: "a real mail server for the notifier that sends mail",
    },
    Package {
        name: "influxdb",
        program: "influxd",
        variable: "LICTOR_INFLUXD_BIN",
        reason: "a real InfluxDB for the notifier that writes points",
    },
    Package {
        name: "age",
        program: "age",
        variable: "LICTOR_AGE_BIN",
        reason: "the program whose files snapshots are sealed as, to open ours and to make some",
    },
    Package {
        name: "jq",
        program: "jq",
        variable: "LICTOR_JQ_BIN",
        reason: "a page of the manual reads records with it, and the pages are done as they are written",
    },
    Package {
        name: "ripgrep",
        program: "rg",
        variable: "LICTOR_RIPGREP_BIN",
        reason: "what the benchmark of lines is measured against",
    },
    Package {
        name: "mtail",
        program: "mtail",
        variable: "LICTOR_MTAIL_BIN",
        reason: "what the benchmark of lines is measured against",
    },
    Package {
        name: "fail2ban",
        program: "fail2ban-regex",
        variable: "LICTOR_FAIL2BAN_BIN",
        reason: "what the benchmark of lines is measured against",
    },
    Package {
        name: "nix-bin",
        program: "nix-instantiate",
        variable: "LICTOR_NIX_BIN",
        reason: "evaluates the NixOS module (no daemon is started and nothing is fetched)",
    },
    Package {
        name: "rpm",
        program: "rpmbuild",
        variable: "LICTOR_RPMBUILD_BIN",
        reason: "builds the package for rpm",
    },
    Package {
        name: "virtualenv",
        program: "virtualenv",
        variable: "LICTOR_VIRTUALENV_BIN",
        reason: "keeps moto, a real server of objects, to itself",
    },
    Package {
        name: "nodejs",
        program: "node",
        variable: "LICTOR_NODE_BIN",
        reason: "runs s3rver and Azurite, real servers of objects, and what drives a browser",
    },
    Package {
        name: "npm",
        program: "npm",
        variable: "LICTOR_NPM_BIN",
        reason: "fetches s3rver, Azurite and what drives a browser",
    },
    Package {
        name: "chromium",
        program: "chromium",
        variable: "LICTOR_CHROMIUM_BIN",
        reason: "a real browser, in which tests do what people do with the page",
    },
];

/// Time to install everything on a slow line, waiting for another apt included.
const INSTALL: Duration = Duration::from_secs(1200);

/// Finds a program where packages put them, whatever PATH says.
pub(crate) fn find_program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/lib/systemd"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|dir| dir.join(program)).find(|path| is_program(path))
}

/// Installs packages; their services are neither started now nor enabled for the next boot.
///
/// Returns the units that were switched off.
pub(crate) fn install(names: &[&str]) -> Result<Vec<String>, Error> {
    apt().args(["update", "--quiet=2"]).quiet()?;
    let before = installed()?;
    {
        let _quiet = NoStart::set(Path::new("/usr/sbin/policy-rc.d"))?;
        apt().args(["install", "--yes", "--quiet=2", "--no-install-recommends"]).args(names).quiet()?;
    }
    let mut off = Vec::new();
    for package in installed()?.difference(&before) {
        off.extend(disable_units(package)?);
    }
    Ok(off)
}

fn apt() -> Tool {
    Tool::new("apt-get")
        .args([
            "-o",
            "DPkg::Lock::Timeout=300",
            "-o",
            "APT::Update::Error-Mode=any",
            "-o",
            "Acquire::Retries=2",
        ])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C")
        .deadline(INSTALL)
}

fn installed() -> Result<BTreeSet<String>, Error> {
    let list = Tool::new("dpkg-query")
        .args(["--show", "--showformat=${Package}\\t${db:Status-Status}\\n"])
        .output()?;
    Ok(list.lines().filter_map(|line| line.strip_suffix("\tinstalled")).map(str::to_owned).collect())
}

/// Takes the services of a package that was installed just now out of the boot.
fn disable_units(package: &str) -> Result<Vec<String>, Error> {
    let files = Tool::new("dpkg-query").args(["--listfiles", package]).output()?;
    let mut off = Vec::new();
    for unit in names_under(&files, &["/usr/lib/systemd/system/", "/lib/systemd/system/"]) {
        if is_enabled(unit) && has_install_section(unit) {
            Tool::new("systemctl").args(["disable", "--quiet", unit]).quiet()?;
            off.push(unit.to_owned());
        }
    }
    // Scripts of the older kind, where the package has no unit of that name.
    for script in names_under(&files, &["/etc/init.d/"]) {
        if has_start_link(script) {
            Tool::new("update-rc.d").args([script, "disable"]).quiet()?;
            off.push(script.to_owned());
        }
    }
    Ok(off)
}

/// The names of a package's files directly in one of these directories, templates left out.
fn names_under<'a>(files: &'a str, dirs: &[&str]) -> Vec<&'a str> {
    files
        .lines()
        .filter_map(|file| dirs.iter().find_map(|dir| file.strip_prefix(dir)))
        .filter(|name| !name.contains(['/', '@']))
        .collect()
}

fn is_enabled(unit: &str) -> bool {
    Tool::new("systemctl").args(["is-enabled", "--quiet", unit]).quiet().is_ok()
}

/// Without one a unit is `static`: nothing to switch off.
fn has_install_section(unit: &str) -> bool {
    ["/usr/lib/systemd/system", "/lib/systemd/system"]
        .iter()
        .filter_map(|dir| fs::read_to_string(Path::new(dir).join(unit)).ok())
        .any(|text| text.lines().any(|line| line.trim() == "[Install]"))
}

/// Whether an init script starts at boot: an `S..NAME` link in a run level's directory.
fn has_start_link(script: &str) -> bool {
    (2..=5).any(|level| {
        fs::read_dir(format!("/etc/rc{level}.d")).into_iter().flatten().filter_map(Result::ok).any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with('S') && name.get(3..) == Some(script)
        })
    })
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// While it exists, package scripts may not start services (invoke-rc.d(8)):
/// a `policy-rc.d` that answers 101, "forbidden", to everything.
struct NoStart {
    path: PathBuf,
}

/// The first lines of our file, by which a later run knows one that was left behind.
const POLICY: &str =
    "#!/bin/sh\n# lictor xtask: no service is started while packages are installed\nexit 101\n";

impl NoStart {
    fn set(path: &Path) -> Result<Self, Error> {
        let policy = Self { path: path.to_owned() };
        if fs::read_to_string(path).is_ok_and(|text| text == POLICY) {
            // A run was killed before it could tidy up; this one will.
            return Ok(policy);
        }
        if path.exists() {
            let aside = policy.aside();
            fs::rename(path, &aside).map_err(Error::file("move aside", path))?;
        }
        fs::write(path, POLICY).map_err(Error::file("write", path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
            .map_err(Error::file("make executable", path))?;
        Ok(policy)
    }

    /// Where the machine's own policy waits meanwhile.
    fn aside(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".before-lictor-xtask");
        PathBuf::from(name)
    }
}

impl Drop for NoStart {
    fn drop(&mut self) {
        // Renaming the old one over ours, or failing that removing ours.
        if fs::rename(self.aside(), &self.path).is_err() {
            drop(fs::remove_file(&self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_forbids_and_is_gone_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy-rc.d");
        {
            let _policy = NoStart::set(&path).unwrap();
            let error = Tool::new(&path).args(["nginx", "start"]).quiet().unwrap_err();
            assert!(error.to_string().contains("exit status: 101"), "{error}");
        }
        assert!(!path.exists());
    }

    #[test]
    fn a_policy_of_the_machines_own_comes_back_even_after_a_killed_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy-rc.d");
        fs::write(&path, "#!/bin/sh\nexit 0\n").unwrap();
        std::mem::forget(NoStart::set(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), POLICY);
        drop(NoStart::set(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "#!/bin/sh\nexit 0\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_program_is_found_outside_of_path_and_a_missing_one_is_not() {
        assert!(find_program("sh").is_some());
        assert_eq!(find_program("no-such-program-here"), None);
    }
}
