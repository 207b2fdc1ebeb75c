//! A server in the place of a job manager's that answers as it is told: badly.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What it says to a request.
#[derive(Clone)]
pub enum Reply {
    /// An answer: its head without the length, and its body.
    Full(String, String),
    /// Half of a body that is said to be longer.
    Half(String),
    /// The connection is closed.
    Close,
    /// Nothing, for longer than anybody waits.
    Hang,
}

impl Reply {
    pub fn json(body: &str) -> Self {
        Reply::status(200, body)
    }

    pub fn status(status: u16, body: &str) -> Self {
        Reply::Full(format!("HTTP/1.1 {status} So\r\ncontent-type: application/json\r\n"), body.to_owned())
    }

    pub fn redirect(to: &str) -> Self {
        Reply::Full(format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\n"), String::new())
    }
}

/// The end of a path, and what is said to a request for it.
type Replies = Vec<(&'static str, Reply)>;

#[derive(Default)]
struct State {
    replies: Replies,
    /// Requests until other replies are given.
    later: Option<(usize, Replies)>,
    heard: String,
}

pub struct Server {
    url: String,
    state: Arc<Mutex<State>>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// Starts one on loopback. Without replies nobody listens.
    pub fn start(replies: Replies) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State { replies, ..State::default() }));
        if !lock(&state).replies.is_empty() {
            let state = Arc::clone(&state);
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let state = Arc::clone(&state);
                    thread::spawn(move || serve(stream, &state));
                }
            });
        }
        Server { url, state }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// After so many requests it says other things.
    pub fn then_after(&self, requests: usize, replies: Replies) {
        lock(&self.state).later = Some((requests, replies));
    }

    /// The heads of all requests.
    pub fn heard(&self) -> String {
        lock(&self.state).heard.clone()
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let mut head = String::new();
    let mut reader = BufReader::new(stream.try_clone().expect("a stream")).take(1 << 16);
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let reply = {
        let mut state = lock(state);
        state.heard.push_str(&head);
        match state.later.take() {
            Some((0, replies)) => state.replies = replies,
            Some((left, replies)) => state.later = Some((left - 1, replies)),
            None => {}
        }
        let found = state.replies.iter().find(|(ending, _)| path.ends_with(ending));
        found.map_or_else(|| Reply::status(404, r#"{"errors":["Not found: "]}"#), |(_, reply)| reply.clone())
    };
    let _ = match reply {
        Reply::Full(head, body) => {
            write!(stream, "{head}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
        }
        Reply::Half(body) => write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}",
            body.len(),
            &body[..body.len() / 2]
        ),
        Reply::Close => Ok(()),
        Reply::Hang => {
            thread::sleep(Duration::from_secs(60));
            Ok(())
        }
    };
}
