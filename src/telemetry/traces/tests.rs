use std::time::Duration;

use prometheus_client::registry::Registry;
use url::Url;

use super::settings::OtlpProtocol;
use super::*;
use crate::authorizer::Verdict;
use crate::domain::reason::DenyReason;
use crate::telemetry::Door;
use crate::verify::settings::HttpSettings;

const T: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const S: &str = "00f067aa0ba902b7";

/// A tracer whose collector is not there.
fn tracer(ratio: f64) -> (Arc<Tracer>, SpanSeries) {
    let settings = TraceSettings {
        endpoint: Url::parse("http://127.0.0.1:9/v1/traces").unwrap(),
        protocol: OtlpProtocol::Http,
        headers: Vec::new(),
        ratio,
        resource: Vec::new(),
        http: HttpSettings::default(),
    };
    let series = SpanSeries::new(&mut Registry::default());
    let tracer = Tracer::start(settings, None, &series).unwrap();
    (tracer, series)
}

fn header_map(fields: &[(&'static str, String)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

/// `sampled` or `not`, whose child and with what state; `-` for no place in a trace.
fn shown(place: Option<&TraceContext>) -> String {
    let Some(place) = place else {
        return "-".to_owned();
    };
    let word = if place.sampled { "sampled" } else { "not" };
    let whose = match place.parent {
        Some(_) if place.trace.hex() == T => "child",
        Some(_) => "child of another",
        None if place.trace.hex() == T => "root of theirs",
        None => "root",
    };
    let state = place.state.as_deref().unwrap_or_default();
    format!("{word} {whose} {state}").trim_end().to_owned()
}

#[tokio::test]
async fn the_parent_decides_and_where_it_does_not_the_share_does() {
    let w3c = |flags: &str| ("traceparent", format!("00-{T}-{S}-{flags}"));
    let state = || ("tracestate", "vendor=1".to_owned());
    let b3 = |end: &str| ("b3", format!("{T}-{S}{end}"));
    let multi = || {
        vec![
            ("x-b3-traceid", T.to_owned()),
            ("x-b3-spanid", S.to_owned()),
        ]
    };
    let sampled = |word: &str| ("x-b3-sampled", word.to_owned());
    for (fields, all, none) in [
        (vec![], "sampled root", "-"),
        (
            vec![w3c("01"), state()],
            "sampled child vendor=1",
            "sampled child vendor=1",
        ),
        (vec![w3c("00"), state()], "not child", "not child"),
        (vec![b3("-1")], "sampled child", "sampled child"),
        (vec![b3("-0")], "not child", "not child"),
        (vec![b3("")], "sampled child", "not child"),
        (vec![("b3", "0".to_owned())], "-", "-"),
        (vec![("b3", "1".to_owned())], "sampled root", "sampled root"),
        (
            [multi(), vec![sampled("1")]].concat(),
            "sampled child",
            "sampled child",
        ),
        (
            [multi(), vec![sampled("0")]].concat(),
            "not child",
            "not child",
        ),
        (multi(), "sampled child", "not child"),
        (vec![sampled("0")], "-", "-"),
        (
            vec![("traceparent", "junk".to_owned()), state()],
            "sampled root",
            "-",
        ),
        (
            vec![("traceparent", "junk".to_owned()), b3("-0")],
            "not child",
            "not child",
        ),
        (vec![w3c("01"), b3("-0")], "sampled child", "sampled child"),
        (vec![w3c("00"), b3("-1")], "not child", "not child"),
    ] {
        let headers = header_map(&fields);
        for (ratio, expected) in [(1.0, all), (0.0, none)] {
            let place = tracer(ratio).0.place(&headers, None);
            assert_eq!(shown(place.as_ref()), expected, "{ratio} {fields:?}");
        }
    }
}

#[tokio::test]
async fn the_span_that_called_is_the_parent_before_the_one_that_the_client_names() {
    let (tracer, _) = tracer(0.0);
    let client = format!("00-{}-{S}-01", "1".repeat(32));
    let original = Headers::new(vec![
        ("traceparent", client.as_bytes()),
        ("tracestate", b"client=1"),
    ]);
    let call = header_map(&[("traceparent", format!("00-{T}-{S}-01"))]);
    let place = tracer.place(&call, Some(&original));
    assert_eq!(shown(place.as_ref()), "sampled child");
    let place = tracer.place(&HeaderMap::new(), Some(&original));
    assert_eq!(shown(place.as_ref()), "sampled child of another client=1");
}

#[tokio::test]
async fn a_share_is_a_share_and_of_one_trace_the_same_each_time() {
    let (some, _) = tracer(0.25);
    let taken = (0..4000).filter(|_| some.chooses(some.ids.trace())).count();
    assert!((800..1200).contains(&taken), "{taken} of 4000");
    let (other, _) = tracer(0.25);
    for _ in 0..100 {
        let id = some.ids.trace();
        assert_eq!(some.chooses(id), other.chooses(id));
    }
}

#[tokio::test]
async fn what_finds_no_room_is_counted_and_what_is_not_sampled_is_not_there() {
    let (tracer, series) = tracer(1.0);
    let verdict = Verdict::unreadable(DenyReason::PathAmbiguous);
    let record = |flags: &str| {
        let call = header_map(&[("traceparent", format!("00-{T}-{S}-{flags}"))]);
        let place = tracer.place(&call, None);
        let decided = Decided {
            trace: place.as_ref(),
            ..Decided::bare(Door::ExtAuthz, &verdict, Duration::ZERO)
        };
        tracer.record(&decided, None);
    };
    // The exporter cannot run meanwhile: there is one thread, and this is it.
    for _ in 0..queue::CAPACITY + 3 {
        record("01");
        record("00");
    }
    assert_eq!(series.counts().dropped.get(), 3);
    assert_eq!(tracer.queue.take().len(), queue::BATCH);
}
