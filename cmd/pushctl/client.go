package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/pushfleet/pushfleet/pkg/config"
	"github.com/pushfleet/pushfleet/workers/fleet"
)

const (
	callTimeout = 30 * time.Second // longer than the API waits for Kafka and Redis
	maxAnswer   = 32 << 20         // bytes of the API's answer
)

// client calls the HTTP API.
type client struct {
	base  string // without a slash at its end
	token string
	http  *http.Client
}

// client takes the address and the token from the flags, and from the configuration what they leave out.
func (p *program) client() (*client, error) {
	base, tokenFile := p.apiURL, p.tokenFile
	if base == "" || tokenFile == "" {
		cfg, err := p.config()
		if err != nil {
			return nil, err
		}
		if base == "" {
			base = "http://" + dialable(cfg.API.Listen)
		}
		if tokenFile == "" {
			tokenFile = cfg.API.TokensFile
		}
	}
	token, err := firstToken(tokenFile)
	if err != nil {
		return nil, err
	}
	return &client{base: strings.TrimRight(base, "/"), token: token, http: &http.Client{Timeout: callTimeout}}, nil
}

// dialable turns an address to listen on into one to connect to: no host means every address of this machine.
func dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

func firstToken(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("bearer token: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return line, nil
		}
	}
	return "", fmt.Errorf("bearer token: %s holds none", file)
}

// segment escapes one segment of a path; "." and ".." too, which a server would take for steps.
func segment(id string) string {
	if id == "." || id == ".." {
		return strings.ReplaceAll(id, ".", "%2E")
	}
	return url.PathEscape(id)
}

// call sends a request and decodes the answer's JSON. An error of the API comes back in its own words.
func (cl *client) call(ctx context.Context, method, path string, body []byte, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, cl.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+cl.token)
	resp, err := cl.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", cl.base, err)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		var problem struct {
			Detail string `json:"detail"`
			Field  string `json:"field"`
			Line   int    `json:"line"`
		}
		if json.Unmarshal(text, &problem) != nil || problem.Detail == "" {
			return fmt.Errorf("%s answered %s", cl.base, resp.Status)
		}
		where := ""
		if problem.Line > 0 {
			where = fmt.Sprintf(" line %d:", problem.Line)
		}
		return fmt.Errorf("%s:%s %s", resp.Status, where, problem.Detail)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("answer of %s: %w", cl.base, err)
	}
	return nil
}

func (p *program) config() (*config.Config, error) {
	cfg, err := config.Load(p.configFile, fleet.Names())
	if err != nil {
		return nil, fmt.Errorf("configuration %s:\n%w", p.configFile, err)
	}
	return cfg, nil
}
