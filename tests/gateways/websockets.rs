//! WebSockets: the handshake is asked about like any request, and what docs/gateways/README.md says to add lets it by.

use std::io::{self, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use crate::support::cases::Gateway;
use crate::support::gateway::{self, Behind, Edit, Running};
use crate::support::raw::{Framing, Message};
use crate::support::server::Gatefort;

const CONFIGURATION: &str = "
listen: {grpc: '@GRPC@', http: '@HTTP@', admin: '@ADMIN@'}
issuers: [{issuer: https://unreachable.test, audiences: any, jwks_url: 'http://127.0.0.1:1/jwks.json'}]
rules:
  - {path: /open, allow: anyone}
  - {path: /**, allow: authenticated}
identity: {X-Auth-User: sub, X-Auth-Email: email, X-Auth-Roles: roles}
";

/// The key and its answer in RFC 6455 §1.3.
const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Auth-User: root\r\n";
const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Longer than any gateway waits.
const LIMIT: Duration = Duration::from_secs(20);

/// What is added to the files of `deploy/`; the page shows the second of each.
const fn added(kind: Gateway) -> &'static [Edit<'static>] {
    match kind {
        Gateway::EnvoyGrpc | Gateway::EnvoyHttp => &[(
            "                stat_prefix: ingress\n",
            "                stat_prefix: ingress\n                upgrade_configs: [{ upgrade_type: websocket }]\n",
        )],
        Gateway::Nginx => &[
            (
                "upstream gatefort {",
                "map $http_upgrade $connection_upgrade { default \"\"; websocket Upgrade; }\nupstream gatefort {",
            ),
            (
                "        proxy_set_header Connection \"\";\n\n        # No URI",
                "        proxy_set_header Upgrade    $http_upgrade;\n        proxy_set_header Connection $connection_upgrade;\n\n        # No URI",
            ),
        ],
        Gateway::Apache => &[(
            "connectiontimeout=1 timeout=30\n",
            "connectiontimeout=1 timeout=30 upgrade=websocket\n",
        )],
        Gateway::Traefik | Gateway::Caddy | Gateway::Haproxy => &[],
    }
}

/// An application that takes the handshake and then says what it hears; it tells of each request's header.
fn application() -> (u16, Receiver<Message>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("a bound address").port();
    let (tell, told) = channel();
    // Ends with the test's process.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let tell = tell.clone();
            thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                while let Ok(Some(request)) = Message::read(&mut reader, Framing::Request) {
                    let upgrades = request.header("upgrade").is_some();
                    let _ = tell.send(request);
                    if !upgrades {
                        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                        reader.get_mut().write_all(plain)?;
                        continue;
                    }
                    reader.get_mut().write_all(ACCEPTED.as_bytes())?;
                    let mut heard = [0; 64];
                    while let Ok(count @ 1..) = reader.read(&mut heard) {
                        reader.get_mut().write_all(&heard[..count])?;
                    }
                }
                io::Result::Ok(())
            });
        }
    });
    (port, told)
}

/// Shakes hands for a target; the status, and what comes back to `ping` if it was 101.
fn talk(to: SocketAddr, target: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&to, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: app.test\r\n{HANDSHAKE}\r\n"
    )?;
    let mut reader = BufReader::new(stream);
    // No body follows a 101; that of a denial is of no interest.
    let answer = Message::read(&mut reader, Framing::HeadResponse)?;
    let status = answer.map_or(0, |answer| answer.status());
    let mut back = [0; 4];
    if status == 101 {
        reader.get_mut().write_all(b"ping")?;
        reader.read_exact(&mut back)?;
    }
    Ok((status, String::from_utf8_lossy(&back).into_owned()))
}

#[test]
fn a_handshake_is_asked_about_and_then_the_connection_is_the_applications() {
    let mut failures = Vec::new();
    let server = Gatefort::start(CONFIGURATION, "/healthz");
    for kind in gateway::ALL {
        let (port, told) = application();
        let behind = Behind {
            application: port,
            grpc: server.grpc,
            http: server.http,
        };
        let gateway = Running::start(kind, behind, added(kind));
        // What readiness was asked with has been told of before it was answered.
        while told.try_recv().is_ok() {}
        let open = talk(gateway.address, "/open");
        let reached = told.recv_timeout(LIMIT);
        let spoofed = reached.as_ref().is_ok_and(|request| {
            request
                .header("x-auth-user")
                .is_some_and(|user| !user.is_empty())
        });
        if !matches!(&open, Ok((101, back)) if back == "ping") || spoofed {
            failures.push(format!(
                "{kind:?}: {open:?}, {reached:?}\n{}",
                gateway.output()
            ));
        }
        let closed = talk(gateway.address, "/closed");
        if !matches!(closed, Ok((401, _))) || told.try_recv().is_ok() {
            failures.push(format!("{kind:?}: without a token {closed:?}"));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn the_page_shows_what_is_added() {
    let page = include_str!("../../docs/gateways/README.md");
    for kind in gateway::ALL {
        for (before, after) in added(kind) {
            let new = after
                .lines()
                .filter(|line| !before.lines().any(|old| old == *line));
            for line in new.map(str::trim) {
                assert!(page.contains(line), "{kind:?}: {line}");
            }
        }
    }
}
