package main

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// step is a part of the work, known by its functions.
type step struct {
	name      string
	functions *regexp.Regexp
	rest      bool // counts only where no function of the stack is another step's
}

func of(name, functions string) step {
	return step{name: name, functions: regexp.MustCompile(functions)}
}

func restOf(name, functions string) step {
	return step{name: name, functions: regexp.MustCompile(functions), rest: true}
}

const module = `github\.com/pushfleet/pushfleet/`

// The steps that both senders have. The first that matches a function counts.
var (
	network = []step{
		of("TLS and the kernel: write", `^crypto/tls\.\(\*Conn\)\.Write$`),
		of("TLS and the kernel: read", `^crypto/tls\.\(\*Conn\)\.Read$`),
		of("pkg/h2: the connection's writer", module+`pkg/h2\.\(\*Conn\)\.write$`),
		of("pkg/h2: the connection's reader", module+`pkg/h2\.\(\*Conn\)\.read$`),
		of("pkg/h2: the caller", module+`pkg/h2\.\(\*(Conn|Transport)\)\.RoundTrip$`),
	}
	around = []step{
		restOf("workers: taking the next, resting, waking", module+`pkg/push/crew\.`),
		of("net/http's Client, and the Request", `^net/http\.`),
	}
	apnsSteps = slices.Concat(network, []step{
		of("the pool: a stream for the push", module+`pkg/apns\.\(\*pool\)`),
		of("headers and payload: rendering", `pkg/apns\.\(\*exchange\)\.prepare$`),
		of("the RoundTripper: headers in, answer out", `pkg/apns\.\(\*(transport|fields|signer)\)`),
		of("apns2: its payload, URL, headers, answer", `sideshow/apns2\.`),
		restOf("the sender: deadline, classify, report", `pkg/apns\.`),
	}, around)
	fcmSteps = slices.Concat(network, []step{
		of("the message: rendering", `pkg/fcm\.\(\*sender\)\.prepare$`),
		of("the RoundTripper: body in, answer out", `pkg/fcm\.\(\*(courier|call|upload|uploadReader)\)`),
		of("the SDK: its JSON, request, answer", `^firebase\.google\.com/`),
		restOf("the sender: quota, access token, classify, report", `pkg/fcm\.`),
	}, around)
)

// Steps that no function of ours calls for itself.
const (
	collecting = "garbage collection"
	scheduling = "scheduling, and what the benchmark itself does"
)

var collector = regexp.MustCompile(`^runtime\.(gcBgMarkWorker|gcAssistAlloc|bgsweep|bgscavenge|gcStart|gcMarkTermination)`)

// share is a step's part of all samples.
type share struct {
	name string
	part float64
}

// attribute reads what pprof prints as traces: samples apart by lines of dashes, each its time and the innermost function
// in the first line, then its callers.
func attribute(traces io.Reader, steps []step) ([]share, error) {
	times := make(map[string]time.Duration)
	var all time.Duration
	lines := bufio.NewScanner(traces)
	var took time.Duration
	var stack []string
	end := func() {
		if took > 0 {
			times[stepOf(stack, steps)] += took
			all += took
		}
		took, stack = 0, nil
	}
	for lines.Scan() {
		fields := strings.Fields(strings.TrimSuffix(lines.Text(), " (inline)"))
		switch {
		case len(fields) == 0:
		case strings.HasPrefix(fields[0], "-----"):
			end()
		case len(fields) == 2 && len(stack) == 0:
			if d, err := time.ParseDuration(fields[0]); err == nil {
				took, stack = d, fields[1:]
			}
		case took > 0:
			stack = append(stack, fields[0])
		}
	}
	end()
	if all == 0 {
		return nil, errors.Join(errors.New("the profile has no sample"), lines.Err())
	}
	var shares []share
	for name, d := range times {
		shares = append(shares, share{name, float64(d) / float64(all)})
	}
	slices.SortFunc(shares, func(a, b share) int {
		return cmp.Or(cmp.Compare(b.part, a.part), cmp.Compare(a.name, b.name))
	})
	return shares, lines.Err()
}

// stepOf looks from the innermost function outwards.
func stepOf(stack []string, steps []step) string {
	if slices.ContainsFunc(stack, collector.MatchString) {
		return collecting
	}
	for _, rest := range []bool{false, true} {
		for _, function := range stack {
			for _, s := range steps {
				if s.rest == rest && s.functions.MatchString(function) {
					return s.name
				}
			}
		}
	}
	return scheduling
}
