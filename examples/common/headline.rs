//! The first line of the results: the size of the data, and the time of the fit.

use std::time::Duration;

/// Prints the size of the data and of the fit, and its time.
pub(crate) fn print(sizes: &str, fit: Duration) {
    println!("{sizes}: {}", time(fit));
}

/// Formats a time with three digits or so.
fn time(fit: Duration) -> String {
    let seconds = fit.as_secs_f64();
    match seconds {
        10.0.. => format!("{seconds:.0} s"),
        0.1.. => format!("{seconds:.2} s"),
        _ => format!("{:.2} ms", 1e3 * seconds),
    }
}
