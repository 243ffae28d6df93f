//! From text to the tree of what is written.

pub(crate) mod canonical;
pub(crate) mod hcl;
pub(crate) mod json;
pub(crate) mod scan;
pub(crate) mod tree;

#[cfg(test)]
mod tests;
