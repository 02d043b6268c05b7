// Command cost measures what one produce or fetch request costs the broker in CPU time, by the number of partitions
// and records in the request and by the rate of requests. A running broker of one node on this machine flows in, by the
// environment variables of scripts/kafka/run; a table flows out. The broker's CPU is what the system says of its
// process, less what it uses when idle.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/segmentio/kafka-go"
)

func main() {
	warm := flag.Duration("warm", 90*time.Second, "load before the first measurement, so that the broker's JIT has compiled its paths")
	each := flag.Duration("each", 4*time.Second, "length of one measurement")
	times := flag.Int("times", 3, "measurements of each row; the middle one counts")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *warm, *each, *times); err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, warm, each time.Duration, times int) error {
	addr, pid := os.Getenv("PUSHFLEET_TEST_KAFKA"), os.Getenv("PUSHFLEET_TEST_KAFKA_PIDS")
	if addr == "" || pid == "" {
		return errors.New("no broker: run it through scripts/kafka/run")
	}
	broker := &broker{addr: kafka.TCP(addr), transport: &kafka.Transport{MetadataTTL: time.Minute}}
	defer broker.transport.CloseIdleConnections()
	for _, partitions := range []int{1, 4, 64} {
		if err := broker.createTopic(ctx, partitions); err != nil {
			return err
		}
	}
	if err := broker.warm(ctx, warm); err != nil {
		return err
	}
	idle, err := idleCPU(ctx, pid, each)
	if err != nil {
		return err
	}
	fmt.Printf("Broker idle: %.1f %% of a core. Each row: the middle of %d runs of %s.\n\n", 100*idle, times, each)

	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "request\tpartitions\trecords\trequests/s\tµs/request\tµs/record\t% of a core\t")
	for _, l := range loads() {
		var costs, rates []float64
		for range times {
			cost, rate, err := broker.measure(ctx, pid, l, each, idle)
			if err != nil {
				return fmt.Errorf("%s of %d partitions: %w", l.name, l.partitions, err)
			}
			costs, rates = append(costs, cost), append(rates, rate)
		}
		cost, rate := middle(costs), middle(rates)
		perRecord := "-"
		if records := l.partitions * l.records; records > 0 {
			perRecord = fmt.Sprintf("%.1f", 1e6*cost/float64(records))
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%.0f\t%.0f\t%s\t%.0f\t\n",
			l.name, l.partitions, l.partitions*l.records, rate, 1e6*cost, perRecord, 100*cost*rate)
	}
	return table.Flush()
}

func middle(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
