//! `cargo xtask dist`: what is given away, with checksums: an archive, a package for Debian and one for rpm.
//!
//! The same commit gives the same bytes: whatever is made here is dated by `SOURCE_DATE_EPOCH` or the commit.

mod deb;
mod manual;
#[cfg(test)]
mod metrics_tests;
mod needs;
mod rpm;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use self::tree::{Family, Parts, Tree};
use crate::error::Error;
use crate::lint::cargo;
use crate::tool::Tool;
use crate::workspace::{self, Workspace};

/// What goes into the archive beside the program: path in the repository, path in the archive.
const CONTENT: &[(&str, &str)] = &[
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("README.md", "README.md"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("docs", "docs"),
    ("examples", "examples"),
    ("packaging/systemd", "systemd"),
    ("packaging/nixos", "nixos"),
    ("packaging/config", "config"),
    ("packaging/sysusers", "sysusers.d"),
    ("packaging/tmpfiles", "tmpfiles.d"),
    ("packaging/polkit", "polkit"),
    ("packaging/container", "container"),
    ("packaging/nomad", "nomad"),
    ("packaging/ansible", "ansible"),
    ("packaging/prometheus", "prometheus"),
    ("packaging/grafana", "grafana"),
];

/// Who answers for the packages.
const MAINTAINER: &str = "The Lictor authors";

/// What a list of packages shows.
const SUMMARY: &str = "keeps services alive without a person awake";

/// What is shown of one package.
const DESCRIPTION: &[&str] = &[
    "Lictor watches services and the machine they run on, judges what it sees, cures what it can by",
    "remedies that survive crashes and reboots, and remembers all of it. It tells people what they have",
    "to know, runs services on one of several nodes, copies keys of Consul between datacenters and takes",
    "its snapshots. It is one program, for one machine or a few hundred, with or without Consul.",
];

/// What the packages say of the program.
#[derive(Clone, Copy, Debug)]
struct About<'a> {
    version: &'a str,
    /// As rustc names it.
    platform: &'a str,
    /// The oldest glibc that it runs with.
    glibc: Option<&'a str>,
    /// Seconds since 1970.
    date: &'a str,
    /// Where the packages go.
    out: &'a Path,
}

/// How hard a package is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pack {
    Small,
    /// Not at all: for tests.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests are in a hurry"))]
    Fast,
}

/// Builds the `dist` profile, or takes a program that was built, and packs it under `<target>/dist-archive`.
pub(crate) fn dist(workspace: &Workspace, program: Option<&Path>) -> Result<(), Error> {
    let platform = workspace::platform()?;
    let out = workspace.target().join("dist-archive");
    if out.exists() {
        fs::remove_dir_all(&out).map_err(Error::file("remove", &out))?;
    }
    let name = format!("lictor-{}-{platform}", env!("CARGO_PKG_VERSION"));
    let stage = out.join(&name);
    let ours = stage.join("bin/lictor");
    match program {
        Some(program) => copy(program, &ours)?,
        None => {
            cargo(workspace).args(["build", "--profile", "dist", "--locked", "--package", "lictor"]).run()?;
            copy(&workspace.target().join("dist/lictor"), &ours)?;
        }
    }
    not_for_tests(&ours)?;
    for (from, to) in CONTENT {
        copy(&workspace.root().join(from), &stage.join(to))?;
    }
    third_party(workspace, &platform, &stage.join("licences"))?;
    let glibc = needs::glibc(&ours)?;
    let path = stage.join("NEEDS.txt");
    fs::write(&path, needed(&platform, glibc.as_deref())).map_err(Error::file("write", &path))?;

    let date = date(workspace)?;
    let archive = format!("{name}.tar.gz");
    pack(&out, &name, &archive, &date)?;
    let about = About {
        version: env!("CARGO_PKG_VERSION"),
        platform: &platform,
        glibc: glibc.as_deref(),
        date: &date,
        out: &out,
    };
    let parts = Parts { program: &ours, licences: &stage.join("licences"), date: &date };
    let debian = Tree::lay(workspace, parts, Family::Debian, out.join("deb"))?;
    let deb = deb::build(workspace, &debian, &about, Pack::Small)?;
    let red_hat = Tree::lay(workspace, parts, Family::RedHat, out.join("rpm"))?;
    let rpm = rpm::build(workspace, &red_hat, &about, Pack::Small)?;

    let files = [Path::new(&archive), &deb, &rpm].map(|file| file.file_name().unwrap_or_default().to_owned());
    let sums = Tool::new("sha256sum").args(&files).dir(&out).output()?;
    let path = out.join("SHA256SUMS");
    fs::write(&path, &sums).map_err(Error::file("write", &path))?;
    for scratch in ["deb", "rpm", "rpmbuild"].map(|name| out.join(name)) {
        fs::remove_dir_all(&scratch).map_err(Error::file("remove", &scratch))?;
    }
    println!("{}:\n{}", out.display(), sums.trim());
    Ok(())
}

/// Refuses a program in which tests can plant faults: it knows the variables by which they do.
fn not_for_tests(program: &Path) -> Result<(), Error> {
    let bytes = fs::read(program).map_err(Error::file("read", program))?;
    let knows = |name: &&str| bytes.windows(name.len()).any(|part| part == name.as_bytes());
    match ["LICTOR_FAULT", "LICTOR_PLANT"].into_iter().find(knows) {
        None => Ok(()),
        Some(name) => Err(Error::Verdict(format!(
            "{} heeds {name}: it is built for tests, with the feature `test-faults`; build it without",
            program.display()
        ))),
    }
}

/// What the machine must have, in words.
fn needed(platform: &str, glibc: Option<&str>) -> String {
    let libc = glibc.map_or_else(
        || "nothing but the kernel: the program is static".to_owned(),
        |version| format!("glibc {version} or later"),
    );
    format!("Built for {platform}. It needs {libc}.\nThe units and drop-ins are for systemd 252 or later.\n")
}

/// By which everything is dated, in seconds since 1970.
fn date(workspace: &Workspace) -> Result<String, Error> {
    let date = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(date) => date,
        Err(_unset) => Tool::new("git").args(["log", "-1", "--format=%ct"]).dir(workspace.root()).output()?,
    };
    Ok(date.trim().to_owned())
}

/// Packs so that the same commit gives the same bytes: sorted, owned by root, dated by the commit.
fn pack(out: &Path, name: &str, archive: &str, date: &str) -> Result<(), Error> {
    Tool::new("tar")
        .args([
            "--create",
            "--sort=name",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "--mode=u+rw,go-w,go+r",
        ])
        .arg(format!("--mtime=@{date}"))
        .args(["--use-compress-program=gzip -n -9", "--file", archive, name])
        .dir(out)
        .quiet()
}

/// Copies the notices of every crate that is linked into the program.
fn third_party(workspace: &Workspace, platform: &str, to: &Path) -> Result<(), Error> {
    let linked = linked(workspace, platform)?;
    let text = cargo(workspace)
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform", platform])
        .output()?;
    let metadata: Value = serde_json::from_str(&text)
        .map_err(|error| Error::Answer { of: "cargo metadata", what: error.to_string() })?;
    let mut list = String::new();
    for package in metadata.get("packages").and_then(Value::as_array).into_iter().flatten() {
        let text = |field: &str| package.get(field).and_then(Value::as_str).unwrap_or_default();
        // Our own crates have no source.
        if text("source").is_empty() || !linked.contains(&format!("{} v{}", text("name"), text("version"))) {
            continue;
        }
        let name = format!("{}-{}", text("name"), text("version"));
        list.extend([&name, ": ", text("license"), "\n"]);
        if let Some(dir) = Path::new(text("manifest_path")).parent() {
            for notice in notices(dir)? {
                copy(&notice, &to.join(&name).join(notice.file_name().unwrap_or_default()))?;
            }
        }
    }
    let path = to.join("LIST.txt");
    fs::create_dir_all(to).map_err(Error::file("create", to))?;
    fs::write(&path, list).map_err(Error::file("write", &path))
}

/// `name vversion` of the crates in the program, build helpers and macros left out.
fn linked(workspace: &Workspace, platform: &str) -> Result<BTreeSet<String>, Error> {
    let tree = cargo(workspace)
        .args(["tree", "--package", "lictor", "--edges", "normal,no-proc-macro", "--prefix", "none"])
        .args(["--format", "{p}", "--locked", "--target", platform])
        .output()?;
    Ok(tree.lines().map(|line| line.split_ascii_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect())
}

/// The licence texts and notices at the top of a crate.
fn notices(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(dir).map_err(Error::file("list", dir))?;
    let mut notices: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.is_file() && path.file_name().and_then(OsStr::to_str).is_some_and(is_notice))
        .collect();
    notices.sort();
    Ok(notices)
}

fn is_notice(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"]
        .iter()
        .any(|start| name.starts_with(start))
}

/// Copies a file, or a directory with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    if from.is_dir() {
        fs::create_dir_all(to).map_err(Error::file("create", to))?;
        for entry in fs::read_dir(from).map_err(Error::file("list", from))? {
            let entry = entry.map_err(Error::file("list", from))?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if let Some(dir) = to.parent() {
        fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
    }
    fs::copy(from, to).map(drop).map_err(Error::file("copy", from))
}
