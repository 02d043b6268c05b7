package apnstest_test

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/apns/apnstest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/wire/wiretest"
)

// put puts a script, written as YAML.
func (s *simulator) put(t *testing.T, text string) {
	t.Helper()
	script, err := faults.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Control().Faults.Put(script); err != nil {
		t.Fatal(err)
	}
}

// push sends a good push with a provider token of an age, and returns status and body.
func (s *simulator) push(t *testing.T, issued time.Time) string {
	t.Helper()
	r := s.good(t)
	r.Header.Set("Authorization", s.sign(t, s.private, jwt.SigningMethodES256, team, keyID, issued))
	response, text := s.do(t, r)
	return strings.TrimSpace(fmt.Sprint(response.StatusCode, " ", text))
}

func refused(status int, reason string) string {
	return fmt.Sprintf(`%d {"reason":%q}`, status, reason)
}

func TestAnswersOfAScript(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		script string
		want   string
		header map[string]string // "" = must be missing
	}{
		"a brown-out": {
			`faults: [{do: answer, status: 503, reason: ServiceUnavailable, retry_after: 1500ms}]`,
			refused(503, "ServiceUnavailable"), map[string]string{"Retry-After": "2", "Apns-Id": id, "Date": "Mon, 21 Sep 2026 14:13:20 GMT"},
		},
		"a pause until a date": {
			`faults: [{do: answer, status: 429, reason: TooManyRequests, retry_after: 1m, retry_as: date}]`,
			refused(429, "TooManyRequests"), map[string]string{"Retry-After": "Mon, 21 Sep 2026 14:14:20 GMT"},
		},
		"a token that has died": {
			`faults: [{do: answer, status: 410, reason: ExpiredToken, timestamp: 1789999999123}]`,
			`410 {"reason":"ExpiredToken","timestamp":1789999999123}`, nil,
		},
		"a dead token without its time": {
			`faults: [{do: answer, status: 410, reason: Unregistered, omit: [timestamp]}]`, refused(410, "Unregistered"), nil,
		},
		"a page of HTML": {
			`faults: [{do: answer, status: 503, body: "<html>oops</html>", content_type: text/html}]`,
			"503 <html>oops</html>", map[string]string{"Content-Type": "text/html"},
		},
		"a timestamp of null": {
			`faults: [{do: answer, status: 410, body: '{"reason":"Unregistered","timestamp":null}'}]`,
			`410 {"reason":"Unregistered","timestamp":null}`, nil,
		},
		"nothing but a status": {
			`faults: [{do: answer, status: 500, omit: [apns-id, body, date]}]`, "500", map[string]string{"Apns-Id": "", "Date": "", "Content-Type": ""},
		},
		"success without an id": {
			`faults: [{do: answer, status: 200, omit: [apns-id]}]`, "200", map[string]string{"Apns-Id": ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.put(t, test.script)
			response, text := s.do(t, s.good(t))
			if got := strings.TrimSpace(fmt.Sprint(response.StatusCode, " ", text)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			for name, want := range test.header {
				if got := response.Header.Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestAScriptedAnswerComesBeforeFaultsAndChecksBeforeBoth(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.put(t, `faults: [{do: answer, status: 500, reason: InternalServerError}]`)
	if err := s.Control().Script.Put("", []pushtest.Answer{{Status: 503, Reason: "ServiceUnavailable"}}); err != nil {
		t.Fatal(err)
	}
	bad := s.good(t)
	bad.Header.Set("apns-priority", "7")
	var got []int
	for _, r := range []*http.Request{bad, s.good(t), s.good(t)} {
		response, _ := s.do(t, r)
		got = append(got, response.StatusCode)
	}
	if diff := cmp.Diff([]int{400, 503, 500}, got); diff != "" {
		t.Error(diff)
	}
}

func TestATokenExpiresByTheSimulatorsClock(t *testing.T) {
	t.Parallel()
	s := start(t)
	issued := s.now
	got := []string{s.push(t, issued)}
	s.pass(time.Hour)
	got = append(got, s.push(t, issued))
	s.pass(time.Second)
	got = append(got, s.push(t, issued), s.push(t, s.now))
	s.put(t, `apns: {token_age: 10m}`)
	got = append(got, s.push(t, s.now.Add(-11*time.Minute)))
	expired := refused(403, "ExpiredProviderToken")
	if diff := cmp.Diff([]string{"200", "200", expired, "200", expired}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnExpiredTokenMayWedgeItsConnection(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.put(t, `apns: {wedge_expired: true}`)
	expired := refused(403, "ExpiredProviderToken")
	got := []string{s.push(t, s.now), s.push(t, s.now.Add(-2*time.Hour)), s.push(t, s.now)}
	s.reconnect(t)
	got = append(got, s.push(t, s.now))
	if diff := cmp.Diff([]string{"200", expired, expired, "200"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestATeamMayNotRenewItsTokenTooOften(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.put(t, `apns: {token_interval: 20m}`)
	first := s.now
	got := []string{s.push(t, first), s.push(t, first)}
	s.pass(19 * time.Minute)
	second := s.now
	got = append(got, s.push(t, second), s.push(t, first)) // the one before is still good
	s.pass(time.Minute)
	got = append(got, s.push(t, second), s.push(t, first), s.push(t, second))
	tooOften := refused(429, "TooManyProviderTokenUpdates")
	if diff := cmp.Diff([]string{"200", "200", tooOften, "200", "200", "200", "200"}, got); diff != "" {
		t.Error(diff)
	}
	if got := s.Control().Traffic.Counts().Bearers; got != 7 {
		t.Errorf("%d different tokens are counted, want 7: each was signed anew", got)
	}
}

func TestAConnectionMayBeBoundToItsFirstKey(t *testing.T) {
	t.Parallel()
	other, p8, err := apnstest.NewKey("OTHERTEAM1", "OTHERKEY01", bundle)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(p8)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, func(cfg *apnstest.Config) { cfg.Keys = append(cfg.Keys, other) })
	pushOther := func() string {
		r := s.good(t)
		r.Header.Set("Authorization", s.sign(t, parsed.(*ecdsa.PrivateKey), jwt.SigningMethodES256, "OTHERTEAM1", "OTHERKEY01", s.now))
		response, text := s.do(t, r)
		return strings.TrimSpace(fmt.Sprint(response.StatusCode, " ", text))
	}
	got := []string{s.push(t, s.now), pushOther()}
	s.put(t, `apns: {bind_connections: true}`)
	got = append(got, pushOther(), s.push(t, s.now))
	s.reconnect(t)
	got = append(got, pushOther())
	if diff := cmp.Diff([]string{"200", "200", refused(403, "UnrelatedKeyIdInToken"), "200", "200"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAKeyMayBeScopedToAnEnvironment(t *testing.T) {
	t.Parallel()
	s := start(t, func(cfg *apnstest.Config) { cfg.Keys[0].Environment = new(apnstest.Development) })
	if got := s.push(t, s.now); got != refused(403, "BadEnvironmentKeyIdInToken") {
		t.Errorf("got %s", got)
	}
}

func TestADeviceHasItsRate(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.put(t, `apns: {device_rate: {burst: 2, every: 1m}}`)
	other := s.good(t)
	other.URL.Path = "/3/device/" + strings.Repeat("cd", 32)
	got := []string{s.push(t, s.now), s.push(t, s.now), s.push(t, s.now)}
	response, _ := s.do(t, other)
	got = append(got, fmt.Sprint(response.StatusCode))
	s.pass(time.Minute)
	got = append(got, s.push(t, s.now))
	if diff := cmp.Diff([]string{"200", "200", refused(429, "TooManyRequests"), "200", "200"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestATokenHasItsLife(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.put(t, `apns: {tokens: [{token: `+token+`, from: 1m, until: 2m, reason: ExpiredToken}]}`)
	var got []string
	for range 3 {
		got = append(got, s.push(t, s.now))
		s.pass(time.Minute)
	}
	if diff := cmp.Diff([]string{refused(400, "BadDeviceToken"), "200", `410 {"reason":"ExpiredToken","timestamp":1790000120000}`}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAStreamLimitOfOneUntilAGoodTokenHasCome(t *testing.T) {
	t.Parallel()
	s := start(t, func(cfg *apnstest.Config) { cfg.MaxStreams = 500 })
	c := wiretest.Dial(t, strings.TrimPrefix(s.URL(), "https://"), wiretest.Options{TLS: &tls.Config{RootCAs: s.authority.Pool(), ServerName: "localhost"}})
	got := []uint32{c.Settled()}
	c.Send("/3/device/"+token, `{"aps":{}}`, "authorization", "bearer garbage", "apns-topic", bundle)
	status, _ := c.Status()
	if status != "403" {
		t.Errorf("a bad token: got %s", status)
	}
	c.Send("/3/device/"+token, `{"aps":{}}`, "authorization", s.good(t).Header.Get("Authorization"), "apns-topic", bundle)
	got = append(got, c.Settled())
	if diff := cmp.Diff([]uint32{1, 500}, got); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
}

func TestACertificateAuthorizesItsConnection(t *testing.T) {
	t.Parallel()
	both := []string{bundle, bundle + ".voip"}
	for name, test := range map[string]struct {
		certificate pushtest.PushCertificate
		set         map[string]string // header fields; "" = left out
		want        string
	}{
		"for its bundle id":            {pushtest.PushCertificate{BundleID: bundle, Production: true}, nil, "200"},
		"without a topic":              {pushtest.PushCertificate{BundleID: bundle, Production: true}, map[string]string{"apns-topic": ""}, "200"},
		"for another topic":            {pushtest.PushCertificate{BundleID: "com.example.other", Production: true}, nil, refused(400, "TopicDisallowed")},
		"for a topic of its list":      {pushtest.PushCertificate{BundleID: bundle, Topics: both, Production: true}, map[string]string{"apns-topic": bundle + ".voip", "apns-push-type": "voip"}, "200"},
		"for a topic beside its list":  {pushtest.PushCertificate{BundleID: bundle, Topics: both[:1], Production: true}, map[string]string{"apns-topic": bundle + ".voip", "apns-push-type": "voip"}, refused(400, "TopicDisallowed")},
		"for a list without a topic":   {pushtest.PushCertificate{BundleID: bundle, Topics: both, Production: true}, map[string]string{"apns-topic": ""}, refused(400, "MissingTopic")},
		"for both environments":        {pushtest.PushCertificate{BundleID: bundle, Production: true, Development: true}, nil, "200"},
		"for the other environment":    {pushtest.PushCertificate{BundleID: bundle, Development: true}, nil, refused(403, "BadCertificateEnvironment")},
		"with a provider token at all": {pushtest.PushCertificate{BundleID: bundle, Production: true}, map[string]string{"Authorization": "bearer garbage"}, refused(403, "InvalidProviderToken")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.certify(t, test.certificate)
			r := s.good(t)
			r.Header.Del("Authorization")
			for name, value := range test.set {
				r.Header.Set(name, value)
				if value == "" {
					r.Header.Del(name)
				}
			}
			response, text := s.do(t, r)
			if got := strings.TrimSpace(fmt.Sprint(response.StatusCode, " ", text)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// certify makes the client show a certificate.
func (s *simulator) certify(t *testing.T, c pushtest.PushCertificate) {
	t.Helper()
	certificate, err := s.authority.ClientCertificate(c)
	if err != nil {
		t.Fatal(err)
	}
	s.client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{certificate}
}

func TestACertificateOfAnotherAuthorityOrTimeEndsTheConnection(t *testing.T) {
	t.Parallel()
	other := start(t)
	for name, c := range map[string]struct {
		issuer  *pushtest.Authority
		expires time.Time
	}{
		"of another authority": {other.authority, time.Time{}},
		"expired":              {nil, time.Unix(1789999999, 0)},
	} {
		s := start(t)
		if c.issuer == nil {
			c.issuer = s.authority
		}
		certificate, err := c.issuer.ClientCertificate(pushtest.PushCertificate{BundleID: bundle, Production: true, NotAfter: c.expires})
		if err != nil {
			t.Fatal(err)
		}
		config := s.client.Transport.(*http.Transport).TLSClientConfig
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
		config.Time = s.clock
		r := s.good(t)
		r.Header.Del("Authorization")
		if response, err := s.client.Do(r); err == nil {
			response.Body.Close()
			t.Errorf("%s: got %d", name, response.StatusCode)
		}
	}
}

func TestACollapseIDReplacesAnEarlierPushOfTheDevice(t *testing.T) {
	t.Parallel()
	s := start(t)
	var ids []string
	for i, collapse := range []string{"one", "two", "one", ""} {
		r := s.good(t)
		ids = append(ids, fmt.Sprintf("%s%d", id[:35], i))
		r.Header.Set("apns-id", ids[i])
		r.Header.Set("apns-collapse-id", collapse)
		s.do(t, r)
	}
	var got []string
	for _, e := range s.Control().Ledger.Entries(token) {
		got = append(got, e.Replaces)
	}
	if diff := cmp.Diff([]string{"", "", ids[0], ""}, got); diff != "" {
		t.Error(diff)
	}
}
