//! The operations, for the database `Db` of the module this is part of.

use std::{error::Error, io::Write as _};

use actix_web::{
    App as Application, HttpResponse, HttpServer,
    error::{ErrorBadRequest, ErrorInternalServerError, ErrorNotFound},
    web::{self, Bytes, Data, Json, Path, PayloadConfig, Query},
};
use chrono::{SubsecRound, Utc};
use futures::StreamExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, Database, Pool, QueryBuilder, Row, query};
use uuid::Uuid;

use super::{CONTAINS, Db};
use crate::{
    WORKERS,
    contact::{COLUMNS, Contact, New},
};

type Answer = actix_web::Result<HttpResponse>;
type DbRow = <Db as Database>::Row;

struct App {
    read: Pool<Db>,
    write: Pool<Db>,
    tenant: Uuid,
    user: Uuid,
    one: String,
    by_name: String,
    containing: String,
    everything: String,
}

/// Serves the one tenant there is.
pub async fn serve([read, write]: [Pool<Db>; 2], address: &str) -> Result<(), Box<dyn Error>> {
    let row =
        query("select tenant.id, \"user\".id from tenant join \"user\" on tenant_id = tenant.id where slug = 'bench'")
            .fetch_one(&read)
            .await?;
    let from = format!("select {COLUMNS} from contact where tenant_id = $1 and deleted_at is null");
    let app = Data::new(App {
        tenant: row.try_get(0)?,
        user: row.try_get(1)?,
        one: format!("{from} and id = $2"),
        by_name: format!("{from} and last_name = $2 order by id desc limit 51"),
        containing: format!("{from} and {CONTAINS} order by id desc limit 51"),
        everything: format!("{from} order by id"),
        read,
        write,
    });
    let server = HttpServer::new(move || {
        Application::new()
            .app_data(app.clone())
            .app_data(PayloadConfig::new(1 << 30))
            .app_data(web::JsonConfig::default().limit(8 << 20))
            .service(web::resource("/v1/contacts").get(list).post(create))
            .route("/v1/contacts/batch", web::post().to(batch))
            .route("/v1/contacts/export", web::get().to(export))
            .route("/v1/contacts/import", web::post().to(import))
            .route("/v1/contacts/{id}", web::get().to(get))
            .route("/v1/opportunities/aggregate", web::post().to(aggregate))
    });
    Ok(server.workers(WORKERS).bind(address)?.run().await?)
}

fn json(body: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(body)
}

fn failed(error: impl Error + 'static) -> actix_web::Error {
    ErrorInternalServerError(error)
}

/// Borrows everything from the row.
fn contact(row: &DbRow) -> Result<Contact<'_>, Box<dyn Error>> {
    let raw = |i: usize| -> Result<Option<&RawValue>, Box<dyn Error>> {
        Ok(row.try_get_unchecked::<Option<&str>, _>(i)?.map(serde_json::from_str).transpose()?)
    };
    Ok(Contact {
        id: row.try_get_unchecked(0)?,
        external_id: row.try_get_unchecked(1)?,
        version: row.try_get_unchecked(2)?,
        created_at: row.try_get_unchecked(3)?,
        updated_at: row.try_get_unchecked(4)?,
        created_by: row.try_get_unchecked(5)?,
        owner_id: row.try_get_unchecked(6)?,
        first_name: row.try_get_unchecked(7)?,
        last_name: row.try_get_unchecked(8)?,
        name_order: row.try_get_unchecked(9)?,
        account_id: row.try_get_unchecked(10)?,
        title: row.try_get_unchecked(11)?,
        email: row.try_get_unchecked(12)?,
        phone: row.try_get_unchecked(13)?,
        other_emails: raw(14)?,
        other_phones: raw(15)?,
        birthday: row.try_get_unchecked(16)?,
        handles: raw(17)?,
        opt_outs: raw(18)?,
        source: row.try_get_unchecked(19)?,
        last_contact_at: row.try_get_unchecked(20)?,
        custom: raw(21)?,
    })
}

fn print(out: &mut Vec<u8>, row: &DbRow) -> actix_web::Result<()> {
    let contact = contact(row).map_err(|error| ErrorInternalServerError(error.to_string()))?;
    serde_json::to_writer(out, &contact).map_err(failed)
}

async fn get(app: Data<App>, id: Path<Uuid>) -> Answer {
    let one = query(AssertSqlSafe(app.one.as_str())).bind(app.tenant).bind(*id);
    let Some(row) = one.fetch_optional(&app.read).await.map_err(failed)? else { return Err(ErrorNotFound("none")) };
    let mut body = Vec::with_capacity(512);
    print(&mut body, &row)?;
    Ok(json(body))
}

#[derive(Deserialize)]
struct Wanted {
    last_name: Option<String>,
    contains: Option<String>,
}

async fn list(app: Data<App>, wanted: Query<Wanted>) -> Answer {
    let (sql, text) = match wanted.into_inner() {
        Wanted { last_name: Some(name), contains: None } => (&app.by_name, name),
        Wanted { last_name: None, contains: Some(part) } => (&app.containing, part),
        _ => return Err(ErrorBadRequest("last_name or contains")),
    };
    let rows = query(AssertSqlSafe(sql.as_str())).bind(app.tenant).bind(text);
    let rows = rows.fetch_all(&app.read).await.map_err(failed)?;
    let mut body = Vec::with_capacity(64 + rows.len() * 512);
    body.extend_from_slice(br#"{"data":["#);
    for (i, row) in rows.iter().take(50).enumerate() {
        if i > 0 {
            body.push(b',');
        }
        print(&mut body, row)?;
    }
    let more = rows.len() > 50;
    let next = rows.get(49).filter(|_| more).map(|row| row.try_get::<Uuid, _>(0)).transpose().map_err(failed)?;
    let next = next.map_or_else(|| "null".to_owned(), |id| format!("\"{id}\""));
    write!(body, r#"],"page":{{"next":{next},"prev":null,"has_more":{more}}}}}"#)?;
    Ok(json(body))
}

const INSERT: &str = "insert into contact (tenant_id, id, version, created_at, updated_at, created_by, owner_id, \
     external_id, first_name, last_name, name_order, title, email, phone, birthday, source) ";

async fn insert<'e>(
    app: &App,
    to: impl sqlx::Executor<'e, Database = Db>,
    contacts: &[Contact<'_>],
) -> sqlx::Result<()> {
    let mut insert = QueryBuilder::<Db>::new(INSERT);
    insert.push_values(contacts, |mut row, contact| {
        row.push_bind(app.tenant).push_bind(contact.id).push_bind(contact.version);
        row.push_bind(contact.created_at).push_bind(contact.updated_at);
        row.push_bind(contact.created_by).push_bind(contact.owner_id);
        for text in [contact.external_id, contact.first_name, Some(contact.last_name), Some(contact.name_order)] {
            row.push_bind(text.map(str::to_owned));
        }
        for text in [contact.title, contact.email, contact.phone] {
            row.push_bind(text.map(str::to_owned));
        }
        row.push_bind(contact.birthday).push_bind(contact.source.map(str::to_owned));
    });
    insert.build().execute(to).await?;
    Ok(())
}

async fn create(app: Data<App>, new: Json<New>) -> Answer {
    let contact = new.stored(Uuid::now_v7(), app.user, Utc::now().trunc_subsecs(3));
    insert(&app, &app.write, std::slice::from_ref(&contact)).await.map_err(failed)?;
    let body = serde_json::to_vec(&contact).map_err(failed)?;
    let place = format!("/v1/contacts/{}", contact.id);
    Ok(HttpResponse::Created().insert_header(("location", place)).content_type("application/json").body(body))
}

#[derive(Deserialize)]
struct Batch {
    operations: Vec<Operation>,
}

#[derive(Deserialize)]
struct Operation {
    data: New,
}

async fn batch(app: Data<App>, batch: Json<Batch>) -> Answer {
    let now = Utc::now().trunc_subsecs(3);
    let contacts: Vec<_> =
        batch.operations.iter().map(|operation| operation.data.stored(Uuid::now_v7(), app.user, now)).collect();
    insert(&app, &app.write, &contacts).await.map_err(failed)?;
    let mut body = br#"{"results":["#.to_vec();
    for (i, contact) in contacts.iter().enumerate() {
        let comma = if i > 0 { "," } else { "" };
        write!(body, r#"{comma}{{"status":201,"id":"{}","version":1}}"#, contact.id)?;
    }
    body.extend_from_slice(b"]}");
    Ok(json(body))
}

async fn aggregate(app: Data<App>) -> Answer {
    let sql = "select stage_id, amount_currency, count(*), cast(sum(amount_minor) as bigint) from opportunity \
               where tenant_id = $1 and deleted_at is null group by stage_id, amount_currency";
    let rows = query(sql).bind(app.tenant).fetch_all(&app.read).await.map_err(failed)?;
    let mut body = br#"{"data":["#.to_vec();
    for (i, row) in rows.iter().enumerate() {
        let comma = if i > 0 { "," } else { "" };
        let (stage, currency): (Uuid, Option<String>) =
            (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
        let (count, sum): (i64, Option<i64>) = (row.try_get(2).map_err(failed)?, row.try_get(3).map_err(failed)?);
        let (sum, currency) = (sum.unwrap_or_default(), currency.unwrap_or_default());
        let (whole, cents) = (sum / 100, sum % 100);
        let amount = format!(r#"{{"amount":"{whole}.{cents:02}","currency":"{currency}"}}"#);
        write!(body, r#"{comma}{{"stage_id":"{stage}","count":{count},"sum":{amount}}}"#)?;
    }
    body.extend_from_slice(b"]}");
    Ok(json(body))
}

/// Every contact as one JSON object a line, as the database hands them over.
async fn export(app: Data<App>) -> HttpResponse {
    let lines = async_lines(app);
    HttpResponse::Ok().content_type("application/x-ndjson").streaming(lines)
}

fn async_lines(app: Data<App>) -> impl futures::Stream<Item = actix_web::Result<Bytes>> {
    let (lines, received) = futures::channel::mpsc::channel(4);
    actix_web::rt::spawn(async move {
        let mut lines = lines;
        let mut rows =
            query(AssertSqlSafe(app.everything.as_str())).bind(app.tenant).fetch(&app.read).ready_chunks(256);
        while let Some(part) = rows.next().await {
            let mut out = Vec::with_capacity(part.len() * 512);
            let printed = part.into_iter().try_for_each(|row| {
                print(&mut out, &row.map_err(failed)?)?;
                out.push(b'\n');
                Ok(())
            });
            let sent = futures::SinkExt::send(&mut lines, printed.map(|()| out.into())).await;
            if sent.is_err() {
                break;
            }
        }
    });
    received
}

/// A CSV file as contacts, in one transaction.
async fn import(app: Data<App>, file: Bytes) -> Answer {
    let now = Utc::now().trunc_subsecs(3);
    let rows: Vec<New> =
        csv::Reader::from_reader(file.as_ref()).deserialize().collect::<Result<_, _>>().map_err(failed)?;
    let mut transaction = app.write.begin().await.map_err(failed)?;
    for part in rows.chunks(1000) {
        let part: Vec<_> = part.iter().map(|row| row.stored(Uuid::now_v7(), app.user, now)).collect();
        insert(&app, &mut *transaction, &part).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(json(format!(r#"{{"ok":{}}}"#, rows.len()).into_bytes()))
}
