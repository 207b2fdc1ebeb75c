//! The progress bar.

use crate::survey::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// Draws on a terminal, once a run takes long enough to ask oneself.
pub struct Bar {
    bar: ProgressBar,
    started: Instant,
    wanted: bool,
}

const PATIENCE: Duration = Duration::from_millis(250);

impl Bar {
    /// A bar that is drawn if `wanted`.
    pub fn new(wanted: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} files {per_sec} {eta}") {
            bar.set_style(style);
        }
        Bar { bar, started: Instant::now(), wanted }
    }

    /// A bar that counts bytes.
    pub fn of_bytes(wanted: bool) -> Self {
        let bar = Bar::new(wanted);
        let template = "{prefix} {bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.bar.set_style(style);
        }
        bar
    }

    /// Puts a name before it.
    pub fn name(&self, name: String) {
        self.bar.set_prefix(name);
    }

    /// A bar that is never drawn.
    pub fn none() -> Self {
        Bar::new(false)
    }

    /// Takes it off the screen.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Bar {
    fn expect(&self, more: u64) {
        self.bar.inc_length(more);
    }

    fn advance(&self, done: u64) {
        if self.wanted && self.bar.is_hidden() && self.started.elapsed() > PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.inc(done);
    }
}
