use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a user is in the tenant. `admin` does everything; `manager` works on the rows of their team tree and reads the
/// setup; `rep` works on their own rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = UserRole)]
pub enum Role {
    Admin,
    Manager,
    Rep,
}
