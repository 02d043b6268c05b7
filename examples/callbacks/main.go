// Command callbacks is an IM service's receiver at its smallest: it checks each callback's signature and age, passes over
// events that it has seen, and prints the others.
//
//	go run ./examples/callbacks -listen 127.0.0.1:8090 -secret-file callback.secret
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxBody = 1 << 20
	// maxAge is how old a callback may be, and how far ahead a clock may run: who records one cannot play it later.
	maxAge = 5 * time.Minute
)

// receiver takes callbacks. A real one keeps what it has seen in its database, for as long as it keeps the messages.
type receiver struct {
	secret []byte
	now    func() time.Time
	take   func(event)

	mu   sync.Mutex
	seen map[string]bool // by EventID
}

// event is what this receiver reads of an event; there is more in it.
type event struct {
	EventID   string
	PushStage int
	MsgKey    string
	ToAccount string `json:"To_Account"`
	ErrCode   int
	ErrInfo   string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	}
	if !r.signed(req.Header, body) {
		http.Error(w, "signature", http.StatusUnauthorized) // it is told again later, so a wrong secret loses nothing
		return
	}
	var callback struct {
		App    string
		Events []event
	}
	if err := json.Unmarshal(body, &callback); err != nil {
		http.Error(w, "not JSON", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range callback.Events {
		if !r.seen[e.EventID] {
			r.take(e)
			r.seen[e.EventID] = true
		}
	}
	// 2xx says that all events are safe. Anything else has the callback told again.
	w.WriteHeader(http.StatusNoContent)
}

// signed says whether one of the signatures is made with our secret, over this body and a time that is not long ago.
func (r *receiver) signed(header http.Header, body []byte) bool {
	timestamp := header.Get("Pushfleet-Timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || r.now().Sub(time.Unix(seconds, 0)).Abs() > maxAge {
		return false
	}
	mac := hmac.New(sha256.New, r.secret)
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	want := "v1=" + hex.EncodeToString(mac.Sum(nil))
	for word := range strings.SplitSeq(header.Get("Pushfleet-Signature"), ",") {
		if hmac.Equal([]byte(word), []byte(want)) { // in constant time
			return true
		}
	}
	return false
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8090", "host:port")
	secretFile := flag.String("secret-file", "callback.secret", "file with the secret that the app's configuration names")
	flag.Parse()
	secret, err := os.ReadFile(*secretFile)
	if err != nil {
		fmt.Fprintln(os.Stderr, "callbacks:", err)
		os.Exit(1)
	}
	r := &receiver{secret: []byte(strings.TrimSpace(string(secret))), now: time.Now, seen: map[string]bool{}, take: func(e event) {
		fmt.Printf("%s to %s: stage %d, code %d %s\n", e.MsgKey, e.ToAccount, e.PushStage, e.ErrCode, e.ErrInfo)
	}}
	server := &http.Server{Addr: *listen, Handler: r, ReadTimeout: 10 * time.Second}
	fmt.Fprintln(os.Stderr, "callbacks:", server.ListenAndServe())
	os.Exit(1)
}
