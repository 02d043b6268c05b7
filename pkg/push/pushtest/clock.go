package pushtest

import "time"

// Clock is a clock that starts at the present time and runs speed times as fast; 1 = the true one. What a simulator
// compares with its clock, ages and life times, ends the sooner; delays stay as they are.
func Clock(speed float64) func() time.Time {
	if speed == 1 {
		return time.Now
	}
	start := time.Now()
	return func() time.Time { return start.Add(time.Duration(float64(time.Since(start)) * speed)) }
}
