//! A real Chromium without a screen, and what a person does and sees in it.
//!
//! It is driven by a script of node (`browser/driver.mjs`) with playwright-core; axe-core looks at the pages. Each
//! [`Window`] is a person of their own: nothing is shared between two of them, no password and no cache.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::wait;

/// How long something may take to be seen, milliseconds.
const SOON: u64 = 20_000;

/// How long Chromium may take to end.
const ENDS: Duration = Duration::from_secs(10);

/// Presses of Tab after which something cannot be reached.
const TABS: u32 = 100;

/// How much of a page is shown when something is not on it, bytes.
const SHOWN: usize = 6_000;

const DRIVER: &str = include_str!("browser/driver.mjs");

/// A Chromium of this test. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    driver: Mutex<Driver>,
    // The programs are gone before what they write to.
    dir: TempDir,
    pictures: PathBuf,
}

#[derive(Debug)]
struct Driver {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    windows: u32,
}

/// How somebody looks at a page.
#[derive(Clone, Debug)]
pub struct Look {
    /// How wide the window is, CSS pixels.
    pub width: u32,
    /// Whether the person likes it dark.
    pub dark: bool,
    /// Whether scripts run. Where they do not, what is waited for is looked for by loading the page anew.
    pub script: bool,
    /// What the person says when the page asks for a password: the name and the password.
    pub password: Option<(String, String)>,
    /// Answers that are meant to be refusals: the browser calls each an error.
    pub refusals: Vec<u16>,
}

impl Default for Look {
    fn default() -> Self {
        Self { width: 1_280, dark: false, script: true, password: None, refusals: Vec::new() }
    }
}

impl Look {
    /// As wide as a phone, and dark: it is night.
    #[must_use]
    pub fn phone() -> Self {
        Self { width: 360, dark: true, ..Self::default() }
    }

    /// With JavaScript switched off.
    #[must_use]
    pub fn without_script(self) -> Self {
        Self { script: false, ..self }
    }

    /// With a password for who asks.
    #[must_use]
    pub fn with_password(self, person: &str, password: &str) -> Self {
        Self { password: Some((person.to_owned(), password.to_owned())), ..self }
    }

    /// With refusals of this status, which are no faults.
    #[must_use]
    pub fn refused(mut self, status: u16) -> Self {
        self.refusals.push(status);
        self
    }
}

impl Browser {
    /// Starts one. Pictures are put below `pictures`, into a folder with the name of the test.
    ///
    /// # Panics
    /// If there is no Chromium, or nothing to drive it with.
    #[must_use]
    pub fn start(pictures: &Path) -> Self {
        let dir = TempDir::with_prefix("lictor-browser-")
            .unwrap_or_else(|error| panic!("cannot make a directory for a browser: {error}"));
        let pictures = pictures.join("browser").join(test());
        fs::create_dir_all(&pictures)
            .unwrap_or_else(|error| panic!("cannot make {}: {error}", pictures.display()));
        let script = dir.path().join("driver.mjs");
        fs::write(&script, DRIVER)
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", script.display()));
        let modules = env::var_os("LICTOR_PLAYWRIGHT_DIR")
            .unwrap_or_else(|| panic!("LICTOR_PLAYWRIGHT_DIR is not set: `cargo xtask setup` fetches it"));
        let named = |variable: &str, usual: &str| env::var_os(variable).unwrap_or_else(|| usual.into());
        let mut command = Command::new(named("LICTOR_NODE_BIN", "node"));
        command.arg(&script).arg(modules).arg(named("LICTOR_CHROMIUM_BIN", "/usr/bin/chromium"));
        // Nothing of the machine's own: no proxy, no profile of a user.
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
        command.env("TZ", "UTC").env("HOME", dir.path()).env("TMPDIR", dir.path()).current_dir(dir.path());
        let log = fs::File::create(dir.path().join("driver.log"))
            .unwrap_or_else(|error| panic!("cannot write the log of a browser: {error}"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start node ({error}): is it there?"));
        let orders = child.stdin.take();
        let Some(answers) = child.stdout.take().map(BufReader::new) else { panic!("node has no output") };
        Self { driver: Mutex::new(Driver { child, orders, answers, windows: 0 }), dir, pictures }
    }

    /// A window of somebody who has not been here before.
    ///
    /// # Panics
    /// If Chromium does not start.
    #[must_use]
    pub fn window(&self, look: Look) -> Window<'_> {
        let id = {
            let mut driver = self.driver();
            driver.windows += 1;
            driver.windows
        };
        let window = Window { browser: self, id, look };
        let Look { width, dark, script, password, refusals } = &window.look;
        let (person, token) = password.clone().unzip();
        window.does(
            "open",
            json!({ "width": width, "dark": dark, "script": script, "person": person, "token": token, "allowed": refusals }),
        );
        window
    }

    fn driver(&self) -> MutexGuard<'_, Driver> {
        self.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to an order.
    fn answer(&self, order: &Value) -> Value {
        let mut driver = self.driver();
        let mut line = String::new();
        let asked = match &mut driver.orders {
            Some(orders) => writeln!(orders, "{order}").and_then(|()| orders.flush()),
            None => Ok(()),
        };
        let answered = asked.and_then(|()| driver.answers.read_line(&mut line));
        let log = || fs::read_to_string(self.dir.path().join("driver.log")).unwrap_or_default();
        assert!(answered.is_ok_and(|bytes| bytes > 0), "the browser has ended; it said last:\n{}", log());
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("no answer of a driver: {error}: {line}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let driver = self.driver.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Without more orders it closes Chromium and ends.
        drop(driver.orders.take());
        let ended = wait::until(ENDS, || driver.child.try_wait().transpose());
        if !matches!(ended, Some(Ok(_))) {
            drop(driver.child.kill());
            drop(driver.child.wait());
        }
    }
}

/// The test that runs, as a name of a folder.
fn test() -> String {
    let name = thread::current().name().unwrap_or("main").replace("::", "-");
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect()
}

/// A window with a page. What is asked of it fails the test when it is not so, and says what the page says.
#[derive(Debug)]
pub struct Window<'a> {
    browser: &'a Browser,
    id: u32,
    look: Look,
}

impl Window<'_> {
    /// Goes to an address.
    #[track_caller]
    pub fn goes_to(&self, url: &str) {
        self.does("go", json!({ "url": url }));
    }

    /// Waits until these words are on the page, in this order. Upper and lower case are the same, and so are all blanks.
    #[track_caller]
    pub fn sees(&self, parts: &[&str]) {
        let order = json!({ "parts": parts, "gone": false, "within": SOON });
        let answer = self.does("see", order);
        if answer["seen"] != true {
            let count = answer["count"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
            let missing = parts.get(count).copied().unwrap_or_default();
            let after = count.checked_sub(1).and_then(|before| parts.get(before));
            let after = after.map(|before| format!(" after `{before}`")).unwrap_or_default();
            self.fails(&format!("`{missing}` is not there{after}"), &answer);
        }
    }

    /// Waits until none of these words is on the page.
    #[track_caller]
    pub fn sees_no_more(&self, parts: &[&str]) {
        let order = json!({ "parts": parts, "gone": true, "within": SOON });
        let answer = self.does("see", order);
        if answer["seen"] != true {
            self.fails(&format!("one of {parts:?} is still there"), &answer);
        }
    }

    /// What the page says.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> String {
        self.does("text", json!({}))["text"].as_str().unwrap_or_default().to_owned()
    }

    /// Where it is.
    #[must_use]
    #[track_caller]
    pub fn url(&self) -> String {
        self.does("text", json!({}))["url"].as_str().unwrap_or_default().to_owned()
    }

    /// Follows the link with this text, in the part that a selector names.
    #[track_caller]
    pub fn follows(&self, within: &str, link: &str) {
        self.does("press", json!({ "role": "link", "name": link, "within": within }));
    }

    /// Presses the button with this name, as a screen reader says it.
    #[track_caller]
    pub fn presses(&self, button: &str) {
        self.does("press", json!({ "role": "button", "name": button }));
    }

    /// Opens what is folded under these words.
    #[track_caller]
    pub fn unfolds(&self, words: &str) {
        self.does("unfold", json!({ "name": words }));
    }

    /// Writes into the field with this label.
    #[track_caller]
    pub fn writes(&self, label: &str, value: &str) {
        self.does("fill", json!({ "label": label, "value": value }));
    }

    /// Reaches something by Tab alone, and sees that it is marked.
    #[track_caller]
    pub fn tabs_to(&self, name: &str) {
        let answer = self.does("reach", json!({ "name": name, "most": TABS }));
        if answer["reached"] != true {
            self.fails(&format!("`{name}` cannot be reached by {TABS} times Tab"), &answer);
        }
        if answer["ring"] != true {
            self.fails(&format!("`{name}` is not marked when it is reached by Tab"), &answer);
        }
    }

    /// Is still where it was reached by Tab.
    #[track_caller]
    pub fn is_still_at(&self, name: &str) {
        let at = self.does("at", json!({}));
        assert_eq!(at["words"], name, "the place on the page is lost");
    }

    /// Presses a key there, such as `Enter`.
    #[track_caller]
    pub fn presses_key(&self, key: &str) {
        self.does("key", json!({ "key": key }));
    }

    /// How many elements there are that a selector names.
    #[must_use]
    #[track_caller]
    pub fn count(&self, selector: &str) -> u64 {
        self.does("count", json!({ "selector": selector }))["count"].as_u64().unwrap_or_default()
    }

    /// How often a page was loaded in this window. What comes by itself is none.
    #[must_use]
    #[track_caller]
    pub fn loads(&self) -> u64 {
        self.does("loads", json!({}))["loads"].as_u64().unwrap_or_default()
    }

    /// What is answered there, shown the same password: status and text.
    #[must_use]
    #[track_caller]
    pub fn fetches(&self, path: &str) -> (u64, String) {
        let answer = self.does("fetch", json!({ "path": path }));
        (
            answer["status"].as_u64().unwrap_or_default(),
            answer["text"].as_str().unwrap_or_default().to_owned(),
        )
    }

    /// Looks at the page in light and dark, as wide as a phone, a tablet and a screen: nothing is wider than the
    /// window, and axe-core has nothing serious against it (where scripts run). Takes a picture of each.
    #[track_caller]
    pub fn is_sound_as(&self, name: &str) {
        let folder = self.browser.pictures.display().to_string();
        let answer = self.does("audit", json!({ "folder": folder, "name": name }));
        let wrong = list(&answer["wrong"]);
        assert!(wrong.is_empty(), "{name} is not sound (pictures in {folder}):\n{}", wrong.join("\n"));
        self.has_no_faults();
    }

    /// Nothing has failed in this window so far: no script, nothing that a page wanted to load or that its policy
    /// does not let it do.
    #[track_caller]
    pub fn has_no_faults(&self) {
        let faults = list(&self.does("faults", json!({}))["faults"]);
        assert!(faults.is_empty(), "in the browser:\n{}", faults.join("\n"));
    }

    /// Has something done in this window; it must work.
    #[track_caller]
    fn does(&self, order: &str, mut with: Value) -> Value {
        with["order"] = order.into();
        with["window"] = self.id.into();
        let answer = self.browser.answer(&with);
        if let Some(why) = answer["failed"].as_str() {
            let page = self.browser.answer(&json!({ "order": "text", "window": self.id }));
            self.fails(&format!("{order} {with}: {why}"), &page);
        }
        answer
    }

    #[track_caller]
    fn fails(&self, what: &str, page: &Value) -> ! {
        let picture = self.browser.pictures.join("failed.png").display().to_string();
        drop(self.browser.answer(&json!({ "order": "shot", "window": self.id, "file": picture })));
        let text = page["text"].as_str().unwrap_or_default();
        let text: String = text.chars().take(SHOWN).collect();
        panic!("{what}\n{} says ({picture}):\n{text}", page["url"].as_str().unwrap_or("the page"));
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        // A test that has failed says why already.
        if !thread::panicking() {
            self.has_no_faults();
        }
    }
}

fn list(values: &Value) -> Vec<String> {
    let texts = values.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}
