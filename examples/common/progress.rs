//! Progress bars with a common style.

use indicatif::{ProgressBar, ProgressStyle, style::TemplateError};

/// Returns a bar of `length` ticks. It is hidden if stderr is not a terminal.
pub(crate) fn bar(title: &'static str, length: u64) -> Result<ProgressBar, TemplateError> {
    let style = ProgressStyle::with_template("{prefix:16} {wide_bar} {percent:>3} %  {msg}")?;
    Ok(ProgressBar::new(length).with_style(style).with_prefix(title))
}
