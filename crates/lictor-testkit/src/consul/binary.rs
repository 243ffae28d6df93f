//! Where the `consul` program is.

use std::env;
use std::path::{Path, PathBuf};

/// Where `cargo xtask setup` puts it, below the target directory.
const UNPACKED: &str = "lictor-tools/consul-1.8.7/usr/bin/consul";

/// The program: `LICTOR_CONSUL_BIN`, else the one unpacked by the setup, else one in `PATH`.
///
/// # Panics
/// If there is none, with what to do about it.
#[must_use]
pub fn find() -> PathBuf {
    if let Some(named) = env::var_os("LICTOR_CONSUL_BIN") {
        let named = PathBuf::from(named);
        assert!(named.is_file(), "LICTOR_CONSUL_BIN names {}, which is not a file", named.display());
        return named;
    }
    let unpacked = target().join(UNPACKED);
    if unpacked.is_file() {
        return unpacked;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|dir| dir.join("consul"))
        .find(|program| program.is_file())
        .unwrap_or_else(|| {
            panic!(
                "no consul program at {} nor in PATH: run `cargo xtask setup`, or name one in LICTOR_CONSUL_BIN",
                unpacked.display()
            )
        })
}

fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
    }
}
