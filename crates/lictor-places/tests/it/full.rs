//! A folder whose disk is full. Mounting a small one needs root.

use std::path::PathBuf;
use std::process::Command;

use lictor_places::{Folder, Place, PlaceError, Put, Settings};

use crate::kit::{Files, MIB, names, put};

/// A small file system of its own.
struct Mount(PathBuf);

impl Mount {
    fn new(at: PathBuf, size: &str) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        let options = format!("size={size}");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).status();
        assert!(status.unwrap().success(), "cannot mount at {}", at.display());
        Self(at)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(status.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[tokio::test]
async fn a_disk_without_room_keeps_what_it_has() {
    let files = Files::new();
    let mount = Mount::new(files.path("small"), "1m");
    let place = Place::new(&Settings::Folder(Folder { path: mount.0.clone() })).unwrap();
    put(&place, &files, "kept", "x", Put::New).await.unwrap();
    let (file, _) = files.file("big", 2 * MIB);
    let error = place.put("big", &file, Put::New, None, &|_| ()).await.unwrap_err();
    assert!(matches!(error, PlaceError::NoSpace { .. }), "{error}");
    assert!(error.to_string().contains("there is no room left"), "{error}");
    assert_eq!(names(&place).await, ["kept"]);
    assert_eq!(std::fs::read_dir(&mount.0).unwrap().count(), 1, "what was begun is gone");
}
