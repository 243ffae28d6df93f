//! The store as a whole, against real files and real servers.

#[cfg(test)]
mod node;
#[cfg(test)]
mod support;
