package fleet

import (
	"github.com/pushfleet/pushfleet/pkg/apns"
	"github.com/pushfleet/pushfleet/pkg/fcm"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/service"
)

// Platforms is the table of platforms: a new one is a package and a line here.
func Platforms() []push.Kind {
	return []push.Kind{
		apns.Kind(),
		fcm.Kind(),
		service.Kind(),
	}
}

// Names lists the platforms of the table.
func Names() []push.Platform {
	kinds := Platforms()
	names := make([]push.Platform, len(kinds))
	for i, k := range kinds {
		names[i] = k.Platform
	}
	return names
}
