package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/pushfleet/pushfleet/cmd/internal/command"
	"github.com/pushfleet/pushfleet/pkg/config"
	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/workers/fleet"
)

// The most that one load makes: what the bounds of a test machine are meant for, not a target.
const (
	maxMessages = 1_000_000
	maxRate     = 50_000
	maxUsers    = 1_000_000
)

// plan is what a load makes.
type plan struct {
	config                string
	messages, rate, users int
}

// load makes users with a device each, half of them on each platform, and messages to them.
func load(stdout io.Writer) *cobra.Command {
	var p plan
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Produce device events and one-to-one messages to the Kafka of a configuration",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if p.messages < 1 || p.messages > maxMessages || p.rate < 1 || p.rate > maxRate || p.users < 1 || p.users > maxUsers {
				return command.Usagef("--messages is 1 to %d, --rate 1 to %d, --users 1 to %d", maxMessages, maxRate, maxUsers)
			}
			return p.run(cmd.Context(), stdout)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&p.config, "config", "c", "pushfleet.yaml", "configuration of the fleet, with the credentials demo-ios and demo-android")
	flags.IntVar(&p.messages, "messages", 1000, "how many messages")
	flags.IntVar(&p.rate, "rate", 500, "messages a second")
	flags.IntVar(&p.users, "users", 100, "recipients, each with a device in the background")
	return cmd
}

// run makes the load until all is made, or ctx ends, which is no failure.
func (p plan) run(ctx context.Context, stdout io.Writer) error {
	cfg, err := config.Load(p.config, fleet.Names())
	if err != nil {
		return fmt.Errorf("configuration %s:\n%w", p.config, err)
	}
	cluster := stream.OpenCluster(stream.ClusterConfig{Brokers: cfg.Kafka.Brokers})
	defer cluster.Close()
	pub := cluster.NewPublisher(stream.PublisherConfig{})
	topics := stream.Topics{Prefix: cfg.Kafka.Prefix}
	var written, failed atomic.Int64
	done := func(err error) {
		switch {
		case err == nil:
			written.Add(1)
		case ctx.Err() == nil:
			failed.Add(1)
		}
	}
	began := time.Now()
	for i := 0; i < p.users && ctx.Err() == nil; i++ {
		for _, event := range deviceEvents(cfg.DefaultApp, i, began) {
			pub.Publish(ctx, stream.Message{Topic: topics.Devices(), Key: stream.UserKey(cfg.DefaultApp, user(i)), Value: event, Partition: stream.ByKey}, done)
		}
	}
	made := p.messagesTo(ctx, pub, topics.Messages(), cfg.DefaultApp, done)
	err = closeWithin(ctx, pub)
	took := time.Since(began)
	if _, err := fmt.Fprintf(stdout, "%d users, %d messages in %s, %.0f a second; %d records written, %d failed\n", p.users, made,
		took.Round(time.Millisecond), float64(made)/took.Seconds(), written.Load(), failed.Load()); err != nil {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	case failed.Load() > 0:
		return fmt.Errorf("%d records were not written", failed.Load())
	}
	return nil
}

const (
	lastWrites  = 30 * time.Second // for what waits when all is made
	interrupted = 5 * time.Second  // the same after a signal, which promises an end within 15 s
)

// closeWithin writes what waits.
func closeWithin(ctx context.Context, pub *stream.Publisher) error {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrites)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(interrupted):
			cancel()
		case <-closing.Done():
		}
	})
	defer stop()
	return pub.Close(closing)
}

// messagesTo produces the messages at the rate until ctx ends, and returns how many.
func (p plan) messagesTo(ctx context.Context, pub *stream.Publisher, topic, app string, done func(error)) int {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	made := 0
	for made < p.messages {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return made
		}
		due := min(p.messages, int(time.Since(began).Seconds()*float64(p.rate)))
		for ; made < due && ctx.Err() == nil; made++ {
			pub.Publish(ctx, stream.Message{Topic: topic, Key: []byte("load|" + user(made%p.users)), Value: chat(app, made, p.users), Partition: stream.ByKey}, done)
		}
	}
	return made
}

func user(i int) string { return "user-" + strconv.Itoa(i) }

// chat is one message; its sequence and the time make its key one of a kind.
func chat(app string, i, users int) []byte {
	return encode(map[string]any{"App": app, "From_Account": "load", "From_Nick": "Load", "To_Account": user(i % users), "MsgSeq": i,
		"MsgRandom": uint32(time.Now().UnixNano()), "MsgTimeStamp": time.Now().Unix(),
		"MsgBody": []any{map[string]any{"MsgType": "TIMTextElem", "MsgContent": map[string]any{"Text": "message " + strconv.Itoa(i)}}}})
}

// deviceEvents log one device in and send it to the background.
func deviceEvents(app string, i int, now time.Time) [][]byte {
	login := map[string]any{"App": app, "User": user(i), "Device": user(i) + "-phone", "Event": "login", "EventTime": now.Add(-5 * time.Second).UnixMilli(),
		"Platform": "apns", "Credential": "demo-ios", "Token": fmt.Sprintf("%064x", i+1), "Language": "en"}
	if i%2 == 1 {
		login["Platform"], login["Credential"], login["Token"] = "fcm", "demo-android", fmt.Sprintf("load-%d", i)
	}
	background := map[string]any{"App": app, "User": user(i), "Device": user(i) + "-phone", "Event": "background", "EventTime": now.UnixMilli(), "Unread": 0}
	return [][]byte{encode(login), encode(background)}
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("a map of strings and numbers did not marshal: " + err.Error())
	}
	return b
}
