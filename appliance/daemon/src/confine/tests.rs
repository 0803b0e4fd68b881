use super::*;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::fs::{File, read_to_string, write};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::Command;

/// Confinement is a thread's own and its children's: what is given up here, other tests keep.
fn on_a_thread<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(body).join().unwrap()
}

fn is_refused<T>(done: std::io::Result<T>) -> bool {
    done.is_err_and(|fault| fault.kind() == ErrorKind::PermissionDenied)
}

#[test]
fn a_confined_process_starts_nothing_and_opens_no_strange_socket() {
    on_a_thread(|| {
        assert!(calls::forbid(calls::Place::Host).is_ok());
        assert!(is_refused(Command::new("/bin/true").status()));
        let strange = socket(AddressFamily::Vsock, SockType::Stream, SockFlag::empty(), None);
        assert_eq!(strange.map(drop), Err(nix::errno::Errno::EPERM));
        assert!(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER).is_err());
        // What the box does all the time goes on: threads, files, sockets.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7);
        assert!(File::open("/proc/self/status").is_ok() && listener.local_addr().is_ok());
        let status = read_to_string("/proc/thread-self/status").unwrap();
        assert_eq!((field(&status, "Seccomp:"), field(&status, "NoNewPrivs:")), (Some("2"), Some("1")));
    });
}

#[test]
fn the_first_process_of_a_machine_may_end_it() {
    let forbids = |place, call| calls::rules(place).unwrap().contains_key(&call);
    for call in [libc::SYS_mount, libc::SYS_reboot] {
        assert!(forbids(calls::Place::Host, call) && !forbids(calls::Place::Firmware, call));
    }
    assert!(forbids(calls::Place::Firmware, libc::SYS_execve));
}

#[test]
fn a_confined_process_writes_to_its_folders_alone() {
    let (own, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let paths = (own.path().to_owned(), others.path().to_owned());
    let files = on_a_thread(move || {
        let files = files::keep_to(std::slice::from_ref(&paths.0)).unwrap();
        if files == Files::Whole {
            write(paths.0.join("one"), "1").unwrap();
            std::fs::rename(paths.0.join("one"), paths.0.join("two")).unwrap();
            assert_eq!(read_to_string(paths.0.join("two")).unwrap(), "1");
            assert!(is_refused(write(paths.1.join("one"), "1")));
            assert!(is_refused(read_to_string("/etc/passwd")));
            assert!(is_refused(TcpListener::bind("127.0.0.1:0")));
            assert!(read_to_string("/proc/self/net/dev").is_ok());
        }
        files
    });
    assert!(matches!(files, Files::Whole | Files::Partly | Files::Not(_)));
}

#[test]
fn capabilities_that_are_given_up_are_gone() {
    on_a_thread(|| {
        capabilities::keep(&[]).unwrap();
        let status = read_to_string("/proc/thread-self/status").unwrap();
        assert_eq!((hexadecimal(&status, "CapEff:"), hexadecimal(&status, "CapPrm:")), (0, 0));
        let shown = Confinement::default().shown();
        assert_eq!((shown["capabilities"].to_string(), shown["files"].as_str()), ("[]".to_owned(), Some("not")));
    });
    let names = capabilities::names(1 << 12 | 1 << 13);
    assert_eq!(names, ["CAP_NET_ADMIN", "CAP_NET_RAW"]);
}
