//! Compiles `proto/` into message types and a descriptor set, without `protoc`.
//!
//! The descriptor set keeps Envoy's types for server reflection. The Rust types read every string
//! as bytes, which is the same on the wire: prost refuses a message whose strings are not UTF-8,
//! that refusal is a gRPC error, and an error is "allow" to an Envoy with `failure_mode_allow`.
//! So one odd header byte must not make a message unreadable; the door judges it instead.
//! In what is sent to a collector, a name that stands in the program is then not copied.

use std::error::Error;
use std::path::PathBuf;

use protox::prost_reflect::prost_types::field_descriptor_proto::Type;
use protox::prost_reflect::prost_types::{DescriptorProto, FileDescriptorSet};

/// The root of what the door speaks; it imports the rest.
const ENVOY: &str = "envoy/service/auth/v3/external_auth.proto";

/// The root of what a collector of traces is sent.
const OTLP: &str = "opentelemetry/proto/collector/trace/v1/trace_service.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=proto");

    let envoy = compile(ENVOY, "pb.rs")?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    std::fs::write(
        out.join("descriptors.bin"),
        envoy.encode_file_descriptor_set(),
    )?;
    compile(OTLP, "otlp.rs")?;
    Ok(())
}

/// Compiles a root and what it imports into a file of modules.
fn compile(root: &str, modules: &str) -> Result<protox::Compiler, Box<dyn Error>> {
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).open_file(root)?;
    tonic_prost_build::configure()
        // The door answers `Check` itself: a message that cannot be read is answered as denied,
        // where the generated service would answer with a gRPC error.
        .build_client(false)
        .build_server(false)
        .emit_rerun_if_changed(false)
        .bytes(".")
        .include_file(modules)
        .compile_fds(strings_as_bytes(compiler.file_descriptor_set()))?;
    Ok(compiler)
}

/// Turns every string field into bytes, except in Google's well-known types, which prost brings along.
fn strings_as_bytes(mut files: FileDescriptorSet) -> FileDescriptorSet {
    for file in &mut files.file {
        if file.package() != "google.protobuf" {
            file.message_type.iter_mut().for_each(message);
        }
    }
    files
}

fn message(descriptor: &mut DescriptorProto) {
    for field in &mut descriptor.field {
        if field.r#type() == Type::String {
            field.set_type(Type::Bytes);
        }
    }
    // A map is a list of entries on the wire; as such its keys may be bytes, and repetitions stay visible.
    if let Some(options) = &mut descriptor.options {
        options.map_entry = None;
    }
    descriptor.nested_type.iter_mut().for_each(message);
}
