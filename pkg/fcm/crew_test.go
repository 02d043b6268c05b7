package fcm

import (
	"context"
	"testing"
	"testing/synctest"
)

func TestCrewStaysForTheNextJobAndEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := newCrew(ctx)
		const jobs = maxIdle + 100
		for range 3 {
			hold, done := make(chan struct{}), make(chan struct{}, jobs)
			for range jobs { // none waits for another
				c.run(func() {
					<-hold
					done <- struct{}{}
				})
			}
			close(hold)
			for range jobs {
				<-done
			}
			synctest.Wait()
			if got := c.idle.Load(); got != maxIdle {
				t.Errorf("%d stay, want %d", got, maxIdle)
			}
		}
		cancel()
		c.all.Wait()
		ran := make(chan struct{})
		c.run(func() { close(ran) }) // what comes later runs all the same
		<-ran
		c.all.Wait()
	})
}
