package registry

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseMembership(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		json string
		want Membership
	}{
		{
			`{"App":"demo","Group":"team","User":"bob","JoinedTime":1789990000000}`,
			Membership{App: "demo", Group: "team", User: "bob", Joined: time.UnixMilli(1789990000000)},
		},
		{ // whoever reads the record knows its time
			`{"App":"demo","Group":"team","User":"bob"}`,
			Membership{App: "demo", Group: "team", User: "bob"},
		},
		{
			`{"App":"demo","Group":"team","User":"bob","JoinedTime":null,"Role":"owner"}`,
			Membership{App: "demo", Group: "team", User: "bob"},
		},
	} {
		got, err := ParseMembership([]byte(row.json), start)
		if err != nil {
			t.Errorf("%s: %v", row.json, err)
		} else if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s: %s", row.json, diff)
		}
	}
}

func TestParseMembershipSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	const whole = `{"App":"demo","Group":"team","User":"bob","JoinedTime":1789990000000}`
	for _, row := range []struct{ old, new, want string }{
		{`"demo"`, `""`, "App: required"},
		{`"Group":"team",`, ``, "Group: required"},
		{`"User":"bob",`, ``, "User: required"},
		{`"bob"`, `"` + strings.Repeat("x", 129) + `"`, "User: longer than 128 bytes"},
		{`"team"`, `"te\u001fam"`, "Group: holds a control character"},
		{`"team"`, `{"team":1}`, "Group: not of the right type"},
		{`1789990000000`, `0`, "JoinedTime: required, in milliseconds"},
		{`1789990000000`, `1789990000`, "JoinedTime: too long ago: it is in milliseconds since 1970"},
		{`1789990000000`, `1790086400001`, "JoinedTime: more than a day in the future"},
		{`1789990000000`, `"now"`, "JoinedTime: not of the right type"},
		{whole, `"bob"`, "value: not of the right type"},
		{whole, ``, "not valid JSON"},
	} {
		value := strings.Replace(whole, row.old, row.new, 1)
		_, err := ParseMembership([]byte(value), start)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", value, err, row.want)
		}
	}
}

func FuzzParseMembership(f *testing.F) {
	f.Add([]byte(`{"App":"demo","Group":"team","User":"bob","JoinedTime":1789990000000}`))
	f.Add([]byte(`{"App":"demo","Group":"team","User":"bob"}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		m, err := ParseMembership(value, start)
		if err != nil {
			return
		}
		if m.Joined.IsZero() {
			m.Joined = start
		}
		if err := m.Validate(start); err != nil {
			t.Errorf("parsed, but not valid: %v", err)
		}
		if strings.ContainsAny(m.App+m.Group+m.User, unit+record) {
			t.Errorf("a separator stands in %+v", m)
		}
	})
}
