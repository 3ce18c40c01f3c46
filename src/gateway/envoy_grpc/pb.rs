//! The generated messages of `proto/`: Envoy's names, strings as bytes (see `build.rs`).

#![expect(
    unreachable_pub,
    clippy::doc_markdown,
    clippy::enum_variant_names,
    reason = "generated code"
)]

include!(concat!(env!("OUT_DIR"), "/pb.rs"));
