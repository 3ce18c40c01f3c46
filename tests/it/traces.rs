//! Traces over OTLP, as a collector by others' messages and service sees them: what is in a span, who decides that
//! there is one, and what a collector that misbehaves costs.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::client::client;
use crate::support::collector::{Collector, Manner, Seen};
use crate::support::issuer::{Endpoint, Fault, Issuer};
use crate::support::raw;
use crate::support::server::Gatefort;
use crate::support::tokens::{self, TestKey};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// The longest that a test waits for something that must happen; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(tracing: &str, more: &str) -> Gatefort {
    Gatefort::start(&configuration(tracing, more), "/healthz")
}

fn configuration(tracing: &str, more: &str) -> String {
    format!(
        "listen: {{grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}}
{tracing}
{more}
rules:
  - {{name: open, path: /open/**, allow: anyone}}
  - {{name: asked, path: /asked, allow: authenticated, introspect: true}}
  - {{name: rest, path: /**, allow: authenticated}}
"
    )
}

/// An issuer that is not there, and is not asked.
const NOBODY: &str = "issuers: [{issuer: 'http://127.0.0.1:9', audiences: any, optional: true,
  introspection: {url: 'http://127.0.0.1:9', client_id: gatefort, secret: 0123456789abcdef}}]";

fn tracing(collector: &Collector, protocol: &str, more: &str) -> String {
    format!("tracing: {{{}{more}}}", collector.endpoint(protocol))
}

/// What Envoy's HTTP door answers.
fn ask(server: &Gatefort, path: &str, headers: &[(&str, &str)]) -> u16 {
    let http = SocketAddr::from((Ipv4Addr::LOCALHOST, server.http));
    let request = raw::get(&format!("/ext-authz{path}"), headers);
    raw::exchange(http, &request).unwrap().status()
}

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// A page of the admin listener.
async fn page(server: &Gatefort, path: &str) -> String {
    let url = format!("http://127.0.0.1:{}{path}", server.admin);
    client()
        .get(url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
}

/// `gatefort_spans_total` of this result; 0 where there is none.
async fn spans(server: &Gatefort, result: &str) -> u64 {
    let label = format!("gatefort_spans_total{{result=\"{result}\"}} ");
    let text = page(server, "/metrics").await;
    let value = text.lines().find_map(|line| line.strip_prefix(&label));
    value.map_or(0, |value| value.parse().unwrap())
}

async fn wait_for_spans(server: &Gatefort, result: &str, least: u64) {
    let until = Instant::now() + PATIENCE;
    loop {
        let count = spans(server, result).await;
        if count >= least {
            return;
        }
        assert!(
            Instant::now() < until,
            "{count} {result}\n{}",
            server.output()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn text(map: &BTreeMap<String, String>) -> Value {
    json!(map)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_span_says_what_the_log_says_over_both_protocols() {
    let collector = Collector::start().await;
    for protocol in ["grpc", "http/protobuf"] {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        fs::write(&secret, "Bearer of spans\n").unwrap();
        let more = format!(
            ", headers_file: {{authorization: '{}'}}, resource: {{deployment.environment.name: tests}}",
            secret.display()
        );
        let server = start(&tracing(&collector, protocol, &more), NOBODY);
        let before = collector.spans().len();
        let (traceparent, id) = (parent("01"), format!("id-{protocol}"));
        let headers = [
            ("traceparent", traceparent.as_str()),
            ("tracestate", "vendor=1"),
            ("x-request-id", &id),
            ("host", "api.example.com"),
        ];
        let request = format!(
            "BREW /ext-authz/open/pot?secret=1 HTTP/1.1\r\n{}connection: close\r\n\r\n",
            headers
                .map(|(name, value)| format!("{name}: {value}\r\n"))
                .concat()
        );
        let http = SocketAddr::from((Ipv4Addr::LOCALHOST, server.http));
        assert_eq!(
            raw::exchange(http, request.as_bytes()).unwrap().status(),
            200
        );
        let spans = collector.wait_for(|spans| spans.len() > before).await;
        let span = spans.last().unwrap();
        assert_eq!(
            text(&span.attributes),
            json!({
                "gatefort.door": "ext_authz",
                "gatefort.verdict": "allow",
                "gatefort.reason": "allowed",
                "gatefort.rule": "open",
                "gatefort.request_id": id,
                "http.request.method": "_OTHER",
                "http.request.method_original": "BREW",
                "server.address": "api.example.com",
                "url.path": "/open/pot",
            })
        );
        assert_eq!(
            (
                &*span.name,
                span.kind,
                &*span.trace,
                &*span.parent,
                &*span.state,
                span.flags
            ),
            ("authorize", 2, TRACE, PARENT, "vendor=1", 0x301)
        );
        assert_eq!(span.status, (0, String::new()));
        let resource = collector.resource();
        assert_eq!(resource["service.name"], "gatefort");
        assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(resource["service.instance.id"].len(), 36);
        assert_eq!(resource["deployment.environment.name"], "tests");
        assert_eq!(collector.header().as_deref(), Some("Bearer of spans"));
        // From the log to the trace, and back.
        let found: Value =
            serde_json::from_str(&page(&server, &format!("/decisions?trace_id={TRACE}")).await)
                .unwrap();
        assert_eq!(found["decisions"][0]["request_id"], id.as_str(), "{found}");
        assert_eq!(found["decisions"][0]["trace_id"], TRACE);
        let log = server.stop();
        let line = log
            .lines()
            .find(|line| line.contains("\"decision\""))
            .unwrap();
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["trace_id"], TRACE);
        assert!(!log.contains("of spans"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_was_waited_for_has_a_span_of_its_own() {
    let collector = Collector::start().await;
    let (old, new) = (TestKey::es256("old"), TestKey::es256("new"));
    let issuer = Issuer::start([&old]).await;
    let (url, asked) = (issuer.url(), issuer.introspection_url());
    let issuers = format!(
        "issuers:
  - issuer: '{url}'
    audiences: any
    introspection: {{url: '{asked}', client_id: gatefort, secret: 0123456789abcdef, timeout: 500ms}}"
    );
    let server = Gatefort::start(
        &configuration(&tracing(&collector, "grpc", ""), &issuers),
        "/readyz",
    );
    let claims = tokens::claims_with("ann", json!({"iss": url}));
    let active =
        json!({"active": true, "token_type": "Bearer", "sub": "ann", "exp": claims["exp"]});
    let (first, second) = (old.mint(&claims), new.mint(&claims));
    let asks = |path: &'static str, token: &str, status: u16, trace: u32| {
        let bearer = format!("Bearer {token}");
        let traceparent = format!("00-{trace:032x}-{PARENT}-01");
        let headers = [
            ("authorization", bearer.as_str()),
            ("traceparent", traceparent.as_str()),
        ];
        assert_eq!(ask(&server, path, &headers), status, "{path} {trace}");
    };
    issuer.fail(Endpoint::Introspection, Fault::Document(active));
    // Nothing to wait for; an answer; the same one remembered; a key that came with a refresh; an endpoint that hangs.
    asks("/rest", &first, 200, 1);
    asks("/asked", &first, 200, 2);
    asks("/asked", &first, 200, 3);
    issuer.publish([&old, &new]);
    asks("/rest", &second, 200, 4);
    issuer.fail(Endpoint::Introspection, Fault::HangBeforeHeaders);
    asks("/asked", &second, 403, 5);
    let all = collector.wait_for(|spans| spans.len() >= 8).await;
    let of = |trace: u32| -> Vec<&Seen> {
        let trace = format!("{trace:032x}");
        all.iter().filter(|span| span.trace == trace).collect()
    };
    let names = |trace: u32| {
        of(trace)
            .iter()
            .map(|span| span.name.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(1), ["authorize"]);
    assert_eq!(names(2), ["authorize", "introspect token"]);
    assert_eq!(names(3), ["authorize"]);
    assert_eq!(names(4), ["authorize", "await keys"]);
    assert_eq!(names(5), ["authorize", "introspect token"]);
    for trace in [2, 4, 5] {
        let spans = of(trace);
        let (whole, part) = (spans[0], spans[1]);
        assert_eq!(part.parent, whole.id);
        assert_eq!(part.attributes["gatefort.issuer"], url);
        assert!(whole.start <= part.start && part.start < part.end && part.end <= whole.end);
        assert_eq!(part.kind, if trace == 4 { 1 } else { 3 });
    }
    let spans = of(5);
    for span in &spans {
        assert_eq!(span.status, (2, "introspection_timeout".to_owned()));
        assert_eq!(span.attributes["error.type"], "introspection_timeout");
    }
    let told = format!("{all:?}");
    assert!(!told.contains("ann") && !told.contains(&first), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_misbehaves_costs_spans_and_no_answer() {
    let collector = Collector::start().await;
    for protocol in ["grpc", "http/protobuf"] {
        let server = start(&tracing(&collector, protocol, ", timeout: 500ms"), NOBODY);
        let traceparent = parent("01");
        let traced = [("traceparent", traceparent.as_str())];
        let mut failed = 0;
        for (manner, result, count) in [
            (Manner::Never, "failed", 1),
            (Manner::Babble, "failed", 1),
            (Manner::Partly(1), "rejected", 1),
            (Manner::Slow, "exported", 1),
        ] {
            collector.behave(manner);
            let before = spans(&server, result).await;
            assert_eq!(ask(&server, "/open/x", &traced), 200);
            wait_for_spans(&server, result, before + count).await;
            failed += u64::from(result == "failed");
        }
        // What may be sent again is, until it is taken.
        for manner in [Manner::Later, Manner::Hang] {
            collector.behave(manner);
            let (asked, before) = (collector.asked(), spans(&server, "exported").await);
            assert_eq!(ask(&server, "/open/x", &traced), 200);
            let until = Instant::now() + PATIENCE;
            while collector.asked() == asked {
                assert!(Instant::now() < until, "nobody asks: {manner:?}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // Meanwhile decisions are made as ever.
            let started = Instant::now();
            for _ in 0..50 {
                assert_eq!(ask(&server, "/open/x", &traced), 200);
            }
            assert!(started.elapsed() < Duration::from_secs(10));
            collector.behave(Manner::Take);
            wait_for_spans(&server, "exported", before + 51).await;
        }
        assert_eq!(spans(&server, "failed").await, failed);
        assert_eq!(spans(&server, "dropped").await, 0);
        let log = server.stop();
        assert!(log.contains("spans could not be exported"), "{log}");
        assert!(log.contains("too many"), "{log}");
        assert!(log.contains("spans are exported again"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traces_follow_a_reload_and_the_last_span_is_sent_before_the_end() {
    let collector = Collector::start().await;
    let server = start("", NOBODY);
    let traceparent = parent("01");
    let traced = [("traceparent", traceparent.as_str())];
    assert_eq!(ask(&server, "/open/before", &traced), 200);
    let reload = async |tracing: &str, version: u64| {
        server.replace_configuration(&configuration(tracing, NOBODY));
        server.hang_up();
        let until = Instant::now() + PATIENCE;
        loop {
            let status: Value = serde_json::from_str(&page(&server, "/status").await).unwrap();
            if status["config"]["version"] == version {
                assert_eq!(status["config"]["needs_restart"], json!([]));
                return;
            }
            assert!(Instant::now() < until, "{status}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // Without a parent nothing is recorded at this share.
    reload(&tracing(&collector, "grpc", ", ratio: 0"), 2).await;
    assert_eq!(ask(&server, "/open/untraced", &[]), 200);
    assert_eq!(ask(&server, "/open/traced", &traced), 200);
    collector.wait_for(|spans| !spans.is_empty()).await;
    reload(&tracing(&collector, "http/protobuf", ""), 3).await;
    assert_eq!(ask(&server, "/open/last", &[]), 200);
    let log = server.stop();
    let paths: Vec<_> = collector
        .spans()
        .into_iter()
        .map(|span| span.attributes["url.path"].clone())
        .collect();
    assert_eq!(paths, ["/open/traced", "/open/last"]);
    let traced = |path: &str| {
        let line = log.lines().find(|line| line.contains(path)).unwrap();
        line.contains("trace_id")
    };
    assert_eq!(
        [
            "/open/before",
            "/open/untraced",
            "/open/traced",
            "/open/last"
        ]
        .map(traced),
        [false, false, true, true]
    );
}
