//! `lictor explain`.

use serde::Deserialize;

use super::events::localized;
use super::incidents::encoded;
use crate::cli::Explain as Args;
use crate::client::{Client, unless_json};
use crate::exit::Failure;
use crate::output::Terminal;

#[derive(Deserialize)]
struct Explained {
    text: String,
}

pub(crate) async fn run(args: &Args, _terminal: &Terminal) -> Result<(), Failure> {
    let client = Client::new(&args.agent)?;
    let answer = client.get(&format!("/v1/explain/{}", encoded(&args.what)), &[]).await?;
    match unless_json::<Explained>(args.agent.format, answer)? {
        Some(explained) => Terminal::data(&localized(&explained.text)),
        None => Ok(()),
    }
}
