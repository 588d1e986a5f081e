//! Roles of a tenant's own: what they grant is what can be done, everywhere alike.

use serde_json::{Value as Json, json};

use crate::{
    imports::{errors, imported, left},
    support::{Answer, Caller, PASSWORD, Person, TestServer, on_both},
};

const ROLES: &str = "/v1/roles";

/// A role of this definition, and someone who has it and nothing else.
pub(crate) async fn someone(server: &TestServer, key: &str, definition: Json) -> Caller {
    let admin = server.as_admin().await;
    let mut role = json!({"key": key, "name": key});
    role.as_object_mut().unwrap().extend(definition.as_object().unwrap().clone());
    admin.post(ROLES, role).await.expect(201);
    let email = format!("{key}@acme.example");
    let user = json!({"email": email, "name": key, "role": key, "state": "active"});
    let user = admin.post("/v1/users", user).await.expect(201);
    let path = format!("/v1/users/{}/password", user.id());
    admin.send(admin.request("PUT", &path).json(&json!({"password": PASSWORD}))).await.expect(204);
    let login = json!({"tenant": "acme", "email": email, "password": PASSWORD});
    let login = server.anonymous().post("/v1/auth/login", login).await.expect(200);
    server.with_token(login.json["access_token"].as_str())
}

async fn names(caller: &Caller, parameters: &[(&str, &str)]) -> Vec<String> {
    let sorted = [&[("sort", "name")], parameters].concat();
    let answer = caller.list("/v1/accounts", &sorted).await.expect(200);
    answer.data().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

fn account(name: &str, country: &str) -> Json {
    json!({"name": name, "country": country, "annual_revenue": {"amount": "7", "currency": "EUR"}, "grade": "A"})
}

#[test]
fn a_role_may_do_what_it_lists_and_nothing_else_from_the_next_request_on() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let clerk = someone(&server, "clerk", json!({"rights": ["account:*", "*:read", "me:read"]})).await;
        let me = clerk.get("/v1/me").await.expect(200).json;
        assert_eq!(me["role"], "clerk");
        let rights: Vec<_> = me["rights"].as_array().unwrap().iter().map(|right| right.as_str().unwrap()).collect();
        assert!(rights.contains(&"account:delete") && rights.contains(&"stage:read"), "{rights:?}");
        assert!(!rights.contains(&"contact:create") && !rights.contains(&"import:create"), "{rights:?}");
        let made = clerk.post("/v1/accounts", account("Mine", "DE")).await.expect(201);
        let refused = clerk.post("/v1/contacts", json!({"last_name": "Jones"})).await.expect(403);
        assert!(refused.json["detail"].as_str().unwrap().contains("contact:create"));
        let role = admin.list(ROLES, &[("filter", "key = \"clerk\"")]).await.expect(200);
        let here = format!("{ROLES}/{}", role.data()[0]["id"].as_str().unwrap());
        admin.patch(&here, json!({"rights": ["account:read"]})).await.expect(200);
        clerk.patch(&format!("/v1/accounts/{}", made.id()), json!({"name": "No more"})).await.expect(403);
        assert_eq!(names(&clerk, &[]).await, ["Mine"]);
        clerk.get("/v1/stages").await.expect(403);
        assert_eq!(admin.delete(&here).await.expect(422).errors(), [("/key", "still_referenced")]);
        let users = admin.list("/v1/users", &[("filter", "role = \"clerk\"")]).await.expect(200);
        let user = format!("/v1/users/{}", users.data()[0]["id"].as_str().unwrap());
        admin.patch(&user, json!({"role": "rep"})).await.expect(200);
        admin.delete(&here).await.expect(204);
        assert_eq!(clerk.get("/v1/me").await.expect(200).json["role"], "rep");
    });
}

#[test]
fn the_rows_of_a_role_are_the_same_in_every_operation() {
    on_both(|server| async move {
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        for (name, country) in [("Berlin", "DE"), ("Wien", "AT"), ("Oslo", "NO")] {
            admin.post("/v1/accounts", account(name, country)).await.expect(201);
        }
        rep.post("/v1/accounts", account("Reps", "NO")).await.expect(201);
        let rows = json!({"default": "own", "kinds": {"account": {"where": "country IN [\"DE\", \"AT\"] OR owner_id = me()"}}});
        let dach =
            someone(&server, "dach", json!({"rights": ["account:*", "change:read", "contact:*"], "rows": rows})).await;
        assert_eq!(names(&dach, &[]).await, ["Berlin", "Wien"]);
        assert_eq!(names(&dach, &[("search", "oslo")]).await, Vec::<String>::new());
        assert_eq!(names(&dach, &[("known_at", "2026-01-31T09:29:00Z")]).await, Vec::<String>::new());
        let oslo = admin.list("/v1/accounts", &[("filter", "name = \"Oslo\"")]).await.expect(200);
        let oslo = format!("/v1/accounts/{}", oslo.data()[0]["id"].as_str().unwrap());
        dach.get(&oslo).await.expect(404);
        dach.patch(&oslo, json!({"country": "DE"})).await.expect(404);
        let count = dach.post("/v1/accounts/aggregate", json!({"measures": [{"fn": "count"}]})).await.expect(200);
        assert_eq!(count.data()[0]["measures"]["count"], 2);
        let export = dach.get("/v1/accounts/export?fields=name").await.expect(200);
        assert_eq!(String::from_utf8(export.bytes).unwrap(), "name\r\nBerlin\r\nWien\r\n");
        let spy = json!({"last_name": "Spy", "account_id": oslo.rsplit('/').next().unwrap()});
        assert_eq!(dach.post("/v1/contacts", spy).await.expect(422).errors(), [("/account_id", "reference_not_found")]);
        dach.post("/v1/accounts", account("Mine", "NO")).await.expect(201);
        let theirs = json!({"name": "Theirs", "country": "NO", "owner_id": null});
        let refused = dach.post("/v1/accounts", theirs).await.expect(422);
        assert_eq!(refused.errors(), [("", "outside_your_reach")]);
        let berlin = admin.list("/v1/accounts", &[("filter", "name = \"Berlin\"")]).await.expect(200);
        let berlin = format!("/v1/accounts/{}", berlin.data()[0]["id"].as_str().unwrap());
        let away = dach.patch(&berlin, json!({"country": "NO"})).await.expect(422);
        assert_eq!(away.errors(), [("", "outside_your_reach")]);
        assert_eq!(names(&admin, &[]).await, ["Berlin", "Mine", "Oslo", "Reps", "Wien"]);
        let seen = loop {
            let log = dach.get("/v1/changes?kind=account").await.expect(200);
            if log.data().len() >= 3 {
                break log; // another test's transaction may hold the log back
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        };
        let seen: Vec<_> =
            seen.data().iter().map(|change| change["changed"]["name"]["after"].as_str().unwrap()).collect();
        assert_eq!(seen, ["Berlin", "Wien", "Mine"]);
    });
}

#[test]
fn a_row_outside_of_a_roles_filter_is_refused_alone() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let rows = json!({"default": "own", "kinds": {"account": {"where": "country IN [\"DE\", \"AT\"]"}}});
        let rights = json!(["account:*", "job:*", "import:create"]);
        let dach = someone(&server, "dach", json!({"rights": rights, "rows": rows})).await;
        let wien = dach.post("/v1/accounts", account("Wien", "AT")).await.expect(201).id().to_owned();
        let operations = json!([
            {"op": "create", "data": account("Berlin", "DE")},
            {"op": "create", "data": account("Oslo", "NO")},
            {"op": "update", "id": wien, "data": {"country": "NO"}},
            {"op": "upsert", "data": {"name": "Bonn", "country": "DE", "external_id": "bonn"}},
        ]);
        let body = |atomic| json!({"operations": operations, "atomic": atomic});
        let none = dach.post("/v1/accounts/batch", body(true)).await.expect(422);
        let outside = [("/operations/1/data", "outside_your_reach"), ("/operations/2/data", "outside_your_reach")];
        assert_eq!(none.errors(), outside);
        assert_eq!(names(&admin, &[]).await, ["Wien"]);
        let some = dach.post("/v1/accounts/batch", body(false)).await.expect(200);
        let statuses: Vec<_> = some.json["results"].as_array().unwrap().iter().map(|row| &row["status"]).collect();
        assert_eq!(statuses, [201, 422, 422, 201], "{}", some.json);
        assert_eq!(names(&admin, &[("filter", "country IN [\"DE\", \"AT\"]")]).await, ["Berlin", "Bonn", "Wien"]);
        let spec = json!({"kind": "account", "mapping": {"name": {"column": "Name"}, "country": {"column": "Land"}}});
        let (result, place) = imported(&dach, &spec, "Name,Land\nGraz,AT\nRom,IT\nKiel,DE\n").await;
        assert_eq!((&result["created"], &result["failed"]), (&json!(2), &json!(1)), "{result}");
        let refused = errors(&dach, &place).await;
        assert_eq!((&refused[0]["line"], &refused[0]["code"]), (&json!(3), &json!("outside_your_reach")));
        let all = ["Berlin", "Bonn", "Graz", "Kiel", "Wien"];
        assert_eq!(names(&admin, &[]).await, all);
        assert_eq!(left(&server, "change where kind = 'account'").await, 5, "what is refused leaves no trace");
    });
}

#[test]
fn rows_that_a_filter_keeps_for_each_others_sake_fall_together() {
    on_both(|server| async move {
        let rows = json!({"kinds": {"account": {"where": "any(accounts_by_parent, country = \"DE\")"}}});
        let chains = someone(&server, "chains", json!({"rights": ["account:*"], "rows": rows})).await;
        let id = |n: usize| format!("019c1363-49c0-7000-8000-0000000001{n:02}");
        let chain = |length: usize| {
            let one = |n: usize| {
                let parent = n.checked_sub(1).map(id);
                json!({"op": "create", "data": {"id": id(n), "name": "Link", "country": "DE", "parent_id": parent}})
            };
            json!({"operations": (0..length).map(one).collect::<Vec<_>>()})
        };
        let short = chains.post("/v1/accounts/batch", chain(4)).await.expect(200);
        let statuses: Vec<_> = short.json["results"].as_array().unwrap().iter().map(|row| &row["status"]).collect();
        assert_eq!(statuses, [422; 4], "each is the last in its turn: {}", short.json);
        let long = chains.post("/v1/accounts/batch", chain(20)).await.expect(422);
        assert_eq!(long.errors(), [("", "outside_your_reach")], "so many turns are not taken");
        assert_eq!(left(&server, "account").await, 0);
    });
}

#[test]
fn a_team_sees_what_its_members_own() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let rights = json!({"rights": ["account:*"], "rows": {"default": "team"}});
        let one = someone(&server, "peer", rights).await;
        let rep = server.as_person(Person::Rep).await;
        rep.post("/v1/accounts", account("Reps", "DE")).await.expect(201);
        server.as_person(Person::OtherRep).await.post("/v1/accounts", account("Others", "DE")).await.expect(201);
        one.post("/v1/accounts", account("Mine", "DE")).await.expect(201);
        assert_eq!(names(&one, &[]).await, ["Mine"]);
        let team = admin.post("/v1/teams", json!({"name": "North"})).await.expect(201);
        for email in ["peer@acme.example", "rep@acme.example"] {
            let user = admin.list("/v1/users", &[("filter", &format!("email = \"{email}\""))]).await.expect(200);
            let member = json!({"team_id": team.id(), "user_id": user.data()[0]["id"], "role": "member"});
            admin.post("/v1/memberships", member).await.expect(201);
        }
        assert_eq!(names(&one, &[]).await, ["Mine", "Reps"]);
    });
}

#[test]
fn a_field_one_may_not_read_is_as_if_it_were_not_there() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let made = admin.post("/v1/accounts", account("Acme", "DE")).await.expect(201);
        let here = format!("/v1/accounts/{}", made.id());
        let fields = json!({"account": {"annual_revenue": "none", "phone": "none", "grade": "read"}});
        let rights = json!(["account:read", "account:create", "account:update", "change:read"]);
        let intern =
            someone(&server, "intern", json!({"rights": rights, "rows": {"default": "all"}, "fields": fields})).await;
        let read = intern.get(&here).await.expect(200);
        assert!(read.object().get("annual_revenue").is_none() && read.json["grade"] == "A", "{}", read.json);
        let unknown = |answer: Answer, status: u16| {
            let answer = answer.expect(status);
            assert_eq!(answer.errors()[0].1, "unknown_field", "{}", answer.json);
            assert!(answer.json["detail"].as_str().unwrap().contains("annual_revenue"));
        };
        let same = |name: &str| {
            [
                vec![("filter", format!("{name} > 1"))],
                vec![("filter", format!("any(accounts_by_parent, {name} > 1)"))],
                vec![("sort", name.to_owned())],
                vec![("fields", format!("id,{name}"))],
            ]
        };
        for (hidden, absent) in same("annual_revenue").into_iter().zip(same("annual_revenuf")) {
            let ask = async |parameters: &[(&str, String)]| {
                let given: Vec<_> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
                intern.list("/v1/accounts", &given).await.expect(400)
            };
            let (hidden, absent) = (ask(&hidden).await, ask(&absent).await);
            assert_eq!(hidden.errors(), absent.errors());
            let text = |answer: &Answer| answer.json["detail"].as_str().unwrap().replace("revenuf", "revenue");
            assert_eq!(text(&hidden), text(&absent));
        }
        unknown(intern.patch(&here, json!({"annual_revenue": {"amount": "8", "currency": "EUR"}})).await, 422);
        let sum = json!({"measures": [{"fn": "sum", "field": "annual_revenue"}]});
        intern.post("/v1/accounts/aggregate", sum).await.expect(400);
        let export = intern.get("/v1/accounts/export?format=ndjson").await.expect(200);
        assert!(!String::from_utf8(export.bytes).unwrap().contains("annual_revenue"));
        let read_only = intern.patch(&here, json!({"grade": "B"})).await.expect(422);
        assert_eq!(read_only.errors(), [("/grade", "read_only")]);
        let renamed = intern.patch(&here, json!({"name": "Acme Ltd"})).await.expect(200);
        assert!(renamed.object().get("annual_revenue").is_none());
        let whole = admin.get(&here).await.expect(200).json;
        assert_eq!((&whole["annual_revenue"], &whole["name"]), (&made.json["annual_revenue"], &json!("Acme Ltd")));
        let taken = intern.post("/v1/accounts", json!({"name": "Second"})).await.expect(201);
        intern.post("/v1/accounts", json!({"name": "Third"})).await.expect(201);
        assert_eq!(taken.json["grade"], Json::Null);
        let log = loop {
            let log = intern.get("/v1/changes?kind=account").await.expect(200);
            if log.data().len() >= 4 {
                break log;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        };
        assert!(!String::from_utf8(log.bytes).unwrap().contains("annual_revenue"));
    });
}

#[test]
fn a_role_that_makes_no_sense_is_refused_at_every_place_and_nobody_raises_themselves() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let role = json!({"key": "Bad Key", "name": "Bad",
            "rights": ["acount:read", "account:fly", "user:set_password", "*:*"],
            "rows": {"default": {"where": "true"}, "kinds": {
                "acount": "own", "stage": "own", "account": {"where": "siz > 1"}, "contact": {"where": "last_name ="}}},
            "fields": {"account": {"siz": "none", "id": "none", "name": "none"}, "nothing": {"x": "none"}}});
        let refused = admin.post(ROLES, role).await.expect(422);
        let mut places: Vec<_> = refused.errors().iter().map(|(place, _)| (*place).to_owned()).collect();
        places.sort_unstable();
        let wanted = [
            "/fields/account/id",
            "/fields/account/name",
            "/fields/account/siz",
            "/fields/nothing",
            "/key",
            "/rights/0",
            "/rights/1",
            "/rights/2",
            "/rows/default",
            "/rows/kinds/account",
            "/rows/kinds/acount",
            "/rows/kinds/contact",
            "/rows/kinds/stage",
        ];
        assert_eq!(places, wanted, "{}", refused.json);
        for key in ["admin", "rep"] {
            let taken = admin.post(ROLES, json!({"key": key, "name": "x", "rights": []})).await.expect(422);
            assert_eq!(taken.errors(), [("/key", "duplicate")]);
        }
        let unknown = admin.post("/v1/users", json!({"email": "x@acme.example", "name": "X", "role": "clark"})).await;
        assert_eq!(unknown.expect(422).errors(), [("/role", "invalid_value")]);
        let people = someone(&server, "people", json!({"rights": ["user:*", "role:read", "me:read"]})).await;
        people.post(ROLES, json!({"key": "mine", "name": "Mine", "rights": ["*:*"]})).await.expect(403);
        let me = people.get("/v1/me").await.expect(200).json["user"]["id"].as_str().unwrap().to_owned();
        let raised = people.patch(&format!("/v1/users/{me}"), json!({"role": "admin"})).await.expect(422);
        assert_eq!(raised.errors(), [("/role", "outside_your_reach")]);
        let path = format!("/v1/users/{me}/password");
        people.send(people.request("PUT", &path).json(&json!({"password": PASSWORD}))).await.expect(403);
        let admins = admin.list("/v1/users", &[("filter", "role = \"admin\"")]).await.expect(200);
        let last = format!("/v1/users/{}", admins.data()[0]["id"].as_str().unwrap());
        let locked = admin.patch(&last, json!({"role": "people"})).await.expect(422);
        assert_eq!(locked.errors(), [("/role", "invalid_state")]);
        let stranger = server.as_person(Person::Stranger).await;
        assert!(stranger.get(ROLES).await.expect(200).data().is_empty());
        let foreign = json!({"email": "x@globex.example", "name": "X", "role": "people"});
        assert_eq!(stranger.post("/v1/users", foreign).await.expect(422).errors(), [("/role", "invalid_value")]);
    });
}

/// For every kind, role and record: what is explained is what happens.
#[test]
fn an_explanation_says_what_requests_are_answered() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let rows = json!({"default": "own", "kinds": {"account": {"where": "country = \"DE\""}}});
        let rights = json!(["account:read", "account:update", "contact:read", "stage:read", "me:read"]);
        let fields = json!({"account": {"phone": "none", "grade": "read"}});
        let dach = json!({"rights": rights, "rows": rows, "fields": fields});
        let callers = [
            admin.clone(),
            server.as_person(Person::Manager).await,
            server.as_person(Person::Rep).await,
            someone(&server, "dach", dach).await,
        ];
        let mut records = Vec::new();
        for (caller, country) in [(&admin, "DE"), (&callers[1], "NO"), (&callers[2], "DE")] {
            let account = caller.post("/v1/accounts", account("Acme", country)).await.expect(201);
            let contact = json!({"last_name": "Jones", "account_id": account.id()});
            records.push(("account", "accounts", account.id().to_owned()));
            records.push((
                "contact",
                "contacts",
                caller.post("/v1/contacts", contact).await.expect(201).id().to_owned(),
            ));
        }
        let pipeline = admin.post("/v1/pipelines", json!({"name": "Sales"})).await.expect(201).id().to_owned();
        records.push(("pipeline", "pipelines", pipeline));
        let (mut given, mut refused) = (0, 0);
        for caller in &callers {
            let user = caller.get("/v1/me").await.expect(200).json["user"]["id"].clone();
            for (kind, plural, id) in &records {
                let place = format!("/v1/{plural}/{id}");
                let reads = caller.get(&place).await.status == 200;
                let updates = caller.patch(&place, json!({})).await.status == 200;
                for (verb, happens) in [("read", reads), ("update", updates && reads)] {
                    let question = json!({"user": user, "kind": kind, "id": id, "verb": verb});
                    let why = admin.post("/v1/access/explain", question).await.expect(200).json;
                    assert_eq!(why["allowed"], happens, "{verb} {place} as {user}: {why}");
                    if happens { given += 1 } else { refused += 1 }
                }
            }
        }
        assert!(given > 10 && refused > 10, "{given} {refused}");
    });
}

#[test]
fn an_explanation_names_rows_and_fields_and_is_for_admins_about_their_own() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let rows = json!({"default": "own", "kinds": {"account": {"where": "country = \"DE\""}}});
        for name in ["budget", "margin"] {
            let field = json!({"kind": "account", "name": name, "type": "number"});
            admin.post("/v1/custom-fields", field).await.expect(201);
        }
        let own = json!({"phone": "none", "grade": "read", "custom.budget": "read", "custom.margin": "none"});
        let fields = json!({"account": own});
        let dach = json!({"rights": ["account:read", "account:update", "me:read"], "rows": rows, "fields": fields});
        let dach = someone(&server, "dach", dach).await;
        let me = dach.get("/v1/me").await.expect(200).json["user"]["id"].clone();
        for (field, verb, allowed, detail) in [
            ("name", "update", true, "the role may write it"),
            ("grade", "read", true, "the role may read it"),
            ("grade", "update", false, "the role may read it, and not write it"),
            ("phone", "read", false, "the role may not read it"),
            ("custom.budget", "read", true, "the role may read it"),
            ("custom.budget", "update", false, "the role may read it, and not write it"),
            ("custom.margin", "read", false, "the role may not read it"),
        ] {
            let question = json!({"user": me, "kind": "account", "field": field, "verb": verb});
            let why = admin.post("/v1/access/explain", question).await.expect(200).json;
            assert_eq!((&why["allowed"], &why["steps"][3]["detail"]), (&json!(allowed), &json!(detail)), "{why}");
            assert_eq!(why["steps"][2]["detail"], "they see the accounts that `country = \"DE\"` keeps");
        }
        let wrong = json!({"user": me, "kind": "acount"});
        assert_eq!(admin.post("/v1/access/explain", wrong).await.expect(422).errors(), [("/kind", "invalid_value")]);
        let wrong = json!({"user": me, "kind": "account", "field": "siz"});
        assert_eq!(admin.post("/v1/access/explain", wrong).await.expect(422).errors(), [("/field", "unknown_field")]);
        server
            .as_person(Person::Rep)
            .await
            .post("/v1/access/explain", json!({"user": me, "kind": "account"}))
            .await
            .expect(403);
        let stranger = server.as_person(Person::Stranger).await;
        stranger.post("/v1/access/explain", json!({"user": me, "kind": "account"})).await.expect(404);
        let gone = json!({"user": me, "kind": "account", "id": "01939e2b-6c00-7000-8000-000000000001"});
        admin.post("/v1/access/explain", gone).await.expect(404);
    });
}
