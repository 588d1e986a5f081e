//! What the fuzz targets of `fuzz/` start from, and what their runs have left, as ordinary tests.

use std::{fs, path::Path};

use proptest::{collection::vec, prelude::*, sample::Index, test_runner::TestRunner};

/// The inputs as they are, and mixed: what holds for any bytes must hold for those that are nearly right.
/// `PROPTEST_CASES=100000` mixes longer.
fn run(target: &str, body: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 8, "{target} has {} inputs: are they still read?", files.len());
    let inputs: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    for (input, file) in inputs.iter().zip(&files) {
        eprintln!("{}", file.display());
        body(input);
    }
    let edits = vec((any::<Index>(), any::<Index>(), any::<Index>(), any::<u8>()), 0..6);
    let mixed = TestRunner::default().run(&(any::<Index>(), edits), |(first, edits)| {
        let mut bytes = first.get(&inputs).clone();
        for (place, other, part, byte) in edits {
            let (at, other) = (place.index(bytes.len() + 1), other.get(&inputs));
            match byte % 4 {
                0 => bytes.insert(at, byte),
                1 => bytes.truncate(at),
                2 => drop(bytes.splice(at..(at + 1).min(bytes.len()), [byte])),
                _ => drop(bytes.splice(at..at, other[part.index(other.len() + 1)..].to_vec())),
            }
        }
        body(&bytes);
        Ok(())
    });
    mixed.unwrap();
}

#[test]
fn filters_of_the_corpus_print_as_what_they_mean() {
    run("filter", ripen_core::fuzz::filter);
}

#[test]
fn cursors_of_the_corpus_open_as_they_were_sealed() {
    run("cursor", ripen_core::fuzz::cursor);
}

#[test]
fn rows_of_the_corpus_do_not_depend_on_the_pieces_they_arrive_in() {
    run("rows", ripen_core::fuzz::rows);
}
