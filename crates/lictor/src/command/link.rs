//! `lictor link`: makes this program answer to the name of one that it replaces.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;

use crate::cli::Link as Args;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal, table};

/// The names that it answers to, and where it is told what that means.
pub(crate) const NAMES: [(&str, &str); 8] = [
    ("bbbsupervisor", "docs/supervisor.md"),
    ("consul-alerts", "docs/consul-alerts.md"),
    ("consul-replicate", "docs/consul-replicate.md"),
    ("consul-snapshot", "docs/snapshot.md"),
    ("powerconsul", "docs/powerconsul.md"),
    ("probe", "docs/peers.md"),
    ("router", "docs/peers.md"),
    ("watcher", "docs/peers.md"),
];

/// What the program that was there is called then.
const KEPT: &str = ".before-lictor";

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let own = called_by()?;
    if args.names.is_empty() {
        return list(args, &own);
    }
    for name in &args.names {
        if !NAMES.iter().any(|(known, _)| known == name) {
            let known: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
            let failure = Failure::new(Exit::Usage, format!("`{name}` is no program that this one replaces"));
            return Err(failure.help(format!("it answers to {}", known.join(", "))));
        }
    }
    for name in &args.names {
        let path = args.dir.join(name);
        let done = if args.remove { remove(&path, &own) } else { make(&path, &own, args.force) };
        Terminal::data(&done?)?;
    }
    Ok(())
}

fn list(args: &Args, own: &Path) -> Result<(), Failure> {
    let rows: Vec<_> = NAMES
        .iter()
        .map(|(name, manual)| {
            let path = args.dir.join(name);
            let there = match There::at(&path, own) {
                There::Nothing => "-".to_owned(),
                There::Ours => format!("{} is a link to this program", path.display()),
                There::Other => format!("{} is another program", path.display()),
            };
            [(*name).to_owned(), there, (*manual).to_owned()]
        })
        .collect();
    match args.format {
        Format::Text => Terminal::data(&table(["NAME", "THERE", "MANUAL"], rows)),
        Format::Json => {
            let linked = |name: &str| There::at(&args.dir.join(name), own) == There::Ours;
            let names = NAMES
                .iter()
                .map(|(name, manual)| json!({"name": name, "linked": linked(name), "manual": manual}));
            Terminal::json(&json!({ "dir": args.dir, "names": names.collect::<Vec<_>>() }))
        }
    }
}

/// This program by the path it was called by: one that leads to it also after an upgrade, when that path is a link to another
/// file.
fn called_by() -> Result<PathBuf, Failure> {
    let unknown =
        |error| Failure::new(Exit::Failed, format!("it is not known where this program is: {error}"));
    let own = std::env::current_exe().map_err(unknown)?;
    let word = PathBuf::from(std::env::args_os().next().unwrap_or_default());
    let here = std::env::current_dir().map_err(unknown)?;
    let places: Vec<PathBuf> = if word.components().count() > 1 {
        vec![here.join(&word)]
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|dir| here.join(dir).join(&word)).collect()
    };
    let leads_here = |path: &PathBuf| fs::canonicalize(path).is_ok_and(|end| end == own);
    Ok(places.into_iter().find(leads_here).unwrap_or(own))
}

/// What has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum There {
    Nothing,
    /// A link to this program.
    Ours,
    Other,
}

impl There {
    fn at(path: &Path, own: &Path) -> Self {
        let target = match fs::read_link(path) {
            Ok(target) => target,
            Err(error) if error.kind() == ErrorKind::NotFound => return Self::Nothing,
            Err(_no_link) => return Self::Other,
        };
        let same = fs::canonicalize(path).is_ok_and(|end| fs::canonicalize(own).is_ok_and(|own| own == end));
        // Another version of it, or one that is gone.
        let by_name = target.file_name().is_some_and(|name| name == "lictor");
        if same || by_name { Self::Ours } else { Self::Other }
    }
}

/// Makes the link; a program that is there is kept under another name, if that was asked for.
fn make(path: &Path, own: &Path, force: bool) -> Result<String, Failure> {
    let failed = |what: &str, error: &io::Error| failed(what, path, error);
    let (kept, fresh, shown) = (kept(path), fresh(path), path.display());
    let made = || format!("{shown} → {}", own.display());
    match There::at(path, own) {
        There::Nothing => {
            // Whatever is put there meanwhile stays.
            symlink(own, path).map_err(|error| failed("cannot make", &error))?;
            return Ok(made());
        }
        There::Ours => {
            // An earlier call was ended in the middle.
            if fs::symlink_metadata(&fresh).is_ok() && There::at(&fresh, own) == There::Other {
                keep(&fresh, &kept).map_err(|error| failed("cannot keep what was", &error))?;
            }
            if fs::read_link(path).is_ok_and(|target| target == own) {
                return Ok(format!("{shown} is a link to this program already"));
            }
            renewed(&fresh, own).map_err(|error| failed("cannot make", &error))?;
            fs::rename(&fresh, path).map_err(|error| failed("cannot make", &error))?;
            return Ok(made());
        }
        There::Other => {}
    }
    if !force {
        let why = format!("{shown} is there and is no link to this program");
        let help = format!("--force keeps it as {} and puts a link there", kept.display());
        return Err(Failure::new(Exit::Failed, why).help(help));
    }
    if fs::symlink_metadata(&kept).is_ok() {
        let why = format!("{} is there already, and would be lost", kept.display());
        return Err(Failure::new(Exit::Failed, why).help("move it away first"));
    }
    // The two change places in one go: the name is never without a program, and nothing that is put there meanwhile is lost.
    renewed(&fresh, own).map_err(|error| failed("cannot make", &error))?;
    renameat_with(CWD, &fresh, CWD, path, RenameFlags::EXCHANGE)
        .map_err(|error| failed("cannot make", &error.into()))?;
    keep(&fresh, &kept).map_err(|error| failed("cannot keep what was", &error))?;
    Ok(format!("{}; what was there is {}", made(), kept.display()))
}

/// A new link beside the name, in place of what an earlier call may have left there.
fn renewed(fresh: &Path, own: &Path) -> io::Result<()> {
    match There::at(fresh, own) {
        There::Nothing => {}
        There::Ours => fs::remove_file(fresh)?,
        There::Other => {
            return Err(io::Error::new(
                ErrorKind::AlreadyExists,
                format!("{} is in the way", fresh.display()),
            ));
        }
    }
    symlink(own, fresh)
}

/// Gives a program the name under which it waits; nothing loses that name.
fn keep(program: &Path, kept: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, program, CWD, kept, RenameFlags::NOREPLACE)?)
}

fn fresh(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{}.lictor", path.file_name().unwrap_or_default().to_string_lossy()))
}

/// Removes a link that is ours, and puts back what was there before.
fn remove(path: &Path, own: &Path) -> Result<String, Failure> {
    let failed = |what: &str, error: &io::Error| failed(what, path, error);
    let kept = kept(path);
    match There::at(path, own) {
        There::Nothing => Ok(format!("{} is not there", path.display())),
        There::Other => Err(Failure::new(
            Exit::Failed,
            format!("{} is no link to this program and stays", path.display()),
        )),
        There::Ours if fs::symlink_metadata(&kept).is_ok() => {
            fs::rename(&kept, path).map_err(|error| failed("cannot put back", &error))?;
            Ok(format!("{} is what it was before", path.display()))
        }
        There::Ours => {
            fs::remove_file(path).map_err(|error| failed("cannot remove", &error))?;
            Ok(format!("{} is gone", path.display()))
        }
    }
}

fn kept(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(KEPT);
    path.with_file_name(name)
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(Exit::Failed, format!("{what} {}: {error}", path.display()));
    match error.kind() {
        ErrorKind::PermissionDenied => {
            failure.help("run it as root, or name a folder of your own with --dir")
        }
        ErrorKind::NotFound => failure.help("name a folder that is there with --dir"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_there_is_kept_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let (own, path) = (dir.path().join("lictor"), dir.path().join("watcher"));
        fs::write(&own, "ours").unwrap();
        let own = fs::canonicalize(own).unwrap();
        fs::write(&path, "theirs").unwrap();
        let refused = make(&path, &own, false).unwrap_err();
        assert!(refused.message().contains("is no link to this program"));
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
        make(&path, &own, true).unwrap();
        assert_eq!(There::at(&path, &own), There::Ours);
        assert_eq!(fs::read(dir.path().join("watcher.before-lictor")).unwrap(), b"theirs");
        assert!(make(&path, &own, true).unwrap().contains("already"));
        // After an upgrade it is another file.
        let newer = dir.path().join("2").join("lictor");
        fs::create_dir(newer.parent().unwrap()).unwrap();
        fs::rename(&own, &newer).unwrap();
        assert_eq!(There::at(&path, &newer), There::Ours);
        assert!(make(&path, &newer, false).unwrap().contains("2/lictor"));
        fs::rename(&newer, &own).unwrap();
        remove(&path, &own).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
        assert!(remove(&path, &own).is_err(), "it is not ours");
    }

    #[test]
    fn what_was_kept_is_never_lost() {
        let dir = tempfile::tempdir().unwrap();
        let (own, path) = (dir.path().join("lictor"), dir.path().join("probe"));
        fs::write(&own, "ours").unwrap();
        let own = fs::canonicalize(own).unwrap();
        fs::write(dir.path().join("probe.before-lictor"), "old").unwrap();
        fs::write(&path, "new").unwrap();
        assert!(make(&path, &own, true).unwrap_err().message().contains("would be lost"));
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn what_was_ended_in_the_middle_is_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let (own, path) = (dir.path().join("lictor"), dir.path().join("probe"));
        fs::write(&own, "ours").unwrap();
        symlink(&own, &path).unwrap();
        fs::write(dir.path().join(".probe.lictor"), "theirs").unwrap();
        make(&path, &own, true).unwrap();
        assert_eq!(fs::read(dir.path().join("probe.before-lictor")).unwrap(), b"theirs");
        remove(&path, &own).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
    }

    #[test]
    fn a_link_that_leads_nowhere_is_somebody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let (own, path) = (dir.path().join("lictor"), dir.path().join("router"));
        fs::write(&own, "ours").unwrap();
        let own = fs::canonicalize(own).unwrap();
        symlink(dir.path().join("nowhere"), &path).unwrap();
        assert_eq!(There::at(&path, &own), There::Other);
        fs::remove_file(&path).unwrap();
        assert_eq!(There::at(&path, &own), There::Nothing);
        assert!(make(&path, &own, false).unwrap().contains("→"));
        remove(&path, &own).unwrap();
        assert_eq!(There::at(&path, &own), There::Nothing);
    }
}
