//! A line to standard error, for notes, warnings and progress.

/// Writes a line to standard error, as `eprintln!` does, which would panic where nobody reads any more: behind `2>&1 | head` a sweep
/// goes on.
#[macro_export]
macro_rules! tell {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}
