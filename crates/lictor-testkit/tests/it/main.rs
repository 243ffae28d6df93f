//! Tests of the kit itself, and what is tested with it alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod engine;
mod lease;
mod peers;
mod peers_big;
mod service;
