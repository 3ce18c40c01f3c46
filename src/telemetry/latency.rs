//! How long decisions take, by door: a histogram of atomics, so that no decision waits for another's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::Door;

/// The buckets' upper bounds: from a decision with everything at hand (tens of microseconds)
/// over one that waits for keys to one that meets the default deadline of two seconds.
const BOUNDS: [Duration; 14] = [
    Duration::from_micros(25),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// Every door's histogram.
#[derive(Debug, Clone, Default)]
pub(super) struct Latencies(Arc<[Histogram; Door::ALL.len()]>);

/// How many decisions took how long, since start, as `/status` shows it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct LatencyCounts {
    /// The buckets' upper bounds.
    pub bounds_seconds: Vec<f64>,
    /// How many decisions each bucket holds, not those below with them; the last has no bound.
    pub counts: Vec<u64>,
}

#[derive(Debug, Default)]
struct Histogram {
    /// One per bound, and one for what is above all of them.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Latencies {
    pub(super) fn observe(&self, door: Door, took: Duration) {
        let Some(histogram) = self.0.get(door.index()) else {
            return;
        };
        let place = BOUNDS.partition_point(|&bound| bound < took);
        if let Some(bucket) = histogram.buckets.get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        // 584 years of decisions fit; a single one that does not is none of ours.
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(0);
        histogram
            .nanoseconds
            .fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl Latencies {
    /// All doors together.
    pub(super) fn counts(&self) -> LatencyCounts {
        let mut counts = vec![0; BOUNDS.len() + 1];
        for histogram in self.0.iter() {
            for (count, bucket) in counts.iter_mut().zip(&histogram.buckets) {
                *count += bucket.load(Ordering::Relaxed);
            }
        }
        LatencyCounts {
            bounds_seconds: BOUNDS.iter().map(Duration::as_secs_f64).collect(),
            counts,
        }
    }
}

impl Collector for Latencies {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut metric = encoder.encode_descriptor(
            "gatefort_decision_seconds",
            "How long decisions took, from the request read to the verdict",
            None,
            MetricType::Histogram,
        )?;
        for (door, histogram) in Door::ALL.iter().zip(self.0.iter()) {
            // Reads are not one snapshot: the sum may be a few decisions ahead, as with any scrape.
            let buckets: Vec<(f64, u64)> = BOUNDS
                .iter()
                .map(Duration::as_secs_f64)
                .chain([f64::INFINITY])
                .zip(&histogram.buckets)
                .map(|(bound, bucket)| (bound, bucket.load(Ordering::Relaxed)))
                .collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let sum = Duration::from_nanos(histogram.nanoseconds.load(Ordering::Relaxed));
            metric
                .encode_family(&[("door", door.name())])?
                .encode_histogram::<NoLabelSet>(sum.as_secs_f64(), count, &buckets, None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn each_duration_falls_into_its_bucket() {
        let latencies = Latencies::default();
        latencies.observe(Door::AuthRequest, Duration::from_micros(25));
        latencies.observe(Door::AuthRequest, Duration::from_micros(26));
        latencies.observe(Door::AuthRequest, Duration::from_secs(60));
        let mut registry = Registry::default();
        registry.register_collector(Box::new(latencies));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "gatefort_decision_seconds_bucket{le=\"0.000025\",door=\"auth_request\"} 1",
            "gatefort_decision_seconds_bucket{le=\"0.00005\",door=\"auth_request\"} 2",
            "gatefort_decision_seconds_bucket{le=\"5.0\",door=\"auth_request\"} 2",
            "gatefort_decision_seconds_bucket{le=\"+Inf\",door=\"auth_request\"} 3",
            "gatefort_decision_seconds_count{door=\"auth_request\"} 3",
            "gatefort_decision_seconds_sum{door=\"auth_request\"} 60.000051",
            "gatefort_decision_seconds_count{door=\"envoy_grpc\"} 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
