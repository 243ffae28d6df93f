//! The manual and the examples are true.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lictor_config::{Loaded, RuleTests, errors, parse_in, reference, rule_test_reference};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What the examples expect of their environment.
fn environment() -> BTreeMap<String, String> {
    let variables = [("CREDENTIALS_DIRECTORY", "/run/credentials/lictor.service"), ("SMTP_PASSWORD", "x")];
    variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[track_caller]
fn good(name: &str, text: &str) -> Loaded {
    match parse_in(name, text, &environment()) {
        Ok(loaded) => loaded,
        Err(failure) => panic!("{name}:\n{}", failure.lines().collect::<Vec<_>>().join("\n")),
    }
}

/// The file holds what is generated; `cargo xtask docs` writes it anew.
fn is_generated(path: &str, text: &str) {
    let path = root().join(path);
    if std::env::var_os("LICTOR_UPDATE_DOCS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "{} is not what the schema says: run `cargo xtask docs` (or this test with LICTOR_UPDATE_DOCS=1) and commit it",
        path.display()
    );
}

#[test]
fn the_reference_is_what_the_schema_says() {
    is_generated("docs/reference/configuration.md", &reference());
}

#[test]
fn the_list_of_mistakes_is_what_the_codes_say() {
    is_generated("docs/reference/errors.md", &errors());
}

#[test]
fn the_reference_of_rule_tests_is_what_the_schema_says() {
    is_generated("docs/reference/rule-tests.md", &rule_test_reference());
}

#[test]
fn every_example_is_good_and_warns_of_nothing() {
    let mut seen = 0;
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(".test.hcl") {
            if let Err(failure) = RuleTests::load(&path, &environment()) {
                panic!("{}:\n{}", path.display(), failure.lines().collect::<Vec<_>>().join("\n"));
            }
        } else if path.extension().is_some_and(|end| end == "hcl" || end == "json") {
            let loaded = good(&path.display().to_string(), &fs::read_to_string(&path).unwrap());
            let warnings: Vec<_> = loaded.warnings.iter().map(lictor_config::Problem::one_line).collect();
            assert!(warnings.is_empty(), "{warnings:?}");
            let works = !loaded.config.replicates.is_empty() || !loaded.config.snapshots.is_empty();
            assert!(works || !loaded.config.plan.remedies.is_empty(), "{} shows a cure", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 2, "minimal and homelab at least");
}

#[test]
fn every_block_of_configuration_in_the_manual_is_good() {
    let mut pages = vec![root().join("README.md")];
    collect(&root().join("docs"), &mut pages);
    let mut seen = 0;
    for page in pages {
        let Ok(text) = fs::read_to_string(&page) else { continue };
        for (language, line, block) in fenced(&text) {
            let name = format!("{}:{line}.{language}", page.display());
            let of_ours = language == "json" && page.ends_with("docs/configuration.md");
            if language == "hcl" || of_ours {
                good(&name, &block);
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "the reference alone has more");
}

fn collect(directory: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, pages);
        } else if path.extension().is_some_and(|end| end == "md") {
            pages.push(path);
        }
    }
}

/// The fenced blocks of a page: language, line, text. A second word after the language,
/// as in `hcl consul`, says whose it is.
fn fenced(page: &str) -> Vec<(String, usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(String, usize, String, usize)> = None;
    for (index, line) in page.lines().enumerate() {
        let trimmed = line.trim_start();
        match (&mut open, trimmed.strip_prefix("```")) {
            (None, Some(language)) => {
                let language = language.trim().to_owned();
                open = Some((language, index + 1, String::new(), line.len() - trimmed.len()));
            }
            (Some(_), Some(_)) => {
                let (language, line, text, _) = open.take().unwrap();
                found.push((language, line, text));
            }
            (Some((_, _, text, indent)), None) => {
                text.push_str(line.get(*indent..).unwrap_or_default());
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}
