//! Files that are whole or absent: written aside, synced, given their name, the folder synced.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Replaces a file as a whole, durably.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    fill(path, &mut |file| file.write_all(content))
}

/// Replaces a file as a whole; when the machine fails soon after, it may be lost.
pub fn write_unsynced(path: &Path, content: &[u8]) -> io::Result<()> {
    let aside = filled(path, &mut |file| file.write_all(content), |_| Ok(()))?;
    named(&aside, fs::rename(&aside, path))
}

/// Replaces a file by what `fill` writes, durably.
pub fn fill(path: &Path, fill: Fill<'_>) -> io::Result<()> {
    let aside = filled(path, fill, File::sync_all)?;
    named(&aside, fs::rename(&aside, path))?;
    sync_dir(parent(path))
}

/// The same, and keeps the file before it as `previous`. After a crash at any moment one of the two is whole.
pub fn rotate(path: &Path, previous: &Path, fill: Fill<'_>) -> io::Result<()> {
    let aside = filled(path, fill, File::sync_all)?;
    let renamed = match fs::rename(path, previous) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => fs::rename(&aside, path),
    };
    named(&aside, renamed)?;
    sync_dir(parent(path))
}

/// Gives `content` the name `path` unless that name is taken; tells whether it was free. Of many who call this at
/// once exactly one gets `true`, on NFS too, because link(2) never replaces. Where there are no links, as on the file systems of
/// sticks and shares, a rename that does not replace does the same.
pub fn publish(path: &Path, content: &[u8]) -> io::Result<bool> {
    let aside = filled(path, &mut |file| file.write_all(content), File::sync_all)?;
    let taken = |error: &io::Error| error.kind() == ErrorKind::AlreadyExists;
    let named = match fs::hard_link(&aside, path) {
        Err(no_link) if !taken(&no_link) => rename_unless_taken(&aside, path).map_err(|error| {
            // Whoever could write the file beside it has the right to; it is links that are missing.
            if taken(&error) { error } else { io::Error::new(ErrorKind::Unsupported, no_link) }
        }),
        linked => linked,
    };
    let _ = fs::remove_file(&aside);
    match named {
        Err(error) if taken(&error) => return Ok(false),
        named => named?,
    }
    sync_dir(parent(path))?;
    Ok(true)
}

/// Gives a file another name unless that is taken.
fn rename_unless_taken(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    return rustix::fs::renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, to, rustix::fs::RenameFlags::NOREPLACE)
        .map_err(io::Error::from);
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    Err(io::Error::new(ErrorKind::Unsupported, format!("{} cannot become {}", from.display(), to.display())))
}

/// Makes the names in a folder durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    // Only Unix opens folders; elsewhere the rename is as durable as the system makes it.
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// What writes the content of a file.
pub type Fill<'a> = &'a mut dyn FnMut(&mut dyn Write) -> io::Result<()>;

/// A new file beside `path` with what `fill` writes, made durable by `sync`.
fn filled(path: &Path, fill: Fill<'_>, sync: fn(&File) -> io::Result<()>) -> io::Result<PathBuf> {
    let (aside, file) = create_aside(path)?;
    // Whoever may read the file that it replaces may read this one, where the file system has such rights.
    if let Ok(there) = fs::metadata(path) {
        let _ = file.set_permissions(there.permissions());
    }
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let written = fill(&mut file).and_then(|()| file.flush()).and_then(|()| sync(file.get_ref()));
    named(&aside, written)?;
    Ok(aside)
}

/// Removes what is left aside where it did not get its name.
fn named(aside: &Path, result: io::Result<()>) -> io::Result<()> {
    result.inspect_err(|_| drop(fs::remove_file(aside)))
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
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(any(target_os = "linux", target_os = "macos"))]
    #[test]
    fn a_rename_takes_nobodys_place_either() {
        let dir = tempfile::tempdir().unwrap();
        let [first, second, name] = ["first", "second", "name"].map(|name| dir.path().join(name));
        fs::write(&first, "first").unwrap();
        fs::write(&second, "second").unwrap();
        rename_unless_taken(&first, &name).unwrap();
        assert_eq!(rename_unless_taken(&second, &name).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&name).unwrap(), "first");
    }

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
    fn writing_replaces_the_whole_file_and_leaves_nothing_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runs.csv");
        write(&path, b"a long first content").unwrap();
        write(&path, b"short").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"short");
        let failed = fill(&path, &mut |file| file.write_all(b"half").and(Err(io::Error::other("full"))));
        assert_eq!(failed.unwrap_err().to_string(), "full");
        assert_eq!(fs::read(&path).unwrap(), b"short", "as it was");
        rotate(&path, &dir.path().join("before.csv"), &mut |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(dir.path().join("before.csv")).unwrap(), b"short");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    #[cfg(unix)]
    fn a_file_that_is_replaced_keeps_who_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runs.csv");
        write(&path, b"first").unwrap();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        for asked in [0o600, 0o664, 0o440] {
            fs::set_permissions(&path, fs::Permissions::from_mode(asked)).unwrap();
            write(&path, b"second").unwrap();
            assert_eq!(mode(), asked);
        }
    }
}
