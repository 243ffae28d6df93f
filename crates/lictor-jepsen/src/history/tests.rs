use proptest::prelude::*;
use serde_json::{Value, json};

use super::edn::{Edn, Parser};
use super::*;

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Numbers with a point, as many digits as both formats give back.
        (-1_000_000..1_000_000i64).prop_map(|number| json!(number as f64 / 8.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn op() -> impl Strategy<Value = Op> {
    let process = prop_oneof![any::<u64>().prop_map(Process::Client), Just(Process::Nemesis)];
    let kind = prop::sample::select(vec![Kind::Invoke, Kind::Ok, Kind::Fail, Kind::Info]);
    let f = prop_oneof![Just("txn".to_owned()), "[a-z-]{1,8}", any::<String>()];
    let numbers = (any::<u64>(), any::<u64>(), any::<Option<u64>>(), any::<Option<u64>>());
    let key = prop::option::of(value().prop_filter("a null is no key", |key| !key.is_null()));
    let texts = (any::<Option<String>>(), any::<Option<String>>());
    (numbers, process, kind, f, key, value(), texts).prop_map(
        |((index, time, latency_ns, consul_index), process, kind, f, key, value, (node, error))| Op {
            index,
            time,
            process,
            kind,
            f,
            key,
            value,
            node,
            error,
            latency_ns,
            consul_index,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_entry_is_read_as_it_was_written(ops in prop::collection::vec(op(), 1..4)) {
        for format in [Format::Json, Format::Edn] {
            let mut lines = String::new();
            for op in &ops {
                text::put(&mut lines, op, format);
                lines.push('\n');
            }
            prop_assert_eq!(lines.lines().count(), ops.len(), "a line each: {}", lines);
            prop_assert_eq!(&read(&lines, format).unwrap(), &ops, "{}", lines);
        }
    }

    #[test]
    fn any_text_is_read_without_harm(text in "[\\[\\](){}#\"\\\\:;, \na-z0-9.+-]{0,60}") {
        let mut parser = Parser::new(&text);
        while let Ok(Some(value)) = parser.next() {
            let again = value.to_string();
            prop_assert_eq!(Parser::new(&again).next().unwrap(), Some(value), "{}", again);
        }
    }
}

fn edn(text: &str) -> Result<Value, String> {
    let value: Edn = Parser::new(text).next().map_err(|error| error.to_string())?.ok_or("nothing")?;
    value.to_json()
}

#[test]
fn edn_of_clojure_is_understood() {
    assert_eq!(
        edn("[1 -2 +3 9223372036854775808N 1.5 1e3 2.5M]"),
        Ok(json!([1, -2, 3, 1u64 << 63, 1.5, 1e3, 2.5]))
    );
    assert_eq!(edn("(nil true false :a/b sym #{1 2})"), Ok(json!([null, true, false, "a/b", "sym", [1, 2]])));
    assert_eq!(edn("{:a 1, \"b\" 2 3 4 ; five\n :c #_ 5 6}"), Ok(json!({"a": 1, "b": 2, "3": 4, "c": 6})));
    assert_eq!(edn("#jepsen.history.Op{:f :read}"), Ok(json!({"f": "read"})));
    assert_eq!(edn("#inst \"2026\""), Ok(json!("2026")));
    assert_eq!(edn(r#"["\n\t\"\\\u00e9\ud83d\ude00" \a \newline]"#), Ok(json!(["\n\t\"\\é😀", "a", "\n"])));
}

#[test]
fn what_is_no_edn_is_told_with_its_line() {
    assert_eq!(edn("\n[1\n2"), Err("line 3: what line 2 opens lacks its `]`".into()));
    assert_eq!(edn("{:a}"), Err("line 1: the key :a has no value".into()));
    assert_eq!(edn("]"), Err("line 1: `]` closes nothing".into()));
    assert_eq!(edn("\"a"), Err("line 1: the text that begins in line 1 has no end".into()));
    assert_eq!(edn("1/2"), Err("line 1: cannot take the number 1/2".into()));
    assert_eq!(edn("##Inf").unwrap_err().split_once(": ").unwrap().0, "line 1");
    assert_eq!(edn("{:a 1 \"a\" 2}"), Err("a map has the key a twice".into()));
    assert_eq!(edn(&"[".repeat(1000)), Err("line 1: values lie in one another more than 128 deep".into()));
}

#[test]
fn a_history_of_jepsen_is_read() {
    let text = "[{:type :invoke, :f :read, :value nil, :process 0, :time 3377, :index 0}\n \
                {:type :ok, :f :read, :value 5, :process 0, :time 4000, :index 1}\n \
                {:type :info, :f :start-partition, :process :nemesis, :time 4001, :index 2, :error [:a 1]}]";
    let history = History::parse(text, Format::Edn).unwrap();
    assert_eq!(history.calls(), [Call { invoke: 0, end: Some(1) }]);
    assert_eq!(history.ops()[1].value, json!(5));
    assert_eq!(history.ops()[2].error.as_deref(), Some("[:a 1]"));
    assert_eq!(history.windows(), [Window { fault: "partition".into(), begin: 4001, end: None }]);
}

#[test]
fn what_is_written_as_edn_is_what_jepsen_writes() {
    let op = Op::invoke(7, Process::Client(3), "txn", None, json!([["append", "x", 1], ["r", 2, null]]));
    let history = History::new(vec![op]).unwrap();
    assert_eq!(
        history.render(Format::Edn),
        "{:index 0, :time 7, :process 3, :type :invoke, :f :txn, :value [[:append \"x\" 1] [:r 2 nil]]}\n"
    );
}

#[test]
fn a_line_that_is_no_entry_is_told_with_its_number_and_why() {
    let good = r#"{"index":0,"time":1,"process":0,"type":"invoke","f":"read"}"#;
    let error = |text: &str| read(text, Format::Json).unwrap_err().to_string();
    assert!(error(&format!("{good}\n{{}}\n")).starts_with("line 2: missing field `process`"));
    assert!(
        error(&good.replace("\"process\":0", "\"process\":\"me\""))
            .contains("the number of a process, or \"nemesis\"")
    );
    assert!(error(&format!("{good}\n{{\"index\":1,\"ti")).starts_with("line 2 is cut off"));
    let error = read("{:process 0 :type :okay :f :read}", Format::Edn).unwrap_err().to_string();
    assert_eq!(error, "line 1: `:type` is okay, not invoke, ok, fail or info");
}

/// What is wrong with entries of the form `process kind f`.
fn malformed(entries: &[&str]) -> String {
    let text: Vec<String> = entries
        .iter()
        .map(|entry| {
            let [process, kind, f] = entry.split(' ').collect::<Vec<_>>()[..] else { panic!("{entry}") };
            format!("{{:process {process} :type :{kind} :f :{f}}}")
        })
        .collect();
    History::parse(&text.join("\n"), Format::Edn)
        .map_or_else(|error| error.to_string(), |_| "well formed".into())
}

#[test]
fn what_is_not_well_formed_is_told() {
    assert_eq!(malformed(&["0 invoke read", "1 invoke read", "0 ok read", "0 invoke write"]), "well formed");
    assert_eq!(
        malformed(&["0 invoke read", "0 invoke write"]),
        "entry 1: process 0 begins `write` while its call of entry 0 is open"
    );
    assert_eq!(malformed(&["0 ok read"]), "entry 0: process 0 ends `read`, and has begun nothing");
    assert_eq!(
        malformed(&["0 invoke read", "0 ok write"]),
        "entry 1: process 0 ends write, but entry 0 began read"
    );
    assert!(
        malformed(&["0 invoke read", "0 info read", "0 invoke read"]).contains("goes on after an outcome")
    );
    let time = "{:process 0 :type :invoke :f :a :time 2}\n{:process 1 :type :invoke :f :a :time 1}";
    let error = History::parse(time, Format::Edn).unwrap_err().to_string();
    assert_eq!(error, "entry 1 is of 1 ns, the one before it of 2 ns: time has to go forward");
    let order = "{:process 0 :type :invoke :f :a :index 5}\n{:process 1 :type :invoke :f :a :index 5}";
    let error = History::parse(order, Format::Edn).unwrap_err().to_string();
    assert_eq!(error, "entry 5 stands behind entry 5: indexes have to grow");
}

#[test]
fn a_fault_is_in_force_from_before_it_begins_until_after_it_has_ended() {
    let nemesis = |time: u64, f: &str| format!("{{:process :nemesis :type :info :f :{f} :time {time}}}\n");
    let text: String = [
        nemesis(1, "start-kill"),
        nemesis(2, "start-kill"),
        nemesis(3, "start-partition"),
        nemesis(5, "stop-kill"),
        nemesis(6, "stop-kill"),
        nemesis(8, "start-kill"),
        nemesis(9, "heal"),
        nemesis(10, "heal"),
    ]
    .concat();
    let history = History::parse(&text, Format::Edn).unwrap();
    let windows: Vec<_> =
        history.windows().iter().map(|window| (window.fault.as_str(), window.begin, window.end)).collect();
    assert_eq!(windows, [("kill", 1, Some(6)), ("partition", 3, Some(10)), ("kill", 8, Some(10))]);
    assert!(history.windows()[0].covers(6) && !history.windows()[0].covers(7));
}

#[test]
fn a_writer_gives_one_order_and_never_writes_over_a_run() {
    let dir = tempfile::tempdir().unwrap();
    for (name, format) in [("h.jsonl", Format::Json), ("h.edn", Format::Edn)] {
        let path = dir.path().join(name);
        let mut writer = Writer::create(&path, format).unwrap();
        let first = Op::invoke(5, Process::Client(0), "read", None, Value::Null);
        assert_eq!(writer.append(first.clone()).unwrap(), 0);
        // Its time was taken before that of the first, and it had to wait.
        assert_eq!(writer.append(Op::invoke(4, Process::Client(1), "read", None, Value::Null)).unwrap(), 1);
        assert_eq!(writer.append(first.complete(9, Kind::Ok, json!(1))).unwrap(), 2);
        writer.finish().unwrap();
        let history = History::open(&path).unwrap();
        let times: Vec<_> = history.ops().iter().map(|op| (op.index, op.time)).collect();
        assert_eq!(times, [(0, 5), (1, 5), (2, 9)]);
        let error = Writer::create(&path, format).unwrap_err().to_string();
        assert!(error.ends_with("is there already: remove it or choose another place"), "{error}");
    }
}
