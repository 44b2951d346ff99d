//! Text that lies compressed or as UTF-16, unpacked once, into a file without a name, to be read like any other.

use std::io::{self, Read, Write as _};
use std::path::Path;

use memmap2::Mmap;

use super::{DataError, cache};
use crate::unpacked::{Broken, Lies, PIECE, WINDOW};

/// Bytes of the text of a file, of which those after `most` need not be counted.
pub fn length(bytes: &[u8], most: u64) -> io::Result<u64> {
    let lies = Lies::of(bytes)?;
    if lies.is_plain() {
        return Ok(bytes.len() as u64);
    }
    io::copy(&mut lies.reader.take(most.saturating_add(1)), &mut io::sink())
}

/// The beginning of the text of a file that is compressed or UTF-16, or nothing where it lies there as it is.
pub fn beginning(bytes: &[u8], path: &Path, most: u64) -> Result<Option<Vec<u8>>, DataError> {
    let Some(lies) = other_than_plain(bytes, path)? else { return Ok(None) };
    let mut text = Vec::new();
    let read = lies.reader.take(most).read_to_end(&mut text);
    read.map_err(|error| damaged(lies.compressed, path, &error))?;
    Ok(Some(text))
}

/// The text of a file, or nothing where it lies there as it is. `folder` takes it.
pub fn unpack(bytes: &[u8], path: &Path, folder: &Path) -> Result<Option<Mmap>, DataError> {
    let Some(lies) = other_than_plain(bytes, path)? else { return Ok(None) };
    copy(lies.reader, lies.compressed, path, folder).map(Some)
}

/// How a file lies, or nothing where its text lies there as it is.
fn other_than_plain<'a>(bytes: &'a [u8], path: &Path) -> Result<Option<Lies<'a>>, DataError> {
    let lies = Lies::of(bytes).map_err(|error| damaged(Some("Zstandard"), path, &error))?;
    Ok(Some(lies).filter(|lies| !lies.is_plain()))
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
