package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// Duration is a time span, written as "1h30m" or "250ms".
type Duration time.Duration

// UnmarshalText reads one.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// MarshalText writes one.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d Duration) check() error {
	if d < 0 {
		return errors.New("want 0 or more")
	}
	return nil
}

// Delay is a time span that is drawn anew each time: written as one span, which it then always is, or as
// {p50, p99, min, max}, of which p50 alone is required. It is log-normal: half of them are shorter than p50, and one of a
// hundred is longer than p99.
type Delay struct {
	P50 Duration `json:"p50"`
	P99 Duration `json:"p99,omitzero"` // 0 = as p50
	Min Duration `json:"min,omitzero"`
	Max Duration `json:"max,omitzero"` // 0 = none
}

// Always is a delay that is always the same.
func Always(d time.Duration) Delay { return Delay{P50: Duration(d)} }

// UnmarshalJSON reads both forms.
func (d *Delay) UnmarshalJSON(content []byte) error {
	*d = Delay{}
	if len(content) > 0 && content[0] == '"' {
		return json.Unmarshal(content, &d.P50)
	}
	type plain Delay
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	return decoder.Decode((*plain)(d))
}

func (d Delay) check() error {
	switch {
	case d == (Delay{}):
		return nil
	case d.P50 <= 0:
		return errors.New("p50: want more than 0")
	case d.P99 != 0 && d.P99 < d.P50:
		return errors.New("p99: want p50 or more")
	case d.Min < 0 || d.Max < 0 || d.Max != 0 && d.Max < d.Min:
		return errors.New("max: want min or more")
	case max(d.P50, d.P99, d.Max) > Duration(24*time.Hour*365):
		return fmt.Errorf("longer than a year")
	}
	return nil
}

// z99 is how many standard deviations of a normal distribution lie below its 99th percentile.
const z99 = 2.3263478740408408

// at is the delay for a draw of the standard normal distribution.
func (d Delay) at(z float64) time.Duration {
	drawn := float64(d.P50)
	if d.P99 > d.P50 {
		drawn *= math.Exp(z * math.Log(float64(d.P99)/float64(d.P50)) / z99)
	}
	drawn = max(drawn, float64(d.Min))
	if d.Max > 0 {
		drawn = min(drawn, float64(d.Max))
	}
	return time.Duration(drawn)
}
