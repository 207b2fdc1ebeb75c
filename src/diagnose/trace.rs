//! Exceptions out of plain lines, however a log prefixes them: [`split`] finds frames and causes anywhere in a line,
//! [`Collector`] puts them together to chains of causes.

use serde::Serialize;

/// Of a message, so many bytes are kept.
const MESSAGE_LIMIT: usize = 4000;
/// Of an exception's frames, so many are kept.
const FRAMES_LIMIT: usize = 64;
/// Of a chain, so many causes are kept: the first ones.
const CAUSES_LIMIT: usize = 48;

/// A part of a line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'t> {
    /// `at class.method(File.java:1)`, with the jar if there is one.
    Frame(&'t str),
    /// `... 9 more`.
    More,
    /// What follows `Caused by: `.
    Cause(&'t str),
    /// What follows `Suppressed: `.
    Suppressed(&'t str),
    /// Anything else.
    Text(&'t str),
}

/// Takes a line apart. A prefix (a date, a logger) glued to a frame or a cause is dropped.
pub fn split<'t>(line: &'t str) -> Vec<Part<'t>> {
    let mut parts = Vec::new();
    let mut rest = line;
    // What the text up to the next part belongs to.
    let mut open: Option<fn(&'t str) -> Part<'t>> = None;
    loop {
        let next = next_mark(rest);
        let text = rest.get(..next.as_ref().map_or(rest.len(), |(at, ..)| *at)).unwrap_or_default().trim();
        match open.take() {
            Some(part) => parts.push(part(text)),
            // Before a frame or cause only an exception is worth keeping.
            None if !text.is_empty() && (next.is_none() && parts.is_empty() || find_class(text).is_some()) => {
                parts.push(Part::Text(text));
            }
            None => {}
        }
        let Some((_, end, mark)) = next else { return parts };
        rest = rest.get(end..).unwrap_or_default();
        match mark {
            Mark::Frame(frame) => parts.push(Part::Frame(frame)),
            Mark::More => parts.push(Part::More),
            Mark::Cause => open = Some(Part::Cause),
            Mark::Suppressed => open = Some(Part::Suppressed),
        }
    }
}

enum Mark<'t> {
    Frame(&'t str),
    More,
    Cause,
    Suppressed,
}

/// The first mark of a trace in a text: its start, its end, and what it is.
fn next_mark(text: &str) -> Option<(usize, usize, Mark<'_>)> {
    let word = |word: &'static str, mark| text.find(word).map(|at| (at, at.saturating_add(word.len()), mark));
    let found = [frame(text), more(text), word("Caused by: ", Mark::Cause), word("Suppressed: ", Mark::Suppressed)];
    found.into_iter().flatten().min_by_key(|(at, ..)| *at)
}

fn frame(text: &str) -> Option<(usize, usize, Mark<'_>)> {
    let mut from = 0;
    while let Some(found) = text.get(from..)?.find("at ") {
        let at = from.saturating_add(found);
        let name_at = at.saturating_add(3);
        from = name_at;
        // "...:40at x" of a lost tab is a frame, "that x" is none.
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        if before.is_some_and(char::is_alphabetic) {
            continue;
        }
        let rest = text.get(name_at..)?;
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '$' | '<' | '>' | '/' | '@' | '-');
        let Some(open) =
            rest.find(|c| !is_name(c)).filter(|open| rest.get(*open..).is_some_and(|r| r.starts_with('(')))
        else {
            continue;
        };
        let Some(name) = rest.get(..open).filter(|name| name.contains('.')) else { continue };
        let Some(close) = rest.find(')').filter(|close| *close > open) else { continue };
        let mut end = close.saturating_add(1);
        // "~[flink-dist-1.20.5.jar:1.20.5]" or "[classes/:?]"
        let tail = rest.get(end..).unwrap_or_default();
        let jar = tail.trim_start_matches(' ').trim_start_matches('~');
        if jar.starts_with('[')
            && let Some(jar_end) = jar.find(']')
        {
            end = end.saturating_add(tail.len().saturating_sub(jar.len())).saturating_add(jar_end).saturating_add(1);
        }
        let end = name_at.saturating_add(end);
        debug_assert!(!name.is_empty());
        return Some((at, end, Mark::Frame(text.get(name_at..end)?)));
    }
    None
}

fn more(text: &str) -> Option<(usize, usize, Mark<'_>)> {
    let at = text.find("... ")?;
    let rest = text.get(at.saturating_add(4)..)?;
    let digits = rest.find(|c: char| !c.is_ascii_digit())?;
    let tail = rest.get(digits..)?;
    let tail_length = [" more", " common frames omitted"].iter().find(|end| tail.starts_with(**end))?.len();
    (digits > 0).then(|| (at, at.saturating_add(4).saturating_add(digits).saturating_add(tail_length), Mark::More))
}

/// The class of an exception in a text: where it starts and where it ends.
pub fn find_class(text: &str) -> Option<(usize, usize)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '$');
    let mut from = 0;
    while let Some(start) = text.get(from..)?.find(is_part).map(|at| from.saturating_add(at)) {
        let length = text.get(start..)?.find(|c| !is_part(c)).unwrap_or(text.len().saturating_sub(start));
        let end = start.saturating_add(length);
        from = end;
        let token = text.get(start..end)?;
        let name = token.trim_end_matches('.');
        let simple = name.rsplit(['.', '$']).next().unwrap_or_default();
        let named = ["Exception", "Error", "Throwable", "Failure"].iter().any(|ending| simple.ends_with(ending));
        let package = name.split('.').next().unwrap_or_default();
        let dotted = name.contains('.')
            && package.starts_with(|c: char| c.is_ascii_lowercase())
            && simple.starts_with(|c: char| c.is_ascii_uppercase());
        let after = text.get(end..).unwrap_or_default();
        if named
            && dotted
            && token == name
            && (after.is_empty() || after.starts_with([':', ' ', ',', ']', '"', '(', ')', '\'']))
        {
            return Some((start, start.saturating_add(name.len())));
        }
    }
    None
}

/// One exception of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Thrown {
    /// Its class; empty where a program that is not Java says only what went wrong.
    pub class: String,
    /// What it says.
    pub message: String,
    /// The line that it is on, from 1.
    pub line: u64,
    /// Where it was thrown: `class.method(File.java:1)`, innermost first.
    #[serde(skip)]
    pub frames: Vec<String>,
}

impl Thrown {
    fn new(text: &str, line: u64) -> Vec<Self> {
        let mut thrown = Vec::new();
        let mut rest = text.trim();
        // A wrapper says its cause: "CompletionException: java.lang.IllegalStateException: …".
        while thrown.len() < 8
            && let Some((0, end)) = find_class(rest)
        {
            let class = rest.get(..end).unwrap_or_default().to_owned();
            rest = rest.get(end..).unwrap_or_default().trim_start_matches(':').trim();
            thrown.push(Thrown { class, message: String::new(), line, frames: Vec::new() });
        }
        let message = cut(rest, MESSAGE_LIMIT).to_owned();
        match thrown.last_mut() {
            Some(last) => last.message = message,
            None => thrown.push(Thrown { class: String::new(), message, line, frames: Vec::new() }),
        }
        thrown
    }

    /// The class without its package.
    pub fn simple_class(&self) -> &str {
        self.class.rsplit(['.', '$']).next().unwrap_or_default()
    }

    /// Class and message as Java prints them.
    pub fn text(&self) -> String {
        match (self.class.as_str(), self.message.as_str()) {
            ("", message) => message.to_owned(),
            (class, "") => class.to_owned(),
            (class, message) => format!("{class}: {message}"),
        }
    }
}

/// An exception with its causes, the outermost first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// The exceptions.
    pub thrown: Vec<Thrown>,
    /// The line of the log before it, such as that of a task that switched to FAILED.
    pub context: String,
    /// The time in front of it, as it is written.
    pub time: Option<String>,
}

impl Chain {
    /// The innermost cause.
    pub fn root(&self) -> Option<&Thrown> {
        self.thrown.last()
    }

    /// Whether any of it says `text`.
    pub fn says(&self, text: &str) -> bool {
        self.context.contains(text) || self.thrown.iter().any(|t| t.message.contains(text) || t.class.contains(text))
    }

    /// Whether it was thrown in a method whose name contains `text`.
    pub fn passed(&self, text: &str) -> bool {
        self.thrown.iter().flat_map(|t| &t.frames).any(|frame| frame.contains(text))
    }
}

/// The start of a text, of at most so many bytes.
pub fn cut(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// Puts lines together to chains.
#[derive(Default)]
pub struct Collector {
    open: Option<Chain>,
    suppressed: bool,
    previous: String,
    previous_time: Option<String>,
}

impl Collector {
    /// Takes a plain line; gives the chains that it ends.
    pub fn feed(&mut self, number: u64, line: &str) -> Vec<Chain> {
        let mut done = Vec::new();
        let time = super::events::time_in(line);
        for part in split(line) {
            match part {
                Part::Frame(frame) => self.frame(number, frame),
                Part::More => {}
                Part::Cause(text) => self.cause(number, text, line, time.as_deref()),
                Part::Suppressed(_) => self.suppressed = true,
                Part::Text(text) => done.extend(self.text(number, text, line, time.as_deref())),
            }
        }
        done
    }

    /// The chain that is open at the end.
    pub fn finish(&mut self) -> Option<Chain> {
        self.suppressed = false;
        self.open.take().filter(|chain| !chain.thrown.is_empty())
    }

    fn frame(&mut self, number: u64, frame: &str) {
        if self.suppressed {
            return;
        }
        let chain = self.open.get_or_insert_with(|| {
            let message = std::mem::take(&mut self.previous);
            let thrown = Thrown { class: String::new(), message, line: number.saturating_sub(1), frames: Vec::new() };
            Chain { thrown: vec![thrown], context: String::new(), time: self.previous_time.clone() }
        });
        if let Some(last) = chain.thrown.last_mut().filter(|last| last.frames.len() < FRAMES_LIMIT) {
            last.frames.push(cut(frame, 400).to_owned());
        }
    }

    fn cause(&mut self, number: u64, text: &str, line: &str, time: Option<&str>) {
        // The causes of a suppressed exception are indented as it is.
        let at = line.find("Caused by: ").and_then(|at| line.get(..at));
        if self.suppressed && at.is_some_and(|before| before.ends_with([' ', '\t'])) {
            return;
        }
        self.suppressed = false;
        let time = time.map(str::to_owned).or_else(|| self.previous_time.clone());
        let chain = self.open.get_or_insert_with(|| Chain { time, ..Chain::default() });
        if chain.thrown.len() < CAUSES_LIMIT {
            chain.thrown.extend(Thrown::new(text, number));
        }
    }

    fn text(&mut self, number: u64, text: &str, line: &str, time: Option<&str>) -> Option<Chain> {
        let mut done = None;
        if let Some((start, _)) = find_class(text) {
            // A message may name another exception in its second line.
            if start > 0 && time.is_none() && self.continues(text) {
                return None;
            }
            done = self.finish();
            let before = text.get(..start).unwrap_or_default().trim();
            let context = if before.len() > 24 { before } else { self.previous.as_str() };
            let context = cut(context, 1000).to_owned();
            let time = time.map(str::to_owned).or_else(|| self.previous_time.clone());
            let thrown = Thrown::new(text.get(start..).unwrap_or_default(), number);
            self.open = Some(Chain { thrown, context, time });
        } else if time.is_none() && self.continues(text) {
            return None;
        } else if self.open.is_some() && (time.is_some() || !line.starts_with('\t')) {
            done = self.finish();
        }
        cut(text, 1000).clone_into(&mut self.previous);
        if let Some(time) = time {
            self.previous_time = Some(time.to_owned());
        }
        done
    }

    /// Adds a further line of a message. Gives whether it is one.
    fn continues(&mut self, text: &str) -> bool {
        let last = self.open.as_mut().and_then(|chain| chain.thrown.last_mut());
        let Some(last) = last.filter(|last| last.frames.is_empty() && !self.suppressed) else { return false };
        if last.message.len().saturating_add(text.len()) < MESSAGE_LIMIT {
            last.message.push(' ');
            last.message.push_str(text);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chains(text: &str) -> Vec<Chain> {
        let mut collector = Collector::default();
        let lines = text.lines().zip(1..);
        let mut chains: Vec<Chain> = lines.flat_map(|(line, number)| collector.feed(number, line)).collect();
        chains.extend(collector.finish());
        chains
    }

    fn classes(chain: &Chain) -> Vec<&str> {
        chain.thrown.iter().map(Thrown::simple_class).collect()
    }

    #[test]
    fn a_date_glued_to_a_cause_is_no_part_of_it() {
        let text = "java.lang.Exception: outer\n2021/2/4 上午10:42:40\tat a.B.c(B.java:1)\n\
                    2021/2/4 上午10:42:40Caused by: x.YException: inner\n2021/2/4 上午10:42:40\t... 9 more";
        let chains = chains(text);
        assert_eq!(chains.len(), 1);
        assert_eq!(classes(&chains[0]), ["Exception", "YException"]);
        assert_eq!(chains[0].root().map(|root| (root.message.as_str(), root.line)), Some(("inner", 3)));
        assert_eq!(chains[0].thrown[0].frames, ["a.B.c(B.java:1)"]);
    }

    #[test]
    fn a_trace_on_one_line_is_taken_apart() {
        let text = "Map (1/1) switched from RUNNING to FAILED. java.lang.RuntimeException: error message     \
                    at T.map(T.scala:42)     at a.B$C.d(B.java:41) ~[x.jar:?] Caused by: e.FError: g ... 2 more";
        let chains = chains(text);
        assert_eq!(classes(&chains[0]), ["RuntimeException", "FError"]);
        assert_eq!(chains[0].thrown[0].message, "error message");
        assert_eq!(chains[0].thrown[0].frames.len(), 2);
        assert!(chains[0].context.contains("RUNNING to FAILED"));
    }

    #[test]
    fn wrappers_that_repeat_their_cause_are_unwrapped_and_suppressed_ones_left_out() {
        let text = "a.CompletionException: java.lang.IllegalStateException: what\n\tat a.B.c(B.java:1)\n\
                    \tSuppressed: a.ZException: no\n\t\tat a.B.z(B.java:9)\n\tCaused by: a.WException\n\
                    Caused by: a.VException";
        assert_eq!(classes(&chains(text)[0]), ["CompletionException", "IllegalStateException", "VException"]);
    }

    #[test]
    fn words_are_no_frames_and_sentences_no_exceptions() {
        assert_eq!(split("that foo.bar(x) is"), [Part::Text("that foo.bar(x) is")]);
        assert_eq!(find_class("an Error: no"), None);
        assert_eq!(find_class("see java.lang.Exception."), None, "the end of a sentence");
    }
}
