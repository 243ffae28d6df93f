//! `cargo xtask setup`: what the tests need of the machine.
//!
//! Packages come from Debian; Consul and what Debian does not have are unpacked beside the build output.
//! Nothing is asked, no service is started, and what is there already is left
//! as it is, so a second run does nothing and takes no time.

pub(crate) mod consul;
mod fetched;
mod host;
mod packages;
mod sources;

use std::fs::{self, File};
use std::path::PathBuf;

use crate::error::Error;
use crate::workspace::Workspace;
pub(crate) use host::Host;
pub(crate) use packages::find_program;
use packages::{PACKAGES, Package};

/// The variable that names a Consul server to use in place of the fetched one.
const CONSUL_VARIABLE: &str = "LICTOR_CONSUL_BIN";

/// What tests can count on after a setup.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    /// Variable and program of each tool that is there.
    pub(crate) found: Vec<(&'static str, PathBuf)>,
    /// What could not be had.
    pub(crate) missing: Vec<Missing>,
}

/// Something the tests want and this machine has not.
#[derive(Debug)]
pub(crate) struct Missing {
    /// The program.
    pub(crate) what: &'static str,
    /// The variable that would name it.
    pub(crate) variable: &'static str,
    /// Why it is not there.
    pub(crate) why: String,
}

/// Finds every tool, installing what is missing where that can be done, and says what it did.
pub(crate) fn setup(workspace: &Workspace, host: &Host) -> Result<Tools, Error> {
    let tools = workspace.tools();
    fs::create_dir_all(&tools).map_err(Error::file("create", &tools))?;
    // One setup at a time: the next one finds everything there.
    let lock_path = tools.join("setup.lock");
    let lock = File::create(&lock_path).map_err(Error::file("create", &lock_path))?;
    lock.lock().map_err(Error::file("lock", &lock_path))?;

    let refusal = install_missing(host);
    let mut tools = Tools::default();
    for package in PACKAGES {
        match locate(package) {
            Some(path) => tools.found.push((package.variable, path)),
            None => tools.missing.push(Missing {
                what: package.program,
                variable: package.variable,
                why: refusal
                    .clone()
                    .unwrap_or_else(|| format!("package {} has no such program", package.name)),
            }),
        }
    }
    match find_consul(workspace, host) {
        Ok(path) => tools.found.push((CONSUL_VARIABLE, path)),
        Err(error) => {
            tools.missing.push(Missing { what: "consul", variable: CONSUL_VARIABLE, why: error.to_string() });
        }
    }
    for wanted in fetched::FETCHED {
        match wanted.ensure(workspace) {
            Ok(path) => tools.found.push((wanted.variable, path)),
            Err(error) => tools.missing.push(Missing {
                what: wanted.program,
                variable: wanted.variable,
                why: error.to_string(),
            }),
        }
    }
    Ok(tools)
}

/// Prints where each tool is, as lines a shell can take over, and what is missing.
pub(crate) fn report(tools: &Tools) -> Result<(), Error> {
    for (variable, path) in &tools.found {
        println!("{variable}={}", path.display());
    }
    if tools.missing.is_empty() {
        return Ok(());
    }
    for missing in &tools.missing {
        println!("missing: {} ({}): {}", missing.what, missing.variable, missing.why);
    }
    Err(Error::Verdict("not everything the tests need is there".to_owned()))
}

/// A program named by its variable, or found where packages put it.
fn locate(package: &Package) -> Option<PathBuf> {
    std::env::var_os(package.variable).map(PathBuf::from).or_else(|| packages::find_program(package.program))
}

/// Installs the packages whose programs are missing; answers why it could not.
fn install_missing(host: &Host) -> Option<String> {
    let wanted: Vec<&Package> = PACKAGES.iter().filter(|package| locate(package).is_none()).collect();
    if wanted.is_empty() {
        return None;
    }
    if let Some(why) = host.cannot_install() {
        return Some(why.to_owned());
    }
    for package in &wanted {
        println!("installing {}: {}", package.name, package.reason);
    }
    let names: Vec<&str> = wanted.iter().map(|package| package.name).collect();
    match packages::install(&names) {
        Ok(off) if off.is_empty() => None,
        Ok(off) => {
            println!("left switched off: {}", off.join(", "));
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

fn find_consul(workspace: &Workspace, host: &Host) -> Result<PathBuf, Error> {
    if let Some(given) = std::env::var_os(CONSUL_VARIABLE) {
        let given = PathBuf::from(given);
        consul::version(&given)?;
        return Ok(given);
    }
    match consul::ensure(workspace, host)? {
        consul::Consul::Present(path) => Ok(path),
        consul::Consul::Fetched(path, mirror) => {
            println!("unpacked Consul under {} (from {mirror}, installed nowhere)", path.display());
            Ok(path)
        }
    }
}
