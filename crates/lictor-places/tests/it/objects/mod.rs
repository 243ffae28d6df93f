//! Servers of objects.

mod azure;
mod faults;
mod google;
mod resume;
mod s3;
mod sts;
