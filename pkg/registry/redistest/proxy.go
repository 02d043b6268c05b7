package redistest

import (
	"context"
	"io"
	"net"
	"sync"
)

// Proxy is one address in front of servers, as the address of a managed Redis is: which server is behind it changes, and
// connections that are there stay with the server they have.
type Proxy struct {
	ln net.Listener
	wg sync.WaitGroup

	mu     sync.Mutex
	target string
	cut    int // bytes of the next connections' answers to let through; negative = all
	conns  map[net.Conn]struct{}
	closed bool
}

// StartProxy starts a proxy to host:port target.
func StartProxy(target string) (*Proxy, error) {
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{ln: ln, target: target, cut: -1, conns: make(map[net.Conn]struct{})}
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is host:port of the proxy.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Switch leads new connections to another server.
func (p *Proxy) Switch(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Cut ends each new connection once its server has answered so many bytes; negative = never.
func (p *Proxy) Cut(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = bytes
}

// Drop ends the connections that there are.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.Close()
	}
}

// Close ends everything.
func (p *Proxy) Close() {
	p.ln.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Drop()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		target, cut := p.target, p.cut
		p.mu.Unlock()
		server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", target)
		if err != nil {
			client.Close()
			continue
		}
		p.add(client, server)
		p.wg.Go(func() {
			_, _ = io.Copy(server, client) // either end may go at any time
			p.end(client, server)
		})
		p.wg.Go(func() {
			var answers io.Reader = server
			if cut >= 0 {
				answers = io.LimitReader(server, int64(cut))
			}
			_, _ = io.Copy(client, answers)
			p.end(client, server)
		})
	}
}

func (p *Proxy) add(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		if p.closed {
			conn.Close()
		}
		p.conns[conn] = struct{}{}
	}
}

func (p *Proxy) end(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		conn.Close()
		delete(p.conns, conn)
	}
}
