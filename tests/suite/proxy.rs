//! A proxy that spoils HTTP: it stands between a client and a real server, and does to each request what it is told.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What is done to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It passes.
    Pass,
    /// It is answered so, and never reaches the server.
    Answer(u16, &'static str),
    /// The connection ends without an answer, and it never reaches the server.
    Reset,
    /// The server does it, and half of the body of its answer arrives.
    Cut,
    /// Nothing comes for this long; it never reaches the server.
    Hang(Duration),
    /// The server does it, and its answer is lost.
    Lost,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// How many came before it.
    pub number: usize,
    /// Such as `GET`.
    pub method: String,
    /// Path and query, with their percent signs.
    pub target: String,
}

impl Request {
    /// Whether it asks for a list of keys.
    pub fn is_listing(&self) -> bool {
        self.method == "GET" && self.target.contains("list-type=2")
    }
}

type Decide = dyn Fn(&Request) -> Fault + Send + Sync;

/// A proxy, which ends with this.
pub struct Proxy {
    /// Its own URL.
    pub endpoint: String,
    seen: Arc<Mutex<Vec<Request>>>,
    over: Arc<AtomicBool>,
    address: std::net::SocketAddr,
}

impl Proxy {
    /// A proxy before a server (`http://HOST:PORT`).
    pub fn before(server: &str, decide: impl Fn(&Request) -> Fault + Send + Sync + 'static) -> Self {
        let server = server.strip_prefix("http://").expect("http").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (seen, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (heard, ended, decide): (_, _, Arc<Decide>) = (Arc::clone(&seen), Arc::clone(&over), Arc::new(decide));
        thread::spawn(move || {
            for connection in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(connection) = connection else { continue };
                let (server, heard, decide) = (server.clone(), Arc::clone(&heard), Arc::clone(&decide));
                // A client that goes away is none of its business.
                thread::spawn(move || drop(serve(&connection, &server, &heard, &*decide)));
            }
        });
        Proxy { endpoint: format!("http://{address}"), seen, over, address }
    }

    /// The requests that came so far.
    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// One request of a connection, which ends with it.
fn serve(client: &TcpStream, server: &str, seen: &Mutex<Vec<Request>>, decide: &Decide) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    let mut head = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim_end().is_empty() {
            break;
        }
        head.push(line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = head.first().map(String::as_str).unwrap_or_default().split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let request = {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let request = Request { number: seen.len(), method, target };
        seen.push(request.clone());
        request
    };
    let fault = decide(&request);
    let mut client = client;
    match fault {
        Fault::Answer(status, body) => {
            let length = body.len();
            write!(client, "HTTP/1.1 {status} Told\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")?;
            return client.shutdown(Shutdown::Both);
        }
        Fault::Reset => return client.shutdown(Shutdown::Both),
        Fault::Hang(time) => {
            thread::sleep(time);
            return client.shutdown(Shutdown::Both);
        }
        Fault::Pass | Fault::Cut | Fault::Lost => {}
    }
    let mut upstream = TcpStream::connect(server)?;
    for line in &head {
        upstream.write_all(line.as_bytes())?;
    }
    upstream.write_all(b"Connection: close\r\n\r\n")?;
    upstream.write_all(&body)?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer)?;
    if fault == Fault::Lost {
        return client.shutdown(Shutdown::Both);
    }
    let start = answer.windows(4).position(|end| end == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    let end = if fault == Fault::Cut { start + (answer.len() - start) / 2 } else { answer.len() };
    client.write_all(&answer[..end])?;
    client.shutdown(Shutdown::Both)
}
