//! Text with holes: what a gateway's file is written from.
//!
//! `{{name}}` is a fact, `{{name~}}` the same padded to the widest that is padded on its line's list or anywhere.
//! A line that names an item of a list (`{{list.field}}`) is there once for each item, and not at all for an
//! empty list. `{{#if name}}` and `{{#unless name}}` up to `{{#end}}`, each a line of its own, hold what is there
//! only if the fact or list is there, or is not; they do not nest.

use std::collections::BTreeMap;

/// What templates may name. A fact that is empty is one that is not there.
#[derive(Debug, Default)]
pub(super) struct Facts {
    single: BTreeMap<&'static str, String>,
    lists: BTreeMap<&'static str, Vec<Item>>,
}

/// One item of a list: its fields by name.
pub(super) type Item = BTreeMap<&'static str, String>;

impl Facts {
    /// Says what a fact is.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.single.insert(name, value.into());
    }

    /// Says what a list holds.
    pub(super) fn list(&mut self, name: &'static str, items: Vec<Item>) {
        self.lists.insert(name, items);
    }

    fn is_there(&self, name: &str) -> bool {
        self.single.get(name).is_some_and(|value| !value.is_empty())
            || self.lists.get(name).is_some_and(|items| !items.is_empty())
    }

    /// The template with its holes filled. What nobody has told of stays as written, for a test to find.
    pub(super) fn fill(&self, template: &str) -> String {
        let width = self.padding(template);
        let mut filled = String::with_capacity(template.len() * 2);
        let mut shown = true;
        for line in template.lines() {
            match condition(line) {
                Some(Condition::If(name)) => shown = self.is_there(name),
                Some(Condition::Unless(name)) => shown = !self.is_there(name),
                Some(Condition::End) => shown = true,
                None if shown => self.line(line, width, &mut filled),
                None => {}
            }
        }
        filled
    }

    /// How wide the facts are that are padded.
    fn padding(&self, template: &str) -> usize {
        let padded = |name: &&str| template.contains(&format!("{{{{{name}~}}}}"));
        let single = self.single.iter().filter(|(name, _)| padded(name));
        single.map(|(_, value)| value.len()).max().unwrap_or(0)
    }

    fn line(&self, line: &str, width: usize, filled: &mut String) {
        let single = fill_in(line, |name| Some((self.single.get(name)?.as_str(), width)));
        let list = self
            .lists
            .iter()
            .find(|(name, _)| single.contains(&format!("{{{{{name}.")));
        let Some((list, items)) = list else {
            filled.push_str(&single);
            filled.push('\n');
            return;
        };
        for item in items {
            let one = fill_in(&single, |name| {
                let field = name.strip_prefix(list)?.strip_prefix('.')?;
                let widest = items.iter().filter_map(|item| item.get(field));
                let width = widest.map(String::len).max().unwrap_or(0);
                Some((item.get(field)?.as_str(), width))
            });
            filled.push_str(&one);
            filled.push('\n');
        }
    }
}

enum Condition<'l> {
    If(&'l str),
    Unless(&'l str),
    End,
}

fn condition(line: &str) -> Option<Condition<'_>> {
    let word = line.strip_prefix("{{#")?.strip_suffix("}}")?;
    if word == "end" {
        return Some(Condition::End);
    }
    match word.split_once(' ')? {
        ("if", name) => Some(Condition::If(name)),
        ("unless", name) => Some(Condition::Unless(name)),
        _ => None,
    }
}

/// Fills the holes that `of` knows, each to the width that it says where the template asks for it.
fn fill_in<'f>(line: &str, of: impl Fn(&str) -> Option<(&'f str, usize)>) -> String {
    let mut filled = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let Some((hole, behind)) = after.split_once("}}") else {
            filled.push_str("{{");
            rest = after;
            continue;
        };
        let (name, pads) = match hole.strip_suffix('~') {
            Some(name) => (name, true),
            None => (hole, false),
        };
        match of(name) {
            Some((value, width)) if pads => filled.push_str(&format!("{value:width$}")),
            Some((value, _)) => filled.push_str(value),
            None => {
                filled.push_str("{{");
                filled.push_str(hole);
                filled.push_str("}}");
            }
        }
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let mut facts = Facts::default();
        facts.set("here", "127.0.0.1:80");
        facts.set("there", "x:8");
        facts.set("nothing", "");
        let item = |name: &str| Item::from([("name", name.to_owned())]);
        facts.list("heads", vec![item("X-A"), item("X-Long")]);
        facts.list("none", Vec::new());
        facts
    }

    #[test]
    fn holes_are_filled() {
        for (template, filled) in [
            ("at {{here}}, {{there}}\n", "at 127.0.0.1:80, x:8\n"),
            (
                "{{there~}} |\n{{here~}} |\n",
                "x:8          |\n127.0.0.1:80 |\n",
            ),
            (
                "set {{heads.name~}} {{there}};\n",
                "set X-A    x:8;\nset X-Long x:8;\n",
            ),
            ("- {{none.name}}\nrest\n", "rest\n"),
            ("{{#if nothing}}\na\n{{#end}}\nb\n", "b\n"),
            (
                "{{#unless none}}\na\n{{#end}}\n{{#if heads}}\nb\n{{#end}}\n",
                "a\nb\n",
            ),
            (
                "{ { x } } {{unknown}} {{open\n",
                "{ { x } } {{unknown}} {{open\n",
            ),
        ] {
            assert_eq!(facts().fill(template), filled, "{template}");
        }
    }
}
