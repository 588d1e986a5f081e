//! What a kind of record brings itself: names, references, rules. About thirty lines each.

use std::future::Future;

use chrono::{DateTime, Utc};
use sea_orm::{EntityTrait, FromQueryResult, PrimaryKeyTrait};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value as Json};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::{Scope, Shape};
use crate::{
    access::Verb,
    context::Unit,
    error::{Result, Violation},
};

/// A field that lists owned children, and the shape of their kind.
pub type Children = (&'static str, fn() -> Shape);

/// A kind of record: a sea-orm entity keyed by `(tenant_id, id)`, with a name and rules.
///
/// Every model carries `tenant_id, id, external_id, version, created_at, updated_at, created_by, deleted_at`. The doc
/// comments of its fields are the API description; `#[schema(..)]` attributes are the constraints.
pub trait Record:
    EntityTrait<
        Model: Serialize
                   + DeserializeOwned
                   + PartialSchema
                   + ToSchema
                   + FromQueryResult
                   + PartialEq
                   + Clone
                   + Send
                   + Sync,
        PrimaryKey: PrimaryKeyTrait<ValueType = (Uuid, Uuid)>,
    >
{
    /// Singular `snake_case`; the table has the same name.
    const NAME: &'static str;
    /// Plural kebab-case, as in the path.
    const PLURAL: &'static str;
    const SCOPE: Scope;
    /// Read by admins and managers only, where the scope alone would let everyone read.
    const RESTRICTED: bool = false;
    /// The generic operations it takes part in.
    const VERBS: &'static [Verb] = Verb::ALL;
    /// Every write of it is in the change log, so that its past can be read. Not so where a kind has a writer of its own.
    const LOGGED: bool = true;
    /// What `search` reads: fields of text or JSON. Names with a space between are read as one text, `last_name first_name`.
    const SEARCH: &'static [&'static str] = &[];
    /// Owned children: the field that lists them, and their kind, which is read only and has this one as its
    /// [`PARENT`](Self::PARENT).
    const PARTS: Option<Children> = None;
    /// Of an owned child: the column that holds its parent, and the parent's kind.
    const PARENT: Option<(&'static str, &'static str)> = None;
    /// Fields that tell who a person is or what they said: what an erasure empties. Custom fields and `external_id` always
    /// go along. Without any, records of the kind are not erased.
    const PERSONAL: &'static [&'static str] = &[];
    /// Fields that hold values of the record's subject, by the names of its fields: each is shown to those who may read it
    /// there.
    const QUOTES: &'static [&'static str] = &[];
    /// References to people that the personal fields of a record are about: it is erased with them.
    const ABOUT: &'static [&'static str] = &[];
    /// Field and value without which a live record is not erased: whoever still works here is not.
    const ERASED_ONCE: Option<(&'static str, &'static str)> = None;
    /// A write may change what users may do, or the tenant's kinds: whatever is remembered of them is forgotten.
    const AFFECTS_ACCESS: bool = false;
    /// It says what records of other kinds may be: while one is written, nothing else of the tenant is.
    const DEFINES: bool = false;
    /// Column -> kind it refers to, beside `owner_id` and `created_by` (users).
    const REFERENCES: &'static [(&'static str, &'static str)] = &[];
    /// Sets of fields whose values no two live records share, beside `external_id`.
    const UNIQUE: &'static [&'static [&'static str]] = &[];
    /// Server-set fields that an import with the right `import:history` may bring, beside `created_at` and
    /// `created_by`.
    const HISTORY: &'static [&'static str] = &[];
    /// Values of fields a create may leave out although they are not nullable, as JSON text.
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[];

    /// A body that creates a valid record. Ids of other records in it are samples, and required references may be left
    /// out: whoever uses it puts ids of records that exist.
    fn example() -> Json;

    /// Completes the candidate from itself, what was there before and what the caller gave: stamps, derived values. Sees
    /// no other row.
    fn prepare(_unit: &Unit<'_>, _before: Option<&Self::Model>, _given: &Map<String, Json>, _after: &mut Self::Model) {}

    /// Rules over the whole record as it would be stored.
    fn check(_after: &Self::Model) -> Vec<Violation> {
        Vec::new()
    }

    /// Rules that look at other rows, for the whole slice at once: the index of each broken candidate with what is
    /// wrong. May complete candidates from other rows (an order's currency, a stage's outcome). Deletes are in the slice
    /// too: their candidate has `deleted_at`.
    fn check_rows(
        _unit: &Unit<'_>,
        _slice: &mut [(Option<Self::Model>, Self::Model)],
    ) -> impl Future<Output = Result<Vec<(usize, Violation)>>> + Send {
        async { Ok(Vec::new()) }
    }

    /// What follows from the writes, in the same transaction: intervals, derived columns of other records.
    fn effects(_unit: &Unit<'_>, _saved: &[Saved<Self::Model>]) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

/// One committed-to-be change of one record.
#[derive(Clone, Debug)]
pub struct Saved<M> {
    pub before: Option<M>,
    pub after: M,
    pub since: Since,
}

/// When imported facts began; `None`: at the write, or since ever for a first interval of imported history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Since {
    pub owner: Option<DateTime<Utc>>,
    pub stage: Option<DateTime<Utc>>,
    pub grade: Option<DateTime<Utc>>,
}
