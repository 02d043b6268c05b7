package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushfleet/pushfleet/pkg/apns/apnstest"
	"github.com/pushfleet/pushfleet/pkg/credential/credentialtest"
	"github.com/pushfleet/pushfleet/pkg/fcm/fcmtest"
)

const credentialApps = `
default_app: demo
apps:
  demo:
    credentials:
      a-key: {platform: apns, key_file: AuthKey.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ, bundle_id: com.example.demo}
      b-certificate: {platform: apns, p12_file: push.p12, password_file: password, bundle_id: com.example.demo}
      c-other-app: {platform: apns, p12_file: push.p12, password_file: password, bundle_id: com.example.other}
      d-no-password: {platform: apns, p12_file: push.p12, bundle_id: com.example.demo}
      e-account: {platform: fcm, service_account_file: sa.json}
      f-absent: {platform: fcm, service_account_file: absent.json}
`

// credentialFiles are the files of credentialApps; the certificate ends in the days given.
func (b *bench) credentialFiles(days int) {
	b.t.Helper()
	_, p8, err := apnstest.NewKey("DEF123GHIJ", "ABC123DEFG")
	if err != nil {
		b.t.Fatal(err)
	}
	p12, err := credentialtest.Certificate{BundleID: "com.example.demo", TeamID: "DEF123GHIJ", Production: true, Serial: 255,
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().Add(time.Duration(days)*24*time.Hour + time.Hour)}.P12("correct horse")
	if err != nil {
		b.t.Fatal(err)
	}
	account, err := fcmtest.NewServiceAccount("demo-project", "https://oauth2.googleapis.com/token")
	if err != nil {
		b.t.Fatal(err)
	}
	for name, content := range map[string]string{"pushfleet.yaml": credentialApps, "AuthKey.p8": string(p8), "push.p12": string(p12),
		"password": "correct horse\n", "wrong": "battery staple", "sa.json": string(account),
		"other.json": strings.Replace(string(account), "https://oauth2.googleapis.com/token", "https://evil.example/token", 1)} {
		b.file(name, content)
	}
}

func TestCredentialList(t *testing.T) {
	t.Parallel()
	b := &bench{t: t, dir: t.TempDir()}
	b.credentialFiles(20)
	type row struct{ Name, Platform, Kind, KeyID, State string }
	want := []row{
		{"a-key", "apns", "p8", "ABC123DEFG", "ok"},
		{"b-certificate", "apns", "p12", "FF", "ok"},
		{"c-other-app", "apns", "", "", "not for the bundle id com.example.other"},
		{"d-no-password", "apns", "", "", "needs its password"},
		{"e-account", "fcm", "service_account", "*", "ok"},
		{"f-absent", "fcm", "", "", "no such file"},
	}
	var got []row
	for line := range strings.Lines(b.ok("", "credential", "list", "--output", "json")) {
		var l credentialLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.Kind == "p12" && (l.Days == nil || *l.Days != 20) || l.Kind != "p12" && l.Expires != nil {
			t.Errorf("%s: expires in %v days", l.Name, l.Days)
		}
		if l.Platform == "fcm" && l.KeyID != "" {
			l.KeyID = "*" // it is drawn
		}
		if i := len(got); i < len(want) && strings.Contains(l.State, want[i].State) {
			l.State = want[i].State
		}
		got = append(got, row{l.Name, l.Platform, l.Kind, l.KeyID, l.State})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	shown := b.ok("", "credential", "list")
	for _, line := range []string{"a-key ", "never", "b-certificate ", " 20 ", "no such file"} {
		if !strings.Contains(shown, line) {
			t.Errorf("no %q in:\n%s", line, shown)
		}
	}
}

func TestCredentialCheck(t *testing.T) {
	t.Parallel()
	b := &bench{t: t, dir: t.TempDir()}
	b.credentialFiles(20)
	file := func(name string) string { return b.dir + "/" + name }
	for name, c := range map[string]struct {
		args []string
		says []string
	}{
		"a p8":              {[]string{file("AuthKey.p8")}, []string{"p8", "never"}},
		"a p12":             {[]string{file("push.p12"), "--password-file", file("password")}, []string{"p12", "DEF123GHIJ", "com.example.demo", "production", "20"}},
		"a service account": {[]string{file("sa.json")}, []string{"service_account", "demo-project", "pushfleet@demo-project.iam.gserviceaccount.com"}},
	} {
		shown := b.ok("", append([]string{"credential", "check"}, c.args...)...)
		for _, says := range c.says {
			if !strings.Contains(shown, says) {
				t.Errorf("%s: no %q in:\n%s", name, says, shown)
			}
		}
	}
	var report credentialReport
	if err := json.Unmarshal([]byte(b.ok("", "credential", "check", file("AuthKey.p8"), "-o", "json")), &report); err != nil || report.Kind != "p8" {
		t.Errorf("got %+v, %v", report, err)
	}
	b.fails(1, "needs its password", "credential", "check", file("push.p12"))
	b.fails(1, "wrong password", "credential", "check", file("push.p12"), "--password-file", file("wrong"))
	b.fails(1, "want https://oauth2.googleapis.com/token", "credential", "check", file("other.json"))
	b.fails(1, "not a PKCS #12 file", "credential", "check", file("password"))
	b.credentialFiles(-1)
	b.fails(1, "expired on", "credential", "check", file("push.p12"), "--password-file", file("password"))
}
