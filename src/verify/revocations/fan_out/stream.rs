//! The stream as Redis has it: its commands, its answers, and what an entry holds.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError,
    TlsCertificates, Value,
};
use secrecy::ExposeSecret;

use super::RedisSettings;
use crate::domain::revocation::{RECORD_SIZE, Record};

/// The stream, on a connection of its own.
pub(super) struct Stream {
    connection: MultiplexedConnection,
    key: Box<str>,
}

/// The place of an entry: Redis's own time in milliseconds, and a number within it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryId {
    milliseconds: u64,
    number: u64,
}

/// An entry.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: EntryId,
    /// What it revokes; nothing if it is none of ours.
    pub(super) records: Option<Vec<Record>>,
}

/// What Redis says about the stream; all nought for one that is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) length: usize,
    /// How many entries it ever had.
    added: u64,
    first: Option<EntryId>,
    last: EntryId,
}

/// Why the stream cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    /// There is no connection at the moment.
    #[error("there is no connection to Redis")]
    NotConnected,
    /// The trust anchors cannot be read.
    #[error("`ca_file` cannot be read: {0}")]
    CaFile(io::Error),
    /// Redis cannot be reached, or says no.
    #[error("{0}")]
    Redis(#[from] RedisError),
    /// Redis answers something else than its documentation says; before version 7 it does.
    #[error("the answer about the stream is not Redis 7's")]
    Answer,
}

/// How many entries one answer brings: half a megabyte of full ones.
pub(super) const READ_ENTRIES: usize = 128;

/// How many records an entry holds at most: 4 KiB, as much as Redis keeps in one of its nodes.
pub(super) const ENTRY_RECORDS: usize = 64;

/// The one field of an entry.
const FIELD: &str = "records";

impl Stream {
    /// How long a connection may take to set up, its TLS and log in included.
    const CONNECT: Duration = Duration::from_secs(1);

    /// Connects. Redis answers within `answer`, or that is an error.
    pub(super) async fn connect(
        settings: &RedisSettings,
        key: &str,
        answer: Duration,
    ) -> Result<Self, StreamError> {
        let server = settings.url.expose_secret().into_connection_info()?;
        // Nothing but what the stream needs: an operator grants each command.
        let login = server.redis_settings().clone().set_skip_set_lib_name();
        let server = server.set_redis_settings(login);
        let client = match &settings.ca_file {
            // Read each time: it may have been renewed.
            Some(path) => {
                let root_cert = tokio::fs::read(path).await.map_err(StreamError::CaFile)?;
                let certificates = TlsCertificates {
                    client_tls: None,
                    root_cert: Some(root_cert),
                };
                Client::build_with_tls(server, certificates)?
            }
            None => Client::open(server)?,
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Self::CONNECT))
            .set_response_timeout(Some(answer));
        Ok(Self {
            connection: client
                .get_multiplexed_async_connection_with_config(&config)
                .await?,
            key: key.into(),
        })
    }

    /// The next entries after one, at most [`READ_ENTRIES`]; waits for the first if told how long.
    pub(super) async fn read(
        &self,
        after: EntryId,
        wait: Option<Duration>,
    ) -> Result<Vec<Entry>, StreamError> {
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(READ_ENTRIES);
        if let Some(wait) = wait {
            let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            command.arg("BLOCK").arg(milliseconds);
        }
        command
            .arg("STREAMS")
            .arg(&*self.key)
            .arg(after.to_string());
        entries(self.ask(&command).await?).ok_or(StreamError::Answer)
    }

    /// Adds records at the end.
    pub(super) async fn add(&self, records: &[Record]) -> Result<(), StreamError> {
        // As much at a time as one answer brings: each has its own time.
        for part in records.chunks(ENTRY_RECORDS * READ_ENTRIES) {
            let mut pipeline = redis::pipe();
            for records in part.chunks(ENTRY_RECORDS) {
                let octets: Vec<u8> = records
                    .iter()
                    .flat_map(|record| record.to_octets())
                    .collect();
                let command = pipeline.cmd("XADD").arg(&*self.key).arg("*");
                command.arg(FIELD).arg(octets).ignore();
            }
            let () = pipeline.query_async(&mut self.connection.clone()).await?;
        }
        Ok(())
    }

    /// What Redis says about the stream.
    pub(super) async fn shape(&self) -> Result<Shape, StreamError> {
        let mut command = redis::cmd("XINFO");
        command.arg("STREAM").arg(&*self.key);
        match self.ask(&command).await {
            Ok(answer) => Shape::of(answer).ok_or(StreamError::Answer),
            // The way that Redis says "no such key".
            Err(StreamError::Redis(error)) if error.detail() == Some("no such key") => {
                Ok(Shape::default())
            }
            Err(error) => Err(error),
        }
    }

    /// Cuts off an entry and all before it.
    pub(super) async fn cut(&self, last: EntryId) -> Result<(), StreamError> {
        let mut command = redis::cmd("XTRIM");
        let least = last.next().to_string();
        command.arg(&*self.key).arg("MINID").arg("=").arg(least);
        self.ask(&command).await.map(drop)
    }

    async fn ask(&self, command: &Cmd) -> Result<Value, StreamError> {
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl EntryId {
    /// The least that comes after it.
    const fn next(self) -> Self {
        match self.number.checked_add(1) {
            Some(number) => Self { number, ..self },
            None => Self {
                milliseconds: self.milliseconds.saturating_add(1),
                number: 0,
            },
        }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.milliseconds, self.number)
    }
}

impl FromStr for EntryId {
    type Err = StreamError;

    fn from_str(text: &str) -> Result<Self, StreamError> {
        let (milliseconds, number) = text.split_once('-').ok_or(StreamError::Answer)?;
        let number_of = |digits: &str| digits.parse().map_err(|_| StreamError::Answer);
        Ok(Self {
            milliseconds: number_of(milliseconds)?,
            number: number_of(number)?,
        })
    }
}

impl Shape {
    /// Whether what was read before up to `position` is still the stream's beginning.
    ///
    /// Not so where it was emptied, or its first entry was cut off: by a replica that wrote it anew,
    /// or by somebody else.
    pub(super) fn continues(&self, before: &Self, position: EntryId) -> bool {
        self.added >= before.added
            && self.last >= position
            && (before.first.is_none() || self.first == before.first)
    }

    /// The stream with one entry more; one that was known already changes nothing.
    pub(super) fn grow(&mut self, entry: EntryId) {
        if entry > self.last {
            self.last = entry;
            self.first.get_or_insert(entry);
            self.added = self.added.saturating_add(1);
            self.length = self.length.saturating_add(1);
        }
    }

    fn of(answer: Value) -> Option<Self> {
        let fields: Vec<(String, Value)> = FromRedisValue::from_redis_value(answer).ok()?;
        let field = |name| {
            fields
                .iter()
                .find(|(field, _)| field == name)
                .map(|(_, value)| value)
        };
        let number = |name| -> Option<u64> { of_value(field(name)?) };
        let id = |text: String| EntryId::from_str(&text).ok();
        let first: Option<(String, Value)> = of_value(field("first-entry")?)?;
        let first = match first {
            Some((text, _fields)) => Some(id(text)?),
            None => None,
        };
        Some(Self {
            length: usize::try_from(number("length")?).ok()?,
            added: number("entries-added")?,
            first,
            last: id(of_value(field("last-generated-id")?)?)?,
        })
    }
}

impl StreamError {
    /// A stable word for it.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NotConnected => "io",
            Self::CaFile(_) => "ca_file",
            Self::Answer => "answer",
            Self::Redis(error) if error.is_timeout() => "timeout",
            Self::Redis(error) if error.is_connection_refusal() => "refused",
            Self::Redis(error) if is_about_rights(error) => "auth",
            Self::Redis(error) if error.is_io_error() => "io",
            Self::Redis(_) => "error",
        }
    }

    /// Whether Redis understood, and does not do it; the connection is good.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Redis(error) if !error.is_io_error() && error.code().is_some())
    }
}

/// Whether Redis does not know us, or does not let us.
fn is_about_rights(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("NOAUTH" | "NOPERM" | "WRONGPASS"))
}

fn of_value<T: FromRedisValue>(value: &Value) -> Option<T> {
    T::from_redis_value_ref(value).ok()
}

/// The entries of an answer to XREAD; `None` if it is none.
fn entries(answer: Value) -> Option<Vec<Entry>> {
    if answer == Value::Nil {
        return Some(Vec::new());
    }
    let mut streams: Vec<(Vec<u8>, Vec<Value>)> = FromRedisValue::from_redis_value(answer).ok()?;
    let (_key, entries) = streams.pop()?;
    entries
        .into_iter()
        .map(|entry| {
            let (id, fields): (String, Vec<Vec<u8>>) =
                FromRedisValue::from_redis_value(entry).ok()?;
            Some(Entry {
                id: EntryId::from_str(&id).ok()?,
                records: records(&fields),
            })
        })
        .collect()
}

/// What an entry revokes: all of it can be read, or it is none of ours.
fn records(fields: &[Vec<u8>]) -> Option<Vec<Record>> {
    let [name, octets] = fields else { return None };
    let (records, []) = octets.as_chunks::<RECORD_SIZE>() else {
        return None;
    };
    if name != FIELD.as_bytes() || records.is_empty() || records.len() > ENTRY_RECORDS {
        return None;
    }
    records.iter().map(Record::from_octets).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::claims::UnixTime;
    use crate::domain::revocation::{Target, TargetKind, Terms};

    fn record(name: &str) -> Record {
        Record {
            target: Target::named(TargetKind::Subject, "i", name),
            terms: Terms::all(UnixTime(5000)),
        }
    }

    #[test]
    fn an_entry_is_whole_or_none_of_ours() {
        let [one, two] = [record("a"), record("b")];
        let both = [one.to_octets(), two.to_octets()].concat();
        let field = || FIELD.as_bytes().to_vec();
        assert_eq!(records(&[field(), both.clone()]), Some(vec![one, two]));
        let mut damaged = both.clone();
        damaged[70] ^= 1;
        for fields in [
            vec![],
            vec![field()],
            vec![field(), Vec::new()],
            vec![field(), both[..100].to_vec()],
            vec![field(), damaged],
            vec![field(), both.repeat(ENTRY_RECORDS / 2 + 1)],
            vec![b"record".to_vec(), both.clone()],
            vec![field(), both.clone(), field(), both.clone()],
        ] {
            assert_eq!(records(&fields), None, "{fields:?}");
        }
    }

    #[test]
    fn ids_are_in_the_order_of_the_stream() {
        let id = |text: &str| EntryId::from_str(text).unwrap();
        assert!(id("9-5") < id("10-0"));
        assert!(id("10-9") < id("10-10"));
        assert_eq!(id("10-9").next(), id("10-10"));
        assert_eq!(id("10-18446744073709551615").next(), id("11-0"));
        assert_eq!(id("1760000000000-3").to_string(), "1760000000000-3");
        for text in ["", "1", "1-", "-1", "a-b", "1-2-3", "-1-1"] {
            assert!(EntryId::from_str(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_was_emptied_or_cut_does_not_continue() {
        let shape = |added, first: Option<u64>, last| Shape {
            length: 0,
            added,
            first: first.map(|milliseconds| EntryId {
                milliseconds,
                number: 0,
            }),
            last: EntryId {
                milliseconds: last,
                number: 0,
            },
        };
        let position = EntryId {
            milliseconds: 20,
            number: 0,
        };
        let before = shape(5, Some(10), 20);
        for (now, continues) in [
            (before, true),
            (shape(9, Some(10), 30), true),
            // Emptied; emptied and begun again; put back to an older state; cut.
            (Shape::default(), false),
            (shape(2, Some(40), 41), false),
            (shape(4, Some(10), 19), false),
            (shape(9, Some(15), 30), false),
            (shape(5, None, 20), false),
        ] {
            assert_eq!(now.continues(&before, position), continues, "{now:?}");
        }
        let mut grown = before;
        grown.grow(position);
        assert_eq!(grown, before);
        let next = position.next();
        grown.grow(next);
        assert!(!before.continues(&grown, position), "{grown:?}");
        let nothing = Shape::default();
        assert!(nothing.continues(&nothing, EntryId::default()));
        assert!(shape(1, Some(10), 10).continues(&nothing, EntryId::default()));
    }
}
