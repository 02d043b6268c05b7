package registry

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// packedSeeds are answers of the scripts as they are in life, by what reads them.
var packedSeeds = []string{
	"N0", "R1a.caf", "D0",
	"N0" + record + "b3" + unit + "phone" + unit + "1" + unit + "apns" + unit + "ios" + unit + "en" + unit + "aa",
	"G5", "G", "G5" + unit + "2" + unit + "fcm" + unit + "android" + unit + unit + "x:y",
	"M2" + unit + "apns+" + unit + "ios" + unit + "en" + unit + "aa" + voipMark + "bb",
	"L1500", "Ff", "Dunregistered", "D",
	"1790000000000" + unit + "i" + unit + "1" + unit + "apns" + unit + "ios" + unit + "en" + unit + "aa",
	"bb" + unit + "phone" + unit + "1790000000000" + unit + unit + "1790000005000" + unit + unit + "7" + unit +
		"1790000000000" + unit + "i" + unit + "1" + unit + "apns" + unit + "ios" + unit + "en" + unit + "aa",
	"1790000000000" + unit + "3" + unit + "phone" + unit + "1" + unit + "apns" + unit + "ios" + unit + "en" + unit + "aa",
	"1790000000000" + unit + "1" + unit + "a.caf" + unit + strings.Repeat(unit, 3) + "Asia/Shanghai" + unit + "28800" + unit + "1" + unit + unit + record +
		"c2c:alice" + unit + "2" + unit + "1790000000000",
	strings.Repeat(unit, 10), "", record, unit, "E", "Z",
	"1" + unit + "bob" + unit + "1790000000000,1790000005000,1,2" + unit + "carol" + unit + "1790000000000",
}

// FuzzAnswers: whatever Redis answers, it is read, or refused as malformed; nothing else.
func FuzzAnswers(f *testing.F) {
	for _, seed := range packedSeeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		_, decided := parseDecision(answer)
		_, admitted := parseAdmission(answer)
		_, stated := parseState("app", "user", "device", answer)
		device, shown := parseDevice(answer)
		_, set := parseSettingsState("app", "user", answer)
		_, synced := new(Sync).parse(answer)
		_, listed := part{0, 1}.append(nil, answer, 1, time.UnixMilli(1_790_000_000_000))
		_, stayed := memberAt(answer, time.UnixMilli(1_790_000_000_000))
		for what, err := range map[string]error{
			"decision": decided, "admission": admitted, "state": stated, "device": shown, "settings": set, "sync": synced, "members": listed, "stays": stayed,
		} {
			if err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v", what, err)
			}
			if err != nil && len(answer) > 8 && strings.Contains(err.Error(), answer) {
				t.Errorf("%s: quotes the answer: %v", what, err)
			}
		}
		if shown == nil && (device.Binding.Token != "" || device.Binding.VoIPToken != "") {
			t.Error("a device is shown with a token")
		}
	})
}

// FuzzBinding: what a state may hold is read back from Redis as it was written.
func FuzzBinding(f *testing.F) {
	f.Add("apns", "aa", "bb", "ios", "en", int64(1), true)
	f.Add("fcm", "x:y", "", "android", "", int64(1<<53), false)
	f.Add("", "", "", "", "", int64(0), false)
	f.Fuzz(func(t *testing.T, platform, token, voip, credential, language string, version int64, service bool) {
		s := State{App: "app", User: "user", Device: "device", EventTime: time.UnixMilli(1_790_000_000_000), Binding: push.Binding{
			Platform: push.Platform(platform), Token: token, VoIPToken: voip, Credential: credential, Language: language,
			Version: version, Service: service}}
		if s.validate() != nil {
			return
		}
		b := &s.Binding
		packed := strings.Join([]string{strconv.FormatInt(b.Version, 10), packPlatform(b), b.Credential, b.Language, packTokens(b)}, unit)
		got, ok := parseBinding(packed)
		if !ok || got != s.Binding {
			t.Errorf("%+v is read back as %+v", s.Binding, got)
		}
		if again := StateOf(s.Record()); again != s {
			t.Errorf("%+v is recorded as %+v", s, again)
		}
	})
}

// FuzzInfo: what a server says of its memory may be anything.
func FuzzInfo(f *testing.F) {
	for _, seed := range []string{
		"", "# Memory\r\nused_memory:1\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", "maxmemory:100\r\nmaxmemory_policy:volatile-ttl", "maxmemory:x\nmaxmemory_policy:",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, info string) {
		if policy := evictionPolicy(info); policy != "" && !strings.Contains(info, policy) {
			t.Errorf("the policy %q comes from nowhere", policy)
		}
	})
}

// FuzzTokens: a token is compared with itself whatever its letters, and never with one of another length.
func FuzzTokens(f *testing.F) {
	f.Add("00AbCdEf")
	f.Add("x:AbC")
	f.Add("")
	f.Add("é")
	f.Fuzz(func(t *testing.T, token string) {
		same := sameToken(token)
		if sameToken(same) != same || len(same) != len(token) || !strings.EqualFold(same, token) && utf8.ValidString(token) {
			t.Errorf("%q is compared as %q", token, same)
		}
	})
}
