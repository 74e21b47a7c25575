#!/bin/sh
#SBATCH --job-name=ucbench
#SBATCH --array=1-16
#SBATCH --cpus-per-task=1
#SBATCH --requeue
# A suite as an array job of SLURM, a shard a task, results in one folder that all nodes see:
#
#   sbatch benchmarks/slurm.sh --suite digits-core --out results
#   sbatch --array=1-64 --time=04:00:00 --gres=gpu:1 benchmarks/slurm.sh --suite core-cifar10 --data-root DATA --out results
#
# A task that is stopped, by its time limit or otherwise, is submitted again as it was: cells whose records lie in the
# folder are not computed again. When all are done, `ucbench run` with the same --suite and --out, without a shard,
# computes nothing and writes results.csv of all records.
set -eu
: "${SLURM_ARRAY_TASK_ID:?This is an array job: submit it by sbatch.}"
# Releases are crafted once for all tasks if the store is on a file system that all nodes see, with locks.
export UCBENCH_HOME="${UCBENCH_HOME:-${SCRATCH:-$HOME}/ucbench}"
exec ucbench run "$@" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
