//! A real Envoy that traces: our spans are children of its own, whichever way it says so.

use std::collections::BTreeMap;

use crate::support::cases::Gateway;
use crate::support::collector::{Collector, Seen};
use crate::support::echo::Echo;
use crate::support::gateway::{ALL, Running};
use crate::support::raw;
use crate::support::server::Gatefort;

const IN_CHAIN: &str = "                stat_prefix: ingress\n";
const CLUSTERS: &str = "\n  clusters:\n";

fn gatefort(collector: &Collector) -> Gatefort {
    let endpoint = collector.endpoint("grpc");
    Gatefort::start(
        &format!(
            "listen: {{grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}}
tracing: {{{endpoint}}}
rules: [{{path: /**, allow: anyone}}]
"
        ),
        "/readyz",
    )
}

/// Envoy's own tracing by this provider, and the cluster `collector` at this port.
fn tracing(provider: &str, http2: &str, port: u16) -> (String, String) {
    let chain = format!(
        "{IN_CHAIN}                tracing:
                  provider:
{provider}"
    );
    let cluster = format!(
        "{CLUSTERS}    - name: collector
      connect_timeout: 1s
      type: STATIC
{http2}      load_assignment:
        cluster_name: collector
        endpoints:
          - lb_endpoints:
              - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }} }}
"
    );
    (chain, cluster)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoys_own_span_is_the_parent_over_both_of_its_doors() {
    let collector = Collector::start().await;
    let server = gatefort(&collector);
    let upstream = Echo::start();
    let provider = r#"                    name: envoy.tracers.opentelemetry
                    typed_config:
                      "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
                      grpc_service: { envoy_grpc: { cluster_name: collector }, timeout: 1s }
                      service_name: envoy
"#;
    let http2 = r#"      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: { http2_protocol_options: {} }
"#;
    let (chain, cluster) = tracing(provider, http2, collector.grpc);
    for kind in [Gateway::EnvoyGrpc, Gateway::EnvoyHttp] {
        let edits = [(IN_CHAIN, chain.as_str()), (CLUSTERS, cluster.as_str())];
        let envoy = Running::start(kind, server.behind(upstream.port()), &edits);
        let path = format!("/{kind:?}");
        let answer = raw::exchange(envoy.address, &raw::get(&path, &[])).unwrap();
        assert_eq!(answer.status(), 200, "{}", envoy.output());
        let is_ours = |path: &str| {
            let path = path.to_owned();
            move |span: &Seen| {
                span.service == "gatefort" && span.attributes.get("url.path") == Some(&path)
            }
        };
        let ours = is_ours(&path);
        let all = collector
            .wait_for(|spans| {
                let our = spans.iter().find(|span| ours(span));
                our.is_some_and(|our| spans.iter().any(|span| span.id == our.parent))
            })
            .await;
        let our = all.iter().find(|span| ours(span)).unwrap();
        let parent = all.iter().find(|span| span.id == our.parent).unwrap();
        assert_eq!((&*parent.service, &parent.trace), ("envoy", &our.trace));
        // The call to us, not the whole of the request.
        assert_eq!(parent.kind, 3, "{parent:#?}");
    }
}

/// None of these traces itself here: what they pass on is the client's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_gateways_hand_on_what_the_request_says() {
    let collector = Collector::start().await;
    let server = gatefort(&collector);
    let upstream = Echo::start();
    let others = ALL
        .iter()
        .filter(|kind| !matches!(kind, Gateway::EnvoyGrpc | Gateway::EnvoyHttp));
    for kind in others {
        let gateway = Running::start(*kind, server.behind(upstream.port()), &[]);
        let path = format!("/{kind:?}");
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let request = raw::get(&path, &[("traceparent", parent), ("tracestate", "a=1")]);
        let answer = raw::exchange(gateway.address, &request).unwrap();
        assert_eq!(answer.status(), 200, "{kind:?} {}", gateway.output());
        let is_it = |span: &Seen| span.attributes.get("url.path") == Some(&path);
        let spans = collector.wait_for(|spans| spans.iter().any(is_it)).await;
        let span = spans.into_iter().find(is_it).unwrap();
        assert_eq!(
            (&*span.trace, &*span.parent, &*span.state),
            (
                "4bf92f3577b34da6a3ce929d0e0e4736",
                "00f067aa0ba902b7",
                "a=1"
            ),
            "{kind:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envoy_that_speaks_b3_is_understood() {
    let collector = Collector::start().await;
    let server = gatefort(&collector);
    let upstream = Echo::start();
    let provider = r#"                    name: envoy.tracers.zipkin
                    typed_config:
                      "@type": type.googleapis.com/envoy.config.trace.v3.ZipkinConfig
                      collector_cluster: collector
                      collector_endpoint: /api/v2/spans
                      collector_endpoint_version: HTTP_JSON
                      trace_id_128bit: true
"#;
    // Nobody takes Envoy's own spans: their ids are seen by the application.
    let (chain, cluster) = tracing(provider, "", 9);
    let edits = [(IN_CHAIN, chain.as_str()), (CLUSTERS, cluster.as_str())];
    let behind = server.behind(upstream.port());
    let envoy = Running::start(Gateway::EnvoyGrpc, behind, &edits);
    upstream.take();
    let answer = raw::exchange(envoy.address, &raw::get("/b3", &[])).unwrap();
    assert_eq!(answer.status(), 200, "{}", envoy.output());
    let seen = upstream.take();
    let seen: BTreeMap<_, _> = seen
        .iter()
        .flat_map(|request| request.headers.iter())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect();
    let spans = collector
        .wait_for(|spans| {
            spans.iter().any(|span| {
                span.attributes
                    .get("url.path")
                    .is_some_and(|path| path == "/b3")
            })
        })
        .await;
    let our = spans.iter().find(|span| {
        span.attributes
            .get("url.path")
            .is_some_and(|path| path == "/b3")
    });
    let our = our.unwrap();
    assert_eq!(our.trace, seen["x-b3-traceid"]);
    assert!(!our.parent.is_empty(), "{our:#?}");
}
