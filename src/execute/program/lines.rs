//! The lines that a program prints, each at most so long: whatever it prints, memory is bounded.

use std::io::{BufRead, BufReader, Read};
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

/// Sends each line, until the pipe is closed or nobody listens. What is no UTF-8 is replaced.
pub(super) fn read(pipe: impl Read, stream: Stream, lines: &SyncSender<Line>) {
    let mut pipe = BufReader::new(pipe);
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let Ok(Some(cut)) = next(&mut pipe, &mut bytes) else { return };
        let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
        if lines.send(Line { stream, number, text, cut }).is_err() {
            return;
        }
    }
}

/// The next line, and whether it was cut; nothing at the end.
fn next(pipe: &mut impl BufRead, bytes: &mut Vec<u8>) -> std::io::Result<Option<bool>> {
    pipe.by_ref().take(LONGEST as u64).read_until(b'\n', bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let cut = bytes.len() == LONGEST && bytes.last() != Some(&b'\n');
    if cut {
        pipe.skip_until(b'\n')?;
    }
    Ok(Some(cut))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    fn lines(printed: &[u8]) -> Vec<(u64, String, bool)> {
        let (sender, receiver) = sync_channel(100);
        read(printed, Stream::Out, &sender);
        drop(sender);
        receiver.iter().map(|line| (line.number, line.text, line.cut)).collect()
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

    #[test]
    fn noise_is_replaced() {
        assert_eq!(lines(b"\xff\xfe\n")[0].1, "\u{fffd}\u{fffd}");
    }
}
