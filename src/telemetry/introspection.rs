//! What `/metrics` says about the introspection endpoints.

use std::fmt::Error;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::verify::{Circuit, IntrospectionStatus, IssuerStatus};

/// A label's value, and what is counted under it.
type Reading = (&'static str, Reader);

type Reader = fn(&IntrospectionStatus) -> u64;

/// Writes the series of every issuer that has an endpoint.
pub(super) fn encode(
    issuers: &[IssuerStatus],
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), Error> {
    let endpoints: Vec<(&str, &IntrospectionStatus)> = issuers
        .iter()
        .filter_map(|issuer| Some((&*issuer.issuer, issuer.introspection.as_ref()?)))
        .collect();
    if endpoints.is_empty() {
        return Ok(());
    }
    counters(
        encoder,
        &endpoints,
        "gatefort_introspection_calls",
        "Introspection calls by result",
        "result",
        &[
            ("active", |status| status.answers_active),
            ("inactive", |status| status.answers_inactive),
            ("failed", |status| status.calls_failed),
        ],
    )?;
    counters(
        encoder,
        &endpoints,
        "gatefort_introspection_served",
        "Requests that were served without waiting for a call, by what served them",
        "from",
        &[
            ("cache", |status| status.served_from_cache),
            ("last_known", |status| status.served_last_known),
        ],
    )?;
    let mut circuit = encoder.encode_descriptor(
        "gatefort_introspection_circuit",
        "1 for the state that an introspection endpoint's circuit is in, 0 for the others",
        None,
        MetricType::Gauge,
    )?;
    for (issuer, status) in &endpoints {
        for (name, state) in [
            ("closed", Circuit::Closed),
            ("open", Circuit::Open),
            ("probing", Circuit::Probing),
        ] {
            let labels = [("issuer", *issuer), ("state", name)];
            ConstGauge::new(u64::from(status.circuit == state))
                .encode(circuit.encode_family(&labels)?)?;
        }
    }
    let gauges: [(&str, &str, Reader); 3] = [
        (
            "gatefort_introspection_in_flight",
            "Introspection calls under way or waiting for their turn",
            |status| u64::try_from(status.in_flight).unwrap_or(u64::MAX),
        ),
        (
            "gatefort_introspection_cached",
            "Introspection answers that are remembered, about",
            |status| status.cached,
        ),
        (
            "gatefort_introspection_cached_bytes",
            "Bytes that remembered introspection answers take, about",
            |status| status.cached_bytes,
        ),
    ];
    for (name, help, value) in gauges {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (issuer, status) in &endpoints {
            ConstGauge::new(value(status)).encode(family.encode_family(&[("issuer", *issuer)])?)?;
        }
    }
    Ok(())
}

fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    endpoints: &[(&str, &IntrospectionStatus)],
    name: &str,
    help: &str,
    label: &str,
    readings: &[Reading],
) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (issuer, status) in endpoints {
        for (value, count) in readings {
            let labels = [("issuer", *issuer), (label, *value)];
            ConstCounter::new(count(status)).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}
