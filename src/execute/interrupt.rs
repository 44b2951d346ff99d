//! Ctrl-C and its kin, as values.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

/// The number of the signal that asks this process to end, once it is asked for here; a second Ctrl-C comes as well,
/// other signals only once. Where nobody listens any more a signal ends the process at once, with the exit code 128 +
/// its number, as shells have it.
pub fn interrupts() -> io::Result<Receiver<i32>> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1])?;
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut asked = false;
        for signal in signals.forever() {
            // A batch system sends several before it kills; only a person means "at once" by the second.
            if (!asked || signal == SIGINT) && sender.send(signal).is_err() {
                std::process::exit(128 + signal);
            }
            asked = true;
        }
    });
    Ok(receiver)
}

/// A flag that becomes true when this process is asked to end; a second Ctrl-C ends it at once.
pub fn stop_flag() -> io::Result<Arc<AtomicBool>> {
    let interrupts = interrupts()?;
    let flag = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&flag);
    std::thread::spawn(move || {
        for signal in interrupts {
            if stop.swap(true, Ordering::Relaxed) {
                std::process::exit(128 + signal);
            }
        }
    });
    Ok(flag)
}

/// A file that grows over the limit of file sizes (`ulimit -f`) is an error of whoever writes it, and ends nothing.
pub fn files_may_be_too_large() {
    // The flag is never read: a handler of any kind keeps the process alive.
    #[cfg(unix)]
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// Ends the process at once: other threads of it may stand in a driver or a compiler, whose own farewell would wait for them.
pub fn leave(code: u8) -> ! {
    signal_hook::low_level::exit(code.into())
}
