// Package simulate runs the providers' simulators with everything a fleet needs to push to them: a folder flows in;
// running simulators, their keys, certificates and addresses flow out. It promises that keys it finds in the folder are
// used again, so that a fleet that runs already goes on.
package simulate

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/pushfleet/pushfleet/pkg/apns/apnstest"
	"github.com/pushfleet/pushfleet/pkg/credential"
	"github.com/pushfleet/pushfleet/pkg/fcm/fcmtest"
	"github.com/pushfleet/pushfleet/pkg/push"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest"
	"github.com/pushfleet/pushfleet/pkg/push/pushtest/faults"
)

// The simulated team's identity: that of the annotated configuration.
const (
	TeamID   = "DEF123GHIJ"
	KeyID    = "ABC123DEFG"
	BundleID = "com.example.demo"
	Project  = "demo"
	// P12Password opens the certificate's file.
	P12Password = "pushsim"
)

// Config says which simulators run, and where.
type Config struct {
	Dir       string // where keys and certificates are written; it must exist
	APNs, FCM bool   // which of them
	APNsAddr  string // host:port; "" = a free port of 127.0.0.1
	FCMAddr   string // likewise
	AdminAddr string // likewise
	// Faults is a fault script; the zero value has none. PUT /faults replaces it.
	Faults faults.Script
	// CountOnly keeps counts in place of ledger lines.
	CountOnly bool
	Now       func() time.Time // the simulators' clock; nil = time.Now
	// SignedNow is the clock of what is signed to get FCM's access tokens; nil = Now.
	SignedNow func() time.Time
}

// Simulation is the running simulators. Paths are absolute.
type Simulation struct {
	APNs  *apnstest.Server   // nil = not running
	FCM   *fcmtest.Simulator // nil = not running
	Admin *pushtest.Server

	CAFile             string // certificate authority of the simulators
	KeyFile            string // the p8 that the APNs simulator accepts
	CertificateFile    string // the p12 that it accepts too, under the password P12Password
	ServiceAccountFile string // the account that the FCM simulator accepts
}

// Start starts them. Its error names the address or file that could not be had.
func Start(cfg Config) (_ *Simulation, err error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("simulators: %w", err)
	}
	s := &Simulation{CAFile: filepath.Join(dir, "ca.pem"), KeyFile: filepath.Join(dir, "AuthKey_"+KeyID+".p8"),
		CertificateFile: filepath.Join(dir, "apns.p12"), ServiceAccountFile: filepath.Join(dir, "service-account.json")}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	authority, err := pushtest.NewAuthority()
	if err != nil {
		return s, fmt.Errorf("simulators: %w", err)
	}
	certificate, err := authority.ServerCertificate()
	if err != nil {
		return s, fmt.Errorf("simulators: %w", err)
	}
	if err := os.WriteFile(s.CAFile, authority.CAPEM(), 0o600); err != nil {
		return s, fmt.Errorf("simulators: %w", err)
	}
	var controls []*pushtest.Control
	if cfg.APNs {
		if err := s.startAPNs(cfg, authority, certificate); err != nil {
			return s, err
		}
		controls = append(controls, s.APNs.Control())
	}
	if cfg.FCM {
		s.FCM, err = fcmtest.Start(fcmtest.Config{Addr: cfg.FCMAddr, Authority: authority, Control: control(fcmtest.Platform, cfg), Now: cfg.Now, SignedNow: cfg.SignedNow})
		if err != nil {
			return s, err
		}
		if err := s.FCM.WriteServiceAccount(Project, s.ServiceAccountFile); err != nil {
			return s, err
		}
		controls = append(controls, s.FCM.Control())
	}
	for _, c := range controls {
		if err := c.Faults.Put(cfg.Faults); err != nil {
			return s, err
		}
	}
	s.Admin, err = pushtest.StartServer(pushtest.ServerConfig{Addr: cfg.AdminAddr, Handler: pushtest.NewAdmin(controls...)})
	if err != nil {
		return s, fmt.Errorf("simulators' admin: %w", err)
	}
	return s, nil
}

func control(platform push.Platform, cfg Config) *pushtest.Control {
	c := pushtest.NewControl(platform)
	if cfg.CountOnly {
		limits := pushtest.DefaultLimits()
		limits.CountOnly = true
		c.Ledger.Limit(limits)
	}
	return c
}

func (s *Simulation) startAPNs(cfg Config, authority *pushtest.Authority, certificate tls.Certificate) error {
	key, err := s.appleKey()
	if err != nil {
		return err
	}
	client, err := authority.ClientCertificate(pushtest.PushCertificate{
		BundleID: BundleID, TeamID: TeamID, Topics: []string{BundleID, BundleID + ".voip"}, Production: true, Development: true,
	})
	if err != nil {
		return fmt.Errorf("simulators: %w", err)
	}
	p12, err := pkcs12.Modern2023.Encode(client.PrivateKey, client.Leaf, nil, P12Password)
	if err != nil {
		return fmt.Errorf("simulators: %w", err)
	}
	if err := os.WriteFile(s.CertificateFile, p12, 0o600); err != nil {
		return fmt.Errorf("simulators: %w", err)
	}
	s.APNs, err = apnstest.Start(apnstest.Config{
		Addr: cfg.APNsAddr, Certificate: certificate, Keys: []apnstest.Key{key}, ClientCAs: authority.Pool(),
		Control: control(apnstest.Platform, cfg), Now: cfg.Now,
	})
	return err
}

// appleKey returns what the simulator knows of the p8 in the folder, making one where there is none.
func (s *Simulation) appleKey() (apnstest.Key, error) {
	_, err := os.Stat(s.KeyFile)
	if errors.Is(err, os.ErrNotExist) {
		key, p8, err := apnstest.NewKey(TeamID, KeyID, BundleID)
		if err != nil {
			return key, err
		}
		return key, os.WriteFile(s.KeyFile, p8, 0o600)
	}
	key, err := credential.LoadP8(s.KeyFile)
	if err != nil {
		return apnstest.Key{}, fmt.Errorf("simulators: %w", err)
	}
	return apnstest.Key{TeamID: TeamID, KeyID: KeyID, Public: &key.Key.PublicKey, Topics: []string{BundleID}}, nil
}

// Close stops them at once.
func (s *Simulation) Close() error {
	var errs []error
	if s.APNs != nil {
		errs = append(errs, s.APNs.Close())
	}
	if s.FCM != nil {
		errs = append(errs, s.FCM.Close())
	}
	if s.Admin != nil {
		errs = append(errs, s.Admin.Close())
	}
	return errors.Join(errs...)
}
