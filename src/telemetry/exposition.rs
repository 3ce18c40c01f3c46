//! The two text formats that scrapers read: OpenMetrics, and the one that Prometheus had before.

/// A text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The Prometheus text format 0.0.4.
    Prometheus,
}

impl Exposition {
    /// OpenMetrics for those whose `Accept` names it, the older format for everybody else:
    /// that is what scripts and agents without negotiation read.
    pub fn accepted<'a>(accept: impl IntoIterator<Item = &'a [u8]>) -> Self {
        const NAME: &[u8] = b"application/openmetrics-text";
        let names_it = |value: &[u8]| {
            value.split(|&byte| byte == b',').any(|range| {
                let range = range.trim_ascii_start();
                range
                    .get(..NAME.len())
                    .is_some_and(|name| name.eq_ignore_ascii_case(NAME))
            })
        };
        if accept.into_iter().any(names_it) {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// Its media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Writes what is OpenMetrics in this format.
    #[must_use]
    pub fn of(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Prometheus => older(&open_metrics),
        }
    }
}

/// The samples are the same; what is said about a counter is said about its `_total`.
fn older(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = "";
    for line in open_metrics.lines() {
        if let Some(about) = line.strip_prefix("# HELP ") {
            help = about;
        } else if let Some(about) = line.strip_prefix("# TYPE ") {
            let (name, kind) = about.split_once(' ').unwrap_or((about, "untyped"));
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            let help = help.strip_prefix(name).unwrap_or_default();
            for part in [
                "# HELP ",
                name,
                suffix,
                help,
                "\n# TYPE ",
                name,
                suffix,
                " ",
                kind,
            ] {
                text.push_str(part);
            }
            text.push('\n');
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_for_who_names_it() {
        for (accept, expected) in [
            (&[][..], Exposition::Prometheus),
            (&["*/*"], Exposition::Prometheus),
            (&["text/plain;version=0.0.4"], Exposition::Prometheus),
            (&["application/json", "text/html"], Exposition::Prometheus),
            (&["Application/OpenMetrics-text"], Exposition::OpenMetrics),
            (
                &["text/plain;q=0.5, application/openmetrics-text;version=1.0.0"],
                Exposition::OpenMetrics,
            ),
            (
                &["text/html", "application/openmetrics-text;q=0.2"],
                Exposition::OpenMetrics,
            ),
        ] {
            let values = accept.iter().map(|value| value.as_bytes());
            assert_eq!(Exposition::accepted(values), expected, "{accept:?}");
        }
    }

    #[test]
    fn the_older_format_has_the_same_samples() {
        let text = "# HELP a Things.\n# TYPE a counter\na_total{x=\"# y\"} 1\n\
                    # HELP b What runs.\n# TYPE b info\nb_info{v=\"1\"} 1\n\
                    # HELP c_seconds When.\n# TYPE c_seconds gauge\n# UNIT c_seconds seconds\nc_seconds 2.5\n\
                    # EOF\n";
        assert_eq!(
            older(text),
            "# HELP a_total Things.\n# TYPE a_total counter\na_total{x=\"# y\"} 1\n\
             # HELP b_info What runs.\n# TYPE b_info gauge\nb_info{v=\"1\"} 1\n\
             # HELP c_seconds When.\n# TYPE c_seconds gauge\nc_seconds 2.5\n"
        );
    }
}
