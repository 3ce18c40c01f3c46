//! Writes the block that [`packed`](super::packed) describes.

use std::collections::HashSet;

use serde_json::{Map, Number, Value};

use super::JsonError;
use super::packed::{LENGTH, MORE, Packed, mark};

/// How many names of one object are compared one by one; beyond that, a table keeps the cost linear.
pub(super) const FEW_NAMES: usize = 32;

/// Writes a block, value by value.
#[derive(Debug, Default)]
pub(super) struct Packer {
    block: Vec<u8>,
    /// Where the names of the open objects are.
    names: Vec<(usize, usize)>,
}

/// An array or object that is not closed yet.
#[derive(Debug)]
pub(super) struct Open {
    contents: usize,
    first_name: usize,
    /// The [marks](mark) of all names: one whose mark is not among them is new.
    marks: u64,
    /// The names, once there are many.
    many: Option<HashSet<Box<[u8]>>>,
}

impl Packer {
    /// With room for what a text of so many bytes usually becomes.
    pub(super) fn for_text(length: usize) -> Self {
        Self {
            block: Vec::with_capacity(length + 16),
            names: Vec::with_capacity(FEW_NAMES),
        }
    }

    pub(super) fn null(&mut self) {
        self.block.push(b'n');
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.block.push(if value { b't' } else { b'f' });
    }

    pub(super) fn unsigned(&mut self, value: u64) {
        self.block.push(b'u');
        self.count(value);
    }

    pub(super) fn number(&mut self, number: &Number) {
        match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), ..) => self.unsigned(number),
            (_, Some(negative), _) => {
                self.block.push(b'i');
                self.count((!negative).cast_unsigned());
            }
            (.., number) => {
                self.block.push(b'd');
                self.count(number.unwrap_or_default().to_bits());
            }
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.block.push(b's');
        self.counted(text);
    }

    pub(super) fn open_array(&mut self) -> Open {
        self.open(b'a')
    }

    pub(super) fn open_object(&mut self) -> Open {
        self.open(b'o')
    }

    /// The name of the next member; it must be another one than those before.
    pub(super) fn name(&mut self, open: &mut Open, name: &str) -> Result<(), JsonError> {
        let before = self.names.get(open.first_name..).unwrap_or_default();
        let name = name.as_bytes();
        let mark = mark(name);
        let is_new = open.marks & mark == 0;
        open.marks |= mark;
        let is_repeated = if before.len() < FEW_NAMES {
            let mut before = before.iter();
            !is_new
                && before.any(|(from, length)| {
                    *length == name.len() && self.block.get(*from..from + length) == Some(name)
                })
        } else {
            let many = open.many.get_or_insert_with(|| {
                let before = before.iter();
                let names =
                    before.filter_map(|(from, length)| self.block.get(*from..from + length));
                names.map(Box::from).collect()
            });
            !many.insert(name.into())
        };
        if is_repeated {
            return Err(JsonError::RepeatedMember);
        }
        self.count(name.len() as u64);
        self.names.push((self.block.len(), name.len()));
        self.block.extend_from_slice(name);
        Ok(())
    }

    /// Closes what was opened last.
    pub(super) fn close(&mut self, open: &Open) {
        self.names.truncate(open.first_name);
        let mut length = self.block.len() - open.contents;
        let places = open.contents - LENGTH..open.contents;
        for (place, byte) in self.block.get_mut(places).into_iter().flatten().enumerate() {
            let more = if place + 1 < LENGTH { MORE } else { 0 };
            // Six bits, whatever the length.
            *byte = (length & 0x3f) as u8 | more;
            length >>= 6;
        }
    }

    /// What was packed, if it is an object.
    pub(super) fn finish(self) -> Result<Packed, JsonError> {
        if self.block.first() != Some(&b'o') {
            return Err(JsonError::NotAnObject);
        }
        // No caller lets in a thousandth of what a length can say.
        if self.block.len() >> (6 * LENGTH) != 0 {
            return Err(JsonError::Syntax);
        }
        // Of whole texts and ASCII.
        let block = std::str::from_utf8(&self.block).map_err(|_never| JsonError::Syntax)?;
        // A copy of just its size: an allocator takes longer to cut off the rest of what was written into.
        Ok(Packed(block.into()))
    }

    pub(super) fn members(&mut self, members: &Map<String, Value>) {
        let open = self.open_object();
        for (name, value) in members {
            self.counted(name);
            self.value(value);
        }
        self.close(&open);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.null(),
            Value::Bool(value) => self.bool(*value),
            Value::Number(number) => self.number(number),
            Value::String(text) => self.text(text),
            Value::Array(elements) => {
                let open = self.open_array();
                elements.iter().for_each(|element| self.value(element));
                self.close(&open);
            }
            Value::Object(object) => self.members(object),
        }
    }

    fn open(&mut self, letter: u8) -> Open {
        self.block.push(letter);
        self.block.extend_from_slice(&[0; LENGTH]);
        Open {
            contents: self.block.len(),
            first_name: self.names.len(),
            marks: 0,
            many: None,
        }
    }

    fn counted(&mut self, text: &str) {
        self.count(text.len() as u64);
        self.block.extend_from_slice(text.as_bytes());
    }

    /// Writes a number by itself.
    fn count(&mut self, mut number: u64) {
        while number >= u64::from(MORE) {
            self.block.push((number & 0x3f) as u8 | MORE);
            number >>= 6;
        }
        // Less than 64.
        self.block.push(number as u8);
    }
}
