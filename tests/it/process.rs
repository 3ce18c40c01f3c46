//! The built binary as its operators meet it: start, signals, exit codes, and `gatefort dev`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A configuration that needs no issuer.
const OPEN: &str = "\
listen: {grpc: 127.0.0.1:0, http: 127.0.0.1:0, admin: 127.0.0.1:0}
rules: [{name: health, path: /health, allow: anyone}]
";

fn gatefort() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatefort"));
    command.stdin(Stdio::null()).env_remove("GATEFORT_CONFIG");
    command
}

fn written(yaml: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gatefort.yaml");
    std::fs::write(&path, yaml).unwrap();
    (directory, path)
}

/// A running process; killed by its own handle if a test fails.
struct Process {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    _config: Option<TempDir>,
}

impl Process {
    fn start(mut command: Command, config: Option<TempDir>) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _gone = send.send(line);
            }
        });
        Self {
            child,
            lines,
            seen: Vec::new(),
            _config: config,
        }
    }

    fn serve(yaml: &str) -> Self {
        let (directory, path) = written(yaml);
        let mut command = gatefort();
        command.arg("serve").arg("--config").arg(path);
        command.stdout(Stdio::null());
        Self::start(command, Some(directory))
    }

    /// The first log line that `wanted` accepts, past or to come.
    fn line(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let parse = |line: &String| serde_json::from_str::<Value>(line).ok();
        if let Some(found) = self.seen.iter().filter_map(parse).find(&wanted) {
            return found;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no such line after:\n{}", self.seen.join("\n"));
            };
            self.seen.push(line);
            let last = self.seen.last().and_then(parse);
            if let Some(found) = last.filter(&wanted) {
                return found;
            }
        }
    }

    fn message(&mut self, message: &str) -> Value {
        self.line(|line| line["message"] == message)
    }

    /// Where a listener is bound.
    fn address(&mut self, listener: &str) -> SocketAddr {
        let line = self.line(|line| line["message"] == "listening" && line["listener"] == listener);
        line["address"].as_str().unwrap().parse().unwrap()
    }

    fn signal(&self, name: &str) {
        let kill = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status();
        assert!(kill.unwrap().success());
    }

    fn exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "still running");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _over = self.child.kill();
        let _over = self.child.wait();
    }
}

/// Sends one request and reads the whole answer.
fn ask(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n");
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        request.push_str("host: gate\r\n");
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or(answer)
}

fn run(arguments: &[&str]) -> Output {
    gatefort().args(arguments).output().unwrap()
}

#[test]
fn serve_answers_logs_shows_and_ends_in_order() {
    let mut process = Process::serve(OPEN);
    let (http, admin) = (process.address("http"), process.address("admin"));
    process.message("ready");
    assert_eq!(status(&ask(admin, "GET", "/readyz", &[])), "200");
    let secret = "/private?token=canary-in-the-query";
    for (path, code) in [("/health", "200"), (secret, "403"), ("/health", "200")] {
        let original = [
            ("X-Original-Method", "GET"),
            ("X-Original-URI", path),
            ("Host", "app.example.com"),
            ("Authorization", "Bearer canary-in-the-token"),
        ];
        let answer = ask(http, "GET", "/auth-request", &original);
        assert_eq!(status(&answer), code, "{answer}");
    }
    let denied = process.line(|line| line["message"] == "decision" && line["verdict"] == "deny");
    assert_eq!(denied["reason"], "rule_none");
    assert_eq!(denied["door"], "auth_request");
    assert_eq!(denied["method"], "GET");
    assert_eq!(denied["host"], "app.example.com");
    assert_eq!(denied["path"], "/private");
    assert!(denied["took_us"].is_u64());
    let metrics = ask(admin, "GET", "/metrics", &[]);
    assert!(
        metrics.contains(
            "gatefort_decisions_total{door=\"auth_request\",rule=\"health\",decision=\"allow\",reason=\"allowed\"} 2"
        ),
        "{metrics}"
    );
    let shown = ask(admin, "GET", "/status", &[]);
    assert!(shown.contains("\"sha256\":\""), "{shown}");
    process.signal("TERM");
    process.message("stopped");
    assert_eq!(process.exit().code(), Some(0));
    let log = process.seen.join("\n");
    assert!(!log.contains("canary"), "{log}");
}

#[test]
fn a_drain_shows_itself_and_finishes_what_began() {
    let mut process = Process::serve(OPEN);
    let (http, admin) = (process.address("http"), process.address("admin"));
    let mut stream = TcpStream::connect(http).unwrap();
    stream
        .write_all(b"GET /ext-authz/health HTTP/1.1\r\n")
        .unwrap();
    // Accepted in order: once this one is answered, the first is being read.
    assert_eq!(status(&ask(http, "GET", "/ext-authz/health", &[])), "200");
    process.signal("TERM");
    process.message("shutting down");
    let shown = ask(admin, "GET", "/readyz", &[]);
    assert_eq!(status(&shown), "503");
    assert!(shown.contains("\"draining\":true"), "{shown}");
    stream.write_all(b"host: a\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(status(&answer), "200", "{answer}");
    assert_eq!(process.exit().code(), Some(0));
}

/// Begins a gRPC call whose message never comes, and keeps it open while the guard lives.
async fn stalled_call(grpc: SocketAddr) -> impl Drop {
    use hyper_util::rt::{TokioExecutor, TokioIo};

    struct Abort(tokio::task::JoinHandle<()>);
    impl Drop for Abort {
        fn drop(&mut self) {
            self.0.abort();
        }
    }

    /// A body without frames and without end.
    struct Never;
    impl hyper::body::Body for Never {
        type Data = bytes::Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
            std::task::Poll::Pending
        }
    }
    let stream = tokio::net::TcpStream::connect(grpc).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let request = http::Request::post(format!(
        "http://{grpc}/envoy.service.auth.v3.Authorization/Check"
    ))
    .header("content-type", "application/grpc")
    .header("te", "trailers")
    .body(Never)
    .unwrap();
    Abort(tokio::spawn(async move {
        let call = sender.send_request(request);
        let _ended = tokio::join!(call, connection);
    }))
}

#[test]
fn a_second_signal_ends_at_once_and_a_drain_ends_by_its_timeout() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (timeout, signals) in [("60s", 2), ("200ms", 1)] {
        let mut process = Process::serve(&format!("{OPEN}drain_timeout: {timeout}\n"));
        let (grpc, admin) = (process.address("grpc"), process.address("admin"));
        let call = runtime.block_on(stalled_call(grpc));
        // Until the connection is counted, the call may not have reached the process.
        while !ask(admin, "GET", "/metrics", &[])
            .contains("gatefort_connections{listener=\"grpc\"} 1")
        {
            std::thread::yield_now();
        }
        process.signal("TERM");
        process.message("shutting down");
        if signals == 2 {
            process.signal("TERM");
        }
        let asked = Instant::now();
        assert_eq!(process.exit().code(), Some(0));
        assert!(asked.elapsed() < PATIENCE / 2, "{:?}", asked.elapsed());
        drop(call);
    }
}

/// A socket's file is its owner's and its group's, by name or by number; none but root can give it away.
#[test]
fn a_unix_socket_belongs_to_whom_the_configuration_says() {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

    let number = |option: &str, name: &str| -> u32 {
        let output = Command::new("id").args([option, name]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim().parse().expect("a number")
    };
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.sock");
    for (owner, group, mode, wanted) in [
        (
            "nobody",
            "daemon",
            0o660,
            (number("-u", "nobody"), number("-g", "daemon")),
        ),
        ("4242", "4343", 0o620, (4242, 4343)),
    ] {
        let socket = format!(
            "{{unix: {}, mode: {mode:04o}, owner: {owner}, group: {group}}}",
            path.display()
        );
        let yaml = OPEN.replacen("http: 127.0.0.1:0", &format!("http: {socket}"), 1);
        if !root {
            // Asking for what cannot be done is no reason to start without it.
            let (_directory, configuration) = written(&yaml);
            let output = run(&["serve", "-c", configuration.to_str().unwrap()]);
            assert_eq!(output.status.code(), Some(2), "{output:?}");
            continue;
        }
        let mut process = Process::serve(&yaml);
        process.message("ready");
        let found = std::fs::symlink_metadata(&path).unwrap();
        assert!(found.file_type().is_socket());
        assert_eq!((found.uid(), found.gid()), wanted, "{socket}");
        assert_eq!(found.mode() & 0o777, mode, "{socket}");
        process.signal("TERM");
        assert_eq!(process.exit().code(), Some(0));
        assert!(!path.exists());
    }
}

#[test]
fn exit_codes_say_yes_no_and_cannot_say() {
    let version = run(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    let expected = format!("gatefort {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(version.stdout).unwrap(), expected);

    let (_good, good) = written(OPEN);
    let (_bad, bad) = written("rules: 7\nlisteners: {}\n");
    let (good, bad) = (good.to_str().unwrap(), bad.to_str().unwrap());
    for (arguments, code) in [
        (&["check", "-c", good][..], 0),
        (&["check", "-c", bad], 1),
        (&["check", "-c", "/nonexistent.yaml"], 2),
        (&["serve", "-c", bad], 2),
        (&["serve", "-c", "/nonexistent.yaml"], 2),
        (&["serve"], 2),
        (&["dev", "--http", "0.0.0.0:0"], 2),
        (&[], 2),
    ] {
        let output = run(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {output:?}"
        );
    }
}

#[test]
fn an_address_that_is_taken_ends_the_start_with_its_name() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let yaml = OPEN.replacen("http: 127.0.0.1:0", &format!("http: {address}"), 1);
    let (_directory, path) = written(&yaml);
    let output = run(&["serve", "-c", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains(&format!("cannot listen for http at {address}: ")),
        "{told}"
    );
}

#[test]
fn a_reader_that_went_away_changes_no_answer() {
    for (yaml, code) in [(OPEN, 0), ("rules: 7\n", 1)] {
        let (_directory, path) = written(yaml);
        let mut child = gatefort()
            .args(["check", "-c", path.to_str().unwrap()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
}

/// A shell line's words: single quotes as they are, double quotes with `$NAME`s.
fn words(line: &str, variables: &[(String, String)]) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for character in line.chars() {
        match (quote, character) {
            (None, ' ') => words.push(String::new()),
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => words.last_mut().unwrap().push(character),
        }
    }
    for word in &mut words {
        for (name, value) in variables {
            *word = word.replace(&format!("${name}"), value);
        }
    }
    words
}

/// Does what the line for the gRPC door would, and expects alice to pass.
fn grpc_is_allowed(line: &str) {
    use base64::Engine as _;
    use envoy_types::pb::envoy::service::auth::v3 as auth;
    use prost::Message as _;

    let words: Vec<_> = line.split(' ').collect();
    let framed = base64::engine::general_purpose::STANDARD
        .decode(words[2])
        .unwrap();
    let length = u32::from_be_bytes(framed[1..5].try_into().unwrap());
    assert_eq!((framed[0], length as usize), (0, framed.len() - 5));
    let check = auth::CheckRequest::decode(&framed[5..]).unwrap();
    let url = words
        .iter()
        .find(|word| word.starts_with("http://"))
        .unwrap();
    let address = url
        .strip_suffix("/envoy.service.auth.v3.Authorization/Check")
        .unwrap();
    let answer = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut client =
            auth::authorization_client::AuthorizationClient::connect(address.to_owned())
                .await
                .unwrap();
        client.check(check).await.unwrap().into_inner()
    });
    assert_eq!(answer.status.as_ref().map(|status| status.code), Some(0));
    let shown = format!("{answer:?}");
    assert!(
        shown.contains("x-auth-user") && shown.contains("alice"),
        "{shown}"
    );
}

#[test]
fn dev_answers_every_line_that_it_prints_as_it_says() {
    let mut command = gatefort();
    command.arg("dev").stdout(Stdio::piped());
    for option in ["--issuer", "--grpc", "--http", "--admin"] {
        command.args([option, "127.0.0.1:0"]);
    }
    let mut process = Process::start(command, None);
    let out = BufReader::new(process.child.stdout.take().unwrap());
    let mut lines = Vec::new();
    for line in out.lines().map_while(Result::ok) {
        let last = line.contains("Ctrl-C");
        lines.push(line);
        if last {
            break;
        }
    }
    let variables: Vec<(String, String)> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(variables.len(), 3);
    let mut asked = 0;
    for pair in lines.windows(2) {
        let [expect, line] = pair else { continue };
        let Some(line) = line.strip_prefix("curl -i ") else {
            continue;
        };
        let words = words(line, &variables);
        let (address, target) = words[0]
            .strip_prefix("http://")
            .and_then(|url| url.split_once('/'))
            .unwrap();
        let headers: Vec<(&str, &str)> = words
            .iter()
            .skip(1)
            .filter(|word| *word != "-H")
            .map(|word| word.split_once(": ").unwrap())
            .collect();
        let answer = ask(
            address.parse().unwrap(),
            "GET",
            &format!("/{target}"),
            &headers,
        );
        let (_, promised) = expect.split_once(": ").unwrap();
        assert_eq!(
            status(&answer),
            &promised[..3],
            "{expect}\n{line}\n{answer}"
        );
        if let Some((_, header)) = promised.split_once(" with ")
            && let Some((name, value)) = header.split_once(": ")
        {
            let wanted = format!("{}: {value}\r\n", name.to_ascii_lowercase());
            assert!(answer.contains(&wanted), "{expect}\n{answer}");
        }
        asked += 1;
    }
    assert_eq!(asked, 8, "{}", lines.join("\n"));
    let grpc = lines
        .iter()
        .find(|line| line.starts_with("printf "))
        .unwrap();
    grpc_is_allowed(grpc);
    process.signal("INT");
    assert_eq!(process.exit().code(), Some(0));
}

#[test]
fn the_sample_configuration_is_good() {
    let sample = run(&["dev", "--print-config"]);
    assert_eq!(sample.status.code(), Some(0));
    let (_directory, path) = written(&String::from_utf8(sample.stdout).unwrap());
    let checked = run(&["check", "-c", path.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
}
