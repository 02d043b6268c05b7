package registry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// zoneOffset is how far a time zone is from UTC and until when.
type zoneOffset struct {
	offset string // seconds; "" where the zone is not known here
	until  int64  // ms
}

// unknownZoneRetry is when a zone that is not known is looked up again: another process may know it.
const unknownZoneRetry = time.Hour

// endOfTime is until when the offset of a zone without further changes holds.
const endOfTime = 253_402_300_800_000 // ms; the year 10000

// offsetOf is the zone's offset at a time. A zone that is not known is an error and has an offset to be stored too.
func offsetOf(zone string, at time.Time) (zoneOffset, error) {
	location, err := loadZone(zone)
	if err != nil {
		return zoneOffset{until: at.Add(unknownZoneRetry).UnixMilli()}, err
	}
	local := at.In(location)
	_, seconds := local.Zone()
	o := zoneOffset{offset: strconv.Itoa(seconds), until: endOfTime}
	if _, end := local.ZoneBounds(); !end.IsZero() {
		o.until = end.UnixMilli()
	}
	return o, nil
}

// offsetOrOff is the zone's offset at a time, or what leaves a quiet window off for a while.
func (r *Registry) offsetOrOff(zone string, at time.Time) zoneOffset {
	o, err := offsetOf(zone, at)
	if err != nil {
		r.opts.Logger.Warn("quiet hours are off", zap.String("zone", zone), zap.Error(err))
	}
	return o
}

// loadZone finds a zone by its IANA name.
func loadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" || len(name) > maxZone {
		return nil, errors.New("not the name of a time zone")
	}
	location, err := time.LoadLocation(name)
	if err != nil {
		return nil, errors.New("not the name of a known time zone")
	}
	return location, nil
}

// maxZone bounds a zone's name in bytes; the longest that is in use has 32.
const maxZone = 64

// answerRenew is what a script says that found the offset of a user's quiet hours run out: it changed nothing.
const answerRenew = "Z"

// renewals bounds how often one call's offset is renewed: once, and again where the user chose another zone meanwhile.
const renewals = 3

// runRenewing is run for scripts that read quiet hours: tags are the users' hash tags of the first calls. Where an offset
// from UTC ran out, it is renewed and the call repeated.
func (r *Registry) runRenewing(ctx context.Context, what string, calls []*redis.StringCmd, tags []string) ([]string, error) {
	answers, err := r.run(ctx, what, calls)
	for try := 0; err == nil; try++ {
		var stale []int
		for i := range tags {
			if answers[i] == answerRenew {
				stale = append(stale, i)
			}
		}
		if len(stale) == 0 {
			return answers, nil
		}
		if try == renewals {
			return nil, fmt.Errorf("registry: %s: the offset of a user's quiet hours does not stay renewed", what)
		}
		if err := r.renewOffsets(ctx, stale, tags); err != nil {
			return nil, err
		}
		again := make([]*redis.StringCmd, len(stale))
		for n, i := range stale {
			again[n] = redis.NewStringCmd(ctx, calls[i].Args()...)
		}
		var repeated []string
		if repeated, err = r.run(ctx, what, again); err == nil {
			for n, i := range stale {
				answers[i] = repeated[n]
			}
		}
	}
	return nil, err
}

// renewOffsets writes the offset of now to the users' quiet hours.
func (r *Registry) renewOffsets(ctx context.Context, stale []int, tags []string) error {
	reads := make([]*redis.StringCmd, len(stale))
	for n, i := range stale {
		reads[n] = r.scripts.settingsShow.call(ctx, []string{settingsKey(tags[i])}, 1)
	}
	generals, err := r.run(ctx, "read quiet hours", reads)
	if err != nil {
		return err
	}
	now := r.opts.Now()
	offsets := make(map[string]zoneOffset)
	var writes []*redis.StringCmd
	for n, i := range stale {
		fields := strings.Split(generals[n], unit)
		if len(fields) != generalFields || fields[generalZone] == "" {
			continue // the window is gone by now
		}
		zone := fields[generalZone]
		o, known := offsets[zone]
		if !known {
			o = r.offsetOrOff(zone, now)
			offsets[zone] = o
		}
		writes = append(writes, r.scripts.settingsZone.call(ctx, []string{settingsKey(tags[i])}, zone, o.offset, o.until))
	}
	_, err = r.run(ctx, "renew quiet hours", writes)
	return err
}

// The packed general settings: how many values there are, and where the zone stands.
const (
	generalFields = 11
	generalZone   = 6
)
