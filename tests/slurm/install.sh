#!/bin/sh
# SLURM's daemons for `make test-slurm`; needs Debian or Ubuntu, and root. Nothing is started.
set -e
command -v slurmctld > /dev/null && command -v slurmd > /dev/null && command -v munged > /dev/null && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "SLURM is not installed: as root on Debian or Ubuntu, apt-get install slurm-wlm munge" >&2
    exit 0 # the tests say that they are skipped, and why
fi
if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
    apt-get install -qq --yes --no-install-recommends slurm-wlm munge > /dev/null; }; then
    echo "apt-get could not install SLURM: the tests are skipped" >&2
fi
