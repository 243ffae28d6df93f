//! What each kind of notifier sends.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use lictor_config::{Notifier, NotifierKind, parse};
use lictor_core::alert::{Message, Occasion};
use lictor_core::{NotifierName, Status};
use serde_json::Value;

use super::request::{Request, Revealed, requests};
use super::sampled::{message, notifier, over};
use super::table::{ROWS, Row};
use super::texts::texts;
use super::{Notifiers, preview};
use crate::clock::Clock;

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

#[test]
fn slack() {
    assert_snapshot!(told("slack", 0), @r#"
    POST https://hooks.slack.example/services/hunter2
    {
      "attachments": [
        {
          "color": "danger",
          "fallback": "CRITICAL: shop: Service 'shop' check on web1 [dc1]",
          "mrkdwn_in": [
            "text"
          ],
          "text": "CRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" &lt;error&gt; &amp; more"
        }
      ],
      "text": "CRITICAL: shop: Service 'shop' check on web1 [dc1]",
      "unfurl_links": false
    }

    POST https://hooks.slack.example/services/hunter2
    {
      "attachments": [
        {
          "color": "good",
          "fallback": "RESOLVED: shop: Service 'shop' check on web1 [dc1]",
          "mrkdwn_in": [
            "text"
          ],
          "text": "RESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" &lt;error&gt; &amp; more"
        }
      ],
      "text": "RESOLVED: shop: Service 'shop' check on web1 [dc1]",
      "unfurl_links": false
    }
    "#);
}

#[test]
fn slack_by_a_bot() {
    let requests = made(&block(&BLOCKS[1]), &message(1));
    assert_eq!(requests[0].url.as_str(), "https://slack.com/api/chat.postMessage");
    assert_eq!(requests[0].headers["authorization"], "Bearer hunter2");
    assert!(requests[0].body.contains(r##""channel":"#ops""##), "{}", requests[0].body);
}

#[test]
fn mattermost() {
    assert_snapshot!(told("mattermost", 0), @r#"
    POST https://chat.example/hooks/hunter2
    {
      "text": "**CRITICAL: shop: Service 'shop' check on web1 [dc1]**\nCRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more"
    }

    POST https://chat.example/hooks/hunter2
    {
      "text": "**RESOLVED: shop: Service 'shop' check on web1 [dc1]**\nRESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more"
    }
    "#);
}

#[test]
fn mattermost_by_a_bot() {
    assert_snapshot!(told("mattermost", 1), @r#"
    POST https://chat.example/api/v4/posts
    authorization: Bearer hunter2
    {
      "channel_id": "c1",
      "message": "**CRITICAL: shop: Service 'shop' check on web1 [dc1]**\nCRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more"
    }

    POST https://chat.example/api/v4/posts
    authorization: Bearer hunter2
    {
      "channel_id": "c1",
      "message": "**RESOLVED: shop: Service 'shop' check on web1 [dc1]**\nRESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more"
    }
    "#);
}

#[test]
fn telegram() {
    assert_snapshot!(told("telegram", 0), @r#"
    POST https://api.telegram.org/bothunter2/sendMessage
    {
      "chat_id": "-100",
      "disable_notification": false,
      "link_preview_options": {
        "is_disabled": true
      },
      "message_thread_id": 7,
      "text": "CRITICAL: shop: Service 'shop' check on web1 [dc1]\nCRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more"
    }

    POST https://api.telegram.org/bothunter2/sendMessage
    {
      "chat_id": "-100",
      "disable_notification": false,
      "link_preview_options": {
        "is_disabled": true
      },
      "message_thread_id": 7,
      "text": "RESOLVED: shop: Service 'shop' check on web1 [dc1]\nRESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more"
    }
    "#);
}

#[test]
fn discord() {
    assert_snapshot!(told("discord", 0), @r#"
    POST https://discord.example/api/webhooks/1/hunter2
    {
      "allowed_mentions": {
        "parse": []
      },
      "content": "**CRITICAL: shop: Service 'shop' check on web1 [dc1]**\nCRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more"
    }

    POST https://discord.example/api/webhooks/1/hunter2
    {
      "allowed_mentions": {
        "parse": []
      },
      "content": "**RESOLVED: shop: Service 'shop' check on web1 [dc1]**\nRESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more"
    }
    "#);
}

#[test]
fn teams() {
    assert_snapshot!(told("teams", 0), @r#"
    POST https://teams.example/workflows/hunter2?sig=hunter2
    {
      "attachments": [
        {
          "content": {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "body": [
              {
                "color": "Attention",
                "size": "Medium",
                "text": "CRITICAL: shop: Service 'shop' check on web1 [dc1]",
                "type": "TextBlock",
                "weight": "Bolder",
                "wrap": true
              },
              {
                "inlines": [
                  {
                    "text": "CRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
                    "type": "TextRun"
                  }
                ],
                "type": "RichTextBlock"
              }
            ],
            "type": "AdaptiveCard",
            "version": "1.4"
          },
          "contentType": "application/vnd.microsoft.card.adaptive",
          "contentUrl": null
        }
      ],
      "type": "message"
    }

    POST https://teams.example/workflows/hunter2?sig=hunter2
    {
      "attachments": [
        {
          "content": {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "body": [
              {
                "color": "Good",
                "size": "Medium",
                "text": "RESOLVED: shop: Service 'shop' check on web1 [dc1]",
                "type": "TextBlock",
                "weight": "Bolder",
                "wrap": true
              },
              {
                "inlines": [
                  {
                    "text": "RESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
                    "type": "TextRun"
                  }
                ],
                "type": "RichTextBlock"
              }
            ],
            "type": "AdaptiveCard",
            "version": "1.4"
          },
          "contentType": "application/vnd.microsoft.card.adaptive",
          "contentUrl": null
        }
      ],
      "type": "message"
    }
    "#);
}

#[test]
fn matrix() {
    assert_snapshot!(told("matrix", 0), @r#"
    PUT https://matrix.example/_matrix/client/v3/rooms/!a%2Fb:example/send/m.room.message/d17
    authorization: Bearer hunter2
    {
      "body": "CRITICAL: shop: Service 'shop' check on web1 [dc1]\nCRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "msgtype": "m.text"
    }

    PUT https://matrix.example/_matrix/client/v3/rooms/!a%2Fb:example/send/m.room.message/d17r
    authorization: Bearer hunter2
    {
      "body": "RESOLVED: shop: Service 'shop' check on web1 [dc1]\nRESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "msgtype": "m.text"
    }
    "#);
}

#[test]
fn ntfy() {
    assert_snapshot!(told("ntfy", 1), @r#"
    POST https://ntfy.sh/
    authorization: Basic bWU6aHVudGVyMg==
    {
      "message": "CRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "priority": 5,
      "tags": [
        "rotating_light"
      ],
      "title": "CRITICAL: shop: Service 'shop' check on web1 [dc1]",
      "topic": "ops"
    }

    POST https://ntfy.sh/
    authorization: Basic bWU6aHVudGVyMg==
    {
      "message": "RESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "priority": 3,
      "tags": [
        "white_check_mark"
      ],
      "title": "RESOLVED: shop: Service 'shop' check on web1 [dc1]",
      "topic": "ops"
    }
    "#);
}

#[test]
fn gotify() {
    assert_snapshot!(told("gotify", 0), @r#"
    POST https://gotify.example/sub/message
    x-gotify-key: hunter2
    {
      "message": "CRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "priority": 8,
      "title": "CRITICAL: shop: Service 'shop' check on web1 [dc1]"
    }

    POST https://gotify.example/sub/message
    x-gotify-key: hunter2
    {
      "message": "RESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "priority": 4,
      "title": "RESOLVED: shop: Service 'shop' check on web1 [dc1]"
    }
    "#);
}

#[test]
fn pushover() {
    assert_snapshot!(told("pushover", 0), @r#"
    POST https://api.pushover.net/1/messages.json
    {
      "expire": 10800,
      "message": "CRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "priority": 2,
      "retry": 60,
      "tags": "i1/x",
      "timestamp": 1699999940,
      "title": "CRITICAL: shop: Service 'shop' check on web1 [dc1]",
      "token": "hunter2",
      "user": "hunter2u"
    }

    POST https://api.pushover.net/1/receipts/cancel_by_tag/i1%2Fx.json
    token=hunter2
    POST https://api.pushover.net/1/messages.json
    {
      "message": "RESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "priority": 0,
      "timestamp": 1699999940,
      "title": "RESOLVED: shop: Service 'shop' check on web1 [dc1]",
      "token": "hunter2",
      "user": "hunter2u"
    }
    "#);
}

#[test]
fn pagerduty() {
    assert_snapshot!(told("pagerduty", 0), @r#"
    POST https://events.pagerduty.com/v2/enqueue
    {
      "client": "Lictor",
      "dedup_key": "i1/x",
      "event_action": "trigger",
      "payload": {
        "class": "Service 'shop' check",
        "component": "shop",
        "custom_details": {
          "cluster": "dc1",
          "key": "consul/dc1/web1/shop-1/service:shop",
          "labels": {
            "check": "Service 'shop' check",
            "check_id": "service:shop",
            "datacenter": "dc1",
            "node": "web1",
            "service": "shop",
            "service_id": "shop-1",
            "source": "consul"
          },
          "notes": "",
          "output": "HTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
          "status": "critical",
          "tags": [
            "test"
          ],
          "text": "CRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more"
        },
        "severity": "critical",
        "source": "web1",
        "summary": "CRITICAL: shop: Service 'shop' check on web1 [dc1]",
        "timestamp": "2023-11-14T22:12:20Z"
      },
      "routing_key": "hunter2"
    }

    POST https://events.pagerduty.com/v2/enqueue
    {
      "client": "Lictor",
      "dedup_key": "i1/x",
      "event_action": "resolve",
      "payload": {
        "class": "Service 'shop' check",
        "component": "shop",
        "custom_details": {
          "cluster": "dc1",
          "key": "consul/dc1/web1/shop-1/service:shop",
          "labels": {
            "check": "Service 'shop' check",
            "check_id": "service:shop",
            "datacenter": "dc1",
            "node": "web1",
            "service": "shop",
            "service_id": "shop-1",
            "source": "consul"
          },
          "notes": "",
          "output": "HTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
          "status": "passing",
          "tags": [
            "test"
          ],
          "text": "RESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more"
        },
        "severity": "critical",
        "source": "web1",
        "summary": "RESOLVED: shop: Service 'shop' check on web1 [dc1]",
        "timestamp": "2023-11-14T22:12:20Z"
      },
      "routing_key": "hunter2"
    }
    "#);
}

#[test]
fn pagerduty_with_a_key_of_version_1() {
    assert_snapshot!(told("pagerduty", 1), @r#"
    POST https://events.pagerduty.com/generic/2010-04-15/create_event.json
    {
      "client": "Lictor",
      "client_url": "https://lictor.example",
      "description": "CRITICAL: shop: Service 'shop' check on web1 [dc1]",
      "details": {
        "cluster": "dc1",
        "key": "consul/dc1/web1/shop-1/service:shop",
        "labels": {
          "check": "Service 'shop' check",
          "check_id": "service:shop",
          "datacenter": "dc1",
          "node": "web1",
          "service": "shop",
          "service_id": "shop-1",
          "source": "consul"
        },
        "notes": "",
        "output": "HTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
        "status": "critical"
      },
      "event_type": "trigger",
      "incident_key": "i1/x",
      "service_key": "hunter2"
    }

    POST https://events.pagerduty.com/generic/2010-04-15/create_event.json
    {
      "description": "RESOLVED: shop: Service 'shop' check on web1 [dc1]",
      "details": {
        "cluster": "dc1",
        "key": "consul/dc1/web1/shop-1/service:shop",
        "labels": {
          "check": "Service 'shop' check",
          "check_id": "service:shop",
          "datacenter": "dc1",
          "node": "web1",
          "service": "shop",
          "service_id": "shop-1",
          "source": "consul"
        },
        "notes": "",
        "output": "HTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
        "status": "passing"
      },
      "event_type": "resolve",
      "incident_key": "i1/x",
      "service_key": "hunter2"
    }
    "#);
}

#[test]
fn opsgenie() {
    assert_snapshot!(told("opsgenie", 0), @r#"
    POST https://api.opsgenie.com/v2/alerts
    authorization: GenieKey hunter2
    {
      "alias": "i1/x",
      "description": "CRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "details": {
        "check": "Service 'shop' check",
        "check_id": "service:shop",
        "datacenter": "dc1",
        "node": "web1",
        "service": "shop",
        "service_id": "shop-1",
        "source": "consul"
      },
      "entity": "web1",
      "message": "CRITICAL: shop: Service 'shop' check on web1 [dc1]",
      "priority": "P1",
      "responders": [
        {
          "name": "db",
          "type": "team"
        }
      ],
      "source": "lictor dc1",
      "tags": [
        "test"
      ]
    }

    POST https://api.opsgenie.com/v2/alerts/i1%2Fx/close?identifierType=alias
    authorization: GenieKey hunter2
    {
      "note": "RESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "source": "lictor dc1"
    }
    "#);
}

#[test]
fn victorops() {
    assert_snapshot!(told("victorops", 0), @r#"
    POST https://alert.victorops.com/integrations/generic/20131114/alert/hunter2/team%20a
    {
      "check": "Service 'shop' check",
      "cluster": "dc1",
      "entity_display_name": "shop: Service 'shop' check on web1",
      "entity_id": "i1/x",
      "host_name": "web1",
      "message_type": "CRITICAL",
      "monitoring_tool": "lictor",
      "service": "shop",
      "state_message": "CRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "state_start_time": 1699999940,
      "timestamp": 1700000000
    }

    POST https://alert.victorops.com/integrations/generic/20131114/alert/hunter2/team%20a
    {
      "check": "Service 'shop' check",
      "cluster": "dc1",
      "entity_display_name": "shop: Service 'shop' check on web1",
      "entity_id": "i1/x",
      "host_name": "web1",
      "message_type": "RECOVERY",
      "monitoring_tool": "lictor",
      "service": "shop",
      "state_message": "RESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "state_start_time": 1699999940,
      "timestamp": 1700000000
    }
    "#);
}

#[test]
fn ilert() {
    assert_snapshot!(told("ilert", 0), @r#"
    POST https://api.ilert.com/api/events
    {
      "alertKey": "i1/x",
      "apiKey": "hunter2",
      "customDetails": {
        "cluster": "dc1",
        "key": "consul/dc1/web1/shop-1/service:shop",
        "labels": {
          "check": "Service 'shop' check",
          "check_id": "service:shop",
          "datacenter": "dc1",
          "node": "web1",
          "service": "shop",
          "service_id": "shop-1",
          "source": "consul"
        }
      },
      "details": "CRITICAL: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "eventType": "ALERT",
      "priority": "HIGH",
      "summary": "CRITICAL: shop: Service 'shop' check on web1 [dc1]"
    }

    POST https://api.ilert.com/api/events
    {
      "alertKey": "i1/x",
      "apiKey": "hunter2",
      "customDetails": {
        "cluster": "dc1",
        "key": "consul/dc1/web1/shop-1/service:shop",
        "labels": {
          "check": "Service 'shop' check",
          "check_id": "service:shop",
          "datacenter": "dc1",
          "node": "web1",
          "service": "shop",
          "service_id": "shop-1",
          "source": "consul"
        }
      },
      "details": "RESOLVED: shop: Service 'shop' check on web1, since 2023-11-14T22:12:20Z\nHTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
      "eventType": "RESOLVE",
      "priority": "HIGH",
      "summary": "RESOLVED: shop: Service 'shop' check on web1 [dc1]"
    }
    "#);
}

#[test]
fn influxdb() {
    assert_snapshot!(told("influxdb", 0), @r#"
    POST http://127.0.0.1:8086/write?precision=ms&db=alerts
    authorization: Basic bWU6aHVudGVyMg==
    lictor,check=Service\ 'shop'\ check,cluster=dc1,datacenter=dc1,key=consul/dc1/web1/shop-1/service:shop,node=web1,service=shop level=2i,status="critical",tells="firing",incident="i1/x",output="HTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",notes="" 1700000000000


    POST http://127.0.0.1:8086/write?precision=ms&db=alerts
    authorization: Basic bWU6aHVudGVyMg==
    lictor,check=Service\ 'shop'\ check,cluster=dc1,datacenter=dc1,key=consul/dc1/web1/shop-1/service:shop,node=web1,service=shop level=0i,status="passing",tells="resolved",incident="i1/x",output="HTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",notes="" 1700000000000
    "#);
}

#[test]
fn influxdb_2() {
    assert_snapshot!(told("influxdb", 1), @r#"
    POST http://127.0.0.1:8086/api/v2/write?precision=ms&org=o&bucket=b%20c
    authorization: Token hunter2
    lictor,check=Service\ 'shop'\ check,cluster=dc1,datacenter=dc1,key=consul/dc1/web1/shop-1/service:shop,node=web1,service=shop level=2i,status="critical",tells="firing",incident="i1/x",output="HTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",notes="" 1700000000000


    POST http://127.0.0.1:8086/api/v2/write?precision=ms&org=o&bucket=b%20c
    authorization: Token hunter2
    lictor,check=Service\ 'shop'\ check,cluster=dc1,datacenter=dc1,key=consul/dc1/web1/shop-1/service:shop,node=web1,service=shop level=0i,status="passing",tells="resolved",incident="i1/x",output="HTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",notes="" 1700000000000
    "#);
}

#[test]
fn alertmanager() {
    let mut worse = message(1);
    worse.items[0].before = Some(Status::Warning);
    let requests = made(&block(BLOCKS.last().unwrap()), &worse);
    let places: Vec<&str> = requests.iter().map(|request| request.url.as_str()).collect();
    assert_eq!(places, ["http://a.example:9093/api/v2/alerts", "http://b.example:9093/am/api/v2/alerts"]);
    assert_eq!(requests[0].body, requests[1].body);
    assert_snapshot!(said(&requests[..1]), @r#"
    POST http://a.example:9093/api/v2/alerts
    [
      {
        "annotations": {
          "description": "HTTP GET http://10.0.0.1/: 500 \"Internal\" <error> & more",
          "notes": "",
          "summary": "shop: Service 'shop' check on web1 is critical"
        },
        "endsAt": "2023-12-14T22:13:20Z",
        "labels": {
          "alertname": "Service 'shop' check",
          "check": "Service 'shop' check",
          "check_id": "service:shop",
          "cluster": "dc1",
          "datacenter": "dc1",
          "lictor_incident": "i1/x",
          "node": "web1",
          "service": "shop",
          "service_id": "shop-1",
          "severity": "critical",
          "source": "consul"
        },
        "startsAt": "2023-11-14T22:12:20Z"
      },
      {
        "annotations": {
          "summary": "shop: Service 'shop' check on web1 is critical"
        },
        "endsAt": "2023-11-14T22:13:20Z",
        "labels": {
          "alertname": "Service 'shop' check",
          "check": "Service 'shop' check",
          "check_id": "service:shop",
          "cluster": "dc1",
          "datacenter": "dc1",
          "lictor_incident": "i1/x",
          "node": "web1",
          "service": "shop",
          "service_id": "shop-1",
          "severity": "warning",
          "source": "consul"
        },
        "startsAt": "2023-11-14T22:12:20Z"
      }
    ]
    "#);
}

#[test]
fn an_alertmanager_knows_the_alert_again_that_is_over() {
    let notifier = block(BLOCKS.last().unwrap());
    let labels = |message: &Message| {
        serde_json::from_str::<Value>(&made(&notifier, message)[0].body).unwrap()[0]["labels"].clone()
    };
    assert_eq!(labels(&message(1)), labels(&over(message(1))));
}

#[test]
fn an_incident_has_one_key_from_its_beginning_to_its_end() {
    for kind in ["pagerduty", "opsgenie", "victorops", "ilert", "pushover"] {
        let notifier = block(BLOCKS.iter().find(|(known, _)| *known == kind).unwrap());
        let mut reminder = message(1);
        reminder.items[0].tells = lictor_core::alert::Tells::Reminder;
        reminder.items[0].reminders = 2;
        for message in [message(1), reminder, over(message(1))] {
            let said = said(&made(&notifier, &message));
            assert!(said.contains("i1/x") || said.contains("i1%2Fx"), "{kind}: {said}");
        }
    }
}

#[test]
fn what_keeps_an_incident_of_each_is_told_of_each() {
    let notifier = block(BLOCKS.iter().find(|(kind, _)| *kind == "pagerduty").unwrap());
    let requests = made(&notifier, &message(3));
    let keys: Vec<Value> = requests
        .iter()
        .map(|one| serde_json::from_str::<Value>(&one.body).unwrap()["dedup_key"].clone())
        .collect();
    assert_eq!(keys, ["i1/x", "i2/x", "i3/x"]);
}

#[test]
fn a_digest_when_all_is_well_is_told_to_people_only() {
    let mut well = message(0);
    well.occasion = Occasion::Digest;
    for found in BLOCKS {
        let notifier = block(found);
        let requests = made(&notifier, &well);
        let keeps = ["pushover", "pagerduty", "opsgenie", "victorops", "ilert", "influxdb", "alertmanager"];
        assert_eq!(requests.is_empty(), keeps.contains(&found.0), "{}", found.0);
        assert!(requests.iter().all(|request| request.body.contains("All is well")), "{}", found.0);
    }
}

#[test]
fn no_message_is_larger_than_the_service_takes() {
    let mut large = message(120);
    for item in &mut large.items {
        item.output = "\u{1f600}ü\"\\\n<&>".repeat(300);
        item.title = "ü".repeat(500);
    }
    let limit = BTreeMap::from([
        ("telegram", 30_000),
        ("discord", 20_000),
        ("teams", 28_672),
        ("ntfy", 14_000),
        ("matrix", 65_536),
    ]);
    for found in BLOCKS {
        let notifier = block(found);
        let row: &Row = super::table::row(found.0).unwrap();
        let texts = texts(&notifier, &large, (row.title, row.text), row.escape);
        assert!(row.title.holds(&texts.title) && row.text.holds(&texts.text), "{}", found.0);
        if let Some(limit) = limit.get(found.0) {
            for request in made(&notifier, &large) {
                assert!(request.body.len() <= *limit, "{}: {}", found.0, request.body.len());
            }
        }
        if row.each {
            for request in made(&notifier, &large) {
                assert!(request.body.len() < 200_000, "{}: {}", found.0, request.body.len());
            }
        }
    }
    let telegram = block(&BLOCKS[4]);
    let body: Value = serde_json::from_str(&made(&telegram, &large)[0].body).unwrap();
    assert!(body["text"].as_str().unwrap().encode_utf16().count() <= 4_096);
    let discord = block(&BLOCKS[5]);
    let body: Value = serde_json::from_str(&made(&discord, &large)[0].body).unwrap();
    assert!(body["content"].as_str().unwrap().encode_utf16().count() <= 2_000);
}

#[test]
fn a_preview_shows_no_secret() {
    for found in BLOCKS {
        let notifier = block(found);
        let shown = preview(&notifier, &message(1)).unwrap();
        assert!(!shown.is_empty(), "{}", found.0);
        let shown = format!("{shown:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVy"), "{shown}");
        let secret = !matches!(found.0, "alertmanager");
        assert_eq!(shown.contains("***"), secret, "{shown}");
    }
}

#[test]
fn what_a_user_describes_is_sent_and_sees_no_secret() {
    let text = r#"notify "http" "n" {
  url    = "https://tickets.example/new?kind=1"
  method = "PUT"
  bearer = "hunter2"
  title  = "{{ item.node }}: {{ item.status }}"
  json   = { subject = "{{ title }}", count = "=items | length", secret = "{{ title }}" }
}"#;
    assert_snapshot!(said(&made(&notifier(text), &message(1))), @r#"
    PUT https://tickets.example/new?kind=1
    authorization: Bearer hunter2
    {
      "count": 1,
      "secret": "web1: critical",
      "subject": "web1: critical"
    }
    "#);
    let text = r#"notify "http" "n" {
  url  = "https://tickets.example/new"
  form = { a = "{{ item.output }}", b = "1" }
  each = true
}"#;
    assert_snapshot!(said(&made(&notifier(text), &message(2))), @r#"
    POST https://tickets.example/new
    a=HTTP+GET+http%3A%2F%2F10.0.0.1%2F%3A+500+%22Internal%22+%3Cerror%3E+%26+more&b=1
    POST https://tickets.example/new
    a=HTTP+GET+http%3A%2F%2F10.0.0.1%2F%3A+500+%22Internal%22+%3Cerror%3E+%26+more&b=1
    "#);
}

#[test]
fn a_mail_is_part_of_the_threads_of_its_incidents() {
    let text = "notify \"email\" \"n\" {\n host = \"localhost\"\n from = \"Wächter <lictor@example.org>\"\n to = [\"ops@example.org\"]\n title = \"{{ item.title }} kaputt – ü\"\n}";
    let notifier = notifier(text);
    let NotifierKind::Email(email) = &notifier.kind else { panic!() };
    let mail = super::mail::Mail::of(&notifier, email, &message(2));
    assert_eq!(mail.message_id, "<lictor.d17@example.org>");
    assert_eq!(mail.references, ["<incident.i1/x@example.org>", "<incident.i2/x@example.org>"]);
    assert!(mail.html.contains("&lt;error&gt; &amp; more"), "{}", mail.html);
    let raw = String::from_utf8(mail.encoded(email, &message(2)).unwrap().formatted()).unwrap();
    assert!(raw.contains("Message-ID: <lictor.d17@example.org>\r\n"), "{raw}");
    assert!(raw.contains("In-Reply-To: <incident.i1/x@example.org>\r\n"), "{raw}");
    assert!(raw.contains("Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"), "{raw}");
    assert!(raw.contains("Subject: =?utf-8?b?") || raw.contains("=?utf-8?"), "{raw}");
    assert!(raw.contains("multipart/alternative"), "{raw}");
}

#[test]
fn a_line_of_the_log_is_one_line() {
    let lines = |lines: &str, message: &Message| {
        let notifier = notifier(&format!("notify \"log\" \"n\" {{\n path = \"/l\"\n{lines}\n}}"));
        let NotifierKind::Log(log) = notifier.kind.clone() else { panic!() };
        super::file::lines(&notifier, &log, message)
    };
    let mut message = message(1);
    message.items[0].output = "first\nsecond \u{1b}[2J".to_owned();
    assert_snapshot!(lines("", &message), @r#"2023-11-14T22:13:20Z CRITICAL: shop: Service 'shop' check on web1 [dc1] (consul/dc1/web1/shop-1/service:shop, incident i1/x): first second \u{1b}[2J"#);
    assert_eq!(
        lines("text = \"{{ item.node }}\\n{{ item.status }}\"", &message),
        "2023-11-14T22:13:20Z web1 critical\n"
    );
    let json: Value = serde_json::from_str(&lines("format = \"json\"", &message)).unwrap();
    assert_eq!((&json["id"], &json["alert"]["node"]), (&Value::from("d17"), &Value::from("web1")));
}

#[test]
fn a_program_of_consul_alerts_gets_what_it_got() {
    let input = |lines: &str| {
        let notifier = notifier(&format!("notify \"exec\" \"n\" {{\n command = [\"x\"]\n{lines}\n}}"));
        let NotifierKind::Exec(program) = notifier.kind.clone() else { panic!() };
        super::program::input(&notifier, &program, &message(1))
    };
    let old = input("input = \"consul-alerts\"");
    let start = r#"[{"Node":"web1","ServiceId":"shop-1","Service":"shop","CheckId":"service:shop","Check":"Service 'shop' check","Status":"critical","Output":"#;
    assert!(old.starts_with(start), "{old}");
    let ours: Value = serde_json::from_str(&input("")).unwrap();
    assert_eq!(ours["items"][0]["incident"], "i1/x");
    assert_eq!(ours["title"], "CRITICAL: shop: Service 'shop' check on web1 [dc1]");
}

#[tokio::test]
async fn a_notifier_that_is_no_more_refuses_for_good() {
    let config = parse("x.hcl", "").unwrap().config;
    let notifiers = Notifiers::new(&config, Clock::fresh());
    let verdict = notifiers.send(&NotifierName::new("gone").unwrap(), &message(1)).await;
    assert!(matches!(verdict, lictor_core::alert::Verdict::Refused { for_good: true, .. }), "{verdict:?}");
}
