//! What systemd tells without being asked.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;

use futures::StreamExt as _;
use lictor_config::UnitName;
use zbus::message::Type;
use zbus::{Message, MessageStream};

use super::bus::{Bus, Trouble};
use super::{MANAGER_INTERFACE, SYSTEMD, unit_path};

/// Jobs of the unit that ended while something else was waited for; more are not of ours.
const REMOVED: usize = 64;

/// The end of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Removed {
    /// The object of the job.
    pub(crate) job: String,
    /// `done`, `failed`, `timeout` and so on.
    pub(crate) result: String,
}

/// The signals that concern one unit. While something is asked, they are taken in all the same:
/// the answer comes over the same connection and would wait behind them.
#[derive(Debug)]
pub(crate) struct Signals {
    stream: MessageStream,
    unit: UnitName,
    path: String,
    /// Whether the unit may have changed since that was last asked.
    changed: bool,
    /// Whether it went away, which it does each time it was looked at and nothing needs it.
    gone: bool,
    removed: VecDeque<Removed>,
}

impl Signals {
    /// Takes signals in from now on; [`Bus::subscribe`] with [`Self::rules`] has them sent.
    pub(crate) fn new(bus: &Bus, unit: &UnitName) -> Self {
        Self {
            stream: MessageStream::from(bus.connection()),
            unit: unit.clone(),
            path: unit_path(unit),
            changed: false,
            gone: false,
            removed: VecDeque::new(),
        }
    }

    /// What the bus is to pass on.
    pub(crate) fn rules(&self) -> Vec<String> {
        let (unit, path) = (&self.unit, &self.path);
        let of_systemd = format!("type='signal',sender='{SYSTEMD}'");
        let of_manager = format!("{of_systemd},interface='{MANAGER_INTERFACE}'");
        vec![
            format!(
                "{of_systemd},interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',path='{path}'"
            ),
            format!("{of_manager},member='JobRemoved',arg2='{unit}'"),
            format!("{of_manager},member='UnitRemoved',arg0='{unit}'"),
            format!("{of_manager},member='Reloading'"),
            format!("type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{SYSTEMD}'"),
        ]
    }

    /// Does something with the connection.
    pub(crate) async fn during<T>(
        &mut self,
        work: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                message = self.stream.next() => self.take_in(message)?,
            }
        }
    }

    /// Waits until the unit may have changed. That it is not kept in memory any more is a change
    /// only of one that was `loaded` for a reason.
    pub(crate) async fn changed(&mut self, loaded: bool) -> Result<(), Trouble> {
        loop {
            let gone = std::mem::take(&mut self.gone) && loaded;
            if std::mem::take(&mut self.changed) || gone {
                return Ok(());
            }
            let message = self.stream.next().await;
            self.take_in(message)?;
        }
    }

    /// Waits for the end of a job of the unit.
    pub(crate) async fn removed(&mut self, job: &str) -> Result<Removed, Trouble> {
        loop {
            while let Some(removed) = self.removed.pop_front() {
                if removed.job == job {
                    return Ok(removed);
                }
            }
            let message = self.stream.next().await;
            self.take_in(message)?;
        }
    }

    fn take_in(&mut self, message: Option<zbus::Result<Message>>) -> Result<(), Trouble> {
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(Trouble::Lost(error.to_string())),
            None => return Err(Trouble::Lost("the other side has closed it".to_owned())),
        };
        if message.message_type() != Type::Signal {
            return Ok(());
        }
        let header = message.header();
        let member = header.member().map_or("", |member| member.as_str());
        let path = header.path().map_or("", |path| path.as_str());
        match member {
            "PropertiesChanged" => self.changed |= path == self.path,
            "JobRemoved" => {
                let body = message.body();
                let Ok((_, job, unit, result)) =
                    body.deserialize::<(u32, zbus::wire::ObjectPath<'_>, &str, &str)>()
                else {
                    return Ok(());
                };
                if unit == self.unit.as_str() {
                    self.changed = true;
                    if self.removed.len() == REMOVED {
                        self.removed.pop_front();
                    }
                    self.removed.push_back(Removed { job: job.to_string(), result: result.to_owned() });
                }
            }
            "UnitRemoved" => {
                let body = message.body();
                let unit = body.deserialize::<(&str, zbus::wire::ObjectPath<'_>)>();
                self.gone |= unit.is_ok_and(|(unit, _)| unit == self.unit.as_str());
            }
            // It has read its files again: the unit may be another, or be masked.
            "Reloading" => self.changed |= message.body().deserialize::<bool>().is_ok_and(|begins| !begins),
            "NameOwnerChanged" => {
                let body = message.body();
                let Ok((name, _, new)) = body.deserialize::<(&str, &str, &str)>() else { return Ok(()) };
                if name == SYSTEMD {
                    // It forgets who has subscribed: all is begun anew.
                    let how = if new.is_empty() { "it has left the bus" } else { "it was started anew" };
                    return Err(Trouble::Lost(how.to_owned()));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
