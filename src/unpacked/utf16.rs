//! UTF-16 with a byte order mark, as Windows and spreadsheets write text: read as the UTF-8 that says the same.

use std::fmt;
use std::io::{self, Read};

/// Bytes that are converted at once.
const PIECE: usize = 1 << 16;

/// Which byte of two comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The lower.
    Little,
    /// The higher.
    Big,
}

impl Order {
    /// What the mark says at the beginning of a file; nothing where there is none, or the one of UTF-32.
    pub fn of(beginning: &[u8]) -> Option<Self> {
        match beginning {
            [0xff, 0xfe, 0, 0, ..] => None,
            [0xff, 0xfe, ..] => Some(Self::Little),
            [0xfe, 0xff, ..] => Some(Self::Big),
            _ => None,
        }
    }
}

/// Why a file that begins as UTF-16 cannot be converted.
#[derive(Debug)]
pub struct Broken(String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

/// Converts what another reader reads, which begins with the mark.
pub struct Converted<R> {
    inner: R,
    order: Order,
    /// Bytes that were read and are not converted: half of a unit, or the first half of a pair.
    left: Vec<u8>,
    /// Bytes that were converted before those.
    offset: usize,
    /// What was converted, and how much of it was handed on.
    out: String,
    given: usize,
}

impl<R: Read> Converted<R> {
    /// Of a reader whose bytes are in this order.
    pub fn new(inner: R, order: Order) -> Self {
        Self { inner, order, left: Vec::new(), offset: 0, out: String::new(), given: 0 }
    }

    /// Converts the next piece. Nothing more comes where it converts none.
    fn fill(&mut self) -> io::Result<()> {
        self.out.clear();
        self.given = 0;
        while self.out.is_empty() {
            let before = self.left.len();
            self.left.resize(before + PIECE, 0);
            let count = self.inner.read(&mut self.left[before..])?;
            self.left.truncate(before + count);
            self.convert(count == 0)?;
            if count == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Converts all whole characters of what is left; at the end nothing may be left over.
    fn convert(&mut self, end: bool) -> io::Result<()> {
        let read = match self.order {
            Order::Little => u16::from_le_bytes,
            Order::Big => u16::from_be_bytes,
        };
        let mut units: Vec<u16> = self.left.as_chunks().0.iter().map(|pair| read(*pair)).collect();
        // The other half of a pair may come with the next piece.
        if !end && units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit)) {
            units.pop();
        }
        if end && self.left.len() % 2 == 1 {
            return Err(self.broken(self.left.len() - 1, "half a character at its end"));
        }
        let mut at = 0;
        for character in char::decode_utf16(units.iter().copied()) {
            let Ok(character) = character else { return Err(self.broken(at, "half a pair of surrogates")) };
            // The mark itself is no text.
            if self.offset + at > 0 || character != '\u{feff}' {
                self.out.push(character);
            }
            at += 2 * character.len_utf16();
        }
        self.left.drain(..at);
        self.offset += at;
        Ok(())
    }

    fn broken(&self, at: usize, what: &str) -> io::Error {
        let offset = self.offset + at;
        io::Error::new(io::ErrorKind::InvalidData, Broken(format!("{what} (byte offset {offset})")))
    }
}

impl<R: Read> Read for Converted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.out.len() {
            self.fill()?;
        }
        let rest = &self.out.as_bytes()[self.given..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands on a few bytes at a time.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let end = self.1.min(buffer.len());
            self.0.read(&mut buffer[..end])
        }
    }

    fn converted(bytes: &[u8], at_once: usize) -> Result<String, String> {
        let mut text = String::new();
        let order = Order::of(bytes).expect("it has a mark");
        let read = Converted::new(Drops(bytes, at_once), order).read_to_string(&mut text);
        read.map(|_| text).map_err(|error| error.to_string())
    }

    #[test]
    fn both_orders_give_the_text_whatever_comes_at_once() {
        let fox = "\u{1f98a}a";
        for (at_once, foxes) in [(1, 3), (2, 3), (3, 3), (5, 3), (1000, 500), (PIECE, PIECE)] {
            let text = format!("Stra\u{df}e, \u{6771}\u{4eac}, \u{1f98a}\u{feff}!\r\n{}", fox.repeat(foxes));
            let encode = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
                format!("\u{feff}{text}").encode_utf16().flat_map(order).collect()
            };
            for bytes in [encode(u16::to_le_bytes), encode(u16::to_be_bytes)] {
                assert!(converted(&bytes, at_once).as_ref() == Ok(&text), "{at_once} bytes at once");
            }
        }
        assert_eq!(converted(b"\xff\xfe", 1).unwrap(), "");
        assert_eq!(Order::of(b"\xff\xfe\0\0"), None, "UTF-32");
    }

    #[test]
    fn what_is_cut_in_a_character_is_told_with_its_place() {
        assert!(converted(b"\xff\xfea\0b", 3).unwrap_err().contains("half a character at its end (byte offset 4)"));
        for bytes in [&b"\xff\xfea\0\x3e\xd8"[..], b"\xff\xfea\0\x3e\xd8a\0", b"\xff\xfea\0\x8a\xdd"] {
            for at_once in [1, 100] {
                let error = converted(bytes, at_once).unwrap_err();
                assert!(error.contains("half a pair of surrogates (byte offset 4)"), "{error}");
            }
        }
    }
}
