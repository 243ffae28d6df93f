//! The package for Fedora, Red Hat and what comes from them, built by `rpmbuild`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::tree::{CONFIG, SECRETS, Tree};
use super::{About, Pack};
use crate::error::Error;
use crate::setup::find_program;
use crate::tool::Tool;
use crate::workspace::Workspace;

/// What is run when a package comes and goes: rpm's name for it, and our file.
const SCRIPTS: [(&str, &str); 3] = [("post", "post"), ("preun", "preun"), ("postun", "postun")];

/// Directories that are nobody else's.
const OURS: [&str; 4] = ["etc/lictor.d", SECRETS, "usr/share/lictor", "usr/share/doc/lictor"];

/// Builds it beside the tree, and says where.
pub(super) fn build(
    workspace: &Workspace,
    tree: &Tree,
    about: &About<'_>,
    pack: Pack,
) -> Result<PathBuf, Error> {
    let top = about.out.join("rpmbuild");
    fs::create_dir_all(&top).map_err(Error::file("create", &top))?;
    let mut scripts = Vec::new();
    for (section, file) in SCRIPTS {
        let path = workspace.root().join("packaging/rpm").join(file);
        scripts.push((section, fs::read_to_string(&path).map_err(Error::file("read", &path))?));
    }
    let spec = top.join("lictor.spec");
    let text = spec_text(tree, about, pack, &scripts)?;
    fs::write(&spec, text).map_err(Error::file("write", &spec))?;

    let architecture = about.platform.split('-').next().unwrap_or_default();
    // It may have been installed by a setup a moment ago, and be named by its variable.
    let program =
        std::env::var_os("LICTOR_RPMBUILD_BIN").map(PathBuf::from).or_else(|| find_program("rpmbuild"));
    Tool::new(program.unwrap_or_else(|| PathBuf::from("rpmbuild")))
        .args(["-bb", "--quiet", "--target"])
        .arg(format!("{architecture}-linux"))
        .arg("--define")
        .arg(format!("_topdir {}", top.display()))
        .arg(&spec)
        .env("SOURCE_DATE_EPOCH", about.date)
        .deadline(Duration::from_secs(600))
        .quiet()?;
    let name = format!("lictor-{}-1.{architecture}.rpm", about.version);
    let (built, file) = (top.join("RPMS").join(architecture).join(&name), about.out.join(&name));
    fs::rename(&built, &file).map_err(Error::file("move", &built))?;
    Ok(file)
}

/// What rpmbuild goes by.
fn spec_text(
    tree: &Tree,
    about: &About<'_>,
    pack: Pack,
    scripts: &[(&str, String)],
) -> Result<String, Error> {
    let payload = match pack {
        Pack::Small => "w6.xzdio",
        Pack::Fast => "w1.gzdio",
    };
    let mut text = format!(
        "# The program is there already: nothing is compiled, stripped or packed again.\n\
         %global debug_package %{{nil}}\n%global __os_install_post %{{nil}}\n%global _build_id_links none\n\
         %global _binary_payload {payload}\n\
         # The same tree gives the same bytes.\n\
         %global _buildhost localhost\n%global use_source_date_epoch_as_buildtime 1\n\
         %global clamp_mtime_to_source_date_epoch 1\n\n\
         Name: lictor\nVersion: {}\nRelease: 1\nSummary: {}\nLicense: MIT OR Apache-2.0\nGroup: System\n\
         Requires: systemd\nRequires: shadow-utils\nRecommends: polkit\nRecommends: ca-certificates\n\n%description\n",
        about.version,
        super::SUMMARY,
    );
    for line in super::DESCRIPTION {
        text.extend([line, "\n"]);
    }
    text.extend([
        "\n%install\nmkdir -p %{buildroot}\ncp -a ",
        &tree.root().display().to_string(),
        "/. %{buildroot}\n",
    ]);
    for (section, script) in scripts {
        text.extend(["\n%", section, "\n", script]);
    }
    text.push_str("\n%files\n%defattr(-,root,root,-)\n");
    for dir in tree.dirs()?.iter().filter(|dir| OURS.iter().any(|ours| dir.starts_with(ours))) {
        let mode = if dir == Path::new(SECRETS) { "%attr(0700,root,root) " } else { "" };
        text.extend([mode, "%dir \"/", &dir.display().to_string(), "\"\n"]);
    }
    for file in tree.files()? {
        let kind = match file.to_str() {
            Some(CONFIG) => "%config(noreplace) ",
            Some(path) if path.starts_with("usr/share/doc/") || path.starts_with("usr/share/man/") => "%doc ",
            _ => "",
        };
        text.extend([kind, "\"/", &file.display().to_string(), "\"\n"]);
    }
    Ok(text)
}
