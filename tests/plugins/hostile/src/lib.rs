//! A scorer and segmenter that misbehaves as its configuration says, for tests of the host: `{"mode": "loop"}`.
//!
//! It stands on the bare contract, because the SDK would check its answers before they leave. Both kinds know every mode
//! of [`misbehave`]; `init_` before one of those makes `init` misbehave. [`distort_scores`] and [`distort_segments`] list
//! the wrong answers of each kind. Any other mode, such as `ok`, gives 50 or `good` for each row.

use std::{cell::RefCell, hint::black_box};

wit_bindgen::generate!({ world: "ripen:plugin/scorer-segmenter", path: "../../../sdk/wit/1", generate_all });

use exports::ripen::{
    score::scorer::{self, Figure, Scores},
    segment::segmenter::{self, Segments},
};
use ripen::{
    frame::types::{Column, Context, Frame, Reason},
    host::log,
};

thread_local!(static MODE: RefCell<String> = const { RefCell::new(String::new()) });

struct Hostile;

fn init(config: &str) -> Result<(), String> {
    std::panic::set_hook(Box::new(|info| log::write(1, &info.to_string())));
    let config: serde_json::Value = serde_json::from_str(config).map_err(|error| format!("config: {error}"))?;
    let mode = config.get("mode").and_then(serde_json::Value::as_str).ok_or("config: no mode")?;
    MODE.with(|slot| *slot.borrow_mut() = mode.into());
    mode.strip_prefix("init_").map_or(Ok(()), misbehave)
}

fn mode() -> String {
    MODE.with(|mode| mode.borrow().clone())
}

/// What gets as far as no answer.
fn misbehave(mode: &str) -> Result<(), String> {
    match mode {
        "loop" => loop {
            black_box(mode);
        },
        "memory_bomb" => {
            let mut held = Vec::new();
            loop {
                held.push(black_box(vec![1_u8; 1 << 20]));
            }
        }
        "deep_recursion" => {
            black_box(recurse(black_box(1)));
        }
        "panic" => panic!("no orders in any row"),
        "division_by_zero" => {
            black_box(divide(7, black_box(0)));
        }
        "unreachable" => core::arch::wasm32::unreachable(),
        "out_of_bounds" => {
            black_box(unsafe { std::ptr::read_volatile(0xffff_fff0_usize as *const u64) });
        }
        "huge_string" => return Err("x".repeat(16 << 20)),
        "host_call_flood" => loop {
            log::write(3, "again");
        },
        "host_call_flood_large" => {
            let line = "y".repeat(1 << 20);
            loop {
                log::write(3, &line);
            }
        }
        "log" => (0..200).for_each(|line| log::write(3, &format!("line {line}"))),
        "error" => return Err("these orders are not mine".into()),
        _ => {}
    }
    Ok(())
}

/// Keeps its frames on the machine's stack, none in linear memory, whose end would stop it otherwise.
#[inline(never)]
fn recurse(depth: u64) -> u64 {
    if depth == 0 { 0 } else { recurse(depth.wrapping_mul(3)).rotate_left(5) ^ depth }
}

/// The bare instruction: Rust's own check would make it a panic.
#[inline(never)]
fn divide(a: u32, b: u32) -> u32 {
    unsafe { std::hint::assert_unchecked(b != 0) };
    a / b
}

fn distort_scores(mode: &str, scores: &mut Scores, rows: u32) {
    let first = |column: &mut Vec<f64>, value| column.iter_mut().take(1).for_each(|cell| *cell = value);
    let reason = |code: &str, rows: Vec<u32>, args| Reason { code: code.into(), rows, args };
    match mode {
        "wrong_row_count" => scores.values.push(50.0),
        "wrong_contribution_count" => scores.contributions.iter_mut().for_each(|figure| figure.values.clear()),
        "huge_list" => scores.values = vec![50.0; 2 << 20],
        "nan" => first(&mut scores.values, f64::NAN),
        "infinity" => first(&mut scores.values, f64::INFINITY),
        "nan_figure" => scores.figures.push(Figure { code: "odds".into(), values: vec![f64::NAN; rows as usize] }),
        "out_of_range" => {
            first(&mut scores.values, 100.5);
            scores.contributions.iter_mut().take(1).for_each(|figure| first(&mut figure.values, 80.5));
        }
        "does_not_add_up" => first(&mut scores.values, 49.0),
        "no_contributions" => scores.contributions.clear(),
        "repeated_figure" => scores.contributions.iter_mut().for_each(|figure| figure.code = "same".into()),
        "unknown_reason" => scores.reasons.push(reason("unheard_of", vec![0], vec![])),
        "reason_of_no_row" => scores.reasons.push(reason("known", vec![rows], vec![Column::Numbers(vec![1.0])])),
        "reason_without_argument" => scores.reasons.push(reason("known", vec![0], vec![Column::Numbers(vec![])])),
        "inexact_integer" => scores.reasons.push(reason("known", vec![0], vec![Column::Integers(vec![1 << 53])])),
        "code_of_no_text" => {
            let texts = ripen::frame::types::Texts { dict: vec![], codes: vec![3] };
            scores.reasons.push(reason("known", vec![0], vec![Column::Texts(texts)]));
        }
        "declined_twice" | "declined_with_value" => {
            if mode == "declined_twice" {
                first(&mut scores.values, 0.0);
                scores.contributions.iter_mut().for_each(|figure| first(&mut figure.values, 0.0));
                scores.declined.push(reason("known", vec![0], vec![]));
            }
            scores.declined.push(reason("known", vec![0], vec![]));
        }
        _ => {}
    }
}

fn distort_segments(mode: &str, segments: &mut Segments, rows: u32) {
    match mode {
        "wrong_row_count" => segments.offsets.extend(segments.offsets.last().copied()),
        "unknown_label" => segments.labels = vec!["splendid".into()],
        "wrong_weight" => segments.weights.iter_mut().take(1).for_each(|weight| *weight = 0.5),
        "nan" => segments.weights.iter_mut().take(1).for_each(|weight| *weight = f64::NAN),
        "two_labels" => {
            segments.offsets = (0..=rows).map(|row| row * 2).collect();
            segments.codes = vec![0; rows as usize * 2];
            segments.weights = vec![1.0; rows as usize * 2];
        }
        "no_label" => {
            segments.offsets = vec![0; rows as usize + 1];
            segments.codes.clear();
            segments.weights.clear();
        }
        "code_of_no_label" => segments.codes.iter_mut().take(1).for_each(|code| *code = 9),
        "falling_offsets" => segments.offsets.iter_mut().skip(1).take(1).for_each(|offset| *offset = u32::MAX),
        "unknown_reason" => {
            segments.reasons.push(Reason { code: "unheard_of".into(), rows: vec![0], args: vec![] });
        }
        _ => {}
    }
}

impl scorer::Guest for Hostile {
    fn init(config: String, _: Context) -> Result<(), String> {
        init(&config)
    }

    fn score(rows: Frame) -> Result<Scores, String> {
        misbehave(&mode())?;
        let figure = |code: &str, value| Figure { code: code.into(), values: vec![value; rows.rows as usize] };
        let mut scores = Scores {
            values: vec![50.0; rows.rows as usize],
            contributions: vec![figure("base", 30.0), figure("rest", 20.0)],
            figures: vec![],
            reasons: vec![],
            declined: vec![],
        };
        distort_scores(&mode(), &mut scores, rows.rows);
        Ok(scores)
    }
}

impl segmenter::Guest for Hostile {
    fn init(config: String, _: Context) -> Result<(), String> {
        init(&config)
    }

    fn segment(rows: Frame) -> Result<Segments, String> {
        misbehave(&mode())?;
        let mut segments = Segments {
            labels: vec!["good".into()],
            offsets: (0..=rows.rows).collect(),
            codes: vec![0; rows.rows as usize],
            weights: vec![1.0; rows.rows as usize],
            reasons: vec![],
        };
        distort_segments(&mode(), &mut segments, rows.rows);
        Ok(segments)
    }
}

export!(Hostile);
