package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/pushfleet/pushfleet/pkg/apns/apnstest"
	"github.com/pushfleet/pushfleet/pkg/fcm/fcmtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
	"github.com/pushfleet/pushfleet/scripts/chaos/check"
)

const (
	team, bundle, project = "DEF123GHIJ", "com.example.demo", "demo"
	goodKeys              = 8 // how often keys can be rotated
)

// providers are the simulators and the keys with which the fleet may push to them. The keys lie behind a symbolic link,
// as Kubernetes mounts them, so that a p8 and its id change at once.
type providers struct {
	dir  string
	apns *apnstest.Server
	fcm  *fcmtest.Simulator

	p8s   [][]byte // good ones, by id
	inUse int
}

func keyID(n int) string { return fmt.Sprintf("ABC123DE%02d", n) }

func startProviders(dir string) (_ *providers, err error) {
	p := &providers{dir: dir, inUse: -1}
	authority, err := pushtest.NewAuthority()
	if err != nil {
		return nil, err
	}
	certificate, err := authority.ServerCertificate()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(p.caFile(), authority.CAPEM(), 0o600); err != nil {
		return nil, err
	}
	var keys []apnstest.Key
	for n := range goodKeys {
		key, p8, err := apnstest.NewKey(team, keyID(n), bundle)
		if err != nil {
			return nil, err
		}
		keys, p.p8s = append(keys, key), append(p.p8s, p8)
	}
	if p.apns, err = apnstest.Start(apnstest.Config{Certificate: certificate, Keys: keys}); err != nil {
		return nil, err
	}
	if p.fcm, err = fcmtest.Start(fcmtest.Config{Authority: authority}); err != nil {
		p.close()
		return nil, err
	}
	if err := p.rotate(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *providers) caFile() string  { return filepath.Join(p.dir, "ca.pem") }
func (p *providers) keys() string    { return filepath.Join(p.dir, "keys") }
func (p *providers) p8() string      { return filepath.Join(p.keys(), "key.p8") }
func (p *providers) keyID() string   { return filepath.Join(p.keys(), "key.id") }
func (p *providers) account() string { return filepath.Join(p.keys(), "account.json") }

// put makes files the keys, all at once.
func (p *providers) put(p8 []byte, id string, account []byte) error {
	dir, err := os.MkdirTemp(p.dir, "keys-")
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{"key.p8": p8, "key.id": []byte(id), "account.json": account} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	link := dir + ".link"
	if err := os.Symlink(dir, link); err != nil {
		return err
	}
	return os.Rename(link, p.keys())
}

// rotate puts new good keys in place.
func (p *providers) rotate() error {
	p.inUse = (p.inUse + 1) % goodKeys
	account, err := p.fcm.ServiceAccount(project)
	if err != nil {
		return err
	}
	return p.put(p.p8s[p.inUse], keyID(p.inUse), account)
}

// garbage puts files in place that hold no key.
func (p *providers) garbage() error {
	return p.put([]byte("not a key"), "not an id", []byte(`{"half`))
}

// unknown puts keys in place that are well formed and nobody's.
func (p *providers) unknown() error {
	_, p8, err := apnstest.NewKey(team, "ZZZ999ZZZ9", bundle)
	if err != nil {
		return err
	}
	account, err := fcmtest.NewServiceAccount(project, p.fcm.TokenURI())
	if err != nil {
		return err
	}
	return p.put(p8, "ZZZ999ZZZ9", account)
}

// suffer plays a fault script on both, none where it is "".
func (p *providers) suffer(name string, seed uint64) error {
	var script faults.Script
	if name != "" {
		var err error
		if script, err = faults.Parse([]byte("seed: " + strconv.FormatUint(seed%1_000_000, 10) + "\n" + faultScripts[name])); err != nil {
			return fmt.Errorf("fault script %s: %w", name, err)
		}
	}
	for _, c := range p.controls() {
		if err := c.Faults.Put(script); err != nil {
			return err
		}
	}
	return nil
}

func (p *providers) controls() []*pushtest.Control {
	return []*pushtest.Control{p.apns.Control(), p.fcm.Control()}
}

// drain takes all that the ledgers hold, by time.
func (p *providers) drain() ([]check.Push, error) {
	var all []check.Push
	for _, c := range p.controls() {
		if dropped := c.Ledger.Counts().Dropped; dropped > 0 {
			return nil, fmt.Errorf("the ledger of %s dropped %d lines", c.Platform, dropped)
		}
		for _, entry := range c.Ledger.Entries("") {
			push, err := pushOf(entry)
			if err != nil {
				return nil, err
			}
			all = append(all, push)
		}
		c.Ledger.Reset()
	}
	slices.SortStableFunc(all, func(a, b check.Push) int { return a.Time.Compare(b.Time) })
	return all, nil
}

// pushOf reads a ledger's line: the message key and the number as the phone would see them.
func pushOf(entry pushtest.Entry) (check.Push, error) {
	var body struct {
		MsgKey string `json:"msg_key"` // APNs
		APS    struct {
			Badge int `json:"badge"`
		} `json:"aps"`
		Data struct { // FCM
			MsgKey string `json:"msg_key"`
			Badge  string `json:"badge"`
		} `json:"data"`
		Message *struct {
			Data struct {
				MsgKey string `json:"msg_key"`
				Badge  string `json:"badge"`
			} `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(entry.Body, &body); err != nil {
		return check.Push{}, fmt.Errorf("body of %s: %w", entry.ID, err)
	}
	if body.Message != nil {
		body.Data = body.Message.Data
	}
	push := check.Push{Time: entry.Time, Token: entry.Token, MsgKey: body.MsgKey + body.Data.MsgKey, Badge: body.APS.Badge,
		Accepted: entry.Status == 200, Unanswered: entry.Status == 200 && entry.Reason != ""}
	if body.Data.Badge != "" {
		n, err := strconv.Atoi(body.Data.Badge)
		if err != nil {
			return check.Push{}, fmt.Errorf("badge of %s: %w", entry.ID, err)
		}
		push.Badge = n
	}
	return push, nil
}

func (p *providers) close() {
	if p.apns != nil {
		_ = p.apns.Close() // the program ends, and nothing waits for it
	}
	if p.fcm != nil {
		_ = p.fcm.Close()
	}
}
