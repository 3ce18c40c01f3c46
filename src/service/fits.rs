//! `gatefort check --gateway`: does a gateway's file know every identity header that the configuration names?
//!
//! A header that the file does not name is one that the client may say, or that never arrives. Whether the file does
//! the right thing with those that it names is not asked here: `gatefort probe` asks the gateway itself.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::reload::Loaded;
use crate::gateway::OnUnavailable;

/// What is found in one file.
#[derive(Debug)]
pub(super) struct Fit {
    file: PathBuf,
    missing: Vec<String>,
    is_stale: bool,
    /// What a gateway of this kind cannot say as Gatefort says it.
    notes: Vec<&'static str>,
}

/// Why a file could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {cause}", file.display())]
pub(super) struct FitError {
    file: PathBuf,
    #[source]
    cause: io::Error,
}

/// How `gatefort gen` says which configuration a file was written from.
const WRITTEN_FROM: &str = "(SHA-256 ";

impl Fit {
    /// Looks into a gateway's file.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn of(file: &Path, loaded: &Loaded) -> Result<Self, FitError> {
        let text = fs::read_to_string(file).map_err(|cause| FitError {
            file: file.to_path_buf(),
            cause,
        })?;
        let written_from = text
            .split_once(WRITTEN_FROM)
            .and_then(|(_, rest)| rest.split_once(')'))
            .map(|(sha256, _)| sha256);
        let is_comment = |line: &&str| {
            let line = line.trim_start();
            line.starts_with('#') || line.starts_with("--")
        };
        let effective: Vec<&str> = text.lines().filter(|line| !is_comment(line)).collect();
        let effective = effective.join("\n").to_ascii_lowercase();
        let names = loaded.config.identity.names();
        let missing = names.filter(|name| !is_named(name.as_str(), &effective));
        Ok(Self {
            file: file.to_path_buf(),
            missing: missing.map(ToString::to_string).collect(),
            is_stale: written_from.is_some() && written_from != loaded.origin.sha256.as_deref(),
            notes: unsayable(&effective, loaded.config.answers.on_unavailable),
        })
    }

    /// Whether every identity header is named.
    pub(super) const fn is_good(&self) -> bool {
        self.missing.is_empty()
    }

    /// Writes what is found, for people.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let file = self.file.display();
        if self.is_stale {
            writeln!(
                out,
                "warning: {file} was written from another version of the configuration: write it anew"
            )?;
        }
        for name in &self.missing {
            writeln!(
                out,
                "error: {file} does not name the identity header {name}: a client can say it, or it never arrives"
            )?;
        }
        for note in &self.notes {
            writeln!(out, "warning: {file}: {note}")?;
        }
        if self.is_good() {
            writeln!(out, "{file} names every identity header")?;
        }
        Ok(())
    }

    /// The same, for programs.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "file": self.file.display().to_string(),
            "missing": self.missing,
            "stale": self.is_stale,
            "warnings": self.notes,
        })
    }
}

/// nginx's `auth_request` knows 2xx, 401 and 403; it answers 500 to its client for all else, and passes nothing on.
fn unsayable(text: &str, on_unavailable: OnUnavailable) -> Vec<&'static str> {
    let mut notes = Vec::new();
    if text.contains("auth_request ") {
        if !text.contains("error_page 500") {
            notes.push(
                "nginx turns the 503 of an outage into 500: add `error_page 500 = @gatefort_unavailable`, as `gatefort gen nginx` writes it",
            );
        }
        if on_unavailable == OnUnavailable::Gateway {
            notes.push(
                "`on_unavailable: gateway` changes nothing behind nginx, which has no failure mode: an outage stays closed",
            );
        }
    }
    notes
}

/// Whether a text names a header, or matches it and its look-alikes as the files of `gatefort gen` do.
fn is_named(name: &str, text: &str) -> bool {
    let pattern = name.replace('-', "[-_.]");
    let is_part =
        |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    [name, &pattern].iter().any(|form| {
        text.match_indices(*form).any(|(start, _)| {
            let before = text.get(..start).and_then(|text| text.chars().next_back());
            let after = text
                .get(start + form.len()..)
                .and_then(|text| text.chars().next());
            // Caddy writes `-Name` for a header that goes.
            !is_part(before.filter(|c| *c != '-')) && !is_part(after)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nginx_cannot_say_is_said_of_nginx_alone() {
        let (deny, gateway) = (OnUnavailable::Deny, OnUnavailable::Gateway);
        for (text, on_unavailable, count) in [
            ("auth_request /a; error_page 500 = @x;", deny, 0),
            ("auth_request /a;", deny, 1),
            ("auth_request /a; error_page 500 = @x;", gateway, 1),
            ("auth_request /a;", gateway, 2),
            ("forward_auth 127.0.0.1:9192", gateway, 0),
        ] {
            assert_eq!(unsayable(text, on_unavailable).len(), count, "{text}");
        }
    }

    #[test]
    fn a_name_is_a_whole_word() {
        for (text, named) in [
            ("proxy_set_header x-auth-user $user;", true),
            ("request_header -x-auth-user", true),
            ("x-auth-user,x-auth-roles", true),
            (r#"regex: "(?i)x[-_.]auth[-_.]user""#, true),
            ("x-auth-username", false),
            ("not-x-auth-user-id", false),
            ("$upstream_http_x_auth_user", false),
        ] {
            assert_eq!(is_named("x-auth-user", text), named, "{text}");
        }
    }
}
