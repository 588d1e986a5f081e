//! What an author gets: fixtures in the sandbox, a run over a file.

use ripen_core::ports::{Capability, PluginHost};
use ripen_plugins::{
    author::{Outcome, run_file},
    trial,
};

use crate::{
    guest::{Guest, manifest},
    support::{context, host},
};

fn with_fixtures(fixtures: &str) -> Guest {
    Guest { manifest: manifest(&format!(r#", "tests": {{"fixtures": {fixtures}}}"#)), ..Guest::default() }
}

#[test]
fn fixtures_run_before_a_plugin_is_accepted() {
    let good = r#"[{"name": "one", "kind": "scorer", "inputs": {"orders": [3]}, "expect": {"values": [0]}}]"#;
    let verified = host().verify(with_fixtures(good).bytes().into()).expect("verified");
    assert_eq!(verified.fixtures, 1);
    assert!(verified.fuel_per_row > 0);

    let refuse = |fixtures: &str| {
        let failure = host().verify(with_fixtures(fixtures).bytes().into()).expect_err("refused");
        (failure.code, failure.detail)
    };
    let (code, detail) = refuse(&good.replace("[0]", "[1]"));
    assert_eq!(code, "plugin_fixture_failed");
    assert!(detail.contains("`one`, values, row 0: 1 expected, 0 answered"), "{detail}");
    // A fixture with two rows meets a guest that always answers one.
    let (code, detail) = refuse(&good.replace("[3]", "[3, 4]"));
    assert_eq!(code, "plugin_wrong_row_count");
    assert!(detail.contains("fixture `one`"), "{detail}");
    assert_eq!(refuse(r#"[{"name": "one"}]"#).0, "plugin_fixture_failed");
    assert_eq!(refuse(&good.replace("orders", "revenue")).0, "plugin_fixture_failed");
}

#[test]
fn every_fixture_is_reported() {
    let fixtures = r#"[{"name": "a", "kind": "scorer", "inputs": {"orders": [3]}, "expect": {"values": [7]}},
                       {"name": "b", "kind": "scorer", "inputs": {"orders": [3]}, "expect": {"values": [0]}}]"#;
    let host = host();
    let mut artefact = host.verify(Guest::default().bytes().into()).expect("verified").artefact;
    let mut with = (*artefact.manifest).clone();
    with.tests.fixtures = Some(serde_json::from_str(fixtures).expect("JSON"));
    artefact.manifest = with.into();
    let trials = trial::run(&host, &artefact).expect("trials");
    let passed: Vec<_> = trials.iter().map(|trial| (trial.fixture.as_str(), trial.outcome.is_ok())).collect();
    assert_eq!(passed, [("a", false), ("b", true)]);
}

#[test]
fn a_file_is_run_row_by_row() {
    let host = host();
    let required = manifest("").replace("order_count\"", "order_count\", \"required\": true");
    let artefact =
        host.verify(Guest { manifest: required, ..Guest::default() }.bytes().into()).expect("verified").artefact;
    let run = |csv: &str| run_file(&host, &artefact, Capability::Scorer, "{}", context(), csv.as_bytes(), &mut |_| ());
    let rows = run("id,orders\nA,\nB,2.5\n").expect("a run");
    assert_eq!(
        rows.iter().map(|row| (row.line, row.id.as_deref())).collect::<Vec<_>>(),
        [(2, Some("A")), (3, Some("B"))]
    );
    assert_eq!(rows[0].outcome, Outcome::NotScored("orders".into()));
    assert_eq!(rows[1].outcome, Outcome::Score { value: 0.0, contributions: vec![] });
    for (csv, message) in [
        ("orders,colour\n1,red\n", "column `colour` is no input of the manifest; it has orders"),
        ("id\nA\n", "the file has no column `orders`, which the manifest requires"),
        ("orders\nmany\n", "line 2, column `orders`: `many` is no number"),
    ] {
        assert_eq!(run(csv).expect_err("refused").to_string(), message);
    }
    assert!(run("orders\n1,2\n").expect_err("ragged").to_string().starts_with("the file is no CSV"));
}

#[test]
fn the_shipped_rfm_plugin_runs_over_a_file_with_its_own_quantiles() {
    let host = host();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/rfm/rfm.wasm");
    let verified = host.verify(std::fs::read(path).expect("the committed plugin").into()).expect("verified");
    assert!(verified.fixtures >= 3);
    let csv =
        "id,recency_days,orders,revenue\na,10,50,5000\nb,20,40,4000\nc,30,30,3000\nd,40,20,2000\ne,50,,\nf,,1,1\n";
    let run = |kind| {
        let rows =
            run_file(&host, &verified.artefact, kind, "{}", context(), csv.as_bytes(), &mut |_| ()).expect("a run");
        rows.into_iter().map(|row| row.outcome).collect::<Vec<_>>()
    };
    let scores = run(Capability::Scorer);
    for (outcome, digit) in scores.iter().zip([4.0, 3.0, 2.0, 1.0, 0.0]) {
        let Outcome::Score { value, contributions } = outcome else { unreachable!("{outcome:?}") };
        assert!((value - 25.0 * digit).abs() < 1e-9, "{value}");
        assert_eq!(contributions.len(), 3);
    }
    let missing = Outcome::NotScored("recency_days".into());
    assert_eq!((scores.len(), &scores[5]), (6, &missing));
    let labels = ["champion", "champion", "loyal", "hibernating", "lost"];
    let labels = labels.map(|label| Outcome::Labels([(label.to_owned(), 1.0)].into()));
    assert_eq!(run(Capability::Segmenter), [&labels[..], &[missing]].concat());
}
