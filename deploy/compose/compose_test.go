// Package compose_test holds docker-compose.yml, the Dockerfile and the configuration mounted there against the program
// that they run.
package compose_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/pushfleet/pushfleet/pkg/config"
	"github.com/pushfleet/pushfleet/workers/fleet"
)

const root = "../../"

type service struct {
	Image       string
	Entrypoint  []string
	Command     []string
	Profiles    []string
	Ports       []string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Healthcheck *struct {
		Test    []string
		Disable bool
	}
}

func services(t *testing.T) map[string]service {
	t.Helper()
	text, err := os.ReadFile(root + "docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Services map[string]service }
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file.Services
}

func TestEveryRoleIsAService(t *testing.T) {
	t.Parallel()
	all := services(t)
	for _, role := range fleet.Roles() {
		want := []string{"run", "--config", "/etc/pushfleet/pushfleet.yml", "--roles", string(role)}
		if got := all[string(role)]; !slices.Equal(got.Command, want) || !slices.Equal(got.Profiles, []string{"full"}) {
			t.Errorf("service %s: command %q, profiles %q", role, got.Command, got.Profiles)
		}
	}
}

func TestEveryServiceIsCheckedAndWaitsForServicesThatExist(t *testing.T) {
	t.Parallel()
	all := services(t)
	for name, s := range all {
		ours := s.Image == "pushfleet" // the image has a health check itself
		if name != "topics" && !ours && (s.Healthcheck == nil || len(s.Healthcheck.Test) == 0) {
			t.Errorf("%s has no health check", name)
		}
		for other, on := range s.DependsOn {
			want := "service_healthy"
			if other == "topics" {
				want = "service_completed_successfully"
			}
			if _, ok := all[other]; !ok || on.Condition != want {
				t.Errorf("%s waits for %s until %q", name, other, on.Condition)
			}
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s publishes %s beyond the loopback address", name, port)
			}
		}
	}
}

func TestTheMountedConfigurationIsValid(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"pushfleet.yml", root + "config.example.yml"} {
		c, err := config.Load(file, fleet.Names())
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		drivers, err := fleet.Drivers(c, nil)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for _, d := range drivers {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestTheImageRunsTheProgramWithoutAShellOrRoot(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(root + "Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, image, found := strings.Cut(string(text), "\nFROM scratch\n")
	if !found {
		t.Fatal("the last stage does not start from scratch")
	}
	for _, line := range []string{
		"USER 65532:65532",
		`    CMD ["/usr/local/bin/pushfleet", "healthcheck", "--config", "/etc/pushfleet/pushfleet.yml"]`,
		`ENTRYPOINT ["/usr/local/bin/pushfleet"]`,
		`CMD ["run", "--config", "/etc/pushfleet/pushfleet.yml"]`,
	} {
		if !strings.Contains(image, "\n"+line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
	if strings.Contains(image, "\nRUN ") {
		t.Error("the last stage runs commands")
	}
}
