use std::io::{ErrorKind, Read as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::*;
use crate::wait;

/// How long a connection may take: on a network in one machine it takes no time.
const SOON: Duration = Duration::from_millis(400);

/// Listens on a port of a host, and sends four thousand bytes to whoever comes.
fn serve(net: &Net, host: usize, port: u16) {
    let listener = net.on(host, || TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap());
    thread::spawn(move || {
        while let Ok((mut stream, _from)) = listener.accept() {
            stream.write_all(&[b'x'; 4_000]).ok();
        }
    });
}

fn reaches(net: &Net, from: usize, to: impl Into<IpAddr>, port: u16) -> bool {
    let address = SocketAddr::new(to.into(), port);
    let read = || {
        let mut stream = TcpStream::connect_timeout(&address, SOON)?;
        stream.set_read_timeout(Some(SOON))?;
        stream.read_exact(&mut [0; 4_000])
    };
    match net.on(from, read) {
        Ok(()) => true,
        Err(error) => {
            let lost = [ErrorKind::TimedOut, ErrorKind::WouldBlock, ErrorKind::HostUnreachable];
            assert!(lost.contains(&error.kind()), "{error}");
            false
        }
    }
}

#[test]
fn a_way_on_a_real_network_is_cut_one_way_both_ways_and_for_one_port() {
    let mut net = Net::new(3);
    for host in 0..3 {
        serve(&net, host, 80);
        serve(&net, host, 81);
    }
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        assert!(reaches(&net, from, v4(to), 80) && reaches(&net, from, v6(to), 80), "{from} to {to}");
    }

    net.cut(1, 2, Loss::To(80));
    assert!(!reaches(&net, 1, v4(2), 80) && !reaches(&net, 1, v6(2), 80));
    assert!(reaches(&net, 1, v4(2), 81), "another port");
    assert!(reaches(&net, 2, v4(1), 80) && reaches(&net, 2, v6(1), 80), "the other way");
    assert!(reaches(&net, 0, v4(2), 80), "from elsewhere");

    net.cut(1, 2, Loss::All);
    assert!(!reaches(&net, 1, v4(2), 81));
    assert!(!reaches(&net, 2, v4(1), 80), "its answers are lost");
    net.part(1, 2);
    assert!(!reaches(&net, 1, v6(2), 80) && !reaches(&net, 2, v6(1), 80) && reaches(&net, 0, v6(2), 80));
    net.mend_all();
    assert!(reaches(&net, 1, v4(2), 80) && reaches(&net, 2, v6(1), 81));

    net.moves(2, 9);
    assert!(reaches(&net, 0, Ipv4Addr::new(10, 77, 2, 9), 80) && !reaches(&net, 0, v4(2), 80));

    net.slow(1, 500);
    assert!(!reaches(&net, 0, v4(1), 80), "it takes six seconds");
    net.hasten(1);
    assert!(wait::until(Duration::from_secs(5), || reaches(&net, 0, v4(1), 80).then_some(())).is_some());
}

#[test]
fn packets_on_a_real_network_are_late_both_ways() {
    let mut net = Net::new(3);
    (0..3).for_each(|host| serve(&net, host, 80));
    let takes = |net: &Net, from, to: IpAddr| {
        let begun = wait::now();
        net.on(from, || TcpStream::connect_timeout(&SocketAddr::new(to, 80), SOON * 5).unwrap());
        begun.elapsed()
    };
    let (late, round) = (Duration::from_millis(150), Duration::from_millis(300));
    net.delay(1, late);
    for (from, to) in [(0, v4(1).into()), (1, v4(2).into()), (0, v6(1).into()), (1, IpAddr::from(v6(0)))] {
        let took = takes(&net, from, to);
        assert!(took >= round, "{from} to {to}: {took:?}");
    }
    assert!(takes(&net, 0, v4(2).into()) < late, "the others are as quick as ever");

    net.part(1, 2);
    assert!(!reaches(&net, 2, v4(1), 80), "what is lost is not late");
    net.mend_all();
    assert!(reaches(&net, 2, v4(1), 80));
    assert!(takes(&net, 0, v4(1).into()) < late, "and all is as it was");
}

#[test]
fn nothing_is_left_of_a_real_network() {
    let net = Net::new(1);
    let keeper = net.hosts[0].keeper.id();
    assert!(Path::new(&format!("/proc/{keeper}")).exists());
    let here = || fs::read_link("/proc/thread-self/ns/net").unwrap();
    let before = here();
    assert_ne!(net.on(0, here), before);
    assert!(std::panic::catch_unwind(|| net.on(0, || panic!("a test that fails"))).is_err());
    assert_eq!(here(), before);
    let mut command = net.command(0, Path::new("/bin/cat"));
    let said = command.arg("/etc/resolv.conf").output().unwrap();
    assert!(String::from_utf8_lossy(&said.stdout).starts_with("nameserver 10.77.0.2\n"));
    drop(net);
    assert!(!Path::new(&format!("/proc/{keeper}")).exists());
}
