package main

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
)

// phone is a simulated phone: a device of a user, with the push token that its provider gave it.
type phone struct {
	user, device string
	platform     string
	credential   string
	language     string
	token        string // never shown
}

func iphone(user, device string) *phone {
	return &phone{user: user, device: device, platform: "apns", credential: "demo-ios", language: "en", token: newToken()}
}

func android(user, device string) *phone {
	return &phone{user: user, device: device, platform: "fcm", credential: "demo-android", language: "en", token: newToken()}
}

// newToken is well formed on both platforms.
func newToken() string {
	var bytes [32]byte
	_, _ = rand.Read(bytes[:]) // it never fails
	return hex.EncodeToString(bytes[:])
}

// shown is what a phone shows of one notification.
type shown struct{ device, text, badge, sound, ext string }

// nothing is the row of a phone that gets no notification, and why not.
func nothing(p *phone, why string) shown {
	return shown{device: p.device, text: "(nothing: " + why + ")"}
}

// entry is a request that a provider got.
type entry struct {
	Platform string            `json:"platform"`
	Headers  map[string]string `json:"headers"`
	Body     json.RawMessage   `json:"body"`
	Status   int               `json:"status"`
}

func (e entry) accepted() bool { return e.Status == http.StatusOK }

// read returns what the phone shows of the request, and the message key in it.
func (e entry) read(p *phone) (shown, string, error) {
	if e.Platform == "fcm" {
		var body struct {
			Data struct {
				Title, Body, Badge, Sound, Ext string
				MsgKey                         string `json:"msg_key"`
			} `json:"data"`
		}
		err := json.Unmarshal(e.Body, &body)
		d := body.Data
		return shown{p.device, d.Body, d.Badge, d.Sound, d.Ext}, d.MsgKey, err
	}
	var body struct {
		APS struct {
			Alert json.RawMessage `json:"alert"`
			Badge *int            `json:"badge"`
			Sound string          `json:"sound"`
		} `json:"aps"`
		Ext    string `json:"ext"`
		MsgKey string `json:"msg_key"`
	}
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return shown{}, "", err
	}
	badge := ""
	if body.APS.Badge != nil {
		badge = strconv.Itoa(*body.APS.Badge)
	}
	text, err := alertText(body.APS.Alert)
	return shown{p.device, text, badge, body.APS.Sound, body.Ext}, body.MsgKey, err
}

// alertText reads an alert: a string, or an object where there is more than a body, or nothing in the background.
func alertText(alert json.RawMessage) (string, error) {
	if len(alert) == 0 {
		return "", nil
	}
	if alert[0] != '{' {
		var text string
		err := json.Unmarshal(alert, &text)
		return text, err
	}
	var parts struct{ Title, Body string }
	err := json.Unmarshal(alert, &parts)
	return cmp.Or(parts.Body, parts.Title), err
}
