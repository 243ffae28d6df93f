//! Files and directories.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lictor_config::{Code, Env, Failure, Loaded, load};
use lictor_core::CheckName;
use tempfile::TempDir;

const BEAT: &str = "watch \"heartbeat\" \"NAME\" {\n  within = \"1m\"\n}\n";

fn beat(name: &str) -> String {
    BEAT.replace("NAME", name)
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn read(paths: &[&Path]) -> Result<Loaded, Failure> {
    let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
    load(&paths, &BTreeMap::new())
}

fn codes(found: &Result<Loaded, Failure>) -> Vec<Code> {
    found
        .as_ref()
        .err()
        .map(|failure| failure.errors.iter().map(|error| error.code).collect())
        .unwrap_or_default()
}

#[test]
fn a_directory_is_one_configuration_in_lexical_order() {
    let directory = directory(&[
        ("20-b.hcl", &beat("b")),
        (
            "10-a.json",
            "{\"watch\": {\"heartbeat\": {\"a\": {\"within\": \"1m\"}}}, \"node\": {\"name\": \"n\"}}",
        ),
        ("30-all.hcl", "check \"all\" {\n  all = [check.a, check.b]\n}\nnode {\n  datacenter = \"dc1\"\n}\n"),
        (".hidden.hcl", "not = read"),
        ("notes.txt", "not read either"),
    ]);
    fs::create_dir(directory.path().join("sub.hcl")).unwrap();
    let loaded = read(&[directory.path()]).unwrap();
    let names: Vec<_> = loaded.files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["10-a.json", "20-b.hcl", "30-all.hcl"]);
    assert_eq!(loaded.config.watches.len(), 2);
    assert!(loaded.config.plan.checks.contains_key(&CheckName::new("all").unwrap()));
    assert_eq!(
        (loaded.config.node.name.as_str(), loaded.config.node.datacenter.as_deref()),
        ("n", Some("dc1"))
    );
}

#[test]
fn tests_of_rules_lie_beside_them_and_are_no_part_of_them() {
    let dir =
        directory(&[("a.hcl", "node {}"), ("a.test.hcl", "this is not read"), ("b.test.json", "nor this")]);
    let loaded = load(&[dir.path().to_owned()], &BTreeMap::new()).unwrap();
    assert_eq!(loaded.files.len(), 1);
}

#[test]
fn files_and_directories_may_be_mixed() {
    let (one, two) = (directory(&[("a.hcl", &beat("a"))]), directory(&[("any.name", &beat("b"))]));
    let loaded = read(&[one.path(), &two.path().join("any.name")]).unwrap();
    assert_eq!(loaded.config.watches.len(), 2);
}

#[test]
fn what_two_files_define_names_both_places() {
    let directory = directory(&[
        ("a.hcl", &(beat("x") + "node {\n  name = \"a\"\n}\n")),
        ("b.hcl", "check \"x\" {\n  any = [check.x]\n}\nnode {\n  name = \"b\"\n}\n"),
    ]);
    let failure = read(&[directory.path()]).unwrap_err();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let twice: Vec<_> = failure.errors.iter().filter(|error| error.code == Code::Twice).collect();
    assert_eq!(twice.len(), 2, "{:?}", failure.lines().collect::<Vec<_>>());
    assert_eq!((twice[0].file.as_str(), twice[0].line, twice[0].column), (path("b.hcl").as_str(), 1, 7));
    assert_eq!(twice[0].help.as_deref(), Some(format!("first here: {}:1:19", path("a.hcl")).as_str()));
    assert_eq!((twice[1].line, twice[1].message.as_str()), (5, "`name` of `node` is set twice"));
    assert_eq!(twice[1].help.as_deref(), Some(format!("first here: {}:5:3", path("a.hcl")).as_str()));
}

#[test]
fn what_cannot_be_read_is_told_with_its_path() {
    let directory = directory(&[("latin1.hcl", "")]);
    fs::write(directory.path().join("latin1.hcl"), b"# caf\xe9\nnode {\n}\n").unwrap();
    fs::write(directory.path().join("large.hcl"), " ".repeat((4 << 20) + 1)).unwrap();
    let empty = TempDir::new().unwrap();
    let gone = directory.path().join("gone.hcl");
    let found = read(&[&gone, directory.path(), empty.path()]);
    let mut all = codes(&found);
    all.sort();
    assert_eq!(all, [Code::Unreadable, Code::TooLarge, Code::NotText, Code::NoFiles]);
    let failure = found.unwrap_err();
    let not_text = failure.errors.iter().find(|error| error.code == Code::NotText).unwrap();
    assert_eq!((not_text.line, not_text.column), (1, 6));
    assert!(failure.errors.iter().any(|error| error.file == gone.display().to_string()));
    assert_eq!(codes(&read(&[])), [Code::NoFiles]);
}

#[test]
fn a_file_that_cannot_be_read_does_not_make_names_unknown() {
    let directory = directory(&[
        ("a.hcl", "watch \"heartbeat\" \"a\" {\n  within = \"1m\n}\n"),
        ("b.hcl", "check \"b\" {\n  any = [check.a, check.c]\n}\nnode {\n  nam = \"x\"\n}\n"),
    ]);
    let found = read(&[directory.path()]);
    assert_eq!(codes(&found), [Code::Open, Code::UnknownAttribute]);
}

#[test]
fn the_digest_is_of_what_is_written() {
    let (one, two) = (
        directory(&[("a.hcl", &beat("a"))]),
        directory(&[("z.hcl", &("# comment\n".to_owned() + &beat("a")))]),
    );
    let other = directory(&[("a.hcl", &beat("b"))]);
    let digest = |directory: &TempDir| read(&[directory.path()]).unwrap().digest;
    assert_eq!(digest(&one), digest(&two));
    assert_ne!(digest(&one), digest(&other));
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_text() {
    let directory = directory(&[("a.hcl", &("\u{feff}".to_owned() + &beat("a"))), ("b.json", "\u{feff}{}")]);
    assert_eq!(read(&[directory.path()]).unwrap().config.watches.len(), 1);
}

#[test]
fn files_that_are_named_but_do_not_exist_are_a_warning() {
    struct Nothing;
    impl Env for Nothing {
        fn var(&self, _name: &str) -> Option<String> {
            None
        }
        fn is_missing(&self, _path: &Path) -> bool {
            true
        }
    }
    let text =
        "http {\n  token_file = \"/t\"\n}\nwatch \"exec\" \"a\" {\n  command = [\"/no/such/program\"]\n}\n";
    let loaded = lictor_config::parse_in("x.hcl", text, &Nothing).unwrap();
    let told: Vec<_> = loaded.warnings.iter().map(|warning| (warning.code, warning.line)).collect();
    assert_eq!(told, [(Code::FileMissing, 2), (Code::FileMissing, 5)]);
}
