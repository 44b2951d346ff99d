//! `runner watch` as a browser and as a stranger meet it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn runner(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// A rehearsed sweep of which some results are missing.
fn half_a_sweep(dir: &Path) -> PathBuf {
    let results = dir.join("half");
    let out = results.to_str().unwrap();
    let cache = dir.join("cache");
    let sweep =
        ["sweep", "sweeps/quickstart.toml", "--device", "rehearsal", "--out", out, "--cache", cache.to_str().unwrap()];
    let swept = runner(&sweep).output().unwrap();
    assert!(swept.status.success(), "{}", String::from_utf8_lossy(&swept.stderr));
    let mut runs: Vec<_> = fs::read_dir(results.join("runs")).unwrap().map(|run| run.unwrap().path()).collect();
    runs.sort();
    for run in &runs[..9] {
        fs::remove_file(run.join("result.json")).unwrap();
    }
    fs::remove_file(results.join("report.html")).unwrap();
    results
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
    fn new(results: &Path) -> Self {
        let mut child =
            runner(&["watch", results.to_str().unwrap(), "--port", "0"]).stdout(Stdio::piped()).spawn().unwrap();
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
    let dir = tempfile::tempdir().unwrap();
    let results = half_a_sweep(dir.path());
    let served = Served::new(&results);
    let page = served.get("/");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("12 of 21 runs finished"), "{page:.600}");
    assert!(page.contains("connect-src 'self'") && page.contains("<body data-live>"));
    assert!(served.get("/figures/isoflop.csv").contains("blocks_and_unembedding,"));
    for path in ["/runs.csv", "/spec.toml", "/../half/spec.toml", "/figures/../../half/spec.toml"] {
        assert!(served.get(path).starts_with("HTTP/1.1 404 "), "{path}");
    }
    let strange = served.ask("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert!(strange.starts_with("HTTP/1.1 421 ") && !strange.contains("<html"), "{strange}");
    assert!(served.ask(&"x".repeat(40_000)).is_empty() || served.ask("\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(served.get("/").starts_with("HTTP/1.1 200 OK\r\n"), "it goes on after all that");
    assert!(!results.join("report.html").exists());
}

#[test]
fn other_interfaces_need_a_word_and_no_results_are_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let missing = runner(&["watch", dir.path().to_str().unwrap(), "--port", "0"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2), "{}", String::from_utf8_lossy(&missing.stderr));
    assert!(missing.stdout.is_empty());
    let name = runner(&["watch", "x", "--host", "evil.example"]).output().unwrap();
    assert_eq!(name.status.code(), Some(2));
}
