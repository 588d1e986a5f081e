//! A compiled guest that misbehaves in every way it knows: each is stopped under its own code, and the host goes on.

use std::{fs, sync::Arc};

use ripen_core::ports::{Artefact, Capability, PluginFailure, PluginHost};
use ripen_plugins::Host;

use crate::support::{call, context, host};

const ANY_KIND: &[(&str, &str)] = &[
    ("loop", "plugin_fuel_exhausted"),
    ("memory_bomb", "plugin_memory_exceeded"),
    ("deep_recursion", "plugin_stack_exhausted"),
    ("panic", "plugin_panicked"),
    ("division_by_zero", "plugin_divided_by_zero"),
    ("unreachable", "plugin_panicked"),
    ("out_of_bounds", "plugin_out_of_bounds"),
    ("huge_string", "plugin_returned_too_much"),
    ("host_call_flood", "plugin_host_calls_exceeded"),
    ("host_call_flood_large", "plugin_returned_too_much"),
    ("error", "plugin_refused"),
    ("init_loop", "plugin_fuel_exhausted"),
    ("init_panic", "plugin_panicked"),
    ("init_error", "plugin_refused"),
];

const SCORER: &[(&str, &str)] = &[
    ("wrong_row_count", "plugin_wrong_row_count"),
    ("wrong_contribution_count", "plugin_wrong_row_count"),
    ("huge_list", "plugin_returned_too_much"),
    ("nan", "plugin_not_finite"),
    ("infinity", "plugin_not_finite"),
    ("nan_figure", "plugin_not_finite"),
    ("out_of_range", "plugin_out_of_range"),
    ("does_not_add_up", "plugin_contributions_do_not_add_up"),
    ("no_contributions", "plugin_contributions_do_not_add_up"),
    ("repeated_figure", "plugin_repeated_code"),
    ("unknown_reason", "plugin_unknown_reason"),
    ("reason_of_no_row", "plugin_bad_index"),
    ("reason_without_argument", "plugin_wrong_row_count"),
    ("inexact_integer", "plugin_out_of_range"),
    ("code_of_no_text", "plugin_bad_index"),
    ("declined_twice", "plugin_bad_declined"),
    ("declined_with_value", "plugin_bad_declined"),
];

const SEGMENTER: &[(&str, &str)] = &[
    ("wrong_row_count", "plugin_wrong_row_count"),
    ("unknown_label", "plugin_unknown_label"),
    ("wrong_weight", "plugin_label_count"),
    ("nan", "plugin_not_finite"),
    ("two_labels", "plugin_label_count"),
    ("no_label", "plugin_label_count"),
    ("code_of_no_label", "plugin_bad_index"),
    ("falling_offsets", "plugin_bad_index"),
    ("unknown_reason", "plugin_unknown_reason"),
];

fn hostile(host: &Host) -> Artefact {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/plugins/hostile/hostile.wasm");
    host.verify(fs::read(path).expect("the committed guest").into()).expect("verified").artefact
}

fn config(mode: &str) -> String {
    format!(r#"{{"mode": "{mode}"}}"#)
}

/// Lets the guest run in `mode`, with rows enough that fuel does not end it before the limit it means to break; its log.
fn run(host: &Host, artefact: &Artefact, kind: Capability, mode: &str) -> Result<Vec<String>, PluginFailure> {
    let mut call = call(artefact, 200);
    call.config = config(mode).into();
    match kind {
        Capability::Scorer => host.score(call).map(|answer| answer.log),
        _ => host.segment(call).map(|answer| answer.log),
    }
}

#[test]
fn each_misbehaviour_has_its_code_and_the_host_goes_on() {
    let host = host();
    let artefact = hostile(&host);
    for (kind, own) in [(Capability::Scorer, SCORER), (Capability::Segmenter, SEGMENTER)] {
        for (mode, code) in ANY_KIND.iter().chain(own) {
            let failure = run(&host, &artefact, kind, mode).expect_err(mode);
            assert_eq!(failure.code, *code, "{} {mode}: {}", kind.as_str(), failure.detail);
            run(&host, &artefact, kind, "ok").expect("the host goes on");
        }
    }
}

#[test]
fn what_the_guest_says_is_kept() {
    let host = host();
    let artefact = hostile(&host);
    let said = |mode: &str| run(&host, &artefact, Capability::Scorer, mode).expect_err(mode).detail;
    assert!(said("panic").contains("no orders in any row"), "{}", said("panic"));
    assert_eq!(said("error"), "these orders are not mine");
    let log = run(&host, &artefact, Capability::Scorer, "log").expect("an answer");
    assert_eq!(log.len(), 101);
    assert_eq!((log[0].as_str(), log[99].as_str()), ("info line 0", "info line 99"));
    assert_eq!(log[100], "warn 100 further lines were dropped by the server");
}

#[test]
fn a_configuration_is_tried_before_it_is_accepted() {
    let host = host();
    let artefact = hostile(&host);
    let attempt = |kind, config: &str| host.try_config(kind, &artefact, config, &context());
    for kind in [Capability::Scorer, Capability::Segmenter] {
        attempt(kind, &config("ok")).expect("accepted");
        let failure = attempt(kind, "{}").expect_err("refused");
        assert_eq!((failure.code, failure.detail.as_str()), ("plugin_refused", "config: no mode"));
        assert_eq!(attempt(kind, &config("init_loop")).expect_err("stopped").code, "plugin_fuel_exhausted");
    }
    let failure = attempt(Capability::Incentive, "{}").expect_err("not run here");
    assert_eq!(failure.code, "plugin_unsupported_kind");
}

#[test]
fn guests_running_at_once_do_not_disturb_each_other() {
    let host = Arc::new(host());
    let artefact = hostile(&host);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (host, artefact) = (&host, &artefact);
            scope.spawn(move || {
                for round in 0..10 {
                    let (mode, code) = ANY_KIND[(thread + round) % ANY_KIND.len()];
                    let failure = run(host, artefact, Capability::Scorer, mode).expect_err(mode);
                    assert_eq!(failure.code, code, "{mode}");
                    run(host, artefact, Capability::Scorer, "ok").expect("the host goes on");
                }
            });
        }
    });
}
