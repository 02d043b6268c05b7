// Package clients_test holds the simulators against clients that this project did not write: what they report of each
// answer has to be what the provider's documentation says. Simulators and clients run as processes of their own.
package clients_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clientLimit bounds what one process does: a client that waits for ever is a failure, not a hang.
const clientLimit = 3 * time.Minute

func needClients(t *testing.T) {
	t.Helper()
	if os.Getenv("PUSHFLEET_TEST_CLIENTS") == "" {
		t.Skip("needs PUSHFLEET_TEST_CLIENTS: run scripts/integration ./scripts/clients")
	}
}

// build makes a program of this module.
func build(t *testing.T, pkg string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), filepath.Base(pkg))
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, pkg).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", pkg, err, out)
	}
	return program
}

// process is a running program that is spoken to in JSON values.
type process struct {
	t    *testing.T
	name string
	tell *json.Encoder
	out  *json.Decoder
}

// run starts a program, and sees it end well when the test does: at the end of its input, or at SIGTERM.
func run(t *testing.T, environment []string, name string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), clientLimit)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), environment...)
	var problems bytes.Buffer
	cmd.Stderr = &problems
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
	p := &process{t: t, name: filepath.Base(name), tell: json.NewEncoder(in), out: json.NewDecoder(out)}
	t.Cleanup(func() {
		defer cancel()
		in.Close()
		if p.name == "pushsim" {
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s %v: %v\n%s", p.name, args, err, problems.String())
		}
	})
	return p
}

// ask tells the process a value and reads what it says.
func (p *process) ask(question, answer any) {
	p.t.Helper()
	if err := p.tell.Encode(question); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	p.read(answer)
}

func (p *process) read(answer any) {
	p.t.Helper()
	if err := p.out.Decode(answer); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// simulator is a running pushsim, as its ready line tells of it.
type simulator struct {
	APNs               string `json:"apns"`
	FCM                string `json:"fcm"`
	Admin              string `json:"admin"`
	CAFile             string `json:"ca_file"`
	KeyFile            string `json:"key_file"`
	CertificateFile    string `json:"certificate_file"`
	ServiceAccountFile string `json:"service_account_file"`
}

func startSimulator(t *testing.T, pushsim, platform string) simulator {
	t.Helper()
	var s simulator
	run(t, nil, pushsim, platform, "--dir", t.TempDir()).read(&s)
	return s
}

// put sends a body to the admin address.
func (s simulator) put(t *testing.T, path string, body any) {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.Admin+path, bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if text, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusNoContent {
		t.Fatalf("PUT %s: %d %s", path, response.StatusCode, text)
	}
}

// always scripts the answer to every request for a token: some clients try again by themselves.
func (s simulator) always(t *testing.T, token string, answer map[string]any) {
	t.Helper()
	answer["times"] = -1
	s.put(t, "/script", map[string]any{"token": token, "answers": []any{answer}})
}
