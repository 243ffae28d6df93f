//! The probe of an agent over reloads: what is in force is what the last good configuration says.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lictor_config::Probe;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{Mesh, Settings, Site, Sources, bind, check_users, serve};
use crate::{Inbox, Tasks};

/// How long its files may take to be read.
const READ: Duration = Duration::from_secs(5);

/// Keeps the probe of an agent as its configuration wants it.
pub(crate) struct Keeper {
    sources: Sources,
    tasks: Tasks,
    running: Option<Running>,
}

/// A probe that answers.
struct Running {
    probe: Arc<Probe>,
    listener: Arc<TcpListener>,
    stop: CancellationToken,
}

impl Keeper {
    /// One that shows nothing yet.
    pub(crate) fn new(inbox: Inbox, mesh: Mesh, tasks: Tasks) -> Self {
        let told = Arc::new(|url: &str, code| debug!(url, code, "looked at for the probe"));
        Self { sources: Sources { inbox: Some(inbox), mesh, told }, tasks, running: None }
    }

    /// Shows what this says. If that cannot be, what was shown before is.
    ///
    /// # Errors
    /// In words, what cannot be.
    pub(crate) async fn apply(&mut self, probe: Option<&Arc<Probe>>) -> Result<(), String> {
        if self.running.as_ref().map(|running| &running.probe) == probe {
            return Ok(());
        }
        let Some(probe) = probe else {
            if let Some(running) = self.running.take() {
                running.stop.cancel();
                info!("the probe is not wanted any more");
            }
            return Ok(());
        };
        let site = self.site(probe, probe.auth_file.clone()).await?;
        let listener = match &self.running {
            Some(running) if running.probe.address == probe.address => Arc::clone(&running.listener),
            Some(_) | None => self.listen(probe).await?,
        };
        if let Some(before) = self.running.take() {
            before.stop.cancel();
        }
        let stop = self.tasks.stopping().child_token();
        serve(Arc::clone(&listener), site, &stop, &self.tasks);
        info!(address = %probe.address, "the probe is ready");
        self.running = Some(Running { probe: Arc::clone(probe), listener, stop });
        Ok(())
    }

    /// What it answers from, once this file is one of users.
    async fn site(&self, probe: &Probe, users: Option<PathBuf>) -> Result<Site, String> {
        // Certificates are read here, where that holds up nobody.
        let (settings, sources, tasks) = (Settings::from(probe), self.sources.clone(), self.tasks.clone());
        let made = tokio::task::spawn_blocking(move || {
            users.as_deref().map_or(Ok(()), check_users)?;
            Site::new(settings, sources, &tasks)
        });
        match timeout(READ, made).await {
            Ok(made) => made.map_err(|lost| lost.to_string())?,
            Err(_late) => Err("the files of the probe cannot be read in time".to_owned()),
        }
    }

    /// A listener at another address. The one of before lets go of its own only if it is in the way.
    async fn listen(&mut self, probe: &Probe) -> Result<Arc<TcpListener>, String> {
        let address = probe.address;
        let failed = |error: std::io::Error| format!("cannot listen at {address}: {error}");
        let in_the_way =
            |running: &Running| running.probe.address.port() == address.port() && address.port() != 0;
        let Some(before) = self.running.take_if(|running| in_the_way(running)) else {
            return bind(address).map(Arc::new).map_err(failed);
        };
        let Running { probe: old, listener, stop } = before;
        stop.cancel();
        // Its task holds the listener until it has seen that it is to stop.
        let weak = Arc::downgrade(&listener);
        drop(listener);
        while weak.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        match bind(address) {
            Ok(listener) => Ok(Arc::new(listener)),
            Err(error) => {
                let why = failed(error);
                Err(match self.go_back(&old).await {
                    Ok(()) => why,
                    Err(worse) => format!("{why}; there is no probe now: {worse}"),
                })
            }
        }
    }

    /// Shows again what was shown before.
    async fn go_back(&mut self, old: &Arc<Probe>) -> Result<(), String> {
        let site = self.site(old, None).await?;
        let listener = bind(old.address).map(Arc::new).map_err(|error| error.to_string())?;
        let stop = self.tasks.stopping().child_token();
        serve(Arc::clone(&listener), site, &stop, &self.tasks);
        self.running = Some(Running { probe: Arc::clone(old), listener, stop });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    fn probe(address: &str, lines: &str) -> Arc<Probe> {
        let text = format!("probe {{\naddress = \"{address}\"\nvolumes = []\n{lines}\n}}");
        lictor_config::parse("x.hcl", &text).unwrap().config.probe.unwrap()
    }

    fn keeper() -> Keeper {
        Keeper::new(Inbox::detached().0, Arc::new(|| None), Tasks::new())
    }

    fn free() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], lictor_testkit::ports::free()))
    }

    async fn ask(address: SocketAddr, page: &str) -> Result<String, std::io::Error> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("GET {page} HTTP/1.0\r\n\r\n").as_bytes()).await?;
        let mut text = String::new();
        tokio::time::timeout(Duration::from_secs(30), stream.read_to_string(&mut text)).await??;
        Ok(text)
    }

    #[tokio::test]
    async fn a_reload_is_seen_in_the_next_answer() {
        let mut keeper = keeper();
        let address = free();
        let text = address.to_string();
        keeper.apply(Some(&probe(&text, ""))).await.unwrap();
        assert!(ask(address, "/status").await.unwrap().contains("\"total\":0"));
        keeper.apply(Some(&probe(&text, "urls = [\"http://127.0.0.1:1/\"]"))).await.unwrap();
        assert!(ask(address, "/status").await.unwrap().contains("\"total\":1"));
        keeper.apply(None).await.unwrap();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while ask(address, "/status").await.is_ok() {
            assert!(tokio::time::Instant::now() < deadline, "it is still shown");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_reload_lets_in_who_is_about_to_ask() {
        let mut keeper = keeper();
        let address = free();
        let text = address.to_string();
        keeper.apply(Some(&probe(&text, ""))).await.unwrap();
        let mut begun = TcpStream::connect(address).await.unwrap();
        begun.write_all(b"GET /di").await.unwrap();
        let mut silent = TcpStream::connect(address).await.unwrap();
        // One more is answered only when these are accepted.
        ask(address, "/disk").await.unwrap();
        keeper.apply(Some(&probe(&text, "urls = [\"http://127.0.0.1:1/\"]"))).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        begun.write_all(b"sk HTTP/1.1\r\n\r\n").await.unwrap();
        silent.write_all(b"GET /disk HTTP/1.1\r\n\r\n").await.unwrap();
        for mut stream in [begun, silent] {
            let mut text = String::new();
            let read = stream.read_to_string(&mut text);
            tokio::time::timeout(Duration::from_secs(30), read).await.unwrap().unwrap();
            assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("Connection: close"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_reload_cuts_off_no_later_request_that_has_begun() {
        let mut keeper = keeper();
        let address = free();
        let text = address.to_string();
        keeper.apply(Some(&probe(&text, ""))).await.unwrap();
        let mut kept = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /disk HTTP/1.1\r\n\r\n").await.unwrap();
            let mut text = Vec::new();
            while !text.ends_with(b"{\"volumes\":[]}") {
                assert!(stream.read_buf(&mut text).await.unwrap() > 0);
            }
            kept.push(stream);
        }
        let [mut begun, mut sent, mut silent] = <[TcpStream; 3]>::try_from(kept).unwrap();
        begun.write_all(b"GET /di").await.unwrap();
        // One more is answered only when that was read.
        ask(address, "/disk").await.unwrap();
        keeper.apply(Some(&probe(&text, "urls = [\"http://127.0.0.1:1/\"]"))).await.unwrap();
        sent.write_all(b"GET /disk HTTP/1.1\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        begun.write_all(b"sk HTTP/1.1\r\n\r\n").await.unwrap();
        for stream in [&mut begun, &mut sent] {
            let mut text = String::new();
            let read = stream.read_to_string(&mut text);
            tokio::time::timeout(Duration::from_secs(30), read).await.unwrap().unwrap();
            assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("Connection: close"), "{text}");
        }
        let mut nothing = [0; 9];
        let ended = silent.read(&mut nothing);
        assert_eq!(tokio::time::timeout(Duration::from_secs(2), ended).await.unwrap().unwrap(), 0);
    }

    #[tokio::test]
    async fn files_that_cannot_be_read_hold_up_no_reload() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let mut keeper = keeper();
        let address = free();
        keeper.apply(Some(&probe(&address.to_string(), ""))).await.unwrap();
        // Nobody writes to it.
        let lines = format!("cert_file = {pipe:?}\nkey_file = {pipe:?}");
        let why = keeper.apply(Some(&probe(&address.to_string(), &lines))).await.unwrap_err();
        assert!(why.ends_with("cannot be read in time"), "{why}");
        assert!(ask(address, "/disk").await.unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
        // The thread that reads it is let go.
        drop(std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap());
    }

    #[tokio::test]
    async fn another_address_takes_the_place_of_the_first() {
        let mut keeper = keeper();
        let (first, second) = (free(), free());
        keeper.apply(Some(&probe(&first.to_string(), ""))).await.unwrap();
        keeper.apply(Some(&probe(&second.to_string(), ""))).await.unwrap();
        assert!(ask(second, "/disk").await.unwrap().ends_with("{\"volumes\":[]}"));
        // The same port on all addresses, for which the one before is in the way.
        keeper.apply(Some(&probe(&format!("0.0.0.0:{}", second.port()), "open = true"))).await.unwrap();
        assert!(ask(second, "/disk").await.unwrap().ends_with("{\"volumes\":[]}"));
    }

    #[tokio::test]
    async fn what_cannot_be_leaves_what_was() {
        let mut keeper = keeper();
        let (address, taken) = (free(), free());
        let _other = bind(taken).unwrap();
        let before = probe(&address.to_string(), "");
        keeper.apply(Some(&before)).await.unwrap();
        let why = keeper.apply(Some(&probe(&taken.to_string(), ""))).await.unwrap_err();
        assert!(why.starts_with(&format!("cannot listen at {taken}: ")), "{why}");
        let why = keeper
            .apply(Some(&probe(&address.to_string(), "auth_file = \"/nonexistent\"")))
            .await
            .unwrap_err();
        assert!(why.starts_with("`/nonexistent` cannot be read"), "{why}");
        let strange = format!("192.0.2.1:{}", address.port());
        let why = keeper.apply(Some(&probe(&strange, "open = true"))).await.unwrap_err();
        assert!(why.contains("cannot listen at 192.0.2.1") && !why.contains("no probe now"), "{why}");
        assert!(ask(address, "/disk").await.unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
        assert_eq!(keeper.running.map(|running| running.probe), Some(before));
    }
}
