//! How long and how often things are tried, and how much is held in memory.

use std::time::Duration;

/// How long a connection may take to be made.
pub const CONNECT: Duration = Duration::from_secs(10);

/// How often it is looked whether a request has made progress: one that has made none between two looks is given up.
/// So one that stands still ends after this long at the soonest and twice as long at the latest.
pub const IDLE: Duration = Duration::from_secs(30);

/// The same for the request that puts the parts of an upload together, which keeps a server busy.
pub const COMPLETING: Duration = Duration::from_secs(90);

/// How often a request is tried again that failed in a way that may pass.
pub const RETRIES: usize = 4;

/// After this long no request is tried again.
pub const RETRY_FOR: Duration = Duration::from_secs(30);

/// The first pause between two tries, and the longest.
pub const PAUSES: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(8));

/// Size of a part of an upload in bytes, the smallest that S3 takes, and the largest file that is sent as one. Files of
/// more than [`PARTS`] such parts have larger ones.
pub const PART: u64 = 5 * 1024 * 1024;

/// Most parts of an upload: S3 and Google take 10,000.
pub const PARTS: u64 = 9_000;

/// How many parts are under way at a time, and so held in memory.
pub const AT_A_TIME: usize = 3;

/// Most names that a listing gives.
pub const NAMES: usize = 100_000;
