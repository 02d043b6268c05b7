package simulate_test

import (
	"net/http"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pushfleet/pushfleet/pkg/credential"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
	"github.com/pushfleet/pushfleet/workers/simulate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, cfg simulate.Config) *simulate.Simulation {
	t.Helper()
	s, err := simulate.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestItsFilesAreCredentialsThatAFleetTakes(t *testing.T) {
	t.Parallel()
	s := start(t, simulate.Config{Dir: t.TempDir(), APNs: true, FCM: true})
	if _, err := credential.LoadP8(s.KeyFile); err != nil {
		t.Error(err)
	}
	content, err := os.ReadFile(s.CertificateFile)
	if err != nil {
		t.Fatal(err)
	}
	p12, err := credential.ParseP12(content, simulate.P12Password)
	if err != nil {
		t.Fatal(err)
	}
	for _, environment := range []string{"production", "development"} {
		use := credential.Use{BundleID: simulate.BundleID, TeamID: simulate.TeamID, Environment: environment}
		if err := p12.CheckUse(use, time.Now()); err != nil {
			t.Errorf("%s: %v", environment, err)
		}
	}
}

func TestAKeyThatIsThereIsUsedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := os.ReadFile(start(t, simulate.Config{Dir: dir, APNs: true}).KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(start(t, simulate.Config{Dir: dir, APNs: true}).KeyFile)
	if err != nil || string(first) != string(second) {
		t.Errorf("another key, %v", err)
	}
}

func TestBothSimulatorsGetTheScriptAndTheMode(t *testing.T) {
	t.Parallel()
	script := faults.Script{Faults: []faults.Fault{{Do: faults.DoAnswer, Status: http.StatusServiceUnavailable}}}
	s := start(t, simulate.Config{Dir: t.TempDir(), APNs: true, FCM: true, Faults: script, CountOnly: true})
	for _, control := range []*pushtest.Control{s.APNs.Control(), s.FCM.Control()} {
		if hit := control.Faults.Request(faults.Push, faults.Subject{Token: "t"}); hit.Fault == nil {
			t.Errorf("%s: no fault", control.Platform)
		}
		control.Ledger.Add(pushtest.Entry{ID: "1", Status: http.StatusOK})
		if control.Ledger.Counts().Accepted != 1 || len(control.Ledger.Entries("")) != 0 {
			t.Errorf("%s: it keeps lines", control.Platform)
		}
	}
}

func TestAWrongScriptStartsNothing(t *testing.T) {
	t.Parallel()
	script := faults.Script{Faults: []faults.Fault{{Do: "explode"}}}
	if s, err := simulate.Start(simulate.Config{Dir: t.TempDir(), APNs: true, Faults: script}); err == nil {
		_ = s.Close()
		t.Error("it starts")
	}
}

func TestAClockMayRunFast(t *testing.T) {
	t.Parallel()
	now := pushtest.Clock(10_000)
	began := time.Now()
	for deadline := began.Add(10 * time.Second); now().Sub(began) < time.Minute; time.Sleep(time.Millisecond) { // polls
		if time.Now().After(deadline) {
			t.Fatalf("after %s it shows %s", time.Since(began), now().Sub(began))
		}
	}
}
