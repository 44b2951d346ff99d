//! Text that lies compressed by gzip or Zstandard, or as UTF-16: unpacked once, into a file without a name, to be read like
//! any other.
//!
//! How a file lies is told by its first bytes and not by its name. Several members or frames one after
//! another are one text, as `cat a.gz b.gz` makes them.

use std::io::{self, BufReader, Read, Write as _};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use memmap2::Mmap;

use super::utf16::{Broken, Converted, Order};
use super::{DataError, cache};

const GZIP: &[u8] = b"\x1f\x8b";
const ZSTANDARD: &[u8] = b"\x28\xb5\x2f\xfd";
/// Bytes that are unpacked at once.
const PIECE: usize = 1 << 18;

/// Binary logarithm of the largest window that the library can read, in bytes: `zstd --long=31`. Its own limit is lower,
/// for programs that unpack what strangers send.
const WINDOW: u32 = 31;

/// A reader of Zstandard.
fn zstandard(bytes: &[u8]) -> io::Result<zstd::stream::read::Decoder<'_, &[u8]>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes)?;
    decoder.window_log_max(WINDOW)?;
    Ok(decoder)
}

/// How a file lies: what it is compressed by, and whether that is UTF-16.
struct Lies<'a> {
    compressed: Option<&'static str>,
    order: Option<Order>,
    /// Its text as UTF-8.
    reader: Box<dyn Read + 'a>,
}

impl<'a> Lies<'a> {
    fn of(bytes: &'a [u8]) -> io::Result<Self> {
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

/// Bytes of the text of a file, of which those after `most` need not be counted.
pub fn length(bytes: &[u8], most: u64) -> io::Result<u64> {
    let Lies { compressed, order, reader } = Lies::of(bytes)?;
    if compressed.is_none() && order.is_none() {
        return Ok(bytes.len() as u64);
    }
    io::copy(&mut reader.take(most.saturating_add(1)), &mut io::sink())
}

/// The text of a file, or nothing where it lies there as it is. `folder` takes it.
pub fn unpack(bytes: &[u8], path: &Path, folder: &Path) -> Result<Option<Mmap>, DataError> {
    let Lies { compressed, order, reader } =
        Lies::of(bytes).map_err(|error| damaged(Some("Zstandard"), path, &error))?;
    if compressed.is_none() && order.is_none() {
        return Ok(None);
    }
    copy(reader, compressed, path, folder).map(Some)
}

fn copy(
    mut reader: Box<dyn Read + '_>,
    compressed: Option<&str>,
    path: &Path,
    folder: &Path,
) -> Result<Mmap, DataError> {
    let mut file = tempfile::tempfile_in(folder).map_err(DataError::io("write into", folder))?;
    let mut piece = vec![0; PIECE];
    // Not io::copy, which would not tell a damaged file from a full disk.
    loop {
        let count = reader.read(&mut piece).map_err(|error| damaged(compressed, path, &error))?;
        if count == 0 {
            return cache::map_file(&file, folder);
        }
        file.write_all(&piece[..count]).map_err(DataError::io("write into", folder))?;
    }
}

fn damaged(compressed: Option<&str>, path: &Path, error: &io::Error) -> DataError {
    let Some(name) = compressed.filter(|_| error.get_ref().is_none_or(|inner| !inner.is::<Broken>())) else {
        let what = format!("this is UTF-16, and damaged or cut short: {error}; get the file again");
        return DataError::content(path, what);
    };
    if error.to_string().contains("requires too much memory") {
        let what = format!(
            "it is compressed by {name} with a window of more than 2^{WINDOW} bytes; compress it again with `zstd --long={WINDOW}`"
        );
        return DataError::content(path, what);
    }
    let what = format!("it is compressed by {name}, and damaged or cut short ({error}); get the file again");
    DataError::content(path, what)
}
