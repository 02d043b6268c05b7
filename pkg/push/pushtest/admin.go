package pushtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
)

// maxScriptBytes bounds the body of PUT /script.
const maxScriptBytes = 4 << 20

// Admin serves the simulators' admin API:
//
//	GET    /ledger[?token=]  the entries as JSON lines, oldest first, one simulator after the other
//	DELETE /ledger           forgets them and starts every count of /stats anew
//	PUT    /script           {"token":"…","answers":[…]}, see [Answer]; no token = every token. "platform" narrows it
//	                         to one simulator. It replaces what that token had; no answers = the simulator's own again
//	GET    /stats            one object per platform, see [Stats]
//	PUT    /faults           a fault script in YAML or JSON, see [faults.Script]; it replaces the one before
//	GET    /faults           one object per platform, see [faults.State]
//	DELETE /faults           no faults any more
//
// A wrong request is answered 400 with the problem as text; a wrong method 405, anything else 404.
type Admin struct {
	mux      *http.ServeMux
	controls []*Control
}

// Stats is what GET /stats tells of one platform.
type Stats struct {
	Counts
	TrafficCounts
}

// NewAdmin returns the admin API over the simulators' controls.
func NewAdmin(controls ...*Control) *Admin {
	a := &Admin{mux: http.NewServeMux(), controls: controls}
	a.mux.HandleFunc("GET /ledger", a.getLedger)
	a.mux.HandleFunc("DELETE /ledger", a.deleteLedger)
	a.mux.HandleFunc("PUT /script", a.putScript)
	a.mux.HandleFunc("GET /stats", a.getStats)
	a.mux.HandleFunc("PUT /faults", a.putFaults)
	a.mux.HandleFunc("GET /faults", a.getFaults)
	a.mux.HandleFunc("DELETE /faults", a.deleteFaults)
	return a
}

// ServeHTTP answers one request of the admin API.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

func (a *Admin) getLedger(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	for _, c := range a.controls {
		if err := c.Ledger.WriteTo(w, r.URL.Query().Get("token")); err != nil {
			return // the client went away
		}
	}
}

func (a *Admin) deleteLedger(w http.ResponseWriter, _ *http.Request) {
	for _, c := range a.controls {
		c.Ledger.Reset()
		c.Traffic.Reset()
	}
	w.WriteHeader(http.StatusNoContent)
}

type scriptRequest struct {
	Platform push.Platform `json:"platform"`
	Token    string        `json:"token"`
	Answers  []Answer      `json:"answers"`
}

func (a *Admin) putScript(w http.ResponseWriter, r *http.Request) {
	var request scriptRequest
	if err := decodeStrict(http.MaxBytesReader(w, r.Body, maxScriptBytes), &request); err != nil {
		http.Error(w, "script: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := a.script(request); err != nil {
		http.Error(w, "script: "+err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *Admin) script(request scriptRequest) error {
	found := false
	for _, c := range a.controls {
		if request.Platform != "" && request.Platform != c.Platform {
			continue
		}
		found = true
		if err := c.Script.Put(request.Token, request.Answers); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("platform: no simulator of %q", request.Platform)
	}
	return nil
}

func (a *Admin) getStats(w http.ResponseWriter, _ *http.Request) {
	stats := make(map[push.Platform]Stats, len(a.controls))
	for _, c := range a.controls {
		stats[c.Platform] = Stats{Counts: c.Ledger.Counts(), TrafficCounts: c.Traffic.Counts()}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(stats) // fails only where the client went away
}

func (a *Admin) putFaults(w http.ResponseWriter, r *http.Request) {
	script, err := faults.Read(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.fail(w, script)
}

func (a *Admin) deleteFaults(w http.ResponseWriter, _ *http.Request) { a.fail(w, faults.Script{}) }

// fail gives every simulator the same script.
func (a *Admin) fail(w http.ResponseWriter, script faults.Script) {
	for _, c := range a.controls {
		if err := c.Faults.Put(script); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *Admin) getFaults(w http.ResponseWriter, _ *http.Request) {
	states := make(map[push.Platform]faults.State, len(a.controls))
	for _, c := range a.controls {
		states[c.Platform] = c.Faults.State()
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(states) // fails only where the client went away
}

// decodeStrict reads exactly one JSON value without unknown fields.
func decodeStrict(r io.Reader, v any) error {
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}
