//! How far long work is: a bar on stderr, if that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Steps that are taken together before the bar hears of them: it costs more than a step.
const STRIDE: u64 = 1024;
const REDRAW: Duration = Duration::from_millis(200);

/// Work that goes on. The bar disappears with it, so drop it before printing a result; elsewhere than on a terminal
/// there is none.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    untold: u64,
}

impl Progress {
    /// Work of so many entries.
    pub(crate) fn entries(what: &'static str, total: u64) -> Self {
        // Templates that do not parse would be a bug; a plain bar does the job then.
        let style = ProgressStyle::with_template("{msg} [{bar:30}] {percent}% of {len} entries, {eta} left");
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar: bar.with_message(what), untold: 0 }
    }

    /// Work that does not say how far it is.
    pub(crate) fn unknown(what: &'static str) -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        let bar = bar.with_message(what);
        if !bar.is_hidden() {
            bar.enable_steady_tick(REDRAW);
        }
        Self { bar, untold: 0 }
    }

    /// So many more are done.
    pub(crate) fn add(&mut self, count: u64) {
        self.untold += count;
        if self.untold >= STRIDE {
            self.bar.inc(std::mem::take(&mut self.untold));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
