//! Binding, accepting, the cap and the drain, on loopback and in a temporary directory.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;
use crate::service::config::UnixAddress;
use crate::service::connection::{ConnectionLimits, Protocol, Routes};
use crate::telemetry::Telemetry;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

fn any_port() -> ListenAddress {
    ListenAddress::Tcp((Ipv4Addr::LOCALHOST, 0).into())
}

struct Running {
    address: BoundAddress,
    lifetime: Lifetime,
    metrics: ListenerMetrics,
    loop_: JoinHandle<()>,
}

async fn start(address: &ListenAddress, cap: usize, router: Router) -> Running {
    let listener = Listener::bind("http", address, &mut Inherited::default())
        .await
        .unwrap();
    let limits = ConnectionLimits {
        header_read_timeout: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(60),
        max_age: Duration::from_secs(60),
        request_timeout: Duration::from_secs(60),
        max_header_bytes: 8192,
    };
    let driver = Driver::new(Protocol::Http, limits, Routes::same(router));
    let lifetime = Lifetime::new();
    let metrics = Telemetry::silent().listener("http");
    let address = listener.address().unwrap();
    let slots = Arc::new(Semaphore::new(cap));
    let run = listener.run(driver, None, slots, metrics.clone(), lifetime.clone());
    let loop_ = tokio::spawn(lifetime.connections.track_future(run));
    Running {
        address,
        lifetime,
        metrics,
        loop_,
    }
}

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> String {
    stream.write_all(REQUEST).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn tcp(running: &Running) -> TcpStream {
    match &running.address {
        BoundAddress::Tcp(address) => TcpStream::connect(address).await.unwrap(),
        BoundAddress::Unix(path) => panic!("{} is no TCP address", path.display()),
    }
}

#[tokio::test]
async fn tcp_is_served_and_counted() {
    let running = start(&any_port(), 10, hello()).await;
    assert!(ask(tcp(&running).await).await.ends_with("hello"));
    let now = CancellationToken::new();
    running.lifetime.drain(Duration::from_secs(5), &now).await;
    running.loop_.await.unwrap();
    assert_eq!(running.metrics.accepted.get(), 1);
    assert_eq!(running.metrics.open.get(), 0);
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let running = start(&any_port(), 10, hello()).await;
    let BoundAddress::Tcp(address) = running.address else {
        panic!("no TCP address");
    };
    let error = Listener::bind(
        "grpc",
        &ListenAddress::Tcp(address),
        &mut Inherited::default(),
    )
    .await
    .unwrap_err();
    let told = error.to_string();
    assert!(
        told.starts_with(&format!("cannot listen for grpc at {address}: ")),
        "{told}"
    );
}

#[tokio::test]
async fn connections_beyond_the_cap_wait_and_are_then_served() {
    let (begun, go_on) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    let (tell, wait) = (Arc::clone(&begun), Arc::clone(&go_on));
    let router = Router::new().route(
        "/",
        get(async move || {
            tell.notify_one();
            wait.notified().await;
            "hello"
        }),
    );
    let running = start(&any_port(), 1, router).await;
    let first = tokio::spawn(ask(tcp(&running).await));
    begun.notified().await;
    let second = tokio::spawn(ask(tcp(&running).await));
    assert_eq!(running.metrics.open.get(), 1);
    go_on.notify_one();
    assert!(first.await.unwrap().ends_with("hello"));
    begun.notified().await;
    assert_eq!(running.metrics.open.get(), 1);
    go_on.notify_one();
    assert!(second.await.unwrap().ends_with("hello"));
}

#[tokio::test]
async fn a_drain_ends_when_its_time_is_up_or_nobody_wants_to_wait() {
    for patient in [true, false] {
        let begun = Arc::<Notify>::default();
        let tell = Arc::clone(&begun);
        let router = Router::new().route(
            "/",
            get(async move || {
                tell.notify_one();
                std::future::pending::<()>().await;
            }),
        );
        let running = start(&any_port(), 10, router).await;
        let mut stream = tcp(&running).await;
        stream.write_all(REQUEST).await.unwrap();
        begun.notified().await;
        let now = CancellationToken::new();
        let limit = if patient {
            Duration::from_millis(50)
        } else {
            now.cancel();
            Duration::from_secs(60)
        };
        let drained = timeout(Duration::from_secs(10), running.lifetime.drain(limit, &now));
        drained.await.unwrap();
        let mut answer = String::new();
        // Dropped, with or without a reset.
        let _ended = stream.read_to_string(&mut answer).await;
        assert_eq!(answer, "");
        assert_eq!(running.metrics.open.get(), 0);
    }
}

#[tokio::test]
async fn a_unix_socket_is_served_with_its_mode_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gate.sock");
    let address = ListenAddress::Unix(UnixAddress {
        path: path.clone(),
        mode: 0o600,
        owner: None,
        group: None,
    });
    let running = start(&address, 10, hello()).await;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let stream = UnixStream::connect(&path).await.unwrap();
    assert!(ask(stream).await.ends_with("hello"));
    // Somebody is there: not stale.
    let error = Listener::bind("grpc", &address, &mut Inherited::default())
        .await
        .unwrap_err();
    assert!(matches!(error.problem, BindProblem::InUse), "{error}");
    let now = CancellationToken::new();
    running.lifetime.drain(Duration::from_secs(5), &now).await;
    running.loop_.await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_nothing_else_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gate.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let address = ListenAddress::Unix(UnixAddress {
        path: path.clone(),
        mode: 0o660,
        owner: None,
        group: None,
    });
    let listener = Listener::bind("http", &address, &mut Inherited::default())
        .await
        .unwrap();
    // Whoever took the path since then keeps it.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "mine").unwrap();
    drop(listener);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    let error = Listener::bind("http", &address, &mut Inherited::default())
        .await
        .unwrap_err();
    assert!(matches!(error.problem, BindProblem::NotASocket), "{error}");
}

#[test]
fn only_lasting_troubles_pause() {
    let gone = io::Error::from(io::ErrorKind::ConnectionAborted);
    assert_eq!(pause_after(&gone), None);
    /// `EMFILE` on Linux.
    const TOO_MANY_FILES: i32 = 24;
    let exhausted = io::Error::from_raw_os_error(TOO_MANY_FILES);
    assert_eq!(pause_after(&exhausted), Some(EXHAUSTED_PAUSE));
}

#[test]
fn descriptors_are_left_for_the_rest() {
    assert_eq!(connection_cap(10_000, None), 10_000);
    assert_eq!(connection_cap(10_000, Some(1_000_000)), 10_000);
    assert_eq!(connection_cap(10_000, Some(1024)), 896);
    assert_eq!(connection_cap(10_000, Some(128)), 64);
    assert_eq!(connection_cap(10, Some(1024)), 10);
}
