//! `lictor alerts forget`.

use serde_json::json;

use crate::cli::Forget;
use crate::client::Client;
use crate::exit::Failure;

use super::{say, without_null};

pub(super) async fn run(args: &Forget) -> Result<(), Failure> {
    let body = without_null(json!({ "node": args.node, "by": args.by }));
    let answer = Client::new(&args.agent)?.post_with("/v1/alerts/forget", &body).await?;
    say(args.agent.format, answer)
}
