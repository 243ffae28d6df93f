//! What each kind of notifier sends.

mod chats;
mod keepers;
mod rules;

use lictor_config::{Notifier, NotifierKind};
use lictor_core::alert::Message;
use serde_json::Value;

use super::request::{Request, Revealed, requests};
use super::sampled::{message, notifier, over};
use super::table::ROWS;

/// A block of each service of the table, by its kind; some services are reached in two ways.
const BLOCKS: &[(&str, &str)] = &[
    ("slack", "webhook = \"https://hooks.slack.example/services/hunter2\""),
    ("slack", "token = \"hunter2\"\nchannel = \"#ops\""),
    ("mattermost", "webhook = \"https://chat.example/hooks/hunter2\""),
    ("mattermost", "url = \"https://chat.example/\"\ntoken = \"hunter2\"\nchannel_id = \"c1\""),
    ("telegram", "token = \"hunter2\"\nchat_id = \"-100\"\nthread_id = 7"),
    ("discord", "webhook = \"https://discord.example/api/webhooks/1/hunter2\""),
    ("teams", "webhook = \"https://teams.example/workflows/hunter2?sig=hunter2\""),
    ("matrix", "url = \"https://matrix.example\"\ntoken = \"hunter2\"\nroom = \"!a/b:example\""),
    ("ntfy", "topic = \"ops\"\ntoken = \"hunter2\""),
    ("ntfy", "topic = \"ops\"\nuser = \"me\"\npassword = \"hunter2\""),
    ("gotify", "url = \"https://gotify.example/sub\"\ntoken = \"hunter2\""),
    ("pushover", "token = \"hunter2\"\nuser_key = \"hunter2u\"\nemergency = true"),
    ("pagerduty", "routing_key = \"hunter2\""),
    ("pagerduty", "service_key = \"hunter2\"\nclient_url = \"https://lictor.example\""),
    ("opsgenie", "api_key = \"hunter2\"\nresponders = [\"db\"]"),
    ("victorops", "api_key = \"hunter2\"\nrouting_key = \"team a\""),
    ("ilert", "api_key = \"hunter2\""),
    (
        "influxdb",
        "url = \"http://127.0.0.1:8086\"\ndatabase = \"alerts\"\nuser = \"me\"\npassword = \"hunter2\"",
    ),
    ("influxdb", "url = \"http://127.0.0.1:8086\"\nbucket = \"b c\"\norg = \"o\"\ntoken = \"hunter2\""),
    (
        "sns",
        "topic = \"arn:aws:sns:eu-central-1:123456789012:ops\"\naccess_key = \"AKIDhunter2\"\nsecret_key = \"hunter2\"",
    ),
    (
        "sns",
        "topic = \"arn:aws:sns:eu-central-1:123456789012:ops.fifo\"\naccess_key = \"AKIDhunter2\"\nsecret_key = \"hunter2\"",
    ),
    ("alertmanager", "urls = [\"http://a.example:9093\", \"http://b.example:9093/am/\"]"),
];

fn block((kind, lines): &(&str, &str)) -> Notifier {
    notifier(&format!("notify \"{kind}\" \"n\" {{\n{lines}\n}}"))
}

fn made(notifier: &Notifier, message: &Message) -> Vec<Request> {
    let NotifierKind::Service(service) = &notifier.kind else { panic!("{:?}", notifier.kind) };
    let revealed = Revealed::read(service).unwrap();
    requests(notifier, service, message, &revealed).unwrap().into_iter().flatten().collect()
}

/// The requests in words.
fn said(requests: &[Request]) -> String {
    let one = |request: &Request| {
        let body = match serde_json::from_str::<Value>(&request.body) {
            Ok(body) => serde_json::to_string_pretty(&body).unwrap(),
            Err(_text) => request.body.clone(),
        };
        let aside = ["content-type", "idempotency-key"];
        let headers = request.headers.iter().filter(|(name, _)| !aside.contains(&name.as_str()));
        let headers: String = headers.map(|(name, value)| format!("{name}: {value}\n")).collect();
        format!("{} {}\n{headers}{body}", request.method, request.url)
    };
    requests.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// What a service is sent when something is wrong, and when it is over.
fn told(kind: &str, which: usize) -> String {
    let found = BLOCKS.iter().filter(|(known, _)| *known == kind).nth(which).unwrap();
    let notifier = block(found);
    format!("{}\n\n{}", said(&made(&notifier, &message(1))), said(&made(&notifier, &over(message(1)))))
}

#[test]
fn the_table_has_the_services_of_the_configuration() {
    let known: Vec<&str> = ROWS.iter().map(|row| row.kind).collect();
    let mut tried: Vec<&str> = BLOCKS.iter().map(|(kind, _)| *kind).collect();
    tried.dedup();
    assert_eq!(known, tried);
}
