package apns

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/apns/apnstest"
	"github.com/pushfleet/pushfleet/pkg/credential"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
)

// simulatorVariable makes the test program a simulator, so that a benchmark measures the client apart from the server.
// Its value is the latency of an answer.
const simulatorVariable = "PUSHFLEET_TEST_APNS_SIMULATOR"

// simulatorProcess is what a simulator in a process of its own tells of itself in one line.
type simulatorProcess struct {
	URL string `json:"url"`
	CA  []byte `json:"ca"` // PEM
	P8  []byte `json:"p8"`
}

// beSimulator serves until stdin ends.
func beSimulator(latency string) error {
	delay, err := time.ParseDuration(latency)
	if err != nil {
		return err
	}
	authority, err := pushtest.NewAuthority()
	if err != nil {
		return err
	}
	certificate, err := authority.ServerCertificate()
	if err != nil {
		return err
	}
	key, p8, err := apnstest.NewKey(teamID, keyID, bundle)
	if err != nil {
		return err
	}
	control := pushtest.NewControl(Platform)
	control.Ledger.Limit(pushtest.Limits{CountOnly: true}) // lines would cost what is not measured
	server, err := apnstest.Start(apnstest.Config{
		Certificate: certificate, Keys: []apnstest.Key{key}, Latency: delay, Control: control,
	})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(simulatorProcess{URL: server.URL(), CA: authority.CAPEM(), P8: p8}); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return server.Close()
}

// startSimulator ends with the benchmark.
func startSimulator(b *testing.B, latency time.Duration) simulatorProcess {
	b.Helper()
	command := exec.CommandContext(context.WithoutCancel(b.Context()), os.Args[0])
	command.Env = append(os.Environ(), simulatorVariable+"="+latency.String())
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stdin.Close()
		if err := command.Wait(); err != nil {
			b.Error(err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		b.Fatal(err)
	}
	var p simulatorProcess
	if err := json.Unmarshal(line, &p); err != nil {
		b.Fatal(err)
	}
	return p
}

func (p simulatorProcess) roots(b *testing.B) *x509.CertPool {
	b.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(p.CA) {
		b.Fatal("no certificate")
	}
	return pool
}

func (p simulatorProcess) key(b *testing.B) *ecdsa.PrivateKey {
	b.Helper()
	key, err := credential.ParseP8(p.P8)
	if err != nil {
		b.Fatal(err)
	}
	return key.Key
}

// sender pushes to the simulator.
func (p simulatorProcess) sender(b *testing.B, concurrency, connections int) *sender {
	b.Helper()
	cfg := platformConfig{Transport: "std", Connections: connections, Concurrency: concurrency}
	s := newSender(newDialer(p.URL, p.roots(b), nil, appleTiming), bundle, newSigner(p.key(b), teamID, keyID, time.Now), cfg)
	b.Cleanup(s.close)
	return s
}
