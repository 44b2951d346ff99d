//! Ctrl-C and its kin, as values.

use std::io;
use std::sync::mpsc::{Receiver, channel};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The number of each signal that asks this process to end, once they are asked for here. A second one ends it at
/// once, with the exit code 128 + its number, as shells have it.
pub fn interrupts() -> io::Result<Receiver<i32>> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut asked = false;
        for signal in signals.forever() {
            // Nobody listens any more: what comes after the runs is short, and repeated by the next call.
            if asked || sender.send(signal).is_err() {
                std::process::exit(128 + signal);
            }
            asked = true;
        }
    });
    Ok(receiver)
}
