#!/usr/bin/env bash
# What a graphics card is good for, in ten minutes at most: whether all workloads agree with the processor,
# how long each takes at five sizes, and training steps beside PyTorch's. Linux; Python 3, without packages
# but PyTorch where it is to be compared.
#
#   cargo build --release --examples --features wgpu,cuda
#   benches/gpu.sh [--full] [--out DIR] [FOLDER OF THE BUILT EXAMPLES]
#
# Leaves DIR/index.html and DIR/comparison.json (DIR is out/gpu). A graphics card that is computed by the
# processor (llvmpipe) gets a dry run of two workloads; --full takes all of them there too.
# The exit status is 1 where a device disagrees.
set -euo pipefail

LIMIT_S=585
bin=target/release/examples out=out/gpu full=
while [ $# -gt 0 ]; do
    case "$1" in
        --full) full=yes ;;
        --out) out="${2:?--out: expected a folder}"; shift ;;
        -*) sed -n '/^set/q;s/^#\( \|$\) *//p' "$0" >&2; exit 2 ;;
        *) bin="$1" ;;
    esac
    shift
done
compare="$bin/compare_backends" parts="$out/parts"
[ -x "$compare" ] || { echo "no $compare: build the examples, or name their folder" >&2; exit 2; }
rm -rf "$parts"
mkdir -p "$parts"

left() { echo $((LIMIT_S - SECONDS)); }
step() { printf '\n=== %s (%s s)\n' "$1" "$SECONDS"; }
# compare LOG SECONDS FLAG…: stopped after so many seconds; what it finished by then stays in its folder.
compare() {
    local log="$1" limit="$2"
    shift 2
    timeout --foreground --signal=TERM --kill-after=10 "$limit" "$compare" "$@" >"$log" 2>&1
}

step "which devices answer"
devices=() only=() software= dry=
for device in wgpu cuda; do
    probe="$parts/probe-$device"
    mkdir -p "$probe"
    compare "$probe/log" 60 --devices "$device" --only matmul --sizes tiny --budget-s 0.05 \
        --out "$probe" || true
    if ! [ -e "$probe/comparison.json" ]; then
        echo "$device: $(tail -n 1 "$probe/log")"
    elif grep -q '"class": "software_gpu"' "$probe/comparison.json"; then
        echo "$device: a graphics card in software"
        software="$device"
    else
        echo "$device: answers"
        devices+=("$device")
    fi
done
if [ -n "$software" ] && { [ ${#devices[@]} = 0 ] || [ -n "$full" ]; }; then
    devices+=("$software")
    [ -n "$full" ] || only=(--only matmul,mlp)
    dry="$software is computed by the processor: its times say nothing of a card"
    echo "DRY RUN: $dry"
fi
[ ${#devices[@]} -gt 0 ] || { echo "no graphics card answers" >&2; exit 1; }
all="flex$(printf ',%s' "${devices[@]}")"

# sweep SIZE BUDGET_S SECONDS: all workloads at one size on flex and the devices.
skipped=() crashed=()
sweep() {
    local size="$1" status=0 began=$SECONDS
    compare "$parts/$size.log" "$3" --devices "$all" "${only[@]}" --sizes "$size" --budget-s "$2" \
        --out "$parts/$size" || status=$?
    case $status in
        0 | 1) tail -n 1 "$parts/$size.log" ;;
        *)
            if [ $((SECONDS - began)) -ge "$3" ]; then
                skipped+=("$size (in part)")
                echo "the time was up before all had run"
            else
                crashed+=("$size")
                echo "CRASHED with status $status: see $parts/$size.log"
            fi
            ;;
    esac
}

step "agreement of all workloads, size small, on $all"
sweep small 0.1 $(($(left) - 60))

step "training steps beside PyTorch"
if ! [[ " ${devices[*]} " = *" cuda "* ]]; then
    echo "left out: cuda does not answer"
elif ! python3 -c 'import torch; raise SystemExit(not torch.cuda.is_available())' 2>/dev/null; then
    echo "left out: this Python has no PyTorch that sees the card"
else
    limit=$(($(left) / 3))
    timeout --foreground --kill-after=10 $((limit + 20)) python3 "$(dirname "$0")/peers.py" --bin "$bin" \
        --device cuda --only mlp,densenet,vgg,gan,translation,quantized --sizes medium --turns 2 \
        --budget-s 0.3 --limit-s "$limit" --out "$parts/peers.json" || echo "it came to no end"
fi

took=30
for size in huge medium tiny large; do
    # A size takes about as long as the one before; one that could not come to its end is not begun.
    if [ "$(left)" -lt $((took + 20)) ]; then
        skipped+=("$size")
        continue
    fi
    step "size $size on $all"
    began=$SECONDS
    sweep "$size" 0.25 $(($(left) - 15))
    took=$((SECONDS - began))
done

step "one page"
python3 - "$out" "${skipped[@]}" <<'PYTHON'
import json, sys
from pathlib import Path

out, skipped = Path(sys.argv[1]), sys.argv[2:]
# Each workload as its run finished it, also where a later one was stopped.
finished = [json.loads(path.read_text())["value"] for path in sorted(out.glob("parts/*/checkpoints/*.json"))
            if not path.parts[-3].startswith("probe")]
if not finished:
    sys.exit("nothing was measured")
comparison = {"machine": finished[0]["machine"], "workloads": [], "rows": []}
for part in finished:
    comparison["workloads"] += [it for it in part["workloads"] if it not in comparison["workloads"]]
    comparison["rows"] += part["rows"]
comparison["rows"].sort(key=lambda row: (row["workload"], row["size"]["value"]))
peers = out / "parts" / "peers.json"
result = {"format": "usagi comparison", "version": 2, "comparison": comparison, "not_measured": skipped,
          "peers": json.loads(peers.read_text()) if peers.exists() else None}
(out / "comparison.json").write_text(json.dumps(result, indent=1) + "\n")

print("First runs in seconds, kernels compiled and tuned in them (cached ones are not compiled again):\n")
cards = [device["spec"] for device in comparison["machine"]["devices"] if device["spec"] != "flex"]
firsts = {}
for row in comparison["rows"]:
    if row["device"] in cards and row["status"]["kind"] == "measured":
        key = (row["workload"], row["device"])
        firsts.setdefault(key, {})[row["size"]["label"]] = row["status"]["measurement"]["first_run_s"]
labels = ["tiny", "small", "medium", "large", "huge"]
print("| workload | device | " + " | ".join(labels) + " |\n| --- | --- |" + " ---: |" * len(labels))
for (workload, device), taken in firsts.items():
    shown = [f"{taken[label]:.2f}" if label in taken else "–" for label in labels]
    print(f"| {workload} | {device} | " + " | ".join(shown) + " |")
PYTHON
status=0
"$compare" --merge "$out/comparison.json" --out "$out" || status=$?
[ ${#skipped[@]} = 0 ] || echo "for want of time not measured: ${skipped[*]}"
[ -z "$dry" ] || echo "DRY RUN: $dry"
echo "$SECONDS s in all"
[ ${#crashed[@]} = 0 ] || { echo "crashed: ${crashed[*]}"; exit 1; }
exit "$status"
