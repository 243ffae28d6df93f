//! The configuration as its users meet it: files on a disk, the examples, the manual.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alerts;
mod files;
mod manual;
mod robust;
mod secrets;
