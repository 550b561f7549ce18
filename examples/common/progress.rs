//! One look for all progress bars.

use indicatif::{ProgressBar, ProgressStyle, style::TemplateError};

/// A bar of `length` ticks; it stays hidden where stderr is no terminal.
pub(crate) fn bar(title: &'static str, length: u64) -> Result<ProgressBar, TemplateError> {
    let style = ProgressStyle::with_template("{prefix:16} {wide_bar} {percent:>3} %  {msg}")?;
    Ok(ProgressBar::new(length).with_style(style).with_prefix(title))
}
