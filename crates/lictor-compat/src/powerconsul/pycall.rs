//! What a Python init script says: its call of `PowerConsul_Service.process(…)`.

use thiserror::Error;

use super::python::{Kind, Token, Unended, tokens};

/// The call in an init script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wrapper {
    /// The name of the wrapper.
    pub(super) name: String,
    /// The service in Consul.
    pub(super) consul_service: String,
    /// The local services in the order in which they are started.
    pub(super) local_services: Vec<String>,
    /// The lock file.
    pub(super) noop_lockfile: Option<String>,
}

/// Why a script cannot be used: what, and in which line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum CallError {
    /// There is no such call.
    #[error("there is no call `PowerConsul_Service.process(…)` in it")]
    None,
    /// A text does not end.
    #[error(transparent)]
    Unended(#[from] Unended),
    /// The call does not end.
    #[error("line {line}: the call of `process` that begins here does not end")]
    Open {
        /// Where.
        line: usize,
    },
    /// An argument is not written out.
    #[error("line {line}: `{argument}` must be written out here: {wanted}")]
    Literal {
        /// Where.
        line: usize,
        /// Which.
        argument: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// An argument is not known, or one too many.
    #[error("line {line}: `process` has no argument `{argument}`")]
    Unknown {
        /// Where.
        line: usize,
        /// Which.
        argument: String,
    },
    /// An argument is missing.
    #[error("line {line}: the call of `process` lacks `{argument}`")]
    Missing {
        /// Where the call begins.
        line: usize,
        /// Which.
        argument: &'static str,
    },
}

const ARGUMENTS: [&str; 4] = ["name", "consul_service", "local_services", "noop_lockfile"];

/// A value that is written out.
enum Value {
    None,
    Text(String),
    List(Vec<String>),
}

/// Reads the first call of a script.
pub(super) fn wrapper(script: &str) -> Result<Wrapper, CallError> {
    let tokens = tokens(script)?;
    let is = |token: Option<&Token>, sign| token.is_some_and(|token| token.kind == Kind::Sign(sign));
    let word = |token: Option<&Token>, wanted: &str| {
        token.is_some_and(|token| matches!(&token.kind, Kind::Word(word) if word == wanted))
    };
    let begins = |at: &usize| {
        let at = *at;
        word(tokens.get(at), "PowerConsul_Service")
            && is(tokens.get(at + 1), '.')
            && word(tokens.get(at + 2), "process")
            && is(tokens.get(at + 3), '(')
    };
    let at = (0..tokens.len()).find(begins).ok_or(CallError::None)?;
    let line = tokens.get(at).map_or(0, |token| token.line);
    let mut wrapper = Wrapper::default();
    let (mut named, mut has_name, mut has_service) = (false, false, false);
    let inner = tokens.get(at + 4..).unwrap_or_default();
    for (place, argument) in arguments(inner).ok_or(CallError::Open { line })?.into_iter().enumerate() {
        let (name, value) = match argument {
            [Token { kind: Kind::Word(name), .. }, Token { kind: Kind::Sign('='), .. }, value @ ..] => {
                named = true;
                (name.as_str(), value)
            }
            value if !named => (ARGUMENTS.get(place).copied().unwrap_or("*"), value),
            value => ("*", value),
        };
        let line = argument.first().map_or(line, |token| token.line);
        let literal = |wanted| CallError::Literal { line, argument: name.to_owned(), wanted };
        match (name, literal_value(value)) {
            ("name", Some(Value::Text(text))) => (wrapper.name, has_name) = (text, true),
            ("consul_service", Some(Value::Text(text))) => {
                (wrapper.consul_service, has_service) = (text, true);
            }
            ("name" | "consul_service", _) => return Err(literal("a text")),
            ("local_services", Some(Value::List(list))) => wrapper.local_services = list,
            ("noop_lockfile", Some(Value::Text(text))) => wrapper.noop_lockfile = Some(text),
            ("local_services" | "noop_lockfile", Some(Value::None)) => {}
            ("local_services", _) => return Err(literal("a list of texts")),
            ("noop_lockfile", _) => return Err(literal("a text")),
            _ => return Err(CallError::Unknown { line, argument: name.to_owned() }),
        }
    }
    for (there, argument) in [(has_name, "name"), (has_service, "consul_service")] {
        if !there {
            return Err(CallError::Missing { line, argument });
        }
    }
    if wrapper.local_services.is_empty() {
        wrapper.local_services = vec![wrapper.name.clone()];
    }
    Ok(wrapper)
}

/// The arguments of a call, up to the bracket that closes it.
fn arguments(tokens: &[Token]) -> Option<Vec<&[Token]>> {
    let mut depth = 0_usize;
    let mut found = Vec::new();
    let mut from = 0;
    for (at, token) in tokens.iter().enumerate() {
        match &token.kind {
            Kind::Sign('(' | '[' | '{') => depth += 1,
            Kind::Sign(')') if depth == 0 => {
                found.push(tokens.get(from..at)?);
                found.retain(|argument| !argument.is_empty());
                return Some(found);
            }
            Kind::Sign(')' | ']' | '}') => depth = depth.saturating_sub(1),
            Kind::Sign(',') if depth == 0 => {
                found.push(tokens.get(from..at)?);
                from = at + 1;
            }
            _ => {}
        }
    }
    None
}

/// What is written out there; `None` if it must be computed.
fn literal_value(tokens: &[Token]) -> Option<Value> {
    match tokens {
        [Token { kind: Kind::Word(word), .. }] if word == "None" => Some(Value::None),
        [
            Token { kind: Kind::Sign('[' | '('), .. },
            inner @ ..,
            Token { kind: Kind::Sign(']' | ')'), .. },
        ] => {
            let items = inner.split(|token| token.kind == Kind::Sign(','));
            let items: Vec<&[Token]> = items.collect();
            let items = match items.split_last() {
                // A comma may stand behind the last.
                Some(([], rest)) => rest,
                _ => &items,
            };
            items.iter().map(|item| text(item)).collect::<Option<_>>().map(Value::List)
        }
        tokens => text(tokens).map(Value::Text),
    }
}

/// Texts one after the other are one.
fn text(tokens: &[Token]) -> Option<String> {
    let parts = tokens.iter().map(|token| match &token.kind {
        Kind::Text(text) => Some(text.as_str()),
        Kind::Word(_) | Kind::Formatted | Kind::Sign(_) => None,
    });
    parts.collect::<Option<String>>().filter(|_| !tokens.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(script: &str) -> String {
        wrapper(script).unwrap_err().to_string()
    }

    #[test]
    fn the_call_of_the_manual_is_read() {
        let script = "#!/usr/bin/env python\nfrom powerconsul.service import PowerConsul_Service\n\
            # PowerConsul_Service.process(name='not this')\n\
            if __name__ == '__main__':\n  \"\"\"\n  PowerConsul_Service.process(no)\n  \"\"\"\n\
            \x20 PowerConsul_Service.process(\n      name           = 'myservice',\n\
            \x20     consul_service = 'myserviceConsulName',\n      local_services = ['apache2', \"my\" 'sql',],\n\
            \x20     noop_lockfile  = '/var/lock/myservice.lock'\n  )\n";
        let read = Wrapper {
            name: "myservice".to_owned(),
            consul_service: "myserviceConsulName".to_owned(),
            local_services: vec!["apache2".to_owned(), "mysql".to_owned()],
            noop_lockfile: Some("/var/lock/myservice.lock".to_owned()),
        };
        assert_eq!(wrapper(script), Ok(read));
        let short = wrapper("PowerConsul_Service.process('a', u'b', None)").unwrap();
        assert_eq!((short.local_services, short.noop_lockfile), (vec!["a".to_owned()], None));
    }

    #[test]
    fn what_is_not_written_out_is_told_with_its_line() {
        assert_eq!(error("import x"), "there is no call `PowerConsul_Service.process(…)` in it");
        assert_eq!(
            error("NAME = 'a'\nPowerConsul_Service.process(\n  name=NAME,\n  consul_service='b')"),
            "line 3: `name` must be written out here: a text"
        );
        assert_eq!(
            error("PowerConsul_Service.process('a', 'b', local_services=['a', b])"),
            "line 1: `local_services` must be written out here: a list of texts"
        );
        assert_eq!(
            error("PowerConsul_Service.process('a')"),
            "line 1: the call of `process` lacks `consul_service`"
        );
        assert_eq!(
            error("PowerConsul_Service.process('a', 'b', x=1)"),
            "line 1: `process` has no argument `x`"
        );
        assert_eq!(
            error("PowerConsul_Service.process('a'"),
            "line 1: the call of `process` that begins here does not end"
        );
        assert_eq!(
            error("PowerConsul_Service.process(f'a', 'b')"),
            "line 1: `name` must be written out here: a text"
        );
    }
}
