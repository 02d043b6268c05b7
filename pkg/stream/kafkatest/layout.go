package kafkatest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
)

// layout is where one node listens.
type layout struct {
	id                           int    // Kafka's, from 1
	directory                    string // id of its data folder
	clients, brokers, controller string // host:port
	advertised                   string // where clients find it
}

func newLayouts(cfg Config) ([]layout, error) {
	ports := map[int]bool{}
	layouts := make([]layout, cfg.Nodes)
	for i := range layouts {
		l := layout{id: i + 1, directory: newID()}
		for _, addr := range []*string{&l.clients, &l.brokers, &l.controller} {
			port, err := freePort(ports)
			if err != nil {
				return nil, err
			}
			*addr = fmt.Sprintf("127.0.0.1:%d", port)
		}
		l.advertised = l.clients
		if cfg.Advertise != nil {
			l.advertised = cfg.Advertise(i, l.clients)
		}
		layouts[i] = l
	}
	return layouts, nil
}

// freePort returns a port that nobody listens on, below the range from which the system picks ports for outgoing
// connections: a node that is started again needs the one that it had.
func freePort(taken map[int]bool) (int, error) {
	for range 1000 {
		port := 20_000 + rand.IntN(12_000)
		if taken[port] {
			continue
		}
		taken[port] = true
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		_ = ln.Close()
		return port, nil
	}
	return 0, errors.New("no free port between 20000 and 32000")
}

// voters are the controllers as the first format of each node has to name them.
func voters(layouts []layout) string {
	var out []string
	for _, l := range layouts {
		out = append(out, fmt.Sprintf("%d@%s:%s", l.id, l.controller, l.directory))
	}
	return strings.Join(out, ",")
}

// properties is what a node's configuration adds to what all nodes have in common. The last of two settings of one name
// counts.
func (l layout) properties(all []layout, data string, cfg Config) string {
	var controllers []string
	for _, other := range all {
		controllers = append(controllers, other.controller)
	}
	replicas, inSync := len(all), len(all)/2+1
	var b strings.Builder
	fmt.Fprintf(&b, `
node.id=%d
controller.quorum.bootstrap.servers=%s
listeners=PLAINTEXT://%[3]s,BROKERS://%[4]s,CONTROLLER://%[5]s
advertised.listeners=PLAINTEXT://%[6]s,BROKERS://%[4]s,CONTROLLER://%[5]s
inter.broker.listener.name=BROKERS
log.dirs=%[7]s
`, l.id, strings.Join(controllers, ","), l.clients, l.brokers, l.controller, l.advertised, data)
	b.WriteString(security(cfg.Authorize))
	fmt.Fprintf(&b, "default.replication.factor=%d\nmin.insync.replicas=%d\n", replicas, inSync)
	for _, topic := range []string{"offsets.topic", "transaction.state.log", "share.coordinator.state.topic"} {
		fmt.Fprintf(&b, "%s.replication.factor=%d\n", topic, replicas)
	}
	for _, topic := range []string{"transaction.state.log", "share.coordinator.state.topic"} {
		fmt.Fprintf(&b, "%s.min.isr=%d\n", topic, inSync)
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Settings)) {
		fmt.Fprintf(&b, "%s=%s\n", name, cfg.Settings[name])
	}
	return b.String()
}

// security is who may talk to whom, and how they say who they are.
func security(authorize bool) string {
	if !authorize {
		return "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,BROKERS:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
	}
	// Nodes that were anonymous could not vote before they have read the ACLs, which they read after the vote.
	const login = `org.apache.kafka.common.security.plain.PlainLoginModule required username="node" password="node" user_node="node";`
	return `listener.security.protocol.map=PLAINTEXT:PLAINTEXT,BROKERS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.mechanism.controller.protocol=PLAIN
listener.name.brokers.plain.sasl.jaas.config=` + login + `
listener.name.controller.plain.sasl.jaas.config=` + login + `
super.users=User:node
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
`
}
