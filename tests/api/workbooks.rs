//! Excel workbooks as imports, kept mappings, and a large file full of dirt.

use std::{
    fmt::Write as _,
    io::{Cursor, Write as _},
};

use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};
use serde_json::{Value as Json, json};
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::{
    imports::{errors, imported, left, post},
    support::{Caller, Person, on_both},
};

fn spec() -> Json {
    json!({"kind": "account", "format": "xlsx", "mapping": {"name": {"column": "Name"}, "external_id": {"column": "Key"},
           "employees": {"column": "Size"}, "custom.since": {"column": "Since"}}})
}

/// A sheet that people would make: a title line, a blank one, the header, rows with gaps, notes at the side.
fn book() -> Vec<u8> {
    let mut book = Workbook::new();
    book.add_worksheet().set_name("Hidden").unwrap().set_hidden(true);
    let sheet = book.add_worksheet().set_name("Customers").unwrap().set_active(true);
    for (column, name) in (0..).zip(["Key", "Name", "Size", "Since", "Remarks"]) {
        sheet.write_string(2, column, name).unwrap();
    }
    let date = Format::new().set_num_format("yyyy-mm-dd");
    sheet.write_number(3, 0, 4711.0).unwrap();
    sheet.write_string(3, 1, "Acme\nInc").unwrap();
    sheet.write_number(3, 2, 50.0).unwrap();
    sheet.write_with_format(3, 3, ExcelDateTime::from_ymd(2026, 1, 31).unwrap(), &date).unwrap();
    sheet.write_string(3, 6, "a note beside the table").unwrap();
    sheet.write_string(5, 1, "北京").unwrap();
    sheet.write_string(6, 1, "Many").unwrap();
    sheet.write_string(6, 2, "lots").unwrap();
    book.save_to_buffer().unwrap()
}

async fn since(admin: &Caller) {
    let field = json!({"kind": "account", "name": "since", "type": "date"});
    admin.post("/v1/custom-fields", field).await.expect(201);
}

#[test]
fn a_sheet_becomes_records_and_errors_name_its_rows() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        since(&admin).await;
        let (result, place) = imported(&admin, &spec(), book()).await;
        let counts = [&result["rows"], &result["created"], &result["failed"]];
        assert_eq!(counts, [&json!(3), &json!(2), &json!(1)], "{result}");
        assert_eq!(result["columns_not_read"], json!(["Remarks"]));
        let told = errors(&admin, &place).await;
        assert_eq!(
            (&told[0]["line"], &told[0]["column"], &told[0]["value"]),
            (&json!(7), &json!("Size"), &json!("lots"))
        );
        let made = admin.list("/v1/accounts", &[("sort", "name")]).await.expect(200);
        let one = &made.data()[0];
        assert_eq!(
            (&one["name"], &one["external_id"], &one["employees"]),
            (&json!("Acme\nInc"), &json!("4711"), &json!(50))
        );
        assert_eq!((&one["custom"]["since"], &made.data()[1]["name"]), (&json!("2026-01-31"), &json!("北京")));
        let mut named = spec();
        named["sheet"] = json!("Custmers");
        let refused = post(&admin, &named, book()).await.expect(422);
        assert!(
            refused.json["errors"][0]["detail"].as_str().unwrap().contains("did you mean `Customers`?"),
            "{}",
            refused.json
        );
        named["sheet"] = json!("Customers");
        named["dry_run"] = json!(true);
        assert_eq!(imported(&admin, &named, book()).await.0["created"], 1, "the first is there already");
    });
}

/// An archive of these entries.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A workbook of one sheet with these rows, written by hand.
fn by_hand(rows: &str) -> Vec<u8> {
    let sheet =
        format!("<worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><sheetData>{rows}");
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let relations = |kind: &str, target: &str| {
        format!(
            "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">\
             <Relationship Id=\"r1\" Type=\"{office}/{kind}\" Target=\"{target}\"/></Relationships>"
        )
    };
    let book = format!(
        "<workbook xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" xmlns:r=\"{office}\">\
         <sheets><sheet name=\"S\" sheetId=\"1\" r:id=\"r1\"/></sheets></workbook>"
    );
    archive(&[
        ("_rels/.rels", relations("officeDocument", "xl/workbook.xml").as_bytes()),
        ("xl/workbook.xml", book.as_bytes()),
        ("xl/_rels/workbook.xml.rels", relations("worksheet", "worksheets/sheet1.xml").as_bytes()),
        ("xl/worksheets/sheet1.xml", sheet.as_bytes()),
    ])
}

fn row(n: u64, names: [&str; 4]) -> String {
    let cell =
        |(column, text): (char, &str)| format!("<c r=\"{column}{n}\" t=\"inlineStr\"><is><t>{text}</t></is></c>");
    format!("<row r=\"{n}\">{}</row>", ('A'..).zip(names).map(cell).collect::<String>())
}

const HEADER: [&str; 4] = ["Key", "Name", "Size", "Since"];

#[test]
fn a_sheet_that_claims_cells_at_the_end_of_the_world_or_breaks_off_late_is_refused_and_leaves_nothing() {
    let data = |n: u64| row(n, ["", "x", "", ""]);
    let whole = format!("{}{}</sheetData></worksheet>", row(1, HEADER), data(2));
    let far = format!("{}{}</sheetData></worksheet>", row(1, HEADER), data(4_000_000_000));
    let wide = "<row r=\"1\"><c r=\"ZZZZZ1\" t=\"inlineStr\"><is><t>Name</t></is></c></row></sheetData></worksheet>";
    let mad = wide.replace("ZZZZZ1", &"Z".repeat(99));
    let long: String = (2..40_000).map(|n| row(n, ["", &"x".repeat(60), "", ""])).collect();
    let late = format!("{}{long}<row r=\"zero\"", row(1, HEADER));
    let [whole, far, wide, mad, late] = [&whole, &far, wide, &mad, &late].map(by_hand);
    let files = &[far, wide, mad, late];
    on_both(|server| {
        let whole = whole.clone();
        async move {
            let admin = server.as_admin().await;
            since(&admin).await;
            assert_eq!(imported(&admin, &spec(), whole).await.0["created"], 1, "what is right about them is read");
            for bytes in files {
                let refused = post(&admin, &spec(), bytes.clone()).await.expect(422);
                assert_eq!(refused.errors(), [("/file", "unreadable_file")], "{}", refused.json);
            }
            assert_eq!((left(&server, "job_input").await, left(&server, "job").await), (0, 1));
        }
    });
}

#[test]
fn what_is_no_workbook_or_a_trap_is_refused_and_leaves_nothing() {
    let bomb = archive(&[("xl/sharedStrings.xml", &vec![b' '; 129 << 20])]);
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    let bomb = &bomb;
    on_both(|server| async move {
        let admin = server.as_admin().await;
        since(&admin).await;
        let whole = book();
        let mut wrong = spec();
        wrong["mapping"]["name"]["column"] = json!("Nam");
        let missing = post(&admin, &wrong, whole.clone()).await.expect(422);
        assert_eq!(missing.errors(), [("/mapping/name/column", "unknown_column")]);
        wrong["encoding"] = json!("gb18030");
        assert_eq!(post(&admin, &wrong, whole.clone()).await.expect(422).errors(), [("/encoding", "invalid_value")]);
        for bytes in [
            b"Key,Name\n1,Acme\n".to_vec(),
            Vec::new(),
            whole[..whole.len() / 2].to_vec(),
            archive(&[("hello.txt", b"hello")]),
            archive(&[("xl/workbook.xml", b"<workbook/>"), ("_rels/.rels", b"<not xml")]),
        ] {
            let refused = post(&admin, &spec(), bytes).await.expect(422);
            assert_eq!(refused.errors(), [("/file", "unreadable_file")], "{}", refused.json);
        }
        let trap = post(&admin, &spec(), bomb.clone()).await.expect(422);
        assert!(trap.json["errors"][0]["detail"].as_str().unwrap().contains("unpacks to more"), "{}", trap.json);
        assert_eq!(left(&server, "job_input").await, 0);
        assert_eq!(left(&server, "job").await, 0);
    });
}

#[test]
fn a_mapping_is_kept_under_a_name_checked_when_it_is_kept_and_overridden_where_it_is_used() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let mapping = json!({"name": {"column": "customer"}, "external_id": {"column": "id"}});
        let saved = json!({"kind": "account", "mode": "upsert", "match": "external_id", "mapping": mapping});
        let mut wrong = saved.clone();
        wrong["mapping"]["nme"] = json!({"column": "x"});
        let refused = admin.post("/v1/import-mappings", json!({"name": "shop", "spec": wrong})).await.expect(422);
        assert_eq!(refused.errors(), [("/spec/mapping/nme", "unknown_field")]);
        admin.post("/v1/import-mappings", json!({"name": "shop", "spec": saved})).await.expect(201);
        let file = "id,customer\n1,Acme\n2,Globex\n";
        let tried = imported(&admin, &json!({"saved": "shop", "dry_run": true}), file).await.0;
        assert_eq!((&tried["created"], &tried["dry_run"]), (&json!(2), &json!(true)), "{tried}");
        assert_eq!(imported(&admin, &json!({"saved": "shop"}), file).await.0["created"], 2);
        assert_eq!(imported(&admin, &json!({"saved": "shop"}), file).await.0["unchanged"], 2);
        let unknown = post(&admin, &json!({"saved": "shp"}), file).await.expect(422);
        assert_eq!(unknown.errors(), [("/saved", "invalid_value")]);
        let stranger = server.as_person(Person::Stranger).await;
        assert_eq!(
            post(&stranger, &json!({"saved": "shop"}), file).await.expect(422).errors(),
            [("/saved", "invalid_value")]
        );
    });
}

/// `RIPEN_ROWS=100000 cargo test --test api tenth_row` is the long form.
#[test]
fn of_a_large_file_every_tenth_row_is_refused_named_and_costs_no_other() {
    let rows: u64 = std::env::var("RIPEN_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(3000);
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let mut file = "key,name,size\n".to_owned();
        for n in 1..=rows {
            let size = match n % 50 {
                0 => "-1".to_owned(),
                10 => "many".to_owned(),
                20 => "1,000\n".to_owned(),
                _ => n.to_string(),
            };
            let (key, name) =
                (if n % 50 == 30 { 1 } else { n }, if n % 50 == 40 { String::new() } else { format!("Account {n}") });
            let _ = writeln!(file, "{key},{name},{}", size.trim_end());
        }
        let mapping =
            json!({"external_id": {"column": "key"}, "name": {"column": "name"}, "employees": {"column": "size"}});
        let (result, place) = imported(&admin, &json!({"kind": "account", "mapping": mapping}), file).await;
        let counts = [&result["rows"], &result["created"], &result["failed"]];
        assert_eq!(counts, [&json!(rows), &json!(rows - rows / 10), &json!(rows / 10)], "{result}");
        let told = errors(&admin, &place).await;
        assert_eq!(told.len() as u64, rows / 10);
        for (error, n) in told.iter().zip((1..).map(|n| n * 10)) {
            let code = match n % 50 {
                0 => "out_of_range",
                10 => "invalid_value",
                20 => "unreadable_row",
                30 => "duplicate",
                _ => "required",
            };
            assert_eq!((&error["line"], &error["code"]), (&json!(n + 1), &json!(code)), "{error}");
        }
        let count = admin.list("/v1/accounts", &[("count", "exact"), ("limit", "1")]).await.expect(200);
        assert_eq!(count.json["page"]["total"], rows - rows / 10);
        assert_eq!(left(&server, "job_input").await, 0);
    });
}
