package callback

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestTheErrorOfAProxyDoesNotQuoteItsPassword(t *testing.T) {
	t.Parallel()
	client := http.Client{Transport: &http.Transport{Proxy: discreet(func(*http.Request) (*url.URL, error) {
		return nil, errors.New(`invalid proxy address "http://me:secret@:x"`)
	})}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Do(req)
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "proxy") {
		t.Errorf("got %v", err)
	}
}
