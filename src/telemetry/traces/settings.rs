//! What the operator says about traces.

use http::HeaderName;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::verify::settings::HttpSettings;

/// Where spans go, and which.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// Where the collector is asked: the whole URL of its method, or of its resource.
    pub endpoint: Url,
    /// How it is spoken to.
    pub protocol: OtlpProtocol,
    /// What is sent along: each name with its value.
    pub headers: Vec<(HeaderName, SecretString)>,
    /// Which share of the traces is recorded that nobody has decided about: from 0 to 1.
    pub ratio: f64,
    /// What the spans are about, besides what we know ourselves: attributes of the resource.
    pub resource: Vec<(String, String)>,
    /// How the collector is reached.
    pub http: HttpSettings,
}

/// The protocols of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP with binary Protocol Buffers.
    Http,
}

impl PartialEq for TraceSettings {
    fn eq(&self, other: &Self) -> bool {
        let headers = |settings: &Self| -> Vec<(HeaderName, String)> {
            let exposed = |(name, value): &(HeaderName, SecretString)| {
                (name.clone(), value.expose_secret().to_owned())
            };
            settings.headers.iter().map(exposed).collect()
        };
        self.endpoint == other.endpoint
            && self.protocol == other.protocol
            && headers(self) == headers(other)
            && self.ratio.to_bits() == other.ratio.to_bits()
            && self.resource == other.resource
            && self.http == other.http
    }
}
