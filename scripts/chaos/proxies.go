package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// The proxies' names. The workers reach everything through them; the checker does not.
const (
	proxyRedis = "redis"
	proxyAPNs  = "apns"
	proxyFCM   = "fcm"
)

func proxyBroker(n int) string { return fmt.Sprintf("kafka-%d", n+1) }

// proxies are the ways on which connections are cut and slowed.
type proxies struct {
	server *toxiproxy.ApiServer // never listens: it is what a proxy reports to
	all    map[string]*toxiproxy.Proxy
}

func newProxies() *proxies {
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxics write to the library's own logger too, a line a connection
	return &proxies{server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), all: map[string]*toxiproxy.Proxy{}}
}

// open puts a proxy before an address and returns its own.
func (p *proxies) open(name, upstream string) (string, error) {
	listen, err := freeAddr()
	if err != nil {
		return "", err
	}
	proxy := toxiproxy.NewProxy(p.server, name, listen, upstream)
	if err := proxy.Start(); err != nil {
		return "", fmt.Errorf("proxy %s: %w", name, err)
	}
	p.all[name] = proxy
	return proxy.Listen, nil
}

// openURL puts one before a server of HTTPS and returns its base address.
func (p *proxies) openURL(name, base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	if u.Host, err = p.open(name, u.Host); err != nil {
		return "", err
	}
	return u.String(), nil
}

// cut closes every connection, and refuses new ones until mend.
func (p *proxies) cut(name string) { p.all[name].Stop() }

func (p *proxies) mend(name string) error {
	if err := p.all[name].Start(); err != nil {
		return fmt.Errorf("proxy %s: %w", name, err)
	}
	return nil
}

// slow delays each direction by a span as time.ParseDuration reads it.
func (p *proxies) slow(name, span string) error {
	d, err := time.ParseDuration(span)
	if err != nil {
		return err
	}
	return p.toxics(name, fmt.Sprintf(`"type":"latency","attributes":{"latency":%d,"jitter":%d}`, d.Milliseconds(), d.Milliseconds()/2))
}

// narrow lets so many KB a second through in each direction.
func (p *proxies) narrow(name, rate string) error {
	n, err := strconv.Atoi(rate)
	if err != nil {
		return err
	}
	return p.toxics(name, fmt.Sprintf(`"type":"bandwidth","attributes":{"rate":%d}`, n))
}

func (p *proxies) toxics(name, toxic string) error {
	for _, stream := range []string{"upstream", "downstream"} {
		text := fmt.Sprintf(`{"name":%q,"stream":%q,%s}`, stream, stream, toxic)
		if _, err := p.all[name].Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
			return fmt.Errorf("proxy %s: %w", name, err)
		}
	}
	return nil
}

// clear ends slow and narrow.
func (p *proxies) clear(ctx context.Context, name string) error {
	for _, stream := range []string{"upstream", "downstream"} {
		if err := p.all[name].Toxics.RemoveToxic(ctx, stream); err != nil {
			return fmt.Errorf("proxy %s: %w", name, err)
		}
	}
	return nil
}

func (p *proxies) close() {
	for _, proxy := range p.all {
		proxy.Stop()
	}
}
