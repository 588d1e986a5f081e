//! Typed inside, erased at the edge: HTTP, imports and runs see only this.

use std::{collections::HashMap, fmt, marker::PhantomData, sync::Arc};

use async_trait::async_trait;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::{Record, Shape, Since, custom::CustomFields, read::Found};
use crate::{
    context::Unit,
    error::{Error, Result},
};

/// One wish in a slice of writes to one kind.
#[derive(Clone, Debug)]
pub enum Operation {
    Create {
        data: Map<String, Json>,
        since: Since,
    },
    /// RFC 7396 merge patch. `version`: refuse as stale unless the record is at it.
    Update {
        id: Uuid,
        version: Option<i64>,
        data: Map<String, Json>,
        since: Since,
    },
    Delete {
        id: Uuid,
        version: Option<i64>,
    },
    /// Undoes a delete, as far as the present allows.
    Restore {
        id: Uuid,
        version: Option<i64>,
    },
}

impl Operation {
    /// The id that a create brings.
    pub(super) fn brought(&self) -> Option<Uuid> {
        match self {
            Self::Create { data, .. } => data.get("id")?.as_str()?.parse().ok(),
            _ => None,
        }
    }

    /// The record it changes; `None` for a create.
    pub fn of(&self) -> Option<Uuid> {
        match self {
            Self::Create { .. } => None,
            Self::Update { id, .. } | Self::Delete { id, .. } | Self::Restore { id, .. } => Some(*id),
        }
    }
}

/// What became of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    pub id: Uuid,
    pub version: i64,
    /// False where an update left the record as it was: nothing is written, nothing logged.
    pub changed: bool,
}

/// One answer an operation: written, or refused on its own account.
pub type Verdict = Result<Written>;

/// The answer to a slice of one.
///
/// # Errors
/// Why the operation was refused.
pub fn only(mut verdicts: Vec<Verdict>) -> Verdict {
    let lost = || Err(Error::internal("every operation gets a verdict", "none was given"));
    verdicts.pop().unwrap_or_else(lost)
}

/// A kind, whatever it is made of.
#[async_trait]
pub trait Resource: Send + Sync {
    fn shape(&self) -> &Shape;

    /// Writes a slice in the unit: checks every operation, stores those that pass, logs each change. Verdicts come in
    /// the order of `operations`. Whether one refusal undoes the rest is for the caller to say, who owns the unit.
    ///
    /// Cost: a constant number of statements for up to 250 rows (befores, one a unique set, one a referenced kind, one
    /// insert or upsert, one log insert, effects).
    ///
    /// # Errors
    /// What concerns the slice as a whole: a missing right, the database.
    async fn write(&self, unit: &Unit<'_>, operations: Vec<Operation>) -> Result<Vec<Verdict>>;

    /// Writes one record, and answers with it whole, as its writer may see it.
    ///
    /// Cost: that of [`Resource::write`], and one statement where nothing changed.
    ///
    /// # Errors
    /// Why it is refused; the right to write or to read is missing; the database.
    async fn write_one(&self, unit: &Unit<'_>, operation: Operation) -> Result<(Written, Found)>;

    /// The same kind under another shape: with a tenant's own fields, or as somebody sees it.
    fn reshaped(&self, shape: Shape) -> Arc<dyn Resource>;
}

pub(super) struct Typed<R> {
    pub(super) shape: Shape,
    kind: PhantomData<fn() -> R>,
}

#[async_trait]
impl<R: Record> Resource for Typed<R> {
    fn shape(&self) -> &Shape {
        &self.shape
    }

    async fn write(&self, unit: &Unit<'_>, operations: Vec<Operation>) -> Result<Vec<Verdict>> {
        super::write::write::<R>(unit, &self.shape, operations).await
    }

    async fn write_one(&self, unit: &Unit<'_>, operation: Operation) -> Result<(Written, Found)> {
        super::write::write_one::<R>(unit, &self.shape, operation).await
    }

    fn reshaped(&self, shape: Shape) -> Arc<dyn Resource> {
        typed::<R>(shape)
    }
}

/// Records of the entity `R` under a shape made from its own.
pub fn typed<R: Record>(shape: Shape) -> Arc<dyn Resource> {
    Arc::new(Typed::<R> { shape, kind: PhantomData })
}

/// Every kind there is, in the order of the list in `records/mod.rs`; of a tenant, with what it has made its own. Cheap to
/// clone.
#[derive(Clone, Default)]
pub struct Registry(Arc<Vec<Arc<dyn Resource>>>);

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.shapes().map(|shape| &shape.name)).finish()
    }
}

impl Registry {
    #[must_use]
    pub fn with<R: Record>(mut self, _: R) -> Self {
        Arc::make_mut(&mut self.0).push(typed::<R>(Shape::of::<R>()));
        self
    }

    /// The same kinds with this one in the place of its namesake.
    #[must_use]
    pub fn replaced(mut self, resource: &Arc<dyn Resource>) -> Self {
        for place in Arc::make_mut(&mut self.0) {
            if place.shape().name == resource.shape().name {
                *place = Arc::clone(resource);
            }
        }
        self
    }

    /// The same with a tenant's own kinds, and its own fields by kind.
    #[must_use]
    pub fn extended(
        mut self,
        objects: impl Iterator<Item = Arc<dyn Resource>>,
        mut fields: HashMap<String, CustomFields>,
    ) -> Self {
        let all = Arc::make_mut(&mut self.0);
        all.extend(objects);
        for kind in all {
            if let Some(custom) = fields.remove(&*kind.shape().name) {
                *kind = kind.reshaped(kind.shape().clone().with_custom(custom));
            }
        }
        self
    }

    /// Both are the same list, not just equal ones.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Resource>> {
        self.0.iter()
    }

    pub fn shapes(&self) -> impl Iterator<Item = &Shape> {
        self.0.iter().map(|resource| resource.shape())
    }

    /// By kind name, `account`.
    pub fn kind(&self, name: &str) -> Option<&Arc<dyn Resource>> {
        self.0.iter().find(|resource| *resource.shape().name == *name)
    }

    /// The resource of a kind that is known when the product is built.
    ///
    /// # Errors
    /// It is not in the list: a defect.
    pub fn of<R: Record>(&self) -> Result<&Arc<dyn Resource>> {
        self.kind(R::NAME).ok_or_else(|| Error::internal("every kind is in the registry", R::NAME))
    }

    /// By path segment, `accounts`.
    ///
    /// # Errors
    /// `NotFound` with the nearest kind there is.
    pub fn resolve(&self, segment: &str) -> Result<&Arc<dyn Resource>> {
        self.0.iter().find(|resource| *resource.shape().plural == *segment).ok_or_else(|| {
            let near = crate::error::nearest(segment, self.shapes().map(|shape| &*shape.plural));
            let hint = near.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
            Error::NotFound { what: format!("kind `{segment}`{hint}") }
        })
    }
}
