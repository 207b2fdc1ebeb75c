//! The server that the job of the demo reads from: what `nc -lk 9999` is in the tutorials.

use anyhow::Context;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Listens on a port of its own, and talks to one client at a time.
pub(super) struct WordServer {
    listener: TcpListener,
    client: Option<TcpStream>,
}

impl WordServer {
    pub fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port to listen on")?;
        listener.set_nonblocking(true)?;
        Ok(WordServer { listener, client: None })
    }

    pub fn port(&self) -> anyhow::Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Waits for the next client, who takes the place of the last one.
    pub fn accept(&mut self, patience: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + patience;
        loop {
            match self.listener.accept() {
                Ok((client, _)) => {
                    client.set_nonblocking(false)?;
                    client.set_nodelay(true)?;
                    self.client = Some(client);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    anyhow::ensure!(Instant::now() < end, "the job does not connect");
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => anyhow::bail!("the job cannot connect: {error}"),
            }
        }
    }

    pub fn send(&mut self, line: &str) -> anyhow::Result<()> {
        let client = self.client.as_mut().context("nobody is connected")?;
        // As text: a closed pipe here is not that of stdout.
        client.write_all(format!("{line}\n").as_bytes()).map_err(|error| anyhow::anyhow!("the job is gone: {error}"))
    }

    /// Ends the connection, and with it the input.
    pub fn hang_up(&mut self) {
        self.client = None;
    }
}
