package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Bytes is an amount of memory or disk. In the configuration it is a whole number, alone or with the unit KiB, MiB or
// GiB: 64MiB.
type Bytes int64

// The units of [Bytes].
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
)

func parseBytes(text string) (Bytes, error) {
	unit := Bytes(1)
	for name, size := range map[string]Bytes{"KiB": KiB, "MiB": MiB, "GiB": GiB} {
		if number, ok := strings.CutSuffix(text, name); ok {
			text, unit = strings.TrimSpace(number), size
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/int64(unit) {
		return 0, errors.New(`expected a size, as "64MiB"`)
	}
	return Bytes(n) * unit, nil
}
