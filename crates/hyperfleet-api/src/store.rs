//! Storage: one trait, two implementations with one contract suite.
//!
//! A change is one transaction: load the family of a resource under its locks, let the domain decide, apply its writes, commit.
//! [`Sqlite`] serialises changes in its writer; [`Postgres`] locks rows from the root of a family downwards, so that two
//! changes of one family wait for each other and never deadlock.

mod postgres;
mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use hyperfleet_types::{AdapterStatus, Resource};

use crate::{
    domain::{Family, Plan},
    error::{Error, Rejection},
};

pub use postgres::Postgres;
pub use sqlite::Sqlite;

/// Columns of a resource beside its spec.
const COLUMNS: &str = "id, kind, name, href, labels, tenancy, generation, created_time, updated_time, created_by, updated_by, \
                       deleted_time, deleted_by, owner_id, owner_kind, owner_href, conditions";
/// Columns of a status beside the id of its resource.
const STATUS_COLUMNS: &str =
    "adapter, observed_generation, conditions, metadata, data, created_time, last_report_time";

/// Decides what to write, from what was loaded. May be called again with fresh data if another transaction got in the way.
pub type Decide = Arc<dyn Fn(Family) -> Result<Plan, Rejection> + Send + Sync>;

/// What a change needs to know.
#[derive(Debug, Clone)]
pub struct Load {
    /// The resource; for a new child its parent, for a new root nothing.
    pub id: Option<String>,
    /// Who else.
    pub reach: Reach,
    /// Load the specs of all members, not only of the resource itself.
    pub specs: bool,
    /// Resources that the change wants to refer to.
    pub targets: Vec<String>,
}

/// How much of a family is loaded and locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The resource alone.
    Alone,
    /// The resource and its ancestors.
    Up,
    /// Ancestors, descendants, and who refers to them.
    All,
}

/// Which part of which list.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Of this kind only.
    pub kind: Option<String>,
    /// Children of this resource only.
    pub owner: Option<String>,
    /// Resources that refer to a target only: reference type and id.
    pub linked: Option<(String, String)>,
    /// What matches this only.
    pub search: Option<search_language::Expr>,
    /// Sort order; what is left undecided is decided by id, newest first.
    pub order: Vec<Order>,
    /// Rows to skip.
    pub offset: u64,
    /// Most rows to return.
    pub limit: u32,
}

/// One sort key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub column: Column,
    /// Largest first.
    pub descending: bool,
}

macro_rules! columns {
    ($($variant:ident $name:literal),*) => {
        /// A column that lists can be sorted and searched by.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the names say it")]
        pub enum Column { $($variant),* }

        impl Column {
            /// Its name in requests and in the database.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The column of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

columns! {
    Id "id", Name "name", Kind "kind", Href "href", Generation "generation", CreatedBy "created_by", UpdatedBy "updated_by",
    DeletedBy "deleted_by", OwnerId "owner_id", OwnerKind "owner_kind", CreatedTime "created_time", UpdatedTime "updated_time",
    DeletedTime "deleted_time"
}

/// A resource that is not reconciled, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its kind.
    pub kind: String,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// When its `Reconciled` became false.
    pub since: jiff::Timestamp,
}

/// Where resources and statuses are kept.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Changes resources in one transaction; returns what was written, after the commit.
    ///
    /// # Errors
    /// What `decide` refused, a name that is taken, or a failure of the storage. Nothing was changed then, except that after
    /// a lost connection nobody knows.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the change done or not done, never half.
    async fn change(&self, load: Load, decide: Decide) -> Result<Plan, Error>;

    /// One resource.
    ///
    /// # Errors
    /// Failures of the storage.
    async fn get(&self, id: &str) -> Result<Option<Resource>, Error>;

    /// A page of resources, and how many there are in all pages.
    ///
    /// # Errors
    /// Failures of the storage.
    async fn list(&self, query: Query) -> Result<(Vec<Resource>, u64), Error>;

    /// A page of the statuses of a resource (oldest adapter first), and how many there are in all pages.
    ///
    /// # Errors
    /// Failures of the storage.
    async fn statuses(
        &self,
        id: &str,
        offset: u64,
        limit: u32,
    ) -> Result<(Vec<AdapterStatus>, u64), Error>;

    /// All resources whose `Reconciled` is false.
    ///
    /// # Errors
    /// Failures of the storage.
    async fn pending(&self) -> Result<Vec<Pending>, Error>;

    /// Connections in use and in total, where there are any.
    fn usage(&self) -> Option<(usize, usize)> {
        None
    }

    /// Whether the storage answers.
    ///
    /// # Errors
    /// Failures of the storage.
    async fn ping(&self) -> Result<(), Error>;
}

/// The refusal of a name that is taken.
fn name_taken(resource: &Resource) -> Error {
    Rejection::new(
        hyperfleet_types::Code::AlreadyExists,
        format!("This {} already exists", resource.kind),
    )
    .into()
}

/// A stored value that this program did not write.
fn corrupt(what: &str, error: impl std::fmt::Display) -> sql_store::Error {
    sql_store::Error::other(format!("stored {what}: {error}"))
}
