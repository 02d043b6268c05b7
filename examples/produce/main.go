// Command produce is an IM service at its smallest: it produces one chat message to Kafka and prints the message's key.
//
//	go run ./examples/produce -broker 127.0.0.1:9092 -topic im.messages
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/segmentio/kafka-go"
)

// message is what this service says of a chat message; there is more that one can say.
type message struct {
	App          string
	FromAccount  string `json:"From_Account"`
	FromNick     string `json:"From_Nick"`
	ToAccount    string `json:"To_Account"`
	MsgSeq       uint32
	MsgRandom    uint32
	MsgTimeStamp int64 // seconds
	MsgBody      []element
}

type element struct {
	MsgType    string
	MsgContent map[string]string
}

func main() {
	broker := flag.String("broker", "127.0.0.1:9092", "host:port of a broker")
	topic := flag.String("topic", "im.messages", "topic of chat messages")
	flag.Parse()
	if err := run(*broker, *topic); err != nil {
		fmt.Fprintln(os.Stderr, "produce:", err)
		os.Exit(1)
	}
}

func run(broker, topic string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	writer := &kafka.Writer{
		Addr:         kafka.TCP(broker),
		Topic:        topic,
		Balancer:     kafka.Murmur2Balancer{}, // the default is not murmur2
		RequiredAcks: kafka.RequireAll,        // the default waits for nobody
		BatchTimeout: 5 * time.Millisecond,    // the default lets a message wait for a second
	}

	// MsgSeq, MsgRandom and MsgTimeStamp are chosen once for a message, not once for an attempt: by them a message that is
	// produced twice is recognized.
	m := message{
		App: "demo", FromAccount: "alice", FromNick: "Alice", ToAccount: "bob",
		MsgSeq: 101, MsgRandom: rand.Uint32(), MsgTimeStamp: time.Now().Unix(),
		MsgBody: []element{{MsgType: "TIMTextElem", MsgContent: map[string]string{"Text": "hello"}}},
	}
	value, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode the message: %w", err)
	}

	// Messages of one key are pushed in their order: the conversation is a good one.
	if err := writer.WriteMessages(ctx, kafka.Message{Key: []byte("c2c:alice:bob"), Value: value}); err != nil {
		return fmt.Errorf("produce to %s: %w", topic, err)
	}
	if err := writer.Close(); err != nil {
		return fmt.Errorf("close the writer: %w", err)
	}
	fmt.Printf("c2c:%s:%d_%d_%d\n", m.FromAccount, m.MsgSeq, m.MsgRandom, m.MsgTimeStamp)
	return nil
}
