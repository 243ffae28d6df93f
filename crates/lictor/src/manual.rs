//! Every command line that the manual and the help show is one.
//!
//! It only parses them, which needs neither root nor Consul. The pages are also done as they are written, by
//! `tests/it/manual`, but for a few blocks that cannot be; the help and the page about the units are read by this alone.

use std::ffi::OsString;

use clap::{CommandFactory as _, Parser as _};

use crate::cli::Cli;
use crate::command::in_order;
use crate::{
    bbbsupervisor, consul_replicate, consul_snapshot, old_flags, powerconsul, snapshot_agent, watcher,
};

/// The words of each call of `lictor` in a line for a shell.
fn calls(line: &str) -> Vec<Vec<String>> {
    let mut calls = vec![Vec::new()];
    let (mut word, mut quote, mut passed) = (None::<String>, None, false);
    let end = |word: &mut Option<String>, calls: &mut Vec<Vec<String>>, passed: &mut bool| {
        if let Some(word) = word.take()
            && !std::mem::take(passed)
            && let Some(call) = calls.last_mut()
        {
            call.push(word);
        }
    };
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, '|' | '&' | ';' | '(' | ')') => {
                end(&mut word, &mut calls, &mut passed);
                calls.push(Vec::new());
            }
            // Where it goes is no word of the call.
            (None, '>' | '<') => {
                word.take_if(|word| word.chars().all(|c| c.is_ascii_digit()));
                end(&mut word, &mut calls, &mut passed);
                passed = true;
            }
            (None, c) if c.is_whitespace() => end(&mut word, &mut calls, &mut passed),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    end(&mut word, &mut calls, &mut passed);
    let is_set = |word: &String| {
        word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    calls
        .into_iter()
        .map(|words| {
            words
                .into_iter()
                .skip_while(|word| is_set(word) || word == "$" || word == "sudo")
                .collect::<Vec<_>>()
        })
        .filter(|words: &Vec<String>| words.first().is_some_and(|word| word == "lictor"))
        .collect()
}

/// Lines for a shell in a page of the manual.
fn shell_lines(page: &str) -> Vec<String> {
    let (mut lines, mut inside, mut continued) = (Vec::<String>::new(), None, false);
    for line in page.lines() {
        match inside {
            None => {
                inside = ["```sh", "```console", "```bash"].into_iter().find(|fence| line.starts_with(fence));
            }
            Some(_) if line.starts_with("```") => inside = None,
            Some(kind) => {
                let typed = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# "));
                // What a console answers is not typed.
                let typed = if kind == "```console" { typed } else { Some(line) };
                let text = if continued { Some(line) } else { typed };
                let Some(text) = text else { continue };
                let bare = text.trim_end_matches('\\');
                match lines.last_mut().filter(|_| continued) {
                    Some(last) => *last += bare,
                    None => lines.push(bare.to_owned()),
                }
                continued = text.ends_with('\\');
            }
        }
    }
    lines
}

/// Why a call is none, if so.
fn mistake(words: &[String]) -> Option<String> {
    let args: Vec<OsString> = words.iter().map(OsString::from).collect();
    let old = [
        bbbsupervisor::called,
        consul_replicate::called,
        consul_snapshot::called,
        powerconsul::called,
        snapshot_agent::called,
        watcher::called,
    ];
    // The old command lines have tests of their own.
    if old.iter().any(|called| called(&args).is_some()) {
        return None;
    }
    match Cli::try_parse_from(in_order(old_flags::doubled(args))) {
        Err(error) if error.use_stderr() => Some(error.to_string()),
        _ => None,
    }
}

fn help_of(command: &clap::Command, into: &mut Vec<String>) {
    into.extend(command.get_after_help().map(ToString::to_string));
    command.get_subcommands().for_each(|sub| help_of(sub, into));
}

#[test]
fn every_call_of_lictor_in_the_manual_is_one() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let pages = std::fs::read_dir(root.join("docs")).unwrap().map(|page| page.unwrap().path());
    let pages = pages.filter(|page| page.extension().is_some_and(|end| end == "md"));
    let (mut checked, mut wrong) = (0, Vec::new());
    for page in pages.chain([root.join("README.md"), root.join("packaging/systemd/README.md")]) {
        for line in shell_lines(&std::fs::read_to_string(&page).unwrap()) {
            for call in calls(&line) {
                checked += 1;
                wrong.extend(mistake(&call).map(|why| format!("{}: {line}\n{why}", page.display())));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 60, "only {checked} were found");
}

#[test]
fn every_example_of_the_help_is_one() {
    let mut texts = Vec::new();
    help_of(&Cli::command(), &mut texts);
    let lines: Vec<_> =
        texts.iter().flat_map(|text| text.lines()).filter(|line| line.starts_with("  ")).collect();
    let found: Vec<_> = lines.iter().flat_map(|line| calls(line)).collect();
    let wrong: Vec<_> = found.iter().filter_map(|call| mistake(call)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(found.len() > 60, "only {} were found", found.len());
}

#[test]
fn calls_are_found_wherever_they_stand_in_a_line() {
    let found = calls("A=b lictor get 'x y' > out 2> /dev/null | jq . && lictor status # lictor no");
    assert_eq!(found, [vec!["lictor", "get", "x y"], vec!["lictor", "status"]]);
    assert!(mistake(&["lictor".to_owned(), "statsu".to_owned()]).is_some());
}
