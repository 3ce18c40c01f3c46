//! The doors' connections as a gateway sees them; what is the same for every listener is in the tests of the driver.

use std::time::Duration;

use super::super::tests::{LONG, Peer, SHORT, connect, limits};
use super::super::{Ended, Protocol};
use super::*;
use crate::gateway::Service;
use crate::gateway::testing::live;

/// No door: 404, and the shortest of the doors' answers.
const NOWHERE: &str = "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n";

/// Denied, since no rule is there: an answer with a body.
const DENIED: &str = "GET /auth-request HTTP/1.1\r\nHost: a.example.com\r\nX-Original-Method: GET\r\n\
                      X-Original-URI: /\r\nX-Request-ID: r\r\n\r\n";

fn doors(limits: ConnectionLimits) -> Peer {
    connect(Protocol::Http, limits, Service::http(live()))
}

/// An answer without its date.
fn undated(answer: &str) -> String {
    let lines = answer.split_inclusive("\r\n");
    lines.filter(|line| !line.starts_with("date: ")).collect()
}

#[tokio::test]
async fn a_connection_is_kept_through_requests_in_pieces_and_together() {
    let mut peer = doors(limits());
    let mut answers = Vec::new();
    for pieces in [
        &[DENIED][..],
        &[&DENIED[..9], &DENIED[9..90], &DENIED[90..]],
    ] {
        for piece in pieces {
            peer.send(piece.as_bytes()).await;
            tokio::task::yield_now().await;
        }
        answers.push(undated(&peer.read_until("}").await));
    }
    peer.send(&[DENIED, DENIED, NOWHERE].concat().into_bytes())
        .await;
    let together = undated(
        &peer
            .read_until("404 Not Found\r\ncache-control: no-store\r\ncontent-length: 0")
            .await,
    );
    let expected = "HTTP/1.1 403 Forbidden\r\ncache-control: no-store\r\ncontent-type: application/problem+json\r\n\
                    content-length: 112\r\n\r\n{\"title\":\"Forbidden\",\"status\":403,\"detail\":\"This request is not \
                    permitted.\",\"code\":\"forbidden\",\"request_id\":\"r\"}";
    assert_eq!(answers, [expected; 2]);
    assert!(together.starts_with(&expected.repeat(2)), "{together}");
    drop(peer.io);
    assert_eq!(peer.ended.await.unwrap(), Ended::Closed);
}

#[tokio::test]
async fn hyper_answers_the_same_and_takes_over_for_good() {
    let plain = DENIED.to_owned();
    let with_body = DENIED
        .replace("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nhi")
        .replacen("GET", "POST", 1);
    let mut peer = doors(limits());
    let mut answers = Vec::new();
    for request in [&plain, &with_body, &plain] {
        peer.send(request.as_bytes()).await;
        answers.push(undated(&peer.read_until("}").await));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}

#[tokio::test]
async fn what_is_malformed_or_too_long_is_hypers_to_refuse() {
    let long = format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(9000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
    for (request, status) in [
        ("GET / HTTP/1.1\r\nno field\r\n\r\n", "400"),
        ("nonsense\r\n\r\n", "400"),
        (&long, "431"),
        (&many, "431"),
    ] {
        let limits = ConnectionLimits {
            max_header_bytes: 8192,
            ..limits()
        };
        let mut peer = doors(limits);
        peer.send(request.as_bytes()).await;
        let answer = peer.rest().await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
}

/// More pieces than are looked at: hyper reads on.
#[tokio::test]
async fn a_head_in_many_pieces_is_answered() {
    let mut peer = doors(limits());
    for octet in DENIED.as_bytes() {
        peer.send(&[*octet]).await;
        tokio::task::yield_now().await;
    }
    let answer = peer.read_until("}").await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[tokio::test]
async fn an_answer_to_head_has_no_body_and_the_next_is_read_as_it_is() {
    let mut peer = doors(limits());
    let head = DENIED.replacen("GET", "HEAD", 1);
    peer.send([&head, NOWHERE].concat().as_bytes()).await;
    let answers = peer.read_until("404 Not Found").await;
    assert!(answers.contains("content-length: 112\r\n"), "{answers}");
    assert!(!answers.contains('{'), "{answers}");
}

#[tokio::test]
async fn whoever_wants_the_connection_closed_has_it_closed() {
    let mut peer = doors(limits());
    let last = NOWHERE.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    peer.send(last.as_bytes()).await;
    let answer = peer.rest().await;
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert_eq!(peer.ended.await.unwrap(), Ended::Closed);
}

#[tokio::test]
async fn heads_that_do_not_end_are_timed_out() {
    for before in ["", NOWHERE] {
        for begun in ["", "G", "GET / HTTP/1.1\r\nHost: a\r\n"] {
            if !before.is_empty() && begun.is_empty() {
                // That one rests.
                continue;
            }
            let limits = ConnectionLimits {
                header_read_timeout: SHORT,
                ..limits()
            };
            let mut peer = doors(limits);
            peer.send(before.as_bytes()).await;
            if !before.is_empty() {
                peer.read_until("404").await;
            }
            peer.send(begun.as_bytes()).await;
            peer.rest().await;
            assert_eq!(peer.ended.await.unwrap(), Ended::TimedOut, "{begun:?}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_rests_is_closed_by_its_age_its_rest_and_the_drain() {
    let short = ConnectionLimits {
        header_read_timeout: SHORT,
        idle_timeout: 6 * SHORT,
        ..limits()
    };
    let mut peer = doors(short);
    peer.send(NOWHERE.as_bytes()).await;
    peer.read_until("\r\n\r\n").await;
    let rested = tokio::time::Instant::now();
    assert_eq!(peer.rest().await, "");
    assert!(rested.elapsed() >= 5 * SHORT, "{:?}", rested.elapsed());
    assert_eq!(peer.ended.await.unwrap(), Ended::Closed);

    let mut peer = doors(limits());
    peer.send(NOWHERE.as_bytes()).await;
    peer.read_until("\r\n\r\n").await;
    peer.drain.cancel();
    assert_eq!(peer.rest().await, "");
    assert_eq!(peer.ended.await.unwrap(), Ended::Closed);

    let old = ConnectionLimits {
        max_age: Duration::ZERO,
        ..limits()
    };
    let mut peer = doors(old);
    peer.send(NOWHERE.as_bytes()).await;
    let answer = peer.rest().await;
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert_eq!(peer.ended.await.unwrap(), Ended::Closed);
}

/// The request whose head is on its way when the connection has to end is answered, whoever answers it.
#[tokio::test]
async fn a_head_that_was_begun_before_the_drain_is_the_last() {
    let with_body = NOWHERE.replace("\r\n\r\n", "\r\nContent-Length: 0, 0\r\n\r\n");
    for second in [NOWHERE, &with_body] {
        let mut peer = doors(limits());
        peer.send(NOWHERE.as_bytes()).await;
        peer.read_until("\r\n\r\n").await;
        peer.send(&second.as_bytes()[..9]).await;
        tokio::task::yield_now().await;
        peer.drain.cancel();
        tokio::task::yield_now().await;
        peer.send(&second.as_bytes()[9..]).await;
        let answer = tokio::time::timeout(LONG, peer.rest()).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        assert_eq!(peer.ended.await.unwrap(), Ended::Closed);
    }
}

/// HTTP/2 with prior knowledge begins like a request of HTTP/1.
#[tokio::test]
async fn http_2_is_hypers() {
    let peer = doors(limits());
    let io = hyper_util::rt::TokioIo::new(peer.io);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .unwrap();
    let _connection = tokio::spawn(connection);
    let request = http::Request::get("http://a/nowhere")
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 404);
}
