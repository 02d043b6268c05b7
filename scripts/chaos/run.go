package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pushfleet/pushfleet/pkg/stream"
	"github.com/pushfleet/pushfleet/scripts/chaos/check"
	"github.com/pushfleet/pushfleet/scripts/chaos/load"
	"github.com/pushfleet/pushfleet/scripts/chaos/report"
	"github.com/pushfleet/pushfleet/scripts/chaos/schedule"
)

// slack is presence.max_lag, which the configuration leaves at its default.
const slack = 2 * time.Second

// look is how often the fleet looks how old what it knows is (250 ms), what its commits are behind (200 ms), and time to
// ask in.
const look = time.Second

// run is the phases being played.
type run struct {
	world     *world
	plan      schedule.Plan
	patience  time.Duration // for everything to be worked off after a phase
	out       io.Writer     // what happens, as it happens
	messages  *load.Messages
	presence  *load.Presence
	collector *collector

	mu         sync.Mutex
	failures   []error         // of the run itself, not of the fleet
	bad        map[string]bool // values of im.messages that no reader can use
	badLetters [][]byte        // of other topics, since the phase began
	produced   [][]byte        // values that Kafka has of im.messages, since the phase began
	unwritten  sync.WaitGroup
	refused    sync.Once // a record could not be produced
}

func newRun(w *world, plan schedule.Plan, patience time.Duration, out io.Writer) *run {
	return &run{world: w, plan: plan, patience: patience, out: out, messages: load.NewMessages(w.people, plan.Seed),
		presence: load.NewPresence(w.people, plan.Seed), collector: newCollector(w.cluster, w.topics), bad: map[string]bool{}}
}

func (r *run) say(format string, args ...any) {
	fmt.Fprintf(r.out, "%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}

func (r *run) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, err)
	r.say("FAILED: %v", err)
}

// play plays all phases, and returns what was found in those that it came to.
func (r *run) play(ctx context.Context) (results []report.Result, err error) {
	for _, name := range workerNames() {
		if err := r.world.workers.start(name); err != nil {
			return nil, err
		}
	}
	if err := r.people(ctx); err != nil {
		return nil, err
	}
	for _, phase := range r.plan.Phases {
		result, err := r.phase(ctx, phase)
		if err != nil {
			return results, fmt.Errorf("%s: %w", phase.Name, err)
		}
		results = append(results, result)
	}
	return results, nil
}

// people makes the users, their groups and phones known.
func (r *run) people(ctx context.Context) error {
	now := time.Now()
	for _, record := range r.world.people.Memberships(now) {
		r.publish(ctx, record, func(time.Time) {})
	}
	r.move(ctx, r.presence.Login(now))
	if err := r.written(time.Minute); err != nil {
		return err
	}
	return r.world.settle(ctx, 2*time.Minute)
}

// written waits until Kafka has everything that was produced.
func (r *run) written(limit time.Duration) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.unwritten.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-time.After(limit):
		return fmt.Errorf("not everything was taken by Kafka within %s", limit)
	}
}

// publish produces a record; durable is called when Kafka has it.
func (r *run) publish(ctx context.Context, record load.Record, durable func(time.Time)) {
	r.unwritten.Add(1)
	r.world.pub.Publish(ctx, stream.Message{Topic: record.Topic, Key: record.Key, Value: record.Value, Partition: stream.ByKey}, func(err error) {
		defer r.unwritten.Done()
		if err != nil {
			r.refused.Do(func() { r.fail(fmt.Errorf("not produced, and perhaps more than this: %w", err)) })
			return
		}
		durable(time.Now())
	})
}

// move produces the steps of phones.
func (r *run) move(ctx context.Context, events []load.Event) {
	for _, e := range events {
		if e.Bad {
			r.mu.Lock()
			r.badLetters = append(r.badLetters, e.Value)
			r.mu.Unlock()
		}
		r.publish(ctx, e.Record, func(at time.Time) { r.presence.Durable(e, at) })
	}
}

// phase plays one, waits until everything is worked off, and checks it.
func (r *run) phase(ctx context.Context, phase schedule.Phase) (report.Result, error) {
	w := r.world
	if !sleep(ctx, slack+time.Second) { // foreground and background within 2 s of each other are one
		return report.Result{}, ctx.Err()
	}
	r.mu.Lock()
	r.badLetters, r.produced = nil, nil
	r.mu.Unlock()
	since := time.Now()
	r.move(ctx, r.presence.Rest(since))
	if err := r.written(time.Minute); err != nil {
		return report.Result{}, err
	}
	if err := w.settle(ctx, time.Minute); err != nil {
		return report.Result{}, err
	}
	r.say("%s: %d messages in %s, %d faults", phase.Name, phase.Messages, phase.Load, len(phase.Actions))
	performance := perform(ctx, w, r.plan.Seed, phase)
	r.produce(ctx, phase)
	err := performance.wait()
	ended := time.Now()
	if ctx.Err() != nil {
		return report.Result{}, ctx.Err()
	}
	if err != nil {
		r.fail(fmt.Errorf("%s: %w", phase.Name, err))
	}
	if err := r.written(r.patience); err != nil {
		return report.Result{}, err
	}
	settled := w.settle(ctx, r.patience)
	result := report.Result{Phase: phase, Log: performance.log, Settled: time.Since(ended)}
	if settled != nil {
		r.fail(fmt.Errorf("%s: %w", phase.Name, settled))
	}
	in, err := r.input(ctx, since, performance)
	if err != nil {
		return result, err
	}
	result.Verdict = check.Run(in)
	r.say("%s: %s", phase.Name, report.Line(result))
	for _, line := range report.Examples(result.Verdict) {
		r.say("  %s", line)
	}
	return result, nil
}

// input is all that is known of the phase that just ended.
func (r *run) input(ctx context.Context, since time.Time, p *performance) (check.Input, error) {
	r.mu.Lock()
	in := check.Input{Settings: check.Settings{Slack: slack, Look: look}, Devices: r.world.people.Devices(), Groups: r.world.people.Groups,
		Bad: r.bad, BadLetters: r.badLetters, Produced: r.produced, Emptied: p.emptied}
	r.mu.Unlock()
	in.Changes = r.presence.Changes(since)
	var err error
	if in.Pushes, err = r.world.providers.drain(); err != nil {
		return in, err
	}
	return in, r.collector.collect(ctx, &in)
}

const (
	produceEvery = 10 * time.Millisecond
	moveEvery    = 100 * time.Millisecond
)

// produce produces a phase's messages evenly, and moves the phones meanwhile.
func (r *run) produce(ctx context.Context, phase schedule.Phase) {
	began := time.Now()
	moved := began
	for made := 0; made < phase.Messages; {
		now := time.Now()
		due := min(phase.Messages, int(float64(phase.Messages)*float64(now.Sub(began))/float64(phase.Load)))
		for ; made < due; made++ {
			record, bad := r.messages.Next(now)
			if bad {
				r.mu.Lock()
				r.bad[string(record.Value)] = true
				r.mu.Unlock()
			}
			r.publish(ctx, record, func(time.Time) {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.produced = append(r.produced, record.Value)
			})
		}
		if now.Sub(moved) >= moveEvery {
			moved = now
			r.move(ctx, r.presence.Step(now))
		}
		if !sleep(ctx, produceEvery) {
			return
		}
	}
}
