//! How far files were read, as it is stored, and by what a file is known again.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Bytes at the beginning of a file by which it is known.
pub(super) const HEAD: usize = 1024;

/// Bytes before the place that was read to, by which it is known that they are still the same.
pub(super) const MARK: usize = 64;

/// What a system knows a file by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Inode(u64, u64);

impl Inode {
    pub(super) fn of(metadata: &std::fs::Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

/// The position of a watcher.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "v")]
enum Wire {
    #[serde(rename = "1")]
    V1(Position),
}

/// What is stored of the files of a watcher.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The paths and patterns whose files were all read, or are among these.
    pub(super) paths: Vec<String>,
    /// Those that are read.
    pub(super) files: Vec<Saved>,
    /// The latest of those that were moved away and read to their end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) finished: Vec<Saved>,
}

/// How far one file was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Saved {
    /// The path under which it was first followed.
    #[serde(rename = "p", with = "path")]
    pub(super) base: PathBuf,
    #[serde(rename = "i")]
    pub(super) inode: Inode,
    /// Where reading goes on.
    pub(super) at: u64,
    /// Whether it was known to be moved away.
    #[serde(rename = "g", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) gone: bool,
    /// Whether the rest of the line there does not count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) skip: bool,
    #[serde(rename = "h")]
    pub(super) head: Sum,
    /// Of the bytes before `seen`.
    #[serde(rename = "m")]
    pub(super) mark: Sum,
    /// How far it was looked at: from `at` on there may be a record that was not over.
    #[serde(rename = "s")]
    pub(super) seen: u64,
}

/// A path as text, or as bytes where it is none: names of files are what anybody makes them.
mod path {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize as _, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Wire {
        Text(PathBuf),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        match path.to_str() {
            Some(text) => to.serialize_str(text),
            None => path.as_os_str().as_bytes().serialize(to),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        Ok(match Wire::deserialize(from)? {
            Wire::Text(path) => path,
            Wire::Bytes(bytes) => OsString::from_vec(bytes).into(),
        })
    }
}

/// A checksum of so many bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sum(pub(super) usize, String);

impl Sum {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        let hex = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self(bytes.len(), if bytes.is_empty() { String::new() } else { hex })
    }
}

/// A position as text.
pub(super) fn write(position: Position) -> String {
    serde_json::to_string(&Wire::V1(position)).unwrap_or_default()
}

/// A position from its text.
///
/// # Errors
/// It is none of ours.
pub(super) fn read(text: &str) -> Result<Position, serde_json::Error> {
    let Wire::V1(mut position) = serde_json::from_str(text)?;
    // What somebody else wrote must not make us read gigabytes to compare them.
    let bounded = |saved: &Saved| saved.head.0 <= HEAD && saved.mark.0 <= MARK;
    position.files.retain(bounded);
    position.finished.retain(bounded);
    Ok(position)
}

impl Saved {
    /// A file of which nothing was read.
    pub(super) fn start(base: &Path, inode: Inode) -> Self {
        let (head, mark) = (Sum::default(), Sum::default());
        Self { base: base.to_owned(), inode, at: 0, gone: true, skip: false, head, mark, seen: 0 }
    }

    /// Whether the file of this path has what was read of this one, if need be packed.
    pub(super) fn is_at(&self, path: &Path, file: &File) -> bool {
        self.knows_content()
            && if super::rest::is_packed(path) { self.is_in_gzip(path) } else { self.is_in(file) }
    }

    /// Whether a file has what was read of this one, as far as can be told.
    pub(super) fn is_in(&self, file: &File) -> bool {
        let read = |from: u64, length: usize| -> io::Result<Sum> {
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, from)?;
            Ok(Sum::of(&bytes))
        };
        let mark = self.seen.saturating_sub(self.mark.0 as u64);
        read(mark, self.mark.0).is_ok_and(|sum| sum == self.mark)
            && read(0, self.head.0).is_ok_and(|sum| sum == self.head)
            && file.metadata().is_ok_and(|metadata| metadata.len() >= self.seen)
    }

    /// The same of a file that was compressed since.
    pub(super) fn is_in_gzip(&self, path: &Path) -> bool {
        self.in_gzip(path).unwrap_or(false)
    }

    fn in_gzip(&self, path: &Path) -> io::Result<bool> {
        let mut content = MultiGzDecoder::new(File::open(path)?);
        let mut head = vec![0; self.head.0];
        content.read_exact(&mut head)?;
        if Sum::of(&head) != self.head {
            return Ok(false);
        }
        // The mark may begin within the head.
        let from = self.seen.saturating_sub(self.mark.0 as u64);
        let mut mark: Vec<u8> =
            head.iter().skip(usize::try_from(from).unwrap_or(usize::MAX)).copied().collect();
        mark.truncate(self.mark.0);
        skip(&mut content, from.saturating_sub(head.len() as u64))?;
        let have = mark.len();
        mark.resize(self.mark.0, 0);
        content.read_exact(mark.get_mut(have..).unwrap_or_default())?;
        Ok(Sum::of(&mark) == self.mark)
    }

    /// Whether it says anything of what is in the file.
    pub(super) const fn knows_content(&self) -> bool {
        self.mark.0 > 0
    }
}

/// Reads so many bytes and forgets them.
pub(super) fn skip(content: &mut impl Read, count: u64) -> io::Result<()> {
    let passed = io::copy(&mut content.by_ref().take(count), &mut io::sink())?;
    if passed == count { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn names_of_all_kinds_come_back_as_they_were() {
        let names = [&b"/var/log/app.log"[..], b"/var/log/\xff\xfe.log", "/l/\u{e9}\n\"".as_bytes()];
        let file =
            |name: &&[u8]| Saved::start(&PathBuf::from(OsString::from_vec(name.to_vec())), Inode(1, 2));
        let files: Vec<Saved> = names.iter().map(file).collect();
        let paths = vec!["/var/log/*.log".to_owned()];
        let position = || Position { paths: paths.clone(), files: files.clone(), finished: Vec::new() };
        let text = write(position());
        assert_eq!(read(&text).unwrap(), position());
        // As it was written before there were others.
        assert!(text.contains(r#""p":"/var/log/app.log""#), "{text}");
        assert!(!text.contains("finished"), "{text}");
    }
}
