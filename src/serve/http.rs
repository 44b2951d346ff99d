//! One request and its answer: what is asked for, by whom, and what may be given.
//!
//! A page on the internet that makes its own name point here (DNS rebinding) is told apart by the Host header: it must be
//! an address of this machine or `localhost`, with the port that is listened on.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::site::Site;

/// Bytes of a request at most.
const LONGEST: usize = 16 * 1024;
/// Headers of a request at most.
const HEADERS: usize = 64;
/// Time that a client has for its request, and again for taking the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// One request and its answer.
pub(super) fn answer(mut stream: TcpStream, site: &Site) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let here = stream.local_addr()?;
    let request = read(&mut stream)?;
    let (head, body) = reply(&request, here, site);
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    stream.flush()
}

/// The request up to the empty line; a body is not waited for.
fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let end = Instant::now() + PATIENCE;
    let mut request = Vec::new();
    let mut piece = [0; 2048];
    while request.len() < LONGEST && !request.windows(4).any(|w| w == b"\r\n\r\n") {
        let left = end.saturating_duration_since(Instant::now());
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        match stream.read(&mut piece)? {
            0 => break,
            _ if left.is_zero() => return Err(io::ErrorKind::TimedOut.into()),
            count => request.extend_from_slice(&piece[..count]),
        }
    }
    Ok(request)
}

/// Head and body of the answer to a request that reached `here`.
fn reply<'a>(request: &[u8], here: SocketAddr, site: &'a Site) -> (String, &'a str) {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let whole = matches!(parsed.parse(request), Ok(httparse::Status::Complete(_)));
    let (Some(method), Some(path), true) = (parsed.method, parsed.path, whole) else {
        return refuse("400 Bad Request", "This request cannot be read.\n");
    };
    let mut hosts = parsed.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    let host = hosts.next().and_then(|header| std::str::from_utf8(header.value).ok());
    if hosts.next().is_some() || !host.is_some_and(|host| is_here(host, here)) {
        return refuse("421 Misdirected Request", "This server answers only to its address and to localhost.\n");
    }
    if !matches!(method, "GET" | "HEAD") {
        return refuse("405 Method Not Allowed\r\nAllow: GET, HEAD", "Only GET and HEAD.\n");
    }
    let Some(file) = site.files.get(path) else {
        return refuse("404 Not Found", "There is only the report here, at /.\n");
    };
    let page = path == "/";
    // The page brings a stricter policy of its own; drawings have a style sheet in them.
    let policy = if page { "frame-ancestors 'none'" } else { "default-src 'none'; style-src 'unsafe-inline'" };
    let tag = format!("ETag: {}\r\nX-Progress: {}\r\nContent-Security-Policy: {policy}\r\n", file.tag, site.progress);
    let head = head("200 OK", file.kind, file.text.len(), &tag);
    (head, if method == "HEAD" { "" } else { &file.text })
}

/// Whether a Host header names the address that the request reached, or `localhost` where that is loopback.
fn is_here(host: &str, here: SocketAddr) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        // The colons of an address in brackets are its own.
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
        _ => (host, Some(80)),
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let address = bare.parse::<IpAddr>().is_ok_and(|ip| ip == here.ip().to_canonical());
    let local = here.ip().to_canonical().is_loopback() && name.eq_ignore_ascii_case("localhost");
    port == Some(here.port()) && (address || local)
}

fn refuse(status: &str, why: &'static str) -> (String, &'static str) {
    (head(status, "text/plain; charset=utf-8", why.len(), ""), why)
}

fn head(status: &str, kind: &str, length: usize, more: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\n{more}\r\n"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::report::Report;
    use crate::serve::Server;

    fn site() -> Site {
        let report =
            Report { page: "<h1>ä</h1>".to_owned(), files: vec![("figures/a.svg".to_owned(), "<svg/>".to_owned())] };
        Site::from(report)
    }

    fn ask(request: &str) -> (String, String) {
        let site = site();
        let (head, body) = reply(request.as_bytes(), "127.0.0.1:8311".parse().unwrap(), &site);
        (head, body.to_owned())
    }

    fn status(request: &str) -> String {
        ask(request).0.split(' ').nth(1).unwrap().to_owned()
    }

    #[test]
    fn the_page_and_its_files_are_served_and_no_other_path() {
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost:8311\r\n\r\n");
        let (head, body) = ask(&get("/"));
        assert!(head.contains("Content-Length: 11\r\n") && head.contains("no-store") && body == "<h1>ä</h1>", "{head}");
        assert!(ask(&get("/figures/a.svg")).0.contains("image/svg+xml"));
        for path in ["/figures/../Cargo.toml", "/spec.toml", "/figures/", "//", "/%2e%2e/", "http://evil/", "/?a"] {
            assert_eq!(status(&get(path)), "404", "{path}");
        }
        let (head, body) = ask(&get("/").replace("GET", "HEAD"));
        assert!(head.contains("Content-Length: 11\r\n") && head.contains("ETag: \"") && body.is_empty());
        assert_eq!(status(&get("/").replace("GET", "POST")), "405");
    }

    #[test]
    fn a_name_that_was_made_to_point_here_is_refused() {
        let with = |host: &str| format!("GET / HTTP/1.1\r\n{host}\r\n\r\n");
        for host in ["127.0.0.1:8311", "localhost:8311", "LOCALHOST:8311"] {
            assert_eq!(status(&with(&format!("Host: {host}"))), "200", "{host}");
        }
        let strangers =
            ["evil.example:8311", "127.0.0.1", "localhost:80", "127.0.0.2:8311", "", "localhost.evil.example:8311"];
        for host in strangers {
            assert_eq!(status(&with(&format!("Host: {host}"))), "421", "{host}");
        }
        assert_eq!(status(&with("X: y")), "421");
        assert_eq!(status(&with("Host: localhost:8311\r\nHost: evil.example")), "421");
        let six: SocketAddr = "[::1]:8311".parse().unwrap();
        assert!(is_here("[::1]:8311", six) && is_here("localhost:8311", six) && !is_here("[::2]:8311", six));
        let lan: SocketAddr = "192.168.1.5:80".parse().unwrap();
        assert!(is_here("192.168.1.5", lan) && !is_here("localhost", lan) && !is_here("box.lan", lan));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for request in
            ["", "GET", "GET / HTTP/1.1\r\nHost: localhost:8311\r\n", "\u{0}\r\n\r\n", "GET / HTTP/9\r\n\r\n"]
        {
            assert_eq!(status(request), "400", "{request:?}");
        }
        let many = "X: y\r\n".repeat(200);
        assert_eq!(status(&format!("GET / HTTP/1.1\r\n{many}\r\n")), "400");
    }

    #[test]
    fn progress_cannot_add_a_header() {
        let server = Server::bind("127.0.0.1".parse().unwrap(), 0, false).unwrap();
        let shelf = server.shelf();
        shelf.put(site());
        shelf.tell("1 of 2\r\nSet-Cookie: x");
        let site = Arc::clone(&server.site.lock().unwrap());
        let (head, _) =
            reply(b"HEAD / HTTP/1.1\r\nHost: localhost:8311\r\n\r\n", "127.0.0.1:8311".parse().unwrap(), &site);
        assert!(head.contains("X-Progress: 1 of 2Set-Cookie: x\r\n"), "{head}");
    }
}
