//! The database behind everything: SQLite in one file, or PostgreSQL.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    QueryResult, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    idempotency::Keys,
};

/// Older SQLite releases can corrupt a database in WAL mode.
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// KiB: every write touches a dozen indexes, whose upper pages should stay.
const WRITER_CACHE: u32 = 16 << 10;
/// SQLite's own default.
const READER_CACHE: u32 = 2 << 10;
/// What puts a transaction of PostgreSQL behind the fence, as the tenant whose id is `$1`, a text.
const BEHIND: &str = "set_config('role', 'ripen_app', true), set_config('app.tenant_id', $1, true)";

/// Connections for reading and for writing. SQLite has one writer and a pool of readers; PostgreSQL one pool for both.
#[derive(Clone, Debug)]
pub struct Store {
    pub read: DatabaseConnection,
    pub write: DatabaseConnection,
    pub backend: DbBackend,
    pub fence: Fence,
    /// Keys of callers that this process is at work on.
    pub(crate) under_way: Keys,
}

/// What runs behind PostgreSQL's own fence between tenants (row-level security), beside the product's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fence {
    /// Nothing. SQLite has no other.
    Off,
    /// Every unit of work: what it reads and writes is of its tenant, or is refused. Costs a short statement a unit.
    Writes,
    /// Reads outside of units too, each statement in a transaction of its own. A text index does not serve them.
    Reads,
}

/// Where a call reads.
pub enum Reader<'a> {
    /// What is committed, of one tenant.
    Stored { store: &'a Store, tenant: Uuid },
    /// What the call itself has written, committed or not.
    Written(Arc<DatabaseTransaction>),
}

impl Reader<'_> {
    fn writes() -> DbErr {
        DbErr::Custom("a reader does not write".to_owned())
    }
}

#[async_trait]
impl ConnectionTrait for Reader<'_> {
    fn get_database_backend(&self) -> DbBackend {
        match self {
            Self::Stored { store, .. } => store.backend,
            Self::Written(txn) => txn.get_database_backend(),
        }
    }

    async fn execute_raw(&self, _: Statement) -> Result<ExecResult, DbErr> {
        Err(Self::writes())
    }

    async fn execute_unprepared(&self, _: &str) -> Result<ExecResult, DbErr> {
        Err(Self::writes())
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match self {
            Self::Written(txn) => txn.query_one_raw(statement).await,
            Self::Stored { store, .. } if store.fence < Fence::Reads => store.read.query_one_raw(statement).await,
            Self::Stored { store, tenant } => {
                let txn = store.begin_for(*tenant).await?;
                let row = txn.query_one_raw(statement).await?;
                txn.rollback().await?;
                Ok(row)
            }
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match self {
            Self::Written(txn) => txn.query_all_raw(statement).await,
            Self::Stored { store, .. } if store.fence < Fence::Reads => store.read.query_all_raw(statement).await,
            Self::Stored { store, tenant } => {
                let txn = store.begin_for(*tenant).await?;
                let rows = txn.query_all_raw(statement).await?;
                txn.rollback().await?;
                Ok(rows)
            }
        }
    }
}

impl Store {
    /// Opens `sqlite://path` (created when missing) or `postgres://…`.
    ///
    /// # Errors
    /// The database does not answer, or SQLite is older than 3.51.3.
    pub async fn open(url: &str, connections: u32) -> Result<Self> {
        if url.starts_with("sqlite:") {
            let url = if url.contains('?') { url.to_owned() } else { format!("{url}?mode=rwc") };
            let write = Database::connect(options(&url, 1, WRITER_CACHE)).await?;
            oldest_sqlite(&write).await?;
            let read = Database::connect(options(&url, connections.max(2), READER_CACHE)).await?;
            Ok(Self { read, write, backend: DbBackend::Sqlite, fence: Fence::Off, under_way: Keys::default() })
        } else {
            let pool = Database::connect(options(url, connections, 0)).await?;
            Ok(Self {
                read: pool.clone(),
                write: pool,
                backend: DbBackend::Postgres,
                fence: Fence::Off,
                under_way: Keys::default(),
            })
        }
    }

    /// A transaction that may write: on SQLite it waits its turn at once, not at its first write.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.write.begin_with_options(options).await
    }

    /// The same for a unit of work, and the number of the tenant's definitions when its turn has come: on PostgreSQL units are
    /// under way beside each other, and one that is to be `alone` waits for those, as they do for it. `None` where the database
    /// need not be asked (SQLite has one writer), or has no such tenant yet. PostgreSQL is told everything in one statement.
    ///
    /// # Errors
    /// The database does not answer.
    pub(crate) async fn begin_unit(
        &self,
        tenant: Uuid,
        alone: bool,
    ) -> Result<(DatabaseTransaction, Option<i64>), DbErr> {
        let txn = self.begin().await?;
        if self.backend == DbBackend::Sqlite {
            return Ok((txn, None));
        }
        let sql = if self.fence > Fence::Off {
            format!("select ripen_begin($1::uuid, $2), {BEHIND}")
        } else {
            "select ripen_begin($1::uuid, $2)".to_owned()
        };
        let values = [tenant.to_string().into(), alone.into()];
        let row = txn.query_one_raw(Statement::from_sql_and_values(self.backend, sql, values)).await?;
        let definitions = row.map(|row| row.try_get_by_index(0)).transpose()?.flatten();
        Ok((txn, definitions))
    }

    /// Waits until the transaction's unit is the tenant's only one.
    ///
    /// # Errors
    /// The database, which ends one of two that wait for each other.
    pub(crate) async fn wait_alone(&self, txn: &DatabaseTransaction, tenant: Uuid) -> Result<(), DbErr> {
        if self.backend == DbBackend::Postgres {
            let sql = "select ripen_begin($1, true)";
            txn.query_one_raw(Statement::from_sql_and_values(self.backend, sql, [tenant.into()])).await?;
        }
        Ok(())
    }

    /// A transaction of one tenant. Behind the fence the database refuses every other tenant's rows until it ends.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn begin_for(&self, tenant: Uuid) -> Result<DatabaseTransaction, DbErr> {
        let txn = self.begin().await?;
        if self.fence > Fence::Off {
            let sql = format!("select {BEHIND}");
            txn.query_one_raw(Statement::from_sql_and_values(self.backend, sql, [tenant.to_string().into()])).await?;
        }
        Ok(txn)
    }

    /// Tells PostgreSQL's planner about tables that have just been filled: until autovacuum comes by it takes them for
    /// empty, and joins them row by row. SQLite plans by its indexes and needs no telling.
    ///
    /// # Errors
    /// The database.
    pub async fn analyze(&self, tables: &[&str]) -> Result<()> {
        if self.backend == DbBackend::Postgres {
            let tables: Vec<_> = tables.iter().map(|table| format!("\"{table}\"")).collect();
            self.write.execute_unprepared(&format!("analyze {}", tables.join(", "))).await?;
        }
        Ok(())
    }

    pub async fn close(self) -> Result<()> {
        if self.backend == DbBackend::Sqlite {
            self.read.close().await?;
        }
        Ok(self.write.close().await?)
    }
}

/// `cache`: KiB of pages that a connection to SQLite keeps.
fn options(url: &str, connections: u32, cache: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url.to_owned());
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(30))
        .test_before_acquire(false) // costs a third of a GET; a broken connection is dropped on its first error
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |sqlite| {
            sqlite
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(Duration::from_secs(30))
                .pragma("temp_store", "memory")
                .pragma("cache_size", format!("-{cache}"))
                .pragma("wal_autocheckpoint", "4000") // pages: 16 MiB
        })
        // Said once a connection, not once a transaction, whatever the installation's defaults are.
        .map_sqlx_postgres_opts(|postgres| {
            postgres.options([
                ("default_transaction_isolation", "read committed"),
                ("default_transaction_read_only", "off"),
            ])
        });
    options
}

async fn oldest_sqlite(db: &DatabaseConnection) -> Result<()> {
    let version = sqlite_version(db).await?;
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if found < OLDEST_SQLITE {
        return Err(Error::internal("SQLite must be 3.51.3 or newer", format!("this is SQLite {version}")));
    }
    Ok(())
}

/// The version of the SQLite library in use, `3.51.3`.
pub async fn sqlite_version(db: &DatabaseConnection) -> Result<String> {
    let row = db.query_one_raw(Statement::from_string(DbBackend::Sqlite, "select sqlite_version()")).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default())
}
