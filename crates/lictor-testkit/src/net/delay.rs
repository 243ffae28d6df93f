//! Packets that arrive late: the router hands them to a program that holds each of them for a while. Not every kernel has
//! `netem`; this needs `/dev/net/tun` and perl.

use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Net, PATH, line, net6, octet};

/// A program for perl that holds packets: its arguments are the device, the seconds, and how many of a hundred are dropped.
/// It says `ready`, and ends at the end of its input.
pub const HOLDER: &str = r#"
use strict; use warnings; use Fcntl; use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);
my ($device, $delay, $loss) = @ARGV;
sysopen(my $tun, '/dev/net/tun', O_RDWR) or die "/dev/net/tun: $!\n";
# TUNSETIFF, with IFF_TUN and IFF_NO_PI.
ioctl($tun, 0x400454ca, pack('a16 S x22', $device, 0x1001)) or die "$device: $!\n";
$| = 1; print "ready\n";
my @held;
while (1) {
    my $now = clock_gettime(CLOCK_MONOTONIC);
    while (@held and $held[0][0] <= $now) { syswrite($tun, (shift @held)->[1]) }
    my $ready = ''; vec($ready, fileno($_), 1) = 1 for *STDIN, $tun;
    select($ready, undef, undef, @held ? $held[0][0] - $now : undef);
    last if vec($ready, fileno(STDIN), 1);
    next unless vec($ready, fileno($tun), 1) and sysread($tun, my $packet, 65536);
    next if $loss and rand(100) < $loss;
    push @held, [clock_gettime(CLOCK_MONOTONIC) + $delay, $packet];
}
"#;

/// Where the rules of the first host stand: after those that drop what comes along a way that is cut.
const RULES: usize = 30_000;

/// A line whose packets are late.
#[derive(Debug)]
pub(super) struct Delay {
    holder: Child,
}

impl Net {
    /// From now on each packet that a host sends, and each that is sent to it, arrives so much later. What is lost on a
    /// way that is cut stays lost.
    ///
    /// # Panics
    /// If this machine cannot do it.
    pub fn delay(&mut self, host: usize, by: Duration) {
        self.hasten_packets(host);
        let (device, table) = (device(host), table(host));
        self.router.ip(&[format!("tuntap add dev {device} mode tun"), format!("link set {device} up")]);
        let mut command = Command::new("/usr/bin/perl");
        command.args(["-e", HOLDER, &device, &by.as_secs_f64().to_string(), "0"]);
        // Of a process group of its own, to outlive a Ctrl-C: it ends with the network.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.env_clear().env("PATH", PATH).stdin(Stdio::piped()).stdout(Stdio::piped());
        let holder = self.router.inside(|| command.spawn());
        let mut holder = holder.unwrap_or_else(|error| panic!("cannot start perl: {error}"));
        let said = holder.stdout.take().and_then(|output| BufReader::new(output).lines().next());
        assert!(matches!(&said, Some(Ok(line)) if line == "ready"), "packets cannot be held: {said:?}");
        self.late.insert(host, Delay { holder });
        let route = [format!("route add default dev {device} table {table}")];
        self.router.ip(&route);
        self.router.ip6(&route);
        let (v4, v6) = (Ipv4Addr::new(10, 77, octet(host), 0), net6(host, 0));
        self.router.ip(&rules(host, "add", &format!("{v4}/24")));
        self.router.ip6(&rules(host, "add", &format!("{v6}/64")));
    }

    /// Packets of a host arrive at once again; those that are on the way are lost.
    ///
    /// # Panics
    /// If the router refuses.
    pub fn hasten_packets(&mut self, host: usize) {
        let Some(mut delay) = self.late.remove(&host) else { return };
        let (v4, v6) = (Ipv4Addr::new(10, 77, octet(host), 0), net6(host, 0));
        self.router.ip(&rules(host, "del", &format!("{v4}/24")));
        self.router.ip6(&rules(host, "del", &format!("{v6}/64")));
        delay.end();
        self.router.ip(&[format!("tuntap del dev {} mode tun", device(host))]);
    }
}

impl Delay {
    fn end(&mut self) {
        drop(self.holder.stdin.take());
        drop(self.holder.wait());
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        self.end();
    }
}

/// What sends the packets of a host to the one that holds them, and on from there.
fn rules(host: usize, verb: &str, net: &str) -> Vec<String> {
    let (at, device, line, table) = (RULES + host * 3, device(host), line(host), table(host));
    vec![
        format!("rule {verb} pref {at} iif {device} lookup main"),
        format!("rule {verb} pref {} iif {line} lookup {table}", at + 1),
        format!("rule {verb} pref {} to {net} lookup {table}", at + 2),
    ]
}

fn device(host: usize) -> String {
    format!("late{host}")
}

fn table(host: usize) -> usize {
    1_000 + host
}
