package message_test

import (
	"testing"
	"time"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// Honor PushFlag, OnlineOnlyFlag and MsgLifeTime; drop pushes past their message's lifetime.
func TestRows13And21WhatIsNotPushed(t *testing.T) {
	t.Parallel()
	const noText = `"MsgBody":[]`
	const text = `"MsgBody":` + textBody
	start := recordTime
	for name, c := range map[string]struct {
		more  string
		after time.Duration // since the record's time
		want  push.Reason
	}{
		"nothing against it":                 {text, 0, ""},
		"PushFlag 1":                         {text + `,"OfflinePushInfo":{"PushFlag":1}`, 0, push.ReasonPushFlag},
		"PushFlag 0":                         {text + `,"OfflinePushInfo":{"PushFlag":0}`, 0, ""},
		"OnlineOnlyFlag 1":                   {text + `,"OnlineOnlyFlag":1`, 0, push.ReasonOnlineOnly},
		"OnlineOnlyFlag 0":                   {text + `,"OnlineOnlyFlag":0`, 0, ""},
		"MsgLifeTime 0":                      {text + `,"MsgLifeTime":0`, 0, push.ReasonOnlineOnly},
		"a null MsgLifeTime is none":         {text + `,"MsgLifeTime":null`, 0, ""},
		"no text":                            {noText, 0, push.ReasonNoText},
		"a title is no text":                 {noText + `,"OfflinePushInfo":{"Title":"T","Ext":"e"}`, 0, push.ReasonNoText},
		"Desc is":                            {noText + `,"OfflinePushInfo":{"Desc":"d"}`, 0, ""},
		"a custom element alone has none":    {`"MsgBody":[{"MsgType":"TIMCustomElem","MsgContent":{"Data":"d","Ext":"e"}}]`, 0, push.ReasonNoText},
		"7 days without MsgLifeTime":         {text + `,"MsgTimeStamp":1789395201`, 0, push.ReasonExpired},
		"a second before the 7 days":         {text + `,"MsgTimeStamp":1789395202`, 0, ""},
		"a longer MsgLifeTime is 7 days":     {text + `,"MsgLifeTime":604801,"MsgTimeStamp":1789395201`, 0, push.ReasonExpired},
		"the longest number is 7 days":       {text + `,"MsgLifeTime":99999999999999999999`, 0, ""},
		"a lifetime that ends now":           {text + `,"MsgLifeTime":60,"MsgTimeStamp":1790000000`, 59500 * time.Millisecond, push.ReasonExpired},
		"that has a second left":             {text + `,"MsgLifeTime":60,"MsgTimeStamp":1790000000`, 58500 * time.Millisecond, ""},
		"that has less than a second left":   {text + `,"MsgLifeTime":60,"MsgTimeStamp":1790000000`, 58501 * time.Millisecond, push.ReasonExpired},
		"without MsgTimeStamp from record's": {text + `,"MsgLifeTime":60`, 60 * time.Second, push.ReasonExpired},
		"older than max_age":                 {text, 24*time.Hour + 1, push.ReasonStale},
		"as old as max_age":                  {text, 24 * time.Hour, ""},
		"stale is the record's age":          {text + `,"MsgTimeStamp":1789395202`, 0, ""},

		"push_flag before online_only": {text + `,"OnlineOnlyFlag":1,"OfflinePushInfo":{"PushFlag":1}`, 0, push.ReasonPushFlag},
		"online_only before no_text":   {noText + `,"OnlineOnlyFlag":1`, 0, push.ReasonOnlineOnly},
		"no_text before expired":       {noText + `,"MsgTimeStamp":1`, 0, push.ReasonNoText},
		"expired before stale":         {text + `,"MsgLifeTime":60`, 48 * time.Hour, push.ReasonExpired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := parse(t, `{"From_Account":"a","To_Account":"b",`+c.more+`}`)
			if got := m.Filter(start.Add(c.after), 24*time.Hour); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestNoMaxAge(t *testing.T) {
	t.Parallel()
	if got := parse(t, oneToOne).Filter(recordTime.Add(6*24*time.Hour), 0); got != "" {
		t.Errorf("%q, although no age is too old", got)
	}
}

// TestTimes: a sender's clock may run ahead by a day; a MsgTimeStamp beyond that extends no lifetime.
func TestTimes(t *testing.T) {
	t.Parallel()
	const second = int64(1790000000) // of the record
	for name, c := range map[string]struct {
		more          string
		time, expires int64
	}{
		"absent":           {``, second, second + 604800},
		"in the past":      {`,"MsgTimeStamp":1789999000,"MsgLifeTime":10`, 1789999000, 1789999010},
		"0 is a time":      {`,"MsgTimeStamp":0`, 0, 604800},
		"a day ahead":      {`,"MsgTimeStamp":1790086400`, 1790086400, 1790691200},
		"more than a day":  {`,"MsgTimeStamp":1790086401`, second, second + 604800},
		"in milliseconds":  {`,"MsgTimeStamp":1790000000000`, second, second + 604800},
		"beyond all clock": {`,"MsgTimeStamp":99999999999999999999`, second, second + 604800},
	} {
		m := parse(t, `{"From_Account":"a","To_Account":"b","MsgBody":[]`+c.more+`}`)
		if m.Time.Unix() != c.time || m.Expires.Unix() != c.expires || !m.Render(iphone("")).Expires.Equal(m.Expires) {
			t.Errorf("%s: Time %d, Expires %d", name, m.Time.Unix(), m.Expires.Unix())
		}
		if m.RecordTime != recordTime || m.Render(iphone("")).Received != recordTime {
			t.Errorf("%s: RecordTime %v", name, m.RecordTime)
		}
	}
}
