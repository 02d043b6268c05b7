package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// rolesOf are the roles of the fleet's processes: two of each kind run. A kind names its processes.
var rolesOf = map[string]string{
	"route":        "route",
	"deliver-apns": "deliver-apns",
	"deliver-fcm":  "deliver-fcm",
	"devices":      "devices",
	"retry":        "retry,report",
}

func kinds() []string { return []string{"route", "deliver-apns", "deliver-fcm", "devices", "retry"} }

const (
	replicas  = 2
	stopLimit = 15 * time.Second // what the contract allows
)

// workerNames are the processes that run from the start.
func workerNames() []string {
	var all []string
	for _, kind := range kinds() {
		for n := range replicas {
			all = append(all, fmt.Sprintf("%s-%d", kind, n+1))
		}
	}
	return all
}

// workers are the fleet's processes.
type workers struct {
	binary, config, dir string

	mu    sync.Mutex
	all   map[string]*process
	added int
}

func newWorkers(binary, config, dir string) *workers {
	return &workers{binary: binary, config: config, dir: dir, all: map[string]*process{}}
}

// start starts one, for the first time or again.
func (w *workers) start(name string) error {
	w.mu.Lock()
	p := w.all[name]
	if p == nil {
		kind := name[:strings.LastIndexByte(name, '-')]
		p = &process{name: name, log: filepath.Join(w.dir, name+".log"), args: []string{w.binary, "run", "--config", w.config, "--roles", rolesOf[kind]}}
		w.all[name] = p
	}
	w.mu.Unlock()
	return p.start()
}

// add starts one more of a kind and returns its name.
func (w *workers) add(kind string) (string, error) {
	w.mu.Lock()
	w.added++
	name := fmt.Sprintf("%s-%d", kind, replicas+w.added)
	w.mu.Unlock()
	return name, w.start(name)
}

func (w *workers) get(name string) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all[name]
}

func (w *workers) kill(name string) error                     { return w.get(name).kill() }
func (w *workers) stop(name string) error                     { return w.get(name).stop(stopLimit) }
func (w *workers) signal(name string, s syscall.Signal) error { return w.get(name).signal(s) }

// close ends all that run. orderly asks them to, and says which did not.
func (w *workers) close(orderly bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	errs := make([]error, len(w.all))
	var wg sync.WaitGroup
	i := 0
	for _, p := range w.all {
		slot := &errs[i]
		i++
		wg.Go(func() {
			var err error
			if orderly {
				err = p.stop(stopLimit)
			} else {
				err = p.kill()
			}
			if !errors.Is(err, errNotRunning) {
				*slot = err
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// crashes says which logs show one.
func (w *workers) crashes() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for name, p := range w.all {
		log, err := os.ReadFile(p.log)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, crash := range []string{"panic: ", "fatal error: ", "DATA RACE"} {
			if bytes.Contains(log, []byte(crash)) {
				errs = append(errs, fmt.Errorf("the log of %s holds %q", name, crash))
			}
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}
