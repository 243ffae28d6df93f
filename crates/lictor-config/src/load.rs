//! From files to a configuration.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::block;
use crate::code::Code;
use crate::env::Env;
use crate::expand;
use crate::failure::Failure;
use crate::model::Config;
use crate::problem::{Draft, Problem};
use crate::reader::Decoder;
use crate::report::Report;
use crate::scope::Scope;
use crate::source::{Format, Source, Span};
use crate::syntax::tree::{Block, Body};
use crate::syntax::{canonical, hcl, json};

/// A file has at most so many bytes.
const FILE: u64 = 4 << 20;
/// A configuration has at most so many blocks.
const BLOCKS: usize = 100_000;

/// A configuration and what it was read from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What deserves a warning, in the order of the files.
    pub warnings: Vec<Problem>,
    /// The files it was read from.
    pub files: Vec<PathBuf>,
    /// The SHA-256 in hexadecimal of what is written, comments and layout aside: the same
    /// on nodes with the same configuration.
    pub digest: String,
}

/// Reads files, and all files of directories whose names end in `.hcl` or `.json`, in
/// lexical order; together they are one configuration. Tests of rules, `*.test.hcl`, are left out
/// of directories.
///
/// # Errors
/// Every mistake in any of the files.
pub fn load(paths: &[PathBuf], env: &dyn Env) -> Result<Loaded, Failure> {
    let mut reading = Reading::default();
    for path in paths {
        reading.path(path);
    }
    if paths.is_empty() {
        reading.problem(Path::new("."), Code::NoFiles, "no file or directory is named");
    }
    reading.finish(env)
}

/// Reads one text as if it were a file of that name, in an empty environment: JSON if the
/// name ends in `.json`, otherwise HCL.
///
/// # Errors
/// Every mistake in it.
pub fn parse(name: &str, text: &str) -> Result<Loaded, Failure> {
    parse_in(name, text, &BTreeMap::new())
}

/// As [`parse`], in the environment given.
///
/// # Errors
/// Every mistake in it.
pub fn parse_in(name: &str, text: &str, env: &dyn Env) -> Result<Loaded, Failure> {
    let mut reading = Reading::default();
    reading.text(Path::new(name), text.as_bytes());
    reading.finish(env)
}

/// Whether a file holds tests of rules, which lie beside them and are no part of a configuration.
fn is_test(path: &Path) -> bool {
    let name = path.file_stem().map(Path::new);
    name.and_then(Path::extension).is_some_and(|end| end == "test")
}

#[derive(Default)]
struct Reading {
    sources: Vec<Source>,
    files: Vec<PathBuf>,
    report: Report,
}

impl Reading {
    fn path(&mut self, path: &Path) {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => {}
            // What is read until its end must have one: a pipe may never.
            Ok(found) if !found.is_file() => {
                let message = format!("`{}` is neither a file nor a directory", path.display());
                return self.problem(path, Code::Unreadable, message);
            }
            Ok(_) | Err(_) => return self.file(path),
        }
        let entries = match fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
            Ok(entries) => entries,
            Err(error) => {
                return self.problem(
                    path,
                    Code::Unreadable,
                    format!("the directory `{}` cannot be read: {error}", path.display()),
                );
            }
        };
        let wanted = |path: &PathBuf| {
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            let ending = path.extension().is_some_and(|end| end == "hcl" || end == "json");
            ending && !hidden && !is_test(path) && !path.is_dir()
        };
        let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(wanted).collect();
        files.sort();
        if files.is_empty() {
            let message =
                format!("the directory `{}` holds no file whose name ends in .hcl or .json", path.display());
            self.problem(path, Code::NoFiles, message);
        }
        files.iter().for_each(|file| self.path(file));
    }

    fn file(&mut self, path: &Path) {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(FILE + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) => self.text(path, &bytes),
            Err(error) => {
                let message = format!("the file `{}` cannot be read: {error}", path.display());
                self.problem(path, Code::Unreadable, message);
            }
        }
    }

    fn text(&mut self, path: &Path, bytes: &[u8]) {
        if bytes.len() as u64 > FILE {
            let message = format!("the file `{}` has more than 4 MiB", path.display());
            return self.problem(path, Code::TooLarge, message);
        }
        self.files.push(path.to_owned());
        let name = path.to_string_lossy();
        match std::str::from_utf8(bytes) {
            // A byte order mark is no part of the text.
            Ok(text) => self.sources.push(Source::new(&name, text.trim_start_matches('\u{feff}'))),
            Err(error) => {
                let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
                self.sources.push(Source::new(&name, &(String::from_utf8_lossy(good) + "\u{fffd}")));
                let file = self.sources.len() - 1;
                self.report.hide_file(file);
                let span = Span::new(file, error.valid_up_to()..error.valid_up_to());
                self.report.add(Draft::new(Code::NotText, span, "the file is not UTF-8 from here on"));
            }
        }
    }

    /// A problem with a file that has no text.
    fn problem(&mut self, path: &Path, code: Code, message: impl Into<String>) {
        self.sources.push(Source {
            name: path.display().to_string(),
            text: String::new(),
            format: Format::Hcl,
        });
        let file = self.sources.len() - 1;
        self.report.hide_file(file);
        self.report.add(Draft::new(code, Span::new(file, 0..0), message));
    }

    fn finish(self, env: &dyn Env) -> Result<Loaded, Failure> {
        let Self { mut sources, files, report } = self;
        let mut whole = Body::default();
        for (file, source) in sources.iter().enumerate() {
            let mut problems = Vec::new();
            let body = match source.format {
                Format::Hcl => Some(hcl::read(file, &source.text, &mut problems)),
                Format::Json => json::read(file, &source.text, &block::TOP, &mut problems),
            };
            if !problems.is_empty() {
                report.hide_file(file);
            }
            problems.into_iter().for_each(|problem| report.add(problem));
            let body = body.unwrap_or_default();
            whole.attributes.extend(body.attributes);
            whole.blocks.extend(body.blocks);
        }
        let config = if count(&whole.blocks) > BLOCKS {
            let span = whole.blocks.last().map_or(Span::new(0, 0..0), Block::head);
            report.add(Draft::new(
                Code::Limit,
                span,
                format!("the configuration has more than {BLOCKS} blocks"),
            ));
            None
        } else {
            let mut problems = Vec::new();
            let monitors = expand::expand(&mut whole, &mut sources, env, &mut problems);
            problems.into_iter().for_each(|problem| report.add(problem));
            let scope = Scope::of(&whole, &report);
            let decoder = Decoder::new(&sources, env, &report, &scope);
            block::decode(&decoder, &whole).map(|config| Config { monitors, ..config })
        };
        if config.is_none() && !report.has_errors() {
            // A part that is missing without a word would be our mistake; never run on it.
            report.add(Draft::new(
                Code::Syntax,
                Span::new(0, 0..0),
                "the configuration cannot be understood",
            ));
        }
        let warnings = report.finish(&sources, block::known);
        match (warnings, config) {
            (Ok(warnings), Some(config)) => {
                let digest = canonical::hash(&format!("{:?}", config.blocks));
                Ok(Loaded { config, warnings, files, digest })
            }
            (Err(failure), _) => Err(failure),
            (Ok(warnings), None) => Err(Failure { errors: Vec::new(), more: 0, warnings }),
        }
    }
}

fn count(blocks: &[Block]) -> usize {
    blocks.iter().map(|block| 1 + count(&block.body.blocks)).sum()
}
