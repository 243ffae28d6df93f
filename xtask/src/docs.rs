//! `cargo xtask docs`: the documentation that is made from the code.

use crate::error::Error;
use crate::test;
use crate::workspace::Workspace;

/// Builds the crates' own documentation and says where it is.
pub(crate) fn docs(workspace: &Workspace) -> Result<(), Error> {
    test::document(workspace)?;
    println!("{}", workspace.target().join("doc/lictor_core/index.html").display());
    Ok(())
}
