use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use insta::assert_snapshot;
use lictor_core::replicate::{Exclude, Limit, Locks};

use crate::Problem;
use crate::model::Replicate;
use crate::testing::{json_mistakes, mistakes, parsed};

fn block(lines: &str) -> String {
    format!("consul {{}}\nreplicate \"r\" {{\n{lines}\n}}\n")
}

#[track_caller]
fn replicate(lines: &str) -> Replicate {
    let config = parsed(&block(lines)).config;
    Arc::unwrap_or_clone(config.replicates.into_values().next().unwrap())
}

/// What one block with these prefixes copies, a way a line.
#[track_caller]
fn ways(lines: &str) -> String {
    let ways = replicate(lines).ways("here");
    let line = |way: &lictor_core::replicate::Way| {
        format!("{}@{} -> {}@{}", way.source, way.from, way.destination, way.to)
    };
    ways.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The mistakes of blocks in one file, from the text `NAME: PREFIX… > DATACENTER… ! EXCLUDE…` of each.
#[track_caller]
fn wrong(blocks: &[&str]) -> String {
    mistakes(&together(blocks))
}

fn together(blocks: &[&str]) -> String {
    let mut text = "consul {\n datacenter = \"dc9\"\n}\n".to_owned();
    for block in blocks {
        let (name, rest) = block.split_once(": ").unwrap();
        let (rest, excludes) = rest.split_once(" ! ").unwrap_or((rest, ""));
        let (prefixes, to) = rest.split_once(" > ").unwrap_or((rest, ""));
        let list =
            |words: &str| words.split(' ').map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        writeln!(text, "replicate \"{name}\" {{\n prefixes = [{}]", list(prefixes)).unwrap();
        for (attribute, words) in [("to", to), ("exclude", excludes)] {
            if !words.is_empty() {
                writeln!(text, " {attribute} = [{}]", list(words)).unwrap();
            }
        }
        text.push_str("}\n");
    }
    text
}

#[track_caller]
fn warned(text: &str) -> String {
    parsed(text).warnings.iter().map(Problem::one_line).collect::<Vec<_>>().join("\n")
}

#[test]
fn prefixes_are_enough() {
    let found = replicate("prefixes = [\"config@dc1\"]");
    assert_eq!((found.name.as_str(), found.to.len(), found.excludes.len()), ("r", 0, 0));
    assert_eq!((found.delete, found.limit, found.canary), (false, Limit::Percent(10), None));
    assert_eq!((found.repair, found.locks, found.dry_run), (true, Locks::Skip, false));
    assert_eq!((found.confirm, found.parallel), (Duration::from_secs(3), 8));
    assert_eq!((found.wait, found.max_stale, found.service, found.notes), (None, None, None, None));
}

#[test]
fn all_of_it_can_be_said() {
    let found = replicate(
        r#"
        prefixes           = ["config@dc1:backup", "/@dc2:all"]
        to                 = ["dc3", "dc4"]
        exclude            = ["config/local"]
        exclude_containing = ["_dc1_only_"]
        exclude_matching   = ["\\.tmp$"]
        delete             = true
        delete_limit       = 500
        confirm            = "10s"
        canary             = "config/here"
        repair             = false
        locks              = "copy"
        wait               = "5s"
        wait_max           = "30s"
        max_stale          = "2s"
        parallel           = 32
        dry_run            = true
        service            = "replication"
        "#,
    );
    assert_eq!(found.to, ["dc3", "dc4"]);
    let regex = regex::Regex::new(r"\.tmp$").unwrap();
    let excludes = [
        Exclude::Prefix("config/local".to_owned()),
        Exclude::Contains("_dc1_only_".to_owned()),
        Exclude::Matches(regex),
    ];
    assert_eq!(found.excludes, excludes);
    assert_eq!((found.delete, found.limit), (true, Limit::Keys(500)));
    assert_eq!((found.confirm.as_secs(), found.canary.as_deref()), (10, Some("config/here")));
    assert_eq!((found.repair, found.locks, found.dry_run), (false, Locks::Copy, true));
    assert_eq!(found.wait, Some((Duration::from_secs(5), Duration::from_secs(30))));
    assert_eq!((found.max_stale, found.parallel), (Some(Duration::from_secs(2)), 32));
    assert_eq!(found.service.as_deref(), Some("replication"));
}

#[test]
fn each_prefix_goes_to_each_datacenter() {
    assert_snapshot!(ways("prefixes = [\"a@dc1\", \"/b/@dc1:c\"]\n to = [\"dc2\", \"dc3\"]"), @r"
    a@dc1 -> a@dc2
    a@dc1 -> a@dc3
    b/@dc1 -> c@dc2
    b/@dc1 -> c@dc3
    ");
    assert_snapshot!(ways("prefixes = [\"a@dc1\"]"), @"a@dc1 -> a@here");
}

#[test]
fn a_folder_ends_in_a_slash() {
    let prefixes = "prefixes = [\"a@dc1:b\", \"c/@dc1\", \"/@dc1:all\"]";
    assert_snapshot!(ways(&format!("{prefixes}\n folder = true")), @r"
    a/@dc1 -> b/@here
    c/@dc1 -> c/@here
    @dc1 -> all/@here
    ");
    assert_snapshot!(ways(prefixes), @r"
    a@dc1 -> b@here
    c/@dc1 -> c/@here
    @dc1 -> all@here
    ");
}

#[test]
fn it_waits_four_times_as_long_as_it_wants_quiet() {
    let wait = |lines: &str| {
        let wait = replicate(&format!("prefixes = [\"a@dc1\"]\n{lines}")).wait;
        wait.map(|(quiet, most)| (quiet.as_millis(), most.as_millis()))
    };
    assert_eq!(wait("wait = \"500ms\""), Some((500, 2_000)));
    assert_eq!(wait("wait = \"5s\"\n wait_max = \"5s\""), Some((5_000, 5_000)));
}

#[test]
fn its_mistakes() {
    assert_snapshot!(mistakes("replicate \"web\" {\n}"), @r#"
    1:1: `prefixes` of `replicate "web"` is missing (add `prefixes = …`, a list of texts such as ["a", "b"]) [LIC0203]
    1:1: keys are copied by way of an agent of Consul, and none is named (add a block consul { }) [LIC0207]
    "#);
    let twice = "replicate \"r\" {\n prefixes = [\"x@dc1\"]\n}\n";
    assert_snapshot!(mistakes(&(block("prefixes = []") + twice)), @r"
    3:12: `prefixes` names nothing [LIC0203]
    5:11: the replication `r` is defined twice (first here: x.hcl:2:11) [LIC0204]
    ");
    let text = block("prefixes = [\"a@dc1\"]").replace("\"r\"", "\"a/b\"");
    assert_snapshot!(mistakes(&text), @"2:11: the name of a replication has letters, digits, `_`, `-` and `.`, not '/' [LIC0303]");
    assert_snapshot!(mistakes(&text.replace("a/b", ".r")), @"2:11: the name of a replication begins with a letter or a digit [LIC0303]");
    let with = |lines: &str| mistakes(&block(&format!("prefixes = [\"a@dc1\"]\n{lines}")));
    assert_snapshot!(with("delete_limit = \"5%\"\n confirm = \"5s\"\n canary = \"/x\""), @r"
    4:16: `delete_limit` needs `delete` [LIC0207]
    5:12: `confirm` needs `delete` [LIC0207]
    6:11: `canary` needs `delete` [LIC0207]
    6:11: no key begins with `/` (leave the `/` out) [LIC0310]
    ");
    assert_snapshot!(with("delete = true\n delete_limit = \"10\"\n confirm = \"0s\""), @r#"
    5:17: `10` is not a share (write whole hundredths such as "10%", or a number without quotes) [LIC0307]
    6:12: `confirm` is between 1s and 1h, not 0s [LIC0302]
    "#);
    assert_snapshot!(with("delete = true\n delete_limit = \"200%\""), @r#"5:17: `200%` is not a share (write whole hundredths such as "10%", or a number without quotes) [LIC0307]"#);
    assert_snapshot!(with("delete = true\n delete_limit = 1.5"), @r#"5:17: `delete_limit` is a whole number, not 1.5 (write whole hundredths such as "10%", or a number without quotes) [LIC0302]"#);
    assert_snapshot!(with("to = [\"dc 2\", \"dc3\", \"dc3\"]\n locks = \"hold\"\n parallel = 33"), @r"
    4:7: `dc 2` is not the name of a datacenter (it has letters, digits, `_`, `-` and `.`) [LIC0310]
    4:22: `dc3` stands twice in `to` (first here: x.hcl:4:15) [LIC0204]
    5:10: `locks` cannot be `hold` (known here: `copy`, `skip`) [LIC0306]
    6:13: `parallel` is a whole number from 1 to 32, not 33 [LIC0302]
    ");
    assert_snapshot!(with("to = [\"Dc2\"]"), @"4:7: no datacenter of Consul is called `Dc2`: their names have no capitals (write `dc2`) [LIC0310]");
    assert_snapshot!(with("wait = \"5s\"\n wait_max = \"4s\"\n max_stale = \"0s\""), @r"
    5:13: `wait_max` is shorter than `wait`, 5s [LIC0207]
    6:14: `max_stale` is between 1ms and 3650d, not 0s [LIC0302]
    ");
    assert_snapshot!(with("wait_max = \"4s\""), @"4:12: `wait_max` needs `wait` [LIC0207]");
    assert_snapshot!(with("exclude = [\"\"]\n exclude_containing = [\"\"]\n exclude_matching = [\"a(\"]"), @r"
    4:12: this would leave every key alone [LIC0203]
    5:24: this would leave every key alone [LIC0203]
    6:24: not a regular expression: unclosed group [LIC0304]
    ");
}

#[test]
fn a_text_that_is_no_prefix_is_shown_where_it_is_none() {
    let prefix =
        |text: &str| mistakes(&format!("consul {{}}\nreplicate \"r\" {{\nprefixes = [\"{text}\"]\n}}"));
    assert_snapshot!(prefix(""), @"3:14: the prefix is missing (write SOURCE@DATACENTER or SOURCE@DATACENTER:DESTINATION) [LIC0310]");
    assert_snapshot!(prefix("config"), @"3:20: the datacenter of the source is missing (write `config@DATACENTER`) [LIC0310]");
    assert_snapshot!(prefix("config:backup"), @"3:20: the datacenter of the source is missing (write `config@DATACENTER:backup`) [LIC0310]");
    assert_snapshot!(prefix("config@:backup"), @"3:21: this is no prefix (write SOURCE@DATACENTER or SOURCE@DATACENTER:DESTINATION) [LIC0310]");
    assert_snapshot!(prefix("config@dc 1:backup"), @"3:23: this is no prefix (the name of a datacenter has letters, digits, `_`, `-` and `.`, not ' ') [LIC0310]");
    assert_snapshot!(prefix("config@DC1:backup"), @"3:21: no datacenter of Consul is called `DC1`: their names have no capitals (write `dc1`) [LIC0310]");
    assert_snapshot!(prefix("@dc1"), @"3:14: this is no prefix (write `/@dc1` for all keys) [LIC0310]");
    assert_snapshot!(prefix("config@dc1:/backup"), @"3:25: the keys of the destination would begin with `/` (leave the `/` out) [LIC0310]");
    assert_snapshot!(prefix("a//b@dc1"), @"3:16: `a//b` has no path in the HTTP interface of Consul, and cannot be listed (copy a shorter one, and leave the rest out by `exclude`) [LIC0310]");
    assert_snapshot!(prefix("a@dc1:b/../c"), @"3:22: `b/../c` has no path in the HTTP interface of Consul, and cannot be listed (copy a shorter one, and leave the rest out by `exclude`) [LIC0310]");
    let json = r#"{"consul": {}, "replicate": {"r": {"prefixes": ["a\u0040dc1", "b\u0040d c"]}}}"#;
    assert_snapshot!(json_mistakes(json), @"1:72: this is no prefix (the name of a datacenter has letters, digits, `_`, `-` and `.`, not ' ') [LIC0310]");
}

#[test]
fn one_service_of_consul_says_how_one_block_stands() {
    let block = |name: &str, from: &str| {
        format!(
            "replicate \"{name}\" {{\nprefixes = [\"{from}@dc1\"]\nto = [\"dc2\"]\nservice = \"copies\"\n}}\n"
        )
    };
    let text = format!("consul {{}}\n{}{}", block("a", "a/"), block("b", "b/"));
    assert_snapshot!(mistakes(&text), @"10:11: the service of Consul `copies` is defined twice (first here: x.hcl:5:11) [LIC0204]");
}

#[test]
fn nothing_is_copied_onto_itself() {
    assert_snapshot!(wrong(&["r: a/@dc1 > dc1 dc2"]), @"5:14: `a/` of dc1 would be copied onto itself (name other datacenters in `to`, or write a destination) [LIC0402]");
    assert_snapshot!(wrong(&["r: a/@dc9"]), @"5:14: `a/` of dc9 would be copied onto itself (name other datacenters in `to`, or write a destination) [LIC0402]");
    assert_snapshot!(wrong(&["r: a/@dc1:a/copy/ > dc1"]), @"5:14: the copies would be copied again: `a/` and `a/copy/` of dc1 overlap (write a destination outside of the source, or leave the copies alone with `exclude`) [LIC0402]");
    assert_snapshot!(wrong(&["r: a/copy/@dc1:a/ > dc1"]), @"5:14: the copies would be copied again: `a/copy/` and `a/` of dc1 overlap (write a destination outside of the source, or leave the copies alone with `exclude`) [LIC0402]");
    parsed(&together(&["r: a/@dc1:b/ > dc1"]));
    parsed(&together(&["r: a/@dc1:a/copy/ > dc1 ! a/copy/"]));
    // Only the agent knows where it is.
    parsed(&block("prefixes = [\"a/@dc1\"]"));
}

#[test]
fn what_is_copied_does_not_come_back() {
    assert_snapshot!(wrong(&["r: a/@dc1 > dc2", "s: a/@dc2 > dc1"]), @"5:14: what is copied comes back to where it began: `a/` of dc1 → `a/` of dc2 → `a/` of dc1 (leave what came from elsewhere alone with `exclude`, or give it another name where it comes to; from there it goes on: x.hcl:9:14) [LIC0402]");
    assert_snapshot!(wrong(&["r: a/@dc1 > dc2", "s: a/@dc2:b/ > dc3", "t: b/x/@dc3:a/ > dc1"]), @"5:14: what is copied comes back to where it began: `a/` of dc1 → `a/` of dc2 → `b/x/` of dc3 → `a/` of dc1 (leave what came from elsewhere alone with `exclude`, or give it another name where it comes to; from there it goes on: x.hcl:9:14) [LIC0402]");
    parsed(&together(&["r: a/@dc1:from-1/a/ > dc2", "s: a/@dc2:from-2/a/ > dc1"]));
    parsed(&together(&["r: a/@dc1 > dc2", "s: a/@dc2 > dc3"]));
    parsed(&together(&["r: a/@dc1 > dc2", "s: /@dc2:dc2/ > dc1 ! a/"]));
}

#[test]
fn two_prefixes_do_not_write_to_the_same_keys() {
    assert_snapshot!(wrong(&["r: a/@dc1:foo > dc2", "s: b/@dc1:foobar/ > dc2 dc3"]), @"9:14: `foobar/` of dc2 would be fought over: two prefixes are copied there (`foo` means all that begins so: if it is a folder, write `foo/`, or `folder = true`; the other one: x.hcl:5:14) [LIC0204]");
    assert_snapshot!(wrong(&["r: a/@dc1:x/ b/@dc1:x/y/ > dc2 dc3"]), @"5:27: `x/y/` of dc2 would be fought over: two prefixes are copied there (give one of them another destination, or leave its keys alone in the other with `exclude`; the other one: x.hcl:5:14) [LIC0204]");
    assert_snapshot!(wrong(&["r: a/@dc1:x/", "s: b/@dc3:x/"]), @"8:14: `x/` of dc9 would be fought over: two prefixes are copied there (give one of them another destination, or leave its keys alone in the other with `exclude`; the other one: x.hcl:5:14) [LIC0204]");
    let unknown = together(&["r: a/@dc1:x/", "s: b/@dc3:x/"]).replace(" datacenter = \"dc9\"\n", "");
    assert_snapshot!(mistakes(&unknown), @"7:14: `x/` of the agent's datacenter would be fought over: two prefixes are copied there (give one of them another destination, or leave its keys alone in the other with `exclude`; the other one: x.hcl:4:14) [LIC0204]");
    parsed(&together(&["r: a/@dc1:foo/ > dc2", "s: b/@dc1:foobar/ > dc2"]));
    parsed(&together(&["r: a/@dc1:x/ > dc2", "s: b/@dc1:x/ > dc3"]));
    parsed(&together(&["r: a/@dc1:x/ > dc2 ! a/y/", "s: b/@dc1:x/y/ > dc2"]));
}

#[test]
fn our_own_records_are_not_written_over() {
    assert_snapshot!(wrong(&["r: a/@dc1:lictor/a/ > dc2 dc3"]), @"5:14: nothing can be copied to `lictor/a/`: Lictor's own records lie there (write another destination, or another `prefix` in the block consul) [LIC0207]");
    let moved = together(&["r: a/@dc1:own/a/ > dc2"]).replace("consul {", "consul {\n prefix = \"own\"");
    assert_snapshot!(mistakes(&moved), @"6:14: nothing can be copied to `own/a/`: Lictor's own records lie there (write another destination, or another `prefix` in the block consul) [LIC0207]");
    parsed(&together(&["r: a/@dc1:lic > dc2"]));
}

#[test]
fn what_is_likely_another_thing_than_meant_is_told() {
    assert_snapshot!(warned(&together(&["r: a/@dc1:b/ > dc2 ! b/x /a/x a/x"])), @r"
    x.hcl:7:13: nothing that is copied begins with `b/x` (keys are meant by their names at the source) [LIC0913]
    x.hcl:7:20: nothing that is copied begins with `/a/x` (keys are meant by their names at the source) [LIC0913]
    ");
    assert_snapshot!(warned(&block("prefixes = [\"/@dc1\"]\n delete = true")), @"x.hcl:3:13: every key of the destination that dc1 does not have is deleted (give the copies a folder, such as `/@dc1:dc1/`, or leave `delete` out) [LIC0914]");
    assert_snapshot!(warned(&block("prefixes = [\"/@dc1:dc1/\"]\n delete = true")), @"");
}

#[test]
fn many_prefixes_are_compared_in_time_and_more_are_refused() {
    // With work that grew by the cube this would take minutes.
    let chain = |count: usize| {
        let one = |n: usize| {
            let next = n + 1;
            format!("replicate \"r{n}\" {{\n prefixes = [\"a/@dc{n}\"]\n to = [\"dc{next}\"]\n}}\n")
        };
        (0..count).map(one).collect::<String>()
    };
    assert_eq!(parsed(&format!("consul {{}}\n{}", chain(1_000))).config.replicates.len(), 1_000);
    assert_snapshot!(mistakes(&format!("consul {{}}\n{}", chain(1_001))), @"4003:14: the blocks `replicate` copy more than 1000 prefixes (join them where they begin alike) [LIC0104]");
    let same: Vec<String> = (0..1_000).map(|n| format!("\"a{n}/@dc1:{}\"", "x".repeat(n + 1))).collect();
    let found = mistakes(&block(&format!("prefixes = [{}]", same.join(", "))));
    assert_eq!(found.lines().count(), 100, "more is only counted");
}
