//! Latency percentiles as a drawing: both axes logarithmic, so that the tail is seen.

use std::fmt::Write as _;
use std::time::Duration;

/// A line of the plot.
#[derive(Debug)]
pub(crate) struct Series {
    name: String,
    /// Ascending.
    latencies: Vec<Duration>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 30.0;
const PLOT_WIDTH: f64 = 520.0;
const PLOT_HEIGHT: f64 = 330.0;

/// The percentiles with a mark on the axis.
const MARKS: [(f64, &str); 5] = [
    (0.0, "0"),
    (0.9, "90"),
    (0.99, "99"),
    (0.999, "99.9"),
    (0.9999, "99.99"),
];

/// Told apart by dashes too, for eyes and printers that do not see colours.
const STYLES: [(&str, &str); 8] = [
    ("#1f77b4", ""),
    ("#1f77b4", "6 4"),
    ("#1f77b4", "2 3"),
    ("#1f77b4", "10 3 2 3"),
    ("#d62728", ""),
    ("#d62728", "6 4"),
    ("#d62728", "2 3"),
    ("#d62728", "10 3 2 3"),
];

impl Series {
    /// The latencies of all rounds together.
    pub(crate) fn new(name: String, rounds: Vec<Vec<Duration>>) -> Self {
        let mut latencies: Vec<_> = rounds.into_iter().flatten().collect();
        latencies.sort_unstable();
        Self { name, latencies }
    }
}

/// The latency that this part of the answers did not exceed; of latencies in ascending order.
pub(crate) fn percentile(sorted: &[Duration], part: f64) -> Duration {
    let at = (part * sorted.len() as f64).ceil() as usize;
    sorted[at.clamp(1, sorted.len()) - 1]
}

/// The drawing, as SVG.
pub(crate) fn svg(series: &[Series], title: &str) -> String {
    let all = || series.iter().flat_map(|series| &series.latencies);
    let millis = |latency: &Duration| latency.as_secs_f64() * 1e3;
    let least = all().map(millis).fold(f64::INFINITY, f64::min).max(1e-3);
    let most = all().map(millis).fold(0.0, f64::max).max(least * 10.0);
    let (low, high) = (least.log10().floor(), most.log10().ceil());
    let y = |ms: f64| TOP + PLOT_HEIGHT * (high - ms.max(least).log10()) / (high - low);
    // Each step to the right leaves a tenth of the answers above it.
    let x = |part: f64| LEFT + PLOT_WIDTH * -(1.0 - part).log10() / 4.0;

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"18\">{title}</text>\n"
    );
    let mut line = |x1: f64, y1: f64, x2: f64, y2: f64| {
        let _infallible = writeln!(
            out,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#ccc\"/>"
        );
    };
    for (part, _) in MARKS {
        line(x(part), TOP, x(part), TOP + PLOT_HEIGHT);
    }
    let mut decade = low;
    while decade <= high {
        let at = y(10f64.powf(decade).max(least));
        line(LEFT, at, LEFT + PLOT_WIDTH, at);
        decade += 1.0;
    }
    for (part, name) in MARKS {
        let _infallible = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name}</text>",
            x(part),
            TOP + PLOT_HEIGHT + 18.0
        );
    }
    let mut decade = low;
    while decade <= high {
        let _infallible = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{} ms</text>",
            LEFT - 6.0,
            y(10f64.powf(decade).max(least)) + 4.0,
            10f64.powf(decade)
        );
        decade += 1.0;
    }
    let _infallible = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">percentile of the answers</text>",
        LEFT + PLOT_WIDTH / 2.0,
        HEIGHT - 12.0
    );
    for (index, series) in series.iter().enumerate() {
        let (colour, dashes) = STYLES[index % STYLES.len()];
        let style = format!(
            "fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\""
        );
        let points: String = (0..=80)
            .map(|step| 1.0 - 10f64.powf(-f64::from(step) / 20.0))
            .map(|part| {
                let latency = millis(&percentile(&series.latencies, part));
                format!("{:.1},{:.1} ", x(part), y(latency))
            })
            .collect();
        let row = TOP + 20.0 + 22.0 * index as f64;
        let (from, to) = (LEFT + PLOT_WIDTH + 14.0, LEFT + PLOT_WIDTH + 44.0);
        let _infallible = writeln!(
            out,
            "<polyline points=\"{points}\" {style}/>\n\
             <line x1=\"{from}\" y1=\"{row}\" x2=\"{to}\" y2=\"{row}\" {style}/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            to + 6.0,
            row + 4.0,
            series.name
        );
    }
    out + "</svg>\n"
}
