//! Text that lies compressed by gzip or Zstandard: unpacked once, into a file without a name, to be read like any other.
//!
//! What a file is compressed by is told by its first bytes and not by its name. Several members or frames one after
//! another are one text, as `cat a.gz b.gz` makes them.

use std::io::{BufReader, Read, Write as _};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use memmap2::Mmap;

use super::{DataError, cache};

const GZIP: &[u8] = b"\x1f\x8b";
const ZSTANDARD: &[u8] = b"\x28\xb5\x2f\xfd";
/// Bytes that are unpacked at once.
const PIECE: usize = 1 << 18;

/// Binary logarithm of the largest window that the library can read, in bytes: `zstd --long=31`. Its own limit is lower,
/// for programs that unpack what strangers send.
const WINDOW: u32 = 31;

/// A reader of Zstandard.
fn zstandard(bytes: &[u8]) -> std::io::Result<zstd::stream::read::Decoder<'_, &[u8]>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes)?;
    decoder.window_log_max(WINDOW)?;
    Ok(decoder)
}

/// The unpacked bytes of a file as they come, to look at.
pub fn reader(bytes: &[u8]) -> BufReader<Box<dyn Read + '_>> {
    let reader: Box<dyn Read + '_> = if bytes.starts_with(GZIP) {
        Box::new(MultiGzDecoder::new(bytes))
    } else {
        match zstandard(bytes) {
            Ok(decoder) if bytes.starts_with(ZSTANDARD) => Box::new(decoder),
            _ => Box::new(bytes),
        }
    };
    BufReader::with_capacity(PIECE, reader)
}

/// The unpacked bytes of a file, or nothing where it is not compressed. `folder` takes them.
pub fn unpack(bytes: &[u8], path: &Path, folder: &Path) -> Result<Option<Mmap>, DataError> {
    let (name, reader): (_, Box<dyn Read + '_>) = if bytes.starts_with(GZIP) {
        ("gzip", Box::new(MultiGzDecoder::new(bytes)))
    } else if bytes.starts_with(ZSTANDARD) {
        let decoder = zstandard(bytes).map_err(|error| damaged("Zstandard", path, &error))?;
        ("Zstandard", Box::new(decoder))
    } else {
        return Ok(None);
    };
    copy(reader, name, path, folder).map(Some)
}

fn copy(mut reader: Box<dyn Read + '_>, name: &str, path: &Path, folder: &Path) -> Result<Mmap, DataError> {
    let mut file = tempfile::tempfile_in(folder).map_err(DataError::io("write into", folder))?;
    let mut piece = vec![0; PIECE];
    // Not io::copy, which would not tell a damaged file from a full disk.
    loop {
        let count = reader.read(&mut piece).map_err(|error| damaged(name, path, &error))?;
        if count == 0 {
            return cache::map_file(&file, folder);
        }
        file.write_all(&piece[..count]).map_err(DataError::io("write into", folder))?;
    }
}

fn damaged(name: &str, path: &Path, error: &std::io::Error) -> DataError {
    if error.to_string().contains("requires too much memory") {
        let what = format!(
            "it is compressed by {name} with a window of more than 2^{WINDOW} bytes; compress it anew with `zstd --long={WINDOW}`"
        );
        return DataError::content(path, what);
    }
    let what = format!("it is compressed by {name}, and damaged or cut short ({error}); get the file again");
    DataError::content(path, what)
}
