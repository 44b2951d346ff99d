//! `runner watch` as a browser and as a stranger meet it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::common::{Place, QUICKSTART, assert_code, assert_refused, edited, wait_for};

/// A rehearsed sweep of which some results are missing.
fn half_a_sweep() -> Place {
    let place = Place::rehearsed(&[]);
    for result in &place.results()[..9] {
        fs::remove_file(result).unwrap();
    }
    fs::remove_file(place.path("out/report.html")).unwrap();
    place
}

/// A server that ends with the test.
struct Served(Child, String);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Served {
    fn new(place: &Place) -> Self {
        let mut child = place.runner(&["watch", "out", "--port", "0"]).stderr(Stdio::null()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let address = url.trim().strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
        Self(child, address)
    }

    /// The whole answer to a request of these bytes.
    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.1).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        // A refusal may come before all was read, as a reset after the answer.
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.1))
    }
}

#[test]
fn a_sweep_that_is_not_over_is_served_and_nothing_is_written() {
    let place = half_a_sweep();
    let served = Served::new(&place);
    let page = served.get("/");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("12 of 21 runs finished"), "{page:.600}");
    assert!(page.contains("connect-src 'self'") && page.contains("<body data-live>"));
    assert!(served.get("/figures/isoflop.csv").contains("blocks_and_unembedding,"));
    for path in ["/runs.csv", "/spec.toml", "/../out/spec.toml", "/figures/../../out/spec.toml"] {
        assert!(served.get(path).starts_with("HTTP/1.1 404 "), "{path}");
    }
    let strange = served.ask("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert!(strange.starts_with("HTTP/1.1 421 ") && !strange.contains("<html"), "{strange}");
    let refused = served.ask(&"x".repeat(40_000));
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 400 "), "{refused}");
    assert!(served.ask("\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(served.get("/").starts_with("HTTP/1.1 200 OK\r\n"), "it goes on after all that");
    assert!(!place.path("out/report.html").exists());
}

#[test]
fn a_sweep_that_grows_is_followed_to_its_new_end() {
    let place = Place::rehearsed(&[]);
    let before = place.results().len();
    fs::remove_file(&place.results()[0]).unwrap();
    let served = Served::new(&place);
    let watched = ["status", "out", "--watch", "--json"];
    let mut status = place.runner(&watched).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(status.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    assert!(first.contains(&format!("\"runs\":{before},")) && first.contains("\"waiting\":1,"), "{first}");
    // The run that was missing is trained by the larger sweep, so that the smaller one is never over.
    place.write("spec.toml", edited(QUICKSTART, &["sweep.seeds=[1, 2]"]));
    assert_code(&place.rehearse(), 0);
    let after = place.results().len();
    let last = lines.last().unwrap();
    assert!(after > before && last.contains(&format!("\"runs\":{after},")), "{last}");
    assert_eq!(status.wait().unwrap().code(), Some(0));
    let over = format!("Over: {after} of {after} runs finished");
    wait_for("the report of the larger sweep", || served.get("/").contains(&over));
}

#[test]
fn other_interfaces_need_a_word_and_no_results_are_an_error() {
    let place = Place::rehearsed(&[]);
    assert_refused(&place.run(&["watch", "out", "--port", "0", "--host", "0.0.0.0"]), &["--public"]);
    assert_refused(&place.run(&["watch", "out", "--host", "evil.example"]), &["evil.example"]);
    assert_refused(&place.run(&["watch", "cache", "--port", "0"]), &["holds no sweep"]);
}
