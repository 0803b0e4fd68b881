use super::*;
use serde_json::json;

const SETTINGS: &str = "schema_version = 1\n[nics]\nmirror = ['m']\ntarget = 't'\n[addressing]\n\
    pool = ['192.0.2.100-192.0.2.200/24']\n[[service]]\norigins = ['*:80']\ntargets = ['192.0.2.1:80']\n";

/// A desk whose plant takes other services, and no other interfaces.
fn desk(folder: &Path, confirm: Duration) -> (Desk, Audit) {
    let settings = Settings::read(SETTINGS, Format::Toml, Purpose::Run).unwrap();
    let store = Arc::new(Store::open(folder).unwrap());
    let audit = Audit::new(Some(store.clone()));
    let current = store.settings().unwrap();
    (Desk::new(Some(store), Arc::new(Plant::played(&settings)), current, Clock::start(), confirm), audit)
}

const LONG: Duration = Duration::from_secs(90);

fn origin(desk: &Desk) -> String {
    desk.document().map(|document| document.service[0].origins[0].clone()).unwrap_or_default()
}

fn set(desk: &Desk, port: u16) -> Result<(), Refusal> {
    desk.stage(&SETTINGS.replace("*:80", &format!("*:{port}")), Format::Toml, "me", "because", None)?;
    desk.apply()
}

#[test]
fn settings_are_staged_applied_and_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let (desk, _) = desk(folder.path(), LONG);
    assert!(matches!(desk.apply(), Err(Refusal::Conflict(_))));
    assert!(matches!(desk.confirm("me"), Err(Refusal::Conflict(_))));
    assert!(matches!(desk.revert(), Err(Refusal::Conflict(_))));
    desk.stage(SETTINGS, Format::Toml, "me", "because", None).unwrap();
    assert_eq!((desk.document(), desk.waiting().unwrap().left), (None, None));
    desk.apply().unwrap();
    assert_eq!(origin(&desk), "*:80");
    assert!(desk.waiting().unwrap().left.is_some());
    assert!(matches!(desk.stage(SETTINGS, Format::Toml, "me", "", None), Err(Refusal::Conflict(_))));
    let version = desk.confirm("you").unwrap();
    assert_eq!((version.number, version.author.who.as_str(), version.author.why.as_str()), (1, "you", "because"));
    assert!(desk.waiting().is_none());
    set(&desk, 81).unwrap();
    let waiting = desk.waiting().unwrap();
    assert_eq!((waiting.difference.len(), waiting.difference[0].path.as_str()), (1, "service[0].origins[0]"));
    assert_eq!(desk.confirm("me").unwrap().number, 2);
    desk.revert_to(1, "me").unwrap();
    assert_eq!(origin(&desk), "*:80");
    assert!(matches!(desk.revert_to(9, "me"), Err(Refusal::Unknown)));
}

#[test]
fn what_the_console_said_of_the_address_is_part_of_the_first_settings() {
    let folder = tempfile::tempdir().unwrap();
    let (desk, _) = desk(folder.path(), LONG);
    let said = Management { nic: Some("third".to_owned()), ..Management::default() };
    let mut changes = Changes::default();
    changes.put(MANAGEMENT, &said);
    desk.write(changes).unwrap();
    assert_eq!(desk.management(), said);
    let own = SETTINGS.replace("[addressing]", "[management]\nmode = 'dhcp'\n[addressing]");
    desk.stage(&own, Format::Toml, "me", "", None).unwrap();
    let staged = desk.waiting().unwrap().document;
    assert_eq!(staged["management"], json!({ "mode": "dhcp" }), "who says something else is followed");
    set(&desk, 80).unwrap();
    assert_eq!(desk.document().unwrap().management, Some(said));
    desk.confirm("me").unwrap();
    set(&desk, 81).unwrap();
    assert_eq!(desk.document().unwrap().management, None, "it was for the first ones alone");
}

#[test]
fn who_stands_at_the_box_needs_no_way_back() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = desk(folder.path(), LONG);
    let said = Management { nic: Some("third".to_owned()), ..Management::default() };
    first.set_management(said.clone(), "console").unwrap();
    assert_eq!((first.management(), first.document()), (said, None), "there are no settings yet");
    set(&first, 80).unwrap();
    let refused = first.set_management(Management::default(), "console");
    assert!(matches!(refused, Err(Refusal::Conflict(_))), "somebody has other plans");
    first.confirm("me").unwrap();
    let useless = Management { gateway: Some("192.0.2.1".to_owned()), ..Management::default() };
    assert!(matches!(first.set_management(useless, "console"), Err(Refusal::Faults(_))));
    first.set_management(Management::default(), "console").unwrap();
    let version = &first.versions()[0];
    assert_eq!((version.number, version.author.who.as_str()), (2, "console"));
    assert_eq!(version.document["management"], json!({ "mode": "dhcp" }));
    drop(first);
    let (second, _) = desk(folder.path(), LONG);
    assert_eq!(second.document().unwrap().management, Some(Management::default()), "it is stored");
}

#[test]
fn a_change_made_from_settings_that_have_changed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (desk, _) = desk(folder.path(), LONG);
    let stage = |tag: &str| desk.stage(SETTINGS, Format::Toml, "me", "", Some(tag));
    let empty = desk.tag();
    stage(&empty).unwrap();
    assert!(matches!(stage(&empty), Err(Refusal::Changed)), "somebody else has staged something");
    stage(&desk.tag()).unwrap();
    desk.apply().unwrap();
    desk.confirm("you").unwrap();
    assert!(matches!(stage(&empty), Err(Refusal::Changed)), "somebody else's settings are in force");
    stage(&desk.tag()).unwrap();
}

#[test]
fn what_nobody_confirms_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let (desk, _) = desk(folder.path(), Duration::ZERO);
    set(&desk, 80).unwrap();
    desk.confirm("me").unwrap();
    set(&desk, 81).unwrap();
    assert!(desk.tick());
    assert_eq!(origin(&desk), "*:80");
    assert!(desk.waiting().is_none() && !desk.tick());
}

#[test]
fn a_restart_takes_back_what_was_merely_applied_and_keeps_what_was_staged() {
    let folder = tempfile::tempdir().unwrap();
    let (first, audit) = desk(folder.path(), LONG);
    set(&first, 80).unwrap();
    first.confirm("me").unwrap();
    set(&first, 81).unwrap();
    first.replay(false).unwrap();
    drop((first, audit));
    let (second, audit) = desk(folder.path(), LONG);
    second.recall(&audit);
    assert_eq!(origin(&second), "*:80");
    assert!(second.waiting().is_none() && second.plant.is_stopped());
    assert_eq!(audit.entries(None, 9)[0].what, "settings_reverted");
    second.replay(true).unwrap();
    second.stage(SETTINGS, Format::Toml, "me", "", None).unwrap();
    drop((second, audit));
    let (third, audit) = desk(folder.path(), LONG);
    third.recall(&audit);
    assert!(third.waiting().is_some_and(|waiting| waiting.left.is_none()) && !third.plant.is_stopped());
}

#[test]
fn what_cannot_be_started_is_not_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let (desk, _) = desk(folder.path(), LONG);
    set(&desk, 80).unwrap();
    desk.confirm("me").unwrap();
    desk.stage(&SETTINGS.replace("'m'", "'other'"), Format::Toml, "me", "", None).unwrap();
    assert_eq!(desk.waiting().unwrap().effect, Effect::Restart);
    let Err(Refusal::Faults(faults)) = desk.apply() else { panic!("there are no such interfaces") };
    assert_eq!(faults.iter().map(|fault| fault.field.as_str()).collect::<Vec<_>>(), ["nics.mirror[0]", "nics.target"]);
    assert!(faults[0].message.starts_with("other is no interface"), "{faults:?}");
    assert_eq!(origin(&desk), "*:80");
    assert!(desk.waiting().is_some_and(|waiting| waiting.left.is_none()), "it can be mended");
    desk.revert().unwrap();
    assert!(desk.waiting().is_none());
}

#[test]
fn a_hundred_versions_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (desk, _) = desk(folder.path(), LONG);
    for number in 1..=103 {
        set(&desk, number).unwrap();
        desk.confirm("me").unwrap();
    }
    let numbers: Vec<u64> = desk.versions().iter().map(|version| version.number).collect();
    assert_eq!(numbers, (4..=103).rev().collect::<Vec<_>>());
}
