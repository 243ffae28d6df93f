//! The package for Debian and what comes from it, built by its own `dpkg-deb`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use super::tree::{CONFIG, Tree};
use super::{About, Pack};
use crate::error::Error;
use crate::tool::Tool;
use crate::workspace::Workspace;

/// What is run when a package comes and goes.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Builds it beside the tree, and says where.
pub(super) fn build(
    workspace: &Workspace,
    tree: &Tree,
    about: &About<'_>,
    pack: Pack,
) -> Result<PathBuf, Error> {
    let control = tree.root().join("DEBIAN");
    let (sums, kib) = contents(tree)?;
    let architecture = architecture(about.platform);
    fs::create_dir(&control).map_err(Error::file("create", &control))?;
    let write = |name: &str, text: &str, mode| {
        let path = control.join(name);
        fs::write(&path, text).map_err(Error::file("write", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(Error::file("change", &path))
    };
    write("control", &described(about, architecture, kib), 0o644)?;
    write("conffiles", &format!("/{CONFIG}\n"), 0o644)?;
    write("md5sums", &sums, 0o644)?;
    for script in SCRIPTS {
        let path = workspace.root().join("packaging/deb").join(script);
        let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        write(script, &text, 0o755)?;
    }
    fs::set_permissions(&control, fs::Permissions::from_mode(0o755))
        .map_err(Error::file("change", &control))?;

    let file = about.out.join(format!("lictor_{}_{architecture}.deb", about.version));
    let compress = match pack {
        Pack::Small => ["-Zxz", "-z6"],
        Pack::Fast => ["-Znone", "-z0"],
    };
    Tool::new("dpkg-deb")
        .args(["--root-owner-group", "--build"])
        .args(compress)
        .args([tree.root(), &file])
        // Nothing in it is younger than this.
        .env("SOURCE_DATE_EPOCH", about.date)
        .deadline(Duration::from_secs(600))
        .quiet()?;
    Ok(file)
}

/// The sums of all files, as `dpkg --verify` wants them, and their size in KiB.
fn contents(tree: &Tree) -> Result<(String, u64), Error> {
    let files = tree.files()?;
    let sums = Tool::new("md5sum").args(&files).dir(tree.root()).output()?;
    let mut kib = 0;
    for file in &files {
        let path = tree.root().join(file);
        kib += path.metadata().map_err(Error::file("read", &path))?.len().div_ceil(1024);
    }
    Ok((sums, kib))
}

/// As Debian calls it.
fn architecture(platform: &str) -> &str {
    match platform.split('-').next().unwrap_or_default() {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "riscv64gc" => "riscv64",
        other => other,
    }
}

/// The fields of its description (deb-control(5)).
fn described(about: &About<'_>, architecture: &str, kib: u64) -> String {
    let mut text = format!(
        "Package: lictor\nVersion: {}\nArchitecture: {architecture}\nMaintainer: {}\nInstalled-Size: {kib}\n\
         Section: admin\nPriority: optional\n",
        about.version,
        super::MAINTAINER,
    );
    // What systemd-sysusers is part of; the first also has the units run.
    let mut depends = vec!["systemd | systemd-standalone-sysusers".to_owned(), "passwd".to_owned()];
    if let Some(glibc) = about.glibc {
        depends.extend([format!("libc6 (>= {glibc})"), "libgcc-s1".to_owned()]);
    }
    text.extend(["Depends: ", &depends.join(", "), "\n"]);
    text.push_str("Recommends: ca-certificates, polkitd\n");
    text.extend(["Description: ", super::SUMMARY, "\n"]);
    for line in super::DESCRIPTION {
        text.extend([" ", line, "\n"]);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_program_without_glibc_needs_none() {
        let about = |glibc| About {
            version: "1.2.3",
            platform: "x86_64-unknown-linux-gnu",
            glibc,
            date: "0",
            out: Path::new("/nowhere"),
        };
        assert!(described(&about(Some("2.34")), "amd64", 7).contains("libc6 (>= 2.34), libgcc-s1\n"));
        let text = described(&about(None), "amd64", 7);
        assert!(!text.contains("libc6") && text.contains("Version: 1.2.3\nArchitecture: amd64\n"), "{text}");
        assert!(
            text.lines()
                .skip_while(|line| !line.starts_with("Description"))
                .skip(1)
                .all(|line| line.starts_with(' '))
        );
    }

    #[test]
    fn processors_are_called_as_debian_calls_them() {
        assert_eq!(architecture("x86_64-unknown-linux-musl"), "amd64");
        assert_eq!(architecture("aarch64-unknown-linux-gnu"), "arm64");
    }
}
