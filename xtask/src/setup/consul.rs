//! A real Consul server for the tests, unpacked beside the build output and installed nowhere.
//!
//! Debian's `bullseye` suite has Consul 1.8.7, one program that links only libc
//! and runs on later releases as it is. It is fetched by apt with a
//! configuration of its own (own lists, own cache, own source list made from
//! the machine's mirror), so signatures are checked and the system's package
//! state is neither read nor changed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;
use crate::setup::host::Host;
use crate::setup::sources::{self, Source};
use crate::tool::Tool;
use crate::workspace::Workspace;

/// The version the tests are written against.
const VERSION: &str = "1.8.7";

/// The Debian suite that has it.
const SUITE: &str = "bullseye";

/// The keyring that Debian's archives are signed with, where a source names none.
const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Time for the package list (8 MB) or the package (15 MB) on a slow line.
const FETCH: Duration = Duration::from_secs(600);

/// Where the unpacked program is.
pub(crate) fn path(workspace: &Workspace) -> PathBuf {
    home(workspace).join("usr/bin/consul")
}

/// What [`ensure`] found or did.
pub(crate) enum Consul {
    /// It was there already.
    Present(PathBuf),
    /// It was fetched now, from this mirror.
    Fetched(PathBuf, String),
}

/// Makes sure that the program is there and is the version we mean.
pub(crate) fn ensure(workspace: &Workspace, host: &Host) -> Result<Consul, Error> {
    let program = path(workspace);
    if version(&program).is_ok() {
        return Ok(Consul::Present(program));
    }
    let release = host.debian().ok_or_else(|| {
        Error::Verdict(format!("Consul {VERSION} comes from Debian's archive, and this is not Debian; name a server with LICTOR_CONSUL_BIN"))
    })?;
    let mirrors = sources::mirrors(Path::new("/etc/apt"), release)?;
    if mirrors.is_empty() {
        return Err(Error::Verdict(format!(
            "no source under /etc/apt offers `{release} main`, so there is no mirror to ask for Consul"
        )));
    }
    let mut refusals = Vec::new();
    for mirror in &mirrors {
        match fetch(workspace, mirror) {
            Ok(()) => return Ok(Consul::Fetched(program, mirror.uri.clone())),
            Err(error) => refusals.push(format!("{}: {error}", mirror.uri)),
        }
    }
    Err(Error::Verdict(format!(
        "Consul {VERSION} (suite {SUITE}) is not to be had from this machine's mirrors; name a server with LICTOR_CONSUL_BIN\n{}",
        refusals.join("\n")
    )))
}

/// The version a Consul program says it has, without the leading `v`.
pub(crate) fn version(program: &Path) -> Result<String, Error> {
    let said = Tool::new(program).arg("version").deadline(Duration::from_secs(20)).output()?;
    said.lines()
        .next()
        .and_then(|line| line.strip_prefix("Consul "))
        .map(|version| version.trim().trim_start_matches('v').to_owned())
        .ok_or_else(|| Error::Answer { of: "consul version", what: format!("{said:?}") })
}

fn home(workspace: &Workspace) -> PathBuf {
    workspace.tools().join(format!("consul-{VERSION}"))
}

fn fetch(workspace: &Workspace, mirror: &Source) -> Result<(), Error> {
    let apt = PrivateApt::new(&workspace.tools().join("apt"), mirror)?;
    apt.tool("apt-get").args(["update", "--quiet=2"]).quiet()?;
    apt.tool("apt-get").args(["download", "consul", "--quiet=2"]).quiet()?;
    let package = apt.package("consul_")?;

    let unpacked = apt.dir.join("unpacked");
    Tool::new("dpkg-deb").arg("-x").arg(&package).arg(&unpacked).quiet()?;
    let found = version(&unpacked.join("usr/bin/consul"))?;
    // Debian's build says `1.8.7+dfsg1`.
    if found.split('+').next() != Some(VERSION) {
        return Err(Error::Answer { of: "consul version", what: format!("{found} is not {VERSION}") });
    }
    let home = home(workspace);
    if home.exists() {
        fs::remove_dir_all(&home).map_err(Error::file("remove", &home))?;
    }
    fs::rename(&unpacked, &home).map_err(Error::file("create", &home))
}

/// An apt that knows one source and keeps everything in one directory, which goes away with it.
struct PrivateApt {
    dir: PathBuf,
}

impl PrivateApt {
    fn new(dir: &Path, mirror: &Source) -> Result<Self, Error> {
        if dir.exists() {
            // Left over by a run that was killed.
            fs::remove_dir_all(dir).map_err(Error::file("remove", dir))?;
        }
        let apt = Self { dir: dir.to_owned() };
        for part in ["state/lists/partial", "cache/archives/partial"] {
            let part = dir.join(part);
            fs::create_dir_all(&part).map_err(Error::file("create", &part))?;
        }
        apt.write("state/status", "")?;
        apt.write("sources.list", &source_line(mirror))?;
        apt.write("apt.conf", &apt.configuration(&machine_acquire()?))?;
        Ok(apt)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.dir.join(name);
        fs::write(&path, text).map_err(Error::file("write", &path))
    }

    /// Everything of our own, and of the machine's only how things are fetched (proxies and the like).
    fn configuration(&self, machine_acquire: &str) -> String {
        let dir = self.dir.display();
        format!(
            "{machine_acquire}\
             Dir::Etc::main \"/dev/null\";\n\
             Dir::Etc::parts \"/dev/null\";\n\
             Dir::Etc::sourcelist \"{dir}/sources.list\";\n\
             Dir::Etc::sourceparts \"/dev/null\";\n\
             Dir::Etc::preferences \"/dev/null\";\n\
             Dir::Etc::preferencesparts \"/dev/null\";\n\
             Dir::State \"{dir}/state\";\n\
             Dir::State::status \"{dir}/state/status\";\n\
             Dir::Cache \"{dir}/cache\";\n\
             APT::Sandbox::User \"\";\n\
             APT::Update::Error-Mode \"any\";\n\
             APT::Get::AllowUnauthenticated \"false\";\n\
             Acquire::AllowInsecureRepositories \"false\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::Retries \"2\";\n"
        )
    }

    fn tool(&self, program: impl AsRef<OsStr>) -> Tool {
        Tool::new(program)
            .env("APT_CONFIG", self.dir.join("apt.conf"))
            .env("LC_ALL", "C")
            .dir(&self.dir)
            .deadline(FETCH)
    }

    /// The downloaded package whose file name starts like this.
    fn package(&self, start: &str) -> Result<PathBuf, Error> {
        fs::read_dir(&self.dir)
            .map_err(Error::file("list", &self.dir))?
            .filter_map(Result::ok)
            .find(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.starts_with(start) && name.ends_with(".deb")
            })
            .map(|entry| entry.path())
            .ok_or_else(|| Error::Answer { of: "apt-get download", what: "no package was left".to_owned() })
    }
}

impl Drop for PrivateApt {
    fn drop(&mut self) {
        // What stays is removed by the next run.
        drop(fs::remove_dir_all(&self.dir));
    }
}

fn source_line(mirror: &Source) -> String {
    let keyring =
        mirror.signed_by.as_deref().or_else(|| Path::new(DEBIAN_KEYRING).exists().then_some(DEBIAN_KEYRING));
    let options = keyring.map_or_else(String::new, |keyring| format!("[signed-by={keyring}] "));
    format!("deb {options}{} {SUITE} main\n", mirror.uri)
}

/// How this machine fetches packages, in apt's own notation.
fn machine_acquire() -> Result<String, Error> {
    let dump = Tool::new("apt-config").args(["dump", "Acquire"]).output()?;
    Ok(dump
        .lines()
        // Which indexes are fetched beside the package list is of no use here.
        .filter(|line| !line.starts_with("Acquire::IndexTargets"))
        .flat_map(|line| [line, "\n"])
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_line_keeps_the_machines_mirror_and_keyring() {
        let mirrors = {
            let dir = tempfile::tempdir().unwrap();
            let line = "deb [signed-by=/k.gpg] http://mirror.example/debian bookworm main\n";
            fs::write(dir.path().join("sources.list"), line).unwrap();
            sources::mirrors(dir.path(), "bookworm").unwrap()
        };
        assert_eq!(
            source_line(&mirrors[0]),
            "deb [signed-by=/k.gpg] http://mirror.example/debian bullseye main\n"
        );
    }
}
