use proptest::prelude::*;

use super::*;

const T: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const S: &str = "00f067aa0ba902b7";

fn read(fields: &[(&str, &str)]) -> Option<TraceParent> {
    TraceParent::read(fields.iter().map(|(name, value)| (*name, value.as_bytes())))
}

/// `trace/span sampling`, or `-` for each that is not there.
fn shown(fields: &[(&str, &str)]) -> String {
    let Some(parent) = read(fields) else {
        return "-".to_owned();
    };
    let ids = parent.ids.map_or("-".to_owned(), |(trace, span)| {
        format!("{}/{:016x}", trace.hex(), u64::from_be_bytes(span.0))
    });
    format!("{ids} {:?}", parent.sampled)
}

#[test]
fn what_each_way_of_saying_it_means() {
    let whole = format!("{T}/{S}");
    let low = format!("0000000000000000a3ce929d0e0e4736/{S}");
    let w3c = |end: &str| vec![("traceparent", format!("00-{T}-{S}-{end}"))];
    let single = |end: &str| vec![("b3", format!("{T}-{S}{end}"))];
    let ids = || {
        vec![
            ("X-B3-TraceId", T.to_owned()),
            ("X-B3-SpanId", S.to_owned()),
        ]
    };
    let field = |name: &'static str, value: &str| vec![(name, value.to_owned())];
    let and = |fields: &[Vec<(&'static str, String)>]| fields.concat();
    for (fields, expected) in [
        (vec![], "-".to_owned()),
        // W3C Trace Context.
        (w3c("01"), format!("{whole} Yes")),
        (w3c("00"), format!("{whole} No")),
        (w3c("03"), format!("{whole} Yes")),
        (w3c("fe"), format!("{whole} No")),
        (
            field("TraceParent", &format!("00-{T}-{S}-01")),
            format!("{whole} Yes"),
        ),
        (
            field("traceparent", &format!("cc-{T}-{S}-01-more")),
            format!("{whole} Yes"),
        ),
        (
            field("traceparent", &format!("cc-{T}-{S}-01")),
            format!("{whole} Yes"),
        ),
        (
            field("traceparent", &format!("cc-{T}-{S}-01.more")),
            "-".to_owned(),
        ),
        (
            field("traceparent", &format!("ff-{T}-{S}-01")),
            "-".to_owned(),
        ),
        (w3c("01-more"), "-".to_owned()),
        (w3c("1"), "-".to_owned()),
        (w3c("0x"), "-".to_owned()),
        (w3c("0A"), "-".to_owned()),
        (
            field("traceparent", &format!("00-{}-{S}-01", T.to_uppercase())),
            "-".to_owned(),
        ),
        (
            field("traceparent", &format!("00-{}-{S}-01", "0".repeat(32))),
            "-".to_owned(),
        ),
        (
            field("traceparent", &format!("00-{T}-{}-01", "0".repeat(16))),
            "-".to_owned(),
        ),
        (
            field("traceparent", &format!("00-{S}-{T}-01")),
            "-".to_owned(),
        ),
        (field("traceparent", ""), "-".to_owned()),
        (and(&[w3c("01"), w3c("01")]), "-".to_owned()),
        // B3 in one field.
        (single(""), format!("{whole} Undecided")),
        (single("-1"), format!("{whole} Yes")),
        (single("-d"), format!("{whole} Yes")),
        (single("-0"), format!("{whole} No")),
        (single("-1-05e3ac9a4f6e3b90"), format!("{whole} Yes")),
        (
            field("b3", &format!("a3ce929d0e0e4736-{S}-1")),
            format!("{low} Yes"),
        ),
        (field("b3", "0"), "- No".to_owned()),
        (field("b3", "1"), "- Yes".to_owned()),
        (field("b3", "d"), "- Yes".to_owned()),
        (single("-2"), "-".to_owned()),
        (single("-1-x"), "-".to_owned()),
        (single("-1-05e3ac9a4f6e3b90-1"), "-".to_owned()),
        (field("b3", T), "-".to_owned()),
        (
            field("b3", &format!("{}-{S}-1", "0".repeat(32))),
            "-".to_owned(),
        ),
        (and(&[single("-1"), single("-1")]), "-".to_owned()),
        // B3 in several fields.
        (ids(), format!("{whole} Undecided")),
        (
            and(&[ids(), field("x-b3-sampled", "1")]),
            format!("{whole} Yes"),
        ),
        (
            and(&[ids(), field("x-b3-sampled", "true")]),
            format!("{whole} Yes"),
        ),
        (
            and(&[ids(), field("x-b3-sampled", "0")]),
            format!("{whole} No"),
        ),
        (
            and(&[ids(), field("x-b3-sampled", "0"), field("x-b3-flags", "1")]),
            format!("{whole} Yes"),
        ),
        (
            and(&[ids(), field("x-b3-sampled", "0"), field("x-b3-flags", "0")]),
            format!("{whole} No"),
        ),
        (field("x-b3-sampled", "0"), "- No".to_owned()),
        (field("x-b3-flags", "1"), "- Yes".to_owned()),
        (
            and(&[ids(), field("x-b3-sampled", "maybe")]),
            "-".to_owned(),
        ),
        (field("x-b3-traceid", T), "-".to_owned()),
        (field("x-b3-spanid", S), "-".to_owned()),
        (and(&[ids(), field("x-b3-spanid", S)]), "-".to_owned()),
        // Several at once.
        (
            and(&[field("x-b3-sampled", "0"), single("-0"), w3c("01")]),
            format!("{whole} Yes"),
        ),
        (
            and(&[field("traceparent", "junk"), single("-1")]),
            format!("{whole} Yes"),
        ),
        (
            and(&[field("b3", "junk"), ids(), field("x-b3-sampled", "1")]),
            format!("{whole} Yes"),
        ),
    ] {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(shown(&fields), expected, "{fields:?}");
    }
}

#[test]
fn state_is_passed_on_whole_or_not_at_all() {
    let long = format!("a={}", "x".repeat(511));
    for (fields, expected) in [
        (vec!["vendor=1"], Some("vendor=1")),
        (vec!["a=1, b=2", "c=3"], Some("a=1, b=2,c=3")),
        (vec!["a=1,,b=2"], Some("a=1,,b=2")),
        (vec![], None),
        (vec![""], None),
        (vec!["novalue"], None),
        (vec!["=1"], None),
        (vec!["a=\u{e9}"], None),
        (vec![&long], None),
        (vec!["a=1", &long], None),
    ] {
        let named = fields.iter().map(|value| ("TraceState", value.as_bytes()));
        assert_eq!(trace_state(named).as_deref(), expected, "{fields:?}");
    }
}

proptest! {
    #[test]
    fn whatever_is_sent_is_read_or_is_nothing(
        values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 7),
    ) {
        const NAMES: [&str; 7] = [
            "traceparent", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags", "tracestate",
        ];
        let fields = || NAMES.iter().zip(&values).map(|(name, value)| (*name, value.as_slice()));
        let _ = trace_state(fields());
        if let Some(TraceParent { ids: Some((trace, span)), .. }) = TraceParent::read(fields()) {
            prop_assert!(trace.0 != [0; 16] && span.0 != [0; 8]);
        }
    }

    #[test]
    fn what_is_well_formed_is_read_back(trace in any::<[u8; 16]>(), span in any::<[u8; 8]>(), flags in any::<u8>()) {
        let text = format!("00-{}-{:016x}-{flags:02x}", TraceId(trace).hex(), u64::from_be_bytes(span));
        let expected = (trace != [0; 16] && span != [0; 8]).then_some(TraceParent {
            ids: Some((TraceId(trace), SpanId(span))),
            sampled: if flags & 1 == 1 { Sampling::Yes } else { Sampling::No },
        });
        prop_assert_eq!(read(&[("traceparent", &text)]), expected);
    }
}
