use super::*;

const CLAIM: &str = "00112233445566778899aabbccddeeff";
const PASSWORD: &str = "several plain words";

fn accounts(folder: &Path) -> Accounts {
    let store = Arc::new(Store::open(folder).unwrap());
    Accounts::new(Some(store), Some(CLAIM.to_owned()), Clock::start())
}

#[test]
fn the_box_is_claimed_once() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = accounts(folder.path());
    assert!(matches!(accounts.claim("wrong", PASSWORD, None), Err(Refusal::Wrong)));
    assert!(matches!(accounts.claim(CLAIM, "short", None), Err(Refusal::Invalid { field: "password", .. })));
    assert_eq!(accounts.by_token(CLAIM).unwrap().role, Role::Admin);
    let login = accounts.claim(CLAIM, PASSWORD, None).unwrap();
    assert_eq!(accounts.by_cookie(&login.secret), Some(login.identity));
    assert!(matches!(accounts.claim(CLAIM, PASSWORD, None), Err(Refusal::NotClaimable(_))));
    assert_eq!(accounts.by_token(CLAIM), None);
}

#[test]
fn who_stands_at_the_box_may_set_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = accounts(folder.path());
    assert_eq!(accounts.open_claim(), Some(CLAIM));
    assert!(matches!(accounts.reset_password("other plain words"), Err(Refusal::NotClaimable(_))));
    let login = accounts.claim(CLAIM, PASSWORD, None).unwrap();
    assert_eq!(accounts.open_claim(), None);
    assert!(matches!(accounts.reset_password("short"), Err(Refusal::Invalid { .. })));
    accounts.reset_password("other plain words").unwrap();
    assert_eq!(accounts.by_cookie(&login.secret), None, "whoever had the old one is out");
    accounts.log_in(ADMIN, "other plain words", None).unwrap();
    accounts.add_user("eve", PASSWORD, Role::Admin).unwrap();
    accounts.remove_user(ADMIN).unwrap();
    accounts.reset_password(PASSWORD).unwrap();
    assert_eq!(accounts.log_in(ADMIN, PASSWORD, None).unwrap().identity.role, Role::Admin);
}

#[test]
fn logins_survive_a_restart_and_end_with_the_user() {
    let folder = tempfile::tempdir().unwrap();
    let first = accounts(folder.path());
    first.claim(CLAIM, PASSWORD, None).unwrap();
    first.add_user("eve", PASSWORD, Role::Viewer).unwrap();
    let eve = first.log_in("eve", PASSWORD, None).unwrap();
    drop(first);
    let accounts = accounts(folder.path());
    assert_eq!(accounts.by_cookie(&eve.secret), Some(eve.identity.clone()));
    accounts.change_own_password(&eve.identity, PASSWORD, "other plain words", None).unwrap();
    assert!(accounts.by_cookie(&eve.secret).is_some(), "her own session stays");
    assert!(matches!(accounts.log_in("eve", PASSWORD, None), Err(Refusal::Wrong)));
    accounts.change_user("eve", None, Some(Role::Operator), None).unwrap();
    assert_eq!(accounts.by_cookie(&eve.secret), None);
    let eve = accounts.log_in("eve", "other plain words", None).unwrap();
    assert_eq!(eve.identity.role, Role::Operator);
    accounts.log_out(&eve.identity).unwrap();
    assert_eq!(accounts.by_cookie(&eve.secret), None);
    let eve = accounts.log_in("eve", "other plain words", None).unwrap();
    assert!(accounts.by_cookie(&eve.secret).is_some());
    accounts.tables().sessions.values_mut().for_each(|session| session.expires_at = clock::wall() - 1.0);
    assert_eq!(accounts.by_cookie(&eve.secret), None, "it ends with its time");
    let eve = accounts.log_in("eve", "other plain words", None).unwrap();
    accounts.remove_user("eve").unwrap();
    assert_eq!(accounts.by_cookie(&eve.secret), None);
    assert!(matches!(accounts.remove_user(ADMIN), Err(Refusal::Conflict(_))));
    assert!(matches!(accounts.change_user(ADMIN, None, Some(Role::Viewer), None), Err(Refusal::Conflict(_))));
}

#[test]
fn tokens_are_stored_by_their_digest() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = accounts(folder.path());
    let (token, secret) = accounts.add_token("grafana", Role::Viewer, Some(1), ADMIN).unwrap();
    assert_eq!(accounts.by_token(&secret).unwrap().role, Role::Viewer);
    assert_eq!(accounts.by_token("tapcopy_0"), None);
    assert!(!serde_json::to_string(&accounts.tokens()).unwrap().contains(&secret));
    accounts.tables().tokens.get_mut(&token.id).unwrap().expires_at = Some(clock::wall() - 1.0);
    assert_eq!(accounts.by_token(&secret), None);
    accounts.remove_token(&token.id).unwrap();
    assert!(matches!(accounts.remove_token(&token.id), Err(Refusal::Unknown)));
    for name in ["", "a\nb"] {
        assert!(matches!(accounts.add_token(name, Role::Viewer, None, ADMIN), Err(Refusal::Invalid { .. })));
    }
}

#[test]
fn wrong_passwords_are_limited_and_noted() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = accounts(folder.path());
    accounts.claim(CLAIM, PASSWORD, None).unwrap();
    let here = Some("192.0.2.1".parse().unwrap());
    for _ in 0..5 {
        assert!(matches!(accounts.log_in(ADMIN, "wrong", here), Err(Refusal::Wrong)));
    }
    assert!(matches!(accounts.log_in(ADMIN, PASSWORD, here), Err(Refusal::Wait(_))));
    let entries = accounts.audit.entries(None, 100);
    assert_eq!(entries.iter().filter(|entry| entry.what == "login_failed").count(), 5);
    assert_eq!((entries[0].number, entries.last().unwrap().what.as_str()), (6, "claimed"));
    assert_eq!(accounts.audit.entries(Some(3), 1)[0].number, 2);
}

#[test]
fn without_a_data_folder_there_are_no_accounts() {
    let accounts = Accounts::new(None, None, Clock::start());
    assert!(!accounts.is_claimable());
    assert!(matches!(accounts.claim("", PASSWORD, None), Err(Refusal::NotClaimable(_))));
    assert!(matches!(accounts.log_in(ADMIN, PASSWORD, None), Err(Refusal::Wrong)));
    assert!(matches!(accounts.add_token("x", Role::Viewer, None, ""), Err(Refusal::NotClaimable(_))));
    assert_eq!(accounts.by_token(""), None);
}
