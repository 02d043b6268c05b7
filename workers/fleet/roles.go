package fleet

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pushfleet/pushfleet/pkg/push"
)

// Role is one part of the fleet's work. A process runs any set of them; replicas share a role's work by its consumer
// group.
type Role string

// The roles, apart from one deliver role per platform.
const (
	RoleRoute   Role = "route"
	RoleRetry   Role = "retry"
	RoleDevices Role = "devices"
	RoleReport  Role = "report"
	RoleAPI     Role = "api"
)

// RoleDeliver is the worker pool of a platform.
func RoleDeliver(p push.Platform) Role { return Role(deliverPrefix + string(p)) }

const deliverPrefix = "deliver-"

// obeys says whether a role has to know what an operator has stopped.
func (r Role) obeys() bool { return r == RoleRetry || strings.HasPrefix(string(r), deliverPrefix) }

// Roles lists every role.
func Roles() []Role {
	roles := []Role{RoleRoute}
	for _, p := range Names() {
		roles = append(roles, RoleDeliver(p))
	}
	return append(roles, RoleRetry, RoleDevices, RoleReport, RoleAPI)
}

// ParseRoles reads the names of roles; none means all.
func ParseRoles(names []string) ([]Role, error) {
	all := Roles()
	if len(names) == 0 {
		return all, nil
	}
	var roles []Role
	for _, name := range names {
		role := Role(strings.TrimSpace(name))
		if !slices.Contains(all, role) {
			return nil, fmt.Errorf("unknown role %q; roles are %v", name, all)
		}
		if !slices.Contains(roles, role) {
			roles = append(roles, role)
		}
	}
	return roles, nil
}
