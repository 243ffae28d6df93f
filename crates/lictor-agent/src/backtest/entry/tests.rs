use super::*;

/// The records of a text, which comes in pieces of that size.
fn read(form: Form, text: &[u8], size: usize) -> (Vec<String>, u64, bool) {
    struct Pieces<'a>(&'a [u8], usize);
    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self.1.min(buffer.len()).min(self.0.len());
            let (part, rest) = self.0.split_at(size);
            buffer[..size].copy_from_slice(part);
            self.0 = rest;
            Ok(size)
        }
    }
    let mut wanted = Wanted::new();
    let unit = wanted.slot("_SYSTEMD_UNIT");
    let mut entries = Entries::new(form, Vec::new(), Pieces(text, size), wanted);
    let mut found = Vec::new();
    while entries.next().unwrap() {
        let entry = entries.entry();
        let units: Vec<_> = entry.values(unit).map(String::from_utf8_lossy).collect();
        let message = String::from_utf8_lossy(entry.message()).into_owned();
        found.push(format!("{} {} {message}", entry.realtime, units.join(",")));
    }
    (found, entries.broken, entries.torn)
}

fn binary(name: &str, value: &[u8]) -> Vec<u8> {
    let length = u64::try_from(value.len()).unwrap().to_le_bytes();
    [name.as_bytes(), b"\n", &length, value, b"\n"].concat()
}

#[test]
fn an_export_is_read_however_it_comes() {
    let text = [
        b"__CURSOR=a\n__REALTIME_TIMESTAMP=7\n_SYSTEMD_UNIT=a.service\nMESSAGE=one\n".to_vec(),
        binary("CODE", &[b'\n'; 700]),
        b"\n\n__REALTIME_TIMESTAMP=8\n".to_vec(),
        binary("MESSAGE", b"two\n\nlines"),
        b"OBJECT_SYSTEMD_UNIT=x\n\n".to_vec(),
    ]
    .concat();
    for size in [1, 2, 7, 100, 10_000] {
        let (found, broken, torn) = read(Form::Export, &text, size);
        assert_eq!(found, ["7 a.service one", "8  two\n\nlines"], "{size}");
        assert!((broken, torn) == (0, false), "{size}");
    }
}

#[test]
fn a_half_written_record_and_what_makes_no_sense_are_counted() {
    let text = b"__REALTIME_TIMESTAMP=7\nMESSAGE=one\n\nwhat is this\n\n__REALTIME_TIMESTAMP=8\nMESS";
    assert_eq!(read(Form::Export, text, 10), (vec!["7  one".to_owned()], 1, true));
    let without_time = b"MESSAGE=one\n\n";
    assert_eq!(read(Form::Export, without_time, 10), (Vec::new(), 1, false));
    let cut = [b"__REALTIME_TIMESTAMP=7\n".to_vec(), binary("MESSAGE", b"abc")].concat();
    for length in 24..cut.len() {
        assert_eq!(read(Form::Export, &cut[..length], 5), (Vec::new(), 0, true), "{length}");
    }
}

#[test]
fn json_has_texts_bytes_several_and_nothing() {
    let text = br#"{"__REALTIME_TIMESTAMP":"7","MESSAGE":"one","_SYSTEMD_UNIT":["a","b"],"X":{"y":[1]}}
{"__REALTIME_TIMESTAMP":"8","MESSAGE":[116,119,255],"Z":null}

{"__REALTIME_TIMESTAMP":"9","MESSAGE":null}
[1]
{"__REALTIME_TIMESTAMP":"10","MESSAGE":["a",[98]]}
{"__REALTIME_TIMESTAMP":"11","MESS"#;
    let (found, broken, torn) = read(Form::Json, text, 33);
    assert_eq!(found, ["7 a,b one", "8  tw\u{fffd}", "9  ", "10  a\nb"]);
    assert_eq!((broken, torn), (1, true));
}

#[test]
fn a_length_that_is_none_is_told_at_once() {
    let text = b"__REALTIME_TIMESTAMP=7\nMESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xffabc";
    let mut entries = Entries::new(Form::Export, Vec::new(), &text[..], Wanted::new());
    assert!(entries.next().unwrap_err().to_string().contains("no export of a journal"));
}
