//! One log line: fields in, bytes out, and nothing in a value can end the line, forge a field or
//! reach the terminal that shows it.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::settings::LogFormat;

/// The longest value that a line takes, in bytes; a longer one is cut and ends in `...`.
///
/// A path may be as long as a gateway lets through (tens of KiB), a line should not.
pub(super) const MAX_VALUE: usize = 1024;

/// A line being written.
#[derive(Debug)]
pub(super) struct Line {
    text: String,
    format: LogFormat,
}

impl Line {
    /// Starts a line with its time, level and message.
    pub(super) fn new(format: LogFormat, timestamp: &str, level: &str, message: &str) -> Self {
        // Enough for a decision with every field: one allocation per line.
        let mut text = String::with_capacity(384);
        match format {
            LogFormat::Json => {
                text.push_str("{\"ts\":\"");
                text.push_str(timestamp);
                text.push_str("\",\"level\":\"");
                text.push_str(level);
                text.push_str("\",\"message\":");
                push_quoted(&mut text, message);
            }
            LogFormat::Text => {
                text.push_str(timestamp);
                text.push(' ');
                text.push_str(level);
                text.push(' ');
                push_escaped(&mut text, message);
            }
        }
        Self { text, format }
    }

    /// Adds a text field; what is longer than [`MAX_VALUE`] is cut.
    pub(super) fn str(&mut self, key: &str, value: &str) {
        self.key(key);
        let bare = self.format == LogFormat::Text && is_bare(value);
        if bare && value.len() <= MAX_VALUE {
            self.text.push_str(value);
        } else {
            push_quoted(&mut self.text, value);
        }
    }

    /// Adds bytes, in lower-case hex.
    pub(super) fn hex(&mut self, key: &str, bytes: &[u8]) {
        self.key(key);
        let quote = (self.format == LogFormat::Json).then_some('"');
        self.text.extend(quote);
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
        self.text.extend(digits.chain(quote));
    }

    /// Adds an address.
    pub(super) fn address(&mut self, key: &str, address: IpAddr) {
        self.key(key);
        let quote = (self.format == LogFormat::Json).then_some('"');
        self.text.extend(quote);
        let _infallible = write!(self.text, "{address}");
        self.text.extend(quote);
    }

    /// Adds a number.
    pub(super) fn number(&mut self, key: &str, value: impl Into<i128>) {
        self.key(key);
        let value = value.into();
        // Nearly all are small, and those are written in a fraction of the time.
        match u64::try_from(value) {
            Ok(small) => self.text.push_str(itoa::Buffer::new().format(small)),
            Err(_large_or_negative) => {
                let _infallible = write!(self.text, "{value}");
            }
        }
    }

    /// Adds `true` or `false`.
    pub(super) fn truth(&mut self, key: &str, value: Truth) {
        self.key(key);
        self.text.push_str(match value {
            Truth(true) => "true",
            Truth(false) => "false",
        });
    }

    /// Ends the line.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.format == LogFormat::Json {
            self.text.push('}');
        }
        self.text.push('\n');
        self.text.into_bytes()
    }

    /// Keys come from source code, but an event's may be any identifier path: escaped as well.
    fn key(&mut self, key: &str) {
        match self.format {
            LogFormat::Json => {
                self.text.push(',');
                push_quoted(&mut self.text, key);
                self.text.push(':');
            }
            LogFormat::Text => {
                self.text.push(' ');
                push_escaped(&mut self.text, key);
                self.text.push('=');
            }
        }
    }
}

/// A boolean value of a field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Truth(pub(super) bool);

/// Whether a value of a text line needs no quotes.
fn is_bare(value: &str) -> bool {
    !value.is_empty()
        && value
            .bytes()
            .all(|byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'\\' | b'='))
}

/// The bytes that stand for themselves in a line.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        #[expect(clippy::indexing_slicing, reason = "a byte is less than 256")]
        let is_plain = &mut plain[byte as usize];
        *is_plain = !matches!(byte, b'"' | b'\\');
        byte += 1;
    }
    plain
};

fn push_quoted(text: &mut String, value: &str) {
    text.push('"');
    push_escaped(text, value);
    text.push('"');
}

/// Visible ASCII and spaces as they are, everything else as JSON's `\uXXXX` (RFC 8259 §7).
///
/// More than JSON asks for: C1 controls, bidirectional overrides and DEL act on terminals too.
fn push_escaped(text: &mut String, value: &str) {
    // Most values are a few characters, to which vectors bring nothing.
    let is_plain = value.bytes().fold(true, |plain, byte| {
        plain & (PLAIN.get(usize::from(byte)) == Some(&true))
    });
    if is_plain && value.len() <= MAX_VALUE {
        text.push_str(value);
        return;
    }
    let shown = cut(value);
    for character in shown.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            ' '..='~' => text.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _infallible = write!(text, "\\u{unit:04x}");
                }
            }
        }
    }
    if shown.len() < value.len() {
        text.push_str("...");
    }
}

/// The longest prefix of whole characters within [`MAX_VALUE`].
pub(super) fn cut(value: &str) -> &str {
    let mut end = value.len().min(MAX_VALUE);
    loop {
        match value.get(..end) {
            Some(prefix) => return prefix,
            None => end = end.saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn json(value: &str) -> String {
        let mut line = Line::new(LogFormat::Json, "T", "INFO", "decision");
        line.str("path", value);
        String::from_utf8(line.finish()).unwrap()
    }

    #[test]
    fn a_line_is_one_json_object() {
        let mut line = Line::new(LogFormat::Json, "T", "INFO", "decision");
        line.str("path", "/a");
        line.number("took_us", 7_u32);
        line.address("client", Ipv4Addr::LOCALHOST.into());
        line.truth("up", Truth(true));
        line.hex("trace_id", &[0, 0xaf]);
        assert_eq!(
            String::from_utf8(line.finish()).unwrap(),
            "{\"ts\":\"T\",\"level\":\"INFO\",\"message\":\"decision\",\"path\":\"/a\",\"took_us\":7,\"client\":\"127.0.0.1\",\"up\":true,\"trace_id\":\"00af\"}\n"
        );
    }

    #[test]
    fn text_values_are_quoted_only_where_they_must_be() {
        let mut line = Line::new(LogFormat::Text, "T", "INFO", "decision");
        line.str("path", "/a");
        line.str("host", "a b");
        line.str("rule", "");
        line.str("forged", "x verdict=allow");
        line.address("client", Ipv6Addr::LOCALHOST.into());
        assert_eq!(
            String::from_utf8(line.finish()).unwrap(),
            "T INFO decision path=/a host=\"a b\" rule=\"\" forged=\"x verdict=allow\" client=::1\n"
        );
    }

    #[test]
    fn a_value_cannot_leave_its_place() {
        let attack = "x\r\n{\"verdict\":\"allow\"}\u{1b}[2J\u{9b}31m\u{202e}\u{7f}\u{1f600}";
        let written = json(attack);
        assert_eq!(
            written,
            "{\"ts\":\"T\",\"level\":\"INFO\",\"message\":\"decision\",\"path\":\"x\\u000d\\u000a{\\\"verdict\\\":\\\"allow\\\"}\\u001b[2J\\u009b31m\\u202e\\u007f\\ud83d\\ude00\"}\n"
        );
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let long = "é".repeat(MAX_VALUE);
        let value: serde_json::Value = serde_json::from_str(&json(&long)).unwrap();
        let shown = value["path"].as_str().unwrap();
        assert_eq!(shown, format!("{}...", "é".repeat(MAX_VALUE / 2)));
        let value: serde_json::Value = serde_json::from_str(&json(&"e".repeat(2000))).unwrap();
        let shown = value["path"].as_str().unwrap();
        assert_eq!(shown, format!("{}...", "e".repeat(MAX_VALUE)));
    }

    proptest! {
        #[test]
        fn any_value_comes_back(value in ".{0,200}") {
            let written = json(&value);
            prop_assert!(written.trim_end_matches('\n').bytes().all(|b| (b' '..=b'~').contains(&b)));
            prop_assert_eq!(written.matches('\n').count(), 1);
            let parsed: serde_json::Value = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(parsed["path"].as_str().unwrap(), value);
        }

        #[test]
        fn a_text_line_is_one_line_of_visible_ascii(key in ".{0,20}", value in ".{0,200}") {
            let mut line = Line::new(LogFormat::Text, "T", "INFO", &value);
            line.str(&key, &value);
            let written = line.finish();
            let (last, rest) = written.split_last().unwrap();
            prop_assert_eq!(*last, b'\n');
            prop_assert!(rest.iter().all(|b| (b' '..=b'~').contains(b)));
        }
    }
}
