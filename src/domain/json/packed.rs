//! A JSON object in one block of memory: half of its text or less, where a tree takes ten times that.
//!
//! It holds what was read, not how it was written: texts without their escapes, numbers as numbers. Whatever is
//! asked for is found by walking along the block, which for the dozen members of a token is as quick as a tree.
//!
//! The block is text itself, so that the texts within it need no second look at their UTF-8. A value is a letter and
//! what belongs to it: `n`, `t`, `f`; `u`, `i`, `d` and a number; `s`, its length and the text; `a` or `o`, its length
//! in [`LENGTH`] places and the elements, or each name (its length and the text) with its value. Numbers are written
//! six bits to a character, the lowest first, with [`MORE`] on all but the last.

use std::fmt;

use serde_json::{Map, Number, Value};

use super::packer::Packer;

/// An object of one's own.
#[derive(Clone)]
pub struct Packed(pub(super) Box<str>);

/// A value within a block.
#[derive(Clone)]
pub enum Json<'j> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string, unescaped.
    Text(&'j str),
    /// An array.
    Array(Elements<'j>),
    /// An object.
    Object(Members<'j>),
}

/// The members of an object within a block.
#[derive(Clone, Copy)]
pub struct Members<'j>(&'j str);

/// The members of an object that is asked for many names, of which it has few.
#[derive(Debug, Clone, Copy)]
pub struct Marked<'j> {
    members: Members<'j>,
    /// The [marks](mark) of all names.
    marks: u64,
}

/// The elements of an array within a block.
#[derive(Clone, Copy)]
pub struct Elements<'j>(&'j str);

/// Marks the characters of a number that more follow.
pub(super) const MORE: u8 = 0x40;

/// How many characters the length of an array or object takes: it is known, and written, last.
pub(super) const LENGTH: usize = 5;

impl Packed {
    /// Packs an object that was read elsewhere.
    #[must_use]
    pub fn of(members: &Map<String, Value>) -> Self {
        let mut packer = Packer::default();
        packer.members(members);
        packer.finish().unwrap_or_default()
    }

    /// Its members, in the order in which they were written.
    #[must_use]
    pub fn members(&self) -> Members<'_> {
        // Nothing but an object is packed whole: its letter, its length, and the members to the end.
        Members(self.0.get(1 + LENGTH..).unwrap_or_default())
    }

    /// The bytes that it takes on the heap.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.0.len()
    }
}

impl Default for Packed {
    /// The object without members.
    fn default() -> Self {
        Self("o\0\0\0\0\0".into())
    }
}

impl PartialEq for Packed {
    /// By what they say, in whatever order.
    fn eq(&self, other: &Self) -> bool {
        self.members().to_map() == other.members().to_map()
    }
}

impl fmt::Debug for Packed {
    /// Names only: values may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.members().iter().map(|(name, _)| name);
        f.debug_set().entries(names).finish()
    }
}

impl<'j> Json<'j> {
    /// The text, if it is one.
    #[must_use]
    pub const fn as_text(&self) -> Option<&'j str> {
        let Self::Text(text) = self else {
            return None;
        };
        Some(text)
    }

    /// The number, if it is a whole one and not negative.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        let Self::Number(number) = self else {
            return None;
        };
        number.as_u64()
    }

    /// The number, if it is one.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        let Self::Number(number) = self else {
            return None;
        };
        number.as_f64()
    }

    /// The elements, if it is an array.
    #[must_use]
    pub const fn as_array(&self) -> Option<Elements<'j>> {
        let Self::Array(elements) = self else {
            return None;
        };
        Some(*elements)
    }

    /// The members, if it is an object.
    #[must_use]
    pub const fn as_object(&self) -> Option<Members<'j>> {
        let Self::Object(members) = self else {
            return None;
        };
        Some(*members)
    }

    /// Whether it is `null`.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Unpacked.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::from(*text),
            Self::Array(elements) => elements.iter().map(|value| value.to_value()).collect(),
            Self::Object(members) => Value::Object(members.to_map()),
        }
    }
}

impl<'j> Members<'j> {
    /// The value of a name.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Json<'j>> {
        // By octets: of all that it passes, it looks at the names that are as long.
        let block = self.0.as_bytes();
        let mut at = 0;
        while at < block.len() {
            let length = number_at(block, &mut at) as usize;
            let start = at;
            at += length;
            if length == name.len() && block.get(start..at) == Some(name.as_bytes()) {
                return Some(Cursor(self.0.get(at..)?).value());
            }
            skip_at(block, &mut at);
        }
        None
    }

    /// Every name with its value.
    pub fn iter(self) -> impl Iterator<Item = (&'j str, Json<'j>)> {
        let mut rest = Cursor(self.0);
        std::iter::from_fn(move || {
            let is_more = !rest.0.is_empty();
            is_more.then(|| (rest.text(), rest.value()))
        })
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Unpacked.
    #[must_use]
    pub fn to_map(self) -> Map<String, Value> {
        let members = self.iter();
        members
            .map(|(name, value)| (name.to_owned(), value.to_value()))
            .collect()
    }
}

impl<'j> Marked<'j> {
    /// Looks at every name once, so that most that are not there are not looked for.
    #[must_use]
    pub fn of(members: Members<'j>) -> Self {
        let block = members.0.as_bytes();
        let (mut at, mut marks) = (0, 0);
        while at < block.len() {
            let length = number_at(block, &mut at) as usize;
            let end = at + length;
            marks |= mark(block.get(at..end).unwrap_or_default());
            at = end;
            skip_at(block, &mut at);
        }
        Self { members, marks }
    }

    /// The value of a name.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Json<'j>> {
        let may_be_there = self.marks & mark(name.as_bytes()) != 0;
        may_be_there.then(|| self.members.get(name))?
    }

    /// The members themselves.
    #[must_use]
    pub const fn members(self) -> Members<'j> {
        self.members
    }
}

impl<'j> Elements<'j> {
    /// Every element.
    pub fn iter(self) -> impl Iterator<Item = Json<'j>> {
        let mut rest = Cursor(self.0);
        std::iter::from_fn(move || (!rest.0.is_empty()).then(|| rest.value()))
    }
}

impl fmt::Display for Json<'_> {
    /// As compact JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_value().fmt(f)
    }
}

impl fmt::Debug for Members<'_> {
    /// Not what they are: values may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members").finish_non_exhaustive()
    }
}

impl fmt::Debug for Elements<'_> {
    /// Not what they are: values may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elements").finish_non_exhaustive()
    }
}

impl fmt::Debug for Json<'_> {
    /// Of what type it is: values may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        })
    }
}

/// What is left of a block, or of a part of one.
struct Cursor<'j>(&'j str);

impl<'j> Cursor<'j> {
    /// The next characters, which are there in whatever a [`Packer`] wrote.
    fn take(&mut self, count: usize) -> &'j str {
        let (taken, rest) = self.0.split_at_checked(count).unwrap_or_default();
        self.0 = rest;
        taken
    }

    fn number(&mut self) -> u64 {
        let mut length = 0;
        let number = number_at(self.0.as_bytes(), &mut length);
        self.take(length);
        number
    }

    fn length(&mut self) -> usize {
        usize::try_from(self.number()).unwrap_or(usize::MAX)
    }

    fn text(&mut self) -> &'j str {
        let length = self.length();
        self.take(length)
    }

    /// The contents of an array or object.
    fn contents(&mut self) -> &'j str {
        let length = Cursor(self.take(LENGTH)).length();
        self.take(length)
    }

    fn value(&mut self) -> Json<'j> {
        match self.take(1) {
            "t" => Json::Bool(true),
            "f" => Json::Bool(false),
            "u" => Json::Number(self.number().into()),
            // As far below -1 as the number says.
            "i" => Json::Number((!self.number().cast_signed()).into()),
            "d" => {
                let number = Number::from_f64(f64::from_bits(self.number()));
                number.map_or(Json::Null, Json::Number)
            }
            "s" => Json::Text(self.text()),
            "a" => Json::Array(Elements(self.contents())),
            "o" => Json::Object(Members(self.contents())),
            _n => Json::Null,
        }
    }
}

/// One bit for a name, which few others have: with these factors, no claim that is asked for and usually not there has
/// that of one that usually is.
pub(super) const fn mark(name: &[u8]) -> u64 {
    let (Some(first), Some(last)) = (name.first(), name.last()) else {
        return 1;
    };
    // A bit has a number below 64: the rest of the sum is of no account.
    1_u64.rotate_left(11 * *first as u32 + 25 * *last as u32 + name.len() as u32)
}

/// The number that begins at a place; the place is then behind it.
fn number_at(block: &[u8], at: &mut usize) -> u64 {
    let (mut number, mut shift) = (0, 0);
    while let Some(byte) = block.get(*at) {
        *at += 1;
        // Nearly all are lengths of one character.
        if byte & MORE == 0 {
            return number | u64::from(*byte) << shift;
        }
        number |= u64::from(byte & (MORE - 1)) << shift;
        shift += 6;
        // Eleven characters hold any number, the last with four bits.
        if shift > 60 {
            break;
        }
    }
    number
}

/// Goes behind the value that begins at a place.
fn skip_at(block: &[u8], at: &mut usize) {
    let letter = block.get(*at);
    *at += 1;
    match letter {
        Some(b'u' | b'i' | b'd') => {
            while block.get(*at).is_some_and(|byte| byte & MORE != 0) {
                *at += 1;
            }
            *at += 1;
        }
        Some(b's' | b'a' | b'o') => *at += number_at(block, at) as usize,
        Some(_) | None => {}
    }
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
