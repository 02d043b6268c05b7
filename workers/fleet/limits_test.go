package fleet

import (
	"testing"

	"github.com/pushfleet/pushfleet/pkg/config"
)

func TestEachDeliverRoleHasAShareOfItsOwn(t *testing.T) {
	t.Parallel()
	limits := config.Limits{InFlight: 20_000, InFlightBytes: 64 * config.MiB}
	for name, test := range map[string]struct {
		roles []Role
		want  share
	}{
		"all roles of a fleet with two platforms": {
			[]Role{RoleRoute, RoleDeliver("apns"), RoleDeliver("fcm"), RoleRetry, RoleDevices, RoleReport, RoleAPI}, share{6666, 64 << 20 / 3},
		},
		"one platform alone": {[]Role{RoleDeliver("apns")}, share{10_000, 32 << 20}},
		"none":               {[]Role{RoleRoute, RoleReport}, share{20_000, 64 << 20}},
	} {
		if got := shareOf(limits, test.roles); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}
