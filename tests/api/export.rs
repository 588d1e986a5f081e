//! Everything a filter keeps, as a file that an import reads back.

use std::{collections::BTreeMap, io::Read as _};

use ripen_core::{
    access::Verb,
    engine::{FieldAccess, Shape},
};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value as Json, json};

use crate::{
    every_kind::Maker,
    imports,
    support::{Answer, Caller, Db, Person, TestServer, block_on, on_both, prepare},
};

async fn export(caller: &Caller, shape: &Shape, parameters: &[(&str, &str)]) -> Answer {
    caller.list(&format!("/v1/{}/export", shape.plural), parameters).await
}

fn text(answer: Answer) -> String {
    String::from_utf8(answer.expect(200).bytes).unwrap()
}

async fn as_csv(caller: &Caller, path: &str) -> String {
    text(caller.get(path).await)
}

/// Kinds that can be imported, those that define or are referred to first.
fn kinds(server: &TestServer) -> Vec<Shape> {
    let mut left: Vec<Shape> =
        server.world().registry.shapes().filter(|shape| shape.verbs.contains(&Verb::Create)).cloned().collect();
    left.sort_by_key(|shape| !shape.name.starts_with("custom_"));
    let mut sorted: Vec<Shape> = Vec::new();
    while !left.is_empty() {
        let ready = |shape: &Shape| {
            let mut references = shape.references().filter(|(field, _)| restored(field.access));
            references.all(|(_, kind)| *kind == *shape.name || !left.iter().any(|other| *other.name == *kind))
        };
        let next = left.iter().position(ready).expect("kinds refer to each other in a circle");
        sorted.push(left.remove(next));
    }
    sorted
}

fn restored(access: FieldAccess) -> bool {
    matches!(access, FieldAccess::Write | FieldAccess::Create)
}

/// What one record may be made of: its id too, so that references hold in the other tenant.
fn fields(shape: &Shape) -> Vec<String> {
    let names = shape.fields.iter().filter(|field| restored(field.access)).map(|field| field.name.clone());
    names.collect()
}

/// The spec that reads a CSV export of these columns.
fn spec(shape: &Shape, format: &str, columns: &[String]) -> Json {
    let mapping: BTreeMap<_, _> = columns.iter().map(|name| (name.clone(), json!({"column": name}))).collect();
    json!({"kind": shape.name, "format": format, "mode": "upsert", "match": "id", "mapping": mapping,
           "formula_guard": format == "csv"})
}

/// Exports every kind of one tenant, imports the files into the other, and compares the exports of both.
fn round_trip(format: &'static str) {
    on_both(|server| async move {
        let (admin, other) = (server.as_admin().await, server.as_person(Person::Stranger).await);
        let mut maker = Maker::new(&server).await;
        let shapes = kinds(&server);
        for shape in &shapes {
            maker.make(shape).await;
            maker.make(shape).await;
        }
        for shape in &shapes {
            let names = fields(shape);
            let chosen = [("format", format), ("fields", &names.join(",")), ("sort", "id")];
            let file = export(&admin, shape, &chosen).await.expect(200).bytes;
            assert!(!file.is_empty());
            let columns: Vec<String> = match format {
                "csv" | "xlsx" => {
                    let as_csv = [("format", "csv"), chosen[1], chosen[2]];
                    let file = export(&admin, shape, &as_csv).await.expect(200).bytes;
                    let head = file.split(|b| *b == b'\r').next().unwrap();
                    std::str::from_utf8(head).unwrap().split(',').map(str::to_owned).collect()
                }
                _ => names.clone(),
            };
            let (result, place) = imports::imported(&other, &spec(shape, format, &columns), file.clone()).await;
            let errors = imports::errors(&other, &place).await;
            assert_eq!(errors, Vec::<Json>::new(), "{}: {result}", shape.name);
            let ids: Vec<String> = ids(&admin, shape).await.into_iter().map(|id| format!("\"{id}\"")).collect();
            let filter = format!("id IN [{}]", ids.join(", "));
            let again = export(&other, shape, &[&chosen[..], &[("filter", &filter)]].concat()).await.expect(200).bytes;
            assert_eq!(cells(&again), cells(&file), "{}", shape.name);
        }
    });
}

/// What a file says: of a workbook what its sheet says, which is all that does not change with the time.
fn cells(file: &[u8]) -> String {
    match zip::ZipArchive::new(std::io::Cursor::new(file)) {
        Ok(mut book) => {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut book.by_name("xl/worksheets/sheet1.xml").unwrap(), &mut text).unwrap();
            text
        }
        Err(_) => String::from_utf8_lossy(file).into_owned(),
    }
}

async fn ids(caller: &Caller, shape: &Shape) -> Vec<String> {
    let lines = text(export(caller, shape, &[("format", "ndjson"), ("fields", "id")]).await);
    lines.lines().map(|line| serde_json::from_str::<Json>(line).unwrap()["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_kind_comes_back_from_csv_byte_for_byte() {
    round_trip("csv");
}

#[test]
fn every_kind_comes_back_from_a_workbook_cell_by_cell() {
    round_trip("xlsx");
}

#[test]
fn every_kind_comes_back_from_ndjson_byte_for_byte() {
    round_trip("ndjson");
}

#[test]
fn cells_are_no_formulas_and_numbers_stay_numbers() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let money = json!({"amount": "-12.5", "currency": "USD"});
        let names = ["=1+1", "+47", "-5", "@SUM(A1)", "\ttab", "'=quoted", "a, \"b\"\nc", "北京"];
        for (n, name) in names.iter().enumerate() {
            let body = json!({"name": name, "external_id": n.to_string(), "annual_revenue": money});
            admin.post("/v1/accounts", body).await.expect(201);
        }
        let path = "/v1/accounts/export?fields=external_id,name,annual_revenue,billing_address&sort=external_id";
        let file = as_csv(&admin, path).await;
        assert_eq!(
            file,
            "external_id,name,annual_revenue.amount,annual_revenue.currency,billing_address\r\n\
             0,'=1+1,-12.50,USD,\r\n1,'+47,-12.50,USD,\r\n2,'-5,-12.50,USD,\r\n3,'@SUM(A1),-12.50,USD,\r\n\
             4,'\ttab,-12.50,USD,\r\n5,''=quoted,-12.50,USD,\r\n6,\"a, \"\"b\"\"\nc\",-12.50,USD,\r\n7,北京,-12.50,USD,\r\n"
        );
        let stranger = server.as_person(Person::Stranger).await;
        let columns = ["external_id", "name", "annual_revenue.amount", "annual_revenue.currency"].map(str::to_owned);
        let shape = server.world().registry.kind("account").unwrap().shape().clone();
        let mut spec = spec(&shape, "csv", &columns);
        spec["match"] = json!("external_id");
        imports::imported(&stranger, &spec, file.clone()).await;
        assert_eq!(as_csv(&stranger, path).await, file);
        let read = stranger.list("/v1/accounts", &[("sort", "external_id")]).await.expect(200);
        let read: Vec<_> = read.data().iter().map(|row| row["name"].as_str().unwrap()).collect();
        assert_eq!(read, names);
    });
}

#[test]
fn an_export_shows_what_a_list_shows() {
    on_both(|server| async move {
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        let mine = rep.post("/v1/accounts", json!({"name": "Mine", "employees": 3})).await.expect(201);
        admin.post("/v1/accounts", json!({"name": "Theirs", "employees": 30})).await.expect(201);
        let lines = text(rep.get("/v1/accounts/export?format=ndjson").await);
        assert_eq!(
            lines.as_bytes(),
            [&mine.bytes[..], b"\n"].concat(),
            "the record's own bytes, and no other's record"
        );
        let kept = [("format", "ndjson"), ("filter", "employees > 10"), ("fields", "name")];
        let answer = admin.list("/v1/accounts/export", &kept).await.expect(200);
        assert_eq!(answer.header("content-disposition"), "attachment; filename=\"accounts.ndjson\"");
        assert_eq!(answer.header("content-type"), "application/x-ndjson");
        assert_eq!(text(answer), "{\"name\":\"Theirs\"}\n");
        let before = [("known_at", "2026-01-31T09:29:59Z"), ("format", "ndjson")];
        assert_eq!(text(admin.list("/v1/accounts/export", &before).await), "");
        let words = [("search", "their"), ("fields", "name")];
        assert_eq!(text(admin.list("/v1/accounts/export", &words).await), "name\r\nTheirs\r\n");
        let empty = admin.list("/v1/accounts/export", &[("filter", "employees > 99"), ("fields", "id,name")]).await;
        assert_eq!(text(empty), "id,name\r\n");
        let stranger = server.as_person(Person::Stranger).await;
        assert_eq!(text(stranger.get("/v1/accounts/export?format=ndjson").await), "");
        for (parameters, place) in [
            (vec![("format", "pdf")], "format"),
            (vec![("filter", "employees >")], "filter"),
            (vec![("sort", "size")], "sort"),
            (vec![("fields", "id,nam")], "fields"),
            (vec![("fields", "owner.name")], "fields"),
            (vec![("limit", "5")], "limit"),
        ] {
            let refused = admin.list("/v1/accounts/export", &parameters).await.expect(400);
            assert_eq!(refused.errors()[0].0, place, "{parameters:?}");
        }
        server.anonymous().get("/v1/accounts/export").await.expect(401);
        for restricted in server.world().registry.shapes().filter(|shape| shape.restricted) {
            export(&rep, restricted, &[]).await.expect(403);
        }
        assert_eq!(admin.post("/v1/accounts/export", json!({})).await.expect(405).header("allow"), "GET, HEAD");
    });
}

#[test]
fn a_workbook_holds_the_same_cells() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let large = json!({"amount": "90000000000000.01", "currency": "USD"});
        admin.post("/v1/accounts", json!({"name": "=A1", "employees": 12, "annual_revenue": large})).await.expect(201);
        let path = "/v1/accounts/export?format=xlsx&fields=name,employees,annual_revenue";
        let first = admin.get(path).await.expect(200);
        assert_eq!(first.header("content-disposition"), "attachment; filename=\"accounts.xlsx\"");
        assert_eq!(admin.get(path).await.expect(200).bytes, first.bytes, "the same records, the same bytes");
        let mut book = zip::ZipArchive::new(std::io::Cursor::new(first.bytes)).unwrap();
        let mut sheet = String::new();
        book.by_name("xl/worksheets/sheet1.xml").unwrap().read_to_string(&mut sheet).unwrap();
        assert!(sheet.contains("<v>12</v>"), "a number is a number: {sheet}");
        assert!(sheet.contains("<t>=A1</t>") && !sheet.contains("<f>"), "a text is no formula: {sheet}");
        assert!(
            sheet.contains("<t>90000000000000.01</t>"),
            "digits a spreadsheet would lose are kept as text: {sheet}"
        );
    });
}

/// Many rows while others write: the file is of one moment.
#[test]
fn an_export_is_of_one_moment_though_others_write() {
    const ROWS: usize = 3000;
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let rows = (0..ROWS).map(|n| format!("{n},Same\n")).collect::<Vec<_>>().concat();
        let mapping = json!({"external_id": {"column": "id"}, "name": {"column": "name"}});
        let spec = json!({"kind": "account", "mode": "upsert", "match": "external_id", "mapping": mapping});
        imports::imported(&admin, &spec, format!("id,name\n{rows}")).await;
        let writer = {
            let (admin, server) = (admin.clone(), server.clone());
            tokio::spawn(async move {
                // all names at once, in one transaction each time
                for round in 0..5 {
                    let table = format!("update account set name = 'Round {round}' where external_id is not null");
                    server.world().store.write.execute_unprepared(&table).await.unwrap();
                    admin.get("/v1/me").await.expect(200);
                }
            })
        };
        for _ in 0..8 {
            let lines = text(admin.get("/v1/accounts/export?format=csv&fields=name").await);
            let names: Vec<_> = lines.lines().skip(1).collect();
            assert_eq!(names.len(), ROWS);
            assert!(names.iter().all(|name| *name == names[0]), "two moments in one file");
        }
        writer.await.unwrap();
    });
}

#[test]
fn a_tenant_has_so_many_exports_and_a_reader_who_leaves_frees_the_place() {
    prepare(Db::Sqlite);
    block_on(async {
        let server = TestServer::with(Db::Sqlite, |config| config.limits.exports = 1).await;
        let admin = server.as_admin().await;
        let note = "x".repeat(900);
        let rows = (0..20_000).map(|n| format!("{n},{note}{n}\n")).collect::<Vec<_>>().concat();
        let mapping = json!({"external_id": {"column": "id"}, "name": {"column": "id"}, "needs": {"column": "note"}});
        imports::imported(&admin, &json!({"kind": "account", "mapping": mapping}), format!("id,note\n{rows}")).await;
        let mut slow = admin.request("GET", "/v1/accounts/export?format=ndjson").send().await.unwrap();
        slow.chunk().await.unwrap().unwrap(); // and no more
        let refused = admin.get("/v1/accounts/export").await.expect(429);
        assert_eq!(refused.problem(), "too_many_at_once");
        drop(slow);
        for _ in 0..1000 {
            if admin.get("/v1/accounts/export?fields=id").await.status == 200 {
                server.end().await;
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the place of a reader who left stays taken");
    });
}
