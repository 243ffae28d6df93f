//! Histories with known verdicts, what the program says of them, and short real runs.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bench;
mod cluster;
mod cluster_lictor;
mod fleet;
mod known;
mod program;
