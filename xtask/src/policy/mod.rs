//! What the project may depend on: licences, crates that are banned, and versions that come twice.
//!
//! It rests on `cargo tree` alone, so it needs no network once the crates are fetched.

mod spdx;

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Error;
use crate::lint;
use crate::workspace::{self, Workspace};

/// Licences that ask for no more than their notice, so that the program can be given away as `MIT OR Apache-2.0`.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that must not come in, and why. That time is jiff's cannot be said here: object_store speaks of it in chrono's
/// types.
const BANNED: &[(&str, &str)] = &[
    ("anyhow", "errors below the program are typed"),
    ("native-tls", "TLS is rustls, on every machine the same"),
    ("openssl", "TLS is rustls, and the program links only libc"),
    ("openssl-sys", "TLS is rustls, and the program links only libc"),
    ("ring", "one TLS provider, aws-lc-rs; with two, one has to be installed by hand"),
];

/// Crates that may come in more than one version, and through whom. `age` rests on an older generation of the same crates.
const DUPLICATES: &[(&str, &str)] = &[
    ("base64", "0.21 by age"),
    ("block-buffer", "0.10 by age"),
    ("chacha20", "0.9 by age"),
    ("cipher", "0.4 by age"),
    ("cpufeatures", "0.2 by age"),
    ("crypto-common", "0.1 by the older digest"),
    ("digest", "0.10 by age and by crc-fast, which object_store wants"),
    ("getrandom", "0.2 by age"),
    ("hmac", "0.12 by age"),
    ("inout", "0.1 by age"),
    ("itertools", "0.14 by ratatui"),
    ("nom", "7 by age"),
    ("pbkdf2", "0.12 by age"),
    ("rand", "0.8 by age"),
    ("rand_core", "0.6 by age"),
    ("rustc-hash", "1 by age"),
    ("salsa20", "0.10 by age"),
    ("scrypt", "0.11 by age"),
    ("self_cell", "0.10 by age"),
    ("sha2", "0.10 by age"),
    ("shlex", "1 by trycmd, 2 by cc; tests and build only"),
    ("signal-hook", "0.3 by crossterm"),
    ("similar", "2 by insta, 3 by trycmd; tests only"),
    ("syn", "the derive crates are moving from 2 to 3; build only"),
    ("thiserror", "1 by age"),
    ("thiserror-impl", "1 by age"),
    ("unicode-width", "0.1 by miette, 0.2 by comfy-table and textwrap"),
];

/// Checks every crate of the lock file that this platform builds.
pub(crate) fn check(workspace: &Workspace) -> Result<String, Error> {
    let crates = read(workspace)?;
    let mut faults = Vec::new();
    faults.extend(licence_faults(&crates));
    faults.extend(banned_faults(&crates));
    faults.extend(duplicate_faults(&crates, DUPLICATES));
    for name in needless(&crates, DUPLICATES) {
        println!("note: {name} no longer comes twice; take it out of the exceptions");
    }
    if faults.is_empty() {
        return Ok(format!("{} crates", crates.len()));
    }
    Err(Error::Verdict(format!("{} against the dependency policy\n{}", faults.len(), faults.join("\n"))))
}

#[derive(Debug)]
struct Crate {
    name: String,
    version: String,
    licence: Option<String>,
}

impl Crate {
    /// The part of a version that changes when it stops being compatible: `1` of 1.2.3, `0.2` of 0.2.3.
    fn series(&self) -> String {
        let mut numbers = self.version.split('.');
        match (numbers.next().unwrap_or_default(), numbers.next()) {
            ("0", Some(minor)) => format!("0.{minor}"),
            (major, _) => major.to_owned(),
        }
    }
}

/// The crates that are built, with the helpers and test tools.
///
/// From `cargo tree` and not `cargo metadata`: the latter lists optional
/// dependencies as well that no feature in use turns on.
fn read(workspace: &Workspace) -> Result<Vec<Crate>, Error> {
    let text = lint::cargo(workspace)
        .args(["tree", "--workspace", "--locked", "--edges", "normal,build,dev", "--prefix", "none"])
        .args(["--format", "{p}\t{l}", "--target", &workspace::platform()?])
        .output()?;
    let lines: BTreeSet<&str> = text.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    lines.into_iter().filter(|line| !line.is_empty()).map(parse).collect()
}

/// `name vversion (more)`, a tab, and the licence.
fn parse(line: &str) -> Result<Crate, Error> {
    let fields = || {
        let (package, licence) = line.split_once('\t')?;
        let mut words = package.split_ascii_whitespace();
        let name = words.next()?.to_owned();
        let version = words.next()?.strip_prefix('v')?.to_owned();
        let licence = Some(licence.trim().to_owned()).filter(|licence| !licence.is_empty());
        Some(Crate { name, version, licence })
    };
    fields().ok_or_else(|| Error::Answer { of: "cargo tree", what: format!("{line:?}") })
}

fn licence_faults(crates: &[Crate]) -> Vec<String> {
    let judge = |package: &Crate| match &package.licence {
        None => Some("names no licence".to_owned()),
        Some(licence) => match spdx::is_allowed(licence, LICENCES) {
            Some(true) => None,
            Some(false) => Some(format!("has the licence `{licence}`, which is not in the list")),
            None => Some(format!("has the licence `{licence}`, which is no SPDX expression")),
        },
    };
    crates
        .iter()
        .filter_map(|package| Some(format!("{} {} {}", package.name, package.version, judge(package)?)))
        .collect()
}

fn banned_faults(crates: &[Crate]) -> Vec<String> {
    let reason = |name: &str| BANNED.iter().find(|(banned, _)| *banned == name).map(|(_, reason)| reason);
    crates
        .iter()
        .filter_map(|package| {
            Some(format!("{} {} is banned: {}", package.name, package.version, reason(&package.name)?))
        })
        .collect()
}

fn duplicate_faults(crates: &[Crate], exceptions: &[(&str, &str)]) -> Vec<String> {
    doubles(crates)
        .into_iter()
        .filter(|(name, _)| !exceptions.iter().any(|(allowed, _)| allowed == name))
        .map(|(name, versions)| {
            format!("{name} comes in several versions: {}", Vec::from_iter(versions).join(", "))
        })
        .collect()
}

/// Exceptions that nothing needs any more.
fn needless<'a>(crates: &[Crate], exceptions: &[(&'a str, &str)]) -> Vec<&'a str> {
    let doubles = doubles(crates);
    exceptions.iter().map(|&(name, _)| name).filter(|name| !doubles.contains_key(name)).collect()
}

/// The crates of several incompatible versions.
fn doubles(crates: &[Crate]) -> BTreeMap<&str, BTreeSet<String>> {
    let mut series: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for package in crates {
        series.entry(&package.name).or_default().insert(package.series());
    }
    series.retain(|_, versions| versions.len() > 1);
    series
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, licence: Option<&str>) -> Crate {
        Crate { name: name.to_owned(), version: version.to_owned(), licence: licence.map(str::to_owned) }
    }

    #[test]
    fn a_line_of_the_tree_is_name_version_and_licence() {
        let read = |line| parse(line).map(|package| (package.name, package.version, package.licence));
        let serde = read("serde_derive v1.0.229 (proc-macro)\tMIT OR Apache-2.0").unwrap();
        assert_eq!(
            serde,
            ("serde_derive".to_owned(), "1.0.229".to_owned(), Some("MIT OR Apache-2.0".to_owned()))
        );
        assert_eq!(read("silent v0.1.0\t").unwrap().2, None);
        assert!(read("no such line").is_err());
    }

    #[test]
    fn a_licence_that_is_missing_or_not_in_the_list_is_told() {
        let crates = [
            package("good", "1.0.0", Some("MIT OR Apache-2.0")),
            package("copyleft", "2.0.0", Some("GPL-3.0-only")),
            package("silent", "0.1.0", None),
        ];
        assert_eq!(
            licence_faults(&crates),
            [
                "copyleft 2.0.0 has the licence `GPL-3.0-only`, which is not in the list",
                "silent 0.1.0 names no licence",
            ]
        );
    }

    #[test]
    fn a_banned_crate_is_told_with_the_reason() {
        let crates = [package("openssl-sys", "0.9.1", Some("MIT"))];
        assert_eq!(
            banned_faults(&crates),
            ["openssl-sys 0.9.1 is banned: TLS is rustls, and the program links only libc"]
        );
    }

    #[test]
    fn two_compatible_versions_are_one_and_two_incompatible_ones_are_told() {
        let crates = [
            package("same", "1.2.0", None),
            package("same", "1.9.0", None),
            package("major", "1.0.0", None),
            package("major", "2.0.0", None),
            package("minor", "0.1.4", None),
            package("minor", "0.2.0", None),
            package("known", "1.0.0", None),
            package("known", "2.0.0", None),
        ];
        assert_eq!(
            duplicate_faults(&crates, &[("known", "why")]),
            ["major comes in several versions: 1, 2", "minor comes in several versions: 0.1, 0.2"]
        );
        assert_eq!(needless(&crates, &[("known", "why"), ("same", "why")]), ["same"]);
    }
}
