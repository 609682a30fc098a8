#!/bin/bash
# The first process of a test node: prepares the node's mounts, then keeps containerd and the kubelet running, as an init system
# does. It runs in a mount and a PID namespace of its own, so whatever the node mounts or starts ends with this process.
# usage: node-init.sh DIRECTORY    (node.ts puts into it what is read here: bin/, cni/, containerd.toml, kubelet.*)
set -eu

# Containers go below a cgroup that bears the directory's name; the sweeper removes it (sweep.sh).
cgroup=$(basename "$1")
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control || true
  done
  mkdir "/sys/fs/cgroup/$cgroup"
else
  for hierarchy in /sys/fs/cgroup/*/; do mkdir -p "$hierarchy$cgroup"; done
fi

# The directory may be anywhere, below /run too, which is hidden next; its mount stays reachable by the working directory.
cd "$1"
mount -t tmpfs tmpfs /run
mkdir /run/node
mount --bind . /run/node
cd /run/node

# What containerd and the kubelet write outside of the directories that they can be given.
mount -t tmpfs tmpfs /var/log
mkdir -p var-lib/upper var-lib/work kubelet tmp log
mount -t overlay overlay -o lowerdir=/var/lib,upperdir=var-lib/upper,workdir=var-lib/work /var/lib
mkdir -p /var/lib/kubelet
mount --bind kubelet /var/lib/kubelet
export TMPDIR=/run/node/tmp

# Kernel settings that the kubelet and the CNI plugins insist on. They find them as they want them, and the machine keeps its own.
while read -r setting value; do
  file=tmp/${setting//\//.}
  echo "$value" >"$file"
  mount --bind "$file" "/proc/sys/$setting"
done <<SETTINGS
kernel/keys/root_maxbytes 25000000
kernel/keys/root_maxkeys 1000000
kernel/panic 10
kernel/panic_on_oops 1
net/ipv4/ip_forward 1
vm/overcommit_memory 1
vm/panic_on_oom 0
SETTINGS

# The kubelet and the driver in one namespace see each other's mounts anyway; containers only where these are shared.
mount --make-rshared /

# Starts a program again whenever it ends, and says in /run/NAME.pid which process it is.
keep_running() {
  local name=$1
  shift
  while true; do
    "$@" >>"log/$name" 2>&1 &
    echo $! >"/run/$name.pid"
    wait $! || true
    sleep 0.2
  done
}

keep_running containerd containerd --config containerd.toml &
until [ -S /run/containerd/containerd.sock ]; do sleep 0.1; done
keep_running kubelet bin/kubelet --config kubelet.json --kubeconfig kubelet.kubeconfig \
  --hostname-override "$(cat kubelet.name)" --root-dir /var/lib/kubelet --cert-dir kubelet-pki &
wait
