//! Files become records: exactly once, row by row, and what is refused is told with its place.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use serde_json::{Value as Json, json};

use crate::support::{Answer, Caller, Db, Person, TestServer, block_on, databases, on_both};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/demo/data");

pub(crate) async fn post(caller: &Caller, spec: &Json, file: impl Into<Vec<u8>>) -> Answer {
    let form = Form::new().text("spec", spec.to_string()).part("file", Part::bytes(file.into()).file_name("f.csv"));
    caller.send(caller.request("POST", "/v1/imports").multipart(form)).await
}

pub(crate) async fn job(caller: &Caller, place: &str, until: impl Fn(&Json) -> bool) -> Json {
    for _ in 0..30_000 {
        let job = caller.get(place).await.expect(200).json;
        if until(&job) {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{place} does not get on");
}

pub(crate) fn ended(job: &Json) -> bool {
    !["queued", "running"].contains(&job["state"].as_str().unwrap())
}

/// The result of an import that succeeds, and its place.
pub(crate) async fn imported(caller: &Caller, spec: &Json, file: impl Into<Vec<u8>>) -> (Json, String) {
    let answer = post(caller, spec, file).await.expect(202);
    let place = answer.header("location").to_owned();
    assert_eq!(place, format!("/v1/jobs/{}", answer.id()));
    let job = job(caller, &place, ended).await;
    assert_eq!(job["state"], "succeeded", "{job}");
    (job["result"].clone(), place)
}

pub(crate) async fn errors(caller: &Caller, place: &str) -> Vec<Json> {
    let answer = caller.get(&format!("{place}/errors?format=ndjson")).await.expect(200);
    let text = String::from_utf8(answer.bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// `(line, code)` of each row error.
fn places(errors: &[Json]) -> Vec<(i64, &str)> {
    errors.iter().map(|e| (e["line"].as_i64().unwrap(), e["code"].as_str().unwrap())).collect()
}

pub(crate) async fn left(server: &TestServer, table: &str) -> i64 {
    use sea_orm::ConnectionTrait as _;
    let store = &server.world().store;
    let sql = sea_orm::Statement::from_string(store.backend, format!("select count(*) from {table}"));
    store.read.query_one_raw(sql).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

fn accounts() -> Json {
    json!({"kind": "account", "mode": "upsert", "match": "external_id",
           "mapping": {"external_id": {"column": "id"}, "name": {"column": "name"}}})
}

#[test]
fn the_demo_data_with_its_specs() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let pipeline = admin.post("/v1/pipelines", json!({"name": "Sales"})).await.expect(201);
        for (name, kind) in [("Prospecting", "open"), ("Engaging", "open"), ("Won", "won"), ("Lost", "lost")] {
            let stage = json!({"name": name, "kind": kind, "pipeline_id": pipeline.id()});
            admin.post("/v1/stages", stage).await.expect(201);
        }
        for (name, created, failed) in [
            ("users", 43, 0),
            ("teams", 10, 0),
            ("memberships", 43, 0),
            ("products", 7, 0),
            ("accounts", 85, 0),
            ("opportunities", 8800, 1),
            ("cdnow_customers", 2357, 0),
            ("cdnow_orders", 6919, 0),
        ] {
            let spec = std::fs::read(format!("{DATA}/{name}.import.json")).unwrap();
            let spec: Json = serde_json::from_slice(&spec).unwrap();
            let file = std::fs::read(format!("{DATA}/{name}.csv")).unwrap();
            let (result, place) = imported(&admin, &spec, file.clone()).await;
            let seen = errors(&admin, &place).await;
            assert_eq!(
                (&result["created"], &result["failed"]),
                (&json!(created), &json!(failed)),
                "{name} {result} {seen:?}"
            );
            let replaced: Vec<_> = result["replaced"].as_array().unwrap().clone();
            let times = |from: &str| replaced.iter().find(|r| r["from"] == from).map(|r| r["rows"].clone());
            match name {
                "accounts" => {
                    assert_eq!((times("technolgy"), times("Philipines")), (Some(json!(12)), Some(json!(1))));
                    let parents = admin.list("/v1/accounts", &[("filter", "parent_id IS NOT NULL")]).await;
                    assert!(parents.data().len() >= 6, "parents further down are found");
                }
                "opportunities" => {
                    assert_eq!((times("GTXPro"), &result["empty"]["account"]), (Some(json!(1480)), &json!(1425)));
                    let refused: Vec<_> = seen.iter().filter(|e| e["severity"] == "error").cloned().collect();
                    assert_eq!(places(&refused), [(8802, "reference_not_found")]);
                    assert_eq!((&refused[0]["column"], &refused[0]["value"]), (&json!("account"), &json!("Teste")));
                    assert_eq!((seen.len(), &result["warnings"]), (3, &json!(2)), "two engage dates in 2026");
                }
                _ => assert_eq!(seen, [] as [Json; 0]),
            }
            let (again, _) = imported(&admin, &spec, file).await;
            assert_eq!((&again["created"], &again["updated"]), (&json!(0), &json!(0)), "{name} {again}");
            assert_eq!(again["unchanged"], json!(created), "{name}");
        }
        assert_eq!((left(&server, "job_input").await, left(&server, "import_deferred").await), (0, 0));
    });
}

#[test]
fn everything_wrong_with_a_spec_is_told_at_once_and_nothing_is_left() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let spec = json!({"kind": "account", "mode": "upsert", "encodin": "utf-8", "format": "xml", "match": "name",
            "mapping": {"nmae": {"column": "a"}, "version": {"column": "b"}, "country": {"constant": "XX"},
                "parent_id": {"column": "p", "lookup": {"kind": "user", "by": "nmae"}}, "name.first": {"column": "n"}},
            "formats": {"country": "%Y"}, "replace": {"zzz": {}}, "warn": {"p": {"least": 1}}});
        let answer = post(&admin, &spec, "a\n").await.expect(422);
        assert_eq!(answer.problem(), "validation_failed");
        let told: Vec<_> = answer.errors().iter().map(|(pointer, _)| (*pointer).to_owned()).collect();
        for pointer in [
            "/encodin",
            "/format",
            "/match",
            "/mapping/nmae",
            "/mapping/version",
            "/mapping/country/constant",
            "/mapping/parent_id/lookup/by",
            "/mapping/parent_id/lookup/kind",
            "/mapping/name.first",
            "/mapping",
            "/replace/zzz",
        ] {
            assert!(told.iter().any(|one| one == pointer), "{pointer} in {told:?}");
        }
        assert!(String::from_utf8_lossy(&answer.bytes).contains("did you mean `encoding`?"));

        let header = post(&admin, &accounts(), "id,nme\n1,A\n").await.expect(422);
        assert_eq!(header.errors(), [("/mapping/name/column", "unknown_column")]);
        let twice = post(&admin, &accounts(), "id,name,name\n1,A,B\n").await.expect(422);
        assert_eq!(twice.errors(), [("/mapping/name/column", "unknown_column")]);
        for file in [&b""[..], b"\xFF\xFEi\0d\0", b"id,n\xE4me\n", b"\"id,name\n1,2\n"] {
            assert_eq!(post(&admin, &accounts(), file).await.expect(422).errors(), [("/file", "unreadable_file")]);
        }
        let late = Form::new().text("file", "id\n").text("spec", "{}");
        let answer = admin.send(admin.request("POST", "/v1/imports").multipart(late)).await.expect(400);
        assert_eq!(answer.errors(), [("file", "unknown_parameter")]);
        let answer = admin.post("/v1/imports", accounts()).await.expect(415);
        assert_eq!(answer.problem(), "unsupported_media_type");
        let unbound = admin.request("POST", "/v1/imports").header("content-type", "multipart/form-data").body("--x");
        assert_eq!(admin.send(unbound).await.expect(415).problem(), "unsupported_media_type");
        for person in [Person::Manager, Person::Rep] {
            post(&server.as_person(person).await, &accounts(), "id,name\n1,A\n").await.expect(403);
        }
        assert_eq!((left(&server, "job").await, left(&server, "job_input").await), (0, 0));
    });
}

#[test]
fn dirt_costs_its_row_and_no_more() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let mut file =
            b"\xEF\xBB\xBFid,name\r\n1,\"Ann \"\"A\"\", Ltd\r\nsecond line\"\r\n2,B,x\r\n3,\"C\"c\r\n".to_vec();
        file.extend(b"4,\xE4\r\n5,");
        file.extend(vec![b'x'; 10 << 20]);
        file.extend("\r\n6,中文\r\n,G\r\n8,\r\n\"9,open\r\n10,last".as_bytes());
        let (result, place) = imported(&admin, &accounts(), file).await;
        let told = errors(&admin, &place).await;
        let unreadable = "unreadable_row";
        let wanted = [
            (4, unreadable),
            (5, unreadable),
            (6, unreadable),
            (7, unreadable),
            (9, "required"),
            (10, "required"),
            (11, unreadable),
        ];
        assert_eq!(places(&told), wanted, "{told:?}");
        assert_eq!((&result["created"], &result["failed"], &result["rows"]), (&json!(3), &json!(7), &json!(10)));
        let names = admin.list("/v1/accounts", &[("sort", "external_id"), ("fields", "name")]).await;
        let names: Vec<_> = names.data().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(names, ["Ann \"A\", Ltd\r\nsecond line", "last", "中文"]);
        let csv = admin.get(&format!("{place}/errors")).await.expect(200);
        assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
        let text = String::from_utf8(csv.bytes).unwrap();
        assert!(
            text.starts_with("line,severity,column,field,value,code,detail,record_id\r\n4,error,,,,unreadable_row,"),
            "{text}"
        );

        let mut chinese = accounts();
        chinese["encoding"] = json!("gb18030");
        chinese["mapping"]["name"]["column"] = json!("名称");
        let (result, _) = imported(&admin, &chinese, b"id,\xC3\xFB\xB3\xC6\n20,\xD6\xD0\xCE\xC4\n".to_vec()).await;
        assert_eq!(result["created"], 1);
        let found = admin.list("/v1/accounts", &[("filter", "external_id = \"20\"")]).await;
        assert_eq!(found.data()[0]["name"], "中文");
    });
}

#[test]
fn later_rows_win_and_lookups_that_find_two_are_refused() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let (result, _) = imported(&admin, &accounts(), "id,name\n1,first\n2,Twin\n1,second\n3,Twin\n1,third\n").await;
        let counts = (&result["created"], &result["updated"], &result["failed"]);
        assert_eq!(counts, (&json!(3), &json!(2), &json!(0)));
        let found = admin.list("/v1/accounts", &[("filter", "external_id = \"1\"")]).await;
        assert_eq!((&found.data()[0]["name"], &found.data()[0]["version"]), (&json!("third"), &json!(3)));

        let mut spec = accounts();
        spec["mapping"]["parent_id"] = json!({"column": "parent", "lookup": {"kind": "account", "by": "name"}});
        // 4 waits for 6, which waits for 5; 7 and 8 wait for each other; the later 4 must not be overtaken by the earlier.
        let file = "id,name,parent\n4,D,F\n5,E,Twin\n6,F,G\n9,G,\n7,H,I\n8,I,H\n4,D2,\n10,J,nobody\n";
        let (result, place) = imported(&admin, &spec, file).await;
        let told = errors(&admin, &place).await;
        let missing = "reference_not_found";
        assert_eq!(places(&told), [(3, "ambiguous_reference"), (6, missing), (7, missing), (9, missing)], "{told:?}");
        assert_eq!((&result["created"], &result["updated"], &result["rows"]), (&json!(3), &json!(1), &json!(8)));
        let found = admin.list("/v1/accounts", &[("filter", "external_id = \"4\"")]).await;
        assert_eq!((&found.data()[0]["name"], &found.data()[0]["parent_id"]), (&json!("D2"), &Json::Null));

        spec["mapping"]["parent_id"]["lookup"]["missing"] = json!("create");
        let (result, _) = imported(&admin, &spec, "id,name,parent\n11,K,Holding\n12,L,Holding\n").await;
        assert_eq!((&result["created"], &result["failed"]), (&json!(2), &json!(0)));
        let found = admin.list("/v1/accounts", &[("filter", "parent.name = \"Holding\"")]).await.expect(200);
        assert_eq!(found.data().len(), 2);
    });
}

#[test]
fn a_dry_run_tells_the_same_and_writes_nothing() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let mut spec = accounts();
        spec["mapping"]["parent_id"] = json!({"column": "parent", "lookup": {"kind": "account", "by": "name"}});
        spec["mapping"]["country"] = json!({"column": "country"});
        let file = "id,name,parent,country\n1,A,B,\n2,B,,US\n3,C,nobody,\n4,,,\n2,B,,DE\n";
        spec["dry_run"] = json!(true);
        let before = left(&server, "change").await;
        let (mut dry, place) = imported(&admin, &spec, file).await;
        let told = errors(&admin, &place).await;
        assert_eq!((left(&server, "account").await, left(&server, "change").await), (0, before));
        spec["dry_run"] = json!(false);
        let (mut wet, place) = imported(&admin, &spec, file).await;
        assert_eq!(errors(&admin, &place).await, told);
        assert_eq!((dry["dry_run"].take(), wet["dry_run"].take()), (json!(true), json!(false)));
        assert_eq!(dry, wet);
        assert_eq!((&wet["created"], &wet["updated"], &wet["failed"]), (&json!(2), &json!(1), &json!(2)));
    });
}

/// Enough rows that an import of them can be met half-way.
pub(crate) fn many() -> Vec<u8> {
    let rows = (0..6_000).map(|n| format!("{n:05},Customer {n}\n"));
    std::iter::once("id,name\n".to_owned()).chain(rows).flat_map(String::into_bytes).collect()
}

fn begun(job: &Json) -> bool {
    job["progress"]["done"].as_u64().unwrap() > 0
}

#[test]
fn a_restart_in_the_middle_loses_and_repeats_nothing() {
    for db in databases() {
        crate::support::on(db, |_| async {}); // the template is made outside of this test's own runtime
        block_on(restarted(db));
    }
}

async fn restarted(db: Db) {
    let mut server = TestServer::new(db).await;
    let admin = server.as_admin().await;
    let answer = post(&admin, &accounts(), many()).await.expect(202);
    let place = answer.header("location").to_owned();
    let met = job(&admin, &place, begun).await;
    assert_eq!((&met["state"], &met["progress"]["total"]), (&json!("running"), &json!(6_000)), "{met}");
    server.restart().await;
    let admin = server.as_admin().await;
    let job = job(&admin, &place, ended).await;
    assert_eq!((&job["state"], &job["result"]["created"]), (&json!("succeeded"), &json!(6_000)), "{job}");
    assert_eq!((left(&server, "account").await, left(&server, "job_input").await), (6_000, 0));
    server.end().await;
}

#[test]
fn a_cancelled_import_keeps_whole_pages_and_ends() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let answer = post(&admin, &accounts(), many()).await.expect(202);
        let place = answer.header("location").to_owned();
        job(&admin, &place, begun).await;
        let strangers = server.as_person(Person::Stranger).await;
        strangers.post(&format!("{place}/cancel"), json!({})).await.expect(404);
        let cancelled = admin.post(&format!("{place}/cancel"), json!({})).await.expect(200);
        assert_eq!(cancelled.json["state"], "cancelled");
        let again = admin.post(&format!("{place}/cancel"), json!({})).await.expect(409);
        assert_eq!(again.problem(), "invalid_state");
        tokio::time::sleep(Duration::from_millis(200)).await;
        let job = admin.get(&place).await.json;
        let stored = left(&server, "account").await;
        assert_eq!(job["progress"]["ok"].as_i64(), Some(stored), "{job}");
        assert!(stored > 0 && stored < 6_000 && stored % 500 == 0, "{stored}");
        assert_eq!(left(&server, "job_input").await, 0);
    });
}

#[test]
fn rows_find_their_record_by_any_fields_that_no_two_share() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        admin.post("/v1/pipelines", json!({"name": "Sales"})).await.expect(201);
        let stages = json!({"kind": "stage", "mode": "upsert", "match": "pipeline_id, name", "mapping": {
            "pipeline_id": {"column": "pipeline", "lookup": {"kind": "pipeline", "by": "name"}},
            "name": {"column": "name"}, "position": {"column": "position"}}});
        let (result, _) =
            imported(&admin, &stages, "pipeline,name,position\nSales,New,1\nSales,Won,2\nSales,New,3\n").await;
        assert_eq!((&result["created"], &result["updated"]), (&json!(2), &json!(1)), "{result}");
        let field = json!({"kind": "account", "name": "code", "type": "text", "unique": true});
        admin.post("/v1/custom-fields", field).await.expect(201);
        let mut accounts = json!({"kind": "account", "mode": "upsert", "match": "custom.code",
            "mapping": {"custom.code": {"column": "code"}, "name": {"column": "name"}}});
        imported(&admin, &accounts, "code,name\nA,Acme\nB,Globex\n").await;
        let (result, place) = imported(&admin, &accounts, "code,name\nA,Acme Ltd\n,Nobody\nC,Initech\n").await;
        let told = ["created", "updated", "failed"].map(|name| result[name].as_i64().unwrap());
        assert_eq!(told, [1, 1, 1], "{result}");
        assert_eq!(places(&errors(&admin, &place).await), [(3, "required")]);
        accounts["dry_run"] = json!(true);
        let (result, _) = imported(&admin, &accounts, "code,name\nD,New\nD,Newer\nA,Acme\n").await;
        assert_eq!((&result["created"], &result["updated"]), (&json!(1), &json!(2)), "{result}");
        for (by, says) in
            [("custom.cod", "possible: id, external_id, custom.code"), ("name", "possible"), ("id", "mapped")]
        {
            accounts["match"] = json!(by);
            let refused = post(&admin, &accounts, "code,name\nA,Acme\n").await.expect(422);
            assert_eq!(refused.errors(), [("/match", "invalid_value")], "{by}");
            assert!(refused.json["errors"].to_string().contains(says), "{}", refused.json);
        }
    });
}
