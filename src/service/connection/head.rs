//! The head of a request as gateways send it: HTTP/1.1, for a path, without a body.
//!
//! hyper's own parser reads it, so that what is taken here means what it would mean there. Whatever is of another
//! form, or of none, is left to hyper.

use std::mem::MaybeUninit;

use http::uri::PathAndQuery;
use httparse::{Request, Status};

use crate::domain::request::Headers;
use crate::gateway::Call;

/// How many fields a head may have: as many as hyper takes.
const MAX_FIELDS: usize = 100;

/// What a buffer begins with.
#[derive(Debug)]
pub(super) enum Form<'b> {
    /// The beginning of a head.
    Partial,
    /// A head of the plain form.
    Plain(Head<'b>),
    /// Anything else.
    Other,
}

/// A plain head, in its buffer.
#[derive(Debug)]
pub(super) struct Head<'b> {
    /// What it says to the doors.
    pub(super) call: Call<'b>,
    /// How many octets it takes.
    pub(super) length: usize,
    /// Whether its peer wants the connection to end with the answer (RFC 9112 §9.6).
    pub(super) closes: bool,
}

impl<'b> Head<'b> {
    /// Reads what a buffer begins with. A head that is longer than `most` is hyper's to refuse.
    pub(super) fn read(buffer: &'b [u8], most: usize) -> Form<'b> {
        // Not made empty first: that would cost as much as to read a head.
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut request = Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(buffer, &mut fields) {
            Ok(Status::Partial) if buffer.len() < most => return Form::Partial,
            Ok(Status::Complete(length)) if length <= most => length,
            Ok(_too_long) => return Form::Other,
            Err(_malformed) => return Form::Other,
        };
        let (Some(method), Some(target), Some(1)) = (request.method, request.path, request.version)
        else {
            return Form::Other;
        };
        let Some(closes) = closes(request.headers).filter(|_| is_origin_form(target)) else {
            return Form::Other;
        };
        let fields = request.headers.iter();
        Form::Plain(Self {
            call: Call {
                method,
                target,
                authority: None,
                headers: Headers::new(fields.map(|field| (field.name, field.value)).collect()),
            },
            length,
            closes,
        })
    }
}

/// Whether the connection is to end with the answer; `None` if the fields say that there is a body, or that more is
/// wanted than an answer.
fn closes(fields: &[httparse::Header<'_>]) -> Option<bool> {
    let (mut closes, mut lengths) = (false, 0);
    for field in fields {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        // The lengths tell most others apart.
        match field.name.len() {
            2 if is("te") => return None,
            6 if is("expect") => return None,
            7 if is("upgrade") || is("trailer") => return None,
            10 if is("connection") => match field.value {
                value if value.eq_ignore_ascii_case(b"keep-alive") => {}
                value if value.eq_ignore_ascii_case(b"close") => closes = true,
                _other => return None,
            },
            14 if is("content-length") => {
                lengths += 1;
                if field.value != b"0" || lengths > 1 {
                    return None;
                }
            }
            17 if is("transfer-encoding") => return None,
            _other => {}
        }
    }
    Some(closes)
}

/// Whether a target is a path, perhaps with a query, that hyper would hand on as it is.
fn is_origin_form(target: &str) -> bool {
    target.starts_with('/')
        && PathAndQuery::try_from(target).is_ok_and(|read| read.as_str() == target)
}

#[cfg(test)]
mod tests;
