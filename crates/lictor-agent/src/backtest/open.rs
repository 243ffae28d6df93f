//! Finding out what a source is, and opening it.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use flate2::read::MultiGzDecoder;

use super::Problem;
use super::entry::{Form, Wanted};
use crate::text::one_line;

/// What is looked at to find out what a source is, bytes.
const BEGINNING: usize = 64 * 1024;

/// Of what journalctl says on its standard error, bytes that are kept.
const SAID: u64 = 64 * 1024;

/// Of what journalctl says when it fails, characters that are shown.
const SHOWN: usize = 300;

/// Bytes that come one after the other.
pub(super) type Input = Box<dyn Read + Send>;

/// What a source is.
pub(super) enum Opened {
    /// Records of a journal, with what was read of them already.
    Journal(Form, Vec<u8>, Input, Option<Journalctl>),
    /// A log.
    Log(BufReader<Input>),
    /// Nothing is in it.
    Empty,
}

/// From when to when, milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) from: Option<i64>,
    pub(super) to: Option<i64>,
}

/// Opens a file, a directory with a journal in it, or what comes on the standard input (`-`).
pub(super) fn open(path: &Path, wanted: &Wanted, span: Span) -> Result<Opened, Problem> {
    if path == Path::new("-") {
        return told(path, Box::new(io::stdin()), true);
    }
    let about = |error: io::Error| Problem::new(format!("cannot read `{}`: {error}", path.display()));
    let found = fs::metadata(path).map_err(about)?;
    if found.is_dir() {
        if !has_journal(path) {
            let message = format!("the directory `{}` holds no journal", path.display());
            return Err(Problem::new(message).help("name log files one by one, such as DIR/*.log"));
        }
        return journalctl(&[format!("--directory={}", path.display())], wanted, span);
    }
    let file = File::open(path).map_err(about)?;
    let mut beginning = [0; 8];
    let length = fill(&mut &file, &mut beginning).map_err(about)?;
    if beginning.get(..length) == Some(b"LPKSHHRH") {
        return journalctl(&[format!("--file={}", path.display())], wanted, span);
    }
    let rest = Cursor::new(beginning.get(..length).unwrap_or_default().to_vec()).chain(file);
    told(path, Box::new(rest), true)
}

/// The journal of this machine.
pub(super) fn this_machine(wanted: &Wanted, span: Span) -> Result<Opened, Problem> {
    journalctl(&[], wanted, span)
}

/// Goes by what it begins with.
fn told(path: &Path, mut input: Input, may_be_packed: bool) -> Result<Opened, Problem> {
    let about = |error: io::Error| Problem::new(format!("cannot read `{}`: {error}", path.display()));
    let mut begun = vec![0; BEGINNING];
    let length = fill(&mut input, &mut begun).map_err(about)?;
    begun.truncate(length);
    let begins = |with: &[u8]| begun.starts_with(with);
    if begun.iter().all(u8::is_ascii_whitespace) && length < BEGINNING {
        return Ok(Opened::Empty);
    }
    if begins(&[0x1f, 0x8b]) && may_be_packed {
        let packed = Cursor::new(begun).chain(input);
        return told(path, Box::new(MultiGzDecoder::new(packed)), false);
    }
    let packed = [&[0x28, 0xb5, 0x2f, 0xfd][..], &[0xfd, b'7', b'z', b'X', b'Z'], b"BZh"];
    if packed.iter().any(|with| begins(with)) {
        let message = format!("`{}` is compressed in a way that is not read here", path.display());
        return Err(Problem::new(message)
            .help("unpack it first, and hand it in as `-`: zstdcat FILE | lictor backtest … -"));
    }
    let form =
        if begins(b"__CURSOR=") || begins(b"__REALTIME_TIMESTAMP=") || begins(b"__MONOTONIC_TIMESTAMP=") {
            Some(Form::Export)
        } else if begins(b"{") && memchr::memmem::find(&begun, b"\"__REALTIME_TIMESTAMP\"").is_some() {
            Some(Form::Json)
        } else {
            None
        };
    if let Some(form) = form {
        return Ok(Opened::Journal(form, begun, input, None));
    }
    // A few zeros may be the hole that a crash left in a log.
    let zeros = begun.iter().filter(|byte| **byte == 0).count();
    if zeros * 20 > begun.len() && !begun.starts_with(&[0; 16]) {
        let message = format!("`{}` is neither a journal nor a log", path.display());
        return Err(Problem::new(message).help(
            "it can be what `journalctl -o export` or `-o json` wrote, a .journal file, or lines of text, also \
             compressed with gzip",
        ));
    }
    let rest: Input = Box::new(Cursor::new(begun).chain(input));
    Ok(Opened::Log(BufReader::with_capacity(BEGINNING, rest)))
}

/// Reads until a buffer is full or nothing more comes.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    loop {
        match input.read(buffer.get_mut(have..).unwrap_or_default()) {
            Ok(0) => return Ok(have),
            Ok(read) => have += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(have),
            Err(error) => return Err(error),
        }
    }
}

/// Whether journal files lie in a directory, or in one in it, as under `/var/log/journal`.
fn has_journal(path: &Path) -> bool {
    let entries = |path: &Path| -> VecDeque<_> {
        fs::read_dir(path).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path()).collect()
    };
    let is_journal = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.ends_with(".journal") || name.ends_with(".journal~")
    };
    let here = entries(path);
    here.iter().any(|path| is_journal(path))
        || here
            .iter()
            .filter(|path| path.is_dir())
            .any(|path| entries(path).iter().any(|path| is_journal(path)))
}

/// A journalctl that reads files for us; dropping this ends it.
pub(super) struct Journalctl {
    child: Child,
    /// Keeps what it says, and reads on so that it never waits for that.
    said: Option<JoinHandle<Vec<u8>>>,
}

impl Journalctl {
    /// Waits for its end, which has come or is near.
    pub(super) fn ended(&mut self) -> Result<(), Problem> {
        let status = self.child.wait();
        let said = self.said.take().and_then(|reader| reader.join().ok()).unwrap_or_default();
        let said = one_line(&String::from_utf8_lossy(&said), SHOWN);
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Problem::new(format!("journalctl failed ({status}): {said}"))),
            Err(error) => Err(Problem::new(format!("journalctl cannot be waited for: {error}"))),
        }
    }
}

impl Drop for Journalctl {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn journalctl(of: &[String], wanted: &Wanted, span: Span) -> Result<Opened, Problem> {
    let fields: Vec<&str> = wanted.names().collect();
    let mut command = Command::new("journalctl");
    command.args(["--output=export", "--quiet", "--no-pager", "--all"]);
    command.arg(format!("--output-fields={}", fields.join(",")));
    let seconds = |millis: i64| format!("@{}", millis.div_euclid(1_000));
    command.args(span.from.map(|from| format!("--since={}", seconds(from))));
    command.args(span.to.map(|to| format!("--until={}", seconds(to.saturating_add(1_000)))));
    command.args(of);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env("LC_ALL", "C");
    let mut child = command.spawn().map_err(|error| {
        Problem::new(format!("cannot run journalctl: {error}"))
            .help("where there is no systemd, hand in what `journalctl -o export` wrote elsewhere")
    })?;
    let stderr = child.stderr.take();
    let Some(output) = child.stdout.take() else {
        return Err(Problem::new("journalctl has no output"));
    };
    let said = stderr.map(listen).transpose();
    let mut running = Journalctl { child, said: None };
    running.said = said.map_err(|error| Problem::new(format!("cannot start a thread: {error}")))?;
    Ok(Opened::Journal(Form::Export, Vec::new(), Box::new(output), Some(running)))
}

/// Reads all that comes, and keeps the beginning of it.
fn listen(mut input: impl Read + Send + 'static) -> io::Result<JoinHandle<Vec<u8>>> {
    let work = move || {
        let mut said = Vec::new();
        // What it says is only for people; there may be less of it.
        input.by_ref().take(SAID).read_to_end(&mut said).ok();
        io::copy(&mut input, &mut io::sink()).ok();
        said
    };
    thread::Builder::new().name("journalctl".to_owned()).spawn(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_journalctl_says_is_read_to_its_end_and_the_beginning_is_kept() {
        let (input, mut output) = io::pipe().unwrap();
        let said = listen(input).unwrap();
        // More than a pipe holds: without a reader this would never end.
        io::Write::write_all(&mut output, &vec![b'x'; 1 << 20]).unwrap();
        drop(output);
        assert_eq!(said.join().unwrap().len() as u64, SAID);
    }
}
