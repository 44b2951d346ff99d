//! Text that lies compressed by gzip or Zstandard, or as UTF-16, as what it says.
//!
//! How a file lies is told by its first bytes and not by its name. Several members or frames one after
//! another are one text, as `cat a.gz b.gz` makes them.

mod utf16;

use std::io::{self, BufReader, Read};

use flate2::read::MultiGzDecoder;

pub use self::utf16::Broken;
use self::utf16::{Converted, Order};

const GZIP: &[u8] = b"\x1f\x8b";
const ZSTANDARD: &[u8] = b"\x28\xb5\x2f\xfd";
/// Bytes that are unpacked at once.
pub const PIECE: usize = 1 << 18;

/// Binary logarithm of the largest window that the library can read, in bytes: `zstd --long=31`. Its own limit is lower,
/// for programs that unpack what strangers send.
pub const WINDOW: u32 = 31;

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
            (Some("gzip"), Box::new(MultiGzDecoder::new(bytes)))
        } else if bytes.starts_with(ZSTANDARD) {
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
