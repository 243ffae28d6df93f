//! Reading the machine's own list of package sources, in both of apt's formats (sources.list(5)).

use std::path::Path;

use crate::error::Error;

/// One place packages come from, reduced to what is needed to name another suite of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// The mirror, exactly as the machine's configuration writes it.
    pub(crate) uri: String,
    /// The path of the keyring its signatures are checked with; apt's trusted keys when absent.
    pub(crate) signed_by: Option<String>,
    suites: Vec<String>,
    components: Vec<String>,
}

impl Source {
    /// Whether this is a whole distribution's archive of the given release.
    fn has(&self, release: &str) -> bool {
        self.suites.iter().any(|suite| suite == release)
            && self.components.iter().any(|component| component == "main")
    }
}

/// The sources under `/etc/apt` that offer `release`, in the order apt reads them.
pub(crate) fn mirrors(etc_apt: &Path, release: &str) -> Result<Vec<Source>, Error> {
    let mut sources = match std::fs::read_to_string(etc_apt.join("sources.list")) {
        Ok(text) => one_line(&text),
        // A machine may have only the directory.
        Err(_absent) => Vec::new(),
    };
    let parts = etc_apt.join("sources.list.d");
    if parts.is_dir() {
        let mut files: Vec<_> = std::fs::read_dir(&parts)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(Error::file("list", &parts))?
            .iter()
            .map(std::fs::DirEntry::path)
            .collect();
        files.sort();
        for file in files {
            let parse: fn(&str) -> Vec<Source> = match file.extension().and_then(|ending| ending.to_str()) {
                Some("list") => one_line,
                Some("sources") => deb822,
                _ => continue,
            };
            sources.extend(parse(&std::fs::read_to_string(&file).map_err(Error::file("read", &file))?));
        }
    }
    sources.retain(|source| source.has(release));
    Ok(sources)
}

/// `deb [option=value …] uri suite component …`, one a line.
fn one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(one_line_entry).collect()
}

fn one_line_entry(line: &str) -> Option<Source> {
    let line = line.split_once('#').map_or(line, |(before, _)| before).trim();
    let rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => ("", rest),
    };
    let signed_by = options
        .split_ascii_whitespace()
        .find_map(|option| option.strip_prefix("signed-by="))
        .and_then(keyring);
    let mut words = rest.split_ascii_whitespace();
    Some(Source {
        uri: words.next()?.to_owned(),
        suites: vec![words.next()?.to_owned()],
        components: words.map(str::to_owned).collect(),
        signed_by,
    })
}

/// Stanzas of `Field: value` lines, set apart by empty lines; a line that starts
/// with a blank continues the one before.
fn deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut stanza = Stanza::default();
    for line in text.lines().chain([""]) {
        if line.trim().is_empty() {
            sources.extend(std::mem::take(&mut stanza).sources());
        } else if !line.starts_with('#') {
            stanza.line(line);
        }
    }
    sources
}

#[derive(Default)]
struct Stanza {
    fields: Vec<(String, String)>,
}

impl Stanza {
    fn line(&mut self, line: &str) {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = self.fields.last_mut() {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            self.fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    fn words(&self, name: &str) -> Vec<String> {
        self.field(name).split_ascii_whitespace().map(str::to_owned).collect()
    }

    fn sources(&self) -> Vec<Source> {
        let enabled = !matches!(self.field("enabled").to_ascii_lowercase().as_str(), "no" | "false" | "0");
        if !enabled || !self.words("types").iter().any(|kind| kind == "deb") {
            return Vec::new();
        }
        self.words("uris")
            .into_iter()
            .map(|uri| Source {
                uri,
                suites: self.words("suites"),
                components: self.words("components"),
                signed_by: keyring(self.field("signed-by")),
            })
            .collect()
    }
}

/// The path in a `Signed-By` value; a key given in full or by fingerprint is not one.
fn keyring(value: &str) -> Option<String> {
    let first = value.split([',', '\n', ' ']).next()?.trim();
    first.starts_with('/').then(|| first.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uri: &str, suites: &[&str], signed_by: Option<&str>) -> Source {
        Source {
            uri: uri.to_owned(),
            suites: suites.iter().map(|&suite| suite.to_owned()).collect(),
            components: vec!["main".to_owned()],
            signed_by: signed_by.map(str::to_owned),
        }
    }

    #[test]
    fn a_stanza_of_several_lines_is_read_whole() {
        let text = "\
Types: deb deb-src
# a comment
URIs: http://mirror.example/debian
Suites: bookworm
 bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb-src
URIs: http://sources.example/debian
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
";
        assert_eq!(
            deb822(text),
            [source(
                "http://mirror.example/debian",
                &["bookworm", "bookworm-updates"],
                Some("/usr/share/keyrings/debian-archive-keyring.gpg"),
            )]
        );
    }

    #[test]
    fn a_key_written_into_the_stanza_is_no_path() {
        let text = "Types: deb\nURIs: http://m.example/debian\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ\n";
        assert_eq!(deb822(text), [source("http://m.example/debian", &["bookworm"], None)]);
    }

    #[test]
    fn one_line_entries_are_read_with_and_without_options() {
        let text = "\
# deb http://comment.example/debian bookworm main
deb http://plain.example/debian bookworm main
deb-src http://src.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://options.example/debian\tbookworm main # why
deb [ signed-by=0123456789ABCDEF ] http://print.example/debian bookworm main
";
        assert_eq!(
            one_line(text),
            [
                source("http://plain.example/debian", &["bookworm"], None),
                source("http://options.example/debian", &["bookworm"], Some("/k.gpg")),
                source("http://print.example/debian", &["bookworm"], None),
            ]
        );
    }

    #[test]
    fn only_an_archive_of_the_asked_release_is_a_mirror() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("sources.list"),
            "deb http://m.example/debian bookworm main\ndeb http://m.example/security bookworm-security main\ndeb http://other.example/linux bookworm stable\n",
        )
        .unwrap();
        let parts = dir.path().join("sources.list.d");
        std::fs::create_dir(&parts).unwrap();
        std::fs::write(
            parts.join("b.sources"),
            "Types: deb\nURIs: http://b.example/debian\nSuites: bookworm\nComponents: main",
        )
        .unwrap();
        std::fs::write(parts.join("a.list.disabled"), "deb http://off.example/debian bookworm main").unwrap();
        let found: Vec<_> =
            mirrors(dir.path(), "bookworm").unwrap().into_iter().map(|source| source.uri).collect();
        assert_eq!(found, ["http://m.example/debian", "http://b.example/debian"]);
    }
}
