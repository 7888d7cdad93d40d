#!/usr/bin/env bash
# A Ceph cluster of one node with an S3 gateway (RGW), on loopback, without systemd, its objects in memory: for tests.
#
# usage: start_ceph.sh FOLDER GATEWAY_PORT MONITOR_PORT MONITOR_PORT_V1 ACCESS_KEY SECRET_KEY
#
# FOLDER is empty; everything is kept below it. The script ends when one of its daemons does; its caller ends the
# whole process group. The other daemons find ports by themselves (from 6800).
#
# CEPH_DAY_SECONDS, if set, is how long a day is for lifecycle rules, so that a test can see days pass. It counts for the
# abortion of unfinished uploads, too, which is why a day is a day unless asked otherwise.
set -euo pipefail

FOLDER=$1 GATEWAY_PORT=$2 MONITOR_PORT=$3 MONITOR_PORT_V1=$4 ACCESS_KEY=$5 SECRET_KEY=$6
MONITOR="[v2:127.0.0.1:$MONITOR_PORT/0,v1:127.0.0.1:$MONITOR_PORT_V1/0]"
CLUSTER=$(cat /proc/sys/kernel/random/uuid)
cd "$FOLDER"
mkdir mon mgr osd rgw log

# One key ring for all: without authentication RGW does not start. Sizes, placement groups and warnings are cut down to
# what one node with one store in memory needs; memstore keeps nothing when it ends.
cat > ceph.conf <<CONFIGURATION
[global]
fsid = $CLUSTER
mon_host = $MONITOR
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = $FOLDER/keyring
run_dir = $FOLDER
admin_socket =
log_file = $FOLDER/log/\$name.log
mon_cluster_log_file = $FOLDER/log/cluster.log
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_data_avail_crit = 1
mon_data_avail_warn = 1
mon_max_pg_per_osd = 1000
mgr_initial_modules =
[mon.a]
mon_data = $FOLDER/mon
[mgr.x]
mgr_data = $FOLDER/mgr
[osd.0]
osd_data = $FOLDER/osd
osd_objectstore = memstore
memstore_device_bytes = 8589934592
osd_memory_target = 1073741824
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:$GATEWAY_PORT
rgw_data = $FOLDER/rgw
${CEPH_DAY_SECONDS:+rgw_lc_debug_interval = $CEPH_DAY_SECONDS}
CONFIGURATION
export CEPH_CONF=$FOLDER/ceph.conf

ceph-authtool -C keyring -g -n mon. --cap mon 'allow *'
for entity in client.admin client.rgw mgr.x osd.0; do
  ceph-authtool keyring -g -n "$entity" --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' --cap mds 'allow *'
done
monmaptool --create --clobber --fsid "$CLUSTER" --addv a "$MONITOR" monmap
ceph-mon --mkfs -i a --monmap monmap --keyring keyring
ceph-mon -i a -f &
ceph-mgr -i x -f &
timeout 120 ceph osd create
timeout 60 ceph osd crush add osd.0 1.0 root=default host=localhost
ceph-osd -i 0 --mkfs
ceph-osd -i 0 -f &
timeout 120 radosgw-admin user create --uid=tests --display-name=tests \
  --access-key="$ACCESS_KEY" --secret-key="$SECRET_KEY"
radosgw -n client.rgw -f &

wait -n
echo 'A daemon has ended.'
exit 1
