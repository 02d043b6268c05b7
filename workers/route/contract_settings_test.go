package route_test

import (
	"fmt"
	"strings"
	"testing"
)

// A receive option of a conversation: 0 receive and push; 1 not received, not pushed; 2 received, not pushed; 3 and 4 pushed only
// where mentioned. A mention of everybody overrides 3 and 4, and not 2.
func TestRow18ReceiveOptions(t *testing.T) {
	t.Parallel()
	option := func(n int) []string {
		return with(iphone, settings(fmt.Sprintf(`"ReceiveOptions":{"group:team":%d}`, n)))
	}
	const (
		atBob   = `"GroupAtInfo":[{"GroupAtAllFlag":0,"GroupAt_Account":"carol"},{"GroupAtAllFlag":0,"GroupAt_Account":"bob"}]`
		atCarol = `"GroupAtInfo":[{"GroupAtAllFlag":0,"GroupAt_Account":"carol"}]`
		atAll   = `"GroupAtInfo":[{"GroupAtAllFlag":1}]`
	)
	pushed := iphoneTeam("Alice(Team):hello")
	muted, unmentioned := []string{noneInTeam("iphone", "muted")}, []string{noneInTeam("iphone", "not_mentioned")}
	run(t, map[string]example{
		"none set":                {message: toTeam(), events: iphone, want: pushed},
		"0":                       {message: toTeam(), events: option(0), want: pushed},
		"1":                       {message: toTeam(), events: option(1), want: muted},
		"2":                       {message: toTeam(), events: option(2), want: muted},
		"2, mentioned":            {message: toTeam(atBob), events: option(2), want: muted},
		"2, everybody mentioned":  {message: toTeam(atAll), events: option(2), want: muted},
		"3":                       {message: toTeam(), events: option(3), want: unmentioned},
		"3, another is mentioned": {message: toTeam(atCarol), events: option(3), want: unmentioned},
		"3, mentioned":            {message: toTeam(atBob), events: option(3), want: pushed},
		"3, everybody mentioned":  {message: toTeam(atAll), events: option(3), want: pushed},
		"4":                       {message: toTeam(), events: option(4), want: unmentioned},
		"4, mentioned":            {message: toTeam(atBob), events: option(4), want: pushed},
		"4, everybody mentioned":  {message: toTeam(atAll), events: option(4), want: pushed},
		"of another group":        {message: toTeam(), events: with(iphone, settings(`"ReceiveOptions":{"group:other":2}`)), want: pushed},
		"taken back":              {message: toTeam(), events: with(option(2), `{"App":"im","User":"bob","Event":"settings","EventTime":1789999500000,"ReceiveOptions":{"group:team":0}}`), want: pushed},
		"an older one comes late": {message: toTeam(), events: with(option(2), `{"App":"im","User":"bob","Event":"settings","EventTime":1789998000000,"ReceiveOptions":{"group:team":0}}`), want: muted},
		"of the user, so of all devices": {message: toTeam(), events: with(with(iphone, pixel...), settings(`"ReceiveOptions":{"group:team":2}`)),
			want: []string{noneInTeam("iphone", "muted"), noneInTeam("pixel", "muted")}},
	})
}

// A one-to-one message ignores the receiver's option unless it comes with WithMuteNotifications.
func TestRow18WithMuteNotifications(t *testing.T) {
	t.Parallel()
	muted := with(iphone, settings(`"ReceiveOptions":{"c2c:alice":2,"group:team":2}`))
	run(t, map[string]example{
		"with it":            {message: toBob(`"SendMsgControl":["NoLastMsg","WithMuteNotifications"]`), events: muted, want: []string{none("iphone", "muted")}},
		"without":            {message: toBob(), events: muted, want: iphoneText("Alice:hello")},
		"another sender":     {message: toBob(`"SendMsgControl":["WithMuteNotifications"]`), events: with(iphone, settings(`"ReceiveOptions":{"c2c:carol":2}`)), want: iphoneText("Alice:hello")},
		"a group without it": {message: toTeam(), events: muted, want: []string{noneInTeam("iphone", "muted")}},
	})
}

// Nothing is pushed in the daily window of a user's own time zone. A mention or a call does not break it.
func TestRow18DailyDoNotDisturb(t *testing.T) {
	t.Parallel()
	// The messages come at 1790000000: 2026-09-21 14:13:20 UTC, 15:13:20 in London's summer, 22:13:20 in Shanghai.
	quiet := func(start string, duration int, zone string) []string {
		return with(iphone, settings(fmt.Sprintf(`"QuietDaily":{"Start":%q,"Duration":%d,"TimeZone":%q}`, start, duration, zone)))
	}
	pushed, silent := iphoneText("Alice:hello"), []string{none("iphone", "quiet_hours")}
	run(t, map[string]example{
		"inside":                                 {message: toBob(), events: quiet("22:00", 28800, "Asia/Shanghai"), want: silent},
		"the same times elsewhere":               {message: toBob(), events: quiet("22:00", 28800, "Europe/London"), want: pushed},
		"the zone's summer time counts":          {message: toBob(), events: quiet("15:13:20", 60, "Europe/London"), want: silent},
		"and its winter time does not":           {message: toBob(), events: quiet("14:13:20", 60, "Europe/London"), want: pushed},
		"over midnight":                          {message: toBob(), events: quiet("23:30", 86340, "Asia/Shanghai"), want: silent},
		"begins in a second":                     {message: toBob(), events: quiet("22:13:21", 60, "Asia/Shanghai"), want: pushed},
		"ended this second":                      {message: toBob(), events: quiet("22:12:20", 60, "Asia/Shanghai"), want: pushed},
		"all day":                                {message: toBob(), events: quiet("00:00", 86400, "UTC"), want: silent},
		"a mention does not break it":            {message: toTeam(`"GroupAtInfo":[{"GroupAt_Account":"bob"}]`), events: quiet("00:00", 86400, "UTC"), want: []string{noneInTeam("iphone", "quiet_hours")}},
		"nor one of everybody":                   {message: toTeam(`"GroupAtInfo":[{"GroupAtAllFlag":1}]`), events: quiet("00:00", 86400, "UTC"), want: []string{noneInTeam("iphone", "quiet_hours")}},
		"nor a call":                             {message: toBob(`"OfflinePushInfo":{"ApnsInfo":{"PushType":"voip"}}`), events: quiet("00:00", 86400, "UTC"), want: silent},
		"taken back":                             {message: toBob(), events: with(quiet("00:00", 86400, "UTC"), `{"App":"im","User":"bob","Event":"settings","EventTime":1789999500000,"QuietDaily":null}`), want: pushed},
		"kept by an event that does not name it": {message: toBob(), events: with(quiet("00:00", 86400, "UTC"), `{"App":"im","User":"bob","Event":"settings","EventTime":1789999500000,"Push":true}`), want: silent},
	})
}

// Nothing is pushed in a window that comes once.
func TestRow18OneOffDoNotDisturb(t *testing.T) {
	t.Parallel()
	quiet := func(start string, duration int) []string {
		return with(iphone, settings(fmt.Sprintf(`"QuietOnce":{"Start":%s,"Duration":%d}`, start, duration)))
	}
	pushed, silent := iphoneText("Alice:hello"), []string{none("iphone", "quiet_hours")}
	run(t, map[string]example{
		"inside":     {message: toBob(), events: quiet("1789999000000", 3600), want: silent},
		"over":       {message: toBob(), events: quiet("1789996400000", 3600), want: pushed},
		"to come":    {message: toBob(), events: quiet("1790000001000", 3600), want: pushed},
		"taken back": {message: toBob(), events: with(quiet("1789999000000", 3600), `{"App":"im","User":"bob","Event":"settings","EventTime":1789999500000,"QuietOnce":null}`), want: pushed},
	})
}

// The user's push on or off, for all devices and every conversation.
func TestRow18PushOnOrOff(t *testing.T) {
	t.Parallel()
	off := with(with(iphone, pixel...), settings(`"Push":false`))
	run(t, map[string]example{
		"off": {message: toBob(), events: off, want: []string{none("iphone", "push_off"), none("pixel", "push_off")}},
		"off, and a call": {message: toBob(`"OfflinePushInfo":{"ApnsInfo":{"PushType":"voip"}}`), events: off,
			want: []string{none("iphone", "push_off"), none("pixel", "push_off")}},
		"on again": {message: toBob(), events: with(off, `{"App":"im","User":"bob","Event":"settings","EventTime":1789999500000,"Push":true}`),
			want: []string{toIPhone(helloIPhone), toPixel(helloPixel)}},
		"a user without devices": {message: toBob(), events: []string{settings(`"Push":false`)}, want: nil},
		"the number stays what was pushed": {message: toBob(`"SendMsgControl":["NoUnread"]`), events: iphone,
			want: []string{toIPhone(strings.Replace(helloIPhone, `"badge":5`, `"badge":4`, 1))}},
	})
}
