//! One effect and one answer for one `Idempotency-Key`, however often the request comes.
//!
//! A request with a key does not commit where its work ends, but where its answer is known: [`Unit::commit`] hands the
//! open transaction to the [`Attempt`], and [`Done::answered`] stores the answer in it and commits both. So no handler
//! can forget it, and no crash leaves a write without its answer. A unit that begins with a key finds the answer that
//! was given before, and fails with [`Error::Replayed`]; what failed leaves nothing behind and may be tried again.
//!
//! Answers are kept for 24 hours, sealed with a key derived from the caller's own, of which only a hash is stored: the
//! table alone gives away neither personal data nor secrets. Each new answer removes up to a hundred old ones of its
//! tenant, and each start of the server all of them; an erasure empties all that are kept in its tenant: being sealed, none can
//! be asked whom it names, and not only those to requests that wrote name somebody.

use std::{
    collections::HashSet,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chacha20poly1305::{ChaCha20Poly1305, KeyInit, aead::Aead};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, Statement,
    sea_query::{Alias, Expr, ExprTrait, OnConflict, Query},
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    context::{Context, Unit, World},
    error::{Code, Error, Result},
};

/// How long an answer is kept.
pub const KEPT: TimeDelta = TimeDelta::hours(24);
/// Characters of a key.
pub const LONGEST: usize = 255;
/// Seconds after which a request under way is worth asking for again.
const RETRY_AFTER: u64 = 1;
/// For the lock of a key that another process may hold.
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_millis(20);
const NONCE: usize = 12;

/// What a request was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Those that belong to the answer itself: its type, place and version.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// One request that came with a key.
pub struct Attempt {
    key: String,
    /// Of method, path and body, as far as they were read.
    request: Mutex<Sha256>,
    state: Mutex<State>,
}

enum State {
    Open,
    /// Everything is written and waits for the answer.
    Done(Done),
    /// The answer was given: what the request still sets going commits by itself.
    Over,
}

/// A finished unit whose answer is not known yet.
pub struct Done {
    txn: Arc<DatabaseTransaction>,
    access_changed: bool,
    turn: Option<Box<Turn>>,
}

/// The name of a key: whose it is, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Name([u8; 32]);

/// What tells one key of one caller in the tables, and what opens its answer.
pub(crate) struct Turn {
    tenant: Uuid,
    principal: Uuid,
    name: Name,
    cipher: [u8; 32],
    request: String,
    now: DateTime<Utc>,
    _under_way: UnderWay,
}

impl Attempt {
    /// An attempt with this key at a request of this method and path.
    ///
    /// # Errors
    /// `Malformed`: a key has 1 to 255 visible ASCII characters.
    pub fn new(key: &str, method: &str, path: &str) -> Result<Self> {
        if !(1..=LONGEST).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let detail = format!("must have 1 to {LONGEST} visible ASCII characters");
            return Err(Error::malformed("Idempotency-Key", Code::InvalidParameter, detail));
        }
        let request = parts(&[method.as_bytes(), path.as_bytes()]);
        Ok(Self { key: key.to_owned(), request: Mutex::new(request), state: Mutex::new(State::Open) })
    }

    /// The next bytes of the request's body.
    pub fn read(&self, bytes: &[u8]) {
        locked(&self.request).update(bytes);
    }

    /// What is written and waits for its answer; `None` where the request has written nothing.
    pub fn finish(&self) -> Option<Done> {
        match std::mem::replace(&mut *locked(&self.state), State::Over) {
            State::Done(done) => Some(done),
            State::Open | State::Over => None,
        }
    }

    /// Keeps what is done until the answer is known; gives it back where that has been.
    pub(crate) fn keep(&self, done: Done) -> Option<Done> {
        let mut state = locked(&self.state);
        if matches!(*state, State::Over) {
            return Some(done);
        }
        *state = State::Done(done);
        None
    }

    /// Takes the turn of the key in a transaction. A request of several units is answered with the last: those before
    /// are committed as they are.
    pub(crate) async fn begin<'a>(&self, cx: &'a Context, alone: bool) -> Result<Unit<'a>> {
        match self.take() {
            State::Over => return cx.begin_now(alone).await,
            State::Done(earlier) => earlier.commit(&cx.world).await?,
            State::Open => {}
        }
        let turn = self.turn(cx)?;
        let unit = cx.begin_now(alone).await?;
        let found = match turn.take(&unit.txn, cx.backend()).await {
            Ok(()) => turn.find(&unit.txn).await,
            Err(refused) => Err(refused),
        };
        let why = match found {
            Ok(None) => return Ok(unit.in_turn(turn)),
            Ok(Some(answer)) => Error::Replayed(answer),
            Err(error) => error,
        };
        unit.undo().await?;
        Err(why)
    }

    /// What is there, leaving nothing that waits.
    fn take(&self) -> State {
        let mut state = locked(&self.state);
        let left = if matches!(*state, State::Over) { State::Over } else { State::Open };
        std::mem::replace(&mut *state, left)
    }

    fn turn(&self, cx: &Context) -> Result<Box<Turn>> {
        let (tenant, principal) = (cx.tenant.id, cx.actor.user.unwrap_or_default());
        let owned = |purpose: &str| -> [u8; 32] {
            let owner = [purpose.as_bytes(), tenant.as_bytes(), principal.as_bytes(), self.key.as_bytes()];
            parts(&owner).finalize().into()
        };
        let name = Name(owned("name"));
        let under_way = cx.store().under_way.enter(name).ok_or_else(in_flight)?;
        Ok(Box::new(Turn {
            tenant,
            principal,
            name,
            cipher: owned("answer"),
            request: hex(&locked(&self.request).clone().finalize()),
            now: cx.now(),
            _under_way: under_way,
        }))
    }

    /// The transaction of what waits.
    pub(crate) fn held(&self) -> Option<Arc<DatabaseTransaction>> {
        match &*locked(&self.state) {
            State::Done(done) => Some(done.txn.clone()),
            State::Open | State::Over => None,
        }
    }
}

fn in_flight() -> Error {
    let detail = "a request with this Idempotency-Key is under way; ask again for its answer".to_owned();
    Error::Limit { code: Code::RequestInFlight, detail, retry_after: Some(RETRY_AFTER) }
}

impl Turn {
    /// PostgreSQL: one transaction at a time, whichever process it is of. The lock of a unit that this process has dropped
    /// goes with its rollback, which the pool does a moment later: that is waited for. SQLite has one process, which has
    /// seen to it.
    async fn take(&self, txn: &DatabaseTransaction, backend: DbBackend) -> Result<()> {
        if backend != DbBackend::Postgres {
            return Ok(());
        }
        let mut first = [0; 8];
        first.iter_mut().zip(self.name.0).for_each(|(to, from)| *to = from);
        let sql = "select pg_try_advisory_xact_lock($1) as taken";
        let lock = Statement::from_sql_and_values(backend, sql, [i64::from_be_bytes(first).into()]);
        for _ in 0..TRIES {
            let row = txn.query_one_raw(lock.clone()).await?;
            if row.map(|row| row.try_get("", "taken")).transpose()?.unwrap_or(false) {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(in_flight())
    }

    /// The answer given before.
    async fn find(&self, txn: &DatabaseTransaction) -> Result<Option<Answer>> {
        let select = Query::select()
            .columns(["request", "answer"].map(Alias::new))
            .from(table())
            .and_where(col("tenant_id").eq(self.tenant))
            .and_where(col("principal_id").eq(self.principal))
            .and_where(col("name").eq(hex(&self.name.0)))
            .and_where(col("at").gt(self.now - KEPT))
            .take();
        let Some(row) = txn.query_one(&select).await? else { return Ok(None) };
        let (request, sealed): (String, Vec<u8>) = (row.try_get("", "request")?, row.try_get("", "answer")?);
        if request != self.request {
            let detail = "the Idempotency-Key was used for another request; a new request needs a new key";
            return Err(Error::conflict(Code::IdempotencyKeyReused, detail));
        }
        if sealed.is_empty() {
            let detail = "the request was carried out; its answer was erased with all that were kept when a person was, and it is not done again";
            return Err(Error::conflict(Code::AnswerErased, detail));
        }
        self.open(&sealed).map(Some)
    }

    async fn store(&self, txn: &DatabaseTransaction, answer: &Answer) -> Result<()> {
        forget(txn, self.tenant, self.now).await?;
        let columns = ["tenant_id", "principal_id", "name", "request", "answer", "at"];
        let mut insert = Query::insert();
        insert
            .into_table(table())
            .columns(columns.map(Alias::new))
            .values_panic([
                Expr::val(self.tenant),
                Expr::val(self.principal),
                Expr::val(hex(&self.name.0)),
                Expr::val(self.request.as_str()),
                Expr::val(self.seal(answer)?),
                Expr::val(self.now),
            ])
            .on_conflict(
                OnConflict::columns(["tenant_id", "principal_id", "name"].map(Alias::new))
                    .update_columns(["request", "answer", "at"].map(Alias::new))
                    .to_owned(),
            );
        txn.execute(&insert).await?;
        Ok(())
    }

    /// Status and headers on a line of JSON, then the body, under a nonce derived from all of it.
    fn seal(&self, answer: &Answer) -> Result<Vec<u8>> {
        let head = serde_json::to_vec(&(answer.status, &answer.headers));
        let mut plain = head.map_err(|source| Error::internal("the head of an answer is JSON", source))?;
        plain.push(b'\n');
        plain.extend_from_slice(&answer.body);
        let mut nonce = [0; NONCE];
        let hash = parts(&[&self.cipher, &plain]).finalize();
        nonce.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        let sealed = ChaCha20Poly1305::new(&self.cipher.into()).encrypt(&nonce.into(), plain.as_slice());
        let sealed = sealed.map_err(|_| Error::internal("an answer can be sealed", "the cipher refuses"))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    fn open(&self, sealed: &[u8]) -> Result<Answer> {
        let answer = || {
            let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
            let plain = ChaCha20Poly1305::new(&self.cipher.into()).decrypt(&(*nonce).into(), sealed).ok()?;
            let end = plain.iter().position(|byte| *byte == b'\n')?;
            let (head, body) = plain.split_at_checked(end)?;
            let (status, headers) = serde_json::from_slice(head).ok()?;
            Some(Answer { status, headers, body: body.get(1..)?.to_vec() })
        };
        answer().ok_or_else(|| Error::internal("a stored answer can be opened", "it was changed"))
    }
}

impl Done {
    pub(crate) fn new(txn: DatabaseTransaction, access_changed: bool, turn: Option<Box<Turn>>) -> Self {
        Self { txn: Arc::new(txn), access_changed, turn }
    }

    /// Stores the answer with what was written, and makes both so.
    ///
    /// # Errors
    /// The database: nothing is written then.
    pub async fn answered(self, world: &World, answer: &Answer) -> Result<()> {
        if let Some(turn) = &self.turn {
            turn.store(&self.txn, answer).await?;
        }
        self.commit(world).await
    }

    pub(crate) async fn commit(self, world: &World) -> Result<()> {
        let lost = || Error::internal("nobody reads in a transaction that ends", "it is still in use");
        Arc::into_inner(self.txn).ok_or_else(lost)?.commit().await?;
        if self.access_changed {
            world.gate.changed();
        }
        world.committed.notify_waiters();
        Ok(())
    }
}

/// Removes up to a hundred old answers of a tenant. PostgreSQL passes over those that others are removing.
async fn forget(txn: &DatabaseTransaction, tenant: Uuid, now: DateTime<Utc>) -> Result<()> {
    let backend = txn.get_database_backend();
    let skip = if backend == DbBackend::Postgres { "for update skip locked" } else { "" };
    let sql = format!(
        "delete from idempotency_key where tenant_id = $1 and (principal_id, name) in (select principal_id, name \
         from idempotency_key where tenant_id = $1 and at <= $2 order by at limit 100 {skip})"
    );
    txn.execute_raw(Statement::from_sql_and_values(backend, sql, [tenant.into(), (now - KEPT).into()])).await?;
    Ok(())
}

/// Empties the tenant's answers. Their requests stay known, so that none is done twice.
///
/// # Errors
/// The database.
pub(crate) async fn erase(unit: &Unit<'_>) -> Result<()> {
    let update = Query::update()
        .table(table())
        .value(Alias::new("answer"), Vec::<u8>::new())
        .and_where(col("tenant_id").eq(unit.cx.tenant.id))
        .take();
    unit.txn.execute(&update).await?;
    Ok(())
}

/// Removes every old answer, also of tenants that have sent no key since; on PostgreSQL but for those that an erasure holds.
pub(crate) async fn sweep(world: &World) -> Result<()> {
    let old = world.clock.now() - KEPT;
    let backend = world.store.backend;
    let skip = if backend == DbBackend::Postgres { "for update skip locked" } else { "" };
    let sql = format!(
        "delete from idempotency_key where (tenant_id, principal_id, name) in \
         (select tenant_id, principal_id, name from idempotency_key where at <= $1 {skip})"
    );
    world.store.write.execute_raw(Statement::from_sql_and_values(backend, sql, [old.into()])).await?;
    Ok(())
}

fn table() -> Alias {
    Alias::new("idempotency_key")
}

fn col(name: &str) -> Expr {
    Expr::col(Alias::new(name))
}

/// Parts with their lengths, so that no two lists of parts look alike.
fn parts(parts: &[&[u8]]) -> Sha256 {
    parts
        .iter()
        .fold(Sha256::new(), |hash, part| hash.chain_update((part.len() as u64).to_be_bytes()).chain_update(part))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The keys of this process's requests under way.
#[derive(Clone, Debug, Default)]
pub struct Keys(Arc<Mutex<HashSet<Name>>>);

/// A key's place among those under way, as long as it lives.
struct UnderWay(Keys, Name);

impl Keys {
    fn enter(&self, name: Name) -> Option<UnderWay> {
        locked(&self.0).insert(name).then(|| UnderWay(self.clone(), name))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        locked(&self.0.0).remove(&self.1);
    }
}
