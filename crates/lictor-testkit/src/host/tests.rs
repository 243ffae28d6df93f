use super::*;

fn groups(name: &str) -> usize {
    let trees = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];
    trees.iter().filter(|tree| Path::new(tree).join(name).exists()).count()
}

#[test]
fn a_real_host_is_a_machine_of_its_own_and_leaves_nothing_behind() {
    let mut host = Host::boot();
    let ours = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    assert_ne!(host.read("/etc/machine-id"), ours);
    assert_eq!(host.ok(&["sh", "-c", "ls /sys/class/net"]), "lo\n");
    host.unit(
        "one.service",
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/echo hello there\n",
    );
    host.ok(&["systemctl", "start", "one"]);
    assert_eq!(host.ok(&["systemctl", "is-active", "one"]), "active\n");
    assert!(!Path::new("/etc/systemd/system/one.service").exists(), "it must not reach this machine");

    host.reboot();
    let output = host.run(&["systemctl", "is-active", "one"]);
    assert_eq!((output.code, output.stdout.as_str()), (3, "inactive\n"));
    let lines = host.ok(&["journalctl", "--unit=one", "--boot=-1", "--output=cat"]);
    assert!(lines.contains("hello there"), "the journal of the boot before: {lines}");

    host.write("/var/lib/kept", "still here");
    host.power_cut();
    host.start();
    assert_eq!(host.read("/var/lib/kept"), "still here");
    host.poweroff();
    host.start();

    let (dir, name) = (host.dir.clone(), host.ok(&["uname", "-n"]).trim().to_owned());
    let group = format!("lictor-{name}");
    assert!(dir.exists() && groups(&group) > 0);
    drop(host);
    assert!(!dir.exists() && groups(&group) == 0, "{group}");
    assert!(!fs::read_to_string("/proc/mounts").unwrap().contains(dir.to_str().unwrap()));
}

#[test]
fn two_real_hosts_do_not_see_each_other() {
    let (one, other) = (Host::boot(), Host::boot());
    for host in [&one, &other] {
        host.unit("same.service", "[Service]\nExecStart=/bin/sleep 1000\n");
        host.ok(&["systemctl", "start", "same"]);
    }
    one.ok(&["systemctl", "stop", "same"]);
    assert_eq!(other.ok(&["systemctl", "is-active", "same"]), "active\n");
}

#[test]
fn a_real_host_has_a_small_disk_that_fills_up_and_outlives_its_power() {
    let mut host = Host::with(&Options { small_disk: Some(("/var/lib/small", "8m")), ..Options::default() });
    host.write("/var/lib/small/kept", "still here");
    let fill = ["sh", "-c", "head -c 16M /dev/zero >/var/lib/small/filler"];
    let said = host.run(&fill);
    assert!(said.code != 0 && said.stderr.contains("No space left"), "{said:?}");
    host.write("/var/lib/elsewhere", "there is room");
    host.power_cut();
    host.start();
    assert_eq!(host.read("/var/lib/small/kept"), "still here");
    let dir = host.dir.clone();
    drop(host);
    assert!(!dir.exists(), "{}", dir.display());
}

#[test]
fn a_command_in_a_real_host_says_how_it_ended() {
    let host = Host::boot();
    let output = host.run(&["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(output, Output { code: 7, stdout: "out\n".to_owned(), stderr: "err\n".to_owned() });
}

#[test]
fn what_a_killed_real_host_leaves_is_swept_away() {
    let dir = tempfile::tempdir().unwrap();
    let host = format!("sweep{}", std::process::id());
    fs::create_dir(dir.path().join(format!("{PREFIX}{host}"))).unwrap();
    let group = Path::new("/sys/fs/cgroup").join(format!("lictor-h{host}"));
    fs::create_dir_all(group.join("init.scope")).unwrap();
    sweep(dir.path()).unwrap();
    assert!(!group.exists());
    sweep(dir.path()).unwrap();
}
