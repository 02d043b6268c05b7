package dev_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pushfleet/pushfleet/workers/dev"
)

// running is a whole fleet in this process.
type running struct {
	dev.Ready
	t      *testing.T
	bearer string
	stop   func()
}

// start starts a fleet on a folder and waits for its ready line.
func start(t *testing.T, dir string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := dev.Run(ctx, dev.Options{DataDir: dir, JSON: true, Out: writer, Logger: zap.NewNop()})
		_ = writer.CloseWithError(io.EOF) // never fails
		ended <- err
	}()
	r := &running{t: t}
	if err := json.NewDecoder(reader).Decode(&r.Ready); err != nil {
		cancel()
		t.Fatalf("no ready line: %v, %v", err, <-ended)
	}
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		began := time.Now()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stopped with %v", err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("stopped after %s", took)
		}
	}
	t.Cleanup(r.stop)
	token, err := os.ReadFile(filepath.Join(r.DataDir, "tokens"))
	if err != nil {
		t.Fatal(err)
	}
	r.bearer = strings.TrimSpace(string(token))
	return r
}

// post sends a body to the API, which must accept it.
func (r *running) post(path, body string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.API+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.bearer)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusAccepted {
		r.t.Fatalf("%s: %s %s", path, answer.Status, text)
	}
}

// pushed waits until the ledger has n entries and returns their alerts with their badges.
func (r *running) pushed(n int) string {
	r.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.Admin+"/ledger", nil)
		if err != nil {
			r.t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			r.t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil {
			r.t.Fatal(err)
		}
		lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
		if len(text) > 0 && len(lines) >= n {
			var all []string
			for _, line := range lines {
				var entry struct {
					Body struct {
						Aps struct {
							Alert string
							Badge int
						}
					}
				}
				if err := json.Unmarshal(line, &entry); err != nil {
					r.t.Fatal(err)
				}
				all = append(all, fmt.Sprintf("%s %d", entry.Body.Aps.Alert, entry.Body.Aps.Badge))
			}
			return strings.Join(all, "; ")
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d pushes after 30 s, want %d", len(lines), n)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// hello is a message of alice to bob.
func hello(text string, seq int) string {
	return fmt.Sprintf(`{"From_Account":"alice","From_Nick":"Alice","To_Account":"bob","MsgSeq":%d,"MsgRandom":%d,`+
		`"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"%s"}}]}`, seq, seq, text)
}

func TestARestartKeepsDevicesAndOffsets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, dir)
	now := time.Now().UnixMilli()
	first.post("/v1/devices/events", fmt.Sprintf(`{"App":"demo","User":"bob","Device":"phone","Event":"login","EventTime":%d,"Platform":"apns","Token":"%s","Credential":"demo-ios","Language":"en"}
{"App":"demo","User":"bob","Device":"phone","Event":"background","EventTime":%d,"Unread":4}`, now-60_000, strings.Repeat("ab", 32), now-30_000))
	first.post("/v1/messages", hello("before", 1))
	if got, want := first.pushed(1), "Alice:before 5"; got != want {
		t.Errorf("the phone shows %q, want %q", got, want)
	}
	first.stop()

	second := start(t, dir)
	second.post("/v1/messages", hello("after", 2))
	if got, want := second.pushed(1), "Alice:after 1"; got != want { // presence and badge are lost with Redis, the binding is not
		t.Errorf("the phone shows %q, want %q: the first message must not come again", got, want)
	}
}
