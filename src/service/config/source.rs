//! The text of the configuration file, and how a place in it is shown.
//!
//! Knows lines, columns and which bytes are secret; refuses to know YAML and what any key means.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A stretch of the file: where it starts, and how many bytes it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The line, counted from 1; 0 where unknown.
    pub line: usize,
    /// The column in characters, counted from 1; 0 where unknown.
    pub column: usize,
    /// The first byte.
    pub start: usize,
    /// The number of bytes.
    pub len: usize,
}

/// The file as text, with the stretches of it that must not be shown.
pub(super) struct Source {
    name: Arc<str>,
    text: String,
    secrets: Vec<Range<usize>>,
}

/// A place in the file, ready to be shown when the file itself is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's name as given.
    pub file: Arc<str>,
    /// The line, counted from 1; 0 when the whole file is meant.
    pub line: usize,
    /// The column in characters, counted from 1; 0 when the whole file is meant.
    pub column: usize,
    /// The way to the value through the keys (`issuers[1].audiences`); empty at the root.
    pub path: String,
    excerpt: Option<Excerpt>,
}

/// One line of the file, secrets masked, with what to underline.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    text: String,
    marked: Range<usize>,
}

/// How many characters of a line are shown: a terminal's width, so that a minified file stays readable.
const EXCERPT_WIDTH: usize = 100;

impl Span {
    const fn end(self) -> usize {
        self.start.saturating_add(self.len)
    }
}

impl Place {
    /// No place within something of this name.
    pub(in crate::service) fn within(name: &str) -> Self {
        Source::new(name, String::new()).whole("")
    }
}

impl Source {
    pub(super) fn new(name: &str, text: String) -> Self {
        Self {
            name: name.into(),
            text,
            secrets: Vec::new(),
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The bytes of a span, as written.
    pub(super) fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end()).unwrap_or_default()
    }

    /// The span of one character, by its line and column.
    pub(super) fn locate(&self, line: usize, column: usize) -> Span {
        let before: usize = self
            .text
            .split_inclusive('\n')
            .take(line.saturating_sub(1))
            .map(str::len)
            .sum();
        let rest = self.text.get(before..).unwrap_or_default();
        let offset = rest
            .char_indices()
            .nth(column.saturating_sub(1))
            .map_or(rest.len(), |(offset, _)| offset);
        Span {
            line,
            column,
            start: before + offset,
            len: 1,
        }
    }

    /// Keeps a stretch out of every excerpt.
    pub(super) fn hide(&mut self, span: Span) {
        self.secrets.push(span.start..span.end());
    }

    /// The place of a span.
    pub(super) fn place(&self, span: Span, path: &str) -> Place {
        Place {
            file: Arc::clone(&self.name),
            line: span.line,
            column: span.column,
            path: path.to_owned(),
            excerpt: self.excerpt(span),
        }
    }

    /// The file as a whole.
    pub(super) fn whole(&self, path: &str) -> Place {
        self.place(Span::default(), path)
    }

    fn excerpt(&self, span: Span) -> Option<Excerpt> {
        if span.line == 0 || span.start > self.text.len() {
            return None;
        }
        let before = self.text.get(..span.start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = self
            .text
            .get(span.start..)?
            .find(['\n', '\r'])
            .map_or(self.text.len(), |length| span.start + length);
        let mut text = String::new();
        let mut marked = 0..0;
        let mut column = 0;
        let mut masking = false;
        for (offset, character) in self.text.get(line_start..line_end)?.char_indices() {
            let byte = line_start + offset;
            if byte == span.start {
                marked = column..column + 1;
            }
            if self.secrets.iter().any(|secret| secret.contains(&byte)) {
                // A fixed mask: its length says nothing about the secret's.
                if !masking {
                    text.push_str("***");
                    column += 3;
                }
                masking = true;
            } else {
                masking = false;
                // A control character could drive the terminal that shows the message.
                text.push(if character.is_control() {
                    ' '
                } else {
                    character
                });
                column += 1;
            }
            if byte >= span.start && byte < span.end() {
                marked.end = column.max(marked.start + 1);
            }
        }
        if marked == (0..0) {
            marked = column..column + 1;
        }
        Some(Excerpt::cropped(&text, marked))
    }
}

impl Excerpt {
    /// Cuts a long line down to what surrounds the marked part.
    fn cropped(text: &str, marked: Range<usize>) -> Self {
        let skipped = if marked.end > EXCERPT_WIDTH {
            marked.start.saturating_sub(EXCERPT_WIDTH / 2)
        } else {
            0
        };
        let text: String = text.chars().skip(skipped).take(EXCERPT_WIDTH).collect();
        let start = marked.start - skipped;
        let end = (marked.end - skipped).min(EXCERPT_WIDTH).max(start + 1);
        Self {
            text: text.trim_end().to_owned(),
            marked: start..end,
        }
    }
}

impl fmt::Debug for Source {
    /// The name only: the text may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  --> {}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, "  ({})", self.path)?;
        }
        if let Some(excerpt) = &self.excerpt {
            let number = self.line.to_string();
            let gutter = " ".repeat(number.len());
            let indent = " ".repeat(excerpt.marked.start);
            let carets = "^".repeat(excerpt.marked.len());
            write!(
                f,
                "\n {gutter} |\n {number} | {}\n {gutter} | {indent}{carets}",
                excerpt.text
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span_of(text: &str, part: &str) -> Span {
        let start = text.find(part).unwrap();
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        Span {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            start,
            len: part.len(),
        }
    }

    #[test]
    fn a_place_shows_its_line_with_the_part_underlined() {
        let text = "rules:\n  - päth: /x\n";
        let source = Source::new("g.yaml", text.to_owned());
        let shown = source
            .place(span_of(text, "päth"), "rules[0].päth")
            .to_string();
        assert_eq!(
            shown,
            "  --> g.yaml:2:5  (rules[0].päth)\n   |\n 2 |   - päth: /x\n   |     ^^^^"
        );
    }

    #[test]
    fn a_secret_on_the_same_line_is_masked_and_the_underline_stays_right() {
        let text = "{secret: hunter2, audience: x}\n";
        let mut source = Source::new("g.yaml", text.to_owned());
        source.hide(span_of(text, "hunter2"));
        let shown = source.place(span_of(text, "audience"), "").to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(
            shown.contains("{secret: ***, audience: x}\n   |               ^^^^^^^^"),
            "{shown}"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_marked_part() {
        let text = format!("{}here{}", "a".repeat(5000), "b".repeat(5000));
        let source = Source::new("g.yaml", text.clone());
        let shown = source.place(span_of(&text, "here"), "").to_string();
        assert!(shown.contains("here"), "{shown}");
        assert!(shown.len() < 400, "{}", shown.len());
    }

    #[test]
    fn a_span_outside_of_the_text_shows_no_line() {
        let source = Source::new("g.yaml", "a".to_owned());
        let far = Span {
            line: 9,
            column: 1,
            start: 99,
            len: 5,
        };
        assert_eq!(source.place(far, "").to_string(), "  --> g.yaml:9:1");
    }
}
