//! Files of the real `age` program, and ours in its hands.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lictor_snapshot::seal::{Keys, Passphrase, Recipients};

use crate::fixture::FULL;
use crate::seal::{IDENTITY, RECIPIENT, keys, opened, sealed, words};

/// Its program, or the one beside it.
fn program(name: &str) -> PathBuf {
    let age = env::var_os("LICTOR_AGE_BIN").map_or_else(|| PathBuf::from("age"), PathBuf::from);
    if name == "age" { age } else { age.with_file_name(name) }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Gives a program the answers that it wants at a terminal only.
fn at_terminal(line: &str, answers: &str) {
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", line, "/dev/null"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // The end of what is given would end the terminal.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(answers.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// What sizes there are: nothing, ends within, at and behind a piece, and a snapshot.
fn contents() -> Vec<Vec<u8>> {
    let mut contents: Vec<Vec<u8>> = [0, 1, 65_535, 65_536, 65_537, 131_072, 300_000]
        .map(|length| (0..251_u8).cycle().take(length).collect())
        .into();
    contents.push(FULL.to_vec());
    contents
}

fn file(dir: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn real_age_opens_what_was_sealed_here() {
    let dir = tempfile::tempdir().unwrap();
    let identity = file(dir.path(), "identity", IDENTITY.as_bytes());
    let other = dir.path().join("other");
    run(Command::new(program("age-keygen")).arg("-o").arg(&other));
    let made = fs::read_to_string(&other).unwrap();
    let recipient = made.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    let to = Recipients::parse([RECIPIENT, recipient]).unwrap();
    for content in contents() {
        let path = file(dir.path(), "sealed", &sealed(&to, &content));
        for identity in [&identity, &other] {
            let output =
                Command::new(program("age")).arg("-d").arg("-i").arg(identity).arg(&path).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert!(output.stdout == content);
        }
    }
}

#[test]
fn what_real_age_sealed_is_opened_here_in_bytes_and_in_text() {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("made");
    run(Command::new(program("age-keygen")).arg("-o").arg(&made));
    let made = fs::read_to_string(&made).unwrap();
    let recipient = made.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    let mut own = Keys::default();
    // With the comments that it writes.
    own.add_identities(&made).unwrap();
    for content in contents() {
        let plain = file(dir.path(), "plain", &content);
        for armor in [&["--armor"][..], &[]] {
            let path = dir.path().join("sealed");
            let mut command = Command::new(program("age"));
            command.args(armor).args(["-r", recipient, "-r", RECIPIENT, "-o"]);
            run(command.arg(&path).arg(&plain));
            let bytes = fs::read(&path).unwrap();
            assert_eq!(bytes.starts_with(b"-----BEGIN AGE"), !armor.is_empty());
            for keys in [&own, &keys(IDENTITY)] {
                assert!(opened(keys, &bytes).unwrap() == content);
            }
            for length in [bytes.len() - 1, bytes.len() / 2, bytes.len() - bytes.len() / 4] {
                // A text may lack the end of its last line.
                if bytes[length..] != *b"\n" {
                    assert!(opened(&own, &bytes[..length]).is_err(), "{length} of {}", bytes.len());
                }
            }
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn real_age_and_this_take_each_others_passphrases() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, there, back) = (dir.path().join("plain"), dir.path().join("there"), dir.path().join("back"));
    fs::write(&plain, FULL).unwrap();
    let age = program("age");
    let shown = |path: &Path| path.display().to_string();
    let line = format!("{} -p -o {} {}", shown(&age), shown(&there), shown(&plain));
    at_terminal(&line, "a long one\na long one\n");
    assert!(opened(&words("a long one"), &fs::read(&there).unwrap()).unwrap() == FULL);

    let ours = sealed(&Recipients::passphrase(Passphrase::new("mine").unwrap()), FULL);
    fs::write(&there, ours).unwrap();
    at_terminal(&format!("{} -d -o {} {}", shown(&age), shown(&back), shown(&there)), "mine\n");
    assert!(fs::read(&back).unwrap() == FULL);
}
