//! `cargo xtask docs`: the documentation that is made from the code, in `docs/reference` and by rustdoc.

use crate::error::Error;
use crate::lint::cargo;
use crate::workspace::Workspace;

/// The integration tests that hold each generated page against the code, by package: with
/// `LICTOR_UPDATE_DOCS` they write it, without they fail when it is not what they would write.
const PAGES: &[(&str, &str)] = &[("lictor-config", "manual"), ("lictor", "help")];

/// Writes the generated pages, builds the crates' documentation and says where both are.
pub(crate) fn docs(workspace: &Workspace) -> Result<(), Error> {
    for (package, module) in PAGES {
        cargo(workspace)
            .args(["test", "--quiet", "--package", package, "--test", "it", "--", module])
            .env("LICTOR_UPDATE_DOCS", "1")
            .run()?;
    }
    document(workspace)?;
    println!("{}", workspace.root().join("docs/reference").display());
    println!("{}", workspace.target().join("doc/lictor_core/index.html").display());
    Ok(())
}

/// Builds the crates' documentation; a broken link is an error.
pub(crate) fn document(workspace: &Workspace) -> Result<(), Error> {
    cargo(workspace)
        .args(["doc", "--workspace", "--no-deps", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}
