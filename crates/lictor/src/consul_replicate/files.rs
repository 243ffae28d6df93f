//! The files and directories that `-config` names.

use std::ffi::OsString;
use std::fs::{self, File, FileType};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use lictor_compat::consul_replicate::Given;

/// No file is longer, in bytes; the reader refuses a mebibyte already.
const LONGEST: u64 = 2 << 20;

/// How deep directories may lie in each other.
const DEEPEST: usize = 64;

/// What each file says, in the order of the paths. Of a directory all files are read, also those in its directories, in the
/// order of their names.
///
/// # Errors
/// In words, what of which file cannot be read or used.
pub(super) fn read(paths: &[String]) -> Result<Vec<Given>, String> {
    let mut files = Vec::new();
    for path in paths {
        let at = Path::new(path);
        let found = fs::metadata(at).map_err(|error| format!("missing file/folder: {path}: {error}"))?;
        if found.is_dir() {
            walk(at, 0, &mut files)?;
        } else if found.is_file() {
            files.push(file(at)?);
        } else {
            return Err(format!("unknown filetype: {path} is neither a file nor a directory"));
        }
    }
    Ok(files)
}

fn walk(directory: &Path, depth: usize, files: &mut Vec<Given>) -> Result<(), String> {
    let failed = |error: io::Error| format!("failed listing dir: {}: {error}", directory.display());
    if depth > DEEPEST {
        return Err(format!("{}: directories lie too deep in each other", directory.display()));
    }
    for (path, kind) in entries(directory).map_err(failed)? {
        let is_link_to_file = |path: &Path| {
            fs::metadata(path).map(|found| found.is_file()).map_err(|error| unread(path, &error))
        };
        if kind.is_dir() {
            walk(&path, depth + 1, files)?;
        } else if kind.is_file() || (kind.is_symlink() && is_link_to_file(&path)?) {
            files.push(file(&path)?);
        } else if kind.is_symlink() {
            files.push(Given::remark(format!("{} is a link to a directory and is left out", path.display())));
        } else {
            files.push(Given::remark(format!("{} is no file and is left out", path.display())));
        }
    }
    Ok(())
}

/// What is in a directory, in the order of the names.
fn entries(directory: &Path) -> io::Result<Vec<(PathBuf, FileType)>> {
    let mut found: Vec<(OsString, PathBuf, FileType)> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        found.push((entry.file_name(), entry.path(), entry.file_type()?));
    }
    found.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    Ok(found.into_iter().map(|(_, path, kind)| (path, kind)).collect())
}

fn file(path: &Path) -> Result<Given, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
    read.map_err(|error| unread(path, &error))?;
    let shown = path.display().to_string();
    let text = String::from_utf8(bytes).map_err(|_error| format!("from file: {shown}: it is not UTF-8"))?;
    Given::read(&shown, &text).map_err(|error| error.to_string())
}

fn unread(path: &Path, error: &io::Error) -> String {
    format!("from file: {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use lictor_compat::consul_replicate::{Flags, Start};
    use tempfile::TempDir;

    use super::*;

    /// A directory with these files; one whose name ends with a slash is a directory.
    fn directory(files: &[(&str, &str)]) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        directory
    }

    fn start(paths: &[&Path]) -> Result<Start, String> {
        let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        Start::new(&Flags::default(), &read(&paths)?, |_| None).map_err(|error| error.to_string())
    }

    fn sources(start: &Start) -> Vec<&str> {
        start.prefixes.iter().map(|prefix| prefix.source.as_str()).collect()
    }

    #[test]
    fn a_directory_is_read_with_all_below_in_the_order_of_names() {
        let config = directory(&[
            ("b.hcl", "prefix = \"two@dc1\" pid_file = \"/b\""),
            ("a.json", "{\"prefix\": \"one@dc1\", \"pid_file\": \"/a\"}"),
            ("b/x/any-name", "prefix = \"in-b@dc1\" pid_file = \"/x\""),
            (".hidden", "prefix = \"hidden@dc1\""),
        ]);
        let found = start(&[config.path()]).unwrap();
        assert_eq!(sources(&found), ["hidden", "one", "in-b", "two"]);
        assert_eq!(found.pid_file.as_deref(), Some("/b"));
        assert_eq!(start(&[directory(&[]).path()]).map(|start| start.prefixes.len()), Ok(0));
    }

    #[test]
    fn of_several_paths_the_last_one_counts() {
        let config = directory(&[("a", "pid_file = \"/a\""), ("b", "pid_file = \"/b\"")]);
        let (a, b) = (config.path().join("a"), config.path().join("b"));
        assert_eq!(start(&[&b, &a]).unwrap().pid_file.as_deref(), Some("/a"));
    }

    #[test]
    fn a_link_to_a_file_is_read_and_one_to_a_directory_is_not() {
        let config = directory(&[("real/one", "prefix = \"one@dc1\"")]);
        let path = config.path();
        symlink(path.join("real"), path.join("link")).unwrap();
        symlink(path.join("real/one"), path.join("also")).unwrap();
        let found = start(&[path]).unwrap();
        assert_eq!(sources(&found), ["one"]);
        let left_out = format!("{} is a link to a directory and is left out", path.join("link").display());
        assert!(found.remarks.contains(&left_out), "{:?}", found.remarks);
        assert_eq!(sources(&start(&[&path.join("link")]).unwrap()), ["one"]);
        symlink(path.join("nowhere"), path.join("broken")).unwrap();
        assert!(start(&[path]).unwrap_err().starts_with("from file: "));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_with_its_path() {
        let config = directory(&[("bad.hcl", "\n bad_key = 1"), ("long", &" ".repeat(3 << 20))]);
        let path = config.path();
        let missing = start(&[&path.join("none")]).unwrap_err();
        assert!(missing.starts_with(&format!("missing file/folder: {}/none: ", path.display())), "{missing}");
        let why = format!("from file: {}:2:2: '' has invalid keys: bad_key", path.join("bad.hcl").display());
        assert_eq!(start(&[path]), Err(why));
        assert!(start(&[&path.join("long")]).unwrap_err().ends_with("the file has more than 1 MiB"));
        fs::write(path.join("binary"), [0xff]).unwrap();
        assert!(start(&[&path.join("binary")]).unwrap_err().ends_with("it is not UTF-8"));
        assert!(start(&[Path::new("/dev/null")]).unwrap_err().starts_with("unknown filetype: "));
    }
}
