# Makes a machine out of this one and boots it as often as it is told to. Two shells run it: `outer`
# sees to what has to be tidied up, `inner` lives in namespaces of its own and all of the machine with
# it. When the inner shell reaches the end of its input, that is when the test is gone, everything ends.
#
#   sh host.sh ROLE DIR GROUP MACHINE NSPAWN [OPTION OF NSPAWN ...]
set -eu
script=$0 role=$1 dir=$2 group=$3 machine=$4 nspawn=$5
shift 5

trees() {
    # Version 2 alone, or what systemd needs where both versions are mounted.
    for tree in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
        [ -e "$tree/cgroup.procs" ] && echo "$tree"
    done
    return 0
}

case $role in
outer)
    # Two machines in one control group would end each other's processes.
    for tree in $(trees); do
        mkdir "$tree/$group"
        echo 0 >"$tree/$group/cgroup.procs"
    done
    unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
        /bin/sh "$script" inner "$dir" "$group" "$machine" "$nspawn" "$@" || true
    for tree in $(trees); do
        echo 0 >"$tree/cgroup.procs"
        find "$tree/$group" -depth -type d -exec rmdir {} \;
    done
    rm -rf --one-file-system "$dir"
    ;;
inner)
    # In memory, and gone with the last process in here.
    mount -t tmpfs -o size=2g,mode=755 lictor-host "$dir/disk"
    mount -t tmpfs -o size=64m,mode=755 lictor-host /run
    cd "$dir/disk"
    if [ -n "${SMALL_DISK:-}" ]; then
        mkdir "$dir/small"
        mount -t tmpfs -o "size=$SMALL_DISK_SIZE,mode=755" lictor-host "$dir/small"
        set -- "$@" "--bind=$dir/small:$SMALL_DISK"
    fi
    mkdir lower upper work "$machine"
    mount --bind / lower
    mount -t overlay lictor-host -o lowerdir=lower,upperdir=upper,workdir=work "$machine"
    # Whatever this machine runs at its boot is not run, or mounted, in there.
    (
        cd "$machine"
        rm -rf etc/systemd/system etc/rc?.d etc/machine-id var/log/journal var/lib/lictor var/lib/systemd \
            etc/systemd/user etc/fstab var/lib/dbus/machine-id
        mkdir -p etc/systemd/system etc/systemd/user var/log/journal var/lib/systemd
        tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
        : >etc/fstab
        # What does not heed TERM holds a shutdown up for so long.
        mkdir -p etc/systemd/system.conf.d
        printf '[Manager]\nDefaultTimeoutStopSec=10s\n' >etc/systemd/system.conf.d/lictor-test.conf
        echo "$machine" >etc/hostname
        for unit in console-getty.service systemd-firstboot.service systemd-timesyncd.service \
            systemd-networkd.service systemd-resolved.service; do
            ln -s /dev/null "etc/systemd/system/$unit"
        done
    )
    clocks() {
        [ -n "${OWN_CLOCKS:-}" ] || return 0
        # A little is left, so that neither becomes negative.
        read -r up _ </proc/uptime
        echo unshare --time --fork --kill-child --boottime "-$((${up%.*} - 1))" --monotonic "-$((${up%.*} - 1))"
    }
    # In the network namespace that it was started in, or in one of its own.
    [ -n "${SHARED_NETWORK:-}" ] || set -- --private-network "$@"
    run() {
        # It ends with 133 when the machine is to be booted again.
        code=133
        while [ "$code" = 133 ]; do
            code=0
            $(clocks) "$nspawn" --quiet --directory="$machine" --machine="$machine" --register=no --keep-unit \
                --link-journal=no --resolv-conf=off --timezone=off "$@" \
                --boot systemd.unit=multi-user.target || code=$?
        done
    }
    while read -r order; do
        [ "$order" = boot ] || exit 64
        # It must have let go of the directory.
        wait
        run "$@" </dev/null >>"$dir/console.log" 2>&1 &
    done
    ;;
esac
