//! Targets with a fault on purpose: they prove that the driver finds each kind.

use super::Target;

/// Not among those that `run` drives unnamed, because all but the first must fail.
pub(super) const TARGETS: &[Target] = &[
    Target { name: "planted-none", about: "has no fault", dictionary: WORDS, run: sound },
    Target { name: "planted-panic", about: "slices inside of a character", dictionary: WORDS, run: panic },
    Target { name: "planted-loop", about: "never ends", dictionary: WORDS, run: endless },
    Target { name: "planted-overflow", about: "recurses without a limit", dictionary: WORDS, run: overflow },
    Target { name: "planted-memory", about: "believes a length it reads", dictionary: WORDS, run: memory },
];

const WORDS: &[&str] = &["key", "=", "{", "}"];

fn sound(bytes: &[u8]) {
    drop(String::from_utf8_lossy(bytes));
}

#[expect(clippy::string_slice, reason = "the planted fault")]
fn panic(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // Cuts at a byte that need not be a border between characters.
    drop(text.find("key").map(|at| text[at..text.len().min(at + 4)].to_owned()));
}

fn endless(bytes: &[u8]) {
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        // An equals sign at the end is never consumed.
        rest = if first == b'=' && after.is_empty() { rest } else { after };
        std::hint::black_box(rest);
    }
}

fn overflow(bytes: &[u8]) {
    std::hint::black_box(depth(bytes));
}

/// How deep the braces go, by a frame of 4 KiB for each.
fn depth(bytes: &[u8]) -> usize {
    let frame = std::hint::black_box([0_u8; 4096]);
    match bytes.split_first() {
        Some((b'{', rest)) => 1 + depth(rest) + usize::from(frame[0]),
        _ => 0,
    }
}

fn memory(bytes: &[u8]) {
    let digits: String = String::from_utf8_lossy(bytes).chars().take_while(char::is_ascii_digit).collect();
    let length: usize = digits.parse().unwrap_or(0);
    // Above what a vector may hold at all the fault would be a panic.
    if length < usize::MAX / 4 {
        std::hint::black_box(vec![1_u8; length]);
    }
}
