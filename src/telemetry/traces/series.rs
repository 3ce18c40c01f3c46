//! What is known of traces process-wide: who we are, and what became of the spans.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::Ids;
use super::message::{self, Resource};

/// The counters of spans by result, and the name of this process.
#[derive(Debug)]
pub(in crate::telemetry) struct SpanSeries {
    spans: Family<[(&'static str, &'static str); 1], Counter>,
    /// Ours among all that are called alike (`service.instance.id`): new with each start, as OpenTelemetry advises.
    instance: String,
}

/// What became of spans.
#[derive(Debug, Clone)]
pub(super) struct SpanCounts {
    /// The collector took them.
    pub exported: Counter,
    /// They found no room in the queue.
    pub dropped: Counter,
    /// They could not be delivered.
    pub failed: Counter,
    /// The collector refused them.
    pub rejected: Counter,
}

impl SpanSeries {
    pub(in crate::telemetry) fn new(registry: &mut Registry) -> Self {
        let spans = Family::default();
        registry.register(
            "gatefort_spans",
            "Spans by what became of them",
            Family::clone(&spans),
        );
        Self {
            spans,
            instance: uuid(Ids::new().trace().0),
        }
    }

    pub(super) fn counts(&self) -> SpanCounts {
        let count = |result| self.spans.get_or_create_owned(&[("result", result)]);
        SpanCounts {
            exported: count("exported"),
            dropped: count("dropped"),
            failed: count("failed"),
            rejected: count("rejected"),
        }
    }

    /// What every span is about; what the operator says of it stands in place of what we would.
    pub(super) fn resource(&self, said: &[(String, String)]) -> Resource {
        let own = [
            ("service.name", "gatefort"),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("service.instance.id", self.instance.as_str()),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let unsaid = own
            .into_iter()
            .filter(|(name, _)| said.iter().all(|(other, _)| other != name));
        message::resource(unsaid.chain(said.iter().cloned()))
    }
}

/// A random UUID (RFC 9562 §5.4).
fn uuid(mut bytes: [u8; 16]) -> String {
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = 0x40 | (*version & 0xf);
    *variant = 0x80 | (*variant & 0x3f);
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 0xf] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_a_uuid() {
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
    }
}
