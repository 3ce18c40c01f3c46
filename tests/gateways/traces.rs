//! A real Envoy that traces: our spans are children of its own, whichever way it says so.

use std::collections::BTreeMap;

use crate::support::cases::Gateway;
use crate::support::collector::Collector;
use crate::support::echo::Echo;
use crate::support::gateway::Running;
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
            move |span: &crate::support::collector::Seen| {
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
