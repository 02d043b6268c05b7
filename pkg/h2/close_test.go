package h2_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushfleet/pushfleet/pkg/h2"
)

// A connection that has just filled up is closed while its writer rests: the GOAWAY is what can't be written.
func TestCloseDoesNotWaitLongForAServerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	certificates := server.TLS.Certificates
	server.Close()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := pipe(pipeRoom)
		secure := tls.Client(ours, &tls.Config{InsecureSkipVerify: true})
		done := make(chan error, 1)
		go func() {
			done <- tls.Server(theirs, &tls.Config{Certificates: certificates, MinVersion: tls.VersionTLS12}).Handshake()
		}()
		if err := secure.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		c := h2.NewConn(secure, h2.Settings{})
		synctest.Wait()
		theirs.in.change(func() { theirs.in.room = len(theirs.in.data) })
		begun := time.Now()
		c.Close()
		if waited := time.Since(begun); waited > 2*time.Second {
			t.Errorf("Close took %v, want no more than a second for the last word", waited)
		}
		theirs.Close()
	})
}
