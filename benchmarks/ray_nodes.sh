#!/bin/bash
# Two Ray nodes on one machine, each in a network namespace, finish a suite although one is killed on the way; the
# records are those of a run without Ray, but for costs and the environment.
#
#   sudo benchmarks/ray_nodes.sh [SUITE]          (smoke by default; needs ucbench[ray] on the PATH, ip, and root)
#
# It exits with 0 if the records are equal. Everything it makes is below a temporary folder, and is removed.
set -euo pipefail
suite="${1:-smoke}"
work="$(mktemp -d)"
head_ip=10.77.0.1 other_ip=10.77.0.2
# Newer versions of Ray ask every process for the cluster's token; older ones ignore it.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$work/token"
python3 -c 'import secrets; print(secrets.token_hex(32), end="")' >"$RAY_AUTH_TOKEN_PATH"

finish() {
    for name in uchead ucother; do
        for pid in $(ip netns pids "$name" 2>/dev/null); do kill -9 "$pid" 2>/dev/null || true; done
        ip netns del "$name" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap finish EXIT

ip netns add uchead
ip netns add ucother
ip link add uchead0 netns uchead type veth peer name ucother0 netns ucother
for node in "uchead $head_ip" "ucother $other_ip"; do
    set -- $node
    ip -n "$1" addr add "$2/24" dev "${1}0"
    ip -n "$1" link set "${1}0" up
    ip -n "$1" link set lo up
done

echo "Without Ray:"
UCBENCH_HOME="$work/serial-store" ucbench run --suite "$suite" --out "$work/serial"

# Nodes have stores and temporary folders of their own, as machines have.
ip netns exec uchead ray start --head --node-ip-address="$head_ip" --port=6379 --num-cpus=1 \
    --temp-dir="$work/head" --disable-usage-stats
UCBENCH_HOME="$work/other-store" ip netns exec ucother ray start --address="$head_ip:6379" \
    --node-ip-address="$other_ip" --num-cpus=1 --disable-usage-stats

echo "On two nodes:"
UCBENCH_HOME="$work/ray-store" ip netns exec uchead ucbench run --suite "$suite" --out "$work/ray" \
    --executor "ray:address=\"$head_ip:6379\"" &
run=$!
until compgen -G "$work/ray/records/*.json" >/dev/null || ! kill -0 "$run" 2>/dev/null; do sleep 0.2; done
kill -0 "$run" || { echo "The run ended before a node could be killed; take a longer suite." >&2; exit 1; }
for pid in $(ip netns pids ucother); do kill -9 "$pid" 2>/dev/null || true; done
echo "One node was killed."
wait "$run"

python3 - "$work/serial" "$work/ray" <<'END'
import json, sys
from pathlib import Path

def records(folder):
    found = {path.name: json.loads(path.read_text()) for path in Path(folder, "records").glob("*.json")}
    return {name: {k: v for k, v in one.items() if k not in ("cost", "environment")} for name, one in found.items()}

one, other = map(records, sys.argv[1:])
differ = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
print(f"{len(one)} records without Ray, {len(other)} with; {len(differ)} differ.")
sys.exit(bool(differ))
END
