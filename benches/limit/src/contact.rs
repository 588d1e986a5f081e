//! A contact as JSON, in and out.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

pub const COLUMNS: &str = "id, external_id, version, created_at, updated_at, created_by, owner_id, first_name, last_name, \
     name_order, account_id, title, email, phone, other_emails, other_phones, birthday, handles, opt_outs, source, \
     last_contact_at, custom";

/// Borrows from the row it is printed from.
#[derive(Serialize)]
pub struct Contact<'r> {
    pub id: Uuid,
    pub external_id: Option<&'r str>,
    pub version: i64,
    #[serde(serialize_with = "instant")]
    pub created_at: DateTime<Utc>,
    #[serde(serialize_with = "instant")]
    pub updated_at: DateTime<Utc>,
    pub created_by: Option<Uuid>,
    pub owner_id: Option<Uuid>,
    pub first_name: Option<&'r str>,
    pub last_name: &'r str,
    pub name_order: &'r str,
    pub account_id: Option<Uuid>,
    pub title: Option<&'r str>,
    pub email: Option<&'r str>,
    pub phone: Option<&'r str>,
    pub other_emails: Option<&'r RawValue>,
    pub other_phones: Option<&'r RawValue>,
    pub birthday: Option<NaiveDate>,
    pub handles: Option<&'r RawValue>,
    pub opt_outs: Option<&'r RawValue>,
    pub source: Option<&'r str>,
    #[serde(serialize_with = "maybe_instant")]
    pub last_contact_at: Option<DateTime<Utc>>,
    pub custom: Option<&'r RawValue>,
}

fn instant<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[expect(clippy::ref_option, reason = "what serde calls")]
fn maybe_instant<S: Serializer>(at: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => instant(at, serializer),
        None => serializer.serialize_none(),
    }
}

/// What a create brings.
#[derive(Deserialize)]
pub struct New {
    #[serde(default)]
    pub external_id: Option<String>,
    pub first_name: Option<String>,
    pub last_name: String,
    pub title: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub birthday: Option<NaiveDate>,
    pub source: Option<String>,
}

impl New {
    /// As it is stored, and as a create answers.
    pub fn stored(&self, id: Uuid, user: Uuid, now: DateTime<Utc>) -> Contact<'_> {
        Contact {
            id,
            external_id: self.external_id.as_deref(),
            version: 1,
            created_at: now,
            updated_at: now,
            created_by: Some(user),
            owner_id: Some(user),
            first_name: self.first_name.as_deref(),
            last_name: &self.last_name,
            name_order: "western",
            account_id: None,
            title: self.title.as_deref(),
            email: self.email.as_deref(),
            phone: self.phone.as_deref(),
            other_emails: None,
            other_phones: None,
            birthday: self.birthday,
            handles: None,
            opt_outs: None,
            source: self.source.as_deref(),
            last_contact_at: None,
            custom: None,
        }
    }
}
