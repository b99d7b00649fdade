//! The advisory locks that Go servers take around their writes.

use sql_store::postgres::Client;
use sql_store::postgres::tokio_postgres::Statement;

use super::super::Error;
use crate::model::Operation;

/// Locks of one transaction: pairs of hashes, and which operation each is for.
pub(super) struct Locks {
    keys: Vec<(i32, i32, usize)>,
}

impl Locks {
    /// The locks for operations, in the one order that all servers take them in.
    pub(super) fn of(operations: &[Operation]) -> Self {
        let mut keys: Vec<(i32, i32, usize)> = operations
            .iter()
            .enumerate()
            .map(|(index, operation)| {
                let kind = match operation {
                    Operation::Status(_) => "resource_status",
                    _ => "resources",
                };
                (fnv1a32(operation.id().as_str()), fnv1a32(kind), index)
            })
            .collect();
        keys.sort_unstable();
        Self { keys }
    }

    pub(super) async fn prepare(client: &Client) -> Result<Statement, Error> {
        let sql = "select pg_try_advisory_xact_lock(id, kind) from unnest($1::int[], $2::int[]) as t (id, kind)";
        Ok(client.prepare_cached(sql).await?)
    }

    /// Tries to take all of them until the end of the transaction; tells for each operation whether it worked.
    pub(super) async fn take(
        &self,
        client: &Client,
        statement: &Statement,
    ) -> Result<Vec<bool>, Error> {
        let ids: Vec<i32> = self.keys.iter().map(|key| key.0).collect();
        let kinds: Vec<i32> = self.keys.iter().map(|key| key.1).collect();
        let rows = client.query(statement, &[&ids, &kinds]).await?;
        let mut taken = vec![false; self.keys.len()];
        for (row, (_, _, index)) in rows.iter().zip(&self.keys) {
            if let Some(slot) = taken.get_mut(*index) {
                *slot = row.try_get(0)?;
            }
        }
        Ok(taken)
    }
}

/// The 32-bit FNV-1a hash, as a signed number.
fn fnv1a32(text: &str) -> i32 {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_go_servers() {
        assert_eq!(fnv1a32("resources"), 1_893_056_498);
        assert_eq!(fnv1a32("resource_status"), -1_890_629_248);
        assert_eq!(fnv1a32("events"), 316_203_908);
        assert_eq!(fnv1a32("migrations"), 457_026_696);
    }
}
