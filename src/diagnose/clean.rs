//! Lines as they were logged, out of lines as they were pasted: colours, markdown quotes, HTML entities, JSON
//! escapes and line ends of every kind. Memory is bounded whatever the input: of a longer line only the start is kept.

use std::io::{self, BufRead, Read};

/// Of a line, so many bytes are kept. A whole trace in one JSON string is a few tens of kilobytes.
pub const LINE_LIMIT: usize = 256 << 10;

/// Reads lines of bytes, of which none is longer than [`LINE_LIMIT`].
pub struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// Lines of an input.
    pub fn new(input: R) -> Self {
        Lines { input, buffer: Vec::new(), number: 0 }
    }

    /// The next line with its number, from 1; `None` at the end.
    pub fn next_line(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        self.buffer.clear();
        let read = self.input.by_ref().take(LINE_LIMIT as u64).read_until(b'\n', &mut self.buffer)?;
        if read == 0 {
            return Ok(None);
        }
        self.number = self.number.saturating_add(1);
        if self.buffer.last() != Some(&b'\n') && read == LINE_LIMIT {
            skip_line(&mut self.input)?;
        }
        Ok(Some((self.number, &self.buffer)))
    }
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let available = input.fill_buf()?;
        if available.is_empty() {
            return Ok(());
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(available.len(), |at| at.saturating_add(1));
        input.consume(used);
        if end.is_some() {
            return Ok(());
        }
    }
}

/// The plain lines in a line as it was pasted; mostly one.
pub fn plain_lines(raw: &[u8]) -> Vec<String> {
    // What is left of UTF-16 after this is ASCII, and that is where the facts are.
    let text = String::from_utf8_lossy(raw).replace(['\0', '\u{feff}', '\u{fffd}'], "");
    let text = unescape_json(&without_colours(&text));
    let text = without_entities(&text);
    text.split(['\n', '\r', '\u{2028}']).map(unquoted).filter(|line| !line.is_empty()).collect()
}

/// Removes ANSI escape sequences, also as JSON writes them.
fn without_colours(text: &str) -> String {
    let text = if text.contains("\\u001b") { text.replace("\\u001b", "\u{1b}") } else { text.to_owned() };
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\u{1b}' {
            plain.push(character);
        } else if characters.next_if_eq(&'[').is_some() {
            while characters.next_if(|c| !c.is_ascii_alphabetic()).is_some() {}
            characters.next();
        }
    }
    plain
}

/// Turns `\n`, `\t` and the like into what they mean, where they stand for the line ends of a trace.
fn unescape_json(text: &str) -> String {
    let escaped = text.contains("\\n\\t")
        || text.contains("\\nCaused by")
        || text.contains("\\n    at ")
        || text.contains("\\n\\\\t")
        || text.contains("\\r\\n");
    if !escaped {
        return text.to_owned();
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        // A log within a log is escaped twice.
        let after = from.trim_start_matches('\\');
        let mut next = after.chars();
        rest = match next.next() {
            Some('n' | 'r') => {
                plain.push('\n');
                next.as_str()
            }
            Some('t') => {
                plain.push('\t');
                next.as_str()
            }
            Some(_) => after,
            None => "",
        };
    }
    plain.push_str(rest);
    plain
}

fn without_entities(text: &str) -> String {
    if !text.contains(['&', '<']) {
        return text.to_owned();
    }
    const ENTITIES: &[(&str, &str)] = &[
        ("<br>", "\n"),
        ("<br/>", "\n"),
        ("<br />", "\n"),
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&#34;", "\""),
        ("&#x2F;", "/"),
        ("&amp;", "&"),
    ];
    ENTITIES.iter().fold(
        text.to_owned(),
        |text, (entity, plain)| {
            if text.contains(entity) { text.replace(entity, plain) } else { text }
        },
    )
}

/// A line without the marks of a markdown quote or table; white space at its start is kept, as one tab.
fn unquoted(line: &str) -> String {
    let line = line.replace(['\u{a0}', '\u{3000}'], " ");
    let mut rest = line.as_str();
    while let Some(quoted) = rest.trim_start().strip_prefix(['>', '|']) {
        rest = quoted;
    }
    let text = rest.trim();
    match rest.starts_with([' ', '\t']) && !text.is_empty() {
        true => format!("\t{text}"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        plain_lines(text.as_bytes())
    }

    #[test]
    fn colours_quotes_and_entities_are_taken_off() {
        assert_eq!(lines("\u{1b}[31mERROR\u{1b}[0m x\r\n"), ["ERROR x"]);
        assert_eq!(lines("> > \tat a.B.&lt;init&gt;(B.java:1)"), ["\tat a.B.<init>(B.java:1)"]);
        assert_eq!(lines("\u{feff}C\0a\0u\0s\0e\0d\0"), ["Caused"]);
    }

    #[test]
    fn a_trace_in_a_json_string_becomes_lines() {
        let json = r#"{"message":"a.B: \"x\"\n\tat a.B.c(B.java:1)\nCaused by: d.E"}"#;
        assert_eq!(lines(json), [r#"{"message":"a.B: "x""#, "\tat a.B.c(B.java:1)", r#"Caused by: d.E"}"#]);
        let twice = r#"\\n\\tat a.B.c(B.java:1)\\nCaused by: d.E"#;
        assert_eq!(lines(twice), ["\tat a.B.c(B.java:1)", "Caused by: d.E"]);
        assert_eq!(lines(r"C:\new\table"), [r"C:\new\table"], "a Windows path is none");
    }

    #[test]
    fn a_line_without_end_is_cut_and_the_next_one_found() {
        let mut text = vec![b'x'; LINE_LIMIT * 3];
        text.extend_from_slice(b"\nnext\n");
        let mut lines = Lines::new(text.as_slice());
        assert_eq!(lines.next_line().expect("a line").map(|(_, line)| line.len()), Some(LINE_LIMIT));
        assert_eq!(lines.next_line().expect("a line"), Some((2, b"next\n".as_slice())));
        assert_eq!(lines.next_line().expect("the end"), None);
    }
}
