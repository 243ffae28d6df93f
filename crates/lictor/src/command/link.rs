//! `lictor link`: makes this program answer to the name of one that it replaces.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

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
    let own = std::env::current_exe().map_err(|error| {
        Failure::new(Exit::Failed, format!("it is not known where this program is: {error}"))
    })?;
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
        match (fs::symlink_metadata(path), fs::canonicalize(path)) {
            (Err(error), _) if error.kind() == ErrorKind::NotFound => Self::Nothing,
            (Ok(there), Ok(end)) if there.is_symlink() && end == own => Self::Ours,
            _ => Self::Other,
        }
    }
}

/// Makes the link; a program that is there is kept under another name, if that was asked for.
fn make(path: &Path, own: &Path, force: bool) -> Result<String, Failure> {
    let failed = |what: &str, error: &io::Error| failed(what, path, error);
    let kept = kept(path);
    let shown = path.display();
    match There::at(path, own) {
        There::Ours => return Ok(format!("{shown} is a link to this program already")),
        There::Other if !force => {
            let failure =
                Failure::new(Exit::Failed, format!("{shown} is there and is no link to this program"));
            return Err(failure.help(format!("--force keeps it as {} and puts a link there", kept.display())));
        }
        There::Other if fs::symlink_metadata(&kept).is_ok() => {
            let failure =
                Failure::new(Exit::Failed, format!("{} is there already, and would be lost", kept.display()));
            return Err(failure.help("move it away first"));
        }
        There::Other => {
            // The name is never without a program: the link takes it in one go.
            fs::hard_link(path, &kept).map_err(|error| failed("cannot keep", &error))?;
        }
        There::Nothing => {}
    }
    let had = fs::symlink_metadata(path).is_ok();
    let fresh =
        path.with_file_name(format!(".{}.lictor", path.file_name().unwrap_or_default().to_string_lossy()));
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("cannot make", &error)),
        _ => {}
    }
    symlink(own, &fresh)
        .and_then(|()| fs::rename(&fresh, path))
        .map_err(|error| failed("cannot make", &error))?;
    let was = if had { format!("; what was there is {}", kept.display()) } else { String::new() };
    Ok(format!("{shown} → {}{was}", own.display()))
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
