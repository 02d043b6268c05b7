package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestASimulatorRunsAScriptFromAFileAndOverHTTP(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := filepath.Join(dir, "faults.yml")
	if err := os.WriteFile(script, []byte("faults: [{name: from the file, do: hang}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	var problems bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"both", "--dir", dir, "--faults", script, "--count-only"}, nil, in, &problems)
		in.Close()
	}()
	var line ready
	if err := json.NewDecoder(out).Decode(&line); err != nil {
		t.Fatalf("%v\n%s", err, problems.String())
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	ask := func(method, body string) string {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, line.Admin+"/faults", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode > 299 {
			t.Fatalf("%s: %d %s, %v", method, response.StatusCode, text, err)
		}
		return string(text)
	}
	if got := ask(http.MethodGet, ""); strings.Count(got, "from the file") != 4 { // of two platforms, the script and its count
		t.Errorf("at first: got %s", got)
	}
	ask(http.MethodPut, "faults: [{name: over HTTP, do: hang}]")
	if got := ask(http.MethodGet, ""); !strings.Contains(got, "over HTTP") || strings.Contains(got, "from the file") {
		t.Errorf("then: got %s", got)
	}
	if line.CertificateFile == "" {
		t.Error("no certificate")
	}
	cancel()
	select {
	case code := <-ended:
		if code != 0 {
			t.Errorf("exit %d\n%s", code, problems.String())
		}
	case <-time.After(15 * time.Second):
		t.Error("it does not end")
	}
}

func TestASimulatorRefusesWhatItCannotRun(t *testing.T) {
	t.Parallel()
	wrong := filepath.Join(t.TempDir(), "faults.yml")
	if err := os.WriteFile(wrong, []byte("faults: [{do: explode}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a wrong script": {[]string{"apns", "--faults", wrong}, 1, `faults[0]: do: "explode"`},
		"no script":      {[]string{"apns", "--faults", wrong + "x"}, 1, "--faults"},
		"a clock":        {[]string{"apns", "--clock-speed", "0"}, 2, "--clock-speed"},
	} {
		var out, problems bytes.Buffer
		code := run(t.Context(), append(test.args, "--dir", t.TempDir()), nil, &out, &problems)
		if code != test.code || !strings.Contains(problems.String(), test.says) {
			t.Errorf("%s: exit %d, %s", name, code, problems.String())
		}
	}
}
