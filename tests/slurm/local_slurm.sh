#!/usr/bin/env bash
# A real SLURM cluster of two small virtual nodes on this machine, for the tests marked slurm.
#   local_slurm.sh start DIR   install (Debian: slurm-wlm, munge) if missing, start munged, slurmctld, slurmd n1 and n2
#   local_slurm.sh stop DIR    end exactly the daemons that start began
# After start: export SLURM_CONF=DIR/slurm.conf; then sinfo, sbatch, srun, scancel, scontrol requeue work.
# Both nodes are this host (127.0.0.1), 2 CPUs each. A requeued job becomes eligible again only after about
# two minutes (SLURM's own delay); `scontrol update jobid=N starttime=now` or a second sbatch avoids the wait.
set -euo pipefail
what=${1:?start or stop} dir=$(mkdir -p "${2:?a scratch folder}" && cd "$2" && pwd)
conf=$dir/slurm.conf

start() {
  if ! command -v slurmctld >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq slurm-wlm munge >"$dir/apt.log" 2>&1
  fi
  mkdir -p "$dir/state" "$dir/log" /run/munge
  chown munge:munge /run/munge
  if ! munge -n >/dev/null 2>&1; then
    su -s /bin/bash munge -c /usr/sbin/munged
    for _ in $(seq 50); do munge -n >/dev/null 2>&1 && break; sleep 0.1; done
    cp /run/munge/munged.pid "$dir/munged.pid"
  fi
  cat >"$conf" <<EOF
ClusterName=local
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
JobRequeue=1
SlurmctldPort=16817
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd-%n.pid
SlurmdSpoolDir=$dir/spool-%n
StateSaveLocation=$dir/state
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd-%n.log
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=17001 CPUs=2 RealMemory=4000 State=UNKNOWN
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port=17002 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
EOF
  export SLURM_CONF=$conf
  slurmctld
  for node in n1 n2; do mkdir -p "$dir/spool-$node"; slurmd -N "$node"; done
  for _ in $(seq 100); do [[ $(sinfo -h -t idle -o %D 2>/dev/null) == 2 ]] && break; sleep 0.2; done
  sinfo
  echo "export SLURM_CONF=$conf"
}

stop() {
  for pid in "$dir"/slurmd-n1.pid "$dir"/slurmd-n2.pid "$dir"/slurmctld.pid "$dir"/munged.pid; do
    [[ -s $pid ]] && kill "$(cat "$pid")" 2>/dev/null || true
  done
}

"$what"
