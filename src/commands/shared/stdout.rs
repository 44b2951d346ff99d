//! What commands print: the only way to stdout, so that what fails there is said in one way. `main` ends quietly where nobody
//! reads any more, which it tells by the error of the system below these words.

use std::io::{self, Write as _};

use anyhow::Context as _;

/// Said where stdout cannot be written.
pub const STDOUT: &str = "cannot write to stdout";

/// Prints text as it is.
pub fn print(text: &str) -> anyhow::Result<()> {
    io::stdout().write_all(text.as_bytes()).context(STDOUT)
}
