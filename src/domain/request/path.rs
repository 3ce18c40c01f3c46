//! Reading a request target into a path that has one reading, or refusing it.
//!
//! The rule that judges a path and the server that serves it must mean the same by it.
//! Servers differ on dot segments, encoded separators, path parameters, double encoding and
//! encodings that are not UTF-8, so a path with any of these is refused rather than guessed.

use std::borrow::Cow;

use super::RequestPath;
use crate::domain::reason::DenyReason;
use crate::domain::text::are_all;

impl<'w> RequestPath<'w> {
    /// The longest path that is read, in bytes as sent: what common gateways accept as a request line.
    pub const MAX_LENGTH: usize = 8 * 1024;

    /// Reads a request target in origin form (RFC 9112 §3.2.1): the path, and the query after the first `?`.
    ///
    /// # Errors
    /// [`DenyReason::PathAmbiguous`] for every other form and every path that can be read in two ways.
    pub fn parse_target(target: &'w str) -> Result<(Self, Option<&'w str>), DenyReason> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        // A fragment is never sent (RFC 9112 §3.2.1): where one stands, somebody reads the rest differently.
        let query_is_sound = query.is_none_or(|query| {
            query
                .bytes()
                .all(|byte| !byte.is_ascii_control() && !matches!(byte, b' ' | b'#'))
        });
        if !query_is_sound {
            return Err(DenyReason::PathAmbiguous);
        }
        let path = normalise(path).ok_or(DenyReason::PathAmbiguous)?;
        Ok((Self(path), query))
    }

    /// The normalised path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments between the slashes; the last one is empty where the path ends with a slash.
    pub fn segments(&self) -> std::str::Split<'_, char> {
        self.0.strip_prefix('/').unwrap_or(&self.0).split('/')
    }
}

/// What becomes of a byte of a path.
#[derive(Clone, Copy)]
enum Form {
    /// It stands for itself.
    Plain(u8),
    /// It is percent-encoded.
    Encoded(u8),
}

fn normalise(path: &str) -> Option<Cow<'_, str>> {
    if path.len() > RequestPath::MAX_LENGTH || !path.starts_with('/') {
        return None;
    }
    let is_plain = are_all(path.as_bytes(), |byte| {
        byte == b'/' || is_segment_char(byte)
    });
    let normal = if is_plain {
        Cow::Borrowed(path)
    } else {
        rewrite(path)?
    };
    has_sound_segments(&normal).then_some(normal)
}

/// The normal form of a path that holds more than plain characters.
fn rewrite(path: &str) -> Option<Cow<'_, str>> {
    let mut normal: Option<String> = None;
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let at = path.len() - rest.len();
        let (form, is_normal) = if first == b'%' {
            let (&high, &low) = (after.first()?, after.get(1)?);
            let form = form_of_encoded(hex_value(high)? << 4 | hex_value(low)?)?;
            rest = after.get(2..)?;
            let upper = !high.is_ascii_lowercase() && !low.is_ascii_lowercase();
            (form, upper && matches!(form, Form::Encoded(_)))
        } else {
            let form = form_of_raw(first)?;
            rest = after;
            (form, matches!(form, Form::Plain(_)))
        };
        if normal.is_none() && !is_normal {
            let mut text = String::with_capacity(path.len() + 16);
            text.push_str(path.get(..at)?);
            normal = Some(text);
        }
        if let Some(text) = &mut normal {
            match form {
                Form::Plain(byte) => text.push(char::from(byte)),
                Form::Encoded(byte) => push_encoded(text, byte),
            }
        }
    }
    let normal = normal.map_or(Cow::Borrowed(path), Cow::Owned);
    (!is_doubly_encoded(&normal) && decodes_to_text(&normal)).then_some(normal)
}

/// What may stand raw in a segment: `pchar` without `;` (RFC 3986 §3.3), and what browsers leave unencoded.
fn form_of_raw(byte: u8) -> Option<Form> {
    match byte {
        b'/' => Some(Form::Plain(byte)),
        _ if is_segment_char(byte) => Some(Form::Plain(byte)),
        b'|' | b'[' | b']' | b'{' | b'}' | b'^' | b'"' | b'<' | b'>' | b'`' => {
            Some(Form::Encoded(byte))
        }
        _ => None,
    }
}

/// What may stand percent-encoded: everything but separators, path parameters, fragments and controls.
///
/// All of `pchar` is decoded, not only the unreserved characters: a server that decodes them
/// must not be reached by `/admin%3Ax` around a rule for `/admin:x`.
fn form_of_encoded(byte: u8) -> Option<Form> {
    match byte {
        b'/' | b'\\' | b';' | b'#' => None,
        _ if byte.is_ascii_control() => None,
        _ if is_segment_char(byte) => Some(Form::Plain(byte)),
        _ => Some(Form::Encoded(byte)),
    }
}

/// Unreserved characters, sub-delimiters except `;`, `:` and `@` (RFC 3986 §2.2, §2.3, §3.3).
const fn is_segment_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'='
                | b':'
                | b'@'
        )
}

/// No dot segments, and no empty ones but the last.
fn has_sound_segments(path: &str) -> bool {
    let is_dots = |length, dots| dots == length && matches!(length, 1 | 2);
    let (mut length, mut dots) = (0, 0);
    for byte in path.bytes().skip(1) {
        if byte == b'/' {
            if length == 0 || is_dots(length, dots) {
                return false;
            }
            (length, dots) = (0, 0);
        } else {
            length += 1;
            dots += u32::from(byte == b'.');
        }
    }
    !is_dots(length, dots)
}

/// Whether decoding the path twice would give more than decoding it once.
///
/// Looks at the normal form, where `%25%32f` already reads `%252f`.
fn is_doubly_encoded(normal: &str) -> bool {
    normal.match_indices("%25").any(|(at, percent)| {
        let mut after = normal.bytes().skip(at + percent.len());
        let mut next_is_hex = || after.next().is_some_and(|byte| hex_value(byte).is_some());
        next_is_hex() && next_is_hex()
    })
}

/// Whether the percent-encoded bytes are UTF-8 without control characters.
///
/// Overlong forms (`%C0%AE` for a dot) are what lenient decoders read as something else.
fn decodes_to_text(normal: &str) -> bool {
    let mut decoded = Vec::with_capacity(normal.len());
    let mut pieces = normal.split('%');
    decoded.extend(pieces.next().unwrap_or_default().bytes());
    for piece in pieces {
        let mut bytes = piece.bytes();
        let pair = bytes
            .next()
            .and_then(hex_value)
            .zip(bytes.next().and_then(hex_value));
        let Some((high, low)) = pair else {
            return false;
        };
        decoded.push(high << 4 | low);
        decoded.extend(bytes);
    }
    std::str::from_utf8(&decoded).is_ok_and(|text| !text.chars().any(char::is_control))
}

const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Appends `%XX`, in upper case (RFC 3986 §2.1).
pub(crate) fn push_encoded(text: &mut String, byte: u8) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    text.push('%');
    text.extend(
        [byte >> 4, byte & 0xF]
            .into_iter()
            .filter_map(|nibble| DIGITS.get(usize::from(nibble))),
    );
}

#[cfg(test)]
mod tests;
