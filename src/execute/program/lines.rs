//! The lines that a program prints, each at most so long: whatever it prints, memory is bounded.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::sync::mpsc::SyncSender;

/// Bytes of a line that are kept; the rest of a longer one is skipped.
pub(super) const LONGEST: usize = 1 << 16;

/// Where a line was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

/// A line with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) stream: Stream,
    /// Counted from 1.
    pub(super) number: u64,
    pub(super) text: String,
    /// Whether it was longer than what is kept.
    pub(super) cut: bool,
}

/// What a pipe brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A line.
    Line(Line),
    /// A part of one that has no end yet, as of a progress bar: a sign of life and no more.
    Part,
}

/// Sends each line, until the pipe is closed or nobody listens. What is no UTF-8 is replaced. Of a progress bar, which goes back to
/// the beginning of its line by carriage returns, what stands after the last one counts, as on a terminal.
pub(super) fn read(pipe: impl Read, stream: Stream, heard: &SyncSender<Heard>) {
    let mut pipe = BufReader::new(pipe);
    let mut reading = Reading { stream, number: 1, bytes: Vec::new(), cut: false, returned: false };
    loop {
        let chunk = match pipe.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
            Ok(chunk) => chunk,
        };
        let (length, mut rest) = (chunk.len(), chunk);
        let mut lines = Vec::new();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            reading.take(&rest[..end]);
            lines.push(reading.end());
            rest = &rest[end + 1..];
        }
        reading.take(rest);
        pipe.consume(length);
        let part = lines.is_empty() && length > 0;
        if lines.into_iter().chain(part.then_some(Heard::Part)).any(|said| heard.send(said).is_err()) {
            return;
        }
        if length == 0 {
            if !reading.bytes.is_empty() {
                let _ = heard.send(reading.end());
            }
            return;
        }
    }
}

/// A line that is read.
struct Reading {
    stream: Stream,
    number: u64,
    bytes: Vec<u8>,
    cut: bool,
    /// Whether it ends with a carriage return up to now: what follows is written over it.
    returned: bool,
}

impl Reading {
    /// Adds to it, up to its share.
    fn take(&mut self, mut bytes: &[u8]) {
        if bytes.contains(&b'\r') {
            let is_return = |byte: &u8| *byte == b'\r';
            let end = bytes.len() - bytes.iter().rev().take_while(|byte| is_return(byte)).count();
            let begin = bytes[..end].iter().rposition(is_return).map(|at| at + 1);
            self.begin_anew(begin.is_some() || self.returned && end > 0);
            self.returned = end < bytes.len();
            bytes = &bytes[begin.unwrap_or(0)..end];
        } else if !bytes.is_empty() {
            self.begin_anew(self.returned);
        }
        let room = LONGEST - self.bytes.len();
        self.cut |= bytes.len() > room;
        self.bytes.extend(&bytes[..bytes.len().min(room)]);
    }

    /// Forgets what is written over.
    fn begin_anew(&mut self, anew: bool) {
        if anew {
            self.bytes.clear();
            (self.cut, self.returned) = (false, false);
        }
    }

    /// Ends it, and begins the next one.
    fn end(&mut self) -> Heard {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        let line = Line { stream: self.stream, number: self.number, text, cut: self.cut };
        self.bytes.clear();
        (self.number, self.cut, self.returned) = (self.number + 1, false, false);
        Heard::Line(line)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    fn lines(printed: &[u8]) -> Vec<(u64, String, bool)> {
        let (sender, receiver) = sync_channel(1 << 16);
        read(printed, Stream::Out, &sender);
        drop(sender);
        let line = |heard| if let Heard::Line(line) = heard { Some((line.number, line.text, line.cut)) } else { None };
        receiver.iter().filter_map(line).collect()
    }

    #[test]
    fn lines_end_at_line_feeds_and_the_last_at_the_end() {
        let expected = [(1, "a".to_owned(), false), (2, "b".to_owned(), false), (3, "half".to_owned(), false)];
        assert_eq!(lines(b"a\r\nb\nhalf"), expected);
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn a_line_that_does_not_end_takes_no_more_memory_than_its_share() {
        let mut long = vec![b'x'; 100 << 20];
        long.extend(b"\nnext\n");
        let found = lines(&long);
        assert_eq!((found[0].1.len(), found[0].2), (LONGEST, true));
        assert_eq!(found[1], (2, "next".to_owned(), false));
    }

    /// A pipe that brings these pieces, each by itself.
    struct Pieces(Vec<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            into[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn of_a_progress_bar_the_end_counts_and_each_part_is_a_sign_of_life() {
        let line =
            |number, text: &str| Heard::Line(Line { stream: Stream::Out, number, text: text.to_owned(), cut: false });
        let (sender, receiver) = sync_channel(100);
        let pieces: Vec<&[u8]> = vec![b"1%", b"\r2%\r", b"3%\r\r{\"a\": 1}\r", b"\n", b"next\r", b"\n.", b"."];
        read(Pieces(pieces), Stream::Out, &sender);
        drop(sender);
        let heard: Vec<Heard> = receiver.iter().collect();
        let part = || Heard::Part;
        let expected = [part(), part(), part(), line(1, "{\"a\": 1}"), part(), line(2, "next"), part(), line(3, "..")];
        assert_eq!(heard, expected);
        // A bar of any length takes no room from what follows it.
        let bar = [b"50%\r".repeat(LONGEST), b"{}\nlast".to_vec()].concat();
        assert_eq!(lines(&bar), [(1, "{}".to_owned(), false), (2, "last".to_owned(), false)]);
    }

    #[test]
    fn noise_is_replaced() {
        assert_eq!(lines(b"\xff\xfe\n")[0].1, "\u{fffd}\u{fffd}");
    }
}
