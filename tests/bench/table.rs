//! The table of results, in Markdown.

use comfy_table::{Table, presets};
use std::time::Duration;

/// Collects results and says on the way what is going on.
pub struct Results(Table);

impl Results {
    /// An empty table.
    pub fn new() -> Self {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_header(["what", "chkctl", "other", "ratio", "goal", ""]);
        Results(table)
    }

    /// Shows it on stdout.
    pub fn print(&self) {
        println!("\n{}", self.0);
    }

    /// A time that must be at most so many times as long as another.
    pub fn within(&mut self, what: &str, ours: Duration, theirs: Other<'_>, most: f64) {
        let ratio = ours.as_secs_f64() / theirs.1.as_secs_f64();
        let goal = format!("at most {most} ×");
        self.add(what, &time(ours), &theirs.show(), &times(ratio), &goal, Some(ratio <= most));
    }

    /// A time that another must be at least so many times as long as.
    pub fn faster(&mut self, what: &str, ours: Duration, theirs: Other<'_>, least: f64) {
        let goal = format!("at least {least} × faster");
        let met = theirs.over(ours) >= least;
        self.add(what, &time(ours), &theirs.show(), &theirs.shown_over(ours), &goal, Some(met));
    }

    /// A time beside another, without a goal.
    pub fn beside(&mut self, what: &str, ours: Duration, theirs: Other<'_>) {
        self.add(what, &time(ours), &theirs.show(), &theirs.shown_over(ours), "-", None);
    }

    /// A time with a limit.
    pub fn under(&mut self, what: &str, ours: Duration, limit: Duration) {
        let ratio = times(ours.as_secs_f64() / limit.as_secs_f64());
        let goal = format!("under {}", time(limit));
        self.add(what, &time(ours), "-", &ratio, &goal, Some(ours < limit));
    }

    /// Memory that must be at most so many times the size of a file.
    pub fn memory(&mut self, what: &str, peak: u64, file: u64, most: f64) {
        if peak == 0 {
            return self.note(what, "not known on this system");
        }
        let ratio = peak as f64 / file as f64;
        let goal = format!("at most {most} × the file");
        let file = format!("file: {}", megabytes(file));
        self.add(what, &megabytes(peak), &file, &times(ratio), &goal, Some(ratio <= most));
    }

    /// A result without a goal.
    pub fn note(&mut self, what: &str, value: &str) {
        self.add(what, value, "-", "-", "-", None);
    }

    /// A row of texts, and whether its goal is met.
    pub fn add(&mut self, what: &str, ours: &str, other: &str, ratio: &str, goal: &str, met: Option<bool>) {
        let met = match met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        eprintln!("{what}: {ours}; {other}; {ratio}; {goal} {met}");
        self.0.add_row([what, ours, other, ratio, goal, met]);
    }
}

/// What a time is compared with: a name, and its time.
pub struct Other<'n>(pub &'n str, pub Duration);

impl Other<'_> {
    fn show(&self) -> String {
        format!("{}: {}", self.0, time(self.1))
    }

    fn over(&self, ours: Duration) -> f64 {
        self.1.as_secs_f64() / ours.as_secs_f64()
    }

    fn shown_over(&self, ours: Duration) -> String {
        format!("{} faster", times(self.over(ours)))
    }
}

/// Shows a time with three digits.
pub fn time(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    match millis {
        1_000.0.. => format!("{:.2} s", millis / 1e3),
        100.0.. => format!("{millis:.0} ms"),
        10.0.. => format!("{millis:.1} ms"),
        _ => format!("{millis:.2} ms"),
    }
}

/// Shows a number of bytes in millions of them.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Shows a ratio.
pub fn times(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.2} ×") } else { format!("{ratio:.0} ×") }
}
