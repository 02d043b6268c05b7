#!/bin/sh
# Lets a user join a group and leave it again, with kcat.
#
#   examples/kcat/group.sh [BROKER [TOPIC]]
set -eu
broker=${1:-127.0.0.1:9092}
topic=${2:-im.groups}

membership() { # membership KEY VALUE: an empty value is written as null
  printf '%s\t%s\n' "$1" "$2" |
    kcat -P -Z -K '\t' -b "$broker" -t "$topic" -X partitioner=murmur2_random -X acks=all
}

membership 'demo|team|bob' '{"App":"demo","Group":"team","User":"bob"}' # a member from now on
membership 'demo|team|bob' ''                                           # and not any more
