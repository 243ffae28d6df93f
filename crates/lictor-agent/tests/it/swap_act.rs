//! `act "swap"`, on this machine: a swap file is the kernel's, and no booted host has a kernel of its own.
#![cfg(test)]

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use lictor_config::{Action, SwapAction};

use crate::act_bench::{Bench, LONG, done, failed, not_started, order};

/// A small swap file that goes out of use and away when the test is over.
struct Swap {
    dir: tempfile::TempDir,
}

impl Swap {
    fn new() -> Self {
        // On a disk: what lies in memory cannot be swapped to.
        Self { dir: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("swap file")
    }

    fn off(&self) {
        drop(Command::new("/sbin/swapoff").arg(self.file()).output());
    }

    fn bench(&self, size: Option<u64>) -> Bench {
        Bench::new(Action::Swap(SwapAction { file: self.file(), size }))
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        self.off();
    }
}

fn in_use(file: &Path) -> bool {
    let name = file.to_str().unwrap().replace(' ', "\\040");
    fs::read_to_string("/proc/swaps").unwrap().contains(&name)
}

#[tokio::test]
async fn on_a_real_host_a_swap_file_is_made_put_to_use_and_mended() {
    let swap = Swap::new();
    let size = 4 << 20;
    let outcome = swap.bench(None).act(&order(), LONG).await;
    assert!(failed(&outcome).ends_with("there is no such file; with recreate = true and size it is made"));
    not_started(&swap.bench(Some(size)).inspect(&order(), LONG).await);

    let outcome = swap.bench(Some(size)).act(&order(), LONG).await;
    assert!(done(&outcome).ends_with("was made and is used as swap"), "{outcome:?}");
    assert!(in_use(&swap.file()));
    done(&swap.bench(Some(size)).inspect(&order(), LONG).await);
    let outcome = swap.bench(Some(size)).act(&order(), LONG).await;
    assert!(done(&outcome).ends_with("was used as swap already"), "{outcome:?}");

    // One that is there is used as it is.
    swap.off();
    assert!(!in_use(&swap.file()));
    done(&swap.bench(None).act(&order(), LONG).await);
    assert!(in_use(&swap.file()));

    // One that has only the mark of a swap file: its version is none.
    swap.off();
    File::options().write(true).open(swap.file()).unwrap().write_all_at(&[0xff; 8], 1_024).unwrap();
    let outcome = swap.bench(None).act(&order(), LONG).await;
    assert!(failed(&outcome).contains("is not used as swap: swapon"), "{outcome:?}");
    let outcome = swap.bench(Some(size)).act(&order(), LONG).await;
    assert!(done(&outcome).ends_with("was damaged, was made anew and is used as swap"), "{outcome:?}");
    assert!(in_use(&swap.file()));
    let left = fs::read_dir(swap.dir.path()).unwrap().count();
    assert_eq!(left, 1, "nothing but the file itself");
}
