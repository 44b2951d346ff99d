//! The last words of a command that takes long: what came of it, where it lies, and the command that goes on. On standard
//! error, after everything else, so that a terminal ends with them.

use std::io::{self, IsTerminal as _};

use super::sheet::folded;
use crate::shell;

/// Columns that lines are wrapped to on a terminal: those of the narrowest that are common.
const COLUMNS: usize = 80;

/// Says paragraphs, each on lines of its own, after an empty one.
pub fn say(paragraphs: &[String]) {
    let terminal = io::stderr().is_terminal();
    tell!();
    for paragraph in paragraphs.iter().filter(|paragraph| !paragraph.is_empty()) {
        tell!("{}", if terminal { folded(&one_line(paragraph), COLUMNS, 0, 0) } else { paragraph.clone() });
    }
}

/// A paragraph with one space between its words.
fn one_line(paragraph: &str) -> String {
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// This command as it was written, so that a shell takes it again.
pub fn this_command() -> String {
    shell::command(std::env::args())
}
