//! Compiles `proto/` into message types and a descriptor set, without `protoc`.
//!
//! The descriptor set keeps Envoy's types for server reflection. The door reads and writes Envoy's messages itself; of
//! the Rust types, tests and a fuzzer hold its reading against those of the question.
//! They have every string as bytes, which is the same on the wire, and as the door reads them: prost refuses a message
//! whose strings are not UTF-8, where the door judges the field.
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

    let envoy = compile(ENVOY)?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    std::fs::write(
        out.join("descriptors.bin"),
        envoy.encode_file_descriptor_set(),
    )?;
    generate(questions(envoy.file_descriptor_set()), "pb.rs")?;
    generate(compile(OTLP)?.file_descriptor_set(), "otlp.rs")
}

/// Compiles a root and what it imports.
fn compile(root: &str) -> Result<protox::Compiler, Box<dyn Error>> {
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).open_file(root)?;
    Ok(compiler)
}

/// Writes Rust types into a file of modules.
fn generate(files: FileDescriptorSet, modules: &str) -> Result<(), Box<dyn Error>> {
    tonic_prost_build::configure()
        .build_client(false)
        .build_server(false)
        .emit_rerun_if_changed(false)
        .bytes(".")
        .include_file(modules)
        .compile_fds(strings_as_bytes(files))?;
    Ok(())
}

/// What is left without services, answers, and what stands in answers alone.
fn questions(mut files: FileDescriptorSet) -> FileDescriptorSet {
    files
        .file
        .retain(|file| !matches!(file.package(), "google.rpc" | "envoy.type.v3"));
    for file in &mut files.file {
        file.service.clear();
        file.message_type
            .retain(|message| !message.name().ends_with("Response"));
    }
    files
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
