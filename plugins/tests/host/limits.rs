//! What a running guest may not do: each limit and each trap has its own code and names the figure.

use std::time::{Duration, Instant};

use ripen_core::ports::PluginHost;
use ripen_plugins::HostLimits;
use wasm_encoder::{HeapType, Instruction as I, MemArg};

use crate::{
    guest::{ANSWER, Guest, LOG, NUMBERS, SCORE, TABLE, forever, manifest, scores},
    support::{call, code_of, host, patient, score, with_limits},
};

fn failing(guest: &Guest) -> (&'static str, String) {
    let host = host();
    code_of(&host, score(&host, guest))
}

fn log(level: i32, at: i32, length: i32) -> [I<'static>; 4] {
    [I::I32Const(level), I::I32Const(at), I::I32Const(length), I::Call(LOG)]
}

#[test]
fn an_endless_loop_ends_with_its_fuel_or_its_time() {
    let (code, detail) = failing(&Guest::running(forever(&[])));
    assert_eq!((code, detail.as_str()), ("plugin_fuel_exhausted", "used up its 21000000 fuel for this call"));

    let limits = HostLimits { fuel: u64::MAX >> 2, ..HostLimits::default() };
    let (host, started) = (with_limits(limits), Instant::now());
    let (code, detail) = code_of(&host, score(&host, &Guest::running(forever(&[]))));
    assert_eq!((code, detail.as_str()), ("plugin_time_exceeded", "stopped after the 255 ms it has for this"));
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_manifest_lowers_fuel_and_memory() {
    let guest = Guest {
        manifest: manifest(r#", "limits": {"fuel": 1000, "fuel_per_row": 10}"#),
        ..Guest::running(forever(&[]))
    };
    assert_eq!(failing(&guest).1, "used up its 1010 fuel for this call");
    let grow = forever(&[I::I32Const(1), I::MemoryGrow(0), I::Drop]);
    let guest = Guest { manifest: manifest(r#", "limits": {"memory": "1 MiB"}"#), ..Guest::running(grow) };
    assert_eq!(failing(&guest).1, "asked for 1088 KiB of memory, the limit is 1 MiB");
}

#[test]
fn memory_and_tables_stop_growing() {
    let grow = forever(&[I::I32Const(16), I::MemoryGrow(0), I::Drop]);
    let (code, detail) = failing(&Guest::running(grow));
    assert_eq!(
        (code, detail.as_str()),
        ("plugin_memory_exceeded", "asked for 33024 KiB of memory, the limit is 32 MiB")
    );
    let (code, _) = failing(&Guest { pages: 513, ..Guest::default() });
    assert_eq!(code, "plugin_memory_exceeded");

    let null = I::RefNull(HeapType::Abstract { shared: false, ty: wasm_encoder::AbstractHeapType::Func });
    let grow = forever(&[null, I::I32Const(1000), I::TableGrow(TABLE), I::Drop]);
    let (code, detail) = failing(&Guest::running(grow));
    assert_eq!(code, "plugin_table_exceeded");
    assert!(detail.contains("the limit is 4000"), "{detail}");
}

#[test]
fn recursion_ends_with_the_stack() {
    let recurse = vec![I::LocalGet(0), I::LocalGet(1), I::LocalGet(2), I::Call(SCORE), I::Drop];
    let limits = HostLimits { fuel: 1 << 40, ..patient() };
    let host = with_limits(limits);
    let (code, detail) = code_of(&host, score(&host, &Guest::running(recurse)));
    assert_eq!(code, "plugin_stack_exhausted");
    assert!(detail.contains("512 KiB"), "{detail}");
}

#[test]
fn a_panic_comes_with_the_logged_message() {
    let mut guest = Guest::running([log(3, 3000, 4).to_vec(), log(1, 3004, 4).to_vec(), vec![I::Unreachable]].concat());
    guest.data.push((3000, b"fineoops".to_vec()));
    assert_eq!(failing(&guest), ("plugin_panicked", "oops".into()));
    assert_eq!(failing(&Guest::running(vec![I::Unreachable])).0, "plugin_panicked");
}

#[test]
fn traps_have_names() {
    let divide = vec![I::I32Const(1), I::I32Const(0), I::I32DivU, I::Drop];
    assert_eq!(failing(&Guest::running(divide)).0, "plugin_divided_by_zero");
    let load = vec![I::I32Const(-4), I::I32Load(MemArg { offset: 0, align: 2, memory_index: 0 }), I::Drop];
    assert_eq!(failing(&Guest::running(load)).0, "plugin_out_of_bounds");
    let convert = vec![I::F64Const(f64::NAN.into()), I::I32TruncF64S, I::Drop];
    assert_eq!(failing(&Guest::running(convert)).0, "plugin_trapped");
}

#[test]
fn a_flood_of_host_calls_is_stopped() {
    let (code, detail) = failing(&Guest::running(forever(&log(3, 3000, 4))));
    assert_eq!(
        (code, detail.as_str()),
        ("plugin_host_calls_exceeded", "more than 1000 calls of host functions in one call")
    );
    let (code, detail) = failing(&Guest { pages: 32, ..Guest::running(forever(&log(3, 0, 1 << 20))) });
    assert_eq!(code, "plugin_returned_too_much");
    assert!(detail.contains("9437184 bytes"), "{detail}");
}

#[test]
fn a_huge_answer_is_not_copied() {
    let guest = Guest { pages: 500, ..Guest::answering(vec![(ANSWER, scores(NUMBERS, 2 << 20))]) };
    let (code, detail) = failing(&guest);
    assert_eq!(code, "plugin_returned_too_much");
    assert!(detail.contains("8 MiB"), "{detail}");
}

#[test]
fn an_answer_outside_of_memory_is_refused() {
    assert_eq!(failing(&Guest::answering(vec![(ANSWER, scores(-16, 1000))])).0, "plugin_malformed_answer");
    // Neither ok nor err.
    assert_eq!(failing(&Guest::answering(vec![(ANSWER, vec![7; 44])])).0, "plugin_malformed_answer");
}

#[test]
fn a_refusal_is_the_guests_own_text() {
    let refusal: Vec<u8> = [1, 3000, 8].iter().flat_map(|word: &i32| word.to_le_bytes()).collect();
    let guest = Guest::answering(vec![(ANSWER, refusal), (3000, b"no rates".to_vec())]);
    assert_eq!(failing(&guest), ("plugin_refused", "no rates".into()));
}

#[test]
fn values_are_checked() {
    let value = |value: f64| {
        failing(&Guest::answering(vec![(ANSWER, scores(NUMBERS, 1)), (NUMBERS, value.to_le_bytes().to_vec())]))
    };
    assert_eq!(value(f64::NAN).0, "plugin_not_finite");
    assert_eq!(value(f64::INFINITY).0, "plugin_not_finite");
    assert_eq!(value(100.5).0, "plugin_out_of_range");
    assert_eq!(value(50.0).0, "plugin_contributions_do_not_add_up");
    assert_eq!(failing(&Guest::answering(vec![(ANSWER, scores(NUMBERS, 2))])).0, "plugin_wrong_row_count");
}

#[test]
fn the_log_is_kept_to_its_limits() {
    let body: Vec<_> = (0..103).flat_map(|_| log(9, 0, 5000)).collect();
    let answer = score(&host(), &Guest { pages: 4, ..Guest::running(body) }).expect("an answer");
    assert_eq!(answer.log.len(), 101);
    assert_eq!(answer.log[0].len(), "debug ".len() + 1024);
    assert_eq!(answer.log[100], "warn 3 further lines were dropped by the server");
}

#[test]
fn fuel_and_memory_are_accounted_the_same_each_time() {
    let host = host();
    let verified = host.verify(Guest::default().bytes().into()).expect("verified");
    let answers: Vec<_> = (0..3).map(|_| host.score(call(&verified.artefact, 1)).expect("an answer")).collect();
    assert!(answers[0].fuel > 0 && answers.iter().all(|answer| answer.fuel == answers[0].fuel));
    assert_eq!(answers[0].peak_memory, 4 << 16);
}

#[test]
fn rows_are_checked_before_the_guest_sees_them() {
    let host = host();
    let artefact = host.verify(Guest::default().bytes().into()).expect("verified").artefact;
    assert_eq!(host.score(call(&artefact, 10_001)).expect_err("too many").code, "plugin_too_many_rows");
    let mut missing = call(&artefact, 1);
    missing.frame.fields.clear();
    assert_eq!(host.score(missing).expect_err("no column").code, "plugin_bad_frame");
    let mut short = call(&artefact, 2);
    short.frame.rows = 3;
    assert_eq!(host.score(short).expect_err("short column").code, "plugin_bad_frame");
    assert_eq!(host.segment(call(&artefact, 1)).expect_err("no segmenter").code, "plugin_unsupported_kind");
}
