//! A report over HTTP, to a browser on the same machine: GET and HEAD of the page and the files that it links to, and
//! nothing else.
//!
//! Requests are parsed by `httparse`; the rest is short, because each connection carries one request and every answer is
//! in memory. `site` is what is served, this file the connections, `http` the requests.

mod http;
mod site;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thiserror::Error;

pub use site::Site;

/// Connections at one time.
const MOST: usize = 32;

/// Why nothing is served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// An address that others reach, without the word for it.
    #[error("other machines can reach {0}; use 127.0.0.1, or add --public to serve the report to them")]
    Public(IpAddr),
    /// The system refused.
    #[error("cannot listen on {at}: {cause}; choose another port with --port, or 0 for any free port")]
    Listen {
        /// Where.
        at: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
}

/// A server of one report, which may be replaced by a newer one while it runs.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    site: Arc<Mutex<Arc<Site>>>,
}

impl Server {
    /// Listens on an address; on one that other machines reach only where `public`.
    pub fn bind(host: IpAddr, port: u16, public: bool) -> Result<Self, ServeError> {
        if !host.is_loopback() && !public {
            return Err(ServeError::Public(host));
        }
        let at = SocketAddr::new(host, port);
        let listener = TcpListener::bind(at).map_err(|cause| ServeError::Listen { at, cause })?;
        Ok(Self { listener, site: Arc::default() })
    }

    /// The address of the page.
    pub fn url(&self) -> io::Result<String> {
        Ok(format!("http://{}/", self.listener.local_addr()?))
    }

    /// Where a newer report is put.
    pub fn shelf(&self) -> Shelf {
        Shelf(Arc::clone(&self.site))
    }

    /// Answers for ever.
    pub fn run(self) {
        let open = Arc::new(AtomicUsize::new(0));
        for stream in self.listener.incoming() {
            // A client that is gone already, or a machine out of descriptors: the next one may be luckier.
            let Ok(stream) = stream else {
                std::thread::sleep(Duration::from_millis(50));
                continue;
            };
            let guard = Guard::new(&open);
            if guard.count > MOST {
                continue;
            }
            let site = Arc::clone(&self.site.lock().expect("no holder of this lock panics"));
            let answered = move || {
                let _guard = guard;
                // A client that leaves is no fault of the server.
                let _ = http::answer(stream, &site);
            };
            let _ = std::thread::Builder::new().name("http".to_owned()).spawn(answered);
        }
    }
}

/// Where the server takes its report from.
#[derive(Clone, Debug)]
pub struct Shelf(Arc<Mutex<Arc<Site>>>);

impl Shelf {
    /// Serves this from now on.
    pub fn put(&self, site: Site) {
        *self.0.lock().expect("no holder of this lock panics") = Arc::new(site);
    }

    /// Tells how far the sweep is, with every answer.
    pub fn tell(&self, progress: &str) {
        let mut site = self.0.lock().expect("no holder of this lock panics");
        // A header is one line of ASCII.
        let progress = progress.chars().filter(|c| c.is_ascii() && !c.is_ascii_control()).collect::<String>();
        if site.progress != progress {
            Arc::make_mut(&mut site).progress = progress;
        }
    }
}

/// Counts connections while they live.
struct Guard {
    open: Arc<AtomicUsize>,
    count: usize,
}

impl Guard {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        Self { open: Arc::clone(open), count: open.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_reach_needs_the_word_for_it() {
        let error = Server::bind("0.0.0.0".parse().unwrap(), 0, false).unwrap_err();
        assert!(error.to_string().contains("--public"), "{error}");
        assert!(
            Server::bind("127.0.0.1".parse().unwrap(), 0, false)
                .unwrap()
                .url()
                .unwrap()
                .starts_with("http://127.0.0.1:")
        );
    }
}
