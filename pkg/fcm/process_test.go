package fcm_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/fcm/fcmtest"
	"github.com/pushfleet/pushfleet/pkg/push"
)

// simulatorVariable makes this program the simulator instead of the tests; its value is the latency.
const simulatorVariable = "PUSHFLEET_FCM_TEST_SIMULATOR"

// process is a simulator in a process of its own, so that its processor time is not the client's.
type process struct {
	url string
	dir string // with ca.pem and sa.json
}

// simulate is that process. It ends with its standard input.
func simulate(latency string) error {
	wait, err := time.ParseDuration(latency)
	if err != nil {
		return err
	}
	simulator, err := fcmtest.Start(fcmtest.Config{Latency: wait})
	if err != nil {
		return err
	}
	defer simulator.Close()
	account, err := simulator.ServiceAccount(project)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(announcement{simulator.URL(), simulator.CAPEM(), account}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

type announcement struct {
	URL         string
	CA, Account []byte
}

func startProcess(t testing.TB, latency time.Duration) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), simulatorVariable+"="+latency.String())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	var said announcement
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&said); err != nil {
		t.Fatal(err)
	}
	p := &process{url: said.URL, dir: t.TempDir()}
	write(t, filepath.Join(p.dir, "ca.pem"), said.CA)
	write(t, filepath.Join(p.dir, "sa.json"), said.Account)
	return p
}

// connect is a sender to the simulator.
func (p *process) connect(t testing.TB, platform map[string]any) push.Sender {
	t.Helper()
	all := map[string]any{"endpoint": p.url, "ca_file": "ca.pem"}
	for key, value := range platform {
		all[key] = value
	}
	s := settings(all, nil, anyKey)
	s.Dir = p.dir
	sender, err := open(t, s).Sender("demo", "demo-android")
	if err != nil {
		t.Fatal(err)
	}
	return sender
}
