//! `lictor service`: clustered services.

mod check;

use crate::cli::Service;
use crate::exit::Failure;
use crate::output::Terminal;

pub(crate) async fn run(command: &Service, terminal: &Terminal) -> Result<(), Failure> {
    match command {
        Service::Check(what) => check::run(what, terminal).await,
    }
}
