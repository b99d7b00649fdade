//! JSON as text on its way in and out: no tree is built of it.

use std::error::Error as StdError;

use bytes::{BufMut as _, BytesMut};
use jiff::Timestamp;
use search_language::Param;
use sql_store::postgres::tokio_postgres::types::{
    FromSql, IsNull, ToSql, Type, accepts, to_sql_checked,
};

type Failed = Box<dyn StdError + Sync + Send>;

/// `jsonb` as its text.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

/// The version byte in front of binary `jsonb`.
const JSONB_VERSION: u8 = 1;

impl<T: AsRef<str> + std::fmt::Debug> ToSql for Json<T> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        if *ty == Type::JSONB {
            out.put_u8(JSONB_VERSION);
        }
        out.extend_from_slice(self.0.as_ref().as_bytes());
        Ok(IsNull::No)
    }

    accepts!(JSON, JSONB);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Json<String> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Failed> {
        let text = match raw.split_first() {
            Some((&JSONB_VERSION, text)) if *ty == Type::JSONB => text,
            _ if *ty == Type::JSON => raw,
            _ => return Err("unknown version of jsonb".into()),
        };
        Ok(Self(std::str::from_utf8(text)?.to_owned()))
    }

    accepts!(JSON, JSONB);
}

/// A parameter of a search.
pub(super) fn boxed(param: Param) -> Box<dyn ToSql + Sync + Send> {
    match param {
        Param::Text(text) => Box::new(text),
        Param::Integer(number) => Box::new(number),
        Param::Number(number) => Box::new(number),
        Param::Time(time) => Box::new(time),
    }
}

/// Parameters as the driver wants them.
pub(super) fn references(params: &[Box<dyn ToSql + Sync + Send>]) -> Vec<&(dyn ToSql + Sync)> {
    params
        .iter()
        .map(|param| &**param as &(dyn ToSql + Sync))
        .collect()
}

/// Times of rows that a Go server wrote may be missing; the epoch stands for them.
pub(super) fn or_epoch(time: Option<Timestamp>) -> Timestamp {
    time.unwrap_or(Timestamp::UNIX_EPOCH)
}
