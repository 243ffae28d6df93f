//! The configuration as its users meet it: files on a disk, the examples, the manual.

mod files;
mod manual;
mod robust;
mod secrets;
