//! The blocks of a page that a person types: what is typed, and what the page shows for it.

use std::path::PathBuf;

/// A block for a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Where it begins in the page.
    pub(super) line: usize,
    pub(super) turns: Vec<Turn>,
}

/// Something that is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) typed: String,
    /// What the page shows for it; nothing is said of what comes when this is empty.
    pub(super) shown: String,
}

impl Block {
    /// By which a table knows it: the first line that is typed, without the remark behind it.
    pub(super) fn begins(&self) -> &str {
        let typed = self.turns.first().map_or("", |turn| turn.typed.as_str());
        let line = if typed.starts_with("#!") { typed.lines().nth(1) } else { typed.lines().next() };
        line.unwrap_or_default().split(" #").next().unwrap_or_default().trim_end()
    }
}

/// The directory in which `README.md` and `docs` are.
pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of a page: `README.md`, or the name of a file in `docs`.
pub(super) fn text(page: &str) -> String {
    let folder = if page == "README.md" { root() } else { root().join("docs") };
    std::fs::read_to_string(folder.join(page)).unwrap()
}

/// Its blocks for a shell, in order.
pub(super) fn of(page: &str) -> Vec<Block> {
    let shells = |info: &str| matches!(info, "sh" | "shell" | "bash" | "console");
    let fenced = fenced(&text(page)).into_iter().filter(|(_, info, _)| shells(info));
    fenced
        .map(|(line, info, body)| {
            let turns = if info == "console" { console(&body) } else { script(&body) };
            Block { line, turns }
        })
        .collect()
}

/// The block that begins so.
pub(super) fn named(page: &str, begins: &str) -> Block {
    let found = of(page).into_iter().find(|block| block.begins() == begins);
    found.unwrap_or_else(|| panic!("{page} has no block any more that begins with `{begins}`"))
}

/// The first block in this language in which a text stands.
pub(super) fn containing(page: &str, language: &str, part: &str) -> String {
    let found =
        fenced(&text(page)).into_iter().find(|(_, info, body)| info == language && body.contains(part));
    found.unwrap_or_else(|| panic!("{page} has no block of {language} with `{part}`")).2
}

/// Where each block begins, its language, and what is in it.
fn fenced(text: &str) -> Vec<(usize, String, String)> {
    let (mut all, mut open) = (Vec::new(), None::<(usize, String, String)>);
    for (line, content) in text.lines().enumerate() {
        match &mut open {
            None => {
                open = content.strip_prefix("```").map(|info| (line + 1, info.to_owned(), String::new()));
            }
            Some(_) if content == "```" => all.extend(open.take()),
            Some((.., body)) => body.extend([content, "\n"]),
        }
    }
    all
}

/// Lines that are typed one after the other; a whole script is one thing.
fn script(body: &str) -> Vec<Turn> {
    if body.starts_with("#!") {
        return vec![Turn { typed: body.to_owned(), shown: String::new() }];
    }
    let mut turns = Vec::<Turn>::new();
    let mut continued = false;
    for line in body.lines().filter(|line| !line.trim().is_empty()) {
        match turns.last_mut().filter(|_| continued) {
            Some(turn) => turn.typed.extend(["\n", line]),
            None => turns.push(Turn { typed: line.to_owned(), shown: String::new() }),
        }
        continued = line.ends_with('\\');
    }
    turns
}

/// Lines behind a prompt are typed, the others are shown.
fn console(body: &str) -> Vec<Turn> {
    let mut turns = Vec::<Turn>::new();
    let mut continued = false;
    for line in body.lines() {
        let prompt = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# "));
        match (turns.last_mut(), prompt) {
            (Some(turn), _) if continued => turn.typed.extend(["\n", line]),
            (_, Some(typed)) => turns.push(Turn { typed: typed.to_owned(), shown: String::new() }),
            (Some(turn), None) => turn.shown.extend([line, "\n"]),
            (None, None) => panic!("a block shows something before anything is typed: {line}"),
        }
        continued = line.ends_with('\\');
    }
    turns
}

#[test]
fn what_is_typed_is_told_from_what_is_shown() {
    let turns = console("$ lictor status\nfine\n\n  here\n# lictor get \\\n    x\n1\n");
    let turn = |typed: &str, shown: &str| Turn { typed: typed.to_owned(), shown: shown.to_owned() };
    assert_eq!(turns, [turn("lictor status", "fine\n\n  here\n"), turn("lictor get \\\n    x", "1\n")]);
    let turns = script("lictor a   # first\n\nlictor b \\\n  c\n");
    assert_eq!(turns, [turn("lictor a   # first", ""), turn("lictor b \\\n  c", "")]);
    assert_eq!(Block { line: 1, turns }.begins(), "lictor a");
    let turns = script("#!/bin/sh\nset -eu\n");
    assert_eq!(Block { line: 1, turns }.begins(), "set -eu");
}
