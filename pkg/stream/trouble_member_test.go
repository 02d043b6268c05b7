package stream

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// zombieEnv makes the test's binary a member of a group: brokers, topic and group, by blanks.
const zombieEnv = "PUSHFLEET_TEST_ZOMBIE"

// zombie reads, says on stdout what it has read, acknowledges what is not "held" at once, and the rest when stdin has a
// line.
func zombie(args string) {
	words := strings.Fields(args)
	c := OpenCluster(ClusterConfig{Brokers: strings.Split(words[0], ",")})
	s, err := c.NewSource(SourceConfig{Group: words[2], Lanes: []Lane{{Topics: []string{words[1]}}}, SessionTimeout: 3 * time.Second})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	released := make(chan struct{})
	go func() {
		in := bufio.NewReader(os.Stdin)
		_, _ = in.ReadString('\n')
		close(released)
		_, _ = in.ReadString('\n')
		cancel()
	}()
	_ = s.Run(ctx, func(_ context.Context, batch []*Record) {
		for _, rec := range batch {
			fmt.Println("read", string(rec.Value))
			if string(rec.Value) != "held" {
				rec.Ack()
				continue
			}
			go func() {
				<-released
				rec.Ack()
				fmt.Println("acknowledged")
			}()
		}
	})
	fmt.Println("ended", s.Stats().Generations)
}

func testZombie(t *testing.T, r *rig) {
	f := newFlow(t, r, r.addrs()...)
	f.create(f.topic, 1)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", zombieEnv, strings.Join(r.addrs(), ","), f.topic, f.group))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	expect := func(want string) string {
		t.Helper()
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), want) {
				return lines.Text()
			}
		}
		t.Fatalf("the member ended before it said %q: %v", want, lines.Err())
		return ""
	}
	f.publish(f.p, f.topic, 0, "first", "held", "last")
	expect("read last")
	f.until("its offset stands at what it holds", func() bool { return f.committed()[0] == 1 })
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	f.publish(f.p, f.topic, 0, numbered(0, 100)...)
	owner := f.join()
	f.until("another member has taken over", func() bool { return f.committed()[0] == 103 })
	if got := string(owner.all()[0].Value); got != "held" {
		t.Errorf("it begins at %q, want what was not acknowledged", got)
	}

	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(in, "\n")
	expect("acknowledged")
	// The frozen member has an offset of its own to commit now, 3. Until it has gone through a generation anew and left,
	// the group's must not go back.
	_, _ = io.WriteString(in, "\n")
	lowest := int64(103)
	ended := make(chan string, 1)
	go func() { ended <- expect("ended") }()
	f.until("it has left", func() bool {
		lowest = min(lowest, f.committed()[0])
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	if lowest = min(lowest, f.committed()[0]); lowest < 103 {
		t.Errorf("the offset went back to %d", lowest)
	}
	f.publish(f.p, f.topic, 0, "after")
	f.until("the group goes on", func() bool { return f.committed()[0] == 104 })
	f.ready()
}
