#!/bin/sh
# Produces one chat message with kcat and prints the message's key.
#
#   examples/kcat/produce.sh [BROKER [TOPIC]]
set -eu
broker=${1:-127.0.0.1:9092}
topic=${2:-im.messages}

# A message has a number of its own; one that is produced again has the same.
random=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
time=$(date +%s)

printf '{"App":"demo","From_Account":"alice","From_Nick":"Alice","To_Account":"bob","MsgSeq":101,"MsgRandom":%s,"MsgTimeStamp":%s,"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"hello"}}]}\n' "$random" "$time" |
  kcat -P -b "$broker" -t "$topic" -k 'c2c:alice:bob' -X partitioner=murmur2_random -X acks=all
echo "c2c:alice:101_${random}_$time"
