//! The files and directories that `-config-file` and `-config-dir` name.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use lictor_compat::snapshot_agent::Given;
use lictor_compat::snapshot_agent::flags::Config;

/// No file is longer, in bytes.
const LONGEST: u64 = 1 << 20;

/// What the files say that have an object `snapshot_agent`, in their order.
///
/// # Errors
/// In words, what of which file cannot be read or used; also when files are named and none has that object.
pub(crate) fn read(configs: &[Config]) -> Result<Vec<Given>, String> {
    let mut paths = Vec::new();
    for config in configs {
        match config {
            Config::File(path) => paths.push(PathBuf::from(path)),
            Config::Dir(path) => paths.extend(directory(Path::new(path))?),
        }
    }
    let read: Result<Vec<Option<Given>>, String> = paths.iter().map(|path| file(path)).collect();
    let found: Vec<Given> = read?.into_iter().flatten().collect();
    if found.is_empty() && !configs.is_empty() {
        return Err("none of the configuration files has an object `snapshot_agent`".to_owned());
    }
    Ok(found)
}

/// The files of a directory whose names end in `.json`, in the order of their names.
fn directory(path: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let named = file.extension().is_some_and(|extension| extension == "json");
        if named && fs::metadata(&file).map_err(|error| format!("{}: {error}", file.display()))?.is_file() {
            found.push(file);
        }
    }
    found.sort();
    Ok(found)
}

fn file(path: &Path) -> Result<Option<Given>, String> {
    let shown = path.display().to_string();
    let failed = |why: &dyn std::fmt::Display| format!("{shown}: {why}");
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes));
    read.map_err(|error| failed(&error))?;
    if bytes.len() as u64 > LONGEST {
        return Err(failed(&"it has more than 1 MiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_error| failed(&"it is not UTF-8"))?;
    Given::read(&shown, &text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use lictor_compat::snapshot_agent::{Flags, Start};
    use tempfile::TempDir;

    use super::*;

    fn directory_of(files: &[(&str, &str)]) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        directory
    }

    fn dir(path: &Path) -> Config {
        Config::Dir(path.display().to_string())
    }

    fn retain(retain: u32) -> String {
        format!("{{\"snapshot_agent\": {{\"snapshot\": {{\"retain\": {retain}}}}}}}")
    }

    /// What counts of the files.
    fn retained(configs: &[Config]) -> Result<u32, String> {
        let files = read(configs)?;
        Ok(Start::new(&Flags::default(), &files, |_| None).unwrap().retain)
    }

    #[test]
    fn of_a_directory_its_json_files_count_in_the_order_of_their_names() {
        let found = directory_of(&[
            ("b.json", &retain(2)),
            ("a.json", &retain(1)),
            ("c.hcl", "retain = 3"),
            ("server.json", "{\"server\": true}"),
            ("z.json/deep.json", &retain(4)),
            ("z/deep.json", &retain(5)),
        ]);
        assert_eq!(retained(&[dir(found.path())]), Ok(2));
        let a = Config::File(found.path().join("a.json").display().to_string());
        assert_eq!(retained(&[dir(found.path()), a.clone()]), Ok(1));
        assert_eq!(retained(&[a, dir(found.path())]), Ok(2));
        symlink(found.path().join("a.json"), found.path().join("link.json")).unwrap();
        assert_eq!(retained(&[dir(found.path())]), Ok(1));
    }

    #[test]
    fn at_least_one_file_must_be_meant_if_any_is_named() {
        let found = directory_of(&[("server.json", "{\"server\": true}")]);
        let why = "none of the configuration files has an object `snapshot_agent`";
        assert_eq!(retained(&[dir(found.path())]), Err(why.to_owned()));
        assert_eq!(retained(&[dir(directory_of(&[]).path())]), Err(why.to_owned()));
        assert_eq!(retained(&[]), Ok(30));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_path() {
        let found = directory_of(&[
            ("long.json", &" ".repeat(2 << 20)),
            ("bad.json", "{\"snapshot_agent\": {\"x\": 1}}"),
        ]);
        let at = |name: &str| found.path().join(name).display().to_string();
        let why = |name: &str| read(&[Config::File(at(name))]).unwrap_err();
        assert!(why("none.json").starts_with(&format!("{}: ", at("none.json"))));
        assert_eq!(why("long.json"), format!("{}: it has more than 1 MiB", at("long.json")));
        assert!(
            why("bad.json").starts_with(&format!("{}: snapshot_agent.x: it is not known; ", at("bad.json")))
        );
        fs::write(found.path().join("binary.json"), [0xff]).unwrap();
        assert_eq!(why("binary.json"), format!("{}: it is not UTF-8", at("binary.json")));
        assert!(read(&[dir(&found.path().join("nowhere"))]).unwrap_err().contains("nowhere: "));
        symlink("nowhere", found.path().join("broken.json")).unwrap();
        assert!(read(&[dir(found.path())]).unwrap_err().contains("broken.json: "));
    }
}
