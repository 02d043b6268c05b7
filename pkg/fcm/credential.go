package fcm

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pushfleet/pushfleet/pkg/credential"
	"github.com/pushfleet/pushfleet/pkg/push"
)

var _ push.CredentialKeeper = (*Driver)(nil)

// keep reads nothing.
func (d *Driver) keep(cfg credentialSettings) *credential.Keeper[*credential.ServiceAccount] {
	return credential.NewKeeper(credential.Config[*credential.ServiceAccount]{
		Path:   cfg.path,
		Source: cfg.source,
		Parse: func(m credential.Material) (*credential.ServiceAccount, error) {
			return credential.ParseServiceAccount(m.Content, d.settings.platform.Endpoint)
		},
		Succeeds: sameProject,
		Facts:    (*credential.ServiceAccount).Facts,
		Open: func(account *credential.ServiceAccount) (credential.Opened, error) {
			return d.open(account, cfg.perMinute)
		},
		Now: d.now,
	})
}

// sameProject keeps a slip from emptying the registry: to another project every token is a stranger's, and FCM's answer
// to that unbinds tokens.
func sameProject(old, next *credential.ServiceAccount) error {
	if next.ProjectID != old.ProjectID {
		return fmt.Errorf("project_id: %s, but the account in use is of %s, whose tokens the devices have; restart to change the project",
			next.ProjectID, old.ProjectID)
	}
	return nil
}

// open makes the sender of an account, which may send so many messages a minute. Its connections are those of every
// account: FCM binds none to one.
func (d *Driver) open(account *credential.ServiceAccount, perMinute float64) (credential.Opened, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return credential.Opened{}, errClosed
	}
	if d.client == nil {
		opened, err := newClient(d.settings.platform.Transport, d.settings.platform.CAFile)
		if err != nil {
			return credential.Opened{}, fmt.Errorf("%s.ca_file: %w", d.settings.path, err)
		}
		d.client = opened
	}
	s, err := newSender(d, account, d.quotaOf(account.ProjectID, perMinute))
	if err != nil {
		return credential.Opened{}, err
	}
	return credential.Opened{Sender: s, Close: s.close}, nil
}

// quotaOf is a project's quota, the same for all of its accounts. The lock is held.
func (d *Driver) quotaOf(project string, perMinute float64) *quota {
	q, ok := d.quotas[project]
	if !ok {
		q = newQuota(d.settings.platform.RampUp)
		d.quotas[project] = q
	}
	q.bound(perMinute)
	return q
}

// RefreshCredentials implements [push.CredentialKeeper].
func (d *Driver) RefreshCredentials() []push.CredentialState {
	var states []push.CredentialState
	for _, app := range slices.Sorted(maps.Keys(d.keepers)) {
		for _, name := range slices.Sorted(maps.Keys(d.keepers[app])) {
			keeper := d.keepers[app][name]
			keeper.Refresh()
			state := keeper.State()
			state.App, state.Name, state.Platform = app, name, Platform
			states = append(states, state)
		}
	}
	return states
}
