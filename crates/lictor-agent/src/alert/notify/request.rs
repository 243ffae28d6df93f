//! From a message to the requests that tell a service of it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lictor_config::{Endpoint, Notifier, OwnBody, Service, Shape, Template, view};
use lictor_core::alert::{Item, Message};
use serde_json::{Map, Value};
use url::Url;

use super::credentials::Credentials;
use super::points::points;
use super::table::{Accept, Ask, Body, OWN, Row, row};
use super::texts::{bare, texts};

/// A request that is ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) url: Url,
    /// Names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
    pub(super) accept: Accepts,
    /// Whether it is signed when it is sent.
    pub(super) signed: bool,
}

/// Which answers mean that a request was accepted.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Accepts {
    /// Statuses, as inclusive ranges.
    Status(Vec<(u16, u16)>),
    /// A status of success, and JSON in which this entry is true.
    Flag(&'static str),
    /// A status of success, but for JSON in which this entry is false.
    Unless(&'static str),
    /// A status of success; whether a refusal is for good is said by its code.
    Aws,
}

/// The secrets of a service, read at one moment.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Revealed {
    settings: Map<String, Value>,
    endpoints: Vec<String>,
    headers: Vec<(String, String)>,
    /// What requests are signed with.
    pub(super) credentials: Option<Credentials>,
    /// What must not be shown.
    pub(super) secrets: Vec<String>,
}

/// What stands in the place of a secret where requests are shown.
const MASK: &str = "***";

impl Revealed {
    /// Reads them, from files where they lie in files.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub(super) fn read(service: &Service) -> Result<Self, String> {
        let mut found = Self::by(service, |secret| secret.reveal().map_err(|error| error.to_string()))?;
        if service.kind == "sns" {
            let credentials = Credentials::find(&found.settings, |name| std::env::var(name).ok())?;
            found.secrets.extend(credentials.secrets());
            found.credentials = Some(credentials);
        }
        Ok(found)
    }

    /// Masks in their places; of a secret address its server stays.
    pub(super) fn masked(service: &Service) -> Self {
        // Nothing is read, so nothing can fail.
        let mut masked = Self::by(service, |_secret| Ok(MASK.to_owned())).unwrap_or_default();
        for (endpoint, shown) in service.endpoints.iter().zip(&mut masked.endpoints) {
            if let Endpoint::Secret(secret) = endpoint {
                let place = secret.reveal().ok().and_then(|text| Url::parse(text.trim()).ok());
                *shown = place.map_or_else(
                    || format!("https://{MASK}"),
                    |url| format!("{}/{MASK}", crate::remote::place(&url)),
                );
            }
        }
        masked
    }

    /// A setting that is a text.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name)?.as_str()
    }

    fn by(
        service: &Service,
        reveal: impl Fn(&lictor_config::Secret) -> Result<String, String>,
    ) -> Result<Self, String> {
        let mut secrets = Vec::new();
        let mut settings = Map::new();
        for (name, setting) in &service.settings {
            let value = match setting {
                lictor_config::Setting::Plain(value) => value.clone(),
                lictor_config::Setting::Secret(secret) => {
                    let text = reveal(secret)?;
                    secrets.push(text.clone());
                    text.into()
                }
            };
            settings.insert((*name).to_owned(), value);
        }
        let mut endpoints = Vec::new();
        for endpoint in &service.endpoints {
            endpoints.push(match endpoint {
                Endpoint::Plain(url) => url.to_string(),
                Endpoint::Secret(secret) => {
                    let text = reveal(secret)?;
                    secrets.push(text.clone());
                    text
                }
            });
        }
        let mut headers = Vec::new();
        for (name, secret) in &service.headers {
            let text = reveal(secret)?;
            secrets.push(text.clone());
            headers.push((name.to_ascii_lowercase(), text));
        }
        Ok(Self { settings, endpoints, headers, credentials: None, secrets })
    }
}

/// The requests of a message, in order, for each place where the service is.
///
/// # Errors
/// What cannot be made of it.
pub(super) fn requests(
    notifier: &Notifier,
    service: &Service,
    message: &Message,
    revealed: &Revealed,
) -> Result<Vec<Vec<Request>>, String> {
    let row = row(service.kind).unwrap_or(&OWN);
    let each = service.request.as_ref().map_or(row.each, |own| own.each);
    let parts: Vec<Message> = if each { parted(message) } else { vec![message.clone()] };
    let mut all = Vec::new();
    for base in &revealed.endpoints {
        let mut requests = Vec::new();
        for part in &parts {
            let maker = Maker {
                service,
                message: part,
                revealed,
                base,
                view: seen(notifier, service, row, part, revealed),
            };
            maker.make(row, &mut requests)?;
        }
        all.push(requests);
    }
    Ok(all)
}

/// A message for each of its items, each with an id of its own.
fn parted(message: &Message) -> Vec<Message> {
    let bare = bare(message);
    let only = |(number, item): (usize, &Item)| {
        let id = match message.items.len() {
            1 => message.id.clone(),
            _ => format!("{}.{}", message.id, number + 1),
        };
        Message { id, items: vec![item.clone()], omitted: 0, ..bare.clone() }
    };
    message.items.iter().enumerate().map(only).collect()
}

/// What the templates of the table see.
fn seen(notifier: &Notifier, service: &Service, row: &Row, message: &Message, revealed: &Revealed) -> Value {
    let texts = texts(notifier, message, (row.title, row.text), row.escape);
    let mut view = view::of(message);
    let Some(entries) = view.as_object_mut() else { return view };
    entries.insert("title".to_owned(), texts.title.into());
    entries.insert("text".to_owned(), texts.text.into());
    // What the user writes sees no secrets.
    if service.request.is_none() {
        entries.insert("set".to_owned(), Value::Object(revealed.settings.clone()));
    }
    if service.kind == "alertmanager" {
        super::labels::add(
            entries,
            message,
            revealed.settings.get("lasts").and_then(Value::as_i64).unwrap_or(3_600),
        );
    }
    view
}

struct Maker<'a> {
    service: &'a Service,
    message: &'a Message,
    revealed: &'a Revealed,
    base: &'a str,
    view: Value,
}

impl Maker<'_> {
    fn make(&self, row: &Row, into: &mut Vec<Request>) -> Result<(), String> {
        if let Some(own) = &self.service.request {
            let (body, kind) = match &own.body {
                OwnBody::Json(shape) => (self.json(shape)?, "application/json"),
                OwnBody::Form(fields) => {
                    let field =
                        |(name, template): &(String, Template)| Ok((name.clone(), self.text(template)?));
                    let fields = fields.iter().map(field).collect::<Result<Vec<_>, String>>()?;
                    (form(&fields), "application/x-www-form-urlencoded")
                }
                OwnBody::Text(template) => (self.text(template)?, "text/plain; charset=utf-8"),
            };
            let mut headers = self.headers(kind, true);
            if let Some(token) = self.setting("token") {
                headers.insert("authorization".to_owned(), format!("Bearer {token}"));
            }
            into.push(Request {
                method: own.method.clone(),
                url: self.url("")?,
                headers: self.added(headers),
                body,
                accept: Accepts::Status(own.status.clone()),
                signed: false,
            });
            return Ok(());
        }
        for ask in row.requests {
            if self.applies(ask)? {
                into.extend(self.ask(ask)?);
            }
        }
        Ok(())
    }

    fn applies(&self, ask: &Ask) -> Result<bool, String> {
        if ask.when.is_empty() {
            return Ok(true);
        }
        let template = Template::trusted(&format!("{{% if {} %}}x{{% endif %}}", ask.when));
        Ok(!self.text(&template)?.is_empty())
    }

    fn ask(&self, ask: &Ask) -> Result<Option<Request>, String> {
        let (body, kind) = match &ask.body {
            Body::Json(shape) => (self.json(&Shape::trusted(shape))?, "application/json"),
            Body::Form(fields) => {
                let field = |(name, template): &(&str, &str)| {
                    Ok(((*name).to_owned(), self.text(&Template::trusted(template))?))
                };
                let mut fields = fields.iter().map(field).collect::<Result<Vec<_>, String>>()?;
                fields.retain(|(_, value)| !value.is_empty());
                (form(&fields), "application/x-www-form-urlencoded")
            }
            Body::Points => (
                points(self.setting("measurement").unwrap_or("lictor"), self.message),
                "text/plain; charset=utf-8",
            ),
        };
        if body.is_empty() || body == "[]" {
            // A digest when all is well: nothing to tell a service that keeps alerts.
            return Ok(None);
        }
        let mut headers = self.headers(kind, ask.basic);
        for (name, template) in ask.headers {
            let value = self.text(&Template::trusted(template))?;
            if !value.is_empty() {
                headers.insert((*name).to_owned(), value);
            }
        }
        Ok(Some(Request {
            method: ask.method.to_owned(),
            url: self.url(&self.text(&Template::trusted(ask.path))?)?,
            headers: self.added(headers),
            body,
            accept: match ask.accept {
                Accept::Success => Accepts::Status(vec![(200, 299)]),
                Accept::Flag(name) => Accepts::Flag(name),
                Accept::Aws => Accepts::Aws,
            },
            signed: ask.signed,
        }))
    }

    fn headers(&self, kind: &str, basic: bool) -> BTreeMap<String, String> {
        let mut headers = BTreeMap::from([("content-type".to_owned(), kind.to_owned())]);
        if basic && let (Some(user), Some(password)) = (self.setting("user"), self.setting("password")) {
            let both = STANDARD.encode(format!("{user}:{password}"));
            let shown = if password == MASK { MASK } else { &both };
            headers.insert("authorization".to_owned(), format!("Basic {shown}"));
        }
        headers.insert("idempotency-key".to_owned(), self.message.id.clone());
        headers
    }

    /// With those of the configuration, which win.
    fn added(&self, mut headers: BTreeMap<String, String>) -> BTreeMap<String, String> {
        headers.extend(self.revealed.headers.iter().cloned());
        headers
    }

    fn setting(&self, name: &str) -> Option<&str> {
        self.revealed.setting(name)
    }

    fn json(&self, shape: &Shape) -> Result<String, String> {
        Ok(shape.render(&self.view).map_err(|error| format!("cannot make the body: {error}"))?.to_string())
    }

    fn text(&self, template: &Template) -> Result<String, String> {
        template.render(&self.view).map_err(|error| format!("cannot make the request: {error}"))
    }

    /// The address with a path, and perhaps a query, after it.
    fn url(&self, path: &str) -> Result<Url, String> {
        let base = self.base.trim();
        let text =
            if path.is_empty() { base.to_owned() } else { format!("{}{path}", base.trim_end_matches('/')) };
        // What is wrong with it is not shown: it may be secret.
        let url =
            Url::parse(&text).map_err(|error| format!("the address of the service is no URL: {error}"))?;
        match url.scheme() {
            "http" | "https" => Ok(url),
            _ => Err("the address of the service begins neither with http:// nor https://".to_owned()),
        }
    }
}

fn form(fields: &[(String, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}
