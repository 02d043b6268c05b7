package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pushfleet/pushfleet/scripts/chaos/schedule"
)

// performance is the actions of one phase being done.
type performance struct {
	world *world
	seed  uint64
	began time.Time
	wg    sync.WaitGroup

	mu      sync.Mutex
	turns   map[string]turn // by what is broken
	log     []string
	emptied time.Time
	errs    []error
}

// turn is who breaks something now: the actions of one moment.
type turn struct {
	at     time.Duration
	actors int
}

// perform begins with the actions of a phase; its wait returns when each is undone.
func perform(ctx context.Context, w *world, seed uint64, phase schedule.Phase) *performance {
	p := &performance{world: w, seed: seed, began: time.Now(), turns: map[string]turn{}}
	for _, a := range phase.Actions {
		p.wg.Go(func() { p.act(ctx, a) })
	}
	return p
}

func (p *performance) wait() error {
	p.wg.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.errs...)
}

// act does one action when its time has come, and undoes it.
func (p *performance) act(ctx context.Context, a schedule.Action) {
	if !sleep(ctx, time.Until(p.began.Add(a.At))) {
		return
	}
	if !p.enter(ctx, a) {
		return
	}
	defer p.leave(a)
	from := time.Now()
	undo, err := p.do(ctx, a)
	if err == nil && undo != nil && sleep(ctx, time.Until(from.Add(a.For))) {
		err = undo()
	}
	to := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		p.errs = append(p.errs, fmt.Errorf("%s: %w", a, err))
	}
	p.log = append(p.log, fmt.Sprintf("%6.1f–%5.1f s  %s %s %s", from.Sub(p.began).Seconds(), to.Sub(p.began).Seconds(), a.Kind, a.Target, a.Arg))
}

// subject is what an action breaks. All brokers are one: another may go only when the one before is back, however long
// that takes on a busy machine.
func subject(a schedule.Action) string {
	switch a.Kind {
	case schedule.KillBroker, schedule.PauseBroker:
		return "brokers"
	case schedule.KillRedis, schedule.WipeRedis, schedule.PauseRedis:
		return "redis"
	case schedule.Providers:
		return "providers"
	case schedule.RotateKeys, schedule.GarbageKeys, schedule.UnknownKeys:
		return "keys"
	case schedule.AddWorker:
		return "another " + a.Target
	}
	return a.Target
}

// enter waits until nobody else breaks the same, apart from actions of the same moment.
func (p *performance) enter(ctx context.Context, a schedule.Action) bool {
	for {
		p.mu.Lock()
		now := p.turns[subject(a)]
		free := now.actors == 0 || now.at == a.At
		if free {
			p.turns[subject(a)] = turn{a.At, now.actors + 1}
		}
		p.mu.Unlock()
		if free {
			return true
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return false
		}
	}
}

func (p *performance) leave(a schedule.Action) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.turns[subject(a)]
	p.turns[subject(a)] = turn{now.at, now.actors - 1}
}

// do begins an action, and returns what ends it.
func (p *performance) do(ctx context.Context, a schedule.Action) (undo func() error, err error) {
	w := p.world
	switch a.Kind {
	case schedule.KillWorker:
		return func() error { return w.workers.start(a.Target) }, w.workers.kill(a.Target)
	case schedule.StopWorker:
		return func() error { return w.workers.start(a.Target) }, w.workers.stop(a.Target)
	case schedule.PauseWorker:
		return func() error { return w.workers.signal(a.Target, syscall.SIGCONT) }, w.workers.signal(a.Target, syscall.SIGSTOP)
	case schedule.AddWorker:
		name, err := w.workers.add(a.Target)
		return func() error { return w.workers.stop(name) }, err
	case schedule.KillBroker:
		node := brokerOf(a.Target)
		w.kafka.Kill(node)
		return func() error { return w.kafka.Restart(ctx, node) }, nil
	case schedule.PauseBroker:
		node := brokerOf(a.Target)
		return func() error { return w.kafka.Continue(node) }, w.kafka.Pause(node)
	case schedule.KillRedis:
		w.redis.Kill()
		return func() error { return w.redis.Restart(ctx) }, nil
	case schedule.WipeRedis:
		p.mu.Lock()
		p.emptied = time.Now()
		p.mu.Unlock()
		w.redis.Kill()
		return func() error { return w.redis.wipe(ctx) }, nil
	case schedule.PauseRedis:
		return w.redis.Continue, w.redis.Pause()
	case schedule.Cut:
		w.proxies.cut(a.Target)
		return func() error { return w.proxies.mend(a.Target) }, nil
	case schedule.Slow:
		return func() error { return w.proxies.clear(ctx, a.Target) }, w.proxies.slow(a.Target, a.Arg)
	case schedule.Narrow:
		return func() error { return w.proxies.clear(ctx, a.Target) }, w.proxies.narrow(a.Target, a.Arg)
	case schedule.Providers:
		return func() error { return w.providers.suffer("", 0) }, w.providers.suffer(a.Arg, p.seed)
	case schedule.RotateKeys:
		return nil, w.providers.rotate()
	case schedule.GarbageKeys:
		return w.providers.rotate, w.providers.garbage()
	case schedule.UnknownKeys:
		return w.providers.rotate, w.providers.unknown()
	}
	return nil, fmt.Errorf("nobody knows how to %s", a.Kind)
}

// brokerOf is the node of a name as broker-1.
func brokerOf(name string) int {
	var n int
	_, _ = fmt.Sscanf(strings.TrimPrefix(name, "broker-"), "%d", &n) // the schedule's own names
	return n - 1
}
