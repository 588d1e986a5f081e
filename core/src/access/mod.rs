//! Who asks, and what they may do.
//!
//! Nothing is allowed that [`rights`](may) does not name, and nothing is reached that [`Reach`] does not hold.

mod actor;
mod api_key;
mod credential;
mod explain;
mod gate;
mod grants;
mod letters;
mod me;
mod one_time;
mod password;
mod rights;
mod role;
mod secrets;
mod session;
mod settings;
pub mod tenants;
mod throttle;
mod token;

pub(crate) use self::actor::team;
pub use self::{
    actor::{Actor, Reach, actor_of_user},
    api_key::{ApiKey, KeyWish, MOST as MOST_KEYS, NewApiKey, create_key, keys, remove_key},
    credential::{change_password, set_password},
    explain::{Explanation, Question, Step as ExplanationStep, explain},
    gate::{Gate, GateOptions},
    grants::{Definition, Extent, Grants},
    me::{Me, MyUser, me},
    one_time::{OneTimeToken, Purpose, one_time_token, redeem},
    password::{Cost, LONGEST as LONGEST_PASSWORD, SHORTEST as SHORTEST_PASSWORD},
    rights::{may, may_act, may_all, rights_of},
    role::Role,
    secrets::{Secret, Secrets},
    session::{Tokens, login, logout, refresh},
    settings::{Settings, change_settings, settings},
    token::Claims,
};

pub(crate) use self::{
    api_key::asker, grants::within as misplaced, one_time::forget as forget_tokens, rights::right, session::forget_user,
};

/// What can be done to a kind. Rights are written `kind:verb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    Read,
    Create,
    Update,
    Delete,
}

impl Verb {
    pub const ALL: &'static [Self] = &[Self::Read, Self::Create, Self::Update, Self::Delete];
    pub const READ: &'static [Self] = &[Self::Read];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}
