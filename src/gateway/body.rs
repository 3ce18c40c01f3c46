//! The body of an answer, in one type of known size: what the doors write, and what others stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// The body of an answer.
#[derive(Debug)]
pub struct Body(Content);

#[derive(Debug)]
enum Content {
    /// The whole of it; taken when it is sent.
    Whole(Bytes),
    /// A gRPC message, framed, and after it the trailer that says that the call went well.
    Message(Bytes),
    /// The trailer that is left of a gRPC message.
    GrpcOk,
    /// Nothing more.
    Nothing,
    /// Someone else's.
    Streamed(axum::body::Body),
}

impl Body {
    /// All of a body.
    #[must_use]
    pub const fn whole(bytes: Bytes) -> Self {
        Self(Content::Whole(bytes))
    }

    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Content::Nothing)
    }

    /// A framed gRPC message; `grpc-status: 0` follows it.
    pub(super) const fn grpc_message(frame: Bytes) -> Self {
        Self(Content::Message(frame))
    }
}

impl From<axum::body::Body> for Body {
    fn from(body: axum::body::Body) -> Self {
        Self(Content::Streamed(body))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Content::Streamed(body) = &mut self.0 {
            return Pin::new(body).poll_frame(context);
        }
        let (frame, rest) = match std::mem::replace(&mut self.0, Content::Nothing) {
            Content::Whole(bytes) if !bytes.is_empty() => {
                (Some(Frame::data(bytes)), Content::Nothing)
            }
            Content::Message(frame) => (Some(Frame::data(frame)), Content::GrpcOk),
            Content::GrpcOk => (Some(Frame::trailers(grpc_ok())), Content::Nothing),
            Content::Whole(_) | Content::Nothing | Content::Streamed(_) => (None, Content::Nothing),
        };
        self.0 = rest;
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Message(_) | Content::GrpcOk => false,
            Content::Nothing => true,
            Content::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Whole(bytes) => {
                SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            }
            // Known, but of no use to a gRPC client: one header field less.
            Content::Message(_) | Content::GrpcOk => SizeHint::default(),
            Content::Nothing => SizeHint::with_exact(0),
            Content::Streamed(body) => body.size_hint(),
        }
    }
}

/// The trailers of a call that went well (gRPC over HTTP/2, "Responses").
fn grpc_ok() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(
        HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    );
    trailers
}
