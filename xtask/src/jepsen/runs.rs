//! The runs, and what is expected of each.

/// One run.
pub(super) struct Run {
    pub(super) name: &'static str,
    /// What `lictor-jepsen run` is told, besides nodes, time, seed and directory.
    pub(super) args: &'static str,
    /// What is to come of it.
    pub(super) expected: &'static str,
    /// Whether it is one of the few.
    pub(super) short: bool,
    /// How long its clients work, if that must not be another time.
    pub(super) seconds: Option<u64>,
}

/// One that keeps all promises.
const fn kept(name: &'static str, args: &'static str) -> Run {
    Run { name, args, expected: "valid", short: false, seconds: None }
}

/// One with a fault that has to be found.
const fn planted(name: &'static str, args: &'static str) -> Run {
    Run { name, args, expected: "invalid", short: false, seconds: None }
}

/// One of what nobody promises and that takes some luck to see: it only has to be known.
const fn unpromised(name: &'static str, args: &'static str) -> Run {
    Run { name, args, expected: EITHER, short: false, seconds: None }
}

/// Valid or invalid.
const EITHER: &str = "either";

impl Run {
    /// Whether a verdict is as expected.
    pub(super) fn is_met_by(&self, verdict: &str) -> bool {
        verdict == self.expected || self.expected == EITHER && ["valid", "invalid"].contains(&verdict)
    }

    /// The same, also run when only a few are.
    const fn short(self) -> Self {
        Self { short: true, ..self }
    }

    /// The same for just so long.
    const fn lasting(self, seconds: u64) -> Self {
        Self { seconds: Some(seconds), ..self }
    }
}

/// Of Lictor itself. Booted hosts are three: there are not more processors for more.
pub(super) const LICTOR: &[Run] = &[
    kept(
        "lictor: a service, hosts killed and cut off",
        "--target lictor --workload failover --nodes 3 --nemesis kill-active,partition-active,pause-active --interval 8",
    )
    .short()
    .lasting(80),
    kept(
        "lictor: a service, agents killed and stopped",
        "--target lictor --workload failover --nodes 3 --nemesis kill-agent-active,pause-agent-active,kill-agent-all \
         --interval 8",
    )
    .lasting(80),
    kept(
        "lictor: a service, Consul in trouble",
        "--target lictor --workload failover --nodes 3 --nemesis kill-leader,kill-consul-all,pause-consul-active,\
         partition-one-way --interval 8",
    )
    .lasting(80),
    kept(
        "lictor: a service, all killed, bad lines and disks",
        "--target lictor --workload failover --nodes 3 --nemesis restart-all,slow-active,lossy-one,disk-full-active \
         --interval 8",
    )
    .lasting(80),
    kept(
        "lictor: a service, several faults at once",
        "--target lictor --workload failover --nodes 3 --nemesis kill-one,pause-agent-one,partition-halves,\
         pause-consul-one --schedule mixed --interval 5",
    )
    .lasting(80),
    kept(
        "lictor: a service, servers leave, snapshots restored",
        "--target lictor --workload failover --nodes 3 --nemesis membership,restore --interval 8",
    )
    .lasting(80),
    kept(
        "lictor: alerts",
        "--target lictor --workload alerts --nemesis kill-active,pause-agent-active,partition-active,restart-all,kill-leader \
         --interval 7",
    )
    .lasting(80),
    kept("lictor: alerts, snapshots restored", "--target lictor --workload alerts --nemesis restore --interval 6")
        .lasting(60),
    kept(
        "lictor: remedies",
        "--target lictor --workload remedy --nemesis kill-agent-active,kill-all,restart-all,pause-agent-all --interval 5",
    )
    .lasting(80),
    kept(
        "lictor: replication",
        "--target lictor --workload replication --nodes 6 --nemesis partition-halves,kill-all,restart-all,pause-one,\
         kill-agent-all --interval 8",
    )
    .lasting(80),
    kept(
        "lictor: peers",
        "--target lictor --workload peers --nemesis kill-agent-one,partition-one,pause-agent-minority,partition-one-way,restart-all \
         --interval 6",
    )
    .lasting(80),
    kept(
        "lictor: snapshots",
        "--target lictor --workload snapshots --nodes 3 --nemesis kill-leader,partition-leader,pause-leader,kill-agent-all \
         --interval 5",
    ),
    planted(
        "lictor: stale snapshots",
        "--target lictor --workload snapshots --nodes 3 --nemesis partition-one --reads stale --interval 5",
    )
    .lasting(30),
    planted(
        "lictor: a service that nobody fences",
        "--target lictor --workload failover --nodes 3 --nemesis pause-agent-active --interval 8 \
         --agent-env LICTOR_PLANT=unfenced",
    )
    .short()
    .lasting(32),
    planted(
        "lictor: alerts that are forgotten",
        "--target lictor --workload alerts --nemesis kill-active --interval 6 --agent-env LICTOR_PLANT=forgets",
    )
    .lasting(60),
    planted(
        "lictor: peers that are forgotten",
        "--target lictor --workload peers --nemesis kill-agent-one,restart-all --interval 5 --agent-env LICTOR_PLANT=forgets",
    )
    .lasting(60),
    planted(
        "lictor: steps that are repeated",
        "--target lictor --workload remedy --nemesis kill-agent-active --interval 4 --agent-env LICTOR_PLANT=repeats",
    )
    .lasting(40),
    planted(
        "lictor: copies that nobody looks at",
        "--target lictor --workload replication --nodes 6 --nemesis partition-one --interval 8 --agent-env LICTOR_PLANT=blind",
    )
    .lasting(40),
];

/// Of Consul.
pub(super) const RUNS: &[Run] = &[
    kept("register, no fault", "--workload register"),
    kept(
        "register, partitions",
        "--workload register --nemesis partition-one,partition-halves,partition-leader,partition-majority",
    )
    .short(),
    kept(
        "register, odd partitions",
        "--workload register --nemesis partition-bridge,partition-ring,partition-one-way",
    ),
    kept("register, kills", "--workload register --nemesis kill-one,kill-minority,kill-majority,kill-leader"),
    kept(
        "register, all killed",
        "--workload register --nemesis kill-all,restart-all --ballast 60000 --interval 5",
    )
    .short(),
    kept("register, pauses", "--workload register --nemesis pause-one,pause-majority,pause-leader,pause-all"),
    kept(
        "register, bad lines",
        "--workload register --nemesis slow-leader,lossy-one,slow-all,lossy-minority",
    ),
    kept("register, bad disks", "--workload register --nemesis disk-freeze-one,disk-full-leader"),
    kept("register, servers leave", "--workload register --nemesis membership --interval 5"),
    kept(
        "register, several faults at once",
        "--workload register --nemesis kill-one,pause-one,partition-halves,slow-one --schedule mixed --interval 5",
    ),
    kept("versioned register", "--workload versioned --nemesis partition-halves,kill-leader"),
    kept("several keys in one transaction", "--workload multi --nemesis partition-halves,kill-leader"),
    kept("set", "--workload set --nemesis kill-all,partition-halves"),
    kept("lists", "--workload append --nemesis partition-halves,kill-leader,pause-leader").short(),
    kept("default reads, leader cut off", "--workload register --reads default --nemesis partition-leader"),
    unpromised("default reads, leader paused", "--workload register --reads default --nemesis pause-leader"),
    kept(
        "locks with tokens",
        "--workload fenced-lock --clients 40 --nemesis pause-one,pause-leader --interval 9",
    )
    .lasting(40),
    kept("leaders", "--workload leader --nemesis pause-leader,partition-one,kill-leader --interval 8")
        .lasting(50),
    kept("sessions, no fault", "--workload session"),
    // One kill: each new leader gives sessions their time anew.
    kept("sessions, leader killed", "--workload session --nemesis kill-leader --interval 15").lasting(40),
    planted("stale reads", "--workload register --reads stale --nemesis partition-one").short(),
    // The sooner there is a leader, the more of its log it has not read yet.
    planted(
        "default reads, all killed",
        "--workload register --reads default --nemesis kill-all --ballast 60000 --interval 5 --nodes 3",
    )
    .short()
    .lasting(60),
    planted("locks without tokens", "--workload lock --clients 40 --nemesis pause-one --interval 9")
        .short()
        .lasting(40),
    planted("stale reads of several keys", "--workload multi --reads stale --nemesis partition-one"),
    planted("stale reads of lists", "--workload append --reads stale --nemesis partition-one"),
    planted("stale reads of a set", "--workload set --reads stale --nemesis partition-one"),
    planted("a set, and a snapshot restored", "--workload set --nemesis restore --interval 5"),
    // It brings back what had ended, and takes away what had begun since it was taken.
    planted("sessions, and a snapshot restored", "--workload session --nemesis restore --interval 3"),
];
