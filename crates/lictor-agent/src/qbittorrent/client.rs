//! One qBittorrent: requests, in a session that is made when it is needed.

use std::sync::Arc;
use std::time::Duration;

use lictor_config::QbittorrentApi;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, HeaderValue};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep, timeout_at};
use url::form_urlencoded;

use super::login::{self, Entry};
use super::maindata::Maindata;
use super::picture::{Fresh, Picture};
use super::problem::Problem;
use super::refused::{Login, Refused};
use super::torrents::{CHUNK, Change, Hash};
use super::trackers::Row;
use super::version::{ApiVersion, Names};
use crate::remote::{self, Answer, Failed};
use crate::text::one_line;

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(30);

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Most of an answer that is read, bytes.
const MOST: usize = 1 << 20;

/// Most of `sync/maindata` that is read, bytes: 50,000 torrents have 1.1 to 2 KB each.
const MAINDATA: usize = 96 << 20;

/// Certificates that were renewed are taken up after this.
const RENEW: Duration = Duration::from_secs(10 * 60);

/// A connection that was closed by the other side says so within this.
const CLOSED: Duration = Duration::from_millis(100);

/// Between two requests that have many torrents announced.
const PAUSE: Duration = Duration::from_millis(500);

/// What asks whether we are let in: every version knows it, and it is short.
const PROBE: &str = "app/webapiVersion";

/// A client for one set of settings.
#[derive(Debug)]
pub(crate) struct Client {
    api: QbittorrentApi,
    refused: Arc<Refused>,
    session: Mutex<Session>,
    picture: Mutex<Picture>,
}

#[derive(Debug, Default)]
struct Session {
    http: Option<(reqwest::Client, Instant)>,
    /// The value of the header `Cookie`.
    cookie: Option<HeaderValue>,
    /// Whether nothing but the cookie, which may be missing, is needed.
    entered: bool,
    /// Counts the sessions, so that of several who find one dead only one makes the next.
    number: u64,
    version: Option<String>,
    names: Option<Names>,
}

/// What a request needs of a session.
#[derive(Clone, Debug)]
struct Pass {
    http: reqwest::Client,
    cookie: Option<HeaderValue>,
    bearer: Option<HeaderValue>,
    number: u64,
}

/// A request: GET, or POST with a form.
#[derive(Clone, Copy, Debug)]
struct Call<'a> {
    path: &'a str,
    form: Option<&'a str>,
    most: usize,
}

impl<'a> Call<'a> {
    const fn get(path: &'a str) -> Self {
        Self { path, form: None, most: MOST }
    }

    const fn post(path: &'a str, form: &'a str) -> Self {
        Self { path, form: Some(form), most: MOST }
    }
}

impl Client {
    pub(super) fn new(api: QbittorrentApi, refused: Arc<Refused>) -> Self {
        Self { api, refused, session: Mutex::default(), picture: Mutex::default() }
    }

    pub(super) fn is_for(&self, api: &QbittorrentApi) -> bool {
        self.api == *api
    }

    /// What there is, as it is now.
    ///
    /// # Errors
    /// See [`Problem`].
    pub(crate) async fn picture(
        &self,
        fresh: Fresh,
        until: Instant,
    ) -> Result<MutexGuard<'_, Picture>, Problem> {
        let mut picture = within(until, self.picture.lock()).await?;
        let asked = picture.ask(fresh);
        let path = format!("sync/maindata?rid={asked}");
        let answer = self.good(Call { most: MAINDATA, ..Call::get(&path) }, until).await?;
        let told: Maindata =
            serde_json::from_slice(&answer.body).map_err(|_error| Problem::unread("sync/maindata"))?;
        if !picture.take_over(asked, told) {
            return Err(Problem::barred(
                "qBittorrent has more than 50,000 torrents, which is more than is looked at",
            ));
        }
        Ok(picture)
    }

    /// What the trackers of a torrent said last; `None` when there is no such torrent.
    ///
    /// # Errors
    /// See [`Problem`].
    pub(crate) async fn trackers(&self, hash: &Hash, until: Instant) -> Result<Option<Vec<Row>>, Problem> {
        let path = format!("torrents/trackers?hash={}", hash.as_str());
        let answer = self.call(Call::get(&path), until).await?;
        match answer.status {
            404 | 409 => Ok(None),
            _ if answer.is_good() => {
                Row::parse(&answer.body).map(Some).ok_or_else(|| Problem::unread("torrents/trackers"))
            }
            _ => Err(Problem::strange("torrents/trackers", &answer)),
        }
    }

    /// The version of qBittorrent, such as `v4.5.2`; fit to be shown.
    ///
    /// # Errors
    /// See [`Problem`].
    pub(crate) async fn version(&self, until: Instant) -> Result<String, Problem> {
        if let Some(version) = &within(until, self.session.lock()).await?.version {
            return Ok(version.clone());
        }
        let answer = self.good(Call::get("app/version"), until).await?;
        let version = one_line(&answer.text(), 32);
        within(until, self.session.lock()).await?.version = Some(version.clone());
        Ok(version)
    }

    /// Does something to torrents, a chunk at a time. That it was taken says nothing: see by their
    /// states what became of them.
    ///
    /// # Errors
    /// See [`Problem`]; what was done to earlier chunks stays.
    pub(crate) async fn change(
        &self,
        what: Change<'_>,
        hashes: &[Hash],
        until: Instant,
    ) -> Result<(), Problem> {
        for (number, chunk) in hashes.chunks(CHUNK).enumerate() {
            if number > 0 && matches!(what, Change::Start | Change::Force | Change::Reannounce) {
                sleep(PAUSE).await;
            }
            self.change_some(what, chunk, until).await?;
        }
        Ok(())
    }

    async fn change_some(&self, what: Change<'_>, hashes: &[Hash], until: Instant) -> Result<(), Problem> {
        let form = form_of(what, hashes);
        let path = match what {
            Change::Stop => return self.by_name(Names::stop, &form, until).await,
            Change::Start => return self.by_name(Names::start, &form, until).await,
            Change::Force => "torrents/setForceStart",
            Change::Tag(_) => "torrents/addTags",
            Change::Untag(_) => "torrents/removeTags",
            Change::Reannounce => "torrents/reannounce",
        };
        self.good(Call::post(path, &form), until).await.map(drop)
    }

    /// Posts to what the version calls it, and if that is not known to what others call it.
    async fn by_name(
        &self,
        name: fn(Names) -> &'static str,
        form: &str,
        until: Instant,
    ) -> Result<(), Problem> {
        let names = self.names(until).await?;
        let answer = self.call(Call::post(name(names), form), until).await?;
        if answer.status != 404 {
            return good(name(names), answer).map(drop);
        }
        let names = names.other();
        self.good(Call::post(name(names), form), until).await?;
        within(until, self.session.lock()).await?.names = Some(names);
        Ok(())
    }

    async fn names(&self, until: Instant) -> Result<Names, Problem> {
        if let Some(names) = within(until, self.session.lock()).await?.names {
            return Ok(names);
        }
        let answer = self.good(Call::get(PROBE), until).await?;
        let names = version(&answer)?.names();
        within(until, self.session.lock()).await?.names = Some(names);
        Ok(names)
    }

    /// The port that peers connect to; 0 is one that is drawn at each start.
    ///
    /// # Errors
    /// See [`Problem`].
    pub(crate) async fn listen_port(&self, until: Instant) -> Result<u16, Problem> {
        /// The one value that is read: others are secrets.
        #[derive(serde::Deserialize)]
        struct Preferences {
            listen_port: u16,
        }
        let answer = self.good(Call::get("app/preferences"), until).await?;
        let preferences: Preferences =
            serde_json::from_slice(&answer.body).map_err(|_error| Problem::unread("app/preferences"))?;
        Ok(preferences.listen_port)
    }

    /// Has peers connect to another port.
    ///
    /// # Errors
    /// See [`Problem`].
    pub(crate) async fn set_listen_port(&self, port: u16, until: Instant) -> Result<(), Problem> {
        let json = format!(r#"{{"listen_port":{port}}}"#);
        let form = form_urlencoded::Serializer::new(String::new()).append_pair("json", &json).finish();
        self.good(Call::post("app/setPreferences", &form), until).await.map(drop)
    }

    async fn good(&self, call: Call<'_>, until: Instant) -> Result<Answer, Problem> {
        good(call.path, self.call(call, until).await?)
    }

    /// Makes a request in our session, and when that turns out to be dead once more in a new one.
    async fn call(&self, call: Call<'_>, until: Instant) -> Result<Answer, Problem> {
        let host = self.host();
        let mut pass = self.enter(None, until).await?;
        let mut answer = self.ask(&pass, call, until).await?;
        if answer.status == 403 && pass.bearer.is_none() {
            pass = self.enter(Some(pass.number), until).await?;
            answer = self.ask(&pass, call, until).await?;
        }
        if answer.status == 403 {
            return Err(Problem::barred(if pass.bearer.is_some() {
                "qBittorrent does not take the API key (status 403)"
            } else {
                "qBittorrent refuses what it is asked, although we are logged in (status 403)"
            }));
        }
        self.keep_cookie(&answer, &pass, until).await?;
        match Problem::of_status(&answer, &host) {
            Some(problem) => Err(problem),
            None => Ok(answer),
        }
    }

    /// Where no login is wanted each request without a session begins one: it is kept, or there
    /// would be a new one with each request.
    async fn keep_cookie(&self, answer: &Answer, pass: &Pass, until: Instant) -> Result<(), Problem> {
        let Some(cookie) = login::cookie(&answer.headers).filter(|_| pass.bearer.is_none()) else {
            return Ok(());
        };
        let mut session = within(until, self.session.lock()).await?;
        if session.number == pass.number {
            session.cookie = Some(cookie);
        }
        Ok(())
    }

    /// What a request needs to be let in; makes a session unless there is one other than `dead`.
    async fn enter(&self, dead: Option<u64>, until: Instant) -> Result<Pass, Problem> {
        let mut session = within(until, self.session.lock()).await?;
        let http = self.http(&mut session)?;
        let pass = Pass { http, cookie: None, bearer: self.bearer()?, number: session.number };
        if pass.bearer.is_some() {
            return Ok(pass);
        }
        if session.entered && dead != Some(session.number) {
            return Ok(Pass { cookie: session.cookie.clone(), ..pass });
        }
        // Another program may be there now, of another version.
        let Session { http, number, .. } = std::mem::take(&mut *session);
        *session = Session { http, number: number + 1, ..Session::default() };
        let cookie = self.log_in(&pass, &mut session, until).await?;
        session.entered = true;
        session.cookie.clone_from(&cookie);
        Ok(Pass { cookie, number: session.number, ..pass })
    }

    /// Asks whether a login is wanted, and only then makes one: so no password is sent to what is
    /// no qBittorrent, and what it has against our host name is not taken for a wrong password.
    async fn log_in(
        &self,
        pass: &Pass,
        session: &mut Session,
        until: Instant,
    ) -> Result<Option<HeaderValue>, Problem> {
        let answer = self.ask(pass, Call::get(PROBE), until).await?;
        if answer.is_good() {
            session.names = Some(version(&answer)?.names());
            return Ok(login::cookie(&answer.headers));
        }
        if answer.status != 403 {
            let problem = Problem::of_status(&answer, &self.host());
            return Err(problem.unwrap_or_else(|| Problem::strange(PROBE, &answer)));
        }
        let Some(password) = &self.api.password else {
            return Err(Problem::barred("qBittorrent wants a login, and no password is configured"));
        };
        let password = password.reveal().map_err(|error| Problem::barred(error.to_string()))?;
        let (login, server) = self.names_of(&password);
        self.refused.begin(&login, &server).map_err(|held| login::held(&held))?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("username", &self.api.user)
            .append_pair("password", &password)
            .finish();
        let answer = self.send(pass, Call::post("auth/login", &form), until).await;
        match Entry::of(answer, &self.host()) {
            Entry::In(cookie) => {
                self.refused.taken(&login);
                Ok(Some(cookie))
            }
            Entry::Wrong => Err(login::wrong(self.refused.refused(&login))),
            Entry::Banned => {
                self.refused.banned(&login, &server);
                Err(login::just_banned())
            }
            Entry::Stopped(problem) => {
                self.refused.never_made(&login);
                Err(problem)
            }
            Entry::Lost(problem) => Err(problem),
        }
    }

    fn names_of(&self, password: &str) -> (Login, Login) {
        let url = self.api.url.as_str().trim_end_matches('/');
        // The address is banned by a server, whatever path leads to it.
        let server = self.api.url.origin().ascii_serialization();
        (self.refused.login(url, &self.api.user, password), self.refused.server(&server))
    }

    fn bearer(&self) -> Result<Option<HeaderValue>, Problem> {
        let Some(key) = &self.api.api_key else { return Ok(None) };
        let key = key.reveal().map_err(|error| Problem::barred(error.to_string()))?;
        let value = login::secret(&format!("Bearer {key}"));
        value.map(Some).ok_or_else(|| Problem::barred("the API key holds a character that it cannot"))
    }

    fn http(&self, session: &mut Session) -> Result<reqwest::Client, Problem> {
        let https = self.api.url.scheme() == "https";
        if let Some((http, made)) = &session.http
            && !(https && made.elapsed() > RENEW)
        {
            return Ok(http.clone());
        }
        let http = remote::client(&self.api.tls, https, CONNECT).map_err(Problem::Barred)?;
        session.http = Some((http.clone(), Instant::now()));
        Ok(http)
    }

    /// The name to call the server by. A port in it would have to be the one that it listens on
    /// itself, which it is not where ports are mapped.
    fn host(&self) -> String {
        self.api.host.clone().unwrap_or_else(|| self.api.url.host_str().unwrap_or_default().to_owned())
    }

    /// Sends a request. One that only reads is sent once more over a new connection when the old one
    /// turns out to be closed, as after a restart.
    async fn ask(&self, pass: &Pass, call: Call<'_>, until: Instant) -> Result<Answer, Problem> {
        let begun = Instant::now();
        let mut answer = self.send(pass, call, until).await;
        if call.form.is_none() && matches!(answer, Err(Failed::Unanswered(_))) && begun.elapsed() < CLOSED {
            answer = self.send(pass, call, until).await;
        }
        if answer.is_err()
            && let Ok(mut session) = self.session.try_lock()
        {
            // Another version may be there next time, also where no login would tell.
            (session.version, session.names) = (None, None);
        }
        answer.map_err(|failed| Problem::of(&failed))
    }

    async fn send(&self, pass: &Pass, call: Call<'_>, until: Instant) -> Result<Answer, Failed> {
        let base = self.api.url.as_str().split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        let url = format!("{base}/api/v2/{}", call.path);
        let method = if call.form.is_some() { Method::POST } else { Method::GET };
        // Neither Origin nor Referer: they would have to fit the host.
        let mut request = pass.http.request(method, url).header(HOST, self.host());
        if let Some(form) = call.form {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.to_owned());
        }
        if let Some(cookie) = &pass.cookie {
            request = request.header(COOKIE, cookie);
        }
        if let Some(bearer) = &pass.bearer {
            request = request.header(AUTHORIZATION, bearer);
        }
        let limit = until.saturating_duration_since(Instant::now()).min(ANSWER);
        remote::send(request, limit, call.most).await
    }
}

/// The answer, if it is one of success.
fn good(path: &str, answer: Answer) -> Result<Answer, Problem> {
    if answer.is_good() {
        return Ok(answer);
    }
    let what = path.split('?').next().unwrap_or_default();
    Err(Problem::strange(what, &answer))
}

fn version(answer: &Answer) -> Result<ApiVersion, Problem> {
    ApiVersion::parse(&answer.text()).ok_or_else(|| Problem::unread(PROBE))
}

/// Waits for others of ours who ask the same server, but not for ever.
async fn within<T>(until: Instant, work: impl Future<Output = T>) -> Result<T, Problem> {
    let late = |_elapsed| Problem::Down("qBittorrent cannot be reached: no answer in time".to_owned());
    timeout_at(until, work).await.map_err(late)
}

/// What is posted to have this done with these.
fn form_of(what: Change<'_>, hashes: &[Hash]) -> String {
    let named = hashes.iter().map(Hash::as_str).collect::<Vec<_>>().join("|");
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("hashes", &named);
    match what {
        Change::Tag(tag) | Change::Untag(tag) => form.append_pair("tags", tag),
        Change::Force => form.append_pair("value", "true"),
        Change::Stop | Change::Start | Change::Reannounce => &mut form,
    };
    form.finish()
}

#[cfg(test)]
mod tests;
