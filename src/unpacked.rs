//! Text that lies compressed by gzip or Zstandard, or as UTF-16, as what it says.
//!
//! How a file lies is told by its first bytes and not by its name. Several members or frames one after
//! another are one text, as `cat a.gz b.gz` makes them.

mod utf16;

use std::io::{self, BufReader, Read};

use flate2::bufread::GzDecoder;

pub use self::utf16::Broken;
use self::utf16::{Converted, Order};

const GZIP: &[u8] = b"\x1f\x8b";
const ZSTANDARD: &[u8] = b"\x28\xb5\x2f\xfd";
/// A frame without text begins with one of 16 bytes and this; `pzstd` writes one in front of each of its frames.
const SKIPPABLE: &[u8] = b"\x2a\x4d\x18";
/// Bytes that are unpacked at once.
pub const PIECE: usize = 1 << 18;

/// Binary logarithm of the largest window that the library can read, in bytes: `zstd --long=31`. Its own limit is lower,
/// for programs that unpack what strangers send.
pub const WINDOW: u32 = 31;

fn is_zstandard(bytes: &[u8]) -> bool {
    let skippable = |(first, rest): (&u8, &[u8])| first >> 4 == 5 && rest.starts_with(SKIPPABLE);
    bytes.starts_with(ZSTANDARD) || bytes.split_first().is_some_and(skippable)
}

/// A reader of Zstandard.
fn zstandard(bytes: &[u8]) -> io::Result<zstd::stream::read::Decoder<'_, &[u8]>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes)?;
    decoder.window_log_max(WINDOW)?;
    Ok(decoder)
}

/// How a file lies: what it is compressed by, and whether that is UTF-16.
pub struct Lies<'a> {
    /// What it is compressed by.
    pub compressed: Option<&'static str>,
    order: Option<Order>,
    /// Its text as UTF-8.
    pub reader: Box<dyn Read + 'a>,
}

impl<'a> Lies<'a> {
    /// By the first bytes.
    pub fn of(bytes: &'a [u8]) -> io::Result<Self> {
        let (compressed, mut unpacked): (_, Box<dyn Read + 'a>) = if bytes.starts_with(GZIP) {
            (Some("gzip"), Box::new(Members(GzDecoder::new(bytes))))
        } else if is_zstandard(bytes) {
            (Some("Zstandard"), Box::new(zstandard(bytes)?))
        } else {
            (None, Box::new(bytes))
        };
        let mut beginning = Vec::new();
        if let Err(error) = unpacked.by_ref().take(4).read_to_end(&mut beginning) {
            // Told when it is read: by then it is known what for.
            let reader = Box::new(Failed(Some(error)));
            return Ok(Self { compressed, order: None, reader });
        }
        let order = Order::of(&beginning);
        let whole = io::Cursor::new(beginning).chain(unpacked);
        let reader: Box<dyn Read + 'a> = match order {
            Some(order) => Box::new(Converted::new(whole, order)),
            None => Box::new(whole),
        };
        Ok(Self { compressed, order, reader })
    }

    /// Whether its text lies there as it is.
    pub fn is_plain(&self) -> bool {
        self.compressed.is_none() && self.order.is_none()
    }
}

/// The members of a file by gzip, one after another. Zeros behind them are no member: tapes fill up with them.
struct Members<'a>(GzDecoder<&'a [u8]>);

impl Read for Members<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.0.read(out)?;
            let rest: &[u8] = self.0.get_ref();
            if count > 0 || out.is_empty() || rest.iter().all(|byte| *byte == 0) {
                return Ok(count);
            }
            self.0 = GzDecoder::new(rest);
        }
    }
}

/// A reader that only tells why there is nothing to read.
struct Failed(Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// The text of a file as it comes, to look at.
pub fn reader(bytes: &[u8]) -> BufReader<Box<dyn Read + '_>> {
    let reader =
        Lies::of(bytes).map_or_else(|error| Box::new(Failed(Some(error))) as Box<dyn Read>, |lies| lies.reader);
    BufReader::with_capacity(PIECE, reader)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn text(bytes: &[u8]) -> io::Result<String> {
        let mut text = String::new();
        Lies::of(bytes)?.reader.read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn frames_without_text_are_passed_over_also_in_front_as_pzstd_writes_them() {
        let frame = |text: &str| zstd::encode_all(text.as_bytes(), 3).unwrap();
        for kind in [0x50, 0x5f] {
            let skipped = [kind, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
            let bytes = [&skipped[..], &frame("first "), &skipped, &frame("second")].concat();
            assert_eq!(Lies::of(&bytes).unwrap().compressed, Some("Zstandard"));
            assert_eq!(text(&bytes).unwrap(), "first second");
        }
        assert!(Lies::of(b"P*M, it says").unwrap().is_plain());
    }

    #[test]
    fn members_of_gzip_are_one_text_and_zeros_behind_them_are_none() {
        let member = |text: &str| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        let both = [member("first "), member(""), member("second")].concat();
        assert_eq!(text(&both).unwrap(), "first second");
        assert_eq!(text(&[&both[..], &[0; 700]].concat()).unwrap(), "first second");
        for damaged in [[&both[..], b"\0\0x"].concat(), both[..both.len() - 1].to_vec(), both[..30].to_vec()] {
            assert!(text(&damaged).is_err(), "{} bytes", damaged.len());
        }
    }
}
