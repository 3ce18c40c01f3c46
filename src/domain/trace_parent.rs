//! The trace that a request belongs to, as its header fields say: W3C Trace Context, or B3.
//!
//! Whatever cannot be read says nothing: no request is refused for it, and none joins a trace by half.

/// The id of a trace, never all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(pub [u8; 16]);

/// The id of a span, never all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(pub [u8; 8]);

/// Whether the parent's spans are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// They are.
    Yes,
    /// They are not.
    No,
    /// The parent leaves that to us (B3 alone can).
    Undecided,
}

/// What a request says of the trace that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace, and the span in it that asks. B3 can decide about sampling without naming one.
    pub ids: Option<(TraceId, SpanId)>,
    /// Whether it is recorded.
    pub sampled: Sampling,
}

/// The longest `tracestate` that is passed on: what W3C Trace Context §3.3.1.5 asks of everybody.
const MAX_STATE: usize = 512;

impl TraceParent {
    /// Reads `traceparent`; without a good one `b3`, and without that the `x-b3-` fields.
    ///
    /// In this order, because what writes both (a gateway that is being moved from one to the other) means the same
    /// by both, and B3's own specification prefers its single field.
    pub fn read<'w>(fields: impl Iterator<Item = (&'w str, &'w [u8])>) -> Option<Self> {
        let mut found = Found::default();
        for (name, value) in fields {
            found.note(name, value);
        }
        let w3c = found.traceparent.one().and_then(w3c);
        w3c.or_else(|| found.b3.one().and_then(b3))
            .or_else(|| found.multi())
    }
}

impl TraceId {
    /// In lower-case hex, as every tool shows it.
    #[must_use]
    pub fn hex(self) -> String {
        let mut text = String::with_capacity(32);
        for byte in self.0 {
            for digit in [byte >> 4, byte & 0xf] {
                text.extend(char::from_digit(digit.into(), 16));
            }
        }
        text
    }
}

/// The `tracestate` that goes with a `traceparent` (W3C Trace Context §3.3): its fields joined, if they are well
/// formed and not too long.
pub fn trace_state<'w>(fields: impl Iterator<Item = (&'w str, &'w [u8])>) -> Option<String> {
    let mut state = String::new();
    for (name, value) in fields {
        if !name.eq_ignore_ascii_case("tracestate") {
            continue;
        }
        let value = std::str::from_utf8(value).ok()?;
        if !state.is_empty() {
            state.push(',');
        }
        if state.len() + value.len() > MAX_STATE {
            return None;
        }
        state.push_str(value);
    }
    let is_member = |member: &str| {
        let member = member.trim_matches([' ', '\t']);
        let visible = member.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        member.is_empty() || (visible && member.find('=').is_some_and(|at| at > 0))
    };
    (!state.is_empty() && state.split(',').all(is_member)).then_some(state)
}

/// The fields that may say it.
#[derive(Default)]
struct Found<'w> {
    traceparent: Field<'w>,
    b3: Field<'w>,
    trace_id: Field<'w>,
    span_id: Field<'w>,
    sampled: Field<'w>,
    flags: Field<'w>,
}

/// A field that says something if it is there once.
#[derive(Default, Clone, Copy)]
enum Field<'w> {
    #[default]
    Absent,
    Once(&'w [u8]),
    Repeated,
}

impl<'w> Found<'w> {
    fn note(&mut self, name: &str, value: &'w [u8]) {
        let known: [(&str, &mut Field<'w>); 6] = [
            ("traceparent", &mut self.traceparent),
            ("b3", &mut self.b3),
            ("x-b3-traceid", &mut self.trace_id),
            ("x-b3-spanid", &mut self.span_id),
            ("x-b3-sampled", &mut self.sampled),
            ("x-b3-flags", &mut self.flags),
        ];
        for (known, field) in known {
            if known.eq_ignore_ascii_case(name) {
                *field = match field {
                    Field::Absent => Field::Once(value),
                    Field::Once(_) | Field::Repeated => Field::Repeated,
                };
            }
        }
    }

    /// B3 in several fields.
    fn multi(&self) -> Option<TraceParent> {
        let sampled = match (self.flags.one(), self.sampled.one()) {
            (Some(b"1"), _) => Sampling::Yes,
            (_, Some(word)) => decision(word)?,
            (_, None) => Sampling::Undecided,
        };
        let ids = match (self.trace_id.one(), self.span_id.one()) {
            (Some(trace), Some(span)) => Some((b3_trace(trace)?, span_id(span)?)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return None,
        };
        said(ids, sampled)
    }
}

impl<'w> Field<'w> {
    const fn one(self) -> Option<&'w [u8]> {
        match self {
            Self::Once(value) => Some(value),
            Self::Absent | Self::Repeated => None,
        }
    }
}

/// `version-trace-parent-flags` (W3C Trace Context §3.2.2); a later version may add to the end.
fn w3c(value: &[u8]) -> Option<TraceParent> {
    let (head, rest) = value.split_at_checked(55)?;
    let mut parts = head.split(|byte| *byte == b'-');
    let version: [u8; 1] = hex(parts.next()?)?;
    let trace = TraceId(nonzero(hex(parts.next()?)?)?);
    let span = span_id(parts.next()?)?;
    let flags: [u8; 1] = hex(parts.next()?)?;
    let good_end = match version {
        [0] => rest.is_empty(),
        [0xff] => false,
        _later => rest.is_empty() || rest.starts_with(b"-"),
    };
    let sampled = match flags {
        [flags] if flags & 1 == 1 => Sampling::Yes,
        _ => Sampling::No,
    };
    good_end.then_some(TraceParent {
        ids: Some((trace, span)),
        sampled,
    })
}

/// `trace-span`, `trace-span-decision`, `trace-span-decision-parent`, or `decision` alone.
fn b3(value: &[u8]) -> Option<TraceParent> {
    let mut parts = value.split(|byte| *byte == b'-');
    let first = parts.next()?;
    let Some(span) = parts.next() else {
        return said(None, decision(first)?);
    };
    let ids = (b3_trace(first)?, span_id(span)?);
    let sampled = parts.next().map_or(Some(Sampling::Undecided), decision)?;
    if let Some(parent) = parts.next() {
        span_id(parent)?;
    }
    parts
        .next()
        .is_none()
        .then(|| said(Some(ids), sampled))
        .flatten()
}

/// Nothing, where nothing is said.
fn said(ids: Option<(TraceId, SpanId)>, sampled: Sampling) -> Option<TraceParent> {
    (ids.is_some() || sampled != Sampling::Undecided).then_some(TraceParent { ids, sampled })
}

/// B3's word about sampling; `d` is "yes, and debug"; `true` and `false` are those of its first users.
fn decision(word: &[u8]) -> Option<Sampling> {
    match word {
        b"1" | b"d" | b"true" => Some(Sampling::Yes),
        b"0" | b"false" => Some(Sampling::No),
        _ => None,
    }
}

/// Of 16 or 8 bytes; the shorter ones are the lower half.
fn b3_trace(text: &[u8]) -> Option<TraceId> {
    if let Some(id) = hex(text) {
        return nonzero(id).map(TraceId);
    }
    let mut id = [0; 16];
    let (_, low) = id.split_at_mut(8);
    low.copy_from_slice(&span_id(text)?.0);
    Some(TraceId(id))
}

fn span_id(text: &[u8]) -> Option<SpanId> {
    nonzero(hex(text)?).map(SpanId)
}

fn nonzero<const N: usize>(id: [u8; N]) -> Option<[u8; N]> {
    (id != [0; N]).then_some(id)
}

/// Lower-case hex of exactly so many bytes.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let (pairs, []) = text.as_chunks::<2>() else {
        return None;
    };
    let mut bytes = [0; N];
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
