//! What a program printed, kept in its folder so that a line of which a message speaks can be looked up: the last part of it,
//! bounded whatever it prints. Each line stands behind its stream and number, as in `out 7: {"loss": 5.31}`.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::lines::{Line, Stream};

/// The newest part, and the one before it: of the same attempt, or else the end of the attempt before.
pub(super) const NAME: &str = "printed.log";
const BEFORE: &str = "printed-before.log";
/// Bytes of a part.
const PART: usize = 1 << 19;

/// What one attempt printed.
pub(super) struct Printed {
    folder: PathBuf,
    /// None where it cannot be written, which harms no run.
    file: Option<BufWriter<File>>,
    written: usize,
}

impl Printed {
    pub(super) fn new(folder: &Path) -> Self {
        let mut printed = Self { folder: folder.to_owned(), file: None, written: 0 };
        printed.next_part();
        printed
    }

    fn next_part(&mut self) {
        // Written to its end before it gets its other name.
        self.file = None;
        let path = self.folder.join(NAME);
        let _ = fs::rename(&path, self.folder.join(BEFORE));
        (self.file, self.written) = (File::create(path).ok().map(BufWriter::new), 0);
    }

    pub(super) fn keep(&mut self, line: &Line) {
        let stream = match line.stream {
            Stream::Out => "out",
            Stream::Err => "err",
        };
        let Some(file) = &mut self.file else { return };
        if writeln!(file, "{stream} {}: {}", line.number, line.text).is_err() {
            self.file = None;
            return;
        }
        self.written += line.text.len() + 20;
        if self.written >= PART {
            self.next_part();
        }
    }

    /// Writes what is kept back, for whoever looks.
    pub(super) fn flush(&mut self) {
        self.file = self.file.take().and_then(|mut file| file.flush().is_ok().then_some(file));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_with_their_numbers_and_no_more_than_two_parts() {
        let dir = tempfile::tempdir().unwrap();
        let mut printed = Printed::new(dir.path());
        let line = |number: u64| Line { stream: Stream::Out, number, text: "x".repeat(1000), cut: false };
        (1..=5000).for_each(|number| printed.keep(&line(number)));
        printed.flush();
        let text = [BEFORE, NAME].map(|name| fs::read_to_string(dir.path().join(name)).unwrap()).concat();
        assert!(text.len() > PART && text.len() < 2 * PART + 2000, "{}", text.len());
        assert!(text.lines().last().unwrap().starts_with("out 5000: xxx"));
        let first: u64 = text.split([' ', ':']).nth(1).unwrap().parse().unwrap();
        assert_eq!(text.lines().count() as u64, 5001 - first, "none between is missing");
        // The next attempt begins anew.
        drop(Printed::new(dir.path()));
        assert_eq!(fs::read_to_string(dir.path().join(NAME)).unwrap(), "");
        assert!(fs::read_to_string(dir.path().join(BEFORE)).unwrap().contains("out 5000"));
    }
}
