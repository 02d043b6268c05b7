package callback

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The headers of a callback. The signature is one word v1=<hex> for each secret, separated by commas: HMAC-SHA256 over the
// timestamp as it stands, a full stop, and the body.
const (
	HeaderApp       = "Pushfleet-App"
	HeaderTimestamp = "Pushfleet-Timestamp" // seconds since 1970, of this attempt
	HeaderSignature = "Pushfleet-Signature"
)

const (
	dialTimeout = 5 * time.Second
	idleTimeout = 90 * time.Second
	// maxAnswer is how much of an answer's body is read, for its connection to be used again; nothing is done with it.
	maxAnswer  = 64 << 10
	maxHeaders = 16 << 10
	// maxRetryAfter bounds what a receiver may wish for.
	maxRetryAfter = 10 * time.Minute
)

// Result is what an attempt came to.
type Result string

// The results.
const (
	Accepted    Result = "accepted"    // 2xx
	Refused     Result = "refused"     // the fault lies in the batch
	Unavailable Result = "unavailable" // anything else: worth waiting for
	Dead        Result = "dead"        // it is a dead letter
)

// answer is what a receiver said.
type answer struct {
	result     Result
	text       string        // the status, or what went wrong; quotes neither the URL nor the body
	retryAfter time.Duration // its wish; 0 = none
}

// newClient follows no redirect: where a callback goes is the operator's to say, and not the receiver's.
func newClient(cfg Config) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  discreet(http.ProxyFromEnvironment),
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSClientConfig:        cfg.TLS,
			TLSHandshakeTimeout:    dialTimeout,
			ForceAttemptHTTP2:      true,
			MaxConnsPerHost:        cfg.Concurrency,
			MaxIdleConnsPerHost:    cfg.Concurrency,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxHeaders,
			DisableCompression:     true,
		},
	}
}

// discreet keeps the address of a proxy, which may hold a password, out of the error that it is wrong.
func discreet(proxy func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		u, err := proxy(r)
		if err != nil {
			return nil, errors.New("the address of the proxy in the environment is wrong")
		}
		return u, nil
	}
}

// Sign returns the value of HeaderSignature.
func Sign(secrets [][]byte, timestamp string, body []byte) string {
	words := make([]string, len(secrets))
	for i, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(timestamp))
		mac.Write([]byte("."))
		mac.Write(body)
		words[i] = "v1=" + hex.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(words, ",")
}

// post makes one attempt.
func (c *Callback) post(ctx context.Context, body []byte) answer {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return answer{result: Unavailable, text: "url: cannot be used"}
	}
	now := c.cfg.Now()
	timestamp := strconv.FormatInt(now.Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "pushfleet")
	req.Header.Set(HeaderApp, url.PathEscape(c.cfg.App)) // an app's name may hold any character
	req.Header.Set(HeaderTimestamp, timestamp)
	req.Header.Set(HeaderSignature, Sign(c.cfg.Secrets.current(), timestamp, body))
	res, err := c.client.Do(req)
	if err != nil {
		return answer{result: Unavailable, text: describe(err)}
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)) // the status says it all
	return answer{result: classify(res.StatusCode), text: strconv.Itoa(res.StatusCode), retryAfter: retryAfter(res.Header.Get("Retry-After"), now)}
}

// describe says what went wrong without the URL, in which a secret may stand.
func describe(err error) string {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	return err.Error()
}

// classify: only what speaks of the request's content is the batch's fault. Whatever else a receiver says, and that it
// does not know us or the path, heals when someone mends it there or here.
func classify(status int) Result {
	switch {
	case status >= 200 && status < 300:
		return Accepted
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge, status == http.StatusUnsupportedMediaType,
		status == http.StatusUnprocessableEntity:
		return Refused
	}
	return Unavailable
}

// retryAfter reads seconds or a date.
func retryAfter(value string, now time.Time) time.Duration {
	var wish time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		wish = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		wish = date.Sub(now)
	}
	return min(max(wish, 0), maxRetryAfter)
}
