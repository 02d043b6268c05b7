package wire

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http2/hpack"
)

// HTTPHandler serves the same replies under net/http, for HTTP/1.1 and for tests that bring their own server. There a
// connection has no number and no memory, resets and cuts abort the request, and a GOAWAY closes the connection after
// the answer.
func (s *Server) HTTPHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := fromHTTP(r)
		if err != nil {
			return // the client went away: it gets no answer, and so no line
		}
		reply := s.cfg.Handler.Serve(request)
		wait(r, &reply)
		s.record(request, &reply.Line)
		if reply.Do != Answer {
			panic(http.ErrAbortHandler)
		}
		header := w.Header()
		for _, f := range reply.Header {
			header.Add(f.Name, f.Value)
		}
		if reply.HTTPDate {
			header.Set("Date", s.cfg.Now().UTC().Format(http.TimeFormat))
		}
		if reply.GoAway != nil {
			header.Set("Connection", "close")
		}
		w.WriteHeader(reply.Status)
		_, _ = w.Write(reply.Body) // a client that went away needs none
	})
}

func fromHTTP(r *http.Request) (*Request, error) {
	var body bytes.Buffer
	if _, err := body.ReadFrom(http.MaxBytesReader(nil, r.Body, MaxBody)); err != nil {
		var tooLarge *http.MaxBytesError
		if !errors.As(err, &tooLarge) {
			return nil, err
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxRequestBody))
	}
	request := &Request{Method: r.Method, Path: r.URL.RequestURI(), Authority: r.Host, Body: body.Bytes(), Peer: new(Peer)}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		request.Peer.Certificate = r.TLS.PeerCertificates[0]
	}
	for name, values := range r.Header {
		for _, value := range values {
			request.Header = append(request.Header, hpack.HeaderField{Name: strings.ToLower(name), Value: value})
		}
	}
	return request, nil
}

// wait ends early where the client goes away.
func wait(r *http.Request, reply *Reply) {
	if reply.Do == Hang || reply.Do == Silence {
		<-r.Context().Done()
		return
	}
	if reply.Delay <= 0 {
		return
	}
	timer := time.NewTimer(reply.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}
