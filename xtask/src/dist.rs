//! `cargo xtask dist`: the archive that is given away, with its checksum.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

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
];

/// Builds the `dist` profile and packs it under `<target>/dist`.
pub(crate) fn dist(workspace: &Workspace) -> Result<(), Error> {
    let platform = workspace::platform()?;
    cargo(workspace).args(["build", "--profile", "dist", "--locked", "--package", "lictor"]).run()?;

    let name = format!("lictor-{}-{platform}", env!("CARGO_PKG_VERSION"));
    let out = workspace.target().join("dist-archive");
    if out.exists() {
        fs::remove_dir_all(&out).map_err(Error::file("remove", &out))?;
    }
    let stage = out.join(&name);
    copy(&workspace.target().join("dist/lictor"), &stage.join("bin/lictor"))?;
    for (from, to) in CONTENT {
        copy(&workspace.root().join(from), &stage.join(to))?;
    }
    third_party(workspace, &platform, &stage.join("licences"))?;

    let archive = format!("{name}.tar.gz");
    pack(workspace, &out, &name, &archive)?;
    let sums = Tool::new("sha256sum").arg(&archive).dir(&out).output()?;
    let path = out.join("SHA256SUMS");
    fs::write(&path, &sums).map_err(Error::file("write", &path))?;
    println!("{}\n{}", out.join(&archive).display(), sums.trim());
    Ok(())
}

/// Packs so that the same commit gives the same bytes: sorted, owned by root, dated by the commit.
fn pack(workspace: &Workspace, out: &Path, name: &str, archive: &str) -> Result<(), Error> {
    let date = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(date) => date,
        Err(_unset) => Tool::new("git").args(["log", "-1", "--format=%ct"]).dir(workspace.root()).output()?,
    };
    Tool::new("tar")
        .args([
            "--create",
            "--sort=name",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "--mode=u+rw,go-w,go+r",
        ])
        .arg(format!("--mtime=@{}", date.trim()))
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_missing_file_is_named() {
        let error = copy(Path::new("/nowhere/README.md"), Path::new("/nowhere/else/README.md"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("/nowhere"), "{error}");
    }

    #[test]
    fn licence_texts_are_told_from_other_files() {
        assert!(["LICENSE-MIT", "license.md", "COPYRIGHT", "NOTICE", "UNLICENSE"].into_iter().all(is_notice));
        assert!(!["README.md", "Cargo.toml", "lib.rs"].into_iter().any(is_notice));
    }
}
