//! What a trace that is not recorded takes from the allocator: nothing.

use allocation_counter::measure;
use gatefort::telemetry::Telemetry;
use gatefort::telemetry::traces::settings::{OtlpProtocol, TraceSettings};
use gatefort::verify::settings::HttpSettings;
use http::HeaderMap;
use url::Url;

#[test]
fn a_trace_that_is_not_recorded_allocates_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _within = runtime.enter();
    let settings = TraceSettings {
        endpoint: Url::parse("http://127.0.0.1:9/v1/traces").unwrap(),
        protocol: OtlpProtocol::Http,
        headers: Vec::new(),
        ratio: 0.0,
        resource: Vec::new(),
        http: HttpSettings::default(),
    };
    let telemetry = Telemetry::silent().traced(Some(settings), None).unwrap();
    let parent =
        |flags: &str| format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
    for (traceparent, found) in [(None, false), (Some(parent("00")), true)] {
        let mut call = HeaderMap::new();
        call.insert("accept", "*/*".parse().unwrap());
        call.insert("tracestate", "vendor=1".parse().unwrap());
        if let Some(traceparent) = &traceparent {
            call.insert("traceparent", traceparent.parse().unwrap());
        }
        let mut place = None;
        let info = measure(|| place = telemetry.place(&call, None));
        assert_eq!(
            (info.count_total, place.is_some()),
            (0, found),
            "{traceparent:?}"
        );
    }
}
