//! The credentials of a service of AWS: those of the configuration, of the environment, or of the file that
//! the programs of AWS share.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// A file with more bytes is not read.
const LARGEST: u64 = 1 << 20;

/// What requests are signed with.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    /// Of credentials that are valid for a while.
    pub(crate) session_token: Option<String>,
}

impl Credentials {
    /// Finds them; `var` reads the environment.
    ///
    /// # Errors
    /// Where they were looked for, and what is missing there.
    pub(crate) fn find(
        settings: &Map<String, Value>,
        var: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let set = |name: &str| settings.get(name).and_then(Value::as_str).map(str::to_owned);
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        if let (Some(access_key), Some(secret_key)) = (set("access_key"), set("secret_key")) {
            return Ok(Self { access_key, secret_key, session_token: set("session_token") });
        }
        let (file, profile) = (set("credentials_file"), set("profile"));
        // A file or a profile that is named is meant.
        if file.is_none()
            && profile.is_none()
            && let (Some(access_key), Some(secret_key)) =
                (var("AWS_ACCESS_KEY_ID"), var("AWS_SECRET_ACCESS_KEY"))
        {
            return Ok(Self { access_key, secret_key, session_token: var("AWS_SESSION_TOKEN") });
        }
        let profile = profile.or_else(|| var("AWS_PROFILE")).unwrap_or_else(|| "default".to_owned());
        let at_home = || var("HOME").map(|home| format!("{home}/.aws/credentials"));
        match file.or_else(|| var("AWS_SHARED_CREDENTIALS_FILE")).or_else(at_home) {
            Some(path) => Self::in_file(&PathBuf::from(path), &profile),
            None => Err(
                "there are no credentials of AWS: neither in the configuration nor in the environment, and \
                         no home directory where a file could be"
                    .to_owned(),
            ),
        }
    }

    /// What must not be shown.
    pub(super) fn secrets(&self) -> impl Iterator<Item = String> {
        [self.access_key.clone(), self.secret_key.clone()].into_iter().chain(self.session_token.clone())
    }

    fn in_file(path: &Path, profile: &str) -> Result<Self, String> {
        let place = path.display();
        let failed = |error| format!("cannot read the credentials of AWS in `{place}`: {error}");
        let mut text = String::new();
        File::open(path).and_then(|file| file.take(LARGEST).read_to_string(&mut text)).map_err(failed)?;
        let missing = |name: &str| format!("the profile `{profile}` in `{place}` has no `{name}`");
        let needed = |name: &str| entry(&text, profile, name).ok_or_else(|| missing(name));
        Ok(Self {
            access_key: needed("aws_access_key_id")?,
            secret_key: needed("aws_secret_access_key")?,
            session_token: entry(&text, profile, "aws_session_token"),
        })
    }
}

/// The value of a name in a section of a file of sections, `name = value` in each line.
fn entry(text: &str, section: &str, name: &str) -> Option<String> {
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(head) = line.strip_prefix('[') {
            inside = head.split(']').next().is_some_and(|head| head.trim() == section);
        } else if inside
            && !line.starts_with(['#', ';'])
            && let Some((key, value)) = line.split_once('=')
            && key.trim().eq_ignore_ascii_case(name)
            && !value.trim().is_empty()
        {
            return Some(value.trim().to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    const FILE: &str = "# of the machine\n[default]\naws_access_key_id = AKIDFILE\naws_secret_access_key=s=f\n\n\
                        [ops]\nAWS_ACCESS_KEY_ID=AKIDOPS\naws_secret_access_key = so\naws_session_token = to\n\
                        [half]\naws_access_key_id = AKIDHALF\n;aws_secret_access_key = x\n";

    fn found(settings: &Value, environment: &[(&str, &str)]) -> Result<(String, String, String), String> {
        let environment: BTreeMap<&str, &str> = environment.iter().copied().collect();
        let var = |name: &str| environment.get(name).map(|value| (*value).to_owned());
        let found = Credentials::find(settings.as_object().unwrap(), var)?;
        Ok((found.access_key, found.secret_key, found.session_token.unwrap_or_default()))
    }

    #[test]
    fn what_is_named_goes_before_the_environment_and_that_before_the_file_of_the_user() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_str().unwrap();
        std::fs::create_dir(dir.path().join(".aws")).unwrap();
        let file = dir.path().join(".aws/credentials");
        std::fs::write(&file, FILE).unwrap();
        let file = file.to_str().unwrap();
        let environment =
            [("AWS_ACCESS_KEY_ID", "AKIDENV"), ("AWS_SECRET_ACCESS_KEY", "se"), ("AWS_SESSION_TOKEN", "te")];
        let all = [environment.as_slice(), &[("HOME", home)]].concat();
        let of = |settings: Value, environment: &[(&str, &str)]| {
            found(&settings, environment).map(|(key, secret, token)| [key, secret, token].join(" "))
        };
        assert_eq!(of(json!({"access_key": "AKIDSET", "secret_key": "s"}), &all), Ok("AKIDSET s ".into()));
        assert_eq!(of(json!({"profile": "ops"}), &all), Ok("AKIDOPS so to".into()));
        assert_eq!(of(json!({"credentials_file": file}), &all), Ok("AKIDFILE s=f ".into()));
        assert_eq!(of(json!({}), &all), Ok("AKIDENV se te".into()));
        assert_eq!(of(json!({}), &[("HOME", home)]), Ok("AKIDFILE s=f ".into()));
        let other = [("AWS_SHARED_CREDENTIALS_FILE", file), ("AWS_PROFILE", "ops"), ("HOME", "/nowhere")];
        assert_eq!(of(json!({}), &other), Ok("AKIDOPS so to".into()));
    }

    #[test]
    fn what_is_missing_is_told_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("credentials");
        std::fs::write(&file, FILE).unwrap();
        let why = |profile: &str, file: &Path| {
            found(&json!({"profile": profile, "credentials_file": file}), &[]).unwrap_err()
        };
        assert!(why("half", &file).contains("the profile `half` in `/"), "{}", why("half", &file));
        assert!(why("none", &file).ends_with("has no `aws_access_key_id`"), "{}", why("none", &file));
        assert!(why("ops", &dir.path().join("gone")).contains("cannot read"));
        assert!(found(&json!({}), &[]).unwrap_err().contains("no credentials of AWS"));
    }
}
