//! What Debian has no package of, for the tests: moto from PyPI; s3rver, Azurite and what drives a browser from npm.
//!
//! They live beside the build output, each kind in a folder of its own that is made whole before it gets its name, and
//! are installed nowhere. Only the interpreters come from Debian. Which index and registry are asked is what the
//! machine's own pip and npm say.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;
use crate::setup::packages::find_program;
use crate::tool::Tool;
use crate::workspace::Workspace;

/// What is in the virtual environment, and the folder that has these versions.
const PYTHON: Bundle = Bundle {
    folder: "moto-5.2.5",
    packages: &["moto[server,s3]==5.2.5"],
    reason: "a real server of objects",
    fetch: fetch_python,
};

/// What is in the folder of npm. Newer versions of Azurite want a newer node than Debian has.
const NODE: Bundle = Bundle {
    folder: "s3rver-3.7.1-azurite-3.35.0",
    packages: &["s3rver@3.7.1", "azurite@3.35.0"],
    reason: "real servers of objects",
    fetch: fetch_node,
};

/// What drives Debian's Chromium, and what finds faults in a page. Neither needs anything else, and no browser is fetched.
const BROWSER: Bundle = Bundle {
    folder: "playwright-core-1.65.1-axe-core-4.14.1",
    packages: &["playwright-core@1.65.1", "axe-core@4.14.1"],
    reason: "what people do with the page is done in a real browser",
    fetch: fetch_node,
};

/// Time to fetch some 200 MB on a slow line.
const FETCH: Duration = Duration::from_secs(1200);

/// Several packages in one folder.
struct Bundle {
    /// What the folder is called; another version is another folder.
    folder: &'static str,
    packages: &'static [&'static str],
    /// What for.
    reason: &'static str,
    fetch: fn(&Self, &Path) -> Result<(), Error>,
}

/// One program, or a folder of modules.
pub(crate) struct Fetched {
    /// What it is.
    pub(crate) program: &'static str,
    /// The variable by which tests learn where it is.
    pub(crate) variable: &'static str,
    /// Where it is, in the folder of its bundle.
    inside: &'static str,
    bundle: &'static Bundle,
}

/// All of them.
pub(crate) const FETCHED: &[Fetched] = &[
    Fetched {
        program: "moto_server",
        variable: "LICTOR_MOTO_BIN",
        inside: "bin/moto_server",
        bundle: &PYTHON,
    },
    Fetched {
        program: "s3rver",
        variable: "LICTOR_S3RVER_BIN",
        inside: "node_modules/.bin/s3rver",
        bundle: &NODE,
    },
    Fetched {
        program: "azurite-blob",
        variable: "LICTOR_AZURITE_BIN",
        inside: "node_modules/.bin/azurite-blob",
        bundle: &NODE,
    },
    Fetched {
        program: "playwright-core",
        variable: "LICTOR_PLAYWRIGHT_DIR",
        inside: "node_modules",
        bundle: &BROWSER,
    },
];

impl Fetched {
    /// Where it is: where its variable says, or in its bundle, which is fetched if it is not there.
    pub(crate) fn ensure(&self, workspace: &Workspace) -> Result<PathBuf, Error> {
        if let Some(given) = std::env::var_os(self.variable) {
            return Ok(PathBuf::from(given));
        }
        let home = workspace.tools().join(self.bundle.folder);
        let program = home.join(self.inside);
        if program.exists() {
            return Ok(program);
        }
        println!("fetching {}: {}", self.bundle.packages.join(", "), self.bundle.reason);
        (self.bundle.fetch)(self.bundle, &home)?;
        if program.exists() {
            return Ok(program);
        }
        Err(Error::Verdict(format!("{} is not in {}", self.program, home.display())))
    }
}

/// A virtual environment knows its own path, so it is made where it stays; what is not whole has no program yet.
fn fetch_python(bundle: &Bundle, home: &Path) -> Result<(), Error> {
    clear(home)?;
    let virtualenv = find_program("virtualenv").ok_or_else(|| missing("virtualenv"))?;
    Tool::new(virtualenv).arg("--quiet").arg(home).deadline(FETCH).quiet()?;
    let pip = Tool::new(home.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check"]);
    let fetched = pip.args(bundle.packages).deadline(FETCH).quiet();
    if fetched.is_err() {
        clear(home)?;
    }
    fetched
}

fn fetch_node(bundle: &Bundle, home: &Path) -> Result<(), Error> {
    let mut partial = home.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    clear(&partial)?;
    fs::create_dir_all(&partial).map_err(Error::file("create", &partial))?;
    let npm = find_program("npm").ok_or_else(|| missing("npm"))?;
    let npm = Tool::new(npm).arg("install").arg("--prefix").arg(&partial);
    let npm = npm.args(["--no-audit", "--no-fund", "--no-save", "--omit=optional", "--ignore-scripts"]);
    npm.args(bundle.packages).dir(&partial).deadline(FETCH).quiet()?;
    clear(home)?;
    fs::rename(&partial, home).map_err(Error::file("create", home))
}

fn clear(folder: &Path) -> Result<(), Error> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder).map_err(Error::file("remove", folder))
}

fn missing(program: &str) -> Error {
    Error::Verdict(format!("{program} is not there, and Debian's packages did not bring it"))
}
