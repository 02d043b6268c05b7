package pushtest_test

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
)

func TestServerSpeaksHTTP2UnderEachOfItsNames(t *testing.T) {
	t.Parallel()
	authority, err := pushtest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.ServerCertificate()
	if err != nil {
		t.Fatal(err)
	}
	const together = 5
	var arrived sync.WaitGroup
	arrived.Add(together)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/together" {
			arrived.Done()
			arrived.Wait()
		}
		w.WriteHeader(http.StatusOK)
	})
	traffic := new(pushtest.Traffic)
	server, err := pushtest.StartServer(pushtest.ServerConfig{Handler: handler, TLS: &certificate, Traffic: traffic})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	address, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	get := func(link string) {
		response, err := client.Get(link)
		if err != nil {
			t.Error(err)
			return
		}
		response.Body.Close()
		if response.ProtoMajor != 2 {
			t.Errorf("%s: got %s", link, response.Proto)
		}
	}
	get("https://localhost:" + address.Port())
	get(server.URL())
	var wait sync.WaitGroup
	for range together {
		wait.Go(func() { get(server.URL() + "/together") })
	}
	wait.Wait()
	want := pushtest.TrafficCounts{Connections: 2, MostStreams: together, MostStreamsPerConnection: together}
	if got := traffic.Counts(); got != want {
		t.Errorf("traffic: got %+v, want %+v", got, want)
	}
	traffic.Reset()
	if got := traffic.Counts(); got.Connections != 2 {
		t.Errorf("after a reset: got %+v, want the 2 open connections", got)
	}
}
