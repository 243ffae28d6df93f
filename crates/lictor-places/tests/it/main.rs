//! Places, on a disk and on real servers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod folder;
mod full;
mod kit;
mod objects;
mod proxy;
