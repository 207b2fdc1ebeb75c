//! Lines from a socket.

use super::{Emitter, Poll, Source, SourceContext, Split};
use anyhow::Context;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

/// Emits the lines that a server sends, until it closes the connection. Lines that were sent to a failed attempt cannot
/// be read again, so it keeps no position, and runs with parallelism 1, as Flink's socket source does.
#[derive(Debug)]
pub struct SocketSource {
    host: String,
    port: u16,
    stream: Option<TcpStream>,
    pending: Vec<u8>,
}

/// How long a call waits for data, and with it barriers and commands.
const WAIT: Duration = Duration::from_millis(5);

/// The longest line in bytes: more without an end is not text, and would fill the memory.
const LONGEST_LINE: usize = 16 * 1024 * 1024;

impl SocketSource {
    /// Lines from a server.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        SocketSource { host: host.into(), port, stream: None, pending: Vec::new() }
    }

    fn emit(&mut self, line_end: usize, out: &mut Emitter<'_, String>) -> anyhow::Result<()> {
        let mut consumed = 0;
        for line in self.pending[..line_end].split_inclusive(|byte| *byte == b'\n') {
            consumed += line.len();
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            out.collect(String::from_utf8_lossy(line).into_owned())?;
        }
        self.pending.drain(..consumed);
        Ok(())
    }
}

impl Clone for SocketSource {
    fn clone(&self) -> Self {
        SocketSource::new(self.host.clone(), self.port)
    }
}

impl Source for SocketSource {
    type Item = String;

    fn open(&mut self, _: &SourceContext) -> anyhow::Result<()> {
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .with_context(|| format!("no connection to {}:{}", self.host, self.port))?;
        stream.set_read_timeout(Some(WAIT))?;
        self.stream = Some(stream);
        Ok(())
    }

    fn poll(&mut self, out: &mut Emitter<'_, String>) -> anyhow::Result<Poll> {
        let Some(stream) = &mut self.stream else { return Ok(Poll::Finished) };
        let mut buffer = [0; 8192];
        match stream.read(&mut buffer) {
            Ok(0) => {
                self.stream = None;
                self.emit(self.pending.len(), out)?;
                Ok(Poll::Finished)
            }
            Ok(count) => {
                self.pending.extend_from_slice(&buffer[..count]);
                if let Some(last) = self.pending.iter().rposition(|byte| *byte == b'\n') {
                    self.emit(last + 1, out)?;
                }
                anyhow::ensure!(self.pending.len() <= LONGEST_LINE, "a line of more than {LONGEST_LINE} bytes");
                Ok(Poll::More)
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) =>
            {
                Ok(Poll::Idle)
            }
            Err(error) => Err(error).with_context(|| format!("reading from {}:{}", self.host, self.port)),
        }
    }

    fn splits(&self) -> Vec<Split> {
        Vec::new()
    }
}
