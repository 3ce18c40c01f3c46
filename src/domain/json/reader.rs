//! Reads a JSON text, value by value, into a [`Packer`].
//!
//! What is here is the grammar around the values (RFC 8259 §2 to §5), texts without escapes and whole numbers, which
//! is all that most tokens are made of. What a text with escapes or any other number says, `serde_json` says.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::Number;

use super::packed::Packed;
use super::packer::Packer;
use super::{JsonError, MAX_DEPTH};

/// A text, and how far it was read.
#[derive(Debug)]
pub(super) struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// How many objects and arrays are open.
    depth: usize,
    packer: Packer,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            packer: Packer::for_text(text.len()),
        }
    }

    /// Reads the text, which is one object and nothing else.
    pub(super) fn read(mut self) -> Result<Packed, JsonError> {
        self.value()?;
        match self.peek() {
            None => self.packer.finish(),
            Some(_trailing) => Err(JsonError::Syntax),
        }
    }

    fn value(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"') => {
                let text = self.string()?;
                self.packer.text(&text);
            }
            Some(b'{') => self.object()?,
            Some(b'[') => self.array()?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => {
                self.word("true")?;
                self.packer.bool(true);
            }
            Some(b'f') => {
                self.word("false")?;
                self.packer.bool(false);
            }
            Some(b'n') => {
                self.word("null")?;
                self.packer.null();
            }
            Some(_) | None => return Err(JsonError::Syntax),
        }
        Ok(())
    }

    fn object(&mut self) -> Result<(), JsonError> {
        self.enter()?;
        let mut open = self.packer.open_object();
        let mut is_more = !self.takes(b'}');
        while is_more {
            if self.peek() != Some(b'"') {
                return Err(JsonError::Syntax);
            }
            let name = self.string()?;
            self.packer.name(&mut open, &name)?;
            if !self.takes(b':') {
                return Err(JsonError::Syntax);
            }
            self.value()?;
            is_more = self.goes_on(b'}')?;
        }
        self.packer.close(&open);
        self.depth -= 1;
        Ok(())
    }

    fn array(&mut self) -> Result<(), JsonError> {
        self.enter()?;
        let open = self.packer.open_array();
        let mut is_more = !self.takes(b']');
        while is_more {
            self.value()?;
            is_more = self.goes_on(b']')?;
        }
        self.packer.close(&open);
        self.depth -= 1;
        Ok(())
    }

    /// Goes into the object or array that begins here.
    fn enter(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        Ok(())
    }

    /// Goes behind a comma, or behind the end of an object or array; tells whether it was the comma.
    fn goes_on(&mut self, end: u8) -> Result<bool, JsonError> {
        let is_more = self.takes(b',');
        if is_more || self.takes(end) {
            Ok(is_more)
        } else {
            Err(JsonError::Syntax)
        }
    }

    /// The string that begins here.
    fn string(&mut self) -> Result<Cow<'t, str>, JsonError> {
        let start = self.at + 1;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let length = plain_length(rest).ok_or(JsonError::Syntax)?;
        if rest.get(length) == Some(&b'"') {
            let end = start + length;
            self.at = end + 1;
            let text = self.text.get(start..end).ok_or(JsonError::Syntax)?;
            return Ok(Cow::Borrowed(text));
        }
        self.read_by_serde().map(Cow::Owned)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let length = rest
            .iter()
            .take_while(|octet| octet.is_ascii_digit())
            .count();
        let (digits, rest) = rest.split_at_checked(length).unwrap_or_default();
        // No sign, no zero in front of other digits, nothing behind them, and no more than surely fit.
        if matches!(
            (digits, rest.first()),
            ([b'1'..=b'9', ..] | [b'0'], None | Some(b',' | b'}' | b']'))
        ) && length < 19
        {
            self.at += length;
            let value = digits
                .iter()
                .fold(0, |value, digit| value * 10 + u64::from(digit & 0xf));
            self.packer.unsigned(value);
        } else {
            let number: Number = self.read_by_serde()?;
            self.packer.number(&number);
        }
        Ok(())
    }

    /// What begins here, as `serde_json` reads it.
    #[cold]
    fn read_by_serde<T: DeserializeOwned>(&mut self) -> Result<T, JsonError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter();
        let value = values.next().and_then(Result::ok);
        self.at += values.byte_offset();
        value.ok_or(JsonError::Syntax)
    }

    fn word(&mut self, word: &str) -> Result<(), JsonError> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(JsonError::Syntax);
        }
        self.at += word.len();
        Ok(())
    }

    /// Goes behind an octet, if it comes next.
    fn takes(&mut self, octet: u8) -> bool {
        let is_next = self.peek() == Some(octet);
        self.at += usize::from(is_next);
        is_next
    }

    /// The next octet that is no whitespace; it is here then.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }
}

/// How many octets come before the first that cannot stand for itself in a string: the quote that ends it, an escape,
/// or a control character.
fn plain_length(octets: &[u8]) -> Option<usize> {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHEST: u64 = EACH << 7;
    // The highest bit of each octet that is below a small number, and perhaps of some behind the first of these.
    let below = |word: u64, bound: u8| word.wrapping_sub(EACH * u64::from(bound)) & !word & HIGHEST;
    let is = |word: u64, octet: u8| below(word ^ (EACH * u64::from(octet)), 1);
    let (words, rest) = octets.as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = is(word, b'"') | is(word, b'\\') | below(word, b' ');
        if found != 0 {
            return Some(8 * place + found.trailing_zeros() as usize / 8);
        }
    }
    let place = rest
        .iter()
        .position(|octet| matches!(octet, b'"' | b'\\' | 0..b' '));
    Some(8 * words.len() + place?)
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
