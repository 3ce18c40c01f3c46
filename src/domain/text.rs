//! What a text may hold that names somebody.

/// Whether any character of a text is [misleading](is_misleading).
pub(super) fn misleads(text: &str) -> bool {
    !is_printable_ascii(text) && text.chars().any(is_misleading)
}

/// Whether a text is of visible ASCII and spaces alone.
pub(super) fn is_printable_ascii(text: &str) -> bool {
    are_all(text.as_bytes(), |octet| matches!(octet, b' '..=b'~'))
}

/// Whether every octet is of a kind.
///
/// Without a way out in the middle, as `Iterator::all` has one: the compiler then looks at many octets at a time.
pub(crate) fn are_all(octets: &[u8], is: impl Fn(u8) -> bool) -> bool {
    octets.iter().fold(true, |all, octet| all & is(*octet))
}

/// Whether a character changes how what surrounds it is read: C0, DEL and C1, line and paragraph
/// separators, and every bidirectional control of UAX #9.
///
/// No name needs them, and what shows them (a log, a page, a terminal) can be made to lie. The
/// joiners U+200C and U+200D are not among them: names in Persian and Hindi are spelt with them.
pub(super) fn is_misleading(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelt_without_misleading_characters() {
        let misleading = "\0\t\n\r\u{1b}\u{7f}\u{80}\u{85}\u{9f}\u{61c}\u{200e}\u{200f}\u{2028}\
                          \u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        for character in misleading.chars() {
            assert!(is_misleading(character), "{character:?}");
            assert!(misleads(&format!("a{character}b")), "{character:?}");
        }
        for character in
            "a %,é€ａ\u{a0}\u{5d0}\u{627}\u{200c}\u{200d}\u{2027}\u{202f}\u{1f600}".chars()
        {
            assert!(!is_misleading(character), "{character:?}");
            assert!(!misleads(&format!("a{character}b")), "{character:?}");
        }
    }
}
