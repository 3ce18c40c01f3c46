//! The table: on the terminal, and as `benches/RESULTS.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::system;

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    /// What was asked of the server.
    pub(crate) case: String,
    /// What was measured, with its unit.
    pub(crate) measured: String,
    /// What it is compared with, with its unit.
    pub(crate) against: String,
    /// How the two compare, and the bar.
    pub(crate) ratio: Option<Ratio>,
}

/// A comparison and what it must not exceed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ratio {
    /// Measured over compared.
    pub(crate) is: f64,
    /// The most that it should be; none where the figure only explains others.
    pub(crate) bar: Option<f64>,
}

/// Everything that a run found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Report {
    /// Adds a line.
    pub(crate) fn row(&mut self, row: Row) {
        println!("  {}\n", row.line());
        self.rows.push(row);
    }

    /// Adds a remark under the table.
    pub(crate) fn note(&mut self, note: String) {
        println!("  {note}\n");
        self.notes.push(note);
    }

    /// The table for a terminal.
    pub(crate) fn print(&self) {
        println!();
        for row in &self.rows {
            println!("{}", row.line());
        }
    }

    /// Writes the table, and under it what is written there by hand.
    pub(crate) fn write(&self, begun: &Begun) -> Outcome {
        let path = folder().join("RESULTS.md");
        let kept = fs::read_to_string(&path)
            .ok()
            .and_then(|text| Some(text.split_once(BY_HAND)?.1.to_owned()))
            .unwrap_or_default();
        let mut text = format!(
            "# Whole processes side by side\n\n\
             Written by `cargo bench --bench compare`; see `benches/compare/main.rs` for what is measured and how.\n\n\
             - Date: {}\n- Machine: {}\n- Load averages (1 and 5 minutes) before the run: {}\n\
             - Revision: {}\n- Binary: {}\n\n\
             | Case | Measured | Compared with | Ratio | Bar | |\n|---|---|---|---|---|---|\n",
            begun.date, begun.machine, begun.load, begun.revision, begun.binary
        );
        for row in &self.rows {
            text += &row.markdown();
        }
        text += "\nProcessor times are microseconds of user and system time of the server process per decision: \
                 the median of the rounds, with the best and the worst round in parentheses.\n\n";
        for note in &self.notes {
            let _infallible = writeln!(text, "- {note}");
        }
        text += "\n![Latency percentiles of an open loop](latency.svg)\n\n";
        text += BY_HAND;
        text += if kept.is_empty() { "\n" } else { &kept };
        fs::write(&path, text)?;
        println!("\nwritten: {}", path.display());
        Ok(())
    }
}

/// What follows this is kept when the file is written again.
const BY_HAND: &str = "<!-- What follows is written by hand and kept. -->\n";

/// What was known before the first measurement.
#[derive(Debug)]
pub(crate) struct Begun {
    date: String,
    machine: String,
    load: String,
    revision: String,
    binary: String,
}

impl Begun {
    /// Looks at the machine.
    pub(crate) fn now(binary: String) -> Self {
        let seconds = crate::tokens::now();
        let date = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        Self {
            date: httpdate::fmt_http_date(date),
            machine: system::machine(),
            load: system::load(),
            revision: system::revision(),
            binary,
        }
    }
}

impl Row {
    fn line(&self) -> String {
        format!(
            "{:52} {:>28}  vs {:36} {:>6} {:>8}  {}",
            self.case,
            self.measured,
            self.against,
            self.is(),
            self.bar(),
            self.reached()
        )
    }

    fn markdown(&self) -> String {
        format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            self.case,
            self.measured,
            self.against,
            self.is(),
            self.bar(),
            self.reached()
        )
    }

    fn is(&self) -> String {
        self.ratio
            .map_or_else(String::new, |ratio| format!("{:.2}", ratio.is))
    }

    fn bar(&self) -> String {
        self.ratio
            .and_then(|ratio| ratio.bar)
            .map_or_else(String::new, |bar| format!("<= {bar:.2}"))
    }

    fn reached(&self) -> &'static str {
        match self.ratio {
            Some(Ratio { is, bar: Some(bar) }) if is <= bar => "reached",
            Some(Ratio { bar: Some(_), .. }) => "**missed**",
            _ => "",
        }
    }
}

/// Where results go.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches")
}
