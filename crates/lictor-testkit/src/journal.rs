//! Real files of systemd journals with the lines, times and boots that a test wants, written by
//! systemd-journal-remote. No journald runs.

use std::env;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A record to be written.
#[derive(Clone, Debug)]
pub struct Entry {
    realtime: u64,
    boot: u128,
    fields: Vec<(String, Vec<u8>)>,
}

/// The first boot of each machine here.
const BOOT: u128 = 0xb007_0000_0000_0000_0000_0000_0000_0000;

/// The only machine here.
const MACHINE: &str = "00112233445566778899aabbccddeeff";

impl Entry {
    /// One of the first boot, received at this time (microseconds).
    #[must_use]
    pub fn new(realtime: u64, message: impl Into<Vec<u8>>) -> Self {
        let fields = vec![("_MACHINE_ID".to_owned(), MACHINE.into()), ("MESSAGE".to_owned(), message.into())];
        Self { realtime, boot: BOOT, fields }
    }

    /// The same of another boot; 0 is the first.
    #[must_use]
    pub fn boot(self, number: u128) -> Self {
        Self { boot: BOOT + number, ..self }
    }

    /// The same with one more field.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    /// The same as of a unit, as journald notes it.
    #[must_use]
    pub fn unit(self, unit: &str) -> Self {
        self.field("_SYSTEMD_UNIT", unit)
    }

    /// As `journalctl -o export` writes it, but for its place.
    #[must_use]
    pub fn export(&self) -> Vec<u8> {
        let Self { realtime, boot, fields } = self;
        let mut bytes = format!(
            "__REALTIME_TIMESTAMP={realtime}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID={boot:032x}\n",
            realtime % 1_000_000_000_000
        )
        .into_bytes();
        for (name, value) in fields {
            bytes.extend_from_slice(name.as_bytes());
            let plain =
                std::str::from_utf8(value).is_ok_and(|text| !text.contains(|c: char| c < ' ' && c != '\t'));
            if plain {
                bytes.push(b'=');
            } else {
                bytes.push(b'\n');
                bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
            }
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        bytes.push(b'\n');
        bytes
    }
}

/// Writes to one file of a journal, which may be followed meanwhile.
#[derive(Debug)]
pub struct Writer {
    child: Child,
}

impl Writer {
    /// Begins a file, or goes on with one that is there. Its name ends in `.journal`.
    ///
    /// # Panics
    /// If systemd-journal-remote is not there.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let mut output = OsString::from("--output=");
        output.push(path);
        let mut command = Command::new(program());
        command.arg(output).args(["--split-mode=none", "--compress=no", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("cannot run {}: {error}; run `cargo xtask setup`", command.get_program().display())
        });
        Self { child }
    }

    /// Has these written; that is done soon after.
    ///
    /// # Panics
    /// If the program is gone.
    pub fn write<'a>(&mut self, entries: impl IntoIterator<Item = &'a Entry>) {
        let bytes: Vec<u8> = entries.into_iter().flat_map(Entry::export).collect();
        let stdin = self.child.stdin.as_mut().unwrap_or_else(|| unreachable!("only a drop takes it"));
        let written = stdin.write_all(&bytes).and_then(|()| stdin.flush());
        written.unwrap_or_else(|error| panic!("systemd-journal-remote takes nothing: {error}"));
    }

    /// Waits until everything is in the file.
    ///
    /// # Panics
    /// If it could not be written.
    pub fn close(mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait();
        assert!(
            status.as_ref().is_ok_and(std::process::ExitStatus::success),
            "systemd-journal-remote: {status:?}"
        );
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // When it was closed it has ended already.
        self.child.wait().ok();
    }
}

/// The program: `LICTOR_JOURNAL_REMOTE_BIN`, else where Debian puts it.
fn program() -> OsString {
    env::var_os("LICTOR_JOURNAL_REMOTE_BIN")
        .unwrap_or_else(|| "/usr/lib/systemd/systemd-journal-remote".into())
}
