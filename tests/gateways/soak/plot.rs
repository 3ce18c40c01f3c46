//! Memory and descriptors over time, as a drawing.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

/// One look at the process.
#[derive(Debug)]
pub(super) struct Sample {
    at: Duration,
    /// Resident megabytes.
    pub(super) memory: f64,
    /// Open descriptors.
    pub(super) descriptors: f64,
    /// How many disturbances there have been.
    troubles: usize,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 160.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 40.0;

impl Sample {
    /// Looks at a process of this machine.
    pub(super) fn of(process: u32, at: Duration, troubles: usize) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes: f64 = resident
            .and_then(|rest| rest.trim().strip_suffix(" kB"))
            .and_then(|number| number.parse().ok())
            .expect("Linux says how much is resident");
        let descriptors = fs::read_dir(format!("/proc/{process}/fd"))
            .expect("it runs")
            .count();
        Self {
            at,
            memory: kilobytes / 1024.0,
            descriptors: descriptors as f64,
            troubles,
        }
    }
}

/// Two drawings, one below the other; a line down for each disturbance.
pub(super) fn svg(samples: &[Sample]) -> String {
    let mut text = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
"##,
        LEFT + WIDTH + 30.0,
        2.0 * (TOP + HEIGHT) + 40.0
    );
    panel(&mut text, samples, TOP, "resident memory, MiB", |sample| {
        sample.memory
    });
    panel(
        &mut text,
        samples,
        2.0 * TOP + HEIGHT,
        "open descriptors",
        |sample| sample.descriptors,
    );
    text + "</svg>\n"
}

fn panel(text: &mut String, samples: &[Sample], top: f64, title: &str, of: fn(&Sample) -> f64) {
    let end = samples
        .last()
        .map_or(1.0, |sample| sample.at.as_secs_f64())
        .max(1.0);
    // From zero, so that what looks flat is flat; a tenth of room above.
    let most = samples.iter().map(of).fold(1.0, f64::max) * 1.1;
    let x = |sample: &Sample| LEFT + WIDTH * sample.at.as_secs_f64() / end;
    let y = |value: f64| top + HEIGHT * (1.0 - value / most);
    let mut put =
        |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("a text can grow");
    put(format_args!(
        r##"<text x="{LEFT}" y="{}" font-weight="bold">{title}</text>"##,
        top - 8.0
    ));
    for pair in samples
        .windows(2)
        .filter(|pair| pair[0].troubles != pair[1].troubles)
    {
        let at = x(&pair[1]);
        put(format_args!(
            r##"<line x1="{at:.1}" x2="{at:.1}" y1="{top}" y2="{:.1}" stroke="#eee"/>"##,
            top + HEIGHT
        ));
    }
    for part in [0.0, 0.5, 1.0] {
        let (value, at) = (most * part, y(most * part));
        put(format_args!(
            r##"<line x1="{LEFT}" x2="{}" y1="{at:.1}" y2="{at:.1}" stroke="#ccc"/><text x="{}" y="{:.1}" text-anchor="end">{value:.0}</text>"##,
            LEFT + WIDTH,
            LEFT - 6.0,
            at + 4.0
        ));
        put(format_args!(
            r##"<text x="{:.1}" y="{:.1}" text-anchor="middle">{:.0} s</text>"##,
            LEFT + WIDTH * part,
            top + HEIGHT + 16.0,
            end * part
        ));
    }
    let points: Vec<_> = samples
        .iter()
        .map(|sample| format!("{:.1},{:.1}", x(sample), y(of(sample))))
        .collect();
    put(format_args!(
        r##"<polyline fill="none" stroke="#1f77b4" stroke-width="1.5" points="{}"/>"##,
        points.join(" ")
    ));
}
