//! `shadow`: the configuration that is tried beside the one in force, on the same requests.

use std::path::PathBuf;

use super::bounds::Bounds;
use super::fault::Fault;
use super::files::Files;
use super::notes::Notes;
use super::read::{At, Setting, mapping};
use super::shapes::{count, fraction};
use super::values::file;

mapping! {
    /// `shadow`: a candidate that decides about the same requests, off their way, so that it is known what it would change.
    RawShadow ("a mapping such as {file: candidate.yaml}") {
        /// The candidate: a whole configuration file, reread when it changes. Its rules, identity headers and what
        /// its issuers demand of claims are tried. Default none: only rules with `mode: shadow` are tried.
        file: At<PathBuf> = file,
        /// Which share of the decisions it is asked about; default `1`: what is asked too much is dropped, and counted.
        sample: At<f64> = fraction,
        /// How many of the last differences are kept, for `/shadow`; default `200`: more than anybody reads.
        keep: At<usize> = count,
    }
}

/// What is tried beside what is in force.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowSettings {
    /// The candidate's file, if there is one.
    pub file: Option<PathBuf>,
    /// This configuration's own text and path, if a rule of it has `mode: shadow`.
    pub own: Option<OwnShadow>,
    /// Which share of the decisions is tried: above 0, at most 1.
    pub sample: f64,
    /// How many differences are kept.
    pub keep: usize,
}

/// A configuration's own text, which is tried with all of its rules in force.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnShadow {
    /// What messages call it, and where relative paths start.
    pub path: PathBuf,
    /// The text; it may hold secrets.
    pub text: String,
}

const KEEP: Bounds<usize> = Bounds::of_number(
    1,
    10_000,
    "without any nothing is shown, and more is for a log",
);

/// A screenful of screenfuls, at half a megabyte.
const DEFAULT_KEEP: usize = 200;

impl ShadowSettings {
    /// What `shadow` means; nothing where nothing is tried.
    pub(super) fn from_raw(
        raw: Setting<RawShadow>,
        own: Option<OwnShadow>,
        files: &Files,
        notes: &mut Notes<'_>,
    ) -> Option<Self> {
        let mut settings = Self {
            file: None,
            own,
            sample: 1.0,
            keep: DEFAULT_KEEP,
        };
        if let Some(raw) = raw.into_given() {
            settings.keep = KEEP.check(&raw.keep, DEFAULT_KEEP, notes);
            settings.file = raw.file.into_value().map(|path| files.resolve(&path));
            if let Some(at) = raw.sample.given() {
                if at.value <= 0.0 || at.value > 1.0 {
                    let fault = Fault::OutOfRange {
                        least: "0.000001".to_owned(),
                        most: "1".to_owned(),
                        reason: "it is the share of the decisions that are tried; remove `shadow` for none",
                    };
                    notes.error(fault, &at.spot);
                }
                settings.sample = at.value;
            }
        }
        (settings.file.is_some() || settings.own.is_some()).then_some(settings)
    }
}

impl std::fmt::Debug for OwnShadow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OwnShadow").field(&self.path).finish()
    }
}
