//! Every input that the fuzz targets found worth keeping, replayed.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use tapcopy_properties::ALL;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|fault| panic!("{}: {fault}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn what_holds_holds_for_every_corpus() {
    let mut failed = Vec::new();
    for (name, check) in ALL {
        let inputs = entries(&corpora().join(name));
        assert!(!inputs.is_empty(), "the corpus of {name} is empty");
        failed.extend(inputs.into_iter().filter(|input| {
            let bytes = fs::read(input).unwrap();
            catch_unwind(|| check(&bytes)).is_err()
        }));
    }
    assert!(failed.is_empty(), "these inputs fail: {failed:#?}");
}

#[test]
fn every_corpus_and_every_target_belong_to_a_property() {
    let mut names = ALL.map(|(name, _)| name.to_owned());
    names.sort();
    let name = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    let found = |folder: PathBuf| entries(&folder).into_iter().map(name).collect::<Vec<_>>();
    assert_eq!(found(corpora()), names);
    assert_eq!(found(corpora().join("../fuzz_targets")), names);
}
