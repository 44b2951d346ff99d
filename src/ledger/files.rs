//! Files that are whole or absent: written aside, fsynced, given their name, the folder fsynced.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::LedgerError;

/// Replaces a file as a whole, durably.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), LedgerError> {
    rename(&write_aside(path, content, File::sync_all)?, path)?;
    sync_dir(parent(path))
}

/// Replaces a file as a whole; when the machine fails soon after, it may be lost.
pub(super) fn write_unsynced(path: &Path, content: &[u8]) -> Result<(), LedgerError> {
    rename(&write_aside(path, content, |_| Ok(()))?, path)
}

fn rename(aside: &Path, path: &Path) -> Result<(), LedgerError> {
    fs::rename(aside, path).map_err(|cause| {
        // The reason is in `cause`; what is left aside is only litter.
        let _ = fs::remove_file(aside);
        LedgerError::io("write", path)(cause)
    })
}

/// Replaces a file by a value as JSON.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), LedgerError> {
    write(path, &json(value))
}

/// Gives `content` the name `path` unless that name is taken; tells whether it was free. Of many who call this at
/// once exactly one gets `true`, on NFS too, because link(2) never replaces.
pub(super) fn publish(path: &Path, content: &[u8]) -> Result<bool, LedgerError> {
    let aside = write_aside(path, content, File::sync_all)?;
    let linked = fs::hard_link(&aside, path);
    let _ = fs::remove_file(&aside);
    match linked {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(cause) => return Err(LedgerError::io("publish", path)(cause)),
    }
    sync_dir(parent(path))?;
    Ok(true)
}

/// Makes the names in a folder durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), LedgerError> {
    // Only Unix opens folders; elsewhere the rename is as durable as the system makes it.
    if cfg!(unix) {
        File::open(dir).and_then(|folder| folder.sync_all()).map_err(LedgerError::io("sync", dir))?;
    }
    Ok(())
}

/// Makes a folder and its parents.
pub(super) fn create_dir(dir: &Path) -> Result<(), LedgerError> {
    fs::create_dir_all(dir).map_err(LedgerError::io("create", dir))
}

/// A value as pretty JSON with a newline at its end.
pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("the ledger's records have only string keys");
    text.push(b'\n');
    text
}

/// What stands before the checksum of a sealed file, and after it.
const SEAL: [&str; 2] = [",\n  \"blake3\": \"", "\"\n}\n"];

/// An object as pretty JSON whose last field is the BLAKE3 checksum of all the text before it.
pub(super) fn sealed_json(value: &impl Serialize) -> Vec<u8> {
    let mut text = json(value);
    text.truncate(text.len() - "\n}\n".len());
    let checksum = blake3::hash(&text).to_hex();
    text.extend([SEAL[0], &checksum, SEAL[1]].concat().bytes());
    text
}

/// The value of a sealed file, nothing where there is none.
pub(super) fn read_sealed<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, LedgerError> {
    let Some(mut content) = read(path)? else { return Ok(None) };
    let damaged = |reason: String| LedgerError::Damaged { path: path.to_owned(), reason };
    let seal = SEAL[0].len() + 2 * blake3::OUT_LEN + SEAL[1].len();
    let end = content.len().saturating_sub(seal);
    let expected = [SEAL[0], &blake3::hash(&content[..end]).to_hex(), SEAL[1]].concat();
    if content[end..] != *expected.as_bytes() {
        return Err(damaged("its checksum does not match".to_owned()));
    }
    content.truncate(end);
    content.push(b'}');
    serde_json::from_slice(&content).map(Some).map_err(|error| damaged(error.to_string()))
}

/// The bytes of a file, nothing where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, LedgerError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(LedgerError::io("read", path)(cause)),
    }
}

/// The value of a JSON file, nothing where there is none.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, LedgerError> {
    let Some(content) = read(path)? else { return Ok(None) };
    serde_json::from_slice(&content).map(Some).map_err(|error| damaged(path, &error))
}

/// The values of a file with one JSON value a line. A last line without its newline was torn by a crash and is left
/// out; anything else that does not parse is damage.
pub(super) fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, LedgerError> {
    let content = fs::read(path).map_err(LedgerError::io("read", path))?;
    let whole = content.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    content[..whole]
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).map_err(|error| damaged(path, &error)))
        .collect()
}

/// Writes to a new file beside `path`, and makes it durable by `sync`.
fn write_aside(path: &Path, content: &[u8], sync: fn(&File) -> io::Result<()>) -> Result<PathBuf, LedgerError> {
    let (aside, mut file) = create_aside(path).map_err(LedgerError::io("write", path))?;
    if let Err(cause) = file.write_all(content).and_then(|()| sync(&file)) {
        let _ = fs::remove_file(&aside);
        return Err(LedgerError::io("write", path)(cause));
    }
    Ok(aside)
}

/// Replaces a file by what `fill` writes, durably, and keeps the file before it as `previous`. After a crash at any
/// moment one of the two is whole.
pub(super) fn rotate(
    path: &Path,
    previous: &Path,
    fill: &mut dyn FnMut(&mut dyn io::Write) -> io::Result<()>,
) -> io::Result<()> {
    let (aside, file) = create_aside(path)?;
    let mut file = io::BufWriter::with_capacity(1 << 20, file);
    let written = fill(&mut file).and_then(|()| file.flush()).and_then(|()| file.get_ref().sync_all());
    let renamed = written.and_then(|()| match fs::rename(path, previous) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::rename(&aside, path),
    });
    if let Err(error) = renamed {
        let _ = fs::remove_file(&aside);
        return Err(error);
    }
    if cfg!(unix) { File::open(parent(path))?.sync_all() } else { Ok(()) }
}

/// A new file beside `path` that nobody else writes to. Not the `tempfile` crate: it makes files that only their
/// owner may read, and a rename keeps that.
fn create_aside(path: &Path) -> io::Result<(PathBuf, File)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let aside = path.with_file_name(format!(".{name}.{}-{count}.tmp", std::process::id()));
        match File::create_new(&aside) {
            Ok(file) => return Ok((aside, file)),
            // Litter of a process that died, or another host's process of the same number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

fn damaged(path: &Path, error: &serde_json::Error) -> LedgerError {
    LedgerError::Damaged { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_eight_threads_that_publish_at_once_exactly_one_is_first() {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..50 {
            let path = dir.path().join(format!("result-{round}.json"));
            let barrier = std::sync::Barrier::new(8);
            let firsts = std::thread::scope(|scope| {
                let publishers: Vec<_> = (0..8)
                    .map(|thread: usize| {
                        let (path, barrier) = (&path, &barrier);
                        scope.spawn(move || {
                            barrier.wait();
                            (thread, publish(path, thread.to_string().repeat(5000).as_bytes()).unwrap())
                        })
                    })
                    .collect();
                publishers.into_iter().map(|p| p.join().unwrap()).filter(|(_, first)| *first).collect::<Vec<_>>()
            });
            assert_eq!(firsts.len(), 1);
            let content = fs::read_to_string(&path).unwrap();
            assert_eq!(content, firsts[0].0.to_string().repeat(5000), "the first one's content, whole");
        }
        let litter = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(litter, 50, "nothing is left aside");
    }

    #[test]
    fn a_torn_last_line_is_left_out_and_a_broken_one_before_it_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        fs::write(&path, "1\n2\n{\"st").unwrap();
        assert_eq!(read_lines::<u32>(&path).unwrap(), [1, 2]);
        // Complete but for its newline is torn as well: a number may have lost digits.
        fs::write(&path, "1\n23").unwrap();
        assert_eq!(read_lines::<u32>(&path).unwrap(), [1]);
        fs::write(&path, "1\n{\"st\n3\n").unwrap();
        assert!(matches!(read_lines::<u32>(&path), Err(LedgerError::Damaged { .. })));
    }

    #[test]
    fn writing_replaces_the_whole_file_and_leaves_nothing_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runs.csv");
        write(&path, b"a long first content").unwrap();
        write(&path, b"short").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"short");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn below_a_regular_file_nothing_can_be_written_and_the_error_says_so() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = create_dir(&file.path().join("results")).unwrap_err().to_string();
        assert!(error.contains("is a file") && error.contains("--out"), "{error}");
    }
}
