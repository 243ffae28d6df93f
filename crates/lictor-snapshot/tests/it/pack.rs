//! Archives put together by hand, as no sound program would.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use lictor_snapshot::archive::{self, Error, Limits, Sound};
use lictor_snapshot::build::StateBuilder;
use lictor_snapshot::state::RecordReader;
use lictor_snapshot::{Meta, write};

/// What an archive is made of.
pub(crate) type Members<'a> = Vec<(&'a str, Vec<u8>)>;

/// A state of three keys.
pub(crate) fn state() -> Vec<u8> {
    StateBuilder::new(9).kv("a", b"1").kv("b/c", b"\xff\0").kv("b/d", &[b'x'; 600]).finish()
}

pub(crate) fn meta(state: &[u8]) -> Meta {
    Meta {
        version: 1,
        id: "2-9-1600000000000".to_owned(),
        index: 9,
        term: 2,
        size: state.len() as u64,
        ..Meta::default()
    }
}

/// An archive as Consul would write it.
pub(crate) fn sound() -> Vec<u8> {
    let state = state();
    write(Vec::new(), &meta(&state), &state[..], 1_600_000_000).unwrap()
}

/// The members of a sound archive, in Consul's order.
pub(crate) fn members() -> Members<'static> {
    let state = state();
    let meta = [&serde_json::to_vec(&meta(&state)).unwrap()[..], b"\n"].concat();
    let sums = sums(&[("meta.json", &meta), ("state.bin", &state)]);
    vec![("meta.json", meta), ("state.bin", state), ("SHA256SUMS", sums)]
}

pub(crate) fn sums(files: &[(&str, &[u8])]) -> Vec<u8> {
    let line = |(name, content): &(&str, &[u8])| {
        let sum: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{sum}  {name}\n")
    };
    files.iter().map(line).collect::<String>().into_bytes()
}

/// A header of the given type; all else is as Consul has it.
pub(crate) fn header(name: &str, size: u64, flag: u8) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..108].copy_from_slice(b"0000600\0");
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    if size < 1 << 33 {
        block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    } else {
        block[124] = 0x80;
        block[128..136].copy_from_slice(&size.to_be_bytes());
    }
    block[136..148].copy_from_slice(b"00000000000\0");
    block[148..156].copy_from_slice(b"        ");
    block[156] = flag;
    block[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A tar of these, with so many bytes of zeros behind it.
pub(crate) fn tar(members: &[(&str, Vec<u8>)], zeros: usize) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, content) in members {
        tar.extend_from_slice(&header(name, content.len() as u64, b'0'));
        tar.extend_from_slice(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + zeros, 0);
    tar
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

pub(crate) fn pack(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    gzip(&tar(members, 1024))
}

/// All records: their kinds and bytes.
pub(crate) type Records = Vec<(u8, Vec<u8>)>;

pub(crate) fn read(bytes: &[u8]) -> Result<Sound<Records>, Error> {
    read_with(bytes, &Limits::default())
}

pub(crate) fn read_with(bytes: &[u8], limits: &Limits) -> Result<Sound<Records>, Error> {
    archive::read(bytes, limits, |_, state| {
        let mut reader = RecordReader::with_limit(state, limits.record)?;
        let mut records = Vec::new();
        while let Some(record) = reader.next()? {
            records.push((record.kind.byte(), record.bytes.to_vec()));
        }
        Ok(records)
    })
}
