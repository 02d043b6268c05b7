package api

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"
)

// route is one method of one path. A handler answers by itself and returns nil, or returns the problem to answer.
type route struct {
	method, path string
	open         bool // served without a bearer token
	handle       func(http.ResponseWriter, *http.Request) *problem
}

func (s *Server) table() []route {
	return []route{
		{method: http.MethodPost, path: "/v1/messages", handle: s.postMessages},
		{method: http.MethodPost, path: "/v1/devices/events", handle: s.postDeviceEvents},
		{method: http.MethodPost, path: "/v1/receipts", handle: s.postReceipts},
		{method: http.MethodPut, path: "/v1/apps/{app}/groups/{group}/members/{user}", handle: s.putMember},
		{method: http.MethodDelete, path: "/v1/apps/{app}/groups/{group}/members/{user}", handle: s.deleteMember},
		{method: http.MethodGet, path: "/v1/apps/{app}/users/{user}/devices", handle: s.getDevices},
		{method: http.MethodGet, path: "/v1/apps/{app}/users/{user}/settings", handle: s.getSettings},
		{method: http.MethodGet, path: "/v1/apps/{app}/messages/{msg_key}/timeline", handle: s.getTimeline},
		{method: http.MethodGet, path: "/healthz", open: true, handle: injected(s.opts.Health)},
		{method: http.MethodGet, path: "/readyz", open: true, handle: injected(s.opts.Ready)},
		{method: http.MethodGet, path: "/metrics", open: true, handle: injected(s.opts.Metrics)},
		{method: http.MethodGet, path: "/openapi.yaml", open: true, handle: getOpenAPI},
	}
}

func injected(h http.Handler) func(http.ResponseWriter, *http.Request) *problem {
	return func(w http.ResponseWriter, r *http.Request) *problem {
		h.ServeHTTP(w, r)
		return nil
	}
}

// routes adds to the table what the standard mux would answer as plain text: unknown paths and methods.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	methods := map[string][]string{}
	for _, rt := range s.table() {
		mux.Handle(rt.method+" "+rt.path, s.answer(rt))
		methods[rt.path] = append(methods[rt.path], rt.method)
	}
	for path, allowed := range methods {
		slices.Sort(allowed)
		mux.Handle(path, s.answer(route{path: path, open: true, handle: func(w http.ResponseWriter, _ *http.Request) *problem {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			return problemf(http.StatusMethodNotAllowed, "this path takes %s", strings.Join(allowed, ", "))
		}}))
	}
	mux.Handle("/", s.answer(route{path: "other", open: true, handle: func(http.ResponseWriter, *http.Request) *problem {
		return problemf(http.StatusNotFound, "there is no such path")
	}}))
	return mux
}

// answer checks the bearer token, calls the handler, writes its problem, and counts. Server errors are logged with the
// path's pattern, not the path: ids stay out of the log.
func (s *Server) answer(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		var p *problem
		if !rt.open && !s.tokens.allow(r.Header.Get("Authorization")) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="pushfleet"`)
			p = problemf(http.StatusUnauthorized, "a bearer token of api.tokens_file is needed")
		} else {
			p = rt.handle(sw, r)
		}
		if p != nil {
			p.write(sw)
		}
		s.requests.WithLabelValues(rt.path, strconv.Itoa(sw.status)).Inc()
		if p != nil && p.Status >= http.StatusInternalServerError {
			s.opts.Logger.Warn("request failed", zap.String("method", r.Method), zap.String("route", rt.path),
				zap.Int("status", p.Status), zap.Error(p.cause))
		}
	})
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
