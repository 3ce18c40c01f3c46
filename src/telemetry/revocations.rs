//! What `/metrics` says about the list of revocations, and about following other replicas.

use std::fmt::Error;

use prometheus_client::encoding::DescriptorEncoder;

use super::scrape::{counter, gauge};
use crate::verify::revocations::fan_out::FanOutStatus;
use crate::verify::revocations::{FileState, RevocationStatus};

/// Writes the list's series, and those of the stream where there is one.
pub(super) fn encode(
    status: &RevocationStatus,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), Error> {
    let number = |count| u64::try_from(count).unwrap_or(u64::MAX);
    gauge(
        encoder,
        "gatefort_revocations",
        "Revocations in the list",
        Some(number(status.entries)),
    )?;
    gauge(
        encoder,
        "gatefort_revocations_max",
        "The most revocations that there can be",
        Some(number(status.max_entries)),
    )?;
    counter(
        encoder,
        "gatefort_revocations_evicted",
        "Revocations in force that gave way to others because the list was full",
        status.evicted,
    )?;
    let is_good = match status.file {
        FileState::None => None,
        FileState::Good => Some(1_u64),
        FileState::Failed => Some(0),
    };
    gauge(
        encoder,
        "gatefort_revocations_file_good",
        "1 if the last write of the file of revocations was good, 0 if not; absent without a file",
        is_good,
    )?;
    match &status.fan_out {
        Some(fan_out) => encode_fan_out(fan_out, encoder),
        None => Ok(()),
    }
}

fn encode_fan_out(status: &FanOutStatus, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    for (name, help, value) in [
        (
            "gatefort_revocations_following",
            "1 if every replica's revocations were known at most max_lag ago, 0 if not",
            status.following,
        ),
        (
            "gatefort_revocations_stream_connected",
            "1 while there is a connection to Redis, 0 while not",
            status.connected,
        ),
        (
            "gatefort_revocations_stream_pending",
            "1 while something revoked here may not be in the stream, 0 while not",
            status.pending,
        ),
    ] {
        gauge(encoder, name, help, Some(u64::from(value)))?;
    }
    gauge(
        encoder,
        "gatefort_revocations_lag_seconds",
        "Seconds since every replica's revocations were known; absent while they never were",
        status.lag.map(|lag| lag.as_secs_f64()),
    )?;
    for (name, help, value) in [
        (
            "gatefort_revocations_stream_published",
            "Revocations that this replica added to the stream",
            status.published,
        ),
        (
            "gatefort_revocations_stream_received",
            "Revocations that came from the stream and were news",
            status.received,
        ),
        (
            "gatefort_revocations_stream_skipped",
            "Entries of the stream that are no revocations",
            status.skipped,
        ),
        (
            "gatefort_revocations_stream_reconciled",
            "Times that the stream was read from its start",
            status.reconciled,
        ),
    ] {
        counter(encoder, name, help, value)?;
    }
    Ok(())
}
