//! Writes Protocol Buffers, field by field and straight into the frame that is sent (gRPC over HTTP/2,
//! "Length-Prefixed-Message").

use bytes::Bytes;
use prost::encoding::{WireType, encode_key, encode_varint};

/// A flag and a length before each message.
pub(super) const FRAME_HEAD: usize = 5;

/// A length that nobody can believe, until there is a true one: no part of a message is taken for the whole.
const UNFINISHED: [u8; FRAME_HEAD] = [0, 0xff, 0xff, 0xff, 0xff];

/// A message, as far as it is written, behind the head of its frame.
pub(super) struct Message(Vec<u8>);

impl Message {
    /// One without fields, with room for so many bytes.
    pub(super) fn with_room(room: usize) -> Self {
        let mut frame = Vec::with_capacity(FRAME_HEAD + room);
        frame.extend_from_slice(&UNFINISHED);
        Self(frame)
    }

    /// A string, or bytes.
    #[inline]
    pub(super) fn put(&mut self, tag: u32, content: impl AsRef<[u8]>) {
        let content = content.as_ref();
        encode_key(tag, WireType::LengthDelimited, &mut self.0);
        encode_varint(content.len() as u64, &mut self.0);
        self.0.extend_from_slice(content);
    }

    /// A number other than 0, which is not written.
    #[inline]
    pub(super) fn put_number(&mut self, tag: u32, number: u16) {
        encode_key(tag, WireType::Varint, &mut self.0);
        encode_varint(number.into(), &mut self.0);
    }

    /// A message within it, whose fields are written by `fields`.
    #[inline]
    pub(super) fn put_message(&mut self, tag: u32, fields: impl FnOnce(&mut Self)) {
        encode_key(tag, WireType::LengthDelimited, &mut self.0);
        let start = self.0.len();
        self.0.push(0);
        fields(self);
        self.close(start);
    }

    /// Writes a length into the byte that was left for it, and makes room where that is not enough.
    fn close(&mut self, place: usize) {
        let length = self.0.len() - place - 1;
        match (u8::try_from(length), self.0.get_mut(place)) {
            (Ok(short @ ..0x80), Some(byte)) => *byte = short,
            _long => {
                let mut prefix = Vec::new();
                encode_varint(length as u64, &mut prefix);
                self.0.splice(place..=place, prefix);
            }
        }
    }

    /// Fields that were encoded before.
    pub(super) fn put_encoded(&mut self, fields: &[u8]) {
        self.0.extend_from_slice(fields);
    }

    /// The encoded fields so far.
    pub(super) fn encoded(&self) -> &[u8] {
        self.0.get(FRAME_HEAD..).unwrap_or_default()
    }

    /// The frame, with its length.
    pub(super) fn framed(mut self) -> Bytes {
        // An answer is some kilobytes; were it ever more than the prefix can count, the peer fails to read it.
        let length = u32::try_from(self.encoded().len()).unwrap_or(u32::MAX);
        if let Some((head, _)) = self.0.split_first_chunk_mut::<FRAME_HEAD>() {
            let [_flag, place @ ..] = head;
            *place = length.to_be_bytes();
        }
        self.0.into()
    }
}
