//! Our messages against the other side's: what `envoy-types` encodes we decode, and the reverse.

mod alike;
mod octets;
mod reading;
mod writing;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::service::auth::v3 as envoy;
use envoy_types::pb::envoy::service::auth::v3::attribute_context as context;
use prost::Message;

use super::oracle::pb::envoy::service::auth::v3::CheckRequest;
use super::oracle::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use super::read::read;
use super::*;
use crate::authorizer::Decision;
use crate::domain::policy::RuleId;
use crate::domain::reason::DenyReason;
use crate::domain::request::{HeaderRemoval, RequestContext};
use crate::gateway::Answers;

fn http() -> context::HttpRequest {
    context::HttpRequest {
        id: "17".to_owned(),
        method: "PATCH".to_owned(),
        headers: [
            (":path", "/public"),
            (":authority", "evil.example.com"),
            (":method", "OPTIONS"),
            ("authorization", "Bearer t"),
            ("x-request-id", "r-1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        header_map: None,
        path: "/orders/1?next=/public".to_owned(),
        host: "API.example.com:443".to_owned(),
        scheme: "https".to_owned(),
        query: "ignored".to_owned(),
        fragment: "ignored".to_owned(),
        size: 7,
        protocol: "HTTP/2".to_owned(),
        body: "ignored".to_owned(),
        raw_body: b"ignored".to_vec(),
    }
}

fn peer(address: &str) -> context::Peer {
    let socket = core::SocketAddress {
        address: address.to_owned(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(4711)),
        ..Default::default()
    };
    context::Peer {
        address: Some(core::Address {
            address: Some(core::address::Address::SocketAddress(socket)),
        }),
        service: "front".to_owned(),
        principal: "spiffe://example.com/front".to_owned(),
        certificate: "ignored".to_owned(),
        ..Default::default()
    }
}

fn sent(http: context::HttpRequest, source: Option<context::Peer>) -> Vec<u8> {
    let message = envoy::CheckRequest {
        attributes: Some(envoy::AttributeContext {
            source,
            destination: Some(peer("192.0.2.200")),
            request: Some(context::Request {
                time: Some(envoy_types::pb::google::protobuf::Timestamp::default()),
                http: Some(http),
            }),
            context_extensions: [("policy".to_owned(), "public".to_owned())].into(),
            ..Default::default()
        }),
    };
    message.encode_to_vec()
}

/// What is sent of [`http()`] after a change that the other side's types may not know.
fn changed(change: impl FnOnce(&mut HttpRequest)) -> Vec<u8> {
    let mut message = CheckRequest::decode(&sent(http(), None)[..]).unwrap();
    let request = message.attributes.as_mut().unwrap().request.as_mut();
    change(request.unwrap().http.as_mut().unwrap());
    message.encode_to_vec()
}

/// The message that is written for a decision, without its frame.
fn written(
    decision: &Decision,
    rule: Option<RuleId>,
    request: Option<&RequestContext<'_>>,
    answers: &Answers,
) -> Vec<u8> {
    let frame = answer::write(decision, rule, request, "r-1", answers).into_frame();
    let (head, message) = frame.split_first_chunk::<5>().unwrap();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    assert_eq!(head, &[&[0][..], &length].concat()[..]);
    message.to_vec()
}

#[test]
fn reflection_shows_envoys_own_types() {
    let set = prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let file = set
        .file
        .iter()
        .find(|file| file.name() == "envoy/service/auth/v3/attribute_context.proto")
        .unwrap();
    let http = &file.message_type[0]
        .nested_type
        .iter()
        .find(|kind| kind.name() == "HttpRequest");
    let path = http
        .unwrap()
        .field
        .iter()
        .find(|field| field.name() == "path")
        .unwrap();
    assert_eq!(
        path.r#type(),
        prost_types::field_descriptor_proto::Type::String
    );
    let services: Vec<_> = set
        .file
        .iter()
        .flat_map(|file| {
            file.service
                .iter()
                .map(|service| format!("{}.{}", file.package(), service.name()))
        })
        .collect();
    assert_eq!(services, [SERVICE]);
    assert_eq!(CHECK, format!("/{SERVICE}/Check"));
}
