//! The files of a package as they lie on a machine, below a directory.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::manual;
use crate::error::Error;
use crate::tool::Tool;
use crate::workspace::Workspace;

/// What is put where: path in the repository, path on the machine.
const FILES: &[(&str, &str)] = &[
    ("packaging/config/lictor.hcl", "etc/lictor.d/lictor.hcl"),
    ("packaging/systemd/lictor.service", "usr/lib/systemd/system/lictor.service"),
    ("packaging/sysusers/lictor.conf", "usr/lib/sysusers.d/lictor.conf"),
    ("packaging/tmpfiles/lictor.conf", "usr/lib/tmpfiles.d/lictor.conf"),
    ("packaging/polkit/60-lictor.rules", "usr/share/polkit-1/rules.d/60-lictor.rules"),
    // Drop-ins and the units of replaced programs, for who wants them.
    ("packaging/systemd", "usr/share/lictor/systemd"),
    ("packaging/prometheus", "usr/share/lictor/prometheus"),
    ("packaging/grafana", "usr/share/lictor/grafana"),
    ("README.md", "usr/share/doc/lictor/README.md"),
    ("docs", "usr/share/doc/lictor/docs"),
    ("examples", "usr/share/doc/lictor/examples"),
    ("packaging/deb/copyright", "usr/share/doc/lictor/copyright"),
];

/// The file that people edit: an upgrade leaves what they wrote.
pub(super) const CONFIG: &str = "etc/lictor.d/lictor.hcl";

/// Where secrets lie, for root alone; systemd hands them on to the agent.
pub(super) const SECRETS: &str = "etc/lictor.secrets";

/// Whose habits the paths follow where they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Debian,
    RedHat,
}

/// All files of a package below one directory.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
}

/// What goes in besides the files of the repository.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    /// The program, called `lictor`.
    pub(super) program: &'a Path,
    /// A directory with the licences of what is linked into it.
    pub(super) licences: &'a Path,
    /// Seconds since 1970: what is made now is dated so.
    pub(super) date: &'a str,
}

impl Tree {
    /// Lays them out in a directory that is not there yet.
    pub(super) fn lay(
        workspace: &Workspace,
        parts: Parts<'_>,
        family: Family,
        root: PathBuf,
    ) -> Result<Self, Error> {
        let tree = Self { root };
        super::copy(parts.program, &tree.root.join("usr/bin/lictor"))?;
        for (from, to) in FILES {
            super::copy(&workspace.root().join(from), &tree.root.join(to))?;
        }
        super::copy(parts.licences, &tree.root.join("usr/share/doc/lictor/licences"))?;
        let changes = tree.root.join("usr/share/doc/lictor/changelog");
        super::copy(&workspace.root().join("CHANGELOG.md"), &changes)?;
        tree.completions(parts.program, family)?;
        let day =
            Tool::new("date").args(["--utc", "+%Y-%m-%d", &format!("--date=@{}", parts.date)]).output()?;
        let pages = tree.root.join("usr/share/man/man1");
        manual::write(parts.program, day.trim(), &pages)?;
        let pages = tree.files()?.into_iter().filter(|file| file.starts_with("usr/share/man"));
        let packed = pages.chain([PathBuf::from("usr/share/doc/lictor/changelog")]);
        Tool::new("gzip").args(["--no-name", "-9"]).args(packed).dir(&tree.root).quiet()?;
        tree.modes()?;
        Ok(tree)
    }

    /// Where it is.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// All files in it, as paths from its top, in order.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let mut files = Vec::new();
        self.walk(&self.root, &mut |path, is_dir| {
            if !is_dir {
                files.push(path);
            }
        })?;
        files.sort();
        Ok(files)
    }

    /// All directories in it, as paths from its top, in order.
    pub(super) fn dirs(&self) -> Result<Vec<PathBuf>, Error> {
        let mut dirs = Vec::new();
        self.walk(&self.root, &mut |path, is_dir| {
            if is_dir {
                dirs.push(path);
            }
        })?;
        dirs.sort();
        Ok(dirs)
    }

    fn walk(&self, dir: &Path, take: &mut impl FnMut(PathBuf, bool)) -> Result<(), Error> {
        for entry in fs::read_dir(dir).map_err(Error::file("list", dir))? {
            let path = entry.map_err(Error::file("list", dir))?.path();
            let within = path.strip_prefix(&self.root).unwrap_or(&path).to_owned();
            take(within, path.is_dir());
            if path.is_dir() {
                self.walk(&path, take)?;
            }
        }
        Ok(())
    }

    fn completions(&self, program: &Path, family: Family) -> Result<(), Error> {
        let zsh = match family {
            Family::Debian => "usr/share/zsh/vendor-completions/_lictor",
            Family::RedHat => "usr/share/zsh/site-functions/_lictor",
        };
        for (shell, at) in [
            ("bash", "usr/share/bash-completion/completions/lictor"),
            ("zsh", zsh),
            ("fish", "usr/share/fish/vendor_completions.d/lictor.fish"),
        ] {
            let script = Tool::new(program).args(["completions", shell]).output()?;
            let path = self.root.join(at);
            let dir = path.parent().unwrap_or(&self.root);
            fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
            fs::write(&path, script).map_err(Error::file("write", &path))?;
        }
        Ok(())
    }

    /// The same whatever the mask of who builds: everybody may read, the program runs, secrets are root's.
    fn modes(&self) -> Result<(), Error> {
        let secrets = self.root.join(SECRETS);
        fs::create_dir_all(&secrets).map_err(Error::file("create", &secrets))?;
        let set = |path: &Path, mode| {
            let path = self.root.join(path);
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(Error::file("change", &path))
        };
        for dir in self.dirs()? {
            set(&dir, if dir == Path::new(SECRETS) { 0o700 } else { 0o755 })?;
        }
        for file in self.files()? {
            set(&file, if file == Path::new("usr/bin/lictor") { 0o755 } else { 0o644 })?;
        }
        set(Path::new(""), 0o755)
    }
}
