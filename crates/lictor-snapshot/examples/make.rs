//! Makes a snapshot of so many keys with values of so many bytes, to measure by: `make FILE KEYS BYTES`.

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;

use lictor_snapshot::build::{StateBuilder, kv};
use lictor_snapshot::{Kind, Meta, write};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, keys, bytes] = &arguments[..] else {
        return Err("make FILE KEYS BYTES".into());
    };
    let (keys, bytes): (u64, u64) = (keys.parse()?, bytes.parse()?);
    let mut builder = StateBuilder::new(keys);
    for number in 0..keys {
        // As compressible as text is.
        let letter = |at: u64| b'a' + u8::try_from((number + at * at) % 26).unwrap_or_default();
        let value: Vec<u8> = (0..bytes).map(letter).collect();
        builder = builder.record(Kind::KVS, &kv(format!("bench/{number:08}"), &value, 0, ""));
    }
    let state = builder.finish();
    let size = state.len() as u64;
    let meta = Meta {
        version: 1,
        id: format!("2-{keys}-1795219762088"),
        index: keys,
        term: 2,
        size,
        ..Meta::default()
    };
    write(BufWriter::new(File::create(file)?), &meta, &state[..], 1_795_219_762)?;
    Ok(())
}
