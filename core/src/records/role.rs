use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait, FromJsonQueryResult,
    entity::prelude::*,
    sea_query::{Alias, ExprTrait, IntoIden, Query},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use crate::{
    access::{self, Definition, Grants, Role as BuiltIn},
    context::Unit,
    engine::{Record, Scope, filter},
    error::{Code, Result, Violation},
};

/// `kind:verb` each; `*` stands for every kind or every verb.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
#[serde(transparent)]
pub struct Rights(pub Vec<String>);

/// Whose rows are seen and changed: `own`, `team` (of whoever is in a team of one's own), `team_tree` (of the teams one leads
/// and all below), `all`, or those that a filter keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RowScope)]
pub enum RowScope {
    #[default]
    Own,
    Team,
    TeamTree,
    All,
    /// A filter on the kind's fields: `country = "DE" OR owner_id = me()`.
    Where(String),
}

/// Whose rows of which kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoleRows)]
pub struct Rows {
    /// For every kind with an owner that `kinds` does not name.
    #[serde(default)]
    pub default: RowScope,
    /// By kind.
    #[serde(default)]
    pub kinds: BTreeMap<String, RowScope>,
}

/// What may be done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = FieldRight)]
pub enum FieldRight {
    /// As if there were no such field.
    None,
    Read,
    Write,
}

/// Kind -> field -> right. What is not named is written where the kind is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
#[serde(transparent)]
#[schema(as = RoleFields)]
pub struct Fields(pub BTreeMap<String, BTreeMap<String, FieldRight>>);

/// What users of a role may do: rights, whose rows, which fields. `admin`, `manager` and `rep` are there without records.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize, ToSchema)]
#[sea_orm(table_name = "role")]
#[schema(as = Role)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The record's key in another system; unique in the tenant.
    #[schema(max_length = 200)]
    #[sea_orm(column_type = "Text", nullable)]
    pub external_id: Option<String>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub created_by: Option<Uuid>,
    pub deleted_at: Option<DateTime<Utc>>,
    /// What users name it by, in `role`: `a-z`, `0-9` and `_`, from a letter; kept for ever.
    #[schema(min_length = 2, max_length = 50, pattern = "^[a-z][a-z0-9_]*$")]
    #[sea_orm(column_type = "Text")]
    pub key: String,
    #[schema(max_length = 200)]
    #[sea_orm(column_type = "Text")]
    pub name: String,
    #[schema(max_length = 2000)]
    #[sea_orm(column_type = "Text", nullable)]
    pub description: Option<String>,
    /// What may be done, such as `account:read`, `contact:*` and `*:read`.
    pub rights: Rights,
    pub rows: Option<Rows>,
    pub fields: Option<Fields>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

fn is_key(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Everything that is wrong with a role as it would be.
fn broken(unit: &Unit<'_>, before: Option<&Model>, after: &Model) -> Vec<Violation> {
    let cx = unit.cx;
    let (rows, fields) = (after.rows.clone().unwrap_or_default(), after.fields.clone().unwrap_or_default());
    let definition = Definition { rights: &after.rights.0, rows: &rows, fields: &fields };
    let mut broken = Grants::of(&definition, &cx.tenant.kinds).err().unwrap_or_default();
    if !is_key(&after.key) {
        let detail = "must have a-z, 0-9 and _, and start with a letter";
        broken.push(Violation::field("key", Code::InvalidValue, detail));
    }
    if BuiltIn::of(&after.key).is_some() {
        broken.push(Violation::field("key", Code::Duplicate, "is a role that every tenant has"));
    }
    if before.is_some_and(|before| before.key != after.key) {
        broken.push(Violation::field("key", Code::InvalidValue, "is what users name the role by, and stays as it is"));
    }
    let everyone = cx.everywhere();
    for (kind, scope) in &rows.kinds {
        let (Some(resource), RowScope::Where(text)) = (cx.tenant.kinds.kind(kind), scope) else { continue };
        let shape = resource.shape();
        let Ok(filter) = filter::parse(text) else { continue }; // told already
        if let Err(error) = filter::compile(&everyone, shape, &filter, shape.table().into_iden()) {
            broken.extend(access::misplaced(&format!("rows.kinds.{kind}"), error));
        }
    }
    broken
}

impl Record for Entity {
    const NAME: &'static str = "role";
    const PLURAL: &'static str = "roles";
    const SCOPE: Scope = Scope::Tenant;
    const RESTRICTED: bool = true;
    const AFFECTS_ACCESS: bool = true;
    const UNIQUE: &'static [&'static [&'static str]] = &[&["key"]];
    const SEARCH: &'static [&'static str] = &["name", "key", "description"];

    fn example() -> Json {
        json!({"key": "dach_sales", "name": "Sales DACH", "rights": ["account:*", "contact:read", "stage:read"],
               "rows": {"default": "own", "kinds": {"account": {"where": "country IN [\"DE\", \"AT\", \"CH\"]"}}},
               "fields": {"account": {"annual_revenue": "none", "grade": "read"}}})
    }

    async fn check_rows(unit: &Unit<'_>, slice: &mut [(Option<Model>, Model)]) -> Result<Vec<(usize, Violation)>> {
        let mut all = Vec::new();
        for (at, (before, after)) in slice.iter().enumerate().filter(|(_, (_, after))| after.deleted_at.is_none()) {
            all.extend(broken(unit, before.as_ref(), after).into_iter().map(|violation| (at, violation)));
        }
        let leaving = slice.iter().enumerate().filter(|(_, (_, after))| after.deleted_at.is_some());
        let leaving: Vec<_> = leaving.map(|(at, (_, after))| (at, after.key.as_str())).collect();
        for (at, key) in leaving.iter().filter(|_| !leaving.is_empty()) {
            let users = Query::select()
                .expr(Expr::col(Alias::new("id")).count())
                .from(Alias::new("user"))
                .and_where(Expr::col(Alias::new("tenant_id")).eq(unit.cx.tenant.id))
                .and_where(Expr::col(Alias::new("deleted_at")).is_null())
                .and_where(Expr::col(Alias::new("role")).eq(*key))
                .take();
            let row = unit.txn.query_one(&users).await?;
            let n: i64 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
            if n > 0 {
                let detail = format!("{n} users have the role: give them another first");
                all.push((*at, Violation::field("key", Code::StillReferenced, detail)));
            }
        }
        Ok(all)
    }
}
