//! What services are sent that keep alerts, incidents or points.

use insta::assert_snapshot;
use lictor_core::Status;

use super::super::sampled::message;
use super::{BLOCKS, block, made, said, told};

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
