//! What the fuzz targets of `fuzz/` start from, and what their runs have left, as ordinary tests.

use std::{fs, path::Path};

fn run(target: &str, body: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 8, "{target} has {} inputs: are they still read?", files.len());
    for file in files {
        eprintln!("{}", file.display());
        body(&fs::read(file).unwrap());
    }
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
