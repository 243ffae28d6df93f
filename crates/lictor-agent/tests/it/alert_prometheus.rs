//! A real Prometheus that takes us for its Alertmanager.

use std::sync::Arc;

use lictor_core::Status;
use lictor_core::alert::{AlertPlan, Input, Matchers, Threshold};
use lictor_testkit::prometheus::{Exporter, Prometheus};

use crate::web_client::{Server, serve_world, until};
use crate::web_desk::DeskStandin;
use crate::web_world::{World, empty, noon};

const RULES: &str = "groups:
  - name: disks
    rules:
      - alert: DiskFull
        expr: disk_used > 90
        labels: {severity: warning, team: storage}
        annotations: {summary: 'at {{ $value }} %', runbook_url: 'https://run.example/disk'}
";

async fn serve(desk: &Arc<DeskStandin>) -> Server {
    serve_world(World::with_desk(empty(noon()), Vec::new(), Arc::clone(desk)), None, &[], Default::default())
        .await
}

async fn wrong(desk: &DeskStandin, wanted: &[(&str, Status)]) {
    let wanted: Vec<_> = wanted.iter().map(|(title, status)| ((*title).to_owned(), *status)).collect();
    until(async || desk.wrong(), |wrong| *wrong == wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_rules_find_is_wrong_until_it_says_that_it_is_over() {
    let desk = DeskStandin::idle();
    let server = serve(&desk).await;
    let exporter = Exporter::start("disk_used 50\n");
    let prometheus = Prometheus::with_rules(&[exporter.address()], RULES, server.address);
    prometheus.until("disk_used", r#""50"]"#);
    exporter.set("disk_used 95\n");
    let title = format!("DiskFull on {}", exporter.address().ip());
    wrong(&desk, &[(&title, Status::Warning)]).await;
    let alerts = server.get("/v1/alerts").await.json();
    let alert = &alerts["alerts"][0];
    assert_eq!(alert["output"], "at 95 %");
    assert!(alert["notes"].as_str().unwrap().starts_with("https://run.example/disk\nhttp"), "{alert}");
    assert_eq!(alert["labels"]["team"], "storage");
    assert_eq!(alert["labels"]["instance"], exporter.address().to_string());
    assert_eq!(alert["labels"]["source"], "alertmanager");
    // It is said again and again: still one alert, and since then.
    let (since, said) = (alert["since"].clone(), desk.inputs.lock().unwrap().len());
    until(async || desk.inputs.lock().unwrap().len(), |now| *now > said + 3).await;
    let again = server.get("/v1/alerts").await.json();
    assert_eq!(again["alerts"].as_array().unwrap().len(), 1);
    assert_eq!(again["alerts"][0]["since"], since);
    exporter.set("disk_used 40\n");
    wrong(&desk, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_prometheus_said_is_over_when_it_is_not_said_again() {
    // It would count as bad for an hour after it was said to be over: that it is not said again counts at once.
    let slow = Threshold {
        when: Matchers::default(),
        bad_for: std::time::Duration::ZERO,
        good_for: std::time::Duration::from_secs(3_600),
    };
    let desk = DeskStandin::with(AlertPlan { thresholds: vec![slow], ..AlertPlan::default() });
    let server = serve(&desk).await;
    let exporter = Exporter::start("disk_used 95\n");
    let mut prometheus = Prometheus::with_rules(&[exporter.address()], RULES, server.address);
    let title = format!("DiskFull on {}", exporter.address().ip());
    wrong(&desk, &[(&title, Status::Warning)]).await;
    prometheus.kill();
    wrong(&desk, &[]).await;
    let gone = desk
        .inputs
        .lock()
        .unwrap()
        .iter()
        .any(|input| matches!(input, Input::Reports { gone, .. } if !gone.is_empty()));
    assert!(gone, "nobody said that it is over");
}
