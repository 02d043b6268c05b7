package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pushfleet/pushfleet/pkg/config"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/stream"
)

// Drivers opens every platform's driver from the configuration; no file and no connection is opened. What goes through
// Kafka to a device's own service goes nowhere.
func Drivers(cfg *config.Config, now func() time.Time) (map[push.Platform]push.Driver, error) {
	return openDrivers(cfg, now, nil)
}

func openDrivers(cfg *config.Config, now func() time.Time, offline func(ctx context.Context, app, user, device string, value []byte, done func(error))) (map[push.Platform]push.Driver, error) {
	drivers := map[push.Platform]push.Driver{}
	var errs []error
	for _, kind := range Platforms() {
		settings := cfg.Settings(kind.Platform, now)
		settings.Offline = offline
		d, err := kind.Open(settings)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		drivers[kind.Platform] = d
	}
	if len(errs) > 0 {
		for _, d := range drivers {
			errs = append(errs, d.Close())
		}
		return nil, errors.Join(errs...)
	}
	return drivers, nil
}

// offline is [push.Settings.Offline].
func (f *fleet) offline(ctx context.Context, app, user, device string, value []byte, done func(error)) {
	f.pub.Publish(ctx, stream.Message{Topic: f.topics.Offline(), Key: stream.DeviceKey(app, user, device), Value: value,
		Partition: stream.ByKey}, done)
}

// kindOf is a platform's line in the table.
func kindOf(p push.Platform) push.Kind {
	for _, kind := range Platforms() {
		if kind.Platform == p {
			return kind
		}
	}
	return push.Kind{}
}

// knownCredential says whether an app has a credential of that name on that platform, or needs none there.
func (f *fleet) knownCredential(app string, p push.Platform, name string) bool {
	configured, ok := f.cfg.Apps[app]
	if !ok || kindOf(p).Keyless {
		return ok
	}
	c, ok := configured.Credentials[name]
	return ok && c.Platform == p
}

// CheckToken says what is wrong with a token of a platform, without quoting it.
func (f *fleet) CheckToken(p push.Platform, token string) error {
	d := f.drivers[p]
	if d == nil {
		return fmt.Errorf("platform is not one of %v", f.platforms)
	}
	if err := d.CheckToken(token); err != nil {
		return fmt.Errorf("token: %w", err)
	}
	return nil
}
