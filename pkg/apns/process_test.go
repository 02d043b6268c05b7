package apns

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
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
const simulatorVariable = "PUSHFLEET_TEST_APNS_SIMULATOR"

// simulatorProcess is what a simulator in a process of its own tells of itself in one line.
type simulatorProcess struct {
	URL string `json:"url"`
	CA  []byte `json:"ca"` // PEM
	P8  []byte `json:"p8"`

	in  io.Writer
	out *bufio.Reader
}

// beSimulator serves until stdin ends. Each line there is the latency from now on.
func beSimulator() error {
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
	server, err := apnstest.Start(apnstest.Config{Certificate: certificate, Keys: []apnstest.Key{key}, Control: control})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(simulatorProcess{URL: server.URL(), CA: authority.CAPEM(), P8: p8}); err != nil {
		return err
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		latency, err := time.ParseDuration(lines.Text())
		if err != nil {
			return err
		}
		answers := []pushtest.Answer{{DelayMS: int(latency.Milliseconds()), Times: -1}}
		if err := control.Script.Put("", answers); err != nil {
			return err
		}
		if _, err := fmt.Println("slow"); err != nil {
			return err
		}
	}
	return server.Close()
}

// startSimulator ends with the benchmark.
func startSimulator(b *testing.B, latency time.Duration) *simulatorProcess {
	b.Helper()
	command := exec.CommandContext(context.WithoutCancel(b.Context()), os.Args[0])
	command.Env = append(os.Environ(), simulatorVariable+"=1")
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
	p := &simulatorProcess{in: stdin, out: bufio.NewReader(stdout)}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		b.Fatal(err)
	}
	if err := json.Unmarshal(line, p); err != nil {
		b.Fatal(err)
	}
	p.slow(b, latency)
	return p
}

// slow sets the latency of every later answer.
func (p *simulatorProcess) slow(b *testing.B, latency time.Duration) {
	b.Helper()
	if _, err := fmt.Fprintln(p.in, latency); err != nil {
		b.Fatal(err)
	}
	if _, err := p.out.ReadString('\n'); err != nil {
		b.Fatal(err)
	}
}

func (p *simulatorProcess) roots(b *testing.B) *x509.CertPool {
	b.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(p.CA) {
		b.Fatal("no certificate")
	}
	return pool
}

func (p *simulatorProcess) key(b *testing.B) *ecdsa.PrivateKey {
	b.Helper()
	key, err := credential.ParseP8(p.P8)
	if err != nil {
		b.Fatal(err)
	}
	return key.Key
}

// sender pushes to the simulator.
func (p *simulatorProcess) sender(b *testing.B, transport string, concurrency, connections int) *sender {
	b.Helper()
	cfg := platformConfig{Transport: transport, Connections: connections, Concurrency: concurrency}
	s := newSender(newDialer(p.URL, p.roots(b), nil, appleTiming), bundle, newSigner(p.key(b), teamID, keyID, time.Now), cfg, time.Now)
	b.Cleanup(s.close)
	return s
}
