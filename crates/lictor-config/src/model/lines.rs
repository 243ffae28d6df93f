//! Files and programs as sources of lines.

use std::time::Duration;

use regex::Regex;

use super::Command;

/// `watch "file"`: lines that are appended to files.
#[derive(Clone, Debug)]
pub struct File {
    /// Absolute paths; their parts may have `*`, `?` and `[…]`. Not empty.
    pub paths: Vec<String>,
    /// Whether files that are there at the very first start are read from their beginning.
    pub from_start: bool,
    /// What it means that there is no file.
    pub missing: Missing,
    /// How lines make records, if not each is one.
    pub multiline: Option<Multiline>,
}

/// What it means that there is no file to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing: it will come.
    Passing,
    /// A warning.
    Warning,
    /// The check is critical.
    Critical,
}

/// `watch "stream"`: lines that a program prints for as long as it runs.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The program.
    pub command: Command,
    /// When it is started again.
    pub restart: Restart,
    /// How lines make records, if not each is one.
    pub multiline: Option<Multiline>,
}

/// When a program that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// However it ended.
    Always,
    /// Unless it ended with exit status 0.
    OnFailure,
}

/// `multiline { … }`: how several lines make one record.
#[derive(Clone, Debug)]
pub struct Multiline {
    /// Which lines belong together.
    pub by: Joined,
    /// Lines of one record at most (default 100).
    pub max_lines: u32,
    /// Without a further line for so long a record is over (default 1 s).
    pub flush_after: Duration,
}

/// Which lines belong together.
#[derive(Clone, Debug)]
pub enum Joined {
    /// A line that matches begins a record, all others go on with it.
    Start(Regex),
    /// A line that matches goes on with a record, all others begin one.
    Continue(Regex),
}
