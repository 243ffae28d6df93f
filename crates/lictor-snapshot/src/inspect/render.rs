//! What `consul snapshot inspect` prints, of the old Consul and of the new one.
//!
//! Byte for byte, with one exception: control characters in names of keys are shown as `\x0a`, because a
//! key must not be able to write to somebody's terminal.

use std::str::FromStr;

use super::{Count, Inspection};
use crate::meta::Meta;

/// What is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Tables, as Consul has them since 1.9.
    #[default]
    Pretty,
    /// JSON with the same content.
    Json,
    /// Five lines and an empty one, as Consul had them up to 1.8.
    Consul18,
}

/// Such a format is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Unknown format: {0}")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        match name {
            "pretty" => Ok(Self::Pretty),
            "json" => Ok(Self::Json),
            "consul-1.8" => Ok(Self::Consul18),
            other => Err(UnknownFormat(other.to_owned())),
        }
    }
}

impl Inspection {
    /// The text to print, with the end of its last line. It is UTF-8 if the keys are.
    #[must_use]
    pub fn render(&self, meta: &Meta, format: Format) -> Vec<u8> {
        let mut out = match format {
            Format::Pretty => self.pretty(meta),
            Format::Json => self.json(meta),
            Format::Consul18 => {
                let rows = meta_rows(meta).map(|(name, value)| [name.as_bytes().to_vec(), value]);
                let mut out = Vec::new();
                align(&mut out, "", &rows);
                out
            }
        };
        out.push(b'\n');
        out
    }

    fn pretty(&self, meta: &Meta) -> Vec<u8> {
        let mut out = Vec::new();
        let rows = meta_rows(meta).map(|(name, value)| [name.as_bytes().to_vec(), value]);
        align(&mut out, " ", &rows);
        out.push(b'\n');
        let kinds = self.kinds();
        let kinds = kinds.iter().map(|(kind, count)| (kind.to_string().into_bytes(), *count));
        table(&mut out, "Type", kinds, self.total());
        if !self.groups.is_empty() {
            out.push(b'\n');
            let groups = self.groups();
            let groups = groups.iter().map(|(key, count)| (printable(key), *count));
            table(&mut out, "Key Name", groups, self.groups_total());
        }
        // The last line is ended by who prints it.
        out.pop();
        out
    }

    fn json(&self, meta: &Meta) -> Vec<u8> {
        let mut out = b"{\n   \"Meta\": {\n      \"ID\": ".to_vec();
        write_go_string(&mut out, meta.id.as_bytes());
        let Meta { size, index, term, version, .. } = meta;
        out.extend_from_slice(
            format!(
                ",\n      \"Size\": {size},\n      \"Index\": {index},\n      \"Term\": {term},\n      \
                 \"Version\": {version}\n   }},\n   \"Stats\": "
            )
            .as_bytes(),
        );
        let kinds = self.kinds();
        json_rows(&mut out, kinds.iter().map(|(kind, count)| (kind.to_string().into_bytes(), *count)));
        out.extend_from_slice(b",\n   \"StatsKV\": ");
        if self.groups.is_empty() {
            out.extend_from_slice(b"null");
        } else {
            json_rows(&mut out, self.groups().into_iter().map(|(key, count)| (key.to_vec(), count)));
        }
        let (total, groups) = (self.total().bytes, self.groups_total().bytes);
        out.extend_from_slice(
            format!(",\n   \"TotalSize\": {total},\n   \"TotalSizeKV\": {groups}\n}}").as_bytes(),
        );
        out
    }
}

fn meta_rows(meta: &Meta) -> [(&'static str, Vec<u8>); 5] {
    [
        ("ID", printable(meta.id.as_bytes())),
        ("Size", meta.size.to_string().into_bytes()),
        ("Index", meta.index.to_string().into_bytes()),
        ("Term", meta.term.to_string().into_bytes()),
        ("Version", meta.version.to_string().into_bytes()),
    ]
}

fn table(out: &mut Vec<u8>, title: &str, rows: impl Iterator<Item = (Vec<u8>, Count)>, total: Count) {
    let line = || ["----".into(), "----".into(), "----".into()];
    let mut cells = vec![[title.into(), "Count".into(), "Size".into()], line()];
    cells.extend(
        rows.map(|(name, count)| {
            [name, count.count.to_string().into_bytes(), size(count.bytes).into_bytes()]
        }),
    );
    cells.push(line());
    cells.push(["Total".into(), Vec::new(), size(total.bytes).into_bytes()]);
    align(out, " ", &cells);
}

/// Writes lines of cells, each column as wide as its longest cell and six blanks, except for the last one.
fn align<const N: usize>(out: &mut Vec<u8>, indent: &str, rows: &[[Vec<u8>; N]]) {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(self::width(cell));
        }
    }
    for row in rows {
        out.extend_from_slice(indent.as_bytes());
        for (at, (cell, widest)) in row.iter().zip(widths).enumerate() {
            out.extend_from_slice(cell);
            if at + 1 < N {
                out.resize(out.len() + widest + 6 - width(cell), b' ');
            }
        }
        out.push(b'\n');
    }
}

/// Characters; a byte that is part of none counts as one, as in Go.
fn width(cell: &[u8]) -> usize {
    cell.utf8_chunks().map(|chunk| chunk.valid().chars().count() + chunk.invalid().len()).sum()
}

/// Bytes in powers of 1024 with one decimal, if it is not zero.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    if bytes == 0 {
        return "0".to_owned();
    }
    let place = (bytes.ilog2() / 10).min(4);
    let unit = UNITS.get(place as usize).copied().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let value = bytes as f64 / (1_u64 << (10 * place)) as f64;
    let number = format!("{value:.1}");
    format!("{}{unit}", number.strip_suffix(".0").unwrap_or(&number))
}

/// A name with its control characters made visible.
fn printable(name: &[u8]) -> Vec<u8> {
    if !name.iter().any(u8::is_ascii_control) {
        return name.to_vec();
    }
    name.iter()
        .flat_map(
            |byte| {
                if byte.is_ascii_control() { format!("\\x{byte:02x}").into_bytes() } else { vec![*byte] }
            },
        )
        .collect()
}

fn json_rows(out: &mut Vec<u8>, rows: impl Iterator<Item = (Vec<u8>, Count)>) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return out.extend_from_slice(b"[]");
    }
    out.push(b'[');
    let mut first = true;
    for (name, Count { count, bytes }) in rows {
        out.extend_from_slice(if first {
            b"\n      {\n         \"Name\": "
        } else {
            b",\n      {\n         \"Name\": "
        });
        first = false;
        write_go_string(out, &name);
        out.extend_from_slice(
            format!(",\n         \"Sum\": {bytes},\n         \"Count\": {count}\n      }}").as_bytes(),
        );
    }
    out.extend_from_slice(b"\n   ]");
}

/// A JSON string as Go writes it: fit for HTML, and with `\ufffd` for each byte that is no text.
fn write_go_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                '\u{8}' => out.extend_from_slice(b"\\b"),
                '\u{c}' => out.extend_from_slice(b"\\f"),
                '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    out.extend_from_slice(format!("\\u{:04x}", u32::from(letter)).as_bytes());
                }
                letter => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::KvDetails;
    use crate::kind::Kind;

    fn meta() -> Meta {
        Meta {
            id: "2-13-1602222343947".to_owned(),
            size: 5141,
            index: 13,
            term: 2,
            version: 1,
            ..Meta::default()
        }
    }

    fn inspection(kinds: &[(u8, u64, u64)], groups: &[(&[u8], u64, u64)]) -> Inspection {
        let mut inspection = Inspection::new(Some(KvDetails::default()));
        for (kind, count, bytes) in kinds {
            inspection.kinds[usize::from(*kind)] = Count { count: *count, bytes: *bytes };
        }
        for (key, count, bytes) in groups {
            inspection.groups.insert(key.to_vec(), Count { count: *count, bytes: *bytes });
        }
        inspection
    }

    fn render(inspection: &Inspection, format: Format) -> String {
        String::from_utf8(inspection.render(&meta(), format)).unwrap()
    }

    #[test]
    fn the_tables_are_those_of_the_new_consul() {
        let inspection = inspection(
            &[
                (0, 3, 1750),
                (9, 1, 199),
                (30, 1, 139),
                (29, 1, 12),
                (Kind::CA_PROVIDER_STATE.byte(), 1, 1100),
            ],
            &[(b"vault/core", 16, 5977), (b"caf\xc3\xa9", 1, 10), (b"a\xff\n", 1, 3)],
        );
        let expected = [
            " ID           2-13-1602222343947",
            " Size         5141",
            " Index        13",
            " Term         2",
            " Version      1",
            "",
            " Type                        Count      Size",
            " ----                        ----       ----",
            " Register                    3          1.7KB",
            " ConnectCAProviderState      1          1.1KB",
            " Autopilot                   1          199B",
            " FederationState             1          139B",
            " ChunkingState               1          12B",
            " ----                        ----       ----",
            " Total                                  3.1KB",
            "",
            " Key Name        Count      Size",
            " ----            ----       ----",
            " vault/core      16         5.8KB",
            " caf\u{e9}            1          10B",
            " a\u{fffd}\\x0a          1          3B",
            " ----            ----       ----",
            " Total                      5.8KB",
            "",
        ];
        let found = inspection.render(&meta(), Format::Pretty);
        assert_eq!(String::from_utf8_lossy(&found), expected.join("\n"));
    }

    #[test]
    fn the_old_consul_has_five_lines_and_an_empty_one() {
        let expected = "ID           2-13-1602222343947\nSize         5141\nIndex        13\nTerm         2\n\
                        Version      1\n\n";
        assert_eq!(render(&inspection(&[], &[]), Format::Consul18), expected);
    }

    #[test]
    fn json_is_indented_by_three_and_fit_for_html() {
        let expected = r#"{
   "Meta": {
      "ID": "2-13-1602222343947",
      "Size": 5141,
      "Index": 13,
      "Term": 2,
      "Version": 1
   },
   "Stats": [
      {
         "Name": "Unknown(99)",
         "Sum": 7,
         "Count": 1
      },
      {
         "Name": "KVS",
         "Sum": 5,
         "Count": 1
      }
   ],
   "StatsKV": [
      {
         "Name": "\u003ca\u003e\u0026\n\ufffd",
         "Sum": 5,
         "Count": 1
      }
   ],
   "TotalSize": 12,
   "TotalSizeKV": 5
}
"#;
        let inspection = inspection(&[(2, 1, 5), (99, 1, 7)], &[(b"<a>&\n\xff", 1, 5)]);
        assert_eq!(render(&inspection, Format::Json), expected);
    }

    #[test]
    fn without_keys_json_says_null_and_without_records_an_empty_list() {
        let found = render(&inspection(&[], &[]), Format::Json);
        assert!(found.contains("   \"Stats\": [],\n   \"StatsKV\": null,\n   \"TotalSize\": 0,"), "{found}");
    }

    #[test]
    fn sizes_have_one_decimal_unless_it_is_zero() {
        for (bytes, expected) in [
            (0, "0"),
            (1, "1B"),
            (1023, "1023B"),
            (1024, "1KB"),
            (12595, "12.3KB"),
            (1_048_575, "1024KB"),
            (1 << 20, "1MB"),
            (3 << 30, "3GB"),
            (5 << 40, "5TB"),
            (5 << 50, "5120TB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn a_format_is_named_as_in_consul() {
        assert_eq!("consul-1.8".parse(), Ok(Format::Consul18));
        assert_eq!("x".parse::<Format>().unwrap_err().to_string(), "Unknown format: x");
    }
}
