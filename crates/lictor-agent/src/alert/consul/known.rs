//! What was last read of the checks, and what a new list says that is different.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::BuildHasher as _;

use lictor_consul::Check;
use lictor_core::alert::{Report, SubjectKey};

use super::report::{maintains, report};
use crate::text;

/// Of a mistake in a row, characters that are told.
const TOLD: usize = 200;

/// The checks of one datacenter as they were last believed.
#[derive(Debug)]
pub(super) struct Known {
    datacenter: String,
    hashing: RandomState,
    /// The rows by the hash of what Consul sent, its `ModifyIndex` included: whatever changes in a row,
    /// it is another one.
    rows: HashMap<u64, Row>,
    /// The beginnings of the keys of all that is in maintenance.
    maintained: BTreeSet<String>,
    /// The number of the latest reading.
    reading: u32,
}

/// What is kept of a row.
#[derive(Debug)]
struct Row {
    key: SubjectKey,
    /// The reading that last had it.
    seen: u32,
    /// What is in maintenance because of it: the beginning of keys.
    maintains: Option<Box<str>>,
}

/// A list that is being read. Nothing is believed before [`Known::believe`].
#[derive(Debug)]
pub(super) struct Reading<'k> {
    known: &'k mut Known,
    complete: bool,
    /// The beginnings of the keys of rows that are of interest even if they are as before.
    anew: BTreeSet<String>,
    rows: usize,
    fresh: Vec<Fresh>,
}

/// A row that was not there before, or not like this.
#[derive(Debug)]
struct Fresh {
    hash: u64,
    report: Report,
    maintains: Option<String>,
}

/// A list that was read, and what is different in it.
#[derive(Debug)]
pub(super) struct List {
    /// How many rows it has.
    pub(super) rows: usize,
    /// The beginnings of the keys of which maintenance began or ended, but whose rows are as before
    /// and were not read: the list must be read again for them.
    pub(super) missed: BTreeSet<String>,
    fresh: Vec<Fresh>,
    maintained: BTreeSet<String>,
}

/// What is different in a list that is believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// What is new or changed; or everything.
    pub(super) reports: Vec<Report>,
    /// What is not there any more.
    pub(super) gone: Vec<SubjectKey>,
}

impl Known {
    /// Nothing yet, of this datacenter.
    pub(super) fn new(datacenter: String) -> Self {
        Self {
            datacenter,
            hashing: RandomState::new(),
            rows: HashMap::new(),
            maintained: BTreeSet::new(),
            reading: 0,
        }
    }

    /// Begins to read a list: for everything in it, or for what is different and what lies below
    /// `anew`. An unfinished reading changes nothing.
    pub(super) fn read(&mut self, complete: bool, anew: BTreeSet<String>) -> Reading<'_> {
        self.reading = self.reading.wrapping_add(1);
        Reading { known: self, complete, anew, rows: 0, fresh: Vec::new() }
    }

    /// Takes the list that was read last for what there is.
    pub(super) fn believe(&mut self, list: List) -> Difference {
        let mut gone = Vec::new();
        let present: HashSet<&SubjectKey> =
            list.fresh.iter().map(|fresh| &fresh.report.subject.key).collect();
        let reading = self.reading;
        self.rows.retain(|_, row| {
            let stays = row.seen == reading;
            if !stays && !present.contains(&row.key) {
                gone.push(row.key.clone());
            }
            stays
        });
        // Two rows of one key are no habit of Consul's; if one of them is left, the check is.
        if !gone.is_empty() {
            let left: HashSet<&SubjectKey> = self.rows.values().map(|row| &row.key).collect();
            gone.retain(|key| !left.contains(key));
        }
        gone.sort();
        let mut reports = Vec::with_capacity(list.fresh.len());
        for Fresh { hash, mut report, maintains } in list.fresh {
            let key = report.subject.key.clone();
            report.maintenance |= is_within(&list.maintained, &key);
            self.rows
                .insert(hash, Row { key, seen: reading, maintains: maintains.map(String::into_boxed_str) });
            reports.push(report);
        }
        // What one long list needed is not kept for ever.
        self.rows.shrink_to(self.rows.len() * 2);
        self.maintained = list.maintained;
        Difference { reports, gone }
    }
}

impl Reading<'_> {
    /// Takes a row of the list.
    ///
    /// # Errors
    /// In words, if it is not a check.
    pub(super) fn take(&mut self, row: &[u8]) -> Result<(), String> {
        self.rows += 1;
        let hash = self.known.hashing.hash_one(row);
        if !self.complete
            && let Some(known) = self.known.rows.get_mut(&hash)
            && !is_within(&self.anew, &known.key)
        {
            known.seen = self.known.reading;
            return Ok(());
        }
        let check = Check::from_row(row).map_err(|error| text::one_line(&error, TOLD))?;
        let report = report(&self.known.datacenter, &check);
        let maintains = maintains(&self.known.datacenter, &check);
        self.fresh.push(Fresh { hash, report, maintains });
        Ok(())
    }

    /// Takes that the list is at its end.
    pub(super) fn end(self) -> List {
        let known = self.known.rows.values().filter(|row| row.seen == self.known.reading);
        let kept = known.filter_map(|row| row.maintains.as_deref());
        let fresh = self.fresh.iter().filter_map(|fresh| fresh.maintains.as_deref());
        let maintained: BTreeSet<String> = kept.chain(fresh).map(str::to_owned).collect();
        let changed = maintained.symmetric_difference(&self.known.maintained);
        let missed = match self.complete {
            true => BTreeSet::new(),
            false => changed.filter(|beginning| !self.anew.contains(*beginning)).cloned().collect(),
        };
        List { rows: self.rows, missed, fresh: self.fresh, maintained }
    }
}

/// Whether a key is of a node or of an instance in the set: `consul/DC/NODE/` or
/// `consul/DC/NODE/SERVICE-ID/`.
fn is_within(beginnings: &BTreeSet<String>, key: &SubjectKey) -> bool {
    if beginnings.is_empty() {
        return false;
    }
    let slashes = key.as_str().match_indices('/').map(|(place, _)| place);
    let mut ends = slashes.skip(2).take(2);
    ends.any(|end| key.as_str().get(..=end).is_some_and(|beginning| beginnings.contains(beginning)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(node: &str, service: &str, check: &str, status: &str, index: u64) -> String {
        format!(
            r#"{{"Node":"{node}","CheckID":"{check}","Status":"{status}","ServiceID":"{service}","ModifyIndex":{index}}}"#
        )
    }

    /// Reads a list without believing it.
    fn read(known: &mut Known, complete: bool, anew: &[&str], rows: &[String]) -> List {
        let mut reading = known.read(complete, anew.iter().map(|&text| text.to_owned()).collect());
        for row in rows {
            reading.take(row.as_bytes()).unwrap();
        }
        reading.end()
    }

    /// What is different in a list: `KEY STATUS`, with `(m)` for maintenance, and `-KEY` for what is gone.
    fn different(known: &mut Known, anew: &[&str], rows: &[String]) -> Vec<String> {
        let list = read(known, false, anew, rows);
        assert!(list.missed.is_empty(), "{:?}", list.missed);
        told(known.believe(list))
    }

    fn told(difference: Difference) -> Vec<String> {
        let short = |key: &SubjectKey| key.as_str().trim_start_matches("consul/dc1/").to_owned();
        let reports = difference.reports.iter().map(|report| {
            let maintenance = if report.maintenance { " (m)" } else { "" };
            format!("{} {}{maintenance}", short(&report.subject.key), report.status)
        });
        let gone = difference.gone.iter().map(|key| format!("-{}", short(key)));
        reports.chain(gone).collect()
    }

    fn known() -> Known {
        Known::new("dc1".to_owned())
    }

    #[test]
    fn only_what_changed_is_told() {
        let mut known = known();
        let [a, b] = [row("n", "s", "a", "passing", 1), row("n", "", "b", "critical", 2)];
        assert_eq!(different(&mut known, &[], &[a.clone(), b.clone()]), ["n/s/a passing", "n/_/b critical"]);
        assert!(different(&mut known, &[], &[b.clone(), a.clone()]).is_empty());
        let changed = row("n", "s", "a", "warning", 3);
        assert_eq!(different(&mut known, &[], &[changed.clone(), b.clone()]), ["n/s/a warning"]);
        let there_and_back = row("n", "s", "a", "warning", 5);
        assert_eq!(different(&mut known, &[], &[there_and_back.clone(), b]), ["n/s/a warning"]);
        assert_eq!(different(&mut known, &[], &[there_and_back]), ["-n/_/b"]);
        assert_eq!(known.rows.len(), 1);
    }

    #[test]
    fn a_complete_reading_has_everything_and_nothing_gone_that_is_there() {
        let mut known = known();
        let [a, b] = [row("n", "", "a", "passing", 1), row("n", "", "b", "passing", 1)];
        different(&mut known, &[], &[a.clone(), b.clone()]);
        let list = read(&mut known, true, &[], std::slice::from_ref(&a));
        assert_eq!(told(known.believe(list)), ["n/_/a passing", "-n/_/b"]);
        assert_eq!(different(&mut known, &[], &[a, b]), ["n/_/b passing"]);
    }

    #[test]
    fn a_list_that_is_not_believed_changes_nothing() {
        let mut known = known();
        let [a, b] = [row("n", "", "a", "passing", 1), row("n", "", "b", "passing", 1)];
        different(&mut known, &[], &[a.clone(), b.clone()]);
        drop(read(&mut known, false, &[], std::slice::from_ref(&a)));
        drop(read(&mut known, true, &[], &[]));
        let mut half = known.read(false, BTreeSet::new());
        half.take(a.as_bytes()).unwrap();
        assert!(half.take(b"{}").is_err() && half.take(b"\xff").is_err());
        assert!(different(&mut known, &[], &[a, b]).is_empty());
    }

    #[test]
    fn maintenance_concerns_all_checks_of_its_node_or_instance_and_no_other() {
        let mut known = known();
        let others = [
            row("n", "s", "a", "critical", 1),
            row("n", "s1", "b", "passing", 1),
            row("n1", "s", "a", "passing", 1),
        ];
        different(&mut known, &[], &others);

        let with = |row: String| -> Vec<String> { others.iter().cloned().chain([row]).collect() };
        let service = with(row("n", "s", "_service_maintenance:s", "critical", 2));
        let list = read(&mut known, false, &[], &service);
        let missed: Vec<&str> = list.missed.iter().map(String::as_str).collect();
        assert_eq!(missed, ["consul/dc1/n/s/"], "the row of the check is as before: it must be read");
        let begun = different(&mut known, &["consul/dc1/n/s/"], &service);
        assert_eq!(begun, ["n/s/a critical (m)", "n/s/_service_maintenance:s critical (m)"]);
        assert!(different(&mut known, &[], &service).is_empty());
        let over = different(&mut known, &["consul/dc1/n/s/"], &others);
        assert_eq!(over, ["n/s/a critical", "-n/s/_service_maintenance:s"]);

        let node = with(row("n", "", "_node_maintenance", "critical", 3));
        let begun = different(&mut known, &["consul/dc1/n/"], &node);
        let all = ["n/s/a critical (m)", "n/s1/b passing (m)", "n/_/_node_maintenance critical (m)"];
        assert_eq!(begun, all);
        let mut changed = node;
        changed[1] = row("n", "s1", "b", "critical", 4);
        assert_eq!(different(&mut known, &[], &changed), ["n/s1/b critical (m)"]);
    }

    #[test]
    fn a_complete_reading_needs_no_second_one_for_maintenance() {
        let mut known = known();
        let rows = [row("n", "", "a", "passing", 1), row("n", "", "_node_maintenance", "critical", 1)];
        let list = read(&mut known, true, &[], &rows);
        assert!(list.missed.is_empty());
        assert_eq!(told(known.believe(list)), ["n/_/a passing (m)", "n/_/_node_maintenance critical (m)"]);
    }

    #[test]
    fn of_two_rows_with_one_key_the_one_that_is_left_counts() {
        let mut known = known();
        let [a, b] = [row("n", "", "a", "passing", 1), row("n", "", "a", "critical", 1)];
        different(&mut known, &[], &[a.clone(), b]);
        assert!(different(&mut known, &[], &[a]).is_empty());
    }

    #[test]
    fn five_thousand_rows_take_little() {
        let mut known = known();
        let rows: Vec<String> = (0..5_000)
            .map(|n| row("node", &format!("service-{n}"), &format!("service:service-{n}"), "passing", n))
            .collect();
        different(&mut known, &[], &rows);
        let key = known.rows.values().next().unwrap().key.as_str().len();
        let kept = size_of::<(u64, Row)>() + key + 2 * size_of::<usize>();
        assert!(kept * known.rows.capacity() < 2 << 20, "{kept} bytes of {}", known.rows.capacity());
    }
}
