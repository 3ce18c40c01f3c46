//! `tracing`: which decisions leave a span, and where spans go.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::caution::Caution;
use super::fault::Fault;
use super::files::{Files, Pem};
use super::issuers::EXCHANGE;
use super::key_source::{self, Given};
use super::notes::Notes;
use super::read::{At, Setting, Spot, mapping};
use super::shapes::{Named, choice, duration, fraction, names, text};
use super::values::{file, secret};
use crate::telemetry::traces::settings::{OtlpProtocol, TraceSettings};
use crate::verify::settings::{HttpSettings, HttpVersion, PlainHttp};

mapping! {
    /// `tracing`: a span for each decision, sent to a collector by OTLP.
    RawTracing ("a mapping such as {endpoint: http://127.0.0.1:4318}") {
        /// The collector, as in OpenTelemetry's `OTEL_EXPORTER_OTLP_ENDPOINT`: of OTLP/HTTP the URL that `/v1/traces` is
        /// added to, of OTLP/gRPC the one of its server. Required.
        endpoint: At<String> = text,
        /// How it is spoken to: `http/protobuf` (default, as OpenTelemetry's specification asks) or `grpc`.
        protocol: At<OtlpProtocol> = choice(&[("http/protobuf", OtlpProtocol::Http), ("grpc", OtlpProtocol::Grpc)]),
        /// Headers that are sent along: name and value. A value that is a secret is better in a file or a variable.
        headers: At<Vec<Named<At<SecretString>>>> = names(secret),
        /// Headers whose values stand in files: name and file; one line break at its end is not part of the value.
        headers_file: At<Vec<Named<At<PathBuf>>>> = names(file),
        /// Which share of the traces is recorded that no parent has decided about, from 0 to 1; default `1`, as
        /// OpenTelemetry's SDKs, Envoy and Traefik do: who asks for traces wants to see some. Where the request names a
        /// parent, the parent's decision holds.
        ratio: At<f64> = fraction,
        /// More about whose spans these are, as in {deployment.environment.name: production}. Default `service.name`
        /// (`gatefort`), `service.version` and `service.instance.id`; each can be said otherwise.
        resource: At<Vec<Named<At<String>>>> = names(text),
        /// Trust anchors (PEM) besides the system's.
        ca_file: At<PathBuf> = file,
        /// Our certificate chain and private key (one PEM file), for a collector that asks for them.
        client_cert_file: At<PathBuf> = file,
        /// How long sending a batch may take; default `10s`, as in OpenTelemetry's specification: nobody waits for it.
        timeout: At<Duration> = duration,
    }
}

/// The timeout of OpenTelemetry's exporters.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// What OTLP/HTTP adds to its base URL.
const HTTP_PATH: &str = "/v1/traces";

/// The one method of OTLP/gRPC that is for traces.
const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// What `tracing` means; nothing where it is absent, and where it has no endpoint.
pub(super) fn from_raw(
    raw: Setting<RawTracing>,
    files: &Files,
    notes: &mut Notes<'_>,
) -> Option<TraceSettings> {
    let raw = raw.into_given()?;
    let protocol = raw
        .protocol
        .given()
        .map_or(OtlpProtocol::Http, |at| at.value);
    if raw.endpoint.is_absent() {
        let advice = "write the collector's URL, as in endpoint: http://127.0.0.1:4318";
        let key = "endpoint";
        notes.error(Fault::Missing { key, advice }, &raw.spot);
    }
    let headers = headers(&raw, files, notes);
    let endpoint = raw.endpoint.given().and_then(|at| {
        let url = key_source::http_url(at, notes)?;
        if url.scheme() == "http" && !headers.is_empty() && !key_source::is_loopback(&url) {
            notes.warn(Caution::TracingInsecure, &at.spot);
        }
        Some(url)
    });
    let ratio = raw.ratio.given().map_or(1.0, |at| {
        if !(0.0..=1.0).contains(&at.value) {
            let fault = Fault::OutOfRange {
                least: "0".to_owned(),
                most: "1".to_owned(),
                reason: "it is a share of the traces",
            };
            notes.error(fault, &at.spot);
        }
        at.value
    });
    let base = HttpSettings::default();
    let pem = |file: &Setting<At<PathBuf>>, kind, notes: &mut Notes<'_>| {
        file.given().and_then(|at| files.pem(at, kind, notes))
    };
    let timeout = EXCHANGE.check(&raw.timeout, DEFAULT_TIMEOUT, notes);
    let http = HttpSettings {
        ca_file: pem(&raw.ca_file, Pem::Anchors, notes),
        client_cert_file: pem(&raw.client_cert_file, Pem::ChainAndKey, notes),
        connect_timeout: base.connect_timeout.min(timeout),
        timeout,
        // Spans grant nothing to who changes them; what they tell is the operator's to protect.
        plain_http: PlainHttp::Anywhere,
        http_version: match protocol {
            OtlpProtocol::Grpc => HttpVersion::Two,
            OtlpProtocol::Http => HttpVersion::Any,
        },
        ..base
    };
    let resource = raw.resource.into_value().unwrap_or_default();
    Some(TraceSettings {
        endpoint: method_of(endpoint?, protocol),
        protocol,
        headers,
        ratio,
        resource: resource
            .into_iter()
            .map(|Named { name, value }| (name.value, value.value))
            .collect(),
        http,
    })
}

/// Where spans go at a collector. A URL that ends in the path already is taken as it is.
fn method_of(mut endpoint: Url, protocol: OtlpProtocol) -> Url {
    let base = endpoint.path().trim_end_matches('/');
    let path = match protocol {
        OtlpProtocol::Grpc => GRPC_PATH.to_owned(),
        OtlpProtocol::Http if base.ends_with(HTTP_PATH) => base.to_owned(),
        OtlpProtocol::Http => format!("{base}{HTTP_PATH}"),
    };
    endpoint.set_path(&path);
    endpoint
}

/// Every header, each of which can be sent as it is.
fn headers(
    raw: &RawTracing,
    files: &Files,
    notes: &mut Notes<'_>,
) -> Vec<(HeaderName, SecretString)> {
    let mut said: Vec<(&At<String>, SecretString, Spot)> = Vec::new();
    for Named { name, value } in raw.headers.given().map_or(&[][..], |at| &at.value) {
        if !value.substituted && looks_secret(&name.value) {
            notes.warn(Caution::SecretInline, &value.spot);
        }
        said.push((name, value.value.clone(), value.spot.clone()));
    }
    for Named { name, value } in raw.headers_file.given().map_or(&[][..], |at| &at.value) {
        let file = Setting::Given(value.clone());
        if let Given::Secret(bytes, spot) =
            key_source::secret(&Setting::Absent, &file, files, notes)
        {
            // What is no text is no header's value either.
            let text = String::from_utf8_lossy(bytes.expose_secret()).into_owned();
            said.push((name, text.into(), spot));
        }
    }
    let mut headers: Vec<(HeaderName, SecretString)> = Vec::new();
    let mut seen: HashMap<HeaderName, usize> = HashMap::new();
    for (name, value, spot) in said {
        let text = value.expose_secret();
        if text.is_empty() || !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            notes.error(Fault::IntrospectionSecret, &spot);
        }
        let Ok(header) = HeaderName::from_bytes(name.value.as_bytes()) else {
            let found = name.shown();
            notes.error(Fault::HeaderName { found }, &name.spot);
            continue;
        };
        if let Some(first_line) = seen.insert(header.clone(), name.spot.span.line) {
            notes.error(Fault::HeaderTwice { first_line }, &name.spot);
        }
        headers.push((header, value));
    }
    headers
}

/// Whether a header of this name carries a secret: others name a tenant or a data set.
fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["auth", "key", "token", "secret"]
        .iter()
        .any(|part| name.contains(part))
}
