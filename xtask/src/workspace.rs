//! Where the workspace and its build output are.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::Error;
use crate::tool::Tool;

/// The directories every command needs.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Asks cargo, which knows `CARGO_TARGET_DIR` and its own configuration.
    pub(crate) fn find() -> Result<Self, Error> {
        let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
        let text = Tool::cargo()
            .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
            .dir(here)
            .output()?;
        let metadata: Value = serde_json::from_str(&text)
            .map_err(|error| Error::Answer { of: "cargo metadata", what: error.to_string() })?;
        let path = |field: &str| {
            metadata
                .get(field)
                .and_then(Value::as_str)
                .map(PathBuf::from)
                .ok_or_else(|| Error::Answer { of: "cargo metadata", what: format!("no `{field}`") })
        };
        Ok(Self { root: path("workspace_root")?, target: path("target_directory")? })
    }

    /// The directory of the root `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo builds.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Where programs for the tests are kept that the system has no package of.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("lictor-tools")
    }
}

/// The platform that is built for, as rustc names it: `x86_64-unknown-linux-gnu`.
pub(crate) fn platform() -> Result<String, Error> {
    let said = Tool::new("rustc").arg("-vV").output()?;
    said.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| Error::Answer { of: "rustc -vV", what: "no `host`".to_owned() })
}
