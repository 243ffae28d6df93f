//! Histories with known verdicts, and what the program says of them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod known;
