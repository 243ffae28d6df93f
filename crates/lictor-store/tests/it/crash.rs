//! kill -9 in the middle of committing.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use lictor_core::{IncidentId, Row};
use lictor_store::{Batch, LedgerOrder, LedgerQuery, Start};

use crate::support::*;

const CHILD: &str = "LICTOR_STORE_CRASH_CHILD";

/// Not a test by itself: what the test below starts and kills. Commit number n puts a row
/// and a ledger entry that both say n, and is then said aloud.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let opened = open(Path::new(&dir));
        let start = opened.rows.iter().map(number).max().unwrap_or(0);
        for n in start + 1.. {
            let mut batch = Batch::default();
            batch.anchor = Some(anchor(n));
            batch.put(incident(n % 50, true));
            batch.put(counted(n));
            batch.note(event_of(n, n, &"x".repeat(300)));
            opened.store.commit(batch).await.unwrap();
            println!("ack {n}");
        }
    });
}

fn counted(n: u64) -> Row {
    check_row("counter", n)
}

fn number(row: &Row) -> u64 {
    match row {
        Row::Check(_, stands) => stands.since.boot.as_millis() / 1_000,
        _ => 0,
    }
}

#[tokio::test]
async fn no_acknowledged_commit_is_lost_to_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 1..=12_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["crash::child", "--exact", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut lines =
            lines.filter_map(|line| line.strip_prefix("ack ").and_then(|n| n.parse::<u64>().ok()));
        acknowledged = lines.by_ref().nth(usize::try_from(round * 17 % 60).unwrap()).unwrap();
        child.kill().unwrap();
        // What it managed to say before it died counts too.
        acknowledged = lines.last().unwrap_or(acknowledged);
        child.wait().unwrap();

        let opened = open(dir.path());
        assert_eq!(opened.start, Start::Recovered);
        let found = opened.rows.iter().map(number).max().unwrap();
        assert!(found == acknowledged || found == acknowledged + 1, "{found} after ack {acknowledged}");
        let all = LedgerQuery { order: LedgerOrder::OldestFirst, limit: 20_000, ..LedgerQuery::default() };
        let page = opened.store.ledger(&all).unwrap();
        let entries: Vec<_> = page.entries.iter().map(|entry| (entry.seq, entry.event.incident)).collect();
        let expected: Vec<_> = (1..=found).map(|n| (n, Some(IncidentId(n)))).collect();
        assert_eq!(entries, expected, "rows and ledger agree");
        assert_eq!(opened.anchor, Some(anchor(found)));
        opened.store.close().await;
    }
    assert!(acknowledged > 100);
}
