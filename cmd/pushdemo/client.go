package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pushfleet/pushfleet/workers/dev"
)

const (
	callLimit = 10 * time.Second // of one HTTP request
	waitLimit = 20 * time.Second // for something to come true
	waitPause = 20 * time.Millisecond

	app = "demo"
)

// client speaks to the fleet's API and to the simulators' admin API.
type client struct {
	http   *http.Client
	api    string
	admin  string
	bearer string
}

func newClient(ready dev.Ready) (*client, error) {
	text, err := os.ReadFile(filepath.Join(ready.DataDir, "tokens"))
	if err != nil {
		return nil, fmt.Errorf("bearer token: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return &client{http: &http.Client{Timeout: callLimit, Transport: &http.Transport{}}, api: ready.API, admin: ready.Admin, bearer: first}, nil
}

// call sends body as JSON unless it is nil, and reads the answer into answer unless that is nil.
func (c *client) call(ctx context.Context, method, address string, body, answer any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, address, content)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(address, c.api) {
		request.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		problem, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10)) // what could be read of it is enough
		return fmt.Errorf("%s %s: %s: %s", method, request.URL.Path, response.Status, problem)
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

// send sends a chat message and returns its message key.
func (c *client) send(ctx context.Context, message map[string]any) (string, error) {
	var answer struct {
		Messages []struct {
			MsgKey string `json:"msg_key"`
		} `json:"messages"`
	}
	if err := c.call(ctx, http.MethodPost, c.api+"/v1/messages", message, &answer); err != nil {
		return "", err
	}
	if len(answer.Messages) != 1 || answer.Messages[0].MsgKey == "" {
		return "", errors.New("the API names no message key")
	}
	return answer.Messages[0].MsgKey, nil
}

// report reports a device event.
func (c *client) report(ctx context.Context, event map[string]any) error {
	return c.call(ctx, http.MethodPost, c.api+"/v1/devices/events", event, nil)
}

// device is what the registry shows of a device.
type device struct {
	Device    string `json:"device"`
	TokenHash string `json:"token_hash"`
	Filter    string `json:"filter"`
}

func (c *client) device(ctx context.Context, user, name string) (device, error) {
	var answer struct {
		Devices []device `json:"devices"`
	}
	err := c.call(ctx, http.MethodGet, c.api+"/v1/apps/"+app+"/users/"+url.PathEscape(user)+"/devices", nil, &answer)
	for _, d := range answer.Devices {
		if d.Device == name {
			return d, nil
		}
	}
	return device{}, err
}

// event is one line of a message's timeline.
type event struct {
	Device      string `json:"device"`
	Disposition string `json:"disposition"`
	Reason      string `json:"reason"`
}

func (c *client) timeline(ctx context.Context, key string) ([]event, error) {
	var answer struct {
		Events []event `json:"events"`
	}
	err := c.call(ctx, http.MethodGet, c.api+"/v1/apps/"+app+"/messages/"+url.PathEscape(key)+"/timeline", nil, &answer)
	return answer.Events, err
}

// answer is what a simulator answers instead of its own; times -1 = for ever.
type answer struct {
	Status int    `json:"status"`
	Reason string `json:"reason"`
	Times  int    `json:"times"`
}

// script sets a token's answers; none = the simulator's own again.
func (c *client) script(ctx context.Context, token string, answers ...answer) error {
	return c.call(ctx, http.MethodPut, c.admin+"/script", map[string]any{"token": token, "answers": answers}, nil)
}

// ledger returns the requests that the simulators got for a token, oldest first.
func (c *client) ledger(ctx context.Context, token string) ([]entry, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.admin+"/ledger?token="+url.QueryEscape(token), nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var entries []entry
	for lines := json.NewDecoder(response.Body); ; {
		var e entry
		switch err := lines.Decode(&e); {
		case errors.Is(err, io.EOF):
			return entries, nil
		case err != nil:
			return nil, fmt.Errorf("ledger: %w", err)
		}
		entries = append(entries, e)
	}
}

// until asks until the answer is yes, and returns false where that takes too long.
func until(ctx context.Context, ask func(context.Context) (bool, error)) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	tick := time.NewTicker(waitPause)
	defer tick.Stop()
	for {
		yes, err := ask(ctx)
		if yes || err != nil {
			return yes, err
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-tick.C:
		}
	}
}
