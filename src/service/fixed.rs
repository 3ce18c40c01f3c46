//! What a reload cannot change: listeners are bound, and their limits set up, once.

use std::time::Duration;

use super::config::{Config, Limits, ListenSettings, RevocationConfig};

/// The settings that are in force from start to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fixed {
    listen: ListenSettings,
    limits: Limits,
    /// The list and its file outlive every configuration; so do the endpoints that fill it.
    revocation: Option<RevocationConfig>,
    /// From a request's head to its answer. A message may arrive as slowly as a head may, then the
    /// decision has its own time.
    pub(super) request_time: Duration,
}

impl Fixed {
    /// What a process that starts with this configuration keeps.
    pub(super) fn of(config: &Config) -> Self {
        Self {
            listen: config.listen.clone(),
            limits: config.limits.clone(),
            revocation: config.revocation.clone(),
            request_time: config.limits.header_read_timeout + config.deadline,
        }
    }

    /// The settings of `config` that are not in force, and will not be before a restart.
    pub(super) fn changed_by(&self, config: &Config) -> Vec<&'static str> {
        let new = Self::of(config);
        let settings = [
            ("listen.grpc", self.listen.grpc != new.listen.grpc),
            ("listen.http", self.listen.http != new.listen.http),
            ("listen.admin", self.listen.admin != new.listen.admin),
            (
                "limits.connections",
                self.limits.connections != new.limits.connections,
            ),
            (
                "limits.in_flight",
                self.limits.in_flight != new.limits.in_flight,
            ),
            (
                "limits.max_connection_age",
                self.limits.max_connection_age != new.limits.max_connection_age,
            ),
            (
                "limits.header_read_timeout",
                self.limits.header_read_timeout != new.limits.header_read_timeout,
            ),
            (
                "limits.idle_timeout",
                self.limits.idle_timeout != new.limits.idle_timeout,
            ),
            (
                "limits.max_header_bytes",
                self.limits.max_header_bytes != new.limits.max_header_bytes,
            ),
            ("revocation", self.revocation != new.revocation),
            // A decision's time follows the file, but no longer than connections grant a request.
            ("deadline", config.deadline > self.request_time),
        ];
        settings
            .into_iter()
            .filter_map(|(name, changed)| changed.then_some(name))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::config::Environment;
    use super::*;

    fn config(settings: &str) -> Config {
        let text = format!("{settings}\nrules: [{{path: /health, allow: anyone}}]\n");
        Config::parse(&text, Path::new("test.yaml"), &Environment::Process).unwrap()
    }

    #[test]
    fn what_needs_a_restart_is_named_and_nothing_else() {
        let fixed = Fixed::of(&config(""));
        for (settings, needs) in [
            ("", &[][..]),
            // Written out, the defaults are no change.
            ("listen: {grpc: 127.0.0.1:9191}", &[]),
            ("listen: {grpc: 127.0.0.1:1}", &["listen.grpc"]),
            ("listen: {grpc: off}", &["listen.grpc"]),
            (
                "listen: {http: 'unix:/run/x.sock', admin: off}",
                &["listen.http", "listen.admin"],
            ),
            ("limits: {connections: 7}", &["limits.connections"]),
            (
                "limits: {in_flight: 7, max_connection_age: 1h}",
                &["limits.in_flight", "limits.max_connection_age"],
            ),
            ("shutdown_delay: 1s", &[]),
            (
                "limits: {header_read_timeout: 3s}",
                &["limits.header_read_timeout"],
            ),
            (
                "limits: {idle_timeout: 60s, max_header_bytes: 8192}",
                &["limits.idle_timeout", "limits.max_header_bytes"],
            ),
            ("log: {format: text, level: warn, decisions: off}", &[]),
            ("tracing: {endpoint: 'http://127.0.0.1:4318'}", &[]),
            (
                "revocation: {secret: 0123456789abcdef0123456789abcdef}",
                &["revocation"],
            ),
            ("deadline: 12s", &[]),
            ("deadline: 13s", &["deadline"]),
            ("drain_timeout: 1s", &[]),
            ("on_unavailable: gateway", &[]),
            ("realm: other", &[]),
            ("identity: {X-User: sub}", &[]),
            ("token: {from: [{cookie: t}], max_size: 8192}", &[]),
            (
                "issuers: [{issuer: 'https://a.example', audiences: [x]}]",
                &[],
            ),
        ] {
            assert_eq!(fixed.changed_by(&config(settings)), needs, "{settings}");
        }
    }

    #[test]
    fn what_counts_is_what_the_process_started_with() {
        let fixed = Fixed::of(&config("listen: {http: 127.0.0.1:1}"));
        assert_eq!(fixed.changed_by(&config("")), ["listen.http"]);
        let back = config("listen: {http: 127.0.0.1:1}");
        assert!(fixed.changed_by(&back).is_empty());
    }
}
