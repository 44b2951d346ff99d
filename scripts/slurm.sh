#!/usr/bin/env bash
# A private Slurm for tests: two emulated nodes with two fake GPUs each, on the loopback interface, as root.
#
#   scripts/slurm.sh up DIR      starts it; afterwards `. DIR/env.sh` lets sbatch and its kin talk to it
#   scripts/slurm.sh controller DIR stop|start
#   scripts/slurm.sh node DIR n0|n1 kill|start
#   scripts/slurm.sh down DIR    ends its jobs and daemons and removes DIR
#
# Everything is below DIR. Where Slurm is not installed its Debian packages are unpacked there, not installed; nothing
# else on the machine is touched, and no daemon is ended but those that this script started. Exit code 3: this machine
# lacks what it takes (root, or Debian's packages).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
nodes='n0 n1'

lacking() {
    echo "no Slurm here: $*" >&2
    exit 3
}

# Unpacks Slurm with everything it needs beyond what is installed, into $root/software.
unpack() {
    local log="$root/apt.log"
    echo 'fetching Debian packages of Slurm' >&2
    # In a subshell of its own, as private_apt removes its folder at exit.
    (
        . "$here/private-apt.sh"
        private_apt "$root" main
        apt-get -qq -y --no-install-recommends --download-only install slurmctld slurmd slurm-client munge
        mkdir "$root/software"
        for package in "$work"/archives/*.deb; do
            dpkg-deb -x "$package" "$root/software"
        done
        # An installation would give these their usual names.
        for program in "$root"/software/usr/sbin/*-wlm; do
            ln -s "$program" "${program%-wlm}"
        done
    ) >"$log" 2>&1 || { tail -n 5 "$log" >&2; rm -rf "$root"; lacking 'its Debian packages cannot be fetched'; }
}

configure() {
    local base=$1 host node gpu
    host=$(hostname -s)
    mkdir -p "$root"/{log,state,run,munge,dev}
    chmod 755 "$root" "$root"/*/
    (umask 077 && head -c 1024 /dev/urandom >"$root/munge/key")
    {
        cat <<CONF
ClusterName=runner-test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$base
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$root/munge/socket
CredType=cred/munge
StateSaveLocation=$root/state
SlurmdSpoolDir=$root/spool-%n
SlurmctldPidFile=$root/run/slurmctld.pid
SlurmdPidFile=$root/run/slurmd-%n.pid
SlurmctldLogFile=$root/log/slurmctld.log
SlurmdLogFile=$root/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=5,bf_interval=5,batch_sched_delay=0
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
KillWait=5
SlurmdTimeout=15
SlurmctldTimeout=30
BatchStartTimeout=20
MinJobAge=${SLURM_MIN_JOB_AGE:-300}
MaxArraySize=1001
GresTypes=gpu
PluginDir=$plugins
PartitionName=main Nodes=${nodes// /,} Default=YES MaxTime=INFINITE State=UP
CONF
        for node in $nodes; do
            # More processors than there may be: the tests use little of them.
            echo "NodeName=$node NodeHostname=$host NodeAddr=127.0.0.1 Port=$((++base)) CPUs=2 RealMemory=1000 Gres=gpu:2"
        done
    } >"$root/slurm.conf"
    for node in $nodes; do
        mkdir -p "$root/spool-$node"
        for gpu in 0 1; do
            # A device that anybody may open, like /dev/null; containers without mknod get a plain file.
            mknod "$root/dev/$node-gpu$gpu" c 1 3 2>/dev/null || : >"$root/dev/$node-gpu$gpu"
        done
        echo "NodeName=$node Name=gpu File=$root/dev/$node-gpu[0-1]"
    done >"$root/gres.conf"
    # Read by some versions although no plugin here uses control groups.
    echo 'CgroupPlugin=cgroup/v1' >"$root/cgroup.conf"
}

start_node() {
    slurmd -N "$1" -d "$stepd"
}

# Sends a signal to the process whose number a file holds, and waits until it is gone.
end() {
    local file=$1 signal=$2 pid
    pid=$(cat "$file" 2>/dev/null) || return 0
    kill "-$signal" "$pid" 2>/dev/null || true
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
    rm -f "$file"
}

idle() { [ "$(sinfo -h -N -t idle -o %N 2>/dev/null | wc -l)" = 2 ]; }

up() {
    local libraries plugins stepd
    [ "$(id -u)" = 0 ] || lacking 'its daemons want root'
    [ ! -e "$root" ] || { echo "error: $root exists; name a folder that does not" >&2; exit 2; }
    mkdir -p "$root"
    root=$(cd "$root" && pwd)
    touch "$root/private-slurm"
    if ! { command -v slurmctld && command -v slurmd && command -v sbatch && command -v munged; } >/dev/null; then
        command -v apt-get >/dev/null || { rm -rf "$root"; lacking 'it is not installed, and apt-get is missing'; }
        unpack
        export PATH="$root/software/usr/bin:$root/software/usr/sbin:$PATH"
        libraries=$(dirname "$(find "$root/software" -name 'libmunge.so.2' | head -n 1)")
        export LD_LIBRARY_PATH="$libraries:$libraries/slurm-wlm${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
        plugins=$libraries/slurm-wlm
    else
        plugins=$(dirname "$(find /usr/lib /usr/lib64 -name auth_munge.so 2>/dev/null | head -n 1)")
    fi
    stepd=$(command -v slurmstepd)
    # Three ports in a row, another three for another folder.
    configure $((20000 + $(cksum <<<"$root" | cut -d' ' -f1) % 10000))
    cat >"$root/env.sh" <<ENV
export SLURM_CONF='$root/slurm.conf' PATH='$PATH' LD_LIBRARY_PATH='${LD_LIBRARY_PATH:-}' stepd='$stepd'
ENV
    . "$root/env.sh"
    munged --force --num-threads=2 --key-file="$root/munge/key" --socket="$root/munge/socket" \
        --pid-file="$root/run/munged.pid" --log-file="$root/log/munged.log" --seed-file="$root/munge/seed" \
        2>"$root/log/munged.err"
    slurmctld
    for node in $nodes; do
        start_node "$node"
    done
    for _ in $(seq 150); do
        if idle; then
            sinfo -N -o '%N %t %c %G' >&2
            return
        fi
        sleep 0.2
    done
    tail -n 20 "$root"/log/* >&2
    down
    echo 'error: the nodes did not come up within 30 s' >&2
    exit 1
}

down() {
    [ -e "$root" ] || return 0
    [ -f "$root/private-slurm" ] || { echo "error: $root was not made by this script" >&2; exit 2; }
    if [ -s "$root/run/slurmctld.pid" ] && kill -0 "$(cat "$root/run/slurmctld.pid")" 2>/dev/null; then
        scancel --user root 2>/dev/null || true
        for _ in $(seq 100); do
            [ -n "$(squeue -h 2>/dev/null)" ] || break
            sleep 0.1
        done
    fi
    for node in $nodes; do
        end "$root/run/slurmd-$node.pid" TERM
    done
    end "$root/run/slurmctld.pid" TERM
    end "$root/run/munged.pid" TERM
    rm -rf "$root"
}

[ $# -ge 2 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
verb=$1 root=$2
shift 2
[ "$verb" = up ] || [ ! -f "$root/env.sh" ] || . "$root/env.sh"
case "$verb $*" in
    'up ') up ;;
    'down ') down ;;
    'controller stop') end "$root/run/slurmctld.pid" TERM ;;
    'controller start') slurmctld ;;
    'node '*' kill') end "$root/run/slurmd-$1.pid" KILL ;;
    'node '*' start') start_node "$1" ;;
    *) echo "error: no such verb: $verb $*" >&2; exit 2 ;;
esac
