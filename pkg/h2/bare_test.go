package h2

import (
	"io"
	"net/http"
	"testing"
)

func TestAStatusWhoseFieldsNobodyReadsComesWithoutThem(t *testing.T) {
	t.Parallel()
	server, transport := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Path", r.URL.Path)
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusBadRequest)
		}
		io.WriteString(w, r.URL.Path)
	}, Limits{}, Settings{Bare: []int{http.StatusOK}})
	for range 3 { // what enters the table of one is there for the next
		for path, want := range map[string]int{"/good": http.StatusOK, "/bad": http.StatusBadRequest} {
			r, err := http.NewRequest(http.MethodGet, server.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(got.Body)
			if got.StatusCode != want || string(body) != path || err != nil {
				t.Errorf("%s: got %d, %q, %v", path, got.StatusCode, body, err)
			}
			if bare := got.Header == nil; bare != (want == http.StatusOK) || !bare && got.Header.Get("X-Path") != path {
				t.Errorf("%s: header %v", path, got.Header)
			}
		}
	}
}
