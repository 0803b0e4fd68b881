use super::*;
use std::os::unix::fs::PermissionsExt;

/// How often each file of a store is damaged.
const DAMAGES: usize = 20;

fn document() -> Document {
    let maps = ["80-10.0.0.1:80".parse().unwrap()];
    Document { service: crate::map::services(&maps), ..Document::default() }
}

fn stored(folder: &Path) -> Option<Document> {
    Store::open(folder).unwrap().settings().unwrap()
}

#[test]
fn settings_survive() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.settings().unwrap(), None);
    store.put_settings(&document(), Changes::default()).unwrap();
    assert_eq!(store.settings().unwrap(), Some(document()));
    drop(store);
    assert_eq!(stored(folder.path()), Some(document()));
}

#[test]
fn the_copy_steps_in_when_the_store_is_gone_or_damaged() {
    for damage in
        [std::fs::remove_dir_all::<PathBuf> as fn(PathBuf) -> _, |store| std::fs::write(store.join("db"), "x")]
    {
        let folder = tempfile::tempdir().unwrap();
        Store::open(folder.path()).unwrap().put_settings(&document(), Changes::default()).unwrap();
        damage(folder.path().join(STORE)).unwrap();
        assert_eq!(stored(folder.path()), Some(document()));
        // From then on it is in the store again.
        std::fs::remove_file(folder.path().join(COPY)).unwrap();
        assert_eq!(stored(folder.path()), Some(document()));
    }
}

/// Settings of version 1, and of version 2 in force.
fn two_versions(folder: &Path) -> Document {
    let (store, first) = (Store::open(folder).unwrap(), document());
    let mut second = document();
    second.service[0].targets = vec!["10.0.0.2:80".to_owned()];
    for (number, document) in [(1, &first), (2, &second)] {
        let mut changes = Changes::default();
        changes.put(&version_key(number), &serde_json::json!({ "number": number, "document": document }));
        store.put_settings(document, changes).unwrap();
    }
    second
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, mut files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| files_below(folder)));
    files.sort();
    files
}

/// A bit flipped or the rest cut off, anywhere in what sled has written: the settings are the last ones, whether sled
/// notices or takes the damage for a write that was cut short.
#[test]
fn no_damage_of_the_store_loses_the_last_settings() {
    let original = tempfile::tempdir().unwrap();
    let expected = two_versions(original.path());
    let files = files_below(&original.path().join(STORE));
    let mut recovered = 0;
    for (number, file) in files
        .iter()
        .enumerate()
        .flat_map(|file| std::iter::repeat_n(file, DAMAGES))
        .enumerate()
        .map(|(number, (_, file))| (number, file))
    {
        let folder = tempfile::tempdir().unwrap();
        for file in files.iter().chain([&original.path().join(COPY)]) {
            let copy = folder.path().join(file.strip_prefix(original.path()).unwrap());
            std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
            std::fs::copy(file, copy).unwrap();
        }
        let damaged = folder.path().join(file.strip_prefix(original.path()).unwrap());
        let mut bytes = std::fs::read(&damaged).unwrap();
        // Where sled's log is written, not in the zeros behind it.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let at = number * 7_919 % used.max(1);
        match bytes.get_mut(at).filter(|_| number % 3 != 0) {
            Some(byte) => *byte ^= 1 << (number % 8),
            None => bytes.truncate(at),
        }
        std::fs::write(&damaged, bytes).unwrap();
        assert_eq!(stored(folder.path()), Some(expected.clone()), "{number}: {} at {at}", file.display());
        recovered += usize::from(std::fs::read_dir(folder.path()).unwrap().count() > 3);
    }
    assert!(recovered > 0, "no damage was noticed");
}

#[test]
fn versions_of_a_backup_are_no_loss() {
    let folder = tempfile::tempdir().unwrap();
    let expected = two_versions(folder.path());
    let store = Store::open(folder.path()).unwrap();
    let mut changes = Changes::default();
    changes.remove(&version_key(2));
    store.put_versions(changes).unwrap();
    store.put_settings(&document(), Changes::default()).unwrap();
    drop(store);
    assert_ne!(stored(folder.path()), Some(expected));
}

#[test]
fn a_copy_whose_checksum_does_not_hold_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    Store::open(folder.path()).unwrap().put_settings(&document(), Changes::default()).unwrap();
    std::fs::remove_dir_all(folder.path().join(STORE)).unwrap();
    let copy = folder.path().join(COPY);
    let text = std::fs::read_to_string(&copy).unwrap().replace("10.0.0.1", "10.0.0.2");
    std::fs::write(&copy, text).unwrap();
    assert!(matches!(Store::open(folder.path()), Err(StoreFault::Damaged { .. })));
}

#[test]
fn changes_are_listed_in_order_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut changes = Changes::default();
    [11, 2, 1].iter().for_each(|number| changes.put(&version_key(*number), number));
    changes.put("user/a", &"A");
    store.write(changes).unwrap();
    let numbers =
        |store: &Store| store.list::<u64>("version/").into_iter().map(|(_, number)| number).collect::<Vec<_>>();
    assert_eq!(numbers(&store), [1, 2, 11]);
    let mut changes = Changes::default();
    changes.remove(&version_key(2));
    store.write(changes).unwrap();
    assert_eq!(numbers(&store), [1, 11]);
    assert_eq!(store.get::<String>("user/a").as_deref(), Some("A"));
}

/// What the program of schema version 1 left behind after one change of its settings.
#[test]
fn a_store_of_version_1_becomes_one_of_the_present() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores/version-1");
    std::fs::create_dir(folder.path().join(STORE)).unwrap();
    for name in ["conf", "db"] {
        std::fs::copy(fixture.join(name), folder.path().join(STORE).join(name)).unwrap();
    }
    let store = Store::open(folder.path()).unwrap();
    let settings = store.settings().unwrap().unwrap();
    assert_eq!(settings.service[0].targets, ["10.0.0.1:80"]);
    assert_eq!(store.list::<serde_json::Value>("version/").len(), 1);
    drop(store);
    assert_eq!(Store::open(folder.path()).unwrap().settings().unwrap(), Some(settings));
}

#[test]
fn one_process_has_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let _store = Store::open(folder.path()).unwrap();
    assert!(matches!(Store::open(folder.path()), Err(StoreFault::InUse(_))));
}

#[test]
fn the_claim_token_is_made_once_and_is_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let (token, is_new) = claim_token(folder.path()).unwrap();
    assert!(is_new && token.len() == 32);
    assert_eq!(claim_token(folder.path()).unwrap(), (token, false));
    let path = folder.path().join("claim-token");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&path, "").unwrap();
    assert!(claim_token(folder.path()).is_err());
}
