//! The last words of a command that takes long: what came of it, where it lies, and the command that goes on. On standard
//! error, after everything else, so that a terminal ends with them.

use std::io::{self, IsTerminal as _};

use crate::shell;

/// Columns that lines are wrapped to on a terminal: those of the narrowest that are common.
const COLUMNS: usize = 80;

/// Says paragraphs, each on lines of its own, after an empty one.
pub fn say(paragraphs: &[String]) {
    let terminal = io::stderr().is_terminal();
    eprintln!();
    for paragraph in paragraphs.iter().filter(|paragraph| !paragraph.is_empty()) {
        eprintln!("{}", if terminal { wrapped(paragraph, COLUMNS) } else { paragraph.clone() });
    }
}

/// A paragraph on lines of at most so many characters; a word that is longer has a line of its own.
fn wrapped(paragraph: &str, columns: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in paragraph.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

/// This command as it was written, so that a shell takes it again.
pub fn this_command() -> String {
    shell::command(std::env::args())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_long_as_they_may_be_and_no_word_is_cut() {
        assert_eq!(wrapped("one two three fourteen", 9), "one two\nthree\nfourteen");
        assert_eq!(wrapped("one two three", 7), "one two\nthree");
        assert_eq!(wrapped("", 5), "");
    }
}
