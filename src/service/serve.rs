//! `gatefort serve`: a configuration becomes bound listeners, and those run until told to end.
//!
//! Everything that can fail fails before the first connection is accepted.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::admin::{self, AdminState};
use super::config::{Config, Endpoint, ListenSettings};
use super::connection::{ConnectionLimits, Driver, Protocol, Routes};
use super::drain::Shutdown;
use super::fixed::Fixed;
use super::listen::{BindError, BoundAddress, Lifetime, Listener, connection_cap};
use super::live::{ConfigOrigin, Live, LiveError};
use super::parts::Parts;
use super::readiness::watch_readiness;
use super::reload::Reloads;
use super::revoke::RevocationPages;
use super::systemd::{self, Inherited};
use super::tls::{self, Tls, TlsError};
use crate::gateway::{Service, report_health};
use crate::telemetry::{LogQueue, process};
use crate::verify::Verifier;
use crate::verify::clock::{Clock, SystemClock};
use crate::verify::revocations::{OpenError, Revocations};

/// Why the process could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An issuer's settings, or those of traces, cannot be used.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// The file of revocations cannot be had: what it holds must be in force before anything is allowed.
    #[error(transparent)]
    Revocations(#[from] OpenError),
    /// A listener's address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A listener's certificates cannot be used.
    #[error("cannot speak TLS for {name}: {source}")]
    Tls {
        /// The listener.
        name: &'static str,
        /// What is wrong with the files.
        source: Box<TlsError>,
    },
    /// SIGHUP, which has certificates reread, cannot be listened to.
    #[error("cannot listen to SIGHUP: {0}")]
    Signal(io::Error),
    /// The system does not say where a listener is bound.
    #[error("cannot read the address of listener {name}")]
    Address {
        /// The listener.
        name: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

/// Why the process ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A part that runs as long as the process does has ended: a defect of ours.
    #[error("{part} ended by itself; the process ends with it")]
    Ended {
        /// The part.
        part: &'static str,
    },
}

/// Listeners that are bound, with all that they need to run.
#[derive(Debug)]
pub struct Bound {
    doors: Vec<Served>,
    admin: Option<Served>,
    /// Who rereads the certificates, where there are any.
    tls: Option<(Vec<Arc<Tls>>, Signal)>,
    addresses: BTreeMap<&'static str, BoundAddress>,
    live: Arc<Live>,
    reloads: Option<Reloads>,
    /// What `reloads` cannot change.
    fixed: Fixed,
    health: Option<HealthReporter>,
    /// Ends the key caches' background work when dropped.
    stop_verifier: DropGuard,
    /// Cancelled when draining begins: what readiness looks at.
    draining: CancellationToken,
}

/// A listener and what it serves.
#[derive(Debug)]
struct Served {
    listener: Listener,
    driver: Driver,
    tls: Option<Arc<Tls>>,
    slots: Arc<Semaphore>,
}

/// Connections to the admin pages: a scraper, a prober, a few people.
/// Apart from the doors' share, so that a flood there does not hide what it does.
const ADMIN_CONNECTIONS: usize = 64;

/// How long the admin pages, and then the key caches, may take to end when nothing needs them any more.
const LAST_STEPS: Duration = Duration::from_secs(1);

/// Makes what `config` describes and binds its listeners; nothing is accepted yet.
///
/// # Errors
/// An issuer's settings cannot be used, or an address cannot be had.
pub async fn build(
    config: Config,
    origin: ConfigOrigin,
    log: LogQueue,
    mut inherited: Inherited,
) -> Result<Bound, StartError> {
    // Listeners first: an address that is taken should not cost the issuers a request.
    let [grpc, http, admin] = bind(&config.listen, &mut inherited).await?;
    let listen = config.listen.clone();
    let mut addresses = BTreeMap::new();
    for listener in [&grpc, &http, &admin].into_iter().flatten() {
        let name = listener.name();
        let address = listener
            .address()
            .map_err(|source| StartError::Address { name, source })?;
        addresses.insert(name, address);
    }
    let stop_verifier = CancellationToken::new();
    let draining = CancellationToken::new();
    let fixed = Fixed::of(&config);
    let (settings, request_time) = (config.limits.clone(), fixed.request_time);
    let revocations = match &config.revocation {
        Some(revocation) => Revocations::open(revocation.list.clone(), SystemClock.now())?,
        None => Revocations::default(),
    };
    let revocation = config.revocation.clone();
    let revocations = Arc::new(revocations);
    let live = Live::start(config, origin, log, revocations, &stop_verifier)?;
    let live = Arc::new(live);
    let limits = ConnectionLimits {
        header_read_timeout: settings.header_read_timeout,
        idle_timeout: settings.idle_timeout,
        max_age: settings.max_connection_age,
        request_timeout: request_time,
        max_header_bytes: settings.max_header_bytes,
    };
    let configured = settings.connections;
    let cap = connection_cap(configured, process::max_open_files());
    if cap < configured {
        tracing::warn!(
            configured,
            possible = cap,
            "the limit of open files allows fewer connections than configured"
        );
    }
    let slots = Arc::new(Semaphore::new(cap.min(Semaphore::MAX_PERMITS)));
    let revokers = revocation
        .as_ref()
        .and_then(|revocation| revocation.clients.clone());
    let telemetry = live.telemetry();
    let start_tls = |name, endpoint: Option<Endpoint>, protocol, revokers| {
        let Some(settings) = endpoint.and_then(|endpoint| endpoint.tls) else {
            return Ok(None);
        };
        Tls::start(name, settings, protocol, revokers, telemetry.tls(name))
            .map(|tls| Some(Arc::new(tls)))
            .map_err(|error| StartError::Tls {
                name,
                source: Box::new(error),
            })
    };
    let grpc_tls = start_tls("grpc", listen.grpc, Protocol::Http2, None)?;
    let http_tls = start_tls("http", listen.http, Protocol::Http, None)?;
    let admin_tls = start_tls("admin", listen.admin, Protocol::Http, revokers)?;
    let all_tls: Vec<_> = [&grpc_tls, &http_tls, &admin_tls]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    let mut doors = Vec::new();
    let mut health = None;
    if let Some(listener) = grpc {
        let (service, reporter) = Service::grpc(Arc::clone(live.doors()));
        health = Some(reporter);
        let routes = Routes {
            unlisted: Service::closed_grpc(Arc::clone(live.doors())),
            ..Routes::same(service)
        };
        doors.push(Served {
            listener,
            driver: Driver::new(Protocol::Http2, limits, routes),
            tls: grpc_tls,
            slots: Arc::clone(&slots),
        });
    }
    if let Some(listener) = http {
        let routes = Routes {
            unlisted: Service::closed_http(Arc::clone(live.doors())),
            ..Routes::same(Service::http(Arc::clone(live.doors())))
        };
        doors.push(Served {
            listener,
            driver: Driver::new(Protocol::Http, limits, routes),
            tls: http_tls,
            slots: Arc::clone(&slots),
        });
    }
    let admin = admin.map(|listener| {
        let revoking =
            revocation.map(|revocation| RevocationPages::new(&revocation, Arc::clone(&live)));
        let state = AdminState {
            live: Arc::clone(&live),
            drain: draining.clone(),
            listeners: addresses
                .iter()
                .map(|(name, address)| (*name, address.to_string()))
                .collect(),
            tls: all_tls.clone(),
        };
        Served {
            listener,
            driver: Driver::new(Protocol::Http, limits, admin::routes(state, revoking)),
            tls: admin_tls,
            slots: Arc::new(Semaphore::new(ADMIN_CONNECTIONS)),
        }
    });
    let tls = if all_tls.is_empty() {
        None
    } else {
        let hangup = signal(SignalKind::hangup()).map_err(StartError::Signal)?;
        Some((all_tls, hangup))
    };
    Ok(Bound {
        doors,
        admin,
        tls,
        addresses,
        live,
        reloads: None,
        fixed,
        health,
        stop_verifier: stop_verifier.drop_guard(),
        draining,
    })
}

impl Bound {
    /// Where each listener (`grpc`, `http`, `admin`) is bound.
    #[must_use]
    pub const fn addresses(&self) -> &BTreeMap<&'static str, BoundAddress> {
        &self.addresses
    }

    /// Who checks tokens now: ready once it has its issuers' keys.
    #[must_use]
    pub fn verifier(&self) -> Arc<Verifier> {
        self.live.verifier()
    }

    /// The same, with a configuration that follows its file while it runs.
    pub(super) fn reloading(self, reloads: Reloads) -> Self {
        Self {
            reloads: Some(reloads),
            ..self
        }
    }

    /// Runs until `shutdown` is asked for and what is under way is finished, or time for it is up.
    ///
    /// # Errors
    /// A part of the process ended by itself.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let doors = Lifetime::new();
        let pages = Lifetime::new();
        let mut parts = Parts::default();
        for (listener, address) in &self.addresses {
            tracing::info!(listener, %address, "listening");
        }
        for door in self.doors {
            door.spawn(&mut parts, &self.live, &doors);
        }
        if let Some(admin) = self.admin {
            admin.spawn(&mut parts, &self.live, &pages);
        }
        if let Some(reloads) = self.reloads {
            let follow = reloads.follow(Arc::clone(&self.live), self.fixed);
            let draining = self.draining.clone();
            parts.spawn("configuration reload", async move {
                draining.run_until_cancelled(follow).await;
            });
        }
        if let Some((listeners, hangup)) = self.tls {
            let follow = tls::follow(listeners, hangup);
            let draining = self.draining.clone();
            parts.spawn("certificate reload", async move {
                draining.run_until_cancelled(follow).await;
            });
        }
        let (live, draining) = (Arc::clone(&self.live), self.draining.clone());
        parts.spawn("service manager", async move {
            systemd::report(&live, &draining).await;
        });
        // Until the last answer is given: it may be about a rule that demands every revocation.
        let revocations = Arc::clone(self.live.verifier().revocations());
        parts.spawn("revocation fan-out", async move {
            match revocations.follow(&SystemClock).await {}
        });
        let watch = watch_readiness(
            Arc::clone(&self.live),
            self.health.clone(),
            self.draining.clone(),
        );
        parts.spawn("readiness watch", watch);
        let (live, draining) = (Arc::clone(&self.live), self.draining.clone());
        parts.spawn("recent decisions", async move {
            draining.run_until_cancelled(refill_recent(live)).await;
        });
        let outcome = tokio::select! {
            () = shutdown.drain.cancelled() => Ok(()),
            () = shutdown.now.cancelled() => Ok(()),
            part = parts.ended() => Err(RunError::Ended { part }),
        };
        self.draining.cancel();
        tracing::info!("shutting down");
        if let Some(reporter) = &self.health {
            report_health(reporter, ServingStatus::NotServing).await;
        }
        let config = self.live.config();
        // Gateways and load balancers learn only now that they should ask elsewhere.
        let noticing = sleep(config.shutdown_delay);
        let _cut_short = shutdown.now.run_until_cancelled(noticing).await;
        doors.drain(config.drain_timeout, &shutdown.now).await;
        // The pages last: they show how far the rest has come.
        pages.drain(LAST_STEPS, &shutdown.now).await;
        drop(self.stop_verifier);
        if let Some(tracer) = self.live.telemetry().tracer() {
            // Spans of the last decisions; a collector that does not take them in time goes without.
            let _late = timeout(LAST_STEPS, tracer.ended()).await;
        }
        // What is late here (a snapshot being written) can be lost: it is only a copy.
        let _late = timeout(LAST_STEPS, self.live.verifier().ended()).await;
        tracing::info!("stopped");
        outcome
    }
}

impl Served {
    fn spawn(self, parts: &mut Parts, live: &Live, lifetime: &Lifetime) {
        let name = self.listener.name();
        let metrics = live.telemetry().listener(name);
        let run = self
            .listener
            .run(self.driver, self.tls, self.slots, metrics, lifetime.clone());
        // Counted with its connections, so that draining waits for the last one it accepts.
        parts.spawn(name, lifetime.connections.track_future(run));
    }
}

/// Binds what is configured: `grpc`, `http`, `admin`.
async fn bind(
    listen: &ListenSettings,
    inherited: &mut Inherited,
) -> Result<[Option<Listener>; 3], BindError> {
    let mut bound = [None, None, None];
    let wanted = [
        ("grpc", &listen.grpc),
        ("http", &listen.http),
        ("admin", &listen.admin),
    ];
    for (place, (name, endpoint)) in bound.iter_mut().zip(wanted) {
        if let Some(endpoint) = endpoint {
            *place = Some(Listener::bind(name, &endpoint.address, inherited).await?);
        }
    }
    Ok(bound)
}

/// Lets the next second's decisions be kept.
async fn refill_recent(live: Arc<Live>) {
    loop {
        sleep(Duration::from_secs(1)).await;
        live.telemetry().refill_recent();
    }
}
