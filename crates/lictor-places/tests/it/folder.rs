//! A folder.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use lictor_places::{Folder, Place, PlaceError, Put, Settings};

use crate::kit::{Files, MIB, check_place, check_race, fetched, names, put};

fn place(path: &Path) -> Place {
    Place::new(&Settings::Folder(Folder { path: path.to_owned() })).unwrap()
}

/// All files of a folder, hidden ones too.
fn files_in(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_is_put_into_a_folder_is_there_whole_and_for_its_owner_alone() {
    let files = Files::new();
    let folder = files.path("backups");
    let place = place(&folder);
    assert_eq!(place.shown(), folder.to_str().unwrap());
    check_place(&place).await;
    let (file, bytes) = files.file("big", 3 * MIB + 1);
    let heard = Mutex::new(Vec::new());
    place.put("2026/a", &file, Put::New, None, &|sent| heard.lock().unwrap().push(sent)).await.unwrap();
    assert_eq!(fetched(&place, "2026/a").await, bytes);
    assert_eq!(heard.lock().unwrap().last(), Some(&(bytes.len() as u64)));
    let mode = |path: &str| fs::metadata(folder.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!([mode("2026/a"), mode("2026"), mode("")], [0o600, 0o700, 0o700]);
}

#[tokio::test]
async fn of_two_that_put_a_new_file_one_wins() {
    let files = Files::new();
    check_race(&place(&files.path("backups")), 100_000).await;
}

#[tokio::test]
async fn a_folder_is_not_made_where_its_own_folder_is_missing() {
    let files = Files::new();
    let place = place(&files.path("mount/backups"));
    let error = put(&place, &files, "a", "x", Put::New).await.unwrap_err();
    let way = format!(
        "{} is not there: make it, or mount what belongs there",
        files.path("mount/backups").display()
    );
    assert!(matches!(error, PlaceError::NotFound { .. }) && error.to_string().ends_with(&way), "{error}");
    // Nor is nothing taken for an empty one.
    assert!(matches!(place.list().await.unwrap_err(), PlaceError::NotFound { .. }));
}

#[tokio::test]
async fn links_and_hidden_files_are_not_followed_and_not_listed() {
    let files = Files::new();
    let (folder, elsewhere) = (files.path("backups"), files.path("elsewhere"));
    let place = place(&folder);
    put(&place, &files, "a", "x", Put::New).await.unwrap();
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("secret"), "s").unwrap();
    symlink(&elsewhere, folder.join("out")).unwrap();
    symlink(elsewhere.join("secret"), folder.join("link")).unwrap();
    fs::write(folder.join(".hidden"), "h").unwrap();
    assert_eq!(names(&place).await, ["a"]);
    for name in ["out/secret", "link"] {
        assert_eq!(place.size(name).await.unwrap(), None, "{name}");
        let error = place.fetch(name, &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, PlaceError::NotFound { .. }), "{error}");
    }
    assert!(put(&place, &files, "out/new", "x", Put::New).await.is_err());
    assert_eq!(files_in(&elsewhere), ["secret"]);
    assert!(matches!(put(&place, &files, "link", "x", Put::New).await, Err(PlaceError::Exists { .. })));
    put(&place, &files, "link", "y", Put::Replace).await.unwrap();
    assert_eq!(fs::read(elsewhere.join("secret")).unwrap(), b"s");
}

#[tokio::test]
async fn what_a_killed_process_left_is_removed_and_nothing_that_somebody_writes() {
    let files = Files::new();
    let folder = files.path("backups");
    let place = place(&folder);
    put(&place, &files, "a", "x", Put::New).await.unwrap();
    let now = fs::metadata(folder.join("a")).unwrap().modified().unwrap();
    let age = |name: &str, minutes: u64| {
        let file = File::create(folder.join(name)).unwrap();
        file.set_modified(now - Duration::from_secs(minutes * 60)).unwrap();
        file
    };
    let locked = |file: File| {
        file.lock().unwrap();
        file
    };
    let day = 24 * 60;
    drop(age(".killed.unverified.01234567", 2));
    drop(age(".just-begun.unverified.89abcdef", 0));
    let _alive = locked(age(".b.unverified.89abcdef", day - 60));
    let _hangs = locked(age(".c.unverified.89abcdef", day + 60));
    drop(age(".of-somebody-else", 1000 * day));
    put(&place, &files, "c", "x", Put::New).await.unwrap();
    let left = [".b.unverified.89abcdef", ".just-begun.unverified.89abcdef", ".of-somebody-else", "a", "c"];
    assert_eq!(files_in(&folder), left);
}

#[tokio::test]
async fn a_put_that_is_dropped_leaves_nothing() {
    let files = Files::new();
    let folder = files.path("backups");
    let place = place(&folder);
    let (file, _) = files.file("big", 64 * MIB);
    let begun = tokio::sync::Notify::new();
    let report = |_sent| begun.notify_one();
    {
        let put = place.put("a", &file, Put::New, None, &report);
        tokio::select! {
            biased;
            () = begun.notified() => {}
            done = put => panic!("it was faster: {done:?}"),
        }
    }
    let gone =
        lictor_testkit::wait::until(Duration::from_secs(20), || files_in(&folder).is_empty().then_some(()));
    assert!(gone.is_some(), "{:?}", files_in(&folder));
}

#[tokio::test]
async fn errors_of_the_disk_are_told_with_what_they_mean() {
    let files = Files::new();
    let place = place(&files.path("backups"));
    let missing = files.path("missing");
    let error = place.put("a", &missing, Put::New, None, &|_| ()).await.unwrap_err().to_string();
    assert!(error.contains("cannot put `a`") && error.contains("missing: No such file"), "{error}");
    let error = place.put("a/../b", &missing, Put::New, None, &|_| ()).await.unwrap_err();
    assert!(matches!(error, PlaceError::Name { .. }), "{error}");
    assert!(Place::new(&Settings::Folder(Folder { path: "relative".into() })).is_err());
}
