//! What lies in the directory of a run: `history.jsonl`, and if there are any `run.json`, `verdict.json` and the logs in
//! `nodes`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::CommandError;
use crate::check::Judgement;

/// A run, or a history alone.
#[derive(Debug)]
pub(super) struct RunDir {
    pub(super) history: PathBuf,
    /// Its directory; none for a history alone.
    dir: Option<PathBuf>,
}

impl RunDir {
    /// That of a path: a directory is a run, and so is one that a history lies in together with a `run.json`.
    pub(super) fn of(path: &Path) -> Self {
        if path.is_dir() {
            return Self { history: path.join("history.jsonl"), dir: Some(path.to_owned()) };
        }
        let parent =
            path.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
        let dir = parent.filter(|parent| parent.join("run.json").is_file());
        Self { history: path.to_owned(), dir: dir.map(Path::to_owned) }
    }

    /// A file beside the history.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.history.with_file_name(name)
    }

    /// What it is called if nobody says so.
    pub(super) fn name(&self) -> String {
        let path = self.dir.as_ref().unwrap_or(&self.history);
        path.file_name().map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    fn value(&self, name: &str) -> Result<Option<Value>, CommandError> {
        let Some(path) = self.dir.as_ref().map(|dir| dir.join(name)) else { return Ok(None) };
        match fs::read_to_string(&path) {
            Ok(text) => {
                serde_json::from_str(&text).map(Some).map_err(|error| CommandError::Run { path, error })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CommandError::Read { path, error }),
        }
    }

    /// What the run was: names and what they are.
    pub(super) fn about(&self) -> Result<Vec<(String, String)>, CommandError> {
        let Some(Value::Object(fields)) = self.value("run.json")? else { return Ok(Vec::new()) };
        let text = |value: Value| match value {
            Value::String(text) => text,
            Value::Array(values) => {
                let texts = values
                    .iter()
                    .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                texts.collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        };
        Ok(fields.into_iter().map(|(name, value)| (name, text(value))).collect())
    }

    /// What it was made for: the checks that judge it; none of a history alone.
    pub(super) fn checks(&self) -> Result<Vec<String>, CommandError> {
        let checks = self.value("run.json")?.and_then(|mut run| run.get_mut("checks").map(Value::take));
        let Some(checks) = checks else { return Ok(Vec::new()) };
        let path = self.beside("run.json");
        serde_json::from_value(checks).map_err(|error| CommandError::Run { path, error })
    }

    /// What was found of it already.
    pub(super) fn judgement(&self) -> Result<Option<Judgement>, CommandError> {
        let Some(value) = self.value("verdict.json")? else { return Ok(None) };
        let path = self.beside("verdict.json");
        serde_json::from_value(value).map(Some).map_err(|error| CommandError::Run { path, error })
    }

    /// The files of its logs, in order.
    fn logs(&self) -> Result<Vec<PathBuf>, CommandError> {
        let Some(path) = self.dir.as_ref().map(|dir| dir.join("nodes")) else { return Ok(Vec::new()) };
        let failed = |error| CommandError::Read { path: path.clone(), error };
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if path.is_file() {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// Its logs: names and what is in them.
    pub(super) fn log_texts(&self) -> Result<Vec<(String, String)>, CommandError> {
        let read = |path: PathBuf| match fs::read(&path) {
            Ok(bytes) => Ok((name(&path), String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) => Err(CommandError::Read { path, error }),
        };
        self.logs()?.into_iter().map(read).collect()
    }

    /// Its logs: names, and where they are as seen from a page.
    pub(super) fn log_links(&self, page: &Path) -> Result<Vec<(String, String)>, CommandError> {
        let near = page.parent() == self.history.parent();
        let link = |path: PathBuf| {
            let place = match self.dir.as_ref().and_then(|dir| path.strip_prefix(dir).ok()) {
                Some(inside) if near => inside.to_owned(),
                // A page that lies elsewhere finds them by their whole path.
                _ => std::path::absolute(&path).unwrap_or_else(|_| path.clone()),
            };
            (name(&path), place.to_string_lossy().into_owned())
        };
        Ok(self.logs()?.into_iter().map(link).collect())
    }
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
