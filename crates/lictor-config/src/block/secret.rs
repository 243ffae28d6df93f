//! Secrets: an attribute itself, or with an ending that says where it is.

use std::path::{Path, PathBuf};

use crate::code::Code;
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};
use crate::secret::Secret;
use crate::source::Span;
use crate::syntax::tree::{At, Body, Is, Text, Value};

/// Where an entry of a map of secrets is.
static ENTRY: Schema = Schema {
    doc: "",
    groups: &[&[
        Attribute::new("file", Kind::Path, "A file that holds it."),
        Attribute::new("env", Kind::Text, "An environment variable that holds it."),
        Attribute::new("credential", Kind::Text, "A systemd credential that holds it."),
    ]],
    blocks: &[],
    values: &[],
    example: "",
};

impl Reader<'_> {
    /// A secret, from whichever of its four attributes is set. `what` is said of a literal
    /// one, if it deserves a warning.
    pub(crate) fn secret(&self, name: &str) -> Option<Secret> {
        self.secret_or(name, true)
    }

    /// A value that may be secret but often is none: no warning when it is written as it is.
    pub(crate) fn quiet_secret(&self, name: &str) -> Option<Secret> {
        self.secret_or(name, false)
    }

    fn secret_or(&self, name: &str, warn: bool) -> Option<Secret> {
        let [file, env, credential] =
            ["_file", "_env", "_credential"].map(|ending| format!("{name}{ending}"));
        let set: Vec<&str> =
            [name, &file, &env, &credential].into_iter().filter(|name| self.value(name).is_some()).collect();
        if let Some(value) = self.value(name) {
            self.decoder.report.hide(value.span);
        }
        if let [first, second, ..] = set.as_slice() {
            let message = format!("`{first}` and `{second}` exclude each other: the secret has one source");
            let draft = Draft::new(Code::SecretTwice, self.span(second), message);
            self.decoder.add(draft.also(self.span(first), "the other one"));
            return None;
        }
        if self.value(&file).is_some() {
            return self.file(&file).map(Secret::file);
        }
        if let Some(text) = self.given(&env) {
            return self.env_secret(&text);
        }
        if let Some(text) = self.given(&credential) {
            return self.credential_secret(&text);
        }
        let value = self.value(name)?;
        let Is::Text(text) = &value.is else {
            self.mismatch(name, value);
            return None;
        };
        if warn {
            let message = format!("`{name}` is written in the configuration");
            let draft = Draft::warning(Code::LiteralSecret, value.span, message);
            self.decoder.add(draft.help(format!("put it into a file and write {name}_file = \"/path\"")));
        }
        Some(Secret::value(text.clone()))
    }

    fn given(&self, name: &str) -> Option<Text> {
        let value = self.value(name)?;
        match &value.is {
            Is::Text(text) if !text.is_empty() => Some(Text { is: text.clone(), span: value.span }),
            _ => {
                let message = format!("`{name}` is a name in quotes, not {}", value.is.describe());
                self.decoder.add(Draft::new(Code::WrongType, value.span, message));
                None
            }
        }
    }

    fn env_secret(&self, name: &Text) -> Option<Secret> {
        let found = self.decoder.env.var(&name.is).map(Secret::value);
        if found.is_none() {
            let message = format!("the environment variable `{}` is not set", name.is);
            self.decoder.add(Draft::new(Code::SecretMissing, name.span, message));
        }
        found
    }

    fn credential_secret(&self, name: &Text) -> Option<Secret> {
        if name.is.contains('/') || name.is == ".." || name.is == "." {
            let message = format!("`{}` is not the name of a credential", name.is);
            self.decoder.add(Draft::new(Code::Name, name.span, message));
            return None;
        }
        let Some(directory) = self.decoder.env.var("CREDENTIALS_DIRECTORY") else {
            let message = "there is no credentials directory: systemd has passed none";
            let draft = Draft::new(Code::SecretMissing, name.span, message);
            let help = format!("write LoadCredential={}:/path into the unit", name.is);
            self.decoder.add(draft.help(help));
            return None;
        };
        let path: PathBuf = Path::new(&directory).join(&name.is);
        if self.decoder.env.is_missing(&path) {
            let message = format!("systemd has passed no credential `{}`", name.is);
            self.decoder.add(Draft::warning(Code::FileMissing, name.span, message));
        }
        Some(Secret::file(path))
    }

    /// Names and secrets: texts, or objects that say where the text is.
    pub(crate) fn secrets(&self, name: &str) -> Vec<(Text, Secret)> {
        let secret = |(key, value): (&Text, &Value)| {
            self.decoder.report.hide(value.span);
            let found = match &value.is {
                Is::Text(text) => {
                    if sounds_secret(&key.is) {
                        self.warn_entry(key, value.span);
                    }
                    Some(Secret::value(text.clone()))
                }
                Is::Map(_) => self.entry(key, value),
                _ => {
                    self.mismatch(name, value);
                    None
                }
            };
            found.map(|secret| (key.clone(), secret))
        };
        self.entries(name).into_iter().filter_map(secret).collect()
    }

    fn warn_entry(&self, key: &Text, span: Span) {
        let message = format!("`{}` is written in the configuration", key.is);
        let draft = Draft::warning(Code::LiteralSecret, span, message);
        let quoted = At { is: &key.is, span };
        self.decoder.add(
            draft.help(format!("put it into a file and write {:?} = {{ file = \"/path\" }}", quoted.is)),
        );
    }

    fn entry(&self, key: &Text, value: &Value) -> Option<Secret> {
        let body: Body = crate::reader::as_body(value)?;
        let title = key.is.clone();
        let inner = Reader::over(self.decoder, &body, &ENTRY, value.span, title);
        if inner.exclude("file", "env")
            || inner.exclude("file", "credential")
            || inner.exclude("env", "credential")
        {
            return None;
        }
        if inner.is_set("file") {
            return inner.file("file").map(Secret::file);
        }
        if let Some(text) = inner.given("env") {
            return inner.env_secret(&text);
        }
        if let Some(text) = inner.given("credential") {
            return inner.credential_secret(&text);
        }
        if body.attributes.is_empty() {
            let message = format!("`{}` says not where it is", key.is);
            let help = "write { file = \"/path\" }, { env = \"NAME\" } or { credential = \"name\" }";
            self.decoder.add(Draft::new(Code::Missing, value.span, message).help(help));
        }
        None
    }
}

/// Whether a header or variable of that name usually holds a secret.
fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["authorization", "cookie", "token", "secret", "password", "passwd", "api-key", "api_key", "apikey"]
        .iter()
        .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use crate::testing::{env, mistakes, parsed_in, warnings};
    use insta::assert_snapshot;

    #[test]
    fn a_secret_lies_in_one_of_four_places() {
        let env = env(&[("TOKEN", "from-env"), ("CREDENTIALS_DIRECTORY", "/run/credentials/lictor")]);
        let token = |line: &str| {
            let loaded = parsed_in(&format!("http {{\n{line}\n}}"), &env);
            loaded.config.http.token.unwrap()
        };
        assert_eq!(token("token = \"literal\"").reveal().unwrap(), "literal");
        assert_eq!(token("token_env = \"TOKEN\"").reveal().unwrap(), "from-env");
        let file = token("token_file = \"/nowhere/token\"").reveal().unwrap_err();
        assert!(file.to_string().contains("/nowhere/token"), "{file}");
        let credential = token("token_credential = \"web\"").reveal().unwrap_err();
        assert!(credential.to_string().contains("/run/credentials/lictor/web"), "{credential}");
    }

    #[test]
    fn its_source_must_be_there_and_only_one() {
        assert_snapshot!(mistakes(r#"
http {
  token      = "hunter2"
  token_file = "/run/token"
}
watch "http" "a" {
  url        = "http://127.0.0.1/"
  bearer_env = "NOT_SET"
}
watch "http" "b" {
  url     = "http://127.0.0.1/"
  headers = { X-Token = { credential = "x" }, Accept = {}, Other = { fle = "/x" }, Last = 5 }
}
"#), @r#"
        4:16: `token` and `token_file` exclude each other: the secret has one source (the other one: x.hcl:3:16) [LIC0602]
        8:16: the environment variable `NOT_SET` is not set [LIC0603]
        12:40: there is no credentials directory: systemd has passed none (write LoadCredential=x:/path into the unit) [LIC0603]
        12:56: `Accept` says not where it is (write { file = "/path" }, { env = "NAME" } or { credential = "name" }) [LIC0203]
        12:70: unknown attribute `fle` in `Other` (did you mean `file`?) [LIC0201]
        12:91: `headers` is an object of texts, or of { file = "/path" }, not a number [LIC0206]
        "#);
    }

    #[test]
    fn a_literal_secret_is_a_warning_and_is_not_shown() {
        assert_snapshot!(warnings(r#"
http {
  token = "hunter2"
}
watch "http" "a" {
  url     = "http://127.0.0.1/"
  headers = { Authorization = "Bearer hunter2", Accept = "text/html" }
}
"#), @r#"
        LIC0901

          ⚠ `token` is written in the configuration
           ╭─[x.hcl:3:11]
         2 │ http {
         3 │   token = "*******"
           ·           ────┬────
           ·               ╰── here
         4 │ }
           ╰────
          help: put it into a file and write token_file = "/path"
        LIC0901

          ⚠ `Authorization` is written in the configuration
           ╭─[x.hcl:7:31]
         6 │   url     = "http://127.0.0.1/"
         7 │   headers = { Authorization = "**************", Accept = "*********" }
           ·                               ────────┬───────
           ·                                       ╰── here
         8 │ }
           ╰────
          help: put it into a file and write "Authorization" = { file = "/path" }
        "#);
    }
}
