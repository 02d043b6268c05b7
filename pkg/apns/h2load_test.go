package apns

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// benchmarkH2load sends b.N times the request that the sender would make: as many connections as the sender has, as many
// requests in flight. cpu-µs/op is the program's own, its start included.
func benchmarkH2load(b *testing.B, inFlight int) {
	program, err := exec.LookPath("h2load")
	if err != nil {
		b.Skip("no h2load; Debian's package is nghttp2-client")
	}
	p := startSimulator(b, 0)
	n := notification()
	r, refused := render(n, bundle)
	if refused != nil {
		b.Fatal(refused.Err)
	}
	bearer, err := newSigner(p.key(b), teamID, keyID, time.Now).bearer()
	if err != nil {
		b.Fatal(err)
	}
	payload := filepath.Join(b.TempDir(), "payload")
	if err := os.WriteFile(payload, r.payload, 0o600); err != nil {
		b.Fatal(err)
	}
	connections := min(b.N, defaultConnections)
	args := []string{
		"--requests=" + strconv.Itoa(b.N), "--clients=" + strconv.Itoa(connections), "--threads=1",
		"--max-concurrent-streams=" + strconv.Itoa(inFlight/defaultConnections), "--data=" + payload,
	}
	for name, values := range new(fields).of(&r, bearer) {
		for _, value := range values {
			args = append(args, "--header="+name+": "+value)
		}
	}
	load := exec.CommandContext(b.Context(), program, append(args, p.URL+"/3/device/"+n.Token)...)
	b.ResetTimer()
	printed, err := load.CombinedOutput()
	b.StopTimer()
	if err != nil || !bytes.Contains(printed, []byte(" "+strconv.Itoa(b.N)+" succeeded, 0 failed")) {
		b.Fatalf("%v\n%s", err, strings.TrimSpace(string(printed)))
	}
	used := load.ProcessState.UserTime() + load.ProcessState.SystemTime()
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pushes/s")
}
